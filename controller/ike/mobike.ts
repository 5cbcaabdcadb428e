/**
 * Which connections have an IKE SA with MOBIKE (RFC 4555): charon shows it nowhere but in its log, at the exchange in which it was agreed.
 * What was agreed before we listened is not known, and counts as not agreed. Renewal of an IKE SA keeps it.
 */
import { encodeMessage, type ViciSection } from "../vici/message.js";
import { isYes, numberAt, sectionsOf, textAt } from "../vici/section.js";

/** Beside what is listened to anyway. */
export const MOBIKE_EVENTS: readonly string[] = ["log", "ike-updown"];
/** charon's words (ike_mobike.c); where our own side has it switched off there are more. */
const AGREED = "peer supports MOBIKE";
/** charon writes the text last. */
const AGREED_OCTETS = encodeMessage({ msg: AGREED });
/** IKE SAs that have agreed and are not up yet, at least; half-open ones that come to nothing must not pile up. */
const CAPACITY = 4096;

/** Of a `log` event, before it is decoded: a flood of other lines must not hide these. */
export function isAgreement(message: Uint8Array): boolean {
  const start = message.length - AGREED_OCTETS.length;
  return start >= 0 && AGREED_OCTETS.every((octet, at) => message[start + at] === octet);
}

export class MobikeTable {
  /** By charon's number of the IKE SA: until it is up it may have no name. */
  readonly #agreed = new Set<number>();
  /** Which connection's it is, when it is up: the log may come late. */
  readonly #up = new Map<number, string>();
  /** The number of each connection's latest. */
  readonly #latest = new Map<string, number>();
  readonly #connections = new Set<string>();
  readonly #capacity: number;

  /** `subscribers`: so many may come up at once. */
  constructor(subscribers = 0) {
    this.#capacity = CAPACITY + subscribers;
  }

  /** One event. Returns a connection of which something else is known now. */
  hear(name: string, event: ViciSection): string | undefined {
    if (name === "log") {
      const id = textAt(event, "msg") === AGREED ? numberAt(event, "ikesa-uniqueid") : undefined;
      return id === undefined ? undefined : this.#agree(id);
    }
    const [sa] = name === "ike-updown" ? sectionsOf(event) : [];
    const id = sa && numberAt(sa[1], "uniqueid");
    if (sa === undefined || id === undefined) return undefined;
    if (isYes(event, "up")) return this.#cameUp(sa[0], id);
    this.#up.delete(id);
    return undefined;
  }

  has(connection: string): boolean {
    return this.#connections.has(connection);
  }

  /** The IKE daemon is gone: it moves nothing any more, and another one counts anew. Returns the connections that had MOBIKE. */
  clear(): readonly string[] {
    const had = [...this.#connections];
    for (const known of [this.#agreed, this.#up, this.#latest, this.#connections]) known.clear();
    return had;
  }

  #agree(id: number): string | undefined {
    const connection = this.#up.get(id);
    if (connection !== undefined) {
      this.#connections.add(connection);
      return connection;
    }
    if (this.#agreed.size >= this.#capacity) this.#forgetOldest();
    this.#agreed.add(id);
    return undefined;
  }

  #forgetOldest(): void {
    for (const oldest of this.#agreed) {
      this.#agreed.delete(oldest);
      return;
    }
  }

  #cameUp(connection: string, id: number): string {
    if (this.#agreed.delete(id)) this.#connections.add(connection);
    else this.#connections.delete(connection);
    this.#up.delete(this.#latest.get(connection) ?? id);
    this.#up.set(id, connection);
    this.#latest.set(connection, id);
    return connection;
  }
}
