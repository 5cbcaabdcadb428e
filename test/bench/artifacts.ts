/** What a job left under $DSMIPD_ARTIFACTS, copied out of the bench. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type JobResult, repository } from "./machine.js";

/** Unpacks a job's artifacts, by default under artifacts/ with the time and this word in the name; the directory, if there were any. */
export function keepArtifacts({ artifacts }: JobResult, word: string, directory?: string): string | undefined {
  if (!artifacts) return undefined;
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "");
  const target = directory ?? join(repository, "artifacts", `${stamp}-${word}`);
  mkdirSync(target, { recursive: true });
  execFileSync("tar", ["-C", target, "-xz", "--no-same-owner"], { input: artifacts });
  return target;
}
