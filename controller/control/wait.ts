/** `dsmipctl wait`: follows the events of a mobile node until it is where one wants it. Asks once for each change, never by the clock. */
import { setTimeout as delay } from "node:timers/promises";
import { eventDocument, type Readiness, statusDocument } from "../../schemas/control.js";
import { MobilityError } from "../base/errors.js";
import { parseIpv6 } from "../base/ip.js";
import { fetchDocument, followLines } from "./client.js";

export interface WaitOptions {
  readonly socketPath: string;
  /** Absent: for ever. */
  readonly timeoutSeconds?: number;
  /** Called once while there is no daemon to ask, with the reason. */
  readonly onAbsent: (reason: string) => void;
}

/** Between two attempts to reach a daemon that is not there; a socket tells nobody when it is made. */
const ABSENT_RETRY_MS = 500;
/** The daemon is not there yet, not there any more, or has stopped on the way. */
const PASSING: ReadonlySet<string | undefined> = new Set(["ENOENT", "ECONNREFUSED", "ECONNRESET", "EPIPE", "EAGAIN"]);

/**
 * Resolves when the node is in the wanted state, at once if it is already; with the last state known if the time is over before. A
 * daemon that is not there is waited for too. Throws MobilityError: MIP_USAGE if the daemon is no mobile node's, and what else stands
 * between us and it.
 */
export async function waitForReadiness(
  wanted: Readiness,
  { socketPath, timeoutSeconds, onAbsent }: WaitOptions,
): Promise<{ readonly reached: boolean; readonly last: Readiness | undefined }> {
  const over = new AbortController();
  const timer = timeoutSeconds === undefined ? undefined : setTimeout(() => over.abort(), timeoutSeconds * 1000);
  let last: Readiness | undefined;
  let absent = false;
  try {
    while (!over.signal.aborted) {
      try {
        await followOnce(socketPath, over.signal, (state) => {
          last = state;
          return state === wanted;
        });
        if (last === wanted) return { reached: true, last };
      } catch (error) {
        if (!(error instanceof MobilityError) || !PASSING.has(codeOf(error))) throw error;
        if (!absent) onAbsent(error.message);
        absent = true;
      }
      if (over.signal.aborted) break;
      last = undefined;
      await delay(ABSENT_RETRY_MS, undefined, { signal: over.signal }).catch(() => undefined); // ignored: the time is over
    }
    return { reached: false, last };
  } finally {
    clearTimeout(timer);
  }
}

/** Tells `isEnough` each state until it says yes; ends then, with the daemon, or with `signal`. */
async function followOnce(
  socketPath: string,
  signal: AbortSignal,
  isEnough: (state: Readiness) => boolean,
): Promise<void> {
  const enough = new AbortController();
  const tell = (state: Readiness): void => {
    if (isEnough(state)) enough.abort();
  };
  let failed: unknown;
  let told = false;
  /** Of a node with several home addresses each event tells of one of them, and the answer of all. */
  let areSeveral = false;
  const ask = async (): Promise<void> => {
    const { readiness, addresses } = statusDocument.parse(await fetchDocument(socketPath, "/status"));
    if (readiness === null)
      throw new MobilityError("MIP_USAGE", `${socketPath}: dsmipd is a home agent here; only a mobile node registers`);
    areSeveral = addresses.filter((address) => parseIpv6(address) !== undefined).length > 1;
    // What an event has told meanwhile is newer.
    if (!told || areSeveral) tell(readiness);
  };
  const look = (): void =>
    void ask().catch((error: unknown) => {
      failed = error;
      enough.abort();
    });
  await followLines(
    socketPath,
    "/events",
    (line) => {
      const { event, detail } = eventDocument.parse(JSON.parse(line));
      if (event !== "readiness.changed") return;
      told = true;
      if (areSeveral) look();
      else tell(detail["state"] as Readiness);
    },
    {
      signal: AbortSignal.any([signal, enough.signal]),
      // From here on each change is an event, so nothing falls between question and answer.
      onOpen: look,
    },
  );
  if (failed !== undefined && !signal.aborted) throw failed;
}

const codeOf = ({ cause }: MobilityError): string | undefined => (cause as NodeJS.ErrnoException | undefined)?.code;
