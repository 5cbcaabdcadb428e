/**
 * The life of one binding. Theory of operation: a request that passes all checks binds nothing yet; only what the kernel has made is
 * answered (awaiting-data-path, then established). A later one that changes the data path waits beside the binding that still works
 * (updating), so that a refusal costs nothing. A binding that ends by the node's own wish waits until the kernel has let go (removing).
 * What protects against replays outlives them all and stands elsewhere.
 *
 * This table is the whole of it: an event that a state does not list can't happen there, and is a bug if it does.
 */
import { InvariantError } from "../../../base/errors.js";

export type BindingState = "absent" | "awaiting-data-path" | "established" | "updating" | "removing";

export type BindingEvent =
  /** A request was accepted and the kernel is asked for a data path. */
  | "program"
  /** An accepted request whose data path is the one there is, or the one that is being made. */
  | "refresh"
  | "programmed"
  /** The kernel said no, or nothing in time. */
  | "refused"
  /** A former end's grace time is over. */
  | "narrow"
  | "deregister"
  /** The data path is gone, or nobody told in time. */
  | "removed"
  /** Its time is over, or an operator's patience. */
  | "end"
  /** From the journal. */
  | "restore";

export const BINDING_STATES = {
  absent: { program: "awaiting-data-path", restore: "established" },
  "awaiting-data-path": {
    program: "awaiting-data-path",
    refresh: "awaiting-data-path",
    programmed: "established",
    refused: "absent",
    deregister: "removing",
    end: "absent",
  },
  established: {
    program: "updating",
    refresh: "established",
    narrow: "established",
    deregister: "removing",
    end: "absent",
  },
  updating: {
    program: "updating",
    refresh: "updating",
    programmed: "established",
    refused: "established",
    deregister: "removing",
    end: "absent",
  },
  removing: { program: "awaiting-data-path", deregister: "removing", removed: "absent", end: "absent" },
} as const satisfies { readonly [S in BindingState]: { readonly [E in BindingEvent]?: BindingState } };

/** The state after `event`; throws InvariantError if the table has no such event in this state. */
export function nextBindingState(state: BindingState, event: BindingEvent): BindingState {
  const events: { readonly [E in BindingEvent]?: BindingState } = BINDING_STATES[state];
  const next = events[event];
  if (next === undefined) throw new InvariantError(`a binding that is ${state} has no event ${event}`);
  return next;
}
