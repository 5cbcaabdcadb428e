/**
 * Home agents that visited networks offer by DHCPv6 (RFC 6610). A DHCPv6 client hands the option over (`dsmipctl home-agent offered`); an
 * offer is of one link, and holds while that has an address of one of the IPv6 networks it had then. So none counts in an IPv4 network
 * (RFC 5555 §2.1). It is kept in memory only. Nobody has to be believed: who is no home agent of ours has no keys and gives no answer.
 */
import { networkInterfaces } from "node:os";
import type { MobileNodeConfig } from "../../../../schemas/config/mobile-node.js";
import type { CommandDocument, CommandRequest } from "../../../../schemas/control.js";
import { fromHex } from "../../../base/bytes.js";
import { MobilityError } from "../../../base/errors.js";
import { formatPrefix, type Ipv4Address, type Ipv6Address, isRoutableUnicast, maskAddress } from "../../../base/ip.js";
import { OWNERSHIP } from "../../../plan/objects/objects.js";
import type { HomeAgentCandidate } from "../../../protocol/mip6/mobile-node/discovery/candidates.js";
import {
  decodeHomeInformation,
  type HomeInformation,
  type HomeInformationOption,
} from "../../../wire/dhcpv6/home-information.js";
import { homeAgentsOfName, type NameSearch } from "./by-name.js";
import type { NameClient } from "./name-client.js";
import { visitedAddresses } from "./visited.js";

/** Each name costs two questions, and all are asked at once. */
const MOST_NAMES = 4;
const MOST_ADDRESSES = 16;
const MOST_LINKS = 16;
/** An address of the same /64 is of the same network, whatever its interface identifier. */
const NETWORK_BITS = 64;

/** What an option says of a home agent, in its order. */
type Named = Extract<HomeInformation, { readonly kind: "home-agent-address" | "home-agent-name" }>;
type OfferRequest = Extract<CommandRequest, { readonly command: "offer" }>;

interface Offer {
  readonly networks: ReadonlySet<string>;
  readonly homeAgents: readonly Named[];
}

export class HomeAgentOffers {
  readonly #node: MobileNodeConfig["mobileNode"];
  readonly #addresses: typeof networkInterfaces;
  /** By link, the latest last. */
  readonly #offers = new Map<string, Offer>();

  constructor(node: MobileNodeConfig["mobileNode"], addresses: typeof networkInterfaces = networkInterfaces) {
    this.#node = node;
    this.#addresses = addresses;
  }

  /** Takes the place of what the link has offered before; no octets: it offers nothing any more. Rejects with MobilityError. */
  async take({ interface: link, dhcpv6 }: OfferRequest): Promise<CommandDocument> {
    const { interfaces, homeAgent } = this.#node;
    if (!homeAgent.dhcpv6)
      throw refusal("mobileNode.homeAgent.dhcpv6 is not on: what networks offer is not taken for a home agent");
    if (link.startsWith(OWNERSHIP.linkPrefix) || interfaces?.includes(link) === false)
      throw refusal(`${link} is no interface by which this node attaches`);
    this.#offers.delete(link);
    if (dhcpv6 !== "") this.#offers.set(link, this.#read(link, dhcpv6));
    for (const oldest of this.#offers.keys()) if (this.#offers.size > MOST_LINKS) this.#offers.delete(oldest);
    return { command: "offer", nodes: 1, outcome: "begun", status: null };
  }

  /** Of the links whose offer holds, the latest first. What does not hold any more is forgotten. */
  current(): readonly Named[] {
    for (const [link, { networks }] of this.#offers)
      if (!this.#networksOf(link).some((network) => networks.has(network))) this.#offers.delete(link);
    return [...this.#offers.values()].reverse().flatMap(({ homeAgents }) => homeAgents);
  }

  #read(link: string, hex: string): Offer {
    const networks = new Set(this.#networksOf(link));
    if (networks.size === 0)
      throw refusal(`${link} has no global IPv6 address: what DHCPv6 offers counts in IPv6 networks only`);
    const options = decodeHomeInformation(fromHex(hex));
    if (!options.ok) throw refusal(`the option is damaged: ${options.error.message}`);
    const named = homeAgentsIn(options.value, this.#node.homeAddress);
    if (named.length === 0) throw refusal("the option names no home agent");
    return { networks, homeAgents: named };
  }

  #networksOf(link: string): readonly string[] {
    return visitedAddresses(6, { ...this.#node, interfaces: [link] }, this.#addresses).map((address) =>
      formatPrefix({ address: maskAddress(address, NETWORK_BITS), length: NETWORK_BITS }),
    );
  }
}

/** Bounded; what is no global unicast address, and our own, is passed over. */
function homeAgentsIn(options: readonly HomeInformationOption[], home: Ipv6Address): readonly Named[] {
  const all = options.flatMap((option): readonly HomeInformation[] =>
    option.kind === "home-network" ? option.options : [option],
  );
  let [addresses, names] = [0, 0];
  return all.filter((one): one is Named => {
    if (one.kind === "home-agent-name") return ++names <= MOST_NAMES;
    if (one.kind !== "home-agent-address" || !isRoutableUnicast(one.address) || one.address === home) return false;
    return ++addresses <= MOST_ADDRESSES;
  });
}

/** `ipv4`: of the home agent, where it is configured; of those that are named the A records have it. Never rejects. */
export async function homeAgentsOffered(
  offers: Pick<HomeAgentOffers, "current">,
  client: Pick<NameClient, "ask">,
  ipv4: Ipv4Address | undefined,
): Promise<NameSearch> {
  const homeAgents = offers.current();
  if (homeAgents.length === 0)
    return { candidates: [], faults: ["no IPv6 network that we visit has offered a home agent by DHCPv6"] };
  const found = new Map<Ipv6Address, HomeAgentCandidate>();
  const faults: string[] = [];
  let incomplete = false;
  const named = homeAgents.flatMap((one) => (one.kind === "home-agent-name" ? [one.name] : []));
  const searches = new Map(
    await Promise.all(
      [...new Set(named)]
        .slice(0, MOST_NAMES)
        .map(async (name) => [name, await homeAgentsOfName(name, client)] as const),
    ),
  );
  const add = (candidate: HomeAgentCandidate): void => {
    const before = found.get(candidate.ipv6);
    if (before?.ipv4 === undefined) found.set(candidate.ipv6, { ...before, ...candidate });
  };
  for (const one of homeAgents) {
    if (one.kind === "home-agent-address") add({ ipv6: one.address, ipv4, name: one.address });
    else {
      const search = searches.get(one.name);
      for (const candidate of search?.candidates ?? []) add(candidate);
      for (const fault of search?.faults ?? []) faults.push(fault);
      incomplete ||= search?.incomplete === true;
    }
  }
  return { candidates: [...found.values()].slice(0, MOST_ADDRESSES), faults, incomplete, offered: true };
}

const refusal = (reason: string): MobilityError => new MobilityError("MIP_COMMAND", reason);
