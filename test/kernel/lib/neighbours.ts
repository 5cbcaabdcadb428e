/** What stations tell each other about addresses on a link, made by hand: a neighbour advertisement and an ARP reply. */
import { type Ipv4Address, type Ipv6Address, ipToBytes } from "../../../controller/base/ip.js";
import { ARP_OPERATION, ETHERTYPE, encodeArp, encodeEthernet } from "../../../controller/wire/ip/arp.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";

const ADVERTISEMENT = 136;
const OVERRIDE = 0x20;
const ROUTER = 0x80;
const SOLICITED = 0x40;

export interface Advertisement {
  readonly address: Ipv6Address;
  readonly mac: Uint8Array;
  /** Where it goes; with `solicited`, to whoever has asked. */
  readonly to: { readonly address: Ipv6Address; readonly mac: Uint8Array };
  readonly router?: boolean;
  readonly solicited?: boolean;
}

/** A frame with a neighbour advertisement (RFC 4861 §4.4) for an address of the sender's. */
export function neighbourAdvertisement({ address, mac, to, router, solicited }: Advertisement): Uint8Array {
  const source = ipToBytes(address);
  const destination = ipToBytes(to.address);
  const flags = OVERRIDE | (router === true ? ROUTER : 0) | (solicited === true ? SOLICITED : 0);
  const body = Uint8Array.of(ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0, ...source, 2, 1, ...mac);
  const pseudo = Uint8Array.of(...source, ...destination, 0, 0, 0, body.length, 0, 0, 0, Protocol.icmpv6);
  const sum = internetChecksum(Uint8Array.of(...pseudo, ...body));
  body[2] = sum >> 8;
  body[3] = sum & 0xff;
  const header = Uint8Array.of(0x60, 0, 0, 0, 0, body.length, Protocol.icmpv6, 255, ...source, ...destination);
  const payload = Uint8Array.of(...header, ...body);
  return encodeEthernet({ destination: to.mac, source: mac, etherType: ETHERTYPE.ipv6, payload });
}

/** A frame with an ARP reply (RFC 826) for an address of the sender's. */
export function arpReply(
  address: Ipv4Address,
  mac: Uint8Array,
  to: { readonly address: Ipv4Address; readonly mac: Uint8Array },
): Uint8Array {
  const payload = encodeArp({
    ...{ operation: ARP_OPERATION.reply, senderMac: mac, senderAddress: address },
    ...{ targetMac: to.mac, targetAddress: to.address },
  });
  return encodeEthernet({ destination: to.mac, source: mac, etherType: ETHERTYPE.arp, payload });
}

function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
