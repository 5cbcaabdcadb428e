/**
 * Whether a correspondent takes a binding update (RFC 6275 §9.5.1, §6.1.7). A check lets it pass, drops it without an answer, or refuses it
 * with a status. Nothing is changed here.
 *
 * Nonces and authenticator are looked at before the sequence number: who has not proved anything is told no number, and a refusal with
 * status 135 needs the key that only known nonces give (§6.1.8, §6.2.7). Without them the node is told to get new ones.
 */
import { type IpAddress, type Ipv4Address, type Ipv6Address, isRoutableUnicast } from "../../../base/ip.js";
import type { Secret } from "../../../base/secret.js";
import { isAfter, type Seq16 } from "../../../base/seq16.js";
import type { BindingUpdate } from "../../../wire/mip6/messages/mobility-message.js";
import { findOption, findOptions, type OptionOfKind } from "../../../wire/mip6/options/mobility.js";
import { BindingStatus } from "../../../wire/mip6/registry.js";
import type { Arrival } from "../inputs.js";
import type { Ipv4Mode, Reach } from "../return-routability/modes.js";
import {
  bindingManagementKey,
  careOfKeygenToken,
  homeKeygenToken,
  isAuthenticator,
} from "../return-routability/tokens.js";
import type { CorrespondentEntry } from "./binding-cache.js";
import type { CorrespondentDropReason, Family, Pair, UpdateInput } from "./inputs.js";
import { type Ipv4Source, ipv4SourceOf, isUsable, negotiatedMode, statedMode } from "./mode.js";
import { type CorrespondentNodeSite, isIpv4HomeAddress, isOwn, permits } from "./site.js";
import { LIMITS } from "./timers.js";
import type { Turn } from "./turn.js";

/** The IPv6 source on the wire; of what came in IPv4 the home address, which stands in the inner header. */
export function wireSourceOf({ path, source }: Arrival): Ipv6Address {
  return (path.type === "native" ? path.homeAddressOptionCareOf : undefined) ?? source;
}

/**
 * What an update says where its node is: the Alternate Care-of Address option, or the source on the wire (RFC 6275 §9.5.1); in IPv4 the
 * IPv4 Care-of Address option, or the outer source.
 */
export function careOfAddressOf(message: BindingUpdate, arrival: Arrival): IpAddress {
  const overIpv4 = ipv4SourceOf(arrival, message.options);
  if (overIpv4 !== undefined) return overIpv4.careOf;
  return findOption(message.options, "alternate-care-of-address")?.address ?? wireSourceOf(arrival);
}

/** An update with what follows from how it came. */
export interface ReadUpdate extends Pair {
  readonly message: BindingUpdate;
  readonly covered: Uint8Array | undefined;
  readonly wireSource: Ipv6Address;
  /** Of an update that came in IPv4. */
  readonly overIpv4?: Ipv4Source | undefined;
  readonly reach: Reach;
  readonly throughOption: boolean;
  /** Lifetime 0, or the care-of address is the home address. */
  readonly isDeletion: boolean;
  /** What it is about, in the order of its Nonce Indices and authenticators: one home address, or both (C-45). */
  readonly families: readonly Family[];
  /** Where it is about the IPv4 home address. */
  readonly ipv4HomeAddress?: Ipv4Address | undefined;
  /** In which its payload goes; undefined: there is none, or the draft has no part in this update. */
  readonly mode?: Ipv4Mode | undefined;
  /** Of the draft: it is answered whatever its A flag says, and the answer tells the mode (RO-7.1.2-08, -09). */
  readonly isOfDraft: boolean;
}

