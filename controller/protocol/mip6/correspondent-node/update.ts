/**
 * Whether a correspondent takes a binding update (RFC 6275 §9.5.1, §6.1.7). A check lets it pass, drops it without an answer, or refuses it
 * with a status. Nothing is changed here.
 *
 * Nonces and authenticator are looked at before the sequence number: who has not proved anything is told no number, and a refusal with
 * status 135 needs the key that only known nonces give (§6.1.8, §6.2.7). Without them the node is told to get new ones.
 */
import { type Ipv6Address, isRoutableUnicast } from "../../../base/ip.js";
import type { Secret } from "../../../base/secret.js";
import { isAfter, type Seq16 } from "../../../base/seq16.js";
import type { BindingUpdate } from "../../../wire/mip6/messages/mobility-message.js";
import { findOption } from "../../../wire/mip6/options/mobility.js";
import { BindingStatus } from "../../../wire/mip6/registry.js";
import type { Arrival } from "../inputs.js";
import {
  bindingManagementKey,
  careOfKeygenToken,
  homeKeygenToken,
  isAuthenticator,
} from "../return-routability/tokens.js";
import type { CorrespondentEntry } from "./binding-cache.js";
import type { CorrespondentDropReason, Pair, UpdateInput } from "./inputs.js";
import { permits } from "./site.js";
import { LIMITS } from "./timers.js";
import type { Turn } from "./turn.js";

/** The IPv6 source on the wire. */
export function wireSourceOf({ path, source }: Arrival): Ipv6Address {
  return (path.type === "native" ? path.homeAddressOptionCareOf : undefined) ?? source;
}

/** What an update says where its node is: the Alternate Care-of Address option, or the source on the wire (RFC 6275 §9.5.1). */
export function careOfAddressOf(message: BindingUpdate, arrival: Arrival): Ipv6Address {
  return findOption(message.options, "alternate-care-of-address")?.address ?? wireSourceOf(arrival);
}

/** An update with what follows from how it came. */
export interface ReadUpdate extends Pair {
  readonly message: BindingUpdate;
  readonly covered: Uint8Array | undefined;
  readonly wireSource: Ipv6Address;
  readonly careOf: Ipv6Address;
  readonly throughOption: boolean;
  /** Lifetime 0, or the care-of address is the home address. */
  readonly isDeletion: boolean;
}

export function readUpdate({ arrival, message, covered }: UpdateInput): ReadUpdate {
  const careOf = careOfAddressOf(message, arrival);
  const homeAddress = arrival.source;
  return {
    ...{ homeAddress, self: arrival.destination, message, covered, careOf, wireSource: wireSourceOf(arrival) },
    throughOption: arrival.path.type === "native" && arrival.path.homeAddressOptionCareOf !== undefined,
    isDeletion: message.lifetimeUnits === 0 || careOf === homeAddress,
  };
}

export type Verdict =
  | { readonly kind: "accept"; readonly key: Secret }
  | { readonly kind: "drop"; readonly reason: CorrespondentDropReason; readonly detail: string }
  | {
      readonly kind: "reject";
      readonly status: number;
      readonly reason: string;
      /** Absent: nothing is proved, and the answer bears no authenticator. */
      readonly key?: Secret;
      /** With status 135: the last one accepted. */
      readonly lastSequence?: Seq16;
    };

const drop = (reason: CorrespondentDropReason, detail: string): Verdict => ({ kind: "drop", reason, detail });
const reject = (status: number, reason: string, key?: Secret): Verdict => ({
  kind: "reject",
  ...{ status, reason },
  ...(key !== undefined && { key }),
});

export function judgeUpdate(turn: Turn, update: ReadUpdate): Verdict {
  return judgeForm(turn, update) ?? judgeProof(turn, update);
}

