/** Endpoints compared, for plans: the protocol's own function is no type and may not be imported here. */
import type { Endpoint } from "../protocol/inputs.js";

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  if (a.format !== b.format || a.address !== b.address) return false;
  return a.format !== "udp" || (b.format === "udp" && a.port === b.port);
}
