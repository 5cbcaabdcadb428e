/** Looking into captured frames. */
import type { Frame } from "./capture.js";
import { describeLayers } from "./capture.js";
import type { EthernetLayer, IcmpLayer, Ipv4Layer, Ipv6Layer } from "./frame.js";
import type { Namespace } from "./namespace.js";

export function interfaceIndex(namespace: Namespace, device: string): number {
  const [link] = namespace.ipJson(`link show dev ${device}`);
  return link?.["ifindex"] as number;
}

/** The UDP payload of the innermost packet, as text. */
export function payloadText({ layers }: Frame): string | undefined {
  const last = layers.at(-1);
  return last?.kind === "udp" ? Buffer.from(last.payload).toString("latin1") : undefined;
}

/** The layers without Ethernet: "ipv4 203.0.113.1>203.0.115.2 / udp 4191>40000 / ipv6 … / udp 7000>7001". */
export function describeFrame({ layers }: Frame): string {
  return describeLayers(layers.filter(({ kind }) => kind !== "ethernet"));
}

export type IpLayer = Ipv4Layer | Ipv6Layer;

/** IP headers, outermost first. */
export function ipLayersOf({ layers }: Frame): IpLayer[] {
  return layers.filter((layer): layer is IpLayer => layer.kind === "ipv4" || layer.kind === "ipv6");
}

export function ethernetOf({ layers }: Frame): EthernetLayer | undefined {
  return layers.find((layer) => layer.kind === "ethernet");
}

export function icmpOf({ layers }: Frame): IcmpLayer | undefined {
  return layers.find((layer): layer is IcmpLayer => layer.kind === "icmp" || layer.kind === "icmp6");
}

/** The MTU in a Packet Too Big or a "fragmentation needed" error, with its family; undefined for other frames. */
export function tooBigOf(frame: Frame): { readonly family: 4 | 6; readonly mtu: number } | undefined {
  const icmp = icmpOf(frame);
  if (icmp === undefined || icmp.bytes.length < 8) return undefined;
  const word = Buffer.from(icmp.bytes).readUInt32BE(4);
  if (icmp.kind === "icmp6" && icmp.type === 2) return { family: 6, mtu: word };
  if (icmp.kind === "icmp" && icmp.type === 3 && icmp.code === 4) return { family: 4, mtu: word & 0xffff };
  return undefined;
}
