/**
 * Watches the machine's links, addresses and main-table routes for the mobile node: a complete snapshot at the start and after every
 * batch of announcements that changed something. How dumps and announcements go together: follower.ts.
 */
import { EINVAL, ENOENT } from "../netlink/errno.js";
import { KernelError } from "../netlink/errors.js";
import { type NetlinkMessage, splitMessages } from "../netlink/message.js";
import {
  RT_TABLE_MAIN,
  RTM_GETADDR,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_LINK,
} from "../netlink/rtnetlink.js";
import { NetlinkSession } from "../netlink/session.js";
import type { NetlinkTransport, SetTimer } from "../netlink/transport.js";
import type { NetworkView } from "../protocol/movement/network-view.js";
import { Follower } from "./follower.js";
import type { OpenTransport } from "./netlink-kernel.js";
import { encodeAddressHeader } from "./route/headers.js";
import { dumpLinks } from "./route/link.js";
import { NetworkPicture } from "./route/network-picture.js";
import { dumpRoutes } from "./route/route.js";

const GROUPS = [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE];

type What = "everything" | "routes";

export interface WatchOptions {
  readonly openTransport: OpenTransport;
  readonly setTimer: SetTimer;
  /** A dump failed; the picture is old until the next try, a second later. */
  readonly onError: (error: unknown) => void;
}

export class NetworkWatcher {
  readonly #picture = new NetworkPicture();
  readonly #session: NetlinkSession;
  readonly #announcements: NetlinkTransport;
  readonly #follower: Follower<NetlinkMessage>;
  readonly #listeners: ((view: NetworkView) => void)[] = [];
  #view: NetworkView = this.#picture.view();
  /** What the next dump is about. */
  #wanted: What = "everything";
  #publishing = false;
  #closed = false;

  /** Resolves when the first snapshot is complete. Throws KernelError or the addon's system error. */
  static async open(options: WatchOptions): Promise<NetworkWatcher> {
    const watcher = new NetworkWatcher(options);
    try {
      await watcher.#follower.begin();
      watcher.#view = watcher.#picture.view();
      return watcher;
    } catch (error) {
      watcher.close();
      throw error;
    }
  }

  private constructor({ openTransport, setTimer, onError }: WatchOptions) {
    // Announcements first: what changes between the dump and the subscription would be missed otherwise.
    this.#announcements = openTransport("route", GROUPS);
    this.#session = new NetlinkSession(openTransport("route", []), { setTimer });
    this.#follower = new Follower(
      {
        read: (doubtful) => this.#read(doubtful ? "everything" : this.#wanted),
        take: (message) => {
          if (this.#picture.apply(message) === "routes") this.#follower.refresh();
        },
        onFresh: () => this.#publishSoon(),
        onError,
      },
      setTimer,
    );
    this.#announcements.onOverrun(() => this.#follower.lose());
    this.#announcements.onDatagram((datagram) => this.#onDatagram(datagram));
  }

  /** The latest snapshot. */
  get view(): NetworkView {
    return this.#view;
  }

  /** Called with each new snapshot that differs from the one before. */
  onView(listener: (view: NetworkView) => void): void {
    this.#listeners.push(listener);
  }

  close(): void {
    this.#closed = true;
    this.#listeners.length = 0;
    this.#follower.close();
    this.#announcements.close();
    this.#session.close();
  }

  #onDatagram(datagram: Uint8Array): void {
    try {
      // Copies: what is said during a dump is looked at after it, when the octets are another datagram's.
      this.#follower.hear(
        splitMessages(datagram).map(({ type, flags, body }) => ({ type, flags, body: body.slice() })),
      );
    } catch {
      this.#follower.lose(); // ignored: whatever it was, a dump says how things are
    }
    this.#publishSoon();
  }

  /** Asks first; the answer is put in place in one go, so that no snapshot shows half a network. */
  async #read(what: What): Promise<() => void> {
    this.#wanted = "everything"; // if this dump fails
    const messages: NetlinkMessage[] = [];
    if (what === "everything") {
      const addresses = { family: "route", type: RTM_GETADDR, flags: 0, body: encodeAddressHeader({}) } as const;
      for (const request of [dumpLinks(), addresses])
        for (const message of await this.#session.dump(request)) messages.push(message);
    }
    for (const family of [4, 6] as const) for (const message of await this.#routesOf(family)) messages.push(message);
    return () => {
      if (what === "everything") this.#picture.clear();
      this.#picture.clearRoutes();
      for (const message of messages) this.#picture.apply(message);
      this.#wanted = "routes";
    };
  }

  async #routesOf(family: 4 | 6): ReturnType<NetlinkSession["dump"]> {
    try {
      return await this.#session.dump(dumpRoutes(family, { table: RT_TABLE_MAIN }));
    } catch (error) {
      // A table without routes may not exist, and a kernel without IPv6 knows no such family.
      if (error instanceof KernelError && (error.errno === ENOENT || error.errno === EINVAL)) return [];
      throw error;
    }
  }

  /** After all announcements of this turn, and never in the middle of a dump. */
  #publishSoon(): void {
    if (this.#publishing || this.#closed) return;
    this.#publishing = true;
    queueMicrotask(() => {
      this.#publishing = false;
      if (!this.#follower.reading && !this.#closed) this.#publish();
    });
  }

  #publish(): void {
    const view = this.#picture.view();
    if (JSON.stringify(view) === JSON.stringify(this.#view)) return;
    this.#view = view;
    for (const listener of this.#listeners) listener(view);
  }
}
