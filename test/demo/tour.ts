/** The tour: each step moves both mobile nodes at once, waits for conditions only, and gives a line for each of them. */
import { performance } from "node:perf_hooks";
import { LOAD, SLOW } from "../kernel/lib/surroundings.js";
import { type Capture, capturedBuToBaMs, type Sighting } from "./capture.js";
import { inNamespace } from "./commands.js";
import type { Daemon, TimedEvent } from "./daemons.js";
import type { Interval } from "./flow-record.js";
import { type Flows, flowsOf, type Mark } from "./flows.js";
import type { Format } from "./frame-format.js";
import { type Attached, deprecate, type NetworkName, plug, preferred, unplug } from "./network.js";
import type { StepReport } from "./report.js";
import { FOREIGN_AGENT, type MobileNode, NAT_ADDRESS, NODES, type Topology } from "./topology.js";
import { until } from "./until.js";

const REGISTRATION = { seconds: 40 };
const PAYLOAD = { seconds: 20 };
/** Packets of every flow that must have arrived before a network counts as working. */
const STEADY_PACKETS = 10;
/** Frames of every flow that say in which format it travels. */
const FORMAT_FRAMES = 5;
/** What was on its way when a cable was pulled was sent this much earlier; and an event takes this long to reach us. */
const IN_FLIGHT_MS = 40 * SLOW * LOAD;

/**
 * ESP has a port of its own at a NAT (RFC 5555 §5.1), and the home agent learns it from the node's first packet after the registration.
 * Until then it goes on sending to where the node was before; a node that comes from home was nowhere. So it is with a foreign agent: it
 * knows its visitor by the reply, which the home agent sends after it has changed over (RFC 5944 §3.7.3.2).
 */
const ESP_PORT_UNKNOWN_MS = 250 * SLOW * LOAD;

/** From request to answer, as the node measured it. */
function answerMsOf({ document }: TimedEvent): number | undefined {
  const { buToBaMs, requestToReplyMs = buToBaMs } = document.detail;
  return typeof requestToReplyMs === "number" ? requestToReplyMs : undefined;
}

/** Everything that runs. */
export interface Stage {
  readonly topology: Topology;
  readonly flows: Flows;
  readonly capture: Capture;
  readonly homeAgent: Daemon;
  readonly daemons: ReadonlyMap<MobileNode, Daemon>;
  /** Where each node is. */
  readonly attached: Map<MobileNode, Attached>;
  /** Where each node's next step begins. */
  readonly since: Map<MobileNode, Mark>;
  readonly failures: string[];
  readonly isMip4: boolean;
  /** With negotiated keys: has the capture know the present ones. */
  readonly learnKeys: (() => Promise<void>) | undefined;
}

const EXPECTED_FORMAT: Readonly<Record<NetworkName, Format>> = {
  home: "direct",
  ipv6: "ipv6",
  ipv4: "ipv4",
  nat: "udp",
  agent: "ipv4",
  "ipv6-2": "ipv6",
};
const PROTECTED_FORMAT: Readonly<Record<NetworkName, Format>> = {
  home: "direct",
  ipv6: "esp-ipv6",
  ipv4: "esp-ipv4",
  nat: "esp-udp",
  agent: "ipv4",
  "ipv6-2": "esp-ipv6",
};

function expectedFormat(network: NetworkName, protectedPayload: boolean): Format {
  return (protectedPayload ? PROTECTED_FORMAT : EXPECTED_FORMAT)[network];
}

/** Both nodes at home, both families in both directions alive. From here on every packet counts. */
export async function begin(stage: Stage): Promise<void> {
  await Promise.all(
    NODES.map(async (node) => {
      const daemon = daemonOf(stage, node);
      await until(`binding state "home" of ${node.name}`, REGISTRATION, async () => {
        const [binding] = await daemon.bindings();
        return binding?.state === "home";
      });
    }),
  );
  stage.flows.start();
  // The first packets resolve neighbours; they are not part of any step.
  await Promise.all(NODES.map((node) => steady(stage, node, "at home, before the tour")));
  for (const node of NODES) stage.since.set(node, stage.flows.mark());
}

export function moveAll(stage: Stage, target: (node: MobileNode) => NetworkName, hard: boolean): Promise<StepReport[]> {
  return both(stage, (node) => move(stage, node, target(node), hard));
}

