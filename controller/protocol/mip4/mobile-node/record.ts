/** What the journal keeps of the node's registration machine: plain JSON values. */
import { type Ipv4Address, parseIpv4 } from "../../../base/ip.js";
import type { Identification } from "../../../wire/mip4/messages/registration.js";
import type { IdentificationState } from "./own-identification.js";

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
}

export function recordOf({ identification, mayBeBound, homeAddress, homeAgent }: Kept): JsonObject {
  const { correctionSeconds, latest, nonce } = identification;
  return {
    kind: "mip4-node",
    correctionSeconds,
    latest: latest ?? null,
    nonce: nonce ?? null,
    mayBeBound,
    homeAddress: homeAddress ?? null,
    homeAgent: homeAgent ?? null,
  };
}

/** Undefined if the record is none. */
export function parseRecord(record: JsonObject): Kept | undefined {
  const { kind, correctionSeconds, latest, nonce, mayBeBound, homeAddress, homeAgent } = record;
  if (kind !== "mip4-node" || typeof correctionSeconds !== "number" || !Number.isInteger(correctionSeconds)) {
    return undefined;
  }
  const identification = { correctionSeconds, latest: identificationOf(latest), nonce: unsigned32(nonce) };
  return {
    ...{ identification, mayBeBound: mayBeBound === true },
    ...{ homeAddress: addressOf(homeAddress), homeAgent: addressOf(homeAgent) },
  };
}

const addressOf = (value: unknown): Ipv4Address | undefined =>
  typeof value === "string" ? parseIpv4(value) : undefined;

function identificationOf(value: unknown): Identification | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { high: seconds, low: fraction } = value as JsonObject;
  const [high, low] = [unsigned32(seconds), unsigned32(fraction)];
  return high === undefined || low === undefined ? undefined : { high, low };
}

const unsigned32 = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffffffff ? value : undefined;
