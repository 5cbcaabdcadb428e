/**
 * A home agent with the real daemon, and the internet around it played by one packet socket: every frame the daemon's machine gets is
 * made here octet by octet, and every frame it sends arrives here, whatever its addresses are.
 */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { fromHex } from "../../../controller/base/bytes.js";
import { type Ipv4Address, type Ipv6Address, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { fetchDocument } from "../../../controller/control/client.js";
import { PacketSocket } from "../../../controller/io/ip/packet-socket.js";
import { encodeIpv4Packet, ipv4Header } from "../../../controller/wire/ip/ipv4.js";
import { encodeIpv6Packet } from "../../../controller/wire/ip/ipv6.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { encodeUdp } from "../../../controller/wire/ip/udp.js";
import type {
  BindingAcknowledgement,
  MobilityMessage,
} from "../../../controller/wire/mip6/messages/mobility-header.js";
import { decodeMobilityMessage, verifyChecksum } from "../../../controller/wire/mip6/messages/mobility-header.js";
import { homeAddressHeader } from "../../../controller/wire/mip6/options/destination.js";
import type { MobilityOption } from "../../../controller/wire/mip6/options/mobility.js";
import {
  auditDocument,
  type BindingDocument,
  bindingsDocument,
  type EventDocument,
  type StatusDocument,
  statusDocument,
} from "../../../schemas/control.js";
import {
  bindingUpdate,
  EspSender,
  espPacket,
  openEsp,
  type SecurityAssociation,
  type UpdateFields,
} from "../../lib/esp.js";
import { eventsOf } from "./events.js";
import { type Layer, layersOf, layersOfKind } from "./frame.js";
import type { Background } from "./process.js";
import { emptyBridge, type Node, Topology } from "./topology.js";
import { waitFor } from "./wait.js";

export const MAIN = fileURLToPath(new URL("../../../controller/main.js", import.meta.url));
export const DSMIPCTL = fileURLToPath(new URL("../../../controller/control/cli.js", import.meta.url));

export const HOME_AGENT = { ipv6: ipv6("2001:db8:1::1"), ipv4: ipv4("203.0.113.1") } as const;

/** A node that the test plays. */
export interface Player {
  readonly homeAddress: Ipv6Address;
  readonly ipv4HomeAddress: Ipv4Address;
  readonly update: SecurityAssociation;
  readonly acknowledgement: SecurityAssociation;
}

function player(number: number): Player {
  const key = (last: number): Uint8Array => fromHex(`0102030405060708090a0b0c0d0e0f10${number}${last}aabb`);
  return {
    homeAddress: ipv6(`2001:db8:1::${number}`),
    ipv4HomeAddress: ipv4(`198.51.100.${number}`),
    update: { spi: 4096 + 2 * number, key: key(10) },
    acknowledgement: { spi: 4097 + 2 * number, key: key(11) },
  };
}

export const wantsIpv4 = (who: Player): MobilityOption => ({
  kind: "ipv4-home-address",
  prefixLength: 32,
  mobileNetworkPrefix: false,
  address: who.ipv4HomeAddress,
});

/** Two subscribers, and one who has keys but is none. */
export const [ALICE, BOB, STRANGER] = [player(10), player(11), player(12)] as const;
/** Subscribers without an IPv4 home address of their own, in worlds with a pool. */
export const [CAROL, DAVE] = [player(13), player(14)] as const;

const ETH_P_ALL = 3;
const ETH_P = { ipv4: 0x0800, ipv6: 0x86dd } as const;
const PACKET_OUTGOING = 4;
const WAN = "wan";

export interface Answer {
  readonly message: MobilityMessage;
  /** "203.0.114.2:4191", or the IPv6 destination on the wire. */
  readonly to: string;
  readonly layers: readonly Layer[];
}

export type Acknowledged = Answer & { readonly message: BindingAcknowledgement };

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** The configuration of the home agent; JSON is YAML. */
export function configuration(
  directory: string,
  changes: Readonly<Record<string, unknown>> = {},
  ofAlice: Readonly<Record<string, unknown>> = {},
): string {
  const keys = [ALICE, BOB, STRANGER, CAROL, DAVE].map(({ homeAddress, update, acknowledgement }) => ({
    homeAddress,
    update: { spi: update.spi, key: hex(update.key) },
    acknowledgement: { spi: acknowledgement.spi, key: hex(acknowledgement.key) },
  }));
  writeFileSync(join(directory, "keys.yaml"), JSON.stringify({ keys }), { mode: 0o600 });
  const config = {
    role: "home-agent",
    controlSocket: join(directory, "control.sock"),
    stateDirectory: join(directory, "state"),
    keyFile: "keys.yaml",
    homeAgent: {
      addresses: HOME_AGENT,
      homeLink: { interface: "home", prefixes: ["2001:db8:1::/64", "198.51.100.0/24"] },
      duplicateAddressDetection: false,
      ...changes,
    },
    subscribers: [
      ...[ALICE, BOB].map((who) => ({
        homeAddress: who.homeAddress,
        ipv4HomeAddress: who.ipv4HomeAddress,
        ...(who === ALICE && ofAlice),
      })),
      ...("ipv4Pool" in changes
        ? [CAROL, DAVE].map(({ homeAddress }) => ({
            homeAddress,
            ...("prefixPool" in changes && { prefixes: "dynamic" }),
          }))
        : []),
    ],
  };
  const path = join(directory, "dsmipd.yaml");
  writeFileSync(path, JSON.stringify(config));
  return path;
}

export class HostileWorld {
  readonly net: Topology;
  readonly ha: Node;
  readonly world: Node;
  readonly config: string;
  readonly controlSocket: string;
  daemon: Background | undefined;
  /** Everything the home agent's machine sent, oldest first. */
  readonly frames: Uint8Array[] = [];
  #socket: PacketSocket | undefined;
  #interfaceIndex = 0;
  #gateway = new Uint8Array(6);
  readonly #senders = new Map<Player, EspSender>();

  /** `changes`: of the homeAgent section; `ofAlice`: further keys of the first subscriber. */
  constructor(
    test: TestContext,
    changes: Readonly<Record<string, unknown>> = {},
    ofAlice: Readonly<Record<string, unknown>> = {},
  ) {
    this.net = new Topology(test);
    this.ha = this.net.node("ha", { forwarding: true });
    this.world = this.net.node("world");
    this.net.link(this.ha.port(WAN, "203.0.113.1/24", "2001:db8:f::1/64"), this.world.port(WAN));
    this.ha.also(
      ...emptyBridge("home"),
      "address add 198.51.100.1/24 dev home",
      "address add 2001:db8:1::1/64 dev home",
    );
    this.config = configuration(this.net.scratch, changes, ofAlice);
    this.controlSocket = join(this.net.scratch, "control.sock");
    test.after(() => this.#socket?.close());
  }

  /** Builds the wires and starts the daemon. */
  async open(): Promise<void> {
    this.net.build();
    const [link] = this.world.ipJson(`link show dev ${WAN}`);
    const [port] = this.ha.ipJson(`link show dev ${WAN}`);
    this.#interfaceIndex = link?.["ifindex"] as number;
    this.#gateway = Uint8Array.from(String(port?.["address"]).split(":"), (octet) => Number.parseInt(octet, 16));
    const lladdr = `lladdr ${link?.["address"]} dev ${WAN} nud permanent`;
    this.ha.ip(
      `neighbour add 203.0.113.254 ${lladdr}`,
      `neighbour add 2001:db8:f::fe ${lladdr}`,
      "route add default via 203.0.113.254",
      `route add ::/0 via 2001:db8:f::fe dev ${WAN}`,
    );
    this.#socket = PacketSocket.open({
      type: "raw",
      protocol: ETH_P_ALL,
      interfaceIndex: this.#interfaceIndex,
      netns: this.world.path,
    });
    this.#socket.listen({
      onFrames: (frames) => {
        for (const { data, packetType } of frames) if (packetType !== PACKET_OUTGOING) this.frames.push(data);
      },
      onError: (error) => {
        throw error;
      },
    });
    await this.start();
  }

  async start(): Promise<Background> {
    const daemon = this.ha.spawn([process.execPath, MAIN, "run", "--config", this.config], { name: "dsmipd" });
    this.daemon = daemon;
    await daemon.waitForLog(/daemon\.ready/, 20_000);
    return daemon;
  }

  /** Puts packets of one family on the wire to the home agent's machine. */
  send(family: 4 | 6, ...packets: readonly Uint8Array[]): void {
    const protocol = family === 4 ? ETH_P.ipv4 : ETH_P.ipv6;
    const header = Uint8Array.from([...this.#gateway, 2, 0, 0, 0, 0, 9, protocol >> 8, protocol & 0xff]);
    const report = this.#socket?.send(
      packets.map((packet) => ({
        data: Buffer.concat([header, packet]),
        interfaceIndex: this.#interfaceIndex,
        protocol,
        destination: this.#gateway,
      })),
    );
    if (report?.error !== undefined) throw report.error;
  }

  sender(who: Player): EspSender {
    const sender = this.#senders.get(who) ?? new EspSender(who.update);
    this.#senders.set(who, sender);
    return sender;
  }

  /** Sends an update over UDP that will be answered, and waits for the answer. */
  async update(who: Player, fields: UpdateFields, outer: Parameters<typeof inUdp>[1] = {}): Promise<Acknowledged> {
    const before = this.acknowledgements(who).length;
    const esp = this.sender(who).seal(bindingUpdate(fields, who.homeAddress, HOME_AGENT.ipv6));
    this.send(4, inUdp(espPacket(who.homeAddress, HOME_AGENT.ipv6, esp), outer));
    return this.nextAcknowledgement(who, before);
  }

  /** How many differences between plan and kernel the daemon finds. */
  async differences(): Promise<number> {
    return auditDocument.parse(await fetchDocument(this.controlSocket, "/audit")).differences.length;
  }

  /** Runs dsmipctl to its end. */
  dsmipctl(...args: readonly string[]): SpawnSyncReturns<string> {
    return spawnSync(process.execPath, [DSMIPCTL, "--socket", this.controlSocket, ...args], { encoding: "utf8" });
  }

  async status(): Promise<StatusDocument> {
    return statusDocument.parse(await fetchDocument(this.controlSocket, "/status"));
  }

  /** What `dsmipctl events` would show of that name. */
  events(name: string): Promise<readonly EventDocument[]> {
    return eventsOf(this.controlSocket, name);
  }

  /** What the daemon dropped for this reason so far. */
  async dropped(reason: string): Promise<number> {
    return (await this.status()).counters.dropped[reason] ?? 0;
  }

  async binding(who: Player): Promise<BindingDocument | undefined> {
    const { bindings } = bindingsDocument.parse(await fetchDocument(this.controlSocket, "/bindings"));
    return bindings.find(({ homeAddress }) => homeAddress === who.homeAddress);
  }

  /** Messages of the home agent to this node, oldest first, decrypted and with their checksum verified. */
  answers(who: Player): Answer[] {
    return this.frames.flatMap((frame) => {
      const found = answerIn(layersOf(frame, 1), who);
      return found === undefined ? [] : [found];
    });
  }

  /** Mobility messages of the home agent without ESP to this address, from the frame `from` on. */
  plainMessages(destination: Ipv6Address, from: number): MobilityMessage[] {
    return this.frames.slice(from).flatMap((frame) => {
      const layers = layersOf(frame, 1);
      const [ip] = layersOfKind(layers, "ipv6");
      const last = layers.at(-1);
      if (ip?.destination !== destination || last?.kind !== "other" || last.protocol !== Protocol.mobility) return [];
      const message = decodeMobilityMessage(last.bytes);
      if (!message.ok) throw message.error;
      return verifyChecksum(last.bytes, ip.source, destination) ? [message.value] : [];
    });
  }

  /** The acknowledgements, as far as they go to this node. */
  acknowledgements(who: Player): Acknowledged[] {
    return this.answers(who).filter((one): one is Acknowledged => one.message.type === "binding-acknowledgement");
  }

  /** The next acknowledgement to this node after `before` of them. */
  async nextAcknowledgement(who: Player, before: number): Promise<Acknowledged> {
    await waitFor(() => this.acknowledgements(who).length > before, { what: "a binding acknowledgement" });
    return this.acknowledgements(who)[before] as Acknowledged;
  }

  /** Octets of memory the daemon's process holds. */
  residentOctets(): number {
    const status = readFileSync(`/proc/${this.daemon?.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  /** A file under /proc/net of the home agent's namespace. */
  proc(file: string): string {
    return readFileSync(`/proc/${this.daemon?.pid}/net/${file}`, "utf8");
  }

  /** IPsec errors that the kernel counted, by name: ipsec("XfrmInNoStates"). */
  ipsec(name: string): number {
    return Number(new RegExp(`^${name}\\s+(\\d+)$`, "m").exec(this.proc("xfrm_stat"))?.[1] ?? 0);
  }
}

function answerIn(layers: readonly Layer[], who: Player): Answer | undefined {
  const inner = layersOfKind(layers, "ipv6").at(-1);
  const esp = layers.at(-1);
  if (inner?.source !== HOME_AGENT.ipv6 || esp?.kind !== "other" || esp.protocol !== Protocol.esp) return undefined;
  if (Buffer.from(esp.bytes).readUInt32BE(0) !== who.acknowledgement.spi) return undefined;
  const { payload } = openEsp(esp.bytes, who.acknowledgement);
  const message = decodeMobilityMessage(payload);
  if (!message.ok) throw message.error;
  if (!verifyChecksum(payload, HOME_AGENT.ipv6, who.homeAddress)) throw new Error("an answer with a wrong checksum");
  const [outer] = layersOfKind(layers, "ipv4");
  const [udp] = layersOfKind(layers, "udp");
  const to = outer === undefined ? inner.destination : `${outer.destination}:${udp?.destinationPort}`;
  return { message: message.value, to, layers };
}

/** In UDP and IPv4 to the home agent, as on the wire. */
export function inUdp(
  payload: Uint8Array,
  { source = ipv4("203.0.114.2"), sourcePort = 4191, destinationPort = 4191 } = {},
): Uint8Array {
  const destination = HOME_AGENT.ipv4;
  const udp = encodeUdp({ sourcePort, destinationPort, payload }, { source, destination });
  return encodeIpv4Packet({ header: ipv4Header({ source, destination, protocol: Protocol.udp }), payload: udp });
}

/** Over IPv6 from the care-of address, with a Home Address option in front of `payload`. */
export function withHomeAddress(
  careOf: Ipv6Address,
  homeAddress: Ipv6Address,
  nextHeader: number,
  payload: Uint8Array,
): Uint8Array {
  const options = homeAddressHeader(nextHeader, homeAddress);
  return plainIpv6(careOf, HOME_AGENT.ipv6, Protocol.destinationOptions, Buffer.concat([options, payload]));
}

export function plainIpv6(
  source: Ipv6Address,
  destination: Ipv6Address,
  nextHeader: number,
  payload: Uint8Array,
): Uint8Array {
  const header = { trafficClass: 0, flowLabel: 0, nextHeader, hopLimit: 64, source, destination };
  return encodeIpv6Packet({ header, payload });
}

/** What may be ours in a namespace: devices, routes, rules, proxy neighbours, GUE ports, IPsec, nftables without its counts and what runs out by itself. */
export function inventoryOf(node: Node): string {
  return node.script(`set +e +o pipefail
ip -br link | cut -d' ' -f1 | sort
ip route show table all proto 155; ip -6 route show table all proto 155 | sort -u
ip rule | grep -v ^0:; ip -6 rule | grep -v ^0:
ip neighbour show proxy | sort
ip fou show
ip xfrm policy | grep ^src | sort; ip xfrm state | grep ^src | sort
nft list ruleset | sed 's/packets [0-9]* bytes [0-9]*//' | awk '/^\\t(set|map) /{fleeting=0} /flags .*timeout/{fleeting=1}
fleeting && /elements = /{skip=1} !skip{print} skip && /}/{skip=0}'`);
}
