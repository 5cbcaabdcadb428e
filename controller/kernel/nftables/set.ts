/**
 * Sets and maps: definition ⇄ attributes, and keys and values ⇄ octets. A key of one field stands as it is; of several, each field
 * is padded to 4 octets (a register). Everything is in network byte order but "mark", which is a 32-bit number of the machine.
 *
 * NFTA_SET_KEY_TYPE means nothing to the kernel; it tells `nft list` how to print keys: nft's number of the datatype, for a
 * concatenation six bits each, the first field highest. "integer" has no fixed length, so nft needs the expression the key is taken
 * from (`typeof`) in the set's userdata (without it nft 1.0.6 prints the integer fields of concatenations as 0); for such sets we write
 * an expression of the right length, and the length in an item of our own.
 */
import { fromHex } from "../../base/bytes.js";
import { EncodeError } from "../../base/errors.js";
import {
  type IpAddress,
  type Ipv4Address,
  type Ipv6Address,
  ipToBytes,
  ipv4FromBytes,
  ipv6FromBytes,
} from "../../base/ip.js";
import { type EtherAddress, etherAddress, formatLinkAddress, linkAddressOctets } from "../../base/link-address.js";
import { type AttributeMap, AttributeWriter, LITTLE } from "../../netlink/attribute.js";
import { NLM_F_CREATE } from "../../netlink/constants.js";
import type { NftFieldType, NftSet } from "../../plan/objects/firewall.js";
import { isConstantSet } from "../../plan/objects/nft-canonical.js";
import type { NetlinkRequest } from "../codec.js";
import * as nft from "./constants.js";
import { decodeUserdata, encodeUserdata, nftRequest, type Userdata } from "./message.js";

export type NftFieldValue = Ipv4Address | Ipv6Address | EtherAddress | number;

/** nft's datatype number; octets (integer: as the set says). */
const FIELDS: { readonly [T in NftFieldType]: { readonly datatype: number; readonly length?: number } } = {
  integer: { datatype: 4 },
  ipv4_addr: { datatype: 7, length: 4 },
  ipv6_addr: { datatype: 8, length: 16 },
  ether_addr: { datatype: 9, length: 6 },
  inet_service: { datatype: 13, length: 2 },
  mark: { datatype: 19, length: 4 },
};
/** Rules make its elements, and each has an end. */
const DYNAMIC = nft.NFT_SET_EVAL | nft.NFT_SET_TIMEOUT;
const DATATYPE_BITS = 6;
const MAX_FIELDS = 5;
const NUMBER_MAX_LENGTH = 6;

/** Items of a set's userdata: nft's (NFTNL_UDATA_SET_*), then ours, which nft skips. */
const KEY_BYTEORDER = 0;
const DATA_BYTEORDER = 1;
const KEY_TYPEOF = 3;
const DATA_TYPEOF = 4;
const INTEGER_LENGTH = 0xd5;
const BYTEORDER_HOST = 1;
const BYTEORDER_BIG = 2;

export function fieldLength(type: NftFieldType, set: Pick<NftSet, "name" | "integerLength">): number {
  const length = FIELDS[type].length ?? set.integerLength;
  if (length === undefined) throw new EncodeError(`set ${set.name}`, "an integer field without integerLength");
  return length;
}

const padded = (length: number): number => (length + 3) & ~3;

export function keyLength(set: NftSet): number {
  const lengths = set.key.map((type) => fieldLength(type, set));
  return set.key.length === 1 ? (lengths[0] ?? 0) : lengths.reduce((sum, length) => sum + padded(length), 0);
}

export function encodeKey(set: NftSet, key: readonly NftFieldValue[]): Uint8Array {
  if (key.length !== set.key.length) {
    throw new EncodeError(`set ${set.name}`, `a key of ${key.length} fields, ${set.key.length} wanted`);
  }
  const bytes = new Uint8Array(keyLength(set));
  let at = 0;
  set.key.forEach((type, i) => {
    const length = fieldLength(type, set);
    putField(bytes.subarray(at, at + length), set, type, key[i] ?? 0);
    at += padded(length);
  });
  return bytes;
}

/** The fields of a key of this set; undefined if the length is not the set's. */
export function decodeKey(set: NftSet, bytes: Uint8Array): NftFieldValue[] | undefined {
  if (bytes.length !== keyLength(set)) return undefined;
  let at = 0;
  return set.key.map((type) => {
    const length = fieldLength(type, set);
    const field = bytes.subarray(at, at + length);
    at += padded(length);
    return getField(field, type);
  });
}

export function encodeValue(set: NftSet, value: NftFieldValue): Uint8Array {
  if (set.value === undefined) throw new EncodeError(`set ${set.name}`, "a value for a set that is no map");
  const bytes = new Uint8Array(fieldLength(set.value, set));
  putField(bytes, set, set.value, value);
  return bytes;
}

export function decodeValue(set: NftSet, bytes: Uint8Array): NftFieldValue | undefined {
  if (set.value === undefined || bytes.length !== fieldLength(set.value, set)) return undefined;
  return getField(bytes, set.value);
}

