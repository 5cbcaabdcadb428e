/** How a binding ends: by the node's wish (RFC 5944 §3.8.2.2), by the end of its time, or by an operator. */
import { after } from "../../../base/time.js";
import { ReplyCode } from "../../../wire/mip4/registry.js";
import type { NotifyEffect } from "../inputs.js";
import { TIMERS } from "../timers.js";
import type { BindingEntry } from "./binding-table.js";
import { dropPath, giveBack } from "./registration.js";
import type { Answer } from "./reply.js";
import type { ReadRequest, Sender } from "./request.js";
import { answer, journal, notify, refuse, releaseUnused, type Turn } from "./turn.js";

const ACCEPTED = ReplyCode.acceptedNoSimultaneousBindings;

/**
 * All care-of addresses of the node, where the request names its home address, or one; one that is not bound is gone already, and what is
 * bound stays (RFC 5944 §3.8.2.2). The answer leaves when the kernel has let go, so that nothing of ours catches the packets of a node at
 * home.
 */
export function deregister(turn: Turn, read: ReadRequest, { subscriber }: Sender, to: Answer): void {
  const { table, ownership } = turn.state;
  const { careOfAddress, homeAddress } = read.input.request;
  const entry = table.get(subscriber.node);
  const bound = ownership.ipv4.addressOf(subscriber.node) ?? homeAddress;
  const all = careOfAddress === homeAddress || careOfAddress === bound;
  const named = [entry?.established, entry?.pending].some((one) => one?.registration.careOfAddress === careOfAddress);
  if (entry === undefined || (entry.state !== "removing" && !all && !named)) {
    answer(turn, to, { code: ACCEPTED, lifetimeSeconds: 0, homeAddress: bound });
    return;
  }
  if (entry.pending !== undefined) refuse(turn, entry.pending.answer, ReplyCode.unspecified, "de-registered meanwhile");
  entry.pending = undefined;
  if (entry.state !== "removing") dropPath(turn, entry, entry.established?.path);
  table.transition(entry, "deregister");
  entry.removal = { answer: to, deadline: after(turn.now, TIMERS.dataPath) };
  table.schedule(entry);
}

/** The kernel has let go, or has not said so in time. */
export function finishRemoval(turn: Turn, entry: BindingEntry): void {
  const { removal, established } = entry;
  const homeAddress = established?.registration.homeAddress ?? removal?.answer.input.request.homeAddress;
  turn.state.table.transition(entry, "removed");
  end(turn, entry, "binding.removed", { reason: "de-registered" });
  if (removal !== undefined) answer(turn, removal.answer, { code: ACCEPTED, lifetimeSeconds: 0, homeAddress });
}

/** At once; the node is told nothing (RFC 5944 §3.8: no replies but to requests). A request on its way is refused. */
export function endBinding(
  turn: Turn,
  entry: BindingEntry,
  event: "binding.expired" | "binding.removed" | "binding.failed",
  reason: string,
  servedOn = false,
): void {
  const { pending } = entry;
  entry.pending = undefined;
  turn.state.table.transition(entry, "end");
  dropPath(turn, entry);
  const code = event === "binding.failed" ? ReplyCode.insufficientResources : ReplyCode.administrativelyProhibited;
  if (pending !== undefined) refuse(turn, pending.answer, code, reason);
  end(turn, entry, event, { reason }, servedOn);
}

function end(
  turn: Turn,
  entry: BindingEntry,
  event: NotifyEffect["event"]["event"],
  detail: NotifyEffect["event"]["detail"],
  servedOn = false,
): void {
  const homeAddress = entry.established?.registration.homeAddress;
  releaseUnused(turn, entry.node, undefined);
  journal(turn, entry.node);
  if (homeAddress !== undefined && !servedOn) giveBack(turn, homeAddress);
  notify(turn, event, { node: entry.node, homeAddress }, detail);
}
