/** The IPv4 networks on this machine's links, by the two addresses of each that no host has: network and directed broadcast (RFC 1122 §3.2.1.3). */
import { networkInterfaces } from "node:os";
import { edgesOf, type Ipv4Address, parseIpv4 } from "../../base/ip.js";

/** As node:os tells interfaces. */
type Interfaces = Readonly<Record<string, readonly { readonly cidr: string | null }[] | undefined>>;

export class ConnectedNetworks {
  readonly #read: () => Interfaces;
  #edges: ReadonlySet<Ipv4Address> = new Set();

  constructor(read: () => Interfaces = networkInterfaces) {
    this.#read = read;
    this.refresh();
  }

  /** Whether the address is nobody's in one of the networks. */
  isEdge(address: Ipv4Address): boolean {
    return this.#edges.has(address);
  }

  /** Looks again: at what the kernel refuses, the networks may be others than at the start. */
  refresh(): void {
    const edges = new Set<Ipv4Address>();
    for (const addresses of Object.values(this.#read()))
      for (const { cidr } of addresses ?? []) {
        const [text = "", length = ""] = cidr?.split("/") ?? [];
        const address = parseIpv4(text);
        if (address !== undefined) for (const edge of edgesOf(address, Number(length))) edges.add(edge);
      }
    this.#edges = edges;
  }
}
