/** ESP tunnels as a person would type them with `ip xfrm`: the same keys and the same ends as ours, and no nftables. */

import { formatPrefix } from "../../controller/base/ip.js";
import { ESP_UDP_PORT } from "../../controller/plan/site.js";
import { AEAD, ICV_OCTETS, payloadAssociationsOf } from "./esp-frames.js";
import type { Association } from "./esp-node.js";
import type { Machine } from "./machines.js";
import { type Access, endpointOf, HOME_AGENT, INNER_FAMILIES, type Kind, mobileNode, networksOf } from "./places.js";

/** What IKE daemons ask for where nobody says more. */
const REPLAY_WINDOW = 32;

/** The home agent's end of the nodes 0 to `count` - 1: two states each, and policies out, in and for forwarding, for both families. */
export function makeXfrmByHand(machine: Machine, access: Access, count: number, kind: Kind): void {
  machine.ip(...Array.from({ length: count }, (_, number) => linesOf(number, access, kind)).flat());
}

/** Chains without a rule at every hook at which our firewall has one: what the hooks cost before any rule is looked at. */
export function makeEmptyChains(machine: Machine): void {
  const chain = (name: string, type: string, hook: string, priority: number): string =>
    `add chain inet empty ${name} { type ${type} hook ${hook} priority ${priority}; }`;
  const chains = [chain("prerouting", "filter", "prerouting", -350), chain("output", "filter", "output", -350)];
  machine.run("nft", ["add table inet empty", ...chains].join("; "));
}

function linesOf(number: number, access: Access, kind: Kind): readonly string[] {
  const endpoint = endpointOf(number, access);
  const local = endpoint.format === "ipv6" ? HOME_AGENT.ipv6 : HOME_AGENT.ipv4;
  const { update, acknowledgement } = payloadAssociationsOf(number);
  const reqid = number + 1;
  const out = `src ${local} dst ${endpoint.address}`;
  const back = `src ${endpoint.address} dst ${local}`;
  const state = (ends: string, { spi, key }: Association, ports: readonly number[]): string => {
    const udp = ports.length === 0 ? "" : ` encap espinudp ${ports.join(" ")} 0.0.0.0`;
    const aead = `aead ${AEAD} 0x${key} ${8 * ICV_OCTETS}`;
    // Without the flag the state is for inner packets of the outer family only.
    return `xfrm state add ${ends} proto esp spi ${spi} reqid ${reqid} mode tunnel replay-window ${REPLAY_WINDOW} flag af-unspec ${aead}${udp}`;
  };
  const policy = (selector: string, direction: string, ends: string): string =>
    `xfrm policy add ${selector} dir ${direction} tmpl ${ends} proto esp reqid ${reqid} mode tunnel`;
  const ports = endpoint.format === "udp" ? [ESP_UDP_PORT, endpoint.port] : [];
  const { homeAddress, ipv4HomeAddress } = mobileNode(number);
  const homes = [
    ["::/0", `${homeAddress}/128`],
    ["0.0.0.0/0", `${ipv4HomeAddress}/32`],
    ...(kind === "hosts" ? [] : INNER_FAMILIES).flatMap((family) =>
      networksOf(number)[family].map((one) => [family === 6 ? "::/0" : "0.0.0.0/0", formatPrefix(one)] as const),
    ),
  ];
  return [
    state(out, acknowledgement, ports),
    state(back, update, [...ports].reverse()),
    ...homes.flatMap(([any, home]) => [
      policy(`src ${any} dst ${home}`, "out", out),
      policy(`src ${home} dst ${any}`, "in", back),
      policy(`src ${home} dst ${any}`, "fwd", back),
    ]),
  ];
}
