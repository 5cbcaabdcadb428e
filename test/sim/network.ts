/**
 * The network between mobile nodes and their home agent, as far as mobility sees it: access networks that nodes plug their links into,
 * NATs with mappings that are forgotten, latency, loss, duplication and reordering. Packets are outer headers with something inside;
 * what they are made of is the parties' business (simulation.ts).
 */
import { type IpAddress, type Ipv4Address, type Ipv6Address, isIpv6 } from "../../controller/base/ip.js";
import type { Endpoint } from "../../controller/protocol/mip6/inputs.js";
import type { EventQueue } from "./event-queue.js";

/** An outer header as it is on the wire beyond the access network. */
export type Outer =
  | { readonly type: "ipv6"; readonly source: Ipv6Address; readonly destination: Ipv6Address }
  | { readonly type: "ipv4"; readonly source: Ipv4Address; readonly destination: Ipv4Address }
  | {
      readonly type: "udp";
      readonly source: IpAddress;
      readonly sourcePort: number;
      readonly destination: IpAddress;
      readonly destinationPort: number;
    }
  /** On the home link itself, without a tunnel. */
  | { readonly type: "home-link" };

/** What happens to signalling on the way; payload is only delayed, so that every lost packet is somebody's fault. */
export interface Weather {
  /** Probabilities. */
  loss: number;
  duplication: number;
  /** Added to the latency, up to this many milliseconds; more than the time between packets means reordering. */
  jitterMs: number;
}

export const fineWeather = (): Weather => ({ loss: 0, duplication: 0, jitterMs: 0 });

/** Translates addresses and ports; a mapping lives `timeoutMs` from the last packet that left through it. */
export class Nat {
  readonly publicAddress: Ipv4Address;
  readonly timeoutMs: number;
  #nextPort = 40000;
  #mappings: { readonly inside: string; readonly port: number; usedAt: number }[] = [];

  constructor(publicAddress: Ipv4Address, timeoutMs = 120_000) {
    this.publicAddress = publicAddress;
    this.timeoutMs = timeoutMs;
  }

  /** The public port for a packet from inside. */
  leave(address: Ipv4Address, port: number, now: number): number {
    const inside = `${address}:${port}`;
    const known = this.#alive(now).find((mapping) => mapping.inside === inside);
    const mapping = known ?? { inside, port: this.#nextPort++, usedAt: now };
    mapping.usedAt = now;
    if (known === undefined) this.#mappings.push(mapping);
    return mapping.port;
  }

  /** The inside address for a packet to a public port, if there is a mapping. */
  enter(port: number, now: number): Ipv4Address | undefined {
    const mapping = this.#alive(now).find((one) => one.port === port);
    return mapping?.inside.split(":")[0] as Ipv4Address | undefined;
  }

  /** As a restart of the box does. */
  forgetMappings(): void {
    this.#mappings = [];
  }

  #alive(now: number) {
    this.#mappings = this.#mappings.filter((mapping) => now - mapping.usedAt < this.timeoutMs);
    return this.#mappings;
  }
}

/** A network that mobile nodes can plug into. */
export interface Access {
  readonly name: string;
  readonly latencyMs: number;
  readonly home?: boolean;
  readonly nat?: Nat;
  readonly weather: Weather;
  /** Kinds of outer headers that do not pass, in either direction. */
  readonly blocked: Set<Outer["type"]>;
}

export function access(name: string, options: Partial<Pick<Access, "latencyMs" | "home" | "nat">> = {}): Access {
  return { name, latencyMs: 10, weather: fineWeather(), blocked: new Set(), ...options };
}

/** A node's link to an access network. */
export interface Plug {
  readonly access: Access;
  readonly ipv6?: Ipv6Address;
  readonly ipv4?: Ipv4Address;
}

/** What leaves an access network towards the home agent, after its NAT; undefined if it does not get out. */
export function outward(plug: Plug, outer: Outer, now: number): Outer | undefined {
  const { access: network } = plug;
  if (network.blocked.has(outer.type)) return undefined;
  if (outer.type === "home-link") return network.home === true ? outer : undefined;
  if (outer.source !== plug.ipv6 && outer.source !== plug.ipv4) return undefined;
  if (network.nat === undefined || outer.type === "ipv6") return outer;
  if (outer.type === "udp" && isIpv6(outer.source)) return outer;
  if (outer.type === "ipv4") return undefined; // protocol 41 and 4 have no ports to translate
  const sourcePort = network.nat.leave(outer.source as Ipv4Address, outer.sourcePort, now);
  return { ...outer, source: network.nat.publicAddress, sourcePort };
}

/** Whether a packet from the home agent comes out at this plug. */
export function reaches(plug: Plug, outer: Outer, now: number): boolean {
  const { access: network, ipv6, ipv4 } = plug;
  if (network.blocked.has(outer.type)) return false;
  if (outer.type === "home-link") return network.home === true;
  if (outer.type === "ipv6") return ipv6 === outer.destination;
  if (network.nat === undefined) return ipv4 === outer.destination;
  if (outer.type !== "udp" || outer.destination !== network.nat.publicAddress || ipv4 === undefined) return false;
  return network.nat.enter(outer.destinationPort, now) === ipv4;
}

/** Brings something over an access network, in whatever weather there is. */
export function carry(queue: EventQueue, network: Access, random: () => number, deliver: () => void): void {
  const { loss, duplication, jitterMs } = network.weather;
  const copies = random() < duplication ? 2 : 1;
  for (let i = 0; i < copies; i++) {
    if (random() >= loss) queue.after(network.latencyMs + jitterMs * random(), deliver);
  }
}

/** The endpoint of a node as a packet from it shows it. */
export function endpointOf(outer: Exclude<Outer, { readonly type: "home-link" }>): Endpoint {
  if (outer.type === "udp") return { format: "udp", address: outer.source, port: outer.sourcePort };
  return outer.type === "ipv6" ? { format: "ipv6", address: outer.source } : { format: "ipv4", address: outer.source };
}
