/**
 * Where a mobile node attaches: the home link, or a care-of address, chosen from a view of the network. One order for all candidates:
 * home before an IPv6 care-of address before an IPv4 one (RFC 5555 §4.4.1), links in the operator's order or by route metric, and the
 * present attachment among equals. A deprecated address, or one whose network is unproven, is a
 * last resort: a present one makes the node move while it still works.
 *
 * Must not know: bindings, messages, time.
 */
import type { MobileNodeConfig } from "../../../schemas/config/mobile-node.js";
import {
  type Family,
  familyOf,
  type IpAddress,
  type Ipv4Address,
  type Ipv6Address,
  isRoutableUnicast,
  prefixContains,
} from "../../base/ip.js";
import { isPrivate } from "../../base/mapped.js";
import type { BorrowingSite } from "./lent.js";
import {
  linkUsable,
  type NetworkAddress,
  type NetworkLink,
  type NetworkView,
  type NetworkWay,
} from "./network-view.js";
import { throughUs } from "./recursion.js";

type Optional =
  | "mobileRouter"
  | "udpOverIpv6"
  | "prefixDiscovery"
  | "ipv4Signalling"
  | "multicast"
  | "reachability"
  | "ipv4RetrySeconds";

/** What the operator says about this mobile node. */
export type MobileNodeSite = Omit<
  MobileNodeConfig["mobileNode"],
  | "homeAgent"
  | "ipv4HomeAddress"
  | "furtherHomeAddresses"
  | "prefixes"
  | "prefixLengths"
  | "routeOptimisation"
  | Optional
> &
  Partial<Pick<MobileNodeConfig["mobileNode"], Optional>> &
  BorrowingSite & {
    /** How many seconds the home address may still be used; undefined: nothing limits it. */
    readonly validFor?: (() => number | undefined) | undefined;
    /** However it was found. */
    readonly homeAgent: { readonly ipv6: Ipv6Address; readonly ipv4?: Ipv4Address | undefined };
    /** Keys are negotiated (IKEv2). */
    readonly negotiatesKeys?: boolean;
    /** The IKE SA shall follow us (K flag); else it is made anew after each move. Absent: where keys are negotiated it shall. */
    readonly movesKeys?: boolean;
    /** MOBIKE does that where the home agent has it too: IKE is told where to speak from. */
    readonly mobike?: boolean;
  };

/** What the choice looks at. A node without an IPv6 home agent has care-of addresses of IPv4 alone. */
export type AttachmentSite = Pick<
  MobileNodeSite,
  "homePrefixes" | "interfaces" | "ipv4HomeAddress" | "prefixes" | "udpOverIpv6" | "ipv4Signalling"
> & {
  readonly homeAddress?: Ipv6Address | undefined;
  readonly homeAgent: { readonly ipv6?: Ipv6Address | undefined; readonly ipv4?: Ipv4Address | undefined };
  /** Of the prefixes that make a link the home link. Absent: 6; an IPv4 link is home in Mobile IPv4 alone (RFC 5555 §4.4.4). */
  readonly homeFamily?: Family | undefined;
};

/** Whether updates from IPv4 networks are those of the 2004 profile (draft-soliman-v4v6-mipv6-00). */
export const sendsMapped = ({ ipv4Signalling }: Pick<AttachmentSite, "ipv4Signalling">): boolean =>
  ipv4Signalling === "soliman2004";

export type CareOf =
  /** `inUdp`: the last resort, where the home agent is heard over IPv6 in no other way (RFC 5555 §4.4.1). */
  | { readonly family: 6; readonly address: Ipv6Address; readonly device: string; readonly inUdp?: true }
  | { readonly family: 4; readonly address: Ipv4Address; readonly device: string };

export type Attachment =
  | { readonly kind: "home"; readonly device: string }
  | { readonly kind: "away"; readonly careOf: CareOf };

/** What earlier choices and their outcome mean for the next one. */
export interface AttachmentMemory {
  readonly present: Attachment | undefined;
  /** From where the home agent was not heard; with how many updates in vain since it last was from anywhere. */
  readonly silent: readonly { readonly careOf: CareOf; readonly unanswered: number }[];
}

export const NO_MEMORY: AttachmentMemory = { present: undefined, silent: [] };

export function sameCareOf(a: CareOf, b: CareOf): boolean {
  return a.address === b.address && a.device === b.device && isInUdp(a) === isInUdp(b);
}

/** Over IPv6. Over IPv4 updates always are, and the answer says what payload is (RFC 5555 §4.2). */
export const isInUdp = (careOf: CareOf): boolean => careOf.family === 6 && careOf.inUdp === true;

export function sameAttachment(a: Attachment | undefined, b: Attachment | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (a.kind === "home") return b.kind === "home" && a.device === b.device;
  return b.kind === "away" && sameCareOf(a.careOf, b.careOf);
}

/** Whether the care-of address is on a usable link, in whatever state the address is. */
export function careOfPresent(view: NetworkView, careOf: CareOf): boolean {
  return (
    linkUsable(view, careOf.device) &&
    view.addresses.some((one) => one.device === careOf.device && one.address === careOf.address)
  );
}