/** The request that makes the set, without its elements. `id` tells the sets of one transaction apart. */
export function setRequest(table: string, set: NftSet, id: number): NetlinkRequest {
  return nftRequest(nft.NFT_MSG_NEWSET, NLM_F_CREATE, (body) => {
    const constant = isConstantSet(set) ? nft.NFT_SET_CONSTANT : 0;
    body.string(nft.NFTA_SET_TABLE, table).string(nft.NFTA_SET_NAME, set.name);
    const dynamic = set.dynamicTimeoutMs === undefined ? 0 : DYNAMIC;
    body.u32be(nft.NFTA_SET_FLAGS, constant | dynamic | (set.value === undefined ? 0 : nft.NFT_SET_MAP));
    body.u32be(nft.NFTA_SET_KEY_TYPE, keyType(set)).u32be(nft.NFTA_SET_KEY_LEN, keyLength(set));
    if (set.value !== undefined) {
      body
        .u32be(nft.NFTA_SET_DATA_TYPE, FIELDS[set.value].datatype)
        .u32be(nft.NFTA_SET_DATA_LEN, fieldLength(set.value, set));
    }
    const size = isConstantSet(set) ? (set.elements?.length ?? 0) : set.size;
    if (set.dynamicTimeoutMs !== undefined) body.u64be(nft.NFTA_SET_TIMEOUT, BigInt(set.dynamicTimeoutMs));
    if (size !== undefined && size > 0)
      body.nested(nft.NFTA_SET_DESC, (desc) => desc.u32be(nft.NFTA_SET_DESC_SIZE, size));
    body.u32be(nft.NFTA_SET_ID, id).bytes(nft.NFTA_SET_USERDATA, encodeUserdata(setUserdata(set)));
  });
}

/** The definition in an NFT_MSG_NEWSET; undefined if the plan has no words for it. Elements are not in this message. */
export function decodeSet(attributes: AttributeMap): NftSet | undefined {
  const name = attributes.get(nft.NFTA_SET_NAME)?.string();
  const key = keyFields(attributes.get(nft.NFTA_SET_KEY_TYPE)?.u32be() ?? 0);
  const flags = attributes.get(nft.NFTA_SET_FLAGS)?.u32be() ?? 0;
  if (name === undefined || key === undefined || (flags & ~(nft.NFT_SET_CONSTANT | nft.NFT_SET_MAP | DYNAMIC)) !== 0)
    return undefined;
  const isDynamic = (flags & DYNAMIC) === DYNAMIC;
  if (!isDynamic && (flags & DYNAMIC) !== 0) return undefined;
  const value =
    (flags & nft.NFT_SET_MAP) === 0 ? undefined : fieldOf(attributes.get(nft.NFTA_SET_DATA_TYPE)?.u32be() ?? 0);
  if ((flags & nft.NFT_SET_MAP) !== 0 && value === undefined) return undefined;
  const constant = (flags & nft.NFT_SET_CONSTANT) !== 0;
  const size = attributes.get(nft.NFTA_SET_DESC)?.nested().get(nft.NFTA_SET_DESC_SIZE)?.u32be();
  const userdata = decodeUserdata(attributes.get(nft.NFTA_SET_USERDATA)?.payload);
  const integerLength = userdata.find(({ type }) => type === INTEGER_LENGTH)?.value[0];
  const set: NftSet = {
    name,
    key,
    ...(value === undefined ? {} : { value }),
    ...(integerLength === undefined ? {} : { integerLength }),
    ...(constant ? { constant } : {}),
    ...(constant || size === undefined || size === 0 ? {} : { size }),
    ...(isDynamic ? { dynamicTimeoutMs: Number(attributes.get(nft.NFTA_SET_TIMEOUT)?.u64be() ?? 0n) } : {}),
  };
  const hasInteger = [...key, value].includes("integer");
  return hasInteger === (integerLength !== undefined) &&
    attributes.get(nft.NFTA_SET_KEY_LEN)?.u32be() === keyLength(set)
    ? set
    : undefined;
}

function keyType(set: NftSet): number {
  if (set.key.length === 0 || set.key.length > MAX_FIELDS) {
    throw new EncodeError(`set ${set.name}`, `${set.key.length} key fields, 1 to ${MAX_FIELDS} wanted`);
  }
  return set.key.reduce((type, field) => (type << DATATYPE_BITS) | FIELDS[field].datatype, 0);
}

function keyFields(type: number): NftFieldType[] | undefined {
  const fields: NftFieldType[] = [];
  for (let rest = type; rest > 0; rest >>>= DATATYPE_BITS) {
    const field = fieldOf(rest & ((1 << DATATYPE_BITS) - 1));
    if (field === undefined) return undefined;
    fields.unshift(field);
  }
  return fields.length === 0 ? undefined : fields;
}

function fieldOf(datatype: number): NftFieldType | undefined {
  return (Object.keys(FIELDS) as NftFieldType[]).find((type) => FIELDS[type].datatype === datatype);
}

