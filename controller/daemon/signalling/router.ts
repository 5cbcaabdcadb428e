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
  /** Never empty. */
  readonly listeners: SignallingListener[];
}

export class SignallingRouter implements SignallingReceiver {
  readonly #ports: SignallingPorts;
  readonly #bySelf = new Map<Ipv6Address, Addressee>();

  #formerPayloadOctets = 0;
  readonly #onUnheard: (detail: string) => void;

  /** `onUnheard`: something came in while nobody listens any more. */
  constructor(ports: SignallingPorts, onUnheard: (detail: string) => void) {
    this.#ports = ports;
    this.#onUnheard = onUnheard;
  }

  /**
   * Of several listeners of one address the first one that takes the message gets it, and the first of all what nobody takes. The returned
   * function takes the listener out.
   */
  add(site: SignallingSite, listener: SignallingListener): () => void {
    const { self } = site;
    const present = this.#bySelf.get(self) ?? this.#addressee(site, listener);
    const { listeners } = present;
    if (!listeners.includes(listener)) listeners.push(listener);
    this.#bySelf.set(self, present);
    return () => {
      if (!listeners.includes(listener)) return;
      listeners.splice(listeners.indexOf(listener), 1);
      if (listeners.length > 0) return;
      this.#bySelf.delete(self);
      this.#formerPayloadOctets += present.signalling.payloadOctets;
    };
  }

  #addressee(site: SignallingSite, first: SignallingListener): Addressee {
    const listeners = [first];
    const signalling = new Signalling(site, this.#ports, {
      onMessage: (message, arrival, octets) => {
        const awaiting = arrival.destination === site.self ? undefined : this.#awaiting(message, arrival);
        const taker = awaiting ?? listeners.find((one) => one.takes?.(message) ?? true) ?? listeners[0];
        taker?.onMessage(message, arrival, octets);
      },
      onPrefixMessage: (message, arrival) =>
        listeners.find((one) => one.onPrefixMessage !== undefined)?.onPrefixMessage?.(message, arrival),
      onDrop: (reason, detail) => listeners[0]?.onDrop(reason, detail),
    });
    return { signalling, listeners };
  }

  /** To the first one of the address that it was sent to; for all others the first of all answers, as it does for messages. */
  optionRefused(packet: Parameters<NonNullable<SignallingListener["onOptionRefused"]>>[0]): void {
    const addressee = this.#bySelf.get(packet.destination) ?? this.#first;
    addressee?.listeners[0]?.onOptionRefused?.(packet);
  }

  get #first(): Addressee | undefined {
    const [first] = this.#bySelf.values();
    return first;
  }

  /** That came in where only signalling should. */
  get payloadOctets(): number {
    let octets = this.#formerPayloadOctets;
    for (const { signalling } of this.#bySelf.values()) octets += signalling.payloadOctets;
    return octets;
  }

  /** Throws what the socket throws. Nothing is sent before somebody listens. */
  send(effect: SignallingEffect): void {
    this.#for(effect.source)?.send(effect);
  }

  receiveUdp(packet: UdpPacket): void {
    const inner = this.#bySelf.size > 1 ? decodeIpv6Packet(packet.bytes) : undefined;
    this.#receiver(inner?.ok === true ? inner.value.header.destination : undefined, "UDP")?.receiveUdp(packet);
  }

  receiveEncapsulated(packet: Parameters<SignallingReceiver["receiveEncapsulated"]>[0]): void {
    const inner = this.#bySelf.size > 1 ? decodeIpv6Packet(packet.bytes) : undefined;
    this.#for(inner?.ok === true ? inner.value.header.destination : undefined)?.receiveEncapsulated(packet);
  }

  receiveTun(packet: Uint8Array): void {
    const inner = this.#bySelf.size > 1 ? decodeIpv6Packet(packet) : undefined;
    this.#receiver(inner?.ok === true ? inner.value.header.source : undefined, "TUN")?.receiveTun(packet);
  }

  receiveMobilityHeader(packet: MobilityHeaderIn): void {
    this.#receiver(packet.destination, "Mobility Header")?.receiveMobilityHeader(packet);
  }

  #awaiting(message: MobilityMessage, arrival: Arrival): SignallingListener | undefined {
    for (const { listeners } of this.#bySelf.values()) {
      const found = listeners.find((one) => one.awaits?.(message, arrival) === true);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #receiver(self: Ipv6Address | undefined, what: string): Signalling | undefined {
    const found = this.#for(self);
    if (found === undefined) this.#onUnheard(what);
    return found;
  }

  #for(self: Ipv6Address | undefined): Signalling | undefined {
    return ((self === undefined ? undefined : this.#bySelf.get(self)) ?? this.#first)?.signalling;
  }
}
