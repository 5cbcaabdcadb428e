/** Looks for home agents in the ways that the configuration allows, through the network that the node visits. */
import { randomInt } from "node:crypto";
import { areLent } from "../../../../schemas/config/common.js";
import { type MobileNodeConfig, ownAddress } from "../../../../schemas/config/mobile-node.js";
import { type Family, familyOf, type IpAddress, type Ipv6Address, isIpv6 } from "../../../base/ip.js";
import { openIcmpSocket } from "../../../io/ip/icmp-socket.js";
import { openIcmpv6Socket } from "../../../io/ip/icmpv6-socket.js";
import type { IpSocket } from "../../../io/ip/ip-socket.js";
import type { HomeAgentCandidate } from "../../../protocol/mip6/mobile-node/discovery/candidates.js";
import { ICMP_ECHO_REPLY } from "../../../wire/ip/icmp-echo.js";
import { Icmpv6Type } from "../../../wire/ip/registry.js";
import { clock } from "../../clock.js";
import { type AnycastPorts, homeAgentsByAnycast } from "./by-anycast.js";
import { homeAgentsOfDomain, homeAgentsOfName, type NameSearch } from "./by-name.js";
import { answersEcho, type EchoPorts, ICMPV6_ECHO_REPLY } from "./echo.js";
import { NameClient } from "./name-client.js";
import { type HomeAgentOffers, homeAgentsOffered } from "./offers.js";
import { visitedAddresses } from "./visited.js";

const HOP_LIMIT = 64;

/**
 * By the service of a domain, else by a name, else by the anycast address, else what the visited network offers. `careOf`: where the node is,
 * as far as it is known. Never rejects.
 */
export async function findHomeAgents(
  { mobileNode }: MobileNodeConfig,
  careOf: IpAddress | undefined,
  offers: HomeAgentOffers,
): Promise<NameSearch> {
  const { homeAddress, ipv4HomeAddress, homeAgent, homePrefixes, prefixes } = mobileNode;
  const ipv4Home = ownAddress(ipv4HomeAddress);
  const { domain, name, anycast, dhcpv6, nameServers, ipv4 } = homeAgent;
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
    ...(dhcpv6 ? [() => homeAgentsOffered(offers, client, ipv4)] : []),
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
    if (others.length === 0) continue;
    // The better ways are asked again beside what is only offered.
    const offered = found.offered === true;
    return { candidates: others, faults, incomplete: incomplete || (offered && ways.length > 1), offered };
  }
  return { candidates: [], faults, incomplete };
}

/**
 * Whether a home agent answers echo requests of the visited network; undefined where there is no network to ask it from. `careOf`: where the
 * node is, as far as it is known. Never rejects.
 */
export async function homeAgentAnswers(
  { mobileNode }: MobileNodeConfig,
  { ipv6, ipv4 }: HomeAgentCandidate,
  careOf: IpAddress | undefined,
): Promise<boolean | undefined> {
  const sources =
    careOf === undefined ? [6, 4].flatMap((family) => visitedAddresses(family as Family, mobileNode)) : [careOf];
  for (const source of sources) {
    const destination = isIpv6(source) ? ipv6 : ipv4;
    if (destination !== undefined) return answersEcho(destination, source, ECHO_PORTS);
  }
  return undefined;
}

const ECHO_PORTS: EchoPorts = {
  identifier: () => randomInt(0x10000),
  setTimer: clock.setTimer,
  open: (family, onReply) => {
    const socket: IpSocket<IpAddress> =
      family === 6
        ? openIcmpv6Socket({ types: [ICMPV6_ECHO_REPLY], hopLimit: HOP_LIMIT })
        : openIcmpSocket([ICMP_ECHO_REPLY]);
    socket.listen({
      onPackets: (packets) => {
        for (const { data, source } of packets) onReply(family === 6 ? data : behindIpv4Header(data), source);
      },
      onError: () => undefined, // ignored: what was lost is asked for again
    });
    return {
      send: (data, source, destination) => {
        const { error } = socket.send([{ data, source, destination }]);
        if (error !== undefined) throw error;
      },
      close: () => socket.close(),
    };
  },
};

/** Raw IPv4 sockets hear their packets with it. */
const behindIpv4Header = (packet: Uint8Array): Uint8Array => packet.subarray(((packet[0] ?? 0) & 0xf) * 4);

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
