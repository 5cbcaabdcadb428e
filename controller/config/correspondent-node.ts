/** A correspondent node: its configuration checked against itself. Throws ConfigError with one sentence. */
import type { CorrespondentNodeConfig } from "../../schemas/config/correspondent-node.js";
import { ConfigError } from "../base/errors.js";
import { formatPrefix, type Ipv6Address, isRoutableUnicast, type Prefix, samePrefix } from "../base/ip.js";
import { NO_KEYS } from "./keys.js";

export interface LoadedCorrespondentNode extends Pick<typeof NO_KEYS, "keys" | "mip4"> {
  readonly path: string;
  readonly config: CorrespondentNodeConfig;
}

export function loadCorrespondentNode(path: string, config: CorrespondentNodeConfig): LoadedCorrespondentNode {
  checkCorrespondentNode(config.correspondentNode, (message) => {
    throw new ConfigError(`${path}: ${message}`);
  });
  return { path, config, ...NO_KEYS };
}

function checkCorrespondentNode(
  { addresses, allow, deny, ipv4RouteOptimisation }: CorrespondentNodeConfig["correspondentNode"],
  complain: (message: string) => never,
): void {
  addresses.forEach((address, i) => {
    const key = `correspondentNode.addresses[${i}]`;
    if (!isRoutableUnicast(address))
      complain(
        `${key} is ${address}, which nobody reaches from elsewhere; a unicast address of this machine is wanted`,
      );
    if (addresses.indexOf(address) < i) complain(`${key} is ${address}, which is there twice; keep one of them`);
  });
  const isDenied = (prefix: Prefix): boolean => deny.some((one) => samePrefix(one, prefix));
  allow.forEach((prefix, i) => {
    if (isDenied(prefix))
      complain(
        `correspondentNode.allow[${i}] is ${formatPrefix(prefix)}, which correspondentNode.deny has too; keep one of them`,
      );
  });
  if (ipv4RouteOptimisation !== undefined) checkIpv4(ipv4RouteOptimisation, addresses, complain);
}

type Ipv4RouteOptimisation = NonNullable<CorrespondentNodeConfig["correspondentNode"]["ipv4RouteOptimisation"]>;

function checkIpv4(
  { addresses, modes }: Ipv4RouteOptimisation,
  own: readonly Ipv6Address[],
  complain: (message: string) => never,
): void {
  const at = "correspondentNode.ipv4RouteOptimisation";
  addresses.forEach(({ ipv6, ipv4 }, i) => {
    const key = `${at}.addresses[${i}]`;
    if (!own.includes(ipv6))
      complain(`${key}.ipv6 is ${ipv6}, which is none of correspondentNode.addresses; one of those is wanted`);
    if (!isRoutableUnicast(ipv4))
      complain(
        `${key}.ipv4 is ${ipv4}, which nobody reaches from elsewhere; a unicast address of this machine is wanted`,
      );
    if (addresses.findIndex((one) => one.ipv6 === ipv6) < i)
      complain(`${key}.ipv6 is ${ipv6}, which has an IPv4 address already; keep one of them`);
  });
  modes.forEach((mode, i) => {
    if (modes.indexOf(mode) < i) complain(`${at}.modes[${i}] is ${mode}, which is there twice; keep one of them`);
  });
}
