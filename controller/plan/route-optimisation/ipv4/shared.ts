/** Devices and rules of direct ways with IPv4: what of a correspondent stands with its site, what of a node with each of its pairs. */
import { hostPrefix, IPV4_ANY, type IpAddress, type Ipv4Address, ipv4, ipv6, isIpv4 } from "../../../base/ip.js";
import type { Link, Rule } from "../../objects/forwarding.js";
import type { KernelObject } from "../../objects/objects.js";
import { deviceObjects, sysctl } from "../../shared-objects.js";
import {
  DEFAULT_MTU,
  DIRECT_MARK,
  DSMIP_PORT,
  type DualStackAddresses,
  type HomePlace,
  INTERNAL_ADDRESS,
  MAIN_TABLE,
  RULE_PRIORITY,
  type TunnelProfileSpec,
} from "../../site.js";
import {
  directTable,
  HEADERS_DEVICE,
  HOME_TEST_PREFIX,
  internalSource,
  ROUNDABOUT_MARK_BIT,
  receivingDevice,
  sendingDevice,
} from "./names.js";

const UDP = { sourcePort: DSMIP_PORT, destinationPort: DSMIP_PORT } as const;
const MOBILITY_HEADER = 135;
const RECEIVING_ADDRESS = ipv4("240.41.65.5");

type IpvFourUplink = { readonly address: Ipv4Address; readonly device: string };

/** What a device needs that sends in IPv4. The TTL is the firewall's: a fixed one would force DF on packets that allow fragments. */
const sitDevice = (
  name: string,
  { dscp, mtu = DEFAULT_MTU }: TunnelProfileSpec,
  ends: { readonly local: Ipv4Address; readonly device?: string; readonly udp?: typeof UDP },
): Link => ({
  kind: "link",
  name,
  mtu,
  up: true,
  link: {
    type: "sit",
    ttl: 0,
    trafficClass: dscp === "copy" ? "inherit" : dscp << 2,
    pathMtuDiscovery: false,
    ...ends,
  },
});

/** IPv4 in RFC 6275's headers, at either end; the outer header is the route's. */
export function headersDevice({ mtu = DEFAULT_MTU }: TunnelProfileSpec): readonly KernelObject[] {
  const link = { type: "ip6tnl", external: true, ttl: 0, trafficClass: 0 } as const;
  return deviceObjects({ kind: "link", name: HEADERS_DEVICE, mtu, up: true, link }, INTERNAL_ADDRESS.sendIpv6);
}

/**
 * Payload from this address looks first for who is reached directly, a source that is not chosen yet too. Messages never do: Home Test Inits
 * and Home Tests prove the way through the home agent, and what goes directly of others is said by who sends it (over IPv4 with the mark of
 * what leaves as it is). They go as if there were no direct ways (`otherwise`).
 */
export function directRules(own: IpAddress, otherwise: number): readonly Rule[] {
  const four = isIpv4(own);
  const common = { kind: "rule", family: four ? 4 : 6 } as const;
  const direct = { ...common, priority: RULE_PRIORITY.direct, table: directTable(own) } as const;
  return [
    {
      ...common,
      priority: RULE_PRIORITY.notDirect,
      table: otherwise,
      from: hostPrefix(own),
      ...(four ? { mark: DIRECT_MARK } : { ipProtocol: MOBILITY_HEADER }),
    },
    { ...direct, from: hostPrefix(own), ...(!four && { findSource: true }) },
    ...(four ? [{ ...direct, from: hostPrefix(IPV4_ANY) }] : []),
  ];
}

/**
 * The kernel gives each sit device a route for ::/96, through which anybody could send IPv4 packets in our name. The home agent's plan has
 * the same one.
 */
const NO_COMPATIBLE_ADDRESSES: KernelObject = {
  kind: "route",
  destination: { address: ipv6("::"), length: 96 },
  table: MAIN_TABLE,
  metric: 1,
  device: "lo",
};

/** For a strict rp_filter alone: nothing that leaves has the mark. */
const roundabout = (self: Ipv4Address): Rule => ({
  ...{ kind: "rule", family: 4, priority: RULE_PRIORITY.notDirect, table: MAIN_TABLE, from: hostPrefix(self) },
  ...{ mark: ROUNDABOUT_MARK_BIT, markMask: ROUNDABOUT_MARK_BIT },
});

/** At a correspondent for each of its pairs of addresses. */
export function correspondentDevices(
  own: readonly DualStackAddresses[],
  profile: TunnelProfileSpec,
): readonly KernelObject[] {
  const four = [...new Set(own.map((one) => one.ipv4))];
  return [
    ...four.flatMap((self): readonly KernelObject[] => [
      // Bound, or GUE to any other address of the machine would come out of UDP past everybody's filter.
      { kind: "fou-port", family: 4, port: DSMIP_PORT, encapsulation: "gue", local: self },
      ...deviceObjects(sitDevice(receivingDevice(self), profile, { local: self }), RECEIVING_ADDRESS),
      ...(["ipv4", "udp"] as const).flatMap((format) => {
        const local = internalSource(format, self);
        const ends = { local, ...(format === "udp" && { udp: UDP }) };
        return deviceObjects(sitDevice(sendingDevice(format, self), profile, ends), local);
      }),
    ]),
    NO_COMPATIBLE_ADDRESSES,
    ...headersDevice(profile),
    ...[...own.map(({ ipv6: self }) => self), ...four].flatMap((self) => directRules(self, MAIN_TABLE)),
    ...four.map(roundabout),
    sysctl("net/ipv4/conf/all/src_valid_mark", 1),
  ];
}

/** The name of a node's device for this care-of address. */
export const uplinkDevice = (format: "ipv4" | "udp", { address, device }: IpvFourUplink): string =>
  sendingDevice(format, `${address}%${device}`);

/** At a node for an IPv4 care-of address: both formats, either of which receives both. */
export function uplinkDevices(uplink: IpvFourUplink, profile: TunnelProfileSpec): readonly KernelObject[] {
  const { address: local, device } = uplink;
  // The kernel takes a second device with the same ends only if one of the two is bound to a device.
  const plain = sitDevice(uplinkDevice("ipv4", uplink), profile, { local, device });
  const udp = sitDevice(uplinkDevice("udp", uplink), profile, { local, udp: UDP });
  return [...[plain, udp].flatMap((link) => deviceObjects(link, INTERNAL_ADDRESS.mobileNode)), NO_COMPATIBLE_ADDRESSES];
}

/**
 * Takes the outer header off a Home Test for this IPv4 home address. Anybody may send to it; what goes on is the firewall's to say, and the
 * hop limit of 1 keeps what is inside from going further than this machine (draft-oulai-mext-dsmip-ro-00 §7.1.1.1).
 */
export function homeTestDevice(local: Ipv4Address, { rank = 0 }: HomePlace): readonly KernelObject[] {
  const link = { type: "sit", local, ttl: 0, trafficClass: "inherit", pathMtuDiscovery: false } as const;
  const name = `${HOME_TEST_PREFIX}${rank}`;
  return deviceObjects({ kind: "link", name, mtu: DEFAULT_MTU, up: true, link }, INTERNAL_ADDRESS.mobileNode);
}
