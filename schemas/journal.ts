/**
 * The journal in the state directory: one JSON document a line, appended and flushed to disk before the acknowledgement leaves. Wall-clock times,
 * because the monotonic clock does not survive a reboot.
 */
import { z } from "zod";

export const JOURNAL_VERSION = 1;

export const journalHeader = z.strictObject({
  dsmipd: z.literal("journal"),
  version: z.literal(JOURNAL_VERSION),
  role: z.enum(["home-agent", "mobile-node"]),
});

/** `record` belongs to the role's machine; the journal only keeps the last one of each key. A record of null forgets the key. */
export const journalLine = z.strictObject({
  key: z.string(),
  writtenAt: z.number().describe("Milliseconds since 1970."),
  record: z.record(z.string(), z.unknown()).nullable(),
});

export type JournalLine = z.output<typeof journalLine>;
