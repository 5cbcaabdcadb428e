/**
 * `--scene=route-optimisation`: flows leave the way of the home agent for the direct path to a correspondent, which is a dsmipd too, and
 * come back to it (RFC 6275 §11; with IPv4 at either side, draft-oulai-mext-dsmip-ro-00). Each step says by which path the flows went on the wire, how long that took, and what was lost.
 */
import { release } from "node:os";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { fetchDocument } from "../../controller/control/client.js";
import { correspondentsDocument } from "../../schemas/control.js";
import { LOAD, SLOW } from "../kernel/lib/surroundings.js";
import { inNamespace } from "./commands.js";
import {
  type Daemon,
  startCorrespondent,
  startHomeAgent,
  startMobileNode,
  type TimedEvent,
  writeKeys,
} from "./daemons.js";
import type { Interval } from "./flow-record.js";
import { type Flow, Flows, flowsBetween, type Mark } from "./flows.js";
import { type Attached, deprecate, type NetworkName, plug, preferred, unplug } from "./network.js";
import { PathCapture } from "./path-capture.js";
import {
  type Expected,
  type PairReport,
  type PathReport,
  type PathStep,
  pathFailures,
  pathHeader,
  pathReport,
  pathRow,
  pathVerdict,
} from "./path-report.js";
import { Run } from "./run.js";
import { CORRESPONDENT, CORRESPONDENT_BESIDE, type MachineName, NODES, Topology } from "./topology.js";
import { alive, says } from "./tour.js";
import { until } from "./until.js";

/** What each way between the home agent and everybody else takes longer. */
export const DELAY_MS = 20;
/** For so long nothing passes any link of the home agent. */
export const CUT_SECONDS = 10;

const REGISTRATION = { seconds: 40 };
const PAYLOAD = { seconds: 30 };
/** Frames of every flow that say by which path it goes. */
const PATH_FRAMES = 5;
/** Packets of every flow by which a path is measured. */
const MEASURED_PACKETS = 25;
/** What was sent for so long before has arrived, or is lost: longer than by the home agent and back. */
const SETTLED_SECONDS = 0.3;
const IN_FLIGHT_MS = 3 * DELAY_MS + 40 * SLOW * LOAD;

const [NODE] = NODES;
const FLOWS = flowsBetween(
  [CORRESPONDENT.ipv6, CORRESPONDENT.ipv4, CORRESPONDENT_BESIDE].map((correspondent) => ({
    node: NODE,
    correspondent,
  })),
);
const PAIRS = { ipv6: CORRESPONDENT.ipv6, ipv4: CORRESPONDENT.ipv4, beside: CORRESPONDENT_BESIDE } as const;
const flowsOf = (pair: keyof typeof PAIRS): readonly Flow[] =>
  FLOWS.filter(({ correspondent }) => correspondent === PAIRS[pair]);

/** A network to go to, with the one before still up, or `null`: the home agent's links are cut. */
interface Leg extends Expected {
  readonly to: NetworkName | null;
  readonly step: string;
}

/** All by way of the home agent, in one format. */
const byHomeAgent = (path: NonNullable<Expected["beside"]>): Expected => ({ ipv6: path, ipv4: path, beside: path });

const FIRST: Leg = { to: "home", step: "at home", ...byHomeAgent("home") };
/** IPv4 payload inside IPv6 with the same headers (mode 1). */
const IPV6: Expected = { ...byHomeAgent("agent-ipv6"), ipv6: "direct-headers", ipv4: "direct-ipv6" };
/** From an IPv4 care-of address (modes 3 and 4). */
const overIpv4 = (format: "ipv4" | "udp"): Expected => ({
  ...{ ipv6: `direct-${format}`, ipv4: `direct-${format}` },
  beside: `agent-${format}`,
});
const LEGS: readonly Leg[] = [
  { to: "ipv6", step: "to an IPv6 network", ...IPV6 },
  { to: "ipv6-2", step: "to another IPv6 network", ...IPV6 },
  { to: null, step: `home agent cut off for ${CUT_SECONDS} s`, ...IPV6, beside: null },
  { to: "ipv4", step: "to public IPv4", ...overIpv4("ipv4") },
  { to: "nat", step: "behind a NAT", ...overIpv4("udp") },
  { to: "ipv6", step: "back to IPv6", ...IPV6 },
  { to: "home", step: "home", ...byHomeAgent("home") },
  { to: "ipv6-2", step: "out again", ...IPV6 },
];

