/**
 * The configuration as the daemon uses it: file and key file read, checked one by one (schemas) and against each other (here).
 * Throws ConfigError with one sentence; nothing is guessed.
 */
import { dirname, resolve } from "node:path";
import { areLent, ownPrefixes } from "../../schemas/config/common.js";
import type { CorrespondentNodeConfig } from "../../schemas/config/correspondent-node.js";
import type { ForeignAgentConfig } from "../../schemas/config/foreign-agent.js";
import { type HomeAgentConfig, mayUse, mip6Of, type PrefixPoolConfig } from "../../schemas/config/home-agent.js";
import type { Mip4NodeConfig } from "../../schemas/config/mip4-node.js";
import { type MobileNodeConfig, ownAddress, TO_BE_FOUND, TO_BE_TOLD } from "../../schemas/config/mobile-node.js";
import { type Config, configFile } from "../../schemas/config.js";
import { homeAgentsAnycast } from "../base/anycast.js";
import { ConfigError } from "../base/errors.js";
import {
  formatPrefix,
  hostPrefix,
  type IpAddress,
  type Ipv4Address,
  type Ipv6Address,
  ipv6,
  isEdgeOf,
  isIpv4,
  isIpv6,
  isRoutableUnicast,
  maskAddress,
  type Prefix,
  prefixContains,
  prefixesOverlap,
} from "../base/ip.js";
import { findOverlap } from "../base/prefix-table.js";
import { loadCorrespondentNode } from "./correspondent-node.js";
import { type IkeCredentials, loadCredentials } from "./credentials.js";
import { loadForeignAgent } from "./foreign-agent.js";
import { checkFurtherHomes } from "./further-homes.js";
import { checkIpv4Correspondents } from "./ipv4-correspondents.js";
import { loadKeys, type Mip4Keys, NO_KEYS, type NodeKeys } from "./keys.js";
import { type Complain, checkMip4Keys, checkProtocols } from "./mip4.js";
import { loadMip4Node } from "./mip4-node.js";
import { readYamlFile } from "./yaml-file.js";

export interface LoadedConfig<C extends Config = Config> {
  readonly path: string;
  readonly config: C;
  /** Static keys; empty with ikev2. */
  readonly keys: ReadonlyMap<Ipv6Address, NodeKeys>;
  /** Security associations of Mobile IPv4. */
  readonly mip4: Mip4Keys;
  /** Present with ikev2. */
  readonly credentials?: IkeCredentials;
}

/** Reads and checks the configuration file and the files with keys that it names. */
export function loadConfig(path: string): LoadedConfig {
  const config = readYamlFile(path, configFile, { secret: false });
  const complain = (message: string): never => {
    throw new ConfigError(`${path}: ${message}`);
  };
  if (config.role === "correspondent-node") return loadCorrespondentNode(path, config);
  if (config.role === "foreign-agent") return loadForeignAgent(path, config);
  if (config.role === "mobile-node" && config.protocol === "mip4") return loadMip4Node(path, config);
  const { keyFile: keyFilePath, security } = config;
  if (security.method === "ikev2") {
    if (keyFilePath !== undefined && !speaksMip4(config))
      complain("keyFile is for static keys and security.method is ikev2; remove one of the two");
    if (keyFilePath === undefined && speaksMip4(config))
      complain("keyFile is missing; a file with the keys of Mobile IPv4 (mip4) is wanted");
  } else if (keyFilePath === undefined) {
    complain('keyFile is missing; a file with static keys is wanted, or security with method "ikev2"');
  }
  const keyPath = resolve(dirname(path), keyFilePath ?? "");
  const { keys, mip4 } = keyFilePath === undefined ? NO_KEYS : loadKeys(keyPath);
  if (security.method === "ikev2" && keys.size > 0)
    throw new ConfigError(
      `${keyPath}: has static ESP keys (keys), and security.method is ikev2; only the keys of Mobile IPv4 (mip4) are wanted`,
    );
  if (config.role === "home-agent") {
    checkHomeAgent(config, complain);
    checkMip4Keys(config, mip4, keyPath, complain);
  } else checkMobileNode(config, complain);
  checkProtection(config, complain);
  checkMappedSignalling(config, complain);
  if (security.method === "ikev2") {
    const credentials = loadCredentials(path, security);
    checkCredentials(config, credentials, complain);
    return { path, config, keys, mip4, credentials };
  }
  for (const homeAddress of homeAddresses(config)) {
    if (!keys.has(homeAddress)) {
      throw new ConfigError(`${keyPath}: has no keys for ${homeAddress}; add an entry to keys with this homeAddress`);
    }
  }
  return { path, config, keys, mip4 };
}

