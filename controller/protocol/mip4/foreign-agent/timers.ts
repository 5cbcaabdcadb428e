/** Every timer and limit of a foreign agent: default, unit, and where it comes from. */
import { seconds } from "../../../base/time.js";

export const TIMERS = {
  /** A request that the home agent has not answered is given up then, with code 78 (RFC 5944 §3.7.1). */
  pendingRequest: seconds(7),
  /** Wait for the kernel before a visitor is refused with code 66 (dsmipd). */
  dataPath: seconds(3),
  /** Between two denials to one node (RFC 5944 §3.7.2, RFC 3024 §4.2.1). */
  denialSpacing: seconds(1),
} as const;

export const LIMITS = {
  /** Requests that wait for their home agents, in all and of one link-layer address (dsmipd). */
  pending: 1024,
  pendingOfOne: 5,
  /** Link-layer addresses of which the last denial is remembered (dsmipd). */
  denied: 4096,
  /** Challenges that are accepted after they were advertised (RFC 4721 §9). */
  challengeWindow: 2,
  challengeOctets: 16,
  /** Visitors that one timer input ends, so that a mass expiry does not hold up the event loop (dsmipd). */
  deadlinesPerStep: 1000,
} as const;
