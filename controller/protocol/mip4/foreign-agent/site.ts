/** What the operator decided about a foreign agent: which links it serves and how. Plain data, the same for its whole life. */
import type { Ipv4Address } from "../../../base/ip.js";
import type { AdvertisedLink } from "../advertisements.js";

/** A link on which visitors are served; requests go to our address there. */
export interface VisitedLink extends AdvertisedLink {
  /** R: who has an address of its own here has to register through us, too. */
  readonly registrationRequired: boolean;
}

/** required: without T a request is refused (75); refused: with T (74) (RFC 3024 §4.2.1). */
export type ReverseTunnelling = "required" | "optional" | "refused";

/** An SPI under which we and a home agent know each other; key and algorithm nobody here needs. */
export interface HomeAgentAssociation {
  readonly address: Ipv4Address;
  readonly spi: number;
}

/** The same with a mobile node. */
export interface MobileNodeAssociation {
  /** Its home address, or its NAI in hexadecimal. */
  readonly node: string;
  readonly spi: number;
}

export interface ForeignAgentSite {
  /** Where tunnels of home agents end. */
  readonly careOfAddress: Ipv4Address;
  readonly links: readonly VisitedLink[];
  /** The longest registration that is accepted; 0xffff: no limit. */
  readonly registrationLifetimeSeconds: number;
  readonly reverseTunnelling: ReverseTunnelling;
  readonly gre: boolean;
  /** We route what others than visitors send, too (ICMP code 0, and our address as that of a router). */
  readonly routesCommonTraffic: boolean;
  /** Requests answer a challenge of ours (RFC 4721). */
  readonly challenge: boolean;
  /** The x flag makes a request poorly formed. */
  readonly strictReservedBits: boolean;
  /** More are turned away (code 66), and advertisements say that we are busy. */
  readonly mostVisitors: number;
  /** Mobile nodes whose requests have to be authentic for us (Mobile-Foreign). */
  readonly mobileNodes: readonly MobileNodeAssociation[];
  /** Home agents whose replies have to be (Foreign-Home). */
  readonly homeAgents: readonly HomeAgentAssociation[];
}

/** Of ours: here nobody is at home, and no home agent. */
export function isOwnAddress({ careOfAddress, links }: ForeignAgentSite, address: Ipv4Address): boolean {
  return address === careOfAddress || links.some((link) => link.address === address);
}
