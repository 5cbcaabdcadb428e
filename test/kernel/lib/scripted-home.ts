/**
 * A mobile node with the real daemon, and the internet with its home agent played by one packet socket: every frame that the node sends
 * arrives here, its updates are decrypted, and each is answered as the test says, or not at all.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { bytesEqual } from "../../../controller/base/bytes.js";
import { type Ipv4Address, type Ipv6Address, ipToBytes, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { seq16 } from "../../../controller/base/seq16.js";
import { fetchDocument } from "../../../controller/control/client.js";
import { PacketSocket } from "../../../controller/io/ip/packet-socket.js";
import { ARP_OPERATION, decodeArp, decodeEthernet, ETHERTYPE } from "../../../controller/wire/ip/arp.js";
import { encodeIpv4Packet, ipv4Header } from "../../../controller/wire/ip/ipv4.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { encodeUdp } from "../../../controller/wire/ip/udp.js";
import {
  type BindingUpdate,
  decodeMobilityMessage,
  encodeMobilityMessage,
  type MobilityMessage,
  verifyChecksum,
  withChecksum,
} from "../../../controller/wire/mip6/messages/mobility-header.js";
import { bindingAcknowledgementFlags } from "../../../controller/wire/mip6/messages/registration.js";
import type { MobilityOption, OptionOfKind } from "../../../controller/wire/mip6/options/mobility.js";
import { SOLIMAN_2004_PROFILE } from "../../../controller/wire/mip6/profile.js";
import { encodeType2RoutingHeader } from "../../../controller/wire/mip6/routing-header.js";
import {
  type BindingDocument,
  bindingsDocument,
  type StatusDocument,
  statusDocument,
} from "../../../schemas/control.js";
import { EspSender, espPacket, openEsp } from "../../lib/esp.js";
import { type IcmpLayer, type Ipv4Layer, type Ipv6Layer, type Layer, layersOf, layersOfKind } from "./frame.js";
import { ALICE, HOME_AGENT, MAIN, plainIpv6 } from "./hostile.js";
import { arpReply, neighbourAdvertisement } from "./neighbours.js";
import type { Background } from "./process.js";
import { type Node, Topology } from "./topology.js";
import { waitFor } from "./wait.js";

export const CARE_OF = { ipv6: ipv6("2001:db8:f::20"), ipv4: ipv4("192.0.2.20") } as const;
const ROUTER = { ipv6: ipv6("2001:db8:f::fe"), ipv4: ipv4("192.0.2.254") } as const;
const NEIGHBOUR_SOLICITATION = 135;
const ETH_P_ALL = 3;
const PACKET_OUTGOING = 4;
const WAN = "wan";

/** An update of the node as it was on the wire. */
export interface SeenUpdate {
  readonly message: BindingUpdate;
  /** As it was under its ESP. */
  readonly octets: Uint8Array;
  readonly layers: readonly Layer[];
  /** The outermost header. */
  readonly outer: Ipv4Layer | Ipv6Layer;
  /** Present when it came in UDP. */
  readonly sourcePort: number | undefined;
  /** Milliseconds on a clock that does not step. */
  readonly at: number;
}

export interface Reply {
  readonly status?: number;
  readonly sequence?: number;
  readonly lifetimeUnits?: number;
  /** R. */
  readonly mobileRouter?: boolean;
  readonly options?: readonly MobilityOption[];
}

/** What the home agent answers; undefined: nothing. */
export type Script = (update: SeenUpdate) => Reply | undefined;

export function optionIn<K extends MobilityOption["kind"]>(
  { message }: SeenUpdate,
  kind: K,
): OptionOfKind<K> | undefined {
  return message.options.find((one): one is OptionOfKind<K> => one.kind === kind);
}

/** Option 30 for the node's own IPv4 home address. */
export const GRANTED: MobilityOption = {
  kind: "ipv4-address-acknowledgement",
  status: 0,
  prefixLength: 32,
  address: ALICE.ipv4HomeAddress,
};

/** Of option 29: the 2004 draft's is told from RFC 5555's by its Length (C-53). */
const EITHER_FORM = { profile: SOLIMAN_2004_PROFILE };

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

export class ScriptedHome {
  readonly net: Topology;
  readonly mn: Node;
  readonly world: Node;
  readonly updates: SeenUpdate[] = [];
  /** Everything the node's machine sent, oldest first. */
  readonly frames: Uint8Array[] = [];
  daemon: Background | undefined;
  #script: Script;
  #socket: PacketSocket | undefined;
  #interfaceIndex = 0;
  #node = new Uint8Array(6);
  #router = new Uint8Array(6);
  readonly #sender = new EspSender(ALICE.acknowledgement);
  readonly #config: Readonly<Record<string, unknown>>;

