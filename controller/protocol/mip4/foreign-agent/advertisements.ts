/** What a foreign agent's advertisements say of it (RFC 5944 §2.1.1, RFC 3024 §3.1, RFC 4721 §2). */
import type { RouterAdvertisement } from "../../../wire/mip4/messages/agent-discovery.js";
import { agentAdvertisement } from "../advertisements.js";
import type { ForeignAgentSite, VisitedLink } from "./site.js";

export interface AdvertisementFacts {
  readonly sequence: number;
  readonly busy: boolean;
  /** We take leave: nothing of it holds any more. */
  readonly leaving?: boolean | undefined;
  readonly challenge?: Uint8Array | undefined;
}

export function advertisementOf(
  site: ForeignAgentSite,
  link: VisitedLink,
  { sequence, busy, leaving, challenge }: AdvertisementFacts,
): RouterAdvertisement {
  const { registrationLifetimeSeconds, careOfAddress, routesCommonTraffic, gre, reverseTunnelling } = site;
  return agentAdvertisement(link, {
    ...{ sequence, registrationLifetimeSeconds, routesCommonTraffic, leaving, challenge },
    careOfAddresses: [careOfAddress],
    flags: {
      foreignAgent: true,
      registrationRequired: link.registrationRequired,
      ...{ busy, gre },
      reverseTunnelling: reverseTunnelling !== "refused",
    },
  });
}
