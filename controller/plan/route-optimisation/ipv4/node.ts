/** What a mobile node's kernel has of a pair with IPv4 on either side of it; RFC 6275's own headers are planned with the pair. */
import { type Ipv4Address, isIpv4 } from "../../../base/ip.js";
import type { DirectPath } from "../../../protocol/mip6/mobile-node/correspondents/inputs.js";
import type { LocalEndpoint } from "../../../protocol/mip6/mobile-node/inputs.js";
import { type KernelObject, objectKey } from "../../objects/objects.js";
import { policy } from "../../security/transport-associations.js";
import { DSMIP_PORT, homeTable, type MobileNodePlanSite, POLICY_PRIORITY } from "../../site.js";
import { payload, silence } from "../headers.js";
import { KNOWN_MARK_BIT } from "./names.js";
import { directRules, headersDevice, uplinkDevice, uplinkDevices } from "./shared.js";
import { type Ends, routeInHeaders, routeOverIpv4, takenInHeaders, takenOverIpv4 } from "./ways.js";

/** What comes in is taken whatever the stage; what goes out goes directly once the correspondent has the binding. */
export function nodeWays({ path, site, uplink, formerUplinks = [] }: NodeEnd): readonly KernelObject[] {
  const { careOf } = path;
  const present = isIpv4(careOf) ? overIpv4(path, careOf, site, uplink) : inHeaders(path, site);
  // Devices and rules may be the same.
  const all = [...present, ...formerly(path, site, formerUplinks)];
  return [...new Map(all.map((one) => [objectKey(one), one])).values()];
}

interface NodeEnd {
  readonly path: DirectPath;
  readonly site: MobileNodePlanSite;
  readonly uplink?: LocalEndpoint | undefined;
  readonly formerUplinks?: readonly LocalEndpoint[] | undefined;
}

/** What the correspondent sends to where the node has been is taken there in whatever mode it comes. */
function formerly(
  path: DirectPath,
  site: MobileNodePlanSite,
  uplinks: readonly LocalEndpoint[],
): readonly KernelObject[] {
  const { homeAddress, correspondent, ipv4, former, careOf } = path;
  const other = site.dualStackCorrespondents?.find(({ ipv6 }) => ipv6 === correspondent)?.ipv4;
  const four = uplinks.flatMap(({ address, device }) => (isIpv4(address) ? [{ address, device }] : []));
  const inHeaders = isIpv4(careOf) && former.length > 0 && ipv4 !== undefined;
  return [
    ...(inHeaders ? headersIn({ own: ipv4.homeAddress, other: ipv4.correspondent }, path, site) : []),
    ...four.flatMap((link) => uplinkDevices(link, site.profile)),
    ...(other === undefined ? [] : four).flatMap(({ address: own }) =>
      flowsOf(path).flatMap((ends) =>
        [undefined, DSMIP_PORT].flatMap((port) => takenOverIpv4(ends, { own, other: other as Ipv4Address, port })),
      ),
    ),
    ...(four.length === 0 ? [] : [homeAddress, ...(ipv4 === undefined ? [] : [ipv4.homeAddress])]).flatMap((own) =>
      directRules(own, homeTable(site)),
    ),
  ];
}

const flowsOf = ({ homeAddress, correspondent, ipv6, ipv4 }: DirectPath): readonly Ends[] => [
  ...(ipv6 ? [{ own: homeAddress, other: correspondent }] : []),
  ...(ipv4 === undefined ? [] : [{ own: ipv4.homeAddress, other: ipv4.correspondent }]),
];

/** In mode 1 what comes in. */
const headersIn = (
  ends: { readonly own: Ipv4Address; readonly other: Ipv4Address },
  { homeAddress, correspondent }: DirectPath,
  { profile }: MobileNodePlanSite,
): readonly KernelObject[] => [
  ...headersDevice(profile),
  takenInHeaders(ends, { source: correspondent, named: homeAddress }),
];

function overIpv4(
  path: DirectPath,
  careOf: Ipv4Address,
  site: MobileNodePlanSite,
  uplink: LocalEndpoint | undefined,
): readonly KernelObject[] {
  const { stage, outer, inOnly } = path;
  if (outer === undefined || uplink === undefined) return [];
  const link = { address: careOf, device: uplink.device };
  const flows = flowsOf(path);
  const { correspondent: other, udp } = outer;
  const sending = uplinkDevice(udp ? "udp" : "ipv4", link);
  return [
    ...uplinkDevices(link, site.profile),
    ...flows.flatMap((ends) => takenOverIpv4(ends, { own: careOf, other, ...(udp && { port: DSMIP_PORT }) })),
    ...flows.flatMap((ends) => asked(ends)),
    ...flows.flatMap((ends) => outOfEsp(ends, goesOut(ends, stage, inOnly), site)),
    ...flows.filter((ends) => goesOut(ends, stage, inOnly)).map((ends) => routeOverIpv4(ends, sending, other)),
    ...flows.flatMap(({ own }) => directRules(own, homeTable(site))),
  ];
}

function inHeaders(path: DirectPath, site: MobileNodePlanSite): readonly KernelObject[] {
  const { homeAddress, correspondent, stage, ipv4, inOnly } = path;
  if (ipv4?.mode !== "ipv6-encapsulation") return [];
  const ends = { own: ipv4.homeAddress, other: ipv4.correspondent };
  return [
    ...headersIn(ends, path, site),
    ...asked(ends),
    ...outOfEsp(ends, goesOut(ends, stage, inOnly), site),
    ...(goesOut(ends, stage, inOnly)
      ? routeInHeaders(ends, { own: homeAddress, other: correspondent }, site.profile)
      : []),
    ...directRules(ends.own, homeTable(site)),
  ];
}

const goesOut = ({ own }: Ends, stage: DirectPath["stage"], inOnly: DirectPath["inOnly"]): boolean =>
  stage === "bound" && inOnly !== (isIpv4(own) ? "ipv4" : "ipv6");

/** Nobody has to ask any more who is sent to. */
const asked = ({ own, other }: Ends): readonly KernelObject[] => [silence(own, other)];

/** Where payload is protected: what goes directly leaves ESP, and comes in clear if the firewall knew it in its tunnel. */
function outOfEsp({ own, other }: Ends, out: boolean, { profile }: MobileNodePlanSite): readonly KernelObject[] {
  if (profile.protection !== "esp") return [];
  return [
    policy("in", payload(other, own), POLICY_PRIORITY.directInClear, {
      mark: { value: KNOWN_MARK_BIT, mask: KNOWN_MARK_BIT },
    }),
    ...(out ? [policy("out", payload(own, other), POLICY_PRIORITY.directInClear, {})] : []),
  ];
}
