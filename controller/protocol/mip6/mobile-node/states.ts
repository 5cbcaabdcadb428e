/**
 * The phases of a mobile node and which input may lead from which phase to which: the whole of it, checked at every step. A transition
 * that is not here is a bug of the machine and ends in an InvariantError; an input that is not listed for a phase must not be given.
 */
import { InvariantError } from "../../../base/errors.js";
import type { MobileNodeInput } from "./inputs.js";

/**
 * detached       no attachment; payload has no way
 * preparing      a care-of address is chosen, the kernel is making its receiving path
 * registering    updates about a new care-of address are out
 * registered     bound, nothing outstanding
 * refreshing     bound, updates about the same care-of address are out
 * refused        the home agent said no; asked again later
 * returning      on the home link, the kernel is putting the home addresses there
 * deregistering  on the home link, updates with lifetime 0 are out
 * home           at home, not bound
 * stopping       updates with lifetime 0 are out, the last act
 * stopped        no input has any effect any more
 */
export const PHASES = [
  "detached",
  "preparing",
  "registering",
  "registered",
  "refreshing",
  "refused",
  "returning",
  "deregistering",
  "home",
  "stopping",
  "stopped",
] as const;
export type Phase = (typeof PHASES)[number];

/** Inputs that never lead anywhere are left out. */
type InputKind = Exclude<MobileNodeInput["kind"], "option-refused">;
type Row = { readonly [I in InputKind]?: readonly Phase[] };

/** Where a change of the network can lead. */
const MOVE = ["detached", "preparing", "returning"] as const satisfies readonly Phase[];
/**
 * The same from where the node talks about a care-of address: past "preparing" at once when the way in is there already, as on the way
 * back to the registered address while another one was being told.
 */
const MOVE_ON = [...MOVE, "registering", "refreshing"] as const satisfies readonly Phase[];
/** Where giving up an address that is not answered can lead. */
const OTHERWISE = ["preparing", "returning", "registering", "refreshing"] as const satisfies readonly Phase[];
/** What is forgotten about families on request changes the order of the attachments that are there. */
const ELSEWHERE = ["preparing", "returning"] as const satisfies readonly Phase[];
const AGAIN = [...ELSEWHERE, "registering", "refreshing"] as const satisfies readonly Phase[];
const STOP = ["stopping", "stopped"] as const satisfies readonly Phase[];

/** Staying in the phase is always allowed and not listed. */
export const TRANSITIONS: { readonly [P in Phase]: Row } = {
  detached: {
    restore: [],
    security: [],
    network: MOVE,
    message: [],
    programmed: [],
    timer: [],
    refresh: [],
    withdraw: [],
    stop: ["stopped"],
  },
  preparing: {
    security: ["registering", "refreshing", "returning"],
    network: MOVE,
    message: ["refused"],
    programmed: ["registering", "refreshing"],
    // Back to what is registered, whose way in is there.
    timer: ["returning", "refreshing"],
    refresh: ELSEWHERE,
    withdraw: [],
    stop: STOP,
  },
  registering: {
    security: [],
    network: MOVE_ON,
    message: ["registered", "refused"],
    programmed: [],
    timer: OTHERWISE,
    refresh: AGAIN,
    withdraw: ["refused"],
    stop: STOP,
  },
  registered: {
    security: ["refreshing", "registering"],
    network: MOVE_ON,
    message: ["refreshing", "refused"],
    programmed: [],
    timer: OTHERWISE,
    refresh: AGAIN,
    withdraw: ["refused"],
    stop: STOP,
  },
  refreshing: {
    security: [],
    network: MOVE_ON,
    message: ["registered", "refused"],
    programmed: [],
    timer: OTHERWISE,
    refresh: AGAIN,
    withdraw: ["refused"],
    stop: STOP,
  },
  refused: {
    security: ["registering", "refreshing"],
    network: MOVE_ON,
    message: [],
    programmed: [],
    timer: ["registering", "refreshing"],
    refresh: AGAIN,
    withdraw: [],
    stop: STOP,
  },
  returning: {
    security: ["deregistering", "home"],
    network: MOVE,
    message: [],
    programmed: ["deregistering", "home"],
    timer: [],
    refresh: ELSEWHERE,
    withdraw: [],
    stop: STOP,
  },
  deregistering: {
    security: [],
    network: MOVE,
    message: ["home"],
    programmed: [],
    timer: ["home"],
    refresh: ELSEWHERE,
    withdraw: [],
    stop: STOP,
  },
  home: {
    security: [],
    network: MOVE,
    message: [],
    programmed: [],
    timer: [],
    refresh: ELSEWHERE,
    withdraw: [],
    stop: ["stopped"],
  },
  stopping: {
    security: [],
    network: ["stopped"],
    message: ["stopped"],
    programmed: [],
    timer: ["stopped"],
    refresh: [],
    withdraw: [],
    stop: [],
  },
  stopped: { security: [], network: [], message: [], programmed: [], timer: [], refresh: [], withdraw: [], stop: [] },
};

/** Throws InvariantError unless the table has the transition. */
export function checkTransition(from: Phase, input: InputKind, to: Phase): void {
  const allowed = TRANSITIONS[from][input];
  if (allowed === undefined) throw new InvariantError(`input ${input} is not allowed in phase ${from}`);
  if (to !== from && !allowed.includes(to)) throw new InvariantError(`input ${input} leads from ${from} to ${to}`);
}