export function readUpdate({ arrival, message, covered }: UpdateInput, site: CorrespondentNodeSite): ReadUpdate {
  const careOf = careOfAddressOf(message, arrival);
  const homeAddress = arrival.source;
  const overIpv4 = ipv4SourceOf(arrival, message.options);
  const ipv4HomeAddress = site.ipv4 && findOption(message.options, "ipv4-home-address")?.address;
  const isDouble = findOptions(message.options, "nonce-indices").length > 1;
  const stated = site.ipv4 && statedMode(message.options);
  const isOfDraft = ipv4HomeAddress !== undefined || stated !== undefined || overIpv4 !== undefined;
  return {
    ...{ homeAddress, self: arrival.destination, message, covered, wireSource: wireSourceOf(arrival), overIpv4 },
    throughOption: arrival.path.type === "native" && arrival.path.homeAddressOptionCareOf !== undefined,
    isDeletion: message.lifetimeUnits === 0 || careOf === homeAddress,
    reach: reachOf(overIpv4, careOf as Ipv6Address),
    families: ipv4HomeAddress === undefined ? ["ipv6"] : isDouble ? ["ipv6", "ipv4"] : ["ipv4"],
    ...{ ipv4HomeAddress, isOfDraft },
    mode:
      site.ipv4 && isOfDraft
        ? negotiatedMode(stated === "all" ? undefined : stated, overIpv4, site.ipv4.modes)
        : undefined,
  };
}

function reachOf(overIpv4: Ipv4Source | undefined, careOf: Ipv6Address): Reach {
  if (overIpv4 === undefined) return { via: "headers", careOf };
  return overIpv4.encapsulation === "ipv4"
    ? { via: "ipv4", careOf: overIpv4.careOf }
    : { via: "udp", careOf: overIpv4.careOf, observed: overIpv4.observed };
}

export type Verdict =
  | { readonly kind: "accept"; readonly keys: readonly Secret[] }
  | { readonly kind: "drop"; readonly reason: CorrespondentDropReason; readonly detail: string }
  | {
      readonly kind: "reject";
      readonly status: number;
      readonly reason: string;
      /** Absent: nothing is proved, and the answer bears no authenticator. */
      readonly keys?: readonly Secret[];
      /** With status 135: the last one accepted. */
      readonly lastSequence?: Seq16;
    };

const drop = (reason: CorrespondentDropReason, detail: string): Verdict => ({ kind: "drop", reason, detail });
const reject = (status: number, reason: string, keys?: readonly Secret[]): Verdict => ({
  kind: "reject",
  ...{ status, reason },
  ...(keys !== undefined && { keys }),
});

export function judgeUpdate(turn: Turn, update: ReadUpdate): Verdict {
  return judgeForm(turn, update) ?? judgeProof(turn, update);
}

function judgeForm({ state }: Turn, update: ReadUpdate): Verdict | undefined {
  const { message, homeAddress, self, covered, families } = update;
  const { site, cache } = state;
  if (!site.addresses.includes(self)) return drop("wrong-destination", `binding update to ${self}`);
  if (!isRoutableUnicast(homeAddress)) return drop("home-address-mismatch", `home address ${homeAddress}`);
  const misplaced = judgePlace(site, update);
  if (misplaced !== undefined) return misplaced;
  const indices = findOptions(message.options, "nonce-indices").length;
  if (message.flags.homeRegistration) {
    if (indices > 0) return drop("unexpected-type", `home registration of ${homeAddress} with nonce indices`);
    return cache.get(update, "ipv6")?.binding === undefined
      ? reject(BindingStatus.homeRegistrationNotSupported, "no home agent")
      : reject(BindingStatus.registrationTypeChange, "there is a binding by return routability");
  }
  const authenticators = findOptions(message.options, "binding-authorization-data").length;
  if (indices !== families.length || authenticators !== families.length || covered === undefined)
    return drop("authorization-missing", `binding update of ${homeAddress} without nonce indices or authenticator`);
  return undefined;
}

