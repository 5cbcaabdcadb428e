/**
 * What key managers do to the kernel's security associations, and what the kernel asks of them: the associations that the IKE daemon has
 * negotiated (their keys are what ours are made from), packets that found none, and senders of ESP in UDP that a NAT has given another
 * port. A complete picture at the start; how dumps and announcements go together: follower.ts.
 */
import type { IpAddress } from "../../base/ip.js";
import { NLM_F_DUMP } from "../../netlink/constants.js";
import { type NetlinkMessage, splitMessages } from "../../netlink/message.js";
import { NetlinkSession } from "../../netlink/session.js";
import type { NetlinkTransport, SetTimer } from "../../netlink/transport.js";
import { Follower } from "../follower.js";
import type { OpenTransport } from "../netlink-kernel.js";
import { XFRMNLGRP_ACQUIRE, XFRMNLGRP_EXPIRE, XFRMNLGRP_MAPPING, XFRMNLGRP_SA } from "../notification-constants.js";
import { XFRM_MSG_GETSA } from "./constants.js";
import {
  decodeCounters,
  decodeNews,
  type NegotiatedState,
  negotiatedState,
  type SecurityNews,
  type StateCounters,
  type StateIdentity,
} from "./security-messages.js";

export type { NegotiatedState, StateCounters } from "./security-messages.js";

const GROUPS = [XFRMNLGRP_SA, XFRMNLGRP_ACQUIRE, XFRMNLGRP_EXPIRE, XFRMNLGRP_MAPPING];
export type SecurityChange =
  | { readonly kind: "added" | "removed"; readonly state: NegotiatedState }
  /** Announcements were lost: `states()` is the truth. */
  | { readonly kind: "resynchronised" }
  /** A packet met a policy with this request id of ours, and there is no association. */
  | { readonly kind: "acquire"; readonly reqid: number }
  /** Authentic ESP in UDP for one of our associations came from another address or port than its state names. */
  | { readonly kind: "mapping"; readonly reqid: number; readonly address: IpAddress; readonly port: number };

/** What changes the picture. */
type StateNews = Exclude<SecurityNews, { readonly kind: "acquire" | "mapping" }>;

export interface SecurityWatchOptions {
  readonly openTransport: OpenTransport;
  readonly setTimer: SetTimer;
  /** A dump after lost announcements failed; the picture is old until the next try, a second later. */
  readonly onError: (error: unknown) => void;
}

export class SecurityWatch {
  readonly #session: NetlinkSession;
  readonly #announcements: NetlinkTransport;
  readonly #follower: Follower<StateNews>;
  readonly #listeners: ((change: SecurityChange) => void)[] = [];
  #states = new Map<string, NegotiatedState>();

  /** Resolves when the first picture is complete. Throws KernelError or the addon's system error. */
  static async open(options: SecurityWatchOptions): Promise<SecurityWatch> {
    const watch = new SecurityWatch(options);
    try {
      await watch.#follower.begin();
      return watch;
    } catch (error) {
      watch.close();
      throw error;
    }
  }

  private constructor({ openTransport, setTimer, onError }: SecurityWatchOptions) {
    // Announcements first: what changes between the dump and the subscription would be missed otherwise.
    this.#announcements = openTransport("xfrm", GROUPS);
    this.#session = new NetlinkSession(openTransport("xfrm", []), { setTimer });
    this.#follower = new Follower(
      {
        read: async () => {
          const states = decodeAndWipe(await this.#session.dump(DUMP_STATES), negotiatedState);
          return () => {
            this.#states = new Map(states.map((state) => [keyOf(state), state]));
          };
        },
        take: (news) => this.#take(news),
        onFresh: () => this.#emit({ kind: "resynchronised" }),
        onError,
      },
      setTimer,
    );
    this.#announcements.onOverrun(() => this.#follower.lose());
    this.#announcements.onDatagram((datagram) => this.#hear(datagram));
  }

  /** The negotiated associations as far as is known. */
  states(): readonly NegotiatedState[] {
    return [...this.#states.values()];
  }

  onChange(listener: (change: SecurityChange) => void): void {
    this.#listeners.push(listener);
  }

  /** Of ours and of the negotiated ones. Rejects with KernelError. */
  async stateCounters(): Promise<readonly StateCounters[]> {
    return countersOf(this.#session);
  }

  close(): void {
    this.#listeners.length = 0;
    this.#follower.close();
    this.#announcements.close();
    this.#session.close();
  }

  #emit(change: SecurityChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  #hear(datagram: Uint8Array): void {
    let news: SecurityNews[];
    try {
      news = decodeAndWipe(splitMessages(datagram), decodeNews);
    } catch {
      return this.#follower.lose(); // ignored: whatever it was, a dump says how things are
    }
    // What the kernel asks for and where a sender is now is no part of the picture.
    for (const one of news) if (one.kind === "acquire" || one.kind === "mapping") this.#emit(one);
    this.#follower.hear(news.filter((one) => one.kind !== "acquire" && one.kind !== "mapping"));
  }

  #take(news: StateNews): void {
    if (news.kind === "flushed") return this.#follower.refresh();
    if (news.kind === "there") {
      this.#states.set(keyOf(news.state), news.state);
      return this.#emit({ kind: "added", state: news.state });
    }
    const key = keyOf(news.identity);
    const state = this.#states.get(key);
    this.#states.delete(key);
    if (state !== undefined) this.#emit({ kind: "removed", state });
  }
}

const DUMP_STATES = { family: "xfrm", type: XFRM_MSG_GETSA, flags: NLM_F_DUMP, body: new Uint8Array(0) } as const;

const countersOf = async (session: NetlinkSession): Promise<readonly StateCounters[]> =>
  decodeAndWipe(await session.dump(DUMP_STATES), decodeCounters);

/** Once, for those who watch nothing. Rejects with KernelError. */
export async function readStateCounters({
  openTransport,
  setTimer,
}: Pick<SecurityWatchOptions, "openTransport" | "setTimer">): Promise<readonly StateCounters[]> {
  const session = new NetlinkSession(openTransport("xfrm", []), { setTimer });
  try {
    return await countersOf(session);
  } finally {
    session.close();
  }
}

const keyOf = ({ destination, spi }: StateIdentity): string => `${destination} ${spi}`;

/** The messages hold keys; the values have copies of their own. */
function decodeAndWipe<T>(
  messages: readonly NetlinkMessage[],
  decode: (message: NetlinkMessage) => T | undefined,
): T[] {
  try {
    return messages.flatMap((message) => decode(message) ?? []);
  } finally {
    for (const { body } of messages) body.fill(0);
  }
}
