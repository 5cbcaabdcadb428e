/**
 * The mobility options of RFC 5555, and those of the two drafts that need a profile (profile.ts). Reserved bits are zero on send and
 * ignored on receipt. Values are not judged here: Prefix-len 0 or 33..63 decodes, and the home agent answers it with a status (C-13).
 *
 *   IPv4 Home Address (29)               IPv4 Address Acknowledgement (30)
 *   |type|len 6|Prefix-len:6|P|rsv:9|    |type|len 6|status|Pref-len:6|rsv:2|
 *   |         IPv4 address          |    |           IPv4 address           |
 *
 *   NAT Detection (31)                   IPv4 Care-of Address (32)
 *   |type|len 6|F|      rsv:15      |    |type|len 6|        rsv:16         |
 *   |         refresh time          |    |           IPv4 address           |
 */
import { bits, type Field, inline, ipv4Address, reserved, run, struct, u8, u32 } from "../../codec.js";
import type { Soliman2004Profile } from "../profile.js";
import { OptionType } from "../registry.js";
import { type OptionCodec, option } from "./codec.js";

/** Refresh time of a NAT Detection option that says: no NAT was seen, no keepalives are needed (RFC 5555 §3.2.2). */
export const NO_REFRESH_NEEDED = 0xffffffff;

export const DSMIP_OPTIONS = [
  option("ipv4-home-address", OptionType.ipv4HomeAddress, [4, 0], {
    word: inline(
      bits(2, {
        /** Wanted prefix length in bits; 32 for a single address. */
        prefixLength: run(0xfc00),
        /** P: a mobile network prefix is asked for. */
        mobileNetworkPrefix: 0x0200,
      }),
    ),
    /** 0.0.0.0 asks for a dynamic address. */
    address: ipv4Address,
  }),
  option("ipv4-address-acknowledgement", OptionType.ipv4AddressAcknowledgement, [4, 0], {
    /** Ipv4AckStatus; below 128 is success. */
    status: u8,
    /** Granted prefix length in bits; meaningless on failure. */
    lengths: inline(bits(1, { prefixLength: run(0xfc) })),
    address: ipv4Address,
  }),
  option("nat-detection", OptionType.natDetection, [4, 0], {
    word: inline(
      bits(2, {
        /** F: use UDP encapsulation even if there is no NAT. */
        forceUdp: 0x8000,
      }),
    ),
    /** Suggested keepalive interval; 0 is to be ignored, NO_REFRESH_NEEDED says that there is no NAT. */
    refreshSeconds: u32,
  }),
  option("ipv4-care-of-address", OptionType.ipv4CareOfAddress, [4, 0], { reserved: reserved(2), address: ipv4Address }),
] as const;

/** A mode of draft-oulai-mext-dsmip-ro §6.2 (`RoMode`). */
export type RoModeValue = 0 | 1 | 2 | 3 | 4;

const roModeField: Field<RoModeValue> = {
  decode(reader, name): RoModeValue {
    const mode = reader.u8(name);
    if (mode > 4) throw reader.error(`mode ${mode} is not defined`, name, reader.offset - 1);
    return mode as RoModeValue;
  },
  encode: (writer, name, value) => void writer.u8(name, value),
};

/**
 * The IPv4 RO mode option. Sent with Length 1; any Length from 1 on is read by its first octet, because the draft's own Length of 3
 * counts octets that its figure does not have (C-42). An undefined mode counts as if the option were not there (RO §6.2).
 */
export const roModeOption = (type: number): OptionCodec<"ipv4-ro-mode", { readonly mode: RoModeValue }> => ({
  ...option("ipv4-ro-mode", type, [1, 0], { mode: roModeField }),
  lenientTail: true,
});

const homeAddress2004 = struct({ address: ipv4Address });
const acknowledgement2004 = struct({
  /** 0 or 128..132. */
  status: u8,
  reserved: reserved(1),
  address: ipv4Address,
});

/** The two options of draft-soliman-v4v6-mipv6-00 §3, sent with Length 4 and 6 (C-52). */
export const soliman2004Options = (types: Soliman2004Profile) =>
  [
    { kind: "ipv4-home-address-2004", type: types.homeAddressType, fields: homeAddress2004, alignment: () => [4, 2] },
    {
      kind: "ipv4-address-acknowledgement-2004",
      type: types.acknowledgementType,
      fields: acknowledgement2004,
      alignment: () => [4, 0],
    },
  ] as const satisfies readonly OptionCodec<string, unknown>[];

/** The draft's own Length of 1 stands for these totals, type and Length octets included (C-52). */
export const SOLIMAN_2004_TOTAL_OCTETS = { homeAddress: 6, acknowledgement: 8 } as const;
