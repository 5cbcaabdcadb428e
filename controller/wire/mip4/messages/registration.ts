/**
 * The fixed parts of registration requests and replies (RFC 5944 §3.3, §3.4), from octet 1 on.
 *
 *   0 |  Type = 1 |S B D M G r T x|   Lifetime    |      0 |  Type = 3 |    Code   |   Lifetime    |
 *   4 |             Home Address                  |      4 |             Home Address              |
 *   8 |             Home Agent                    |      8 |             Home Agent                |
 *  12 |             Care-of Address               |     12 |           Identification …            |
 *  16 |             Identification …              |
 */
import { type BitsValue, bits, ipv4Address, type StructValue, struct, u8, u16, u32 } from "../../codec.js";
import { RequestFlag } from "../registry.js";

/** A lifetime without an end (RFC 5944 §3.3); 0 ends a registration. */
export const INFINITE_LIFETIME_SECONDS = 0xffff;

/**
 * The 64 bits against replays (RFC 5944 §5.7). With timestamps an NTP time: whole seconds since 1900 and 2^-32 of a second. With nonces
 * `high` is the home agent's and `low` the mobile node's.
 */
const identification = struct({ high: u32, low: u32 });
export type Identification = StructValue<{ high: typeof u32; low: typeof u32 }>;

export type RequestFlags = BitsValue<typeof RequestFlag>;

/** The given flags, all others clear. */
export function requestFlags(set: Partial<RequestFlags> = {}): RequestFlags {
  const clear = Object.fromEntries(Object.keys(RequestFlag).map((key) => [key, false]));
  return { ...(clear as { [K in keyof RequestFlags]: boolean }), ...set };
}

export const requestShape = {
  flags: bits(1, RequestFlag),
  lifetimeSeconds: u16,
  /** 0.0.0.0: the home agent is asked for one (RFC 2794 §2). */
  homeAddress: ipv4Address,
  homeAgent: ipv4Address,
  careOfAddress: ipv4Address,
  identification,
};

export const replyShape = {
  /** Of `ReplyCode`. */
  code: u8,
  lifetimeSeconds: u16,
  homeAddress: ipv4Address,
  homeAgent: ipv4Address,
  identification,
};
