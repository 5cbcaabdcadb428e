/**
 * What a binding acknowledgement means to the mobile node that waits for one (RFC 6275 §11.7.3, RFC 5555 §4.4.2; C-01, C-02, C-05,
 * C-06). Only reads; the machine acts on the verdict.
 */
import {
  IPV4_ANY,
  IPV6_ANY,
  type Ipv4Address,
  isIpv4,
  isIpv6,
  isRoutableUnicast,
  maskAddress,
  type Prefix,
  prefixContains,
  prefixesOverlap,
} from "../../../base/ip.js";
import { isAfter, type Seq16 } from "../../../base/seq16.js";
import { type Seconds, seconds } from "../../../base/time.js";
import type { BindingAcknowledgement } from "../../../wire/mip6/messages/mobility-header.js";
import { LIFETIME_UNIT_SECONDS } from "../../../wire/mip6/messages/registration.js";
import { NO_REFRESH_NEEDED } from "../../../wire/mip6/options/dsmip.js";
import {
  findOption,
  findOptions,
  type MobilityOption,
  type OptionOfKind,
} from "../../../wire/mip6/options/mobility.js";
import { BindingStatus, Ipv4AckStatus } from "../../../wire/mip6/registry.js";
import { type CareOf, isInUdp, type MobileNodeSite, sendsMapped } from "../../movement/attachment.js";
import { type Lent, networkWishes, withLent } from "../../movement/lent.js";
import type { DropReason, Endpoint } from "../inputs.js";
import { ipv4Options, isMobileRouter } from "./binding-update.js";
import type { SentUpdate } from "./binding-update-list.js";

/** From this status on an update was refused (RFC 6275 §6.1.8, RFC 5555 §3.2.1). */
const FIRST_FAILURE = 128;

/** Refusals that asking again does not change: somebody has to configure something. */
const PROHIBITED: ReadonlySet<number> = new Set([
  BindingStatus.administrativelyProhibited,
  BindingStatus.homeRegistrationNotSupported,
  BindingStatus.notHomeSubnet,
  BindingStatus.notHomeAgent,
  BindingStatus.mobileRouterNotPermitted,
  BindingStatus.invalidPrefix,
  BindingStatus.notAuthorizedForPrefix,
  BindingStatus.forwardingSetupFailed,
  BindingStatus.messageIdRequired,
  BindingStatus.authenticationFailed,
  BindingStatus.serviceAuthorizationFailed,
]);

export type Ipv4Answer =
  | { readonly kind: "not-asked" }
  | { readonly kind: "accepted"; readonly address: Ipv4Address }
  /** No option 30 at all: the home agent does not know DSMIPv6 (RFC 5555 §2.3.1). */
  | { readonly kind: "unsupported" }
  | { readonly kind: "refused"; readonly status: number };

/** The content of an acceptance. */
export interface Terms {
  readonly granted: Seconds;
  readonly format: Endpoint["format"];
  readonly keepalive: Seconds | undefined;
  readonly advice: Seconds | undefined;
  readonly ipv4: Ipv4Answer;
  /** Present if the node borrows: what it has now. */
  readonly lent: Lent | undefined;
  /** Of the networks behind us, both families. */
  readonly prefixes: readonly Prefix[];
  /** K: the home agent's end of the IKE SA has followed us. */
  readonly keyManagementMoved: boolean;
  /** The home prefixes have changed (RFC 6275 §6.1.8). */
  readonly prefixDiscoveryNecessary: boolean;
}

export type Verdict =
  | { readonly kind: "accepted"; readonly sent: SentUpdate; readonly terms: Terms }
  | { readonly kind: "deregistered"; readonly sent: SentUpdate }
  /** 135: go on after this number. */
  | { readonly kind: "adopt-sequence"; readonly sequence: Seq16 }
  /** 144 to an update with F: ask again without (RFC 5555 §4.4.2). */
  | { readonly kind: "without-force-udp" }
  | { readonly kind: "refused"; readonly status: number; readonly prohibited: boolean }
  /** Accepted, but as a host: the home agent serves no mobile router in us (RFC 3963 §5.3). */
  | { readonly kind: "served-as-host" }
  | { readonly kind: "ignored"; readonly reason: DropReason; readonly detail: string };

export interface Expectation {
  readonly site: MobileNodeSite;
  readonly outstanding: readonly SentUpdate[];
  readonly lastSequence: Seq16;
  /** Where the updates came from; absent: from home. */
  readonly careOf: CareOf | undefined;
}

