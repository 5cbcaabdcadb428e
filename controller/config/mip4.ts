/** Mobile IPv4 of a home agent's configuration: its keys against each other and against those of the key file. Throws by `complain`. */
import { areLent, LEAST_MTU_OF_PREFIXES, ownPrefixes } from "../../schemas/config/common.js";
import { type HomeAgentConfig, mayUse, type Subscriber } from "../../schemas/config/home-agent.js";
import { ConfigError } from "../base/errors.js";
import { formatPrefix, isIpv6, isRoutableUnicast, type Prefix, prefixContains } from "../base/ip.js";
import type { Mip4Keys } from "./keys.js";

export type Complain = (message: string) => never;

/** By what the node is known to Mobile IPv4: an association may be found by either. */
export const namesOf = ({ ipv4HomeAddress, nai }: Pick<Subscriber, "ipv4HomeAddress" | "nai">): readonly string[] =>
  [ipv4HomeAddress, nai].filter((name) => name !== undefined);

/** Ours on the home link, with its prefix length, where the configuration tells it; undefined: it does not. */
export function addressOnHomeLink({ addresses, homeLink, mip4 }: HomeAgentConfig["homeAgent"]) {
  const address = addresses.ipv4Local ?? addresses.ipv4;
  const within = (prefix: Prefix): boolean => address !== undefined && prefixContains(prefix, address);
  const found = homeLink.prefixes.find(within);
  const own = address !== undefined && found !== undefined ? { address, length: found.length } : undefined;
  return mip4?.advertisements?.address ?? own;
}

function checkAdvertisements({ homeAgent }: HomeAgentConfig, complain: Complain): void {
  const { mip4, homeLink, addresses } = homeAgent;
  const key = "homeAgent.mip4.advertisements";
  if (mip4?.advertisements === undefined) return;
  if (homeLink.interface === undefined)
    complain(
      `${key} is there, and homeAgent.homeLink.interface is missing; the link is wanted that they are sent on, or no ${key}`,
    );
  if (addressOnHomeLink(homeAgent) === undefined)
    complain(
      `${key}.address is missing, and ${addresses.ipv4Local ?? addresses.ipv4} is in no home prefix; the address of this machine on ${homeLink.interface} is wanted, with its prefix length`,
    );
}

/** Which protocols are served, and to whom. */
export function checkProtocols(config: HomeAgentConfig, complain: Complain): void {
  const { addresses, mip4 } = config.homeAgent;
  if (mip4 !== undefined && addresses.ipv4 === undefined)
    complain(
      "homeAgent.mip4 is there, and homeAgent.addresses.ipv4 is missing; the address is wanted that nodes register at",
    );
  checkAdvertisements(config, complain);
  const needsIpv6 = config.subscribers.findIndex((one) => mayUse(one, "mip6"));
  if (addresses.ipv6 === undefined && (needsIpv6 !== -1 || mip4 === undefined))
    complain(
      `homeAgent.addresses.ipv6 is missing; the home agent's IPv6 address is wanted${needsIpv6 === -1 ? "" : `, which subscribers[${needsIpv6}] with protocol mip6 registers at`}, or homeAgent.mip4 and protocols [mip4] of every subscriber`,
    );
  const identifiers = new Map<string, number>();
  config.subscribers.forEach((subscriber, i) => {
    const key = `subscribers[${i}]`;
    const { homeAddress, nai, linkLocal } = subscriber;
    if (mayUse(subscriber, "mip6") && homeAddress === undefined)
      complain(`${key}.homeAddress is missing; the IPv6 home address is wanted, or protocols [mip4]`);
    if (mayUse(subscriber, "mip4")) checkSubscriber(config, subscriber, key, complain);
    else if (nai !== undefined || linkLocal)
      complain(
        `${key}.${nai === undefined ? "linkLocal" : "nai"} is of Mobile IPv4, and ${key}.protocols has no mip4; add it there, or remove this`,
      );
    if (nai === undefined) return;
    const twin = identifiers.get(nai);
    if (twin !== undefined) complain(`${key}.nai is "${nai}", which subscribers[${twin}] has too; one node, one NAI`);
    identifiers.set(nai, i);
  });
}

function checkSubscriber(config: HomeAgentConfig, subscriber: Subscriber, key: string, complain: Complain): void {
  const { mip4, ipv4Pool, mtu } = config.homeAgent;
  const { ipv4HomeAddress, nai, profile, prefixes } = subscriber;
  const tunnel = config.tunnelProfiles[profile];
  if (mip4 === undefined)
    complain(`${key}.protocols has mip4, and homeAgent.mip4 is missing; a section mip4 is wanted, {} for its defaults`);
  if (ipv4HomeAddress === undefined && (nai === undefined || ipv4Pool === undefined))
    complain(
      `${key}.ipv4HomeAddress is missing, which mip4 needs; an IPv4 home address is wanted, or ${key}.nai with homeAgent.ipv4Pool`,
    );
  if (tunnel?.protection === "esp")
    complain(
      `${key}.protocols has mip4, and tunnelProfiles.${profile}.protection is "esp"; Mobile IPv4 protects no payload: another profile or protocols [mip6] is wanted`,
    );
  const six = areLent(prefixes) || ownPrefixes(prefixes).some(({ address }) => isIpv6(address)) || subscriber.linkLocal;
  const [least, where] =
    tunnel?.mtu === undefined ? [mtu, "homeAgent.mtu"] : [tunnel.mtu, `tunnelProfiles.${profile}.mtu`];
  if (six && least < LEAST_MTU_OF_PREFIXES)
    complain(
      `${where} is ${least}, and ${key} has IPv6 in its IPv4 tunnel; at least ${LEAST_MTU_OF_PREFIXES} is wanted, so that 1280 are left for IPv6`,
    );
  const four = mayUse(subscriber, "mip6") ? undefined : ownPrefixes(prefixes).find(({ address }) => !isIpv6(address));
  if (four !== undefined)
    complain(
      `${key}.prefixes has ${formatPrefix(four)}, and Mobile IPv4 registers IPv6 prefixes alone; remove it, or add mip6 to ${key}.protocols`,
    );
}

/** Whether the key file has what the configuration counts on. Throws ConfigError. */
export function checkMip4Keys(
  config: HomeAgentConfig,
  { mobileHome, foreignHome }: Mip4Keys,
  keyPath: string,
  complain: Complain,
): void {
  const { mip4, addresses } = config.homeAgent;
  const known = new Set(mobileHome.map(({ node }) => node));
  for (const subscriber of config.subscribers.filter((one) => mayUse(one, "mip4"))) {
    const names = namesOf(subscriber);
    if (!names.some((name) => known.has(name)))
      throw new ConfigError(
        `${keyPath}: has no mobile-home association of ${names.join(" or ")}; add an entry to mip4 with this node`,
      );
  }
  for (const [i, address] of (mip4?.foreignAgents ?? []).entries()) {
    if (!isRoutableUnicast(address))
      complain(`homeAgent.mip4.foreignAgents[${i}] is ${address}; a unicast address is wanted`);
    if (!foreignHome.some((one) => one.foreignAgent === address && one.homeAgent === addresses.ipv4))
      throw new ConfigError(
        `${keyPath}: has no foreign-home association of ${address} and ${addresses.ipv4}; add an entry to mip4 with this foreignAgent and homeAgent`,
      );
  }
}
