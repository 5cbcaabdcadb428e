/**
 * Multicast group memberships of nodes that are away (RFC 6275 §10.4.3): `step` takes what nodes report through their tunnels and gives who
 * listens to what. A tunnel has one listener, so each node is known by itself, and who leaves is taken at its word; what is not reported
 * again within the membership interval ends (RFC 3810 §9.4). All of it ends with the binding. Sources are left to the node's own kernel:
 * who listens to some of a group's gets all.
 */
import { DeadlineQueue } from "../../../../base/deadline-queue.js";
import { type IpAddress, type Ipv4Address, type Ipv6Address, isIpv4 } from "../../../../base/ip.js";
import { exhaustive } from "../../../../base/result.js";
import { after, earliest, type Instant, seconds } from "../../../../base/time.js";
import { type IgmpMessage, type MldMessage, RecordType } from "../../../../wire/ip/membership.js";
import type { DropEffect, DropReason, NotifyEffect } from "../../inputs.js";
import { scopeOf } from "./scope.js";

export interface MulticastSite {
  /** Between general queries to each node (RFC 3810 §9.2). */
  readonly queryIntervalSeconds: number;
  /** So many queries in a row may stay without a report (RFC 3810 §9.1). */
  readonly robustness: number;
  readonly mostMembersPerGroup: number;
  readonly mostGroupsPerNode: number;
  readonly mostGroups: number;
  /** Groups of scopes between link-local and global are sent to nodes, too. */
  readonly localScopes: boolean;
}

/** Within which nodes answer a query (RFC 3810 §9.3). */
export const QUERY_RESPONSE_SECONDS = 10;
/** The first ones of a binding are answered sooner, so that a node that was somewhere else, or a home agent that begins anew, does not wait. */
export const FIRST_RESPONSE_SECONDS = 1;

export type MulticastInput =
  | { readonly kind: "bound"; readonly homeAddress: Ipv6Address; readonly ipv4HomeAddress?: Ipv4Address | undefined }
  | { readonly kind: "unbound"; readonly homeAddress: Ipv6Address }
  /** From a node, as is proved. */
  | { readonly kind: "report"; readonly homeAddress: Ipv6Address; readonly message: MldMessage | IgmpMessage }
  | { readonly kind: "timer" };

export type MulticastEffect =
  | { readonly kind: "joined" | "left"; readonly homeAddress: Ipv6Address; readonly group: IpAddress }
  /** Ask the node for all its groups, of every family that it has an address of. */
  | { readonly kind: "query"; readonly homeAddress: Ipv6Address; readonly responseSeconds: number }
  | DropEffect
  | NotifyEffect;

interface Listener {
  ipv4HomeAddress: Ipv4Address | undefined;
  /** Until when, if it is not reported again. */
  readonly groups: Map<IpAddress, Instant>;
  queries: number;
  nextQuery: Instant;
}

export class MulticastState {
  readonly site: MulticastSite;
  readonly listeners = new Map<Ipv6Address, Listener>();
  readonly groups = new Map<IpAddress, Set<Ipv6Address>>();
  readonly queue = new DeadlineQueue<Ipv6Address>();

  constructor(site: MulticastSite) {
    this.site = site;
  }
}

export function step(state: MulticastState, input: MulticastInput, now: Instant): readonly MulticastEffect[] {
  switch (input.kind) {
    case "bound":
      return bind(state, input.homeAddress, input.ipv4HomeAddress, now);
    case "unbound":
      return unbind(state, input.homeAddress);
    case "report":
      return report(state, input.homeAddress, input.message, now);
    case "timer":
      return expire(state, now);
    default:
      return exhaustive(input);
  }
}

export function nextDeadline({ queue }: MulticastState): Instant | undefined {
  return queue.next;
}

/** Who listens to what, and how long without another report. */
export function* memberships({ groups, listeners }: MulticastState): Iterable<{
  readonly group: IpAddress;
  readonly members: readonly { readonly homeAddress: Ipv6Address; readonly until: Instant }[];
}> {
  for (const [group, members] of groups)
    yield {
      group,
      members: [...members].flatMap((homeAddress) => {
        const until = listeners.get(homeAddress)?.groups.get(group);
        return until === undefined ? [] : [{ homeAddress, until }];
      }),
    };
}

/** A node moves, too: its groups stay, and it is asked at its new place. */
function bind(
  state: MulticastState,
  homeAddress: Ipv6Address,
  ipv4HomeAddress: Ipv4Address | undefined,
  now: Instant,
): readonly MulticastEffect[] {
  const { listeners } = state;
  const listener = listeners.get(homeAddress) ?? { ipv4HomeAddress, groups: new Map(), queries: 0, nextQuery: now };
  listeners.set(homeAddress, listener);
  listener.ipv4HomeAddress = ipv4HomeAddress;
  listener.queries = 0;
  listener.nextQuery = after(now, seconds(FIRST_RESPONSE_SECONDS));
  const lost = ipv4HomeAddress === undefined ? [...listener.groups.keys()].filter(isIpv4) : [];
  const effects = lost.flatMap((group) => leave(state, homeAddress, group, "address"));
  schedule(state, homeAddress, listener);
  return effects;
}

function unbind(state: MulticastState, homeAddress: Ipv6Address): readonly MulticastEffect[] {
  const listener = state.listeners.get(homeAddress);
  if (listener === undefined) return [];
  const effects = [...listener.groups.keys()].flatMap((group) => leave(state, homeAddress, group, "binding"));
  state.listeners.delete(homeAddress);
  state.queue.set(homeAddress, undefined);
  return effects;
}

