/**
 * What moves the state machines and what they ask for: closed unions, plain data. `step(state, input, now)` is the only way in,
 * effects the only way out besides the binding cache / binding update list itself, which the plan turns into kernel objects.
 * Nothing here knows sockets, interfaces' indices, timers or keys.
 */
import { type IpAddress, type Ipv4Address, type Ipv6Address, isIpv4, type Prefix } from "../../base/ip.js";
import type { Icmpv6OfType } from "../../wire/icmpv6.js";
import type { MobilityMessage } from "../../wire/mip6/messages/mobility-message.js";

/**
 * Where a mobile node is reached, and in which of the formats of RFC 5555 §4.1 payload travels:
 * ipv6: IPv6 or IPv4 in IPv6; ipv4: protocol 41 / 4 in IPv4; udp: either of them in UDP (the mobile node's end is address and port), in IPv4
 * or, as the last resort, in IPv6.
 */
export type Endpoint =
  | { readonly format: "ipv6"; readonly address: Ipv6Address }
  | { readonly format: "ipv4"; readonly address: Ipv4Address }
  | { readonly format: "udp"; readonly address: IpAddress; readonly port: number };

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  if (a.format !== b.format || a.address !== b.address) return false;
  return a.format !== "udp" || (b.format === "udp" && a.port === b.port);
}

export function formatEndpoint(endpoint: Endpoint): string {
  return endpoint.format === "udp"
    ? `${isIpv4(endpoint.address) ? endpoint.address : `[${endpoint.address}]`}:${endpoint.port}/udp`
    : `${endpoint.address}/${endpoint.format}`;
}

/** In the place of a port where there is none; no datagram from it is taken. */
export const NO_PORT = 0;

/**
 * How a mobility message came in. Every message reported here has passed the kernel's ESP check for the pair (source, destination),
 * unless `protection` says otherwise.
 */
export interface Arrival {
  /**
   * native: over IPv6. udp: inside UDP (RFC 5555 §4.1) and IPv4, or IPv6 as the last resort, with the outer source as observed, after
   * any NAT.
   */
  readonly path:
    | {
        readonly type: "native";
        readonly device: string;
        /**
         * From the Home Address option (HA); absent without one: the wire source was the home address itself. IPv4-mapped: it came in IPv4
         * from that address, which was proved to be the outer source (the 2004 profile).
         */
        readonly homeAddressOptionCareOf?: Ipv6Address;
        /** From the type 2 routing header (MN). */
        readonly routingHeaderHomeAddress?: Ipv6Address;
      }
    | {
        readonly type: "udp";
        readonly outerSource: IpAddress;
        /** NO_PORT: not in UDP but as protocol 41, from a mobile node to a correspondent or back (draft-oulai-mext-dsmip-ro-00 §7.2.2). */
        readonly outerPort: number;
        /** The address of ours it was sent to. */
        readonly outerDestination: IpAddress;
        /** From the type 2 routing header (MN). */
        readonly routingHeaderHomeAddress?: Ipv6Address;
      };
  /** Inner IPv6 addresses as the upper layer sees them: the home address stands in the place of the care-of address. */
  readonly source: Ipv6Address;
  readonly destination: Ipv6Address;
  readonly protection: "esp" | "none";
}

/** How a mobility message goes out. Source and destination are the inner, upper-layer addresses (home address, home agent). */
export type Departure =
  /**
   * Home agent to a mobile node away on IPv6: type 2 routing header, wire destination the care-of address. An IPv4-mapped one goes in
   * IPv4 to that address (the 2004 profile).
   */
  | { readonly type: "native-routed"; readonly careOf: Ipv6Address }
  /** Straight to the destination (mobile node at home; home agent to a node whose BU had no Home Address option). `device` pins the link. */
  | { readonly type: "native-direct"; readonly device?: string }
  /** Mobile node away on IPv6: the kernel adds the Home Address option and puts this care-of address into the source. IPv4-mapped: in IPv4. */
  | { readonly type: "native-home-address-option"; readonly careOf: Ipv6Address }
  /** In UDP. `localAddress`: the outer source, of the family of `remoteAddress`. */
  | {
      readonly type: "udp";
      readonly localAddress: IpAddress;
      readonly remoteAddress: IpAddress;
      readonly remotePort: number;
    }
  /**
   * In IPv4 and without ESP, between a mobile node and a correspondent (draft-oulai-mext-dsmip-ro-00 §7.1.1.1, §7.2): in UDP to
   * `remotePort`, as protocol 41 without one.
   */
  | {
      readonly type: "over-ipv4";
      readonly localAddress: Ipv4Address;
      readonly remoteAddress: Ipv4Address;
      readonly remotePort?: number;
      /** Of the inner header; absent: 64. */
      readonly hopLimit?: number;
      /** Pins the link. */
      readonly device?: string;
    };

export type MobilePrefixSolicitation = Icmpv6OfType<"mobile-prefix-solicitation">;
export type MobilePrefixAdvertisement = Icmpv6OfType<"mobile-prefix-advertisement">;
/** Mobile prefix discovery (RFC 6275 §6.7, §6.8): ICMPv6, under ESP of its own. */
export type PrefixMessage = MobilePrefixSolicitation | MobilePrefixAdvertisement;

export interface SendEffect<Message = MobilityMessage> {
  readonly kind: "send";
  readonly message: Message;
  readonly source: Ipv6Address;
  readonly destination: Ipv6Address;
  readonly departure: Departure;
}

/** Whatever takes the ways of signalling. */
export type SignallingEffect = SendEffect<MobilityMessage | PrefixMessage>;

