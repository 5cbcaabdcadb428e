/**
 * Links ⇄ RTM_NEWLINK: sit, ip6tnl, gre, dummy, and the state of a TUN device that somebody else opened. What is particular:
 * - Our mark is the alias. The kernel takes it only in a second message, so a device whose name starts with our prefix and which has no
 *   alias at all is one that a crash left half made.
 * - All parameters of a tunnel are sent each time: what is absent from a change counts as zero to the kernel.
 * - Tunnels are made with `mode any` and, for ip6tnl, without the encapsulation limit option.
 * - A fixed TTL forces DF on sit (the kernel's rule), so `ttl` without path MTU discovery is refused here instead of being bent there.
 *
 * Changed in place, each tried on 6.1 and 6.12 (test/kernel/rtnetlink.test.ts keeps it so):
 *   all kinds   mtu, up
 *   sit         local, remote (but not from or to NBMA), device, ttl, trafficClass, pathMtuDiscovery, UDP ports, and from and to UDP at
 *               all. For an RCU grace period it is in no table then: what arrives for it meanwhile is lost.
 *   ip6tnl      local, remote, device, UDP ports, ttl, trafficClass of a device that is not external
 * Everything else, and every change of kind, needs a new device.
 * Sources: linux/if_link.h, if_tunnel.h, ip6_tunnel.h.
 */
import { EncodeError } from "../../base/errors.js";
import { IPV4_ANY, IPV6_ANY, type Ipv4Address, type Ipv6Address, isIpv4, isIpv6 } from "../../base/ip.js";
import { type AttributeMap, AttributeWriter, readAttributes } from "../../netlink/attribute.js";
import { NLM_F_CREATE, NLM_F_EXCL } from "../../netlink/constants.js";
import { withoutChecksumOffload } from "../../netlink/features.js";
import {
  AF_INET6,
  IFF_MULTICAST,
  IFF_UP,
  IFLA_AF_SPEC,
  IFLA_EXT_MASK,
  IFLA_GRE_COLLECT_METADATA,
  IFLA_GRE_LINK,
  IFLA_GRE_LOCAL,
  IFLA_GRE_PMTUDISC,
  IFLA_GRE_REMOTE,
  IFLA_GRE_TOS,
  IFLA_GRE_TTL,
  IFLA_IFALIAS,
  IFLA_IFNAME,
  IFLA_INET6_ADDR_GEN_MODE,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_IPTUN_COLLECT_METADATA,
  IFLA_IPTUN_ENCAP_DPORT,
  IFLA_IPTUN_ENCAP_FLAGS,
  IFLA_IPTUN_ENCAP_SPORT,
  IFLA_IPTUN_ENCAP_TYPE,
  IFLA_IPTUN_FLAGS,
  IFLA_IPTUN_FLOWINFO,
  IFLA_IPTUN_LINK,
  IFLA_IPTUN_LOCAL,
  IFLA_IPTUN_PMTUDISC,
  IFLA_IPTUN_PROTO,
  IFLA_IPTUN_REMOTE,
  IFLA_IPTUN_TOS,
  IFLA_IPTUN_TTL,
  IFLA_LINKINFO,
  IFLA_MTU,
  IN6_ADDR_GEN_MODE_NONE,
  IP6_TNL_F_IGN_ENCAP_LIMIT,
  IP6_TNL_F_USE_ORIG_TCLASS,
  RTEXT_FILTER_SKIP_STATS,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
  RTM_SETLINK,
  TUNNEL_ENCAP_FLAG_CSUM6,
  TUNNEL_ENCAP_FOU,
  TUNNEL_ENCAP_GUE,
  TUNNEL_ENCAP_NONE,
} from "../../netlink/rtnetlink.js";
import type { GreLink, Ip6TunnelLink, Link, SitLink } from "../../plan/objects/forwarding.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { KernelNames, NetlinkRequest, ObjectCodec } from "../codec.js";
import { decodeLinkHeader, encodeLinkHeader, LINK_HEADER_LENGTH } from "./headers.js";
import { runsIpv6 } from "./switches.js";

/** Low bit of a TOS octet: the kernel copies the inner one. */
const TOS_INHERIT = 1;
const ECN_BITS = 0x03;
const FLOWINFO_TCLASS_SHIFT = 20;

