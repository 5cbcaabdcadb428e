/**
 * Watches the machine's links, addresses and main-table routes for the mobile node: a complete snapshot at the start and after every
 * batch of announcements that changed something. How dumps and announcements go together: follower.ts. With destinations, the kernel is asked
 * before each snapshot how it would send there (ways.ts), and whenever somebody else changes a rule, a table or a next hop object.
 */
import { readAttributes } from "../netlink/attribute.js";
import { EINVAL } from "../netlink/errno.js";
import { KernelError } from "../netlink/errors.js";
import { type NetlinkMessage, splitMessages } from "../netlink/message.js";
import {
  FRA_PROTOCOL,
  RT_TABLE_MAIN,
  RTM_DELNEXTHOP,
  RTM_DELROUTE,
  RTM_DELRULE,
  RTM_GETADDR,
  RTM_NEWNEXTHOP,
  RTM_NEWROUTE,
  RTM_NEWRULE,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV4_RULE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_IPV6_RULE,
  RTNLGRP_LINK,
  RTNLGRP_NEXTHOP,
} from "../netlink/rtnetlink.js";
import { NetlinkSession } from "../netlink/session.js";
import type { NetlinkTransport, SetTimer } from "../netlink/transport.js";
import { OWNERSHIP } from "../plan/objects/objects.js";
import type { NetworkView } from "../protocol/movement/network-view.js";
import { Follower } from "./follower.js";
import type { OpenTransport } from "./netlink-kernel.js";
import { decodeRouteHeader, encodeAddressHeader, RULE_HEADER_LENGTH } from "./route/headers.js";
import { dumpLinks } from "./route/link.js";
import { NetworkPicture } from "./route/network-picture.js";
import { dumpNextHopObjects } from "./route/next-hop-objects.js";
import { dumpRoutes } from "./route/route.js";
import { askWays, type Destinations } from "./route/ways.js";

const GROUPS = [
  RTNLGRP_LINK,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_NEXTHOP,
];

/** What else decides on the way of a packet. */
const ROUTING_GROUPS = [RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE];
const ROUTE_MESSAGES: ReadonlySet<number> = new Set([RTM_NEWROUTE, RTM_DELROUTE]);
const RULE_MESSAGES: ReadonlySet<number> = new Set([RTM_NEWRULE, RTM_DELRULE]);
const NEXTHOP_MESSAGES: ReadonlySet<number> = new Set([RTM_NEWNEXTHOP, RTM_DELNEXTHOP]);

type What = "everything" | "routes";

export interface WatchOptions {
  readonly openTransport: OpenTransport;
  readonly setTimer: SetTimer;
  /** A dump failed; the picture is old until the next try, a second later. */
  readonly onError: (error: unknown) => void;
  /** Where to the kernel's ways are wanted in the snapshots. */
  readonly destinations?: Destinations;
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
  readonly #destinations: Destinations | undefined;
  /** The picture for which the kernel was last asked. */
  #asked = "";
  #asking = false;
  /** Something that no picture shows has changed: a rule, another table. */
  #rerouted = false;
  #closed = false;

  /** Resolves when the first snapshot is complete. Throws KernelError or the addon's system error. */
  static async open(options: WatchOptions): Promise<NetworkWatcher> {
    const watcher = new NetworkWatcher(options);
    try {
      await watcher.#follower.begin();
      watcher.#view = await watcher.#complete(watcher.#picture.view());
      return watcher;
    } catch (error) {
      watcher.close();
      throw error;
    }
  }

  private constructor({ openTransport, setTimer, onError, destinations }: WatchOptions) {
    this.#destinations = destinations;
    // Announcements first: what changes between the dump and the subscription would be missed otherwise.
    this.#announcements = openTransport("route", destinations === undefined ? GROUPS : [...GROUPS, ...ROUTING_GROUPS]);
    this.#session = new NetlinkSession(openTransport("route", []), { setTimer });
    this.#follower = new Follower(
      {
        read: (doubtful) => this.#read(doubtful ? "everything" : this.#wanted),
        take: (message) => {
          if (this.#picture.apply(message) === "routes") this.#follower.refresh();
          if (isReroute(message)) this.#rerouted = true;
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
    for (const message of await this.#nextHopObjects()) messages.push(message);
    for (const family of [4, 6] as const) for (const message of await this.#routesOf(family)) messages.push(message);
    return () => {
      if (what === "everything") this.#picture.clear();
      this.#picture.clearRoutes();
      for (const message of messages) this.#picture.apply(message);
      this.#wanted = "routes";
    };
  }

  async #nextHopObjects(): ReturnType<NetlinkSession["dump"]> {
    try {
      return await this.#session.dump(dumpNextHopObjects());
    } catch (error) {
      if (error instanceof KernelError && (error.isUnknownThere || error.errno === EINVAL)) return []; // it has none
      throw error;
    }
  }

  async #routesOf(family: 4 | 6): ReturnType<NetlinkSession["dump"]> {
    try {
      return await this.#session.dump(dumpRoutes(family, { table: RT_TABLE_MAIN }));
    } catch (error) {
      // A table without routes may not exist, and a kernel without IPv6 knows no such family.
      if (error instanceof KernelError && (error.isUnknownThere || error.errno === EINVAL)) return [];
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
    if (this.#destinations === undefined) return this.#tell(view);
    if (this.#asking || (!this.#rerouted && JSON.stringify(view) === this.#asked)) return;
    this.#rerouted = false;
    this.#asked = JSON.stringify(view);
    this.#asking = true;
    void this.#complete(view).then((complete) => {
      this.#asking = false;
      if (this.#closed) return;
      this.#tell(complete);
      this.#publishSoon(); // what has changed meanwhile
    });
  }

  async #complete(view: NetworkView): Promise<NetworkView> {
    if (this.#destinations === undefined) return view;
    return { ...view, ways: await askWays(this.#session, view, this.#destinations, this.#picture) };
  }

  #tell(view: NetworkView): void {
    if (JSON.stringify(view) === JSON.stringify(this.#view)) return;
    this.#view = view;
    for (const listener of this.#listeners) listener(view);
  }
}

/** Others' doing: what we change ourselves is about packets that the questions are not about. */
function isReroute({ type, body }: NetlinkMessage): boolean {
  if (ROUTE_MESSAGES.has(type)) return decodeRouteHeader(body).protocol !== OWNERSHIP.protocol;
  if (!RULE_MESSAGES.has(type)) return NEXTHOP_MESSAGES.has(type);
  const attributes = readAttributes(body.subarray(RULE_HEADER_LENGTH), RULE_HEADER_LENGTH);
  return attributes.get(FRA_PROTOCOL)?.u8() !== OWNERSHIP.protocol;
}
