/** From the configuration to what the machines and the plans need to know. Pure. */
import type { HomeAgentConfig, MobileNodeConfig } from "../../schemas/config.js";
import { isIpv4 } from "../base/ip.js";
import type { HomeAgentSite, HomeSubscriber } from "../protocol/home-agent-inputs.js";

export function homeAgentSite(config: HomeAgentConfig): HomeAgentSite {
  const { addresses, homeLink, maxLifetimeSeconds, natRefreshSeconds, forceUdp, duplicateAddressDetection, previousCareOfGraceSeconds } = config.homeAgent;
  const subscribers = new Map<HomeSubscriber["homeAddress"], HomeSubscriber>();
  for (const subscriber of config.subscribers) subscribers.set(subscriber.homeAddress, subscriber);
  return {
    addresses,
    homePrefixes: homeLink.prefixes,
    maxLifetimeSeconds,
    natRefreshSeconds,
    forceUdp,
    duplicateAddressDetection: duplicateAddressDetection && homeLink.interface !== undefined,
    previousCareOfGraceSeconds,
    subscribers,
  };
}
