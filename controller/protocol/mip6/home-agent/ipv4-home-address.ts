/**
 * Which IPv4 home address belongs to which node, and the answers to IPv4 Home Address options (RFC 5555 §2.5, §3.1.1, §4.5;
 * contradictions C-13, C-14). A node has one: its own, or one lent from the pool for as long as it is bound.
 */
import { InvariantError } from "../../../base/errors.js";
import {
  IPV4_ANY,
  type Ipv4Address,
  type Ipv6Address,
  ipToBytes,
  ipv4FromBytes,
  isIpv4,
  isRoutableUnicast,
  type Prefix,
  prefixContains,
} from "../../../base/ip.js";
import type { OptionOfKind } from "../../../wire/mip6/options/mobility.js";
import { Ipv4AckStatus } from "../../../wire/mip6/registry.js";
import type { HomeAgentSite } from "./site.js";

export type Ipv4HomeAddressOption = OptionOfKind<"ipv4-home-address">;
export type Ipv4AcknowledgementOption = OptionOfKind<"ipv4-address-acknowledgement">;

/** Prefix-len of an option that means one address (RFC 5555 §3.1.1). */
const HOST_LENGTH = 32;

/** Owners of IPv4 home addresses. All calls are O(1), allocation amortised over the unusable addresses it passes. */
export class Ipv4HomeAddresses {
  readonly #own = new Map<Ipv6Address, Ipv4Address>();
  readonly #owners = new Map<Ipv4Address, Ipv6Address>();
  readonly #leases = new Map<Ipv6Address, Ipv4Address>();
  /** The address a node had last, so that it gets the same again while that is free. */
  readonly #remembered = new Map<Ipv6Address, Ipv4Address>();
  /** Lent before and given back, the longest unused first. */
  readonly #returned = new Set<Ipv4Address>();
  readonly #pool: readonly Prefix[];
  readonly #fresh: Iterator<Ipv4Address>;
  #nextFresh: Ipv4Address | undefined;

