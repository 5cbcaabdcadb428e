/** The mobility options of network mobility (RFC 3963 §4.3) and of multiple care-of addresses (RFC 5648 §4.1). */
import type { ByteReader, ByteWriter } from "../../../base/bytes.js";
import { EncodeError } from "../../../base/errors.js";
import { type IpAddress, ipFromBytes, ipToBytes } from "../../../base/ip.js";
import { bits, type Field, inline, ipv6Address, reserved, struct, u8, u16 } from "../../codec.js";
import { OptionType } from "../registry.js";
import { type OptionCodec, option } from "./codec.js";

/** An address of either family to the end of the structure, or nothing. */
const optionalAddress: Field<IpAddress | undefined> = {
  decode(reader: ByteReader, name: string): IpAddress | undefined {
    const length = reader.remaining;
    if (length === 0) return undefined;
    if (length !== 4 && length !== 16) throw reader.error(`an address of ${length} octets`, name);
    return ipFromBytes(reader.rest());
  },
  encode(writer: ByteWriter, name: string, value: IpAddress | undefined): void {
    if (value === undefined) return;
    const octets = ipToBytes(value);
    if (octets.length !== 4 && octets.length !== 16) throw new EncodeError(name, `not an address: ${value}`);
    writer.bytes(octets);
  },
};

export interface BindingIdentifierValue {
  /** 1..65535, unique among the care-of addresses of one home address. */
  readonly bindingId: number;
  /** A status of a binding acknowledgement for this care-of address; 0 in a binding update. */
  readonly status: number;
  /** H: the node is at home and away at the same time. */
  readonly simultaneousHomeAndForeign: boolean;
  /** An IPv4 address here replaces the IPv4 Care-of Address option (C-37). */
  readonly careOfAddress: IpAddress | undefined;
}

const bindingIdentifier: OptionCodec<"binding-identifier", BindingIdentifierValue> = {
  kind: "binding-identifier",
  type: OptionType.bindingIdentifier,
  fields: struct({
    bindingId: u16,
    status: u8,
    flags: inline(bits(1, { simultaneousHomeAndForeign: 0x80 })),
    careOfAddress: optionalAddress,
  }),
  alignment: (value) => (value.careOfAddress === undefined ? [2, 0] : [8, 2]),
};

export const NEMO_OPTIONS = [
  option("mobile-network-prefix", OptionType.mobileNetworkPrefix, [8, 4], {
    reserved: reserved(1),
    /** Bits, 0..128; other values decode and are for the home agent to refuse. */
    prefixLength: u8,
    prefix: ipv6Address,
  }),
  bindingIdentifier,
] as const;
