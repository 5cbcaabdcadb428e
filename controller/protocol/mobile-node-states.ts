/**
 * The phases of a mobile node and which input may lead from which phase to which: the whole of it, checked at every step. A transition
 * that is not here is a bug of the machine and ends in an InvariantError; an input that is not listed for a phase must not be given.
 */
import { InvariantError } from "../base/errors.js";
import type { MobileNodeInput } from "./mobile-node-model.js";

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

type InputKind = MobileNodeInput["kind"];
type Row = { readonly [I in InputKind]?: readonly Phase[] };

/** Where a choice among attachments can lead; past "preparing" and "returning" at once when the data path is there already. */
const CHOICE = [
  "detached",
  "preparing",
  "registering",
  "refreshing",
  "returning",
  "deregistering",
  "home",
] as const satisfies readonly Phase[];
const STOP = ["stopping", "stopped"] as const satisfies readonly Phase[];

/** Staying in the phase is always allowed and not listed. */
export const TRANSITIONS: { readonly [P in Phase]: Row } = {
  detached: { restore: [], network: CHOICE, message: [], programmed: [], timer: [], refresh: CHOICE, stop: STOP },
  preparing: {
    network: CHOICE,
    message: [],
    programmed: ["registering", "refreshing"],
    timer: [],
    refresh: CHOICE,
    stop: STOP,
  },
  registering: {
    network: CHOICE,
    message: ["registered", "refused"],
    programmed: [],
    timer: ["preparing", "refreshing"],
    refresh: CHOICE,
    stop: STOP,
  },
  registered: {
    network: CHOICE,
    message: ["refreshing"],
    programmed: [],
    timer: ["refreshing", "registering"],
    refresh: CHOICE,
    stop: STOP,
  },
  refreshing: {
    network: CHOICE,
    message: ["registered", "refused"],
    programmed: [],
    timer: ["registering", "preparing"],
    refresh: CHOICE,
    stop: STOP,
  },
  refused: {
    network: CHOICE,
    message: [],
    programmed: [],
    timer: ["registering", "refreshing"],
    refresh: CHOICE,
    stop: STOP,
  },
  returning: {
    network: CHOICE,
    message: [],
    programmed: ["deregistering", "home"],
    timer: [],
    refresh: CHOICE,
    stop: STOP,
  },
  deregistering: {
    network: CHOICE,
    message: ["home"],
    programmed: [],
    timer: ["home"],
    refresh: CHOICE,
    stop: STOP,
  },
  home: { network: CHOICE, message: [], programmed: [], timer: [], refresh: [], stop: STOP },
  stopping: { network: ["stopped"], message: ["stopped"], programmed: [], timer: ["stopped"], refresh: [], stop: [] },
  stopped: { network: [], message: [], programmed: [], timer: [], refresh: [], stop: [] },
};

/** Throws InvariantError unless the table has the transition. */
export function checkTransition(from: Phase, input: InputKind, to: Phase): void {
  const allowed = TRANSITIONS[from][input];
  if (allowed === undefined) throw new InvariantError(`input ${input} is not allowed in phase ${from}`);
  if (to !== from && !allowed.includes(to)) throw new InvariantError(`input ${input} leads from ${from} to ${to}`);
}
