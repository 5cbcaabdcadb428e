/**
 * What dsmipd says and hears on a home link itself: duplicate address detection before a first registration, and the unsolicited
 * advertisements (neighbour advertisement, gratuitous ARP) by which addresses change hands. Answering solicitations is the kernel's
 * work (proxy neighbour entries). RFC 6275 §10.3.1, §10.4.1; RFC 4862 §5.4; RFC 5944 §4.6.
 */
import { IPV6_ANY, type IpAddress, type Ipv4Address, type Ipv6Address, ipToBytes, isIpv4 } from "../../base/ip.js";
import { decodeIcmpv6, encodeIcmpv6, withIcmpv6Checksum } from "../../wire/icmpv6.js";
import { ARP_OPERATION, ETHERTYPE, encodeArp } from "../../wire/ip/arp.js";
import { encodeIpv6Packet } from "../../wire/ip/ipv6.js";
import {
  type AddressedNd,
  dadProbe,
  ND_HOP_LIMIT,
  unsolicitedAdvertisement,
} from "../../wire/ip/neighbour-discovery.js";
import { Protocol } from "../../wire/ip/registry.js";

export interface LinkIdentity {
  readonly index: number;
  /** Link-layer address, 6 octets. */
  readonly mac: Uint8Array;
}

export interface HomeLinkPorts {
  /** The link of this name as it is now; undefined if it is not there or has no Ethernet address. */
  identify(device: string): LinkIdentity | undefined;
  /** The link-layer address that this machine has learnt of a neighbour; undefined if it knows none. */
  neighbour(device: string, address: Ipv4Address): Uint8Array | undefined;
  /** Sends an Ethernet payload. */
  sendFrame(link: LinkIdentity, etherType: number, destination: Uint8Array, payload: Uint8Array): void;
  /** Calls `done` once after `delayMs`; the function returned prevents it. */
  schedule(delayMs: number, done: () => void): () => void;
}

/** RetransTimer of RFC 4861 §10; DupAddrDetectTransmits is 1 (RFC 4862 §5.1). */
const DAD_WAIT_MS = 1000;
const BROADCAST_MAC = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);

interface Probe {
  readonly device: string;
  readonly cancel: () => void;
  readonly done: (conflict: boolean) => void;
}

export class HomeLink {
  readonly #ports: HomeLinkPorts;
  readonly #probes = new Map<Ipv6Address, Probe>();

  constructor(ports: HomeLinkPorts) {
    this.#ports = ports;
  }

  /**
   * Asks the link whether anybody has the address; `done(true)` as soon as somebody answers, `done(false)` after a second of silence,
   * or at once when the link is not there: who could answer? A second probe for the same address takes the place of the first.
   */
  probe(device: string, address: Ipv6Address, done: (conflict: boolean) => void): void {
    this.#probes.get(address)?.cancel();
    const link = this.#ports.identify(device);
    if (link === undefined) return done(false);
    const cancel = this.#ports.schedule(DAD_WAIT_MS, () => this.#finish(address, false));
    this.#probes.set(address, { device, cancel, done });
    this.#sendNd(link, dadProbe(address));
  }

  /** A neighbour advertisement for a probed address, or another node's probe for it, is a conflict (RFC 4862 §5.4.3, §5.4.4). */
  receiveIcmpv6(
    bytes: Uint8Array,
    from: { readonly source: Ipv6Address; readonly hopLimit: number; readonly device: string },
  ): void {
    if (from.hopLimit !== ND_HOP_LIMIT) return;
    const message = decodeIcmpv6(bytes);
    if (!message.ok) return;
    const { value } = message;
    const claims =
      value.type === "neighbour-advertisement" || (value.type === "neighbour-solicitation" && from.source === IPV6_ANY);
    if (claims && this.#probes.get(value.target)?.device === from.device) this.#finish(value.target, true);
  }

  /** Draws the addresses to this machine's link-layer address. Silent if the link is not there. */
  announce(device: string, addresses: readonly IpAddress[], router: boolean): void {
    const link = this.#ports.identify(device);
    if (link === undefined) return;
    for (const address of addresses) {
      if (isIpv4(address)) this.#sendGratuitousArp(link, address);
      else
        this.#sendNd(
          link,
          unsolicitedAdvertisement({ target: address, source: address, linkLayerAddress: link.mac, router }),
        );
    }
  }

  /** Draws the address to its own holder on the link, at home again, if the link-layer address of that is known (RFC 5944 §4.6). */
  announceNeighbour(device: string, address: Ipv4Address): void {
    const link = this.#ports.identify(device);
    const mac = this.#ports.neighbour(device, address);
    if (link !== undefined && mac !== undefined) this.#sendGratuitousArp({ ...link, mac }, address);
  }

  close(): void {
    for (const probe of this.#probes.values()) probe.cancel();
    this.#probes.clear();
  }

  #finish(address: Ipv6Address, conflict: boolean): void {
    const probe = this.#probes.get(address);
    if (probe === undefined) return;
    this.#probes.delete(address);
    probe.cancel();
    probe.done(conflict);
  }

  #sendGratuitousArp(link: LinkIdentity, address: Ipv4Address): void {
    const packet = encodeArp({
      operation: ARP_OPERATION.request,
      senderMac: link.mac,
      senderAddress: address,
      targetMac: new Uint8Array(6),
      targetAddress: address,
    });
    this.#ports.sendFrame(link, ETHERTYPE.arp, BROADCAST_MAC, packet);
  }

  #sendNd(link: LinkIdentity, { source, destination, message }: AddressedNd): void {
    const payload = withIcmpv6Checksum(encodeIcmpv6(message), source, destination);
    const header = {
      trafficClass: 0,
      flowLabel: 0,
      nextHeader: Protocol.icmpv6,
      hopLimit: ND_HOP_LIMIT,
      source,
      destination,
    };
    this.#ports.sendFrame(link, ETHERTYPE.ipv6, multicastMac(destination), encodeIpv6Packet({ header, payload }));
  }
}

/** RFC 2464 §7. */
function multicastMac(group: Ipv6Address): Uint8Array {
  return Uint8Array.of(0x33, 0x33, ...ipToBytes(group).subarray(12));
}
