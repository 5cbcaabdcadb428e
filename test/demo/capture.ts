/**
 * Eyes on the home agent's two links: in which format the flows of each node travel there, and when its updates and acknowledgements
 * pass. Nothing of this is asked of dsmipd.
 */
import { performance } from "node:perf_hooks";
import { isIpv4 } from "../../controller/base/ip.js";
import { ETH_P_ALL } from "../../controller/io/constants.js";
import { type Frame, PacketSocket } from "../../controller/io/ip/packet-socket.js";
import { runAsync } from "../kernel/lib/command.js";
import { decodeFlowPacket, FLOW_PACKET_OCTETS } from "./flow-record.js";
import { FLOWS, flowsOf } from "./flows.js";
import { classifyFrame, type Format, type Observed, protectedFormat, undoGuePull } from "./frame-format.js";
import { type MachineName, type MobileNode, NODES, type Topology } from "./topology.js";

/** What was seen of one flow since its node was last `restart`ed. */
export interface Sighting {
  readonly formats: ReadonlySet<Format>;
  readonly frames: number;
  /** The mobile node's end of the tunnel as it looks from the home agent: address, or address and port. */
  readonly peer: string | undefined;
}

/** SPIs of each node's binding updates and acknowledgements. */
export interface SignallingSpis {
  readonly node: MobileNode;
  readonly update: number;
  readonly acknowledgement: number;
}

/** SPI of a node's payload in one direction. */
export interface PayloadSpi {
  readonly node: MobileNode;
  readonly spi: number;
  readonly direction: "up" | "down";
}

export interface SignallingFrame {
  readonly node: MobileNode;
  readonly message: "update" | "acknowledgement";
  readonly format: Format;
  readonly at: number;
}

interface Seen {
  readonly formats: Set<Format>;
  frames: number;
  peer: string | undefined;
}

/** Of so many frames of each flow the headers are read; more would only cost time on a slow machine. */
const SAMPLES = 25;

export class Capture {
  readonly #sockets: readonly PacketSocket[];
  #spis: readonly SignallingSpis[];
  #payload: ReadonlyMap<number, PayloadSpi> = new Map();
  #clear = 0;
  readonly #seen: Seen[] = FLOWS.map(() => ({ formats: new Set(), frames: 0, peer: undefined }));
  readonly #signalling: SignallingFrame[] = [];

  /** `guarded`: on the access networks too, where nothing of the flows may be seen. */
  static async open(topology: Topology, spis: readonly SignallingSpis[], guarded: boolean): Promise<Capture> {
    const ha = await devicesOf(topology, "ha", ["wan", "home"]);
    const core = guarded ? await devicesOf(topology, "core", ["six", "four", "nat"]) : [];
    const nat = guarded ? await devicesOf(topology, "nat", ["lan"]) : [];
    return new Capture([...ha, ...core, ...nat], spis);
  }

