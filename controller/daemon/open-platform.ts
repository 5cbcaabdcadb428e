/** The platform of a running daemon, over the real kernel, sockets and files: opened in the order in which they need each other. */
import { InvariantError } from "../base/errors.js";
import type { IpAddress } from "../base/ip.js";
import { clearSocketPath } from "../control/socket-path.js";
import { holdDirectory } from "../io/directory-lock.js";
import { checkIpv6Enabled } from "../kernel/route/switches.js";
import { type RefusedOption, watchReports } from "../kernel/xfrm/report-watch.js";
import type { Logger } from "../log.js";
import type { ProtocolEvent } from "../protocol/mip6/inputs.js";
import { openKernel, openTransport, PacketCounters, setTimer } from "./kernel.js";
import { Platform, type PlatformOptions, type PlatformParts, type WarnLine } from "./platform.js";
import { checkPrivileges, checkTun } from "./preflight.js";
import { SignallingSockets } from "./signalling/sockets.js";
import { Storage } from "./storage.js";
import { type HeldAddresses, holdAddresses } from "./upkeep/address-lock.js";

export interface OpenOptions extends PlatformOptions {
  readonly stateDirectory: string;
  /** Addresses that no other daemon in this network namespace may serve. */
  readonly addresses: readonly IpAddress[];
  readonly signallingPort: number;
  /** Nothing of IPv6 is needed, and no Mobility Header: the services have sockets of their own. */
  readonly ipv4Only?: boolean;
  /** Whether messages into the TUN device go there by their socket and not by their mark. */
  readonly bindsToTun: boolean;
  /** Messages come in protocol 41, too. */
  readonly hearsEncapsulated?: boolean;
  /** The device of messages to IPv4-mapped care-of addresses. */
  readonly mappedDevice?: string;
}

const noSignalling = (): never => {
  throw new InvariantError("nothing of Mobile IPv6 is sent here");
};

/** In the place of the sockets of Mobile IPv6. */
const NO_SIGNALLING: PlatformParts["sockets"] = {
  sendMobilityHeader: noSignalling,
  sendUdp: noSignalling,
  injectIntoTun: noSignalling,
  listen: () => undefined,
  renewTun: () => undefined,
  close: () => undefined,
};

/** Throws MobilityError with the sentence for the operator; what was opened before is closed again. */
export async function openPlatform(options: OpenOptions, log: Logger): Promise<Platform> {
  checkPrivileges();
  checkTun();
  if (options.ipv4Only !== true) checkIpv6Enabled();
  // Until there is a platform that counts the lines.
  let warn = (_cause: string, line: WarnLine): void => log.warn(line);
  const hold = (addresses: readonly IpAddress[]): HeldAddresses =>
    holdAddresses(addresses, {
      onRetaken: (address, reason) => warn(`address.retaken ${address}`, { event: "address.retaken", address, reason }),
      onLost: (address, reason) => warn(`address.lost ${address}`, { event: "address.lost", address, reason }),
    });
  const held = new Set([hold(options.addresses)]);
  const releaseAll = (): void => {
    for (const one of held) one.release();
  };
  const holdLater = (address: IpAddress): (() => void) => {
    const later = hold([address]);
    held.add(later);
    return () => {
      held.delete(later);
      later.release();
    };
  };
  const undo: (() => void)[] = [releaseAll];
  try {
    const letGo = holdDirectory(options.stateDirectory);
    undo.push(letGo);
    // Before anything is touched: an end for its sake later on would take out of the kernel what nodes have been using.
    await clearSocketPath(options.controlSocket);
    const early: ProtocolEvent[] = [];
    let note = (event: ProtocolEvent): void => void early.push(event);
    const storage = new Storage({
      directory: options.stateDirectory,
      role: options.role,
      log,
      note: (event) => note(event),
    });
    undo.push(() => void storage.close());
    const kernel = await openKernel();
    undo.push(() => kernel.close());
    let reopened: (what: string, reason: string, device: boolean) => void = () => undefined;
    const sockets =
      options.ipv4Only === true
        ? NO_SIGNALLING
        : new SignallingSockets({
            tunDevice: options.tunDevice,
            bindsToTun: options.bindsToTun,
            ...(options.mappedDevice !== undefined && { mappedDevice: options.mappedDevice }),
            udpPort: options.signallingPort,
            ...(options.signallingAddress !== undefined && { udpAddress: options.signallingAddress }),
            ...(options.signallingIpv6Address !== undefined && { udpIpv6Address: options.signallingIpv6Address }),
            ...(options.hearsEncapsulated === true && { hearsEncapsulated: true }),
            names: kernel.names,
            onError: (what, error) => log.debug({ event: "socket.error", what, reason: error.message }),
            onReopened: (what, reason, device) => reopened(what, reason, device),
          });
    undo.push(() => sockets.close());
    const packetCounters = new PacketCounters();
    undo.push(() => packetCounters.close());
    const watch = (onHeard: (packet: RefusedOption) => void): ReturnType<typeof watchReports> =>
      watchReports({
        ...{ openTransport, setTimer, onHeard },
        onError: (error) => log.warn({ event: "reports.unread", reason: String(error) }),
      });
    const release = (): void => {
      letGo();
      releaseAll();
    };
    const platform = new Platform({
      ...{ options, log, storage, kernel, sockets, packetCounters, release },
      ...(options.ipv4Only !== true && { watchReports: watch }),
      hold: holdLater,
    });
    note = (event) => platform.note(event);
    for (const event of early) note(event);
    reopened = (what, reason, device) => platform.onReopened(what, reason, device);
    warn = (cause, line) => platform.warn(cause, line);
    await platform.reconciler.start();
    platform.watchQuietly(() => {
      for (const one of held) one.look();
    });
    return platform;
  } catch (error) {
    for (const step of undo.reverse()) step();
    throw error;
  }
}
