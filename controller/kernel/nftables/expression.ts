/**
 * The expressions of nftables rules ⇄ attributes, one entry of CODECS per expression type of the plan. Registers on the wire
 * and in dumps have two spellings (linux/netfilter/nf_tables.h): 1..4 are of 16 octets, 8..23 of 4, and 1 is the same place as 8.
 * The kernel prefers the first; `canonicalRegister` does the same.
 */
import { fromHex, toHex } from "../../base/bytes.js";
import { EncodeError } from "../../base/errors.js";
import type { Attribute, AttributeMap, AttributeWriter } from "../../netlink/attribute.js";
import type { Hex, NftExpression } from "../../plan/objects/firewall.js";
import { canonicalRegister } from "../../plan/objects/nft-canonical.js";
import * as nft from "./constants.js";
import { getKeptLimit, getLimit, LIMIT, putKeptLimit, putLimit } from "./limit.js";

type OfType<T extends NftExpression["type"]> = Extract<NftExpression, { readonly type: T }>;

interface ExpressionCodec<T extends NftExpression["type"]> {
  /** The kernel's name of the expression. */
  readonly name: string;
  /** Absent for an expression that has no attributes. */
  readonly encode?: (writer: AttributeWriter, expression: OfType<T>) => void;
  /** undefined if these attributes are not of this type but of another one with the same name. */
  readonly decode: (attributes: AttributeMap) => OfType<T> | undefined;
}

const META = {
  l4proto: nft.NFT_META_L4PROTO,
  nfproto: nft.NFT_META_NFPROTO,
  iifname: nft.NFT_META_IIFNAME,
  oifname: nft.NFT_META_OIFNAME,
  mark: nft.NFT_META_MARK,
  secpath: nft.NFT_META_SECPATH,
} as const;
const SETTABLE = { mark: nft.NFT_META_MARK, pkttype: nft.NFT_META_PKTTYPE } as const;
const BASE = {
  link: nft.NFT_PAYLOAD_LL_HEADER,
  network: nft.NFT_PAYLOAD_NETWORK_HEADER,
  transport: nft.NFT_PAYLOAD_TRANSPORT_HEADER,
} as const;
const CHECKSUM = { none: nft.NFT_PAYLOAD_CSUM_NONE, inet: nft.NFT_PAYLOAD_CSUM_INET } as const;
const COMPARE = {
  eq: nft.NFT_CMP_EQ,
  neq: nft.NFT_CMP_NEQ,
  lt: nft.NFT_CMP_LT,
  lte: nft.NFT_CMP_LTE,
  gt: nft.NFT_CMP_GT,
  gte: nft.NFT_CMP_GTE,
} as const;
const VERDICT = { accept: nft.NF_ACCEPT, drop: nft.NF_DROP, return: nft.NFT_RETURN, jump: nft.NFT_JUMP } as const;

