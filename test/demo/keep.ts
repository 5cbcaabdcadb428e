/** `--keep`: after the tour everything is started again and stays, for people to look around. */
import { spawn } from "node:child_process";
import { type Daemon, DSMIPCTL } from "./daemons.js";
import type { MachineName, Topology } from "./topology.js";
import { until } from "./until.js";

export interface Kept {
  readonly topology: Topology;
  readonly directory: string;
  /** The home agent first. */
  readonly daemons: readonly Daemon[];
  startDaemons(): Promise<void>;
  /** How many of the nodes are away. */
  readonly nodes: number;
  /** Where the nodes are. */
  readonly outInWords: string;
}

/** In a bench's cell the namespaces end with the command, which is the first process there. */
export function keepObstacle(): string | undefined {
  if (process.pid !== 1) return undefined;
  return "--keep: in this cell of the bench everything ends with the command; run `make demo ARGS=--keep`";
}

/** Starts again what has ended, waits until the nodes are registered, and says in lines for people how to enter it all. */
export async function keepUp(kept: Kept): Promise<readonly string[]> {
  if (kept.daemons.every(({ ended }) => ended !== undefined)) {
    await kept.startDaemons();
    await until("registration of the nodes", { seconds: 40 }, async () => {
      const bindings = (await kept.daemons[0]?.bindings()) ?? [];
      return bindings.filter(({ endpoint }) => endpoint !== null).length === kept.nodes;
    });
  }
  return [...howToEnter(kept), ...(process.stdin.isTTY ? [SHELL] : howToRemove(kept))];
}

const SHELL = "\nHere is a shell. When it ends, everything is removed.";

function howToEnter({ topology, daemons, nodes, outInWords }: Kept): readonly string[] {
  const enter = (machine: MachineName, command: string): string =>
    `  ip netns exec ${topology.name(machine)} ${command}`;
  return [
    `\nEverything is up, with dsmipd running in ${daemons.map(({ machine }) => machine).join(", ")} (${outInWords}). For example:`,
    enter("mn1", "ping -c 3 2001:db8:c::2"),
    enter(nodes > 1 ? "mn2" : "mn1", "ping -c 3 192.0.2.2"),
    enter("ha", "tcpdump -n -i wan"),
    enter("core", "bash"),
    ...daemons.map(({ socketPath }) => `  ${process.execPath} ${DSMIPCTL} --socket ${socketPath} bindings`),
  ];
}

function howToRemove({ topology, daemons, directory }: Kept): readonly string[] {
  const namespaces = topology.machines.map((machine) => topology.name(machine)).join(" ");
  const pids = daemons.map(({ pid }) => pid).join(" ");
  return ["\nTo remove it:", `  kill ${pids}; for n in ${namespaces}; do ip netns del $n; done; rm -r ${directory}`];
}

/** An interactive shell on this terminal; resolves when it ends. */
export function shell(): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("bash", ["-i"], { stdio: "inherit" });
    child.once("error", reject);
    child.once("exit", () => resolve());
  });
}