export const linkCodec: ObjectCodec<Link> = {
  kind: "link",
  family: "route",

  create(link, names) {
    // A TUN device is there already; it only needs our mark and its state.
    if (link.link.type === "tun") return [setLink(link)];
    const writer = new AttributeWriter(192).raw(encodeLinkHeader({})).string(IFLA_IFNAME, checkedName(link.name));
    writer.u32(IFLA_MTU, link.mtu);
    writeKind(writer, link, names);
    const create = {
      family: "route" as const,
      type: RTM_NEWLINK,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      body: writer.finish(),
    };
    return [
      create,
      ...(endsAtPeer(link) && runsIpv6() ? [withoutLinkLocal(link.name)] : []),
      ...(isRewritten(link) ? [withoutChecksumOffload(link.name)] : []),
      setLink(link),
    ];
  },

  update(link, previous, names) {
    if (!changesInPlace(link, previous)) return undefined;
    const kindChanged = JSON.stringify(link.link) !== JSON.stringify(previous.link);
    // Of what a crash left unfinished nobody knows how far it came.
    const offload = isRewritten(link) ? [withoutChecksumOffload(link.name)] : [];
    if (!kindChanged) return [...offload, setLink(link)];
    const writer = new AttributeWriter(192).raw(encodeLinkHeader({})).string(IFLA_IFNAME, checkedName(link.name));
    writeKind(writer, link, names);
    // The kernel recalculates the MTU of a tunnel that got new end points, so ours is set once more.
    return [{ family: "route", type: RTM_NEWLINK, flags: 0, body: writer.finish() }, ...offload, setLink(link)];
  },

  remove: (link) => [byName(RTM_DELLINK, link.name)],

  dump: () => [dumpLinks()],

  find: (link) => [byName(RTM_GETLINK, link.name)],

  decode(message, names, ownOnly) {
    if (message.type !== RTM_NEWLINK && message.type !== RTM_DELLINK) return undefined;
    const header = decodeLinkHeader(message.body);
    const attributes = readAttributes(message.body.subarray(LINK_HEADER_LENGTH), LINK_HEADER_LENGTH);
    const name = attributes.get(IFLA_IFNAME)?.string();
    // Bridges send RTM_NEWLINK for their ports too, with a family and without the parameters.
    if (header.family !== 0 || name === undefined) return undefined;
    if (ownOnly && !isOurs(name, attributes)) return undefined;
    const link = decodeKind(attributes, names);
    if (link === undefined) return undefined;
    const multicast = link.type === "sit" && (header.flags & IFF_MULTICAST) !== 0;
    return {
      kind: "link",
      name,
      mtu: attributes.get(IFLA_MTU)?.u32() ?? 0,
      up: (header.flags & IFF_UP) !== 0,
      ...(multicast && { multicast }),
      link,
    };
  },

  unfinished(message) {
    const attributes = readAttributes(message.body.subarray(LINK_HEADER_LENGTH), LINK_HEADER_LENGTH);
    return (
      attributes.get(IFLA_IFNAME)?.string().startsWith(OWNERSHIP.linkPrefix) === true && !attributes.has(IFLA_IFALIAS)
    );
  },

  excludes: (object, other) => object.name !== other.name && sameEndPoints(object, other),
};

/** Asks for all links, without their counters. */
export function dumpLinks(): NetlinkRequest {
  const body = new AttributeWriter(32).raw(encodeLinkHeader({})).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS).finish();
  return { family: "route", type: RTM_GETLINK, flags: 0, body };
}

function isOurs(name: string, attributes: AttributeMap): boolean {
  return name.startsWith(OWNERSHIP.linkPrefix) && attributes.get(IFLA_IFALIAS)?.string() === OWNERSHIP.linkAlias;
}

function checkedName(name: string): string {
  const octets = Buffer.byteLength(name, "utf8");
  if (octets > 15 || !name.startsWith(OWNERSHIP.linkPrefix)) {
    throw new EncodeError(
      "name",
      `"${name}" is not a name of ours: at most 15 octets, starting with ${OWNERSHIP.linkPrefix}`,
    );
  }
  return name;
}

function byName(type: number, name: string): NetlinkRequest {
  const body = new AttributeWriter(48).raw(encodeLinkHeader({})).string(IFLA_IFNAME, name).finish();
  return { family: "route", type, flags: 0, body };
}

/**
 * One device for many nodes, whose outer destination and port are written behind it. The kernel corrects a UDP checksum there as if it were
 * the one that a device will complete, if any is to be completed; but that is the inner packet's then (a guest's, a container's, our own),
 * and the outer one is finished (local checksum offload) and comes out wrong. So no inner one may be open when the packet gets its header.
 */
const isRewritten = ({ link }: Link): boolean =>
  link.type === "ip6tnl" && link.udp !== undefined && link.device === undefined;