/** Where the node says it is, and where it was seen. */
function judgePlace(site: CorrespondentNodeSite, update: ReadUpdate): Verdict | undefined {
  const { homeAddress, self, reach, wireSource, overIpv4, ipv4HomeAddress } = update;
  const { careOf } = reach;
  if (overIpv4 === undefined) {
    if (!isRoutableUnicast(careOf) || !isRoutableUnicast(wireSource))
      return drop("care-of-not-unicast", `care-of address ${careOf} of ${homeAddress}, from ${wireSource}`);
  } else {
    const { observed, destination } = overIpv4;
    if (site.ipv4?.addresses.get(self) !== destination)
      return drop("wrong-destination", `binding update to ${self} at ${destination}`);
    if (!isUsable(overIpv4))
      return drop("care-of-not-unicast", `care-of address ${careOf} of ${homeAddress}, from ${observed.address}`);
    if (isOwn(site, observed.address)) return drop("wrong-source", `binding update of ${homeAddress} from ourselves`);
  }
  if (ipv4HomeAddress !== undefined && !isIpv4HomeAddress(site, ipv4HomeAddress))
    return drop("home-address-mismatch", `IPv4 home address ${ipv4HomeAddress} of ${homeAddress}`);
  return undefined;
}

function judgeProof(turn: Turn, update: ReadUpdate): Verdict {
  const { message, homeAddress, covered, families } = update;
  const { site } = turn.state;
  const proved = keysOf(turn, update);
  if (!("keys" in proved)) return proved.verdict;
  const { keys } = proved;
  const authenticators = findOptions(message.options, "binding-authorization-data");
  const isProved = keys.every((key, i) => {
    const authenticator = authenticators[i]?.authenticator;
    return covered !== undefined && authenticator !== undefined && isAuthenticator(key, covered, authenticator);
  });
  if (!isProved) return drop("authentication-failed", `binding update of ${homeAddress} from ${update.reach.careOf}`);
  const entries = families.map((family) => turn.state.cache.get(update, family));
  const old = judgeSequence(update, entries, keys);
  if (old !== undefined) return old;
  if (site.isHomeRegistration?.(homeAddress) === true)
    return reject(BindingStatus.registrationTypeChange, "it is registered with the home agent here", keys);
  if (update.isDeletion) return { kind: "accept", keys };
  return judgePermission(turn, update, keys) ?? judgeRoom(turn, entries, keys);
}

/** What the nonces that the update names make of its addresses; a verdict if one of them is not known any more. */
function keysOf(
  { state: { nonces, kcn }, now }: Turn,
  update: ReadUpdate,
): { readonly keys: readonly Secret[] } | { readonly verdict: Verdict } {
  const { message, families, isDeletion } = update;
  const indices = findOptions(message.options, "nonce-indices");
  const used = families.map((_, i) => {
    const { homeNonceIndex, careOfNonceIndex } = indices[i] as OptionOfKind<"nonce-indices">;
    const careOf = isDeletion ? undefined : nonces.find(careOfNonceIndex, now);
    return { home: nonces.find(homeNonceIndex, now), careOf };
  });
  const homeIsUnknown = used.some(({ home }) => home === undefined);
  const careOfIsUnknown = !isDeletion && used.some(({ careOf }) => careOf === undefined);
  if (homeIsUnknown)
    return {
      verdict: careOfIsUnknown
        ? reject(BindingStatus.expiredNonces, "both nonces are unknown or too old")
        : reject(BindingStatus.expiredHomeNonceIndex, "the home nonce is unknown or too old"),
    };
  if (careOfIsUnknown)
    return { verdict: reject(BindingStatus.expiredCareOfNonceIndex, "the care-of nonce is unknown or too old") };
  const keys = used.map(({ home, careOf }, i) =>
    bindingManagementKey(
      homeKeygenToken(kcn, home?.octets ?? new Uint8Array(0), homeSubject(update, families[i] ?? "ipv6")),
      ...(careOf === undefined ? [] : [careOfKeygenToken(kcn, careOf.octets, careOfSubject(update))]),
    ),
  );
  return { keys };
}

const homeSubject = ({ homeAddress, ipv4HomeAddress }: ReadUpdate, family: Family) =>
  family === "ipv4" && ipv4HomeAddress !== undefined ? { homeAddress, ipv4HomeAddress } : { homeAddress };

function careOfSubject({ overIpv4, reach }: ReadUpdate): Parameters<typeof careOfKeygenToken>[2] {
  if (overIpv4 !== undefined) return { careOf: overIpv4.careOf, observed: overIpv4.observed };
  return { careOf: reach.careOf as Ipv6Address };
}

