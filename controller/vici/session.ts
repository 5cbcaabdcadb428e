/**
 * Commands and their answers over one connection to charon. Theory of operation:
 * - VICI has no sequence numbers: an answer belongs to the one request that has none yet. So one exchange is under way at a time, and
 *   the others wait in the order of the calls. A streamed command is three exchanges that nothing comes between: register, ask, unregister.
 * - After a time-out an answer could be taken for the next one's, so the connection is closed. The same holds after octets that are no
 *   packet and after an answer that nobody waits for. The owner opens a new one.
 * - A packet whose message cannot be read fails what it is a part of, and the connection goes on: the packets around it are sound.
 * - Events may come at any time, also before the confirmation of their registration: charon confirms after it has begun.
 * Every request's buffer is zeroed once it is out: it may have held a Secret. The transport and the clock are given.
 */
import { DecodeError } from "../base/errors.js";
import type { SetTimer } from "../netlink/transport.js";
import { missing, unreadable, ViciError, type ViciErrorDetails } from "./errors.js";
import { decodeMessage, type ViciSection } from "./message.js";
import { decodePacket, encodePacket, PacketReader, type ViciPacket } from "./packet.js";
import { textAt } from "./section.js";
import type { ViciTransport } from "./transport.js";

export interface CommandOptions {
  /** Silence of charon for at most so long, and hardly less, after the command was sent is the end of the connection. */
  readonly timeoutMs?: number;
}

export interface StreamOptions extends CommandOptions {
  /** Takes each message as it comes, also those of a command that is refused in the end. Must not throw. */
  readonly onMessage?: (message: ViciSection) => void;
}

export interface ViciSessionOptions extends CommandOptions {
  readonly setTimer: SetTimer;
  /** Events that nobody needs, by their octets: they are not decoded. */
  readonly isNoise?: (event: string, message: Uint8Array) => boolean;
  /** No sign of an answer yet; once for each command. Must not throw. */
  readonly onSilence?: (command: string, afterMs: number) => void;
}

export interface ViciCounters {
  requests: number;
  /** Answers that said no. */
  refusals: number;
  events: number;
  /** Events that nobody had asked for, or none any more. */
  strays: number;
  /** Events whose message could not be read. */
  malformed: number;
  timeouts: number;
}

/**
 * Long, because to hang up helps nobody: an overloaded charon goes on with the command, and loses what it was told by the connection; one
 * that has gone closes the connection itself, at once. charon 5.9 holds up `terminate` and `list-sas` while other IKE SAs are at work,
 * two seconds for each wrong EAP password alone.
 */
export const ANSWER_MS = 60_000;
/** Timers in a row: when our own process was busy, one runs out before the answer that is there already has been read. */
const PATIENCE = 6;

type Answer = ViciPacket<Uint8Array>;
type Request = Extract<ViciPacket<ViciSection>, { readonly name: string }>;

interface Exchange {
  readonly name: string;
  readonly expected: readonly Answer["type"][];
  readonly finish: (answer: Answer | ViciError) => void;
  /** Something of it came: the time begins anew. */
  readonly heard: () => void;
}

/** What a streamed command has brought so far. */
interface Collection {
  readonly event: string;
  readonly messages: ViciSection[];
  readonly onMessage: StreamOptions["onMessage"];
  failure?: DecodeError;
}

export class ViciSession {
  readonly counters: ViciCounters = { requests: 0, refusals: 0, events: 0, strays: 0, malformed: 0, timeouts: 0 };
  readonly #transport: ViciTransport;
  readonly #setTimer: SetTimer;
  readonly #timeoutMs: number;
  readonly #onSilence: NonNullable<ViciSessionOptions["onSilence"]>;
  readonly #isNoise: NonNullable<ViciSessionOptions["isNoise"]>;
  readonly #reader = new PacketReader();
  readonly #registered = new Set<string>();
  #onEvent: (name: string, message: ViciSection) => void = () => undefined;
  #onClose: (error: ViciError) => void = () => undefined;
  #current: Exchange | undefined;
  #collection: Collection | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  /** Why the connection is no more. */
  #end: ViciError | undefined;

