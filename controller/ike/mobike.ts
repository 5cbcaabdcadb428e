/**
 * Which connections have an IKE SA with MOBIKE (RFC 4555): charon shows it nowhere but in its log, at the exchange in which it was agreed.
 * What was agreed before we listened is not known, and counts as not agreed. Renewal of an IKE SA keeps it.
 */
import type { ViciSection } from "../vici/message.js";
import { isYes, numberAt, sectionsOf, textAt } from "../vici/section.js";

/** Beside what is listened to anyway. */
export const MOBIKE_EVENTS: readonly string[] = ["log", "ike-updown"];
/** charon's words (ike_mobike.c); where our own side has it switched off there are more. */
const AGREED = "peer supports MOBIKE";
/** IKE SAs that have agreed and are not up yet; half-open ones that come to nothing must not pile up. */
const CAPACITY = 4096;

export class MobikeTable {
  /** By charon's number of the IKE SA: until it is up it may have no name. */
  readonly #agreed = new Set<number>();
  readonly #connections = new Set<string>();

  /** One event. Returns the connection whose IKE SA has just come up, and whether it has MOBIKE. */
  hear(name: string, event: ViciSection): { readonly connection: string; readonly mobike: boolean } | undefined {
    if (name === "log") {
      const id = textAt(event, "msg") === AGREED ? numberAt(event, "ikesa-uniqueid") : undefined;
      if (id !== undefined) this.#remember(id);
      return undefined;
    }
    if (name !== "ike-updown" || !isYes(event, "up")) return undefined;
    for (const [connection, sa] of sectionsOf(event)) {
      const id = numberAt(sa, "uniqueid");
      const mobike = id !== undefined && this.#agreed.delete(id);
      if (mobike) this.#connections.add(connection);
      else this.#connections.delete(connection);
      return { connection, mobike };
    }
    return undefined;
  }

  has(connection: string): boolean {
    return this.#connections.has(connection);
  }

  /** The IKE daemon is another one. */
  clear(): void {
    this.#agreed.clear();
    this.#connections.clear();
  }

  #remember(id: number): void {
    if (this.#agreed.size === CAPACITY) for (const oldest of [...this.#agreed].slice(0, 1)) this.#agreed.delete(oldest);
    this.#agreed.add(id);
  }
}
