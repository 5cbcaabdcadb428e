/**
 * Token buckets ⇄ attributes: the expression "limit", alone or as what a "dynset" keeps for each key. The kernel writes the unit in
 * seconds, of which we use one.
 */
import type { AttributeMap, AttributeWriter } from "../../netlink/attribute.js";
import type { NftLimit } from "../../plan/objects/firewall.js";
import * as nft from "./constants.js";

const SECOND = 1n;
export const LIMIT = "limit";

export function putLimit(w: AttributeWriter, { perSecond, burst, over }: NftLimit): void {
  w.u64be(nft.NFTA_LIMIT_RATE, BigInt(perSecond)).u64be(nft.NFTA_LIMIT_UNIT, SECOND);
  w.u32be(nft.NFTA_LIMIT_BURST, burst).u32be(nft.NFTA_LIMIT_TYPE, nft.NFT_LIMIT_PKTS);
  w.u32be(nft.NFTA_LIMIT_FLAGS, over ? nft.NFT_LIMIT_F_INV : 0);
}

/** undefined for one of octets or of another unit. */
export function getLimit(a: AttributeMap): NftLimit | undefined {
  const rate = a.get(nft.NFTA_LIMIT_RATE)?.u64be();
  const isOurs =
    a.get(nft.NFTA_LIMIT_UNIT)?.u64be() === SECOND &&
    (a.get(nft.NFTA_LIMIT_TYPE)?.u32be() ?? nft.NFT_LIMIT_PKTS) === nft.NFT_LIMIT_PKTS;
  if (rate === undefined || !isOurs) return undefined;
  return {
    perSecond: Number(rate),
    burst: a.get(nft.NFTA_LIMIT_BURST)?.u32be() ?? 0,
    over: ((a.get(nft.NFTA_LIMIT_FLAGS)?.u32be() ?? 0) & nft.NFT_LIMIT_F_INV) !== 0,
  };
}

/** The limit that a dynset keeps for each key (NFTA_DYNSET_EXPR). */
export function putKeptLimit(w: AttributeWriter, limit: NftLimit): void {
  w.nested(nft.NFTA_DYNSET_EXPR, (expression) => {
    expression.string(nft.NFTA_EXPR_NAME, LIMIT);
    expression.nested(nft.NFTA_EXPR_DATA, (data) => putLimit(data, limit));
  });
}

export function getKeptLimit(a: AttributeMap): NftLimit | undefined {
  const expression = a.get(nft.NFTA_DYNSET_EXPR)?.nested();
  if (expression?.get(nft.NFTA_EXPR_NAME)?.string() !== LIMIT) return undefined;
  const data = expression.get(nft.NFTA_EXPR_DATA)?.nested();
  return data && getLimit(data);
}