const CODECS: { readonly [T in NftExpression["type"]]: ExpressionCodec<T> } = {
  meta: {
    name: "meta",
    encode: (w, e) => w.u32be(nft.NFTA_META_DREG, register(e.register)).u32be(nft.NFTA_META_KEY, META[e.key]),
    decode(a) {
      const key = nameOf(META, a.get(nft.NFTA_META_KEY)?.u32be());
      const to = a.get(nft.NFTA_META_DREG);
      return key === undefined || to === undefined ? undefined : { type: "meta", key, register: read(to) };
    },
  },
  "meta-set": {
    name: "meta",
    encode: (w, e) => w.u32be(nft.NFTA_META_KEY, SETTABLE[e.key]).u32be(nft.NFTA_META_SREG, register(e.register)),
    decode(a) {
      const from = a.get(nft.NFTA_META_SREG);
      const key = nameOf(SETTABLE, a.get(nft.NFTA_META_KEY)?.u32be());
      return from === undefined || key === undefined ? undefined : { type: "meta-set", key, register: read(from) };
    },
  },
  payload: {
    name: "payload",
    encode(w, e) {
      w.u32be(nft.NFTA_PAYLOAD_DREG, register(e.register));
      putRange(w, e);
    },
    decode(a) {
      const range = getRange(a);
      const to = a.get(nft.NFTA_PAYLOAD_DREG);
      return range === undefined || to === undefined ? undefined : { type: "payload", ...range, register: read(to) };
    },
  },
  "payload-set": {
    name: "payload",
    encode(w, e) {
      w.u32be(nft.NFTA_PAYLOAD_SREG, register(e.register));
      putRange(w, e);
      if (e.checksum === "none" && e.checksumOffset !== 0) {
        throw new EncodeError("payload-set", "details of a checksum that is not corrected");
      }
      // The IPv6 header has no checksum of its own, but is part of the transport's.
      if (e.checksum === "none" && !e.pseudoHeader) return;
      w.u32be(nft.NFTA_PAYLOAD_CSUM_TYPE, CHECKSUM[e.checksum]);
      w.u32be(nft.NFTA_PAYLOAD_CSUM_OFFSET, e.checksumOffset);
      if (e.pseudoHeader) w.u32be(nft.NFTA_PAYLOAD_CSUM_FLAGS, nft.NFT_PAYLOAD_L4CSUM_PSEUDOHDR);
    },
    decode(a) {
      const range = getRange(a);
      const from = a.get(nft.NFTA_PAYLOAD_SREG);
      const checksum = nameOf(CHECKSUM, a.get(nft.NFTA_PAYLOAD_CSUM_TYPE)?.u32be() ?? nft.NFT_PAYLOAD_CSUM_NONE);
      if (range === undefined || from === undefined || checksum === undefined) return undefined;
      return {
        type: "payload-set",
        ...range,
        register: read(from),
        checksum,
        checksumOffset: a.get(nft.NFTA_PAYLOAD_CSUM_OFFSET)?.u32be() ?? 0,
        pseudoHeader: ((a.get(nft.NFTA_PAYLOAD_CSUM_FLAGS)?.u32be() ?? 0) & nft.NFT_PAYLOAD_L4CSUM_PSEUDOHDR) !== 0,
      };
    },
  },
  compare: {
    name: "cmp",
    encode(w, e) {
      w.u32be(nft.NFTA_CMP_SREG, register(e.register)).u32be(nft.NFTA_CMP_OP, COMPARE[e.op]);
      putValue(w, nft.NFTA_CMP_DATA, e.value);
    },
    decode(a) {
      const op = nameOf(COMPARE, a.get(nft.NFTA_CMP_OP)?.u32be());
      const from = a.get(nft.NFTA_CMP_SREG);
      const value = getValue(a.get(nft.NFTA_CMP_DATA));
      if (op === undefined || from === undefined || value === undefined) return undefined;
      return { type: "compare", op, register: read(from), value };
    },
  },
  bitwise: {
    name: "bitwise",
    encode(w, e) {
      if (e.mask.length !== e.xor.length) throw new EncodeError("bitwise", "mask and xor differ in length");
      w.u32be(nft.NFTA_BITWISE_SREG, register(e.source)).u32be(nft.NFTA_BITWISE_DREG, register(e.destination));
      w.u32be(nft.NFTA_BITWISE_LEN, e.mask.length / 2).u32be(nft.NFTA_BITWISE_OP, nft.NFT_BITWISE_MASK_XOR);
      putValue(w, nft.NFTA_BITWISE_MASK, e.mask);
      putValue(w, nft.NFTA_BITWISE_XOR, e.xor);
    },
    decode(a) {
      if ((a.get(nft.NFTA_BITWISE_OP)?.u32be() ?? nft.NFT_BITWISE_MASK_XOR) !== nft.NFT_BITWISE_MASK_XOR)
        return undefined;
      const [source, destination] = [a.get(nft.NFTA_BITWISE_SREG), a.get(nft.NFTA_BITWISE_DREG)];
      const [mask, xor] = [getValue(a.get(nft.NFTA_BITWISE_MASK)), getValue(a.get(nft.NFTA_BITWISE_XOR))];
      if (source === undefined || destination === undefined || mask === undefined || xor === undefined)
        return undefined;
      return { type: "bitwise", source: read(source), destination: read(destination), mask, xor };
    },
  },
  lookup: {
    name: "lookup",
    encode(w, e) {
      w.string(nft.NFTA_LOOKUP_SET, e.set).u32be(nft.NFTA_LOOKUP_SREG, register(e.register));
      if (e.destination !== undefined) w.u32be(nft.NFTA_LOOKUP_DREG, register(e.destination));
      if (e.negate) w.u32be(nft.NFTA_LOOKUP_FLAGS, nft.NFT_LOOKUP_F_INV);
    },
    decode(a) {
      const [set, from, to] = [a.get(nft.NFTA_LOOKUP_SET), a.get(nft.NFTA_LOOKUP_SREG), a.get(nft.NFTA_LOOKUP_DREG)];
      if (set === undefined || from === undefined) return undefined;
      return {
        type: "lookup",
        set: set.string(),
        register: read(from),
        ...(to === undefined ? {} : { destination: read(to) }),
        negate: ((a.get(nft.NFTA_LOOKUP_FLAGS)?.u32be() ?? 0) & nft.NFT_LOOKUP_F_INV) !== 0,
      };
    },
  },
  immediate: {
    name: "immediate",
    encode(w, e) {
      w.u32be(nft.NFTA_IMMEDIATE_DREG, register(e.register));
      putValue(w, nft.NFTA_IMMEDIATE_DATA, e.value);
    },
    decode(a) {
      const to = a.get(nft.NFTA_IMMEDIATE_DREG);
      const value = getValue(a.get(nft.NFTA_IMMEDIATE_DATA));
      return to === undefined || value === undefined ? undefined : { type: "immediate", register: read(to), value };
    },
  },
  verdict: {
    name: "immediate",
    encode(w, e) {
      if ((e.verdict === "jump") !== (e.chain !== undefined))
        throw new EncodeError("verdict", "a chain goes with jump and only with it");
      w.u32be(nft.NFTA_IMMEDIATE_DREG, nft.NFT_REG_VERDICT);
      w.nested(nft.NFTA_IMMEDIATE_DATA, (data) =>
        data.nested(nft.NFTA_DATA_VERDICT, (verdict) => {
          verdict.u32be(nft.NFTA_VERDICT_CODE, VERDICT[e.verdict] >>> 0);
          if (e.chain !== undefined) verdict.string(nft.NFTA_VERDICT_CHAIN, e.chain);
        }),
      );
    },
    decode(a) {
      const data = a.get(nft.NFTA_IMMEDIATE_DATA)?.nested().get(nft.NFTA_DATA_VERDICT)?.nested();
      const code = data?.get(nft.NFTA_VERDICT_CODE)?.u32be();
      const verdict = nameOf(VERDICT, code === undefined ? undefined : code | 0);
      const chain = data?.get(nft.NFTA_VERDICT_CHAIN)?.string();
      return verdict === undefined
        ? undefined
        : { type: "verdict", verdict, ...(chain === undefined ? {} : { chain }) };
    },
  },
  count: {
    name: "objref",
    encode: (w, e) =>
      w.u32be(nft.NFTA_OBJREF_IMM_TYPE, nft.NFT_OBJECT_COUNTER).string(nft.NFTA_OBJREF_IMM_NAME, e.counter),
    decode(a) {
      const counter = a.get(nft.NFTA_OBJREF_IMM_NAME)?.string();
      if (counter === undefined || a.get(nft.NFTA_OBJREF_IMM_TYPE)?.u32be() !== nft.NFT_OBJECT_COUNTER)
        return undefined;
      return { type: "count", counter };
    },
  },
  limit: {
    name: LIMIT,
    encode: putLimit,
    decode(a) {
      const limit = getLimit(a);
      return limit && { type: "limit", ...limit };
    },
  },
  meter: {
    name: "dynset",
    encode(w, e) {
      w.string(nft.NFTA_DYNSET_SET_NAME, e.set).u32be(nft.NFTA_DYNSET_OP, nft.NFT_DYNSET_OP_UPDATE);
      w.u32be(nft.NFTA_DYNSET_SREG_KEY, register(e.register));
      putKeptLimit(w, e);
    },
    decode(a) {
      const [set, key, limit] = [a.get(nft.NFTA_DYNSET_SET_NAME), a.get(nft.NFTA_DYNSET_SREG_KEY), getKeptLimit(a)];
      if (set === undefined || key === undefined || limit === undefined) return undefined;
      if (a.get(nft.NFTA_DYNSET_OP)?.u32be() !== nft.NFT_DYNSET_OP_UPDATE) return undefined;
      return { type: "meter", set: set.string(), register: read(key), ...limit };
    },
  },
  remember: {
    name: "dynset",
    encode: (w, e) =>
      w
        .string(nft.NFTA_DYNSET_SET_NAME, e.set)
        .u32be(nft.NFTA_DYNSET_OP, nft.NFT_DYNSET_OP_UPDATE)
        .u32be(nft.NFTA_DYNSET_SREG_KEY, register(e.register)),
    decode(a) {
      const [set, key] = [a.get(nft.NFTA_DYNSET_SET_NAME), a.get(nft.NFTA_DYNSET_SREG_KEY)];
      const isPlain = a.get(nft.NFTA_DYNSET_OP)?.u32be() === nft.NFT_DYNSET_OP_UPDATE && !a.has(nft.NFTA_DYNSET_EXPR);
      if (set === undefined || key === undefined || !isPlain) return undefined;
      return { type: "remember", set: set.string(), register: read(key) };
    },
  },
  notrack: { name: "notrack", decode: () => ({ type: "notrack" }) },
};