  /** `access`: which families the visited link has. */
  constructor(
    test: TestContext,
    access: readonly (4 | 6)[],
    script: Script,
    config: Readonly<Record<string, unknown>> = {},
  ) {
    this.net = new Topology(test);
    this.mn = this.net.node("mn");
    this.world = this.net.node("world");
    this.#script = script;
    this.#config = config;
    const addresses = [
      ...(access.includes(4) ? [`${CARE_OF.ipv4}/24`] : []),
      ...(access.includes(6) ? [`${CARE_OF.ipv6}/64`] : []),
    ];
    this.net.link(this.mn.port(WAN, ...addresses), this.world.port(WAN));
    this.mn.also(...access.map((family) => routeOf(family)));
    test.after(() => this.#socket?.close());
  }

  async open(): Promise<void> {
    this.net.build();
    const [link] = this.world.ipJson(`link show dev ${WAN}`);
    const [port] = this.mn.ipJson(`link show dev ${WAN}`);
    this.#interfaceIndex = link?.["ifindex"] as number;
    this.#node = macOf(port?.["address"]);
    this.#router = macOf(link?.["address"]);
    const lladdr = `lladdr ${link?.["address"]} dev ${WAN} nud permanent`;
    this.mn.ip(`neighbour add ${ROUTER.ipv4} ${lladdr}`, `neighbour add ${ROUTER.ipv6} ${lladdr}`);
    const { path: netns } = this.world;
    this.#socket = PacketSocket.open({ type: "raw", protocol: ETH_P_ALL, interfaceIndex: this.#interfaceIndex, netns });
    this.#socket.listen({
      onFrames: (frames) => {
        for (const { data, packetType } of frames) if (packetType !== PACKET_OUTGOING) this.#hear(data);
      },
      onError: (error) => {
        throw error;
      },
    });
    this.daemon = this.mn.spawn([process.execPath, MAIN, "run", "--config", this.#configuration()], { name: "dsmipd" });
    await this.daemon.waitForLog(/daemon\.ready/, 20_000);
  }

  get controlSocket(): string {
    return join(this.net.scratch, "control.sock");
  }

  answerWith(script: Script): void {
    this.#script = script;
  }

  /** The update after `count` others. */
  async update(count: number, timeout = 30_000): Promise<SeenUpdate> {
    await waitFor(() => this.updates.length > count, { what: `update ${count + 1} of the node`, timeout });
    return this.updates[count] as SeenUpdate;
  }

  async state(): Promise<BindingDocument | undefined> {
    return bindingsDocument.parse(await fetchDocument(this.controlSocket, "/bindings")).bindings[0];
  }

  async registered(): Promise<BindingDocument> {
    return waitFor(
      async () => {
        const state = await this.state();
        return state?.state === "registered" ? state : undefined;
      },
      { what: "the node to be registered" },
    );
  }

  /** A mobility message from the home agent, protected, to where `update` came from. */
  say(update: SeenUpdate, message: MobilityMessage): void {
    const octets = withChecksum(encodeMobilityMessage(message, EITHER_FORM), HOME_AGENT.ipv6, ALICE.homeAddress);
    const esp = this.#sender.seal(octets);
    const { outer, sourcePort } = update;
    if (outer.kind === "ipv6") {
      const routing = encodeType2RoutingHeader({ nextHeader: Protocol.esp, homeAddress: ALICE.homeAddress });
      const payload = Buffer.concat([routing, esp]);
      this.#send(0x86dd, plainIpv6(HOME_AGENT.ipv6, outer.source, Protocol.routing, payload));
      return;
    }
    const ends = { source: HOME_AGENT.ipv4, destination: outer.source as Ipv4Address };
    const payload = espPacket(HOME_AGENT.ipv6, ALICE.homeAddress, esp);
    const udp = encodeUdp({ sourcePort: 4191, destinationPort: sourcePort ?? 4191, payload }, ends);
    this.#send(0x0800, encodeIpv4Packet({ header: ipv4Header({ ...ends, protocol: Protocol.udp }), payload: udp }));
  }

  /** Puts packets of one family on the wire to the node's machine. */
  send(family: 4 | 6, ...packets: readonly Uint8Array[]): void {
    for (const packet of packets) this.#send(family === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6, packet);
  }

  async status(): Promise<StatusDocument> {
    return statusDocument.parse(await fetchDocument(this.controlSocket, "/status"));
  }

  #hear(data: Uint8Array): void {
    this.frames.push(data);
    this.#introduce(data);
    const update = updateIn(data);
    if (update === undefined) return;
    this.updates.push(update);
    const reply = this.#script(update);
    if (reply === undefined) return;
    const { sequence, lifetimeUnits } = update.message;
    this.say(update, {
      type: "binding-acknowledgement",
      status: reply.status ?? 0,
      flags: bindingAcknowledgementFlags({ mobileRouter: reply.mobileRouter ?? false }),
      sequence: seq16(reply.sequence ?? sequence),
      lifetimeUnits: reply.lifetimeUnits ?? lifetimeUnits,
      options: reply.options ?? [],
    });
  }

