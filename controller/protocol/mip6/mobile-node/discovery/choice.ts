/** Which home agent comes after one that has fallen silent (RFC 5026 §5.1). */
import type { Instant } from "../../../../base/time.js";
import type { HomeAgentCandidate } from "./candidates.js";

/**
 * The best one that has not failed, else the one that failed the longest ago. Undefined: there is no other than the present one.
 * `failedAt`: when it was last given up.
 */
export function nextCandidate(
  candidates: readonly HomeAgentCandidate[],
  present: HomeAgentCandidate,
  failedAt: (candidate: HomeAgentCandidate) => Instant | undefined,
): HomeAgentCandidate | undefined {
  const others = candidates.filter(({ ipv6 }) => ipv6 !== present.ipv6);
  const fresh = others.find((one) => failedAt(one) === undefined);
  if (fresh !== undefined) return fresh;
  return [...others].sort((a, b) => (failedAt(a) ?? 0) - (failedAt(b) ?? 0))[0];
}
