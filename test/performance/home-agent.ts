/** A dsmipd in the role of a home agent with many subscribers, in a namespace of its own. */
import { join } from "node:path";
import { formatPrefix } from "../../controller/base/ip.js";
import { BenchDaemon, controlSocketIn } from "./daemon.js";
import { associationsOf } from "./esp-node.js";
import type { Machine } from "./machines.js";
import { mip4KeyOf } from "./mip4-node.js";
import { HOME_AGENT, HOME_PREFIXES, type Kind, mobileNode, networksOf } from "./places.js";

/** With the subscribers 0 to `count` - 1; resolves when it answers. */
export const startHomeAgent = (machine: Machine, count: number, kind: Kind | "mip4" = "hosts"): Promise<BenchDaemon> =>
  BenchDaemon.start(machine, (directory) => ({
    configuration: configuration(directory, count, kind),
    keys: keys(count, kind),
  }));

function configuration(directory: string, count: number, kind: Kind | "mip4"): string {
  const subscribers = Array.from({ length: count }, (_, number) => {
    const { homeAddress, ipv4HomeAddress } = mobileNode(number);
    const networks = kind !== "routers" ? [] : Object.values(networksOf(number)).flat().map(formatPrefix);
    const prefixes = networks.length === 0 ? "" : `, prefixes: ${JSON.stringify(networks)}`;
    const more = `${prefixes}${kind === "mip4" ? ", protocols: [mip4]" : ""}`;
    return `  - { homeAddress: "${homeAddress}", ipv4HomeAddress: ${ipv4HomeAddress}${more} }`;
  });
  return [
    "role: home-agent",
    `controlSocket: ${controlSocketIn(directory)}`,
    `stateDirectory: ${join(directory, "state")}`,
    "keyFile: keys.yaml",
    "log: { level: info }",
    "homeAgent:",
    `  addresses: { ipv6: "${HOME_AGENT.ipv6}", ipv4: ${HOME_AGENT.ipv4} }`,
    ...(kind === "mip4" ? ["  mip4: {}"] : []),
    `  homeLink: { prefixes: ${JSON.stringify(HOME_PREFIXES)} }`,
    "subscribers:",
    ...subscribers,
    "",
  ].join("\n");
}

function keys(count: number, kind: Kind | "mip4"): string {
  const nodes = Array.from({ length: count }, (_, number) => mobileNode(number));
  const entries = nodes.map((node) =>
    kind === "mip4"
      ? { association: "mobile-home", node: node.ipv4HomeAddress, ...mip4KeyOf(node) }
      : { homeAddress: node.homeAddress, ...associationsOf(node) },
  );
  const lines = entries.map((entry) => `  - ${JSON.stringify(entry)}\n`);
  return `${kind === "mip4" ? "mip4" : "keys"}:\n${lines.join("")}`;
}
