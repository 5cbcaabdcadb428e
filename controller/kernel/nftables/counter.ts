/** Reading the counters of our table: which ones there are is in the table, what they hold is here. */
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { NetlinkMessage, NetlinkRequest } from "../codec.js";
import * as nft from "./constants.js";
import { type CounterValue, decodeCounter, decodeRuleCounters } from "./expression.js";
import { nftAttributes, nftDump, nftMessage, ruleCounterNames } from "./message.js";

export type { CounterValue } from "./expression.js";

/** The requests whose replies, all together, hold the counters of our table; ENOENT if there is no table of this name. */
export function counterDumps(): readonly NetlinkRequest[] {
  const objects = nftDump(nft.NFT_MSG_GETOBJ, (body) =>
    body.string(nft.NFTA_OBJ_TABLE, OWNERSHIP.nftTable).u32be(nft.NFTA_OBJ_TYPE, nft.NFT_OBJECT_COUNTER),
  );
  const rules = nftDump(nft.NFT_MSG_GETRULE, (body) => body.string(nft.NFTA_RULE_TABLE, OWNERSHIP.nftTable));
  return [objects, rules];
}

/**
 * The values by the counters' names, since the table was made: one that is replaced counts from zero again. Where rules count on
 * their own (no `namedCounters`), the sum over the rules that have the counter.
 */
export function decodeCounters(replies: readonly NetlinkMessage[]): ReadonlyMap<string, CounterValue> {
  const values = new Map<string, CounterValue>();
  const add = (name: string, { packets, octets }: CounterValue): void => {
    const before = values.get(name) ?? { packets: 0n, octets: 0n };
    values.set(name, { packets: before.packets + packets, octets: before.octets + octets });
  };
  for (const message of replies) {
    const type = nftMessage(message);
    if (type === nft.NFT_MSG_NEWOBJ) addNamed(message, add);
    if (type === nft.NFT_MSG_NEWRULE) addOfRule(message, add);
  }
  return values;
}

type Add = (name: string, value: CounterValue) => void;

function addNamed(message: NetlinkMessage, add: Add): void {
  const attributes = nftAttributes(message);
  const name = attributes.get(nft.NFTA_OBJ_NAME)?.string();
  const isOurs = attributes.get(nft.NFTA_OBJ_TABLE)?.string() === OWNERSHIP.nftTable;
  const isCounter = attributes.get(nft.NFTA_OBJ_TYPE)?.u32be() === nft.NFT_OBJECT_COUNTER;
  if (isOurs && isCounter && name !== undefined) add(name, decodeCounter(attributes.get(nft.NFTA_OBJ_DATA)?.nested()));
}

function addOfRule(message: NetlinkMessage, add: Add): void {
  const attributes = nftAttributes(message);
  if (attributes.get(nft.NFTA_RULE_TABLE)?.string() !== OWNERSHIP.nftTable) return;
  const names = ruleCounterNames(attributes.get(nft.NFTA_RULE_USERDATA)?.payload);
  const values = decodeRuleCounters(attributes.get(nft.NFTA_RULE_EXPRESSIONS)?.list() ?? []);
  for (const [i, name] of names.entries()) {
    const value = values[i];
    if (value !== undefined) add(name, value);
  }
}
