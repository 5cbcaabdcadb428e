/**
 * Forwarding through our objects with one binding, with many, and through a tunnel made by hand, side by side: slices of a few
 * milliseconds in turn, so that the ratios hold on a machine that others use too. On one processor a slice's time is the generator's
 * and the forwarding's together; what the generator alone needs is measured in the same run.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../kernel/lib/command.js";
import { repositoryPath } from "../lib/repository.js";
import { type Direction, frame, ring } from "./frames.js";
import { type HomeAgentMachine, homeAgentMachine, Machine, ScratchFile } from "./machines.js";
import {
  ACCESSES,
  type Access,
  endpointOf,
  HOME_AGENT,
  INNER_FAMILIES,
  type InnerFamily,
  mobileNode,
} from "./places.js";
import { median, rounded } from "./statistics.js";

export interface ForwardingOptions {
  readonly bindings: number;
  readonly rounds: number;
  readonly sliceMs: number;
}

export interface InstallReport {
  readonly access: Access;
  readonly bindings: number;
  readonly objects: number;
  readonly milliseconds: number;
  readonly transactions: number;
}

export interface ForwardingReport {
  readonly direction: Direction;
  readonly access: Access;
  readonly inner: InnerFamily;
  /** Packets per second, the generator's own work included; medians of all slices. */
  readonly one: number;
  /** Many bindings, all packets of one node: what the size of tables and sets costs. */
  readonly manyFocused: number;
  /** Many bindings, packets of all nodes in turn: what cold memory costs besides. */
  readonly many: number;
  readonly handMade: number;
  /** The generator alone: its frames are dropped at the door. */
  readonly generator: number;
  /** Medians of the ratios of neighbouring slices. */
  readonly manyFocusedToOne: number;
  readonly manyToOne: number;
  readonly oneToHandMade: number;
  /** Share of the packets sent that did not come out, over all of them. */
  readonly lost: number;
}

/** Frames in each generator's ring: every source has as many, whatever the number of nodes. */
const RING_FRAMES = 10_000;
const VARIANTS = ["one", "manyFocused", "many", "handMade", "generator"] as const;
type Variant = (typeof VARIANTS)[number];
const SOMEBODY_ELSE = "02:00:00:00:00:98";

