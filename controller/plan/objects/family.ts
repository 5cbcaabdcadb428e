/** Which objects a kernel that runs without IPv6 does not take. */
import { isIpv6 } from "../../base/ip.js";
import type { KernelObject } from "./objects.js";

export function isOfIpv6(object: KernelObject): boolean {
  switch (object.kind) {
    case "address":
    case "proxy-neighbour":
      return isIpv6(object.address);
    case "route":
      return isIpv6(object.destination.address);
    case "rule":
    case "fou-port":
      return object.family === 6;
    case "sysctl":
      return object.path.startsWith("net/ipv6/");
    default:
      return false;
  }
}
