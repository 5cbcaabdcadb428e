/** Looks for home agents in the ways that the configuration allows, through the network that the node visits. */
import { randomInt } from "node:crypto";
import { networkInterfaces } from "node:os";
import { areLent, type MobileNodeConfig, ownAddress, ownPrefixes } from "../../../../schemas/config.js";
import {
  type Family,
  familyOf,
  type IpAddress,
  type Ipv6Address,
  isIpv6,
  isRoutableUnicast,
  parseIp,
  prefixContains,
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
  const home: readonly IpAddress[] = [homeAddress, ...(ipv4Home === undefined ? [] : [ipv4Home])];
  const sources = (family: Family): readonly IpAddress[] =>
    careOf !== undefined && familyOf(careOf) === family ? [careOf] : visitedAddresses(family, mobileNode);
  const client = new NameClient({ servers: nameServers, sources });
  const ways = [
    ...(domain === undefined ? [] : [() => homeAgentsOfDomain(domain, client, Math.random)]),
    ...(name === undefined ? [] : [() => homeAgentsOfName(name, client)]),
    ...(anycast
      ? [
          () =>
            homeAgentsByAnycast(
              { homePrefixes, ipv4, mobileRouter: areLent(prefixes) || prefixes.length > 0 },
              anycastPorts(() => sources(6)[0]),
            ),
        ]
      : []),
  ];
  const faults: string[] = [];
  let incomplete = false;
  for (const way of ways) {
    const found = await way();
    for (const fault of found.faults) faults.push(fault);
    incomplete ||= found.incomplete === true;
    // An answer that names ourselves is a lie or a mistake.
    const others = found.candidates.filter(({ ipv6 }) => !home.includes(ipv6));
    if (others.length < found.candidates.length) faults.push(`${homeAddress} is found, which is our own home address`);
    if (others.length > 0) return { candidates: others, faults, incomplete };
  }
  return { candidates: [], faults, incomplete };
}

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
