/**
 * Which mobile network prefixes an update with the R flag registers (RFC 3963 §6.2): those that it names, or, if it names none, those that
 * its subscriber has. IPv4 prefixes are asked for by IPv4 Home Address options and answered there (ipv4-home-address.ts).
 */
import { IPV6_ANY, isIpv4, isIpv6, isRoutableUnicast, maskAddress, type Prefix, samePrefix } from "../../../base/ip.js";
import type { BindingUpdate } from "../../../wire/mip6/messages/mobility-message.js";
import { findOptions } from "../../../wire/mip6/options/mobility.js";
import { BindingStatus } from "../../../wire/mip6/registry.js";
import type { NetworkSelection } from "../../ownership/lent-networks.js";
import { isPrefixRequest } from "./ipv4-home-address.js";
import type { HomeSubscriber } from "./site.js";

/**
 * Whether the node is served as a mobile router. One that sets R without being entitled to any prefix is served as the host that it is
 * entitled to be, and the answer has R clear (RFC 3963 §4.2, §5.3): status 140 leaves some peers without any service for good.
 */
export function isMobileRouter(flag: boolean, subscriber: HomeSubscriber | undefined): boolean {
  const entitled = (subscriber?.prefixes ?? []).length > 0 || subscriber?.borrowsPrefixes === true;
  return flag && entitled && subscriber?.mobileRouter !== "no";
}

export type NetworkDecision =
  /** IPv6 prefixes, in the subscriber's order. `ipv4`: all of IPv4 are meant too. */
  | {
      readonly kind: "granted";
      readonly prefixes: readonly Prefix[];
      readonly ipv4: boolean;
      /** Of the granted ones those that it asked for without naming them, in the order of its options. */
      readonly unnamed: readonly Prefix[];
    }
  | { readonly kind: "refused"; readonly status: number; readonly reason: string };

const refused = (status: number, reason: string): NetworkDecision => ({ kind: "refused", status, reason });

/**
 * For an update of a mobile router. All that it names are granted, or none. An option with the prefix :: asks for any prefix of that
 * length (as all-zero prefixes do in RFC 5213 §5.3 and RFC 7148 §4); what is granted out of the pool is taken out of `lent`.
 */
export function decideNetwork(
  message: BindingUpdate,
  subscriber: HomeSubscriber,
  lent: NetworkSelection,
): NetworkDecision {
  const { prefixes = [], mobileRouter = "either", borrowsPrefixes = false } = subscriber;
  const own = prefixes.filter(({ address }) => isIpv6(address));
  const named = findOptions(message.options, "mobile-network-prefix");
  if (named.length === 0) return decideImplicit(message, subscriber, own);
  if (mobileRouter === "implicit")
    return refused(BindingStatus.notAuthorizedForPrefix, "prefixes are not taken from updates of this node");
  const granted = new Set<Prefix>();
  const unnamed: Prefix[] = [];
  for (const { prefix: address, prefixLength: length } of named) {
    const asked = { address, length };
    if (borrowsPrefixes && address === IPV6_ANY && length >= 1 && length <= 128) {
      const found = lent.any(6, length);
      if (found === "none-free") return refused(BindingStatus.invalidPrefix, `no prefix of /${length} is free`);
      if (found === "too-many") return refused(BindingStatus.notAuthorizedForPrefix, "no more prefixes for this node");
      granted.add(found);
      unnamed.push(found);
      continue;
    }
    if (!isNetwork(asked))
      return refused(BindingStatus.invalidPrefix, `${address}/${length} is no prefix of a network`);
    const found = borrowsPrefixes ? lentPrefix(asked, lent) : own.find((one) => samePrefix(one, asked));
    if (found === undefined)
      return refused(BindingStatus.notAuthorizedForPrefix, `${address}/${length} is not a prefix of this node`);
    granted.add(found);
  }
  const order = borrowsPrefixes ? lent.chosen : own;
  return { kind: "granted", prefixes: order.filter((one) => granted.has(one)), ipv4: false, unnamed };
}

/** One that the node has, or had last while nobody else has it. */
function lentPrefix(asked: Prefix, lent: NetworkSelection): Prefix | undefined {
  const found = lent.at(asked.address);
  return found !== undefined && samePrefix(found, asked) ? found : undefined;
}

function decideImplicit(
  message: BindingUpdate,
  { prefixes = [], mobileRouter, borrowsPrefixes }: HomeSubscriber,
  own: readonly Prefix[],
): NetworkDecision {
  const namesIpv4 = findOptions(message.options, "ipv4-home-address").some(isPrefixRequest);
  // What is lent has to be asked for.
  if (mobileRouter === "explicit" || borrowsPrefixes === true)
    return namesIpv4
      ? { kind: "granted", prefixes: [], ipv4: false, unnamed: [] }
      : refused(BindingStatus.forwardingSetupFailed, "the update names no prefix, and this node has to");
  const all = namesIpv4 ? own : prefixes;
  return { kind: "granted", prefixes: all.filter(({ address }) => !isIpv4(address)), ipv4: !namesIpv4, unnamed: [] };
}

/** At least one bit, no host bits, and nothing that has a meaning of its own. */
function isNetwork({ address, length }: Prefix): boolean {
  return length >= 1 && length <= 128 && maskAddress(address, length) === address && isRoutableUnicast(address);
}
