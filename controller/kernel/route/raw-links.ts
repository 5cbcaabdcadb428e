/**
 * Requests for links that no plan contains: the wires and plain tunnels of test networks and benchmarks. They carry no mark of ours, so
 * the kernel port neither lists nor removes them. Sources: linux/if_link.h, if_tunnel.h, veth.h.
 */
import { IPV4_ANY, type Ipv4Address } from "../../base/ip.js";
import { AttributeWriter } from "../../netlink/attribute.js";
import { NLM_F_CREATE, NLM_F_EXCL } from "../../netlink/constants.js";
import type { NetlinkRequest } from "../../netlink/message.js";
import {
  IFF_UP,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_IPTUN_COLLECT_METADATA,
  IFLA_IPTUN_ENCAP_DPORT,
  IFLA_IPTUN_ENCAP_FLAGS,
  IFLA_IPTUN_ENCAP_SPORT,
  IFLA_IPTUN_ENCAP_TYPE,
  IFLA_IPTUN_LOCAL,
  IFLA_IPTUN_PMTUDISC,
  IFLA_IPTUN_REMOTE,
  IFLA_IPTUN_TOS,
  IFLA_IPTUN_TTL,
  IFLA_LINKINFO,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  RTM_DELLINK,
  RTM_NEWLINK,
  RTM_SETLINK,
  TUNNEL_ENCAP_FOU,
  VETH_INFO_PEER,
} from "../../netlink/rtnetlink.js";
import { encodeLinkHeader } from "./headers.js";

export interface VethEnd {
  readonly name: string;
  /** Octets; absent: 1500. */
  readonly mtu?: number;
  /** Open descriptor of the network namespace it is made in; absent: the one of the socket. */
  readonly namespace?: number;
}

/** A wire between two ends, both down. */
export function vethRequest(end: VethEnd, peer: VethEnd): NetlinkRequest {
  const writer = new AttributeWriter().raw(encodeLinkHeader({}));
  writeEnd(writer, end).nested(IFLA_LINKINFO, (info) => {
    info.string(IFLA_INFO_KIND, "veth").nested(IFLA_INFO_DATA, (data) => {
      data.nested(VETH_INFO_PEER, (other) => writeEnd(other.raw(encodeLinkHeader({})), peer));
    });
  });
  return newLink(writer);
}

export interface IpipTunnel {
  readonly name: string;
  readonly local: Ipv4Address;
  /** Absent: NBMA. */
  readonly remote?: Ipv4Address;
  /** 0 copies the inner one. */
  readonly ttl: number;
  readonly tos: "inherit" | number;
  readonly pathMtuDiscovery: boolean;
  readonly udp?: { readonly sourcePort: number; readonly destinationPort: number };
  /** The outer header comes from the route. */
  readonly external?: boolean;
}

/** An IPv4-in-IPv4 tunnel, down. */
export function ipipRequest(tunnel: IpipTunnel): NetlinkRequest {
  const writer = new AttributeWriter().raw(encodeLinkHeader({})).string(IFLA_IFNAME, tunnel.name);
  writer.nested(IFLA_LINKINFO, (info) => {
    info.string(IFLA_INFO_KIND, "ipip").nested(IFLA_INFO_DATA, (data) => {
      if (tunnel.external === true) {
        data.flag(IFLA_IPTUN_COLLECT_METADATA);
        return;
      }
      data
        .address(IFLA_IPTUN_LOCAL, tunnel.local)
        .address(IFLA_IPTUN_REMOTE, tunnel.remote ?? IPV4_ANY)
        .u8(IFLA_IPTUN_TTL, tunnel.ttl)
        .u8(IFLA_IPTUN_TOS, tunnel.tos === "inherit" ? 1 : tunnel.tos)
        .u8(IFLA_IPTUN_PMTUDISC, tunnel.pathMtuDiscovery ? 1 : 0);
      if (tunnel.udp === undefined) return;
      data
        .u16(IFLA_IPTUN_ENCAP_TYPE, TUNNEL_ENCAP_FOU)
        .u16(IFLA_IPTUN_ENCAP_FLAGS, 0)
        .u16be(IFLA_IPTUN_ENCAP_SPORT, tunnel.udp.sourcePort)
        .u16be(IFLA_IPTUN_ENCAP_DPORT, tunnel.udp.destinationPort);
    });
  });
  return newLink(writer);
}

/** Up or down, by name. */
export function linkStateRequest(name: string, up: boolean): NetlinkRequest {
  const header = encodeLinkHeader({ flags: up ? IFF_UP : 0, change: IFF_UP });
  return {
    family: "route",
    type: RTM_SETLINK,
    flags: 0,
    body: new AttributeWriter(48).raw(header).string(IFLA_IFNAME, name).finish(),
  };
}

/** Into the network namespace behind an open descriptor, by name. */
export function moveLinkRequest(name: string, namespace: number): NetlinkRequest {
  const body = new AttributeWriter(64)
    .raw(encodeLinkHeader({}))
    .string(IFLA_IFNAME, name)
    .u32(IFLA_NET_NS_FD, namespace)
    .finish();
  return { family: "route", type: RTM_SETLINK, flags: 0, body };
}

/** Whatever it is, by name. */
export function deleteLinkRequest(name: string): NetlinkRequest {
  return {
    family: "route",
    type: RTM_DELLINK,
    flags: 0,
    body: new AttributeWriter(48).raw(encodeLinkHeader({})).string(IFLA_IFNAME, name).finish(),
  };
}

function writeEnd(writer: AttributeWriter, { name, mtu, namespace }: VethEnd): AttributeWriter {
  writer.string(IFLA_IFNAME, name);
  if (mtu !== undefined) writer.u32(IFLA_MTU, mtu);
  return namespace === undefined ? writer : writer.u32(IFLA_NET_NS_FD, namespace);
}

function newLink(writer: AttributeWriter): NetlinkRequest {
  return { family: "route", type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, body: writer.finish() };
}
