/**
 * What an own address and a correspondent have in the kernel to reach each other directly (RFC 6275 §6.3, §6.4, §9.3, §11.3.1): from the
 * correspondent's side, from the mobile node's, or from both where each is the other's correspondent. The kernel takes one policy for the
 * pair and direction, so both sides are planned together and make one group.
 *
 * What comes in is there before what goes out, and every policy for payload lets packets without the header pass: whichever end has it
 * first, nothing is lost.
 */
import { hostPrefix, type IpAddress, type Ipv6Address, isIpv4 } from "../../base/ip.js";
import type { CorrespondentPath } from "../../protocol/mip6/correspondent-node/path.js";
import type { DirectPath } from "../../protocol/mip6/mobile-node/correspondents/inputs.js";
import type { LocalEndpoint } from "../../protocol/mip6/mobile-node/inputs.js";
import { defaultMetric } from "../endpoints.js";
import { careOfTable } from "../mobile-node/addresses.js";
import type { KernelObject } from "../objects/objects.js";
import { ROUTING_HEADER_MARK } from "../security/marks.js";
import { HEADER_REQID, headerState } from "../security/mobility-headers.js";
import { policy } from "../security/transport-associations.js";
import { DEFAULT_PROFILE, type MobileNodePlanSite, POLICY_PRIORITY, type TunnelProfileSpec } from "../site.js";
import {
  ANY_PROTOCOL,
  headerTemplate,
  IPV4_IN_IPV6,
  payload,
  silence,
  subPolicy,
  updatesTo,
  writtenHeader,
} from "./headers.js";
import { correspondentWays } from "./ipv4/correspondent.js";
import { nodeWays } from "./ipv4/node.js";

/** What of a binding at one of our addresses the kernel needs. */
export interface BoundAtCorrespondent extends Pick<CorrespondentPath, "homeAddress" | "self"> {
  readonly careOf: Ipv6Address;
  /** Of payload IPv4 alone goes directly, inside IPv6 (draft-oulai-mext-dsmip-ro-00 §7.1.3, mode 1). */
  readonly ipv4Alone?: boolean;
}

export interface DirectEnd {
  readonly path: DirectPath;
  readonly site: MobileNodePlanSite;
  /** To which the care-of address belongs; absent: the main table finds the way. */
  readonly uplink?: LocalEndpoint | undefined;
  /** Links of former IPv4 care-of addresses that are still there. */
  readonly formerUplinks?: readonly LocalEndpoint[] | undefined;
}

/** One whose care-of address is an IPv6 one. */
interface Ipv6End extends DirectEnd {
  readonly path: DirectPath & { readonly careOf: Ipv6Address };
}
const isIpv6End = (end: DirectEnd): end is Ipv6End => !isIpv4(end.path.careOf);

/** With an IPv4 care-of address: what is under way to a former IPv6 one still comes in. */
function ipv6End(end: DirectEnd): Ipv6End | undefined {
  if (isIpv6End(end)) return end;
  const { path, site } = end;
  const [careOf, ...former] = path.former;
  return careOf && { path: { ...path, stage: "receiving", careOf, former }, site };
}

/** Of one own address and one other: one of the two at least. */
export interface Pair {
  readonly bound?: BoundAtCorrespondent | undefined;
  readonly direct?: DirectEnd | undefined;
  /** Of a mobile node's demand: the kernel asks whom it sends to where the other is bound alone, too. Absent: it does not. */
  readonly demandReqid?: number | undefined;
}

type BoundPath = Omit<CorrespondentPath, "former" | "revision">;

/** Undefined: its headers lead nowhere. */
export function boundBy({ homeAddress, self, ipv6, ipv4 }: BoundPath): BoundAtCorrespondent | undefined {
  const reach = ipv6 ?? ipv4?.reach;
  if (reach?.via !== "headers") return undefined;
  return { homeAddress, self, careOf: reach.careOf, ...(ipv6 === undefined && { ipv4Alone: true }) };
}

/** At a correspondent that is no mobile node itself. */
export function planCorrespondentPath(
  path: BoundPath,
  profile: TunnelProfileSpec = DEFAULT_PROFILE,
): readonly KernelObject[] {
  return [...planPair({ bound: boundBy(path) }), ...correspondentWays(path, profile)];
}

/** At a mobile node whose correspondent is none, or has no binding here. */
export function planDirectPath(
  path: DirectPath,
  site: MobileNodePlanSite,
  uplink?: LocalEndpoint,
): readonly KernelObject[] {
  return planPair({ direct: { path, site, uplink } });
}

/** The kernel is to ask nothing about this correspondent. */
export const planSilence = (own: IpAddress, other: IpAddress): readonly KernelObject[] => [silence(own, other)];

