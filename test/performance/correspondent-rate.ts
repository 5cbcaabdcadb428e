/**
 * How many return routability procedures, and how many bindings, a correspondent makes in a second: a real dsmipd over the wire, and nodes
 * that speak octets. Beside them, in the same run, how many HMAC-SHA1 this machine makes, for that is what a test is made of.
 */
import { createHmac } from "node:crypto";
import type { Ipv6Address } from "../../controller/base/ip.js";
import { ETH_P_IPV6 } from "../../controller/io/constants.js";
import { type Frame, type OutgoingFrame, PacketSocket } from "../../controller/io/ip/packet-socket.js";
import { decodeIpv6Packet } from "../../controller/wire/ip/ipv6.js";
import { Protocol } from "../../controller/wire/ip/registry.js";
import { decodeMobilityMessage } from "../../controller/wire/mip6/messages/mobility-header.js";
import { ROUTING_HEADER_OCTETS } from "../../controller/wire/mip6/routing-header.js";
import { careOfOf, SELF, type Token, testInitFrame, updateFrame } from "./correspondents.js";
import { BenchDaemon, controlSocketIn } from "./daemon.js";
import { homeAgentMachine, Machine } from "./machines.js";
import { GATEWAY, HOME_PREFIXES } from "./places.js";
import { rounded } from "./statistics.js";

export interface CorrespondentRateReport {
  readonly nodes: number;
  /** Both tests sent and both answered. */
  readonly proceduresPerSecond: number;
  /** Updates with an acknowledgement, which waits for the kernel and the disk. */
  readonly bindingsPerSecond: number;
  /** HMAC-SHA1 of as many octets as a token is made of, one after the other in one process. */
  readonly hmacPerSecond: number;
  /** Messages that were sent again. */
  readonly repeated: number;
}

/** So many nodes wait at a time, as many as the sockets' buffers hold. */
const WINDOW = 64;
/** Longer than a node's (RFC 6275 §11.8): what is sent again while the first one is still being answered is more to answer. */
const PATIENCE_MS = 5000;
const TRIES = 8;
const HMAC_OCTETS = 28;
const HMAC_KEY_OCTETS = 20;
const HMAC_MS = 500;
/** The firewall's buckets are full at the start; more would measure them. */
const MOST_NODES = 2000;

export async function measureCorrespondentRate(nodes: number): Promise<CorrespondentRateReport> {
  if (!(nodes > 0 && nodes <= MOST_NODES)) throw new Error(`nodes: ${nodes}; 1 to ${MOST_NODES} is wanted`);
  using load = new Machine("load");
  using middle = homeAgentMachine(load, "cn", { answer: true });
  load.ip(`address add ${GATEWAY.ipv6}/64 dev ${middle.wan} nodad`);
  const daemon = await BenchDaemon.start(middle.machine, (directory) => ({
    configuration: JSON.stringify({
      role: "correspondent-node",
      controlSocket: controlSocketIn(directory),
      stateDirectory: `${directory}/state`,
      log: { level: "info" },
      correspondentNode: { addresses: [SELF], allow: [HOME_PREFIXES[0]], maximumBindings: MOST_NODES },
    }),
  }));
  const peers = new Peers(load, middle.wan, middle.wanMac);
  try {
    const numbers = Array.from({ length: nodes }, (_, number) => number);
    const hmacPerSecond = measureHmac();
    const procedures = await peers.each(numbers, (number) => peers.testsOf(number));
    const bindings = await peers.each(numbers, (number) => peers.updateOf(number));
    return {
      nodes,
      proceduresPerSecond: rounded((1000 * nodes) / procedures),
      bindingsPerSecond: rounded((1000 * nodes) / bindings),
      hmacPerSecond: rounded(hmacPerSecond),
      repeated: peers.repeated,
    };
  } finally {
    peers.close();
    await daemon.stop();
  }
}

function measureHmac(): number {
  const key = new Uint8Array(HMAC_KEY_OCTETS).fill(1);
  const data = new Uint8Array(HMAC_OCTETS);
  const begin = performance.now();
  let made = 0;
  for (; performance.now() - begin < HMAC_MS; made++) createHmac("sha1", key).update(data).digest();
  return (1000 * made) / (performance.now() - begin);
}

interface Known {
  home?: Token;
  careOf?: Token;
  isBound?: boolean;
}

