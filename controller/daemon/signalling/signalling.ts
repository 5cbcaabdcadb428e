/**
 * Mobility messages between the wire and the machines: which socket a message takes, how the outer header is kept across the kernel's
 * IPsec, and what is dropped on the way with which reason. KERNEL.md draws the path.
 *
 * Over IPv6 a message comes from and goes to the Mobility Header socket, and the kernel does the rest (ESP, Home Address option, type 2
 * routing header). In UDP (over IPv4, and over IPv6 as the last resort) it comes in on the signalling port, goes into a TUN device with a flow label of ours, is checked
 * and decrypted by the kernel and arrives at the Mobility Header socket with that label; and the other way round on the way out.
 * Nothing leaves unprotected: what reaches the TUN device without ESP is dropped. Between a mobile node and a correspondent over IPv4 there
 * is no ESP: such messages take no device, and no kernel has looked at them.
 */
import { MobilityError } from "../../base/errors.js";
import { type IpAddress, type Ipv4Address, type Ipv6Address, isRoutableUnicast } from "../../base/ip.js";
import { fromMapped, fromProven, mappedAddress, provenAddress } from "../../base/mapped.js";
import {
  type Arrival,
  type Departure,
  type DropReason,
  NO_PORT,
  type OptionRefusedInput,
  type PrefixMessage,
  type SignallingEffect,
} from "../../protocol/mip6/inputs.js";
import { decodeIcmpv6, encodeIcmpv6 } from "../../wire/icmpv6.js";
import {
  decodeIpv6Packet,
  encodeIpv6Packet,
  flowLabelOf,
  type Ipv6Packet,
  isUnderEsp,
  setFlowLabel,
} from "../../wire/ip/ipv6.js";
import { Protocol } from "../../wire/ip/registry.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
  verifyChecksum,
  withChecksum,
} from "../../wire/mip6/messages/mobility-header.js";
import type { MobilityMessage } from "../../wire/mip6/messages/mobility-message.js";
import { decodeDestinationOptions, homeAddressOf } from "../../wire/mip6/options/destination.js";
import { type CodecContext, SOLIMAN_2004_PROFILE } from "../../wire/mip6/profile.js";
import { encodeType2RoutingHeader } from "../../wire/mip6/routing-header.js";
import { Correlation } from "./correlation.js";

/** Mobility Header messages, and the ICMPv6 messages of mobile prefix discovery, which take the same ways. */
export type SignallingProtocol = "mobility" | "icmpv6";

export interface MobilityHeaderIn {
  /** Default: mobility. */
  readonly protocol?: SignallingProtocol;
  readonly bytes: Uint8Array;
  readonly source: Ipv6Address;
  readonly destination: Ipv6Address;
  readonly device: string;
  readonly flowLabel: number;
  readonly destinationOptions: readonly Uint8Array[];
  readonly routingHeader?: Uint8Array;
}

export interface MobilityHeaderOut {
  /** Default: mobility. */
  readonly protocol?: SignallingProtocol;
  readonly bytes: Uint8Array;
  readonly source: Ipv6Address;
  readonly destination: Ipv6Address;
  readonly device?: string;
  readonly mark?: number;
  /** Into the TUN device, whatever the routes say. */
  readonly intoTun?: boolean;
  /** To an IPv4-mapped care-of address, in its proven form: into the device that leads there, whatever the routes say. */
  readonly intoMapped?: boolean;
  readonly flowLabel?: number;
  readonly routingHeader?: Uint8Array;
}

export interface UdpPacket {
  readonly bytes: Uint8Array;
  readonly localAddress: IpAddress;
  readonly remoteAddress: IpAddress;
  readonly remotePort: number;
  readonly device?: string;
}

/** An IPv6 packet in IPv4, protocol 41. */
export interface EncapsulatedPacket {
  /** Of the inner packet. */
  readonly bytes: Uint8Array;
  readonly localAddress: Ipv4Address;
  readonly remoteAddress: Ipv4Address;
  readonly device?: string;
  readonly mark: number;
}