/** Roles with static ESP keys or IKEv2. */
type Mip6Config = Exclude<Config, Mip4NodeConfig | ForeignAgentConfig | CorrespondentNodeConfig>;

/** Whether keys of Mobile IPv4 are needed. */
const speaksMip4 = (config: Mip6Config): boolean => config.role === "home-agent" && config.homeAgent.mip4 !== undefined;

/** Of Mobile IPv6. */
function homeAddresses(config: Mip6Config): readonly Ipv6Address[] {
  return config.role === "home-agent"
    ? (mip6Of(config)?.subscribers ?? []).map((one) => one.homeAddress)
    : [config.mobileNode, ...config.mobileNode.furtherHomeAddresses].map((one) => one.homeAddress);
}

/** Addresses that a host of this network may have: neither its network nor its broadcast address, nor all routers' (RFC 4291 §2.6.1). */
function checkHost(key: string, address: IpAddress, prefixes: readonly Prefix[], complain: Complain): void {
  const wanted = (what: string): never => complain(`${key} is ${address}, ${what}; an address of a host is wanted`);
  if (!isRoutableUnicast(address)) wanted("which is not unicast");
  for (const prefix of prefixes) {
    if (isIpv4(address) && isEdgeOf(prefix, address))
      wanted(`the network or broadcast address of ${formatPrefix(prefix)}`);
    if (isIpv6(address) && prefix.length <= 126 && prefix.address === address)
      wanted(`the address of all routers of ${formatPrefix(prefix)}`);
  }
}

/** A network, not the whole internet. */
function checkNetworks(key: string, prefixes: readonly Prefix[], complain: Complain): void {
  prefixes.forEach((prefix, i) => {
    if (prefix.length === 0)
      complain(`${key} has ${formatPrefix(prefix)}, which is everywhere; the home network's prefix is wanted`);
    for (const other of prefixes.slice(0, i))
      if (prefixesOverlap(prefix, other))
        complain(`${key}: ${formatPrefix(prefix)} and ${formatPrefix(other)} overlap; keep one of them`);
  });
}

function checkLocalIpv4({ ipv4, ipv4Local }: HomeAgentConfig["homeAgent"]["addresses"], complain: Complain): void {
  if (ipv4Local === undefined) return;
  if (!isRoutableUnicast(ipv4Local))
    complain(`homeAgent.addresses.ipv4Local is ${ipv4Local}; a unicast address of this machine is wanted`);
  if (ipv4 === undefined)
    complain(
      "homeAgent.addresses.ipv4Local has no homeAgent.addresses.ipv4 beside it; the address that nodes know is wanted",
    );
}

/** Groups are joined on a home link, and copies travel as plain payload. */
function checkMulticast({ homeAgent, subscribers, tunnelProfiles }: HomeAgentConfig, complain: Complain): void {
  if (homeAgent.multicast === undefined) return;
  if (homeAgent.homeLink.interface === undefined)
    complain(
      "homeAgent.multicast is there, and homeAgent.homeLink.interface is not; a home link whose groups nodes can join is wanted",
    );
  const isEsp = ({ profile }: (typeof subscribers)[number]): boolean => tunnelProfiles[profile]?.protection === "esp";
  if (subscribers.length > 0 && subscribers.every(isEsp))
    complain(
      "homeAgent.multicast is there, and every subscriber's tunnel profile has protection esp; multicast is not sent in ESP: remove homeAgent.multicast",
    );
}