/** All the mobile nodes, in one socket. */
class Peers {
  repeated = 0;
  readonly #socket: PacketSocket;
  readonly #interfaceIndex: number;
  readonly #mac: string;
  readonly #known = new Map<number, Known>();
  readonly #byCareOf = new Map<Ipv6Address, number>();
  #heard = (): void => undefined;

  constructor(load: Machine, device: string, mac: string) {
    const [link] = JSON.parse(load.run("ip", "-j", "link", "show", device)) as { readonly ifindex: number }[];
    this.#interfaceIndex = link?.ifindex ?? 0;
    this.#mac = mac;
    const interfaceIndex = this.#interfaceIndex;
    this.#socket = PacketSocket.open({ type: "raw", protocol: ETH_P_IPV6, interfaceIndex, netns: load.path });
    this.#socket.listen({
      onFrames: (frames) => {
        for (const frame of frames) this.#read(frame);
        this.#heard();
      },
      onError: (error) => {
        throw error;
      },
    });
  }

  /** Frames that are still to be answered. */
  testsOf(number: number): readonly Uint8Array[] {
    const { home, careOf } = this.#of(number);
    return [
      ...(home === undefined ? [testInitFrame("home-test-init", number, this.#mac)] : []),
      ...(careOf === undefined ? [testInitFrame("care-of-test-init", number, this.#mac)] : []),
    ];
  }

  updateOf(number: number): readonly Uint8Array[] {
    const { home, careOf, isBound } = this.#of(number);
    if (home === undefined || careOf === undefined) throw new Error(`node ${number} has no tokens`);
    return isBound === true ? [] : [updateFrame(number, home, careOf, this.#mac)];
  }

  /** Sends for each node what is not answered yet, so many at a time. Milliseconds until nothing is open. */
  async each(numbers: readonly number[], open: (number: number) => readonly Uint8Array[]): Promise<number> {
    const first = new Map(numbers.map((number) => [number, open(number)]));
    const begin = performance.now();
    const waiting = new Map<number, { tries: number; sentAt: number }>();
    const left = [...numbers].reverse();
    for (;;) {
      for (const number of waiting.keys()) if (open(number).length === 0) waiting.delete(number);
      const frames: Uint8Array[] = [];
      const now = performance.now();
      for (const [number, one] of waiting) {
        if (now - one.sentAt < PATIENCE_MS) continue;
        if (++one.tries > TRIES) throw new Error(`node ${number} got no answer`);
        one.sentAt = now;
        this.repeated += 1;
        frames.push(...open(number));
      }
      while (waiting.size < WINDOW && left.length > 0) {
        const number = left.pop() as number;
        waiting.set(number, { tries: 1, sentAt: now });
        frames.push(...(first.get(number) ?? []));
      }
      if (waiting.size === 0) return performance.now() - begin;
      this.#send(frames);
      await this.#something();
    }
  }

  close(): void {
    this.#socket.close();
  }

  #of(number: number): Known {
    const known = this.#known.get(number);
    if (known !== undefined) return known;
    const fresh: Known = {};
    this.#known.set(number, fresh);
    this.#byCareOf.set(careOfOf(number), number);
    return fresh;
  }

  #send(frames: readonly Uint8Array[]): void {
    const to = { interfaceIndex: this.#interfaceIndex, protocol: ETH_P_IPV6, destination: new Uint8Array(6) };
    if (frames.length > 0) this.#socket.send(frames.map((data): OutgoingFrame => ({ data, ...to })));
  }

  #something(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, PATIENCE_MS);
      this.#heard = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #read({ data }: Frame): void {
    const packet = decodeIpv6Packet(data.subarray(14));
    if (!packet.ok || packet.value.header.source !== SELF) return;
    const { header, payload } = packet.value;
    const isRouted = header.nextHeader === Protocol.routing;
    if (!isRouted && header.nextHeader !== Protocol.mobility) return;
    const message = decodeMobilityMessage(isRouted ? payload.subarray(ROUTING_HEADER_OCTETS) : payload);
    if (!message.ok) return;
    const { value } = message;
    if (value.type === "binding-acknowledgement") {
      const number = this.#byCareOf.get(header.destination);
      if (number !== undefined && value.status === 0) this.#of(number).isBound = true;
    } else if (value.type === "home-test" || value.type === "care-of-test") {
      const number = new DataView(value.cookie.buffer, value.cookie.byteOffset).getUint32(0);
      const token = { index: value.nonceIndex, token: value.keygenToken };
      this.#of(number)[value.type === "home-test" ? "home" : "careOf"] = token;
    }
  }
}
