/** The network watcher: snapshots from dumps and announcements, and new dumps where the kernel does not say everything. */
import t from "tap";
import { fromHex } from "../../../controller/base/bytes.js";
import { encodeAddressHeader, encodeLinkHeader, encodeRouteHeader } from "../../../controller/kernel/route/headers.js";
import { NetworkWatcher } from "../../../controller/kernel/watch.js";
import { AttributeWriter } from "../../../controller/netlink/attribute.js";
import { NLM_F_DUMP_INTR, NLM_F_REPLACE } from "../../../controller/netlink/constants.js";
import { EINVAL, ENOENT, EOPNOTSUPP, EPERM } from "../../../controller/netlink/errno.js";
import type { ReceivedMessage } from "../../../controller/netlink/message.js";
import * as rt from "../../../controller/netlink/rtnetlink.js";
import { OWNERSHIP } from "../../../controller/plan/objects/objects.js";
import { EMPTY_NETWORK, type NetworkView } from "../../../controller/protocol/movement/network-view.js";
import { type Answer, FakeNetlink, FakeTimers } from "../../lib/netlink-fake.js";

interface Message {
  readonly type: number;
  readonly flags?: number;
  readonly body: Uint8Array;
}

const UP = rt.IFF_UP | rt.IFF_RUNNING;
function link(
  index: number,
  name: string,
  flags = UP,
  options: { kind?: string; alias?: string; type?: number } = {},
): Message {
  const writer = new AttributeWriter().raw(encodeLinkHeader({ index, flags })).string(rt.IFLA_IFNAME, name);
  if (options.alias !== undefined) writer.string(rt.IFLA_IFALIAS, options.alias);
  const { kind } = options;
  if (kind !== undefined) writer.nested(rt.IFLA_LINKINFO, (info) => info.string(rt.IFLA_INFO_KIND, kind));
  return { type: options.type ?? rt.RTM_NEWLINK, body: writer.finish() };
}

function address(
  index: number,
  hex: string,
  options: { flags?: number; scope?: number; proto?: number; type?: number } = {},
): Message {
  const octets = fromHex(hex);
  const family = octets.length === 4 ? rt.AF_INET : rt.AF_INET6;
  const writer = new AttributeWriter()
    .raw(encodeAddressHeader({ family, prefixLength: octets.length === 4 ? 24 : 64, scope: options.scope ?? 0, index }))
    .bytes(rt.IFA_ADDRESS, octets)
    .u32(rt.IFA_FLAGS, options.flags ?? 0);
  if (options.proto !== undefined) writer.u8(rt.IFA_PROTO, options.proto);
  return { type: options.type ?? rt.RTM_NEWADDR, body: writer.finish() };
}

interface RouteOptions {
  readonly via?: string;
  readonly metric?: number;
  readonly table?: number;
  readonly protocol?: number;
  readonly kind?: number;
  readonly type?: number;
  readonly flags?: number;
}

function route(index: number, hex: string, options: RouteOptions = {}): Message {
  const octets = fromHex(hex);
  const header = {
    family: octets.length === 4 ? rt.AF_INET : rt.AF_INET6,
    destinationLength: octets.every((byte) => byte === 0) ? 0 : 24,
    protocol: options.protocol ?? 4,
    type: options.kind ?? rt.RTN_UNICAST,
  };
  const writer = new AttributeWriter()
    .raw(encodeRouteHeader(header))
    .u32(rt.RTA_TABLE, options.table ?? rt.RT_TABLE_MAIN)
    .u32(rt.RTA_OIF, index);
  if (header.destinationLength > 0) writer.bytes(rt.RTA_DST, octets);
  if (options.via !== undefined) writer.bytes(rt.RTA_GATEWAY, fromHex(options.via));
  if (options.metric !== undefined) writer.u32(rt.RTA_PRIORITY, options.metric);
  return { type: options.type ?? rt.RTM_NEWROUTE, flags: options.flags ?? 0, body: writer.finish() };
}