/** What operators see (`dsmipctl events`, the log). Names are noun.verb and stable. */
export interface ProtocolEvent {
  readonly event:
    | "binding.accepted"
    | "binding.refreshed"
    | "binding.moved"
    | "binding.removed"
    | "binding.expired"
    | "binding.rejected"
    | "binding.failed"
    | "notice.sent"
    | "notice.unanswered"
    | "message.dropped"
    | "registration.started"
    | "registration.completed"
    | "registration.failed"
    | "acknowledgement.filtered"
    | "registration.lost"
    | "negotiation.failed"
    | "negotiation.lost"
    | "keys.lost"
    | "packets.refused"
    | "multicast.joined"
    | "multicast.left"
    | "home-agent.chosen"
    | "home-agent.silent"
    | "home-agent.switched"
    | "home-address.told"
    | "home-prefixes.changed"
    | "home-prefix.withdrawn"
    | "attachment.changed"
    | "readiness.changed"
    | "home.returned"
    | "home.left"
    | "correspondent.started"
    | "correspondent.tested"
    | "correspondent.bound"
    | "correspondent.failed"
    | "correspondent.lost"
    | "correspondent.left"
    | "nat.changed"
    | "journal.failed"
    | "journal.recovered";
  readonly homeAddress?: Ipv6Address;
  readonly detail: Readonly<Record<string, string | number | boolean>>;
}

export interface NotifyEffect {
  readonly kind: "notify";
  readonly event: ProtocolEvent;
}

/** Take the addresses over on (or give them back to) the home link: unsolicited neighbour advertisement and gratuitous ARP (RFC 6275 §10.4.1). */
export interface AnnounceEffect {
  readonly kind: "announce";
  readonly addresses: readonly IpAddress[];
  readonly router: boolean;
  /** Absent: the home link of the site. */
  readonly device?: string;
}

/** Duplicate address detection on the home link; answered by the input `dad-completed` (RFC 6275 §10.3.1). */
export interface DadEffect {
  readonly kind: "dad";
  readonly homeAddress: Ipv6Address;
  readonly address: Ipv6Address;
}

/** What the data path of a binding needs; the plan turns it into kernel objects. A change of `revision` means the content changed. */
export interface DataPath {
  readonly homeAddress: Ipv6Address;
  readonly ipv4HomeAddress?: Ipv4Address;
  /** Also defended on the home link, but nothing sent to it is tunnelled (L flag, RFC 6275 §10.4.1, §10.4.2). */
  readonly linkLocalAddress?: Ipv6Address;
  /** The node is a mobile router, and says so to its neighbours (RFC 3963 §6.2). */
  readonly mobileRouter?: boolean;
  /** Of both families: of the networks behind it. Absent: none. */
  readonly prefixes?: readonly Prefix[];
  /** Behind how many mobile routers of the same home agent the node is. Absent: none. */
  readonly nesting?: number;
  /** Where payload for the home addresses is sent. */
  readonly egress: Endpoint;
  /** From where payload of the home addresses is accepted: the present endpoint, and former ones during their grace time. */
  readonly ingress: readonly Endpoint[];
  readonly profile: string;
  readonly revision: number;
}

/** The kernel's answer for revision `revision` of a home address's data path. */
export interface ProgrammedInput {
  readonly kind: "programmed";
  readonly homeAddress: Ipv6Address;
  readonly revision: number;
  /** Absent: realised. */
  readonly failure?: string;
}

/** The kernel has refused a packet with a Home Address option: no binding covers it (RFC 6275 §9.3.1). */
export interface OptionRefusedInput {
  readonly kind: "option-refused";
  /** On the wire: the care-of address. */
  readonly source: Ipv6Address;
  /** The address of ours that it was sent to. */
  readonly destination: Ipv6Address;
  /** From the option. */
  readonly homeAddress: Ipv6Address;
  /** Upper-layer protocol. */
  readonly protocol: number;
}

/** Reasons for which a message is dropped without an answer; each is counted by this name. */
export type DropReason =
  | "unprotected"
  | "malformed"
  | "not-a-subscriber"
  | "wrong-destination"
  | "wrong-source"
  | "care-of-not-unicast"
  | "home-address-mismatch"
  | "rate-limited"
  | "no-outstanding-update"
  | "no-outstanding-notice"
  /** A test message that answers none of ours (RFC 6275 §11.6.2). */
  | "cookie-mismatch"
  /** A Home Test past the home agent, or a Care-of Test at another address than the present one (RFC 6275 §11.6.2). */
  | "wrong-path"
  /** Binding Authorization Data that is not there, or not right (RFC 6275 §6.2.7). */
  | "authentication-failed"
  | "sequence-mismatch"
  | "unexpected-type"
  | "not-home-registration"
  | "home-address-option-missing"
  | "routing-header-missing"
  | "identifier-mismatch"
  | "unknown-binding"
  | "duplicate"
  | "queue-full"
  | "refused-by-kernel"
  | "journal-unwritable"
  /** A group that is not sent to nodes that are away (RFC 6275 §10.4.2), or none at all. */
  | "multicast-scope"
  /** More groups, or members of one, than the configuration allows. */
  | "multicast-limit"
  /** Of a node whose payload is in ESP or in UDP over IPv6, into which no group is copied. */
  | "multicast-unserved"
  /** An IPv4-mapped care-of address that is not to be believed, or of a node that is not entitled to one. */
  | "mapped-source";

export interface DropEffect {
  readonly kind: "drop";
  readonly reason: DropReason;
  readonly detail: string;
}
