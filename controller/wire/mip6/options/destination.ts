/**
 * The IPv6 destination options header (RFC 8200 §4.6) and its Home Address option (RFC 6275 §6.3). This is also the form in which
 * a raw socket gives and takes it (IPV6_RECVDSTOPTS, IPV6_DSTOPTS).
 *
 *   | next header | ext length | options, the Home Address option (C9 10 address) at 8n+6 …
 */
import { ByteReader, ByteWriter } from "../../../base/bytes.js";
import { type DecodeError, EncodeError } from "../../../base/errors.js";
import { type Ipv6Address, isRoutableUnicast } from "../../../base/ip.js";
import type { Result } from "../../../base/result.js";
import { decoding, ipv6Address } from "../../codec.js";
import type { CodecContext } from "../profile.js";
import { DestinationOptionType } from "../registry.js";

export type DestinationOption =
  | { readonly kind: "home-address"; readonly address: Ipv6Address }
  | { readonly kind: "unknown"; readonly optionType: number; readonly data: Uint8Array };

export interface DestinationOptions {
  readonly nextHeader: number;
  readonly options: readonly DestinationOption[];
}

export interface DecodedDestinationOptions extends DestinationOptions {
  /** Octets of the header, a multiple of 8. */
  readonly length: number;
}

const HOME_ADDRESS_LENGTH = 16;
const MAX_OCTETS = 8 * 256;

/**
 * The header at the start of `bytes`. A second Home Address option, one of another length, or one that does not hold a unicast
 * routable address is a DecodeError; an IPv4-mapped address passes only in a profile that uses them (C-56).
 */
export function decodeDestinationOptions(
  bytes: Uint8Array,
  context: CodecContext = {},
): Result<DecodedDestinationOptions, DecodeError> {
  return decoding(() => {
    const header = new ByteReader(bytes);
    const nextHeader = header.u8("next-header");
    const length = 8 * (header.u8("ext-length") + 1);
    const reader = new ByteReader(header.bytes(length - 2, "options"), 2);
    const options: DestinationOption[] = [];
    while (reader.remaining > 0) {
      const option = decodeOption(reader, context);
      if (option === undefined) continue;
      const repeated = option.kind === "home-address" && options.some(({ kind }) => kind === "home-address");
      if (repeated) throw reader.error("a second Home Address option", "home-address", reader.offset - 18);
      options.push(option);
    }
    return { nextHeader, options, length };
  });
}

function decodeOption(reader: ByteReader, context: CodecContext): DestinationOption | undefined {
  const optionType = reader.u8("option-type");
  if (optionType === DestinationOptionType.pad1) return undefined;
  const length = reader.u8("option-length");
  const data = reader.bytes(length, "option-data");
  if (optionType === DestinationOptionType.padN) return undefined;
  if (optionType !== DestinationOptionType.homeAddress) return { kind: "unknown", optionType, data: data.slice() };
  if (length !== HOME_ADDRESS_LENGTH)
    throw reader.error(`Length ${length}`, "home-address", reader.offset - length - 1);
  const address = ipv6Address.decode(new ByteReader(data), "home-address");
  if (!isRoutableUnicast(address) && !isAllowedMapped(data, context)) {
    throw reader.error(`${address} is not a unicast routable address`, "home-address", reader.offset - length);
  }
  return { kind: "home-address", address };
}

function isAllowedMapped(address: Uint8Array, { profile }: CodecContext): boolean {
  if (profile?.roModeType === undefined) return false;
  return address.subarray(0, 10).every((octet) => octet === 0) && address[10] === 0xff && address[11] === 0xff;
}

/** The address of the Home Address option, or undefined. */
export function homeAddressOf({ options }: DestinationOptions): Ipv6Address | undefined {
  for (const option of options) if (option.kind === "home-address") return option.address;
  return undefined;
}

/** The header's octets: unknown options as they are, the Home Address option at 8n+6, padded to a multiple of 8. */
export function encodeDestinationOptions({ nextHeader, options }: DestinationOptions): Uint8Array {
  const writer = new ByteWriter(24).u8("nextHeader", nextHeader).zeros(1);
  if (options.filter(({ kind }) => kind === "home-address").length > 1) {
    throw new EncodeError("home-address", "more than one Home Address option");
  }
  for (const option of options) encodeOption(writer, option);
  pad(writer, -writer.length & 7);
  if (writer.length > MAX_OCTETS) throw new EncodeError("ext-length", `${writer.length} octets, ${MAX_OCTETS} at most`);
  return writer.patchU8(1, writer.length / 8 - 1).finish();
}

function encodeOption(writer: ByteWriter, option: DestinationOption): void {
  if (option.kind === "home-address") {
    pad(writer, (6 - writer.length) & 7);
    writer.u8("option-type", DestinationOptionType.homeAddress).u8("option-length", HOME_ADDRESS_LENGTH);
    ipv6Address.encode(writer, "home-address", option.address);
    return;
  }
  const known: readonly number[] = Object.values(DestinationOptionType);
  if (known.includes(option.optionType)) throw new EncodeError("optionType", `${option.optionType} is a known option`);
  writer.u8("option-type", option.optionType).u8("option-length", option.data.length).bytes(option.data);
}

function pad(writer: ByteWriter, count: number): void {
  if (count === 1) writer.u8("Pad1", DestinationOptionType.pad1);
  if (count > 1)
    writer
      .u8("PadN", DestinationOptionType.padN)
      .u8("PadN", count - 2)
      .zeros(count - 2);
}

/** The 24 octets of a header that holds nothing but a Home Address option. */
export function homeAddressHeader(nextHeader: number, address: Ipv6Address): Uint8Array {
  return encodeDestinationOptions({ nextHeader, options: [{ kind: "home-address", address }] });
}
