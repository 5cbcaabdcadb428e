/**
 * The C structs that XFRM messages carry whole, and the parts that states and policies share. Offsets are those of 64-bit
 * machines: `xfrm_usersa_info` is four octets shorter on 32-bit x86, which is not supported. Addresses and ports are in network
 * byte order, everything else in the machine's. test/uapi/xfrm_layout.c measures the same numbers in the headers.
 */
import { DecodeError, EncodeError } from "../../base/errors.js";
import {
  familyOf,
  type IpAddress,
  type Ipv6Address,
  ipFromBytes,
  ipToBytes,
  ipv6FromBytes,
  type Prefix,
} from "../../base/ip.js";
import { LITTLE } from "../../netlink/attribute.js";
import type { XfrmMark, XfrmSelector } from "../../plan/objects/security.js";
import { AF_INET, AF_INET6, IPPROTO_ICMPV6, IPPROTO_MH } from "./constants.js";

/** Struct name → size and field offsets in octets. */
export const XFRM_STRUCTS = {
  xfrm_selector: {
    size: 56,
    daddr: 0,
    saddr: 16,
    dport: 32,
    dport_mask: 34,
    sport: 36,
    sport_mask: 38,
    family: 40,
    prefixlen_d: 42,
    prefixlen_s: 43,
    proto: 44,
    ifindex: 48,
    user: 52,
  },
  xfrm_id: { size: 24, daddr: 0, spi: 16, proto: 20 },
  xfrm_lifetime_cfg: { size: 64, soft_byte_limit: 0, soft_add_expires_seconds: 32 },
  xfrm_usersa_info: {
    size: 224,
    sel: 0,
    id: 56,
    saddr: 80,
    lft: 96,
    curlft: 160,
    stats: 192,
    seq: 204,
    reqid: 208,
    family: 212,
    mode: 214,
    replay_window: 215,
    flags: 216,
  },
  xfrm_usersa_id: { size: 24, daddr: 0, spi: 16, family: 20, proto: 22 },
  xfrm_userpolicy_info: {
    size: 168,
    sel: 0,
    lft: 56,
    curlft: 120,
    priority: 152,
    index: 156,
    dir: 160,
    action: 161,
    flags: 162,
    share: 163,
  },
  xfrm_userpolicy_id: { size: 64, sel: 0, index: 56, dir: 60 },
  xfrm_userpolicy_type: { size: 6, type: 0 },
  xfrm_user_tmpl: {
    size: 64,
    id: 0,
    family: 24,
    saddr: 28,
    reqid: 44,
    mode: 48,
    share: 49,
    optional: 50,
    aalgos: 52,
    ealgos: 56,
    calgos: 60,
  },
  xfrm_algo: { size: 68, alg_name: 0, alg_key_len: 64, alg_key: 68 },
  xfrm_algo_auth: { size: 72, alg_name: 0, alg_key_len: 64, alg_trunc_len: 68, alg_key: 72 },
  xfrm_algo_aead: { size: 72, alg_name: 0, alg_key_len: 64, alg_icv_len: 68, alg_key: 72 },
  xfrm_replay_state_esn: { size: 24, bmp_len: 0, oseq: 4, seq: 8, oseq_hi: 12, seq_hi: 16, replay_window: 20, bmp: 24 },
  xfrm_mark: { size: 8, v: 0, m: 4 },
  xfrm_encap_tmpl: { size: 24, encap_type: 0, encap_sport: 2, encap_dport: 4, encap_oa: 8 },
  xfrm_replay_state: { size: 12, oseq: 0, seq: 4, bitmap: 8 },
  xfrm_lifetime_cur: { size: 32, bytes: 0, packets: 8, add_time: 16, use_time: 24 },
  xfrm_stats: { size: 12, replay_window: 0, replay: 4, integrity_failed: 8 },
  xfrm_user_acquire: {
    size: 280,
    id: 0,
    saddr: 24,
    sel: 40,
    policy: 96,
    aalgos: 264,
    ealgos: 268,
    calgos: 272,
    seq: 276,
  },
  xfrm_user_expire: { size: 232, state: 0, hard: 224 },
  xfrm_user_mapping: {
    size: 64,
    id: 0,
    reqid: 24,
    old_saddr: 28,
    new_saddr: 44,
    old_sport: 60,
    new_sport: 62,
  },
  xfrm_user_migrate: {
    size: 76,
    old_daddr: 0,
    old_saddr: 16,
    new_daddr: 32,
    new_saddr: 48,
    proto: 64,
    mode: 65,
    reserved: 66,
    reqid: 68,
    old_family: 72,
    new_family: 74,
  },
  xfrm_user_report: { size: 60, proto: 0, sel: 4 },
  xfrm_user_kmaddress: { size: 40, local: 0, remote: 16, reserved: 32, family: 36 },
} as const;

