/**
 * Which SPIs a subscriber's updates may bear, for the firewall: what names none of them is not worth the process's time (RFC 5555 §5.1: over
 * IPv4 the process has every update in hand before the kernel has checked it).
 */
import type { Ipv6Address } from "../../base/ip.js";
import type { NftElement, NftSet } from "../objects/firewall.js";
import type { HomeAgentPlanSite } from "../site.js";

/** Inner source and SPI. */
export const SIGNALLING_KEYS = {
  name: "signalling-keys",
  key: ["ipv6_addr", "integer"],
  integerLength: 4,
} as const satisfies NftSet;

/** One for each association that updates may come under; none where no update comes over UDP. */
export function signallingKeys(
  homeAddress: Ipv6Address,
  spis: readonly number[],
  { addresses }: HomeAgentPlanSite,
): readonly NftElement[] {
  if (addresses.ipv4 === undefined) return [];
  return spis.map((spi) => ({ kind: "nft-element", set: SIGNALLING_KEYS.name, key: [homeAddress, spi] }));
}
