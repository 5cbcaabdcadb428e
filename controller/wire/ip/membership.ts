/**
 * Who listens to which multicast groups: MLD (RFC 2710, RFC 3810 §5) and IGMP (RFC 2236, RFC 3376 §4), which say the same in the same
 * order, the one in ICMPv6 with IPv6 addresses, the other by itself with IPv4 ones.
 *
 *      query          type | code | checksum | response code | group | [ S, robustness | interval code | n | n sources ]
 *      report, done   type | code | checksum |      0        | group |
 *      report, v2/v3  type |  0   | checksum |  0  | n | n × ( type | auxiliary words | n | group | n sources | auxiliary )
 *
 * In IGMP the code of a query is its response code, and the field behind the checksum is not there. What follows a message is left out
 * (RFC 3810 §5.1.11, RFC 3376 §4.2.11). IGMP's checksum is verified and made here, MLD's as for every ICMPv6 message.
 */
import { ByteReader, ByteWriter } from "../../base/bytes.js";
import { DecodeError, EncodeError } from "../../base/errors.js";
import { type Ipv4Address, type Ipv6Address, ipFromBytes, ipToBytes } from "../../base/ip.js";
import type { Result } from "../../base/result.js";
import { decoding } from "../codec.js";
import { checksum } from "./checksum.js";

/** By names that both protocols have: RFC 3810 §5.2.12, RFC 3376 §4.2.12. */
export const RecordType = {
  modeIsInclude: 1,
  modeIsExclude: 2,
  changeToInclude: 3,
  changeToExclude: 4,
  allowNewSources: 5,
  blockOldSources: 6,
} as const;

export interface MembershipRecord<A> {
  /** One of RecordType; others are to be ignored. */
  readonly recordType: number;
  readonly group: A;
  readonly sources: readonly A[];
}

export type MembershipMessage<A> =
  | {
      readonly type: "query";
      /** The unspecified address: of all groups. */
      readonly group: A;
      /** Milliseconds (MLD) or tenths of a second (IGMP); large ones are floating point (RFC 3810 §5.1.3, RFC 3376 §4.1.1). */
      readonly responseCode: number;
      /** Absent: MLDv1, IGMPv2. */
      readonly extended?: {
        readonly suppress: boolean;
        readonly robustness: number;
        /** Seconds between queries; from 128 on floating point. */
        readonly intervalCode: number;
        readonly sources: readonly A[];
      };
    }
  /** Listens to the group: MLDv1, or IGMP of the version. */
  | { readonly type: "report"; readonly version: 1 | 2; readonly group: A }
  /** Does not listen any more. */
  | { readonly type: "done"; readonly group: A }
  /** MLDv2, IGMPv3. */
  | { readonly type: "records"; readonly records: readonly MembershipRecord<A>[] };

export type MldMessage = MembershipMessage<Ipv6Address>;
export type IgmpMessage = MembershipMessage<Ipv4Address>;

export const MLD_TYPE = { query: 130, report: 131, done: 132, records: 143 } as const;
export const IGMP_TYPE = { query: 0x11, report1: 0x12, report2: 0x16, done: 0x17, records: 0x22 } as const;

interface Protocol {
  readonly addressOctets: 4 | 16;
  readonly types: ReadonlyMap<number, Kind>;
}
type Kind = "query" | "report1" | "report2" | "done" | "records";

const MLD: Protocol = {
  addressOctets: 16,
  types: new Map<number, Kind>([
    [MLD_TYPE.query, "query"],
    [MLD_TYPE.report, "report1"],
    [MLD_TYPE.done, "done"],
    [MLD_TYPE.records, "records"],
  ]),
};
const IGMP: Protocol = {
  addressOctets: 4,
  types: new Map<number, Kind>([
    [IGMP_TYPE.query, "query"],
    [IGMP_TYPE.report1, "report1"],
    [IGMP_TYPE.report2, "report2"],
    [IGMP_TYPE.done, "done"],
    [IGMP_TYPE.records, "records"],
  ]),
};

const CHECKSUM_AT = 2;
const SUPPRESS = 0x08;
const ROBUSTNESS = 0x07;

/** The checksum is not looked at (`verifyIcmpv6Checksum`). */
export const decodeMld = (bytes: Uint8Array): Result<MldMessage, DecodeError> =>
  decoding(() => decode<Ipv6Address>(bytes, MLD));

/** Its checksum field is zero. Throws EncodeError for a value that does not fit its field. */
export const encodeMld = (message: MldMessage): Uint8Array => encode(message, MLD);

