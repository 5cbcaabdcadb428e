/**
 * A socket over the addon: batches in both directions, errors as events. It knows no protocol; the classes beside it give sockets
 * of one kind their options and their meaning.
 *
 * A descriptor can die while its socket is wanted: a TUN device is deleted, `ss -K` ends a socket. Reading says so, or, of one that nobody
 * listens to, the next message that is refused. Another one takes its place then, with the same options, bound to the same address; where
 * that is refused it is tried again, in the end every five seconds.
 */

import { append } from "../base/lists.js";
import { EPOLLIN, EPOLLOUT, MSG_CTRUNC, MSG_ERRQUEUE, MSG_TRUNC, SOL_SOCKET } from "./constants.js";
import { decodeSocketAddress, encodeSocketAddress, LITTLE, type SocketAddress } from "./ip/address.js";
import { type ControlMessage, decodeControl, encodeControl } from "./ip/ancillary.js";
import { type Native, type NativeHandle, native, type SyscallError } from "./native.js";

export interface Message {
  readonly data: Uint8Array;
  readonly source: SocketAddress | undefined;
  readonly control: readonly ControlMessage[];
  /** The message was longer than the receive buffer, or its control messages were: what is here is not whole. */
  readonly truncated: boolean;
  /** It comes from the error queue: `data` is a packet of ours that failed, `source` its destination. */
  readonly fromErrorQueue: boolean;
}

export interface OutgoingMessage {
  readonly data: Uint8Array;
  readonly to?: SocketAddress;
  readonly control?: readonly ControlMessage[];
}

export interface SendReport {
  /** Accepted by the kernel. */
  readonly sent: number;
  /** Kept until the send buffer has room. */
  readonly queued: number;
  /** Refused by the kernel, or without a place in the queue. */
  readonly dropped: number;
  /** Why the first of those was; present if any was. */
  readonly error?: SyscallError;
}

export interface SocketListener {
  /** 1 to `limit` messages in order of arrival. */
  onMessages(messages: readonly Message[]): void;
  /** The socket goes on; with `error.stopped` its descriptor was dead, and it is being opened anew. ENOBUFS of a netlink socket: messages were lost. Also for messages that were queued. */
  onError(error: SyscallError): void;
}

/** How a descriptor is read and written, whatever it is. */
export interface ChannelOptions {
  /** Path of the network namespace it lives in; absent: the process's own. */
  readonly netns?: string;
  /** Messages kept when the send buffer is full, 0 for none. Their octets must stay unchanged. Default 1024. */
  readonly maxQueued?: number;
  /** Messages per wake-up, then the rest of the event loop has its turn. Default and most: 64. */
  readonly limit?: number;
  /** Another descriptor has taken the place of the one that died of this; what was on its way is lost. */
  readonly onReopened?: (why: SyscallError) => void;
  /** The addon's receive buffer is zeroed after each delivery, for messages that hold keys. The delivered octets are the listener's care. */
  readonly wipe?: boolean;
}

export interface SocketOptions extends ChannelOptions {
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
}

type Parts = (Uint8Array | undefined)[];

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;
const YOUNG_MS = 1_000;

/** Whoever opens it closes it: until then it is not collected. It keeps the process running only while it listens. */
export class Socket {
  readonly #native: Native = native();
  readonly #open: () => NativeHandle;
  readonly #options: ChannelOptions;
  readonly #maxQueued: number;
  /** How the descriptor was set up, for the one that may have to take its place. */
  readonly #steps = new Map<string, (handle: NativeHandle) => void>();
  #handle: NativeHandle;
  /** Why there is no live descriptor just now. */
  #dead: SyscallError | undefined;
  #retry: NodeJS.Timeout | undefined;
  #revivedAt = Number.NEGATIVE_INFINITY;
  #queue: Parts = [];
  #listener: SocketListener | undefined;
  #reading = false;
  #closed = false;

  /** Throws SyscallError: EPERM without CAP_NET_RAW for raw and packet sockets, EPROTONOSUPPORT for what the kernel was built without. */
  static open(options: SocketOptions): Socket {
    return new Socket(() => native().open(options.family, options.type, options.protocol, options.netns), options);
  }

