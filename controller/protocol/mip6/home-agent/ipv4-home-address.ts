/**
 * The answers to IPv4 Home Address options (RFC 5555 §2.5, §3.1.1, §4.5; contradictions C-13, C-14). A node has one address: its own, or
 * one lent from the pool for as long as it is bound (protocol/ownership); a mobile router has prefixes besides.
 */
import {
  IPV4_ANY,
  type Ipv4Address,
  type Ipv6Address,
  isEdgeOf,
  isRoutableUnicast,
  type Prefix,
  prefixContains,
} from "../../../base/ip.js";
import type { OptionOfKind } from "../../../wire/mip6/options/mobility.js";
import { Ipv4AckStatus } from "../../../wire/mip6/registry.js";
import type { Ipv4Ownership } from "../../ownership/ipv4.js";
import type { NetworkSelection } from "../../ownership/lent-networks.js";

export type Ipv4HomeAddressOption = OptionOfKind<"ipv4-home-address">;
export type Ipv4AcknowledgementOption = OptionOfKind<"ipv4-address-acknowledgement">;

/** Prefix-len of an option that means one address (RFC 5555 §3.1.1). */
const HOST_LENGTH = 32;

export interface Ipv4Question {
  readonly homeAddress: Ipv6Address;
  /** What the node's binding has at present. */
  readonly bound: Ipv4Address | undefined;
  readonly addresses: Ipv4Ownership;
  /** Where the update says the node is: no address to be lent to it. */
  readonly careOf: readonly Ipv4Address[];
  readonly homePrefixes: readonly Prefix[];
  /** False in a de-registration, which must not make an address busy. */
  readonly mayAllocate: boolean;
  /** IPv4 prefixes that the node may have with this update; none unless it is a mobile router. */
  readonly prefixes: readonly Prefix[];
  /** Of a router without prefixes of its own: what is lent to it with this update. */
  readonly lent?: NetworkSelection | undefined;
  /** Those that its binding has at present. */
  readonly boundPrefixes: readonly Prefix[];
}

export interface Ipv4Decision {
  /** One for each option asked, in the same order (C-14). */
  readonly acknowledgements: readonly Ipv4AcknowledgementOption[];
  /** To be bound; undefined if none was asked for or none was granted. */
  readonly address: Ipv4Address | undefined;
  /** Granted, in the order of the question's; lent ones are in its `lent`. */
  readonly prefixes: readonly Prefix[];
}

/** Answers the IPv4 Home Address options of an update that is accepted otherwise. No address is lent yet; networks are, in `lent`. */
export function decideIpv4(options: readonly Ipv4HomeAddressOption[], question: Ipv4Question): Ipv4Decision {
  const granted = new Set<Prefix>();
  let address: Ipv4Address | undefined;
  const acknowledgements = options.map((option) => {
    const { prefixLength } = option;
    if (prefixLength === 0 || prefixLength > HOST_LENGTH || !isAskedFor(option, question))
      return failure(option, Ipv4AckStatus.invalidAddress);
    if (meansPrefix(option, question)) return answerPrefix(option, question, granted);
    const answer = answerAddress(option, question);
    if (answer.status === Ipv4AckStatus.success) address ??= answer.address;
    return answer;
  });
  return { acknowledgements, address, prefixes: question.prefixes.filter((one) => granted.has(one)) };
}

/** The answers in an acknowledgement that refuses the whole update: nothing of IPv4 was accepted either. */
export function refuseIpv4(options: readonly Ipv4HomeAddressOption[]): readonly Ipv4AcknowledgementOption[] {
  return options.map((option) => failure(option, Ipv4AckStatus.unspecified));
}

/** Whether the option can be about a prefix; a P flag beside an address that the node has already means nothing (RFC 5555 §3.1.1). */
export function isPrefixRequest({ prefixLength, mobileNetworkPrefix }: Ipv4HomeAddressOption): boolean {
  return mobileNetworkPrefix || (prefixLength > 0 && prefixLength < HOST_LENGTH);
}

/** P means something in new requests only (RFC 5555 §3.1.1): a node that has its address is not asking for a prefix. */
function meansPrefix(option: Ipv4HomeAddressOption, { bound }: Ipv4Question): boolean {
  const { address, prefixLength, mobileNetworkPrefix } = option;
  if (prefixLength !== HOST_LENGTH) return true;
  const refresh = bound !== undefined && (address === IPV4_ANY || address === bound);
  return mobileNetworkPrefix && !refresh;
}

