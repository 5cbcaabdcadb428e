/** Correspondents that a mobile node knows by both of their addresses, checked against the rest of its configuration. */
import type { MobileNodeConfig } from "../../schemas/config/mobile-node.js";
import { isRoutableUnicast, prefixContains } from "../base/ip.js";

export function checkIpv4Correspondents(
  { homeAddress, ipv4HomeAddress, homeAgent, routeOptimisation }: MobileNodeConfig["mobileNode"],
  complain: (message: string) => never,
): void {
  const { ipv4, allow = [], deny = [] } = routeOptimisation ?? {};
  const taken = [homeAddress, ipv4HomeAddress, homeAgent.ipv6, homeAgent.ipv4];
  ipv4?.correspondents.forEach((ends, i, all) => {
    for (const family of ["ipv6", "ipv4"] as const) {
      const key = `mobileNode.routeOptimisation.ipv4.correspondents[${i}].${family}`;
      const address = ends[family];
      if (!isRoutableUnicast(address))
        complain(`${key} is ${address}, which nobody reaches from elsewhere; a unicast address is wanted`);
      if (taken.some((one) => one === address))
        complain(`${key} is ${address}, our own or the home agent's; an address of a correspondent is wanted`);
      const twin = all.findIndex((one) => one[family] === address);
      if (twin < i)
        complain(
          `${key} is ${address}, which correspondents[${twin}] has too; an address belongs to one correspondent`,
        );
    }
    const isAllowed = allow.some((one) => prefixContains(one, ends.ipv6));
    if (!isAllowed || deny.some((one) => prefixContains(one, ends.ipv6)))
      complain(
        `mobileNode.routeOptimisation.ipv4.correspondents[${i}].ipv6 is ${ends.ipv6}, which allow and deny keep from being a correspondent; change one of them`,
      );
  });
}
