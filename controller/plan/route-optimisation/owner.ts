/** Whose an object of a correspondent is: every object of a binding names its home address, what all share names nobody. */
import type { Ipv6Address } from "../../base/ip.js";
import { isIpv4 } from "../../base/ip.js";
import type { KernelObject } from "../objects/objects.js";
import type { ObjectOwner } from "../owner.js";
import { HEADER_REQID } from "../security/mobility-headers.js";

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
  return object.kind === "nft-table" ? { kind: "site" } : undefined;
}
