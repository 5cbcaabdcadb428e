/**
 * Two-party simulation: the real machines of mobile nodes and their home agent, with kernels that do what the data paths say, on a
 * virtual clock. Signalling is encoded and decoded on the way. Payload in numbered packets shows what a user would see: a packet
 * arrives if the sender's kernel had a way for it, the network brought it, and the receiver's kernel takes it from there.
 */
import { type Ipv6Address, ipv6 } from "../../controller/base/ip.js";
import type { Instant } from "../../controller/base/time.js";
import type { HomeAgentEffect, HomeAgentInput } from "../../controller/protocol/mip6/home-agent/inputs.js";
import {
  dataPaths,
  HomeAgentState,
  nextDeadline as homeAgentDeadline,
  step as homeAgentStep,
} from "../../controller/protocol/mip6/home-agent/machine.js";
import type { HomeAgentSite } from "../../controller/protocol/mip6/home-agent/site.js";
import {
  type Arrival,
  type DataPath,
  type Endpoint,
  type SendEffect,
  sameEndpoint,
} from "../../controller/protocol/mip6/inputs.js";
import type { MobileNodeSite } from "../../controller/protocol/movement/attachment.js";
import { decodeMobilityMessage, encodeMobilityMessage } from "../../controller/wire/mip6/messages/mobility-header.js";
import { DSMIP6_PORT } from "../../controller/wire/mip6/registry.js";
import { HOME_AGENT, HOME_AGENT_IPV4, prefix, SITE } from "../unit/protocol/mip6/mobile-node/chart.js";
import { EventQueue, randomNumbers } from "./event-queue.js";
import { carry, type Outer, outward, type Plug, reaches } from "./network.js";
import { SimulatedNode } from "./node.js";

export interface SimulationOptions {
  readonly seed?: number;
  readonly homeAgent?: Partial<HomeAgentSite>;
  readonly node?: Partial<MobileNodeSite>;
  /** How many mobile nodes there are. */
  readonly nodes?: number;
}

const HOME_LINK_DEVICE = "home0";
/** The kernel takes this long for a data path. */
const KERNEL_MS = 2;
/** RetransTimer: how long duplicate address detection waits for an objection. */
const DAD_MS = 1000;
const STEPS_PER_SECOND = 3000;

export class Simulation {
  readonly queue = new EventQueue();
  readonly random: () => number;
  readonly nodes: readonly SimulatedNode[];
  readonly effects: HomeAgentEffect[] = [];
  homeAgent: HomeAgentState;
  /** What the home agent's kernel has. */
  readonly paths = new Map<Ipv6Address, DataPath>();
  readonly journal = new Map<string, { readonly record: Readonly<Record<string, unknown>>; readonly at: Instant }>();
  #frozen: HomeAgentInput[] | undefined;
  #wake: number | undefined;
  #life = 0;

  constructor(options: SimulationOptions = {}) {
    this.random = randomNumbers(options.seed ?? 1);
    const sites = Array.from({ length: options.nodes ?? 1 }, (_, i) => nodeSite(i, options.node));
    this.nodes = sites.map((site) => new SimulatedNode(this, site));
    this.homeAgent = new HomeAgentState(homeAgentSite(sites, options.homeAgent));
  }

  get now(): Instant {
    return this.queue.now;
  }

  /** The only node, or the first. */
  get node(): SimulatedNode {
    return this.nodes[0] as SimulatedNode;
  }

  run(seconds: number): this {
    this.queue.runUntil(this.now + seconds * 1000, Math.ceil(seconds * STEPS_PER_SECOND) + 1000);
    return this;
  }

  /** Like SIGSTOP: nothing is read or answered, the kernel goes on. */
  freeze(): void {
    this.#frozen ??= [];
  }

  thaw(): void {
    const inputs = this.#frozen ?? [];
    this.#frozen = undefined;
    for (const input of inputs) this.give(input);
    this.give({ kind: "timer" });
  }

  /** Killed and started again: the kernel keeps its paths, the machine has its journal, what waited in sockets is lost. */
  restart(): void {
    this.#frozen = undefined;
    this.#life++;
    this.homeAgent = new HomeAgentState(this.homeAgent.site);
    const bindings = [...this.journal.values()].map(({ record, at }) => ({
      record: JSON.parse(JSON.stringify(record)) as Readonly<Record<string, unknown>>,
      ageSeconds: (this.now - at) / 1000,
    }));
    this.give({ kind: "restore", bindings });
    // What nobody wants any more goes, as the reconciler sees to.
    const wanted = new Set([...dataPaths(this.homeAgent)].map((path) => path.homeAddress));
    for (const homeAddress of [...this.paths.keys()]) if (!wanted.has(homeAddress)) this.paths.delete(homeAddress);
  }

  give(input: HomeAgentInput): void {
    if (this.#frozen !== undefined) {
      this.#frozen.push(input);
      return;
    }
    const effects = homeAgentStep(this.homeAgent, input, this.now);
    this.effects.push(...effects);
    for (const effect of effects) this.#perform(effect);
    this.#arm();
  }