/** The sockets. Each throws MobilityError or a system call's error when the kernel refuses. */
export interface SignallingPorts {
  sendMobilityHeader(packet: MobilityHeaderOut): void;
  sendUdp(packet: UdpPacket): void;
  /** Absent: nothing here sends so. */
  sendEncapsulated?(packet: EncapsulatedPacket): void;
  injectIntoTun(packet: Uint8Array): void;
}

/** Where the sockets bring what they receive. */
export interface SignallingReceiver {
  receiveUdp(packet: UdpPacket): void;
  /** A message in protocol 41: the process has a copy, with the outer header that the kernel's own tunnel would take off. */
  receiveEncapsulated(packet: Omit<EncapsulatedPacket, "mark">): void;
  receiveTun(packet: Uint8Array): void;
  receiveMobilityHeader(packet: MobilityHeaderIn): void;
}

export interface SignallingSite {
  /** Our own inner address: the home agent's address, or the mobile node's home address. */
  readonly self: Ipv6Address;
  /** Whether the kernel holds ESP policies for messages from this address, so that what comes from it natively has passed them. */
  isProtected(source: Ipv6Address): boolean;
  /** The TUN device's name. */
  readonly tunDevice: string;
  /** Mark of messages into the TUN device, by which policies know them. */
  readonly tunMark?: number;
  /** Socket mark of messages that leave over IPv6 without Home Address option or routing header. */
  readonly directMark: number;
  /** The device out of which IPv4-mapped care-of addresses come in their proven form (base/mapped.ts). Absent: none do. */
  readonly mappedDevice?: string;
  /** Whether messages from there may have the short options of the 2004 profile. Absent: nobody's may. */
  sendsShortOptions?(source: Ipv6Address): boolean;
  /** Whether messages from there may come in UDP without ESP, for the machine to judge. Absent: nobody's may. */
  speaksInClear?(source: Ipv6Address): boolean;
  /** The option type of the IPv4 route optimisation mode (C-41). Absent: there is no such option. */
  readonly roModeType?: number;
}

export interface SignallingListener {
  /** Where several listen for one address: whether this message is for it. Absent: all are. */
  takes?(message: MobilityMessage): boolean;
  /**
   * Of a message to none of the addresses that are listened for (a care-of address): whether it answers one of this listener's. Absent: none.
   */
  awaits?(message: MobilityMessage, arrival: Arrival): boolean;
  /** `octets`: the Mobility Header as it came, which its authenticator covers. */
  onMessage(message: MobilityMessage, arrival: Arrival, octets: Uint8Array): void;
  /** Absent: nobody asks for mobile prefix discovery here. */
  onPrefixMessage?(message: PrefixMessage, arrival: Arrival): void;
  onDrop(reason: DropReason, detail: string): void;
  /** The kernel has refused a packet with a Home Address option that was sent to this machine. */
  onOptionRefused?(packet: Omit<OptionRefusedInput, "kind">): void;
}

interface OuterHeader {
  readonly outerSource: IpAddress;
  readonly outerPort: number;
  readonly outerDestination: IpAddress;
}

/** What the firewall takes for signalling, and steers to the port. */
const SIGNALLING_HEADERS: ReadonlySet<number> = new Set([
  Protocol.esp,
  Protocol.mobility,
  Protocol.routing,
  Protocol.destinationOptions,
]);

/** Sent by the kernel about the device itself: never with a global source address. */
const isOwnNoise = ({ source }: { readonly source: Ipv6Address }): boolean => !isRoutableUnicast(source);

type UdpDeparture = Extract<Departure, { type: "udp" }>;

const HOP_LIMIT = 64;

const LARGEST_SIGNALLING_PACKET = 1500;

/**
 * Labels that are under way at a time. Incoming ones are of packets that nobody has proved anything about: as many as a few turns of the
 * event loop take from the socket, for what comes of them is there in the next turn or never. Outgoing ones are all the answers of a turn.
 */
const LABELS = { incoming: 1 << 12, outgoing: 1 << 16 } as const;