export function judge(message: BindingAcknowledgement, expected: Expectation): Verdict {
  const { outstanding, lastSequence } = expected;
  const { sequence, status } = message;
  if (outstanding.length === 0) {
    return { kind: "ignored", reason: "no-outstanding-update", detail: `sequence ${sequence}, status ${status}` };
  }
  if (status === BindingStatus.sequenceOutOfWindow) {
    // The number in it is the last one the home agent accepted. If ours come after that one, the refusal is for an update that a
    // later one of ours has overtaken on the way, and the later one has been or will be answered.
    return isAfter(lastSequence, sequence)
      ? {
          kind: "ignored",
          reason: "sequence-mismatch",
          detail: `status 135 with ${sequence}, which is behind ${lastSequence}`,
        }
      : { kind: "adopt-sequence", sequence };
  }
  const sent = outstanding.find((update) => update.sequence === sequence);
  if (sent === undefined) {
    const waiting = outstanding.map((update) => update.sequence).join(" ");
    return { kind: "ignored", reason: "sequence-mismatch", detail: `sequence ${sequence}, waiting for ${waiting}` };
  }
  if (sent.lifetime === 0 && (status < FIRST_FAILURE || status === BindingStatus.notHomeAgent)) {
    return { kind: "deregistered", sent };
  }
  // 144 is also MIPV6-ID-MISMATCH (RFC 4285); then a Message Identification option tells so (C-02).
  const mismatch = findOption(message.options, "message-identification") !== undefined;
  if (status === BindingStatus.forcedUdpNotSupported && sent.forceUdp && !mismatch)
    return { kind: "without-force-udp" };
  if (status >= FIRST_FAILURE) return { kind: "refused", status, prohibited: PROHIBITED.has(status) };
  if (message.lifetimeUnits === 0) return { kind: "refused", status, prohibited: false };
  if (isMobileRouter(expected.site) && !message.flags.mobileRouter) return { kind: "served-as-host" };
  return { kind: "accepted", sent, terms: terms(message, sent, expected) };
}

function terms(message: BindingAcknowledgement, sent: SentUpdate, expected: Expectation): Terms {
  const granted = seconds(message.lifetimeUnits * LIFETIME_UNIT_SECONDS);
  const lent = loans(message, sent, expected);
  const site = lent === undefined ? expected.site : withLent(expected.site, lent);
  const advised = findOption(message.options, "binding-refresh-advice")?.intervalUnits ?? 0;
  const advice = advised > 0 ? seconds(advised * LIFETIME_UNIT_SECONDS) : undefined;
  const way = wayOf(message, sent, expected);
  return {
    granted,
    advice,
    ...way,
    lent,
    ipv4: ipv4Answer(message, sent, site),
    prefixes: lent === undefined ? grantedPrefixes(message, sent, site) : (site.prefixes ?? []),
    keyManagementMoved: message.flags.keyManagementMobility,
    prefixDiscoveryNecessary: message.status === BindingStatus.acceptedPrefixDiscoveryNecessary,
  };
}

interface WayTold {
  readonly format: Endpoint["format"];
  readonly keepalive: Seconds | undefined;
}

function wayOf(message: BindingAcknowledgement, sent: SentUpdate, { careOf, site }: Expectation): WayTold {
  if (careOf?.family === 4) return ipv4Way(message, sent, site);
  if (careOf === undefined || !isInUdp(careOf)) return { format: "ipv6", keepalive: undefined };
  // Over IPv6 payload is in UDP whatever the answer says: nothing else gets through. A filter forgets it as a NAT does.
  const suggested = findOption(message.options, "nat-detection")?.refreshSeconds ?? 0;
  const own = suggested === 0 || suggested === NO_REFRESH_NEEDED;
  return { format: "udp", keepalive: seconds(own ? site.natKeepaliveSeconds : suggested) };
}

/** UDP if the option says F or that there is a NAT; without the option only if our own F was accepted (C-06). */
function ipv4Way(message: BindingAcknowledgement, sent: SentUpdate, site: MobileNodeSite): WayTold {
  if (sendsMapped(site)) return { format: "ipv4", keepalive: undefined };
  const own = seconds(site.natKeepaliveSeconds);
  const option = findOption(message.options, "nat-detection");
  if (option === undefined)
    return sent.forceUdp ? { format: "udp", keepalive: own } : { format: "ipv4", keepalive: undefined };
  const nat = option.refreshSeconds !== NO_REFRESH_NEEDED;
  const suggested = option.refreshSeconds === 0 ? own : seconds(option.refreshSeconds);
  return { format: option.forceUdp || nat ? "udp" : "ipv4", keepalive: nat ? suggested : undefined };
}

/** What the answer lends, each where it was asked for; undefined for a node that borrows nothing. */
function loans(message: BindingAcknowledgement, sent: SentUpdate, expected: Expectation): Lent | undefined {
  const { site, careOf } = expected;
  if (site.wishes === undefined) return undefined;
  const answers = sent.ipv4Requested ? answersTo(message, site) : [];
  const asked = ipv4Options(site);
  const granted = asked.map(({ address }, i) => {
    const answer = answers[i];
    const isGranted = answer !== undefined && answer.status < FIRST_FAILURE;
    return isGranted && (address === IPV4_ANY || answer.address === address) ? answer : undefined;
  });
  const ownAddress = site.wishes.ipv4HomeAddress === "own" ? granted[0]?.address : undefined;
  const isUsable =
    ownAddress !== undefined &&
    isRoutableUnicast(ownAddress) &&
    ownAddress !== site.homeAgent.ipv4 &&
    ownAddress !== careOf?.address;
  const networks =
    site.wishes.lengths.ipv4.length === 0 ? [] : granted.slice(asked.length - site.wishes.lengths.ipv4.length);
  const ipv4 = networks.map((one) => one && { address: one.address, length: one.prefixLength });
  return {
    ipv4HomeAddress: isUsable ? ownAddress : undefined,
    networks: { ipv4: usableNetworks(ipv4, expected), ipv6: usableNetworks(lentIpv6(message, site), expected) },
  };
}

