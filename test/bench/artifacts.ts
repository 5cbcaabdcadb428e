/** What a job left under $DSMIPD_ARTIFACTS, copied out of the bench. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type JobResult, repository } from "./machine.js";

/** Where a job's artifacts will be on this machine: under artifacts/, with the time and this word in the name. */
export function artifactsPlace(word: string): string {
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "");
  return join(repository, "artifacts", `${stamp}-${word}`);
}

/** Unpacks a job's artifacts in the directory, which it makes; the directory, if there were any. */
export function keepArtifacts({ artifacts }: JobResult, directory: string): string | undefined {
  if (!artifacts) return undefined;
  mkdirSync(directory, { recursive: true });
  execFileSync("tar", ["-C", directory, "-xz", "--no-same-owner"], { input: artifacts });
  return directory;
}
