/**
 * By which path each flow goes, as captured on the home agent's links and on the correspondent's. Nothing of this is asked of dsmipd.
 */
import { ETH_P_ALL } from "../../controller/io/constants.js";
import { PacketSocket } from "../../controller/io/ip/packet-socket.js";
import { devicesOf } from "./capture.js";
import { decodeFlowPacket, FLOW_PACKET_OCTETS } from "./flow-record.js";
import type { Flow } from "./flows.js";
import { classifyFrame, directHomeAddress, type Format, undoGuePull } from "./frame-format.js";
import type { Topology } from "./topology.js";

/**
 * home: the node is on its home link. agent-*: by way of the home agent, in a tunnel of that format. direct-headers: with the Home
 * Address option or the type 2 routing header alone. direct-*: in a tunnel between node and correspondent.
 */
export type PathToken = "home" | `${"agent" | "direct"}-${Exclude<Format, "direct">}` | "direct-headers";

/** Where a frame of a flow was seen. */
export type PathLink = "home-agent-wan" | "home-link" | "correspondent";

/** What a frame of the flow says about its path there; undefined: nothing, or it is none of the flow. */
export function pathToken(octets: Uint8Array, link: PathLink, { node }: Pick<Flow, "node">): PathToken | undefined {
  const observed = classifyFrame(undoGuePull(octets));
  if (observed?.kind !== "payload") return undefined;
  const { format } = observed;
  if (link === "correspondent") {
    if (format !== "direct") return `direct-${format}`;
    return directHomeAddress(octets) === node.homeAddress ? "direct-headers" : undefined;
  }
  if (format !== "direct") return `agent-${format}`;
  // Without a tunnel on the wide-area link it is the correspondent's side of the home agent, or it has passed by.
  return link === "home-link" ? "home" : undefined;
}

interface Seen {
  readonly paths: Set<PathToken>;
  frames: number;
}

/** Of so many frames of each flow and link the headers are read. */
const SAMPLES = 50;

export class PathCapture {
  readonly #sockets: readonly PacketSocket[];
  readonly #flows: readonly Flow[];
  #seen: readonly Seen[] = [];

  static async open(topology: Topology, flows: readonly Flow[]): Promise<PathCapture> {
    const agent = await devicesOf(topology, "ha", ["wan", "home"]);
    const correspondent = await devicesOf(topology, "cn", ["eth0"]);
    return new PathCapture(
      [...agent, ...correspondent].map(({ netns, interfaceIndex, name }) => {
        const link = name === "wan" ? "home-agent-wan" : name === "home" ? "home-link" : "correspondent";
        const socket = PacketSocket.open({ type: "dgram", protocol: ETH_P_ALL, interfaceIndex, netns });
        return [socket, link] as const;
      }),
      flows,
    );
  }

  private constructor(sockets: readonly (readonly [PacketSocket, PathLink])[], flows: readonly Flow[]) {
    this.#flows = flows;
    this.#sockets = sockets.map(([socket]) => socket);
    this.restart();
    for (const [socket, link] of sockets)
      socket.listen({
        onFrames: (frames) => {
          for (const { data } of frames) this.#read(data, link);
        },
        onError: () => undefined, // a full buffer: there are more frames than samples anyway
      });
  }

  /** Forgets what was seen. */
  restart(): void {
    this.#seen = this.#flows.map(() => ({ paths: new Set(), frames: 0 }));
  }

  /** Since `restart`: the paths of the flow, and how many frames have said so. */
  seen({ number }: Flow): { readonly paths: ReadonlySet<PathToken>; readonly frames: number } {
    return this.#seen[number] as Seen;
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
  }

  #read(data: Uint8Array, link: PathLink): void {
    // The end of the frame says cheaply whose it is, whatever headers stand before it.
    const number = decodeFlowPacket(data.subarray(-FLOW_PACKET_OCTETS))?.flow ?? -1;
    const flow = this.#flows[number];
    const seen = this.#seen[number];
    if (flow === undefined || seen === undefined || seen.frames >= SAMPLES) return;
    const token = pathToken(data, link, flow);
    if (token === undefined) return;
    seen.paths.add(token);
    seen.frames++;
  }
}
