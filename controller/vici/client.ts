/**
 * charon, as long as the daemon lives: connects, connects again after charon went away, and tells its owner.
 * - Two connections: commands on one, events on the other, so that a command that takes long holds no event up. An event that a command
 *   causes may therefore come before or after its answer.
 * - Both stand or none does: whatever ends one ends the other, and charon has forgotten what was loaded when it comes back.
 * - Events that come while the connections are being made are kept and follow onUp in their order; none of a former charon follow.
 * `log` events are safe to ask for: charon gives them to VICI only at level 1, where it shows no keys. Nothing of a message is logged here.
 */
import { MobilityError } from "../base/errors.js";
import type { SetTimer } from "../netlink/transport.js";
import { ViciError } from "./errors.js";
import type { ViciSection } from "./message.js";
import { type CommandOptions, type StreamOptions, ViciSession } from "./session.js";
import type { ViciTransport } from "./transport.js";

export interface ViciListener {
  /**
   * Both connections stand and the events are registered; commands work from now on. charon may be a new one that knows nothing: the
   * owner loads all it needs. Events come once the call has returned, also while its promise is under way. If it throws or rejects,
   * the client goes down with that error and tries again.
   */
  onUp(): void | Promise<void>;
  /** charon is not there (any more). Called again while it is away whenever the reason changes. Must not throw. */
  onDown(error: MobilityError): void;
  /** charon has not answered a command so far; it is waited for. Must not throw. */
  onSilence?(command: string, afterMs: number): void;
  /** One event that was asked for, in charon's order. Must not throw. */
  onEvent(name: string, message: ViciSection): void;
}

export interface ViciClientOptions {
  /** Opens one connection; rejects with a MobilityError whose sentence says what is missing and what brings it. */
  readonly connect: () => Promise<ViciTransport>;
  readonly setTimer: SetTimer;
  readonly listener: ViciListener;
  /** Events to register; a charon that lacks one is not used, and onDown names the event. */
  readonly events?: readonly string[];
  /** Events that are registered where charon knows them; `missingEvents` has the others. */
  readonly optionalEvents?: readonly string[];
  /** Events that nobody needs, by their octets: they are not decoded. */
  readonly isNoise?: (event: string, message: Uint8Array) => boolean;
  /** Of commands without a time of their own; see CommandOptions. */
  readonly timeoutMs?: number;
  /** The wait after the first failure in a row; it doubles up to `maxBackoffMs`. */
  readonly backoffMs?: number;
  readonly maxBackoffMs?: number;
}

const BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;

/** The two connections of one connect, and what came over them too early. */
interface Link {
  readonly sessions: ViciSession[];
  early: (readonly [name: string, message: ViciSection])[] | undefined;
}

export class ViciClient {
  readonly #options: ViciClientOptions;
  #link: Link | undefined;
  /** For commands; there while charon is up. */
  #commands: ViciSession | undefined;
  #missingEvents: readonly string[] = [];
  #backoffMs: number;
  #cancelRetry = (): void => undefined;
  #started = false;
  #closed = false;
  #reason: MobilityError | undefined;

  constructor(options: ViciClientOptions) {
    this.#options = options;
    this.#backoffMs = options.backoffMs ?? BACKOFF_MS;
  }

  get up(): boolean {
    return this.#commands !== undefined;
  }

  /** The optional events that the present charon lacks. */
  get missingEvents(): readonly string[] {
    return this.#missingEvents;
  }

