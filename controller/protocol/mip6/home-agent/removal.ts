/** The ends of a binding: by the node, by its lifetime, by an operator (RFC 6275 §10.3.2, §9.5.2; RFC 5555 §4.4.2.1). */
import { isIpv6 } from "../../../base/ip.js";
import type { Seq16 } from "../../../base/seq16.js";
import { after } from "../../../base/time.js";
import { BindingStatus } from "../../../wire/mip6/registry.js";
import type { ProgrammedInput, ProtocolEvent } from "../inputs.js";
import { TIMERS } from "../timers.js";
import type { BindingEntry, Established } from "./binding-cache.js";
import { dropPath, pathFor } from "./data-path.js";
import { decideIpv4 } from "./ipv4-home-address.js";
import { answer, entitled, journal, notify, refuse, releaseUnused, type Turn } from "./turn.js";
import type { UpdateRequest } from "./update.js";

/**
 * The node is done, or at home: every home address of it is let go, whatever the update says about them. The answer waits for the
 * kernel where the kernel has something. A repetition is answered again.
 */
export function deregister(turn: Turn, request: UpdateRequest, entry: BindingEntry): void {
  const { cache, ipv4, site } = turn.state;
  const { homeAddress } = entry;
  const bound = entry.established?.registration.ipv4HomeAddress;
  const boundPrefixes = entry.established?.registration.prefixes ?? [];
  const { acknowledgements } = decideIpv4(request.reply.ipv4Options, {
    ...{ homeAddress, bound, addresses: ipv4, careOf: [], homePrefixes: site.homePrefixes, mayAllocate: false },
    ...{ prefixes: boundPrefixes, boundPrefixes },
  });
  const { reply } = request;
  const inKernel = entry.established !== undefined || entry.pending?.path !== undefined;
  entry.sequence = request.message.sequence;
  entry.pending = undefined;
  cache.transition(entry, "deregister");
  if (entry.state === "removing") {
    const deadline = after(turn.now, TIMERS.dataPath.default);
    if (inKernel) dropPath(turn, entry);
    endBinding(entry);
    remember(turn, entry);
    const revision = entry.removal?.revision ?? entry.revision;
    entry.removal = { reply, acknowledgements, revision, deadline: entry.removal?.deadline ?? deadline };
  } else {
    remember(turn, entry);
    releaseUnused(turn, entry);
    answer(turn, reply, { status: BindingStatus.accepted, acknowledgements });
  }
  cache.schedule(entry);
}

/** The kernel has let go, or did not say so in time: either way the binding is over, and the node is told. */
export function finishRemoval(turn: Turn, entry: BindingEntry, failure?: string): void {
  const { removal } = entry;
  if (removal === undefined) return;
  turn.state.cache.transition(entry, "removed");
  entry.removal = undefined;
  entry.rememberedUntil = after(turn.now, TIMERS.deletedBinding.default);
  releaseUnused(turn, entry);
  answer(turn, removal.reply, { status: BindingStatus.accepted, acknowledgements: removal.acknowledgements });
  if (failure !== undefined) notify(turn, "binding.failed", entry, { reason: failure, revision: removal.revision });
  notify(turn, "binding.removed", entry, { reason: "deregistration", sequence: removal.reply.sequence });
  turn.state.cache.schedule(entry);
}

/** The kernel's answer to a removal; false if the answer is about something else. */
export function removalProgrammed(turn: Turn, input: ProgrammedInput): boolean {
  const entry = turn.state.cache.get(input.homeAddress);
  if (entry?.state !== "removing" || entry.removal?.revision !== input.revision) return false;
  finishRemoval(turn, entry, input.failure);
  return true;
}

/** The lifetime is over. */
export function expire(turn: Turn, entry: BindingEntry): void {
  turn.state.cache.transition(entry, "expire");
  end(turn, entry, "binding.expired", {});
}

/** A binding of an earlier life that cannot be one any more. The kernel may have objects of it. */
export function giveUpRestored(turn: Turn, entry: BindingEntry, reason: string): void {
  turn.state.cache.transition(entry, "revoke");
  end(turn, entry, "binding.failed", { reason });
}

/**
 * An operator has ended the binding, and `detail` says what the node had to say to that; an update on its way is refused with status 129.
 */
