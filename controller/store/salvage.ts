/**
 * What a journal's octets say, whatever has become of them. A record counts only if its line is whole and no later line of the same key may
 * be missing: an earlier record of a key whose last one is lost would be another binding than the one that was told.
 */
import type { JournalRole } from "../../schemas/journal.js";
import {
  type DecodedLine,
  decodeHeader,
  decodeLine,
  decodeLineVersion1,
  fingerprint,
  type Header,
  isPrintable,
  type JournalEntry,
  suspectsOf,
} from "./lines.js";

export interface Salvage {
  readonly header: Header;
  readonly entries: Map<string, JournalEntry>;
  /** Lines that could not be read, a torn last one among them. */
  readonly skipped: number;
  /** Records that could be read and are not used, because a later one of their key is lost or may be. */
  readonly doubtful: number;
  /** Lines that were read. */
  readonly lines: number;
  readonly last: DecodedLine | undefined;
  /** Every octet is as it was written by this version: writing may go on at the end. */
  readonly intact: boolean;
}

const NEWLINE = 0x0a;

/** `octets`: the whole file. Never throws. */
export function salvage(octets: Uint8Array, role: JournalRole): Salvage {
  const [first, ...pieces] = splitLines(octets);
  const header = first === undefined ? ({ kind: "damaged" } as const) : decodeHeader(first.line);
  const reader = new Reader(role);
  if (header.kind === "version-1") {
    for (const { line } of pieces) reader.readVersion1(line);
  } else {
    // A line vouches for itself: without a header that can be read it is as good.
    if (first !== undefined && header.kind === "damaged") reader.readOther(first);
    for (const piece of pieces) reader.read(piece);
  }
  const result = reader.result();
  const intact = header.kind === "present" && result.skipped + result.doubtful === 0 && octets.at(-1) === NEWLINE;
  return { header, ...result, intact };
}

interface Piece {
  readonly line: Uint8Array;
  /** It had its newline. */
  readonly ended: boolean;
}

function splitLines(octets: Uint8Array): Piece[] {
  const pieces: Piece[] = [];
  for (let at = 0; at < octets.length; ) {
    const end = octets.indexOf(NEWLINE, at);
    pieces.push({ line: octets.subarray(at, end < 0 ? octets.length : end), ended: end >= 0 });
    at = end < 0 ? octets.length : end + 1;
  }
  return pieces;
}

/** What a write leaves that was cut short: nothing but the beginning of a line. Its record was never confirmed to anybody. */
const isTorn = ({ line, ended }: Piece): boolean => !ended && isPrintable(line);

class Reader {
  readonly #role: JournalRole;
  readonly #entries = new Map<string, JournalEntry>();
  /** The number of the line that an entry is from. */
  readonly #numbers = new Map<string, number>();
  /** By fingerprint: a line about such a key is lost, and is later than all lines before this number. */
  readonly #lostBefore = new Map<string, number>();
  /** Nobody knows whose lines are lost before this number. */
  #allLostBefore = 0;
  /** Fingerprints of keys in lines that could not be read since the last one that could. */
  #suspects: string[] = [];
  #skipped = 0;
  #lines = 0;
  #last: DecodedLine | undefined;

  constructor(role: JournalRole) {
    this.#role = role;
  }

  readVersion1(line: Uint8Array): void {
    const decoded = decodeLineVersion1(line);
    if (decoded === undefined) this.#skipped++;
    else this.#apply(decoded);
  }

  read(piece: Piece): void {
    const { line, ended } = piece;
    // A last line whose newline is missing, or has become something else, is whole all the same.
    const decoded =
      decodeLine(this.#role, line) ?? (ended ? undefined : decodeLine(this.#role, line.subarray(0, line.length - 1)));
    if (decoded === undefined) this.readOther(piece);
    // Numbers that go back: an old piece of the file in the place of another, or behind it.
    else if (decoded.number <= (this.#last?.number ?? 0)) this.#skipped++;
    else this.#take(decoded);
  }

  /** A piece that is no line of ours. */
  readOther(piece: Piece): void {
    this.#skipped++;
    if (isTorn(piece)) return;
    for (const suspect of suspectsOf(piece.line, this.#last?.number ?? 0)) this.#suspects.push(suspect);
  }

  result(): Omit<Salvage, "header" | "intact"> {
    // What stood in unreadable lines at the end is known by what is left of them alone.
    for (const suspect of this.#suspects) this.#lostBefore.set(suspect, Number.POSITIVE_INFINITY);
    const entries = this.#entries;
    let doubtful = 0;
    for (const [key, number] of this.#numbers) {
      if (number >= this.#allLostBefore && number >= (this.#lostBefore.get(fingerprint(key)) ?? 0)) continue;
      if (entries.delete(key)) doubtful++;
    }
    return { entries, skipped: this.#skipped, doubtful, lines: this.#lines, last: this.#last };
  }

  #take(decoded: DecodedLine): void {
    const { number, trail } = decoded;
    const lost = number - (this.#last?.number ?? 0) - 1;
    const named = trail.slice(1, lost + 1);
    if (named.length < lost) this.#allLostBefore = number;
    else for (const one of named) this.#lostBefore.set(one, number);
    this.#suspects = [];
    this.#last = decoded;
    this.#apply(decoded);
  }

  #apply({ key, change }: Pick<DecodedLine, "key" | "change">): void {
    this.#lines++;
    const { record, ...time } = change;
    if (record === null) this.#entries.delete(key);
    else this.#entries.set(key, { record, ...time });
    if (this.#last !== undefined) this.#numbers.set(key, this.#last.number);
  }
}
