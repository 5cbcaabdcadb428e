/** Whose an object of a mobile node is, but for what it always has: there is one node, so it is its security or its data path. */
import type { Ipv6Address } from "../../base/ip.js";
import type { KernelObject } from "../objects/objects.js";
import type { ObjectOwner } from "../owner.js";
import { NO_SLOTS, RequestIds, TUNNEL_PURPOSES } from "../security/request-ids.js";

/** Undefined: an association of somebody else. */
export function mobileNodeOwner(object: KernelObject, homeAddress: Ipv6Address): ObjectOwner | undefined {
  if (object.kind === "xfrm-state") {
    if (object.transform.type !== "esp") return { kind: "binding", homeAddress };
    const found = new RequestIds([homeAddress], NO_SLOTS).find(object.reqid);
    if (found === undefined) return undefined;
    const isTunnel = TUNNEL_PURPOSES.some((purpose) => purpose === found.purpose);
    return { kind: isTunnel ? "binding" : "subscriber", homeAddress };
  }
  return { kind: "binding", homeAddress };
}
