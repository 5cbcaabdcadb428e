/**
 * What all nftables messages share: the type with its subsystem, the nfgenmsg header, and nft's userdata, a list of
 * {type, length, value} with one octet each for the first two. All integers in attributes are in network byte order.
 *
 *      +---------------+---------------+-------------------------------+
 *      | family (inet) | version (0)   | resource id (0), big-endian   |
 *      +---------------+---------------+-------------------------------+
 *
 * Changes count only inside one transaction, which is one datagram: NFNL_MSG_BATCH_BEGIN, the requests, NFNL_MSG_BATCH_END
 * (the session adds both). One refused request undoes all of them.
 */
import { DecodeError, EncodeError } from "../base/errors.js";
import { type AttributeMap, AttributeWriter, readAttributes } from "../netlink/attribute.js";
import { NFNL_SUBSYS_NFTABLES, NLM_F_DUMP } from "../netlink/constants.js";
import type { NetlinkMessage, NetlinkRequest } from "./codec.js";
import { NFPROTO_INET } from "./nft-constants.js";

const NFGENMSG_LENGTH = 4;
/** NFT_USERDATA_MAXLEN: the kernel refuses more. */
export const USERDATA_MAX = 256;
const USERDATA_HEADER = 2;

/** `flags` as in NetlinkRequest; `capacity` is a hint of the body's length. */
export function nftRequest(
  message: number,
  flags: number,
  fill: (body: AttributeWriter) => void,
  capacity = 256,
): NetlinkRequest {
  const body = new AttributeWriter(capacity).raw(Uint8Array.of(NFPROTO_INET, 0, 0, 0));
  fill(body);
  return { family: "netfilter", type: (NFNL_SUBSYS_NFTABLES << 8) | message, flags, body: body.finish() };
}

/** A dump of the inet family, narrowed by the attributes that `fill` writes. */
export function nftDump(message: number, fill: (body: AttributeWriter) => void = () => undefined): NetlinkRequest {
  return nftRequest(message, NLM_F_DUMP, fill, 64);
}

/** The NFT_MSG_* of a message, undefined if it is of another subsystem or family. */
export function nftMessage({ type, body }: NetlinkMessage): number | undefined {
  return type >> 8 === NFNL_SUBSYS_NFTABLES && body[0] === NFPROTO_INET ? type & 0xff : undefined;
}

export function nftAttributes({ body }: NetlinkMessage): AttributeMap {
  if (body.length < NFGENMSG_LENGTH)
    throw new DecodeError(`${body.length} octets, 4 wanted`, { offset: 0, field: "nfgenmsg" });
  return readAttributes(body.subarray(NFGENMSG_LENGTH), NFGENMSG_LENGTH);
}

export interface Userdata {
  readonly type: number;
  readonly value: Uint8Array;
}

export function encodeUserdata(items: readonly Userdata[]): Uint8Array {
  const bytes = new Uint8Array(items.reduce((sum, item) => sum + USERDATA_HEADER + item.value.length, 0));
  if (bytes.length > USERDATA_MAX) throw new EncodeError("userdata", `${bytes.length} octets, at most ${USERDATA_MAX}`);
  let at = 0;
  for (const { type, value } of items) {
    if (value.length > 0xff) throw new EncodeError("userdata", `a value of ${value.length} octets, at most 255`);
    bytes.set([type, value.length], at);
    bytes.set(value, at + USERDATA_HEADER);
    at += USERDATA_HEADER + value.length;
  }
  return bytes;
}

/** The values by type; what does not parse is left out, because the kernel does not check userdata and anybody may have written it. */
export function decodeUserdata(bytes: Uint8Array | undefined): ReadonlyMap<number, Uint8Array> {
  const values = new Map<number, Uint8Array>();
  if (bytes === undefined) return values;
  for (let at = 0; at + USERDATA_HEADER <= bytes.length; ) {
    const end = at + USERDATA_HEADER + (bytes[at + 1] ?? 0);
    if (end > bytes.length) break;
    values.set(bytes[at] ?? 0, bytes.subarray(at + USERDATA_HEADER, end));
    at = end;
  }
  return values;
}

/** A text with its closing zero octet, as nft writes comments. */
export function textValue(text: string): Uint8Array {
  return Buffer.from(`${text}\0`, "utf8");
}

export function valueText(value: Uint8Array): string {
  const end = value.indexOf(0);
  return Buffer.from(end < 0 ? value : value.subarray(0, end)).toString("utf8");
}
