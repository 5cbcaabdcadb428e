/**
 * Our nftables table with all that stands in it but the elements of bindings ⇄ messages. The table's comment says that it is ours and
 * carries the fingerprint of its content: "dsmipd 0123456789abcdef". A table of this name without the comment is a stranger's.
 *
 * The kernel is asked for everything (table, counters, sets, constant elements, chains, rules), so what somebody changed by hand is
 * seen too. Tables are compared by `sameNftTable`, not field by field.
 *
 * `update` removes the table and makes it anew, in one transaction: no packet meets half a ruleset, but the counters begin at zero
 * and every element of the dynamic sets is gone. Whoever applies it adds all wanted elements in the same transaction, right after.
 *
 * Kernel order within the transaction: a constant set that a rule refers to takes no more elements (EBUSY), so these come before the
 * rules; all chains come before the rules that jump to them.
 */

import { toHex } from "../../base/bytes.js";
import { append } from "../../base/lists.js";
import type { AttributeMap } from "../../netlink/attribute.js";
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL } from "../../netlink/constants.js";
import type { NftChain, NftRule, NftSet, NftTable } from "../../plan/objects/firewall.js";
import { isConstantSet, nftTableFingerprint } from "../../plan/objects/nft-canonical.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { NetlinkMessage, NetlinkRequest, ObjectCodec } from "../codec.js";
import * as nft from "./constants.js";
import { elementDump, elementOctets, elementRequests, type NftSets } from "./element.js";
import { decodeExpressions, encodeExpressions } from "./expression.js";
import type { NftFeatures } from "./features.js";
import {
  decodeUserdata,
  encodeUserdata,
  fitsUserdata,
  nftAttributes,
  nftDump,
  nftMessage,
  nftRequest,
  RULE_COUNTER,
  ruleCounterNames,
  textValue,
  type Userdata,
  valueText,
} from "./message.js";
import { constantElements, decodeSet, setRequest } from "./set.js";

/** NFTNL_UDATA_TABLE_COMMENT: `nft list` prints it. */
const TABLE_COMMENT = 0;
/** An item of our own in a rule's userdata: its text. nft skips what it does not know. */
const RULE_TEXT = 0xd5;
const OWNER = "dsmipd";

const HOOK = {
  prerouting: nft.NF_INET_PRE_ROUTING,
  input: nft.NF_INET_LOCAL_IN,
  forward: nft.NF_INET_FORWARD,
  output: nft.NF_INET_LOCAL_OUT,
  postrouting: nft.NF_INET_POST_ROUTING,
} as const;
const CHAIN_TYPES = ["filter", "route"] as const;
const POLICY = { accept: nft.NF_ACCEPT, drop: nft.NF_DROP } as const;

export type NftTableCodec = ObjectCodec<NftTable> & Required<Pick<ObjectCodec<NftTable>, "dumpMore" | "assemble">>;

export function createNftTableCodec(sets: NftSets, features: Pick<NftFeatures, "namedCounters">): NftTableCodec {
  const create = (table: NftTable): NetlinkRequest[] => {
    sets.learn(table.sets);
    return createRequests(table, features.namedCounters);
  };
  return {
    kind: "nft-table",
    family: "netfilter",
    create,
    update: (table, previous) => [...remove(previous), ...create(table)],
    remove,
    dump: () => [nftDump(nft.NFT_MSG_GETTABLE), nftDump(nft.NFT_MSG_GETSET)],
    dumpMore(replies) {
      const table = replies.map(tableHeader).find((header) => header !== undefined);
      if (table === undefined) return [];
      const constant = setsOf(replies).filter(isConstantSet);
      return [...contentDumps(table.name), ...constant.map((set) => elementDump(set.name))];
    },
    // One message holds no whole table; this is enough to know which table a notification is about.
    decode(message, _names, ownOnly) {
      const header = tableHeader(message);
      if (header === undefined || (ownOnly && header.fingerprint === undefined)) return undefined;
      return { kind: "nft-table", family: "inet", name: header.name, counters: [], sets: [], chains: [] };
    },
    assemble(replies, _names, ownOnly) {
      const table = assembleTable(replies, ownOnly);
      if (table === undefined) return [];
      sets.learn(table.sets);
      return [table];
    },
  };
}

function remove(table: NftTable): NetlinkRequest[] {
  return [nftRequest(nft.NFT_MSG_DELTABLE, 0, (body) => body.string(nft.NFTA_TABLE_NAME, table.name))];
}

/**
 * The fingerprint that the table in this message carries: of the content it was made with, whatever became of that since.
 * undefined if the message is about no table of ours.
 */
export function tableFingerprint(message: NetlinkMessage): string | undefined {
  return tableHeader(message)?.fingerprint;
}

