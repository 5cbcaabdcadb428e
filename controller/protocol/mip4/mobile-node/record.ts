/** What the journal keeps of the node's registration machine: plain JSON values, and times that were left when it was written. */
import { formatPrefix, type Ipv4Address, isIpv6, parseIpv4, parseIpv6, parsePrefix } from "../../../base/ip.js";
import { after, elapsed, type Instant, seconds } from "../../../base/time.js";
import type { Identification } from "../../../wire/mip4/messages/registration.js";
import type { RegisteredPrefix } from "../inputs.js";
import type { PathEnd } from "./inputs.js";
import type { MobileNodeState, Registered, Tunnel } from "./model.js";
import { type IdentificationState, NO_HISTORY } from "./own-identification.js";

type JsonObject = Readonly<Record<string, unknown>>;

/** What outlives the process. */
export interface Kept {
  readonly identification: IdentificationState;
  /** The node is, or may be, bound at the home agent. */
  readonly mayBeBound: boolean;
  /** Lent to it, or its own. */
  readonly homeAddress: Ipv4Address | undefined;
  /** One that was found; undefined: it is configured, or none was. */
  readonly homeAgent?: Ipv4Address | undefined;
  /** At a care-of address of the node's own, so that payload goes on in the same tunnel; an agent has to be heard first. */
  readonly binding?: { readonly registered: Registered; readonly tunnel: Tunnel } | undefined;
}

export function recordOf(state: MobileNodeState, now: Instant): JsonObject {
  const { identification, mayBeBound, homeAddress, homeAgent, site } = state;
  const { correctionSeconds, latest, nonce } = identification;
  const found = site.findsHomeAgent === true && homeAgent !== site.homeAgent ? homeAgent : null;
  return {
    kind: "mip4-node",
    correctionSeconds,
    latest: latest ?? null,
    nonce: nonce ?? null,
    mayBeBound,
    homeAddress: homeAddress ?? null,
    homeAgent: found,
    binding: bindingOf(state, now),
  };
}

function bindingOf({ registered, tunnel }: MobileNodeState, now: Instant): JsonObject | null {
  if (registered === undefined || tunnel === undefined) return null;
  const { mode: _, egress, prefixes, keepaliveSeconds, linkLocalAddress, ...more } = tunnel;
  if (egress.kind !== "co-located") return null;
  const { grantedSeconds, expiresAt } = registered;
  return {
    ...more,
    device: egress.device,
    careOfAddress: egress.address,
    keepaliveSeconds: keepaliveSeconds ?? null,
    linkLocalAddress: linkLocalAddress ?? null,
    prefixes: prefixes.map(({ prefix, mode }) => ({ prefix: formatPrefix(prefix), mode })),
    grantedSeconds,
    remainingSeconds: expiresAt === undefined ? null : elapsed(now, expiresAt),
  };
}

/** The record as of its age later; undefined if it is none. What can't be read of it costs the rest nothing. */
export function parseRecord(record: JsonObject, ageSeconds: number, now: Instant): Kept | undefined {
  const { kind, correctionSeconds, latest, nonce, mayBeBound, homeAddress, homeAgent, binding } = record;
  if (kind !== "mip4-node") return undefined;
  const isCorrection = typeof correctionSeconds === "number" && Number.isInteger(correctionSeconds);
  const corrected = isCorrection ? { correctionSeconds } : NO_HISTORY;
  const identification = { ...corrected, latest: identificationOf(latest), nonce: unsigned32(nonce) };
  return {
    ...{ identification, mayBeBound: mayBeBound === true },
    ...{ homeAddress: addressOf(homeAddress), homeAgent: addressOf(homeAgent) },
    binding: isObject(binding) ? parseBinding(binding, Math.max(0, ageSeconds), now) : undefined,
  };
}

function parseBinding(value: JsonObject, ageSeconds: number, now: Instant): Kept["binding"] {
  const { device, careOfAddress, grantedSeconds: granted, remainingSeconds: remaining } = value;
  const address = addressOf(careOfAddress);
  const grantedSeconds = unsigned32(granted);
  if (typeof device !== "string" || address === undefined || grantedSeconds === undefined) return undefined;
  const left = typeof remaining === "number" ? remaining - ageSeconds : undefined;
  if (remaining !== null && !(left !== undefined && left > 0)) return undefined;
  const egress = { kind: "co-located", device, address } as const;
  const tunnel = tunnelOf(value, egress);
  const expiresAt = left === undefined ? undefined : after(now, seconds(left));
  return tunnel && { registered: { attachment: egress, grantedSeconds, expiresAt }, tunnel };
}

function tunnelOf(value: JsonObject, egress: PathEnd): Tunnel | undefined {
  const { encapsulation, reverseTunnelling, prefixes: list, keepaliveSeconds: silence } = value;
  const { homeAddress: home, homeAgent: agent, linkLocalAddress: linkLocal } = value;
  const [homeAddress, homeAgent] = [addressOf(home), addressOf(agent)];
  if (homeAddress === undefined || homeAgent === undefined || typeof reverseTunnelling !== "boolean") return undefined;
  if (encapsulation !== "ip-in-ip" && encapsulation !== "gre") return undefined;
  const keepaliveSeconds = silence === null ? undefined : unsigned32(silence);
  const linkLocalAddress = typeof linkLocal === "string" ? parseIpv6(linkLocal) : undefined;
  const prefixes = Array.isArray(list) ? list.map(prefixOf) : [undefined];
  const whole = prefixes.filter((one) => one !== undefined);
  if (whole.length < prefixes.length) return undefined;
  if ((silence !== null && keepaliveSeconds === undefined) || (linkLocal !== null && linkLocalAddress === undefined))
    return undefined;
  return {
    ...{ mode: "away", homeAddress, homeAgent, egress, encapsulation, keepaliveSeconds },
    ...{ reverseTunnelling, prefixes: whole, linkLocalAddress },
  };
}

function prefixOf(value: unknown): RegisteredPrefix | undefined {
  const { mode, prefix: text } = isObject(value) ? value : {};
  const prefix = typeof text === "string" ? parsePrefix(text) : undefined;
  const isWhole = prefix !== undefined && isIpv6(prefix.address);
  return isWhole && (mode === "home-address" || mode === "care-of-address") ? { prefix, mode } : undefined;
}

const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null;

const addressOf = (value: unknown): Ipv4Address | undefined =>
  typeof value === "string" ? parseIpv4(value) : undefined;

function identificationOf(value: unknown): Identification | undefined {
  if (!isObject(value)) return undefined;
  const { high: whole, low: fraction } = value;
  const [high, low] = [unsigned32(whole), unsigned32(fraction)];
  return high === undefined || low === undefined ? undefined : { high, low };
}

const unsigned32 = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffffffff ? value : undefined;
