/**
 * The lines of a journal as text (schemas/journal.ts). Each ends with a seal, a checksum over its role and all that stands before it, so that
 * neither a damaged line nor one of another role is ever taken for a record; and each carries the fingerprints of the keys of the lines before it, so
 * that it is known whose records are lost with a line that can't be read.
 */
import { crc32 } from "node:zlib";
import {
  JOURNAL_VERSION,
  type JournalRole,
  journalHeader,
  journalHeaderVersion1,
  journalLine,
  journalLineVersion1,
} from "../../schemas/journal.js";

export type JournalRecord = Readonly<Record<string, unknown>>;

/** Reading of a clock that counts sleep, is never set, and ends with the boot. */
export interface BootTime {
  /** Tells one run of the kernel from another. */
  readonly boot: string;
  readonly milliseconds: number;
}

export interface JournalEntry {
  readonly record: JournalRecord;
  /** Milliseconds since 1970, by the wall clock of that moment. */
  readonly writtenAt: number;
  /** Absent in journals of version 1. */
  readonly bootTime?: BootTime;
}

/** An entry, or that its key is forgotten. */
export type JournalChange = Omit<JournalEntry, "record"> & { readonly record: JournalRecord | null };

export interface DecodedLine {
  readonly number: number;
  readonly key: string;
  /** Fingerprints of the keys of this line and of those before it, this one's first. */
  readonly trail: readonly string[];
  readonly change: JournalChange;
}

/** Fingerprints of so many lines before it stand in a line: more than a sector of a disk mostly holds. */
const TRAIL = 4;
/** Enough for 16 million lines, twice the live records of the largest file. */
const NUMBER_DIGITS = 4;
const FINGERPRINT_DIGITS = 3;
const CHECKSUM_DIGITS = 6;
/** The characters of the longest seal with what closes its line. */
const MOST_SEAL = NUMBER_DIGITS + (TRAIL + 1) * FINGERPRINT_DIGITS + CHECKSUM_DIGITS + 3;
const SEAL_AT_END = /([-\w]{4})((?:[-\w]{3}){1,5})[-\w]{6}"\}.?$/;
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Six bits a character, the most significant first. */
function encode(value: number, digits: number): string {
  let text = "";
  let rest = value;
  for (let i = 0; i < digits; i++) {
    text = DIGITS.charAt(rest % 64) + text;
    rest = Math.floor(rest / 64);
  }
  return text;
}

const decode = (text: string): number => [...text].reduce((value, digit) => value * 64 + DIGITS.indexOf(digit), 0);

/** 18 bits that stand for a key; two keys may share them. */
export const fingerprint = (key: string): string => encode(crc32(key) >>> 14, FINGERPRINT_DIGITS);

/** `document`: a JSON object with at least one member; `facts` are sealed with it. */
function sealed(role: JournalRole, document: string, facts = ""): string {
  const text = `${document.slice(0, -1)},"seal":"${facts}`;
  return `${text}${encode(crc32(text, crc32(role)), CHECKSUM_DIGITS)}"}\n`;
}

function isSealed(role: JournalRole, line: Uint8Array): boolean {
  const length = line.length - CHECKSUM_DIGITS - 2;
  if (length < 1) return false;
  const wanted = `${encode(crc32(line.subarray(0, length), crc32(role)), CHECKSUM_DIGITS)}"}`;
  return Buffer.from(line.buffer, line.byteOffset + length, wanted.length).toString("latin1") === wanted;
}

/** Writes the lines of one file, in order. */
export class LineWriter {
  readonly #role: JournalRole;
  #number = 0;
  #trail: readonly string[] = [];

  constructor(role: JournalRole) {
    this.#role = role;
  }

  /** Lines written so far, without the header. */
  get number(): number {
    return this.#number;
  }

