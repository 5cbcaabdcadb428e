/**
 * The applications: for each mobile node a UDP flow in each family and each direction between it and the correspondent, or what else
 * a scene wants. One process
 * holds all ends, in sockets opened in the machines' namespaces, so there is one clock. The mobile nodes' sockets are not bound to
 * the home addresses: the kernel has to choose them by itself, and what comes from another address does not count as arrived.
 */
import { performance } from "node:perf_hooks";
import { type Family, type IpAddress, isIpv4 } from "../../controller/base/ip.js";
import type { IpPacket, IpSocket, OutgoingPacket } from "../../controller/io/ip/ip-socket.js";
import { openUdpSocket } from "../../controller/io/ip/udp-socket.js";
import {
  combine,
  decodeFlowPacket,
  encodeFlowPacket,
  FlowRecord,
  type FlowSummary,
  type Interval,
} from "./flow-record.js";
import { CORRESPONDENT, type MobileNode, NODES, type Topology } from "./topology.js";

export type Direction = "up" | "down";

export interface Flow {
  /** Stands in its packets. */
  readonly number: number;
  readonly node: MobileNode;
  readonly family: Family;
  /** "up" is from the mobile node to the correspondent. */
  readonly direction: Direction;
  /** The other end. */
  readonly correspondent: IpAddress;
}

/** Both directions between each of the pairs, numbered from 0. */
export const flowsBetween = (pairs: readonly Pick<Flow, "node" | "correspondent">[]): readonly Flow[] =>
  pairs
    .flatMap((pair) => (["up", "down"] as const).map((direction) => ({ ...pair, direction })))
    .map((flow, number) => ({ number, family: isIpv4(flow.correspondent) ? 4 : 6, ...flow }));

/** All flows of the tours. */
export const FLOWS: readonly Flow[] = flowsBetween(
  NODES.flatMap((node) => [CORRESPONDENT.ipv6, CORRESPONDENT.ipv4].map((correspondent) => ({ node, correspondent }))),
);

export function flowsOf(node: MobileNode): readonly Flow[] {
  return FLOWS.filter((flow) => flow.node === node);
}

/** The next sequence number of each flow at one moment. */
export type Mark = readonly number[];

const PORT = 5000;
const MS = 1000;
/** After a longer stall of this process the missed packets are not made up for: a burst would be lost in socket buffers. */
const MAX_BURST = 10;

interface Sender {
  readonly socket: IpSocket;
  readonly flows: readonly Flow[];
}

export class Flows {
  readonly #flows: readonly Flow[];
  readonly #records: readonly FlowRecord[];
  readonly #senders: Sender[] = [];
  readonly #strayed = new Map<string, number>();
  readonly #periodMs: number;
  #timer: NodeJS.Timeout | undefined;
  #nextAt = 0;

  /** `rate`: packets a second of each flow. */
  constructor(topology: Topology, rate: number, flows: readonly Flow[] = FLOWS) {
    this.#periodMs = MS / rate;
    this.#flows = flows;
    this.#records = flows.map(() => new FlowRecord());
    for (const family of [6, 4] as const) {
      this.#open(topology.path("cn"), family, (flow) => flow.direction === "down");
      for (const node of new Set(flows.map((flow) => flow.node))) {
        this.#open(topology.path(node.name), family, (flow) => flow.direction === "up" && flow.node === node);
      }
    }
  }

  start(): void {
    this.#nextAt = performance.now();
    this.#timer = setInterval(() => this.#tick(), this.#periodMs);
  }

