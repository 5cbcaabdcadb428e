/**
 * What key managers do to the kernel's security associations, and what the kernel asks of them: the associations that the IKE daemon has
 * negotiated (their keys are what ours are made from), packets that found none, and senders of ESP in UDP that a NAT has given another
 * port. A complete picture at the start; lost announcements (ENOBUFS) lead to a new one.
 */
import type { IpAddress } from "../../base/ip.js";
import { NLM_F_DUMP } from "../../netlink/constants.js";
import { type NetlinkMessage, splitMessages } from "../../netlink/message.js";
import { NetlinkSession } from "../../netlink/session.js";
import type { NetlinkTransport, SetTimer } from "../../netlink/transport.js";
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
const RETRY_MS = 1000;
/** Between two dumps that end one after the other the event loop has looked at the announcements at least once. */
const QUIET_DUMPS = 2;
/** Under announcements without end the picture is as good as it gets. */
const MAX_DUMPS = 10;

export type SecurityChange =
  | { readonly kind: "added" | "removed"; readonly state: NegotiatedState }
  /** Announcements were lost: `states()` is the truth. */
  | { readonly kind: "resynchronised" }
  /** A packet met a policy with this request id of ours, and there is no association. */
  | { readonly kind: "acquire"; readonly reqid: number }
  /** Authentic ESP in UDP for one of our associations came from another address or port than its state names. */
  | { readonly kind: "mapping"; readonly reqid: number; readonly address: IpAddress; readonly port: number };

export interface SecurityWatchOptions {
  readonly openTransport: OpenTransport;
  readonly setTimer: SetTimer;
  /** A dump after lost announcements failed; the picture is old until the next try, a second later. */
  readonly onError: (error: unknown) => void;
}

export class SecurityWatch {
  readonly #session: NetlinkSession;
  readonly #announcements: NetlinkTransport;
  readonly #setTimer: SetTimer;
  readonly #onError: (error: unknown) => void;
  readonly #listeners: ((change: SecurityChange) => void)[] = [];
  #states = new Map<string, NegotiatedState>();
  /** While a dump runs: what was announced meanwhile, which the dump may have missed. */
  #meanwhile: SecurityNews[] | undefined;
  #stale = true;
  /** Announcements were lost, and older ones may still be in the socket, which what was lost has made wrong. */
  #doubtful = false;
  /** Dumps in a row during which nothing was announced, not even what does not concern us. */
  #quiet = 0;
  #disturbed = false;
  #dumping = false;
  #cancelRetry: (() => void) | undefined;
  #closed = false;

  /** Resolves when the first picture is complete. Throws KernelError or the addon's system error. */
  static async open(options: SecurityWatchOptions): Promise<SecurityWatch> {
    const watch = new SecurityWatch(options);
    try {
      await watch.#dumpUntilFresh();
      return watch;
    } catch (error) {
      watch.close();
      throw error;
    }
  }

  private constructor({ openTransport, setTimer, onError }: SecurityWatchOptions) {
    this.#setTimer = setTimer;
    this.#onError = onError;
    // Announcements first: what changes between the dump and the subscription would be missed otherwise.
    this.#announcements = openTransport("xfrm", GROUPS);
    this.#session = new NetlinkSession(openTransport("xfrm", []), { setTimer });
    this.#announcements.onOverrun(() => this.#doubt());
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
    this.#closed = true;
    this.#cancelRetry?.();
    this.#listeners.length = 0;
    this.#announcements.close();
    this.#session.close();
  }

  #emit(change: SecurityChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  #hear(datagram: Uint8Array): void {
    let news: SecurityNews[];
    this.#disturbed = true;
    try {
      news = decodeAndWipe(splitMessages(datagram), decodeNews);
    } catch {
      return this.#doubt(); // ignored: whatever it was, a dump says how things are
    }
    for (const one of news) this.#take(one);
  }

  #take(news: SecurityNews): void {
    switch (news.kind) {
      case "acquire":
      case "mapping":
        return this.#emit(news);
      case "flushed":
        return this.#learnAnew();
      default:
        if (this.#meanwhile !== undefined) this.#meanwhile.push(news);
        else this.#change(news);
    }
  }

  #change(news: SecurityNews): void {
    if (news.kind === "there") {
      this.#states.set(keyOf(news.state), news.state);
      this.#emit({ kind: "added", state: news.state });
    } else if (news.kind === "gone") {
      const key = keyOf(news.identity);
      const state = this.#states.get(key);
      this.#states.delete(key);
      if (state !== undefined) this.#emit({ kind: "removed", state });
    }
  }

  #doubt(): void {
    this.#doubtful = true;
    this.#quiet = 0;
    this.#learnAnew();
  }

  #learnAnew(): void {
    this.#stale = true;
    if (!this.#dumping && !this.#closed) void this.#learn();
  }

  async #learn(): Promise<void> {
    this.#cancelRetry?.();
    try {
      await this.#dumpUntilFresh();
    } catch (error) {
      if (this.#closed) return;
      this.#quiet = 0;
      this.#cancelRetry = this.#setTimer(RETRY_MS, () => this.#learnAnew());
      return this.#onError(error);
    }
    if (!this.#closed) this.#emit({ kind: "resynchronised" });
  }

  async #dumpUntilFresh(): Promise<void> {
    this.#dumping = true;
    try {
      for (let dumps = 1; this.#stale && !this.#closed; dumps++) {
        this.#stale = false;
        if (dumps === MAX_DUMPS) this.#doubtful = false;
        await this.#dump();
      }
    } finally {
      this.#dumping = false;
    }
  }

  async #dump(): Promise<void> {
    this.#meanwhile = [];
    this.#disturbed = false;
    try {
      const states = decodeAndWipe(await this.#session.dump(DUMP_STATES), negotiatedState);
      this.#states = new Map(states.map((state) => [keyOf(state), state]));
    } finally {
      const later = this.#meanwhile;
      this.#meanwhile = undefined;
      if (this.#doubtful) this.#drain();
      else for (const news of later) this.#change(news);
    }
  }

  /** While older announcements come in they are not believed, and another dump says how things are. */
  #drain(): void {
    this.#quiet = this.#disturbed ? 0 : this.#quiet + 1;
    if (this.#quiet < QUIET_DUMPS) this.#stale = true;
    else this.#doubtful = false;
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
