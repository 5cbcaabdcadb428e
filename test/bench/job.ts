/** What a command needs around it to run inside a bench machine as it would outside. */
import { dirname } from "node:path";
import { type Machine, repository } from "./machine.js";

export const GUEST_ARTIFACTS = "/var/tmp/dsmipd-artifacts";

/** A bash script that runs the command in the repository, with the caller's DSMIPD_* variables and the caller's Node first in PATH. */
export function jobScript(command: readonly string[], machine: Pick<Machine, "kind" | "slow">, artifacts = GUEST_ARTIFACTS): string {
  const variables: Record<string, string> = {
    HOME: "/root",
    LC_ALL: "C.UTF-8",
    PATH: `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    NODE: process.execPath,
    DSMIPD_BENCH: machine.kind,
    DSMIPD_SLOW: String(machine.slow),
    DSMIPD_ARTIFACTS: artifacts,
  };
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && (name === "CI" || name.startsWith("DSMIPD_"))) variables[name] ??= value;
  }
  const exports = Object.entries(variables).map(([name, value]) => `export ${name}=${quote(value)}`);
  return [...exports, `cd ${quote(repository)}`, `exec ${command.map(quote).join(" ")}`].join("\n");
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