export function decodeIgmp(bytes: Uint8Array): Result<IgmpMessage, DecodeError> {
  return decoding(() => {
    const message = decode<Ipv4Address>(bytes, IGMP);
    if (checksum(bytes) !== 0)
      throw new DecodeError("wrong checksum", { offset: CHECKSUM_AT, field: "checksum", reason: "checksum" });
    return message;
  });
}

/** With its checksum. Throws EncodeError for a value that does not fit its field. */
export function encodeIgmp(message: IgmpMessage): Uint8Array {
  const bytes = encode(message, IGMP);
  const sum = checksum(bytes);
  bytes.set([sum >> 8, sum & 0xff], CHECKSUM_AT);
  return bytes;
}

function decode<A>(bytes: Uint8Array, { addressOctets, types }: Protocol): MembershipMessage<A> {
  const reader = new ByteReader(bytes);
  const address = (name: string): A => ipFromBytes(reader.bytes(addressOctets, name)) as A;
  const type = reader.u8("type");
  const kind = types.get(type);
  if (kind === undefined) throw reader.error(`type ${type} is no membership message`, "type", 0);
  const code = reader.u8("code");
  reader.bytes(2, "checksum");
  if (kind === "records") {
    reader.bytes(2, "reserved");
    const count = reader.u16("recordCount");
    const records = Array.from({ length: Math.min(count, bytes.length) }, () => decodeRecord(reader, address));
    if (records.length < count) throw reader.error(`${count} records wanted`, "recordCount");
    return { type: "records", records };
  }
  const wide = addressOctets === 16;
  const responseCode = wide ? reader.u16("responseCode") : code;
  if (wide) reader.bytes(2, "reserved");
  const group = address("group");
  if (kind === "done") return { type: "done", group };
  if (kind !== "query") return { type: "report", version: kind === "report1" ? 1 : 2, group };
  if (reader.remaining === 0) return { type: "query", group, responseCode };
  const flags = reader.u8("flags");
  const intervalCode = reader.u8("intervalCode");
  const sources = decodeSources(reader.u16("sourceCount"), address);
  const robustness = flags & ROBUSTNESS;
  const extended = { suppress: (flags & SUPPRESS) !== 0, robustness, intervalCode, sources };
  return { type: "query", group, responseCode, extended };
}

function decodeRecord<A>(reader: ByteReader, address: (name: string) => A): MembershipRecord<A> {
  const recordType = reader.u8("recordType");
  const auxiliaryWords = reader.u8("auxiliaryWords");
  const count = reader.u16("sourceCount");
  const group = address("group");
  const sources = decodeSources(count, address);
  reader.bytes(4 * auxiliaryWords, "auxiliary");
  return { recordType, group, sources };
}

/** One by one, so that a count beyond the octets ends at the first that is not there. */
function decodeSources<A>(count: number, address: (name: string) => A): readonly A[] {
  const sources: A[] = [];
  for (let i = 0; i < count; i++) sources.push(address("source"));
  return sources;
}

function encode(
  message: MembershipMessage<Ipv4Address> | MembershipMessage<Ipv6Address>,
  protocol: Protocol,
): Uint8Array {
  const writer = new ByteWriter(64);
  const kind = message.type === "report" ? (`report${message.version}` as const) : message.type;
  const type = [...protocol.types].find(([, one]) => one === kind)?.[0];
  if (type === undefined) throw new EncodeError("type", `no ${kind} in this protocol`);
  const wide = protocol.addressOctets === 16;
  const responseCode = message.type === "query" ? message.responseCode : 0;
  writer
    .u8("type", type)
    .u8("responseCode", wide ? 0 : responseCode)
    .zeros(2);
  if (message.type === "records") {
    writer.zeros(2).u16("recordCount", message.records.length);
    for (const { recordType, group, sources } of message.records) {
      writer.u8("recordType", recordType).u8("auxiliaryWords", 0).u16("sourceCount", sources.length);
      for (const address of [group, ...sources]) writer.bytes(ipToBytes(address));
    }
    return writer.finish();
  }
  if (wide) writer.u16("responseCode", responseCode).zeros(2);
  writer.bytes(ipToBytes(message.group));
  if (message.type !== "query" || message.extended === undefined) return writer.finish();
  const { suppress, robustness, intervalCode, sources } = message.extended;
  writer.u8("flags", (suppress ? SUPPRESS : 0) | (robustness & ROBUSTNESS)).u8("intervalCode", intervalCode);
  writer.u16("sourceCount", sources.length);
  for (const address of sources) writer.bytes(ipToBytes(address));
  return writer.finish();
}