export function measureForwarding(
  options: ForwardingOptions,
  note: (text: string) => void,
): { readonly forwarding: ForwardingReport[]; readonly installs: InstallReport[] } {
  const scratch = mkdtempSync(join(tmpdir(), "dsmipd-bench-"));
  const forwarding: ForwardingReport[] = [];
  const installs: InstallReport[] = [];
  try {
    const blast = join(scratch, "blast");
    execFileSync("cc", ["-O2", "-o", blast, repositoryPath("test/performance/blast.c")]);
    for (const access of ACCESSES) {
      using load = new Machine("load");
      load.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1");
      const agents = {
        one: homeAgentMachine(load, "one", { answer: false }),
        many: homeAgentMachine(load, "many", { answer: false }),
        handMade: homeAgentMachine(load, "hand", { answer: false }),
      };
      try {
        note(`${options.bindings} bindings, care-of address: ${access}`);
        install(agents.one, access, 1);
        installs.push(install(agents.many, access, options.bindings));
        makeByHand(agents.handMade.machine, access);
        for (const inner of INNER_FAMILIES) {
          for (const direction of ["decapsulation", "encapsulation"] as const) {
            note(`${direction}, IPv${inner}, care-of address: ${access}`);
            forwarding.push(measure({ load, agents, blast, scratch, direction, access, inner }, options));
          }
        }
      } finally {
        for (const { machine } of Object.values(agents)) machine[Symbol.dispose]();
      }
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return { forwarding, installs };
}

function install({ machine }: HomeAgentMachine, access: Access, count: number): InstallReport {
  const program = join(dirname(fileURLToPath(import.meta.url)), "install.js");
  const facts = JSON.parse(run([process.execPath, program, machine.path, access, String(count)])) as Omit<
    InstallReport,
    "access"
  >;
  return { access, ...facts };
}

/** What a person would type for one mobile node: a point-to-point device and two routes. */
function makeByHand(machine: Machine, access: Access): void {
  const endpoint = endpointOf(0, access);
  const { homeAddress, ipv4HomeAddress } = mobileNode(0);
  const ends = (local: string): string => `local ${local} remote ${endpoint.address}`;
  const device = {
    ipv6: `link add name t0 type ip6tnl mode any ${ends(HOME_AGENT.ipv6)} tos inherit ttl 64`,
    ipv4: `link add name t0 type sit mode any ${ends(HOME_AGENT.ipv4)} tos inherit ttl 64`,
    udp: `link add name t0 type sit mode any ${ends(HOME_AGENT.ipv4)} tos inherit ttl 64 encap fou encap-sport 4191 encap-dport ${"port" in endpoint ? endpoint.port : 0}`,
  }[access];
  machine.ip(
    ...(access === "udp" ? ["fou add port 4191 gue"] : []),
    device,
    "link set t0 up mtu 1400",
    `route add ${homeAddress}/128 dev t0`,
    `route add ${ipv4HomeAddress}/32 dev t0`,
  );
}

interface Measurement {
  readonly load: Machine;
  readonly agents: Readonly<Record<"one" | "many" | "handMade", HomeAgentMachine>>;
  readonly blast: string;
  readonly scratch: string;
  readonly direction: Direction;
  readonly access: Access;
  readonly inner: InnerFamily;
}

function measure(at: Measurement, options: ForwardingOptions): ForwardingReport {
  const { load, agents, direction, access, inner } = at;
  const into = (agent: HomeAgentMachine): string => (direction === "decapsulation" ? agent.wan : agent.lan);
  const mac = (agent: HomeAgentMachine): string => (direction === "decapsulation" ? agent.wanMac : agent.lanMac);
  const outOf = (agent: HomeAgentMachine): string => (direction === "decapsulation" ? agent.lan : agent.wan);
  const sinks = Object.values(agents).map(outOf);
  const received = (): number => sinks.reduce((sum, device) => sum + load.received(device), 0);
  const frames = (variant: Variant, nodes: number, to: string): ScratchFile => {
    const bytes = ring(RING_FRAMES, nodes, (number) => frame(direction, number, endpointOf(number, access), inner, to));
    return new ScratchFile(join(at.scratch, variant), bytes);
  };
  using one = frames("one", 1, mac(agents.one));
  using manyFocused = frames("manyFocused", 1, mac(agents.many));
  using many = frames("many", options.bindings, mac(agents.many));
  using handMade = frames("handMade", 1, mac(agents.handMade));
  using generator = frames("generator", 1, SOMEBODY_ELSE);
  const octets = String(frame(direction, 0, endpointOf(0, access), inner, SOMEBODY_ELSE).length);
  const sources = [
    [into(agents.one), one.path, octets],
    [into(agents.many), manyFocused.path, octets],
    [into(agents.many), many.path, octets],
    [into(agents.handMade), handMade.path, octets],
    [into(agents.one), generator.path, octets],
  ].flat();
  const before = received();
  const slices = parseSlices(load.run(at.blast, String(options.rounds), String(options.sliceMs), ...sources));
  return { direction, access, inner, ...summarise(slices), lost: lossOf(slices, received() - before) };
}

interface Slice {
  readonly packets: number;
  readonly ns: number;
}
type Slices = Readonly<Record<Variant, readonly Slice[]>>;

function parseSlices(text: string): Slices {
  const slices: Record<Variant, Slice[]> = { one: [], manyFocused: [], many: [], handMade: [], generator: [] };
  for (const line of text.trim().split("\n")) {
    const [source = 0, packets = 0, ns = 1] = line.split(" ").map(Number);
    slices[VARIANTS[source] as Variant].push({ packets, ns });
  }
  return slices;
}

/** The warm-up round was sent and not printed, so more arrives than is known to be sent; fewer means loss. */
function lossOf({ generator: _, ...sent }: Slices, received: number): number {
  const packets = Object.values(sent)
    .flat()
    .reduce((sum, slice) => sum + slice.packets, 0);
  return rounded(Math.max(0, 1 - received / packets));
}

function summarise(slices: Slices): Omit<ForwardingReport, "direction" | "access" | "inner" | "lost"> {
  const rates = (variant: Variant): number[] => slices[variant].map(({ packets, ns }) => (packets * 1e9) / ns);
  const rate = (variant: Variant): number => rounded(median(rates(variant)));
  const ratio = (a: Variant, b: Variant): number => {
    const under = rates(b);
    return rounded(median(rates(a).map((over, i) => over / (under[i] ?? Number.NaN))));
  };
  return {
    one: rate("one"),
    manyFocused: rate("manyFocused"),
    many: rate("many"),
    handMade: rate("handMade"),
    generator: rate("generator"),
    manyFocusedToOne: ratio("manyFocused", "one"),
    manyToOne: ratio("many", "one"),
    oneToHandMade: ratio("one", "handMade"),
  };
}
