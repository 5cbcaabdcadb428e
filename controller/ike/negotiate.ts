/** Has the IKE daemon negotiate, and tells in its words why that failed. */
import { MobilityError } from "../base/errors.js";
import type { ViciSection } from "../vici/message.js";
import { ANSWER_MS } from "../vici/session.js";
import type { IkeDaemonPort } from "./daemon-port.js";
import { type NegotiationFailure, NegotiationLog, readLogLine } from "./negotiation-log.js";
import { explain } from "./negotiation-remedies.js";

/** Less than three unanswered updates would take (RFC 5555 §4.4.1). */
const INITIATE_MS = 8000;
/** charon's own limit is given in the command and runs from when it gets to it. */
const LIMIT_MS = INITIATE_MS + ANSWER_MS;
/** charon's refusal at its time limit: it goes on repeating itself for minutes and has no word about it in its log yet. */
const OVERDUE = /CHILD_SA '\S+' not established after \d+ms/;

/** charon's reason instead of its bare refusal. */
export class NegotiationError extends MobilityError {
  constructor({ reason, remedy }: Pick<NegotiationFailure, "reason" | "remedy">, options: { readonly cause: unknown }) {
    super("MIP_NEGOTIATION", `${reason}; ${remedy}`, options);
  }
}

/** A child of a connection, with the IKE SA if there is none; or an IKE SA alone. Rejects with NegotiationError, or with ViciError. */
export async function negotiate(
  daemon: IkeDaemonPort,
  what: { readonly ike: string; readonly child?: string },
): Promise<void> {
  const log = new NegotiationLog();
  let failure: NegotiationFailure | undefined;
  const onMessage = (message: ViciSection): void => {
    const line = readLogLine(message);
    failure = (line && log.take(line)) ?? failure;
  };
  const section = { ...what, timeout: String(INITIATE_MS) };
  try {
    await daemon.stream("initiate", section, "control-log", { timeoutMs: LIMIT_MS, onMessage });
  } catch (error) {
    const overdue = OVERDUE.exec((error as Error).message)?.[0];
    const told = failure ?? (overdue === undefined ? undefined : explain(overdue, []));
    if (told === undefined) throw error;
    throw new NegotiationError(told, { cause: error });
  }
}
