/** `make demo`: two dual-stack mobile nodes on tour, then a home agent that is frozen, then an orderly end. See --help. */
import { mkdtempSync, rmSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { LOAD, SLOW } from "../kernel/lib/surroundings.js";
import { load as loadNow } from "../kernel/lib/yardstick.js";
import { Capture } from "./capture.js";
import { type Charon, startCharons } from "./charon.js";
import {
  type Choices,
  type Daemon,
  SPIS,
  startForeignAgent,
  startHomeAgent,
  startMobileNode,
  writeCredentials,
  writeKeys,
  writeMip4Keys,
} from "./daemons.js";
import { writeDiagnostics } from "./diagnostics.js";
import { Flows } from "./flows.js";
import { FROZEN_SECONDS, freeze, frozenFailures } from "./freeze.js";
import { type Kept, keepObstacle, keepUp, shell } from "./keep.js";
import { readSpis } from "./keys.js";
import { collectLeftovers } from "./leftovers.js";
import { plug } from "./network.js";
import {
  countSignalling,
  isProfile,
  isProtocol,
  PROFILES,
  PROTOCOLS,
  registrationFailures,
  registrationsText,
  signallingFailures,
  signallingText,
  TOURS,
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
import { NODES, Topology } from "./topology.js";
import { begin, loseMappings, moveAll, type Stage } from "./tour.js";

const USAGE = `usage: make demo [ARGS='OPTION ...']

Two mobile nodes with an IPv4 and an IPv6 flow each way (eight flows) travel: home, IPv6, public IPv4, behind a NAT, which then
forgets them, IPv6, home; and go out again for a home agent whose process is frozen for ${FROZEN_SECONDS} s. Everything is measured, and the
exit status is 0 if all of it was as expected.

  --json     one JSON document instead of tables
  --security=static|ikev2   who keys the protection (default static); with ikev2 payload travels in ESP, and what is in clear is counted
  --profile=rfc5555|soliman2004   how updates travel in IPv4 networks (default rfc5555); with soliman2004 in protocol 41 and never in
             UDP (draft-soliman-v4v6-mipv6-00), through no NAT: the tour is home, IPv6, public IPv4, home
  --protocol=mip6|mip4   by which the nodes register (default mip6); with mip4 the tour is home, public IPv4, behind the NAT, a foreign
             agent, home, IPv6 goes in the tunnels of IPv4, and the foreign agent is a dsmipd too
  --hard     every move is a hard handover: the old network goes before the new one comes
  --rate N   packets a second of each flow (default 50)
  --keep     afterwards start again, leave everything up and say how to enter it
  --help`;

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    hard: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    security: { type: "string", default: "static" },
    profile: { type: "string", default: "rfc5555" },
    protocol: { type: "string", default: "mip6" },
    rate: { type: "string", default: "50" },
    help: { type: "boolean", default: false },
  },
});

const ikev2 = options.security === "ikev2";
const profile = isProfile(options.profile) ? options.profile : "rfc5555";
const protocol = isProtocol(options.protocol) ? options.protocol : "mip6";
const mip4 = protocol === "mip4";
const tour = TOURS[mip4 ? "mip4" : profile];
const print = (text: string): void => {
  if (!options.json) process.stdout.write(`${text}\n`);
};
const heading = (text: string): void => print(`\n${text}`);

/** From so many times slower on, losses may be the machine's. */
const TOO_SLOW = 2;

class Demo implements Kept {
  readonly topology = new Topology({ foreignAgent: mip4 });
  readonly directory = mkdtempSync(join(tmpdir(), "dsmipd-demo-"));
  readonly rate: number;
  readonly outInWords = tour.outInWords;
  readonly steps: StepReport[] = [];
  readonly failures: string[] = [];
  frozen: DemoReport["frozen"] = null;
  leftovers: DemoReport["leftovers"] = null;
  diagnostics: string | null = null;
  kept: readonly string[] | null = null;
  daemons: readonly Daemon[] = [];
  charons: readonly Charon[] = [];
  clearText: number | null = null;
  signalling: DemoReport["signalling"] = null;
  #close: (() => void)[] = [];

