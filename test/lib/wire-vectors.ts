/**
 * The vectors of test/vectors/wire: each drives the decoder, and, when it is canonical, the encoder to the same octets. Octet strings
 * in values are written 0x… in JSON; a member that is undefined is left out.
 */
import { readFileSync } from "node:fs";
import { fromHex, toHex } from "../../controller/base/bytes.js";
import type { DecodeError } from "../../controller/base/errors.js";
import { type IpAddress, type Ipv6Address, parseIp } from "../../controller/base/ip.js";
import { ok, type Result } from "../../controller/base/result.js";
import {
  decodeHomeInformation,
  encodeHomeInformation,
  type HomeInformationOption,
} from "../../controller/wire/dhcpv6/home-information.js";
import {
  decodeIcmpv6,
  encodeIcmpv6,
  type Icmpv6Message,
  verifyIcmpv6Checksum,
  withIcmpv6Checksum,
} from "../../controller/wire/icmpv6.js";
import { type ArpPacket, decodeArp, encodeArp } from "../../controller/wire/ip/arp.js";
import { decodeIpv4Packet, encodeIpv4Packet, type Ipv4Packet } from "../../controller/wire/ip/ipv4.js";
import { decodeIpv6Packet, encodeIpv6Packet, type Ipv6Packet } from "../../controller/wire/ip/ipv6.js";
import {
  decodeIgmp,
  decodeMld,
  encodeIgmp,
  encodeMld,
  type IgmpMessage,
  type MldMessage,
} from "../../controller/wire/ip/membership.js";
import { decodeUdp, encodeUdp, type UdpDatagram } from "../../controller/wire/ip/udp.js";
import {
  type DiscoveryMessage,
  decodeAgentDiscovery,
  encodeAgentDiscovery,
} from "../../controller/wire/mip4/messages/agent-discovery.js";
import {
  type ControlMessage,
  decodeControlMessage,
  encodeControlMessage,
} from "../../controller/wire/mip4/messages/control-message.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
  verifyChecksum,
  withChecksum,
} from "../../controller/wire/mip6/messages/mobility-header.js";
import type { MobilityMessage } from "../../controller/wire/mip6/messages/mobility-message.js";
import {
  type DestinationOptions,
  decodeDestinationOptions,
  encodeDestinationOptions,
} from "../../controller/wire/mip6/options/destination.js";
import { type CodecContext, RO_PROFILE, SOLIMAN_2004_PROFILE } from "../../controller/wire/mip6/profile.js";
import {
  decodeType2RoutingHeader,
  encodeType2RoutingHeader,
  type Type2RoutingHeader,
} from "../../controller/wire/mip6/routing-header.js";
import { repositoryPath } from "./repository.js";

export interface ExpectedError {
  readonly reason: string;
  readonly field: string;
  readonly offset: number;
}

export interface WireVector {
  readonly name: string;
  /** Where the octets or the layout come from. */
  readonly source: string;
  readonly hex: string;
  /** Absent when the octets are not decodable. */
  readonly value?: unknown;
  readonly error?: ExpectedError;
  /** Whether encoding the value gives these octets; false: they are one of several forms that mean the value. */
  readonly canonical?: boolean;
  /** Of the pseudo-header under which the checksum in the octets is right. */
  readonly addresses?: { readonly source: string; readonly destination: string };
  readonly profile?: "ro" | "soliman2004";
}

/** The surroundings of a vector that its codec needs. */
export interface Surroundings {
  readonly context: CodecContext;
  readonly addresses?: { readonly source: IpAddress; readonly destination: IpAddress };
}

export interface WireFormat {
  decode(bytes: Uint8Array, around: Surroundings): Result<unknown, DecodeError>;
  encode(value: unknown, around: Surroundings): Uint8Array;
  /** Whether the checksum is right; formats without one, or that verify it in `decode`, leave this out. */
  verify?(bytes: Uint8Array, around: Required<Surroundings>): boolean;
}

const mobilityHeader: WireFormat = {
  decode: (bytes, { context }) => decodeMobilityMessage(bytes, context),
  encode(value, { context, addresses }): Uint8Array {
    const bytes = encodeMobilityMessage(value as MobilityMessage, context);
    return addresses === undefined ? bytes : withChecksum(bytes, six(addresses.source), six(addresses.destination));
  },
  verify: (bytes, { addresses }) => verifyChecksum(bytes, six(addresses.source), six(addresses.destination)),
};

