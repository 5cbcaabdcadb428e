/**
 * The prefixes of the home link, with their lifetimes (RFC 6275 §10.6.1): those that the operator serves, and what router advertisements
 * there say, our own ones too. Nothing vouches for an advertisement, so it can shorten a lifetime to two hours and no further (RFC 4862
 * §5.5.3 (e)), and a prefix that the operator serves stays valid whatever is said: only he takes it away.
 */
import { formatPrefix, type Ipv6Address, isIpv6, type Prefix, prefixContains } from "../../../../base/ip.js";
import { append, largest } from "../../../../base/lists.js";
import { after, earliest, elapsed, type Instant, instant, type Seconds } from "../../../../base/time.js";
import type { Icmpv6OfType } from "../../../../wire/icmpv6.js";
import type { NdOption } from "../../../../wire/ip/nd-options.js";
import {
  advertisedPrefix,
  lifetimeEnd,
  lifetimeLeft,
  NEVER,
  type PrefixInformation,
  type PrefixLifetimes,
  sameInstant,
} from "../../prefix-lifetime.js";
import { LIMITS, TIMERS } from "../../timers.js";

export type RouterAdvertisement = Icmpv6OfType<"router-advertisement">;

export interface HomePrefix extends PrefixLifetimes {
  readonly prefix: Prefix & { readonly address: Ipv6Address };
  readonly onLink: boolean;
  readonly autonomous: boolean;
  /** The operator serves it. */
  readonly configured: boolean;
}

/** What one router says of one prefix. */
interface Told extends PrefixLifetimes {
  readonly onLink: boolean;
  readonly autonomous: boolean;
  readonly validSeconds: number;
  readonly preferredSeconds: number;
}

interface Entry {
  readonly prefix: HomePrefix["prefix"];
  readonly configured: boolean;
  /** By the router's link-local address. */
  readonly told: Map<Ipv6Address, Told>;
}

/** A prefix of another length has no room for an interface identifier (RFC 4862 §5.5.3 (d)). */
const AUTONOMOUS_LENGTH = 64;

export class HomePrefixes {
  readonly #entries = new Map<string, Entry>();
  /** M and O, as the routers set them. */
  readonly #flags = new Map<Ipv6Address, RouterAdvertisement["flags"]>();

  constructor(configured: readonly Prefix[]) {
    for (const { address, length } of configured) if (isIpv6(address)) this.#open({ address, length }, true);
  }

