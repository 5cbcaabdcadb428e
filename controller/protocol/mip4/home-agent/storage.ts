/** What the disk has and has not: bindings of an earlier life taken up again, and acceptances that it refused taken back. */
import { after, seconds } from "../../../base/time.js";
import type { Identification } from "../../../wire/mip4/messages/registration.js";
import { sameIdentification } from "../identification.js";
import type { BindingEntry, Registration } from "./binding-table.js";
import type { StoredNode } from "./inputs.js";
import { type NodeRecord, parseRecord } from "./record.js";
import { pathFor, putPath } from "./registration.js";
import { endBinding } from "./removal.js";
import { isOurs } from "./reply.js";
import type { HomeSubscriber } from "./site.js";
import { drop, journal, notify, releaseUnused, type Turn } from "./turn.js";

/** Takes up what the journal kept of one node. What protects it against replays is kept even if its binding is of no use any more. */
export function restore(turn: Turn, stored: StoredNode): void {
  const { replay } = turn.state;
  const record = parseRecord(stored);
  const subscriber = record === undefined ? undefined : turn.state.subscriber(record.node);
  if (record === undefined || subscriber === undefined) {
    if (record === undefined) drop(turn, "malformed", "journal record");
    else turn.effects.push({ kind: "journal", key: record.node, record: null });
    return;
  }
  replay.set(record.node, record.replay);
  const { binding } = stored.record;
  const restored = record.binding !== undefined && restoreBinding(turn, record, record.binding);
  if (!restored && binding !== null) journal(turn, record.node);
}

/** False: it is not entitled to it any more. */
function restoreBinding(turn: Turn, { node }: NodeRecord, binding: NonNullable<NodeRecord["binding"]>): boolean {
  const { table } = turn.state;
  const subscriber = turn.state.subscriber(node);
  const { registration: had, remainingSeconds } = binding;
  if (subscriber === undefined || table.get(node) !== undefined) return false;
  const registration = entitled(turn, subscriber, had);
  if (registration === undefined) return false;
  const entry = table.open(subscriber);
  table.transition(entry, "restore");
  const path = pathFor(turn, entry, registration, []);
  const expiresAt = remainingSeconds === undefined ? undefined : after(turn.now, seconds(remainingSeconds));
  entry.established = { registration, path, expiresAt };
  table.schedule(entry);
  turn.effects.push({ kind: "data-path", path });
  notify(turn, "binding.accepted", { node, homeAddress: registration.homeAddress }, { reason: "restored" });
  return true;
}

/** What the node may have of it again, lent to it anew; undefined: its home address is somebody else's by now, or its tunnel would end here. */
function entitled(
  { state: { ownership, site, table } }: Turn,
  subscriber: HomeSubscriber,
  had: Registration,
): Registration | undefined {
  const { node } = subscriber;
  const { address } = had.end;
  if (isOurs(site, address) || ownership.nodeAt(address) !== undefined) return undefined;
  if (!ownership.ipv4.canRestore(node, had.homeAddress)) return undefined;
  ownership.ipv4.lease(node, had.homeAddress);
  const own = subscriber.prefixes ?? [];
  const prefixes = had.prefixes.filter(
    ({ prefix }) =>
      own.some((one) => one.address === prefix.address && one.length === prefix.length) ||
      (subscriber.borrowsPrefixes === true &&
        ownership.lent.restore(node, prefix, { delegated: subscriber.linkLocal ?? false })),
  );
  const holder = had.linkLocalAddress === undefined ? undefined : table.linkLocalHolder(had.linkLocalAddress);
  const isFree = holder === undefined || holder === node;
  const linkLocalAddress = subscriber.linkLocal === true && isFree ? had.linkLocalAddress : undefined;
  return { ...had, prefixes, linkLocalAddress };
}

/**
 * The node was refused what the disk did not take: the binding is again the one that was told before, or none. What a request after this one
 * has made stands, until the disk has refused that too. Of a de-registration nothing is taken back, since the node is at home.
 */
export function takeBack(turn: Turn, entry: BindingEntry, identification: Identification): void {
  const { replaced, established, pending } = entry;
  const refused = replaced.find(({ by }) => sameIdentification(by, identification));
  if (established === undefined || refused === undefined || entry.state === "removing") return;
  const next = replaced[replaced.indexOf(refused) + 1];
  entry.replaced = replaced
    .filter((one) => one !== refused)
    .map((one) => (one === next ? { ...one, before: refused.before } : one));
  if (next !== undefined) return;
  const previous = refused.before;
  const isOver = previous?.expiresAt !== undefined && previous.expiresAt <= turn.now;
  const registration =
    previous === undefined || isOver ? undefined : entitled(turn, entry.subscriber, previous.registration);
  const reason = "the journal cannot be written";
  if (previous === undefined || registration === undefined) {
    endBinding(turn, entry, "binding.failed", reason);
    return;
  }
  const { homeAddress } = registration;
  const had = established.registration.homeAddress;
  if (pending === undefined) putPath(turn, entry, { ...previous, registration });
  else entry.established = { ...previous, registration };
  journal(turn, entry.node);
  if (had !== homeAddress)
    turn.effects.push(
      { kind: "announce", address: had, holder: "mobile-node" },
      { kind: "announce", address: homeAddress, holder: "home-agent" },
    );
  releaseUnused(turn, entry.node, entry);
  notify(turn, "binding.failed", { node: entry.node, homeAddress }, { reason });
  turn.state.table.schedule(entry);
}
