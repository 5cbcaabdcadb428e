/**
 * A socket over the addon: batches in both directions, errors as events. It knows no protocol; the classes beside it give sockets
 * of one kind their options and their meaning.
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
  /** The socket goes on unless `error.stopped`. ENOBUFS of a netlink socket: messages were lost. Also for messages that were queued. */
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
  /** The addon's receive buffer is zeroed after each delivery, for messages that hold keys. The delivered octets are the listener's care. */
  readonly wipe?: boolean;
}

export interface SocketOptions extends ChannelOptions {
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
}

type Parts = (Uint8Array | undefined)[];

/** Whoever opens it closes it: until then it is not collected. It keeps the process running only while it listens. */
export class Socket {
  readonly #native: Native = native();
  readonly #handle: NativeHandle;
  readonly #maxQueued: number;
  #queue: Parts = [];
  #listener: SocketListener | undefined;
  #reading = false;
  #closed = false;

  /** Throws SyscallError: EPERM without CAP_NET_RAW for raw and packet sockets, EPROTONOSUPPORT for what the kernel was built without. */
  static open(options: SocketOptions): Socket {
    return new Socket(native().open(options.family, options.type, options.protocol, options.netns), options);
  }

  /** Takes the handle over. */
  constructor(handle: NativeHandle, options: ChannelOptions) {
    this.#handle = handle;
    this.#maxQueued = options.maxQueued ?? 1024;
    const { limit = this.#native.maxMessages, wipe = false } = options;
    try {
      this.#native.watch(handle, limit, wipe, (records, error, writable) => this.#wake(records, error, writable));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  setOption(level: number, name: number, value: number | Uint8Array): void {
    this.#native.setsockopt(this.#handle, level, name, value);
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
    this.#native.bind(this.#handle, encodeSocketAddress(address));
  }

  connect(address: SocketAddress): void {
    this.#native.connect(this.#handle, encodeSocketAddress(address));
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
    // What is queued already goes first.
    if (this.#queue.length > 0) return this.#enqueue(parts, { sent: 0, queued: 0, dropped: 0 });
    const { sent, next, error } = this.#native.send(this.#handle, parts);
    const report = { sent, queued: 0, dropped: next - sent, ...(error && { error }) };
    return next === messages.length ? report : this.#enqueue(parts.slice(next * 3), report);
  }

  /** May be called twice and from inside any callback; no callback comes after it. Queued messages are dropped. */
  close(): void {
    this.#closed = true;
    this.#queue = [];
    this.#native.close(this.#handle);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
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
    if (this.#closed) return;
    this.#native.arm(this.#handle, (this.#reading ? EPOLLIN : 0) | (this.#queue.length > 0 ? EPOLLOUT : 0));
  }

  #wake(records: Buffer[], error: SyscallError | undefined, writable: boolean): void {
    const messages = records.map((record) => decodeRecord(record, this.#native.wordBytes));
    if (messages.length > 0) this.#listener?.onMessages(messages);
    if (error !== undefined && !this.#closed) this.#listener?.onError(error);
    if (writable && !this.#closed) this.#flush();
  }

  #flush(): void {
    const { next, error } = this.#native.send(this.#handle, this.#queue);
    this.#queue = this.#queue.slice(next * 3);
    this.#arm();
    if (error !== undefined) this.#listener?.onError(error);
  }
}

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
