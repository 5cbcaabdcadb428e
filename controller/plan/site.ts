/**
 * What the plans need to know of a machine besides its bindings, and the fixed numbers and names they use: tables, rule priorities, marks,
 * devices. KERNEL.md says what each is for.
 */
import type { IpAddress, Ipv4Address, Ipv6Address, Prefix } from "../base/ip.js";
import { IPV6_ANY, ipv4, ipv6 } from "../base/ip.js";
import type { Secret } from "../base/secret.js";
import { fnv1a } from "./objects/hash.js";
import type { EspKeys, XfrmMark } from "./objects/security.js";
import type { Purpose, Slots } from "./security/request-ids.js";

/** RFC 5555 §8; the kernel's GUE port holds it, so signalling is steered to the next one. */
export const DSMIP_PORT = 4191;
export const SIGNALLING_PORT = 4192;
/** Octets before the inner packet of a UDP tunnel. */
export const UDP_HEADER = 8;

/** Where our chains stand among everybody's (NF_IP_PRI_*). */
export const HOOK_PRIORITY = {
  /** Before connection tracking (-200) and before anybody's filter. */
  first: -350,
  /**
   * In the input hook behind everybody's filter, which so sees packets as they were on the wire, and before connection tracking confirms
   * an entry (2^31 - 1): what is dropped there leaves none.
   */
  last: 1000,
} as const;

export const TUN_DEVICE = "dsmip-sig";
/** Socket mark of messages that go into the TUN device. */
export const TUN_MARK = 0x4191;
/** Socket mark of messages that leave over IPv6 as they are, without a Home Address option. */
export const DIRECT_MARK = 0x5191;
/** What a mobile node's charon sends, and its questions for a source address, where MOBIKE moves the IKE SA (charon's settings). */
export const IKE_MARK = 0x6191;
/** In the mark of questions what the kernel would do without the rules of the care-of addresses; no packet of ours has it. */
export const ASKING_MARK = 0x80000000;
/** Matches both marks: messages that ESP alone protects. */
export const ESP_ONLY_MARK = { value: 0x4191, mask: 0xefff } as const;

export const MAIN_TABLE = 254;
/** What is delivered to this machine itself; the kernel asks it first. */
export const LOCAL_TABLE = 255;
/** The mobile node's payload. */
export const HOME_TABLE = 4191;
/** The payload of its further home addresses: a table for each, from here on. */
export const FURTHER_HOME_TABLES = 4200;
/** Where the marked messages go. */
export const SIGNALLING_TABLE = 4192;
/** With MOBIKE: one route, the way of IKE to the home agent. */
export const IKE_TABLE = 4193;
/** What stays out of the tunnel: behind links that are no uplink, and on or behind uplinks. */
export const OWN_NETWORKS_TABLE = 4194;
export const VISITED_NETWORKS_TABLE = 4195;
/** The mobile node's care-of addresses have a table each, out of 2^24 from here on: the way to the home agent through their own uplink. */
export const CARE_OF_TABLE_BASE = 0x41000000;
export const RULE_PRIORITY = {
  ike: 4184,
  ikeNowhere: 4185,
  local: 4186,
  careOf: 4187,
  signalling: 4188,
  /** What never goes directly, and payload that does (plan/route-optimisation/ipv4). */
  notDirect: 4189,
  direct: 4190,
  home: 4191,
  visited: 4192,
  unspecified: 4193,
} as const;

