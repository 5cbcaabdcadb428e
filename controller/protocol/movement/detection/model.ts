/**
 * What movement detection knows, what it is told and what it asks for (RFC 6275 §11.5.1, RFC 6059, RFC 4436). Plain data; machine.ts is
 * the machine.
 */
import type { Family, IpAddress, Ipv6Address, Prefix } from "../../../base/ip.js";
import type { Instant } from "../../../base/time.js";
import type { NetworkView } from "../network-view.js";

/** A link-layer address as text, "02:00:5e:10:00:01". */
export type LinkLayerAddress = string;

export type DetectionInput =
  /** The network as the kernel shows it: always the whole of it. */
  | { readonly kind: "network"; readonly view: NetworkView }
  /** A router advertisement that came over one hop (hop limit 255). */
  | { readonly kind: "advertisement"; readonly index: number; readonly advertisement: RouterAdvertisement }
  /**
   * A neighbour has spoken: a neighbour advertisement, an ARP reply, or the kernel has found it reachable. `linkLayerAddress` is absent
   * in an advertisement without one, which answers what was sent to the address that we know.
   */
  | {
      readonly kind: "reachable";
      readonly index: number;
      readonly address: IpAddress;
      readonly linkLayerAddress?: LinkLayerAddress;
    }
  /** The kernel has given a neighbour up (NUD_FAILED). */
  | { readonly kind: "unreachable"; readonly index: number; readonly address: IpAddress }
  /** The link-layer address that the kernel holds for a neighbour, which proves nothing about the present moment. */
  | {
      readonly kind: "neighbour";
      readonly index: number;
      readonly address: IpAddress;
      readonly linkLayerAddress: LinkLayerAddress;
    }
  /** The home agent has answered an update about this address: so it is good, whatever speaks against it. */
  | { readonly kind: "answered"; readonly device: string; readonly address: IpAddress }
  /** Nobody answers a binding update that left through this link in this family. */
  | { readonly kind: "unanswered"; readonly device: string; readonly family: Family }
  /** `nextAsking` has come. */
  | { readonly kind: "timer" };

export interface RouterAdvertisement {
  readonly router: Ipv6Address;
  readonly linkLayerAddress?: LinkLayerAddress;
  /** As a default router; 0: it is none, but may well announce prefixes. */
  readonly lifetimeSeconds: number;
  /** Those on the link or for addresses, with a valid lifetime above 0. */
  readonly prefixes: readonly Prefix[];
}

export type DetectionEffect =
  /** Ask one router whether it is there: a unicast neighbour solicitation or ARP request; without a link-layer address to everybody. */
  | {
      readonly kind: "ask";
      readonly index: number;
      readonly device: string;
      readonly router: IpAddress;
      readonly linkLayerAddress?: LinkLayerAddress;
      /** IPv4: the address in question (RFC 4436 §2.1). IPv6: an address of ours on the link. */
      readonly sender: IpAddress;
    }
  /** A router solicitation; without `sender` from the unspecified address. */
  | { readonly kind: "solicit"; readonly index: number; readonly device: string; readonly sender?: Ipv6Address }
  /** For the log. */
  | { readonly kind: "report"; readonly event: DetectionEvent; readonly detail: Readonly<Record<string, string>> };

export type DetectionEvent =
  | "network.doubted"
  | "network.confirmed"
  | "network.unproven"
  | "network.left"
  | "network.without-router";

/**
 * sure    nothing speaks against it
 * asked   being asked, and believed meanwhile: the carrier has stayed
 * unsure  being asked, and not believed meanwhile: the carrier was lost, so this may be any network
 * gone    has not answered; asked again now and then
 */
export type Trust = "sure" | "asked" | "unsure" | "gone";

/** A next hop towards the home agent (itself, where it is on the link), or a router that advertises itself. */
export interface KnownRouter {
  readonly address: IpAddress;
  /** Absent: not learnt yet. Two routers of one address and different link-layer addresses are routers of different networks. */
  readonly linkLayerAddress?: LinkLayerAddress;
  readonly trust: Trust;
  /** The families that the routing table sends through it. */
  readonly serves: readonly Family[];
  readonly advertised?: { readonly prefixes: readonly Prefix[]; readonly until: Instant | undefined };
  /** Questions since the doubt began; when gone, rounds without an answer. */
  readonly attempts: number;
  readonly askAt: Instant | undefined;
  readonly askedAt: Instant | undefined;
}

/** Who can say that an address is good: this router, as it was known when the doubt arose. */
export type Voucher = Pick<KnownRouter, "address" | "linkLayerAddress">;

/** An address, or an on-link prefix without one, that may belong to a network the link has left. */
export interface Doubt {
  readonly key: string;
  readonly family: Family;
  /** The address as a host prefix, or the on-link prefix. */
  readonly what: Prefix;
  /** Empty: only an advertisement of its prefix, or new configuration, brings it back. */
  readonly vouchers: readonly Voucher[];
  /** Nobody may configure it anew: then a router of that address with another link-layer address makes it `unproven`. */
  readonly lenient: boolean;
  /** Used until the answer is overdue. */
  readonly believed: boolean;
  /**
   * Silence is all that speaks against it: its router may be dead as well, and the link where it was. Then it counts as deprecated, good
   * enough where nothing better is there: at home the neighbours are still there when the router is not.
   */
  readonly lastResort: boolean;
  /**
   * Where its router was, another one of that address has answered: the router was exchanged, or this is another network with the same
   * numbers. Counts as a last resort, and never as home, until the home agent has answered there.
   */
  readonly unproven?: true;
}

export interface LinkBelief {
  readonly index: number;
  readonly device: string;
  readonly usable: boolean;
  readonly carrierChanges: number | undefined;
  readonly routers: readonly KnownRouter[];
  readonly doubts: readonly Doubt[];
  /** The addresses as last seen, with the time at which each was configured. */
  readonly seen: ReadonlyMap<string, number | undefined>;
  /** Router solicitations still to send. */
  readonly soliciting: { readonly left: number; readonly at: Instant } | undefined;
}

export interface HomeAgentAddresses {
  readonly ipv6?: IpAddress | undefined;
  readonly ipv4?: IpAddress | undefined;
}

export interface DetectionState {
  readonly homeAgent: HomeAgentAddresses;
  readonly view: NetworkView | undefined;
  readonly links: ReadonlyMap<number, LinkBelief>;
}

export interface DetectionStep {
  readonly state: DetectionState;
  readonly effects: readonly DetectionEffect[];
}