function checkHomeAgent(config: HomeAgentConfig, complain: Complain): void {
  const { addresses, homeLink } = config.homeAgent;
  const { prefixes } = homeLink;
  checkNetworks("homeAgent.homeLink.prefixes", prefixes, complain);
  checkProtocols(config, complain);
  if (addresses.ipv6 !== undefined && !isRoutableUnicast(addresses.ipv6))
    complain(`homeAgent.addresses.ipv6 is ${addresses.ipv6}; a global unicast address is wanted`);
  if (addresses.ipv4 !== undefined && !isRoutableUnicast(addresses.ipv4)) {
    complain(`homeAgent.addresses.ipv4 is ${addresses.ipv4}; a unicast address is wanted`);
  }
  checkLocalIpv4(addresses, complain);
  for (const pool of config.homeAgent.ipv4Pool?.prefixes ?? []) {
    const within =
      isIpv4(pool.address) &&
      prefixes.some((prefix) => pool.length >= prefix.length && prefixContains(prefix, pool.address));
    if (!within) {
      complain(
        `homeAgent.ipv4Pool.prefixes has ${formatPrefix(pool)}; an IPv4 prefix within homeAgent.homeLink.prefixes is wanted (${prefixes.map(formatPrefix).join(", ")})`,
      );
    }
  }
  checkMulticast(config, complain);
  const { prefixPool } = config.homeAgent;
  if (prefixPool !== undefined) checkPrefixPool(prefixPool, complain);
  const taken: NamedPrefix[] = prefixes.map((prefix) => ({ prefix, key: "homeAgent.homeLink.prefixes" }));
  for (const [family, address] of Object.entries(addresses))
    if (address !== undefined) taken.push({ prefix: hostPrefix(address), key: `homeAgent.addresses.${family}` });
  checkMobileNetworks(
    [
      { key: "homeAgent.prefixPool.prefixes", prefixes: prefixPool?.prefixes ?? [] },
      ...config.subscribers.map(({ prefixes: own }, i) => ({
        key: `subscribers[${i}].prefixes`,
        prefixes: ownPrefixes(own),
      })),
    ],
    taken.filter((one, i) => !taken.slice(0, i).some(({ prefix }) => prefixesOverlap(prefix, one.prefix))),
    complain,
  );
  const seen = new Map<string, number>();
  config.subscribers.forEach((subscriber, i) => {
    const key = `subscribers[${i}]`;
    if (subscriber.profile !== "default" && config.tunnelProfiles[subscriber.profile] === undefined) {
      const known = ["default", ...Object.keys(config.tunnelProfiles)].join(", ");
      complain(
        `${key}.profile is "${subscriber.profile}"; a name under tunnelProfiles is wanted (there are: ${known})`,
      );
    }
    if (areLent(subscriber.prefixes)) checkBorrower(config, key, complain);
    for (const [field, address] of [
      ["homeAddress", subscriber.homeAddress],
      ["ipv4HomeAddress", subscriber.ipv4HomeAddress],
    ] as const) {
      if (address === undefined) continue;
      const twin = seen.get(address);
      if (twin !== undefined)
        complain(
          `${key}.${field} is ${address}, which subscribers[${twin}] has too; a home address belongs to one node`,
        );
      seen.set(address, i);
      if (Object.values(addresses).some((one) => one === address)) {
        complain(`${key}.${field} is ${address}, the home agent's own address; choose another`);
      }
      if (!prefixes.some((prefix) => prefixContains(prefix, address))) {
        complain(
          `${key}.${field} is ${address}; an address within homeAgent.homeLink.prefixes is wanted (${prefixes.map(formatPrefix).join(", ")})`,
        );
      }
      checkHost(`${key}.${field}`, address, prefixes, complain);
    }
  });
}

/** Each length that is lent has room in the pool. */
function checkPrefixPool({ prefixes, ipv4Lengths, ipv6Lengths }: PrefixPoolConfig, complain: Complain): void {
  const key = "homeAgent.prefixPool";
  for (const [field, lengths, is] of [
    ["ipv4Lengths", ipv4Lengths, isIpv4],
    ["ipv6Lengths", ipv6Lengths, isIpv6],
  ] as const) {
    const ofFamily = prefixes.filter(({ address }) => is(address));
    if (ofFamily.length === 0) continue;
    for (const { address, length } of ofFamily)
      if (lengths.every((one) => one < length))
        complain(
          `${key}.prefixes has ${formatPrefix({ address, length })}, out of which nothing of ${key}.${field} can be lent (${lengths.join(", ")}); a shorter prefix or a greater length is wanted`,
        );
  }
}

/** A subscriber whose networks come out of the pool. */
function checkBorrower({ homeAgent }: HomeAgentConfig, key: string, complain: Complain): void {
  if (homeAgent.prefixPool === undefined)
    complain(
      `${key}.prefixes is "dynamic" and homeAgent.prefixPool is missing; a pool or a list of prefixes is wanted`,
    );
}