/** A kernel that dumps what stands in `state`. */
class FakeNetwork {
  state: readonly Message[] = [];
  readonly dumps: number[] = [];
  refuse: (message: ReceivedMessage) => Answer | undefined = () => undefined;
  announcements = new FakeNetlink();

  readonly open = (_family: string, groups: readonly number[]): FakeNetlink => {
    const transport = new FakeNetlink((message) => {
      this.dumps.push(message.type);
      const family = message.body[0];
      const refusal = this.refuse(message);
      if (refusal !== undefined) return refusal;
      const type = message.type - 2; // GET to NEW
      const replies = this.state.filter((one) => one.type === type && (family === 0 || one.body[0] === family));
      return { dump: true, replies };
    });
    if (groups.length > 0) this.announcements = transport;
    return transport;
  };
}

async function setup(state: readonly Message[]) {
  const network = new FakeNetwork();
  network.state = state;
  const errors: unknown[] = [];
  const watcher = await NetworkWatcher.open({
    openTransport: network.open,
    setTimer: new FakeTimers().set,
    onError: (error) => errors.push(error),
  });
  const views: NetworkView[] = [];
  watcher.onView((view) => views.push(view));
  const announce = async (...messages: readonly Message[]): Promise<void> => {
    network.announcements.announce(...messages);
    await new Promise(setImmediate);
  };
  return { network, watcher, views, errors, announce };
}

const LO = link(1, "lo", rt.IFF_UP | rt.IFF_LOOPBACK | rt.IFF_RUNNING);
const WLAN = link(2, "wlan0", UP);
const ADDRESS = address(2, "20010db8000f0000 0000000000000002");
const DEFAULT = route(2, "00".repeat(16), { via: "fe80000000000000 0000000000000001", metric: 1024, protocol: 9 });

t.test("the first snapshot is complete", async (t) => {
  const { watcher, views } = await setup([
    LO,
    WLAN,
    link(3, "dsmiph", UP, { kind: "dummy", alias: "dsmipd" }),
    link(4, "eth1", 0, { kind: "veth" }),
    ADDRESS,
    address(2, "fe800000000000000000000000000009", { scope: 253, flags: rt.IFA_F_TENTATIVE }),
    address(2, "c6336402", { flags: rt.IFA_F_TEMPORARY /* IPv4: secondary */ }),
    address(3, "20010db8000100000000000000000100", { proto: 155, flags: rt.IFA_F_HOMEADDRESS | rt.IFA_F_DEPRECATED }),
    address(9, "c6336409"),
    DEFAULT,
    route(2, "c6336400", { protocol: rt.RTPROT_KERNEL }),
    route(3, "cb007100", { table: 4191, protocol: 155 }),
    route(3, "cb007100", { kind: rt.RTN_LOCAL }),
    route(3, "cb007200", { protocol: 155, metric: 7 }),
  ]);
  t.strictSame(watcher.view, {
    links: [
      { index: 1, name: "lo", up: true, running: true, ours: false },
      { index: 2, name: "wlan0", up: true, running: true, ours: false },
      { index: 3, name: "dsmiph", up: true, running: true, kind: "dummy", ours: true },
      { index: 4, name: "eth1", up: false, running: false, kind: "veth", ours: false },
    ],
    addresses: [
      {
        device: "wlan0",
        address: "2001:db8:f::2",
        prefixLength: 64,
        scope: "global",
        tentative: false,
        deprecated: false,
        temporary: false,
        ours: false,
      },
      {
        device: "wlan0",
        address: "fe80::9",
        prefixLength: 64,
        scope: "link",
        tentative: true,
        deprecated: false,
        temporary: false,
        ours: false,
      },
      {
        device: "wlan0",
        address: "198.51.100.2",
        prefixLength: 24,
        scope: "global",
        tentative: false,
        deprecated: false,
        temporary: false,
        ours: false,
      },
      {
        device: "dsmiph",
        address: "2001:db8:1::100",
        prefixLength: 64,
        scope: "global",
        tentative: false,
        deprecated: true,
        temporary: false,
        ours: true,
      },
    ],
    routes: [
      {
        family: 4,
        destination: { address: "198.51.100.0", length: 24 },
        device: "wlan0",
        metric: 0,
        table: 254,
        protocol: 2,
        ours: false,
      },
      {
        family: 4,
        destination: { address: "203.0.114.0", length: 24 },
        device: "dsmiph",
        metric: 7,
        table: 254,
        protocol: 155,
        ours: true,
      },
      {
        family: 6,
        destination: { address: "::", length: 0 },
        via: "fe80::1",
        device: "wlan0",
        metric: 1024,
        table: 254,
        protocol: 9,
        ours: false,
      },
    ],
  });
  t.strictSame(views, []);
});

