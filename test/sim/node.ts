/** A mobile node of the simulation: its machine, its kernel, its links, and the payload flows from and to it. */
import { type IpAddress, type Ipv4Address, type Ipv6Address, isIpv6 } from "../../controller/base/ip.js";
import type { Instant } from "../../controller/base/time.js";
import type { Arrival, SendEffect } from "../../controller/protocol/mip6/inputs.js";
import type { HomeAgentCandidate } from "../../controller/protocol/mip6/mobile-node/discovery/candidates.js";
import type { MobileNodeRecord } from "../../controller/protocol/mip6/mobile-node/inputs.js";
import {
  initialMobileNode,
  type LocalEndpoint,
  type MobileNodeDataPath,
  type MobileNodeEffect,
  type MobileNodeInput,
  type MobileNodeState,
  nextDeadline,
  step,
} from "../../controller/protocol/mip6/mobile-node/machine.js";
import type { MobileNodeSite } from "../../controller/protocol/movement/attachment.js";
import type { MobilityMessage } from "../../controller/wire/mip6/messages/mobility-header.js";
import { DSMIP6_PORT } from "../../controller/wire/mip6/registry.js";
import { network } from "../unit/protocol/mip6/mobile-node/chart.js";
import { SimulatedFinder } from "./finder.js";
import type { SimulatedHomeAgent } from "./home-agent.js";
import { type Outer, outward, type Plug, reaches } from "./network.js";
import type { Simulation } from "./simulation.js";

const KERNEL_MS = 2;
/** From this status on an update was refused. */
const REFUSED = 128;
/** 50 packets a second. */
const PAYLOAD_EVERY_MS = 20;

/** A one-way flow of numbered packets. */
export class Flow {
  sent = 0;
  readonly #arrived = new Set<number>();
  duplicates = 0;

  send(): number {
    return this.sent++;
  }

  arrive(number: number): void {
    if (this.#arrived.has(number)) this.duplicates++;
    this.#arrived.add(number);
  }

  get lost(): number {
    return this.sent - this.#arrived.size;
  }
}

export class SimulatedNode {
  /** Its home agent is the present one. */
  site: MobileNodeSite;
  readonly finder: SimulatedFinder;
  readonly plugs = new Map<string, Plug>();
  readonly effects: MobileNodeEffect[] = [];
  state: MobileNodeState;
  /** What the kernel has. */
  path: MobileNodeDataPath | undefined;
  readonly up = new Flow();
  readonly down = new Flow();
  readonly #world: Simulation;
  readonly #deprecated = new Set<string>();
  #record: { readonly record: MobileNodeRecord; readonly at: Instant } | undefined;
  #wake: number | undefined;
  #flowing = false;
  #life = 0;
  /** The home agent it goes to when the present one has let it go. */
  #next: HomeAgentCandidate | undefined;

  constructor(world: Simulation, site: MobileNodeSite) {
    this.#world = world;
    this.site = site;
    this.state = initialMobileNode(site);
    const candidates = world.homeAgents.map((one) => ({ ...one.site.addresses, name: one.site.addresses.ipv6 }));
    const isAway = (): boolean => this.state.phase !== "detached" && this.state.phase !== "home";
    const isAccepted = (): boolean => this.state.phase === "registered";
    const isLeaving = (): boolean => this.#next !== undefined;
    this.finder = new SimulatedFinder(candidates, world.queue, {
      get away() {
        return isAway();
      },
      get accepted() {
        return isAccepted();
      },
      get leaving() {
        return isLeaving();
      },
      change: (homeAgent) => this.#change(homeAgent),
    });
  }

  /** The home agent that it has now. */
  get homeAgent(): SimulatedHomeAgent {
    return this.#world.homeAgentAt(this.site.homeAgent.ipv6);
  }

  plug(device: string, plug: Plug): void {
    this.plugs.set(device, plug);
    this.#deprecated.delete(device);
    this.look();
  }

  unplug(device: string): void {
    this.plugs.delete(device);
    this.look();
  }

  /** The addresses of a link are about to go: the node moves while they still work. */
  deprecate(...devices: readonly string[]): void {
    this.#deprecated.clear();
    for (const device of devices) this.#deprecated.add(device);
    this.look();
  }

