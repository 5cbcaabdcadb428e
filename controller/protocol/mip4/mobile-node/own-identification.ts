/**
 * The Identification of the node's requests (RFC 5944 §5.7). Timestamps are our time of day, put right by what the home agent has told, and
 * each later than all before it; nonces are the home agent's in the high half and ours in the low half.
 */
import type { Identification } from "../../../wire/mip4/messages/registration.js";
import { isLater, type ReplayProtection } from "../identification.js";
import type { Moment } from "./inputs.js";

/** What the journal keeps, so that timestamps do not go back. */
export interface IdentificationState {
  /** Seconds to be added to our time of day, modulo 2^32. */
  readonly correctionSeconds: number;
  /** Of the latest request. */
  readonly latest?: Identification | undefined;
  /** From the latest authentic reply. */
  readonly nonce?: number | undefined;
}

export const NO_HISTORY: IdentificationState = { correctionSeconds: 0 };

const next = ({ high, low }: Identification): Identification =>
  low === 0xffffffff ? { high: (high + 1) >>> 0, low: 0 } : { high, low: low + 1 };

export function nextIdentification(
  state: IdentificationState,
  { kind }: Pick<ReplayProtection, "kind">,
  { timeOfDay, random }: Moment,
): Identification {
  if (kind === "nonces") {
    const low = random >>> 0;
    return { high: state.nonce ?? 0, low: low === state.latest?.low ? (low + 1) >>> 0 : low };
  }
  const ours = { high: (timeOfDay.high + state.correctionSeconds) >>> 0, low: timeOfDay.low };
  return state.latest === undefined || isLater(ours, state.latest) ? ours : next(state.latest);
}

/** The clock is put right by an authentic refusal (133). What was sent with the wrong one is no measure any more. */
export function corrected(
  state: IdentificationState,
  told: Identification,
  { timeOfDay }: Moment,
): IdentificationState {
  return { ...state, correctionSeconds: (told.high - timeOfDay.high) | 0, latest: undefined };
}