const endsAtPeer = ({ link }: Link): boolean =>
  link.type === "gre" || (link.type === "ip6tnl" && !link.external && link.remote !== undefined);

/**
 * No link-local address when it comes up: with one the kernel sends router solicitations into the tunnel, and goes on doing so. (sit devices
 * get one in another way and solicit nobody.)
 */
function withoutLinkLocal(name: string): NetlinkRequest {
  const body = new AttributeWriter(64)
    .raw(encodeLinkHeader({}))
    .string(IFLA_IFNAME, checkedName(name))
    .nested(IFLA_AF_SPEC, (families) =>
      families.nested(AF_INET6, (six) => six.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE)),
    )
    .finish();
  return { family: "route", type: RTM_SETLINK, flags: 0, body };
}

/** Our mark, the MTU, whether it is up, and on sit devices whether groups may be joined. */
function setLink(link: Link): NetlinkRequest {
  const flags = (link.up ? IFF_UP : 0) | (link.multicast === true ? IFF_MULTICAST : 0);
  const change = IFF_UP | (link.link.type === "sit" ? IFF_MULTICAST : 0);
  const body = new AttributeWriter(96)
    .raw(encodeLinkHeader({ flags, change }))
    .string(IFLA_IFNAME, checkedName(link.name))
    .u32(IFLA_MTU, link.mtu)
    .bytes(IFLA_IFALIAS, Buffer.from(OWNERSHIP.linkAlias, "utf8"))
    .finish();
  return { family: "route", type: RTM_SETLINK, flags: 0, body };
}

function changesInPlace(link: Link, previous: Link): boolean {
  const to = link.link;
  const from = previous.link;
  if (to.type === "sit" && from.type === "sit") return (to.remote === undefined) === (from.remote === undefined);
  if (to.type === "ip6tnl" && from.type === "ip6tnl") {
    return to.external ? JSON.stringify(to) === JSON.stringify(from) : !from.external;
  }
  if (to.type === "gre" && from.type === "gre") return JSON.stringify(to) === JSON.stringify(from);
  return to.type === from.type;
}

function writeKind(writer: AttributeWriter, link: Link, names: KernelNames): void {
  const kind = link.link;
  writer.nested(IFLA_LINKINFO, (info) => {
    info.string(IFLA_INFO_KIND, kind.type);
    if (kind.type === "sit") info.nested(IFLA_INFO_DATA, (data) => writeSit(data, kind, names));
    if (kind.type === "ip6tnl") info.nested(IFLA_INFO_DATA, (data) => writeIp6Tunnel(data, kind, names));
    if (kind.type === "gre") info.nested(IFLA_INFO_DATA, (data) => writeGre(data, kind, names));
  });
}

function writeSit(data: AttributeWriter, sit: SitLink, names: KernelNames): void {
  if (sit.ttl !== 0 && !sit.pathMtuDiscovery) {
    throw new EncodeError(
      "pathMtuDiscovery",
      "a sit device with a fixed TTL always sets DF; the kernel cannot do without",
    );
  }
  data
    .u32(IFLA_IPTUN_LINK, sit.device === undefined ? 0 : names.interfaceIndex(sit.device))
    .address(IFLA_IPTUN_LOCAL, sit.local)
    .address(IFLA_IPTUN_REMOTE, sit.remote ?? IPV4_ANY)
    .u8(IFLA_IPTUN_TTL, sit.ttl)
    .u8(IFLA_IPTUN_TOS, sit.trafficClass === "inherit" ? TOS_INHERIT : fixedClass(sit.trafficClass))
    .u8(IFLA_IPTUN_PMTUDISC, sit.pathMtuDiscovery ? 1 : 0)
    .u8(IFLA_IPTUN_PROTO, 0)
    .u16(IFLA_IPTUN_ENCAP_TYPE, encapType(sit.udp))
    .u16(IFLA_IPTUN_ENCAP_FLAGS, 0)
    .u16be(IFLA_IPTUN_ENCAP_SPORT, sit.udp?.sourcePort ?? 0)
    .u16be(IFLA_IPTUN_ENCAP_DPORT, sit.udp?.destinationPort ?? 0);
}

function encapType(udp: SitLink["udp"]): number {
  if (udp === undefined) return TUNNEL_ENCAP_NONE;
  return udp.gue === true ? TUNNEL_ENCAP_GUE : TUNNEL_ENCAP_FOU;
}

