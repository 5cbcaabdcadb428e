/**
 * When agents are solicited (RFC 5944 §2.4): on a link on which none is heard, three times within two seconds after the link has come, and
 * after that, for as long as the node is nowhere, with intervals that double to about a minute.
 */
import { after, earliest, type Instant, seconds } from "../../../base/time.js";
import { TIMERS } from "../timers.js";
import { solicitationInterval } from "./agents.js";

interface Asked {
  /** Another count means another network, perhaps. */
  readonly carrierChanges: number | undefined;
  readonly sent: number;
  readonly at: Instant;
}

/** On a link, before the intervals double. */
const QUICK = 3;
/** By so much an interval varies around its nominal length, so that nodes of one link do not speak all at once. */
const VARIATION = 0.2;

export class Soliciting {
  #links = new Map<string, Asked>();

  get nextDeadline(): Instant | undefined {
    let next: Instant | undefined;
    for (const { at } of this.#links.values()) next = earliest(next, at);
    return next;
  }

  /** The links that can carry a question now. */
  follow(
    links: readonly { readonly name: string; readonly carrierChanges?: number | undefined }[],
    now: Instant,
  ): void {
    const before = this.#links;
    this.#links = new Map(
      links.map(({ name, carrierChanges }) => {
        const known = before.get(name);
        const same = known !== undefined && known.carrierChanges === carrierChanges;
        return [name, same ? known : { carrierChanges, sent: 0, at: now }] as const;
      }),
    );
  }

  /** The agent of the link has fallen silent, or what the node was attached to is gone: the first three come once more. */
  again(device: string, now: Instant): void {
    const asked = this.#links.get(device);
    if (asked !== undefined) this.#links.set(device, { ...asked, sent: 0, at: now });
  }

  /** Counts them as sent. `nowhere`: any agent would help. */
  due(now: Instant, random: number, needs: (device: string) => boolean, nowhere: boolean): readonly string[] {
    const devices: string[] = [];
    for (const [device, asked] of this.#links) {
      if (asked.at > now) continue;
      const asks = needs(device) && (nowhere || asked.sent < QUICK);
      const sent = asks ? asked.sent + 1 : asked.sent;
      const wait = asks ? solicitationInterval(sent) : TIMERS.maxSolicitation;
      const varied = seconds(wait * (1 - VARIATION + 2 * VARIATION * random));
      this.#links.set(device, { ...asked, sent, at: after(now, varied) });
      if (asks) devices.push(device);
    }
    return devices;
  }
}
