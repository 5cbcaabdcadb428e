/** Mobile nodes behind NATs, as many as wanted, all in one socket of the load's namespace: sends their updates and notes when each answer came. */
import { type Ipv4Address, ipv4 } from "../../controller/base/ip.js";
import { SO_RCVBUFFORCE, SO_SNDBUFFORCE, SOL_SOCKET } from "../../controller/io/constants.js";
import type { IpSocket, OutgoingPacket } from "../../controller/io/ip/ip-socket.js";
import { openUdpSocket } from "../../controller/io/ip/udp-socket.js";
import { BindingStatus, DSMIP6_PORT } from "../../controller/wire/mip6/registry.js";
import { EspNode } from "./esp-node.js";
import { endpointOf, HOME_AGENT, type Kind, mobileNode } from "./places.js";

const SOCKET_BUFFER_OCTETS = 32 * 2 ** 20;
const LIFETIME_SECONDS = 3600;
/** INITIAL_BINDACK_TIMEOUT, doubled after each silence (RFC 6275 §11.8, §12). */
const FIRST_TIMEOUT_MS = 1000;
const TRIES = 6;
/** What the node thinks its address is; the NAT in front of it has another. */
const PRIVATE_ADDRESS = ipv4("192.168.1.2");

export interface Exchange {
  readonly milliseconds: number;
  /** From the first update of a node to the acknowledgement, in order of arrival. */
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
  readonly #nodes: readonly EspNode[];
  readonly #byAddress = new Map<Ipv4Address, number>();
  #waiting = new Map<number, Waiting>();
  readonly #kind: Kind;
  #outstanding = 0;
  #wake: () => void = () => undefined;

  /** The nodes 0 to `count` - 1; `netns` has a local route for all their addresses. */
  constructor(netns: string, count: number, kind: Kind) {
    this.#kind = kind;
    this.#nodes = Array.from({ length: count }, (_, number) => new EspNode(mobileNode(number)));
    this.#socket = openUdpSocket({ family: 4, port: DSMIP6_PORT, netns, maxQueued: 2 * count });
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
   * Updates of the given nodes, all at once, each from the outer address that `place` (any number) stands for; resolves when all have been
   * accepted. The updates are made beforehand and the answers judged when all are there; who was refused for want of resources tries again.
   * Throws for any other status.
   */
  async register(numbers: readonly number[], place: (number: number) => number): Promise<Exchange> {
    const sources = new Map(numbers.map((number) => [number, this.#outerAddress(number, place(number))]));
    const times = new Map<number, number>();
    const counts = { retransmissions: 0, refusals: 0 };
    let packets = numbers.map((number) => this.#update(number, sources));
    const begin = performance.now();
    for (let open = numbers; open.length > 0; packets = open.map((number) => this.#update(number, sources))) {
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

  #update(number: number, sources: ReadonlyMap<number, Ipv4Address>): OutgoingPacket<Ipv4Address> {
    const data = this.#nodes[number]?.bindingUpdate(PRIVATE_ADDRESS, LIFETIME_SECONDS, this.#kind);
    const source = sources.get(number);
    if (data === undefined || source === undefined) throw new Error(`there is no node ${number}`);
    return { data, source, destination: HOME_AGENT.ipv4, destinationPort: DSMIP6_PORT };
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
      if (tries === TRIES) throw new Error(`${this.#outstanding} of ${numbers.length} updates were never acknowledged`);
      const silent = numbers.filter((number) => this.#waiting.get(number)?.answered === undefined);
      again += silent.length;
      this.#socket.send(silent.map((number) => this.#update(number, sources)));
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

  /** False: refused for want of resources, which includes a kernel that took too long. */
  #isAccepted(number: number): boolean {
    const answer = this.#waiting.get(number)?.answer;
    const status = answer && this.#nodes[number]?.acknowledgement(answer).status;
    if (status !== BindingStatus.accepted && status !== BindingStatus.insufficientResources) {
      throw new Error(`node ${number} got ${status === undefined ? "no answer" : `status ${status}`}`);
    }
    return status === BindingStatus.accepted;
  }
}
