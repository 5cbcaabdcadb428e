/**
 * A small kernel behind the netlink fake: links, routes and proxy neighbours in memory, with the refusals of the real one (EEXIST,
 * ESRCH, ENODEV …) and its silence about proxies. It keeps the octets that it was given, so what is dumped is what was sent.
 */
import { toHex } from "../../controller/base/bytes.js";
import type { OpenTransport } from "../../controller/kernel/netlink-kernel.js";
import {
  decodeLinkHeader,
  decodeNeighbourHeader,
  decodeRouteHeader,
  encodeLinkHeader,
} from "../../controller/kernel/route/headers.js";
import { type AttributeMap, AttributeWriter, readAttributes } from "../../controller/netlink/attribute.js";
import { NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE } from "../../controller/netlink/constants.js";
import { EEXIST, EINVAL, ENODEV, ENOENT, ESRCH } from "../../controller/netlink/errno.js";
import type { NetlinkFamily, ReceivedMessage } from "../../controller/netlink/message.js";
import * as rt from "../../controller/netlink/rtnetlink.js";
import { type Answer, FakeNetlink } from "./netlink-fake.js";

interface FakeLink {
  readonly index: number;
  readonly name: string;
  kind: Uint8Array | undefined;
  up: boolean;
  mtu: number;
  alias: string | undefined;
}

export class FakeRtnetlink {
  readonly links = new Map<string, FakeLink>();
  /** Bodies by "table destination/length metric". */
  readonly routes = new Map<string, Uint8Array>();
  readonly proxies = new Map<string, Uint8Array>();
  /** Request sockets by family, and those for announcements. */
  readonly requests = new Map<NetlinkFamily, FakeNetlink>();
  readonly announcements = new Map<NetlinkFamily, FakeNetlink>();
  /** Answers in the place of the kernel's own, for as long as it returns something. */
  intercept: (message: ReceivedMessage) => Answer | undefined = () => undefined;
  #nextIndex = 1;

  readonly open: OpenTransport = (family, groups) => {
    const transport = new FakeNetlink((message) => this.intercept(message) ?? this.#answer(family, message));
    (groups.length > 0 ? this.announcements : this.requests).set(family, transport);
    return transport;
  };

  /** A link that is there already. */
  addLink(name: string, options: Partial<Omit<FakeLink, "name">> = {}): FakeLink {
    const index = options.index ?? this.#nextIndex;
    this.#nextIndex = index + 1;
    const link = { index, name, kind: undefined, up: true, mtu: 1500, alias: undefined, ...options };
    this.links.set(name, link);
    return link;
  }

  /** The kernel's message about a link, as in dumps and announcements. */
  linkMessage(link: FakeLink, type: number = rt.RTM_NEWLINK): { type: number; body: Uint8Array } {
    const writer = new AttributeWriter()
      .raw(encodeLinkHeader({ index: link.index, flags: link.up ? rt.IFF_UP | rt.IFF_RUNNING : 0 }))
      .string(rt.IFLA_IFNAME, link.name)
      .u32(rt.IFLA_MTU, link.mtu);
    if (link.alias !== undefined) writer.string(rt.IFLA_IFALIAS, link.alias);
    if (link.kind !== undefined) writer.bytes(rt.IFLA_LINKINFO, link.kind);
    return { type, body: writer.finish() };
  }

  #answer(family: NetlinkFamily, message: ReceivedMessage): Answer {
    if (family !== "route") return { errno: EINVAL };
    switch (message.type) {
      case rt.RTM_GETLINK:
        return this.#getLink(message);
      case rt.RTM_NEWLINK:
      case rt.RTM_SETLINK:
        return this.#setLink(message);
      case rt.RTM_DELLINK:
        return this.links.delete(nameOf(message)) ? {} : { errno: ENODEV };
      case rt.RTM_GETROUTE:
        return this.#dumpRoutes(message);
      case rt.RTM_NEWROUTE:
        return (
          this.#onDevice(routeAttributes(message).get(rt.RTA_OIF)?.u32()) ??
          store(this.routes, routeKey(message), message)
        );
      case rt.RTM_DELROUTE:
        return this.routes.delete(routeKey(message)) ? {} : { errno: ESRCH };
      case rt.RTM_GETNEIGH:
        return this.#getProxy(message);
      case rt.RTM_NEWNEIGH: // overwrites whatever is there, whatever the flags say
        return (
          this.#onDevice(decodeNeighbourHeader(message.body).index) ??
          store(this.proxies, proxyKey(message), { ...message, flags: 0 })
        );
      case rt.RTM_DELNEIGH:
        return this.proxies.delete(proxyKey(message)) ? {} : { errno: ENOENT };
      default:
        return { errno: EINVAL };
    }
  }

