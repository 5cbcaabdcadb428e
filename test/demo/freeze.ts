/**
 * The home agent's process is stopped (SIGSTOP) while the nodes are away and all flows run. What the kernel and the process count
 * shows that payload never needed it.
 */
import { performance } from "node:perf_hooks";
import type { StatusDocument } from "../../schemas/control.js";
import { runAsync } from "../kernel/lib/command.js";
import { type Direction, FLOWS, type Mark } from "./flows.js";
import { readProtected } from "./keys.js";
import { type ProcessFacts, queuedOctets, readProcess } from "./process-facts.js";
import type { FrozenReport } from "./report.js";
import { type MobileNode, NODES } from "./topology.js";
import type { Stage } from "./tour.js";
import { until } from "./until.js";

export const FROZEN_SECONDS = 5;
/** What neighbours on the home link may ask in that time of those who are away: the kernel answers, and the process hears it too. */
const NEIGHBOURS_OCTETS = 1024 * NODES.length;
/** Kernel memory of one waiting signalling packet at most: its data page and its descriptor. */
const QUEUED_OCTETS_EACH = 4608;
const STEADY_PACKETS = 10;
const WAIT = { seconds: 20 };

interface Traffic {
  readonly packets: number;
  readonly octets: number;
}

interface TunnelCounters {
  readonly received: Traffic;
  readonly sent: Traffic;
  /** The TUN device of the process, through which signalling in UDP passes; both directions. */
  readonly tun: Traffic;
}

/** Everything that is counted, at one moment. */
interface Moment {
  readonly at: number;
  readonly process: ProcessFacts;
  readonly tunnels: TunnelCounters;
}

export async function freeze(stage: Stage): Promise<FrozenReport> {
  const { homeAgent, flows } = stage;
  const statusBefore = await homeAgent.status();
  const began = flows.mark();
  homeAgent.signal("SIGSTOP");
  try {
    await until("stopped home agent", WAIT, () => readProcess(homeAgent.pid).state === "T");
    const before = await moment(stage);
    const first = flows.mark();
    await until(
      "end of the freeze",
      { seconds: FROZEN_SECONDS + 10 },
      () => performance.now() - before.at >= FROZEN_SECONDS * 1000,
    );
    const last = flows.mark();
    await allArrivedUpTo(stage, last);
    const queued = queuedOctets(homeAgent.pid);
    const after = await moment(stage);
    const updates = stage.capture.signalling.filter(
      ({ message, at }) => message === "update" && at >= before.at,
    ).length;
    homeAgent.signal("SIGCONT");
    const statusAfter = await thawed(stage);
    const end = flows.mark();
    await allArrivedUpTo(stage, end);
    const { sent, lost, duplicated } = flows.summary(FLOWS, began, end);
    const tun = growth(before.tunnels.tun, after.tunnels.tun);
    return {
      ...{ sent, lost, duplicated },
      seconds: (after.at - before.at) / 1000,
      processState: after.process.state,
      cpuTicks: after.process.cpuTicks - before.process.cpuTicks,
      tunnelIn: growth(before.tunnels.received, after.tunnels.received),
      tunnelOut: growth(before.tunnels.sent, after.tunnels.sent),
      sentUp: sentBetween(first, last, "up"),
      sentDown: sentBetween(first, last, "down"),
      signallingDevice: tun,
      updatesWaiting: updates,
      queuedOctets: queued,
      messagesHandled: messages(statusAfter) - messages(statusBefore),
      payloadOctetsThroughProcess: tun.octets,
    };
  } finally {
    homeAgent.signal("SIGCONT");
  }
}

/** What is wrong with it. */
export function frozenFailures(frozen: FrozenReport): readonly string[] {
  const failures: string[] = [];
  const check = (fine: boolean, text: string): void => {
    if (!fine) failures.push(`home agent frozen: ${text}`);
  };
  const { tunnelIn, tunnelOut, sentUp, sentDown, updatesWaiting } = frozen;
  check(frozen.lost === 0, `${frozen.lost} packets lost`);
  check(frozen.processState === "T", `its state was ${frozen.processState}, not T`);
  check(frozen.cpuTicks === 0, `it used ${frozen.cpuTicks} clock ticks of CPU time`);
  check(
    tunnelIn.packets >= sentUp,
    `its tunnel devices received ${tunnelIn.packets} packets, the nodes sent ${sentUp}`,
  );
  check(
    tunnelOut.packets >= sentDown,
    `its tunnel devices sent ${tunnelOut.packets} packets, ${sentDown} were for the nodes`,
  );
  check(
    frozen.payloadOctetsThroughProcess === 0,
    `${frozen.payloadOctetsThroughProcess} octets went through its own device`,
  );
  check(
    frozen.queuedOctets <= updatesWaiting * QUEUED_OCTETS_EACH + NEIGHBOURS_OCTETS,
    `${frozen.queuedOctets} octets waited in its sockets, too many for ${updatesWaiting} binding updates`,
  );
  return failures;
}

