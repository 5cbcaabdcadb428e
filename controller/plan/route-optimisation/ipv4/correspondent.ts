/** What a correspondent's kernel has of a bound pair with IPv4 on either side of it; RFC 6275's own headers are planned with the pair. */
import type { CorrespondentPath } from "../../../protocol/mip6/correspondent-node/path.js";
import type { Reach } from "../../../protocol/mip6/return-routability/modes.js";
import type { KernelObject } from "../../objects/objects.js";
import type { TunnelProfileSpec } from "../../site.js";
import { sendingDevice } from "./names.js";
import {
  type Ends,
  type OuterEnds,
  peer,
  portOverIpv4,
  routeInHeaders,
  routeOverIpv4,
  takenInHeaders,
  takenOverIpv4,
} from "./ways.js";

export function correspondentWays(
  path: Omit<CorrespondentPath, "former" | "revision">,
  profile: TunnelProfileSpec,
): readonly KernelObject[] {
  const { homeAddress, self, ipv6, ipv4 } = path;
  return [
    ...(ipv6 === undefined ? [] : overIpv4({ own: self, other: homeAddress }, ipv6, path)),
    ...(ipv4 === undefined ? [] : overIpv4({ own: ipv4.self, other: ipv4.homeAddress }, ipv4.reach, path)),
    ...(ipv4 === undefined ? [] : inHeaders(path, ipv4, profile)),
    ...(ipv4 === undefined ? [] : [peer({ own: ipv4.self, other: ipv4.homeAddress })]),
  ];
}

function overIpv4(
  ends: Ends,
  reach: Reach,
  { ipv4Self }: Pick<CorrespondentPath, "ipv4Self">,
): readonly KernelObject[] {
  if (reach.via === "headers" || ipv4Self === undefined) return [];
  const outer: OuterEnds =
    reach.via === "udp"
      ? { own: ipv4Self, other: reach.observed.address, port: reach.observed.port }
      : { own: ipv4Self, other: reach.careOf };
  return [
    ...takenOverIpv4(ends, outer),
    ...portOverIpv4(ends, outer),
    routeOverIpv4(ends, sendingDevice(reach.via, ipv4Self), outer.other),
  ];
}

function inHeaders(
  { homeAddress, self }: Pick<CorrespondentPath, "homeAddress" | "self">,
  { homeAddress: other, self: own, reach }: NonNullable<CorrespondentPath["ipv4"]>,
  profile: TunnelProfileSpec,
): readonly KernelObject[] {
  if (reach.via !== "headers") return [];
  return [
    takenInHeaders({ own, other }, { source: reach.careOf, named: homeAddress }),
    ...routeInHeaders({ own, other }, { own: self, other: homeAddress }, profile),
  ];
}