export class Signalling implements SignallingReceiver {
  readonly #site: SignallingSite;
  readonly #ports: SignallingPorts;
  readonly #listener: SignallingListener;
  readonly #incoming = new Correlation<OuterHeader>(LABELS.incoming);
  readonly #outgoing = new Correlation<UdpDeparture>(LABELS.outgoing);
  /** What is read from everybody. */
  readonly #plain: CodecContext;
  /** The 2004 options besides, told apart from those of RFC 5555 by their Length. */
  readonly #withShort: CodecContext;
  #payloadOctets = 0;

  constructor(site: SignallingSite, ports: SignallingPorts, listener: SignallingListener) {
    const { roModeType } = site;
    const draft = roModeType === undefined ? {} : { roModeType };
    this.#plain = { profile: draft };
    this.#withShort = { profile: { ...SOLIMAN_2004_PROFILE, ...draft } };
    this.#site = site;
    this.#ports = ports;
    this.#listener = listener;
  }

  /** Of packets that came to the signalling port or device and were no signalling: what the kernel should have carried past us. */
  get payloadOctets(): number {
    return this.#payloadOctets;
  }

  /** Sends a machine's message the way its departure says. Throws what the socket throws. */
  send({ message, source, destination, departure }: SignallingEffect): void {
    const packet = { ...encoded(message, this.#withShort), source, destination };
    switch (departure.type) {
      case "native-routed": {
        const mapped = fromMapped(departure.careOf);
        const firstHop = mapped === undefined ? departure.careOf : provenAddress(mapped);
        const routingHeader = encodeType2RoutingHeader({ nextHeader: 0, homeAddress: firstHop });
        return this.#ports.sendMobilityHeader({
          ...packet,
          routingHeader,
          ...(mapped !== undefined && { intoMapped: true }),
        });
      }
      case "native-home-address-option":
        return this.#ports.sendMobilityHeader(packet);
      case "native-direct": {
        const device = departure.device === undefined ? {} : { device: departure.device };
        return this.#ports.sendMobilityHeader({ ...packet, ...device, mark: this.#site.directMark });
      }
      case "udp":
        return this.#ports.sendMobilityHeader({
          ...packet,
          intoTun: true,
          // An advertisement has one on every way (RFC 6275 §10.6.3); the Home Address option of a solicitation is the kernel's to add.
          ...(message.type === "mobile-prefix-advertisement" && {
            routingHeader: encodeType2RoutingHeader({ nextHeader: 0, homeAddress: destination }),
          }),
          ...(this.#site.tunMark !== undefined && { mark: this.#site.tunMark }),
          flowLabel: this.#outgoing.remember(departure),
        });
      case "over-ipv4": {
        const { localAddress, remoteAddress, remotePort, device, hopLimit = HOP_LIMIT } = departure;
        const header = { trafficClass: 0, flowLabel: 0, nextHeader: Protocol.mobility, hopLimit, source, destination };
        const bytes = encodeIpv6Packet({ header, payload: withChecksum(packet.bytes, source, destination) });
        const outer = { bytes, localAddress, remoteAddress, ...(device !== undefined && { device }) };
        return remotePort === undefined
          ? this.#ports.sendEncapsulated?.({ ...outer, mark: this.#site.directMark })
          : this.#ports.sendUdp({ ...outer, remotePort });
      }
    }
  }

  /** A datagram on the signalling port: an inner IPv6 packet (RFC 5555 §4.1) that the firewall took for signalling. */
  receiveUdp({ bytes, localAddress, remoteAddress, remotePort }: UdpPacket): void {
    const from = `${remoteAddress}:${remotePort}`;
    const inner = decodeIpv6Packet(bytes);
    if (!inner.ok || !SIGNALLING_HEADERS.has(inner.value.header.nextHeader)) this.#payloadOctets += bytes.length;
    if (!inner.ok || bytes.length > LARGEST_SIGNALLING_PACKET) {
      return this.#listener.onDrop(
        "malformed",
        `UDP from ${from}: ${inner.ok ? `${bytes.length} octets` : inner.error.message}`,
      );
    }
    const { source, destination, nextHeader } = inner.value.header;
    if (destination !== this.#site.self)
      return this.#listener.onDrop("wrong-destination", `UDP from ${from}: inner destination ${destination}`);
    if (nextHeader === Protocol.mobility && remotePort !== NO_PORT && this.#site.speaksInClear?.(source) === true)
      return this.#receiveInClear(inner.value, {
        outerSource: remoteAddress,
        outerPort: remotePort,
        outerDestination: localAddress,
      });
    if (!this.#site.isProtected(source))
      return this.#listener.onDrop("not-a-subscriber", `UDP from ${from}: inner source ${source}`);
    if (!isUnderEsp(inner.value))
      return this.#listener.onDrop(
        "unprotected",
        `UDP from ${from}: ${source} without ESP (next header ${nextHeader})`,
      );
    const packet = new Uint8Array(bytes);
    setFlowLabel(
      packet,
      this.#incoming.remember({ outerSource: remoteAddress, outerPort: remotePort, outerDestination: localAddress }),
    );
    this.#attempt(`UDP from ${from}`, () => this.#ports.injectIntoTun(packet));
  }

  receiveEncapsulated({ bytes, localAddress, remoteAddress }: Omit<EncapsulatedPacket, "mark">): void {
    const inner = decodeIpv6Packet(bytes);
    const from = `protocol 41 from ${remoteAddress}`;
    if (!inner.ok) return this.#listener.onDrop("malformed", `${from}: ${inner.error.message}`);
    const { source, destination, nextHeader } = inner.value.header;
    if (destination !== this.#site.self)
      return this.#listener.onDrop("wrong-destination", `${from}: inner destination ${destination}`);
    if (nextHeader !== Protocol.mobility || this.#site.speaksInClear?.(source) !== true)
      return this.#listener.onDrop("not-a-subscriber", `${from}: inner source ${source}`);
    const outer = { outerSource: remoteAddress, outerPort: NO_PORT, outerDestination: localAddress };
    this.#receiveInClear(inner.value, outer);
  }

  /** What the kernel has not looked at. */
  #receiveInClear({ header, payload }: Ipv6Packet, outer: OuterHeader): void {
    const { source, destination } = header;
    const { outerSource, outerPort } = outer;
    const from = outerPort === NO_PORT ? `protocol 41 from ${outerSource}` : `UDP from ${outerSource}:${outerPort}`;
    if (!isRoutableUnicast(source)) return this.#listener.onDrop("malformed", `${from}: inner source ${source}`);
    if (!verifyChecksum(payload, source, destination))
      return this.#listener.onDrop("malformed", `${from}: checksum of the Mobility Header`);
    const message = decodeMobilityMessage(payload, this.#plain);
    if (!message.ok) return this.#listener.onDrop("malformed", `${from}: ${message.error.message}`);
    const arrival: Arrival = { path: { type: "udp", ...outer }, source, destination, protection: "none" };
    this.#listener.onMessage(message.value, arrival, payload);
  }

  /** A packet that the kernel sent into the TUN device: a message of ours, now under ESP, on its way to UDP. */
  receiveTun(packet: Uint8Array): void {
    const inner = decodeIpv6Packet(packet);
    if (!inner.ok || inner.value.header.source !== this.#site.self) {
      // The kernel's own noise on a new device (router solicitations, multicast listener reports) is none of ours and not worth a count.
      if (!inner.ok || !isOwnNoise(inner.value.header)) this.#payloadOctets += packet.length;
      return;
    }
    if (!isUnderEsp(inner.value)) {
      return this.#listener.onDrop(
        "unprotected",
        `a message to ${inner.value.header.destination} came out of the kernel without ESP and was not sent`,
      );
    }
    const departure = this.#outgoing.recall(flowLabelOf(packet) ?? 0);
    if (departure === undefined)
      return this.#listener.onDrop("malformed", "a packet in the signalling device carries no label of ours");
    // The label is ours, not the flow's.
    setFlowLabel(packet, 0);
    const { localAddress, remoteAddress, remotePort } = departure;
    this.#attempt(`message to ${remoteAddress}:${remotePort}`, () =>
      this.#ports.sendUdp({ bytes: packet, localAddress, remoteAddress, remotePort }),
    );
  }

  /** What comes in decides where it goes on to, so the kernel's refusal (no route, a full queue) is one more reason for a drop. */
  #attempt(what: string, send: () => void): void {
    try {
      send();
    } catch (cause) {
      this.#listener.onDrop("refused-by-kernel", `${what}: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
  }

  /** A message from the Mobility Header socket, to any address of ours: the kernel has verified checksum, ESP and extension headers. */
  receiveMobilityHeader(packet: MobilityHeaderIn): void {
    const { source, destination } = packet;
    const path = this.#pathOf(packet);
    if (path === undefined)
      return this.#listener.onDrop(
        "malformed",
        `message from ${source} in the signalling device without a label of ours`,
      );
    if (path === "mapped")
      return this.#listener.onDrop("mapped-source", `message from ${source} with an IPv4-mapped care-of address`);
    // The policies are about our inner address; what is sent to another one only the machine can judge.
    const protection = destination === this.#site.self && this.#site.isProtected(source) ? "esp" : "none";
    const arrival: Arrival = { path, source, destination, protection };
    const refuse = (why: string): void => this.#listener.onDrop("malformed", `message from ${source}: ${why}`);
    if (packet.protocol !== "icmpv6") {
      const short = this.#site.sendsShortOptions?.(source) === true;
      const message = decodeMobilityMessage(packet.bytes, short ? this.#withShort : this.#plain);
      return message.ok
        ? this.#listener.onMessage(message.value, arrival, packet.bytes)
        : refuse(message.error.message);
    }
    const message = decodeIcmpv6(packet.bytes);
    if (!message.ok) return refuse(message.error.message);
    if (isPrefixMessage(message.value)) this.#listener.onPrefixMessage?.(message.value, arrival);
  }

  /** "mapped": past the firewall, which has not proved it. */
  #pathOf(packet: MobilityHeaderIn): Arrival["path"] | "mapped" | undefined {
    if (packet.device === this.#site.tunDevice) {
      const outer = this.#incoming.recall(packet.flowLabel);
      return outer && { type: "udp", ...outer, ...routingHeaderOf(packet) };
    }
    const onTheWire = careOfAddressOf(packet.destinationOptions);
    if (onTheWire !== undefined && fromMapped(onTheWire) !== undefined) return "mapped";
    const proven =
      onTheWire !== undefined && packet.device === this.#site.mappedDevice ? fromProven(onTheWire) : undefined;
    const careOf = proven === undefined ? onTheWire : mappedAddress(proven);
    return {
      type: "native",
      device: packet.device,
      ...(careOf !== undefined && { homeAddressOptionCareOf: careOf }),
      ...routingHeaderOf(packet),
    };
  }
}