  constructor(transport: ViciTransport, options: ViciSessionOptions) {
    this.#transport = transport;
    this.#setTimer = options.setTimer;
    this.#timeoutMs = options.timeoutMs ?? ANSWER_MS;
    this.#onSilence = options.onSilence ?? (() => undefined);
    this.#isNoise = options.isNoise ?? (() => false);
    transport.onClose((error) => this.#lose(error));
    transport.onData((bytes) => this.#onData(bytes));
  }

  /** Takes the events that were registered, in their order. Must not throw. */
  onEvent(listener: (name: string, message: ViciSection) => void): void {
    this.#onEvent = listener;
  }

  /** Called once when the connection ends by other means than close(); all that waited for an answer is rejected then. */
  onClose(listener: (error: ViciError) => void): void {
    this.#onClose = listener;
  }

  /** charon's answer. Rejects with ViciError, also when the answer says `success = no`, and with EncodeError before anything is sent. */
  command(name: string, section: ViciSection = {}, options: CommandOptions = {}): Promise<ViciSection> {
    return this.#turn(() => this.#ask(name, section, options));
  }

  /** The messages of the events that charon sends in the course of the command, in order. Rejects as `command` does. */
  stream(
    name: string,
    section: ViciSection,
    event: string,
    options: StreamOptions = {},
  ): Promise<readonly ViciSection[]> {
    return this.#turn(async () => {
      const collection: Collection = { event, messages: [], onMessage: options.onMessage };
      await this.#register("register", event);
      this.#collection = collection;
      try {
        await this.#ask(name, section, options);
      } finally {
        this.#collection = undefined;
        if (this.#end === undefined) await this.#register("unregister", event);
      }
      if (collection.failure !== undefined)
        throw unreadable(`an event of ${name}`, { command: name }, collection.failure);
      return collection.messages;
    });
  }

  /** From now on events of that name go to the listener. Rejects with ViciError `unknown-event`. */
  register(event: string): Promise<void> {
    return this.#turn(async () => {
      this.#registered.add(event);
      try {
        await this.#register("register", event);
      } catch (error) {
        this.#registered.delete(event);
        throw error;
      }
    });
  }

  unregister(event: string): Promise<void> {
    return this.#turn(async () => {
      await this.#register("unregister", event);
      this.#registered.delete(event);
    });
  }

  close(): void {
    if (this.#end === undefined) this.#finish(new ViciError("the connection to charon was closed", { reason: "lost" }));
  }

  #turn<T>(job: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(job);
    this.#tail = turn.catch(() => undefined); // ignored: the caller has it
    return turn;
  }

  async #ask(name: string, message: ViciSection, options: CommandOptions): Promise<ViciSection> {
    const expected: Answer["type"][] = ["response", "unknown-command"];
    const answer = await this.#exchange({ type: "request", name, message }, expected, options);
    if (answer.type !== "response")
      throw new ViciError(`charon knows no command "${name}"`, { reason: "unknown-command", command: name });
    const response = this.#read(name, answer.message);
    if (textAt(response, "success") !== "no") return response;
    this.counters.refusals++;
    const errmsg = textAt(response, "errmsg");
    const details: ViciErrorDetails = { reason: "refused", command: name };
    if (errmsg === undefined) throw new ViciError(`charon refused ${name} and gave no reason`, details);
    throw new ViciError(`charon refused ${name}: ${errmsg}`, { ...details, errmsg });
  }

  async #register(type: "register" | "unregister", name: string): Promise<void> {
    const answer = await this.#exchange({ type, name }, ["confirm", "unknown-event"], {});
    if (answer.type !== "unknown-event") return;
    throw new ViciError(`charon knows no event "${name}"`, { reason: "unknown-event", command: name });
  }

  #read(name: string, message: Uint8Array): ViciSection {
    try {
      return decodeMessage(message);
    } catch (error) {
      throw unreadable(`charon's answer to ${name}`, { command: name, outcomeUnknown: true }, error);
    }
  }

  #exchange(request: Request, expected: Exchange["expected"], { timeoutMs }: CommandOptions): Promise<Answer> {
    const { name } = request;
    const limit = timeoutMs ?? this.#timeoutMs;
    return new Promise((resolve, reject) => {
      if (this.#end !== undefined) return reject(missing(name, "was not sent", this.#end));
      const bytes = encodePacket(request);
      let [patience, told] = [PATIENCE, false];
      let cancel = (): void => undefined;
      const wait = (): void => {
        cancel = this.#setTimer(limit / PATIENCE, () => {
          if (--patience === 0) return this.#giveUp(name, limit);
          wait();
          if (!told) this.#onSilence(name, limit / PATIENCE);
          told = true;
        });
      };
      const finish = (answer: Answer | ViciError): void => {
        cancel();
        this.#current = undefined;
        if (answer instanceof ViciError) reject(missing(name, "was not answered", answer, true));
        else resolve(answer);
      };
      const heard = (): void => {
        patience = PATIENCE;
      };
      this.#current = { name, expected, finish, heard };
      this.counters.requests++;
      wait();
      this.#transport.write(bytes, () => bytes.fill(0));
    });
  }

  #giveUp(command: string, limit: number): void {
    this.counters.timeouts++;
    this.#fail(new ViciError(`charon did not answer ${command} within ${limit} ms`, { reason: "timeout", command }));
  }

  #onData(bytes: Uint8Array): void {
    if (this.#end !== undefined) return;
    try {
      this.#reader.feed(bytes, (octets) => {
        if (this.#end === undefined) this.#onPacket(decodePacket(octets));
      });
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error; // a listener's
      this.#fail(unreadable("what charon sent", {}, error));
    }
  }

  #onPacket(packet: Answer): void {
    if (packet.type === "event") return this.#deliver(packet.name, packet.message);
    const exchange = this.#current;
    if (exchange?.expected.includes(packet.type)) return exchange.finish(packet);
    const waiting = exchange === undefined ? "nothing was asked" : `${exchange.name} was asked`;
    this.#fail(new ViciError(`charon answered "${packet.type}" when ${waiting}`, { reason: "malformed" }));
  }

  #deliver(name: string, octets: Uint8Array): void {
    const collection = this.#collection?.event === name ? this.#collection : undefined;
    if (collection === undefined && !this.#registered.has(name)) {
      this.counters.strays++;
      return;
    }
    if (this.#isNoise(name, octets)) return;
    let message: ViciSection;
    try {
      message = decodeMessage(octets);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.counters.malformed++;
      if (collection !== undefined) collection.failure = error;
      return;
    }
    this.counters.events++;
    if (collection === undefined) return this.#onEvent(name, message);
    collection.messages.push(message);
    collection.onMessage?.(message);
    this.#current?.heard();
  }

  #lose(cause: Error | undefined): void {
    const why = cause === undefined ? "charon closed it" : cause.message;
    this.#fail(new ViciError(`the connection to charon was lost: ${why}`, { reason: "lost" }, { cause }));
  }

  #fail(error: ViciError): void {
    if (this.#end !== undefined) return;
    this.#finish(error);
    this.#onClose(error);
  }

  #finish(error: ViciError): void {
    this.#end = error;
    this.#transport.close();
    this.#current?.finish(error);
  }
}
