/** One dsmipd for an address of a network namespace, whatever file systems its containers see. */
import { MobilityError } from "../base/errors.js";
import { type IpAddress, ipToBytes, isIpv4 } from "../base/ip.js";
import { TunDevice } from "../io/ip/tun-device.js";
import { isSyscallError } from "../io/native.js";
import { fnv1a } from "../plan/objects/hash.js";

/** The device by which an address is held: down, without an address, for nobody's packets. At most 15 octets. */
export const lockName = (address: IpAddress): string =>
  `mip${isIpv4(address) ? 4 : 6}-${fnv1a([...ipToBytes(address)])
    .toString(16)
    .padStart(8, "0")}`;

/**
 * Holds the addresses for this process until it ends or calls what is returned. It takes CAP_NET_ADMIN in the namespace, so no other
 * user can hold them in our place, and the kernel takes the device away with the process: there is no stale lock. (A table of nftables
 * with an owner would be out of sight, but nft 1.0.6 frees memory twice when it lists one as JSON.) Throws MobilityError (MIP_BUSY) if
 * somebody holds one.
 */
export function holdAddresses(addresses: readonly IpAddress[]): () => void {
  const held: TunDevice[] = [];
  const release = (): void => {
    for (const device of held) device.close();
  };
  for (const address of addresses) {
    try {
      held.push(TunDevice.open({ name: lockName(address), orExisting: true }));
    } catch (cause) {
      release();
      if (!isSyscallError(cause)) throw cause;
      throw cause.code === "EBUSY"
        ? new MobilityError("MIP_BUSY", `another dsmipd serves ${address} in this network namespace; stop it first`, {
            cause,
          })
        : new MobilityError(
            "MIP_KERNEL",
            `${address} cannot be held by the device ${lockName(address)}: ${cause.message}`,
            { cause },
          );
    }
  }
  return release;
}
