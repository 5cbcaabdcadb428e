/**
 * Dynamic home agent address discovery at the home agent (RFC 6275 §10.5, RFC 3963 §7.2) as a machine: `step` takes what the home link and
 * nodes say and gives answers. Requests come from anybody and are answered without any proof; the kernel bounds how many get here.
 */
import { type Ipv6Address, isRoutableUnicast, maskAddress, prefixContains } from "../../../../base/ip.js";
import { exhaustive } from "../../../../base/result.js";
import { after, earliest, type Instant, seconds } from "../../../../base/time.js";
import type { Icmpv6OfType } from "../../../../wire/icmpv6.js";
import type { DropEffect } from "../../inputs.js";
import { LIMITS } from "../../timers.js";
import { HomeAgentsList, type RouterAdvertisement } from "./home-agents-list.js";

export interface DiscoverySite {
  /** Of the home agent itself; answers come from here. */
  readonly address: Ipv6Address;
  /** The home agents anycast address of each home prefix. */
  readonly anycastAddresses: ReadonlySet<Ipv6Address>;
  /** Among the home agents of the home link; higher is better. */
  readonly preference: number;
  /** Whether mobile routers are served here. */
  readonly mobileRouters: boolean;
}

export type DiscoveryRequest = Icmpv6OfType<"home-agent-address-discovery-request">;
export type DiscoveryReply = Icmpv6OfType<"home-agent-address-discovery-reply">;

export type DiscoveryInput =
  /** From another router of the home link, with a hop limit of 255. */
  | { readonly kind: "advertisement"; readonly source: Ipv6Address; readonly advertisement: RouterAdvertisement }
  | {
      readonly kind: "request";
      readonly source: Ipv6Address;
      readonly destination: Ipv6Address;
      readonly request: DiscoveryRequest;
    }
  | { readonly kind: "timer" };

export type DiscoveryEffect =
  | { readonly kind: "send"; readonly destination: Ipv6Address; readonly reply: DiscoveryReply }
  | DropEffect
  /** Another router serves the home link: what is for the anycast addresses has to be drawn to us there, or no longer. */
  | { readonly kind: "defend"; readonly wanted: boolean }
  | {
      readonly kind: "report";
      readonly event: "home-agent.learnt" | "home-agent.gone";
      readonly linkLocal: Ipv6Address;
    };

/** `random`: 0 up to, but not, 1. */
export class DiscoveryState {
  readonly list = new HomeAgentsList();
  /** Routers of the home link by their link-local addresses, until when. */
  readonly routers = new Map<Ipv6Address, Instant>();
  readonly site: DiscoverySite;
  readonly random: () => number;

  constructor(site: DiscoverySite, random: () => number) {
    this.site = site;
    this.random = random;
  }
}

export function step(state: DiscoveryState, input: DiscoveryInput, now: Instant): readonly DiscoveryEffect[] {
  switch (input.kind) {
    case "advertisement":
      return [...expire(state, now), ...hear(state, input.source, input.advertisement, now)];
    case "request":
      return answer(state, input, now);
    case "timer":
      return expire(state, now);
    default:
      return exhaustive(input);
  }
}

export function nextDeadline({ list, routers }: DiscoveryState): Instant | undefined {
  let next = list.nextExpiry;
  for (const until of routers.values()) next = earliest(next, until);
  return next;
}

function hear(
  state: DiscoveryState,
  source: Ipv6Address,
  advertisement: RouterAdvertisement,
  now: Instant,
): readonly DiscoveryEffect[] {
  const effects: DiscoveryEffect[] = [];
  const change = state.list.learn(source, advertisement, now);
  if (change === "full") effects.push({ kind: "drop", reason: "queue-full", detail: `home agent ${source}` });
  if (change === "learnt") effects.push({ kind: "report", event: "home-agent.learnt", linkLocal: source });
  if (change === "gone") effects.push({ kind: "report", event: "home-agent.gone", linkLocal: source });
  return [...effects, ...hearRouter(state, source, advertisement.routerLifetimeSeconds, now)];
}