function createRequests(table: NftTable, namedCounters: boolean): NetlinkRequest[] {
  const { name } = table;
  const header = nftRequest(nft.NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, (body) => {
    const comment = textValue(`${OWNER} ${nftTableFingerprint(table)}`);
    body.string(nft.NFTA_TABLE_NAME, name);
    body.bytes(nft.NFTA_TABLE_USERDATA, encodeUserdata([{ type: TABLE_COMMENT, value: comment }]));
  });
  const counters = table.counters.map((counter) => counterRequest(name, counter));
  const sets = table.sets.flatMap((set, i) => [
    setRequest(name, set, i + 1),
    ...elementRequests(nft.NFT_MSG_NEWSETELEM, name, set.name, constantElements(set)),
  ]);
  const chains = table.chains.map((chain) => chainRequest(name, chain));
  const rules = table.chains.flatMap((chain) =>
    chain.rules.map((rule) => ruleRequest(name, chain.name, rule, namedCounters)),
  );
  return [header, ...counters, ...sets, ...chains, ...rules];
}

function counterRequest(table: string, counter: string): NetlinkRequest {
  return nftRequest(nft.NFT_MSG_NEWOBJ, NLM_F_CREATE, (body) => {
    body.string(nft.NFTA_OBJ_TABLE, table).string(nft.NFTA_OBJ_NAME, counter);
    body.u32be(nft.NFTA_OBJ_TYPE, nft.NFT_OBJECT_COUNTER);
    body.nested(nft.NFTA_OBJ_DATA, (data) =>
      data.u64be(nft.NFTA_COUNTER_BYTES, 0n).u64be(nft.NFTA_COUNTER_PACKETS, 0n),
    );
  });
}

function chainRequest(table: string, { name, base }: NftChain): NetlinkRequest {
  return nftRequest(nft.NFT_MSG_NEWCHAIN, NLM_F_CREATE, (body) => {
    body.string(nft.NFTA_CHAIN_TABLE, table).string(nft.NFTA_CHAIN_NAME, name);
    if (base === undefined) return;
    body.string(nft.NFTA_CHAIN_TYPE, base.type).u32be(nft.NFTA_CHAIN_POLICY, POLICY[base.policy]);
    body.nested(nft.NFTA_CHAIN_HOOK, (hook) =>
      hook.u32be(nft.NFTA_HOOK_HOOKNUM, HOOK[base.hook]).u32be(nft.NFTA_HOOK_PRIORITY, base.priority >>> 0),
    );
  });
}

export function ruleRequest(table: string, chain: string, rule: NftRule, namedCounters: boolean): NetlinkRequest {
  return nftRequest(
    nft.NFT_MSG_NEWRULE,
    NLM_F_CREATE | NLM_F_APPEND,
    (body) => {
      body.string(nft.NFTA_RULE_TABLE, table).string(nft.NFTA_RULE_CHAIN, chain);
      body.nested(nft.NFTA_RULE_EXPRESSIONS, (list) => encodeExpressions(list, rule.expressions, namedCounters));
      const userdata = ruleUserdata(rule, namedCounters);
      if (userdata.length > 0) body.bytes(nft.NFTA_RULE_USERDATA, encodeUserdata(userdata));
    },
    1024,
  );
}

function ruleUserdata({ text, expressions }: NftRule, namedCounters: boolean): Userdata[] {
  const counters = namedCounters ? [] : expressions.filter((expression) => expression.type === "count");
  const names: Userdata[] = counters.map(({ counter }) => ({ type: RULE_COUNTER, value: textValue(counter) }));
  const withText = [...names, { type: RULE_TEXT, value: Buffer.from(text, "utf8") }];
  // A text that does not fit stays out: it is for people only, and equality does not ask for it.
  return text !== "" && fitsUserdata(withText) ? withText : names;
}

function contentDumps(table: string): NetlinkRequest[] {
  const objects = nftDump(nft.NFT_MSG_GETOBJ, (body) =>
    body.string(nft.NFTA_OBJ_TABLE, table).u32be(nft.NFTA_OBJ_TYPE, nft.NFT_OBJECT_COUNTER),
  );
  const rules = nftDump(nft.NFT_MSG_GETRULE, (body) => body.string(nft.NFTA_RULE_TABLE, table));
  return [objects, nftDump(nft.NFT_MSG_GETCHAIN), rules];
}

interface TableHeader {
  readonly name: string;
  /** Absent: not ours. */
  readonly fingerprint?: string;
}

function tableHeader(message: NetlinkMessage): TableHeader | undefined {
  const type = nftMessage(message);
  if (type !== nft.NFT_MSG_NEWTABLE && type !== nft.NFT_MSG_DELTABLE) return undefined;
  const attributes = nftAttributes(message);
  const name = attributes.get(nft.NFTA_TABLE_NAME)?.string();
  if (name !== OWNERSHIP.nftTable) return undefined;
  const userdata = decodeUserdata(attributes.get(nft.NFTA_TABLE_USERDATA)?.payload);
  const comment = userdata.find(({ type }) => type === TABLE_COMMENT);
  const words = comment === undefined ? [] : valueText(comment.value).split(" ");
  return words[0] === OWNER && words[1] !== undefined ? { name, fingerprint: words[1] } : { name };
}

