/** What the journal keeps of a node: its replay protection, and its binding while it has one. Plain JSON values. */
import {
  formatPrefix,
  type Ipv4Address,
  type Ipv6Address,
  parseIpv4,
  parseIpv6,
  parsePrefix,
} from "../../../base/ip.js";
import { elapsed, type Instant } from "../../../base/time.js";
import { type Identification, INFINITE_LIFETIME_SECONDS } from "../../../wire/mip4/messages/registration.js";
import type { ReplayState } from "../identification.js";
import type { NodeName, RegisteredPrefix, TunnelEnd } from "../inputs.js";
import type { Established, Registration } from "./binding-table.js";
import type { StoredNode } from "./inputs.js";

type JsonObject = Readonly<Record<string, unknown>>;

/** Undefined if there is nothing to keep. `remainingSeconds` is null for a binding without an end. */
export function recordOf(
  node: NodeName,
  established: Established | undefined,
  replay: ReplayState | undefined,
  now: Instant,
): JsonObject | undefined {
  if (established === undefined && replay === undefined) return undefined;
  return {
    kind: "mip4",
    node,
    latest: replay?.latest ?? null,
    nonce: replay?.nonce ?? null,
    binding: established === undefined ? null : bindingOf(established, now),
  };
}

function bindingOf({ registration, expiresAt }: Established, now: Instant): JsonObject {
  const { prefixes, linkLocalAddress, ...others } = registration;
  return {
    ...others,
    linkLocalAddress: linkLocalAddress ?? null,
    prefixes: prefixes.map(({ prefix, mode }) => ({ prefix: formatPrefix(prefix), mode })),
    remainingSeconds: expiresAt === undefined ? null : elapsed(now, expiresAt),
  };
}

export interface NodeRecord {
  readonly node: NodeName;
  readonly replay: ReplayState;
  /** Absent: its time is over, or there was none. */
  readonly binding?: { readonly registration: Registration; readonly remainingSeconds: number | undefined } | undefined;
}

/** The record as of its age later; undefined if it is none. A binding that can't be read costs the replay protection nothing. */
export function parseRecord({ record, ageSeconds }: StoredNode): NodeRecord | undefined {
  const { kind, node: name, latest, nonce, binding } = record;
  const node = textual(name, parseIpv6);
  if (kind !== "mip4" || node === undefined) return undefined;
  const replay = { latest: identificationOf(latest), nonce: unsigned(nonce, 0xffffffff) };
  return { node, replay, binding: parseBinding(binding, Math.max(0, ageSeconds)) };
}

function parseBinding(value: unknown, ageSeconds: number): NodeRecord["binding"] {
  if (!isObject(value)) return undefined;
  const registration = registrationOf(value);
  if (registration === undefined) return undefined;
  const { remainingSeconds } = value;
  if (registration.lifetimeSeconds === INFINITE_LIFETIME_SECONDS) return { registration, remainingSeconds: undefined };
  if (typeof remainingSeconds !== "number" || !(remainingSeconds - ageSeconds > 0)) return undefined;
  return { registration, remainingSeconds: remainingSeconds - ageSeconds };
}

function registrationOf(value: JsonObject): Registration | undefined {
  const { homeAddress: home, careOfAddress: careOf, lifetimeSeconds: lifetime, linkLocalAddress: linkLocal } = value;
  const { end: tunnel, identification: id, prefixes: list } = value;
  const homeAddress = textual(home, parseIpv4);
  const careOfAddress = textual(careOf, parseIpv4);
  const end = endOf(tunnel);
  const identification = identificationOf(id);
  const lifetimeSeconds = unsigned(lifetime, INFINITE_LIFETIME_SECONDS);
  const prefixes = Array.isArray(list) ? list.map(prefixOf) : [undefined];
  const linkLocalAddress = linkLocal === null ? undefined : textual(linkLocal, parseIpv6);
  const { coLocated, reverseTunnelling, natDetected } = value;
  if (homeAddress === undefined || careOfAddress === undefined || end === undefined) return undefined;
  if (identification === undefined || lifetimeSeconds === undefined || lifetimeSeconds === 0) return undefined;
  if (typeof coLocated !== "boolean" || typeof reverseTunnelling !== "boolean") return undefined;
  const whole = prefixes.filter((one) => one !== undefined);
  if (typeof natDetected !== "boolean" || whole.length < prefixes.length) return undefined;
  const flags = { coLocated, reverseTunnelling, natDetected };
  return {
    homeAddress,
    careOfAddress,
    end,
    ...flags,
    prefixes: whole,
    linkLocalAddress,
    identification,
    lifetimeSeconds,
  };
}

function endOf(value: unknown): TunnelEnd | undefined {
  if (!isObject(value)) return undefined;
  const { encapsulation, transport, address: text, port: number } = value;
  const address = textual(text, parseIpv4);
  if (address === undefined || (encapsulation !== "ip-in-ip" && encapsulation !== "gre")) return undefined;
  if (transport === "ip") return { transport, address, encapsulation };
  const port = unsigned(number, 0xffff);
  return transport === "udp" && port !== undefined ? { transport, address, port, encapsulation } : undefined;
}

function prefixOf(value: unknown): RegisteredPrefix | undefined {
  if (!isObject(value)) return undefined;
  const { mode, prefix: text } = value;
  const prefix = textual(text, parsePrefix);
  return prefix !== undefined && (mode === "home-address" || mode === "care-of-address") ? { prefix, mode } : undefined;
}

function identificationOf(value: unknown): Identification | undefined {
  if (!isObject(value)) return undefined;
  const { high: seconds, low: fraction } = value;
  const [high, low] = [unsigned(seconds, 0xffffffff), unsigned(fraction, 0xffffffff)];
  return high === undefined || low === undefined ? undefined : { high, low };
}

const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null;
const unsigned = (value: unknown, most: number): number | undefined =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most ? value : undefined;
const textual = <T extends Ipv4Address | Ipv6Address | object>(
  value: unknown,
  parse: (text: string) => T | undefined,
): T | undefined => (typeof value === "string" ? parse(value) : undefined);