  /** `open` makes the descriptor, now and whenever it has died. Throws what it throws. */
  constructor(open: () => NativeHandle, options: ChannelOptions) {
    this.#open = open;
    this.#options = options;
    this.#maxQueued = options.maxQueued ?? 1024;
    this.#handle = open();
    try {
      this.#watch();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Of a TUN device: the name the kernel gave. */
  get name(): string | undefined {
    return this.#handle.name;
  }

  get closed(): boolean {
    return this.#closed;
  }

  setOption(level: number, name: number, value: number | Uint8Array): void {
    const kept = typeof value === "number" ? value : value.slice();
    this.#step(`option ${level} ${name} ${kept}`, (handle) => this.#native.setsockopt(handle, level, name, kept));
  }

  /** Membership in a group of a link, which ends with `leaveGroup` or with the link: another descriptor does without it then. */
  joinGroup(level: number, option: number, group: Uint8Array): void {
    const kept = group.slice();
    this.#native.setsockopt(this.#handle, level, option, kept);
    this.#steps.set(groupName(level, option, kept), (handle) => {
      try {
        this.#native.setsockopt(handle, level, option, kept);
      } catch {
        // ignored: the link is gone, and who wants to hear it on the next one says so
      }
    });
  }

  /** `joined`: the option by which it was joined. */
  leaveGroup(level: number, option: number, group: Uint8Array, joined: number): void {
    this.#steps.delete(groupName(level, joined, group));
    this.#native.setsockopt(this.#handle, level, option, group);
  }

  /** At most `length` octets, as the kernel gave them. */
  getOption(level: number, name: number, length: number): Uint8Array {
    return this.#native.getsockopt(this.#handle, level, name, length);
  }

  getIntOption(level: number, name: number): number {
    const bytes = this.getOption(level, name, 4);
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getInt32(0, LITTLE);
  }

  bind(address: SocketAddress): void {
    this.#step("bind", (handle) => this.#native.bind(handle, encodeSocketAddress(address)));
  }

  connect(address: SocketAddress): void {
    this.#step("connect", (handle) => this.#native.connect(handle, encodeSocketAddress(address)));
  }

