/** What a mobile node's kernel has of a pair with IPv4 on either side of it; RFC 6275's own headers are planned with the pair. */
import { type Ipv4Address, isIpv4 } from "../../../base/ip.js";
import type { DirectPath } from "../../../protocol/mip6/mobile-node/correspondents/inputs.js";
import type { LocalEndpoint } from "../../../protocol/mip6/mobile-node/inputs.js";
import type { KernelObject } from "../../objects/objects.js";
import { policy } from "../../security/transport-associations.js";
import { DSMIP_PORT, homeTable, type MobileNodePlanSite, POLICY_PRIORITY } from "../../site.js";
import { payload, silence } from "../headers.js";
import { KNOWN_MARK_BIT } from "./names.js";
import { directRules, headersDevice, uplinkDevice, uplinkDevices } from "./shared.js";
import { type Ends, routeInHeaders, routeOverIpv4, takenInHeaders, takenOverIpv4 } from "./ways.js";

/** What comes in is taken whatever the stage; what goes out goes directly once the correspondent has the binding. */
export function nodeWays(
  path: DirectPath,
  site: MobileNodePlanSite,
  uplink: LocalEndpoint | undefined,
): readonly KernelObject[] {
  const { careOf } = path;
  return isIpv4(careOf) ? overIpv4(path, careOf, site, uplink) : inHeaders(path, site);
}

function overIpv4(
  { homeAddress, correspondent, stage, ipv6, ipv4, outer, inOnly }: DirectPath,
  careOf: Ipv4Address,
  site: MobileNodePlanSite,
  uplink: LocalEndpoint | undefined,
): readonly KernelObject[] {
  if (outer === undefined || uplink === undefined) return [];
  const { device, gateway } = uplink;
  const link = { address: careOf, device, ...(gateway !== undefined && isIpv4(gateway) && { gateway }) };
  const flows: readonly Ends[] = [
    ...(ipv6 ? [{ own: homeAddress, other: correspondent }] : []),
    ...(ipv4 === undefined ? [] : [{ own: ipv4.homeAddress, other: ipv4.correspondent }]),
  ];
  const { correspondent: other, udp } = outer;
  const sending = uplinkDevice(udp ? "udp" : "ipv4", link);
  return [
    ...uplinkDevices(link, other, site.profile, site),
    ...flows.flatMap((ends) => takenOverIpv4(ends, { own: careOf, other, ...(udp && { port: DSMIP_PORT }) })),
    ...flows.flatMap((ends) => asked(ends)),
    ...flows.flatMap((ends) => outOfEsp(ends, goesOut(ends, stage, inOnly), site)),
    ...flows.filter((ends) => goesOut(ends, stage, inOnly)).map((ends) => routeOverIpv4(ends, sending, other)),
    ...flows.flatMap(({ own }) => directRules(own, homeTable(site))),
  ];
}

function inHeaders(
  { homeAddress, correspondent, stage, ipv4, inOnly }: DirectPath,
  site: MobileNodePlanSite,
): readonly KernelObject[] {
  if (ipv4?.mode !== "ipv6-encapsulation") return [];
  const ends = { own: ipv4.homeAddress, other: ipv4.correspondent };
  return [
    ...headersDevice(site.profile),
    takenInHeaders(ends, { source: correspondent, named: homeAddress }),
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