/** The kernel has refused any routing header that does not hold a home address of ours, and has exchanged the addresses. */
const routingHeaderOf = ({ routingHeader, destination }: MobilityHeaderIn) =>
  routingHeader === undefined ? {} : { routingHeaderHomeAddress: destination };

const isPrefixMessage = (message: { readonly type: string }): message is PrefixMessage =>
  message.type === "mobile-prefix-solicitation" || message.type === "mobile-prefix-advertisement";

function encoded(
  message: SignallingEffect["message"],
  context: CodecContext,
): Pick<MobilityHeaderOut, "bytes" | "protocol"> {
  return isPrefixMessage(message)
    ? { bytes: encodeIcmpv6(message), protocol: "icmpv6" }
    : { bytes: encodeMobilityMessage(message, context) };
}

/** The kernel has exchanged the addresses of source field and Home Address option: what stands in the option is the care-of address. */
function careOfAddressOf(headers: readonly Uint8Array[]): Ipv6Address | undefined {
  for (const header of headers) {
    const options = decodeDestinationOptions(header);
    const address = options.ok ? homeAddressOf(options.value) : undefined;
    if (address !== undefined) return address;
  }
  return undefined;
}

/** The error of a send as one sentence for the log. */
export function sendFailure(effect: SignallingEffect, cause: unknown): MobilityError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new MobilityError(
    "MIP_SEND",
    `${effect.message.type} to ${effect.destination} (${effect.departure.type}) was not sent: ${reason}`,
    { cause },
  );
}
