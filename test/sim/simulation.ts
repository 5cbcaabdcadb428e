/**
 * Two-party simulation: the real machines of mobile nodes and their home agents, with kernels that do what the data paths say, on a
 * virtual clock. Signalling is encoded and decoded on the way. Payload in numbered packets shows what a user would see: a packet
 * arrives if the sender's kernel had a way for it, the network brought it, and the receiver's kernel takes it from there.
 */
import { type Ipv4Address, type Ipv6Address, ipv4, ipv6 } from "../../controller/base/ip.js";
import type { Instant } from "../../controller/base/time.js";
import type { HomeAgentEffect } from "../../controller/protocol/mip6/home-agent/inputs.js";
import type { HomeAgentState } from "../../controller/protocol/mip6/home-agent/machine.js";
import type { HomeAgentSite } from "../../controller/protocol/mip6/home-agent/site.js";
import type { Arrival, DataPath, SendEffect } from "../../controller/protocol/mip6/inputs.js";
import type { MobileNodeSite } from "../../controller/protocol/movement/attachment.js";
import { decodeMobilityMessage, encodeMobilityMessage } from "../../controller/wire/mip6/messages/mobility-header.js";
import { HOME_AGENT, HOME_AGENT_IPV4, prefix, SITE } from "../unit/protocol/mip6/mobile-node/chart.js";
import { EventQueue, randomNumbers } from "./event-queue.js";
import { SimulatedHomeAgent } from "./home-agent.js";
import { carry, type Outer, outward, type Plug, reaches } from "./network.js";
import { SimulatedNode } from "./node.js";

export interface SimulationOptions {
  readonly seed?: number;
  readonly homeAgent?: Partial<HomeAgentSite>;
  readonly node?: Partial<MobileNodeSite>;
  /** How many mobile nodes there are. */
  readonly nodes?: number;
  /** How many home agents serve them, on one home link: a node goes to the next one when its own falls silent. Default: 1. */
  readonly homeAgents?: number;
  /** The first nodes are mobile routers with networks of both families behind them: how each names them. */
  readonly routers?: readonly ("explicit" | "implicit")[];
}

/** The addresses of the home agents in the order in which nodes prefer them. */
export const HOME_AGENTS: readonly { readonly ipv6: Ipv6Address; readonly ipv4: Ipv4Address }[] = [
  { ipv6: HOME_AGENT, ipv4: HOME_AGENT_IPV4 },
  { ipv6: ipv6("2001:db8:1::2"), ipv4: ipv4("198.51.100.2") },
];

const HOME_LINK_DEVICE = "home0";
const STEPS_PER_SECOND = 3000;

export class Simulation {
  readonly queue = new EventQueue();
  readonly random: () => number;
  readonly nodes: readonly SimulatedNode[];
  readonly homeAgents: readonly SimulatedHomeAgent[];

  constructor(options: SimulationOptions = {}) {
    this.random = randomNumbers(options.seed ?? 1);
    const sites = Array.from({ length: options.nodes ?? 1 }, (_, i) => nodeSite(i, options));
    this.homeAgents = HOME_AGENTS.slice(0, options.homeAgents ?? 1).map(
      (addresses) => new SimulatedHomeAgent(this, homeAgentSite(sites, { addresses, ...options.homeAgent })),
    );
    this.nodes = sites.map((site) => new SimulatedNode(this, site));
  }

  get now(): Instant {
    return this.queue.now;
  }

  /** The only node, or the first. */
  get node(): SimulatedNode {
    return this.nodes[0] as SimulatedNode;
  }