const SELECTOR = XFRM_STRUCTS.xfrm_selector;
const MARK = XFRM_STRUCTS.xfrm_mark;
const LIFETIME_LIMITS = 32;
/** The bit that tells ICMPv6's informational types from its errors; types stand in the source port field. */
const ICMPV6_INFORMATIONAL = 0x80;

/** A window on one struct: fields by offset, strict about size and range. */
export class StructView {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The struct at `offset` of received octets; DecodeError if they end before it does. */
  static over(bytes: Uint8Array, name: keyof typeof XFRM_STRUCTS, offset = 0): StructView {
    const { size } = XFRM_STRUCTS[name];
    if (bytes.length < offset + size) {
      throw new DecodeError(`${bytes.length - offset} octets, ${size} wanted`, { offset, field: name });
    }
    return new StructView(bytes.subarray(offset, offset + size));
  }

  /** A part of this struct; changes show in both. */
  part(offset: number, length: number): StructView {
    return new StructView(this.bytes.subarray(offset, offset + length));
  }

  u8(offset: number): number {
    return this.#view.getUint8(offset);
  }

  u16(offset: number): number {
    return this.#view.getUint16(offset, LITTLE);
  }

  u16be(offset: number): number {
    return this.#view.getUint16(offset);
  }

  u32(offset: number): number {
    return this.#view.getUint32(offset, LITTLE);
  }

  u32be(offset: number): number {
    return this.#view.getUint32(offset);
  }

  putU8(offset: number, value: number): void {
    this.#view.setUint8(offset, checked(value, 0xff));
  }

  putU16(offset: number, value: number): void {
    this.#view.setUint16(offset, checked(value, 0xffff), LITTLE);
  }

  putU16be(offset: number, value: number): void {
    this.#view.setUint16(offset, checked(value, 0xffff));
  }

  putU32(offset: number, value: number): void {
    this.#view.setUint32(offset, checked(value, 0xffffffff), LITTLE);
  }

  putU32be(offset: number, value: number): void {
    this.#view.setUint32(offset, checked(value, 0xffffffff));
  }

  u64(offset: number): bigint {
    return this.#view.getBigUint64(offset, LITTLE);
  }

  putAddress(offset: number, address: IpAddress): void {
    this.bytes.set(ipToBytes(address), offset);
  }

  ipv6(offset: number): Ipv6Address {
    return ipv6FromBytes(this.bytes.subarray(offset, offset + 16));
  }

  /** 4 octets of a 16-octet field for IPv4. */
  address(offset: number, family: number): IpAddress {
    return ipFromBytes(this.bytes.subarray(offset, offset + (family === AF_INET ? 4 : 16)));
  }
}

function checked(value: number, max: number): number {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new EncodeError("xfrm", `${value} is not an integer in 0..${max}`);
  }
  return value;
}

/** struct xfrm_mark. */
export function encodeMark(mark: XfrmMark): Uint8Array {
  const view = new StructView(new Uint8Array(MARK.size));
  view.putU32(MARK.v, mark.value);
  view.putU32(MARK.m, mark.mask);
  return view.bytes;
}

export function decodeMark(payload: Uint8Array): XfrmMark {
  const view = StructView.over(payload, "xfrm_mark");
  return { value: view.u32(MARK.v), mask: view.u32(MARK.m) };
}