/** Smaller is matched first (XFRM). Offsets to OWNERSHIP.policyPriorityBase. */
export const POLICY_PRIORITY = {
  signalling: 0x100,
  signallingWithOption: 0x200,
  /** Before everything that lets packets between a bound node and the home agent pass in clear. */
  blockPrefixDiscovery: 0x300,
  /** Before payload (RFC 4877 §4.3). */
  returnRoutability: 0x400,
  /** Payload that leaves ESP for a correspondent: its updates, what of mobility messages stays in ESP, and all else. */
  directUpdateInClear: 0x408,
  mobilityMessagesInEsp: 0x410,
  directInClear: 0x420,
  /** Between the node and the home agent itself, which payload protection leaves out (RFC 5555 §5.2.2). */
  bypassErrors: 0x480,
  bypass: 0x500,
  payload: 0x600,
  /** Before the block of unprotected mobility messages, behind what asks for their protection. */
  unknownMessage: 0x700,
  block: 0x800,
  /** Messages to a correspondent, with or without the headers of Mobile IPv6. Before the wildcards, which know one header each. */
  correspondentMessages: 0x8f0,
  wildcard: 0x900,
  /** Sub policies of what we send: updates to correspondents, then all other messages, payload of pairs (mode 1 before the rest), what is nobody's demand, demand. */
  directUpdate: 0x910,
  mobilityMessages: 0x920,
  directInHeaders: 0x92c,
  direct: 0x930,
  silence: 0x938,
  noDemand: 0x940,
  demand: 0x950,
  /** Behind the wildcards: ESP and Mobility Headers come from any care-of address, all else from the bound one. */
  bound: 0xa00,
} as const;

/** How a subscriber's payload is dressed on its way to it. */
export interface TunnelProfileSpec {
  /** "copy", or a fixed DSCP of 0..63. */
  readonly dscp: "copy" | number;
  readonly ttl: number;
  /** Largest inner packet in octets; absent: the devices' MTU. */
  readonly mtu?: number | undefined;
  /** Absent: "none". With "esp" payload travels in ESP tunnel mode alone (RFC 5555 §5.2.2). */
  readonly protection?: "none" | "esp" | undefined;
  /** What comes out of ESP gets the outer DSCP. */
  readonly decapsulateDscp?: boolean | undefined;
}

export interface HomeAgentPlanSite {
  readonly addresses: { readonly ipv6: Ipv6Address; readonly ipv4?: Ipv4Address | undefined };
  readonly homePrefixes: readonly Prefix[];
  /** Absent: a virtual home link. */
  readonly homeDevice?: string | undefined;
  /** Of the shared devices, in octets. */
  readonly mtu: number;
  /** By name; "default" is always there. */
  readonly profiles: ReadonlyMap<string, TunnelProfileSpec>;
  /** Some nodes send their updates in protocol 41, with IPv4-mapped care-of addresses (draft-soliman-v4v6-mipv6-00). */
  readonly mappedSignalling?: boolean | undefined;
  /** Home agent address discovery is answered. */
  readonly addressDiscovery?: boolean | undefined;
  /** Multicast on the home link is copied to nodes that have joined its groups. */
  readonly multicast?: boolean | undefined;
  /** Nodes are served over UDP in IPv6, too. */
  readonly udpOverIpv6?: boolean | undefined;
  /** Present: security associations are negotiated. */
  readonly negotiated?: { readonly slots: Slots; readonly espInUdp: "nat" | "always" } | undefined;
  /** Of all mobile network prefixes that may be registered, in bits. Absent: no mobile routers. */
  readonly prefixLengths?: { readonly ipv4: readonly number[]; readonly ipv6: readonly number[] } | undefined;
  /** Nodes of Mobile IPv4 are served, too; not without an IPv4 address. */
  readonly mip4?: Mip4Service | undefined;
}

/** What serving Mobile IPv4 adds to a home agent's kernel. */
export interface Mip4Service {
  /** Of all IPv6 prefixes that may be registered, in bits. */
  readonly prefixLengths: readonly number[];
  /** GRE is granted. */
  readonly gre: boolean;
}

/** Of one machine. */
export interface DualStackAddresses {
  readonly ipv6: Ipv6Address;
  readonly ipv4: Ipv4Address;
}

/** A home address of a node that has several. */
export interface FurtherHome {
  readonly homeAddress: Ipv6Address;
  readonly ipv4HomeAddress?: Ipv4Address | undefined;
}

export interface HomePlace {
  /** Among the node's home addresses. 0, or absent: the first, which has what all of them share. */
  readonly rank?: number | undefined;
}

