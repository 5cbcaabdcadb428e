/** What was found of a journal at the start. */
import type { JournalRole } from "../../schemas/journal.js";
import { MobilityError } from "../base/errors.js";
import type { JournalPlace } from "./place.js";
import { type Salvage, salvage } from "./salvage.js";

export interface JournalFindings {
  /** Lines that could not be read. */
  readonly skipped: number;
  /** Records that were read and are not used, because a later one of theirs is lost. */
  readonly doubtful: number;
  /** The file is no journal of this dsmipd's that could be read; `version` of a later dsmipd. */
  readonly header: "present" | "version-1" | "absent" | "damaged" | "newer" | "unreadable";
  /** Where the damaged file is kept. */
  readonly keptAside: string | undefined;
}

/** A file as it was found. */
export interface Found extends Omit<Salvage, "header"> {
  readonly header: JournalFindings["header"];
  readonly octets: number;
  /** Something of it cannot be used: it is to be kept under another name. */
  readonly damaged: boolean;
}

const NOTHING_READ = {
  ...{ entries: new Map(), skipped: 0, doubtful: 0, lines: 0, last: undefined, intact: false, octets: 0 },
};

/** Throws MobilityError if the file is another role's. */
export function findJournal(place: JournalPlace, role: JournalRole): Found {
  const octets = place.read();
  if (typeof octets === "string") return { ...NOTHING_READ, header: octets, damaged: octets === "unreadable" };
  const found = salvage(octets, role);
  const { header, skipped, doubtful } = found;
  if ((header.kind === "present" || header.kind === "version-1") && header.role !== role)
    throw new MobilityError(
      "MIP_JOURNAL",
      `${place.path}: belongs to a ${header.role}; set another stateDirectory for this ${role}`,
    );
  const damaged = skipped + doubtful > 0 || header.kind === "damaged" || header.kind === "newer";
  return { ...found, header: header.kind, octets: octets.length, damaged };
}
