/** From the configuration of a link to how an agent advertises itself there. Pure. */
import type { Ipv4Address } from "../../base/ip.js";
import type { AdvertisedLink } from "../../protocol/mip4/advertisements.js";

export interface AdvertisingConfig {
  readonly advertisementIntervalSeconds: number;
  readonly advertisementLifetimeSeconds?: number | undefined;
  readonly advertisePrefixLength: boolean;
}

/** Of an advertisement that is not followed by others (RFC 1256 §6.1: three times the default interval of ten minutes). */
const LIFETIME_WITHOUT_INTERVAL = 1800;

export function advertisedLink(
  device: string,
  { address, length }: { readonly address: Ipv4Address; readonly length: number },
  config: AdvertisingConfig,
): AdvertisedLink {
  const { advertisementIntervalSeconds: interval, advertisementLifetimeSeconds } = config;
  return {
    ...{ device, address, prefixLength: length },
    advertisementIntervalSeconds: interval,
    advertisementLifetimeSeconds:
      advertisementLifetimeSeconds ?? (interval === 0 ? LIFETIME_WITHOUT_INTERVAL : 3 * interval),
    advertisesPrefixLength: config.advertisePrefixLength,
  };
}
