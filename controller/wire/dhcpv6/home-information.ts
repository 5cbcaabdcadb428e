/**
 * What DHCPv6 tells a mobile node of its home network (RFC 6610 §3.1): options that hold an address or a name of a home agent, and options
 * that hold those for one home network. DHCPv6 messages themselves are a client's affair.
 */
import { ByteReader, ByteWriter } from "../../base/bytes.js";
import { type DecodeError, EncodeError } from "../../base/errors.js";
import type { Ipv6Address } from "../../base/ip.js";
import type { Result } from "../../base/result.js";
import { decoding, ipv6Address } from "../codec.js";
import { readName, writeName } from "../dns/name.js";
import { Dhcpv6Option } from "./registry.js";

/** Whose home network: the visited operator's, the one that the node has named, or any. */
const NETWORKS = {
  visited: Dhcpv6Option.visitedHomeNetwork,
  identified: Dhcpv6Option.identifiedHomeNetwork,
  unrestricted: Dhcpv6Option.unrestrictedHomeNetwork,
} as const;
const NETWORK_OF: ReadonlyMap<number, keyof typeof NETWORKS> = new Map(
  Object.entries(NETWORKS).map(([network, code]) => [code, network as keyof typeof NETWORKS]),
);

export type HomeInformation =
  | { readonly kind: "home-agent-address"; readonly address: Ipv6Address }
  /** Lower case, without the dot at the end. */
  | { readonly kind: "home-agent-name"; readonly name: string }
  | { readonly kind: "home-network-identifier"; readonly name: string }
  /** A prefix names no home agent, so nothing here reads it; it is kept as the others are that we do not know. */
  | { readonly kind: "other"; readonly code: number; readonly data: Uint8Array };
export type HomeInformationOption =
  | HomeInformation
  | {
      readonly kind: "home-network";
      readonly network: keyof typeof NETWORKS;
      readonly options: readonly HomeInformation[];
    };

/** All options that there are, one after the other, with their code and length: from a message, or from inside of one of them. */
export function decodeHomeInformation(bytes: Uint8Array): Result<readonly HomeInformationOption[], DecodeError> {
  return decoding(() => readOptions(new ByteReader(bytes), 0, readOption));
}

/** Throws EncodeError for a value that does not fit. */
export function encodeHomeInformation(options: readonly HomeInformationOption[]): Uint8Array {
  const writer = new ByteWriter(64);
  for (const option of options) {
    if (option.kind === "home-network") writeOption(writer, NETWORKS[option.network], encodeAll(option.options));
    else writeInformation(writer, option);
  }
  return writer.finish();
}

/** `base`: where the reader's first octet stands in the whole. */
function readOptions<T>(
  reader: ByteReader,
  base: number,
  read: (code: number, data: Uint8Array, at: number) => T,
): readonly T[] {
  const options: T[] = [];
  while (reader.remaining > 0) {
    const code = reader.u16("code");
    const length = reader.u16("option-length");
    const at = base + reader.offset;
    options.push(read(code, reader.bytes(length, "option"), at));
  }
  return options;
}

function readOption(code: number, data: Uint8Array, at: number): HomeInformationOption {
  const network = NETWORK_OF.get(code);
  if (network === undefined) return readInformation(code, data, at);
  return { kind: "home-network", network, options: readOptions(new ByteReader(data, at), at, readInformation) };
}

function readInformation(code: number, data: Uint8Array, at: number): HomeInformation {
  const reader = new ByteReader(data, at);
  switch (code) {
    case Dhcpv6Option.homeAgentAddress:
      return { kind: "home-agent-address", address: whole(reader, ipv6Address.decode(reader, "home-agent-address")) };
    case Dhcpv6Option.homeAgentName:
      return { kind: "home-agent-name", name: whole(reader, hostName(reader)) };
    case Dhcpv6Option.homeNetworkIdentifier:
      return { kind: "home-network-identifier", name: whole(reader, hostName(reader)) };
    default:
      if (NETWORK_OF.has(code)) throw reader.error("a home network within another", "code");
      return { kind: "other", code, data: data.slice() };
  }
}

function whole<T>(reader: ByteReader, value: T): T {
  if (reader.remaining > 0) throw reader.error(`${reader.remaining} octets too many`, "option-length");
  return value;
}

/** Nobody can be asked for another one. */
function hostName(reader: ByteReader): string {
  const name = readName(reader);
  if (name === "" || name.includes("?")) throw reader.error("no host name", "name", 0);
  return name;
}

function encodeAll(options: readonly HomeInformation[]): Uint8Array {
  const writer = new ByteWriter(64);
  for (const option of options) writeInformation(writer, option);
  return writer.finish();
}

function writeInformation(writer: ByteWriter, option: HomeInformation): void {
  const data = new ByteWriter(32);
  switch (option.kind) {
    case "home-agent-address":
      ipv6Address.encode(data, "home-agent-address", option.address);
      return writeOption(writer, Dhcpv6Option.homeAgentAddress, data.finish());
    case "home-agent-name":
      writeName(data, option.name);
      return writeOption(writer, Dhcpv6Option.homeAgentName, data.finish());
    case "home-network-identifier":
      writeName(data, option.name);
      return writeOption(writer, Dhcpv6Option.homeNetworkIdentifier, data.finish());
    case "other":
      if (NETWORK_OF.has(option.code)) throw new EncodeError("code", `${option.code} is a home network's`);
      return writeOption(writer, option.code, option.data);
  }
}

function writeOption(writer: ByteWriter, code: number, data: Uint8Array): void {
  writer.u16("code", code).u16("option-length", data.length).bytes(data);
}