/** No limits: the four octet and packet limits are XFRM_INF, the four times 0. */
export function putUnlimitedLifetime(lifetime: StructView): void {
  lifetime.bytes.fill(0xff, 0, LIFETIME_LIMITS);
}

/** Both prefixes must be of one family; a Mobility Header or ICMPv6 type stands in the source port with a full mask (RFC 4877 §4.3). */
export function putSelector(view: StructView, selector: XfrmSelector): void {
  const { source, destination, protocol, mobilityHeaderType, icmpv6Errors, icmpv6Type } = selector;
  const family = familyOf(source.address);
  if (family !== familyOf(destination.address))
    throw new EncodeError("selector", "two address families in one selector");
  view.putAddress(SELECTOR.daddr, destination.address);
  view.putAddress(SELECTOR.saddr, source.address);
  view.putU16(SELECTOR.family, family === 4 ? AF_INET : AF_INET6);
  view.putU8(SELECTOR.prefixlen_d, prefixLength(destination));
  view.putU8(SELECTOR.prefixlen_s, prefixLength(source));
  view.putU8(SELECTOR.proto, protocol);
  if (icmpv6Errors === true) {
    if (protocol !== IPPROTO_ICMPV6) throw new EncodeError("selector", `ICMPv6 errors with protocol ${protocol}`);
    view.putU16be(SELECTOR.sport_mask, ICMPV6_INFORMATIONAL);
  }
  putType(view, mobilityHeaderType, { name: "Mobility Header", carrier: IPPROTO_MH, protocol });
  putType(view, icmpv6Type, { name: "ICMPv6", carrier: IPPROTO_ICMPV6, protocol });
}

function putType(
  view: StructView,
  type: number | undefined,
  { name, carrier, protocol }: { readonly name: string; readonly carrier: number; readonly protocol: number },
): void {
  if (type === undefined) return;
  if (protocol !== carrier) throw new EncodeError("selector", `${name} type with protocol ${protocol}`);
  if (type > 0xff) throw new EncodeError("selector", `${name} type ${type}`);
  view.putU16be(SELECTOR.sport, type);
  view.putU16be(SELECTOR.sport_mask, 0xffff);
}

/** undefined for selectors with ports, an interface or a user, which are never ours. */
export function getSelector(view: StructView): XfrmSelector | undefined {
  const family = view.u16(SELECTOR.family);
  const protocol = view.u8(SELECTOR.proto);
  const sourceMask = view.u16be(SELECTOR.sport_mask);
  const hasType = (protocol === IPPROTO_MH || protocol === IPPROTO_ICMPV6) && sourceMask === 0xffff;
  const errors = protocol === IPPROTO_ICMPV6 && sourceMask === ICMPV6_INFORMATIONAL && view.u16be(SELECTOR.sport) === 0;
  if ((!hasType && !errors && sourceMask !== 0) || view.u16be(SELECTOR.dport_mask) !== 0) return undefined;
  if (view.u32(SELECTOR.ifindex) !== 0 || view.u32(SELECTOR.user) !== 0) return undefined;
  return {
    source: { address: view.address(SELECTOR.saddr, family), length: view.u8(SELECTOR.prefixlen_s) },
    destination: { address: view.address(SELECTOR.daddr, family), length: view.u8(SELECTOR.prefixlen_d) },
    protocol,
    ...(hasType ? { [protocol === IPPROTO_MH ? "mobilityHeaderType" : "icmpv6Type"]: view.u16be(SELECTOR.sport) } : {}),
    ...(errors ? { icmpv6Errors: true } : {}),
  };
}

/** Whether the selector matches every packet, which for a state is the same as having none. */
export function isAnySelector(selector: XfrmSelector): boolean {
  return selector.source.length === 0 && selector.destination.length === 0 && selector.protocol === 0;
}

function prefixLength(prefix: Prefix): number {
  const max = familyOf(prefix.address) === 4 ? 32 : 128;
  if (!Number.isInteger(prefix.length) || prefix.length < 0 || prefix.length > max) {
    throw new EncodeError("selector", `prefix length ${prefix.length}, at most ${max}`);
  }
  return prefix.length;
}
