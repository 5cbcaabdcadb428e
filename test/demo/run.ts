/** What every demonstration has: its network, its daemons, what was not as expected, and an end that leaves nothing. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LOAD, SLOW } from "../kernel/lib/surroundings.js";
import { load as loadNow } from "../kernel/lib/yardstick.js";
import type { Charon } from "./charon.js";
import type { Daemon } from "./daemons.js";
import { writeDiagnostics } from "./diagnostics.js";
import type { Kept } from "./keep.js";
import { collectLeftovers } from "./leftovers.js";
import type { DemoReport } from "./report.js";
import type { Topology } from "./topology.js";

/** From so many times slower on, losses may be the machine's. */
export const TOO_SLOW = 2;

export abstract class Run implements Kept {
  readonly directory = mkdtempSync(join(tmpdir(), "dsmipd-demo-"));
  readonly topology: Topology;
  readonly rate: number;
  /** Expectations that were not met. */
  readonly failures: string[] = [];
  /** The home agent first. */
  daemons: readonly Daemon[] = [];
  charons: readonly Charon[] = [];
  leftovers: DemoReport["leftovers"] = null;
  diagnostics: string | null = null;
  kept: readonly string[] | null = null;
  /** To be closed when the demonstration is over. */
  protected readonly open: (() => void)[] = [];
  /** Told to people. */
  protected readonly print: (text: string) => void;

  /** `rate`: packets a second of each flow. */
  constructor(topology: Topology, rate: number, print: (text: string) => void) {
    this.topology = topology;
    this.rate = rate;
    this.print = print;
  }

  abstract readonly nodes: number;
  abstract readonly outInWords: string;
  /** The document of `--json`. */
  abstract get report(): { readonly ok: boolean; readonly kept: readonly string[] | null };
  /** Its last line for people. */
  abstract get verdict(): string;
  /** The home agent first. Resolves when all of them answer. */
  abstract startDaemons(): Promise<void>;
  protected abstract perform(): Promise<void>;

  async run(): Promise<void> {
    try {
      await this.perform();
    } catch (error) {
      this.failures.push(error instanceof Error ? error.message : String(error));
    }
    for (const close of this.open.splice(0)) close();
    if (this.failures.length === 0) return;
    const now = loadNow(SLOW);
    if (Math.max(LOAD, now) >= TOO_SLOW)
      this.failures.push(
        `the machine was too slow for this: it had other work, and was ${LOAD.toFixed(1)} times slower than it should be at the start and ${now.toFixed(1)} times at the end; what failed may be its fault`,
      );
    const { DSMIPD_ARTIFACTS: inside, DSMIPD_ARTIFACTS_OUTSIDE: outside } = process.env;
    const directory = await writeDiagnostics(inside ?? this.directory, this.topology, this.daemons);
    // For who reads this the bench is over, and what it left is outside.
    const seen = inside === undefined || outside === undefined ? directory : directory.replace(inside, outside);
    this.diagnostics = seen;
    if (inside !== undefined)
      this.failures.splice(
        0,
        this.failures.length,
        ...this.failures.map((failure) => failure.replaceAll(this.directory, seen)),
      );
  }

  protected heading(text: string): void {
    this.print(`\n${text}`);
  }

  protected tellOfLoad(): void {
    if (LOAD >= TOO_SLOW)
      this.print(
        `this machine has other work and is ${LOAD.toFixed(1)} times slower than it should be: time limits are so much longer`,
      );
  }

  /** What the daemons say themselves, as `dsmipctl audit`. */
  protected async audit(): Promise<void> {
    for (const daemon of this.daemons) {
      for (const { key, difference } of (await daemon.audit()).differences) {
        this.failures.push(`audit in ${daemon.machine}: ${key} is ${difference}`);
      }
    }
  }

  /** SIGTERM to the nodes, then to everybody else, and a look at what is left in the kernel. */
  protected async stop(homeAgent: Daemon, nodes: readonly Daemon[]): Promise<void> {
    const ends = await Promise.all(nodes.map((daemon) => daemon.stop()));
    for (const { homeAddress, endpoint } of await homeAgent.bindings()) {
      if (endpoint !== null)
        this.failures.push(`${homeAddress} is still bound to ${endpoint.address} after its node has ended`);
    }
    await this.nodesEnded();
    for (const daemon of this.daemons) if (daemon.ended === undefined) ends.push(await daemon.stop());
    for (const how of ends) if (how !== "exit status 0") this.failures.push(`a dsmipd ended with ${how}`);
    await Promise.all(this.charons.map((charon) => charon.stop()));
    this.leftovers = [...(await collectLeftovers(this.topology))];
    for (const { machine, kind, object } of this.leftovers) this.failures.push(`left in ${machine}: ${kind} ${object}`);
    this.print(
      `  ${this.leftovers.length} objects of dsmipd left in the kernel of ${this.topology.machines.length} machines`,
    );
  }

  /** The nodes have taken their leave, and everybody else still runs. */
  protected async nodesEnded(): Promise<void> {}

  /** Nothing of this run stays. */
  async remove(): Promise<void> {
    for (const daemon of this.daemons) daemon.signal("SIGKILL");
    for (const charon of this.charons) charon.kill();
    await this.topology.remove();
    if (this.failures.length === 0 || process.env["DSMIPD_ARTIFACTS"] !== undefined)
      rmSync(this.directory, { recursive: true });
  }
}