function hearRouter(
  { routers }: DiscoveryState,
  source: Ipv6Address,
  lifetimeSeconds: number,
  now: Instant,
): readonly DiscoveryEffect[] {
  const before = routers.size;
  if (lifetimeSeconds === 0) routers.delete(source);
  else if (routers.has(source) || before < LIMITS.listedHomeAgents.default)
    routers.set(source, after(now, seconds(lifetimeSeconds)));
  return defence(before, routers.size);
}

function defence(before: number, after: number): readonly DiscoveryEffect[] {
  return before > 0 === after > 0 ? [] : [{ kind: "defend", wanted: after > 0 }];
}

function expire({ list, routers }: DiscoveryState, now: Instant): readonly DiscoveryEffect[] {
  const before = routers.size;
  for (const [source, until] of [...routers]) if (until <= now) routers.delete(source);
  const gone = list.expire(now);
  return [
    ...gone.map((linkLocal) => ({ kind: "report", event: "home-agent.gone", linkLocal }) as const),
    ...defence(before, routers.size),
  ];
}

function answer(
  state: DiscoveryState,
  { source, destination, request }: DiscoveryInput & { kind: "request" },
  now: Instant,
): readonly DiscoveryEffect[] {
  const refuse = (reason: DropEffect["reason"]): readonly DiscoveryEffect[] => [
    { kind: "drop", reason, detail: `home agent address discovery request from ${source} to ${destination}` },
  ];
  if (!state.site.anycastAddresses.has(destination)) return refuse("wrong-destination");
  if (!isRoutableUnicast(source)) return refuse("wrong-source");
  const { identifier, flags } = request;
  const { addresses, mobileRouter } = homeAgentAddresses(state, destination, flags.mobileRouter, now);
  const reply = { type: "home-agent-address-discovery-reply", identifier, flags: { mobileRouter }, addresses } as const;
  return [{ kind: "send", destination: source, reply }];
}

interface Candidate {
  readonly address: Ipv6Address;
  readonly preference: number;
  readonly mobileRouter: boolean;
}

/** What fits into the smallest MTU (1280) beside the IPv6 header (40) and the reply's own (8): RFC 6275 §10.5.1. */
const MAX_ADDRESSES = Math.floor((1280 - 40 - 8) / 16);

/** One address of each home agent, the most preferred first; equals in another order each time. */
function homeAgentAddresses(
  state: DiscoveryState,
  anycast: Ipv6Address,
  wantsMobileRouter: boolean,
  now: Instant,
): { readonly addresses: readonly Ipv6Address[]; readonly mobileRouter: boolean } {
  const all = candidates(state, anycast, now);
  const capable = wantsMobileRouter ? all.filter(({ mobileRouter }) => mobileRouter) : [];
  // Where none serves mobile routers all are told, without R (RFC 3963 §7.2).
  const listed = shuffled(capable.length > 0 ? capable : all, state.random);
  listed.sort((a, b) => b.preference - a.preference);
  return {
    addresses: listed.slice(0, MAX_ADDRESSES).map(({ address }) => address),
    mobileRouter: capable.length > 0,
  };
}

function candidates({ site, list }: DiscoveryState, anycast: Ipv6Address, now: Instant): readonly Candidate[] {
  const found: Candidate[] = [{ address: site.address, preference: site.preference, mobileRouter: site.mobileRouters }];
  const subnet = { address: maskAddress(anycast, 64), length: 64 };
  for (const { addresses, preference, mobileRouter } of list.at(now)) {
    const valid = [...addresses].filter(([, until]) => until > now).map(([address]) => address);
    const address = valid.find((one) => prefixContains(subnet, one)) ?? valid[0];
    if (address !== undefined && found.every((one) => one.address !== address))
      found.push({ address, preference, mobileRouter });
  }
  return found;
}

/** Fisher and Yates. */
function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const copy = [...list];
  for (let last = copy.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [copy[last], copy[other]] = [copy[other] as T, copy[last] as T];
  }
  return copy;
}
