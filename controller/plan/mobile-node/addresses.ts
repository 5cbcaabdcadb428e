/** How home addresses are held and led into our table, and names and tables of care-of addresses, whatever the protocol. */
import { hostPrefix, IPV4_ANY, type IpAddress, type Ipv4Address, ipv4 as ipv4Of, isIpv4 } from "../../base/ip.js";
import type { Address } from "../objects/forwarding.js";
import { fnv1a } from "../objects/hash.js";
import type { KernelObject } from "../objects/objects.js";
import {
  CARE_OF_TABLE_BASE,
  DEVICE,
  type HomePlace,
  homeTable,
  isFirstHome,
  MAIN_TABLE,
  RULE_PRIORITY,
} from "../site.js";

/** Names of tunnel devices start so. */
export const TUNNEL_PREFIX = "dsmip-t";

/** 224.0.0.0 up to 255.255.255.255. */
const MULTICAST_AND_BROADCAST = { address: ipv4Of("224.0.0.0"), length: 3 } as const;
const LINK_LOCAL = { address: ipv4Of("169.254.0.0"), length: 16 } as const;
const DHCP_SERVER_PORT = 67;
/** IFA_F_HOMEADDRESS makes the kernel prefer it as a source, and take it in a type 2 routing header. */
export function homeAddress(device: string, address: IpAddress): Address {
  const four = isIpv4(address);
  return { kind: "address", device, address, prefixLength: four ? 32 : 128, home: !four, noPrefixRoute: false };
}

/**
 * A packet whose source is not chosen yet looks into our table too, and takes the home address from the route it finds there (of several
 * home addresses the first one's). What belongs to the visited link stays with the main table even when the socket names no device:
 * multicast and broadcast, link-local addresses (RFC 3927), and the renewal of a DHCP lease.
 */
export function ipv4Objects(address: Ipv4Address, place: HomePlace = {}): readonly KernelObject[] {
  const rule = { kind: "rule", family: 4, table: homeTable(place) } as const;
  const unspecified = hostPrefix(IPV4_ANY);
  const local = { ...rule, priority: RULE_PRIORITY.local, table: MAIN_TABLE, from: unspecified } as const;
  const choosing = <T>(...objects: readonly T[]): readonly T[] => (isFirstHome(place) ? objects : []);
  return [
    homeAddress(DEVICE.homeAddresses, address),
    ...choosing(
      { ...local, to: MULTICAST_AND_BROADCAST },
      { ...local, to: LINK_LOCAL },
      { ...local, udpDestinationPort: DHCP_SERVER_PORT },
    ),
    { ...rule, priority: RULE_PRIORITY.home, from: hostPrefix(address) },
    ...choosing({ ...rule, priority: RULE_PRIORITY.unspecified, from: unspecified }),
  ];
}

export interface CareOfAddress {
  readonly address: IpAddress;
  readonly device: string;
}

/** The same for the same address whatever came before. */
export function hashOf({ address, device }: CareOfAddress): number {
  return fnv1a([...`${address}%${device}`].map((letter) => letter.codePointAt(0) ?? 0));
}

/** Spreads the tables of one care-of address. */
const RANK_STEP = 0x3c6ef3;

/** Each home address has its own: its route changes with the router, and no two groups may want one route in two forms. */
export const careOfTable = (endpoint: CareOfAddress, { rank = 0 }: HomePlace = {}): number =>
  CARE_OF_TABLE_BASE + ((hashOf(endpoint) + rank * RANK_STEP) & 0xffffff);