  constructor(site: HomeAgentSite) {
    for (const { homeAddress, ipv4HomeAddress } of site.subscribers.values()) {
      if (ipv4HomeAddress === undefined) continue;
      if (this.#owners.has(ipv4HomeAddress)) throw new InvariantError(`${ipv4HomeAddress} belongs to two subscribers`);
      this.#own.set(homeAddress, ipv4HomeAddress);
      this.#owners.set(ipv4HomeAddress, homeAddress);
    }
    this.#pool = site.ipv4Pool?.prefixes ?? [];
    this.#fresh = poolAddresses(this.#pool, site.addresses.ipv4);
    this.#nextFresh = this.#advance();
  }

  /** Who has the address: for ever, or lent. */
  ownerOf(address: Ipv4Address): Ipv6Address | undefined {
    return this.#owners.get(address);
  }

  /** What the node has: its own, or a lent one. */
  addressOf(homeAddress: Ipv6Address): Ipv4Address | undefined {
    return this.#own.get(homeAddress) ?? this.#leases.get(homeAddress);
  }

  leaseOf(homeAddress: Ipv6Address): Ipv4Address | undefined {
    return this.#leases.get(homeAddress);
  }

  /** An address that `lease` would give to the node: what it has, had last, never used, longest unused. */
  candidateFor(homeAddress: Ipv6Address): Ipv4Address | undefined {
    const present = this.addressOf(homeAddress);
    if (present !== undefined) return present;
    const remembered = this.#remembered.get(homeAddress);
    if (remembered !== undefined && this.#returned.has(remembered)) return remembered;
    while (this.#nextFresh !== undefined && this.#isUsed(this.#nextFresh)) this.#nextFresh = this.#advance();
    if (this.#nextFresh !== undefined) return this.#nextFresh;
    for (const address of this.#returned) return address;
    return undefined;
  }

  /** Whether the node may have exactly this address: its own, its present one, or the one it had last. */
  mayUse(homeAddress: Ipv6Address, address: Ipv4Address): boolean {
    const present = this.addressOf(homeAddress);
    if (present !== undefined) return present === address;
    return this.#remembered.get(homeAddress) === address && this.#returned.has(address);
  }

  /** Gives the node an address of the pool that nobody has; nothing happens if it has this one. */
  lease(homeAddress: Ipv6Address, address: Ipv4Address): void {
    if (this.addressOf(homeAddress) === address) return;
    if (this.addressOf(homeAddress) !== undefined || this.#owners.has(address)) {
      throw new InvariantError(`${address} can't be lent to ${homeAddress}`);
    }
    this.#returned.delete(address);
    this.#leases.set(homeAddress, address);
    this.#owners.set(address, homeAddress);
  }

  /** Takes a lent address back; the node's own is never touched. */
  release(homeAddress: Ipv6Address): void {
    const address = this.#leases.get(homeAddress);
    if (address === undefined) return;
    this.#leases.delete(homeAddress);
    this.#owners.delete(address);
    this.#remembered.set(homeAddress, address);
    this.#returned.add(address);
  }

  /** Whether a lease that the journal kept can be taken up again. */
  canRestore(homeAddress: Ipv6Address, address: Ipv4Address): boolean {
    if (this.addressOf(homeAddress) === address) return true;
    const inPool = this.#pool.some((prefix) => prefixContains(prefix, address));
    return inPool && this.addressOf(homeAddress) === undefined && !this.#owners.has(address);
  }

  #isUsed(address: Ipv4Address): boolean {
    return this.#owners.has(address) || this.#returned.has(address);
  }

  #advance(): Ipv4Address | undefined {
    const next = this.#fresh.next();
    return next.done === true ? undefined : next.value;
  }
}

/** The host addresses of the pool in their order, without the network and broadcast address of prefixes up to /30. */
function* poolAddresses(pool: readonly Prefix[], homeAgent: Ipv4Address | undefined): Generator<Ipv4Address, void> {
  for (const { address, length } of pool) {
    if (!isIpv4(address)) continue;
    const first = toNumber(address);
    const size = 2 ** (HOST_LENGTH - length);
    const edge = length <= 30 ? 1 : 0;
    for (let offset = edge; offset < size - edge; offset++) {
      const candidate = fromNumber(first + offset);
      if (candidate !== homeAgent) yield candidate;
    }
  }
}

const toNumber = (address: Ipv4Address): number => ipToBytes(address).reduce((sum, byte) => sum * 256 + byte, 0);

const fromNumber = (value: number): Ipv4Address =>
  ipv4FromBytes(Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff));

export interface Ipv4Question {
  readonly homeAddress: Ipv6Address;
  /** What the node's binding has at present. */
  readonly bound: Ipv4Address | undefined;
  readonly addresses: Ipv4HomeAddresses;
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
  const { addresses, homeAddress, bound } = question;
  const wantsAny = address === IPV4_ANY;
  if (prefixLength === 0 || prefixLength > HOST_LENGTH) return failure(option, Ipv4AckStatus.invalidAddress);
  if (!wantsAny && !isHostAddress(address, question.homePrefixes)) return failure(option, Ipv4AckStatus.invalidAddress);
  // P means something in new requests only (RFC 5555 §3.1.1): a node that has its address is not asking for a prefix.
  const refresh = bound !== undefined && (wantsAny || address === bound);
  if (prefixLength !== HOST_LENGTH || (mobileNetworkPrefix && !refresh)) {
    return failure(option, Ipv4AckStatus.prefixNotAuthorized);
  }
  if (!wantsAny) {
    return addresses.mayUse(homeAddress, address)
      ? success(address)
      : failure(option, Ipv4AckStatus.incorrectHomeAddress);
  }
  const found = question.mayAllocate ? addresses.candidateFor(homeAddress) : addresses.addressOf(homeAddress);
  return found === undefined ? failure(option, Ipv4AckStatus.dynamicAddressNotAvailable) : success(found);
}

/** Unicast, and neither the network nor the broadcast address of a home prefix. */
function isHostAddress(address: Ipv4Address, homePrefixes: readonly Prefix[]): boolean {
  if (!isRoutableUnicast(address)) return false;
  const home = homePrefixes.find((prefix) => prefix.length <= 30 && prefixContains(prefix, address));
  if (home === undefined) return true;
  const size = 2 ** (HOST_LENGTH - home.length);
  const host = toNumber(address) % size;
  return host !== 0 && host !== size - 1;
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
