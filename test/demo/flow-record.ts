/**
 * The bookkeeping of one UDP flow with sequence numbers: what was sent when, what arrived, and how often. Pure: times come in.
 * Milliseconds throughout, all from one clock, because one process holds both ends of every flow.
 */

/** What happened to the packets sent in one stretch of time. */
export interface FlowSummary {
  readonly sent: number;
  readonly lost: number;
  readonly duplicated: number;
  /** The longest stretch of sending of which nothing arrived. */
  readonly outageMs: number;
  /** Lost packets that were sent within one of the `excused` intervals (the node had no network then). */
  readonly excused: number;
}

export interface Interval {
  readonly from: number;
  readonly to: number;
}

export const FLOW_PACKET_OCTETS = 12;

export interface FlowPacket {
  readonly flow: number;
  readonly sequence: number;
}

/** Magic, flow, sequence: 12 octets, network byte order. */
export function encodeFlowPacket({ flow, sequence }: FlowPacket): Uint8Array {
  const bytes = new Uint8Array(FLOW_PACKET_OCTETS);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x44534d49);
  view.setUint32(4, flow);
  view.setUint32(8, sequence);
  return bytes;
}

export function decodeFlowPacket(bytes: Uint8Array): FlowPacket | undefined {
  if (bytes.length !== FLOW_PACKET_OCTETS) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, FLOW_PACKET_OCTETS);
  return view.getUint32(0) === 0x44534d49 ? { flow: view.getUint32(4), sequence: view.getUint32(8) } : undefined;
}

export class FlowRecord {
  readonly #sentAt: number[] = [];
  readonly #arrivals: number[] = [];
  /** Of the first copy. */
  readonly #arrivedAt: number[] = [];

  /** The sequence number of a packet that is being sent now. */
  send(now: number): number {
    this.#arrivals.push(0);
    return this.#sentAt.push(now) - 1;
  }

  /** A send that the kernel refused is no packet on any wire, but it is one that the application wanted to send: it counts as lost. */
  receive(sequence: number, now: number): void {
    const before = this.#arrivals[sequence];
    if (before === undefined) return;
    this.#arrivals[sequence] = before + 1;
    if (before === 0) this.#arrivedAt[sequence] = now;
  }

  get sent(): number {
    return this.#sentAt.length;
  }

  /** How many of the packets sent from sequence number `from` on have arrived. */
  arrivedSince(from: number): number {
    return this.#arrivals.slice(from).filter((count) => count > 0).length;
  }

  /** How long the packets with sequence numbers in [from, to) that have arrived were on their way. */
  delays(from: number, to: number): readonly number[] {
    return this.#sentAt.slice(from, to).flatMap((sentAt, i) => {
      const arrivedAt = this.#arrivedAt[from + i];
      return arrivedAt === undefined ? [] : [arrivedAt - sentAt];
    });
  }

  /** When the packets with sequence numbers in [from, to) that did not arrive were sent. */
  lostAt(from: number, to: number): readonly number[] {
    return this.#sentAt.slice(from, to).filter((_, i) => (this.#arrivals[from + i] ?? 0) === 0);
  }

  /** The packets with sequence numbers in [from, to). */
  summary(from: number, to: number, excused: readonly Interval[] = []): FlowSummary {
    let lost = 0;
    let duplicated = 0;
    let excusedLosses = 0;
    let outageMs = 0;
    let outageStart: number | undefined;
    for (let i = from; i < to; i++) {
      const at = this.#sentAt[i] ?? 0;
      const arrivals = this.#arrivals[i] ?? 0;
      duplicated += Math.max(0, arrivals - 1);
      if (arrivals > 0) {
        outageStart = undefined;
        continue;
      }
      lost++;
      if (excused.some((interval) => at >= interval.from && at <= interval.to)) excusedLosses++;
      outageStart ??= at;
      outageMs = Math.max(outageMs, (this.#sentAt[i + 1] ?? at) - outageStart);
    }
    return { sent: to - from, lost, duplicated, outageMs, excused: excusedLosses };
  }
}

/** Sums of counts, the longest of outages. */
export function combine(summaries: readonly FlowSummary[]): FlowSummary {
  const total = (pick: (one: FlowSummary) => number): number => summaries.reduce((sum, one) => sum + pick(one), 0);
  return {
    sent: total((one) => one.sent),
    lost: total((one) => one.lost),
    duplicated: total((one) => one.duplicated),
    excused: total((one) => one.excused),
    outageMs: Math.max(0, ...summaries.map((one) => one.outageMs)),
  };
}
