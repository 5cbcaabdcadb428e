/** Reading the named counters of our table: what they were made for is in the table, what they hold is here. */
import { OWNERSHIP } from "../plan/objects.js";
import type { NetlinkMessage, NetlinkRequest } from "./codec.js";
import * as nft from "./nft-constants.js";
import { nftAttributes, nftDump, nftMessage } from "./nft-message.js";

export interface CounterValue {
  readonly packets: bigint;
  readonly octets: bigint;
}

/** The request whose replies hold the counters of our table; ENOENT if there is no table of this name. */
export function counterDump(): NetlinkRequest {
  return nftDump(nft.NFT_MSG_GETOBJ, (body) =>
    body.string(nft.NFTA_OBJ_TABLE, OWNERSHIP.nftTable).u32be(nft.NFTA_OBJ_TYPE, nft.NFT_OBJECT_COUNTER),
  );
}

/** The values by the counters' names. Since the table was made; a table that is replaced counts from zero again. */
export function decodeCounters(replies: readonly NetlinkMessage[]): ReadonlyMap<string, CounterValue> {
  const values = new Map<string, CounterValue>();
  for (const message of replies) {
    if (nftMessage(message) !== nft.NFT_MSG_NEWOBJ) continue;
    const attributes = nftAttributes(message);
    const name = attributes.get(nft.NFTA_OBJ_NAME)?.string();
    const isOurs = attributes.get(nft.NFTA_OBJ_TABLE)?.string() === OWNERSHIP.nftTable;
    if (!isOurs || name === undefined || attributes.get(nft.NFTA_OBJ_TYPE)?.u32be() !== nft.NFT_OBJECT_COUNTER)
      continue;
    const data = attributes.get(nft.NFTA_OBJ_DATA)?.nested();
    values.set(name, {
      packets: data?.get(nft.NFTA_COUNTER_PACKETS)?.u64be() ?? 0n,
      octets: data?.get(nft.NFTA_COUNTER_BYTES)?.u64be() ?? 0n,
    });
  }
  return values;
}