function schedule({ queue }: MulticastState, homeAddress: Ipv6Address, { groups, nextQuery }: Listener): void {
  queue.set(homeAddress, earliest(nextQuery, ...groups.values()));
}

function expire(state: MulticastState, now: Instant): readonly MulticastEffect[] {
  const effects: MulticastEffect[] = [];
  for (;;) {
    const homeAddress = state.queue.takeDue(now);
    const listener = homeAddress && state.listeners.get(homeAddress);
    if (homeAddress === undefined || listener === undefined) return effects;
    for (const [group, until] of [...listener.groups])
      if (until <= now) for (const effect of leave(state, homeAddress, group, "silent")) effects.push(effect);
    if (listener.nextQuery <= now) effects.push(query(state.site, homeAddress, listener, now));
    schedule(state, homeAddress, listener);
  }
}

/** As many at the beginning as may be lost, close to each other (RFC 3810 §9.6, §9.7). */
function query(site: MulticastSite, homeAddress: Ipv6Address, listener: Listener, now: Instant): MulticastEffect {
  const isFirst = listener.queries < site.robustness;
  listener.queries++;
  const pause =
    listener.queries < site.robustness ? Math.min(site.queryIntervalSeconds / 4, 5) : site.queryIntervalSeconds;
  listener.nextQuery = after(now, seconds(pause));
  return { kind: "query", homeAddress, responseSeconds: isFirst ? FIRST_RESPONSE_SECONDS : QUERY_RESPONSE_SECONDS };
}

function report(
  state: MulticastState,
  homeAddress: Ipv6Address,
  message: MldMessage | IgmpMessage,
  now: Instant,
): readonly MulticastEffect[] {
  const listener = state.listeners.get(homeAddress);
  if (listener === undefined) return [drop("unknown-binding", homeAddress, "a membership report")];
  const effects: MulticastEffect[] = [];
  for (const { group, listens } of changesIn(message))
    for (const effect of listens ? join(state, homeAddress, group, now) : leave(state, homeAddress, group, "left"))
      effects.push(effect);
  schedule(state, homeAddress, listener);
  return effects;
}

interface Change {
  readonly group: IpAddress;
  readonly listens: boolean;
}

function changesIn(message: MldMessage | IgmpMessage): readonly Change[] {
  switch (message.type) {
    case "query":
      return []; // another router's business
    case "report":
      return [{ group: message.group, listens: true }];
    case "done":
      return [{ group: message.group, listens: false }];
    case "records":
      return message.records.flatMap(({ recordType, group, sources }) => {
        const listens = listensBy(recordType, sources.length);
        return listens === undefined ? [] : [{ group, listens }];
      });
    default:
      return exhaustive(message);
  }
}

/** Of one record (RFC 3810 §5.2.12); undefined: it says nothing about whether the node listens at all. */
function listensBy(recordType: number, sources: number): boolean | undefined {
  switch (recordType) {
    case RecordType.modeIsExclude:
    case RecordType.changeToExclude:
      return true;
    case RecordType.modeIsInclude:
    case RecordType.changeToInclude:
      return sources > 0;
    case RecordType.allowNewSources:
      return sources > 0 ? true : undefined;
    default:
      return undefined; // BLOCK: the rest it tells when it is asked, and what it does not tell ends
  }
}

function join(
  state: MulticastState,
  homeAddress: Ipv6Address,
  group: IpAddress,
  now: Instant,
): readonly MulticastEffect[] {
  const { site, groups } = state;
  const listener = state.listeners.get(homeAddress);
  if (listener === undefined) return [];
  const scope = scopeOf(group);
  // Every node listens to groups of its link, and says so.
  if (scope === "link") return [];
  if (scope === "none" || (scope === "local" && !site.localScopes))
    return [drop("multicast-scope", homeAddress, group)];
  if (isIpv4(group) && listener.ipv4HomeAddress === undefined) return [drop("wrong-source", homeAddress, group)];
  const members = groups.get(group);
  const until = after(now, seconds(site.robustness * site.queryIntervalSeconds + QUERY_RESPONSE_SECONDS));
  if (members?.has(homeAddress) === true) {
    listener.groups.set(group, until);
    return [];
  }
  const isFull =
    listener.groups.size >= site.mostGroupsPerNode ||
    (members === undefined ? groups.size >= site.mostGroups : members.size >= site.mostMembersPerGroup);
  if (isFull) return [drop("multicast-limit", homeAddress, group)];
  if (members === undefined) groups.set(group, new Set([homeAddress]));
  else members.add(homeAddress);
  listener.groups.set(group, until);
  return [{ kind: "joined", homeAddress, group }, notice("multicast.joined", homeAddress, { group })];
}

function leave(
  { listeners, groups }: MulticastState,
  homeAddress: Ipv6Address,
  group: IpAddress,
  why: "left" | "silent" | "binding" | "address",
): readonly MulticastEffect[] {
  if (listeners.get(homeAddress)?.groups.delete(group) !== true) return [];
  const members = groups.get(group);
  members?.delete(homeAddress);
  if (members?.size === 0) groups.delete(group);
  return [{ kind: "left", homeAddress, group }, notice("multicast.left", homeAddress, { group, why })];
}

const drop = (reason: DropReason, homeAddress: Ipv6Address, what: string): DropEffect => ({
  kind: "drop",
  reason,
  detail: `${what} of ${homeAddress}`,
});

const notice = (
  event: "multicast.joined" | "multicast.left",
  homeAddress: Ipv6Address,
  detail: Readonly<Record<string, string>>,
): NotifyEffect => ({ kind: "notify", event: { event, homeAddress, detail } });
