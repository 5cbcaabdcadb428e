/**
 * Where the tunnel devices of others begin and end, read from their links. Sources: linux/if_tunnel.h, if_link.h; "local" and "remote" have
 * other numbers in each family of devices.
 */
import type { IpAddress } from "../../base/ip.js";
import { isRoutableUnicast } from "../../base/ip.js";
import type { AttributeMap } from "../../netlink/attribute.js";
import {
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINK,
  IFLA_LINK_NETNSID,
  IFLA_LINKINFO,
} from "../../netlink/rtnetlink.js";
import type { NetworkLink } from "../../protocol/movement/network-view.js";

interface Numbers {
  readonly link?: number;
  readonly local: readonly number[];
}

const IPTUN: Numbers = { link: 1, local: [2] };
const GRE: Numbers = { link: 1, local: [6] };
const VTI: Numbers = { link: 1, local: [4] };
const VXLAN: Numbers = { link: 3, local: [4, 17] };
const TUNNELS: ReadonlyMap<string, Numbers> = new Map([
  ...["ipip", "sit", "ip6tnl"].map((kind) => [kind, IPTUN] as const),
  ...["gre", "gretap", "erspan", "ip6gre", "ip6gretap", "ip6erspan"].map((kind) => [kind, GRE] as const),
  ...["vti", "vti6"].map((kind) => [kind, VTI] as const),
  ["vxlan", VXLAN],
]);
/** Devices that are nothing but a view of another one, which IFLA_LINK names. */
const STACKED: ReadonlySet<string> = new Set(["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec"]);

/** What a link says of where its packets leave. */
export function tunnelEnds(attributes: AttributeMap): Pick<NetworkLink, "tunnel" | "lower"> {
  const info = attributes.get(IFLA_LINKINFO)?.nested();
  const kind = info?.get(IFLA_INFO_KIND)?.string() ?? "";
  // In another namespace the number means another device.
  if (STACKED.has(kind)) return attributes.has(IFLA_LINK_NETNSID) ? {} : lowerOf(attributes.get(IFLA_LINK)?.u32());
  const numbers = TUNNELS.get(kind);
  if (numbers === undefined) return {};
  const data = info?.get(IFLA_INFO_DATA)?.nested();
  const locals = numbers.local.flatMap((number): IpAddress[] => {
    const address = data?.get(number)?.address();
    return address !== undefined && isRoutableUnicast(address) ? [address] : [];
  });
  const [local] = locals;
  return {
    tunnel: local === undefined ? {} : { local },
    ...(numbers.link === undefined ? {} : lowerOf(data?.get(numbers.link)?.u32())),
  };
}

const lowerOf = (index: number | undefined): Pick<NetworkLink, "lower"> =>
  index === undefined || index === 0 ? {} : { lower: index };