async function moment(stage: Stage): Promise<Moment> {
  const process = readProcess(stage.homeAgent.pid);
  return { process, tunnels: await readTunnels(stage), at: performance.now() };
}

/** `ip -s -j link`, as far as it is used. */
export interface LinkFacts {
  readonly ifname: string;
  readonly linkinfo?: { readonly info_kind?: string };
  readonly stats64?: { readonly rx: LinkCounters; readonly tx: LinkCounters };
}
interface LinkCounters {
  readonly bytes: number;
  readonly packets: number;
}

async function readTunnels({ topology, learnKeys }: Stage): Promise<TunnelCounters> {
  const text = await runAsync(["ip", "-n", topology.name("ha"), "-s", "-d", "-j", "link", "show"]);
  const devices = sumTunnels(JSON.parse(text) as LinkFacts[]);
  // Protected payload passes no device of ours: XFRM counts it.
  return learnKeys === undefined ? devices : { ...devices, ...(await readProtected(topology)) };
}

/** Of dsmipd's devices only. */
export function sumTunnels(links: readonly LinkFacts[]): TunnelCounters {
  const ours = links.filter(({ ifname }) => ifname.startsWith("dsmip"));
  const isTun = ({ linkinfo }: LinkFacts): boolean => linkinfo?.info_kind === "tun";
  const sum = (chosen: readonly LinkFacts[], ...ways: readonly ("rx" | "tx")[]): Traffic => {
    const counters = chosen.flatMap(({ stats64 }) => ways.map((way) => stats64?.[way] ?? { bytes: 0, packets: 0 }));
    return counters.reduce(
      (total, { bytes, packets }) => ({ packets: total.packets + packets, octets: total.octets + bytes }),
      {
        packets: 0,
        octets: 0,
      },
    );
  };
  const tunnels = ours.filter((link) => !isTun(link));
  return { received: sum(tunnels, "rx"), sent: sum(tunnels, "tx"), tun: sum(ours.filter(isTun), "rx", "tx") };
}

const growth = (before: Traffic, after: Traffic): Traffic => ({
  packets: after.packets - before.packets,
  octets: after.octets - before.octets,
});

function sentBetween(from: Mark, to: Mark, direction: Direction): number {
  const chosen = FLOWS.filter((flow) => flow.direction === direction);
  return chosen.reduce((sum, { number }) => sum + (to[number] ?? 0) - (from[number] ?? 0), 0);
}

/** Packets sent after the mark have arrived in every flow, so what was sent before it has arrived too, or is lost. */
async function allArrivedUpTo({ flows }: Stage, mark: Mark): Promise<void> {
  await until("payload in all eight flows", WAIT, () => flows.arrivedSince(FLOWS, mark) >= STEADY_PACKETS);
}

/** The home agent answers again: dsmipctl, and the node behind the NAT, whose updates it had not heard. */
async function thawed({ homeAgent, daemons, attached, isMip4 }: Stage): Promise<StatusDocument> {
  // Updates keep the mapping of Mobile IPv6; with Mobile IPv4 payload does, and the kernel's answers to echo requests.
  const updating = (node: MobileNode): boolean => attached.get(node)?.network === "nat" && !isMip4;
  const waiting = NODES.filter(updating).map((node) => {
    const events = daemons.get(node)?.events ?? [];
    return { events, known: events.length };
  });
  await until("registration after the home agent went on", WAIT, () =>
    waiting.every(({ events, known }) =>
      events.slice(known).some(({ document }) => document.event === "registration.completed"),
    ),
  );
  return homeAgent.status();
}

function messages({ counters }: StatusDocument): number {
  return [counters.received, counters.sent].flatMap((one) => Object.values(one)).reduce((sum, count) => sum + count, 0);
}