function putField(to: Uint8Array, set: NftSet, type: NftFieldType, value: NftFieldValue): void {
  if (typeof value === "string") {
    const octets = type === "ether_addr" ? linkAddressOctets(value) : ipToBytes(value as IpAddress);
    const isAddress =
      type === "ether_addr" ||
      type === "ipv4_addr" ||
      type === "ipv6_addr" ||
      (type === "integer" && to.length > NUMBER_MAX_LENGTH);
    if (!isAddress || octets.length !== to.length)
      throw new EncodeError(`set ${set.name}`, `${value} in a field of type ${type}`);
    to.set(octets);
    return;
  }
  const fits = Number.isInteger(value) && value >= 0 && to.length <= NUMBER_MAX_LENGTH && value < 2 ** (8 * to.length);
  if (!fits || type === "ipv4_addr" || type === "ether_addr")
    throw new EncodeError(`set ${set.name}`, `${value} in a field of type ${type}`);
  for (let i = 0, rest = value; i < to.length; i++, rest = Math.floor(rest / 256)) {
    to[type === "mark" && LITTLE ? i : to.length - 1 - i] = rest % 256;
  }
}

/** Integers of more than 6 octets come as the IPv6 address with the same octets. */
function getField(from: Uint8Array, type: NftFieldType): NftFieldValue {
  if (type === "ipv4_addr") return ipv4FromBytes(from);
  if (type === "ether_addr") return etherAddress(formatLinkAddress(from) ?? "");
  if (type === "ipv6_addr" || from.length > NUMBER_MAX_LENGTH) return ipv6FromBytes(from);
  const order = type === "mark" && LITTLE ? [...from].reverse() : from;
  let value = 0;
  for (const octet of order) value = value * 256 + octet;
  return value;
}

/** What nft wants to know beyond the kernel's attributes; without integers that is the byte order only. */
function setUserdata(set: NftSet): Userdata[] {
  const items: Userdata[] = [{ type: KEY_BYTEORDER, value: u32(byteorder(set.key)) }];
  if (set.value !== undefined) items.push({ type: DATA_BYTEORDER, value: u32(byteorder([set.value])) });
  if (![...set.key, set.value].includes("integer")) return items;
  items.push({ type: KEY_TYPEOF, value: encodeUserdata(typeOf(set.key, set)) });
  if (set.value !== undefined) items.push({ type: DATA_TYPEOF, value: encodeUserdata(typeOf([set.value], set)) });
  items.push({ type: INTEGER_LENGTH, value: Uint8Array.of(set.integerLength ?? 0) });
  return items;
}

function byteorder(fields: readonly NftFieldType[]): number {
  if (fields.length > 1) return 0;
  return fields[0] === "mark" ? BYTEORDER_HOST : BYTEORDER_BIG;
}

/** nft's numbers of expressions and protocol header fields (include/expression.h, proto.h), as `typeof` stores them. */
const EXPRESSION_PAYLOAD = 7;
const EXPRESSION_CONCAT = 13;
const EXPRESSION_META = 9;
const HEADER_FIELD: { readonly [T in NftFieldType]?: { readonly header: number; readonly field: number } } = {
  ipv4_addr: { header: 12, field: 11 },
  ipv6_addr: { header: 13, field: 8 },
  inet_service: { header: 6, field: 2 },
};
const TRANSPORT_BASE = 3;

function typeOf(fields: readonly NftFieldType[], set: NftSet): Userdata[] {
  const [only] = fields;
  if (fields.length === 1 && only !== undefined) return typeOfField(only, set);
  const members = fields.map((field, i) => ({ type: i, value: encodeUserdata(typeOfField(field, set)) }));
  return [
    { type: 0, value: u32(EXPRESSION_CONCAT) },
    { type: 1, value: encodeUserdata(members) },
  ];
}

function typeOfField(field: NftFieldType, set: NftSet): Userdata[] {
  const header = HEADER_FIELD[field];
  const numbers =
    header === undefined ? [0, 0, TRANSPORT_BASE, 0, 8 * fieldLength(field, set)] : [header.header, header.field];
  const isMark = field === "mark";
  return [
    { type: 0, value: u32(isMark ? EXPRESSION_META : EXPRESSION_PAYLOAD) },
    {
      type: 1,
      value: encodeUserdata(
        (isMark ? [nft.NFT_META_MARK] : numbers).map((number, type) => ({ type, value: u32(number) })),
      ),
    },
  ];
}

function u32(value: number): Uint8Array {
  const writer = new AttributeWriter(8).u32(0, value);
  return writer.finish().subarray(4);
}

/** The elements of a constant set, as octets. */
export function constantElements(set: NftSet): { key: Uint8Array; value?: Uint8Array }[] {
  return (set.elements ?? []).map((element) => {
    const key = fromHex(element.key);
    const value = element.value === undefined ? undefined : fromHex(element.value);
    const valueLength = set.value === undefined ? undefined : fieldLength(set.value, set);
    if (key.length !== keyLength(set) || value?.length !== valueLength) {
      throw new EncodeError(`set ${set.name}`, `an element of ${key.length} and ${value?.length ?? 0} octets`);
    }
    return value === undefined ? { key } : { key, value };
  });
}