/** Of a mobile node's home address; of several each has one of its own. */
export interface MobileNodePlanSite extends HomePlace {
  /** Of the first: the others. */
  readonly furtherHomes?: readonly FurtherHome[] | undefined;
  /** Groups that are joined on the device of the home addresses come through the tunnel. */
  readonly multicast?: boolean | undefined;
  /** UDP in IPv6 is taken as the last resort. */
  readonly udpOverIpv6?: boolean | undefined;
  readonly homeAddress: Ipv6Address;
  readonly ipv4HomeAddress?: Ipv4Address | undefined;
  readonly homePrefixes: readonly Prefix[];
  readonly homeAgent: { readonly ipv6: Ipv6Address; readonly ipv4?: Ipv4Address | undefined };
  readonly profile: TunnelProfileSpec;
  /** Updates from IPv4 networks go in protocol 41, with an IPv4-mapped care-of address (draft-soliman-v4v6-mipv6-00). */
  readonly mappedSignalling?: boolean | undefined;
  /** Payload may go directly to correspondents (RFC 6275 §11.1), out of ESP too. */
  readonly routeOptimisation?: boolean | undefined;
  /** With that: other mobile nodes may bind at the home addresses (RFC 6275 §9). */
  readonly correspondent?: boolean | undefined;
  /** Correspondents that are known by both of their addresses, with which IPv4 may go directly (draft-oulai-mext-dsmip-ro-00). */
  readonly dualStackCorrespondents?: readonly DualStackAddresses[] | undefined;
  /** Security associations are negotiated. */
  readonly negotiated?: boolean | undefined;
  /** Where IKE goes is for us to say: charon's MOBIKE follows. */
  readonly mobike?: boolean | undefined;
  /** Of the networks behind a mobile router. */
  readonly prefixes?: readonly Prefix[] | undefined;
  /** Devices by which a mobile router may attach, and goes on listening to router advertisements. */
  readonly egressDevices?: readonly string[] | undefined;
}

export const isFirstHome = ({ rank }: HomePlace): boolean => (rank ?? 0) === 0;

/** Where the payload of this home address goes. */
export const homeTable = ({ rank }: HomePlace): number =>
  rank === undefined || rank === 0 ? HOME_TABLE : FURTHER_HOME_TABLES + rank - 1;

/** One direction of what was negotiated, or of static keys. */
export type Association = EspKeys & { readonly spi: number };

/** Between which ends the IKE daemon has its original; with the ports where it is in UDP. */
export interface AssociationEnds {
  readonly local: IpAddress;
  readonly remote: IpAddress;
  readonly udp?: { readonly localPort: number; readonly remotePort: number } | undefined;
}

/** For one purpose: all that are accepted, and the one that we send with. Absent `send`: nothing can be sent. */
export interface ChildAssociations {
  readonly receive: readonly Association[];
  readonly send?: Association | undefined;
  /** Present: MOBIKE moves the originals, and ours have these ends whatever the binding says (RFC 5555 §5.1). */
  readonly ends?: AssociationEnds | undefined;
}

export type Associations = { readonly [P in Purpose]?: ChildAssociations };

/** The two static security associations of one mobile node. */
export interface NodeSecurity {
  readonly update: StaticAssociation;
  readonly acknowledgement: StaticAssociation;
  /** Packets; 0 takes any number, as manual keying has it (RFC 4303 §5). */
  readonly replayWindow: number;
}

export type StaticAssociation = StaticKeys & { readonly spi: number };

export type StaticKeys =
  /** With its salt (RFC 4106 §8.1). */
  | { readonly algorithm: "aes-gcm"; readonly key: Secret }
  | {
      readonly algorithm: "aes-cbc-hmac-sha256" | "aes-cbc-hmac-sha1";
      readonly encryptionKey: Secret;
      readonly integrityKey: Secret;
    };

/** Where nothing is said of an outer header. */
export const DEFAULT_PROFILE: TunnelProfileSpec = { dscp: "copy", ttl: 64 };

