/**
 * The life of one binding at the home agent. Theory of operation:
 *
 * A binding update that passes all checks does not bind anything yet. A first one waits for duplicate address detection
 * (awaiting-dad), then for the kernel (awaiting-data-path); only what the kernel has made is acknowledged (established). A later one
 * that changes the data path waits beside the binding that still works (updating), so that a refusal costs nothing. A binding that
 * ends by the node's own wish waits until the kernel has let go (removing), because the node's packets must not be caught by us when
 * it reads the acknowledgement. What is over stays known for a while (invalidated), so that an update delayed in the network, or
 * played back, is seen to be old.
 *
 * This table is the whole of it: an event that a state does not list can't happen there, and is a bug if it does.
 */
import { InvariantError } from "../../../base/errors.js";

export type BindingState =
  /** No entry. */
  "absent" | "awaiting-dad" | "awaiting-data-path" | "established" | "updating" | "removing" | "invalidated";

export type BindingEvent =
  /** A first registration was accepted and the address is to be probed. */
  | "probe"
  /** A registration was accepted and the kernel is asked for a data path. */
  | "program"
  /** An accepted registration whose data path is the one there is, or the one that is being made. */
  | "refresh"
  | "programmed"
  /** The kernel, the probe or the operator said no, or nobody answered. */
  | "refused"
  | "deregister"
  /** The data path is gone, or nobody told in time. */
  | "removed"
  /** A former endpoint's grace time is over. */
  | "narrow"
  | "expire"
  /** An operator ends it. */
  | "revoke"
  | "forget"
  /** From the journal. */
  | "restore"
  | "restore-invalidated";

export const BINDING_STATES = {
  absent: {
    probe: "awaiting-dad",
    program: "awaiting-data-path",
    restore: "established",
    "restore-invalidated": "invalidated",
  },
  "awaiting-dad": {
    refresh: "awaiting-dad",
    program: "awaiting-data-path",
    refused: "invalidated",
    deregister: "invalidated",
    revoke: "invalidated",
  },
  "awaiting-data-path": {
    refresh: "awaiting-data-path",
    program: "awaiting-data-path",
    programmed: "established",
    refused: "invalidated",
    deregister: "removing",
    revoke: "invalidated",
  },
  established: {
    refresh: "established",
    program: "updating",
    narrow: "established",
    deregister: "removing",
    expire: "invalidated",
    revoke: "invalidated",
  },
  updating: {
    refresh: "updating",
    program: "updating",
    programmed: "established",
    refused: "established",
    deregister: "removing",
    revoke: "invalidated",
  },
  removing: {
    probe: "awaiting-dad",
    program: "awaiting-data-path",
    deregister: "removing",
    removed: "invalidated",
  },
  invalidated: {
    probe: "awaiting-dad",
    program: "awaiting-data-path",
    deregister: "invalidated",
    forget: "absent",
  },
} as const satisfies { readonly [S in BindingState]: { readonly [E in BindingEvent]?: BindingState } };

/** The state after `event`; throws InvariantError if the table has no such event in this state. */
export function nextBindingState(state: BindingState, event: BindingEvent): BindingState {
  const events: { readonly [E in BindingEvent]?: BindingState } = BINDING_STATES[state];
  const next = events[event];
  if (next === undefined) throw new InvariantError(`a binding that is ${state} has no event ${event}`);
  return next;
}

/** Whether the node counts as registered, or is about to be: not what is over or about to be over. */
export function isBound(state: BindingState): boolean {
  return state !== "absent" && state !== "removing" && state !== "invalidated";
}

/** Whether an accepted update waits for somebody's answer. */
export function isWaiting(state: BindingState): boolean {
  return state === "awaiting-dad" || state === "awaiting-data-path" || state === "updating" || state === "removing";
}
