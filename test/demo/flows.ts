/**
 * The applications: for each mobile node a UDP flow in each family and each direction between it and the correspondent. One process
 * holds all ends, in sockets opened in the machines' namespaces, so there is one clock. The mobile nodes' sockets are not bound to
 * the home addresses: the kernel has to choose them by itself, and what comes from another address does not count as arrived.
 */
import { performance } from "node:perf_hooks";
import type { Family, IpAddress } from "../../controller/base/ip.js";
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
}

/** All flows, by number. */
export const FLOWS: readonly Flow[] = NODES.flatMap((node) =>
  ([6, 4] as const).flatMap((family) => (["up", "down"] as const).map((direction) => ({ node, family, direction }))),
).map((flow, number) => ({ number, ...flow }));

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
  readonly #records = FLOWS.map(() => new FlowRecord());
  readonly #senders: Sender[] = [];
  readonly #strayed = new Map<string, number>();
  readonly #periodMs: number;
  #timer: NodeJS.Timeout | undefined;
  #nextAt = 0;

  /** `rate`: packets a second of each flow. */
  constructor(topology: Topology, rate: number) {
    this.#periodMs = MS / rate;
    for (const family of [6, 4] as const) {
      this.#open(topology.path("cn"), family, (flow) => flow.direction === "down");
      for (const node of NODES) {
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

  /** Of the packets that each flow of the node has sent since the mark, how many have arrived; the flow with the fewest counts. */
  arrivedSince(node: MobileNode, mark: Mark): number {
    return Math.min(...flowsOf(node).map(({ number }) => this.#record(number).arrivedSince(mark[number] ?? 0)));
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
    const flows = FLOWS.filter((flow) => flow.family === family && sends(flow));
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

  #packet({ number, node, family, direction }: Flow, now: number): OutgoingPacket {
    const sequence = this.#record(number).send(now);
    const data = encodeFlowPacket({ flow: number, sequence });
    const destination = direction === "up" ? correspondentAddress(family) : homeAddressOf(node, family);
    return { data, destination, destinationPort: PORT };
  }

  #receive(packets: readonly IpPacket[], direction: Direction): void {
    for (const { data, source } of packets) {
      const packet = decodeFlowPacket(data);
      const flow = packet === undefined ? undefined : FLOWS[packet.flow];
      if (packet === undefined || flow === undefined || flow.direction !== direction) continue;
      const expected = direction === "up" ? homeAddressOf(flow.node, flow.family) : correspondentAddress(flow.family);
      if (source === expected) this.#record(flow.number).receive(packet.sequence);
      else this.#strayed.set(source, (this.#strayed.get(source) ?? 0) + 1);
    }
  }
}

export function homeAddressOf(node: MobileNode, family: Family): IpAddress {
  return family === 6 ? node.homeAddress : node.ipv4HomeAddress;
}

export function correspondentAddress(family: Family): IpAddress {
  return family === 6 ? CORRESPONDENT.ipv6 : CORRESPONDENT.ipv4;
}
