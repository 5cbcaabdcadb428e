/**
 * Forwarding with payload in ESP through our objects, beside the same tunnels made by hand with `ip xfrm` and no nftables: one subscriber
 * and many on either side, so that what many states and policies cost the kernel by itself is known. Receivers look at sequence numbers,
 * so every frame that comes in is a new one, sealed ahead of time; slices are therefore counted in frames.
 */
import { SOL_UDP } from "../../controller/io/constants.js";
import { openUdpSocket } from "../../controller/io/ip/udp-socket.js";
import { UDP_ENCAP_ESPINUDP } from "../../controller/kernel/xfrm/constants.js";
import { ESP_UDP_PORT } from "../../controller/plan/site.js";
import { espFrames, nodeAt, type SealedNodes, seal } from "./esp-frames.js";
import { type InstallReport, install, SOMEBODY_ELSE } from "./forwarding.js";
import { type Direction, frame, ring } from "./frames.js";
import { Load, type Measured, type Source } from "./load.js";
import { type HomeAgentMachine, homeAgentMachine, type Machine } from "./machines.js";
import { ACCESSES, type Access, endpointOf, INNER_FAMILIES, type InnerFamily, type Kind } from "./places.js";
import { rounded } from "./statistics.js";
import { makeEmptyChains, makeXfrmByHand } from "./xfrm-by-hand.js";

export interface SecurityForwardingOptions {
  readonly kind: Kind;
  readonly subscribers: number;
  readonly rounds: number;
  /** Length of a slice. */
  readonly frames: number;
}

/** One side of the comparison: ours, or made by hand. Packets per second, and medians of the ratios of neighbouring slices. */
export interface SecuritySide {
  readonly one: number;
  /** Many subscribers, all packets of one. */
  readonly manyFocused: number;
  /** Many subscribers, packets of all in turn. */
  readonly many: number;
  readonly manyFocusedToOne: number;
  readonly manyToOne: number;
}

export interface SecurityForwardingReport {
  readonly direction: Direction;
  readonly access: Access;
  readonly inner: InnerFamily;
  readonly ours: SecuritySide;
  readonly byHand: SecuritySide;
  /** The generator alone: its frames are dropped at the door. */
  readonly generator: number;
  /** One subscriber by hand, with chains at the hooks of our firewall that are empty. */
  readonly emptyChains: number;
  /** One subscriber of ours at a home agent that has unprotected payload too, and the firewall for it. */
  readonly mixed: number;
  readonly mixedToByHand: number;
  readonly oneToByHand: number;
  readonly emptyChainsToByHand: number;
  readonly manyToByHand: number;
  /** Nanoseconds that a packet of the one subscriber takes longer than by hand. */
  readonly extraNs: number;
  readonly lost: number;
}

export interface SecurityForwardingResults {
  readonly subscribers: number;
  readonly forwarding: readonly SecurityForwardingReport[];
  readonly installs: readonly InstallReport[];
}

type Agents = Readonly<Record<"one" | "many" | "mixed" | "handOne" | "handMany" | "emptyChains", HomeAgentMachine>>;
type Packets = Readonly<Record<"focused" | "inTurn", readonly Uint8Array[]>>;

/** linux/udp.h */
const UDP_ENCAP = 100;

export function measureSecurityForwarding(
  options: SecurityForwardingOptions,
  note: (text: string) => void,
): SecurityForwardingResults {
  const forwarding: SecurityForwardingReport[] = [];
  const installs: InstallReport[] = [];
  note("sealing packets");
  const count = (options.rounds + 1) * options.frames; // as many as all rounds use up, the first one included
  const packets = new Map(
    // The same associations carry both families, one after the other.
    INNER_FAMILIES.map((inner, i) => [
      inner,
      {
        focused: seal(FOCUSED, inner, count, i * count, options.kind),
        inTurn: seal(inTurnOf(options), inner, count, i * count, options.kind),
      },
    ]),
  );
  for (const access of ACCESSES) {
    using load = new Load();
    using one = homeAgentMachine(load.machine, "one", { answer: false });
    using many = homeAgentMachine(load.machine, "many", { answer: false });
    using mixed = homeAgentMachine(load.machine, "mixed", { answer: false });
    using handOne = homeAgentMachine(load.machine, "hone", { answer: false });
    using handMany = homeAgentMachine(load.machine, "hmany", { answer: false });
    using emptyChains = homeAgentMachine(load.machine, "empty", { answer: false });
    const agents = { one, many, mixed, handOne, handMany, emptyChains };
    const sockets = access === "udp" ? Object.values(agents).map(({ machine }) => espInUdpSocket(machine)) : [];
    note(`${options.subscribers} ${options.kind} with protected payload, care-of address: ${access}`);
    install(one, access, 1, options.kind, "esp");
    install(mixed, access, 1, options.kind, "mixed");
    installs.push(install(many, access, options.subscribers, options.kind, "esp"));
    makeXfrmByHand(handOne.machine, access, 1, options.kind);
    makeXfrmByHand(emptyChains.machine, access, 1, options.kind);
    makeEmptyChains(emptyChains.machine);
    makeXfrmByHand(handMany.machine, access, options.subscribers, options.kind);
    for (const inner of INNER_FAMILIES) {
      for (const direction of ["decapsulation", "encapsulation"] as const) {
        note(`ESP, ${direction}, IPv${inner}, care-of address: ${access}`);
        const sealedPackets = packets.get(inner) as Packets;
        forwarding.push(measure({ load, agents, direction, access, inner, packets: sealedPackets }, options));
      }
    }
    for (const socket of sockets) socket.close();
  }
  return { subscribers: options.subscribers, forwarding, installs };
}