  /** A packet that has left a node's access network. */
  toHomeAgent(plug: Plug, outer: Outer, send: SendEffect): void {
    const octets = encodeMobilityMessage(send.message);
    const seen = outward(plug, outer, this.now);
    if (seen === undefined) return;
    carry(this.queue, plug.access, this.random, () => {
      const message = decodeMobilityMessage(octets);
      if (message.ok) this.give({ kind: "message", arrival: arrivalAtHomeAgent(seen, send), message: message.value });
    });
  }

  /** Payload for a node as the home agent's kernel has it; undefined: nothing of ours, the home link has it. */
  downlink(homeAddress: Ipv6Address): Outer {
    const path = this.paths.get(homeAddress);
    return path === undefined ? { type: "home-link" } : outerTo(path.egress);
  }

  /** Whether the home agent's kernel takes payload of a node that comes with this outer header. */
  accepts(homeAddress: Ipv6Address, outer: Outer): boolean {
    const path = this.paths.get(homeAddress);
    if (outer.type === "home-link") return true;
    const from = endpointOf(outer);
    return path?.ingress.some((endpoint) => sameEndpoint(endpoint, from)) ?? false;
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

  #perform(effect: HomeAgentEffect): void {
    switch (effect.kind) {
      case "send":
        this.#send(effect);
        break;
      case "data-path":
        this.#later(KERNEL_MS, () => {
          const { homeAddress, revision } = effect.path;
          this.paths.set(homeAddress, effect.path);
          this.give({ kind: "programmed", homeAddress, revision });
        });
        break;
      case "data-path-removed":
        this.#later(KERNEL_MS, () => {
          const { homeAddress, revision } = effect;
          this.paths.delete(homeAddress);
          this.give({ kind: "programmed", homeAddress, revision });
        });
        break;
      case "dad":
        this.#later(DAD_MS, () => {
          const { homeAddress, address } = effect;
          const conflict = this.nodes.some((node) => node.answersAtHome(homeAddress));
          this.give({ kind: "dad-completed", homeAddress, address, conflict });
        });
        break;
      case "journal":
        if (effect.record === null) this.journal.delete(effect.key);
        else this.journal.set(effect.key, { record: effect.record, at: this.now });
        break;
      default: // announcements, events and drops leave no trace in this world
    }
  }

  /** Unless the program has been killed until then. */
  #later(milliseconds: number, act: () => void): void {
    const life = this.#life;
    this.queue.after(milliseconds, () => {
      if (life === this.#life) act();
    });
  }

  #send(send: SendEffect): void {
    const octets = encodeMobilityMessage(send.message);
    const outer = outerOf(send);
    const found = this.find(outer, send.destination);
    if (found === undefined) return;
    carry(this.queue, found.plug.access, this.random, () => {
      const message = decodeMobilityMessage(octets);
      if (message.ok) found.node.hear(found.device, outer, message.value, send.departure.type === "native-routed");
    });
  }

  #arm(): void {
    const deadline = homeAgentDeadline(this.homeAgent);
    if (deadline === undefined || this.#wake === deadline) return;
    this.#wake = deadline;
    this.queue.at(deadline, () => {
      if (this.#wake !== deadline) return;
      this.#wake = undefined;
      this.give({ kind: "timer" });
    });
  }
}

function nodeSite(i: number, changes: Partial<MobileNodeSite> = {}): MobileNodeSite {
  const homeAddress = ipv6(`2001:db8:1::${(0x100 + i).toString(16)}`);
  const ipv4HomeAddress = `192.0.2.${100 + i}` as NonNullable<MobileNodeSite["ipv4HomeAddress"]>;
  return { ...SITE, homeAddress, ipv4HomeAddress, ...changes };
}

function homeAgentSite(nodes: readonly MobileNodeSite[], changes: Partial<HomeAgentSite> = {}): HomeAgentSite {
  const subscribers = nodes.map(({ homeAddress, ipv4HomeAddress }) => ({
    homeAddress,
    ipv4HomeAddress,
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

/** The outer header of an answer of the home agent. */
function outerOf({ departure }: SendEffect): Outer {
  switch (departure.type) {
    case "udp":
      return {
        type: "udp",
        source: departure.localAddress,
        sourcePort: DSMIP6_PORT,
        destination: departure.remoteAddress,
        destinationPort: departure.remotePort,
      };
    case "native-routed":
    case "native-home-address-option":
      return { type: "ipv6", source: HOME_AGENT, destination: departure.careOf };
    default:
      return { type: "home-link" };
  }
}

function outerTo(endpoint: Endpoint): Outer {
  if (endpoint.format === "ipv6") return { type: "ipv6", source: HOME_AGENT, destination: endpoint.address };
  const ends = { source: HOME_AGENT_IPV4, destination: endpoint.address };
  if (endpoint.format === "ipv4") return { type: "ipv4", ...ends };
  return { type: "udp", ...ends, sourcePort: DSMIP6_PORT, destinationPort: endpoint.port };
}

/** The endpoint of a node as a packet from it shows it. */
export function endpointOf(outer: Exclude<Outer, { readonly type: "home-link" }>): Endpoint {
  if (outer.type === "udp") return { format: "udp", address: outer.source, port: outer.sourcePort };
  return outer.type === "ipv6" ? { format: "ipv6", address: outer.source } : { format: "ipv4", address: outer.source };
}
