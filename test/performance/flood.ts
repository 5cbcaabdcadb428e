/**
 * Handovers while somebody floods the home agent: of each kind of packet that anybody can send, as many as of one that the kernel turns
 * away without us (UDP to a closed port). What a kind costs beyond that is ours.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type IpAddress, ipv4, ipv6 } from "../../controller/base/ip.js";
import { Protocol } from "../../controller/wire/ip/registry.js";
import { encodeUdp } from "../../controller/wire/ip/udp.js";
import { encodeMobilityMessage, withChecksum } from "../../controller/wire/mip6/messages/mobility-header.js";
import { homeAddressHeader } from "../../controller/wire/mip6/options/destination.js";
import { associationsOf, EspNode } from "./esp-node.js";
import { ethernet, ip, RING_FRAMES, ring } from "./frames.js";
import { Generator } from "./generator.js";
import { startHomeAgent } from "./home-agent.js";
import { Load } from "./load.js";
import { homeAgentMachine } from "./machines.js";
import { GATEWAY, HOME_AGENT, mobileNode } from "./places.js";
import { median, rounded } from "./statistics.js";

export interface FloodOptions {
  readonly nodes: number;
  /** Under each kind in all rounds together, and under the closed port between any two. */
  readonly handovers: number;
  /** Each kind has its turn in each, so that what becomes faster or slower meanwhile does so for all alike. */
  readonly rounds: number;
  readonly perSecond: number;
  /** By their names; empty: all. */
  readonly kinds: readonly string[];
}

export interface FloodKind {
  readonly kind: string;
  /** Frames that were really sent. */
  readonly perSecond: number;
  /** Median handover under this kind to that under a flood to a closed port. */
  readonly ratio: number;
  /** Updates that were never answered. */
  readonly lost: number;
  /** Updates that had to be sent again. */
  readonly repeated: number;
  readonly medianMs: number;
}

export interface FloodReport {
  readonly kinds: readonly FloodKind[];
}

const CLOSED = "closed-port";
const CLOSED_PORT = 9;
const ESP_OCTETS = 100;

/** From nobody in particular: outer addresses of one network that no node of the load has. */
const anybody = (number: number): IpAddress => ipv4(`198.18.${(number >> 8) & 0xff}.${number & 0xff}`);
const ONE = 0;
/** From all of the internet, a different one each time, in networks that no node of the load is in. */
const anywhere = (number: number): IpAddress => {
  const hash = Math.imul(number + 1, 2654435761) >>> 0;
  return ipv4(`${101 + (hash % 99)}.${(hash >>> 8) & 0xff}.${(hash >>> 16) & 0xff}.${1 + (number % 250)}`);
};

function udp(source: IpAddress, destinationPort: number, payload: Uint8Array): Uint8Array {
  const datagram = { sourcePort: 4191, destinationPort, payload };
  return ip(source, HOME_AGENT.ipv4, Protocol.udp, encodeUdp(datagram));
}

/** Octets that mean nothing, the same in every run. */
const noise = (octets: number, seed: number): Buffer =>
  Buffer.from(Array.from({ length: octets }, (_, i) => (Math.imul(i + 1, 2654435761) ^ Math.imul(seed, 40503)) >>> 24));

function esp(spi: number, seed: number): Uint8Array {
  const bytes = noise(ESP_OCTETS, seed);
  bytes.writeUInt32BE(spi, 0);
  bytes.writeUInt32BE(1000 + seed, 4);
  return bytes;
}

const inner = (source: IpAddress, payload: Uint8Array): Uint8Array =>
  ip(source, HOME_AGENT.ipv6, Protocol.esp, payload);
const forged = (node: number, seed: number): Uint8Array =>
  inner(mobileNode(node).homeAddress, esp(associationsOf({ number: node }).update.spi, seed));

/** An IPv4 packet of which the rest never comes. */
function firstFragment(packet: Uint8Array, identification: number): Uint8Array {
  const bytes = Buffer.from(packet);
  bytes.writeUInt16BE(identification & 0xffff, 4);
  bytes.writeUInt16BE(0x2000, 6); // more fragments
  bytes.writeUInt16BE(0, 10);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += bytes.readUInt16BE(i);
  while (sum >> 16 > 0) sum = (sum & 0xffff) + (sum >> 16);
  bytes.writeUInt16BE(~sum & 0xffff, 10);
  return bytes;
}

function withOption(number: number): Uint8Array {
  const source = ipv6(`2001:db8:bad::${(number + 1).toString(16)}`);
  const { homeAddress } = mobileNode(number % 10);
  const message = withChecksum(
    encodeMobilityMessage({ type: "binding-refresh-request", options: [] }),
    homeAddress,
    HOME_AGENT.ipv6,
  );
  const option = homeAddressHeader(Protocol.mobility, homeAddress);
  return ip(source, HOME_AGENT.ipv6, Protocol.destinationOptions, Buffer.concat([option, message]));
}

type Maker = (number: number, nodes: number) => readonly [family: 4 | 6, packet: Uint8Array];