/** The MTU of tunnel devices where nothing else is said: 1500 less UDP and IPv4 headers, and room for another tunnel underneath. */
export const DEFAULT_MTU = 1400;

/** Names are prefixes of each other's kind so that one firewall rule matches all of a kind. */
export const DEVICE = {
  /** Where IPv4 tunnels come out, plain and UDP alike. */
  receiveIpv4: "dsmip-in4",
  receiveIpv6: "dsmip-in6",
  receivePrefix: "dsmip-in",
  /** Lightweight-tunnel routes (IPv6 care-of addresses). */
  sendIpv6: "dsmip-o6",
  sendPrefix: "dsmip-o",
  /** Where a copy of what is on the home link for joined groups comes in, and copies for each of their members. */
  multicastGroups: "dsmip-mg",
  multicastMembers: "dsmip-mm",
  multicastPrefix: "dsmip-m",
  /** Answers to IPv4-mapped care-of addresses. */
  sendMapped: "dsmip-om",
  homeAddresses: "dsmip-hoa",
  /** Routes of nodes whose payload is protected end here; nothing comes through. */
  protectedPayload: "dsmip-esp",
} as const;

/** An outer header that some profile asks for: one device for each and for both formats over IPv4. */
export interface TunnelClass {
  readonly dscp: "copy" | number;
  readonly ttl: number;
}

export const COPY_CLASS_OCTET = 64; // no DSCP is 64

/** ESP in UDP (RFC 3948 §2.1). */
export const ESP_UDP_PORT = 4500;

/** On every packet that a sending state of ours has made. */
export const ESP_CLASS_BIT = 0x10000000;
const ESP_CLASS_MASK = 0x107fff00;

/** On outgoing ESP: tells the firewall which outer header the packet shall have. Bits 8 to 15 are the TTL, 16 to 22 the DSCP. */
export function espClassMark({ dscp, ttl }: TunnelClass): XfrmMark {
  const classOctet = dscp === "copy" ? COPY_CLASS_OCTET : dscp;
  return { value: ESP_CLASS_BIT + (classOctet << 16) + (ttl << 8), mask: ESP_CLASS_MASK };
}

/**
 * What is sent into the network of a mobile router leaves in a tunnel once more, and the kernel refuses that on one device: there are
 * others for nodes behind a router, and for nodes behind such a one. Level 0 is that of nodes behind none.
 */
const LEVELS = 3;

/** Levels for which there are devices that send over IPv4: one without mobile routers. */
export function sendLevels({ prefixLengths }: Pick<HomeAgentPlanSite, "prefixLengths">): readonly number[] {
  const routers = [...(prefixLengths?.ipv4 ?? []), ...(prefixLengths?.ipv6 ?? [])].length > 0;
  return Array.from({ length: routers ? LEVELS : 1 }, (_, level) => level);
}

/** Of a node behind this many routers. */
export function levelOf(nesting: number | undefined): number {
  return Math.min(nesting ?? 0, LEVELS - 1);
}

export function sendDevice(format: "ipv4" | "udp" | "udp-ipv6", { dscp, ttl }: TunnelClass, level = 0): string {
  const letter = { ipv4: "pqr", udp: "uvw", "udp-ipv6": "xyz" }[format][level] ?? "";
  return `dsmip-o${letter}-${dscp === "copy" ? "c" : dscp}-${ttl}`;
}

/**
 * For IPv6 care-of addresses there is one device whose routes say where to, and the kernel takes no second one: a node behind a router has
 * its own, named by its care-of address, out of which comes what it sends, too.
 */
export function nestedDevice(careOf: Ipv6Address): string {
  const digits = fnv1a(Array.from(careOf, (letter) => letter.charCodeAt(0))) & 0xffffff;
  return `${DEVICE.receivePrefix}-${digits.toString(16).padStart(6, "0")}`;
}

/**
 * The internal local address of a device: two NBMA sit devices cannot share one, so each has its own out of 240.0.0.0/8 (reserved,
 * RFC 1112 §4, on no wire), and the firewall writes the home agent's address over it.
 */