/** Named ones stand with R; those that were not named are in the answer, in the order in which they were asked for. */
function lentIpv6(message: BindingAcknowledgement, site: MobileNodeSite): readonly (Prefix | undefined)[] {
  const found = findOptions(message.options, "mobile-network-prefix").values();
  return networkWishes(site).ipv6.map((wish) => {
    if (wish.address !== IPV6_ANY) return wish;
    const { value } = found.next();
    return value && { address: value.prefix, length: value.prefixLength };
  });
}

/** In their places those that a network behind us can be; nothing is lent twice. */
function usableNetworks(lent: readonly (Prefix | undefined)[], expected: Expectation): readonly (Prefix | undefined)[] {
  const usable: Prefix[] = [];
  return lent.map((one) => {
    const network = one && usableNetwork(one, expected);
    if (network === undefined || usable.some((other) => prefixesOverlap(other, network))) return undefined;
    usable.push(network);
    return network;
  });
}

/**
 * The network of the granted length (RFC 5555 §3.2.1), unless it has another meaning: nothing of the home link, nor the home agent, nor where
 * we are, for the tunnel would run in circles.
 */
function usableNetwork({ address, length }: Prefix, { site, careOf }: Expectation): Prefix | undefined {
  if (length < 1 || length > (isIpv4(address) ? 32 : 128)) return undefined;
  const { homePrefixes, homeAgent } = site;
  const network = { address: maskAddress(address, length), length };
  const taken = homePrefixes.some((one) => prefixesOverlap(one, network));
  const outside = [homeAgent.ipv6, homeAgent.ipv4, careOf?.address];
  const isTheirs = outside.some((one) => one !== undefined && prefixContains(network, one));
  return isRoutableUnicast(network.address) && !taken && !isTheirs ? network : undefined;
}

function ipv4Answer(message: BindingAcknowledgement, sent: SentUpdate, site: MobileNodeSite): Ipv4Answer {
  if (!sent.ipv4Requested) return { kind: "not-asked" };
  const answers = ipv4Acknowledgements(message);
  if (answers.length === 0) return { kind: "unsupported" };
  if (site.ipv4HomeAddress === undefined) {
    if ((site.wishes?.ipv4HomeAddress ?? "none") === "none") return { kind: "not-asked" };
    return { kind: "refused", status: answers[0]?.status ?? Ipv4AckStatus.unspecified };
  }
  // Lent out of a prefix, and that has been granted.
  if (site.wishes?.ipv4HomeAddress === "from-prefix") return { kind: "accepted", address: site.ipv4HomeAddress };
  const option = answersTo(message, site)[0];
  if (option === undefined) return { kind: "refused", status: Ipv4AckStatus.unspecified };
  const { status, address } = option;
  return status < FIRST_FAILURE && address === site.ipv4HomeAddress
    ? { kind: "accepted", address }
    : { kind: "refused", status };
}

type Ipv4Acknowledgement = OptionOfKind<"ipv4-address-acknowledgement">;

/** In either form: what the 2004 profile answers is about one address. */
function ipv4Acknowledgements({ options }: BindingAcknowledgement): readonly Ipv4Acknowledgement[] {
  return options.flatMap((option: MobilityOption): readonly Ipv4Acknowledgement[] => {
    if (option.kind === "ipv4-address-acknowledgement") return [option];
    if (option.kind !== "ipv4-address-acknowledgement-2004") return [];
    return [{ kind: "ipv4-address-acknowledgement", prefixLength: 0, status: option.status, address: option.address }];
  });
}

/** The answers to our IPv4 Home Address options, in their order: matched by order, then by address (C-14). */
function answersTo(
  message: BindingAcknowledgement,
  site: MobileNodeSite,
): readonly (Ipv4Acknowledgement | undefined)[] {
  const answers = ipv4Acknowledgements(message);
  const asked = ipv4Options(site);
  return asked.map(({ address }, i) => {
    const inOrder = answers[i];
    if (answers.length === asked.length || inOrder?.address === address) return inOrder;
    return answers.find((one) => one.address === address);
  });
}

/** R in the answer stands for all IPv6 prefixes, named or not; IPv4 prefixes that we have named have an answer each. */
function grantedPrefixes(message: BindingAcknowledgement, sent: SentUpdate, site: MobileNodeSite): readonly Prefix[] {
  const { prefixes = [], mobileRouter } = site;
  if (mobileRouter === "implicit") return prefixes;
  const answers = sent.ipv4Requested ? answersTo(message, site) : [];
  const asked = ipv4Options(site);
  return prefixes.filter(({ address, length }) => {
    if (isIpv6(address)) return true;
    const at = asked.findIndex((one) => one.mobileNetworkPrefix && one.address === address);
    const answer = answers[at];
    return answer !== undefined && answer.status < FIRST_FAILURE && answer.prefixLength === length;
  });
}