export function revoke(turn: Turn, entry: BindingEntry, detail: ProtocolEvent["detail"] = {}): void {
  const { pending } = entry;
  turn.state.cache.transition(entry, "revoke");
  end(turn, entry, "binding.removed", { reason: "operator", ...detail });
  if (pending !== undefined) {
    refuse(turn, pending.reply, BindingStatus.administrativelyProhibited, "ended by an operator");
  }
}

/** The same for the IPv4 home address, and the IPv4 networks of a mobile router: what is of IPv6 stays (RFC 5555 §4.4.2.1). */
export function revokeIpv4(
  turn: Turn,
  entry: BindingEntry,
  established: Established,
  detail: ProtocolEvent["detail"],
): void {
  turn.state.cache.transition(entry, "narrow");
  const { ipv4HomeAddress, ...kept } = established.registration;
  const prefixes = kept.prefixes.filter(({ address }) => isIpv6(address));
  const registration = { ...kept, ipv4HomeAddress: undefined, prefixes };
  const former = entry.former.map(({ endpoint }) => endpoint);
  const path = pathFor(turn, entry, registration, former);
  entry.established = { ...established, registration, path };
  turn.effects.push({ kind: "data-path", path });
  journal(turn, entry);
  releaseUnused(turn, entry);
  const had = ipv4HomeAddress === undefined ? {} : { ipv4HomeAddress };
  notify(turn, "binding.removed", entry, { reason: "operator", part: "IPv4", ...had, ...detail });
  turn.state.cache.schedule(entry);
}

/**
 * The node was refused what the disk did not take: the binding is again the one that was told before, or none. What an update after this one
 * has made stands, until the disk has refused that too. Of a de-registration nothing is taken back, since the node is at home; it goes on asking.
 */
export function takeBack(turn: Turn, entry: BindingEntry, sequence: Seq16): void {
  const { replaced, established, pending } = entry;
  const refused = replaced.find(({ by }) => by === sequence);
  if (established === undefined || refused === undefined) return;
  const others = replaced.filter((one) => one !== refused);
  const next = replaced[replaced.indexOf(refused) + 1];
  entry.replaced = others.map((one) => (one === next ? { ...one, before: refused.before } : one));
  if (next !== undefined) return;
  const previous = refused.before;
  const reason = "the journal cannot be written";
  if (previous === undefined || previous.expiresAt <= turn.now) {
    turn.state.cache.transition(entry, "revoke");
    end(turn, entry, "binding.failed", { reason });
    if (pending !== undefined) refuse(turn, pending.reply, BindingStatus.insufficientResources, reason);
    return;
  }
  const former = entry.former.map(({ endpoint }) => endpoint);
  // What was lent to it then may be somebody else's by now.
  const registration = entitled(turn, entry.subscriber, previous.registration);
  if (pending?.path === undefined) {
    const path = pathFor(turn, entry, registration, former);
    entry.established = { ...previous, registration, path };
    turn.effects.push({ kind: "data-path", path });
  } else {
    entry.established = { ...previous, registration };
  }
  journal(turn, entry);
  releaseUnused(turn, entry);
  notify(turn, "binding.failed", entry, { reason });
  turn.state.cache.schedule(entry);
}

function end(turn: Turn, entry: BindingEntry, event: ProtocolEvent["event"], detail: ProtocolEvent["detail"]): void {
  const inKernel = entry.established !== undefined || entry.pending?.path !== undefined;
  if (inKernel) dropPath(turn, entry);
  endBinding(entry);
  remember(turn, entry);
  releaseUnused(turn, entry);
  notify(turn, event, entry, { ...detail, sequence: entry.sequence });
  turn.state.cache.schedule(entry);
}

/** A binding that is over leaves the cache and the journal: its sequence number need not be known any more. */
export function forget(turn: Turn, entry: BindingEntry): void {
  turn.state.cache.transition(entry, "forget");
  turn.effects.push({ kind: "journal", key: entry.homeAddress, record: null });
}

/** What ends leaves nothing behind that a later registration could take over. */
function endBinding(entry: BindingEntry): void {
  entry.pending = undefined;
  entry.established = undefined;
  entry.replaced = [];
  entry.former = [];
  entry.notice = undefined;
  entry.askAt = undefined;
}

/** Keeps the sequence number, and nothing else, for MAX_DELETE_BCE_TIMEOUT (RFC 6275 §10.3.2). */
function remember(turn: Turn, entry: BindingEntry): void {
  entry.rememberedUntil = after(turn.now, TIMERS.deletedBinding.default);
  journal(turn, entry);
}