  /** One that goes on where this one is; for what is tried and may fail. */
  copy(): LineWriter {
    const copy = new LineWriter(this.#role);
    copy.#number = this.#number;
    copy.#trail = this.#trail;
    return copy;
  }

  /** Goes on after the last line that was read. */
  continueAfter({ number, trail }: DecodedLine): void {
    this.#number = number;
    this.#trail = trail.slice(0, TRAIL);
  }

  header(): string {
    return sealed(this.#role, JSON.stringify({ dsmipd: "journal", version: JOURNAL_VERSION, role: this.#role }));
  }

  line(key: string, { record, writtenAt, bootTime }: JournalChange): string {
    const trail = [fingerprint(key), ...this.#trail];
    this.#trail = trail.slice(0, TRAIL);
    this.#number++;
    const time = bootTime === undefined ? {} : { boot: bootTime.boot, bootTime: bootTime.milliseconds };
    const facts = encode(this.#number, NUMBER_DIGITS) + trail.join("");
    return sealed(this.#role, JSON.stringify({ key, writtenAt, ...time, record }), facts);
  }
}

export type Header =
  | { readonly kind: "present" | "version-1"; readonly role: JournalRole }
  /** Of a later dsmipd. */
  | { readonly kind: "newer"; readonly version: number }
  | { readonly kind: "damaged" };

export function decodeHeader(line: Uint8Array): Header {
  const document = parseJson(line);
  const present = journalHeader.safeParse(document);
  if (present.success && isSealed(present.data.role, line)) return { kind: "present", role: present.data.role };
  const first = journalHeaderVersion1.safeParse(document);
  if (first.success) return { kind: "version-1", role: first.data.role };
  const { dsmipd, version } = (document ?? {}) as { readonly dsmipd?: unknown; readonly version?: unknown };
  if (dsmipd === "journal" && typeof version === "number" && version > JOURNAL_VERSION)
    return { kind: "newer", version };
  return { kind: "damaged" };
}

/** Undefined unless it is, octet by octet, a line that was written for this role. */
export function decodeLine(role: JournalRole, line: Uint8Array): DecodedLine | undefined {
  if (!isSealed(role, line)) return undefined;
  const parsed = journalLine.safeParse(parseJson(line));
  if (!parsed.success) return undefined;
  const { key, writtenAt, boot, bootTime, record, seal } = parsed.data;
  const stamp = boot === undefined || bootTime === undefined ? {} : { bootTime: { boot, milliseconds: bootTime } };
  const number = decode(seal.slice(0, NUMBER_DIGITS));
  const trail = split(seal.slice(NUMBER_DIGITS, -CHECKSUM_DIGITS));
  return { number, key, trail, change: { record, writtenAt, ...stamp } };
}

/** A line of version 1, which has no checksum. */
export function decodeLineVersion1(line: Uint8Array): Pick<DecodedLine, "key" | "change"> | undefined {
  const parsed = journalLineVersion1.safeParse(parseJson(line));
  if (!parsed.success) return undefined;
  const { key, ...change } = parsed.data;
  return { key, change };
}

export const isPrintable = (octets: Uint8Array): boolean => octets.every((octet) => octet >= 0x20 && octet < 0x7f);

/**
 * Of the keys that a line which can't be read may have been about, as far as anything of it is left; and if it says that lines before it
 * are lost too, of theirs. `lastNumber`: of the last line before it that could be read.
 */
export function suspectsOf(line: Uint8Array, lastNumber: number): readonly string[] {
  const text = Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("latin1");
  return [
    ...trailAtEnd(text, isPrintable(line) ? Number.POSITIVE_INFINITY : lastNumber),
    ...[...text.matchAll(/"seal":"[-\w]{4}([-\w]{3})/g)].map(([, own = ""]) => own),
    ...[...text.matchAll(/"key":"([^"]*)"/g)].map(([, key = ""]) => fingerprint(key)),
  ];
}

/**
 * By what stands in the place of the seal. A number that is itself in doubt would cost other keys their records: only where octets are no
 * text more than a few are damaged, and lines before this one may be gone with it.
 */
function trailAtEnd(text: string, lastNumber: number): readonly string[] {
  const [, numberText = "", trailText = ""] = SEAL_AT_END.exec(text.slice(-MOST_SEAL)) ?? [];
  const number = decode(numberText);
  const trail = split(trailText);
  return trail.length === Math.min(number, TRAIL + 1) ? trail.slice(0, Math.max(1, number - lastNumber)) : [];
}

function split(trail: string): readonly string[] {
  const fingerprints: string[] = [];
  for (let at = 0; at < trail.length; at += FINGERPRINT_DIGITS)
    fingerprints.push(trail.slice(at, at + FINGERPRINT_DIGITS));
  return fingerprints;
}

function parseJson(line: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("utf8"));
  } catch {
    return undefined;
  }
}