/** The 2004 profile: what it has no way for is refused (draft-soliman-v4v6-mipv6-00; contradictions C-50, C-53). */
function checkMappedSignalling(config: Mip6Config, complain: Complain): void {
  const wanted = (key: string, what: string): never => complain(`${key}.ipv4Signalling is "soliman2004", ${what}`);
  const check = (
    key: string,
    { prefixes, protection }: { prefixes: readonly Prefix[] | "dynamic"; protection: string },
  ): void => {
    if (prefixes === "dynamic")
      return wanted(
        key,
        `whose short options ask for no prefix, and ${key}.prefixes is "dynamic"; remove it, or use "rfc5555"`,
      );
    const four = prefixes.find(({ address }) => isIpv4(address));
    if (four !== undefined)
      wanted(
        key,
        `whose short options name no prefix, and ${key}.prefixes has ${formatPrefix(four)}; remove it, or use "rfc5555"`,
      );
    if (protection === "esp")
      wanted(key, 'which has no tunnel in ESP; a tunnel profile with protection "none" is wanted, or "rfc5555"');
  };
  if (config.role === "mobile-node") {
    const { mobileNode: node, tunnelProfile } = config;
    if (node.ipv4Signalling !== "soliman2004") return;
    check("mobileNode", { prefixes: node.prefixes, protection: tunnelProfile.protection });
    if (node.forceUdp)
      wanted("mobileNode", 'which knows no UDP, and mobileNode.forceUdp is on; turn that off, or use "rfc5555"');
    return;
  }
  const { homeAgent, subscribers, tunnelProfiles } = config;
  const mapped = subscribers.findIndex(({ ipv4Signalling }) => ipv4Signalling === "soliman2004");
  if (mapped === -1) return;
  if (homeAgent.addresses.ipv4 === undefined)
    wanted(
      `subscribers[${mapped}]`,
      "and homeAgent.addresses.ipv4 is missing; the address is wanted that nodes send to",
    );
  subscribers.forEach(({ ipv4Signalling, prefixes, profile, forceUdp }, i) => {
    const protection = tunnelProfiles[profile]?.protection ?? "none";
    if (ipv4Signalling === "soliman2004") check(`subscribers[${i}]`, { prefixes, protection });
    if (ipv4Signalling === "soliman2004" && forceUdp === "always")
      wanted(
        `subscribers[${i}]`,
        `which knows no UDP, and subscribers[${i}].forceUdp is "always"; remove that, or use "rfc5555"`,
      );
    const sixToFour =
      prefixes === "dynamic" ? undefined : prefixes.find((prefix) => prefixesOverlap(prefix, SIX_TO_FOUR));
    if (sixToFour !== undefined)
      complain(
        `subscribers[${i}].prefixes has ${formatPrefix(sixToFour)}, a 6to4 prefix, in whose place subscribers[${mapped}].ipv4Signalling "soliman2004" has care-of addresses; another prefix is wanted, or "rfc5555"`,
      );
  });
}

/** RFC 3056 §2. */
const SIX_TO_FOUR: Prefix = { address: ipv6("2002::"), length: 16 };

interface NamedPrefix {
  readonly prefix: Prefix;
  readonly key: string;
}

/** Networks behind mobile routers: of addresses that have no other meaning, and none in two places. `taken` do not overlap. */
function checkMobileNetworks(
  lists: readonly { readonly key: string; readonly prefixes: readonly Prefix[] }[],
  taken: readonly NamedPrefix[],
  complain: Complain,
): void {
  const networks = lists.flatMap(({ key, prefixes }) => prefixes.map((prefix) => ({ prefix, key })));
  for (const { prefix, key } of networks) {
    if (!isRoutableUnicast(prefix.address))
      complain(`${key} has ${formatPrefix(prefix)}; a prefix of unicast addresses that are routed is wanted`);
  }
  const overlap = findOverlap([...taken, ...networks]);
  if (overlap === undefined) return;
  const [before, one] = overlap;
  complain(
    `${one.key} has ${formatPrefix(one.prefix)}, which overlaps ${formatPrefix(before.prefix)} of ${before.key}; a prefix that is nobody else's is wanted`,
  );
}

