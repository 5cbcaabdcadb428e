/**
 * DNS messages as far as a mobile node asks for its home agent (RFC 1035 §4, RFC 2782, RFC 3596, RFC 6891): one question, and the A, AAAA,
 * SRV and CNAME records of an answer with those of its additional section, which the resolvers at hand do not give.
 */
import { ByteReader, ByteWriter } from "../../base/bytes.js";
import type { DecodeError } from "../../base/errors.js";
import { type Ipv4Address, type Ipv6Address, ipv4FromBytes, ipv6FromBytes } from "../../base/ip.js";
import type { Result } from "../../base/result.js";
import { decoding } from "../codec.js";
import { readName, writeName } from "./name.js";

export const DNS_TYPE = { a: 1, cname: 5, aaaa: 28, srv: 33 } as const;
const OPT = 41;
const CLASS_INTERNET = 1;

/** What we take in one datagram: no larger than gets anywhere unfragmented. */
const UDP_PAYLOAD_OCTETS = 1232;
const FLAG = { response: 0x8000, truncated: 0x0200, recursionDesired: 0x0100 } as const;
const RCODE_MASK = 0xf;

export type DnsType = (typeof DNS_TYPE)[keyof typeof DNS_TYPE];

/** Lower case, without the dot at the end. */
export interface DnsQuestion {
  readonly name: string;
  readonly type: number;
}

export type DnsRecord = { readonly name: string; readonly ttlSeconds: number } & (
  | { readonly type: "a"; readonly address: Ipv4Address }
  | { readonly type: "aaaa"; readonly address: Ipv6Address }
  | { readonly type: "cname"; readonly target: string }
  | {
      readonly type: "srv";
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      /** "" is the root: there is no such service (RFC 2782). */
      readonly target: string;
    }
);

export interface DnsResponse {
  readonly id: number;
  /** Something is missing: to be asked for over TCP. */
  readonly truncated: boolean;
  /** 0: no error, 3: no such name. */
  readonly rcode: number;
  readonly question: DnsQuestion;
  readonly answers: readonly DnsRecord[];
  readonly additional: readonly DnsRecord[];
}

/** A question with recursion desired. Throws EncodeError for what is no name. */
export function encodeDnsQuery(id: number, { name, type }: DnsQuestion): Uint8Array {
  const writer = new ByteWriter(64).u16("id", id).u16("flags", FLAG.recursionDesired);
  writer.u16("questions", 1).u16("answers", 0).u16("authorities", 0).u16("additional", 1);
  writeName(writer, name);
  writer.u16("type", type).u16("class", CLASS_INTERNET);
  return writer.zeros(1).u16("OPT", OPT).u16("payload size", UDP_PAYLOAD_OCTETS).zeros(6).finish();
}

/** Records of other types and classes are left out. */
export function decodeDnsResponse(bytes: Uint8Array): Result<DnsResponse, DecodeError> {
  return decoding(() => {
    const reader = new ByteReader(bytes);
    const id = reader.u16("id");
    const flags = reader.u16("flags");
    if ((flags & FLAG.response) === 0) throw reader.error("a question, an answer is wanted", "flags", 2);
    const counts = ["questions", "answers", "authorities", "additional"].map((field) => reader.u16(field));
    const [questions = 0, answers = 0, authorities = 0, additional = 0] = counts;
    if (questions !== 1) throw reader.error(`${questions} questions`, "questions", 4);
    const name = readName(reader, bytes);
    const question = { name, type: reader.u16("type") };
    reader.u16("class");
    const truncated = (flags & FLAG.truncated) !== 0;
    const common = { id, truncated, rcode: flags & RCODE_MASK, question };
    // What is there of a truncated answer ends anywhere.
    if (truncated) return { ...common, answers: [], additional: [] };
    const read = (count: number): DnsRecord[] =>
      Array.from({ length: count }, () => readRecord(reader, bytes)).filter((record) => record !== undefined);
    const given = read(answers);
    read(authorities);
    return { ...common, answers: given, additional: read(additional) };
  });
}

function readRecord(reader: ByteReader, message: Uint8Array): DnsRecord | undefined {
  const name = readName(reader, message);
  const type = reader.u16("type");
  const recordClass = reader.u16("class");
  const ttlSeconds = reader.u32("TTL");
  const length = reader.u16("data length");
  const start = reader.offset;
  const data = reader.bytes(length, "data");
  const common = { name, ttlSeconds };
  if (recordClass !== CLASS_INTERNET) return undefined;
  switch (type) {
    case DNS_TYPE.a:
      if (length !== 4) throw reader.error(`${length} octets`, "A", start);
      return { ...common, type: "a", address: ipv4FromBytes(data) };
    case DNS_TYPE.aaaa:
      if (length !== 16) throw reader.error(`${length} octets`, "AAAA", start);
      return { ...common, type: "aaaa", address: ipv6FromBytes(data) };
    case DNS_TYPE.cname:
      return { ...common, type: "cname", target: readName(new ByteReader(data, start), message) };
    case DNS_TYPE.srv: {
      const fields = new ByteReader(data, start);
      const [priority, weight, port] = [fields.u16("priority"), fields.u16("weight"), fields.u16("port")];
      return { ...common, type: "srv", priority, weight, port, target: readName(fields, message) };
    }
    default:
      return undefined;
  }
}