async function move(stage: Stage, node: MobileNode, to: NetworkName, hard: boolean): Promise<StepReport> {
  const { topology } = stage;
  const daemon = daemonOf(stage, node);
  const old = stage.attached.get(node);
  if (old === undefined) throw new Error(`${node.name} is nowhere`);
  const firstEvent = daemon.events.length;
  const from = performance.now();
  if (hard) await unplug(topology, old);
  const fresh = await plug(topology, node, to);
  if (!hard && !preferred(old.network, to)) await deprecate(topology, old);
  const arrival = await until(`registration of ${node.name} from ${to}`, REGISTRATION, () => {
    alive(daemon);
    return daemon.events.slice(firstEvent).find((event) => says(event, fresh));
  });
  stage.attached.set(node, fresh);
  await steady(stage, node, `after the move to ${to}`);
  if (!hard) {
    await changedOver(stage, node, to);
    await unplug(topology, old);
    await steady(stage, node, `after ${old.network} was unplugged`);
  }
  const blind = stage.learnKeys !== undefined && old.network === "home" && to === "nat";
  const unknownMs = blind
    ? ESP_PORT_UNKNOWN_MS
    : to === "agent"
      ? (answerMsOf(arrival) ?? 0) + IN_FLIGHT_MS
      : undefined;
  const excused = hard
    ? [{ from: from - IN_FLIGHT_MS, to: arrival.at + IN_FLIGHT_MS }]
    : unknownMs === undefined
      ? []
      : [{ from: arrival.at - unknownMs, to: arrival.at + unknownMs }];
  return finish(stage, {
    node,
    from: old.network,
    to,
    kind: hard ? "hard" : "soft",
    excused,
    arrival,
    startedAt: from,
  });
}

/** The NAT forgets everybody at once, as after a reboot. The nodes notice by the binding updates that keep the mapping alive. */
export async function loseMappings(stage: Stage): Promise<StepReport[]> {
  const flushedFrom = performance.now();
  const firstEvents = new Map(NODES.map((node) => [node, daemonOf(stage, node).events.length]));
  const before = new Map(NODES.map((node) => [node, peerOf(stage, node)]));
  await inNamespace(stage.topology.name("nat"), ["conntrack", "-F"]);
  const flushedAt = performance.now();
  const wallClock = Date.now();
  return both(stage, async (node) => {
    const daemon = daemonOf(stage, node);
    const arrival = await until(`registration of ${node.name} from its new NAT port`, REGISTRATION, () => {
      alive(daemon);
      return daemon.events.slice(firstEvents.get(node)).find((event) => updateSentAfter(event, wallClock));
    });
    await steady(stage, node, "after the NAT had lost its mapping");
    const excused = [{ from: flushedFrom - IN_FLIGHT_MS, to: arrival.at + IN_FLIGHT_MS }];
    const outcome = {
      node,
      from: "nat",
      to: "nat",
      kind: "mapping-lost",
      excused,
      arrival,
      startedAt: flushedAt,
    } as const;
    const step = await finish(stage, outcome);
    if (step.peer === before.get(node)) {
      stage.failures.push(`${node.name}: the NAT still has the mapping ${step.peer}`);
    }
    return step;
  });
}

/** Both nodes at once. When one of them fails, the other one comes to its end before the error is thrown, and counts too. */
async function both(stage: Stage, step: (node: MobileNode) => Promise<StepReport>): Promise<StepReport[]> {
  const outcomes = await Promise.allSettled(NODES.map(step));
  const errors = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as Error] : []));
  const [first, ...others] = errors;
  stage.failures.push(...others.map(({ message }) => message));
  if (first !== undefined) throw first;
  return outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
}

interface Outcome {
  readonly node: MobileNode;
  readonly from: NetworkName;
  readonly to: NetworkName;
  readonly kind: StepReport["kind"];
  readonly excused: readonly Interval[];
  readonly arrival: TimedEvent;
  readonly startedAt: number;
}

/** Ends the step: what was sent until now has arrived, or is lost. */
async function finish(stage: Stage, outcome: Outcome): Promise<StepReport> {
  const { node, from, to, kind, excused, arrival, startedAt } = outcome;
  await stage.learnKeys?.();
  const format = await sampledFormat(stage, node);
  const end = stage.flows.mark();
  await steady(stage, node, `at the end of the step to ${to}`);
  const since = stage.since.get(node) ?? end;
  stage.since.set(node, end);
  const told = answerMsOf(arrival);
  const measured = told ?? capturedBuToBaMs(stage.capture.signalling, node, startedAt) ?? null;
  const step: StepReport = {
    ...{ node: node.name, from, to, kind, format, peer: peerOf(stage, node) ?? null },
    ...stage.flows.summary(flowsOf(node), since, end, excused),
    buToBaMs: measured,
    buToBaFrom: measured === null ? null : told === undefined ? "capture" : "mobile-node",
  };
  const failures = stepFailures(step, stage.learnKeys !== undefined);
  stage.failures.push(...failures);
  if (failures.length > 0 && step.lost > 0) {
    stage.failures.push(`  lost: ${stage.flows.describeLosses(flowsOf(node), since, end)}`);
  }
  return step;
}

