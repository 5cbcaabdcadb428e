/** Router advertisements of the home link, as Debian's radvd is told to send them (RFC 6275 §7, RFC 3963 §7): a text made of the configuration. */
import { areLent } from "../../schemas/config/common.js";
import { type HomeAgentConfig, mayUse, type Subscriber } from "../../schemas/config/home-agent.js";
import { ConfigError } from "../base/errors.js";
import { type IpAddress, type Ipv6Address, isIpv6, type Prefix, prefixContains } from "../base/ip.js";

/** Longest pause between advertisements, in seconds: nodes that come home wait for the next one. Shorter than radvd's 600 (RFC 6275 §7.5). */
const INTERVAL = { min: 3, max: 10 };

/**
 * The section of radvd.conf for the home link. `path` names the configuration in errors, `addresses` are those of the home link's device
 * just now: the home agent's address in each prefix is advertised with R. Throws ConfigError.
 */
export function radvdSection(
  config: HomeAgentConfig,
  path: string,
  addresses: (device: string) => readonly IpAddress[],
): string {
  const { homeAgent } = config;
  const { homeLink, discovery } = homeAgent;
  const device = homeLink.interface;
  if (device === undefined)
    throw new ConfigError(
      `${path}: homeAgent.homeLink.interface is missing, so the home link is virtual and nobody is there to hear advertisements; name the link of the home network`,
    );
  const prefixes = homeLink.prefixes.filter(({ address }) => isIpv6(address));
  const own = [homeAgent.addresses.ipv6, ...addresses(device)].filter((one) => one !== undefined).filter(isIpv6);
  const sections = prefixes.map((prefix) => ({ prefix, address: own.find((one) => prefixContains(prefix, one)) }));
  if (sections.every(({ address }) => address === undefined))
    throw new ConfigError(
      `${path}: neither homeAgent.addresses.ipv6 (${homeAgent.addresses.ipv6}) nor an address of ${device} is within homeAgent.homeLink.prefixes; give ${device} an address of a home prefix, others find the home agent by it`,
    );
  return `interface ${device} {
    AdvSendAdvert on;
    MinRtrAdvInterval ${INTERVAL.min};
    MaxRtrAdvInterval ${INTERVAL.max};
    AdvIntervalOpt on;
    AdvSourceLLAddress on;
    AdvHomeAgentFlag on;
    AdvHomeAgentInfo on;
    HomeAgentPreference ${discovery.preference};
    HomeAgentLifetime ${discovery.lifetimeSeconds};
    AdvMobRtrSupportFlag ${servesMobileRouters(config) ? "on" : "off"};
${sections.map(prefixSection).join("\n")}
};
`;
}

/** As it is told; unless that is said, as the subscribers are. */
export function servesMobileRouters({
  homeAgent,
  subscribers,
}: Pick<HomeAgentConfig, "homeAgent"> & { readonly subscribers: readonly Subscriber[] }): boolean {
  const some = subscribers.some(
    (one) => mayUse(one, "mip6") && (areLent(one.prefixes) || one.prefixes.length > 0) && one.mobileRouter !== "no",
  );
  return homeAgent.discovery.mobileRouters ?? some;
}

function prefixSection({
  prefix,
  address,
}: {
  readonly prefix: Prefix;
  readonly address: Ipv6Address | undefined;
}): string {
  return `    prefix ${address ?? prefix.address}/${prefix.length} {
        AdvOnLink on;
        AdvAutonomous ${prefix.length === 64 ? "on" : "off"};
        AdvRouterAddr ${address === undefined ? "off" : "on"};
    };`;
}
