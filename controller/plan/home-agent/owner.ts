/** Whose an object of a home agent is, but for what all nodes share: every object of a node names it, by an address or by a request id. */
import {
  type IpAddress,
  type Ipv6Address,
  ipToBytes,
  ipv4FromBytes,
  ipv6FromBytes,
  isIpv4,
  type Prefix,
} from "../../base/ip.js";
import type { NftElement } from "../objects/firewall.js";
import type { Route } from "../objects/forwarding.js";
import type { KernelObject } from "../objects/objects.js";
import type { XfrmPolicy, XfrmState } from "../objects/security.js";
import type { ObjectOwner } from "../owner.js";
import { type RequestIds, TUNNEL_PURPOSES } from "../security/request-ids.js";
import { SIGNALLING_KEYS } from "../security/signalling-keys.js";
import { MIP4_SETS } from "./mip4/sets.js";

export interface NodeDirectory {
  readonly ids: RequestIds;
  readonly homePrefixes: readonly Prefix[];
  /** The node with this home address of either family, or behind which the address is. */
  nodeAt(address: IpAddress): Ipv6Address | undefined;
}

/** Undefined: an object that belongs to no node of the directory. */
export function homeAgentOwner(object: KernelObject, nodes: NodeDirectory): ObjectOwner | undefined {
  switch (object.kind) {
    case "route":
      return binding(nodes.nodeAt(object.destination.address) ?? behindHomeAddress(object, nodes));
    case "proxy-neighbour":
      return binding(nodes.nodeAt(object.address) ?? linkLocalNode(object.address, nodes));
    case "nft-element":
      if (object.set === SIGNALLING_KEYS.name) return subscriber(addressOf(object.key[0], nodes));
      // The inner address or prefix is the last field of every set that bindings fill.
      // But for what comes out of the tunnel to a home address, and may be link-local.
      return binding(addressOf(object.set.startsWith(MIP4_SETS.home6.name) ? object.key[0] : object.key.at(-1), nodes));
    case "xfrm-state":
      return stateOwner(object, nodes);
    case "xfrm-policy":
      return policyOwner(object, nodes);
    case "fou-port":
    case "link":
    case "address":
    case "rule":
    case "permanent-neighbour":
    case "policy-hash":
    case "nft-table":
    case "qdisc":
    case "filter":
    case "sysctl":
      return undefined;
  }
}

const binding = (homeAddress: Ipv6Address | undefined): ObjectOwner | undefined =>
  homeAddress && { kind: "binding", homeAddress };

const subscriber = (homeAddress: Ipv6Address | undefined): ObjectOwner | undefined =>
  homeAddress && { kind: "subscriber", homeAddress };

const isHost = ({ address, length }: Prefix): boolean => length === (isIpv4(address) ? 32 : 128);

/** No set of a home agent has link-layer addresses. */
function addressOf(field: NftElement["key"][number] | undefined, nodes: NodeDirectory): Ipv6Address | undefined {
  return typeof field === "string" ? nodes.nodeAt(field as IpAddress) : undefined;
}

/** The route to a link-local address names the home address whose tunnel leads there (RFC 5454 §3.7.1). */
function behindHomeAddress({ via }: Route, { nodeAt }: NodeDirectory): Ipv6Address | undefined {
  if (via === undefined || isIpv4(via)) return undefined;
  return nodeAt(ipv4FromBytes(ipToBytes(via).subarray(12)));
}

/** The L flag: the link-local address has the home address's interface identifier (RFC 6275 §6.1.7). */
function linkLocalNode(address: IpAddress, { homePrefixes, nodeAt }: NodeDirectory): Ipv6Address | undefined {
  if (isIpv4(address)) return undefined;
  for (const { address: network } of homePrefixes) {
    if (isIpv4(network)) continue;
    const octets = ipToBytes(network).slice();
    octets.set(ipToBytes(address).subarray(8), 8);
    const found = nodeAt(ipv6FromBytes(octets));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Tunnels come and go with the binding; what is parked meanwhile counts as its data path too. */
function byRequestId(reqid: number, { ids }: NodeDirectory): ObjectOwner | undefined {
  const found = ids.find(reqid);
  if (found === undefined) return undefined;
  const { homeAddress, purpose } = found;
  const isTunnel = TUNNEL_PURPOSES.some((one) => one === purpose);
  return { kind: isTunnel ? "binding" : "subscriber", homeAddress };
}

/** What Mobile IPv6 itself adds to packets is a binding's, and bears a request id that all nodes share. */
function stateOwner(
  { transform, source, destination, reqid }: XfrmState,
  nodes: NodeDirectory,
): ObjectOwner | undefined {
  if (transform.type === "esp") return byRequestId(reqid, nodes);
  return binding(firstNode([source, destination], nodes));
}

/** Those without templates (bypass, block) are all of a binding; one that asks for a binding's option is there before any binding. */
function policyOwner({ templates = [], selector }: XfrmPolicy, nodes: NodeDirectory): ObjectOwner | undefined {
  for (const { reqid } of templates) {
    const found = byRequestId(reqid, nodes);
    if (found !== undefined) return found;
  }
  const ends = [selector.source, selector.destination].filter(isHost).map(({ address }) => address);
  const node = firstNode(ends, nodes);
  return templates.length > 0 ? subscriber(node) : binding(node);
}

function firstNode(addresses: readonly IpAddress[], { nodeAt }: NodeDirectory): Ipv6Address | undefined {
  return addresses.map((address) => nodeAt(address)).find((node) => node !== undefined);
}
