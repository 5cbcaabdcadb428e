/**
 * A TUN device: the kernel routes IP packets into it and they come out here whole, and what is written here arrives in the kernel as if
 * received from a link. The device disappears with the process. Its addresses, MTU and state are netlink's business.
 */
import { IFF_TUN_EXCL } from "../constants.js";
import { native, type SyscallError } from "../native.js";
import { type ChannelOptions, type SendReport, Socket } from "../socket.js";

export interface TunOptions extends ChannelOptions {
  /** At most 15 octets; "%d" in it becomes the first free number. */
  readonly name: string;
  /** A device of the name that nobody is attached to will do; else none may exist. */
  readonly orExisting?: boolean;
}

export interface TunListener {
  /** 1 to 64 packets, each from its IP header on. */
  onPackets(packets: readonly Uint8Array[]): void;
  /** `error.stopped`: the device was deleted, and is made anew, down and without anything. */
  onError(error: SyscallError): void;
}

export class TunDevice {
  readonly #channel: Socket;
  readonly name: string;

  /** Throws SyscallError: EPERM without CAP_NET_ADMIN, ENOENT without the tun module, EBUSY when a device of the name exists, or somebody is attached to it. */
  static open(options: TunOptions): TunDevice {
    const flags = options.orExisting === true ? 0 : IFF_TUN_EXCL;
    const channel = new Socket(() => native().openTun(options.name, flags, options.netns), options);
    return new TunDevice(channel, channel.name ?? options.name);
  }

  private constructor(channel: Socket, name: string) {
    this.#channel = channel;
    this.name = name;
  }

  listen(listener: TunListener): void {
    this.#channel.listen({
      onMessages: (messages) => listener.onPackets(messages.map((message) => message.data)),
      onError: (error) => listener.onError(error),
    });
  }

  /** Hands packets to the kernel; EIO in the report while the device is down, EINVAL for what is no IP packet. */
  write(packets: readonly Uint8Array[]): SendReport {
    return this.#channel.send(packets.map((data) => ({ data })));
  }

  /** Makes the device anew: somebody has renamed it or taken it away. */
  reopen(why: SyscallError): void {
    this.#channel.reopen(why);
  }

  close(): void {
    this.#channel.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
