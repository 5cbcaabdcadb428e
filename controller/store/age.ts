/**
 * How old a record is. Within one run of the kernel CLOCK_BOOTTIME says so exactly, whatever is done to the wall clock and however long the
 * machine sleeps. Over a reboot there is only the wall clock, and nobody vouches for it: it may have been set in between, or be wrong still.
 */
import type { BootTime, JournalEntry } from "./lines.js";

export interface Age {
  readonly seconds: number;
  /** False: by the wall clock, which may have been set since. */
  readonly certain: boolean;
}

/** The same moment on both clocks. */
export interface TimeOfDay {
  /** Milliseconds since 1970. */
  readonly wall: number;
  readonly bootTime: BootTime | undefined;
}

/** Readings of the two clocks one after the other differ by less. */
const SAME_MILLISECONDS = 1000;

export function ageOf({ writtenAt, bootTime: then }: JournalEntry, { wall, bootTime: now }: TimeOfDay): Age {
  const sameBoot = then !== undefined && then.boot === now?.boot;
  // Negative where a container was moved to a time namespace with another offset.
  if (sameBoot && now.milliseconds >= then.milliseconds)
    return { seconds: (now.milliseconds - then.milliseconds) / 1000, certain: true };
  // What was written in another run of the kernel is older than this one.
  const least = then === undefined || now === undefined || sameBoot ? 0 : now.milliseconds;
  return { seconds: Math.max(least, wall - writtenAt) / 1000, certain: false };
}

/** With the time of writing as the wall clock, set in the meantime, would have shown it: the best that is known after the next reboot. */
export function restamped(entry: JournalEntry, { wall, bootTime: now }: TimeOfDay): JournalEntry {
  const then = entry.bootTime;
  if (then === undefined || then.boot !== now?.boot || now.milliseconds < then.milliseconds) return entry;
  return corrected(entry, wall - now.milliseconds + then.milliseconds);
}

/** The same for all that a file has, each by the last record of its run of the kernel. */
export function restampedAll(entries: Map<string, JournalEntry>, present: TimeOfDay): void {
  const latest = new Map<string, JournalEntry>();
  for (const entry of entries.values()) {
    const { bootTime } = entry;
    if (bootTime === undefined || bootTime.milliseconds < (latest.get(bootTime.boot)?.bootTime?.milliseconds ?? 0))
      continue;
    latest.set(bootTime.boot, entry);
  }
  for (const [key, entry] of entries) {
    const last = latest.get(entry.bootTime?.boot ?? "");
    const better = last === undefined ? entry : restamped(entry, { wall: last.writtenAt, bootTime: last.bootTime });
    const best = restamped(better, present);
    if (best !== entry) entries.set(key, best);
  }
}

function corrected(entry: JournalEntry, writtenAt: number): JournalEntry {
  return Math.abs(writtenAt - entry.writtenAt) < SAME_MILLISECONDS ? entry : { ...entry, writtenAt };
}
