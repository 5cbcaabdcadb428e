/** From which addresses a node asks for its home agent, and where it may be visiting. */
import { networkInterfaces } from "node:os";
import { ownPrefixes } from "../../../../schemas/config/common.js";
import type { MobileNodeConfig } from "../../../../schemas/config/mobile-node.js";
import { type Family, familyOf, type IpAddress, isRoutableUnicast, parseIp, prefixContains } from "../../../base/ip.js";
import { OWNERSHIP } from "../../../plan/objects/objects.js";

/** What of the machine tells its addresses. */
type Addresses = typeof networkInterfaces;

/**
 * Addresses that may be a visited network's: on links by which the node may attach, in their order; no home address, none on a device of
 * ours and none of the networks behind us.
 */
export function visitedAddresses(
  family: Family,
  {
    homeAddress,
    ipv4HomeAddress,
    interfaces,
    prefixes,
  }: Pick<MobileNodeConfig["mobileNode"], "homeAddress" | "ipv4HomeAddress" | "interfaces" | "prefixes">,
  addresses: Addresses = networkInterfaces,
): readonly IpAddress[] {
  const all = addresses();
  const devices = interfaces ?? Object.keys(all).filter((device) => !device.startsWith(OWNERSHIP.linkPrefix));
  return devices.flatMap((device) =>
    (all[device] ?? []).flatMap(({ address }) => {
      const found = parseIp(address);
      if (found === undefined || familyOf(found) !== family || !isRoutableUnicast(found)) return [];
      if (found === homeAddress || found === ipv4HomeAddress) return [];
      return ownPrefixes(prefixes).some((own) => prefixContains(own, found)) ? [] : [found];
    }),
  );
}
