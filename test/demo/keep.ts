/** `--keep`: after the tour everything is started again and stays, for people to look around. */
import { spawn } from "node:child_process";
import { type Daemon, DSMIPCTL } from "./daemons.js";
import { type MachineName, NODES, type Topology } from "./topology.js";
import { until } from "./until.js";

export interface Kept {
  readonly topology: Topology;
  readonly directory: string;
  readonly daemons: readonly Daemon[];
  startDaemons(): Promise<void>;
  remove(): Promise<void>;
}

/** In a bench's cell the namespaces end with the command, which is the first process there. */
export function keepObstacle(): string | undefined {
  if (process.pid !== 1) return undefined;
  return "--keep: here everything ends with the command; run `test/bench/run --shell -- $NODE build/test/demo/main.js --keep`";
}

/** On a terminal: a shell, and with its end everything is removed. Without one: everything stays. */
export async function keepUp(kept: Kept, print: (text: string) => void): Promise<void> {
  if (kept.daemons.every(({ ended }) => ended !== undefined)) {
    await kept.startDaemons();
    await until("registration of both nodes", { seconds: 20 }, async () => {
      const [homeAgent] = kept.daemons;
      const bindings = (await homeAgent?.bindings()) ?? [];
      return bindings.filter(({ endpoint }) => endpoint !== null).length === NODES.length;
    });
  }
  for (const line of instructions(kept)) print(line);
  if (process.stdin.isTTY) {
    print("\nHere is a shell. When it ends, everything is removed.");
    await shell();
    await kept.remove();
    return;
  }
  const namespaces = kept.topology.machines.map((machine) => kept.topology.name(machine)).join(" ");
  print("\nTo remove everything:");
  print(
    `  kill ${kept.daemons.map(({ pid }) => pid).join(" ")}; for n in ${namespaces}; do ip netns del $n; done; rm -r ${kept.directory}`,
  );
  for (const daemon of kept.daemons) daemon.leave();
}

function instructions({ topology, daemons }: Kept): readonly string[] {
  const enter = (machine: MachineName, command: string): string =>
    `  ip netns exec ${topology.name(machine)} ${command}`;
  return [
    "\nAll machines are up, with dsmipd in ha, mn1 (on IPv6) and mn2 (behind the NAT). For example:",
    enter("mn1", "ping -c 3 2001:db8:c::2"),
    enter("mn2", "ping -c 3 192.0.2.2"),
    enter("ha", "tcpdump -n -i wan"),
    enter("core", "bash"),
    ...daemons.map(({ socketPath }) => `  ${process.execPath} ${DSMIPCTL} --socket ${socketPath} bindings`),
  ];
}

function shell(): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("bash", ["-i"], { stdio: "inherit" });
    child.once("error", reject);
    child.once("exit", () => resolve());
  });
}