  constructor(rate: number) {
    this.rate = rate;
  }

  get report(): DemoReport {
    const { rate, steps, frozen, leftovers, failures, diagnostics, kept, clearText, signalling } = this;
    const security = ikev2 ? ("ikev2" as const) : ("static" as const);
    const bench = process.env["DSMIPD_BENCH"] ?? "native";
    const ok = failures.length === 0 && leftovers !== null;
    const found = { steps, frozen, leftovers, failures, diagnostics, kept, security, profile, clearText, signalling };
    return demoReport.parse({ bench, protocol, kernel: release(), slow: SLOW, load: LOAD, rate, ...found, ok });
  }

  async run(): Promise<void> {
    try {
      await this.#perform();
    } catch (error) {
      this.failures.push(error instanceof Error ? error.message : String(error));
    }
    for (const close of this.#close.splice(0)) close();
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

  async #perform(): Promise<void> {
    if (LOAD >= TOO_SLOW)
      print(
        `this machine has other work and is ${LOAD.toFixed(1)} times slower than it should be: time limits are so much longer`,
      );
    print(`two mobile nodes, eight flows with ${this.rate} packets/s each; kernel ${release()}`);
    await this.topology.build();
    if (ikev2) this.charons = await startCharons(this.topology, this.directory);
    const stage = await this.#setUp();
    heading(
      "The tour: both nodes at once, each network up before the old one goes" +
        (options.hard ? " (not today: --hard)" : ""),
    );
    if (!mip4)
      print("(leaving home takes a second: the home agent looks for duplicate addresses first, RFC 6275 §10.3.1)");
    print(stepHeader());
    for (const step of tour.steps)
      this.#tell(step === "mapping-lost" ? await loseMappings(stage) : await moveAll(stage, () => step, options.hard));
    heading("Home the hard way: unplugged first, plugged in afterwards");
    this.#tell(await moveAll(stage, () => "home", true));
    heading(`Out again: ${tour.outInWords}`);
    this.#tell(await moveAll(stage, tour.out, options.hard));
    heading(`The home agent's process frozen for ${FROZEN_SECONDS} s`);
    this.frozen = await freeze(stage);
    print(frozenText(this.frozen));
    this.failures.push(...frozenFailures(this.frozen));
    for (const [address, count] of stage.flows.strayed) {
      this.failures.push(`${count} packets arrived from ${address}, which is not the home address`);
    }
    await this.#audit();
    this.signalling = countSignalling(stage.capture.signalling);
    if (mip4) print(`  registration requests and replies seen: ${registrationsText(this.signalling)}`);
    else print(`  binding updates and acknowledgements seen: ${signallingText(this.signalling)}`);
    this.failures.push(
      ...(mip4 ? registrationFailures(this.signalling) : signallingFailures(this.signalling, profile)),
    );
    if (ikev2) {
      this.clearText = stage.capture.clear;
      print(`  payload packets in clear, in a tunnel or on an access network: ${this.clearText}`);
      if (this.clearText > 0) this.failures.push(`${this.clearText} payload packets in clear away from home`);
    }
    heading(`The end: SIGTERM to the nodes, then to the home agent${mip4 ? " and the foreign agent" : ""}`);
    await this.#stop(stage);
    print(
      `  ${this.leftovers?.length ?? 0} objects of dsmipd left in the kernel of ${this.topology.machines.length} machines`,
    );
  }

  async #setUp(): Promise<Stage> {
    const { topology, directory } = this;
    const attached = new Map(
      await Promise.all(NODES.map(async (node) => [node, await plug(topology, node, "home")] as const)),
    );
    await this.startDaemons();
    const [homeAgent, ...others] = this.daemons;
    if (homeAgent === undefined) throw new Error("no home agent");
    const nodes = new Map(NODES.flatMap((node, i) => others.slice(i, i + 1).map((daemon) => [node, daemon] as const)));
    const capture = await Capture.open(topology, ikev2 || mip4 ? [] : SPIS, ikev2);
    const flows = new Flows(topology, this.rate);
    this.#close.push(
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
    if (process.env["DSMIPD_ARTIFACTS"] === undefined || options.keep) print(`logs and configuration: ${directory}`);
    await begin(stage);
    return stage;
  }