  /** Connects, now and whenever it has to until close(). */
  start(): void {
    if (this.#started || this.#closed) return;
    this.#started = true;
    void this.#connect();
  }

  /** See ViciSession.command; rejects at once with ViciError `down` when charon is not there. */
  command(name: string, section: ViciSection = {}, options: CommandOptions = {}): Promise<ViciSection> {
    return this.#commands?.command(name, section, options) ?? Promise.reject(this.#notThere(name));
  }

  /** See ViciSession.stream; rejects at once with ViciError `down` when charon is not there. */
  stream(
    name: string,
    section: ViciSection,
    event: string,
    options: StreamOptions = {},
  ): Promise<readonly ViciSection[]> {
    return this.#commands?.stream(name, section, event, options) ?? Promise.reject(this.#notThere(name));
  }

  /** Events of that name come no more, or come again, until the connection ends; charon writes none meanwhile. Rejects with ViciError. */
  async listen(event: string, on: boolean): Promise<void> {
    const events = this.#link?.sessions[1];
    if (events === undefined || !this.up) throw this.#notThere(on ? "register" : "unregister");
    await (on ? events.register(event) : events.unregister(event));
  }

  /** Ends everything; the listener hears nothing more. */
  close(): void {
    this.#closed = true;
    this.#reason = new ViciError("the client was closed", { reason: "down" });
    this.#cancelRetry();
    if (this.#link !== undefined) this.#drop(this.#link);
  }

  async #connect(): Promise<void> {
    const { connect, listener } = this.#options;
    const link: Link = { sessions: [], early: [] };
    this.#link = link;
    try {
      const commands = this.#open(link, await connect());
      const events = this.#open(link, await connect());
      events.onEvent((name, message) => this.#onEvent(link, name, message));
      const missing = await this.#register(events);
      if (this.#link !== link) return; // it was closed meanwhile
      this.#missingEvents = missing;
      this.#commands = commands;
      this.#reason = undefined;
      const loaded = listener.onUp();
      this.#release(link);
      await loaded;
      if (this.#link === link) this.#backoffMs = this.#options.backoffMs ?? BACKOFF_MS;
    } catch (error) {
      this.#fail(link, error);
    }
  }

  /** A session over a new connection, unless the link has ended while it was being made. */
  #open(link: Link, transport: ViciTransport): ViciSession {
    const { setTimer, timeoutMs, isNoise, listener } = this.#options;
    const session = new ViciSession(transport, {
      setTimer,
      onSilence: (command, afterMs) => listener.onSilence?.(command, afterMs),
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(isNoise !== undefined && { isNoise }),
    });
    session.onClose((error) => this.#fail(link, error));
    link.sessions.push(session);
    if (this.#link !== link) session.close();
    return session;
  }

  /** Registers all events and returns the optional ones that charon lacks. */
  async #register(session: ViciSession): Promise<readonly string[]> {
    const { events = [], optionalEvents = [] } = this.#options;
    for (const event of events) await session.register(event);
    const missing: string[] = [];
    for (const event of optionalEvents) {
      try {
        await session.register(event);
      } catch (error) {
        if (!(error instanceof ViciError) || error.details.reason !== "unknown-event") throw error;
        missing.push(event);
      }
    }
    return missing;
  }

  #onEvent(link: Link, name: string, message: ViciSection): void {
    if (this.#link !== link) return;
    if (link.early === undefined) this.#options.listener.onEvent(name, message);
    else link.early.push([name, message]);
  }

  #release(link: Link): void {
    const early = link.early ?? [];
    link.early = undefined;
    for (const [name, message] of early) this.#onEvent(link, name, message);
  }

  #fail(link: Link, cause: unknown): void {
    if (this.#link !== link) return;
    this.#drop(link);
    const delayMs = this.#backoffMs;
    this.#backoffMs = Math.min(delayMs * 2, this.#options.maxBackoffMs ?? MAX_BACKOFF_MS);
    this.#cancelRetry = this.#options.setTimer(delayMs, () => void this.#connect());
    const reason = asMobilityError(cause);
    const known = this.#reason?.message === reason.message;
    this.#reason = reason;
    if (!known) this.#options.listener.onDown(reason);
  }

  #drop(link: Link): void {
    this.#link = undefined;
    this.#commands = undefined;
    for (const session of link.sessions) session.close();
  }

  #notThere(command: string): ViciError {
    const why = this.#reason?.message ?? "the first connection is still being made";
    const lost = this.#reason instanceof ViciError && this.#reason.details.reason === "lost";
    const what = lost ? `${why}; start it: systemctl start strongswan` : why; // a MissingError says so itself
    return new ViciError(`charon is not there: ${what}`, { reason: "down", command }, { cause: this.#reason });
  }
}

function asMobilityError(error: unknown): MobilityError {
  if (error instanceof MobilityError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new ViciError(`what charon needs could not be loaded: ${text}`, { reason: "owner" }, { cause: error });
}
