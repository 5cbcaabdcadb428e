/**
 * Eyes on the home agent's two links: in which format the flows of each node travel there, and when its updates and acknowledgements
 * pass. Nothing of this is asked of dsmipd.
 */
import { performance } from "node:perf_hooks";
import { ETH_P_ALL } from "../../controller/io/constants.js";
import { type Frame, PacketSocket } from "../../controller/io/packet-socket.js";
import { runAsync } from "../kernel/lib/command.js";
import { decodeFlowPacket, FLOW_PACKET_OCTETS } from "./flow-record.js";
import { FLOWS, flowsOf } from "./flows.js";
import { classifyFrame, type Format, type Observed, undoGuePull } from "./frame-format.js";
import type { MobileNode, Topology } from "./topology.js";

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
  readonly #spis: readonly SignallingSpis[];
  readonly #seen: Seen[] = FLOWS.map(() => ({ formats: new Set(), frames: 0, peer: undefined }));
  readonly #signalling: SignallingFrame[] = [];

  static async open(topology: Topology, spis: readonly SignallingSpis[]): Promise<Capture> {
    const links = JSON.parse(await runAsync(["ip", "-n", topology.name("ha"), "-j", "link", "show"])) as {
      ifindex: number;
      ifname: string;
    }[];
    const indexOf = (device: string): number => links.find(({ ifname }) => ifname === device)?.ifindex ?? 0;
    return new Capture(topology.path("ha"), { wan: indexOf("wan"), home: indexOf("home") }, spis);
  }

  private constructor(netns: string, index: Readonly<Record<"wan" | "home", number>>, spis: readonly SignallingSpis[]) {
    this.#spis = spis;
    this.#sockets = (["wan", "home"] as const).map((link) => {
      const socket = PacketSocket.open({ type: "dgram", protocol: ETH_P_ALL, interfaceIndex: index[link], netns });
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

  sighting(flow: number): Sighting {
    return this.#seen[flow] as Seen;
  }

  get signalling(): readonly SignallingFrame[] {
    return this.#signalling;
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
  }

  #read(frames: readonly Frame[], link: "wan" | "home"): void {
    const at = performance.now();
    for (const { data } of frames) {
      // The end of the frame says cheaply whose it is, whatever headers stand before it.
      const flow = decodeFlowPacket(data.subarray(-FLOW_PACKET_OCTETS))?.flow;
      if (flow !== undefined && (this.#seen[flow]?.frames ?? SAMPLES) >= SAMPLES) continue;
      const observed = classifyFrame(undoGuePull(data));
      if (observed?.kind === "signalling") this.#noteSignalling(observed, at);
      else if (observed !== undefined) this.#notePayload(observed, link);
    }
  }

  #notePayload(observed: Observed & { kind: "payload" }, link: "wan" | "home"): void {
    const { packet, format, outer } = observed;
    const seen = this.#seen[packet.flow];
    const flow = FLOWS[packet.flow];
    // Without a tunnel header on the wan link it is the correspondent's side of the home agent.
    if (seen === undefined || flow === undefined || (format === "direct" && link === "wan")) return;
    seen.formats.add(format);
    seen.frames++;
    const [address, port] =
      flow.direction === "up" ? [outer.source, outer.sourcePort] : [outer.destination, outer.destinationPort];
    seen.peer = port === undefined ? address : `${address}:${port}`;
  }

  #noteSignalling({ spi, format }: Observed & { kind: "signalling" }, at: number): void {
    for (const { node, update, acknowledgement } of this.#spis) {
      if (spi === update) this.#signalling.push({ node, message: "update", format, at });
      if (spi === acknowledgement) this.#signalling.push({ node, message: "acknowledgement", format, at });
    }
  }
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
