/**
 * A netlink socket whose kernel is a function: it is given each message as it was sent and says what comes back. Multipart answers come
 * in several datagrams on purpose, with a boundary between any two messages.
 */
import { AttributeWriter, LITTLE } from "../../controller/netlink/attribute.js";
import {
  NLM_F_ACK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSGERR_ATTR_MSG,
  NLMSGERR_ATTR_OFFS,
} from "../../controller/netlink/constants.js";
import { encodeMessage, type ReceivedMessage, splitMessages } from "../../controller/netlink/message.js";
import type { NetlinkTransport, SetTimer } from "../../controller/netlink/transport.js";

export interface Answer {
  /** Positive; the request is refused. */
  readonly errno?: number;
  readonly text?: string;
  readonly offset?: number;
  readonly replies?: readonly { readonly type: number; readonly flags?: number; readonly body: Uint8Array }[];
  /** The replies are a dump: multipart, closed by NLMSG_DONE, which carries `errno` if there is one. */
  readonly dump?: boolean;
  /** Nothing comes back, not even an acknowledgement. */
  readonly silent?: boolean;
  /** ENOBUFS in the place of everything. */
  readonly overrun?: boolean;
}

export interface Announcement {
  readonly type: number;
  readonly flags?: number;
  /** nlmsg_pid: of whose doing it tells. */
  readonly port?: number;
  readonly body: Uint8Array;
}

export type FakeKernel = (message: ReceivedMessage) => Answer;

export class FakeNetlink implements NetlinkTransport {
  /** Each sendmsg with its messages. */
  readonly sent: ReceivedMessage[][] = [];
  readonly portId = 4711;
  closed = false;
  /** Thrown by the next send. */
  failure: Error | undefined;
  readonly #kernel: FakeKernel;
  #datagram: (bytes: Uint8Array) => void = () => undefined;
  #overrun: () => void = () => undefined;

  constructor(kernel: FakeKernel = () => ({})) {
    this.#kernel = kernel;
  }

  send(bytes: Uint8Array): void {
    if (this.failure !== undefined) throw this.failure;
    const messages = splitMessages(bytes);
    this.sent.push(messages);
    // The kernel has worked on all of it when sendmsg returns; the answers are read later.
    const answers = messages.map((message) => ({ message, answer: this.#kernel(message) }));
    queueMicrotask(() => {
      for (const { message, answer } of answers) this.#answer(message, answer);
    });
  }

  onDatagram(listener: (bytes: Uint8Array) => void): void {
    this.#datagram = listener;
  }

  onOverrun(listener: () => void): void {
    this.#overrun = listener;
  }

  close(): void {
    this.closed = true;
  }

  /** An announcement, in a buffer that is overwritten after the call, as a real one is. */
  announce(...messages: readonly Announcement[]): void {
    this.deliver(
      concat(
        messages.map(({ type, flags = 0, port = 0, body }) => {
          const bytes = encodeMessage({ type, flags, sequence: 0, body });
          new DataView(bytes.buffer, bytes.byteOffset).setUint32(12, port, LITTLE);
          return bytes;
        }),
      ),
    );
  }

  deliver(datagram: Uint8Array): void {
    const buffer = datagram.slice();
    this.#datagram(buffer);
    buffer.fill(0xee);
  }

  overrun(): void {
    this.#overrun();
  }

  #answer(message: ReceivedMessage, answer: Answer): void {
    const { sequence } = message;
    if (answer.overrun === true) this.overrun();
    if (answer.silent === true || answer.overrun === true) return;
    const flags = answer.dump === true ? NLM_F_MULTI : 0;
    for (const reply of answer.replies ?? []) {
      this.deliver(encodeMessage({ type: reply.type, flags: flags | (reply.flags ?? 0), sequence, body: reply.body }));
    }
    if (answer.dump === true) this.deliver(doneMessage(sequence, answer));
    else if (answer.errno !== undefined || (message.flags & NLM_F_ACK) !== 0)
      this.deliver(errorMessage(message, answer));
  }
}

/** NLMSG_ERROR as the kernel writes it with NETLINK_CAP_ACK and NETLINK_EXT_ACK on. */
export function errorMessage(request: ReceivedMessage, answer: Answer): Uint8Array {
  const body = new AttributeWriter()
    .raw(errnoBytes(answer.errno ?? 0))
    .raw(encodeMessage({ ...request, body: new Uint8Array(0) }));
  const flags = NLM_F_CAPPED | (writeExtended(body, answer) ? NLM_F_ACK_TLVS : 0);
  return encodeMessage({ type: NLMSG_ERROR, flags, sequence: request.sequence, body: body.finish() });
}

function doneMessage(sequence: number, answer: Answer): Uint8Array {
  const body = new AttributeWriter().raw(errnoBytes(answer.errno ?? 0));
  const flags = NLM_F_MULTI | (writeExtended(body, answer) ? NLM_F_ACK_TLVS : 0);
  return encodeMessage({ type: NLMSG_DONE, flags, sequence, body: body.finish() });
}

function writeExtended(body: AttributeWriter, { text, offset }: Answer): boolean {
  if (text !== undefined) body.string(NLMSGERR_ATTR_MSG, text);
  if (offset !== undefined) body.u32(NLMSGERR_ATTR_OFFS, offset);
  return text !== undefined || offset !== undefined;
}

function errnoBytes(errno: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, -errno, LITTLE);
  return bytes;
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A clock that only moves when it is told to. */
export class FakeTimers {
  readonly pending = new Set<{ readonly delayMs: number; readonly callback: () => void }>();

  readonly set: SetTimer = (delayMs, callback) => {
    const entry = { delayMs, callback };
    this.pending.add(entry);
    return () => this.pending.delete(entry);
  };

  /** Lets everything that waits run out, and what is waited for because of that. */
  expire(): void {
    for (;;) {
      const [entry] = this.pending;
      if (entry === undefined) return;
      this.pending.delete(entry);
      entry.callback();
    }
  }

  /** Lets only what waits now run out. */
  tick(): void {
    for (const entry of [...this.pending]) {
      this.pending.delete(entry);
      entry.callback();
    }
  }
}
