/**
 * The other home agents of the home link, as their router advertisements tell of them (home agents list, RFC 6275 §10.1, §10.5.1). Bounded
 * whatever the link says; ourselves are not in it.
 */
import { type Ipv6Address, isRoutableUnicast } from "../../../../base/ip.js";
import { after, earliest, type Instant, seconds } from "../../../../base/time.js";
import type { Icmpv6OfType } from "../../../../wire/icmpv6.js";
import { LIMITS } from "../../timers.js";

export type RouterAdvertisement = Icmpv6OfType<"router-advertisement">;

export interface ListedHomeAgent {
  /** By which its advertisements are known. */
  readonly linkLocal: Ipv6Address;
  /** Global unicast, each with the end of its validity. */
  readonly addresses: ReadonlyMap<Ipv6Address, Instant>;
  /** Higher is better. */
  readonly preference: number;
  /** Serves mobile routers (RFC 3963 §7.2). */
  readonly mobileRouter: boolean;
  readonly expiresAt: Instant;
}

/** What an advertisement has changed. full: there was no room for one more. */
export type ListChange = "learnt" | "refreshed" | "gone" | "none" | "full";

/** Longer validities, the infinite one (RFC 4861 §4.6.2) among them, end nowhere near. */
const FOREVER_SECONDS = 100 * 365 * 86400;

export class HomeAgentsList {
  readonly #entries = new Map<Ipv6Address, ListedHomeAgent>();

  /** RFC 6275 §10.5.1: H set makes or refreshes an entry, H clear or a lifetime of 0 ends it. */
  learn(linkLocal: Ipv6Address, advertisement: RouterAdvertisement, now: Instant): ListChange {
    const known = this.#entries.get(linkLocal);
    const information = advertisement.options.find((option) => option.kind === "home-agent-information");
    const lifetimeSeconds = information?.lifetimeSeconds ?? advertisement.routerLifetimeSeconds;
    if (!advertisement.flags.homeAgent || lifetimeSeconds === 0)
      return this.#entries.delete(linkLocal) ? "gone" : "none";
    if (known === undefined && this.#entries.size >= LIMITS.listedHomeAgents.default) return "full";
    this.#entries.set(linkLocal, {
      linkLocal,
      addresses: addressesOf(advertisement, known?.addresses ?? new Map(), now),
      preference: information?.preference ?? 0,
      mobileRouter: information?.flags.mobileRouter === true,
      expiresAt: after(now, seconds(lifetimeSeconds)),
    });
    return known === undefined ? "learnt" : "refreshed";
  }

  /** Forgets whose time is over, and returns them. */
  expire(now: Instant): readonly Ipv6Address[] {
    const gone: Ipv6Address[] = [];
    for (const [linkLocal, { expiresAt }] of this.#entries) if (expiresAt <= now) gone.push(linkLocal);
    for (const linkLocal of gone) this.#entries.delete(linkLocal);
    return gone;
  }

  get nextExpiry(): Instant | undefined {
    let next: Instant | undefined;
    for (const { expiresAt } of this.#entries.values()) next = earliest(next, expiresAt);
    return next;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Those whose time is not over. */
  *at(now: Instant): Generator<ListedHomeAgent, void> {
    for (const entry of this.#entries.values()) if (entry.expiresAt > now) yield entry;
  }
}

/** Addresses of prefix information options with R (RFC 6275 §7.2), beside those known before that are still valid: not every advertisement has room for all. */
function addressesOf(
  { options }: RouterAdvertisement,
  known: ReadonlyMap<Ipv6Address, Instant>,
  now: Instant,
): ReadonlyMap<Ipv6Address, Instant> {
  const addresses = new Map([...known].filter(([, validUntil]) => validUntil > now));
  for (const option of options) {
    if (option.kind !== "prefix-information" || !option.flags.routerAddress) continue;
    const { prefix, validLifetimeSeconds } = option;
    if (!isRoutableUnicast(prefix)) continue;
    if (validLifetimeSeconds === 0) addresses.delete(prefix);
    else if (addresses.has(prefix) || addresses.size < LIMITS.addressesOfHomeAgent.default)
      addresses.set(prefix, after(now, seconds(Math.min(validLifetimeSeconds, FOREVER_SECONDS))));
  }
  return addresses;
}