  /** Killed and started again: the kernel keeps its path, the machine has its journal. */
  restart(): void {
    this.#life++;
    if (this.#next !== undefined) return this.#begin(this.#next);
    this.state = initialMobileNode(this.site);
    if (this.#record !== undefined) {
      const record = JSON.parse(JSON.stringify(this.#record.record)) as MobileNodeRecord;
      this.give({ kind: "restore", record, ageSeconds: (this.#world.now - this.#record.at) / 1000 });
    }
    this.look();
  }

  /** Started again without a journal. */
  forget(): void {
    this.#record = undefined;
    this.restart();
  }

  stop(): void {
    this.finder.stop();
    this.#next = undefined;
    this.give({ kind: "stop" });
  }

  give(input: MobileNodeInput): void {
    const { state, effects } = step(this.state, input, this.#world.now);
    this.state = state;
    this.effects.push(...effects);
    for (const effect of effects) this.#perform(effect);
    this.#arm();
  }

  hear(device: string, outer: Outer, message: MobilityMessage, { source, departure }: SendEffect): void {
    const plug = this.plugs.get(device);
    if (plug === undefined || !reaches(plug, outer, this.#world.now)) return;
    if (outer.type === "home-link" && !this.answersAtHome(this.site.homeAddress)) return;
    const routingHeader = departure.type === "native-routed" ? { routingHeaderHomeAddress: this.site.homeAddress } : {};
    const path: Arrival["path"] =
      outer.type === "udp"
        ? {
            type: "udp",
            outerSource: outer.source,
            outerPort: outer.sourcePort,
            outerDestination: plug.ipv4 ?? outer.destination,
          }
        : { type: "native", device, ...routingHeader };
    const arrival: Arrival = { path, source, destination: this.site.homeAddress, protection: "esp" };
    if (message.type === "binding-acknowledgement" && message.status < REFUSED) this.finder.heard();
    this.give({ kind: "message", arrival, message });
  }

  /** As the daemon does it: a home agent that answers is told first; the kernel keeps what it has until there is a new plan. */
  #change(homeAgent: HomeAgentCandidate): void {
    if (this.state.phase !== "registered") return this.#begin(homeAgent);
    this.#next = homeAgent;
    this.give({ kind: "stop" });
  }

  #begin({ ipv6, ipv4 }: HomeAgentCandidate): void {
    this.#next = undefined;
    this.site = { ...this.site, homeAgent: { ipv6, ipv4 } };
    this.forget();
  }

  /** Whether this node answers neighbour solicitations for the home address on the home link. */
  answersAtHome(homeAddress: Ipv6Address): boolean {
    if (homeAddress !== this.site.homeAddress || this.path?.mode !== "home") return false;
    return this.plugs.get(this.path.homeDevice ?? "")?.access.home === true;
  }

  /** Starts flows in both directions; they go on until `silence`. */
  talk(): void {
    this.#flowing = true;
    const tick = (): void => {
      if (!this.#flowing) return;
      this.sendUp();
      this.sendDown();
      this.#world.queue.after(PAYLOAD_EVERY_MS, tick);
    };
    tick();
  }

  silence(): void {
    this.#flowing = false;
  }

  sendUp(): void {
    const number = this.up.send();
    const way = this.#uplink();
    const seen = way === undefined ? undefined : outward(way.plug, way.outer, this.#world.now);
    if (way === undefined || seen === undefined) return;
    this.#world.queue.after(way.plug.access.latencyMs, () => {
      if (this.homeAgent.accepts(this.site.homeAddress, seen)) this.up.arrive(number);
    });
  }

  sendDown(): void {
    const number = this.down.send();
    const outer = this.homeAgent.downlink(this.site.homeAddress);
    const found = this.#world.find(outer, this.site.homeAddress);
    // On the home link the router has to know the node as a neighbour when it sends; the node takes what comes for it on any link.
    const direct = outer.type === "home-link";
    if (found === undefined || (direct && !this.#takes(found.device, found.plug, outer))) return;
    this.#world.queue.after(found.plug.access.latencyMs, () => {
      const still = this.#world.find(outer, this.site.homeAddress);
      if (still?.node === this && (direct || this.#takes(still.device, still.plug, outer))) this.down.arrive(number);
    });
  }

  /** What a packet of this node looks like at the home agent now; undefined if none gets there. */
  observedUplink(): Outer | undefined {
    const way = this.#uplink();
    return way === undefined ? undefined : outward(way.plug, way.outer, this.#world.now);
  }

  /** Why the two sides do not agree on where this node is; empty if they do. */
  disagreements(): readonly string[] {
    const { homeAddress } = this.site;
    const problems: string[] = [];
    const up = this.observedUplink();
    if (up === undefined) problems.push("the node has no way out");
    else if (!this.homeAgent.accepts(homeAddress, up)) problems.push(`${JSON.stringify(up)} is not accepted`);
    const outer = this.homeAgent.downlink(homeAddress);
    const found = this.#world.find(outer, homeAddress);
    if (found === undefined || found.node !== this) problems.push(`${JSON.stringify(outer)} gets nowhere`);
    else if (!this.#takes(found.device, found.plug, outer)) problems.push(`${JSON.stringify(outer)} is not taken`);
    if (up !== undefined && up.type !== outer.type) problems.push(`out by ${up.type}, in by ${outer.type}`);
    return problems;
  }

  /** The network as the node's kernel shows it, told to the machine. */
  look(): void {
    const links: Record<string, string[]> = {};
    for (const [device, { access, ipv6, ipv4 }] of this.plugs) {
      const suffix = this.#deprecated.has(device) ? " deprecated" : "";
      const home = access.home === true ? ["2001:db8:1::aaaa/64"] : [];
      const addresses = [
        ...home,
        ...(ipv6 === undefined ? [] : [`${ipv6}/64`]),
        ...(ipv4 === undefined ? [] : [`${ipv4}/24`]),
      ];
      links[device] = addresses.map((address) => `${address}${suffix}`);
    }
    this.give({ kind: "network", view: network(links) });
  }

  #uplink(): { readonly plug: Plug; readonly outer: Outer } | undefined {
    const { path } = this;
    const device = path?.egress?.device ?? path?.homeDevice;
    const plug = device === undefined ? undefined : this.plugs.get(device);
    if (path === undefined || plug === undefined) return undefined;
    return { plug, outer: path.egress === undefined ? { type: "home-link" } : this.#outerFrom(path.egress) };
  }

  #takes(device: string, plug: Plug, outer: Outer): boolean {
    if (outer.type === "home-link") return this.path?.homeDevice === device;
    const { ipv6, ipv4 } = this.site.homeAgent;
    if (outer.source !== (outer.type === "ipv6" ? ipv6 : ipv4)) return false;
    const local = outer.type === "ipv6" ? plug.ipv6 : plug.ipv4;
    return this.path?.ingress.some((one) => one.device === device && one.address === local) ?? false;
  }

  #perform(effect: MobileNodeEffect): void {
    if (effect.kind === "send") this.#send(effect);
    if (effect.kind === "journal") this.#record = { record: effect.record, at: this.#world.now };
    if (effect.kind === "data-path") {
      const life = this.#life;
      this.#world.queue.after(KERNEL_MS, () => {
        if (life !== this.#life) return;
        this.path = effect.path;
        this.give({ kind: "programmed", homeAddress: this.site.homeAddress, revision: effect.path.revision });
      });
    }
    if (effect.kind === "stopped") {
      if (this.#next === undefined) this.path = undefined;
      else this.#begin(this.#next);
    }
    if (effect.kind === "unanswered") this.finder.silent();
    if (effect.kind === "notify" && effect.event.event === "registration.failed") this.finder.silent();
  }

  #send(send: SendEffect): void {
    const { departure } = send;
    if (departure.type === "native-routed" || departure.type === "over-ipv4") return;
    // The kernel writes the care-of address that its state has, whatever the sender means.
    if (departure.type === "native-home-address-option" && this.path?.updateFrom !== departure.careOf) return;
    const [plug] = [...this.plugs].flatMap(([device, one]) => {
      if (departure.type === "native-direct") return device === departure.device ? [one] : [];
      const local = departure.type === "udp" ? departure.localAddress : departure.careOf;
      return one.ipv6 === local || one.ipv4 === local ? [one] : [];
    });
    if (plug !== undefined) this.#world.toHomeAgent(plug, this.#signallingOuter(departure), send);
  }

  #arm(): void {
    const deadline = nextDeadline(this.state);
    if (deadline === undefined || this.#wake === deadline) return;
    this.#wake = deadline;
    this.#world.queue.at(deadline, () => {
      if (this.#wake !== deadline) return;
      this.#wake = undefined;
      this.give({ kind: "timer" });
    });
  }

  #signallingOuter(departure: Exclude<SendEffect["departure"], { readonly type: "native-routed" }>): Outer {
    switch (departure.type) {
      case "udp":
        return this.#udpFrom(departure.localAddress);
      case "native-home-address-option":
        return { type: "ipv6", source: departure.careOf, destination: this.site.homeAgent.ipv6 };
      default:
        return { type: "home-link" };
    }
  }

  #outerFrom(endpoint: LocalEndpoint): Outer {
    const { ipv6 } = this.site.homeAgent;
    if (endpoint.format === "ipv6") return { type: "ipv6", source: endpoint.address, destination: ipv6 };
    if (endpoint.format === "udp" || isIpv6(endpoint.address)) return this.#udpFrom(endpoint.address);
    return { type: "ipv4", source: endpoint.address, destination: this.#homeAgentIpv4 };
  }

  /** One source port for signalling and payload (C-20). */
  #udpFrom(source: IpAddress): Outer {
    const ports = { sourcePort: DSMIP6_PORT, destinationPort: DSMIP6_PORT };
    const destination = isIpv6(source) ? this.site.homeAgent.ipv6 : this.#homeAgentIpv4;
    return { type: "udp", source, destination, ...ports };
  }

  get #homeAgentIpv4(): Ipv4Address {
    const { ipv4 } = this.site.homeAgent;
    if (ipv4 === undefined) throw new Error("an IPv4 care-of address and a home agent without IPv4");
    return ipv4;
  }
}
