/**
 * Ethernet frames with ARP for IPv4 (RFC 826), and the gratuitous ARP by which an address is drawn to another station
 * (RFC 5227 §3, RFC 5944 §4.6).
 */
import { ByteReader, ByteWriter } from "../../base/bytes.js";
import { DecodeError } from "../../base/errors.js";
import type { Ipv4Address } from "../../base/ip.js";
import type { Result } from "../../base/result.js";
import { decoding, ipv4Address, octets, type StructValue, struct, u8, u16 } from "../codec.js";

export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
export const ARP_OPERATION = { request: 1, reply: 2 } as const;
export const MAC_OCTETS = 6;
/** Ethernet, IPv4, addresses of 6 and 4 octets. */
const FIXED = { hardwareType: 1, protocolType: ETHERTYPE.ipv4, hardwareLength: 6, protocolLength: 4 } as const;

const ethernetShape = { destination: octets(MAC_OCTETS), source: octets(MAC_OCTETS), etherType: u16 };
const ethernet = struct(ethernetShape);

export interface EthernetFrame extends StructValue<typeof ethernetShape> {
  /** Link-layer padding included; a view of the input when decoded. */
  readonly payload: Uint8Array;
}

export function decodeEthernet(bytes: Uint8Array): Result<EthernetFrame, DecodeError> {
  return decoding(() => {
    const reader = new ByteReader(bytes);
    return { ...ethernet.decode(reader, "ethernet"), payload: reader.rest() };
  });
}

export function encodeEthernet(frame: EthernetFrame): Uint8Array {
  const writer = new ByteWriter(14 + frame.payload.length);
  ethernet.encode(writer, "ethernet", frame);
  return writer.bytes(frame.payload).finish();
}

const arpShape = {
  hardwareType: u16,
  protocolType: u16,
  hardwareLength: u8,
  protocolLength: u8,
  /** ARP_OPERATION. */
  operation: u16,
  senderMac: octets(MAC_OCTETS),
  senderAddress: ipv4Address,
  targetMac: octets(MAC_OCTETS),
  targetAddress: ipv4Address,
};
const arp = struct(arpShape);

export type ArpPacket = Omit<StructValue<typeof arpShape>, keyof typeof FIXED>;

/** The ARP packet at the start of `bytes`; only Ethernet and IPv4 decode. Octets after it are link-layer padding. */
export function decodeArp(bytes: Uint8Array): Result<ArpPacket, DecodeError> {
  return decoding(() => {
    const { hardwareType, protocolType, hardwareLength, protocolLength, ...packet } = arp.decode(
      new ByteReader(bytes),
      "arp",
    );
    const found = { hardwareType, protocolType, hardwareLength, protocolLength };
    const offsets = { hardwareType: 0, protocolType: 2, hardwareLength: 4, protocolLength: 5 };
    for (const field of ["hardwareType", "protocolType", "hardwareLength", "protocolLength"] as const) {
      if (found[field] !== FIXED[field]) throw new DecodeError(`${found[field]}`, { offset: offsets[field], field });
    }
    return packet;
  });
}

export function encodeArp(packet: ArpPacket): Uint8Array {
  const writer = new ByteWriter(28);
  arp.encode(writer, "arp", { ...FIXED, ...packet });
  return writer.finish();
}

export const BROADCAST_MAC = new Uint8Array(MAC_OCTETS).fill(0xff);

/** The broadcast frame that announces `address` at `mac`: a request whose sender and target address are the same (RFC 5227 §3). */
export function gratuitousArp(mac: Uint8Array, address: Ipv4Address): Uint8Array {
  const payload = encodeArp({
    operation: ARP_OPERATION.request,
    senderMac: mac,
    senderAddress: address,
    targetMac: new Uint8Array(MAC_OCTETS),
    targetAddress: address,
  });
  return encodeEthernet({ destination: BROADCAST_MAC, source: mac, etherType: ETHERTYPE.arp, payload });
}