export function formatAttachment(attachment: Attachment | undefined): string {
  if (attachment === undefined) return "none";
  if (attachment.kind === "home") return `home on ${attachment.device}`;
  const { careOf } = attachment;
  return `${careOf.address} on ${careOf.device}${isInUdp(careOf) ? " in UDP" : ""}`;
}

/** The best attachment, or undefined if there is none. */
export function chooseAttachment(
  view: NetworkView,
  site: AttachmentSite,
  memory: AttachmentMemory,
): Attachment | undefined {
  let best: Candidate | undefined;
  for (const candidate of [...homeLinks(view, site, memory), ...careOfAddresses(view, site, memory)]) {
    if (isBehindNat(candidate.attachment, site)) continue;
    if (best === undefined || compareRank(candidate.rank, best.rank) < 0) best = candidate;
  }
  return best?.attachment;
}

/** All care-of addresses that could be chosen. */
export function careOfCandidates(view: NetworkView, site: AttachmentSite): readonly CareOf[] {
  return careOfAddresses(view, site, NO_MEMORY).flatMap(({ attachment, doubtful }) =>
    attachment.kind === "away" && !doubtful && !isBehindNat(attachment, site) ? [attachment.careOf] : [],
  );
}

/**
 * The 2004 profile has no way through a NAT (draft-soliman-v4v6-mipv6-00 §2.2), and from a private address there is one, unless the home
 * agent's is private too.
 */
function isBehindNat(attachment: Attachment, site: AttachmentSite): boolean {
  if (attachment.kind === "home" || attachment.careOf.family === 6 || !sendsMapped(site)) return false;
  const { ipv4 } = site.homeAgent;
  return isPrivate(attachment.careOf.address) && !(ipv4 !== undefined && isPrivate(ipv4));
}

/** Links by which the home agent can be reached from an address of theirs, and home links: all that may carry the tunnel or be home. */
export function uplinkDevices(view: NetworkView, site: AttachmentSite): ReadonlySet<string> {
  const candidates = [...homeLinks(view, site, NO_MEMORY), ...careOfAddresses(view, site, NO_MEMORY)];
  return new Set(candidates.flatMap(({ attachment, doubtful }) => (doubtful ? [] : [deviceOf(attachment)])));
}

const deviceOf = (attachment: Attachment): string =>
  attachment.kind === "home" ? attachment.device : attachment.careOf.device;

/** Compared from the left; the lower one is better. */
type Rank = readonly (number | string)[];

interface Candidate {
  readonly attachment: Attachment;
  /** Perhaps a tunnel over ourselves. */
  readonly doubtful: boolean;
  readonly rank: Rank;
}