const KINDS: Readonly<Record<string, Maker>> = {
  garbage: (i) => [4, udp(anybody(i), 4191, noise(ESP_OCTETS, i))],
  stranger: (i) => [4, udp(anybody(i), 4191, inner(ipv6(`2001:db8:1::dead:${i.toString(16)}`), esp(0x1000, i)))],
  "unknown-spi": (i, nodes) => [
    4,
    udp(anybody(i), 4191, inner(mobileNode(i % nodes).homeAddress, esp(0x700000 + i, i))),
  ],
  "bad-icv": (i, nodes) => [4, udp(anybody(ONE), 4191, forged(i % nodes, i))],
  "bad-icv-from-one-network": (i, nodes) => [4, udp(anybody(i), 4191, forged(i % nodes, i))],
  "bad-icv-from-everywhere": (i, nodes) => [4, udp(anywhere(i), 4191, forged(i % nodes, i))],
  fragments: (i) => [4, firstFragment(udp(anybody(i), 4191, noise(ESP_OCTETS, i)), i)],
  "ipv6-option": (i) => [6, withOption(i)],
  "port-4192": (i, nodes) => [4, udp(anybody(i), 4192, forged(i % nodes, i))],
};
/** Registrations of each node before anything is measured. */
const WARM_UP = 4;
const closed: Maker = (i) => [4, udp(anybody(i), CLOSED_PORT, noise(ESP_OCTETS, i))];

export async function measureFlood(options: FloodOptions, note: (text: string) => void): Promise<FloodReport> {
  using load = new Load();
  using home = homeAgentMachine(load.machine, "ha", { answer: true });
  load.machine.ip(`address add ${GATEWAY.ipv4}/24 dev ${home.wan}`, "route add local 100.64.0.0/10 dev lo");
  load.machine.run("sysctl", "-qw", `net.ipv6.conf.${home.wan}.disable_ipv6=0`);
  load.machine.ip(`address add ${GATEWAY.ipv6}/64 dev ${home.wan} nodad`);
  const agent = await startHomeAgent(home.machine, options.nodes);
  const generator = new Generator(
    load.machine.path,
    EspNode.port,
    Array.from({ length: options.nodes }, (_, number) => new EspNode(number, "hosts")),
  );
  try {
    const world: World = { load, device: home.wan, mac: home.wanMac, options, rings: new Map() };
    let place = 0;
    const handovers = async (count: number): Promise<Slice> => {
      const slice: Slice = { times: [], lost: 0, repeated: 0 };
      for (let i = 0; i < count; i++) {
        const at = place++;
        try {
          const { perNode, retransmissions } = await generator.register([at % options.nodes], () => at);
          slice.times.push(...perNode);
          slice.repeated += retransmissions;
        } catch {
          slice.lost++; // never acknowledged, in all its tries
        }
      }
      return slice;
    };
    // The process is compiled as it runs, and is to be as fast at the beginning as at the end.
    await handovers(WARM_UP * options.nodes);
    const under = async (kind: string): Promise<Slice & { readonly perSecond: number }> => {
      const flood = startFlood(world, kind);
      const slice = await handovers(Math.ceil(options.handovers / options.rounds));
      return { ...slice, perSecond: await flood.stop() };
    };
    const wanted = Object.keys(KINDS).filter((kind) => options.kinds.length === 0 || options.kinds.includes(kind));
    const found = new Map<string, Found>([CLOSED, ...wanted].map((kind) => [kind, new Found()]));
    let before = await under(CLOSED);
    for (let round = 0; round < options.rounds; round++) {
      note(`handovers under floods, round ${round + 1} of ${options.rounds}`);
      for (const kind of round % 2 === 0 ? wanted : wanted.toReversed()) {
        const slice = await under(kind);
        const behind = await under(CLOSED);
        // What else the machine does meanwhile disturbs the neighbours too.
        found.get(kind)?.add(slice, [...before.times, ...behind.times]);
        found.get(CLOSED)?.add(behind, behind.times);
        before = behind;
      }
    }
    const results = [...found].map(([kind, one]) => one.row(kind));
    return { kinds: results };
  } finally {
    generator.close();
    await agent.stop();
  }
}

interface Slice {
  readonly times: number[];
  lost: number;
  repeated: number;
}

/** Of one kind, in all rounds. */
class Found {
  readonly #times: number[] = [];
  readonly #neighbours: number[] = [];
  readonly #rates: number[] = [];
  #lost = 0;
  #repeated = 0;

  add(
    { times, lost, repeated, perSecond }: Slice & { readonly perSecond: number },
    neighbours: readonly number[],
  ): void {
    this.#times.push(...times);
    this.#neighbours.push(...neighbours);
    this.#rates.push(perSecond);
    this.#lost += lost;
    this.#repeated += repeated;
  }

  row(kind: string): FloodKind {
    const medianMs = median(this.#times);
    return {
      kind,
      perSecond: rounded(median(this.#rates)),
      ratio: rounded(medianMs / median(this.#neighbours)),
      lost: this.#lost,
      repeated: this.#repeated,
      medianMs: rounded(medianMs),
    };
  }
}

interface World {
  readonly load: Load;
  readonly device: string;
  readonly mac: string;
  readonly options: FloodOptions;
  /** Frames of each kind. */
  readonly rings: Map<string, Uint8Array>;
}

function startFlood({ load, device, mac, options, rings }: World, kind: string): { stop(): Promise<number> } {
  const make = KINDS[kind] ?? closed;
  const frames = rings.get(kind) ?? ring(RING_FRAMES, (number) => ethernet(mac, ...make(number, options.nodes)));
  rings.set(kind, frames);
  const command = load.steadily({ device, frames }, options.perSecond);
  const blast = spawn(command[0] ?? "", command.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  blast.stdout.on("data", (octets: Buffer) => {
    text += octets.toString();
  });
  return {
    stop: async () => {
      const ended = once(blast, "close");
      blast.kill("SIGTERM");
      await ended;
      const [sent = 0, ns = 1] = text.trim().split(" ").map(Number);
      return (sent * 1e9) / ns;
    },
  };
}

/** `flood.json` in that folder. */
export function writeFlood(directory: string, report: FloodReport): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "flood.json"), `${JSON.stringify(report, undefined, 2)}\n`);
}
