/** What the journal keeps of a visitor, and of the agent itself. Plain JSON values. */
import { type Ipv4Address, parseIpv4 } from "../../../base/ip.js";
import { elapsed, type Instant } from "../../../base/time.js";
import { INFINITE_LIFETIME_SECONDS } from "../../../wire/mip4/messages/registration.js";
import type { StoredVisitor } from "./inputs.js";
import type { Visit, VisitorEntry } from "./visitors.js";

type JsonObject = Readonly<Record<string, unknown>>;

/** Key of what is kept of the agent itself. */
export const AGENT_KEY = "agent";

/** `remainingSeconds` is null for a visitor without an end. */
export function recordOf({ key, expiresAt }: VisitorEntry, visit: Visit, now: Instant): JsonObject {
  const { path, ...others } = visit;
  const { visitor: _key, ...parts } = path;
  return {
    kind: "visitor",
    key,
    ...parts,
    ...others,
    identifier: others.identifier ?? null,
    accepted: others.accepted ?? null,
    remainingSeconds: expiresAt === undefined ? null : elapsed(now, expiresAt),
  };
}

/** No number up to this one is used for advertisements after a restart. */
export const agentRecord = (sequence: number): JsonObject => ({ kind: "foreign-agent", sequence });

export type ParsedRecord =
  | {
      readonly kind: "visitor";
      readonly key: string;
      readonly visit: Visit;
      readonly remainingSeconds: number | undefined;
    }
  | { readonly kind: "agent"; readonly sequence: number };

/** As of its age later; undefined: it is none, or its time is over. */
export function parseRecord({ record, ageSeconds }: StoredVisitor): ParsedRecord | undefined {
  if (record["kind"] === "foreign-agent") {
    const sequence = unsigned(record["sequence"], 0xffff);
    return sequence === undefined ? undefined : { kind: "agent", sequence };
  }
  return record["kind"] === "visitor" ? parseVisitor(record, Math.max(0, ageSeconds)) : undefined;
}

function parseVisitor(record: JsonObject, ageSeconds: number): ParsedRecord | undefined {
  const key = text(record["key"]);
  const homeAddress = address(record["homeAddress"]);
  const homeAgent = address(record["homeAgent"]);
  const careOfAddress = address(record["careOfAddress"]);
  const device = text(record["device"]);
  const linkAddress = text(record["linkAddress"]);
  const encapsulation = record["encapsulation"];
  const number = unsigned(record["number"], 0xffffff);
  const homeAgentNumber = unsigned(record["homeAgentNumber"], 0xffffff);
  const lifetimeSeconds = unsigned(record["lifetimeSeconds"], INFINITE_LIFETIME_SECONDS);
  const { decapsulates, reverseTunnelling, separate, remainingSeconds } = record as Record<string, unknown>;
  if (key === undefined || homeAddress === undefined || homeAgent === undefined || careOfAddress === undefined) return;
  if (device === undefined || linkAddress === undefined || !/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(linkAddress)) return;
  if (encapsulation !== "ip-in-ip" && encapsulation !== "gre") return;
  if (number === undefined || homeAgentNumber === undefined || lifetimeSeconds === undefined) return;
  if (typeof decapsulates !== "boolean" || typeof reverseTunnelling !== "boolean" || typeof separate !== "boolean")
    return;
  const left = remainingAfter(remainingSeconds, lifetimeSeconds, ageSeconds);
  if (left === "over" || key !== `${homeAddress} ${homeAgent}`) return;
  const ends = { visitor: key, homeAddress, homeAgent, device, linkAddress };
  const path = { ...ends, decapsulates, reverseTunnelling, encapsulation, number, homeAgentNumber, separate } as const;
  const identifier = text(record["identifier"]);
  const accepted = identification(record["accepted"]);
  const visit = { path, careOfAddress, identifier, accepted, lifetimeSeconds };
  return { kind: "visitor", key, visit, remainingSeconds: left };
}

function remainingAfter(value: unknown, lifetimeSeconds: number, age: number): number | undefined | "over" {
  if (value === null && lifetimeSeconds === INFINITE_LIFETIME_SECONDS) return undefined;
  return typeof value === "number" && value - age > 0 ? value - age : "over";
}

/** Journals of before have none. */
function identification(value: unknown): Visit["accepted"] {
  const { high, low } = typeof value === "object" && value !== null ? (value as JsonObject) : {};
  const [left, right] = [unsigned(high, 0xffffffff), unsigned(low, 0xffffffff)];
  return left === undefined || right === undefined ? undefined : { high: left, low: right };
}

const unsigned = (value: unknown, most: number): number | undefined =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most ? value : undefined;
const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const address = (value: unknown): Ipv4Address | undefined => (typeof value === "string" ? parseIpv4(value) : undefined);