/** One that is known, or ways to find one, and not both. */
function checkHomeAgentOf({ homeAgent, homePrefixes }: MobileNodeConfig["mobileNode"], complain: Complain): void {
  const { ipv6, ipv4, name, domain, anycast, dhcpv6 } = homeAgent;
  const ways = Object.entries({ name, domain, anycast, dhcpv6 }).filter(
    ([, way]) => way !== undefined && way !== false,
  );
  const [first] = ways.map(([key]) => key);
  if (ipv6 === TO_BE_FOUND && first === undefined)
    complain(
      "mobileNode.homeAgent has no ipv6; its address is wanted, or a name, domain or anycast to find it by, or dhcpv6",
    );
  if (ipv6 !== TO_BE_FOUND && first !== undefined)
    complain(
      `mobileNode.homeAgent has both ipv6 and ${first}; keep one of them: an address that is known is not looked for`,
    );
  if (ipv4 !== undefined && (name !== undefined || domain !== undefined))
    complain(`mobileNode.homeAgent has both ipv4 and ${first}; remove ipv4, the A records have it`);
  if (anycast && !homePrefixes.some((prefix) => homeAgentsAnycast(prefix) !== undefined))
    complain(
      "mobileNode.homeAgent.anycast is on, and no IPv6 prefix in mobileNode.homePrefixes has an anycast address; use name or domain",
    );
}

/** What the home agent has told of a node with `homeAddress: auto`. */
export interface ToldAddresses {
  readonly ipv6: Ipv6Address;
  readonly ipv4?: Ipv4Address | undefined;
}

/** Of a home link whose prefix nobody has configured (RFC 4291 §2.5.4). */
const HOME_PREFIX_LENGTH = 64;

/** The configuration with the addresses in it. Throws ConfigError if they do not go with the rest. */
export function withToldAddresses(config: MobileNodeConfig, { ipv6, ipv4 }: ToldAddresses): MobileNodeConfig {
  const node = config.mobileNode;
  const isKnown = node.homePrefixes.some(({ address }) => isIpv6(address));
  const home = { address: maskAddress(ipv6, HOME_PREFIX_LENGTH), length: HOME_PREFIX_LENGTH };
  const ipv4HomeAddress = node.ipv4HomeAddress === "auto" ? ipv4 : node.ipv4HomeAddress;
  const knowsIpv4 = ipv4 === undefined || node.homePrefixes.some((one) => prefixContains(one, ipv4));
  const homePrefixes = [
    ...node.homePrefixes,
    ...(isKnown ? [] : [home]),
    // How large the network is nobody has told.
    ...(ipv4HomeAddress === ipv4 && ipv4 !== undefined && !knowsIpv4 ? [hostPrefix(ipv4)] : []),
  ];
  const told = { ...config, mobileNode: { ...node, homeAddress: ipv6, ipv4HomeAddress, homePrefixes } };
  checkMobileNode(told, (message) => {
    throw new ConfigError(message);
  });
  return told;
}

/** The addresses are not known yet: what has to do with them is looked at when they are (withToldAddresses). */
function checkToBeTold({ mobileNode, security }: MobileNodeConfig, complain: Complain): boolean {
  const isTold = mobileNode.homeAddress === TO_BE_TOLD;
  if (isTold && security.method !== "ikev2")
    complain(
      'mobileNode.homeAddress is "auto", and static keys belong to a home address that is known; name the address, or use security.method "ikev2"',
    );
  if (!isTold && mobileNode.ipv4HomeAddress === "auto")
    complain(
      'mobileNode.ipv4HomeAddress is "auto", which is told together with the IPv6 one; mobileNode.homeAddress "auto" is wanted too, or an address or "dynamic" here',
    );
  return isTold;
}