  /** Whether anything has changed for reasons other than the passing of time (RFC 6275 §10.6.2). */
  learn(router: Ipv6Address, advertisement: RouterAdvertisement, now: Instant): boolean {
    let changed = false;
    for (const option of advertisement.options)
      if (option.kind === "prefix-information" && this.#hear(router, option, now)) changed = true;
    return this.#hearFlags(router, advertisement.flags) || changed;
  }

  /** Forgets what routers have said whose time is over; whether that changes anything. */
  expire(now: Instant): boolean {
    let changed = false;
    for (const [key, { told, configured }] of this.#entries) {
      for (const [router, { validUntil }] of told) if (validUntil <= now && !configured) told.delete(router);
      if (configured || told.size > 0) continue;
      this.#entries.delete(key);
      changed = true;
    }
    return changed;
  }

  get nextExpiry(): Instant | undefined {
    let next: Instant | undefined;
    for (const { told, configured } of this.#entries.values())
      if (!configured)
        for (const { validUntil } of told.values()) if (validUntil !== NEVER) next = earliest(next, validUntil);
    return next;
  }

  at(now: Instant): readonly HomePrefix[] {
    return [...this.#entries.values()].map((entry) => present(entry, now));
  }

  /** How long an address out of a home prefix may still be used; undefined: nothing limits it. */
  validFor(address: Ipv6Address, now: Instant): Seconds | undefined {
    const found = this.at(now).find(({ prefix }) => prefixContains(prefix, address));
    return found === undefined || found.validUntil === NEVER ? undefined : elapsed(now, found.validUntil);
  }

  /** Those of a mobile prefix advertisement: all of them (RFC 6275 §10.6.2). */
  advertisement(now: Instant): {
    readonly flags: { readonly managedAddresses: boolean; readonly otherConfiguration: boolean };
    readonly options: readonly NdOption[];
  } {
    const flags = [...this.#flags.values()];
    const options: NdOption[] = [];
    append(
      options,
      this.at(now).map(({ prefix, onLink, autonomous, validUntil, preferredUntil }) => ({
        kind: "prefix-information" as const,
        prefixLength: prefix.length,
        flags: { onLink, autonomous, routerAddress: false },
        validLifetimeSeconds: lifetimeLeft(validUntil, now),
        preferredLifetimeSeconds: lifetimeLeft(preferredUntil, now),
        prefix: prefix.address,
      })),
    );
    return {
      flags: {
        managedAddresses: flags.some(({ managedAddresses }) => managedAddresses),
        otherConfiguration: flags.some(({ otherConfiguration }) => otherConfiguration),
      },
      options,
    };
  }

  #open(prefix: HomePrefix["prefix"], configured: boolean): Entry {
    const entry: Entry = { prefix, configured, told: new Map() };
    this.#entries.set(formatPrefix(prefix), entry);
    return entry;
  }

  #hearFlags(router: Ipv6Address, flags: RouterAdvertisement["flags"]): boolean {
    const before = this.#flags.get(router);
    if (before === undefined && this.#flags.size >= LIMITS.listedHomeAgents.default) return false;
    this.#flags.set(router, flags);
    return (
      before !== undefined &&
      (before.managedAddresses !== flags.managedAddresses || before.otherConfiguration !== flags.otherConfiguration)
    );
  }

  #hear(router: Ipv6Address, option: PrefixInformation, now: Instant): boolean {
    const prefix = advertisedPrefix(option);
    if (prefix === undefined) return false;
    const known = this.#entries.get(formatPrefix(prefix));
    if (known === undefined && (option.validLifetimeSeconds === 0 || this.#entries.size >= LIMITS.homePrefixes.default))
      return false;
    const entry = known ?? this.#open(prefix, false);
    const before = known && present(known, now);
    const said = entry.told.get(router);
    if (said === undefined && entry.told.size >= LIMITS.listedHomeAgents.default) return false;
    entry.told.set(router, toldOf(option, said ?? before, now));
    const sameWords =
      said?.validSeconds === option.validLifetimeSeconds && said.preferredSeconds === option.preferredLifetimeSeconds;
    return isNews(before, present(entry, now), { sameWords, first: said === undefined, now });
  }
}

function toldOf(
  { flags, validLifetimeSeconds, preferredLifetimeSeconds }: PrefixInformation,
  before: PrefixLifetimes | undefined,
  now: Instant,
): Told {
  const told = lifetimeEnd(now, validLifetimeSeconds);
  const floor = after(now, TIMERS.unverifiedPrefix.default);
  const known = before?.validUntil ?? now;
  return {
    onLink: flags.onLink,
    autonomous: flags.autonomous,
    validSeconds: validLifetimeSeconds,
    preferredSeconds: preferredLifetimeSeconds,
    validUntil: told > floor || told > known ? told : instant(Math.min(known, floor)),
    preferredUntil: lifetimeEnd(now, preferredLifetimeSeconds),
  };
}

/** The longest of what routers say; where none says anything, what is served is valid for ever. */
function present({ prefix, configured, told }: Entry, now: Instant): HomePrefix {
  const said = [...told.values()];
  if (said.length === 0) {
    const autonomous = prefix.length === AUTONOMOUS_LENGTH;
    return { prefix, configured, onLink: true, autonomous, validUntil: NEVER, preferredUntil: NEVER };
  }
  const latest = (instants: readonly Instant[]): Instant => instant(largest(instants));
  const valid = latest(said.map(({ validUntil }) => validUntil));
  const floor = after(now, TIMERS.unverifiedPrefix.default);
  return {
    prefix,
    configured,
    onLink: said.some(({ onLink }) => onLink),
    autonomous: said.some(({ autonomous }) => autonomous),
    validUntil: configured && valid < floor ? floor : valid,
    preferredUntil: latest(said.map(({ preferredUntil }) => preferredUntil)),
  };
}

/**
 * Lifetimes that are told anew with each advertisement, or that pass, are none. Of a prefix that is served the first word of a router is
 * none either, unless the prefix is not to be used any more: after each start somebody speaks first.
 */
function isNews(
  before: HomePrefix | undefined,
  present: HomePrefix,
  { sameWords, first, now }: { readonly sameWords: boolean; readonly first: boolean; readonly now: Instant },
): boolean {
  if (before === undefined) return true;
  if (before.onLink !== present.onLink || before.autonomous !== present.autonomous) return !first;
  if (before.preferredUntil > now !== present.preferredUntil > now) return true;
  if (sameWords || first) return false;
  return (
    !sameInstant(before.validUntil, present.validUntil) || !sameInstant(before.preferredUntil, present.preferredUntil)
  );
}