/** With many subscribers the first one is the one in focus, and the others have their turn. */
const FOCUSED: SealedNodes = { first: 0, nodes: 1 };
const inTurnOf = ({ subscribers }: SecurityForwardingOptions): SealedNodes => ({ first: 1, nodes: subscribers - 1 });

/** The kernel takes ESP in UDP from a socket only. Nobody reads it: what comes here is nothing else. */
function espInUdpSocket(machine: Machine): { close(): void } {
  const socket = openUdpSocket({ family: 4, port: ESP_UDP_PORT, netns: machine.path });
  socket.socket.setOption(SOL_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP);
  return socket;
}

interface Measurement {
  readonly load: Load;
  readonly agents: Agents;
  readonly direction: Direction;
  readonly access: Access;
  readonly inner: InnerFamily;
  readonly packets: Packets;
}

function measure(measurement: Measurement, options: SecurityForwardingOptions): SecurityForwardingReport {
  const { load, agents, direction, access, inner } = measurement;
  const { rounds, frames } = options;
  const inwards = direction === "decapsulation";
  const received = (): number =>
    Object.values(agents).reduce((sum, { wan, lan }) => sum + load.machine.received(inwards ? lan : wan), 0);
  const before = received();
  const measured = load.send(inwards ? incoming(measurement, options) : outgoing(measurement, options), {
    rounds,
    slice: { frames },
  });
  const sent = 8 * (rounds + 1) * frames;
  const nsPerPacket = (name: SourceName): number => 1e9 / measured.rate(name);
  return {
    ...{ direction, access, inner },
    ours: side(measured, "one", "manyFocused", "many"),
    byHand: side(measured, "handOne", "handManyFocused", "handMany"),
    generator: measured.rate("generator"),
    emptyChains: measured.rate("emptyChains"),
    mixed: measured.rate("mixed"),
    mixedToByHand: measured.ratio("mixed", "handOne"),
    oneToByHand: measured.ratio("one", "handOne"),
    emptyChainsToByHand: measured.ratio("emptyChains", "handOne"),
    manyToByHand: measured.ratio("many", "handMany"),
    extraNs: Math.round(nsPerPacket("one") - nsPerPacket("handOne")),
    lost: rounded(Math.max(0, 1 - (received() - before) / sent)),
  };
}

type SourceName =
  | "one"
  | "handOne"
  | "emptyChains"
  | "mixed"
  | "manyFocused"
  | "handManyFocused"
  | "many"
  | "handMany"
  | "generator";

function side(measured: Measured<SourceName>, one: SourceName, focused: SourceName, many: SourceName): SecuritySide {
  return {
    one: measured.rate(one),
    manyFocused: measured.rate(focused),
    many: measured.rate(many),
    manyFocusedToOne: measured.ratio(focused, one),
    manyToOne: measured.ratio(many, one),
  };
}

function outgoing(
  { agents, access, inner }: Measurement,
  options: SecurityForwardingOptions,
): Readonly<Record<SourceName, Source>> {
  const source = ({ lan, lanMac }: HomeAgentMachine, { first, nodes }: SealedNodes, mac = lanMac): Source => ({
    device: lan,
    frames: ring(nodes, (i) =>
      frame("encapsulation", first + i, endpointOf(first + i, access), inner, mac, options.kind),
    ),
  });
  return sources(
    agents,
    (agent, mac) => source(agent, FOCUSED, mac),
    (agent) => source(agent, inTurnOf(options)),
  );
}

function incoming(
  { agents, access, packets }: Measurement,
  options: SecurityForwardingOptions,
): Readonly<Record<SourceName, Source>> {
  const source = (
    { wan, wanMac }: HomeAgentMachine,
    sealed: readonly Uint8Array[],
    nodes: SealedNodes,
    mac = wanMac,
  ): Source => ({
    device: wan,
    frames: espFrames(sealed, (i) => endpointOf(nodeAt(i, nodes), access), mac),
    count: sealed.length,
  });
  return sources(
    agents,
    (agent, mac) => source(agent, packets.focused, FOCUSED, mac),
    (agent) => source(agent, packets.inTurn, inTurnOf(options)),
  );
}

/** What is compared stands side by side. */
function sources(
  { one, many, mixed, handOne, handMany, emptyChains }: Agents,
  focused: (agent: HomeAgentMachine, mac?: string) => Source,
  inTurn: (agent: HomeAgentMachine) => Source,
): Readonly<Record<SourceName, Source>> {
  return {
    one: focused(one),
    handOne: focused(handOne),
    emptyChains: focused(emptyChains),
    mixed: focused(mixed),
    manyFocused: focused(many),
    handManyFocused: focused(handMany),
    many: inTurn(many),
    handMany: inTurn(handMany),
    generator: focused(one, SOMEBODY_ELSE),
  };
}
