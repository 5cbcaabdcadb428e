/**
 * Requests and their answers over one netlink socket. Theory of operation:
 * - One exchange at a time: the kernel works a request off inside sendmsg, so a second one in flight would gain nothing (measured), while
 *   many messages in one sendmsg gain a factor of eight to ten. Exchanges queue in the order of the calls.
 * - A batch asks for an acknowledgement on its last message only. The kernel works in order and reports every error by the sequence
 *   number of its message, so when the last one is answered, all that were not refused have been accepted.
 * - A dump runs alone (the kernel allows one per socket). If the tables changed meanwhile (NLM_F_DUMP_INTR) it is repeated.
 * - An overrun (ENOBUFS) or a missing answer fails the exchange with `outcomeUnknown`: the caller looks at the kernel again.
 * Notifications belong on another socket. Knows no object kinds. The clock and the socket are given.
 */

import { MobilityError } from "../base/errors.js";
import { append } from "../base/lists.js";
import {
  NFNL_MSG_BATCH_BEGIN,
  NFNL_MSG_BATCH_END,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_MIN_TYPE,
} from "./constants.js";
import { EBADMSG, ECANCELED, EINTR, EINVAL, ENOBUFS, ETIMEDOUT } from "./errno.js";
import { decodeError, KernelError } from "./errors.js";
import { GenericFamilies } from "./generic.js";
import {
  MessagePacker,
  type NetlinkMessage,
  type NetlinkRequest,
  type ReceivedMessage,
  splitMessages,
} from "./message.js";
import type { NetlinkTransport, SetTimer } from "./transport.js";

export interface SessionOptions {
  readonly setTimer: SetTimer;
  /** Silence of the kernel for at least half as long, and at most so long, is the end of an exchange. */
  readonly timeoutMs?: number;
  /** Bounds of one sendmsg; a single larger message still goes alone. */
  readonly maxMessages?: number;
  readonly maxBytes?: number;
}

/** `error` absent: accepted. Replies: what a GET brought. */
export interface RequestOutcome {
  readonly error?: KernelError;
  readonly replies: readonly NetlinkMessage[];
}

/** Outcome of a batch that the kernel carries out whole or not at all. */
export interface TransactionOutcome {
  readonly committed: boolean;
  /** Refusals by index of the request. */
  readonly errors: ReadonlyMap<number, KernelError>;
  /** A refusal that belongs to no single request. */
  readonly failure?: KernelError;
}

export interface SessionCounters {
  /** sendmsg calls. */
  transactions: number;
  messages: number;
  dumps: number;
  dumpRestarts: number;
  errors: number;
  overruns: number;
  timeouts: number;
  /** Messages that belong to no exchange under way: late answers. */
  strays: number;
}

/** 4096 would do too; from 64 up the rate is flat, and a small batch keeps the event loop responsive. */
const MAX_MESSAGES = 512;
const MAX_BYTES = 64 * 1024;
const TIMEOUT_MS = 10_000;
/**
 * Two timers in a row: the kernel works inside sendmsg, and when that took long, the first one runs out before the answer that is
 * there already has been read.
 */
const PATIENCE = 2;
/** A table that changes during ten dumps in a row is for the caller to know. */
const MAX_DUMPS = 10;

interface Exchange {
  readonly first: number;
  readonly count: number;
  /** Takes an answer; true when it was the last. */
  receive(index: number, message: ReceivedMessage): boolean;
  readonly finish: (error?: KernelError) => void;
}

interface Outgoing {
  readonly type: number;
  readonly flags: number;
  readonly body: Uint8Array;
  readonly secret?: true;
}

export class NetlinkSession {
  readonly counters: SessionCounters = {
    transactions: 0,
    messages: 0,
    dumps: 0,
    dumpRestarts: 0,
    errors: 0,
    overruns: 0,
    timeouts: 0,
    strays: 0,
  };
  readonly #transport: NetlinkTransport;
  readonly #setTimer: SetTimer;
  readonly #timeoutMs: number;
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #families = new GenericFamilies((requests) => this.execute(requests));
  #sequence = 1;
  #current: Exchange | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(transport: NetlinkTransport, options: SessionOptions) {
    this.#transport = transport;
    this.#setTimer = options.setTimer;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#maxMessages = options.maxMessages ?? MAX_MESSAGES;
    this.#maxBytes = options.maxBytes ?? MAX_BYTES;
    transport.onDatagram((bytes) => this.#onDatagram(bytes));
    transport.onOverrun(() => this.#onOverrun());
  }

  /**
   * Sends the requests in order, in as few sendmsg calls as the bounds allow. One outcome each, in order; a refused request does not
   * stop the ones after it. Never rejects: a lost answer is an outcome too. Bodies marked secret are zeroed.
   */
  async execute(requests: readonly NetlinkRequest[]): Promise<readonly RequestOutcome[]> {
    const outcomes: RequestOutcome[] = [];
    for (const chunk of this.#chunks(requests)) append(outcomes, await this.#executeChunk(chunk));
    return outcomes;
  }

  /** All messages of a dump; throws KernelError. A dump that the kernel calls inconsistent is repeated, then EINTR. */
  async dump(request: NetlinkRequest): Promise<readonly NetlinkMessage[]> {
    const type = await this.#families.typeOf(request);
    for (let attempt = 1; ; attempt++) {
      const { messages, interrupted } = await this.#dumpOnce({
        ...request,
        type,
        flags: request.flags | NLM_F_REQUEST | NLM_F_DUMP,
      });
      if (!interrupted) return messages;
      if (attempt === MAX_DUMPS)
        throw new KernelError(EINTR, { text: `the table changed during each of ${MAX_DUMPS} dumps` });
      this.counters.dumpRestarts++;
    }
  }

