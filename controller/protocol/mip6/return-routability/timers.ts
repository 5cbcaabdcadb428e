/** The numbers of return routability (RFC 6275 §12), which both of its ends keep to. */
import { seconds } from "../../../base/time.js";
import type { TimerEntry } from "../timers.js";

const timer = (name: string, value: number, source = "RFC 6275 §12"): TimerEntry => ({
  name,
  default: seconds(value),
  unit: "seconds",
  source,
});

export const RETURN_ROUTABILITY_TIMERS = {
  /** Mobile node: a token is not used for longer. */
  token: timer("MAX_TOKEN_LIFETIME", 210),
  /** Correspondent: a nonce is not accepted for longer after it was first used. */
  nonce: timer("MAX_NONCE_LIFETIME", 240),
  /** Correspondent: then the next nonce takes over. */
  nonceRenewal: timer("time until a new nonce", 30, "RFC 6275 §5.2.7"),
  /** A binding that return routability has authorised. */
  binding: timer("MAX_RR_BINDING_LIFETIME", 420),
} as const;

/** Failed attempts, after which packets go through the home agent for a while (MAX_RO_FAILURE, RFC 6275 §5.2.9). */
export const MAX_RO_FAILURE = 3;