/** Nothing, or an address that a host can have; the network address of a prefix is one that can be asked for. */
function isAskedFor(option: Ipv4HomeAddressOption, { homePrefixes }: Ipv4Question): boolean {
  const { address } = option;
  if (address === IPV4_ANY) return true;
  return isRoutableUnicast(address) && !homePrefixes.some((prefix) => isEdgeOf(prefix, address));
}

function answerAddress(option: Ipv4HomeAddressOption, question: Ipv4Question): Ipv4AcknowledgementOption {
  const { address } = option;
  const { addresses, homeAddress, careOf } = question;
  if (address !== IPV4_ANY)
    return addresses.mayUse(homeAddress, address, careOf)
      ? success(option, address)
      : failure(option, Ipv4AckStatus.incorrectHomeAddress);
  const found = question.mayAllocate ? addresses.candidateFor(homeAddress, careOf) : addresses.addressOf(homeAddress);
  return found === undefined ? failure(option, Ipv4AckStatus.dynamicAddressNotAvailable) : success(option, found);
}

/**
 * A prefix of the node's with the length that it wants: the one in which the address lies, or with 0.0.0.0 the first that is not granted
 * yet. Without P only what is bound already (RFC 5555 §3.1.1).
 */
function answerPrefix(
  option: Ipv4HomeAddressOption,
  { prefixes, boundPrefixes, lent }: Ipv4Question,
  granted: Set<Prefix>,
): Ipv4AcknowledgementOption {
  if (lent !== undefined) return answerLentPrefix(option, lent, boundPrefixes);
  const { address, prefixLength, mobileNetworkPrefix } = option;
  const wantsAny = address === IPV4_ANY;
  const found = prefixes.find(
    (one) =>
      one.length === prefixLength &&
      (mobileNetworkPrefix || boundPrefixes.includes(one)) &&
      (wantsAny ? !granted.has(one) : prefixContains(one, address)),
  );
  if (found === undefined) return failure(option, Ipv4AckStatus.prefixNotAuthorized);
  granted.add(found);
  return success(option, wantsAny ? (found.address as Ipv4Address) : address);
}

/**
 * A lent prefix: with 0.0.0.0 any of the length that is wanted or of the nearest there is, which the answer tells; else the one in which
 * the address lies, whatever length is asked for.
 */
function answerLentPrefix(
  option: Ipv4HomeAddressOption,
  lent: NetworkSelection,
  boundPrefixes: readonly Prefix[],
): Ipv4AcknowledgementOption {
  const { address, mobileNetworkPrefix } = option;
  if (address === IPV4_ANY) {
    if (!mobileNetworkPrefix) return failure(option, Ipv4AckStatus.prefixNotAuthorized);
    const found = lent.any(4, option.prefixLength);
    if (found === "none-free") return failure(option, Ipv4AckStatus.dynamicAddressNotAvailable);
    if (found === "too-many") return failure(option, Ipv4AckStatus.administrativelyProhibited);
    return success({ prefixLength: found.length }, found.address as Ipv4Address);
  }
  const isBound = boundPrefixes.some((one) => prefixContains(one, address));
  const found = mobileNetworkPrefix || isBound ? lent.at(address) : undefined;
  return found === undefined
    ? failure(option, Ipv4AckStatus.prefixNotAuthorized)
    : success({ prefixLength: found.length }, address);
}

/** The address as it was asked for, if one was (RFC 5555 §3.2.1). */
const success = (
  { prefixLength }: Pick<Ipv4HomeAddressOption, "prefixLength">,
  address: Ipv4Address,
): Ipv4AcknowledgementOption => ({
  kind: "ipv4-address-acknowledgement",
  status: Ipv4AckStatus.success,
  prefixLength,
  address,
});

/** Pref-len 0 and the address as it was asked for (RFC 5555 §3.2.1). */
const failure = (option: Ipv4HomeAddressOption, status: number): Ipv4AcknowledgementOption => ({
  kind: "ipv4-address-acknowledgement",
  status,
  prefixLength: 0,
  address: option.address,
});
