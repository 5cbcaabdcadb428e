/** What charon said no to, or did not say at all. */
import { MobilityError } from "../base/errors.js";

/**
 * `refused`: charon carried the command out as far as it could and said no. `unknown-command`, `unknown-event`: this charon has no such
 * thing (a plugin that is not loaded, another version). `malformed`: an answer or event that is no VICI. `lost`: the connection ended
 * before the answer. `timeout`: no answer in time; the connection was closed. `down`: there is no connection now. `owner`: what the
 * owner does after each connect failed.
 */
export type ViciReason =
  | "refused"
  | "unknown-command"
  | "unknown-event"
  | "malformed"
  | "lost"
  | "timeout"
  | "down"
  | "owner";

export interface ViciErrorDetails {
  readonly reason: ViciReason;
  /** Name of the command, or of the event whose registration was asked for. */
  readonly command?: string;
  /** charon's own words; it names keys and types in them, never values. */
  readonly errmsg?: string;
  /** The command was sent and its answer is missing: charon may have carried it out. */
  readonly outcomeUnknown?: true;
}

export class ViciError extends MobilityError {
  readonly details: ViciErrorDetails;

  constructor(message: string, details: ViciErrorDetails, options?: { cause?: unknown }) {
    super("MIP_VICI", message, options);
    this.details = details;
  }
}

/** The rejection of a command because of what ended the connection. */
export function missing(
  name: string,
  what: string,
  { message, details }: ViciError,
  outcomeUnknown = false,
): ViciError {
  if (outcomeUnknown && details.reason === "timeout" && details.command === name)
    return new ViciError(message, { ...details, outcomeUnknown });
  return new ViciError(`${name} ${what}: ${message}`, {
    reason: details.reason === "timeout" ? "lost" : details.reason,
    command: name,
    ...(outcomeUnknown ? { outcomeUnknown } : {}),
  });
}

/** Octets that are no message, or an answer that is none. */
export function unreadable(what: string, details: Omit<ViciErrorDetails, "reason">, cause: unknown): ViciError {
  const why = cause instanceof MobilityError ? cause.message : String(cause);
  return new ViciError(`${what} cannot be read: ${why}`, { reason: "malformed", ...details }, { cause });
}