t.test("a batch of announcements is one snapshot; what changes nothing is none", async (t) => {
  const { watcher, views, announce, network } = await setup([LO, WLAN]);
  const before = watcher.view;
  network.announcements.announce(ADDRESS);
  network.announcements.announce(DEFAULT);
  await new Promise(setImmediate);
  t.equal(views.length, 1);
  t.match(views[0], { addresses: [{ address: "2001:db8:f::2" }], routes: [{ via: "fe80::1" }] });
  t.equal(before.addresses.length, 0, "an old snapshot does not change");
  await announce(ADDRESS, DEFAULT, WLAN);
  t.equal(views.length, 1, "the same again");
  await announce({ ...ADDRESS, type: rt.RTM_DELADDR }, { ...DEFAULT, type: rt.RTM_DELROUTE });
  t.match(views[1], { addresses: [], routes: [] });
  t.equal(watcher.view, views[1]);
});

t.test("two routes to one destination are two, by gateway and metric", async (t) => {
  const { watcher, announce } = await setup([LO, WLAN]);
  const [one, two] = ["fe800000000000000000000000000001", "fe800000000000000000000000000002"];
  await announce(
    route(2, "00".repeat(16), { via: one }),
    route(2, "00".repeat(16), { via: two }),
    route(2, "00".repeat(16), { via: one, metric: 5 }),
  );
  t.equal(watcher.view.routes.length, 3);
  await announce(route(2, "00".repeat(16), { via: one, type: rt.RTM_DELROUTE }));
  t.strictSame(
    watcher.view.routes.map(({ via, metric }) => [via, metric]),
    [
      ["fe80::2", 0],
      ["fe80::1", 5],
    ],
  );
});

t.test("next hops of a multipath route", async (t) => {
  const { watcher, announce } = await setup([LO, WLAN]);
  const hop = (last: number, flags: number) =>
    fromHex(
      `1000 ${flags.toString(16).padStart(2, "0")} 00 02000000 08000500 c63364${last.toString(16).padStart(2, "0")}`,
    );
  const several = Buffer.concat([hop(1, 0), hop(2, rt.RTNH_F_DEAD), hop(3, 0)]);
  const body = new AttributeWriter()
    .raw(encodeRouteHeader({ family: rt.AF_INET, type: rt.RTN_UNICAST }))
    .u32(rt.RTA_TABLE, rt.RT_TABLE_MAIN)
    .bytes(rt.RTA_MULTIPATH, several)
    .finish();
  await announce({ type: rt.RTM_NEWROUTE, body });
  t.strictSame(
    watcher.view.routes.map(({ via }) => via),
    ["198.51.100.1", "198.51.100.3"],
  );
});

