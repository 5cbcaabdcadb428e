/** A network that carries IPv6 and lets nothing but UDP through, and a node that is registered from there. */
import type { BindingDocument } from "../../../schemas/control.js";
import type { Mobile, Scene } from "./scene.js";

/** At the core router: payload in IPv4 or IPv6 packets of its own, ESP, destination options and mobility messages stay outside. */
export const UDP_ONLY = `table ip6 filter { chain forward { type filter hook forward priority 0;
  ip6 nexthdr { 4, 41, 43, 50, 60, 135 } drop; }; }`;

export type UdpEndpoint = Extract<BindingDocument["endpoint"], { readonly format: "udp" }>;

/** Registered in UDP over IPv6 at both ends; the binding of the home agent. */
export async function settledInUdp(
  scene: Scene,
  { daemon, home6 }: Mobile,
): Promise<BindingDocument & { endpoint: UdpEndpoint }> {
  const inUdp = ({ endpoint }: BindingDocument): boolean =>
    endpoint?.format === "udp" && endpoint.address.includes(":");
  await daemon.waitForBinding("registration in UDP over IPv6", (one) => one.state === "registered" && inUdp(one));
  const binding = await scene.homeAgent.waitForBinding(`binding of ${home6} in UDP over IPv6`, (one) => {
    return one.homeAddress === home6 && inUdp(one);
  });
  return binding as BindingDocument & { endpoint: UdpEndpoint };
}
