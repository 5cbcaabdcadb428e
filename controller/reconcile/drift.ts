/** What became of the kernel's objects behind the ledger's back, as announced: whom it hurts, and what is lost for good. */
import { objectsEqual } from "../plan/objects/equal.js";
import { type KernelObject, objectKey } from "../plan/objects/objects.js";
import { isIrreplaceable } from "../plan/security/succession.js";
import type { KernelChange } from "./kernel-port.js";
import type { Damage, Ledger, Loss } from "./ledger.js";

export interface Drift extends Damage {
  /** For the log: what was done to which object of whom. */
  readonly told: string[];
  readonly hurt: Set<string>;
  readonly lost: Loss[];
  /** Made by somebody else under our marks: nobody knows where their numbers are. */
  readonly changelings: KernelObject[];
  /** Keys of what somebody else has made or taken away under our marks, and that nobody here wants. */
  readonly foreign: { readonly appeared: string[]; readonly vanished: string[] };
  /** Only a full dump tells the truth, because of this. */
  stale: string | undefined;
}

/** Brings the ledger up to what was announced; only the last word on each object counts, but what has vanished once is lost. */
export function takeIn(changes: readonly (KernelChange | "resync")[], ledger: Ledger): Drift {
  const drift: Drift = {
    told: [],
    hurt: new Set(),
    lost: [],
    changelings: [],
    foreign: { appeared: [], vanished: [] },
    stale: undefined,
  };
  const last = new Map<string, KernelChange>();
  const vanished = new Set<string>();
  for (const change of changes) {
    if (change === "resync") {
      drift.stale = "notifications were lost";
      continue;
    }
    const key = objectKey(change.object);
    if (isIrreplaceable(change.object)) {
      // We may have removed and made it again ourselves: of that only half may have been announced yet.
      if (change.own === true) continue;
      if (change.verb === "removed") vanished.add(key);
    }
    last.set(key, change);
  }
  for (const [key, change] of last) {
    if (vanished.has(key)) takeLoss(key, ledger, drift);
    takeOne(key, change, ledger, drift);
  }
  return drift;
}

function takeOne(key: string, { verb, object, own }: KernelChange, ledger: Ledger, drift: Drift): void {
  // The outcome has been told and is in the ledger: what we took back because its group failed, for one, is nobody's fault.
  if (own === true) return;
  const believed = ledger.believed(key);
  if (believed === undefined) return takeUnknown(key, { verb, object }, ledger, drift);
  if (verb === "removed" && ledger.isMissing(key)) return;
  if (verb === "changed" && objectsEqual(believed, object)) return ledger.note(object);
  const owners = ledger.owners(key);
  if (owners.size === 0) {
    if (verb === "removed") ledger.forget(key);
    return;
  }
  const what = `${key} of ${[...owners].join(", ")} was ${verb}`;
  drift.told.push(verb === "removed" ? `${what}${consequenceFor(believed)}` : what);
  // With a device goes everything on it, and with a qdisc its filters, mostly without a word.
  if (object.kind === "link" || object.kind === "qdisc") drift.stale ??= what;
  if (verb === "removed") ledger.forget(key);
  else ledger.note(object);
  for (const owner of owners) drift.hurt.add(owner);
}

function takeUnknown(key: string, { verb, object }: KernelChange, ledger: Ledger, drift: Drift): void {
  if (isIrreplaceable(object)) {
    if (verb === "removed") return;
    ledger.note(object);
    drift.changelings.push(object);
  } else if (verb === "removed") drift.foreign.vanished.push(key);
  else if (tellsItsMaker(object)) drift.foreign.appeared.push(key);
}

/** The kernel does not say of links and IPv6 addresses who has made them: of one that we have just removed only the creation may have been read yet. */
function tellsItsMaker(object: KernelObject): boolean {
  return object.kind === "route" || object.kind === "rule";
}

function takeLoss(key: string, ledger: Ledger, drift: Drift): void {
  const object = ledger.believed(key);
  if (object === undefined) return;
  const groups = ledger.lose(key);
  if (groups.length > 0) drift.lost.push({ object, groups });
}

/** Static keys, which nobody can renew, are put back; their numbers begin anew (RFC 4303 §5: replay protection takes negotiated keys). */
function consequenceFor(object: KernelObject): string {
  if (object.kind !== "xfrm-state" || object.transform.type !== "esp") return "";
  // Without a window no number matters here, and the sequence numbers of Mobile IPv6 refuse old messages (RFC 6275 §15.3).
  if (object.transform.replayWindow === 0) return "";
  return (
    `: static keys are put back with their sequence numbers at 0, so of what goes from ${object.source} to ${object.destination} ` +
    "new messages may be dropped as replays and old ones taken once more; security.method ikev2 renews the keys instead"
  );
}
