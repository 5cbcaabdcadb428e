/** The daemon's log: one JSON line per event on standard error, `event` is noun.verb. Keys cannot get in: Secret prints as "[secret]". */
import { pino } from "pino";

export type Logger = pino.Logger;
export type LogLevel = "fatal" | "error" | "warn" | "info" | "debug" | "trace";

/** Lines a reader has not taken are kept up to here, in octets; what does not fit any more is lost, as no log is worth a daemon that stands still. */
const LARGEST_BACKLOG = 4 * 2 ** 20;

/** Never blocks: a reader that does not keep up (a pipe, a terminal that is stopped) must not stop the signalling. The end of the process waits for it. */
export function makeLogger(level: LogLevel): Logger {
  return pino(
    { level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 2, sync: false, maxLength: LARGEST_BACKLOG }),
  );
}
