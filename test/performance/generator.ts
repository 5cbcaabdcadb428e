/** Mobile nodes behind NATs, as many as wanted, all in one socket of the load's namespace: sends their requests and notes when each answer came. */
import type { Ipv4Address } from "../../controller/base/ip.js";
import { SO_RCVBUFFORCE, SO_SNDBUFFORCE, SOL_SOCKET } from "../../controller/io/constants.js";
import type { IpSocket, OutgoingPacket } from "../../controller/io/ip/ip-socket.js";
import { openUdpSocket } from "../../controller/io/ip/udp-socket.js";
import { endpointOf, HOME_AGENT } from "./places.js";

const SOCKET_BUFFER_OCTETS = 32 * 2 ** 20;
const LIFETIME_SECONDS = 3600;
/** INITIAL_BINDACK_TIMEOUT, doubled after each silence (RFC 6275 §11.8, §12). */
const FIRST_TIMEOUT_MS = 1000;
const TRIES = 6;
/** refused: for want of resources, which includes a kernel that took too long, or because it has become too old meanwhile. */
export type Answer = "accepted" | "refused";

/** One of them: an update of Mobile IPv6 or a registration request of Mobile IPv4, each time a new one. */
export interface LoadNode {
  request(lifetimeSeconds: number): Uint8Array;
  /** Throws for whatever else it is. */
  answer(data: Uint8Array): Answer;
}

export interface Exchange {
  readonly milliseconds: number;
  /** From the first request of a node to the answer, in order of arrival. */
  readonly perNode: readonly number[];
  readonly retransmissions: number;
  readonly refusals: number;
}

interface Waiting {
  answered?: number;
  answer?: Uint8Array;
}

export class Generator {
  readonly #socket: IpSocket<Ipv4Address>;
  readonly #nodes: readonly LoadNode[];
  readonly #port: number;
  readonly #byAddress = new Map<Ipv4Address, number>();
  #waiting = new Map<number, Waiting>();
  #outstanding = 0;
  #wake: () => void = () => undefined;

  /** `netns` has a local route for all their addresses; the home agent listens on `port`, and so do they. */
  constructor(netns: string, port: number, nodes: readonly LoadNode[]) {
    this.#port = port;
    this.#nodes = nodes;
    this.#socket = openUdpSocket({ family: 4, port, netns, maxQueued: 2 * nodes.length });
    for (const option of [SO_RCVBUFFORCE, SO_SNDBUFFORCE]) {
      this.#socket.socket.setOption(SOL_SOCKET, option, SOCKET_BUFFER_OCTETS);
    }
    this.#socket.listen({
      onPackets: (packets) => {
        for (const { data, destination } of packets) if (destination !== undefined) this.#receive(destination, data);
      },
      onError: (error) => {
        throw error;
      },
    });
  }

  /**
   * Requests of the given nodes, all at once, each from the outer address that `place` (any number) stands for; resolves when all have been
   * accepted. The requests are made beforehand and the answers judged when all are there; who was refused for want of resources tries again.
   * Throws for any other answer.
   */
  async register(numbers: readonly number[], place: (number: number) => number): Promise<Exchange> {
    const sources = new Map(numbers.map((number) => [number, this.#outerAddress(number, place(number))]));
    const times = new Map<number, number>();
    const counts = { retransmissions: 0, refusals: 0 };
    let packets = numbers.map((number) => this.#request(number, sources));
    const begin = performance.now();
    for (let open = numbers; open.length > 0; packets = open.map((number) => this.#request(number, sources))) {
      counts.retransmissions += await this.#exchange(open, packets, sources);
      for (const number of open) times.set(number, (this.#waiting.get(number)?.answered ?? Number.NaN) - begin);
      open = open.filter((number) => !this.#isAccepted(number));
      counts.refusals += open.length;
    }
    const perNode = [...times.values()];
    return { milliseconds: Math.max(...perNode), perNode, ...counts };
  }

  close(): void {
    this.#socket.close();
  }

  #outerAddress(number: number, place: number): Ipv4Address {
    const { address } = endpointOf(place, "ipv4") as { readonly address: Ipv4Address };
    this.#byAddress.set(address, number);
    return address;
  }

  #request(number: number, sources: ReadonlyMap<number, Ipv4Address>): OutgoingPacket<Ipv4Address> {
    const data = this.#nodes[number]?.request(LIFETIME_SECONDS);
    const source = sources.get(number);
    if (data === undefined || source === undefined) throw new Error(`there is no node ${number}`);
    return { data, source, destination: HOME_AGENT.ipv4, destinationPort: this.#port };
  }

  /** Sends until each has an answer, whatever it says; returns how many were sent again. */
  async #exchange(
    numbers: readonly number[],
    packets: readonly OutgoingPacket<Ipv4Address>[],
    sources: ReadonlyMap<number, Ipv4Address>,
  ): Promise<number> {
    this.#waiting = new Map(numbers.map((number) => [number, {}]));
    this.#outstanding = numbers.length;
    this.#socket.send(packets);
    let again = 0;
    for (let tries = 1; !(await this.#allAnswered(FIRST_TIMEOUT_MS * 2 ** (tries - 1))); tries++) {
      if (tries === TRIES) throw new Error(`${this.#outstanding} of ${numbers.length} requests were never answered`);
      const silent = numbers.filter((number) => this.#waiting.get(number)?.answered === undefined);
      again += silent.length;
      this.#socket.send(silent.map((number) => this.#request(number, sources)));
    }
    return again;
  }

  #receive(destination: Ipv4Address, data: Uint8Array): void {
    const waiting = this.#waiting.get(this.#byAddress.get(destination) ?? -1);
    if (waiting === undefined) return;
    waiting.answer = data;
    if (waiting.answered !== undefined) return;
    waiting.answered = performance.now();
    if (--this.#outstanding === 0) this.#wake();
  }

  #allAnswered(timeoutMs: number): Promise<boolean> {
    if (this.#outstanding === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  #isAccepted(number: number): boolean {
    const answer = this.#waiting.get(number)?.answer;
    if (answer === undefined) throw new Error(`node ${number} got no answer`);
    try {
      return this.#nodes[number]?.answer(answer) === "accepted";
    } catch (cause) {
      throw new Error(`node ${number}: ${(cause as Error).message}`, { cause });
    }
  }
}
