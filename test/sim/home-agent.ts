/** A home agent of the simulation: its machine, its kernel, its journal; and what becomes of them when the program stops or dies. */
import { type Ipv6Address, isIpv6 } from "../../controller/base/ip.js";
import type { Instant } from "../../controller/base/time.js";
import type { HomeAgentEffect, HomeAgentInput } from "../../controller/protocol/mip6/home-agent/inputs.js";
import {
  dataPaths,
  HomeAgentState,
  nextDeadline as homeAgentDeadline,
  step as homeAgentStep,
} from "../../controller/protocol/mip6/home-agent/machine.js";
import type { HomeAgentSite } from "../../controller/protocol/mip6/home-agent/site.js";
import { type DataPath, type Endpoint, type SendEffect, sameEndpoint } from "../../controller/protocol/mip6/inputs.js";
import { decodeMobilityMessage, encodeMobilityMessage } from "../../controller/wire/mip6/messages/mobility-header.js";
import { DSMIP6_PORT } from "../../controller/wire/mip6/registry.js";
import { carry, endpointOf, type Outer } from "./network.js";
import type { Simulation } from "./simulation.js";

/** The kernel takes this long for a data path. */
const KERNEL_MS = 2;
/** RetransTimer: how long duplicate address detection waits for an objection. */
const DAD_MS = 1000;

export class SimulatedHomeAgent {
  readonly effects: HomeAgentEffect[] = [];
  state: HomeAgentState;
  /** What the kernel has. */
  readonly paths = new Map<Ipv6Address, DataPath>();
  readonly journal = new Map<string, { readonly record: Readonly<Record<string, unknown>>; readonly at: Instant }>();
  readonly #world: Simulation;
  #frozen: HomeAgentInput[] | undefined;
  #wake: number | undefined;
  #life = 0;
  /** The machine with its kernel and its wires is off. */
  #dead = false;

  constructor(world: Simulation, site: HomeAgentSite) {
    this.#world = world;
    this.state = new HomeAgentState(site);
  }

  get site(): HomeAgentSite {
    return this.state.site;
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
    this.state = new HomeAgentState(this.state.site);
    const bindings = [...this.journal.values()].map(({ record, at }) => ({
      record: JSON.parse(JSON.stringify(record)) as Readonly<Record<string, unknown>>,
      ageSeconds: (this.#world.now - at) / 1000,
    }));
    this.give({ kind: "restore", bindings });
    // What nobody wants any more goes, as the reconciler sees to.
    const wanted = new Set([...dataPaths(this.state)].map((path) => path.homeAddress));
    for (const homeAddress of [...this.paths.keys()]) if (!wanted.has(homeAddress)) this.paths.delete(homeAddress);
  }

  give(input: HomeAgentInput): void {
    if (this.#dead) return;
    if (this.#frozen !== undefined) {
      this.#frozen.push(input);
      return;
    }
    const effects = homeAgentStep(this.state, input, this.#world.now);
    this.effects.push(...effects);
    for (const effect of effects) this.#perform(effect);
    this.#arm();
  }

  /** The power goes; with it what the kernel has. The journal is on the disk. */
  die(): void {
    this.#dead = true;
    this.#life++;
    this.#frozen = undefined;
    this.paths.clear();
  }

  /** And comes back. */
  boot(): void {
    if (!this.#dead) return;
    this.#dead = false;
    this.restart();
  }

  get alive(): boolean {
    return !this.#dead;
  }

  /** Payload for a node as the kernel has it; undefined: nothing of ours, the home link has it. */
  downlink(homeAddress: Ipv6Address): Outer {
    const path = this.paths.get(homeAddress);
    return path === undefined ? { type: "home-link" } : this.#outerTo(path.egress);
  }

  /** Whether the kernel takes payload of a node that comes with this outer header. */
  accepts(homeAddress: Ipv6Address, outer: Outer): boolean {
    if (this.#dead) return false;
    const path = this.paths.get(homeAddress);
    if (outer.type === "home-link") return true;
    const from = endpointOf(outer);
    return path?.ingress.some((endpoint) => sameEndpoint(endpoint, from)) ?? false;
  }

  /** Whether an outer header is to one of our addresses. */
  isAt(outer: Outer): boolean {
    const { ipv4, ipv6 } = this.site.addresses;
    return outer.type !== "home-link" && (outer.destination === ipv6 || outer.destination === ipv4);
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
          const conflict = this.#world.answersOnHomeLink(homeAddress, this);
          this.give({ kind: "dad-completed", homeAddress, address, conflict });
        });
        break;
      case "journal":
        if (effect.record === null) this.journal.delete(effect.key);
        else this.journal.set(effect.key, { record: effect.record, at: this.#world.now });
        break;
      default: // announcements, events and drops leave no trace in this world
    }
  }

  /** Unless the program has been killed until then. */
  #later(milliseconds: number, act: () => void): void {
    const life = this.#life;
    this.#world.queue.after(milliseconds, () => {
      if (life === this.#life) act();
    });
  }

  #send(send: SendEffect): void {
    const octets = encodeMobilityMessage(send.message);
    const outer = this.#outerOf(send);
    const found = this.#world.find(outer, send.destination);
    if (found === undefined) return;
    carry(this.#world.queue, found.plug.access, this.#world.random, () => {
      const message = decodeMobilityMessage(octets);
      if (message.ok) found.node.hear(found.device, outer, message.value, send);
    });
  }

  #arm(): void {
    const deadline = homeAgentDeadline(this.state);
    if (deadline === undefined || this.#wake === deadline) return;
    this.#wake = deadline;
    this.#world.queue.at(deadline, () => {
      if (this.#wake !== deadline) return;
      this.#wake = undefined;
      this.give({ kind: "timer" });
    });
  }

  /** The outer header of an answer. */
  #outerOf({ departure }: SendEffect): Outer {
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
        return { type: "ipv6", source: this.site.addresses.ipv6, destination: departure.careOf };
      default:
        return { type: "home-link" };
    }
  }

  #outerTo(endpoint: Endpoint): Outer {
    const { ipv4, ipv6 } = this.site.addresses;
    if (endpoint.format === "ipv6") return { type: "ipv6", source: ipv6, destination: endpoint.address };
    if (ipv4 === undefined) throw new Error("an IPv4 endpoint at a home agent without IPv4");
    if (endpoint.format === "ipv4") return { type: "ipv4", source: ipv4, destination: endpoint.address };
    const { address: destination, port: destinationPort } = endpoint;
    const source = isIpv6(destination) ? ipv6 : ipv4;
    return { type: "udp", source, destination, sourcePort: DSMIP6_PORT, destinationPort };
  }
}
