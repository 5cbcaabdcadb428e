/** The addresses of the benchmark's network: one home agent and as many mobile nodes as are asked for, each by its number from 0. */
import {
  type IpAddress,
  type Ipv4Address,
  type Ipv6Address,
  ipv4,
  ipv6,
  type Prefix,
} from "../../controller/base/ip.js";
import type { DataPath as Mip4DataPath, TunnelEnd } from "../../controller/protocol/mip4/inputs.js";
import type { DataPath, Endpoint } from "../../controller/protocol/mip6/inputs.js";

export const HOME_AGENT = { ipv4: ipv4("203.0.113.1"), ipv6: ipv6("2001:db8:f::1") } as const;
/** Where the home agent's wide-area link leads. */
export const GATEWAY = { ipv4: ipv4("203.0.113.254"), ipv6: ipv6("2001:db8:f::fe") } as const;
export const CORRESPONDENT = { ipv4: ipv4("192.0.2.2"), ipv6: ipv6("2001:db8:c::2") } as const;
export const HOME_PREFIXES = ["2001:db8:1::/64", "172.16.0.0/12"] as const;

export const ACCESSES = ["ipv6", "ipv4", "udp"] as const;
export type Access = (typeof ACCESSES)[number];
/** How packets of Mobile IPv4's nodes travel over IPv4. */
export const CARRIERS = ["ip-in-ip", "gre", "tunnel-data"] as const;
export type Carrier = (typeof CARRIERS)[number];
/** "+home": IPv6 in protocol 41 to the IPv4 home address, inside what that travels in. */
export const MIP4_ACCESSES = [...CARRIERS, ...CARRIERS.map((one) => `${one}+home` as const)] as const;
export type Mip4Access = (typeof MIP4_ACCESSES)[number];
export const isMip4 = (access: Access | Mip4Access): access is Mip4Access =>
  MIP4_ACCESSES.some((one) => one === access);
export const isOverHome = (access: Access | Mip4Access): boolean => access.endsWith("+home");
export const carrierOf = (access: Mip4Access): Carrier => access.replace("+home", "") as Carrier;
export const INNER_FAMILIES = [6, 4] as const;
export type InnerFamily = (typeof INNER_FAMILIES)[number];

const within = (high: number, low: number, number: number): Ipv4Address => {
  const octets = [high, low | (number >>> 16), (number >>> 8) & 0xff, number & 0xff];
  return ipv4(octets.join("."));
};
const beneath = (prefix: string, number: number): Ipv6Address =>
  ipv6(`${prefix}${(number >>> 16).toString(16)}:${(number & 0xffff).toString(16)}`);

export interface MobileNode {
  readonly number: number;
  readonly homeAddress: Ipv6Address;
  readonly ipv4HomeAddress: Ipv4Address;
}

/** From 256 on, so that no address ends in all zeros. */
const FIRST = 256;

export function mobileNode(number: number): MobileNode {
  return {
    number,
    homeAddress: beneath("2001:db8:1::", FIRST + number),
    ipv4HomeAddress: within(172, 16, FIRST + number),
  };
}

/** Where a node is reached. Nodes behind NATs differ in address and port. */
export function endpointOf(number: number, access: Access | Mip4Access): Endpoint {
  if (access === "ipv6") return { format: "ipv6", address: beneath("2001:db8:a::", FIRST + number) };
  const address = within(100, 64, FIRST + number);
  return access === "udp" || access.startsWith("tunnel-data")
    ? { format: "udp", address, port: 1024 + (number % 60000) }
    : { format: "ipv4", address };
}

/** What a node behind a NAT thinks its address is. */
export const PRIVATE_ADDRESS = ipv4("192.168.1.2");

export const KINDS = ["hosts", "routers"] as const;
/** What the nodes are. */
export type Kind = (typeof KINDS)[number];

/** In bits, of the networks behind routers. */
export const NETWORK_LENGTHS = { ipv4: 28, ipv6: 60 } as const;
const NETWORKS_OF_A_FAMILY = 2;

/** The networks behind a router: two of each family, no two routers' beside each other in a larger one. */
export function networksOf(number: number): Readonly<Record<InnerFamily, readonly Prefix[]>> {
  const numbers = Array.from({ length: NETWORKS_OF_A_FAMILY }, (_, i) => FIRST + NETWORKS_OF_A_FAMILY * number + i);
  const group = (value: number): string => value.toString(16);
  return {
    4: numbers.map((one) => ({
      address: within(10, one >>> 12, (one << 4) & 0xffff),
      length: NETWORK_LENGTHS.ipv4,
    })),
    6: numbers.map((one) => ({
      address: ipv6(`2001:db8:${group(0x8000 | (one >>> 12))}:${group((one << 4) & 0xffff)}::`),
      length: NETWORK_LENGTHS.ipv6,
    })),
  };
}

/** Whose payload is forwarded: a host's home address, or the first address of a network behind a router, of each of them in turn. */
export function payloadAddress(number: number, inner: InnerFamily, kind: Kind): IpAddress {
  const { homeAddress, ipv4HomeAddress } = mobileNode(number);
  if (kind === "hosts") return inner === 6 ? homeAddress : ipv4HomeAddress;
  const networks = networksOf(number)[inner];
  const { address } = networks[number % networks.length] as Prefix;
  return inner === 6 ? ipv6(`${address}1`) : ipv4(address.replace(/\d+$/, (last) => `${Number(last) + 1}`));
}

/** What the protocol would want of the plan for this node. */
export function dataPathOf(number: number, access: Access, kind: Kind = "hosts"): DataPath {
  const { homeAddress, ipv4HomeAddress } = mobileNode(number);
  const endpoint = endpointOf(number, access);
  const path = { homeAddress, ipv4HomeAddress, profile: "default", egress: endpoint, ingress: [endpoint], revision: 1 };
  if (kind === "hosts") return path;
  const { 4: four, 6: six } = networksOf(number);
  return { ...path, prefixes: [...six, ...four] };
}

/** The same of Mobile IPv4: the IPv6 address is a network of a single one. */
export function mip4DataPathOf(number: number, access: Mip4Access): Mip4DataPath {
  const { homeAddress: address, ipv4HomeAddress } = mobileNode(number);
  const endpoint = endpointOf(number, access);
  const careOf = endpoint.address as Ipv4Address;
  const end: TunnelEnd =
    endpoint.format === "udp"
      ? { transport: "udp", address: careOf, port: endpoint.port, encapsulation: "ip-in-ip" }
      : { transport: "ip", address: careOf, encapsulation: carrierOf(access) === "gre" ? "gre" : "ip-in-ip" };
  const mode = isOverHome(access) ? "home-address" : "care-of-address";
  return {
    ...{ node: address, homeAddress: ipv4HomeAddress, egress: end, ingress: [end], reverseTunnelling: true },
    prefixes: [{ prefix: { address, length: 128 }, mode }],
    ...{ profile: "default", revision: 1 },
  };
}