  /** Ends the flows and gives the sockets back. */
  close(): void {
    clearInterval(this.#timer);
    for (const { socket } of this.#senders) socket.close();
  }

  mark(): Mark {
    return this.#records.map((record) => record.sent);
  }

  /** Of the packets that each of the flows has sent since the mark, how many have arrived; the flow with the fewest counts. */
  arrivedSince(flows: readonly Flow[], mark: Mark): number {
    return Math.min(...flows.map(({ number }) => this.#record(number).arrivedSince(mark[number] ?? 0)));
  }

  /** From sender to receiver, the median of what was sent between two marks; undefined if nothing of it arrived. */
  delayMs({ number }: Flow, from: Mark, to: Mark): number | undefined {
    const delays = [...this.#record(number).delays(from[number] ?? 0, to[number] ?? 0)].sort((a, b) => a - b);
    return delays[Math.floor(delays.length / 2)];
  }

  /** The packets that the flows sent between two marks. */
  summary(flows: readonly Flow[], from: Mark, to: Mark, excused: readonly Interval[] = []): FlowSummary {
    const parts = flows.map(({ number }) => this.#record(number).summary(from[number] ?? 0, to[number] ?? 0, excused));
    return combine(parts);
  }

  /** Which flows lost what and when, in the time of the daemons' logs. */
  describeLosses(flows: readonly Flow[], from: Mark, to: Mark): string {
    const parts = flows.flatMap(({ number, family, direction }) => {
      const times = this.#record(number).lostAt(from[number] ?? 0, to[number] ?? 0);
      const [first] = times;
      if (first === undefined) return [];
      const clock = (at: number): string => new Date(performance.timeOrigin + at).toISOString().slice(11, 23);
      return [`IPv${family} ${direction} ${times.length}, sent ${clock(first)} to ${clock(times.at(-1) ?? first)}`];
    });
    return parts.join("; ");
  }

  /** Packets that came from, or to, another address than the home address, with the address and their number. */
  get strayed(): ReadonlyMap<string, number> {
    return this.#strayed;
  }

  #record(number: number): FlowRecord {
    return this.#records[number] as FlowRecord;
  }

  #open(netns: string, family: Family, sends: (flow: Flow) => boolean): void {
    const options = { netns, port: PORT, maxQueued: 0 };
    const socket: IpSocket =
      family === 6 ? openUdpSocket({ ...options, family: 6 }) : openUdpSocket({ ...options, family: 4 });
    const flows = this.#flows.filter((flow) => flow.family === family && sends(flow));
    const direction = flows[0]?.direction;
    socket.listen({
      // What this end receives belongs to flows of the other direction.
      onPackets: (packets) => this.#receive(packets, direction === "up" ? "down" : "up"),
      onError: () => undefined, // refused packets are lost packets and counted as such
    });
    this.#senders.push({ socket, flows });
  }

  #tick(): void {
    const now = performance.now();
    const due = Math.floor((now - this.#nextAt) / this.#periodMs) + 1;
    if (due <= 0) return;
    this.#nextAt = due > MAX_BURST ? now + this.#periodMs : this.#nextAt + due * this.#periodMs;
    const times = Math.min(due, MAX_BURST);
    for (const { socket, flows } of this.#senders) {
      const packets: OutgoingPacket[] = [];
      for (let i = 0; i < times; i++) for (const flow of flows) packets.push(this.#packet(flow, now));
      socket.send(packets);
    }
  }

  #packet({ number, node, family, direction, correspondent }: Flow, now: number): OutgoingPacket {
    const sequence = this.#record(number).send(now);
    const data = encodeFlowPacket({ flow: number, sequence });
    if (direction === "up") return { data, destination: correspondent, destinationPort: PORT };
    return { data, source: correspondent, destination: homeAddressOf(node, family), destinationPort: PORT };
  }

  #receive(packets: readonly IpPacket[], direction: Direction): void {
    const now = performance.now();
    for (const { data, source } of packets) {
      const packet = decodeFlowPacket(data);
      const flow = packet === undefined ? undefined : this.#flows[packet.flow];
      if (packet === undefined || flow === undefined || flow.direction !== direction) continue;
      const expected = direction === "up" ? homeAddressOf(flow.node, flow.family) : flow.correspondent;
      if (source === expected) this.#record(flow.number).receive(packet.sequence, now);
      else this.#strayed.set(source, (this.#strayed.get(source) ?? 0) + 1);
    }
  }
}

export function homeAddressOf(node: MobileNode, family: Family): IpAddress {
  return family === 6 ? node.homeAddress : node.ipv4HomeAddress;
}