export function internalAddress(format: "ipv4" | "udp", { dscp, ttl }: TunnelClass, level = 0): Ipv4Address {
  const second = (format === "ipv4" ? 41 : 91) + level;
  return ipv4(`240.${second}.${dscp === "copy" ? COPY_CLASS_OCTET : dscp}.${ttl}`);
}

/** Out of the discard prefix (RFC 6666), on no wire: where the devices that send UDP over IPv6 have their other end. */
export const PLACEHOLDERS: Prefix = { address: ipv6("100:0:0:0:4191::"), length: 80 };

/**
 * The remote end of such a device: with encapsulation in UDP the kernel takes no device without one, so the firewall writes the node's
 * address over it.
 */
export function placeholder({ dscp, ttl }: TunnelClass, level = 0): Ipv6Address {
  const classOctet = dscp === "copy" ? COPY_CLASS_OCTET : dscp;
  return ipv6(`100:0:0:0:4191:${level.toString(16)}:${(classOctet + 1).toString(16)}:${ttl.toString(16)}`);
}

/** Devices that never send still need an address where rp_filter is strict. */
export const INTERNAL_ADDRESS = {
  receiveIpv4: ipv4("240.41.65.4"),
  receiveIpv6: ipv4("240.41.65.6"),
  /** All tunnels of a mobile node; they are on devices of their own. */
  mobileNode: ipv4("240.41.65.1"),
  sendIpv6: ipv4("240.41.65.0"),
  sendMapped: ipv4("240.41.65.3"),
  /** All tunnels to nodes behind routers, over IPv6. */
  nestedIpv6: ipv4("240.41.65.2"),
  multicastGroups: ipv4("240.41.65.7"),
  multicastMembers: ipv4("240.41.65.8"),
  /** All devices that send UDP over IPv6. */
  sendUdpIpv6: ipv4("240.41.65.9"),
} as const;

/** The distinct outer headers of the profiles, default first. */
export function tunnelClasses(site: HomeAgentPlanSite): readonly TunnelClass[] {
  const classes = new Map<string, TunnelClass>();
  for (const { dscp, ttl } of site.profiles.values()) classes.set(`${dscp} ${ttl}`, { dscp, ttl });
  return [...classes.values()];
}

export function protectsPayload({ profiles }: HomeAgentPlanSite): boolean {
  return [...profiles.values()].some(({ protection }) => protection === "esp");
}

/** Whether any payload travels unprotected. Where none does, there is no plain tunnel that a packet could come out of. */
export function usesPlainTunnels({ profiles }: HomeAgentPlanSite): boolean {
  return [...profiles.values()].some(({ protection }) => protection !== "esp");
}

/** Whether ESP in tunnel mode comes and goes: for payload, or for return routability wherever keys are negotiated. */
export function usesEspTunnels(site: HomeAgentPlanSite): boolean {
  return site.negotiated !== undefined || protectsPayload(site);
}

/** UDP over IPv6 is for payload as it is: ESP has another port of its own in UDP, over IPv4 alone. */
export function servesUdpOverIpv6(site: HomeAgentPlanSite): boolean {
  return site.udpOverIpv6 === true && usesPlainTunnels(site);
}

/** Where Mobile IPv6 is not served, there is no IPv6 address of the home agent's, and :: stands in its place, which no packet has. */
export const NO_IPV6_ADDRESS = IPV6_ANY;
export const servesMip6 = ({ addresses }: Pick<HomeAgentPlanSite, "addresses">): boolean =>
  addresses.ipv6 !== NO_IPV6_ADDRESS;

/** What of Mobile IPv4 is served; its payload is never protected. */
export function mip4Service(site: HomeAgentPlanSite): Mip4Service | undefined {
  return site.addresses.ipv4 !== undefined && usesPlainTunnels(site) ? site.mip4 : undefined;
}

export function profileOf(site: HomeAgentPlanSite, name: string): TunnelProfileSpec {
  return site.profiles.get(name) ?? site.profiles.get("default") ?? DEFAULT_PROFILE;
}
