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
import { DecodeError, EncodeError } from "../../base/errors.js";
import { type AttributeMap, AttributeWriter, readAttributes } from "../../netlink/attribute.js";
import { NFNL_SUBSYS_NFTABLES, NLM_F_DUMP } from "../../netlink/constants.js";
import type { NetlinkMessage, NetlinkRequest } from "../codec.js";
import { NFPROTO_INET } from "./constants.js";

const NFGENMSG_LENGTH = 4;
/** NFT_USERDATA_MAXLEN: the kernel refuses more. */
const USERDATA_MAX = 256;
const USERDATA_HEADER = 2;
const USERDATA_VALUE_MAX = 0xff;

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
  if (!fitsUserdata(items)) throw new EncodeError("userdata", `more than ${USERDATA_MAX} octets`);
  const bytes = new Uint8Array(items.reduce((sum, { value }) => sum + USERDATA_HEADER + value.length, 0));
  let at = 0;
  for (const { type, value } of items) {
    bytes.set([type, value.length], at);
    bytes.set(value, at + USERDATA_HEADER);
    at += USERDATA_HEADER + value.length;
  }
  return bytes;
}

export function fitsUserdata(items: readonly Userdata[]): boolean {
  return (
    items.every(({ value }) => value.length <= USERDATA_VALUE_MAX) &&
    items.reduce((sum, { value }) => sum + USERDATA_HEADER + value.length, 0) <= USERDATA_MAX
  );
}

/** The items in order; an item that does not fit ends the list, because the kernel does not check userdata and anybody may write it. */
export function decodeUserdata(bytes: Uint8Array | undefined): Userdata[] {
  const items: Userdata[] = [];
  if (bytes === undefined) return items;
  for (let at = 0; at + USERDATA_HEADER <= bytes.length; ) {
    const end = at + USERDATA_HEADER + (bytes[at + 1] ?? 0);
    if (end > bytes.length) break;
    items.push({ type: bytes[at] ?? 0, value: bytes.subarray(at + USERDATA_HEADER, end) });
    at = end;
  }
  return items;
}

/** An item of our own in a rule's userdata, repeated: what the rule's own counters are called, in their order. */
export const RULE_COUNTER = 0xd6;

export function ruleCounterNames(userdata: Uint8Array | undefined): string[] {
  return decodeUserdata(userdata)
    .filter(({ type }) => type === RULE_COUNTER)
    .map(({ value }) => valueText(value));
}

/** A text with its closing zero octet, as nft writes comments. */
export function textValue(text: string): Uint8Array {
  return Buffer.from(`${text}\0`, "utf8");
}

export function valueText(value: Uint8Array): string {
  const end = value.indexOf(0);
  return Buffer.from(end < 0 ? value : value.subarray(0, end)).toString("utf8");
}