function checkMobileNode(config: MobileNodeConfig, complain: Complain): void {
  const node = config.mobileNode;
  const isTold = checkToBeTold(config, complain);
  checkHomeAgentOf(node, complain);
  checkFurtherHomes(config, complain, (key, address) => checkHost(key, address, node.homePrefixes, complain));
  checkNetworks("mobileNode.homePrefixes", node.homePrefixes, complain);
  const { ipv6: agent6, ipv4: agent4 } = node.homeAgent;
  const known = { ipv6: agent6 === TO_BE_FOUND ? undefined : agent6, ipv4: agent4 };
  const agent = Object.entries(known).flatMap(([family, address]) =>
    address === undefined ? [] : [{ prefix: hostPrefix(address), key: `mobileNode.homeAgent.${family}` }],
  );
  const outside = agent.filter(({ prefix }) => !node.homePrefixes.some((home) => prefixesOverlap(home, prefix)));
  checkLent(config, complain);
  checkIpv4Correspondents(node, complain);
  checkMobileNetworks(
    [{ key: "mobileNode.prefixes", prefixes: ownPrefixes(node.prefixes) }],
    [...node.homePrefixes.map((prefix) => ({ prefix, key: "mobileNode.homePrefixes" })), ...outside],
    complain,
  );
  if (isTold) return;
  const ipv6 = node.homePrefixes.filter((prefix) => isIpv6(prefix.address));
  if (ipv6.length === 0) complain("mobileNode.homePrefixes has no IPv6 prefix; the home link is recognised by it");
  const within = (address: Parameters<typeof hostPrefix>[0], list: readonly Prefix[]): boolean =>
    list.some((prefix) => prefixContains(prefix, address));
  if (!within(node.homeAddress, node.homePrefixes)) {
    complain(
      `mobileNode.homeAddress is ${node.homeAddress}; an address within mobileNode.homePrefixes is wanted (${ipv6.map(formatPrefix).join(", ")})`,
    );
  }
  const ipv4HomeAddress = ownAddress(node.ipv4HomeAddress);
  if (ipv4HomeAddress !== undefined && !within(ipv4HomeAddress, node.homePrefixes)) {
    const ipv4 = node.homePrefixes.filter((prefix) => isIpv4(prefix.address)).map(formatPrefix);
    complain(
      `mobileNode.ipv4HomeAddress is ${node.ipv4HomeAddress}; an address within mobileNode.homePrefixes is wanted (${ipv4.join(", ") || "add its IPv4 prefix"})`,
    );
  }
  const { ipv6: homeAgent, ipv4: homeAgent4 } = node.homeAgent;
  for (const [key, address] of [
    ["ipv6", homeAgent],
    ["ipv4", homeAgent4],
  ] as const) {
    if (address === undefined || address === TO_BE_FOUND) continue;
    if (!isRoutableUnicast(address)) complain(`mobileNode.homeAgent.${key} is ${address}; a unicast address is wanted`);
    if (address === node.homeAddress || address === node.ipv4HomeAddress)
      complain(
        `mobileNode.homeAgent.${key} is ${address}, which is the node's own home address; the home agent's is wanted`,
      );
  }
  checkHost("mobileNode.homeAddress", node.homeAddress, node.homePrefixes, complain);
  if (ipv4HomeAddress !== undefined)
    checkHost("mobileNode.ipv4HomeAddress", ipv4HomeAddress, node.homePrefixes, complain);
}

/** What the home agent lends to the node. */
function checkLent({ mobileNode }: MobileNodeConfig, complain: Complain): void {
  const { ipv4HomeAddress, prefixes, prefixLengths, mobileRouter } = mobileNode;
  const lendsPrefixes = areLent(prefixes);
  if (ipv4HomeAddress === "from-prefix" && !(lendsPrefixes && prefixLengths.ipv4.length > 0))
    complain(
      'mobileNode.ipv4HomeAddress is "from-prefix" and no IPv4 prefix is asked for; prefixes "dynamic" with a length in prefixLengths.ipv4 is wanted',
    );
  if (lendsPrefixes && prefixLengths.ipv4.length + prefixLengths.ipv6.length === 0)
    complain('mobileNode.prefixes is "dynamic" and mobileNode.prefixLengths is empty; at least one length is wanted');
  if (lendsPrefixes && mobileRouter === "implicit")
    complain(
      'mobileNode.prefixes is "dynamic" and mobileRouter is "implicit"; what is lent is named: explicit is wanted',
    );
}

