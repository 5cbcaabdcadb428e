/**
 * The answers to IPv4 Home Address options (RFC 5555 §2.5, §3.1.1, §4.5; contradictions C-13, C-14). A node has one address: its own, or
 * one lent from the pool for as long as it is bound (protocol/ownership).
 */
import {
  IPV4_ANY,
  type Ipv4Address,
  type Ipv6Address,
  isEdgeOf,
  isRoutableUnicast,
  type Prefix,
} from "../../../base/ip.js";
import type { OptionOfKind } from "../../../wire/mip6/options/mobility.js";
import { Ipv4AckStatus } from "../../../wire/mip6/registry.js";
import type { Ipv4Ownership } from "../../ownership/ipv4.js";

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
}

export interface Ipv4Decision {
  /** One for each option asked, in the same order (C-14). */
  readonly acknowledgements: readonly Ipv4AcknowledgementOption[];
  /** To be bound; undefined if none was asked for or none was granted. */
  readonly address: Ipv4Address | undefined;
}

/** Answers the IPv4 Home Address options of an update that is accepted otherwise. Nothing is lent yet. */
export function decideIpv4(options: readonly Ipv4HomeAddressOption[], question: Ipv4Question): Ipv4Decision {
  const acknowledgements = options.map((option) => answer(option, question));
  const granted = acknowledgements.find(({ status }) => status === Ipv4AckStatus.success);
  return { acknowledgements, address: granted?.address };
}

/** The answers in an acknowledgement that refuses the whole update: nothing of IPv4 was accepted either. */
export function refuseIpv4(options: readonly Ipv4HomeAddressOption[]): readonly Ipv4AcknowledgementOption[] {
  return options.map((option) => failure(option, Ipv4AckStatus.unspecified));
}

function answer(option: Ipv4HomeAddressOption, question: Ipv4Question): Ipv4AcknowledgementOption {
  const { address, prefixLength, mobileNetworkPrefix } = option;
  const { addresses, homeAddress, bound, careOf } = question;
  const wantsAny = address === IPV4_ANY;
  if (prefixLength === 0 || prefixLength > HOST_LENGTH) return failure(option, Ipv4AckStatus.invalidAddress);
  if (!wantsAny && !isHostAddress(address, question.homePrefixes)) return failure(option, Ipv4AckStatus.invalidAddress);
  // P means something in new requests only (RFC 5555 §3.1.1): a node that has its address is not asking for a prefix.
  const refresh = bound !== undefined && (wantsAny || address === bound);
  if (prefixLength !== HOST_LENGTH || (mobileNetworkPrefix && !refresh)) {
    return failure(option, Ipv4AckStatus.prefixNotAuthorized);
  }
  if (!wantsAny) {
    return addresses.mayUse(homeAddress, address, careOf)
      ? success(address)
      : failure(option, Ipv4AckStatus.incorrectHomeAddress);
  }
  const found = question.mayAllocate ? addresses.candidateFor(homeAddress, careOf) : addresses.addressOf(homeAddress);
  return found === undefined ? failure(option, Ipv4AckStatus.dynamicAddressNotAvailable) : success(found);
}

/** Unicast, and neither the network nor the broadcast address of a home prefix. */
function isHostAddress(address: Ipv4Address, homePrefixes: readonly Prefix[]): boolean {
  if (!isRoutableUnicast(address)) return false;
  return !homePrefixes.some((prefix) => isEdgeOf(prefix, address));
}

const success = (address: Ipv4Address): Ipv4AcknowledgementOption => ({
  kind: "ipv4-address-acknowledgement",
  status: Ipv4AckStatus.success,
  prefixLength: HOST_LENGTH,
  address,
});

/** Pref-len 0 and the address as it was asked for (RFC 5555 §3.2.1). */
const failure = (option: Ipv4HomeAddressOption, status: number): Ipv4AcknowledgementOption => ({
  kind: "ipv4-address-acknowledgement",
  status,
  prefixLength: 0,
  address: option.address,
});