function assembleTable(replies: readonly NetlinkMessage[], ownOnly: boolean): NftTable | undefined {
  const header = replies.map(tableHeader).find((found) => found !== undefined);
  if (header === undefined || (ownOnly && header.fingerprint === undefined)) return undefined;
  const rules = new Map<string, NftRule[]>();
  for (const { chain, rule } of inTable(replies, nft.NFT_MSG_NEWRULE, nft.NFTA_RULE_TABLE).map(decodeRule)) {
    rules.set(chain, [...(rules.get(chain) ?? []), rule]);
  }
  return {
    kind: "nft-table",
    family: "inet",
    name: header.name,
    counters: inTable(replies, nft.NFT_MSG_NEWOBJ, nft.NFTA_OBJ_TABLE).map(
      (a) => a.get(nft.NFTA_OBJ_NAME)?.string() ?? "",
    ),
    sets: setsOf(replies),
    chains: inTable(replies, nft.NFT_MSG_NEWCHAIN, nft.NFTA_CHAIN_TABLE).map((attributes) => {
      const chain = decodeChain(attributes);
      return { ...chain, rules: rules.get(chain.name) ?? [] };
    }),
  };
}

/** The attributes of all messages of this type that are about our table. */
function inTable(replies: readonly NetlinkMessage[], type: number, tableAttribute: number): AttributeMap[] {
  return replies
    .filter((message) => nftMessage(message) === type)
    .map(nftAttributes)
    .filter((attributes) => attributes.get(tableAttribute)?.string() === OWNERSHIP.nftTable);
}

/** With the elements of the constant ones as far as the replies hold them. A set that the plan has no words for has no key fields. */
function setsOf(replies: readonly NetlinkMessage[]): NftSet[] {
  const elements = new Map<string, NonNullable<NftSet["elements"]>[number][]>();
  for (const found of replies.map(elementOctets)) {
    if (found === undefined) continue;
    const more = found.elements.map(({ key, value }) => ({
      key: toHex(key),
      ...(value === undefined ? {} : { value: toHex(value) }),
    }));
    const known = elements.get(found.set);
    if (known === undefined) elements.set(found.set, more);
    else append(known, more);
  }
  return inTable(replies, nft.NFT_MSG_NEWSET, nft.NFTA_SET_TABLE).map((attributes) => {
    const set = decodeSet(attributes) ?? { name: attributes.get(nft.NFTA_SET_NAME)?.string() ?? "", key: [] };
    return isConstantSet(set) ? { ...set, elements: elements.get(set.name) ?? [] } : set;
  });
}

function decodeChain(attributes: AttributeMap): Omit<NftChain, "rules"> {
  const name = attributes.get(nft.NFTA_CHAIN_NAME)?.string() ?? "";
  const where = attributes.get(nft.NFTA_CHAIN_HOOK)?.nested();
  if (where === undefined) return { name };
  const number = where.get(nft.NFTA_HOOK_HOOKNUM)?.u32be();
  const hook = (Object.keys(HOOK) as (keyof typeof HOOK)[]).find((key) => HOOK[key] === number);
  const type = CHAIN_TYPES.find((known) => known === attributes.get(nft.NFTA_CHAIN_TYPE)?.string());
  // A kind of chain that the plan has no word for gets a name that no chain can have, so it equals none of ours.
  if (hook === undefined || type === undefined) return { name: `${name}?` };
  const priority = (where.get(nft.NFTA_HOOK_PRIORITY)?.u32be() ?? 0) | 0;
  const policy = attributes.get(nft.NFTA_CHAIN_POLICY)?.u32be() === nft.NF_DROP ? "drop" : "accept";
  return { name, base: { type, hook, priority, policy } };
}

/** A rule with an expression that the plan has no word for comes without any, so it equals no rule of ours. */
function decodeRule(attributes: AttributeMap): { chain: string; rule: NftRule } {
  const userdata = attributes.get(nft.NFTA_RULE_USERDATA)?.payload;
  const list = attributes.get(nft.NFTA_RULE_EXPRESSIONS)?.list() ?? [];
  const expressions = decodeExpressions(list, ruleCounterNames(userdata));
  const known = expressions.filter((expression) => expression !== undefined);
  const text = decodeUserdata(userdata).find(({ type }) => type === RULE_TEXT)?.value;
  return {
    chain: attributes.get(nft.NFTA_RULE_CHAIN)?.string() ?? "",
    rule: {
      text: text === undefined ? "" : Buffer.from(text).toString("utf8"),
      expressions: known.length === expressions.length ? known : [],
    },
  };
}
