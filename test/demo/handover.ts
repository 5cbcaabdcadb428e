/** The tour of both mobile nodes through all networks, then a home agent that is frozen, then an orderly end. */
import { release } from "node:os";
import { LOAD, SLOW } from "../kernel/lib/surroundings.js";
import { Capture } from "./capture.js";
import { startCharons } from "./charon.js";
import {
  type Choices,
  SPIS,
  startForeignAgent,
  startHomeAgent,
  startMobileNode,
  writeCredentials,
  writeKeys,
  writeMip4Keys,
} from "./daemons.js";
import { Flows } from "./flows.js";
import { FROZEN_SECONDS, freeze, frozenFailures } from "./freeze.js";
import { readSpis } from "./keys.js";
import { plug } from "./network.js";
import {
  countSignalling,
  registrationFailures,
  registrationsText,
  signallingFailures,
  signallingText,
  TOURS,
  type Tour,
} from "./profile.js";
import {
  type DemoReport,
  demoReport,
  frozenText,
  type StepReport,
  stepHeader,
  stepRow,
  verdictText,
} from "./report.js";
import { Run } from "./run.js";
import { NODES, Topology } from "./topology.js";
import { begin, loseMappings, moveAll, type Stage } from "./tour.js";

export interface HandoverOptions extends Choices {
  /** Packets a second of each flow. */
  readonly rate: number;
  /** The old network goes before the new one comes. */
  readonly hard: boolean;
  readonly keep: boolean;
}

export class HandoverDemo extends Run {
  readonly nodes = NODES.length;
  readonly steps: StepReport[] = [];
  readonly #options: HandoverOptions;
  readonly #tour: Tour;
  #frozen: DemoReport["frozen"] = null;
  #clearText: number | null = null;
  #signalling: DemoReport["signalling"] = null;

  constructor(options: HandoverOptions, print: (text: string) => void) {
    const isMip4 = options.protocol === "mip4";
    super(new Topology({ foreignAgent: isMip4 }), options.rate, print);
    this.#options = options;
    this.#tour = TOURS[isMip4 ? "mip4" : options.profile];
  }

  get outInWords(): string {
    return this.#tour.outInWords;
  }

  get report(): DemoReport {
    const { rate, steps, leftovers, failures, diagnostics, kept } = this;
    const { ikev2, protocol, profile } = this.#options;
    const security = ikev2 ? ("ikev2" as const) : ("static" as const);
    const bench = process.env["DSMIPD_BENCH"] ?? "native";
    const ok = failures.length === 0 && leftovers !== null;
    const [frozen, clearText, signalling] = [this.#frozen, this.#clearText, this.#signalling];
    const found = { steps, frozen, leftovers, failures, diagnostics, kept, security, profile, clearText, signalling };
    return demoReport.parse({ bench, protocol, kernel: release(), slow: SLOW, load: LOAD, rate, ...found, ok });
  }

  get verdict(): string {
    return verdictText(this.report);
  }

  protected async perform(): Promise<void> {
    const { ikev2, hard, profile } = this.#options;
    const mip4 = this.#options.protocol === "mip4";
    const tour = this.#tour;
    this.tellOfLoad();
    this.print(`two mobile nodes, eight flows with ${this.rate} packets/s each; kernel ${release()}`);
    await this.topology.build();
    if (ikev2) this.charons = await startCharons(this.topology, this.directory);
    const stage = await this.#setUp();
    this.heading(
      `The tour: both nodes at once, each network up before the old one goes${hard ? " (not today: --hard)" : ""}`,
    );
    if (!mip4)
      this.print("(leaving home takes a second: the home agent looks for duplicate addresses first, RFC 6275 §10.3.1)");
    this.print(stepHeader());
    for (const step of tour.steps)
      this.#tell(step === "mapping-lost" ? await loseMappings(stage) : await moveAll(stage, () => step, hard));
    this.heading("Home the hard way: unplugged first, plugged in afterwards");
    this.#tell(await moveAll(stage, () => "home", true));
    this.heading(`Out again: ${tour.outInWords}`);
    this.#tell(await moveAll(stage, tour.out, hard));
    this.heading(`The home agent's process frozen for ${FROZEN_SECONDS} s`);
    this.#frozen = await freeze(stage);
    this.print(frozenText(this.#frozen));
    this.failures.push(...frozenFailures(this.#frozen));
    for (const [address, count] of stage.flows.strayed) {
      this.failures.push(`${count} packets arrived from ${address}, which is not the home address`);
    }
    await this.audit();
    this.#signalling = countSignalling(stage.capture.signalling);
    if (mip4) this.print(`  registration requests and replies seen: ${registrationsText(this.#signalling)}`);
    else this.print(`  binding updates and acknowledgements seen: ${signallingText(this.#signalling)}`);
    this.failures.push(
      ...(mip4 ? registrationFailures(this.#signalling) : signallingFailures(this.#signalling, profile)),
    );
    if (ikev2) {
      this.#clearText = stage.capture.clear;
      this.print(`  payload packets in clear, in a tunnel or on an access network: ${this.#clearText}`);
      if (this.#clearText > 0) this.failures.push(`${this.#clearText} payload packets in clear away from home`);
    }
    this.heading(`The end: SIGTERM to the nodes, then to the home agent${mip4 ? " and the foreign agent" : ""}`);
    await this.stop(stage.homeAgent, [...stage.daemons.values()]);
  }

  async #setUp(): Promise<Stage> {
    const { topology, directory } = this;
    const { ikev2, keep } = this.#options;
    const mip4 = this.#options.protocol === "mip4";
    const attached = new Map(
      await Promise.all(NODES.map(async (node) => [node, await plug(topology, node, "home")] as const)),
    );
    await this.startDaemons();
    const [homeAgent, ...others] = this.daemons;
    if (homeAgent === undefined) throw new Error("no home agent");
    const nodes = new Map(NODES.flatMap((node, i) => others.slice(i, i + 1).map((daemon) => [node, daemon] as const)));
    const capture = await Capture.open(topology, ikev2 || mip4 ? [] : SPIS, ikev2);
    const flows = new Flows(topology, this.rate);
    this.open.push(
      () => capture.close(),
      () => flows.close(),
    );
    const stage: Stage = {
      topology,
      flows,
      capture,
      homeAgent,
      daemons: nodes,
      attached,
      since: new Map(),
      failures: this.failures,
      isMip4: mip4,
      learnKeys: ikev2
        ? async () => {
            const { signalling, payload } = await readSpis(directory);
            capture.learn(signalling, payload);
          }
        : undefined,
    };
    if (process.env["DSMIPD_ARTIFACTS"] === undefined || keep) this.print(`logs and configuration: ${directory}`);
    await begin(stage);
    return stage;
  }

  /** The home agent first, then the nodes in their order, then the foreign agent. */
  async startDaemons(): Promise<void> {
    const { topology, directory } = this;
    const choices = this.#options;
    const { ikev2 } = choices;
    const mip4 = choices.protocol === "mip4";
    if (ikev2) writeCredentials(directory);
    else if (mip4) writeMip4Keys(directory);
    else writeKeys(directory);
    this.daemons = [
      startHomeAgent(topology, directory, choices),
      ...NODES.map((node) => startMobileNode(topology, directory, node, choices)),
      ...(mip4 ? [startForeignAgent(topology, directory)] : []),
    ];
    await Promise.all(this.daemons.map((daemon) => daemon.ready()));
  }

  #tell(steps: readonly StepReport[]): void {
    this.steps.push(...steps);
    for (const step of steps) this.print(stepRow(step));
  }
}