function judgeForm({ state }: Turn, update: ReadUpdate): Verdict | undefined {
  const { message, homeAddress, self, careOf, wireSource, covered } = update;
  const { site, cache } = state;
  if (!site.addresses.includes(self)) return drop("wrong-destination", `binding update to ${self}`);
  if (!isRoutableUnicast(homeAddress)) return drop("home-address-mismatch", `home address ${homeAddress}`);
  if (!isRoutableUnicast(careOf) || !isRoutableUnicast(wireSource))
    return drop("care-of-not-unicast", `care-of address ${careOf} of ${homeAddress}, from ${wireSource}`);
  const hasIndices = findOption(message.options, "nonce-indices") !== undefined;
  if (message.flags.homeRegistration) {
    if (hasIndices) return drop("unexpected-type", `home registration of ${homeAddress} with nonce indices`);
    return cache.get(update)?.binding === undefined
      ? reject(BindingStatus.homeRegistrationNotSupported, "no home agent")
      : reject(BindingStatus.registrationTypeChange, "there is a binding by return routability");
  }
  if (!hasIndices || covered === undefined)
    return drop("authorization-missing", `binding update of ${homeAddress} without nonce indices or authenticator`);
  return undefined;
}

function judgeProof(turn: Turn, update: ReadUpdate): Verdict {
  const { message, homeAddress, self, careOf, covered, isDeletion } = update;
  const { state, now } = turn;
  const { nonces, kcn, site } = state;
  const indices = findOption(message.options, "nonce-indices");
  const authenticator = findOption(message.options, "binding-authorization-data")?.authenticator;
  if (indices === undefined || authenticator === undefined || covered === undefined)
    return drop("authorization-missing", `binding update of ${homeAddress}`);
  const homeNonce = nonces.find(indices.homeNonceIndex, now);
  const careOfNonce = isDeletion ? undefined : nonces.find(indices.careOfNonceIndex, now);
  const careOfIsUnknown = !isDeletion && careOfNonce === undefined;
  if (homeNonce === undefined)
    return careOfIsUnknown
      ? reject(BindingStatus.expiredNonces, "both nonces are unknown or too old")
      : reject(BindingStatus.expiredHomeNonceIndex, "the home nonce is unknown or too old");
  if (careOfIsUnknown) return reject(BindingStatus.expiredCareOfNonceIndex, "the care-of nonce is unknown or too old");
  const key = bindingManagementKey(
    homeKeygenToken(kcn, homeNonce.octets, { homeAddress }),
    ...(careOfNonce === undefined ? [] : [careOfKeygenToken(kcn, careOfNonce.octets, { careOf })]),
  );
  if (!isAuthenticator(key, covered, authenticator))
    return drop("authentication-failed", `binding update of ${homeAddress} from ${update.wireSource}`);
  const entry = state.cache.get(update);
  if (entry !== undefined && !isAfter(message.sequence, entry.sequence)) {
    if (message.sequence === entry.sequence && entry.waiting !== undefined)
      return drop("duplicate", `sequence number ${message.sequence} of ${homeAddress} is being worked on`);
    const old = reject(BindingStatus.sequenceOutOfWindow, "sequence number out of window", key);
    return { ...old, lastSequence: entry.sequence } as Verdict;
  }
  if (site.isHomeRegistration?.(homeAddress) === true)
    return reject(BindingStatus.registrationTypeChange, "it is registered with the home agent here", key);
  if (isDeletion) return { kind: "accept", key };
  if (!permits(site, homeAddress))
    return reject(BindingStatus.administrativelyProhibited, "the configuration does not allow it", key);
  if (site.addresses.includes(careOf) || careOf === self)
    return reject(BindingStatus.invalidCareOfAddress, `care-of address ${careOf} is our own`, key);
  return judgeRoom(turn, entry, key);
}

/** Room among bindings, and for what has to be remembered of them. */
function judgeRoom({ state: { cache, site } }: Turn, entry: CorrespondentEntry | undefined, key: Secret): Verdict {
  const isBound = entry !== undefined && (entry.binding ?? entry.waiting?.binding) !== undefined;
  if (isBound) return { kind: "accept", key };
  const isFull = cache.bound >= site.maximumBindings && site.whenFull === "refuse";
  const most = LIMITS.remembered.default * site.maximumBindings;
  return isFull || (entry === undefined && cache.size >= most)
    ? reject(BindingStatus.insufficientResources, "there are as many bindings as the configuration allows", key)
    : { kind: "accept", key };
}
