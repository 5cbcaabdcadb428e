/**
 * Names that one process at a time can hold in a network namespace: each an empty nftables table with an owner, the netlink socket that
 * made it. The kernel lets only who has CAP_NET_ADMIN in the namespace make one, nobody but the owner change or remove it (`nft flush
 * ruleset` passes it over), and takes it away with the socket, however its process ends. Without chains it meets no packet.
 */
import { NLM_F_CREATE, NLM_F_EXCL } from "../../netlink/constants.js";
import { EOPNOTSUPP } from "../../netlink/errno.js";
import { KernelError } from "../../netlink/errors.js";
import type { TransactionOutcome } from "../../netlink/session.js";
import type { NetlinkRequest } from "../codec.js";
import { NFT_MSG_NEWTABLE, NFT_TABLE_F_OWNER, NFTA_TABLE_FLAGS, NFTA_TABLE_NAME } from "./constants.js";
import { nftRequest } from "./message.js";

/** The request that takes the name, in a transaction over the socket that is to hold it. Only letters, digits and _, as `nft` reads back. */
export function holdRequest(name: string): NetlinkRequest {
  return nftRequest(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, (body) =>
    body.string(NFTA_TABLE_NAME, name).u32be(NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER),
  );
}

/**
 * held          the names are ours until the socket closes
 * taken         a living process has the name at `index`
 * left          the name at `index` is a table without an owner, which somebody has made by hand
 * no-nftables   the kernel has none
 * refused       anything else
 */
export type HoldOutcome =
  | { readonly kind: "held" }
  | { readonly kind: "taken" | "left"; readonly index: number; readonly error: KernelError }
  | { readonly kind: "no-nftables" | "refused"; readonly error: KernelError };

/** What became of a transaction of hold requests. */
export function holdOutcome({ committed, errors, failure }: TransactionOutcome): HoldOutcome {
  if (committed) return { kind: "held" };
  const [first] = errors;
  if (first === undefined) {
    const error = failure ?? new KernelError(EOPNOTSUPP, { text: "no answer" });
    return { kind: NO_NFTABLES.has(error.errnoName) ? "no-nftables" : "refused", error };
  }
  const [index, error] = first;
  // Where the sender may change nftables at all (else the whole batch is refused), EPERM is about a table with another owner.
  if (error.errnoName === "EPERM") return { kind: "taken", index, error };
  return error.isExists ? { kind: "left", index, error } : { kind: "refused", error };
}

const NO_NFTABLES: ReadonlySet<string> = new Set(["EOPNOTSUPP", "EPROTONOSUPPORT", "EINVAL"]);
