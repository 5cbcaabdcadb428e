/** A foreign agent: its configuration checked against itself, and its keys. Throws ConfigError with one sentence. */
import { dirname, resolve } from "node:path";
import type { ForeignAgentConfig } from "../../schemas/config/foreign-agent.js";
import { ConfigError } from "../base/errors.js";
import { formatPrefix, isEdgeOf, isRoutableUnicast, maskAddress, prefixesOverlap } from "../base/ip.js";
import { loadKeys, type Mip4Keys, NO_KEYS } from "./keys.js";

export interface LoadedForeignAgent {
  readonly path: string;
  readonly config: ForeignAgentConfig;
  readonly keys: (typeof NO_KEYS)["keys"];
  readonly mip4: Mip4Keys;
}

export function loadForeignAgent(path: string, config: ForeignAgentConfig): LoadedForeignAgent {
  check(config, (message) => {
    throw new ConfigError(`${path}: ${message}`);
  });
  const { mip4 } = config.keyFile === undefined ? NO_KEYS : loadKeys(resolve(dirname(path), config.keyFile));
  return { path, config, keys: NO_KEYS.keys, mip4 };
}

function check({ foreignAgent, tunnelProfile }: ForeignAgentConfig, complain: (message: string) => never): void {
  const { careOfAddress, links } = foreignAgent;
  if (!isRoutableUnicast(careOfAddress))
    complain(`foreignAgent.careOfAddress is ${careOfAddress}; a unicast address of this machine is wanted`);
  links.forEach((link, i) => {
    const key = `foreignAgent.links[${i}]`;
    const { address, length } = link.address;
    const network = { address: maskAddress(address, length), length };
    if (!isRoutableUnicast(address) || isEdgeOf(network, address))
      complain(`${key}.address is ${address}/${length}; our own address on the link with its prefix length is wanted`);
    for (const [j, other] of links.slice(0, i).entries()) {
      if (other.interface === link.interface)
        complain(`${key}.interface is ${link.interface}, which foreignAgent.links[${j}] has too; keep one of them`);
      const taken = { address: maskAddress(other.address.address, other.address.length), length: other.address.length };
      if (prefixesOverlap(taken, network))
        complain(
          `${key}.address ${formatPrefix(network)} overlaps that of foreignAgent.links[${j}]; each link has its own network`,
        );
    }
    const { advertisementIntervalSeconds: interval, advertisementLifetimeSeconds: lifetime } = link;
    if (lifetime !== undefined && lifetime < interval)
      complain(
        `${key}.advertisementLifetimeSeconds is ${lifetime}, less than advertisementIntervalSeconds (${interval}); three times as much is wanted`,
      );
  });
  if (tunnelProfile.protection === "esp")
    complain('tunnelProfile.protection is "esp", which a foreign agent has not; "none" is wanted');
  if (tunnelProfile.decapsulateDscp)
    complain("tunnelProfile.decapsulateDscp is true, which the kernel can do for ESP alone; false is wanted here");
}