/**
 * Writes one NFTA_LIST_ELEM each. Without `namedCounters` (kernels before 6.2 built without CONFIG_NFT_OBJREF cannot refer to a
 * named counter) "count" becomes a counter of the rule itself, and its name must be kept beside the expressions.
 */
export function encodeExpressions(
  list: AttributeWriter,
  expressions: readonly NftExpression[],
  namedCounters: boolean,
): void {
  for (const expression of expressions) {
    list.nested(nft.NFTA_LIST_ELEM, (element) => {
      if (expression.type === "count" && !namedCounters) putRuleCounter(element);
      else putExpression(element, expression);
    });
  }
}

/**
 * The expressions of a rule; undefined for each that the plan has no word for. `counterNames`: what the rule's own counters are
 * called, in their order.
 */
export function decodeExpressions(
  list: readonly Attribute[],
  counterNames: readonly string[],
): (NftExpression | undefined)[] {
  const names = counterNames.values();
  return list.map((item) => {
    const element = item.nested();
    const name = element.get(nft.NFTA_EXPR_NAME)?.string();
    const data = element.get(nft.NFTA_EXPR_DATA)?.nested() ?? new Map<number, Attribute>();
    if (name !== RULE_COUNTER) return getExpression(name, data);
    const counter: string | undefined = names.next().value;
    return counter === undefined ? undefined : { type: "count", counter };
  });
}