  /**
   * Sends all requests as one nfnetlink batch (BEGIN … END) in one sendmsg: all or nothing. Never rejects.
   * `subsystem`: NFNL_SUBSYS_*.
   */
  async transaction(requests: readonly NetlinkRequest[], subsystem: number): Promise<TransactionOutcome> {
    const errors = new Map<number, KernelError>();
    if (requests.length === 0) return { committed: true, errors };
    const marker = Uint8Array.of(0, 0, subsystem >> 8, subsystem & 0xff); // struct nfgenmsg: family, version, res_id in network order
    const last = requests.length - 1;
    const outgoing: Outgoing[] = [
      { type: NFNL_MSG_BATCH_BEGIN, flags: NLM_F_REQUEST, body: marker },
      ...requests.map((request, i) => ({
        ...request,
        flags: request.flags | NLM_F_REQUEST | (i === last ? NLM_F_ACK : 0),
      })),
      { type: NFNL_MSG_BATCH_END, flags: NLM_F_REQUEST, body: marker },
    ];
    let failure: KernelError | undefined;
    try {
      await this.#exchange(outgoing, (index, message) => {
        if (message.type !== NLMSG_ERROR) return false;
        const error = decodeError(message);
        // The kernel reports what concerns the whole batch (commit, memory, rights) at its first message.
        if (index === 0 || index > requests.length) failure = error;
        else if (error !== undefined) errors.set(index - 1, error);
        return (index === 0 && error !== undefined) || index === requests.length;
      });
    } catch (error) {
      failure = asKernelError(error);
    }
    this.counters.errors += errors.size;
    return {
      committed: failure === undefined && errors.size === 0,
      errors,
      ...(failure === undefined ? {} : { failure }),
    };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#current?.finish(new KernelError(ECANCELED, { text: "the netlink socket was closed", outcomeUnknown: true }));
    this.#transport.close();
  }

  *#chunks(requests: readonly NetlinkRequest[]): Generator<readonly NetlinkRequest[]> {
    let start = 0;
    let bytes = 0;
    for (const [i, request] of requests.entries()) {
      const size = request.body.length + 16;
      if (i > start && (i - start >= this.#maxMessages || bytes + size > this.#maxBytes)) {
        yield requests.slice(start, i);
        start = i;
        bytes = 0;
      }
      bytes += size;
    }
    if (start < requests.length) yield requests.slice(start);
  }

  async #executeChunk(chunk: readonly NetlinkRequest[]): Promise<RequestOutcome[]> {
    const errors = new Map<number, KernelError>();
    const replies: NetlinkMessage[][] = chunk.map(() => []);
    const last = chunk.length - 1;
    let answered = 0; // requests before this one have had their chance to be refused
    try {
      const outgoing: Outgoing[] = [];
      for (const [i, request] of chunk.entries()) {
        const type = await this.#families.typeOf(request);
        outgoing.push({ ...request, type, flags: request.flags | NLM_F_REQUEST | (i === last ? NLM_F_ACK : 0) });
      }
      await this.#exchange(outgoing, (index, message) => {
        if (message.type !== NLMSG_ERROR) {
          if (message.type >= NLMSG_MIN_TYPE) replies[index]?.push(message);
          return false;
        }
        const error = decodeError(message);
        if (error !== undefined) errors.set(index, error);
        answered = index + 1;
        return index === last;
      });
      answered = chunk.length;
    } catch (error) {
      const failure = asKernelError(error);
      for (let i = answered; i <= last; i++) errors.set(i, failure);
      // An overrun may have swallowed refusals of earlier requests as well.
      if (failure.details.outcomeUnknown === true)
        for (let i = 0; i < answered; i++) if (!errors.has(i)) errors.set(i, failure);
    }
    this.counters.errors += errors.size;
    return chunk.map((_, i) => {
      const error = errors.get(i);
      return { replies: replies[i] ?? [], ...(error === undefined ? {} : { error }) };
    });
  }

  async #dumpOnce(outgoing: Outgoing): Promise<{ messages: NetlinkMessage[]; interrupted: boolean }> {
    const messages: NetlinkMessage[] = [];
    let interrupted = false;
    let failure: KernelError | undefined;
    this.counters.dumps++;
    await this.#exchange([outgoing], (_, message) => {
      if ((message.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
      if (message.type === NLMSG_DONE || message.type === NLMSG_ERROR) {
        failure = decodeError(message);
        return true;
      }
      if (message.type >= NLMSG_MIN_TYPE) messages.push(message);
      return false;
    });
    if (failure !== undefined) throw failure;
    return { messages, interrupted };
  }

  /** Resolves when `receive` has said true; rejects with KernelError. */
  #exchange(outgoing: readonly Outgoing[], receive: Exchange["receive"]): Promise<void> {
    const turn = this.#tail.then(() => this.#start(outgoing, receive));
    this.#tail = turn.catch(() => undefined); // ignored: the caller has it
    return turn;
  }

  #start(outgoing: readonly Outgoing[], receive: Exchange["receive"]): Promise<void> {
    if (this.#closed) return Promise.reject(new KernelError(ECANCELED, { text: "the netlink socket is closed" }));
    return new Promise((resolve, reject) => {
      if (this.#sequence + outgoing.length > 0xffffffff) this.#sequence = 1; // 0 stands for "nobody's request"
      const first = this.#sequence;
      this.#sequence += outgoing.length;
      let patience = PATIENCE;
      let cancel = (): void => undefined;
      const wait = (): void => {
        cancel = this.#setTimer(this.#timeoutMs / PATIENCE, () => {
          if (--patience > 0) return wait();
          this.counters.timeouts++;
          finish(new KernelError(ETIMEDOUT, { text: `no answer within ${this.#timeoutMs} ms`, outcomeUnknown: true }));
        });
      };
      const finish = (error?: KernelError): void => {
        if (this.#current?.first !== first) return;
        this.#current = undefined;
        cancel();
        if (error === undefined) resolve();
        else reject(error);
      };
      const heard: Exchange["receive"] = (index, message) => {
        patience = PATIENCE;
        return receive(index, message);
      };
      this.#current = { first, count: outgoing.length, receive: heard, finish };
      try {
        this.#send(outgoing, first);
        if (this.#current?.first === first) wait();
      } catch (error) {
        finish(asKernelError(error));
      }
    });
  }

  #send(outgoing: readonly Outgoing[], first: number): void {
    const packer = new MessagePacker(outgoing.reduce((sum, { body }) => sum + body.length + 19, 0));
    const secret = outgoing.some((message) => message.secret === true);
    try {
      outgoing.forEach((message, i) => {
        packer.append({ ...message, sequence: first + i, port: this.#transport.portId ?? 0 });
      });
      this.counters.transactions++;
      this.counters.messages += outgoing.length;
      this.#transport.send(packer.bytes());
    } finally {
      if (secret) {
        packer.wipe();
        for (const message of outgoing) if (message.secret === true) message.body.fill(0);
      }
    }
  }

  #onDatagram(bytes: Uint8Array): void {
    let messages: ReceivedMessage[];
    try {
      messages = splitMessages(bytes);
      for (const message of messages) this.#onMessage(message);
    } catch (error) {
      this.#current?.finish(
        new KernelError(
          EBADMSG,
          { text: "an answer that is no netlink message", outcomeUnknown: true },
          { cause: error },
        ),
      );
    }
  }

  #onMessage(message: ReceivedMessage): void {
    const exchange = this.#current;
    const index = exchange === undefined ? -1 : message.sequence - exchange.first;
    if (exchange === undefined || index < 0 || index >= exchange.count) {
      this.counters.strays++;
      return;
    }
    if (exchange.receive(index, message)) exchange.finish();
  }

  #onOverrun(): void {
    this.counters.overruns++;
    this.#current?.finish(new KernelError(ENOBUFS, { text: "answers of the kernel were lost", outcomeUnknown: true }));
  }
}

/** The addon's errors carry the number as `errno`; a wrong value of ours (EncodeError) becomes EINVAL with its text. */
function asKernelError(error: unknown): KernelError {
  if (error instanceof KernelError) return error;
  const errno =
    error instanceof Error && "errno" in error && typeof error.errno === "number" ? Math.abs(error.errno) : EINVAL;
  if (error instanceof MobilityError && error.cause instanceof KernelError) return error.cause.because(error.message);
  const text = error instanceof MobilityError ? error.message : undefined;
  return new KernelError(errno, text === undefined ? {} : { text }, { cause: error });
}