t.test("a route of which the kernel tells the next hop object alone", async (t) => {
  const object = (
    id: number,
    write: (writer: AttributeWriter) => AttributeWriter,
    type = rt.RTM_NEWNEXTHOP,
  ): Message => ({
    type,
    body: write(new AttributeWriter().raw(new Uint8Array(8)).u32(rt.NHA_ID, id)).finish(),
  });
  const hop = (id: number, index: number, via?: string): Message =>
    object(id, (writer) => {
      const out = writer.u32(rt.NHA_OIF, index);
      return via === undefined ? out : out.bytes(rt.NHA_GATEWAY, fromHex(via));
    });
  const group = (id: number, ...members: readonly number[]): Message =>
    object(id, (writer) => writer.bytes(rt.NHA_GROUP, fromHex(members.map((one) => `0${one}00000000000000`).join(""))));
  const named = (id: number): Message => ({
    type: rt.RTM_NEWROUTE,
    body: new AttributeWriter()
      .raw(encodeRouteHeader({ family: rt.AF_INET, type: rt.RTN_UNICAST }))
      .u32(rt.RTA_TABLE, rt.RT_TABLE_MAIN)
      .u32(rt.RTA_NH_ID, id)
      .finish(),
  });
  const [one, two, black] = [hop(1, 2, "c6336401"), hop(2, 2), object(3, (writer) => writer)];
  const { network, watcher, announce } = await setup([LO, WLAN, one, two, black, named(1)]);
  const ways = (): unknown => watcher.view.routes.map(({ device, via }) => `${device} ${via ?? "on the link"}`);
  t.strictSame(ways(), ["wlan0 198.51.100.1"]);
  const changed = hop(1, 2, "c6336409");
  network.state = [LO, WLAN, changed, two, black, named(1)];
  await announce(changed);
  await settle();
  t.strictSame(ways(), ["wlan0 198.51.100.9"], "it has changed in place");
  for (const [members, expected] of [
    [group(4, 2, 1), ["wlan0 on the link", "wlan0 198.51.100.9"]],
    [group(4, 3, 7), []],
  ] as const) {
    network.state = [LO, WLAN, changed, two, black, members, named(4)];
    await announce(members);
    await settle();
    t.strictSame(ways(), expected);
  }
  network.state = [LO, WLAN];
  await announce(object(1, (writer) => writer, rt.RTM_DELNEXTHOP));
  await settle();
  t.strictSame(ways(), [], "with the object goes the route, unannounced");
  network.refuse = ({ type }) => (type === rt.RTM_GETNEXTHOP ? { errno: EOPNOTSUPP } : undefined);
  network.state = [LO, WLAN, DEFAULT];
  await announce(link(2, "wlan0", 0), WLAN);
  await settle();
  t.strictSame(ways(), ["wlan0 fe80::1"], "a kernel without such objects");
});

t.test("routes are dumped again where the kernel removes or replaces them without a word", async (t) => {
  const four = route(2, "c6336400");
  const { network, watcher, announce } = await setup([LO, WLAN, address(2, "c6336402"), four, DEFAULT]);
  const causes: readonly (readonly [string, Message])[] = [
    ["a link goes down", link(2, "wlan0", 0)],
    ["an IPv4 address goes", address(2, "c6336402", { type: rt.RTM_DELADDR })],
    [
      "a route is replaced",
      route(2, "00".repeat(16), { via: "fe800000000000000000000000000002", metric: 1024, flags: NLM_F_REPLACE }),
    ],
    ["a link goes away", link(2, "wlan0", 0, { type: rt.RTM_DELLINK })],
  ];
  for (const [why, message] of causes) {
    network.dumps.length = 0;
    await announce(message);
    await new Promise(setImmediate);
    t.strictSame(network.dumps, [rt.RTM_GETNEXTHOP, rt.RTM_GETROUTE, rt.RTM_GETROUTE], why);
  }
  network.dumps.length = 0;
  await announce(WLAN, ADDRESS);
  t.strictSame(network.dumps, [], "not without a cause");
  t.equal(watcher.view.routes.length, 2);
});

t.test("lost announcements lead to a new dump of everything, once for many", async (t) => {
  const { network, views } = await setup([LO]);
  network.state = [LO, WLAN, ADDRESS, DEFAULT];
  network.dumps.length = 0;
  network.announcements.overrun();
  network.announcements.overrun();
  network.announcements.deliver(Uint8Array.of(9));
  for (let i = 0; i < 10; i++) await new Promise(setImmediate);
  t.equal(views.length, 1);
  t.match(views[0], { links: [{ name: "lo" }, { name: "wlan0" }], addresses: [{}], routes: [{}] });
  t.ok(network.dumps.filter((type) => type === rt.RTM_GETLINK).length <= 2);
});