export const WIRE_FORMATS: Readonly<Record<string, WireFormat>> = {
  "mobility-header": mobilityHeader,
  "mobility-header-profiles": mobilityHeader,
  "mobility-header-malformed": mobilityHeader,
  "destination-options": {
    decode(bytes, { context }): Result<DestinationOptions, DecodeError> {
      const result = decodeDestinationOptions(bytes, context);
      return result.ok ? ok({ nextHeader: result.value.nextHeader, options: result.value.options }) : result;
    },
    encode: (value) => encodeDestinationOptions(value as DestinationOptions),
  },
  "routing-header": {
    decode: (bytes) => decodeType2RoutingHeader(bytes),
    encode: (value) => encodeType2RoutingHeader(value as Type2RoutingHeader),
  },
  icmpv6: {
    decode: (bytes) => decodeIcmpv6(bytes),
    encode(value, { addresses }): Uint8Array {
      const bytes = encodeIcmpv6(value as Icmpv6Message);
      return addresses === undefined
        ? bytes
        : withIcmpv6Checksum(bytes, six(addresses.source), six(addresses.destination));
    },
    verify: (bytes, { addresses }) => verifyIcmpv6Checksum(bytes, six(addresses.source), six(addresses.destination)),
  },
  ipv6: {
    decode: (bytes) => decodeIpv6Packet(bytes),
    encode: (value) => encodeIpv6Packet(value as Ipv6Packet),
  },
  ipv4: {
    decode: (bytes) => decodeIpv4Packet(bytes),
    encode: (value) => encodeIpv4Packet(value as Ipv4Packet),
  },
  udp: {
    decode: (bytes, { addresses }) => decodeUdp(bytes, addresses),
    encode: (value, { addresses }) => encodeUdp(value as UdpDatagram, addresses),
  },
  arp: {
    decode: (bytes) => decodeArp(bytes),
    encode: (value) => encodeArp(value as ArpPacket),
  },
  mld: {
    decode: (bytes) => decodeMld(bytes),
    encode(value, { addresses }): Uint8Array {
      const bytes = encodeMld(value as MldMessage);
      return addresses === undefined
        ? bytes
        : withIcmpv6Checksum(bytes, six(addresses.source), six(addresses.destination));
    },
    verify: (bytes, { addresses }) => verifyIcmpv6Checksum(bytes, six(addresses.source), six(addresses.destination)),
  },
  igmp: {
    decode: (bytes) => decodeIgmp(bytes),
    encode: (value) => encodeIgmp(value as IgmpMessage),
  },
  "dhcpv6-home-information": {
    decode: (bytes) => decodeHomeInformation(bytes),
    encode: (value) => encodeHomeInformation(value as readonly HomeInformationOption[]),
  },
  "mip4-control": {
    decode: (bytes) => decodeControlMessage(bytes),
    encode: (value) => encodeControlMessage(value as ControlMessage),
  },
  "mip4-discovery": {
    decode: (bytes) => decodeAgentDiscovery(bytes),
    encode: (value) => encodeAgentDiscovery(value as DiscoveryMessage),
  },
};

const six = (address: IpAddress): Ipv6Address => address as Ipv6Address;

export function loadVectors(format: string): readonly WireVector[] {
  return JSON.parse(readFileSync(repositoryPath("test", "vectors", "wire", `${format}.json`), "utf8")) as WireVector[];
}

export function vectorBytes(vector: WireVector): Uint8Array {
  return fromHex(vector.hex);
}

export function surroundings(vector: WireVector): Surroundings {
  const profile = { ro: RO_PROFILE, soliman2004: SOLIMAN_2004_PROFILE, none: undefined }[vector.profile ?? "none"];
  const context = profile === undefined ? {} : { profile };
  if (vector.addresses === undefined) return { context };
  const source = parseIp(vector.addresses.source);
  const destination = parseIp(vector.addresses.destination);
  if (source === undefined || destination === undefined) throw new Error(`${vector.name}: not addresses`);
  return { context, addresses: { source, destination } };
}

/** A decoded value as it stands in a vector file. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `0x${toHex(value)}`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(members.map(([key, member]) => [key, plain(member)]));
}

/** The value that stands in a vector file, as the encoders take it. */
export function revive(value: unknown): unknown {
  if (typeof value === "string" && value.startsWith("0x")) return fromHex(value.slice(2));
  if (Array.isArray(value)) return value.map(revive);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, revive(member)]));
}