export class RouteOptimisationDemo extends Run {
  readonly nodes = 1;
  readonly outInWords = "mn1 in an IPv6 network";
  readonly #keep: boolean;
  readonly #steps: PathStep[] = [];

  constructor({ rate, keep }: { readonly rate: number; readonly keep: boolean }, print: (text: string) => void) {
    super(new Topology({ singleNode: true, beside: true }), rate, print);
    this.#keep = keep;
  }

  get report(): PathReport {
    const { rate, leftovers, failures, diagnostics, kept } = this;
    const bench = process.env["DSMIPD_BENCH"] ?? "native";
    const ok = failures.length === 0 && leftovers !== null;
    const found = { steps: this.#steps, leftovers, failures, diagnostics, kept, ok };
    const scene = "route-optimisation" as const;
    const measured = { rate, delayMs: DELAY_MS, cutSeconds: CUT_SECONDS };
    return pathReport.parse({ scene, bench, kernel: release(), slow: SLOW, load: LOAD, ...measured, ...found });
  }

  get verdict(): string {
    return pathVerdict(this.report);
  }

  async startDaemons(): Promise<void> {
    const { topology, directory } = this;
    const choices = { ikev2: false, profile: "rfc5555", protocol: "mip6" } as const;
    writeKeys(directory);
    this.daemons = [
      startHomeAgent(topology, directory, choices),
      startMobileNode(topology, directory, NODE, {
        ...choices,
        routeOptimisation: {
          ...{ deny: [`${CORRESPONDENT_BESIDE}/128`], minimumAgeSeconds: 0 },
          ipv4: { correspondents: [{ ipv6: CORRESPONDENT.ipv6, ipv4: CORRESPONDENT.ipv4 }] },
        },
      }),
      startCorrespondent(topology, directory),
    ];
    await Promise.all(this.daemons.map((daemon) => daemon.ready()));
  }

  protected async perform(): Promise<void> {
    const { topology, directory } = this;
    this.tellOfLoad();
    this.print(`one mobile node, six flows with ${this.rate} packets/s each; kernel ${release()}`);
    this.print(`each way to or from the home agent takes ${DELAY_MS} ms longer`);
    await topology.build();
    await pass(topology);
    const attached = await plug(topology, NODE, "home");
    await this.startDaemons();
    const [homeAgent, daemon] = this.daemons;
    if (homeAgent === undefined || daemon === undefined) throw new Error("no home agent or no node");
    if (process.env["DSMIPD_ARTIFACTS"] === undefined || this.#keep) this.print(`logs and configuration: ${directory}`);
    const flows = new Flows(topology, this.rate, FLOWS);
    const capture = await PathCapture.open(topology, FLOWS);
    this.open.push(
      () => capture.close(),
      () => flows.close(),
    );
    const stage = new Stage(this, { daemon, flows, capture, attached });
    await stage.begin();
    this.heading("The tour: each network up before the old one goes");
    this.print(
      "BY HOME AGENT: the round trip, in the same moment, to an address of the correspondent that is not optimised",
    );
    this.print(pathHeader());
    for (const leg of [FIRST, ...LEGS]) {
      const step = await stage.go(leg);
      this.#steps.push(step);
      this.print(pathRow(step));
      const failures = pathFailures(step, leg, DELAY_MS);
      this.failures.push(...failures);
      if (failures.length > 0) this.failures.push(...stage.losses());
    }
    for (const [address, packets] of flows.strayed)
      this.failures.push(`${packets} packets arrived from ${address}, which is not the address they were sent from`);
    await this.audit();
    this.heading("The end: SIGTERM to the node, then to the home agent and the correspondent");
    await this.stop(homeAgent, [daemon]);
  }

  /** The node has taken its binding back at the correspondent, too. */
  protected override async nodesEnded(): Promise<void> {
    for (const { machine, socketPath } of this.daemons.filter((one) => one.machine === "cn")) {
      const { correspondents } = correspondentsDocument.parse(await fetchDocument(socketPath, "/correspondents"));
      for (const { homeAddress, careOfAddress } of correspondents)
        this.failures.push(`${machine} still has ${homeAddress} at ${careOfAddress} after its node has ended`);
    }
  }
}

interface Parts {
  readonly daemon: Daemon;
  readonly flows: Flows;
  readonly capture: PathCapture;
  readonly attached: Attached;
}

/** The node, its flows and where it is. */
class Stage {
  readonly #run: RouteOptimisationDemo;
  readonly #daemon: Daemon;
  readonly #flows: Flows;
  readonly #capture: PathCapture;
  #attached: Attached;
  #since: Mark = [];
  #before: Mark = [];

  constructor(run: RouteOptimisationDemo, { daemon, flows, capture, attached }: Parts) {
    this.#run = run;
    this.#daemon = daemon;
    this.#flows = flows;
    this.#capture = capture;
    this.#attached = attached;
  }

  /** At home, all flows alive. From here on every packet counts. */
  async begin(): Promise<void> {
    await until(`binding state "home" of ${NODE.name}`, REGISTRATION, async () => {
      const [binding] = await this.#daemon.bindings();
      return binding?.state === "home";
    });
    this.#flows.start();
    // The first packets resolve neighbours; they are not part of any step.
    await this.#steady("at home, before the tour");
    this.#since = this.#flows.mark();
  }

  async go(leg: Leg): Promise<PathStep> {
    const firstEvent = this.#daemon.events.length;
    const excused: Interval[] = [];
    if (leg.to === null) return this.#cut(leg, firstEvent);
    if (leg.to === this.#attached.network) return this.#measure(leg, firstEvent, excused);
    const { topology } = this.#run;
    const old = this.#attached;
    const fresh = await plug(topology, NODE, leg.to);
    if (!preferred(old.network, leg.to)) await deprecate(topology, old);
    await until(`registration of ${NODE.name} from ${leg.to}`, REGISTRATION, () => {
      alive(this.#daemon);
      return this.#daemon.events.slice(firstEvent).find((event) => says(event, fresh));
    });
    this.#attached = fresh;
    await this.#changedOver(leg);
    await unplug(topology, old);
    await this.#steady(`after ${old.network} was unplugged`);
    return this.#measure(leg, firstEvent, excused);
  }

  /** What the flows lost in the last step, in words. */
  losses(): readonly string[] {
    const text = this.#flows.describeLosses(FLOWS, this.#before, this.#since);
    return text === "" ? [] : [`  lost: ${text}`];
  }

  async #cut(leg: Leg, firstEvent: number): Promise<PathStep> {
    const { topology } = this.#run;
    const from = performance.now();
    await cut(topology);
    await delay(IN_FLIGHT_MS);
    const begun = this.#flows.mark();
    await delay(CUT_SECONDS * 1000 - IN_FLIGHT_MS);
    const pairs = await this.#seen(
      FLOWS.filter((flow) => isDirect(leg, flow)),
      begun,
    );
    await pass(topology);
    await this.#steady("after the home agent's links were mended");
    return this.#finish(leg, firstEvent, pairs, [{ from: from - IN_FLIGHT_MS, to: performance.now() }]);
  }

  async #measure(leg: Leg, firstEvent: number, excused: readonly Interval[]): Promise<PathStep> {
    const begun = this.#flows.mark();
    return this.#finish(leg, firstEvent, await this.#seen(FLOWS, begun), excused);
  }

  /** Path and round trip of each pair from `begun` on, as soon as there is enough of these flows. */
  async #seen(flows: readonly Flow[], begun: Mark): Promise<Record<keyof typeof PAIRS, Path>> {
    this.#capture.restart();
    await until(`${MEASURED_PACKETS} packets in each flow`, PAYLOAD, () => {
      alive(this.#daemon);
      return this.#flows.arrivedSince(flows, begun) >= MEASURED_PACKETS && this.#isSampled(flows);
    });
    const end = this.#flows.mark();
    const of = (pair: keyof typeof PAIRS): Path => {
      const both = flowsOf(pair);
      const ways = both.map((flow) => this.#flows.delayMs(flow, begun, end));
      const [up, down] = ways;
      return { path: this.#pathOf(both), roundTripMs: up === undefined || down === undefined ? null : up + down };
    };
    return { ipv6: of("ipv6"), ipv4: of("ipv4"), beside: of("beside") };
  }

  async #finish(
    leg: Leg,
    firstEvent: number,
    paths: Record<keyof typeof PAIRS, Path>,
    excused: readonly Interval[],
  ): Promise<PathStep> {
    const end = this.#flows.mark();
    await this.#steady(`at the end of the step "${leg.step}"`);
    const since = this.#since;
    this.#before = since;
    this.#since = end;
    const of = (pair: keyof typeof PAIRS): PairReport => {
      const windows = leg[pair]?.startsWith("direct") === true ? [] : excused;
      const { sent, lost, excused: forgiven, duplicated } = this.#flows.summary(flowsOf(pair), since, end, windows);
      return { ...paths[pair], sent, lost, excused: forgiven, duplicated };
    };
    return {
      ...{ step: leg.step, network: this.#attached.network },
      ...{ ipv6: of("ipv6"), ipv4: of("ipv4"), beside: of("beside") },
      procedure: procedureOf(this.#daemon.events.slice(firstEvent)),
    };
  }

  /** The node is registered before payload takes its new path: while that lasts it still needs the network it leaves. */
  async #changedOver(leg: Leg): Promise<void> {
    const wanted = (flow: Flow): string | null => leg[pairOf(flow)];
    await until(`path of ${NODE.name} as it should be in ${leg.to}`, PAYLOAD, async () => {
      this.#capture.restart();
      await until("captured frames of all flows", PAYLOAD, () => {
        alive(this.#daemon);
        return this.#isSampled(FLOWS);
      });
      return FLOWS.every((flow) => this.#pathOf([flow]) === wanted(flow));
    }).catch((cause: Error) => {
      const seen = FLOWS.map((flow) => `${pairOf(flow)} ${flow.direction} ${this.#pathOf([flow]) || "nothing"}`);
      throw new Error(`${cause.message}; seen: ${seen.join(", ")}`, { cause });
    });
  }

  #isSampled(flows: readonly Flow[]): boolean {
    return flows.every((flow) => this.#capture.seen(flow).frames >= PATH_FRAMES);
  }

  #pathOf(flows: readonly Flow[]): string {
    return [...new Set(flows.flatMap((flow) => [...this.#capture.seen(flow).paths]))].sort().join("+");
  }

  /** What was sent until now has arrived, or is lost. */
  async #steady(when: string): Promise<void> {
    const mark = this.#flows.mark();
    const packets = Math.max(PATH_FRAMES, Math.ceil(this.#run.rate * SETTLED_SECONDS));
    await until(`payload in all flows ${when}`, PAYLOAD, () => {
      for (const daemon of this.#run.daemons) alive(daemon);
      return this.#flows.arrivedSince(FLOWS, mark) >= packets;
    });
  }
}

type Path = Pick<PairReport, "path" | "roundTripMs">;

const pairOf = ({ correspondent }: Flow): keyof typeof PAIRS =>
  correspondent === PAIRS.ipv6 ? "ipv6" : correspondent === PAIRS.ipv4 ? "ipv4" : "beside";
const isDirect = (leg: Leg, flow: Flow): boolean => leg[pairOf(flow)]?.startsWith("direct") === true;

/** By the node's events of one step. */
function procedureOf(events: readonly TimedEvent[]): PathStep["procedure"] {
  const last = (wanted: string, test?: string): TimedEvent | undefined =>
    events.findLast(
      ({ document: { event, detail } }) => event === wanted && (test === undefined || detail["test"] === test),
    );
  const bound = last("correspondent.bound");
  const registered = last("registration.completed");
  if (bound === undefined || registered === undefined) return null;
  const testMs = (test: string): number | null => {
    const milliseconds = last("correspondent.tested", test)?.document.detail["milliseconds"];
    return typeof milliseconds === "number" ? milliseconds : null;
  };
  const afterRegistrationMs = Math.max(0, Date.parse(bound.document.time) - Date.parse(registered.document.time));
  return { homeTestMs: testMs("home"), careOfTestMs: testMs("care-of"), afterRegistrationMs };
}

/** Both ends of each cable of the home agent. */
const HOME_AGENTS_CABLES: readonly (readonly [MachineName, string])[] = [
  ["ha", "wan"],
  ["core", "ha"],
  ["ha", "home"],
  ["switch", "ha"],
];

/** The cables carry everything; those that lead away, with a delay. */
async function pass(topology: Topology): Promise<void> {
  await shape(topology, (device) => (device === "wan" ? `delay ${DELAY_MS}ms` : "delay 0ms"));
}

const cut = (topology: Topology): Promise<void> => shape(topology, () => "loss 100%");

async function shape(topology: Topology, how: (device: string) => string): Promise<void> {
  await Promise.all(
    HOME_AGENTS_CABLES.map(([machine, device]) =>
      inNamespace(topology.name(machine), [
        ...["tc", "qdisc", "replace", "dev", device, "root", "netem"],
        ...how(machine === "core" ? "wan" : device).split(" "),
      ]),
    ),
  );
}
