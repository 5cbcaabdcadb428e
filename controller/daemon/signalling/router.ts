/** Brings messages to whom they are for, where several services share the signalling sockets: by our address, then by who takes it. */
import type { Ipv6Address } from "../../base/ip.js";
import type { Arrival, SignallingEffect } from "../../protocol/mip6/inputs.js";
import { decodeIpv6Packet } from "../../wire/ip/ipv6.js";
import type { MobilityMessage } from "../../wire/mip6/messages/mobility-message.js";
import {
  type MobilityHeaderIn,
  Signalling,
  type SignallingListener,
  type SignallingPorts,
  type SignallingReceiver,
  type SignallingSite,
  type UdpPacket,
} from "./signalling.js";

interface Addressee {
  readonly signalling: Signalling;
  readonly listeners: SignallingListener[];
}

export class SignallingRouter implements SignallingReceiver {
  readonly #ports: SignallingPorts;
  readonly #bySelf = new Map<Ipv6Address, Addressee>();
  /** Counts what is for none of them. */
  #first: Signalling | undefined;

  constructor(ports: SignallingPorts) {
    this.#ports = ports;
  }

  /** Of several listeners of one address the first one that takes the message gets it, and the first of all what nobody takes. */
  add(site: SignallingSite, listener: SignallingListener): void {
    const present = this.#bySelf.get(site.self);
    if (present !== undefined) {
      present.listeners.push(listener);
      return;
    }
    const listeners = [listener];
    const signalling = new Signalling(site, this.#ports, {
      onMessage: (message, arrival, octets) => {
        const awaiting = arrival.destination === site.self ? undefined : this.#awaiting(message, arrival);
        const taker = awaiting ?? listeners.find((one) => one.takes?.(message) ?? true) ?? listener;
        taker.onMessage(message, arrival, octets);
      },
      onPrefixMessage: (message, arrival) =>
        listeners.find((one) => one.onPrefixMessage !== undefined)?.onPrefixMessage?.(message, arrival),
      onDrop: (reason, detail) => listener.onDrop(reason, detail),
    });
    this.#bySelf.set(site.self, { signalling, listeners });
    this.#first ??= signalling;
  }

  /** That came in where only signalling should. */
  get payloadOctets(): number {
    let octets = 0;
    for (const { signalling } of this.#bySelf.values()) octets += signalling.payloadOctets;
    return octets;
  }

  /** Throws what the socket throws. Nothing is sent before somebody listens. */
  send(effect: SignallingEffect): void {
    this.#for(effect.source)?.send(effect);
  }

  receiveUdp(packet: UdpPacket): void {
    const inner = this.#bySelf.size > 1 ? decodeIpv6Packet(packet.bytes) : undefined;
    this.#for(inner?.ok === true ? inner.value.header.destination : undefined)?.receiveUdp(packet);
  }

  receiveTun(packet: Uint8Array): void {
    const inner = this.#bySelf.size > 1 ? decodeIpv6Packet(packet) : undefined;
    this.#for(inner?.ok === true ? inner.value.header.source : undefined)?.receiveTun(packet);
  }

  receiveMobilityHeader(packet: MobilityHeaderIn): void {
    this.#for(packet.destination)?.receiveMobilityHeader(packet);
  }

  #awaiting(message: MobilityMessage, arrival: Arrival): SignallingListener | undefined {
    for (const { listeners } of this.#bySelf.values()) {
      const found = listeners.find((one) => one.awaits?.(message, arrival) === true);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #for(self: Ipv6Address | undefined): Signalling | undefined {
    return (self === undefined ? undefined : this.#bySelf.get(self)?.signalling) ?? this.#first;
  }
}
