/** One dsmipd for an address of a network namespace, whatever file systems its containers see. */
import { MissingError, MobilityError } from "../../base/errors.js";
import { type IpAddress, ipToBytes, isIpv4 } from "../../base/ip.js";
import { TunDevice } from "../../io/ip/tun-device.js";
import { isSyscallError, type SyscallError } from "../../io/native.js";
import { fnv1a } from "../../plan/objects/hash.js";
import { deviceExists, tunDeviceRefusal } from "../preflight.js";

/** The device by which an address is held: down, without an address, for nobody's packets. At most 15 octets. */
export const lockName = (address: IpAddress): string =>
  `mip${isIpv4(address) ? 4 : 6}-${fnv1a([...ipToBytes(address)])
    .toString(16)
    .padStart(8, "0")}`;

export interface HeldAddresses {
  /** Takes a device back that somebody has renamed or moved away. One that was deleted comes back by itself. */
  look(): void;
  release(): void;
}

export interface HeldAddressesListener {
  /** Somebody had taken the address's device away. */
  onRetaken(address: IpAddress, reason: string): void;
  /** Nobody holds the address for us just now; it is tried again by itself. */
  onLost(address: IpAddress, reason: string): void;
}

/**
 * Holds the addresses for this process until it ends or releases them. It takes CAP_NET_ADMIN in the namespace, so no other
 * user can hold them in our place, and the kernel takes the device away with the process: there is no stale lock. (A table of nftables
 * with an owner would be out of sight, but nft 1.0.6 frees memory twice when it lists one as JSON.) Throws MobilityError (MIP_BUSY) if
 * somebody holds one.
 */
export function holdAddresses(
  addresses: readonly IpAddress[],
  listener: Partial<HeldAddressesListener> = {},
): HeldAddresses {
  const held: TunDevice[] = [];
  const release = (): void => {
    for (const device of held) device.close();
  };
  for (const address of addresses) {
    try {
      const onReopened = (why: SyscallError): void => listener.onRetaken?.(address, why.message);
      const device = TunDevice.open({ name: lockName(address), orExisting: true, onReopened });
      // Nothing comes out of it but word of its end.
      device.listen({
        onPackets: () => undefined,
        onError: (error) => {
          if (error.stopped !== true) listener.onLost?.(address, refusal(address, error).message);
        },
      });
      held.push(device);
    } catch (cause) {
      release();
      throw isSyscallError(cause) ? refusal(address, cause) : cause;
    }
  }
  return {
    look: () => {
      for (const device of held) {
        if (deviceExists(device.name)) continue;
        const why = new Error(`there is no device ${device.name} any more`);
        device.reopen(Object.assign(why, { errno: -ENODEV, code: "ENODEV", syscall: "read" }));
      }
    },
    release,
  };
}

const ENODEV = 19;

function refusal(address: IpAddress, cause: SyscallError): MobilityError {
  const { code, syscall } = cause;
  if (code === "EBUSY")
    return new MobilityError("MIP_BUSY", `another dsmipd serves ${address} in this network namespace; stop it first`, {
      cause,
    });
  if (syscall === "open") return new MissingError(tunDeviceRefusal(code), { cause });
  const why =
    code === "EPERM"
      ? "dsmipd has no CAP_NET_ADMIN in this network namespace (EPERM): it belongs to another user namespace; start dsmipd in the one that made it, or in a container with --cap-add=NET_ADMIN"
      : code === "EINVAL"
        ? `there is another kind of device of that name (EINVAL); remove it: ip link del ${lockName(address)}`
        : cause.message;
  return new MobilityError("MIP_KERNEL", `${address} cannot be held by the device ${lockName(address)}: ${why}`, {
    cause,
  });
}