t.test("a failing dump is reported; the next announcement goes on from what is known", async (t) => {
  const { network, errors, views, announce } = await setup([LO, WLAN]);
  network.refuse = () => ({ errno: EPERM, text: "no" });
  network.announcements.overrun();
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
  t.match(errors, [{ errno: EPERM }]);
  network.refuse = () => undefined;
  await announce(ADDRESS);
  t.equal(views.at(-1)?.addresses.length, 1);
});

t.test("a kernel without the table or the family has no routes there; any other refusal is an error", async (t) => {
  const network = new FakeNetwork();
  network.state = [LO];
  network.refuse = ({ type, body }) =>
    type === rt.RTM_GETROUTE ? { errno: body[0] === rt.AF_INET ? ENOENT : EINVAL } : undefined;
  const options = {
    openTransport: network.open,
    setTimer: new FakeTimers().set,
    onError: (error: unknown) => t.fail(String(error)),
  };
  const watcher = await NetworkWatcher.open(options);
  t.match(watcher.view, { ...EMPTY_NETWORK, links: [{ name: "lo" }] });
  watcher.close();
  network.refuse = ({ type }) => (type === rt.RTM_GETADDR ? { errno: EPERM, text: "no" } : undefined);
  await t.rejects(NetworkWatcher.open(options), /no \(EPERM\)/);
  t.equal(network.announcements.closed, true);
});

/** The network changes, and says so, after the kernel has answered the `nth` request of that type and before the answer is read. */
function changeBehind(network: FakeNetwork, type: number, nth: number, change: () => void): void {
  let seen = 0;
  network.refuse = (message) => {
    if (message.type !== type || ++seen !== nth) return undefined;
    const family = message.body[0];
    const replies = network.state.filter((one) => one.type === type - 2 && (family === 0 || one.body[0] === family));
    change();
    return { dump: true, replies };
  };
}

const sorted = (view: NetworkView): string[] =>
  [...view.links, ...view.addresses, ...view.routes].map((one) => JSON.stringify(one)).sort();

const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
};

t.test("what is announced behind the answer of a dump is newer than the answer, whichever dump it is", async (t) => {
  const eth = link(3, "eth0");
  const v4 = address(2, "c6336402");
  const whole = [LO, WLAN, v4, ADDRESS, DEFAULT, route(2, "00".repeat(4), { via: "c6336401" })];
  const cases: readonly (readonly [string, number, number, Message, Message[]])[] = [
    ["a link comes", rt.RTM_GETLINK, 1, eth, [...whole, eth]],
    ["an address comes", rt.RTM_GETADDR, 1, address(2, "c6336403"), [...whole, address(2, "c6336403")]],
    [
      "an address goes",
      rt.RTM_GETADDR,
      1,
      { ...ADDRESS, type: rt.RTM_DELADDR },
      whole.filter((one) => one !== ADDRESS),
    ],
    [
      "an IPv6 route goes",
      rt.RTM_GETROUTE,
      2,
      { ...DEFAULT, type: rt.RTM_DELROUTE },
      whole.filter((one) => one !== DEFAULT),
    ],
    [
      "an IPv4 route comes while IPv6's are read",
      rt.RTM_GETROUTE,
      2,
      route(2, "cb007100"),
      [...whole, route(2, "cb007100")],
    ],
    ["an IPv4 route comes", rt.RTM_GETROUTE, 1, route(2, "cb007100"), [...whole, route(2, "cb007100")]],
  ];
  for (const [why, type, nth, message, after] of cases) {
    const { network, watcher } = await setup(whole);
    changeBehind(network, type, nth, () => {
      network.state = after;
      network.announcements.announce(message);
    });
    network.announcements.announce(link(2, "wlan0", 0), WLAN); // the routes are asked for
    if (type !== rt.RTM_GETROUTE) network.announcements.deliver(Uint8Array.of(1)); // everything is
    await settle();
    const expected = await setup(after);
    t.strictSame(sorted(watcher.view), sorted(expected.watcher.view), why);
  }
});

