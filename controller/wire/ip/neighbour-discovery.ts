/**
 * Router and neighbour discovery messages (RFC 4861 §4.1 to §4.4, RFC 6275 §7.1), and the ones a home agent makes: the duplicate
 * address detection probe and the unsolicited advertisement that draws a home address to it (RFC 6275 §10.3.1, §10.4.1).
 * Receivers check the hop limit of 255 where they have it, outside these octets.
 */
import { IPV6_ANY, type Ipv6Address, ipToBytes, ipv6, ipv6FromBytes } from "../../base/ip.js";
import { bits, ipv6Address, reserved, u8, u16, u32 } from "../codec.js";
import { type Icmpv6MessageOf, icmpv6, uncoded } from "./icmpv6-codec.js";
import { ndOptions } from "./nd-options.js";
import { Icmpv6Type } from "./registry.js";

/** Hop limit of every neighbour discovery packet; another one is not accepted. */
export const ND_HOP_LIMIT = 255;
export const ALL_NODES = ipv6("ff02::1");
export const ALL_ROUTERS = ipv6("ff02::2");
const SOLICITED_NODE_PREFIX = ipToBytes(ipv6("ff02::1:ff00:0"));

export const NEIGHBOUR_DISCOVERY = [
  icmpv6("router-solicitation", Icmpv6Type.routerSolicitation, {
    ...uncoded,
    reserved: reserved(4),
    options: ndOptions,
  }),
  icmpv6("router-advertisement", Icmpv6Type.routerAdvertisement, {
    ...uncoded,
    currentHopLimit: u8,
    flags: bits(1, {
      managedAddresses: 0x80,
      otherConfiguration: 0x40,
      /** H: the sender is a home agent on this link (RFC 6275 §7.1). */
      homeAgent: 0x20,
    }),
    routerLifetimeSeconds: u16,
    reachableTimeMs: u32,
    retransmissionTimerMs: u32,
    options: ndOptions,
  }),
  icmpv6("neighbour-solicitation", Icmpv6Type.neighbourSolicitation, {
    ...uncoded,
    reserved: reserved(4),
    target: ipv6Address,
    options: ndOptions,
  }),
  icmpv6("neighbour-advertisement", Icmpv6Type.neighbourAdvertisement, {
    ...uncoded,
    flags: bits(4, { router: 0x80000000, solicited: 0x40000000, override: 0x20000000 }),
    target: ipv6Address,
    options: ndOptions,
  }),
] as const;

export type NdMessage = Icmpv6MessageOf<(typeof NEIGHBOUR_DISCOVERY)[number]>;

/** A message with the addresses of the packet that carries it. */
export interface AddressedNd {
  readonly source: Ipv6Address;
  readonly destination: Ipv6Address;
  readonly message: NdMessage;
}

/** The multicast address on which the holder of an address listens (RFC 4291 §2.7.1). */
export function solicitedNodeMulticast(address: Ipv6Address): Ipv6Address {
  const octets = SOLICITED_NODE_PREFIX.slice();
  octets.set(ipToBytes(address).subarray(13), 13);
  return ipv6FromBytes(octets);
}

/** The probe of duplicate address detection (RFC 4862 §5.4.2): from ::, without a link-layer address. */
export function dadProbe(target: Ipv6Address): AddressedNd {
  return {
    source: IPV6_ANY,
    destination: solicitedNodeMulticast(target),
    message: { type: "neighbour-solicitation", target, options: [] },
  };
}

/**
 * The unsolicited advertisement to all nodes by which `target` is taken over by the sender of the link-layer address: O set, S clear
 * (RFC 6275 §10.4.1). `router` is set for a mobile router only (RFC 3963 §6.2).
 */
export function unsolicitedAdvertisement(given: {
  readonly target: Ipv6Address;
  readonly source: Ipv6Address;
  readonly linkLayerAddress: Uint8Array;
  readonly router: boolean;
}): AddressedNd {
  const { target, source, linkLayerAddress, router } = given;
  const flags = { router, solicited: false, override: true };
  const options = [{ kind: "target-link-layer-address", address: linkLayerAddress }] as const;
  return { source, destination: ALL_NODES, message: { type: "neighbour-advertisement", flags, target, options } };
}

/** Asks whether a neighbour is there: itself (RFC 4861 §7.3.3), or, where its link-layer address is not known, everybody. */
export function neighbourQuestion(given: {
  readonly target: Ipv6Address;
  readonly source: Ipv6Address;
  /** Of the sender. */
  readonly mac: Uint8Array;
  readonly unicast: boolean;
}): AddressedNd {
  const { target, source, mac, unicast } = given;
  const options = [{ kind: "source-link-layer-address", address: mac }] as const;
  const destination = unicast ? target : solicitedNodeMulticast(target);
  return { source, destination, message: { type: "neighbour-solicitation", target, options } };
}

/** Asks for an advertisement at once (RFC 4861 §4.1); without a source the sender's link-layer address is left out. */
export function routerSolicitation(source: Ipv6Address | undefined, mac: Uint8Array): AddressedNd {
  const options = source === undefined ? [] : ([{ kind: "source-link-layer-address", address: mac }] as const);
  return { source: source ?? IPV6_ANY, destination: ALL_ROUTERS, message: { type: "router-solicitation", options } };
}

/** The Ethernet address of an IPv6 multicast group (RFC 2464 §7). */
export function ethernetGroup(group: Ipv6Address): Uint8Array {
  return Uint8Array.of(0x33, 0x33, ...ipToBytes(group).subarray(12));
}