  /** The home agent first, then the nodes in their order, then the foreign agent. */
  async startDaemons(): Promise<void> {
    const { topology, directory } = this;
    const choices: Choices = { ikev2, profile, protocol };
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

  /** What the daemons say themselves, as `dsmipctl audit`. */
  async #audit(): Promise<void> {
    for (const daemon of this.daemons) {
      for (const { key, difference } of (await daemon.audit()).differences) {
        this.failures.push(`audit in ${daemon.machine}: ${key} is ${difference}`);
      }
    }
  }

  async #stop({ homeAgent, daemons }: Stage): Promise<void> {
    const ends = await Promise.all([...daemons.values()].map((daemon) => daemon.stop()));
    for (const { homeAddress, endpoint } of await homeAgent.bindings()) {
      if (endpoint !== null)
        this.failures.push(`${homeAddress} is still bound to ${endpoint.address} after its node has ended`);
    }
    for (const daemon of this.daemons) if (daemon.ended === undefined) ends.push(await daemon.stop());
    for (const how of ends) if (how !== "exit status 0") this.failures.push(`a dsmipd ended with ${how}`);
    await Promise.all(this.charons.map((charon) => charon.stop()));
    this.leftovers = [...(await collectLeftovers(this.topology))];
    for (const { machine, kind, object } of this.leftovers) this.failures.push(`left in ${machine}: ${kind} ${object}`);
  }

  #tell(steps: readonly StepReport[]): void {
    this.steps.push(...steps);
    for (const step of steps) print(stepRow(step));
  }

  /** Nothing of this run stays. */
  async remove(): Promise<void> {
    for (const daemon of this.daemons) daemon.signal("SIGKILL");
    for (const charon of this.charons) charon.kill();
    await this.topology.remove();
    if (this.failures.length === 0 || process.env["DSMIPD_ARTIFACTS"] !== undefined)
      rmSync(this.directory, { recursive: true });
  }
}

async function main(): Promise<number> {
  if (options.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  if (!["static", "ikev2"].includes(options.security))
    throw new Error(`--security ${options.security}: static or ikev2 is wanted`);
  if (!isProfile(options.profile)) throw new Error(`--profile ${options.profile}: ${PROFILES.join(" or ")} is wanted`);
  if (profile === "soliman2004" && ikev2)
    throw new Error(
      "--profile soliman2004 with --security ikev2: the profile has no tunnel in ESP; --security static is wanted",
    );
  if (!isProtocol(options.protocol))
    throw new Error(`--protocol ${options.protocol}: ${PROTOCOLS.join(" or ")} is wanted`);
  if (mip4 && (ikev2 || options.profile !== "rfc5555"))
    throw new Error(
      "--protocol mip4 with --security ikev2 or --profile: Mobile IPv4 has neither ESP nor binding updates; leave them out",
    );
  const rate = Number(options.rate);
  if (!(rate >= 1 && rate <= 1000))
    throw new Error(`--rate ${options.rate}: a number of packets a second from 1 to 1000 is wanted`);
  const obstacle = options.keep ? keepObstacle() : undefined;
  if (obstacle !== undefined) throw new Error(obstacle);
  const demo = new Demo(rate);
  const interrupted = (): void => void demo.remove().then(() => process.exit(130));
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  await demo.run();
  if (options.keep && demo.daemons.length > 0) demo.kept = await keepUp(demo);
  const { report } = demo;
  if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else print(`\n${verdictText(report)}`);
  for (const line of report.kept ?? []) print(line);
  if (!options.keep) await demo.remove();
  else if (process.stdin.isTTY) await shell().then(() => demo.remove());
  else for (const daemon of demo.daemons) daemon.leave();
  return report.ok ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
