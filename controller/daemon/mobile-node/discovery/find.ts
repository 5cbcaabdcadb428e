/** Looks for home agents in the ways that the configuration allows, through the network that the node visits. */
import { randomInt } from "node:crypto";
import { networkInterfaces } from "node:os";
import { areLent, type MobileNodeConfig, ownAddress } from "../../../../schemas/config.js";
import {
  type Family,
  familyOf,
  type IpAddress,
  type Ipv6Address,
  isIpv6,
  isRoutableUnicast,
  parseIp,
} from "../../../base/ip.js";
import { openIcmpv6Socket } from "../../../io/ip/icmpv6-socket.js";
import { OWNERSHIP } from "../../../plan/objects/objects.js";
import { Icmpv6Type } from "../../../wire/ip/registry.js";
import { clock } from "../../clock.js";
import { type AnycastPorts, homeAgentsByAnycast } from "./by-anycast.js";
import { homeAgentsOfDomain, homeAgentsOfName, type NameSearch } from "./by-name.js";
import { NameClient } from "./name-client.js";

const HOP_LIMIT = 64;

/** By the service of a domain, else by a name, else by the anycast address. `careOf`: where the node is, as far as it is known. Never rejects. */
export async function findHomeAgents(
  { mobileNode }: MobileNodeConfig,
  careOf: IpAddress | undefined,
): Promise<NameSearch> {
  const { homeAddress, ipv4HomeAddress, homeAgent, homePrefixes, prefixes } = mobileNode;
  const ipv4Home = ownAddress(ipv4HomeAddress);
  const { domain, name, anycast, nameServers, ipv4 } = homeAgent;
  const source = (family: Family): IpAddress | undefined =>
    careOf !== undefined && familyOf(careOf) === family
      ? careOf
      : visitedAddress(family, [homeAddress, ...(ipv4Home === undefined ? [] : [ipv4Home])]);
  const client = new NameClient({ servers: nameServers, source });
  const ways = [
    ...(domain === undefined ? [] : [() => homeAgentsOfDomain(domain, client, Math.random)]),
    ...(name === undefined ? [] : [() => homeAgentsOfName(name, client)]),
    ...(anycast
      ? [
          () =>
            homeAgentsByAnycast(
              { homePrefixes, ipv4, mobileRouter: areLent(prefixes) || prefixes.length > 0 },
              anycastPorts(() => source(6)),
            ),
        ]
      : []),
  ];
  const faults: string[] = [];
  for (const way of ways) {
    const found = await way();
    for (const fault of found.faults) faults.push(fault);
    if (found.candidates.length > 0) return { candidates: found.candidates, faults };
  }
  return { candidates: [], faults };
}

/** One that is neither a home address nor on a device of ours. */
function visitedAddress(family: Family, home: readonly IpAddress[]): IpAddress | undefined {
  for (const [device, list] of Object.entries(networkInterfaces())) {
    if (device.startsWith(OWNERSHIP.linkPrefix)) continue;
    for (const { address } of list ?? []) {
      const found = parseIp(address);
      if (found === undefined || familyOf(found) !== family || home.includes(found)) continue;
      if (isRoutableUnicast(found)) return found;
    }
  }
  return undefined;
}

function anycastPorts(source: () => IpAddress | undefined): AnycastPorts {
  return {
    source: () => {
      const address = source();
      return address !== undefined && isIpv6(address) ? address : undefined;
    },
    identifier: () => randomInt(0x10000),
    setTimer: clock.setTimer,
    open: (onReply) => {
      const socket = openIcmpv6Socket({ types: [Icmpv6Type.homeAgentAddressDiscoveryReply], hopLimit: HOP_LIMIT });
      socket.listen({
        onPackets: (packets) => {
          for (const { data } of packets) onReply(data);
        },
        onError: () => undefined, // ignored: what was lost is asked for again
      });
      return {
        send: (data, from: Ipv6Address, destination) => {
          const { error } = socket.send([{ data, source: from, destination }]);
          if (error !== undefined) throw error;
        },
        close: () => socket.close(),
      };
    },
  };
}
