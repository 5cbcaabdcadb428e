/** Whose an object of a correspondent is: every object of a binding names its home address, what all share names nobody. */
import { type IpAddress, type Ipv6Address, isIpv4 } from "../../base/ip.js";
import type { KernelObject } from "../objects/objects.js";
import type { ObjectOwner } from "../owner.js";
import { HEADER_REQID } from "../security/mobility-headers.js";
import { DIRECT_SETS, PORT_MAPS } from "./ipv4/names.js";

/** Undefined: none that a correspondent at `addresses` would want. */
export function correspondentOwner(object: KernelObject, addresses: readonly Ipv6Address[]): ObjectOwner | undefined {
  const isOurs = (address: string): boolean => addresses.some((one) => one === address);
  if (object.kind === "xfrm-state") {
    const { transform, reqid, source, destination } = object;
    if (transform.type === "esp") return undefined;
    if (transform.wildcard) return { kind: "site" };
    const [own, other] = reqid === HEADER_REQID.direct ? [source, destination] : [destination, source];
    return isOurs(own) && !isIpv4(other) ? { kind: "binding", homeAddress: other } : undefined;
  }
  if (object.kind === "xfrm-policy") {
    const { direction, policyType, selector } = object;
    if (policyType !== "sub" || direction === "forward") return undefined;
    const [own, other] =
      direction === "out" ? [selector.source, selector.destination] : [selector.destination, selector.source];
    if (!isOurs(own.address) || isIpv4(other.address)) return undefined;
    return other.length === 128 ? { kind: "binding", homeAddress: other.address } : { kind: "site" };
  }
  return ofDirectWays(object);
}

/**
 * With IPv4 at either side: what names an IPv6 home address is its own; what names none but an IPv4 one belongs to nobody that could be told
 * from it, so it is the site's.
 */
function ofDirectWays(object: KernelObject): ObjectOwner | undefined {
  if (object.kind === "route" && !isIpv4(object.destination.address) && object.destination.length === 128)
    return { kind: "binding", homeAddress: object.destination.address };
  if (object.kind === "nft-element") {
    const named = NAMED_AT.get(object.set);
    const address = named === undefined ? undefined : object.key[named];
    return typeof address === "string" && !isIpv4(address as IpAddress)
      ? { kind: "binding", homeAddress: address as Ipv6Address }
      : { kind: "site" };
  }
  return SHARED.has(object.kind) ? { kind: "site" } : undefined;
}

/** Where in a key the IPv6 home address stands. */
const NAMED_AT: ReadonlyMap<string, number> = new Map([
  [DIRECT_SETS.udp6.name, 3],
  [DIRECT_SETS.ipv4_6.name, 2],
  [DIRECT_SETS.headers4.name, 1],
  [DIRECT_SETS.copied.name, 1],
  [PORT_MAPS.port6.name, 2],
]);
const SHARED: ReadonlySet<KernelObject["kind"]> = new Set([
  "nft-table",
  "fou-port",
  "link",
  "address",
  "sysctl",
  "route",
  "rule",
]);
