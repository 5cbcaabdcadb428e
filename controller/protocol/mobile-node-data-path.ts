/** The data path that a mobile node's state asks for (pure derivation; revisions are given by the machine). */
import { type CareOf, sameCareOf } from "./attachment.js";
import type { LocalEndpoint, MobileNodeDataPath, MobileNodeState } from "./mobile-node-model.js";
import { addressPresent, type NetworkView } from "./network-view.js";

export type DataPathContent = Omit<MobileNodeDataPath, "revision">;

/**
 * Make before break: the way in through the target is there before the first update about it leaves, the way out changes when the
 * home agent has accepted, and former ways in stay until their grace ends. What has vanished from the machine is left out at once.
 */
export function wantedPath(state: MobileNodeState, view: NetworkView): DataPathContent {
  const { site, target, registration } = state;
  const alive = (careOf: CareOf): boolean => addressPresent(view, careOf.device, careOf.address);
  const endpoint = (careOf: CareOf): LocalEndpoint => localEndpoint(state, careOf);
  const ways: CareOf[] = [];
  const add = (careOf: CareOf): void => {
    if (alive(careOf) && !ways.some((other) => sameCareOf(other, careOf))) ways.push(careOf);
  };
  if (registration !== undefined) add(registration.careOf);
  if (target?.kind === "away") add(target.careOf);
  for (const { careOf } of state.receptions) add(careOf);

  const egress = registration !== undefined && alive(registration.careOf) ? endpoint(registration.careOf) : undefined;
  const mode = target?.kind ?? (ways.length > 0 ? "away" : "detached");
  const homeDevice = target?.kind === "home" ? target.device : leavingDevice(state);
  const ipv4 = mode === "home" || state.ipv4Bound ? site.ipv4HomeAddress : undefined;
  return {
    homeAddress: site.homeAddress,
    ...(ipv4 === undefined ? {} : { ipv4HomeAddress: ipv4 }),
    mode,
    ...(homeDevice === undefined ? {} : { homeDevice }),
    ...(egress === undefined ? {} : { egress }),
    ingress: ways.map(endpoint),
  };
}

/** On the way from home to elsewhere payload keeps using the home link while it is there. */
function leavingDevice(state: MobileNodeState): string | undefined {
  return state.target?.kind === "away" ? state.homeDevice : undefined;
}

function localEndpoint(state: MobileNodeState, careOf: CareOf): LocalEndpoint {
  const { address, device } = careOf;
  if (careOf.family === 6) return { format: "ipv6", address: careOf.address, device };
  const { registration } = state;
  const plain = registration?.format === "ipv4" && sameCareOf(registration.careOf, careOf);
  return { format: plain ? "ipv4" : "udp", address: address as typeof careOf.address, device };
}

/** Whether two contents ask for the same; the derivation builds them in one order. */
export function sameContent(a: DataPathContent, b: DataPathContent): boolean {
  return contentKey(a) === contentKey(b);
}

function contentKey(content: DataPathContent): string {
  const { homeAddress, ipv4HomeAddress, mode, homeDevice, egress, ingress } = content;
  return JSON.stringify([homeAddress, ipv4HomeAddress, mode, homeDevice, egress, ingress]);
}
