/**
 * ICMP router discovery (RFC 1256 §3) with the extensions that make it the discovery of mobility agents (RFC 5944 §2.1, §2.2).
 * Receivers see to the TTL of 1 and to the source where they have them, outside these octets.
 *
 *   0 |    Type = 9   |  Code 0 / 16  |           Checksum            |
 *   4 |   Num Addrs   |Addr Entry Size|           Lifetime            |
 *   8 |      Router Address and Preference Level, Num Addrs times, then extensions        |
 */
import { ByteReader, ByteWriter } from "../../../base/bytes.js";
import { type DecodeError, EncodeError } from "../../../base/errors.js";
import type { Ipv4Address } from "../../../base/ip.js";
import type { Result } from "../../../base/result.js";
import { decoding, type Field, ipv4Address, type StructValue, struct, u32 } from "../../codec.js";
import { checksum } from "../../ip/checksum.js";
import { extensionArea, type UnknownExtension } from "../extensions/area.js";
import type { ExtensionOf } from "../extensions/codec.js";
import { DISCOVERY_EXTENSIONS } from "../extensions/discovery.js";
import { IcmpType, NO_COMMON_TRAFFIC } from "../registry.js";

export type KnownDiscoveryExtension = ExtensionOf<(typeof DISCOVERY_EXTENSIONS)[number]>;
export type DiscoveryExtension = KnownDiscoveryExtension | UnknownExtension;
export type MobilityAgentAdvertisement = Extract<DiscoveryExtension, { readonly kind: "mobility-agent-advertisement" }>;
const EXTENSIONS = extensionArea<KnownDiscoveryExtension>(DISCOVERY_EXTENSIONS);

/** IP time to live of both messages (RFC 5944 §2.1, §2.2). */
export const AGENT_DISCOVERY_TTL = 1;
/** The preference of a router that is not to be a default router (RFC 1256 §3). */
export const NEVER_DEFAULT_ROUTER = -0x80000000;

const CHECKSUM_OFFSET = 2;
const WORDS_PER_ENTRY = 2;

/** 32 bits in two's complement. */
const preference: Field<number> = {
  decode: (reader, name) => u32.decode(reader, name) | 0,
  encode(writer, name, value): void {
    if ((value | 0) !== value) throw new EncodeError(name, `${value} is not an integer of 32 bits`);
    u32.encode(writer, name, value >>> 0);
  },
};
const entryShape = { address: ipv4Address, preference };
const entryFields = struct(entryShape);
export type RouterEntry = StructValue<{ address: Field<Ipv4Address>; preference: Field<number> }>;

export interface RouterAdvertisement {
  readonly type: "router-advertisement";
  /** 0, or 16: the agent is no router for traffic of others (`NO_COMMON_TRAFFIC`). */
  readonly code: number;
  /** How long the advertisement holds; not that of registrations. */
  readonly lifetimeSeconds: number;
  readonly routers: readonly RouterEntry[];
  /** An agent advertisement has a mobility-agent-advertisement among them. */
  readonly extensions: readonly DiscoveryExtension[];
}
export interface RouterSolicitation {
  readonly type: "router-solicitation";
}
/** ICMP of any other type. */
export interface UnknownIcmp {
  readonly type: "unknown";
  readonly icmpType: number;
  readonly code: number;
  /** After the checksum. */
  readonly body: Uint8Array;
}
export type DiscoveryMessage = RouterAdvertisement | RouterSolicitation | UnknownIcmp;

/** The ICMP message that `bytes` are, as a whole. The checksum is not looked at (`verifyIcmpChecksum`). */
export function decodeAgentDiscovery(bytes: Uint8Array): Result<DiscoveryMessage, DecodeError> {
  return decoding(() => {
    const reader = new ByteReader(bytes);
    const icmpType = reader.u8("icmp-type");
    const code = reader.u8("code");
    reader.bytes(2, "checksum");
    switch (icmpType) {
      case IcmpType.routerAdvertisement:
        return decodeAdvertisement(bytes, reader, code);
      case IcmpType.routerSolicitation:
        if (code !== 0) throw reader.error(`code ${code}, only 0 is defined`, "code", 1);
        reader.bytes(4, "reserved"); // what follows is ignored (RFC 1256 §5.2)
        return { type: "router-solicitation" };
      default:
        return { type: "unknown", icmpType, code, body: reader.rest().slice() };
    }
  });
}

function decodeAdvertisement(bytes: Uint8Array, reader: ByteReader, code: number): RouterAdvertisement {
  if (code !== 0 && code !== NO_COMMON_TRAFFIC) throw reader.error(`code ${code}`, "code", 1);
  const count = reader.u8("num-addrs");
  const words = reader.u8("addr-entry-size");
  if (words < WORDS_PER_ENTRY) throw reader.error(`an entry of ${words} words`, "addr-entry-size", 5);
  const lifetimeSeconds = reader.u16("lifetime");
  const routers = Array.from({ length: count }, () => {
    const entry = entryFields.decode(reader, "router");
    reader.bytes(4 * (words - WORDS_PER_ENTRY), "router"); // a later version's (RFC 1256 §5.2)
    return entry;
  });
  const spans = EXTENSIONS.decode(bytes, reader.offset);
  for (const { extension, offset } of spans) {
    if (extension.kind === "prefix-lengths" && extension.prefixLengths.length !== count) {
      throw reader.error(
        `${extension.prefixLengths.length} lengths for ${count} routers`,
        "prefix-lengths",
        offset + 1,
      );
    }
  }
  const extensions = spans.map(({ extension }) => extension);
  return { type: "router-advertisement", code, lifetimeSeconds, routers, extensions };
}

/** The octets of a message with its checksum. Throws EncodeError for a value that does not fit its field. */
export function encodeAgentDiscovery(message: DiscoveryMessage): Uint8Array {
  const writer = new ByteWriter(64);
  switch (message.type) {
    case "router-solicitation":
      writer.u8("icmp-type", IcmpType.routerSolicitation).zeros(7);
      break;
    case "router-advertisement":
      encodeAdvertisement(writer, message);
      break;
    case "unknown":
      if (Object.values<number>(IcmpType).includes(message.icmpType)) {
        throw new EncodeError("icmpType", `${message.icmpType} is a known type`);
      }
      writer.u8("icmp-type", message.icmpType).u8("code", message.code).zeros(2).bytes(message.body);
  }
  return writer.patchU16(CHECKSUM_OFFSET, checksum(writer.finish())).finish();
}

function encodeAdvertisement(writer: ByteWriter, message: RouterAdvertisement): void {
  const { code, lifetimeSeconds, routers, extensions } = message;
  if (code !== 0 && code !== NO_COMMON_TRAFFIC) throw new EncodeError("code", `${code} is neither 0 nor 16`);
  writer.u8("icmp-type", IcmpType.routerAdvertisement).u8("code", code).zeros(2);
  writer.u8("num-addrs", routers.length).u8("addr-entry-size", WORDS_PER_ENTRY).u16("lifetime", lifetimeSeconds);
  for (const router of routers) entryFields.encode(writer, "router", router);
  for (const extension of extensions) {
    if (extension.kind === "prefix-lengths" && extension.prefixLengths.length !== routers.length) {
      throw new EncodeError("prefix-lengths", `${extension.prefixLengths.length} for ${routers.length} routers`);
    }
  }
  EXTENSIONS.encode(writer, extensions);
}

/** Whether the checksum of an ICMP message is right. */
export function verifyIcmpChecksum(message: Uint8Array): boolean {
  return message.length >= CHECKSUM_OFFSET + 2 && checksum(message) === 0;
}