  /** The router answers for itself: a link on which nobody does is one that the node has left. */
  #introduce(data: Uint8Array): void {
    const frame = decodeEthernet(data);
    if (!frame.ok) return;
    const { source: mac, etherType, payload } = frame.value;
    const arp = etherType === ETHERTYPE.arp ? decodeArp(payload) : undefined;
    if (arp?.ok && arp.value.operation === ARP_OPERATION.request && arp.value.targetAddress === ROUTER.ipv4)
      this.#put(arpReply(ROUTER.ipv4, this.#router, { address: arp.value.senderAddress, mac }), ETHERTYPE.arp);
    const layers = layersOf(data, 1);
    const [ip] = layersOfKind(layers, "ipv6");
    const icmp = layers.find((layer): layer is IcmpLayer => layer.kind === "icmp6");
    if (ip === undefined || icmp?.type !== NEIGHBOUR_SOLICITATION || ip.source === "::") return;
    if (!bytesEqual(icmp.bytes.subarray(8, 24), ipToBytes(ROUTER.ipv6))) return;
    const to = { address: ip.source, mac };
    const [address, asked] = [ROUTER.ipv6, { router: true, solicited: true }];
    this.#put(neighbourAdvertisement({ address, mac: this.#router, to, ...asked }), ETHERTYPE.ipv6);
  }

  #send(protocol: number, packet: Uint8Array): void {
    const header = Uint8Array.from([...this.#node, 2, 0, 0, 0, 0, 9, protocol >> 8, protocol & 0xff]);
    this.#put(Buffer.concat([header, packet]), protocol);
  }

  #put(data: Uint8Array, protocol: number): void {
    const frame = { data, interfaceIndex: this.#interfaceIndex, protocol, destination: this.#node };
    const report = this.#socket?.send([frame]);
    if (report?.error !== undefined) throw report.error;
  }

  #configuration(): string {
    const { homeAddress, ipv4HomeAddress, update, acknowledgement } = ALICE;
    const keys = {
      homeAddress,
      update: { spi: update.spi, key: hex(update.key) },
      acknowledgement: { spi: acknowledgement.spi, key: hex(acknowledgement.key) },
    };
    const directory = this.net.scratch;
    writeFileSync(join(directory, "keys.yaml"), JSON.stringify({ keys: [keys] }), { mode: 0o600 });
    const path = join(directory, "dsmipd.yaml");
    const config = {
      role: "mobile-node",
      controlSocket: this.controlSocket,
      stateDirectory: join(directory, "state"),
      keyFile: "keys.yaml",
      mobileNode: {
        homeAddress,
        ipv4HomeAddress,
        homePrefixes: ["2001:db8:1::/64", "198.51.100.0/24"],
        homeAgent: HOME_AGENT,
        ...this.#config,
      },
    };
    writeFileSync(path, JSON.stringify(config));
    return path;
  }
}

const macOf = (text: unknown): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(String(text).split(":"), (octet) => Number.parseInt(octet, 16));

function routeOf(family: 4 | 6): string {
  return family === 4 ? `route add default via ${ROUTER.ipv4}` : `route add ::/0 via ${ROUTER.ipv6} dev ${WAN}`;
}

function updateIn(data: Uint8Array): SeenUpdate | undefined {
  const layers = layersOf(data, 1);
  const last = layers.at(-1);
  if (last?.kind !== "other" || last.protocol !== Protocol.esp) return undefined;
  if (Buffer.from(last.bytes).readUInt32BE(0) !== ALICE.update.spi) return undefined;
  const { payload } = openEsp(last.bytes, ALICE.update);
  const message = decodeMobilityMessage(payload, EITHER_FORM);
  if (!message.ok || message.value.type !== "binding-update") return undefined;
  if (!verifyChecksum(payload, ALICE.homeAddress, HOME_AGENT.ipv6)) throw new Error("an update with a wrong checksum");
  const outer = layers.find((layer): layer is Ipv4Layer | Ipv6Layer => layer.kind === "ipv4" || layer.kind === "ipv6");
  if (outer === undefined) return undefined;
  const [udp] = layersOfKind(layers, "udp");
  return { message: message.value, octets: payload, layers, outer, sourcePort: udp?.sourcePort, at: performance.now() };
}

/** The home address in the Home Address option of an update; undefined without one. */
export function homeAddressOptionOf({ layers }: SeenUpdate): Ipv6Address | undefined {
  const [header] = layersOfKind(layers, "extension").filter(({ protocol }) => protocol === Protocol.destinationOptions);
  const text = header === undefined ? "" : hex(header.bytes);
  return text.includes(`c910${hex(ipToBytes(ALICE.homeAddress))}`) ? ALICE.homeAddress : undefined;
}