  /** The only home agent, or the first. */
  get #first(): SimulatedHomeAgent {
    return this.homeAgents[0] as SimulatedHomeAgent;
  }

  get homeAgent(): HomeAgentState {
    return this.#first.state;
  }

  get effects(): HomeAgentEffect[] {
    return this.#first.effects;
  }

  get paths(): ReadonlyMap<Ipv6Address, DataPath> {
    return this.#first.paths;
  }

  get journal(): SimulatedHomeAgent["journal"] {
    return this.#first.journal;
  }

  /** The one with this address. */
  homeAgentAt(address: Ipv6Address): SimulatedHomeAgent {
    return this.homeAgents.find(({ site }) => site.addresses.ipv6 === address) ?? this.#first;
  }

  run(seconds: number): this {
    this.queue.runUntil(this.now + seconds * 1000, Math.ceil(seconds * STEPS_PER_SECOND) + 1000);
    return this;
  }

  freeze(): void {
    this.#first.freeze();
  }

  thaw(): void {
    this.#first.thaw();
  }

  restart(): void {
    this.#first.restart();
  }

  give(...[input]: Parameters<SimulatedHomeAgent["give"]>): void {
    this.#first.give(input);
  }

  /** Whether duplicate address detection by this home agent finds somebody: the node itself, or another home agent in its place. */
  answersOnHomeLink(homeAddress: Ipv6Address, asking: SimulatedHomeAgent): boolean {
    const others = this.homeAgents.some((one) => one !== asking && one.alive && one.paths.has(homeAddress));
    return others || this.nodes.some((node) => node.answersAtHome(homeAddress));
  }

  /** A packet that has left a node's access network. */
  toHomeAgent(plug: Plug, outer: Outer, send: SendEffect): void {
    const octets = encodeMobilityMessage(send.message);
    const seen = outward(plug, outer, this.now);
    if (seen === undefined) return;
    carry(this.queue, plug.access, this.random, () => {
      const message = decodeMobilityMessage(octets);
      const arrival = arrivalAtHomeAgent(seen, send);
      if (message.ok) this.homeAgentAt(send.destination).give({ kind: "message", arrival, message: message.value });
    });
  }

  /** The node and plug that a packet from the home agent gets to now. */
  find(
    outer: Outer,
    homeAddress: Ipv6Address,
  ): { readonly node: SimulatedNode; readonly device: string; readonly plug: Plug } | undefined {
    for (const node of this.nodes) {
      if (outer.type === "home-link" && node.site.homeAddress !== homeAddress) continue;
      for (const [device, plug] of node.plugs) if (reaches(plug, outer, this.now)) return { node, device, plug };
    }
    return undefined;
  }
}

/** An IPv6 and an IPv4 network behind each router. */
export const networksOf = (i: number): NonNullable<MobileNodeSite["prefixes"]> => [
  prefix(`2001:db8:${(0x100 + i).toString(16)}::/56`),
  prefix(`10.${100 + i}.0.0/16`),
];

function nodeSite(i: number, { node = {}, routers = [] }: SimulationOptions): MobileNodeSite {
  const homeAddress = ipv6(`2001:db8:1::${(0x100 + i).toString(16)}`);
  const ipv4HomeAddress = `192.0.2.${100 + i}` as NonNullable<MobileNodeSite["ipv4HomeAddress"]>;
  const mobileRouter = routers[i];
  const router = mobileRouter === undefined ? {} : { prefixes: networksOf(i), mobileRouter };
  return { ...SITE, homeAddress, ipv4HomeAddress, ...router, ...node };
}

function homeAgentSite(nodes: readonly MobileNodeSite[], changes: Partial<HomeAgentSite> = {}): HomeAgentSite {
  const subscribers = nodes.map(({ homeAddress, ipv4HomeAddress, prefixes }) => ({
    homeAddress,
    ipv4HomeAddress,
    ...(prefixes !== undefined && { prefixes }),
    profile: "default",
  }));
  return {
    addresses: { ipv6: HOME_AGENT, ipv4: HOME_AGENT_IPV4 },
    homePrefixes: [prefix("2001:db8:1::/64"), prefix("192.0.2.0/24")],
    maxLifetimeSeconds: 3600,
    natRefreshSeconds: 110,
    forceUdp: "grant",
    duplicateAddressDetection: true,
    previousCareOfGraceSeconds: 3,
    subscribers: new Map(subscribers.map((one) => [one.homeAddress, one])),
    ...changes,
  };
}

function arrivalAtHomeAgent(outer: Outer, send: SendEffect): Arrival {
  const inner = { source: send.source, destination: send.destination, protection: "esp" } as const;
  switch (outer.type) {
    case "udp": {
      const { source: outerSource, sourcePort: outerPort, destination: outerDestination } = outer;
      return { ...inner, path: { type: "udp", outerSource, outerPort, outerDestination } };
    }
    case "ipv6":
      return { ...inner, path: { type: "native", device: "up0", homeAddressOptionCareOf: outer.source } };
    default:
      return { ...inner, path: { type: "native", device: HOME_LINK_DEVICE } };
  }
}