function compareRank(a: Rank, b: Rank): number {
  for (const [i, left] of a.entries()) {
    const right = b[i] ?? left;
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}

const HOME_ORDER = 0;
const FAMILY_ORDER = { 6: 1, 4: 2 } as const;
/** How much there is to say for a care-of address: the home agent was not heard from what it shares its router with, or from itself. */
const HOPE = { fresh: 0, alike: 1, lastResort: 2, silent: 3 } as const;

function homeLinks(view: NetworkView, site: AttachmentSite, memory: AttachmentMemory): readonly Candidate[] {
  return foreignLinks(view).flatMap((link): Candidate[] => {
    const evidence = homeEvidence(view, site, link.name);
    if (evidence === "none") return [];
    const attachment = { kind: "home", device: link.name } as const;
    const deprecated = Number(evidence === "deprecated");
    const order = Math.max(0, site.interfaces?.indexOf(link.name) ?? 0);
    return [
      {
        attachment,
        doubtful: false,
        rank: [0, 0, 0, deprecated, HOME_ORDER, order, 0, changes(memory, attachment), link.index],
      },
    ];
  });
}

/** Whether a link is the home link, perhaps one that is about to be left. */
export function isHomeLink(view: NetworkView, site: AttachmentSite, device: string): boolean {
  return linkUsable(view, device) && homeEvidence(view, site, device) !== "none";
}

/**
 * What makes a link the home link: an address or an on-link route within the home prefix of the family that home goes by (RFC 6275
 * §11.5.5, RFC 5944 §2.4.3). Host routes and our own home address say nothing about the link. Deprecated: it is about to be left.
 */
export function homeEvidence(
  view: NetworkView,
  site: AttachmentSite,
  device: string,
): "none" | "deprecated" | "present" {
  const { homeFamily = 6 } = site;
  const hostLength = homeFamily === 6 ? 128 : 32;
  const within = (address: IpAddress, length: number): boolean =>
    familyOf(address) === homeFamily &&
    site.homePrefixes.some((prefix) => length >= prefix.length && prefixContains(prefix, address));
  const addresses = view.addresses.filter(
    (one) => one.device === device && !one.ours && one.unproven !== true && within(one.address, hostLength),
  );
  if (addresses.length > 0) return addresses.every((one) => one.deprecated) ? "deprecated" : "present";
  const onLink = view.routes.some(
    ({ ours, via, destination, ...route }) =>
      route.device === device &&
      !ours &&
      via === undefined &&
      destination.length < hostLength &&
      within(destination.address, destination.length),
  );
  return onLink ? "present" : "none";
}

function careOfAddresses(view: NetworkView, site: AttachmentSite, memory: AttachmentMemory): readonly Candidate[] {
  return foreignLinks(view).flatMap((link): Candidate[] => {
    const order = site.interfaces === undefined ? 0 : site.interfaces.indexOf(link.name);
    if (order < 0) return [];
    const recursive = throughUs(view, link.name, [site.homeAddress, site.ipv4HomeAddress]);
    if (recursive === "yes") return [];
    // Who names it knows what is underneath.
    const doubtful = recursive === "perhaps" && site.interfaces === undefined;
    if (doubtful && view.links.some((other) => mayCarry(view, site, other))) return [];
    const metrics = {
      6: metricTo(view, link.name, site.homeAgent.ipv6),
      4: metricTo(view, link.name, site.homeAgent.ipv4),
    };
    return view.addresses
      .filter((one) => one.device === link.name && usableCareOf(one, site))
      .flatMap((one) => waysOf(careOfOf(one), site).map((careOf) => ({ one, careOf })))
      .flatMap(({ one, careOf }): Candidate[] => {
        const metric = metrics[careOf.family] ?? wayFrom(view, careOf)?.metric;
        if (metric === undefined) return [];
        const attachment = { kind: "away", careOf } as const;
        return [
          {
            attachment,
            doubtful,
            rank: [
              Number(doubtful),
              ...silenceRank(memory, careOf),
              Number(one.deprecated),
              FAMILY_ORDER[careOf.family],
              order,
              metric,
              changes(memory, attachment),
              Number(one.temporary),
              link.index,
              one.address,
            ],
          },
        ];
      });
  });
}

/** Whether a link, in whatever state, could be what a tunnel runs over: where there is none, as in a container with a TAP device, ours is not either. */
function mayCarry(view: NetworkView, site: AttachmentSite, { name, ours }: NetworkLink): boolean {
  return name !== "lo" && !ours && throughUs(view, name, [site.homeAddress, site.ipv4HomeAddress]) === "no";
}

/**
 * Whoever was not heard comes last, the one that was tried least before the others. Before them UDP over IPv6, and before that, but behind all others, what shares link and
 * family with such a one: it has the same router. For IPv6 that is also the next address of a link (RFC 5555 §4.4.1).
 */
function silenceRank({ silent }: AttachmentMemory, careOf: CareOf): Rank {
  const itself = silent.find((one) => sameCareOf(one.careOf, careOf));
  if (itself !== undefined) return [HOPE.silent, itself.unanswered];
  if (isInUdp(careOf)) return [HOPE.lastResort, 0];
  const alike = silent.some((one) => one.careOf.device === careOf.device && one.careOf.family === careOf.family);
  return [alike ? HOPE.alike : HOPE.fresh, 0];
}

/** What the kernel has said of the way to the home agent from this address. */
export function wayFrom(
  { ways }: NetworkView,
  { address, device }: Pick<CareOf, "address" | "device">,
): NetworkWay | undefined {
  return ways?.find((way) => way.address === address && way.device === device);
}

function foreignLinks(view: NetworkView) {
  return view.links.filter((link) => !link.ours && linkUsable(view, link.name));
}

function careOfOf(one: NetworkAddress): CareOf {
  const { address, device } = one;
  return familyOf(address) === 6
    ? { family: 6, address: address as Ipv6Address, device }
    : { family: 4, address: address as Ipv4Address, device };
}

/** The ways to tell the home agent of a care-of address: each is tried on its own. */
function waysOf(careOf: CareOf, { udpOverIpv6 }: AttachmentSite): readonly CareOf[] {
  return careOf.family === 6 && udpOverIpv6 === true ? [careOf, { ...careOf, inUdp: true }] : [careOf];
}

function usableCareOf(one: NetworkAddress, site: AttachmentSite): boolean {
  if (one.ours || one.tentative || one.scope !== "global" || !isRoutableUnicast(one.address)) return false;
  if (one.address === site.homeAddress || one.address === site.ipv4HomeAddress) return false;
  // Who is in the network behind us is reached through us.
  if (site.prefixes?.some((prefix) => prefixContains(prefix, one.address)) === true) return false;
  // An address within the home prefix means being at home; within one of the other family it may well be a visited network's (C-22).
  return (
    familyOf(one.address) !== (site.homeFamily ?? 6) ||
    !site.homePrefixes.some((prefix) => prefixContains(prefix, one.address))
  );
}

/** The lowest metric of the routes to the home agent through a link; undefined without a route, or without such an address. */
function metricTo(view: NetworkView, device: string, homeAgent: IpAddress | undefined): number | undefined {
  if (homeAgent === undefined) return undefined;
  let best: number | undefined;
  for (const route of view.routes) {
    if (route.ours || route.device !== device || !prefixContains(route.destination, homeAgent)) continue;
    if (best === undefined || route.metric < best) best = route.metric;
  }
  return best;
}

function changes(memory: AttachmentMemory, attachment: Attachment): number {
  return sameAttachment(memory.present, attachment) ? 0 : 1;
}
