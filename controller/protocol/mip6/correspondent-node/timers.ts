/** Timers and limits of a correspondent node that return routability itself does not have. */
import { seconds } from "../../../base/time.js";
import type { LimitEntry, TimerEntry } from "../timers.js";

export const TIMERS = {
  /** Wait for the kernel before an update is refused with status 130: see `dataPath` of ../timers.ts. */
  dataPath: { name: "data path timeout", default: seconds(3), unit: "seconds", source: "dsmipd" },
} as const satisfies Readonly<Record<string, TimerEntry>>;

export const LIMITS = {
  /** Home and care-of tests that are answered, and refusals of updates that nobody vouches for; twice as many at once. */
  testRate: { name: "test rate", default: 2000, unit: "per second", source: "RFC 6275 §15.4.5" },
  /** Events of refused updates; those who have proved themselves may play theirs back as often as they like. Five times as many at once. */
  refusalEvents: { name: "events of refusals", default: 10, unit: "per second", source: "dsmipd" },
  /** Former care-of addresses of one node that are remembered. */
  formerAddresses: { name: "former care-of addresses", default: 4, unit: "entries", source: "dsmipd" },
  /** Nodes whose sequence number is known, with a binding and without, as a multiple of the bindings that there may be. */
  remembered: { name: "remembered sequence numbers", default: 2, unit: "entries", source: "dsmipd" },
  deadlinesPerStep: { name: "deadlines per step", default: 1000, unit: "entries", source: "dsmipd" },
} as const satisfies Readonly<Record<string, LimitEntry>>;

/** Keepalives that a node behind a NAT is asked for (NATKATIMEOUT, RFC 5555 §9). */
export const NATKATIMEOUT_SECONDS = 110;