  #getLink(message: ReceivedMessage): Answer {
    if ((message.flags & NLM_F_DUMP) === NLM_F_DUMP) {
      return { dump: true, replies: [...this.links.values()].map((link) => this.linkMessage(link)) };
    }
    const link = this.links.get(nameOf(message));
    return link === undefined ? { errno: ENODEV } : { replies: [this.linkMessage(link)] };
  }

  #setLink(message: ReceivedMessage): Answer {
    const attributes = readAttributes(message.body.subarray(16));
    const name = nameOf(message);
    const present = this.links.get(name);
    const creating = message.type === rt.RTM_NEWLINK && (message.flags & NLM_F_EXCL) !== 0;
    if (creating && present !== undefined) return { errno: EEXIST };
    if (!creating && present === undefined) return { errno: ENODEV };
    const link = present ?? this.addLink(name, { up: false });
    const { flags, change } = decodeLinkHeader(message.body);
    if ((change & rt.IFF_UP) !== 0) link.up = (flags & rt.IFF_UP) !== 0;
    link.mtu = attributes.get(rt.IFLA_MTU)?.u32() ?? link.mtu;
    link.alias = attributes.get(rt.IFLA_IFALIAS)?.string() ?? link.alias;
    link.kind = attributes.get(rt.IFLA_LINKINFO)?.payload ?? link.kind;
    return {};
  }

  #dumpRoutes(message: ReceivedMessage): Answer {
    const wanted = decodeRouteHeader(message.body);
    const bodies = [...this.routes].filter(([, body]) => {
      const { family, protocol } = decodeRouteHeader(body);
      return family === wanted.family && (wanted.protocol === 0 || wanted.protocol === protocol);
    });
    return dump(rt.RTM_NEWROUTE, new Map(bodies));
  }

  #getProxy(message: ReceivedMessage): Answer {
    if ((message.flags & NLM_F_DUMP) === NLM_F_DUMP) return dump(rt.RTM_NEWNEIGH, this.proxies);
    const body = this.proxies.get(proxyKey(message));
    return body === undefined ? { errno: ENOENT } : { replies: [{ type: rt.RTM_NEWNEIGH, body }] };
  }

  #onDevice(index: number | undefined): Answer | undefined {
    return [...this.links.values()].some((link) => link.index === index) ? undefined : { errno: ENODEV };
  }
}

function dump(type: number, bodies: ReadonlyMap<string, Uint8Array>): Answer {
  return { dump: true, replies: [...bodies.values()].map((body) => ({ type, body })) };
}

function store(bodies: Map<string, Uint8Array>, key: string, { flags, body }: ReceivedMessage): Answer {
  if (bodies.has(key) && (flags & NLM_F_REPLACE) === 0 && (flags & NLM_F_EXCL) !== 0)
    return { errno: EEXIST, text: "there already" };
  bodies.set(key, body);
  return {};
}

const nameOf = ({ body }: ReceivedMessage): string =>
  readAttributes(body.subarray(16)).get(rt.IFLA_IFNAME)?.string() ?? "";
const routeAttributes = ({ body }: ReceivedMessage): AttributeMap => readAttributes(body.subarray(12));

function routeKey(message: ReceivedMessage): string {
  const attributes = routeAttributes(message);
  const destination = toHex(attributes.get(rt.RTA_DST)?.payload ?? new Uint8Array(0));
  const { destinationLength } = decodeRouteHeader(message.body);
  return `${attributes.get(rt.RTA_TABLE)?.u32()} ${destination}/${destinationLength} ${attributes.get(rt.RTA_PRIORITY)?.u32() ?? 0}`;
}

function proxyKey({ body }: ReceivedMessage): string {
  const address = readAttributes(body.subarray(12)).get(rt.NDA_DST)?.payload ?? new Uint8Array(0);
  return `${decodeNeighbourHeader(body).index} ${toHex(address)}`;
}