  localAddress(): SocketAddress | undefined {
    return decodeSocketAddress(this.#native.getsockname(this.#handle));
  }

  /** Starts receiving, or replaces the listener. Without one nothing is read and the process may end. */
  listen(listener: SocketListener): void {
    this.#listener = listener;
    this.resume();
  }

  /** Stops reading: what arrives stays in the kernel's buffer, and is dropped there when that is full. */
  pause(): void {
    this.#reading = false;
    this.#arm();
  }

  resume(): void {
    this.#reading = true;
    this.#arm();
  }

  /** Sends in order. A message the kernel refuses does not stop the ones after it; nothing is thrown for it. */
  send(messages: readonly OutgoingMessage[]): SendReport {
    const parts: Parts = [];
    for (const { data, to, control } of messages) {
      parts.push(data, to && encodeSocketAddress(to), control && encodeControl(control, this.#native.wordBytes));
    }
    if (this.#dead !== undefined) return { sent: 0, queued: 0, dropped: messages.length, error: this.#dead };
    // What is queued already goes first.
    if (this.#queue.length > 0) return this.#enqueue(parts, { sent: 0, queued: 0, dropped: 0 });
    const { sent, next, error } = this.#native.send(this.#handle, parts);
    const report = { sent, queued: 0, dropped: next - sent, ...(error && { error }) };
    if (error !== undefined && isDeath(error)) this.#reopenSoon(error);
    return next === messages.length ? report : this.#enqueue(parts.slice(next * 3), report);
  }

  /** May be called twice and from inside any callback; no callback comes after it. Queued messages are dropped. */
  close(): void {
    this.#closed = true;
    this.#queue = [];
    clearTimeout(this.#retry);
    this.#native.close(this.#handle);
  }

  /** Another descriptor takes the place of this one, at once or as soon as the kernel lets it. */
  reopen(why: SyscallError): void {
    if (this.#closed) return;
    clearTimeout(this.#retry);
    this.#dead = why;
    this.#native.close(this.#handle);
    // One that dies as soon as it lives is given time.
    const young = performance.now() - this.#revivedAt < YOUNG_MS;
    if (young) this.#retry = setTimeout(() => this.#revive(why, FIRST_RETRY_MS), YOUNG_MS);
    else this.#revive(why, FIRST_RETRY_MS);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  #watch(): void {
    const { limit = this.#native.maxMessages, wipe = false } = this.#options;
    const handle = this.#handle;
    this.#native.watch(handle, limit, wipe, (records, error, writable) => {
      if (handle === this.#handle) this.#wake(records, error, writable);
    });
  }

  #step(name: string, take: (handle: NativeHandle) => void): void {
    take(this.#handle);
    this.#steps.delete(name); // the last time counts
    this.#steps.set(name, take);
  }

  #revive(why: SyscallError, delayMs: number): void {
    try {
      this.#handle = this.#open();
      for (const take of this.#steps.values()) take(this.#handle);
      this.#watch();
      this.#dead = undefined;
      this.#revivedAt = performance.now();
      this.#arm();
    } catch (error) {
      this.#native.close(this.#handle); // what was half set up
      this.#dead = error as SyscallError;
      this.#listener?.onError(this.#dead);
      this.#retry = setTimeout(() => this.#revive(why, Math.min(LONGEST_RETRY_MS, 2 * delayMs)), delayMs);
      return;
    }
    this.#options.onReopened?.(why);
  }

  /** Not under the hands of who is sending. */
  #reopenSoon(why: SyscallError): void {
    const handle = this.#handle;
    setImmediate(() => {
      if (handle === this.#handle && this.#dead === undefined) this.reopen(why);
    });
  }

  #enqueue(parts: Parts, before: SendReport): SendReport {
    const room = this.#maxQueued * 3 - this.#queue.length;
    const kept = parts.slice(0, room);
    const dropped = (parts.length - kept.length) / 3;
    append(this.#queue, kept);
    this.#arm();
    const error = before.error ?? (dropped > 0 ? sendBufferFull() : undefined);
    return { sent: before.sent, queued: kept.length / 3, dropped: before.dropped + dropped, ...(error && { error }) };
  }

  #arm(): void {
    if (this.#closed || this.#dead !== undefined) return;
    this.#native.arm(this.#handle, (this.#reading ? EPOLLIN : 0) | (this.#queue.length > 0 ? EPOLLOUT : 0));
  }

  #wake(records: Buffer[], error: SyscallError | undefined, writable: boolean): void {
    const messages = records.map((record) => decodeRecord(record, this.#native.wordBytes));
    if (messages.length > 0) this.#listener?.onMessages(messages);
    if (error !== undefined && !this.#closed) {
      this.#listener?.onError(error);
      if (isDeath(error)) return this.reopen(error);
    }
    if (writable && !this.#closed) this.#flush();
  }

  #flush(): void {
    const { next, error } = this.#native.send(this.#handle, this.#queue);
    this.#queue = this.#queue.slice(next * 3);
    this.#arm();
    if (error === undefined) return;
    this.#listener?.onError(error);
    if (isDeath(error) && !this.#closed) this.reopen(error);
  }
}

const groupName = (level: number, option: number, group: Uint8Array): string => `group ${level} ${option} ${group}`;

/** See NativeCallback. Plain octets from here on: the `slice` of a Buffer is no copy, and codecs rely on one. */
function decodeRecord({ buffer, byteOffset, byteLength }: Buffer, wordBytes: number): Message {
  const record = new Uint8Array(buffer, byteOffset, byteLength);
  const view = new DataView(buffer, byteOffset, byteLength);
  const nameAt = 16 + view.getUint32(0, LITTLE);
  const controlAt = nameAt + view.getUint32(4, LITTLE);
  const flags = view.getUint32(12, LITTLE);
  return {
    data: record.subarray(16, nameAt),
    source: decodeSocketAddress(record.subarray(nameAt, controlAt)),
    control: decodeControl(record.subarray(controlAt), wordBytes),
    truncated: (flags & (MSG_TRUNC | MSG_CTRUNC)) !== 0,
    fromErrorQueue: (flags & MSG_ERRQUEUE) !== 0,
  };
}

/**
 * ECONNABORTED: somebody has ended the socket (`ss -K`); a raw one is not given anything any more, and has forgotten its device. EBADFD: the
 * device is gone.
 */
const isDeath = (error: SyscallError): boolean =>
  error.stopped === true || error.code === "ECONNABORTED" || error.code === "EBADFD";

function sendBufferFull(): SyscallError {
  const error = new Error("EAGAIN: the send buffer and the queue are full, sendmmsg");
  return Object.assign(error, { errno: -11, code: "EAGAIN", syscall: "sendmmsg" });
}

/** The forced option ignores the system's limit and needs CAP_NET_ADMIN; without it we take what the limit allows. */
export function setBuffer(socket: Socket, forced: number, limited: number, bytes: number): void {
  try {
    socket.setOption(SOL_SOCKET, forced, bytes);
  } catch {
    socket.setOption(SOL_SOCKET, limited, bytes);
  }
}
