/** One dsmipd for an address of a network namespace, whatever file systems its containers see. */
import { toHex } from "../base/bytes.js";
import { MissingError, MobilityError } from "../base/errors.js";
import { type IpAddress, ipToBytes } from "../base/ip.js";
import { holdOutcome, holdRequest } from "../kernel/nftables/name-lock.js";
import { NFNL_SUBSYS_NFTABLES } from "../netlink/constants.js";
import { NetlinkSession } from "../netlink/session.js";
import { openTransport, setTimer } from "./kernel.js";

/** The name under which an address is held, fit for nft's own language. */
export const lockName = (address: IpAddress): string => `dsmipd_serves_${toHex(ipToBytes(address))}`;

/**
 * Holds the addresses for this process until it ends or calls what is returned. It takes CAP_NET_ADMIN in the namespace, so no other
 * user can hold them in our place, and the kernel lets go when the process is gone: there is no stale lock. Throws MobilityError
 * (MIP_BUSY) if another daemon holds one, MissingError without nftables.
 */
export async function holdAddresses(addresses: readonly IpAddress[]): Promise<() => void> {
  const session = new NetlinkSession(openTransport("netfilter", []), { setTimer });
  const outcome = holdOutcome(
    await session.transaction(
      addresses.map((address) => holdRequest(lockName(address))),
      NFNL_SUBSYS_NFTABLES,
    ),
  );
  if (outcome.kind === "held") return () => session.close();
  session.close();
  const { error: cause } = outcome;
  const address = "index" in outcome ? addresses[outcome.index] : undefined;
  if (address === undefined) {
    if (outcome.kind === "no-nftables")
      throw new MissingError("the kernel has no nftables; run: modprobe nf_tables", { cause });
    throw new MobilityError("MIP_KERNEL", `${addresses.join(", ")} cannot be held: ${cause.message}`, { cause });
  }
  throw new MobilityError(
    "MIP_BUSY",
    outcome.kind === "taken"
      ? `another dsmipd serves ${address} in this network namespace; stop it first`
      : `somebody has made the nftables table by which a dsmipd holds ${address}; run: nft delete table inet ${lockName(address)}`,
    { cause },
  );
}
