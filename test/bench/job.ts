/** What a command needs around it to run inside a bench machine as it would outside. */
import { dirname } from "node:path";
import { type MachineFacts, repository } from "./machine.js";
import { GUEST_ARTIFACTS } from "./native.js";

/**
 * A bash script that runs the command in the repository, with the caller's DSMIPD_* variables and the caller's Node first in PATH.
 * `artifacts`: where on this machine a person finds afterwards what the job leaves under $DSMIPD_ARTIFACTS.
 */
export function jobScript(
  command: readonly string[],
  machine: Pick<MachineFacts, "kind" | "slow">,
  artifacts: string,
): string {
  const variables: Record<string, string> = {
    HOME: "/root",
    LC_ALL: "C.UTF-8",
    TERM: process.env["TERM"] ?? "dumb",
    PATH: `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    NODE: process.execPath,
    DSMIPD_BENCH: machine.kind,
    DSMIPD_SLOW: String(machine.slow),
    DSMIPD_ARTIFACTS: GUEST_ARTIFACTS,
    DSMIPD_ARTIFACTS_OUTSIDE: artifacts,
  };
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && (name === "CI" || name.startsWith("DSMIPD_"))) variables[name] ??= value;
  }
  const exports = Object.entries(variables).map(([name, value]) => `export ${name}=${quote(value)}`);
  return [...exports, `cd ${quote(repository)}`, `exec ${command.map(quote).join(" ")}`].join("\n");
}

function quote(word: string): string {
  return /^[\w./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