/** Without path MTU discovery of its own: the outer DF is the inner one of IPv4, and clear for IPv6 (KERNEL.md, C-33). */
function writeGre(data: AttributeWriter, gre: GreLink, names: KernelNames): void {
  if (gre.external && (gre.local !== undefined || gre.remote !== undefined))
    throw new EncodeError("external", "an external gre device has neither local nor remote");
  if (!gre.external && (gre.local === undefined || gre.remote === undefined))
    throw new EncodeError(
      "remote",
      "a gre device that is not external has both ends: without one it asks for neighbours",
    );
  if (gre.external) {
    data.flag(IFLA_GRE_COLLECT_METADATA);
    return;
  }
  data
    .u32(IFLA_GRE_LINK, gre.device === undefined ? 0 : names.interfaceIndex(gre.device))
    .address(IFLA_GRE_LOCAL, gre.local ?? IPV4_ANY)
    .address(IFLA_GRE_REMOTE, gre.remote ?? IPV4_ANY)
    .u8(IFLA_GRE_TTL, gre.ttl)
    .u8(IFLA_GRE_TOS, gre.trafficClass === "inherit" ? TOS_INHERIT : fixedClass(gre.trafficClass))
    .u8(IFLA_GRE_PMTUDISC, 0);
}

function writeIp6Tunnel(data: AttributeWriter, tunnel: Ip6TunnelLink, names: KernelNames): void {
  if (tunnel.external && (tunnel.local !== undefined || tunnel.remote !== undefined)) {
    throw new EncodeError("external", "an external ip6tnl device has neither local nor remote");
  }
  if (tunnel.udp !== undefined && tunnel.remote === undefined)
    throw new EncodeError("udp", "an ip6tnl device without a remote end sends plain, whatever it is told");
  const inherit = tunnel.trafficClass === "inherit";
  const flowInfo = tunnel.trafficClass === "inherit" ? 0 : fixedClass(tunnel.trafficClass) << FLOWINFO_TCLASS_SHIFT;
  data
    .u32(IFLA_IPTUN_LINK, tunnel.device === undefined ? 0 : names.interfaceIndex(tunnel.device))
    .address(IFLA_IPTUN_LOCAL, tunnel.local ?? IPV6_ANY)
    .address(IFLA_IPTUN_REMOTE, tunnel.remote ?? IPV6_ANY)
    .u8(IFLA_IPTUN_TTL, tunnel.ttl)
    .u32be(IFLA_IPTUN_FLOWINFO, flowInfo)
    .u32(IFLA_IPTUN_FLAGS, IP6_TNL_F_IGN_ENCAP_LIMIT | (inherit ? IP6_TNL_F_USE_ORIG_TCLASS : 0))
    .u8(IFLA_IPTUN_PROTO, 0)
    .u16(IFLA_IPTUN_ENCAP_TYPE, tunnel.udp === undefined ? TUNNEL_ENCAP_NONE : TUNNEL_ENCAP_FOU)
    .u16(IFLA_IPTUN_ENCAP_FLAGS, TUNNEL_ENCAP_FLAG_CSUM6) // without UDP it says nothing; iproute2 sets it always
    .u16be(IFLA_IPTUN_ENCAP_SPORT, tunnel.udp?.sourcePort ?? 0)
    .u16be(IFLA_IPTUN_ENCAP_DPORT, tunnel.udp?.destinationPort ?? 0);
  if (tunnel.external) data.flag(IFLA_IPTUN_COLLECT_METADATA);
}

function fixedClass(value: number): number {
  if ((value & ECN_BITS) !== 0)
    throw new EncodeError("trafficClass", `${value}: the two ECN bits are not the operator's to set`);
  return value;
}

function decodeKind(attributes: AttributeMap, names: KernelNames): Link["link"] | undefined {
  const info = attributes.get(IFLA_LINKINFO)?.nested();
  const data = info?.get(IFLA_INFO_DATA)?.nested();
  switch (info?.get(IFLA_INFO_KIND)?.string()) {
    case "sit":
      return data && decodeSit(data, names);
    case "ip6tnl":
      return data && decodeIp6Tunnel(data, names);
    case "gre":
      return data && decodeGre(data, names);
    case "dummy":
      return { type: "dummy" };
    case "tun":
      return { type: "tun" };
    default:
      return undefined;
  }
}

