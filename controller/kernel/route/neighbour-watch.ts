/**
 * What the kernel knows of neighbours, and what it finds out: their link-layer addresses, who has answered, who has been given up. A
 * complete picture at the start and after lost announcements; entries that the kernel forgets (with the carrier it forgets all) are
 * forgotten here. Sources: linux/neighbour.h; net/core/neighbour.c.
 */
import type { IpAddress } from "../../base/ip.js";
import { readAttributes } from "../../netlink/attribute.js";
import { type NetlinkMessage, splitMessages } from "../../netlink/message.js";
import {
  NDA_DST,
  NDA_LLADDR,
  NTF_PROXY,
  NUD_DELAY,
  NUD_FAILED,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
  RTNLGRP_NEIGH,
} from "../../netlink/rtnetlink.js";
import { NetlinkSession } from "../../netlink/session.js";
import type { NetlinkTransport, SetTimer } from "../../netlink/transport.js";
import type { OpenTransport } from "../netlink-kernel.js";
import { decodeNeighbourHeader, encodeNeighbourHeader, familyOfNumber, NEIGHBOUR_HEADER_LENGTH } from "./headers.js";

const LEARNT = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;

export interface NeighbourNews {
  /** known: it has a link-layer address, perhaps an old one. */
  readonly kind: "known" | "reachable" | "failed" | "forgotten";
  /** Of the interface. */
  readonly index: number;
  readonly address: IpAddress;
  /** Octets; absent without one. */
  readonly linkLayerAddress?: Uint8Array;
}

export interface NeighbourWatchOptions {
  readonly openTransport: OpenTransport;
  readonly setTimer: SetTimer;
  /** A dump after lost announcements failed; what is known is old until the next news. */
  readonly onError: (error: unknown) => void;
}

export class NeighbourWatch {
  readonly #session: NetlinkSession;
  readonly #announcements: NetlinkTransport;
  readonly #options: NeighbourWatchOptions;
  readonly #listeners: ((news: NeighbourNews) => void)[] = [];
  readonly #known = new Map<string, Uint8Array>();
  /** While a dump runs: what was announced meanwhile, which is newer than the dump. */
  #meanwhile: NeighbourNews[] | undefined;
  #again = false;
  #closed = false;

  /** Resolves when the first picture is complete. Throws KernelError or the addon's system error. */
  static async open(options: NeighbourWatchOptions): Promise<NeighbourWatch> {
    const watch = new NeighbourWatch(options);
    try {
      await watch.#dump();
      return watch;
    } catch (error) {
      watch.close();
      throw error;
    }
  }

  private constructor(options: NeighbourWatchOptions) {
    this.#options = options;
    this.#announcements = options.openTransport("route", [RTNLGRP_NEIGH]);
    this.#session = new NetlinkSession(options.openTransport("route", []), { setTimer: options.setTimer });
    this.#announcements.onOverrun(() => this.#dumpAgain());
    this.#announcements.onDatagram((datagram) => this.#hear(datagram));
  }

  /** As the kernel holds it now; undefined for a neighbour it has not resolved. */
  linkLayerAddress(index: number, address: IpAddress): Uint8Array | undefined {
    return this.#known.get(keyOf({ index, address }));
  }

  onNews(listener: (news: NeighbourNews) => void): void {
    this.#listeners.push(listener);
  }

  close(): void {
    this.#closed = true;
    this.#listeners.length = 0;
    this.#announcements.close();
    this.#session.close();
  }

  #hear(datagram: Uint8Array): void {
    try {
      for (const message of splitMessages(datagram)) {
        const news = decodeNeighbour(message);
        if (news === undefined) continue;
        this.#meanwhile?.push(news);
        this.#take(news);
        for (const listener of this.#listeners) listener(news);
      }
    } catch {
      this.#dumpAgain(); // ignored: whatever it was, a dump says how things are
    }
  }

  #take(news: NeighbourNews): void {
    const { kind, linkLayerAddress } = news;
    if (linkLayerAddress === undefined || kind === "failed" || kind === "forgotten") this.#known.delete(keyOf(news));
    else this.#known.set(keyOf(news), linkLayerAddress);
  }

  async #dump(): Promise<void> {
    this.#meanwhile = [];
    try {
      const body = encodeNeighbourHeader({});
      const replies = await this.#session.dump({ family: "route", type: RTM_GETNEIGH, flags: 0, body });
      this.#known.clear();
      for (const message of replies) {
        const news = decodeNeighbour(message);
        if (news !== undefined) this.#take(news);
      }
      for (const news of this.#meanwhile) this.#take(news);
    } finally {
      this.#meanwhile = undefined;
    }
  }

  #dumpAgain(): void {
    if (this.#meanwhile !== undefined) {
      this.#again = true;
      return;
    }
    void this.#dump()
      .catch((error: unknown) => {
        if (!this.#closed) this.#options.onError(error);
      })
      .finally(() => {
        if (!this.#again || this.#closed) return;
        this.#again = false;
        this.#dumpAgain();
      });
  }
}

const keyOf = ({ index, address }: Pick<NeighbourNews, "index" | "address">): string => `${index} ${address}`;

/** Undefined for what is no neighbour of IPv4 or IPv6: a bridge's forwarding entry, a proxy, another message. */
export function decodeNeighbour(message: Pick<NetlinkMessage, "type" | "body">): NeighbourNews | undefined {
  if (message.type !== RTM_NEWNEIGH && message.type !== RTM_DELNEIGH) return undefined;
  const { family, index, state, flags } = decodeNeighbourHeader(message.body);
  if (familyOfNumber(family) === undefined || (flags & NTF_PROXY) !== 0) return undefined;
  const attributes = readAttributes(message.body.subarray(NEIGHBOUR_HEADER_LENGTH), NEIGHBOUR_HEADER_LENGTH);
  const address = attributes.get(NDA_DST)?.address();
  if (address === undefined) return undefined;
  if (message.type === RTM_DELNEIGH) return { kind: "forgotten", index, address };
  if ((state & NUD_FAILED) !== 0) return { kind: "failed", index, address };
  const linkLayerAddress = attributes.get(NDA_LLADDR)?.payload.slice();
  if ((state & LEARNT) === 0 || linkLayerAddress === undefined) return undefined;
  return { kind: (state & NUD_REACHABLE) === 0 ? "known" : "reachable", index, address, linkLayerAddress };
}
