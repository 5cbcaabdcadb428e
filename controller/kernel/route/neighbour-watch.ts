/**
 * What the kernel knows of neighbours, and what it finds out: their link-layer addresses, who has answered, who has been given up.
 * Entries that the kernel forgets (with the carrier it forgets all) are forgotten here. How dumps and announcements go together:
 * follower.ts. Sources: linux/neighbour.h; net/core/neighbour.c.
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
import { Follower } from "../follower.js";
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
  /** A dump failed; what is known is old until the next try, a second later. */
  readonly onError: (error: unknown) => void;
}

export class NeighbourWatch {
  readonly #session: NetlinkSession;
  readonly #announcements: NetlinkTransport;
  readonly #follower: Follower<NeighbourNews>;
  readonly #listeners: ((news: NeighbourNews) => void)[] = [];
  readonly #known = new Map<string, Uint8Array>();

  /** Resolves when the first picture is complete. Throws KernelError or the addon's system error. */
  static async open(options: NeighbourWatchOptions): Promise<NeighbourWatch> {
    const watch = new NeighbourWatch(options);
    try {
      await watch.#follower.begin();
      return watch;
    } catch (error) {
      watch.close();
      throw error;
    }
  }

  private constructor({ openTransport, setTimer, onError }: NeighbourWatchOptions) {
    this.#announcements = openTransport("route", [RTNLGRP_NEIGH]);
    this.#session = new NetlinkSession(openTransport("route", []), { setTimer });
    const picture = {
      read: () => this.#read(),
      take: (news: NeighbourNews) => this.#take(news),
      onFresh: () => undefined,
      onError,
    };
    this.#follower = new Follower(picture, setTimer);
    this.#announcements.onOverrun(() => this.#follower.lose());
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
    this.#listeners.length = 0;
    this.#follower.close();
    this.#announcements.close();
    this.#session.close();
  }

  #hear(datagram: Uint8Array): void {
    try {
      this.#follower.hear(splitMessages(datagram).flatMap((message) => decodeNeighbour(message) ?? []));
    } catch {
      this.#follower.lose(); // ignored: whatever it was, a dump says how things are
    }
  }

  async #read(): Promise<() => void> {
    const body = encodeNeighbourHeader({});
    const replies = await this.#session.dump({ family: "route", type: RTM_GETNEIGH, flags: 0, body });
    const known = replies.flatMap((message) => decodeNeighbour(message) ?? []);
    return () => {
      this.#known.clear();
      // What changed while announcements were lost is news for those who listen.
      for (const one of known) this.#take(one);
    };
  }

  #take(news: NeighbourNews): void {
    this.#keep(news);
    for (const listener of this.#listeners) listener(news);
  }

  #keep(news: NeighbourNews): void {
    const { kind, linkLayerAddress } = news;
    if (linkLayerAddress === undefined || kind === "failed" || kind === "forgotten") this.#known.delete(keyOf(news));
    else this.#known.set(keyOf(news), linkLayerAddress);
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
