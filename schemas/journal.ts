/**
 * The journal in the state directory: one JSON document a line, appended and flushed to disk before the acknowledgement leaves. Every line ends
 * with a checksum of what stands before it, so that damage is never taken for a record.
 */
import { z } from "zod";

export const JOURNAL_VERSION = 2;

const role = z.enum(["home-agent", "mobile-node", "foreign-agent", "correspondent-node"]);
/** Octets, six bits a character. */
const seal = (pattern: RegExp, description: string): z.ZodString => z.string().regex(pattern).describe(description);

export const journalHeader = z.strictObject({
  dsmipd: z.literal("journal"),
  version: z.literal(JOURNAL_VERSION),
  role,
  seal: seal(/^[-\w]{6}$/, "CRC-32 of the role and of the line up to here."),
});

const writtenAt = z.number().describe("Milliseconds since 1970, by the wall clock.");
const record = z.record(z.string(), z.unknown()).nullable();

/** `record` belongs to the role's machine; the journal only keeps the last one of each key. A record of null forgets the key. */
export const journalLine = z.strictObject({
  key: z.string(),
  writtenAt,
  boot: z.string().optional().describe("Of which run of the kernel (/proc/sys/kernel/random/boot_id)."),
  bootTime: z
    .number()
    .optional()
    .describe("CLOCK_BOOTTIME in milliseconds: a clock that counts sleep, is never set and ends with the boot."),
  record,
  seal: seal(
    /^[-\w]{4}([-\w]{3}){1,5}[-\w]{6}$/,
    "Number of the line, 24 bits, so that it is seen when lines are missing; fingerprints of this line's key and of those of the lines before it, 18 bits each, which tell whose records are lost then; CRC-32 of the role and of the line up to here.",
  ),
});

/** Version 1 had no checksums; it is read, and written anew as the present version. */
export const journalHeaderVersion1 = z.strictObject({ dsmipd: z.literal("journal"), version: z.literal(1), role });
export const journalLineVersion1 = z.strictObject({ key: z.string(), writtenAt, record });

export type JournalLine = z.output<typeof journalLine>;
export type JournalRole = z.output<typeof role>;
