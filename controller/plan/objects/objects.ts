/**
 * The kernel objects that dsmipd owns, as plain data: what a plan consists of, what a dump of the kernel gives back, and what the
 * reconciler compares. An object is its identity (the fields of `objectKey`) and its content (all the rest). What each kind consists of
 * stands in forwarding.ts, security.ts, firewall.ts and copying.ts.
 */
import type { Prefix } from "../../base/ip.js";
import type { Filter, FilterHook } from "./copying.js";
import type { NftElement, NftTable } from "./firewall.js";
import type { Address, FouPort, Link, PermanentNeighbour, ProxyNeighbour, Route, Rule, Sysctl } from "./forwarding.js";
import type { PolicyHash, XfrmMark, XfrmPolicy, XfrmSelector, XfrmState } from "./security.js";

/** Marks by which we know our own objects again; nothing without them is ever touched. */
export const OWNERSHIP = {
  /** rtm_protocol, FRA_PROTOCOL, IFA_PROTO, NDA_PROTOCOL. Free in iproute2's rt_protos. */
  protocol: 155,
  /** Links carry this alias besides a name that starts with `linkPrefix`. */
  linkAlias: "dsmipd",
  linkPrefix: "dsmip",
  nftTable: "dsmipd",
  /** SA request ids: reqidBase .. reqidBase + 2^24 - 1. */
  reqidBase: 0x44000000,
  /** XFRM policies: priorities policyPriorityBase .. policyPriorityBase + 0xffff. */
  policyPriorityBase: 0x41910000,
  /** Blocks of filters of traffic control, shown by `tc filter show block N`. */
  filterBlocks: [4191, 4192, 4193, 4194] as readonly number[],
  /** The thresholds of a home agent: every policy that names one host at the remote end is hashed. */
  policyHash: { ipv4: { localBits: 0, remoteBits: 32 }, ipv6: { localBits: 0, remoteBits: 128 } },
} as const;

export type KernelObject =
  | FouPort
  | Link
  | Address
  | Route
  | Rule
  | ProxyNeighbour
  | PermanentNeighbour
  | XfrmState
  | XfrmPolicy
  | PolicyHash
  | NftTable
  | NftElement
  | FilterHook
  | Filter
  | Sysctl;

export type KernelObjectKind = KernelObject["kind"];

/** The identity of an object: two objects with the same key cannot exist side by side in the kernel. */
export function objectKey(object: KernelObject): string {
  switch (object.kind) {
    case "fou-port":
      return `fou-port ${object.family} ${object.port}`;
    case "link":
      return `link ${object.name}`;
    case "address":
      return `address ${object.device} ${object.address}/${object.prefixLength}`;
    case "route":
      return `route ${object.table} ${object.destination.address}/${object.destination.length} ${object.metric}`;
    case "rule":
      return ruleKey(object);
    case "proxy-neighbour":
      return `proxy-neighbour ${object.device} ${object.address}`;
    case "permanent-neighbour":
      return `permanent-neighbour ${object.device} ${object.address}`;
    case "xfrm-state":
      return object.transform.type === "esp"
        ? `xfrm-state esp ${object.destination} ${object.transform.spi} ${markKey(object.transform.mark)}`.trimEnd()
        : `xfrm-state ${object.transform.type} ${object.source} ${object.destination}`;
    case "xfrm-policy":
      return `xfrm-policy ${object.policyType} ${object.direction} ${selectorKey(object.selector)} ${markKey(object.mark)}`;
    case "policy-hash":
      return "policy-hash";
    case "nft-table":
      return `nft-table ${object.family} ${object.name}`;
    case "nft-element":
      return `nft-element ${object.set} ${object.key.join(" . ")}`;
    case "qdisc":
      return `qdisc ${object.device}`;
    case "filter":
      return `filter ${object.block} ${object.chain} ${object.priority} ${object.handle}`;
    case "sysctl":
      return `sysctl ${object.path}`;
  }
}

function ruleKey(rule: Rule): string {
  const { family, priority, table, from, to, ipProtocol, udpDestinationPort, mark, markMask, unlessMark } = rule;
  const prefix = (one: Prefix | undefined): string => `${one?.address ?? ""}/${one?.length ?? 0}`;
  const protocol = ipProtocol === undefined ? "" : ` protocol ${ipProtocol}`;
  const port = udpDestinationPort === undefined ? protocol : ` udp ${udpDestinationPort}`;
  return `rule ${family} ${priority} ${prefix(from)}${to === undefined ? "" : ` to ${prefix(to)}`}${port} ${unlessMark === undefined ? `${mark ?? ""}${markMask === undefined ? "" : `/${markMask}`}` : `0/${unlessMark}`} ${table}`;
}

function selectorKey(selector: XfrmSelector): string {
  const { source, destination, protocol, mobilityHeaderType, icmpv6Errors, icmpv6Type } = selector;
  const types = icmpv6Errors === true ? "errors" : (mobilityHeaderType ?? icmpv6Type ?? "");
  return `${source.address}/${source.length} ${destination.address}/${destination.length} ${protocol} ${types}`;
}

function markKey(mark: XfrmMark | undefined): string {
  return mark === undefined ? "" : `${mark.value}/${mark.mask}`;
}
