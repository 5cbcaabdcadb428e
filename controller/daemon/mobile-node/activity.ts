/**
 * When a node that need not be reached talks again after it was idle for longer than a NAT remembers (RFC 5555 §4.3): it then tells the home
 * agent where it is, before the answers are missed. Nobody announces packets, so a counter is looked at, locally and only in such networks.
 */
import { readFileSync } from "node:fs";
import { type Instant, type Seconds, seconds } from "../../base/time.js";
import { clock } from "../clock.js";
import { monotonicNow } from "../machine-loop.js";

const LOOK_MS = 500;
/** The node's tunnels. */
const DEVICES = "dsmip-t";

export interface ActivityPorts {
  /** Packets that have gone into the tunnels so far. */
  readonly packets: () => number;
  readonly setTimer: (delayMs: number, done: () => void) => () => void;
  readonly now: () => Instant;
}

const THIS_MACHINE: ActivityPorts = { packets: sentPackets, setTimer: clock.setTimer, now: monotonicNow };

/** A registration behind a NAT. */
export interface Mapped {
  readonly acceptedAt: Instant;
  /** How long the NAT remembers. */
  readonly keepalive: Seconds | undefined;
}

export class Activity {
  readonly #onWake: () => void;
  readonly #ports: ActivityPorts;
  #mapped: Mapped | undefined;
  #packets = 0;
  #activeAt: Instant | undefined;
  #cancel: (() => void) | undefined;

  constructor(onWake: () => void, ports = THIS_MACHINE) {
    this.#onWake = onWake;
    this.#ports = ports;
  }

  /** Undefined, or without `keepalive`: there is nothing that could be forgotten. */
  follow(registration: Mapped | undefined): void {
    const mapped = registration?.keepalive === undefined ? undefined : registration;
    if (mapped?.acceptedAt === this.#mapped?.acceptedAt) return;
    this.#mapped = mapped;
    // The update has just made or renewed the mapping.
    this.#activeAt = mapped?.acceptedAt;
    if (mapped === undefined) return this.close();
    this.#packets = this.#ports.packets();
    if (this.#cancel === undefined) this.#arm();
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(): void {
    this.#cancel = this.#ports.setTimer(LOOK_MS, () => {
      this.#arm();
      this.#look();
    });
  }

  #look(): void {
    const packets = this.#ports.packets();
    const hasSent = packets > this.#packets;
    // With a tunnel goes what it has counted.
    this.#packets = packets;
    if (!hasSent || this.#mapped === undefined) return;
    const now = this.#ports.now();
    const idle = seconds((now - (this.#activeAt ?? now)) / 1000);
    this.#activeAt = now;
    if (idle > (this.#mapped.keepalive ?? 0)) this.#onWake();
  }
}

/** Of all tunnels; of this network namespace. */
export function sentPackets(): number {
  return packetsIn(readFileSync("/proc/net/dev", "utf8"));
}

/** The sum of the packets that the node's tunnels have sent, out of the text of /proc/net/dev. */
export function packetsIn(text: string): number {
  let sum = 0;
  for (const line of text.split("\n")) {
    const [device = "", counters = ""] = line.split(":");
    if (!device.trim().startsWith(DEVICES)) continue;
    sum += Number(counters.trim().split(/\s+/)[SENT_PACKETS] ?? 0);
  }
  return sum;
}

/** The column: after eight of what was received, and the octets. */
const SENT_PACKETS = 9;
