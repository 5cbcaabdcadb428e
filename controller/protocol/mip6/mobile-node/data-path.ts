/** The data path that a mobile node's state asks for (pure derivation; revisions are given by the machine). */
import { type IpAddress, type Ipv4Address, isIpv4, isIpv6, prefixContains } from "../../../base/ip.js";
import { type CareOf, careOfPresent, isInUdp, sameCareOf, sendsMapped, wayFrom } from "../../movement/attachment.js";
import { ipv6Routes } from "../../movement/home-routes.js";
import { ipv4AtHome } from "../../movement/lent.js";
import type { NetworkView } from "../../movement/network-view.js";
import { sourceOf } from "./binding-update.js";
import type { LocalEndpoint, MobileNodeDataPath } from "./inputs.js";
import type { MobileNodeState } from "./model.js";

export type DataPathContent = Omit<MobileNodeDataPath, "revision">;

/** Updates with lifetime 0 without an answer, after which payload goes back into the tunnel: the home link does not reach far. */
const UNANSWERED_AT_HOME = 1;

/**
 * Make before break: the way in through the target is there before the first update about it leaves, the way out changes when the
 * home agent has accepted, and former ways in stay until their grace ends. What has vanished from the machine is left out at once.
 * At home it is the other way round: the home agent forgets the tunnel as soon as it reads the update, so payload has left it before.
 */
export function wantedPath(state: MobileNodeState, view: NetworkView): DataPathContent {
  const { site, target, registration } = state;
  const alive = (careOf: CareOf): boolean => careOfPresent(view, careOf);
  const endpoint = (careOf: CareOf): LocalEndpoint => localEndpoint(state, view, careOf);
  const ways: CareOf[] = [];
  const add = (careOf: CareOf): void => {
    if (alive(careOf) && !ways.some((other) => sameCareOf(other, careOf))) ways.push(careOf);
  };
  if (registration !== undefined) add(registration.careOf);
  if (target?.kind === "away") add(target.careOf);
  for (const { careOf } of state.receptions) add(careOf);

  const direct = target?.kind === "home" && (state.exchange?.attempts ?? 0) <= UNANSWERED_AT_HOME;
  const tunnel = registration !== undefined && alive(registration.careOf) ? endpoint(registration.careOf) : undefined;
  const egress = direct ? undefined : tunnel;
  const mode = target?.kind ?? (ways.length > 0 ? "away" : "detached");
  const homeDevice = target?.kind === "home" ? target.device : leavingDevice(state);
  const overHome = egress === undefined ? homeDevice : undefined;
  const gateway = overHome === undefined ? undefined : ipv4Gateway(view, overHome);
  const updateFrom = target?.kind === "away" ? sourceOf(site, target.careOf) : undefined;
  const ipv4 = state.ipv4Bound ? site.ipv4HomeAddress : mode === "home" ? ipv4AtHome(site) : undefined;
  return {
    homeAddress: site.homeAddress,
    ...(ipv4 === undefined ? {} : { ipv4HomeAddress: ipv4 }),
    mode,
    ...(homeDevice === undefined ? {} : { homeDevice }),
    ...(gateway === undefined ? {} : { homeIpv4Gateway: gateway }),
    ...(overHome === undefined ? {} : { homeRoutes: ipv6Routes(view, overHome) }),
    ...(egress === undefined ? {} : { egress }),
    ingress: ways.map(endpoint),
    ...(updateFrom === undefined ? {} : { updateFrom }),
    ...ikeEnd(state, view),
  };
}

/**
 * IKE moves at once, beside the binding update (RFC 5555 §5.1). At home it speaks from the home address as soon as that is nobody else's
 * business any more; on the way there from where the binding is.
 */
function ikeEnd(state: MobileNodeState, view: NetworkView): Pick<DataPathContent, "ikeEnd"> {
  const { site, target, registration, phase } = state;
  if (site.mobike !== true) return {};
  if (target?.kind === "home" && phase === "home")
    return { ikeEnd: { format: "ipv6", address: site.homeAddress, device: target.device } };
  const careOf = target?.kind === "away" ? target.careOf : registration?.careOf;
  return careOf !== undefined && careOfPresent(view, careOf) ? { ikeEnd: localEndpoint(state, view, careOf) } : {};
}

/** The best IPv4 default route through the device that others made. */
function ipv4Gateway(view: NetworkView, device: string): Ipv4Address | undefined {
  const candidates = view.routes
    .filter((route) => !route.ours && route.family === 4 && route.destination.length === 0 && route.device === device)
    .sort((a, b) => a.metric - b.metric);
  for (const { via } of candidates) if (via !== undefined && isIpv4(via)) return via;
  return undefined;
}

/** On the way from home to elsewhere payload keeps using the home link while it is there. */
function leavingDevice(state: MobileNodeState): string | undefined {
  return state.target?.kind === "away" ? state.homeDevice : undefined;
}

function localEndpoint(state: MobileNodeState, view: NetworkView, careOf: CareOf): LocalEndpoint {
  const { device } = careOf;
  const { registration, site } = state;
  if (careOf.family === 6) {
    const gateway = gatewayTo(view, careOf, site.homeAgent.ipv6);
    const router = gateway && isIpv6(gateway) ? { gateway } : {};
    return { format: isInUdp(careOf) ? "udp" : "ipv6", address: careOf.address, device, ...router };
  }
  const plain = sendsMapped(site) || (registration?.format === "ipv4" && sameCareOf(registration.careOf, careOf));
  const gateway = site.homeAgent.ipv4 === undefined ? undefined : gatewayTo(view, careOf, site.homeAgent.ipv4);
  const router = gateway && isIpv4(gateway) ? { gateway } : {};
  return { format: plain ? "ipv4" : "udp", address: careOf.address, device, ...router };
}

/** The router that the kernel would take from there; where it has none to name, that of the best route through the device: the longest prefix, then the lowest metric. */
function gatewayTo(view: NetworkView, careOf: CareOf, address: IpAddress): IpAddress | undefined {
  const way = wayFrom(view, careOf);
  if (way !== undefined) return way.via;
  const { device } = careOf;
  const candidates = view.routes
    .filter((route) => !route.ours && route.device === device && prefixContains(route.destination, address))
    .sort((a, b) => b.destination.length - a.destination.length || a.metric - b.metric);
  return candidates[0]?.via;
}

/** Whether two contents ask for the same; the derivation builds them in one order. */
export function sameContent(a: DataPathContent, b: DataPathContent): boolean {
  return contentKey(a) === contentKey(b);
}

function contentKey(content: DataPathContent): string {
  const { homeAddress, ipv4HomeAddress, mode, homeDevice, homeIpv4Gateway, homeRoutes } = content;
  const { egress, ingress, updateFrom, ikeEnd } = content;
  const ways = [homeDevice, homeIpv4Gateway, homeRoutes, egress, ingress, updateFrom, ikeEnd];
  return JSON.stringify([homeAddress, ipv4HomeAddress, mode, ...ways]);
}