  private constructor(devices: readonly Device[], spis: readonly SignallingSpis[]) {
    this.#spis = spis;
    this.#sockets = devices.map(({ netns, interfaceIndex, name }) => {
      const link = name === "wan" || name === "home" ? name : "access";
      const socket = PacketSocket.open({ type: "dgram", protocol: ETH_P_ALL, interfaceIndex, netns });
      socket.listen({
        onFrames: (frames) => this.#read(frames, link),
        onError: () => undefined, // a full buffer: there are more frames than samples anyway
      });
      return socket;
    });
  }

  /** Forgets what was seen of the node's flows. */
  restart(node: MobileNode): void {
    for (const { number } of flowsOf(node)) this.#seen[number] = { formats: new Set(), frames: 0, peer: undefined };
  }

  /** SPIs of negotiated keys; asked anew when nodes may have others. */
  learn(signalling: readonly SignallingSpis[], payload: readonly PayloadSpi[]): void {
    this.#spis = signalling;
    this.#payload = new Map(payload.map((one) => [one.spi, one]));
  }

  /** Packets of the flows that passed in clear where they should have been in ESP: in a tunnel, or on an access network. */
  get clear(): number {
    return this.#clear;
  }

  sighting(flow: number): Sighting {
    return this.#seen[flow] as Seen;
  }

  get signalling(): readonly SignallingFrame[] {
    return this.#signalling;
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
  }

  #read(frames: readonly Frame[], link: "wan" | "home" | "access"): void {
    const at = performance.now();
    for (const { data } of frames) {
      // The end of the frame says cheaply whose it is, whatever headers stand before it.
      const flow = decodeFlowPacket(data.subarray(-FLOW_PACKET_OCTETS))?.flow;
      if (link === "access") {
        if (flow !== undefined) this.#clear++;
        continue;
      }
      if (flow !== undefined && (this.#seen[flow]?.frames ?? SAMPLES) >= SAMPLES) continue;
      const observed = classifyFrame(undoGuePull(data));
      if (observed?.kind === "signalling") this.#noteEsp(observed, at);
      else if (observed?.kind === "registration") this.#noteRegistration(observed, at);
      else if (observed !== undefined) this.#notePayload(observed, link);
    }
  }

  #notePayload(observed: Observed & { kind: "payload" }, link: "wan" | "home"): void {
    const { packet, format, outer } = observed;
    const seen = this.#seen[packet.flow];
    const flow = FLOWS[packet.flow];
    // Without a tunnel header on the wan link it is the correspondent's side of the home agent.
    if (seen === undefined || flow === undefined || (format === "direct" && link === "wan")) return;
    if (format !== "direct") this.#clear++;
    seen.formats.add(format);
    seen.frames++;
    const [address, port] =
      flow.direction === "up" ? [outer.source, outer.sourcePort] : [outer.destination, outer.destinationPort];
    seen.peer = port === undefined ? address : `${address}:${port}`;
  }

  #noteEsp(observed: Observed & { kind: "signalling" }, at: number): void {
    const payload = this.#payload.get(observed.spi);
    if (payload === undefined) return this.#noteSignalling(observed, at);
    const { outer } = observed;
    const format = protectedFormat(observed.format, isIpv4(outer.source) ? 4 : 6);
    const [address, port] =
      payload.direction === "up" ? [outer.source, outer.sourcePort] : [outer.destination, outer.destinationPort];
    for (const flow of flowsOf(payload.node)) {
      const seen = this.#seen[flow.number];
      if (flow.direction !== payload.direction || seen === undefined || seen.frames >= SAMPLES) continue;
      seen.formats.add(format);
      seen.frames++;
      seen.peer = port === undefined ? address : `${address}:${port}`;
    }
  }

  #noteRegistration({ message, homeAddress }: Observed & { kind: "registration" }, at: number): void {
    const node = NODES.find(({ ipv4HomeAddress }) => ipv4HomeAddress === homeAddress);
    if (node === undefined) return;
    this.#signalling.push({ node, message: message === "request" ? "update" : "acknowledgement", format: "udp", at });
  }

  #noteSignalling({ spi, format }: Observed & { kind: "signalling" }, at: number): void {
    for (const { node, update, acknowledgement } of this.#spis) {
      if (spi === update) this.#signalling.push({ node, message: "update", format, at });
      if (spi === acknowledgement) this.#signalling.push({ node, message: "acknowledgement", format, at });
    }
  }
}

export interface Device {
  readonly netns: string;
  readonly name: string;
  readonly interfaceIndex: number;
}

export async function devicesOf(topology: Topology, machine: MachineName, names: readonly string[]): Promise<Device[]> {
  const links = JSON.parse(await runAsync(["ip", "-n", topology.name(machine), "-j", "link", "show"])) as {
    ifindex: number;
    ifname: string;
  }[];
  return names.map((name) => ({
    netns: topology.path(machine),
    name,
    interfaceIndex: links.find(({ ifname }) => ifname === name)?.ifindex ?? 0,
  }));
}

/**
 * From the last update before it to the first acknowledgement seen at or after `from`, in milliseconds. Taken at the home agent: the
 * way to the mobile node and back is not in it.
 */
export function capturedBuToBaMs(
  frames: readonly SignallingFrame[],
  node: MobileNode,
  from: number,
): number | undefined {
  let sentAt: number | undefined;
  for (const frame of frames) {
    if (frame.node !== node || frame.at < from) continue;
    if (frame.message === "update") sentAt = frame.at;
    else if (sentAt !== undefined) return frame.at - sentAt;
  }
  return undefined;
}
