/**
 * What keeps a NAT's mapping (RFC 3519 §4.9): an ICMP echo request through the tunnel to the home agent after so many seconds in which the
 * node has sent nothing through it. The home agent's kernel answers; who stays without an answer is told (§4.10). Nobody announces packets,
 * so a counter is looked at, locally and only behind a NAT.
 */
import type { Ipv4Address } from "../../../base/ip.js";
import { type Instant, type Seconds, seconds } from "../../../base/time.js";

export interface Tunnel {
  readonly homeAddress: Ipv4Address;
  readonly homeAgent: Ipv4Address;
  /** Of silence. */
  readonly keepalive: Seconds;
}

export interface KeepalivePorts {
  /** Packets that have gone into the tunnels so far. */
  readonly packets: () => number;
  /** Sends an echo request through the tunnel. */
  readonly ask: (source: Ipv4Address, destination: Ipv4Address, sequence: number) => void;
  readonly setTimer: (delayMs: number, done: () => void) => () => void;
  readonly now: () => Instant;
  /** The home agent has not answered so many requests in a row. */
  readonly onSilence: () => void;
}

/** The counter is looked at so often in an interval: silence lasts at most this part of it longer. */
const LOOKS = 10;
const ANSWER_WAIT_MS = 2000;
/** After so many requests without an answer the NAT, or the home agent, has forgotten the node. */
const VAIN = 3;

export class Keepalive {
  readonly #ports: KeepalivePorts;
  #tunnel: Tunnel | undefined;
  #packets = 0;
  #sentAt: Instant | undefined;
  #sequence = 0;
  #vain = 0;
  #cancelLook: (() => void) | undefined;
  #cancelWait: (() => void) | undefined;

  constructor(ports: KeepalivePorts) {
    this.#ports = ports;
  }

  /** Undefined: there is no mapping to be kept. A registration that was just accepted has renewed it. */
  follow(tunnel: Tunnel | undefined): void {
    const same = JSON.stringify(tunnel) === JSON.stringify(this.#tunnel);
    if (same) return;
    this.close();
    this.#tunnel = tunnel;
    if (tunnel === undefined) return;
    this.#packets = this.#ports.packets();
    this.#sentAt = this.#ports.now();
    this.#arm(tunnel);
  }

  /** An echo reply of the home agent has come. */
  answered(source: Ipv4Address, sequence: number): void {
    if (source !== this.#tunnel?.homeAgent || sequence !== this.#sequence) return;
    this.#vain = 0;
    this.#cancelWait?.();
    this.#cancelWait = undefined;
  }

  close(): void {
    this.#cancelLook?.();
    this.#cancelWait?.();
    this.#cancelLook = undefined;
    this.#cancelWait = undefined;
    this.#vain = 0;
    this.#tunnel = undefined;
  }

  #arm(tunnel: Tunnel): void {
    this.#cancelLook = this.#ports.setTimer((tunnel.keepalive * 1000) / LOOKS, () => {
      this.#arm(tunnel);
      this.#look(tunnel);
    });
  }

  #look(tunnel: Tunnel): void {
    const packets = this.#ports.packets();
    const now = this.#ports.now();
    if (packets !== this.#packets) {
      this.#packets = packets;
      this.#sentAt = now;
      return;
    }
    const step = tunnel.keepalive / LOOKS;
    const silent = seconds((now - (this.#sentAt ?? now)) / 1000);
    if (silent + step / 2 >= tunnel.keepalive && this.#cancelWait === undefined) this.#ask(tunnel);
  }

  #ask(tunnel: Tunnel): void {
    this.#sequence = (this.#sequence + 1) & 0xffff;
    this.#ports.ask(tunnel.homeAddress, tunnel.homeAgent, this.#sequence);
    this.#packets = this.#ports.packets();
    this.#sentAt = this.#ports.now();
    this.#cancelWait = this.#ports.setTimer(ANSWER_WAIT_MS, () => {
      this.#cancelWait = undefined;
      this.#vain += 1;
      if (this.#vain < VAIN) return this.#ask(tunnel);
      this.#vain = 0;
      this.#ports.onSilence();
    });
  }
}
