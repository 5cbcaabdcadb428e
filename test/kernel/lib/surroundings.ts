/** What a kernel test may know about the bench it runs in. */
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { load } from "./yardstick.js";

/** How many times slower than hardware this machine is. */
export const SLOW = Number(process.env["DSMIPD_SLOW"] ?? "1");

/** How many times slower than its kind this machine was when the bench began, because it has other work: from 1 to 10. */
export const LOAD = Number(process.env["DSMIPD_LOAD"] ?? load(SLOW));

/** A timeout that is right on hardware, made right for this machine. Milliseconds in and out. */
export function scaled(milliseconds: number): number {
  return milliseconds * SLOW * LOAD;
}

/** Files that are worth nothing after a test that passed. */
export function scratchDirectory(name: string): string {
  return mkdtempSync(join(tmpdir(), `dsmipd-${name}-`));
}

/** Where files go that explain a failure; the bench copies them out. */
export function artifactsDirectory(name: string): string {
  const directory = join(process.env["DSMIPD_ARTIFACTS"] ?? join(tmpdir(), "dsmipd-artifacts"), name);
  mkdirSync(directory, { recursive: true });
  return directory;
}
