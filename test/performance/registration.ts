/**
 * Registrations end to end: binding updates under ESP and UDP, or registration requests, in, kernel programmed, answers out; many at once, and single
 * handovers one after the other. Beside them, `ip -batch` adding the same routes on the same kind of device.
 */

import { planMip4Binding } from "../../controller/plan/home-agent/mip4/binding.js";
import { planBinding } from "../../controller/plan/home-agent/plan.js";
import { formatObject } from "../../controller/plan/objects/format.js";
import { run } from "../kernel/lib/command.js";
import type { BenchDaemon } from "./daemon.js";
import { EspNode } from "./esp-node.js";
import { Generator } from "./generator.js";
import { startHomeAgent } from "./home-agent.js";
import { homeAgentMachine, Machine } from "./machines.js";
import { Mip4Node } from "./mip4-node.js";
import { dataPathOf, GATEWAY, HOME_AGENT, type Kind, mip4DataPathOf } from "./places.js";
import { median, quantile, rounded } from "./statistics.js";

export interface RegistrationOptions {
  /** mip4: hosts, by Mobile IPv4. */
  readonly kind: Kind | "mip4";
  readonly nodes: number;
  readonly repetitions: number;
  readonly handovers: number;
}

export interface BurstReport {
  readonly registrations: number;
  readonly perSecond: number;
  readonly retransmissions: number;
  /** Answers of "insufficient resources", after which the node tried again. */
  readonly refusals: number;
  readonly netlinkTransactions: number;
  readonly transactionsPerRegistration: number;
}

export interface RegistrationReport {
  readonly startMs: number;
  /** First registrations of all nodes at once, then moves of all of them at once. */
  readonly first: BurstReport;
  readonly moves: readonly BurstReport[];
  /** Nodes per second whose routes `ip -batch` adds; ratio of the best burst to it. */
  readonly ipBatchPerSecond: number;
  readonly firstToIpBatch: number;
  readonly handovers: {
    readonly count: number;
    readonly p50Ms: number;
    readonly p99Ms: number;
    readonly maxMs: number;
  };
}

export async function measureRegistration(options: RegistrationOptions): Promise<RegistrationReport> {
  using load = new Machine("load");
  using home = homeAgentMachine(load, "ha", { answer: true });
  load.ip(
    `address add ${GATEWAY.ipv4}/24 dev wha`,
    `address add ${GATEWAY.ipv6}/64 dev wha nodad`,
    "route add local 100.64.0.0/10 dev lo", // all nodes' addresses are its own
  );
  let agent: BenchDaemon | undefined;
  let generator: Generator | undefined;
  try {
    const { nodes, kind } = options;
    agent = await startHomeAgent(home.machine, nodes, kind);
    const made = Array.from({ length: nodes }, (_, one) =>
      kind === "mip4" ? new Mip4Node(one) : new EspNode(one, kind),
    );
    generator = new Generator(load.path, (kind === "mip4" ? Mip4Node : EspNode).port, made);
    return await measure(agent, generator, home.machine, options);
  } catch (cause) {
    const said = agent?.logged("binding.failed");
    throw said ? new Error(`${(cause as Error).message}; the home agent says:\n${said}`, { cause }) : cause;
  } finally {
    generator?.close();
    await agent?.stop();
  }
}

async function measure(
  agent: BenchDaemon,
  generator: Generator,
  machine: Machine,
  options: RegistrationOptions,
): Promise<RegistrationReport> {
  const { nodes, repetitions, handovers } = options;
  const all = Array.from({ length: nodes }, (_, number) => number);
  let moved = 0;
  /** Every time from addresses that nobody had before. */
  const burst = async (): Promise<BurstReport> => {
    const base = nodes * moved++;
    const before = await agent.status();
    const { milliseconds, retransmissions, refusals } = await generator.register(all, (number) => base + number);
    const after = await agent.status();
    const transactions = (after.counters.netlink["transactions"] ?? 0) - (before.counters.netlink["transactions"] ?? 0);
    return {
      registrations: nodes,
      perSecond: rounded((1000 * nodes) / milliseconds),
      retransmissions,
      refusals,
      netlinkTransactions: transactions,
      transactionsPerRegistration: rounded(transactions / nodes),
    };
  };
  const first = await burst();
  const batches: number[] = [];
  const moves: BurstReport[] = [];
  for (let i = 0; i < repetitions; i++) {
    batches.push(ipBatchPerSecond(machine, options));
    moves.push(await burst());
  }
  const times: number[] = [];
  for (let i = 0; i < handovers; i++) {
    const number = i % nodes;
    const place = nodes * moved + i;
    times.push(...(await generator.register([number], () => place)).perNode);
  }
  return {
    startMs: rounded(agent.startMs),
    first,
    moves,
    ipBatchPerSecond: rounded(median(batches)),
    firstToIpBatch: rounded(first.perSecond / median(batches)),
    handovers: {
      count: handovers,
      p50Ms: rounded(quantile(times, 0.5)),
      p99Ms: rounded(quantile(times, 0.99)),
      maxMs: rounded(Math.max(...times)),
    },
  };
}

/** The routes of nodes that are not bound, on the home agent's own devices, added by iproute2 and taken away again. */
function ipBatchPerSecond(machine: Machine, { nodes: count, kind }: RegistrationOptions): number {
  const site = { addresses: HOME_AGENT, homePrefixes: [], mtu: 1400, profiles: new Map() };
  const lines: Record<"-4" | "-6", string[]> = { "-4": [], "-6": [] };
  const numbers = Array.from({ length: count }, (_, i) => count + i);
  const objects = numbers.flatMap((number) =>
    kind === "mip4"
      ? planMip4Binding(mip4DataPathOf(number, "tunnel-data"), site)
      : planBinding(dataPathOf(number, "udp", kind), site),
  );
  for (const object of objects) {
    if (object.kind !== "route") continue;
    const family = object.destination.address.includes(":") ? "-6" : "-4";
    // Not with our mark: the daemon would take them for its own.
    lines[family].push(
      formatObject(object)
        .replace(/^ip (-6 )?route add /, "")
        .replace(/ proto \S+/, ""),
    );
  }
  const batch = (verb: "add" | "delete"): void => {
    for (const [family, routes] of Object.entries(lines)) {
      run(
        ["ip", family, "-n", machine.name, "-batch", "-"],
        routes.map((words) => `route ${verb} ${words}`).join("\n"),
      );
    }
  };
  const begin = performance.now();
  batch("add");
  const milliseconds = performance.now() - begin;
  batch("delete");
  return (1000 * count) / milliseconds;
}