t.test("an address that is taken away and given again while the routes are read keeps its route", async (t) => {
  const v4 = address(2, "c6336402");
  const gateway = route(2, "00".repeat(4), { via: "c6336401" });
  const { network, watcher, announce } = await setup([LO, WLAN, v4, gateway]);
  changeBehind(network, rt.RTM_GETROUTE, 1, () => {
    network.state = [LO, WLAN, v4, gateway];
    network.announcements.announce(v4, gateway);
  });
  network.state = [LO, WLAN];
  await announce({ ...v4, type: rt.RTM_DELADDR });
  await settle();
  t.match(watcher.view.routes, [{ via: "198.51.100.1" }]);
});

t.test("an interrupted dump is asked for again", async (t) => {
  const { network, watcher, announce } = await setup([LO, WLAN, DEFAULT]);
  let torn = 1;
  network.refuse = ({ type }) =>
    type === rt.RTM_GETROUTE && torn-- > 0
      ? { dump: true, replies: [{ ...route(2, "00".repeat(4)), flags: NLM_F_DUMP_INTR }] }
      : undefined;
  await announce(link(2, "wlan0", 0), WLAN);
  await settle();
  t.strictSame(
    watcher.view.routes.map(({ via }) => via),
    ["fe80::1"],
  );
});

t.test("announcements that are older than a loss are passed over", async (t) => {
  const { network, watcher } = await setup([LO, WLAN, ADDRESS]);
  // The address has gone and come back; of that only the first half still stands in the socket.
  network.announcements.overrun();
  network.announcements.announce({ ...ADDRESS, type: rt.RTM_DELADDR });
  await settle();
  t.equal(watcher.view.addresses.length, 1);
});

t.test("a dump that failed is tried again without another announcement", async (t) => {
  const network = new FakeNetwork();
  const timers = new FakeTimers();
  network.state = [LO];
  const watcher = await NetworkWatcher.open({ openTransport: network.open, setTimer: timers.set, onError: () => {} });
  network.state = [LO, WLAN];
  network.refuse = () => ({ errno: EPERM });
  network.announcements.overrun();
  await settle();
  network.refuse = () => undefined;
  timers.tick();
  await settle();
  t.equal(watcher.view.links.length, 2);
});

t.test("networks whose packets go nowhere: of IPv6, others', in the main table, until they are gone", async (test) => {
  const [DHCP, OURS] = [16, OWNERSHIP.protocol];
  const [LAN, OTHER, OWN] = [
    "20010db8d0000010 0000000000000000",
    "20010db8d1000000 0000000000000000",
    "fd000000000000000000000000000000",
  ];
  const gone = (kind: number, type?: number) =>
    route(1, LAN, { kind, protocol: DHCP, metric: 1024, ...(type !== undefined && { type }) });
  const { watcher, announce } = await setup([LO, WLAN, ADDRESS, DEFAULT, gone(rt.RTN_UNREACHABLE)]);
  const texts = (): readonly string[] =>
    (watcher.view.discarded ?? []).map(({ destination, protocol }) => `${destination.address} ${protocol}`);
  test.strictSame(texts(), ["2001:db8:d000:10:: 16"]);
  test.equal(watcher.view.routes.length, 1, "none of them leads anywhere");
  await announce(
    route(1, OTHER, { kind: rt.RTN_BLACKHOLE }),
    route(1, OWN, { kind: rt.RTN_UNREACHABLE, protocol: OURS }),
    route(1, OWN, { kind: rt.RTN_PROHIBIT, table: 77 }),
    route(1, "0a000000", { kind: rt.RTN_UNREACHABLE }),
  );
  test.strictSame(texts(), ["2001:db8:d000:10:: 16", "2001:db8:d100:: 4"]);
  await announce(
    gone(rt.RTN_UNREACHABLE, rt.RTM_DELROUTE),
    route(1, OTHER, { kind: rt.RTN_BLACKHOLE, type: rt.RTM_DELROUTE }),
  );
  test.equal(watcher.view.discarded, undefined);
});
