/**
 * Watches the machine's links, addresses and main-table routes for the mobile node: a complete snapshot at the start and after every
 * batch of announcements that changed something. Lost announcements (ENOBUFS) lead to new dumps, so no change is missed for good.
 */
import { EINVAL, ENOENT } from "../netlink/errno.js";
import { KernelError } from "../netlink/errors.js";
import { splitMessages } from "../netlink/message.js";
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
  /** A dump after lost announcements failed too; the picture is old until the next change. */
  readonly onError: (error: unknown) => void;
}

export class NetworkWatcher {
  readonly #picture = new NetworkPicture();
  readonly #session: NetlinkSession;
  readonly #announcements: NetlinkTransport;
  readonly #onError: WatchOptions["onError"];
  readonly #listeners: ((view: NetworkView) => void)[] = [];
  #view: NetworkView = this.#picture.view();
  /** What has to be dumped again; while a dump runs, more may come. */
  #wanted: What | undefined;
  #dumping: Promise<void> | undefined;
  #publishing = false;
  #closed = false;

  /** Resolves when the first snapshot is complete. Throws KernelError or the addon's system error. */
  static async open(options: WatchOptions): Promise<NetworkWatcher> {
    const watcher = new NetworkWatcher(options);
    try {
      await watcher.#dump("everything");
      watcher.#view = watcher.#picture.view();
      return watcher;
    } catch (error) {
      watcher.close();
      throw error;
    }
  }

  private constructor(options: WatchOptions) {
    this.#onError = options.onError;
    // Announcements first: what changes between the dump and the subscription would be missed otherwise.
    this.#announcements = options.openTransport("route", GROUPS);
    this.#session = new NetlinkSession(options.openTransport("route", []), { setTimer: options.setTimer });
    this.#announcements.onOverrun(() => this.#want("everything"));
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
    this.#announcements.close();
    this.#session.close();
  }

  #onDatagram(datagram: Uint8Array): void {
    try {
      for (const message of splitMessages(datagram)) {
        if (this.#picture.apply(message) === "routes") this.#want("routes");
      }
    } catch {
      this.#want("everything"); // ignored: whatever it was, a dump says how things are
    }
    this.#publishSoon();
  }

  #want(what: What): void {
    if (this.#wanted !== "everything") this.#wanted = what;
    this.#dumping ??= this.#dumpWanted();
  }

  async #dumpWanted(): Promise<void> {
    try {
      while (this.#wanted !== undefined && !this.#closed) {
        const what = this.#wanted;
        this.#wanted = undefined;
        await this.#dump(what);
      }
    } catch (error) {
      if (!this.#closed) this.#onError(error);
    } finally {
      this.#dumping = undefined;
      this.#publishSoon();
    }
  }

  /** Asks first and then replaces in one go, so that no snapshot shows half a network. */
  async #dump(what: What): Promise<void> {
    const routes = [...(await this.#routesOf(4)), ...(await this.#routesOf(6))];
    if (what === "everything") {
      const links = await this.#session.dump(dumpLinks());
      const body = encodeAddressHeader({});
      const addresses = await this.#session.dump({ family: "route", type: RTM_GETADDR, flags: 0, body });
      this.#picture.clear();
      for (const message of [...links, ...addresses]) this.#picture.apply(message);
    }
    this.#picture.clearRoutes();
    for (const message of routes) this.#picture.apply(message);
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
      if (this.#dumping === undefined && !this.#closed) this.#publish();
    });
  }

  #publish(): void {
    const view = this.#picture.view();
    if (JSON.stringify(view) === JSON.stringify(this.#view)) return;
    this.#view = view;
    for (const listener of this.#listeners) listener(view);
  }
}
