/**
 * What kernels differ in, found out by trying and not by version. Each probe is a transaction of its own: accepted means that the
 * kernel has the feature, and leaves nothing behind either way.
 */
import { NLM_F_APPEND, NLM_F_CREATE } from "../../netlink/constants.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { NetlinkRequest } from "../codec.js";
import * as nft from "./constants.js";
import { encodeExpressions } from "./expression.js";
import { nftRequest } from "./message.js";

export interface NftFeatures {
  /** Rules can refer to named counters: CONFIG_NFT_OBJREF, a choice of its own before Linux 6.2 and part of nftables since. */
  readonly namedCounters: boolean;
  /** Removing an element that is not there can be asked for without error: NFT_MSG_DESTROYSETELEM, from Linux 6.3 on. */
  readonly destroyMissing: boolean;
}

/** Later than the headers of Linux 6.1. */
export const NFT_MSG_DESTROYTABLE = 26;
export const NFT_MSG_DESTROYSETELEM = 30;

const PROBE_TABLE = `${OWNERSHIP.nftTable}-probe`;

export const NFT_PROBES: { readonly [F in keyof NftFeatures]: () => readonly NetlinkRequest[] } = {
  namedCounters: () => [
    nftRequest(nft.NFT_MSG_NEWTABLE, NLM_F_CREATE, (body) => body.string(nft.NFTA_TABLE_NAME, PROBE_TABLE)),
    nftRequest(nft.NFT_MSG_NEWOBJ, NLM_F_CREATE, (body) => {
      body.string(nft.NFTA_OBJ_TABLE, PROBE_TABLE).string(nft.NFTA_OBJ_NAME, "probe");
      body.u32be(nft.NFTA_OBJ_TYPE, nft.NFT_OBJECT_COUNTER).nested(nft.NFTA_OBJ_DATA, () => undefined);
    }),
    nftRequest(nft.NFT_MSG_NEWCHAIN, NLM_F_CREATE, (body) =>
      body.string(nft.NFTA_CHAIN_TABLE, PROBE_TABLE).string(nft.NFTA_CHAIN_NAME, "probe"),
    ),
    nftRequest(nft.NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, (body) => {
      body.string(nft.NFTA_RULE_TABLE, PROBE_TABLE).string(nft.NFTA_RULE_CHAIN, "probe");
      body.nested(nft.NFTA_RULE_EXPRESSIONS, (list) =>
        encodeExpressions(list, [{ type: "count", counter: "probe" }], true),
      );
    }),
    nftRequest(nft.NFT_MSG_DELTABLE, 0, (body) => body.string(nft.NFTA_TABLE_NAME, PROBE_TABLE)),
  ],
  destroyMissing: () => [nftRequest(NFT_MSG_DESTROYTABLE, 0, (body) => body.string(nft.NFTA_TABLE_NAME, PROBE_TABLE))],
};

/** `isAccepted` sends the requests as one transaction and says whether it was committed. */
export async function probeNftFeatures(
  isAccepted: (requests: readonly NetlinkRequest[]) => Promise<boolean>,
): Promise<NftFeatures> {
  return {
    namedCounters: await isAccepted(NFT_PROBES.namedCounters()),
    destroyMissing: await isAccepted(NFT_PROBES.destroyMissing()),
  };
}