function decodeSit(data: AttributeMap, names: KernelNames): SitLink {
  const remote = ipv4At(data, IFLA_IPTUN_REMOTE);
  const bound = data.get(IFLA_IPTUN_LINK)?.u32() ?? 0;
  const tos = data.get(IFLA_IPTUN_TOS)?.u8() ?? 0;
  return {
    type: "sit",
    local: ipv4At(data, IFLA_IPTUN_LOCAL),
    ...(remote === IPV4_ANY ? {} : { remote }),
    ...(bound === 0 ? {} : { device: names.interfaceName(bound) ?? `index ${bound}` }),
    ...udpOf(data),
    pathMtuDiscovery: data.get(IFLA_IPTUN_PMTUDISC)?.u8() === 1,
    ttl: data.get(IFLA_IPTUN_TTL)?.u8() ?? 0,
    trafficClass: (tos & TOS_INHERIT) !== 0 ? "inherit" : tos,
  };
}

function decodeGre(data: AttributeMap, names: KernelNames): GreLink {
  const external = data.has(IFLA_GRE_COLLECT_METADATA);
  if (external) return { type: "gre", external, ttl: 0, trafficClass: 0 };
  const remote = ipv4At(data, IFLA_GRE_REMOTE);
  const bound = data.get(IFLA_GRE_LINK)?.u32() ?? 0;
  const tos = data.get(IFLA_GRE_TOS)?.u8() ?? 0;
  return {
    type: "gre",
    external,
    local: ipv4At(data, IFLA_GRE_LOCAL),
    ...(remote === IPV4_ANY ? {} : { remote }),
    ...(bound === 0 ? {} : { device: names.interfaceName(bound) ?? `index ${bound}` }),
    ttl: data.get(IFLA_GRE_TTL)?.u8() ?? 0,
    trafficClass: (tos & TOS_INHERIT) !== 0 ? "inherit" : tos,
  };
}

function decodeIp6Tunnel(data: AttributeMap, names: KernelNames): Ip6TunnelLink {
  const external = data.has(IFLA_IPTUN_COLLECT_METADATA);
  const local = ipv6At(data, IFLA_IPTUN_LOCAL);
  const remote = ipv6At(data, IFLA_IPTUN_REMOTE);
  const inherit = ((data.get(IFLA_IPTUN_FLAGS)?.u32() ?? 0) & IP6_TNL_F_USE_ORIG_TCLASS) !== 0;
  const bound = data.get(IFLA_IPTUN_LINK)?.u32() ?? 0;
  const flowInfo = data.get(IFLA_IPTUN_FLOWINFO)?.u32be() ?? 0;
  return {
    type: "ip6tnl",
    external,
    ...(external || local === IPV6_ANY ? {} : { local }),
    ...(external || remote === IPV6_ANY ? {} : { remote }),
    ...(external || bound === 0 ? {} : { device: names.interfaceName(bound) ?? `index ${bound}` }),
    ...udpOf(data),
    ttl: data.get(IFLA_IPTUN_TTL)?.u8() ?? 0,
    trafficClass: inherit ? "inherit" : (flowInfo >>> FLOWINFO_TCLASS_SHIFT) & 0xff,
  };
}

function udpOf(data: AttributeMap): Pick<SitLink, "udp"> {
  const type = data.get(IFLA_IPTUN_ENCAP_TYPE)?.u16();
  if (type !== TUNNEL_ENCAP_FOU && type !== TUNNEL_ENCAP_GUE) return {};
  const port = (type: number): number => data.get(type)?.u16be() ?? 0;
  const gue = type === TUNNEL_ENCAP_GUE;
  return {
    udp: {
      sourcePort: port(IFLA_IPTUN_ENCAP_SPORT),
      destinationPort: port(IFLA_IPTUN_ENCAP_DPORT),
      ...(gue && { gue }),
    },
  };
}

function ipv4At(data: AttributeMap, type: number): Ipv4Address {
  const address = data.get(type)?.address() ?? IPV4_ANY;
  return isIpv4(address) ? address : IPV4_ANY;
}

function ipv6At(data: AttributeMap, type: number): Ipv6Address {
  const address = data.get(type)?.address() ?? IPV6_ANY;
  return isIpv6(address) ? address : IPV6_ANY;
}

/** The kernel refuses a second tunnel of a kind with the same end points; of external devices it allows one of a kind. */
function sameEndPoints(a: Link, b: Link): boolean {
  if (a.link.type === "sit" && b.link.type === "sit")
    return a.link.local === b.link.local && a.link.remote === b.link.remote && a.link.device === b.link.device;
  if (a.link.type === "gre" && b.link.type === "gre")
    return a.link.external
      ? b.link.external
      : !b.link.external && a.link.local === b.link.local && a.link.remote === b.link.remote;
  if (a.link.type !== "ip6tnl" || b.link.type !== "ip6tnl" || a.link.external !== b.link.external) return false;
  return a.link.local === b.link.local && a.link.remote === b.link.remote && a.link.device === b.link.device;
}