function checkProtection(config: Mip6Config, complain: Complain): void {
  const profiles =
    config.role === "home-agent"
      ? Object.entries(config.tunnelProfiles).map(([name, profile]) => [`tunnelProfiles.${name}`, profile] as const)
      : [["tunnelProfile", config.tunnelProfile] as const];
  const [role, { udpOverIpv6 }] =
    config.role === "home-agent"
      ? (["homeAgent", config.homeAgent] as const)
      : (["mobileNode", config.mobileNode] as const);
  for (const [key, { protection, decapsulateDscp }] of profiles) {
    if (protection !== "esp" && decapsulateDscp)
      complain(
        `${key}.decapsulateDscp is true and ${key}.protection is "none"; the kernel takes the outer DSCP over from ESP alone: protection "esp" is wanted, or decapsulateDscp false`,
      );
    if (protection === "esp" && udpOverIpv6)
      complain(
        `${key}.protection is "esp" and ${role}.udpOverIpv6 is true; keep one of the two: payload in ESP goes over IPv6 as it is, never in UDP`,
      );
    if (protection === "esp" && config.role === "mobile-node" && config.mobileNode.multicast)
      complain(
        `${key}.protection is "esp" and mobileNode.multicast is true; multicast is not sent in ESP: set it to false`,
      );
    if (protection === "esp" && config.role === "mobile-node" && config.tunnelProfile.routeOptimisation === "on")
      complain(
        `${key}.protection is "esp" and ${key}.routeOptimisation is "on"; direct packets leave ESP: "clear" says that they may, "off" that they may not`,
      );
    if (protection === "esp" && config.role === "mobile-node" && config.tunnelProfile.routeOptimisation === undefined)
      if (config.mobileNode.routeOptimisation !== undefined)
        complain(
          `${key}.protection is "esp" and mobileNode.routeOptimisation is there, which does nothing then, for direct packets leave ESP; ${key}.routeOptimisation "clear" says that they may, "off" that they may not`,
        );
    if (protection === "esp" && config.security.method !== "ikev2")
      complain(`${key}.protection is "esp", which needs negotiated keys; set security.method to "ikev2"`);
  }
}

const identitiesOf = ({ mobileNode }: MobileNodeConfig): readonly string[] =>
  mobileNode.furtherHomeAddresses.flatMap(({ identity }) => identity ?? []);

/** Each identity must have what its way to prove itself needs, and belong to one home address only (RFC 6275 §5.1). */
function checkCredentials(config: Mip6Config, credentials: IkeCredentials, complain: Complain): void {
  const { certificate, authorities } = credentials;
  const missing = (key: string, what: string): never => complain(`${key} is missing; ${what}`);
  const own = (why: string): void => {
    if (certificate === undefined) missing("security.certificate", `our certificate and privateKey are wanted ${why}`);
  };
  const trust = (why: string): void => {
    if (authorities.length === 0) missing("security.authorities", `the certificate of an authority is wanted ${why}`);
  };
  const secret = (identity: string, method: "psk" | "eap"): void => {
    if (!credentials[method].has(identity))
      missing(
        "security.credentialFile",
        `an entry for ${identity} with ${method === "psk" ? "psk" : "eapPassword"} is wanted there`,
      );
  };
  if (config.role === "mobile-node") {
    const { security } = config;
    if (security.method !== "ikev2") return;
    if (security.authentication === "certificate") own("because security.authentication is certificate");
    else for (const identity of [security.identity, ...identitiesOf(config)]) secret(identity, security.authentication);
    if (security.authentication !== "psk") trust("that vouches for the home agent");
    return;
  }
  const self = config.security.method === "ikev2" ? config.security.identity : undefined;
  // charon takes every key that either end owns: one of ours would prove every subscriber's identity.
  if (self !== undefined && (credentials.psk.has(self) || credentials.eap.has(self)))
    complain(
      `security.credentialFile has an entry for ${self}, which is the home agent's own identity; remove it there`,
    );
  const owners = new Map<string, number>();
  config.subscribers.forEach((subscriber, i) => {
    const { identity, authentication, homeAddress } = subscriber;
    if (!mayUse(subscriber, "mip6")) return;
    if (identity === undefined) {
      complain(`subscribers[${i}].identity is missing (${homeAddress}); the node's IKE identity is wanted`);
      return;
    }
    if (identity === self)
      complain(`subscribers[${i}].identity is ${identity}, which is the home agent's own; one of a node's is wanted`);
    const twin = owners.get(identity);
    if (twin !== undefined)
      complain(`subscribers[${i}].identity is ${identity}, which subscribers[${twin}] has too; one node, one identity`);
    owners.set(identity, i);
    if (authentication !== "certificate") secret(identity, authentication);
    if (authentication === "certificate") trust(`that vouches for subscribers[${i}]`);
    if (authentication !== "psk") own(`because subscribers[${i}].authentication is ${authentication}`);
  });
}