export function planPair({ bound, direct: wanted, demandReqid }: Pair): readonly KernelObject[] {
  const direct = wanted && ipv6End(wanted);
  const overIpv4 = wanted === undefined ? [] : nodeWays(wanted);
  const ends = endsOf({ bound, direct });
  if (ends === undefined) return overIpv4;
  const { own, other } = ends;
  const protocol = isIpv4Alone({ bound, direct }) ? IPV4_IN_IPV6 : ANY_PROTOCOL;
  // While the update about IPv6 payload is under way, what leaves has a header in mode 1 alone.
  const isLate = direct?.path.inOnly === "ipv6" && bound === undefined;
  const outProtocol = isLate ? IPV4_IN_IPV6 : protocol;
  const option = "home-address-option";
  const header = "type2-routing-header";
  const reads = [
    ...(bound === undefined ? [] : [headerTemplate(option, HEADER_REQID.bound, true)]),
    ...(direct === undefined ? [] : [headerTemplate(header, HEADER_REQID.bound, true)]),
  ];
  const toOther = bound === undefined ? [] : [headerTemplate(header, HEADER_REQID.direct, true)];
  // The policy of the pair goes before that of demand, whose question it has to ask then.
  const asks = wanted === undefined && demandReqid !== undefined ? [headerTemplate(option, demandReqid, true)] : [];
  const writes = [
    ...asks,
    ...(direct?.path.stage === "bound" ? [headerTemplate(option, HEADER_REQID.direct, true)] : []),
    ...toOther,
  ];
  return [
    ...(bound === undefined ? [] : [headerState(option, { source: other, destination: own }, bound.careOf)]),
    ...(direct === undefined ? [] : takenHeaders(direct.path, bound?.careOf)),
    subPolicy("in", payload(other, own, protocol), POLICY_PRIORITY.bound, ...reads),
    ...(direct === undefined || !sends(direct) ? [] : [writtenHeader(option, own, other, direct.path.careOf)]),
    ...(bound === undefined ? [] : [writtenHeader(header, own, other, bound.careOf)]),
    ...(direct === undefined ? [] : directWay(direct, bound?.careOf)),
    ...(direct === undefined || !sends(direct)
      ? []
      : [
          subPolicy(
            "out",
            updatesTo(own, other),
            POLICY_PRIORITY.directUpdate,
            headerTemplate(option, HEADER_REQID.direct, false),
            ...toOther,
          ),
        ]),
    // Of its own, or IPv4 payload would be without the header from here on until its route has gone.
    ...(direct?.path.stage === "bound" && isInHeaders(direct) && outProtocol === ANY_PROTOCOL
      ? [subPolicy("out", payload(own, other, IPV4_IN_IPV6), POLICY_PRIORITY.directInHeaders, ...writes)]
      : []),
    subPolicy("out", payload(own, other, outProtocol), POLICY_PRIORITY.direct, ...writes),
    ...(direct === undefined ? [] : outOfEsp(direct)),
    ...overIpv4,
  ];
}

const isInHeaders = ({ path: { ipv4, inOnly } }: DirectEnd): boolean =>
  ipv4?.mode === "ipv6-encapsulation" && inOnly !== "ipv4";

const isIpv4Alone = ({ bound, direct }: Pair): boolean =>
  (bound === undefined || bound.ipv4Alone === true) && (direct === undefined || !direct.path.ipv6);

/** Where nothing but what still comes in is taken, an update that takes the binding back leaves from the home address itself. */
const sends = ({ path }: DirectEnd): boolean => path.stage !== "receiving";

function endsOf({ bound, direct }: Pair): { readonly own: Ipv6Address; readonly other: Ipv6Address } | undefined {
  if (direct !== undefined) return { own: direct.path.homeAddress, other: direct.path.correspondent };
  return bound && { own: bound.self, other: bound.homeAddress };
}

/**
 * At which care-of addresses routing headers are taken from this correspondent. For the one that the home agent has there is a state that
 * names no sender (`boundRoutingHeaders`), so its own names the former address while there is one; of a correspondent that is a mobile node
 * packets come from where it is.
 */
function takenHeaders(
  { homeAddress, correspondent, stage, careOf, former }: Ipv6End["path"],
  from: Ipv6Address | undefined,
): readonly KernelObject[] {
  // Where nothing else is told the correspondent sends to where it was told last, and the home agent may have another one by now.
  const [latest = careOf] = stage === "receiving" ? [careOf] : former;
  return [correspondent, ...(from === undefined ? [] : [from])].map((source) =>
    headerState("type2-routing-header", { source, destination: homeAddress }, latest),
  );
}

/** Through the link that the care-of address belongs to, whatever other uplinks there are. */
function directWay({ path, site, uplink }: DirectEnd, from: Ipv6Address | undefined): readonly KernelObject[] {
  if (uplink === undefined) return [];
  const { address, device, gateway } = uplink;
  const via = gateway === undefined ? {} : { via: gateway, onlink: true };
  return [path.correspondent, ...(from === undefined ? [] : [from])].map((destination) => ({
    kind: "route",
    destination: hostPrefix(destination),
    table: careOfTable(uplink, site),
    metric: defaultMetric(address),
    device,
    ...via,
  }));
}

/**
 * Where payload is protected: what goes directly leaves ESP, and comes in clear only behind a type 2 routing header (marked by the
 * firewall) that has met the pair's own state.
 */
function outOfEsp({ path, site }: DirectEnd): readonly KernelObject[] {
  if (site.profile.protection !== "esp") return [];
  const { homeAddress, correspondent, stage } = path;
  const protocol = path.ipv6 ? ANY_PROTOCOL : IPV4_IN_IPV6;
  return [
    policy("in", payload(correspondent, homeAddress, protocol), POLICY_PRIORITY.directInClear, {
      mark: ROUTING_HEADER_MARK,
      templates: [headerTemplate("type2-routing-header", HEADER_REQID.bound, false)],
    }),
    ...(stage === "receiving"
      ? []
      : [policy("out", updatesTo(homeAddress, correspondent), POLICY_PRIORITY.directUpdateInClear, {})]),
    ...(stage === "bound"
      ? [policy("out", payload(homeAddress, correspondent, protocol), POLICY_PRIORITY.directInClear, {})]
      : []),
  ];
}
