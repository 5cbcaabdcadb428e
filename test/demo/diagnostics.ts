/** When an expectation fails: everything that a person would look at first, in files. */
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { inNamespace } from "./commands.js";
import type { Daemon } from "./daemons.js";
import type { Topology } from "./topology.js";

const KERNEL_COMMANDS = [
  ...["ip -d -s link", "ip addr", "ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table all"],
  ...["ip neigh", "ip neigh show proxy", "ip -6 neigh show proxy", "ip fou show", "ip -s xfrm state", "ip xfrm policy"],
  ...["nft list ruleset", "conntrack -L", "ss -anp", "cat /proc/net/xfrm_stat", "cat /proc/net/snmp6"],
];
const KERNEL_SCRIPT = KERNEL_COMMANDS.map((command) => `echo '# ${command}'; ${command} 2>&1`).join("\n");

const NAMES = ["status", "bindings", "events"] as const;

/** Returns the directory. Never throws: what cannot be had is said in its file. */
export async function writeDiagnostics(
  parent: string,
  topology: Topology,
  daemons: readonly Daemon[],
): Promise<string> {
  const directory = join(parent, "demo");
  mkdirSync(directory, { recursive: true });
  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text);
  for (const daemon of daemons) {
    const { machine, logPath, configPath, events, ended } = daemon;
    for (const path of [logPath, configPath]) if (existsSync(path)) copyFileSync(path, join(directory, basename(path)));
    const documents = {
      ended: ended ?? null,
      status: ended === undefined ? await daemon.status().catch(String) : null,
      bindings: ended === undefined ? await daemon.bindings().catch(String) : null,
      events: events.map(({ document }) => document),
    };
    for (const name of NAMES) write(`${machine}.${name}.json`, `${JSON.stringify(documents[name], null, 2)}\n`);
  }
  await Promise.all(
    topology.machines.map(async (machine) => {
      write(
        `${machine}.kernel.txt`,
        await inNamespace(topology.name(machine), ["sh", "-s"], KERNEL_SCRIPT).catch(String),
      );
    }),
  );
  return directory;
}
