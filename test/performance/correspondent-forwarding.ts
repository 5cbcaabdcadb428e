/** What many bindings at a correspondent cost each packet: the Home Address option on the way in, the routing header on the way out. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openUdpSocket } from "../../controller/io/ip/udp-socket.js";
import { run } from "../kernel/lib/command.js";
import { optionFrame, PAYLOAD_PORT, plainFrame } from "./correspondents.js";
import { ring } from "./frames.js";
import { Load, type SliceOptions, type Source } from "./load.js";
import { type HomeAgentMachine, homeAgentMachine, type Machine } from "./machines.js";
import { rounded } from "./statistics.js";

export interface CorrespondentForwardingOptions extends SliceOptions {
  readonly bindings: number;
}

export interface CorrespondentForwardingReport {
  readonly direction: "option in" | "routing header out";
  /** Packets per second, medians of all slices. */
  readonly one: number;
  /** Many bindings, all packets of one node. */
  readonly manyFocused: number;
  /** Many bindings, packets of all nodes in turn. */
  readonly many: number;
  /** The same where the kernel hashes policies as at a home agent. */
  readonly thresholds: number;
  readonly manyFocusedToOne: number;
  readonly manyToOne: number;
  readonly thresholdsToMany: number;
  /** Share of the packets sent that did not come out, over all of them. */
  readonly lost: number;
}

const DIRECTIONS = ["option in", "routing header out"] as const;

export function measureCorrespondentForwarding(
  options: CorrespondentForwardingOptions,
  note: (text: string) => void,
): readonly CorrespondentForwardingReport[] {
  using load = new Load();
  using one = homeAgentMachine(load.machine, "one", { answer: false });
  using many = homeAgentMachine(load.machine, "many", { answer: false });
  using thresholds = homeAgentMachine(load.machine, "hash", { answer: false });
  note(`${options.bindings} bindings at a correspondent`);
  install(one, 1);
  install(many, options.bindings);
  install(thresholds, options.bindings, "thresholds");
  const machines = { one, many, thresholds };
  // What comes in is somebody's, and nobody reads it.
  const sockets = Object.values(machines).map(({ machine }) =>
    openUdpSocket({ family: 6, port: PAYLOAD_PORT, netns: machine.path, maxQueued: 0 }),
  );
  try {
    return DIRECTIONS.map((direction) => {
      note(`correspondent, ${direction}`);
      return measure({ load, machines, direction }, options);
    });
  } finally {
    for (const socket of sockets) socket.close();
  }
}

interface Measurement {
  readonly load: Load;
  readonly machines: Readonly<Record<"one" | "many" | "thresholds", HomeAgentMachine>>;
  readonly direction: CorrespondentForwardingReport["direction"];
}

function measure(
  { load, machines, direction }: Measurement,
  { bindings, ...slices }: CorrespondentForwardingOptions,
): CorrespondentForwardingReport {
  const inwards = direction === "option in";
  const arrived = (): number =>
    Object.values(machines).reduce(
      (sum, { machine, wan }) => sum + (inwards ? delivered(machine) : load.machine.received(wan)),
      0,
    );
  const source = ({ wan, lan, wanMac, lanMac }: HomeAgentMachine, nodes: number): Source => ({
    device: inwards ? wan : lan,
    frames: ring(nodes, (number) => (inwards ? optionFrame(number, wanMac) : plainFrame(number, lanMac))),
  });
  const before = arrived();
  const measured = load.send(
    {
      one: source(machines.one, 1),
      manyFocused: source(machines.many, 1),
      many: source(machines.many, bindings),
      thresholds: source(machines.thresholds, bindings),
    },
    slices,
  );
  const names = ["one", "manyFocused", "many", "thresholds"] as const;
  const sent = names.reduce((sum, name) => sum + measured.packets(name), 0);
  return {
    direction,
    one: measured.rate("one"),
    manyFocused: measured.rate("manyFocused"),
    many: measured.rate("many"),
    thresholds: measured.rate("thresholds"),
    manyFocusedToOne: measured.ratio("manyFocused", "one"),
    manyToOne: measured.ratio("many", "one"),
    thresholdsToMany: measured.ratio("thresholds", "many"),
    // The first round is sent and not counted, so more arrives than is known to be sent; fewer means loss.
    lost: rounded(Math.max(0, 1 - (arrived() - before) / sent)),
  };
}

/** Datagrams over IPv6 that came to a socket, with room in it or without. */
function delivered(machine: Machine): number {
  const text = machine.run("cat", "/proc/net/snmp6");
  const counter = (name: string): number => Number(new RegExp(`^${name}\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
  return counter("Udp6InDatagrams") + counter("Udp6RcvbufErrors");
}

function install({ machine }: HomeAgentMachine, count: number, ...words: readonly "thresholds"[]): void {
  const program = join(dirname(fileURLToPath(import.meta.url)), "install-correspondents.js");
  run([process.execPath, program, machine.path, String(count), ...words]);
}