/** What the rule's own counters hold, in their order. */
export function decodeRuleCounters(list: readonly Attribute[]): CounterValue[] {
  return list
    .map((item) => item.nested())
    .filter((element) => element.get(nft.NFTA_EXPR_NAME)?.string() === RULE_COUNTER)
    .map((element) => decodeCounter(element.get(nft.NFTA_EXPR_DATA)?.nested()));
}

export interface CounterValue {
  readonly packets: bigint;
  readonly octets: bigint;
}

/** The attributes of a counter, named or not. */
export function decodeCounter(data: AttributeMap | undefined): CounterValue {
  return {
    packets: data?.get(nft.NFTA_COUNTER_PACKETS)?.u64be() ?? 0n,
    octets: data?.get(nft.NFTA_COUNTER_BYTES)?.u64be() ?? 0n,
  };
}

const RULE_COUNTER = "counter";

function putRuleCounter(element: AttributeWriter): void {
  element.string(nft.NFTA_EXPR_NAME, RULE_COUNTER);
  element.nested(nft.NFTA_EXPR_DATA, (data) =>
    data.u64be(nft.NFTA_COUNTER_BYTES, 0n).u64be(nft.NFTA_COUNTER_PACKETS, 0n),
  );
}

function putExpression(element: AttributeWriter, expression: NftExpression): void {
  const { name, encode } = CODECS[expression.type] as ExpressionCodec<NftExpression["type"]>;
  element.string(nft.NFTA_EXPR_NAME, name);
  if (encode !== undefined) element.nested(nft.NFTA_EXPR_DATA, (data) => encode(data, expression));
}

function getExpression(name: string | undefined, data: AttributeMap): NftExpression | undefined {
  for (const codec of Object.values(CODECS)) {
    const expression = codec.name === name ? codec.decode(data) : undefined;
    if (expression !== undefined) return expression;
  }
  return undefined;
}

function register(value: number): number {
  const whole = value >= nft.NFT_REG_1 && value <= nft.NFT_REG_4;
  const quarter = value >= nft.NFT_REG32_00 && value <= nft.NFT_REG32_15;
  if (!Number.isInteger(value) || !(whole || quarter))
    throw new EncodeError("register", `${value} is neither in 1..4 nor in 8..23`);
  return value;
}

function read(attribute: Attribute): number {
  return canonicalRegister(attribute.u32be());
}

function putRange(w: AttributeWriter, e: { base: keyof typeof BASE; offset: number; length: number }): void {
  w.u32be(nft.NFTA_PAYLOAD_BASE, BASE[e.base])
    .u32be(nft.NFTA_PAYLOAD_OFFSET, e.offset)
    .u32be(nft.NFTA_PAYLOAD_LEN, e.length);
}

function getRange(a: AttributeMap): { base: keyof typeof BASE; offset: number; length: number } | undefined {
  const base = nameOf(BASE, a.get(nft.NFTA_PAYLOAD_BASE)?.u32be());
  const offset = a.get(nft.NFTA_PAYLOAD_OFFSET)?.u32be();
  const length = a.get(nft.NFTA_PAYLOAD_LEN)?.u32be();
  return base === undefined || offset === undefined || length === undefined ? undefined : { base, offset, length };
}

function putValue(w: AttributeWriter, type: number, value: Hex): void {
  w.nested(type, (data) => data.bytes(nft.NFTA_DATA_VALUE, fromHex(value)));
}

function getValue(attribute: Attribute | undefined): Hex | undefined {
  const value = attribute?.nested().get(nft.NFTA_DATA_VALUE);
  return value === undefined ? undefined : toHex(value.payload);
}

function nameOf<K extends string>(table: Readonly<Record<K, number>>, value: number | undefined): K | undefined {
  return (Object.keys(table) as K[]).find((name) => table[name] === value);
}
