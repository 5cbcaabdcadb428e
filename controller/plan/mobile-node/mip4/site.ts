/**
 * What the kernel of a mobile node of Mobile IPv4 always holds, wherever it is. As for Mobile IPv6 the home addresses live on a device of
 * their own, and rules lead what has them as source into a table of ours (mobile-node/plan.ts).
 */
import { hostPrefix, isIpv4, type Prefix, prefixContains } from "../../../base/ip.js";
import { GUE_PORT } from "../../mip4/tunnel-data.js";
import type { Rule } from "../../objects/forwarding.js";
import type { KernelObject } from "../../objects/objects.js";
import { DEVICE, HOME_TABLE, RULE_PRIORITY } from "../../site.js";
import { homeAddress, ipv4Objects } from "../addresses.js";
import { networkObjects } from "../network.js";
import { mip4NodeFirewall } from "./firewall.js";
import type { Mip4NodePlanSite } from "./given.js";

export function planMip4NodeSite(site: Mip4NodePlanSite): readonly KernelObject[] {
  const { homeAddress: home, egressDevices } = site;
  return [
    // Of any address: care-of addresses come and go. Rules let nothing else in.
    { kind: "fou-port", family: 4, port: GUE_PORT, encapsulation: "gue" },
    { kind: "link", name: DEVICE.homeAddresses, mtu: 1500, up: true, link: { type: "dummy" } },
    ...(home === undefined ? [] : ipv4Objects(home)),
    ...ipv6Home(site),
    ...networkObjects({ prefixes: networksOf(site), egressDevices }),
    mip4NodeFirewall(site),
  ];
}

/** A node that has registered nothing but its own address is no router. */
function networksOf({ prefixes, ipv6HomeAddress }: Mip4NodePlanSite): readonly Prefix[] {
  return prefixes.filter(({ address, length }) => !(length === 128 && address === ipv6HomeAddress));
}

/** Chosen as source where nothing else is said, and led into our table. */
function ipv6Home({ ipv6HomeAddress: address, prefixes }: Mip4NodePlanSite): readonly KernelObject[] {
  const registered = prefixes.some((prefix) => !isIpv4(prefix.address) && address && prefixContains(prefix, address));
  if (address === undefined || !registered) return [];
  const rule: Rule = {
    kind: "rule",
    family: 6,
    priority: RULE_PRIORITY.home,
    table: HOME_TABLE,
    from: hostPrefix(address),
  };
  return [
    homeAddress(DEVICE.homeAddresses, address),
    rule,
    { ...rule, priority: RULE_PRIORITY.unspecified, findSource: true },
  ];
}
