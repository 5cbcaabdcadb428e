/** The binding update that a mobile node sends from an attachment, and the way it takes (RFC 6275 §11.7.1, RFC 5555 §4.4.2). */
import { EncodeError } from "../../../base/errors.js";
import { IPV4_ANY, type Ipv4Address, type Ipv6Address, isIpv4, isIpv6, type Prefix } from "../../../base/ip.js";
import { mappedAddress } from "../../../base/mapped.js";
import type { Seq16 } from "../../../base/seq16.js";
import type { Seconds } from "../../../base/time.js";
import { bindingUpdateFlags, LIFETIME_UNIT_SECONDS } from "../../../wire/mip6/messages/registration.js";
import type { MobilityOption, OptionOfKind } from "../../../wire/mip6/options/mobility.js";
import { DSMIP6_PORT } from "../../../wire/mip6/registry.js";
import { type Attachment, type CareOf, isInUdp, type MobileNodeSite, sendsMapped } from "../../movement/attachment.js";
import { networkWishes } from "../../movement/lent.js";
import type { Departure, SendEffect } from "../inputs.js";

export interface UpdateFacts {
  readonly sequence: Seq16;
  /** 0 de-registers. */
  readonly lifetime: Seconds;
  /** Ask for UDP encapsulation; only with an IPv4 care-of address (RFC 5555 §3.1.3). */
  readonly forceUdp: boolean;
  /** Ask for a binding of the IPv4 home address and prefixes. */
  readonly ipv4: boolean;
}

/** Whether the node is a mobile router (RFC 3963), or wants to become one by what is lent to it. */
export function isMobileRouter({ prefixes = [], wishes }: Pick<MobileNodeSite, "prefixes" | "wishes">): boolean {
  const { ipv4 = [], ipv6 = [] } = wishes?.lengths ?? {};
  return prefixes.length + ipv4.length + ipv6.length > 0;
}

/** Whole lifetime units, at least one for a lifetime that is not 0. */
export function lifetimeUnits(lifetime: Seconds): number {
  return lifetime === 0 ? 0 : Math.max(1, Math.min(0xffff, Math.floor(lifetime / LIFETIME_UNIT_SECONDS)));
}

export function bindingUpdate(site: MobileNodeSite, from: Attachment, facts: UpdateFacts): SendEffect {
  return {
    kind: "send",
    message: {
      type: "binding-update",
      sequence: facts.sequence,
      flags: bindingUpdateFlags({
        acknowledge: true,
        homeRegistration: true,
        keyManagementMobility: site.movesKeys ?? site.negotiatesKeys === true,
        mobileRouter: isMobileRouter(site),
        forceUdp: facts.forceUdp,
      }),
      lifetimeUnits: lifetimeUnits(facts.lifetime),
      options: [...careOfOptions(site, from), ...(facts.lifetime === 0 ? [] : wantedOptions(site, facts))],
    },
    source: site.homeAddress,
    destination: site.homeAgent.ipv6,
    departure: departure(site, from),
  };
}

/**
 * The care-of address inside what ESP protects; in the 2004 profile an IPv4 one too, in its IPv4-mapped form. Else, from an IPv4 care-of address there is neither a Home Address option nor an Alternate
 * Care-of Address option: the inner source is the home address (C-10).
 */
function careOfOptions(site: MobileNodeSite, from: Attachment): readonly MobilityOption[] {
  if (from.kind === "home") return [{ kind: "alternate-care-of-address", address: site.homeAddress }];
  const { careOf } = from;
  if (careOf.family === 6) return [{ kind: "alternate-care-of-address", address: careOf.address }];
  const source = sourceOf(site, careOf);
  return source === undefined
    ? [{ kind: "ipv4-care-of-address", address: careOf.address }]
    : [{ kind: "alternate-care-of-address", address: source }];
}

/** What stands in the source field of an update that has a Home Address option: undefined for updates in UDP, which have none. */
export function sourceOf(site: MobileNodeSite, careOf: CareOf): Ipv6Address | undefined {
  if (careOf.family === 6) return isInUdp(careOf) ? undefined : careOf.address;
  return sendsMapped(site) ? mappedAddress(careOf.address) : undefined;
}

/**
 * In every update that wants a binding, refreshes too: what is left out is not bound any more (C-07, RFC 5555 §4.4.2.1; RFC 3963 §5.2).
 * A de-registration is about everything.
 */
function wantedOptions(site: MobileNodeSite, facts: UpdateFacts): readonly MobilityOption[] {
  return [...networkOptions(site), ...(facts.ipv4 ? askedOptions(site) : [])];
}

function networkOptions(site: MobileNodeSite): readonly MobilityOption[] {
  const { ipv6 } = networkWishes(site);
  const named = ipv6.length > 0 ? ipv6 : namedPrefixes(site);
  return named.flatMap(({ address, length }): readonly MobilityOption[] =>
    isIpv6(address) ? [{ kind: "mobile-network-prefix", prefix: address, prefixLength: length }] : [],
  );
}

/** In the form of the profile; the short one has no prefixes, and nobody has any there (configuration). */
function askedOptions(site: MobileNodeSite): readonly MobilityOption[] {
  const options = ipv4Options(site);
  if (!sendsMapped(site)) return options;
  return options.map(({ address }) => ({ kind: "ipv4-home-address-2004", address }));
}

/**
 * In the order in which they are answered (C-14): the home address, then the prefixes. What is to be lent is asked for with 0.0.0.0, and
 * with the length that is wanted; what was lent by its name, and with the length that was granted (RFC 5555 §3.1.1).
 */
export function ipv4Options(site: MobileNodeSite): readonly OptionOfKind<"ipv4-home-address">[] {
  const kind = "ipv4-home-address";
  const { ipv4 } = networkWishes(site);
  const address = askedAddress(site);
  const home = address === undefined ? [] : [{ kind, prefixLength: 32, mobileNetworkPrefix: false, address } as const];
  const networks = (ipv4.length > 0 ? ipv4 : namedPrefixes(site)).flatMap(({ address, length }) =>
    isIpv4(address) ? [{ kind, prefixLength: length, mobileNetworkPrefix: true, address } as const] : [],
  );
  return [...home, ...networks];
}

/** One out of a lent prefix is not asked for: the prefix is. */
function askedAddress({ wishes, lent, ipv4HomeAddress }: MobileNodeSite): Ipv4Address | undefined {
  if (wishes?.ipv4HomeAddress === "own") return lent?.ipv4HomeAddress ?? IPV4_ANY;
  return wishes?.ipv4HomeAddress === "from-prefix" ? undefined : ipv4HomeAddress;
}

/** In implicit mode the home agent knows them. */
const namedPrefixes = ({ prefixes = [], mobileRouter }: MobileNodeSite): readonly Prefix[] =>
  mobileRouter === "implicit" ? [] : prefixes;

/** How a message from there leaves for the home agent. */
export function departure(site: MobileNodeSite, from: Attachment): Departure {
  if (from.kind === "home") return { type: "native-direct", device: from.device };
  const source = sourceOf(site, from.careOf);
  if (source !== undefined) return { type: "native-home-address-option", careOf: source };
  const remoteAddress = from.careOf.family === 6 ? site.homeAgent.ipv6 : site.homeAgent.ipv4;
  if (remoteAddress === undefined) throw new EncodeError("homeAgent.ipv4", "an IPv4 care-of address needs it");
  return { type: "udp", localAddress: from.careOf.address, remoteAddress, remotePort: DSMIP6_PORT };
}
