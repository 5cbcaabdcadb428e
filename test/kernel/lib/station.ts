/** A correspondent or a mobile node as an application sees it: a UDP socket in its namespace, one packet at a time or a flow. */
import { type IpAddress, isIpv4 } from "../../../controller/base/ip.js";
import type { SendOptions } from "../../../controller/io/ip/ancillary.js";
import type { IpPacket, IpSocket } from "../../../controller/io/ip/ip-socket.js";
import { openUdpSocket } from "../../../controller/io/ip/udp-socket.js";
import type { Namespace } from "./namespace.js";
import { waitFor } from "./wait.js";

export const STATION_PORT = 7000;

export class Station {
  readonly address: IpAddress;
  readonly label: string;
  readonly #socket: IpSocket;
  readonly #received = new Map<string, IpPacket[]>();

  /** The address may come later (`freebind`). */
  constructor(namespace: Namespace, address: IpAddress, options: { readonly allowFragments?: boolean } = {}) {
    this.address = address;
    this.label = `${namespace.label} (${address})`;
    const common = { netns: namespace.path, address, port: STATION_PORT, freebind: true, ...options };
    this.#socket = isIpv4(address) ? openUdpSocket({ ...common, family: 4 }) : openUdpSocket({ ...common, family: 6 });
    this.#socket.listen({
      onPackets: (packets) => {
        for (const packet of packets) {
          const text = Buffer.from(packet.data).toString("latin1").trimEnd();
          this.#received.set(text, [...(this.#received.get(text) ?? []), packet]);
        }
      },
      onError: () => {}, // ICMP errors; what was lost is missed by the receiver
    });
  }

  /** One packet with this text, padded with blanks to `octets` of UDP payload. The text names the packet. */
  send(
    to: Station,
    text: string,
    options: SendOptions & { readonly octets?: number; readonly flowLabel?: number } = {},
  ): void {
    const { octets = 0, ...rest } = options;
    const data = Buffer.from(text.padEnd(octets), "latin1");
    const packet = { data, destination: to.address, destinationPort: STATION_PORT, ...rest };
    const { sent, queued, error } = this.#socket.send([packet]);
    if (sent + queued !== 1) throw error ?? new Error(`${this.label} could not send`);
  }

  /** Sends without caring whether the kernel refuses it (a packet too big for the known path MTU is refused at once). */
  trySend(to: Station, text: string, options: SendOptions & { readonly octets?: number } = {}): string | undefined {
    try {
      this.send(to, text, options);
      return undefined;
    } catch (error) {
      return (error as { code?: string }).code ?? String(error);
    }
  }

  async waitFor(text: string): Promise<IpPacket> {
    return waitFor(() => this.#received.get(text)?.[0], { what: `"${text}" at ${this.label}` });
  }

  /** How often a packet arrived. */
  count(text: string): number {
    return this.#received.get(text)?.length ?? 0;
  }

  close(): void {
    this.#socket.close();
  }
}