function judgeSequence(
  { message, homeAddress }: ReadUpdate,
  entries: readonly (CorrespondentEntry | undefined)[],
  keys: readonly Secret[],
): Verdict | undefined {
  const known = entries.filter((one) => one !== undefined);
  const ahead = known.filter((one) => !isAfter(message.sequence, one.sequence));
  const [first] = ahead;
  if (first === undefined) return undefined;
  if (ahead.length === known.length && ahead.every((one) => one.sequence === message.sequence && one.waiting))
    return drop("duplicate", `sequence number ${message.sequence} of ${homeAddress} is being worked on`);
  const last = ahead.reduce((most, { sequence }) => (isAfter(sequence, most) ? sequence : most), first.sequence);
  const old = reject(BindingStatus.sequenceOutOfWindow, "sequence number out of window", keys);
  return { ...old, lastSequence: last } as Verdict;
}

function judgePermission({ state: { site } }: Turn, update: ReadUpdate, keys: readonly Secret[]): Verdict | undefined {
  const { homeAddress, self, reach, families } = update;
  const { careOf } = reach;
  const prohibited = (reason: string): Verdict => reject(BindingStatus.administrativelyProhibited, reason, keys);
  if (!permits(site, homeAddress)) return prohibited("the configuration does not allow it");
  if (families.length > 1 && site.ipv4?.combinedUpdates !== true)
    return prohibited("the configuration does not allow one update for both home addresses");
  if (families.includes("ipv4") && site.ipv4?.addresses.has(self) !== true)
    return prohibited(`${self} has no IPv4 address`);
  const contrary = contraryMode(update);
  if (contrary !== undefined) return prohibited(contrary);
  if (isOwn(site, careOf))
    return reject(BindingStatus.invalidCareOfAddress, `care-of address ${careOf} is our own`, keys);
  // Packets to it would be their own payload.
  const { ipv4HomeAddress, overIpv4 } = update;
  if (ipv4HomeAddress !== undefined && [careOf, overIpv4?.observed.address].some((one) => one === ipv4HomeAddress))
    return reject(BindingStatus.invalidCareOfAddress, `care-of address ${careOf} is the IPv4 home address`, keys);
  return undefined;
}

/** Why an update does not fit the mode that the test has agreed on, or would have (C-49). Undefined: it does. */
function contraryMode({ message, isOfDraft, families, mode, overIpv4, reach }: ReadUpdate): string | undefined {
  if (!isOfDraft) return undefined;
  const stated = statedMode(message.options);
  if (mode === undefined) {
    // An IPv6 home address at an IPv6 care-of address needs none.
    return overIpv4 === undefined && !families.includes("ipv4") ? undefined : "no mode is left that is allowed here";
  }
  if (stated !== undefined && stated !== mode && (families.includes("ipv4") || overIpv4 !== undefined))
    return `mode ${stated}, where ${mode} is possible`;
  const wanted = { headers: "ipv6-encapsulation", ipv4: "ipv4-encapsulation", udp: "ipv4-udp" }[reach.via];
  return wanted === mode ? undefined : `mode ${mode}, but it came in another encapsulation`;
}

/** Room among bindings, and for what has to be remembered of them. */
function judgeRoom(
  { state: { cache, site } }: Turn,
  entries: readonly (CorrespondentEntry | undefined)[],
  keys: readonly Secret[],
): Verdict {
  const unbound = entries.filter((one) => one === undefined || (one.binding ?? one.waiting?.binding) === undefined);
  if (unbound.length === 0) return { kind: "accept", keys };
  const isFull = cache.bound + unbound.length > site.maximumBindings && site.whenFull === "refuse";
  const most = LIMITS.remembered.default * site.maximumBindings;
  const isNew = entries.some((one) => one === undefined);
  return isFull || (isNew && cache.size >= most)
    ? reject(BindingStatus.insufficientResources, "there are as many bindings as the configuration allows", keys)
    : { kind: "accept", keys };
}
