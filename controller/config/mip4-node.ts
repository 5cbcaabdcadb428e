/** A mobile node of Mobile IPv4: its configuration checked against itself and its keys. Throws ConfigError with one sentence. */
import { dirname, resolve } from "node:path";
import { LEAST_MTU_OF_PREFIXES } from "../../schemas/config/common.js";
import type { Mip4NodeConfig } from "../../schemas/config/mip4-node.js";
import { ConfigError } from "../base/errors.js";
import { formatPrefix, isEdgeOf, isRoutableUnicast, prefixContains, prefixesOverlap } from "../base/ip.js";
import { loadKeys, type Mip4Keys, type MobileHomeKey, NO_KEYS } from "./keys.js";

export interface LoadedMip4Node {
  readonly path: string;
  readonly config: Mip4NodeConfig;
  readonly keys: (typeof NO_KEYS)["keys"];
  readonly mip4: Mip4Keys;
}

export function loadMip4Node(path: string, config: Mip4NodeConfig): LoadedMip4Node {
  check(config, (message) => {
    throw new ConfigError(`${path}: ${message}`);
  });
  if (config.keyFile === undefined)
    throw new ConfigError(`${path}: keyFile is missing; a file with keys of Mobile IPv4 is wanted (its list mip4)`);
  const keyPath = resolve(dirname(path), config.keyFile);
  const { mip4 } = loadKeys(keyPath);
  if (mobileHomeKey(config, mip4) === undefined) {
    const { spi } = config.mobileNode;
    const which = spi === undefined ? "" : ` and spi ${spi}`;
    throw new ConfigError(
      `${keyPath}: has no mobile-home key for ${namesOf(config).join(" or ")}; add an entry to mip4 with this node${which}`,
    );
  }
  return { path, config, keys: NO_KEYS.keys, mip4 };
}

/** By which the key file may know the node. */
export function namesOf({ mobileNode: { homeAddress, nai } }: Mip4NodeConfig): readonly string[] {
  return [homeAddress, nai].filter((name) => name !== undefined);
}

/** What requests are signed with, and replies. */
export function mobileHomeKey(config: Mip4NodeConfig, { mobileHome }: Mip4Keys): MobileHomeKey | undefined {
  const { spi } = config.mobileNode;
  const names = namesOf(config);
  return mobileHome.find((one) => names.includes(one.node) && (spi === undefined || one.spi === spi));
}

function check({ mobileNode, tunnelProfile }: Mip4NodeConfig, complain: (message: string) => never): void {
  const { homeAddress, homeAgent, homeSubnet, nai, prefixes, ipv6HomeAddress, natTraversal, forceUdp } = mobileNode;
  if (homeAddress === undefined && nai === undefined)
    complain(
      "mobileNode.homeAddress is dynamic and mobileNode.nai is missing; a name that the address is lent to is wanted",
    );
  if (homeAgent === undefined && homeSubnet === undefined)
    complain(
      "mobileNode.homeAgent is dynamic and mobileNode.homeSubnet is missing; the subnet is wanted at whose broadcast address home agents are asked",
    );
  for (const [key, address] of Object.entries({ homeAddress, homeAgent })) {
    if (address === undefined) continue;
    if (!isRoutableUnicast(address) || (homeSubnet !== undefined && isEdgeOf(homeSubnet, address)))
      complain(`mobileNode.${key} is ${address}; an address of a host is wanted`);
  }
  if (homeAddress !== undefined && homeAddress === homeAgent)
    complain(`mobileNode.homeAddress is ${homeAddress}, the home agent's address too; each has one of its own`);
  if (homeAddress !== undefined && homeSubnet !== undefined && !prefixContains(homeSubnet, homeAddress))
    complain(
      `mobileNode.homeAddress is ${homeAddress}; an address within mobileNode.homeSubnet is wanted (${formatPrefix(homeSubnet)})`,
    );
  prefixes.forEach((prefix, i) => {
    if (!isRoutableUnicast(prefix.address))
      complain(
        `mobileNode.prefixes has ${formatPrefix(prefix)}; a prefix of unicast addresses that are routed is wanted`,
      );
    const twin = prefixes.slice(0, i).find((other) => prefixesOverlap(prefix, other));
    if (twin !== undefined)
      complain(`mobileNode.prefixes: ${formatPrefix(twin)} and ${formatPrefix(prefix)} overlap; keep one of them`);
  });
  if (ipv6HomeAddress !== undefined && !prefixes.some((prefix) => prefixContains(prefix, ipv6HomeAddress)))
    complain(`mobileNode.ipv6HomeAddress is ${ipv6HomeAddress}; an address within mobileNode.prefixes is wanted`);
  if (forceUdp && !natTraversal)
    complain(
      "mobileNode.forceUdp is on and mobileNode.natTraversal is off; UDP is asked for with both or with neither",
    );
  if (tunnelProfile.protection === "esp")
    complain('tunnelProfile.protection is "esp", which Mobile IPv4 has not; "none" is wanted, or protocol "mip6"');
  if (tunnelProfile.decapsulateDscp)
    complain(
      'tunnelProfile.decapsulateDscp is true, which the kernel can do for ESP alone, and Mobile IPv4 has none; false is wanted, or protocol "mip6"',
    );
  const { mtu } = tunnelProfile;
  const six = prefixes.length > 0 ? "prefixes" : mobileNode.prefixDelegation ? "prefixDelegation" : undefined;
  if (six !== undefined && mtu !== undefined && mtu < LEAST_MTU_OF_PREFIXES)
    complain(
      `tunnelProfile.mtu is ${mtu}, and mobileNode.${six} has IPv6 in the IPv4 tunnel; at least ${LEAST_MTU_OF_PREFIXES} is wanted, so that 1280 are left for IPv6`,
    );
}