/** What is wrong with a step. */
export function stepFailures(step: StepReport, protectedPayload = false): readonly string[] {
  const where = `${step.node}, ${step.from} to ${step.to}`;
  const failures: string[] = [];
  const wanted = expectedFormat(step.to, protectedPayload);
  if (step.format !== wanted)
    failures.push(`${where}: ${wanted} was expected on the wire, ${step.format} was captured`);
  if (step.lost > step.excused) {
    const reason =
      step.kind === "soft"
        ? "both networks were up"
        : "that were sent before the node was cut off or after it was registered";
    failures.push(`${where}: ${step.lost - step.excused} packets lost, ${reason}`);
  }
  if (step.buToBaMs === null) failures.push(`${where}: no binding update with its acknowledgement was seen`);
  if (step.to === "nat" && step.peer?.startsWith(`${NAT_ADDRESS}:`) !== true) {
    failures.push(`${where}: the tunnel should end at a port of the NAT's address ${NAT_ADDRESS}, not at ${step.peer}`);
  }
  if (step.to === "agent" && step.peer !== FOREIGN_AGENT.careOfAddress)
    failures.push(`${where}: the tunnel should end at ${FOREIGN_AGENT.careOfAddress}, not at ${step.peer}`);
  return failures;
}

async function steady({ flows, daemons }: Stage, node: MobileNode, when: string): Promise<void> {
  const mark = flows.mark();
  await until(`payload in all four flows of ${node.name} ${when}`, PAYLOAD, () => {
    for (const daemon of daemons.values()) alive(daemon);
    return flows.arrivedSince(flowsOf(node), mark) >= STEADY_PACKETS;
  });
}

/** The node is registered before its kernel has changed over: while that lasts it still needs the network it leaves. */
async function changedOver(stage: Stage, node: MobileNode, to: NetworkName): Promise<void> {
  await stage.learnKeys?.();
  const wanted = expectedFormat(to, stage.learnKeys !== undefined);
  const format = `${wanted} as the only format of ${node.name}`;
  await until(format, PAYLOAD, async () => (await sampledFormat(stage, node)) === wanted);
}

/** The format of all flows of a node from now on, as captured. */
async function sampledFormat({ capture }: Stage, node: MobileNode): Promise<string> {
  capture.restart(node);
  const flows = flowsOf(node);
  const sightings = (): readonly Sighting[] => flows.map(({ number }) => capture.sighting(number));
  const enough = (): boolean => sightings().every(({ frames }) => frames >= FORMAT_FRAMES);
  await until(`captured frames of all four flows of ${node.name}`, PAYLOAD, enough).catch((cause: Error) => {
    const seen = sightings().map(({ frames, formats }, i) => {
      return `IPv${flows[i]?.family} ${flows[i]?.direction} ${frames} ${[...formats].join("+")}`;
    });
    throw new Error(`${cause.message}; seen: ${seen.join(", ")}`, { cause });
  });
  return [...new Set(sightings().flatMap(({ formats }) => [...formats]))].sort().join("+");
}

/** The node's end of its tunnel, if all its flows agree. */
function peerOf({ capture }: Stage, node: MobileNode): string | undefined {
  const peers = new Set(flowsOf(node).map(({ number }) => capture.sighting(number).peer));
  return peers.size === 1 ? [...peers][0] : undefined;
}

export function says({ document }: TimedEvent, { network, device, addresses }: Attached): boolean {
  if (network === "home") return document.event === "home.returned" && document.detail["device"] === device;
  if (document.event !== "registration.completed") return false;
  const { careOf, careOfAddress, device: from } = document.detail;
  if (careOf !== undefined) return careOf === `${addresses[0]} on ${device}`;
  return from === device && careOfAddress === (network === "agent" ? FOREIGN_AGENT.careOfAddress : addresses[0]);
}

/** By the daemon's wall clock, which is ours too: an event that only reached us after that moment does not count. */
function updateSentAfter({ document }: TimedEvent, moment: number): boolean {
  const { buToBaMs } = document.detail;
  if (document.event !== "registration.completed" || typeof buToBaMs !== "number") return false;
  return Date.parse(document.time) - buToBaMs > moment;
}

function daemonOf({ daemons }: Stage, node: MobileNode): Daemon {
  const daemon = daemons.get(node);
  if (daemon === undefined) throw new Error(`${node.name} has no daemon`);
  return daemon;
}

export function alive({ machine, ended, logPath }: Daemon): void {
  if (ended !== undefined) throw new Error(`dsmipd in ${machine} has ended (${ended}); its log: ${logPath}`);
}
