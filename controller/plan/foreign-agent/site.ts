/** What the plan of a foreign agent needs to know of its machine, and the fixed numbers and names that it uses. KERNEL.md says what each is for. */
import { type Ipv4Address, ipv4, ipv4FromNumber, ipv4ToNumber } from "../../base/ip.js";
import type { NftSet } from "../objects/firewall.js";
import type { TunnelProfileSpec } from "../site.js";

export interface ForeignAgentPlanSite {
  readonly careOfAddress: Ipv4Address;
  readonly links: readonly { readonly device: string; readonly address: Ipv4Address; readonly prefixLength: number }[];
  /** Of tunnels to home agents. */
  readonly profile: TunnelProfileSpec;
  /** GRE is served: its device takes whatever comes to this machine in GRE. */
  readonly gre: boolean;
  /** Of the devices, in octets. */
  readonly mtu: number;
}

export const FA_DEVICE = {
  /** Where tunnels of home agents end. */
  receive: "dsmip-in4",
  /** Where those to them begin. */
  send: "dsmip-ofa",
} as const;

/** Out of 240.0.0.0/8 (reserved, RFC 1112 §4), on no wire. */
export const FA_ADDRESS = {
  receive: ipv4("240.41.65.4"),
  send: ipv4("240.42.65.1"),
  gre: ipv4("240.41.65.9"),
  /** The next hop of the one route to home agents for each format; the firewall writes the home agent's address over it. */
  anyHomeAgent: ipv4("240.42.65.2"),
} as const;

/** Next hops of visitors, by their numbers: two with one home address have two. */
const FIRST_VISITOR = ipv4ToNumber(ipv4("240.43.0.0"));
export const nextHop = (number: number): Ipv4Address => ipv4FromNumber(FIRST_VISITOR + number);

/** The upper four bits of a packet's mark say where it goes (`upGre`: in GRE), the others are the number of its home agent. */
export const FA_MARK = { mask: 0xf0000000, up: 0x20000000, down: 0x30000000, upGre: 0x40000000 } as const;

export const FA_TABLE = {
  upGre: 4195,
  up: 4196,
  visitors: 4197,
  /** Visitors of one home agent whose home addresses another visitor has, too: this and the home agent's number. */
  separate: 0x42000000,
} as const;

export const FA_PRIORITY = { separate: 4180, visitors: 4181, up: 4182, upGre: 4183 } as const;

export const FA_SETS = {
  /** Who may send from a home address, and how: 0 as it is, else to its home agent. */
  senders: { name: "visitors-up", key: ["ether_addr", "ipv4_addr"], value: "mark" },
  /** Which home agent may send to which home address. */
  receivers: { name: "visitors-down", key: ["ipv4_addr", "ipv4_addr"], value: "mark" },
  /** The same for those who are reached in GRE. */
  receiversGre: { name: "visitors-down-gre", key: ["ipv4_addr", "ipv4_addr"], value: "mark" },
  homeAgents: { name: "home-agents", key: ["mark"], value: "ipv4_addr" },
} as const satisfies Record<string, NftSet>;
