/** The kernel port over a kernel in memory: batching, what is there already, what is gone already, lost answers, announcements. */
import t from "tap";
import { ipv4, ipv6, parsePrefix } from "../../../controller/base/ip.js";
import type { KernelNames } from "../../../controller/kernel/codec.js";
import { NetlinkKernel } from "../../../controller/kernel/netlink-kernel.js";
import { fouCodec } from "../../../controller/kernel/route/fou.js";
import { encodeLinkHeader } from "../../../controller/kernel/route/headers.js";
import { linkCodec } from "../../../controller/kernel/route/link.js";
import { proxyNeighbourCodec } from "../../../controller/kernel/route/neighbour.js";
import { routeCodec } from "../../../controller/kernel/route/route.js";
import { AttributeWriter } from "../../../controller/netlink/attribute.js";
import { NLM_F_DUMP, NLM_F_REPLACE } from "../../../controller/netlink/constants.js";
import { EEXIST, EINVAL, ENOBUFS, ENODEV, ENOMEM, errnoName } from "../../../controller/netlink/errno.js";
import { KernelError } from "../../../controller/netlink/errors.js";
import * as rt from "../../../controller/netlink/rtnetlink.js";
import type { Link, ProxyNeighbour, Route } from "../../../controller/plan/objects/forwarding.js";
import type { KernelChange, Operation } from "../../../controller/reconcile/kernel-port.js";
import { FakeTimers } from "../../lib/netlink-fake.js";
import { FakeRtnetlink } from "../../lib/rtnetlink-fake.js";

const prefix = (text: string) => parsePrefix(text) ?? { address: ipv6("::"), length: 0 };
const route = (host: number, changes: Partial<Route> = {}): Route => ({
  kind: "route",
  destination: prefix(`2001:db8:1::${host.toString(16)}/128`),
  table: 254,
  metric: 100,
  device: "wan",
  ...changes,
});
const proxy = (host: number, router = false): ProxyNeighbour => ({
  kind: "proxy-neighbour",
  device: "wan",
  address: ipv6(`2001:db8:1::${host.toString(16)}`),
  router,
});
const sit = (name: string, local = "203.0.113.1", mtu = 1400): Link => ({
  kind: "link",
  name,
  mtu,
  up: true,
  link: { type: "sit", local: ipv4(local), ttl: 64, trafficClass: "inherit", pathMtuDiscovery: true },
});
const create = (object: Operation["object"]): Operation => ({ verb: "create", object });
const remove = (object: Operation["object"]): Operation => ({ verb: "remove", object });

async function setup(prepare: (fake: FakeRtnetlink) => void = () => undefined) {
  const fake = new FakeRtnetlink();
  fake.addLink("lo");
  fake.addLink("wan");
  prepare(fake);
  const kernel = await NetlinkKernel.open({
    openTransport: fake.open,
    setTimer: new FakeTimers().set,
    codecs: [linkCodec, routeCodec, proxyNeighbourCodec, fouCodec([4191])],
  });
  const changes: (KernelChange | "resync")[] = [];
  kernel.onChange((change) => changes.push(change));
  const errors = async (operations: readonly Operation[]): Promise<(string | undefined)[]> =>
    (await kernel.apply(operations)).map(({ error }) =>
      error instanceof KernelError ? error.errnoName : error?.message,
    );
  const sent = (): number => fake.requests.get("route")?.sent.length ?? 0;
  return { fake, kernel, changes, errors, sent };
}

/** Names of a kernel whose only device is wan, for messages of strangers. */
const WAN: KernelNames = { interfaceIndex: () => 2, interfaceName: () => "wan" };
const body = (object: Route): Uint8Array => routeCodec.create(object, WAN)[0]?.body.slice() ?? new Uint8Array(0);
function strangers(object: Route): Uint8Array {
  const octets = body(object);
  octets[5] = 4; // rtm_protocol: RTPROT_STATIC
  return octets;
}

t.test("many routes in few messages, and back again", async (t) => {
  const { fake, kernel, errors, sent } = await setup();
  const before = sent();
  const routes = Array.from({ length: 2000 }, (_, i) => route(i + 1));
  t.strictSame(new Set(await errors(routes.map(create))), new Set([undefined]));
  t.equal(sent() - before, 4, "512 in each");
  t.equal(fake.routes.size, 2000);
  t.strictSame(await kernel.dump(["route"]), routes);
  t.match(kernel.counters(), { errors: 0, strays: 0 });
});

t.test("what is there already in the same form and ours is a success; ours in another form is changed", async (t) => {
  const { fake, errors, kernel } = await setup((fake) => {
    fake.routes.set("254 20010db8000100000000000000000001/128 100", body(route(1)));
    fake.routes.set("254 20010db8000100000000000000000002/128 100", body(route(2, { mtu: 1300 })));
  });
  t.strictSame(await errors([create(route(1)), create(route(2)), create(route(3))]), [undefined, undefined, undefined]);
  t.equal(fake.routes.size, 3);
  t.strictSame(await kernel.dump(["route"]), [route(1), route(2), route(3)]);
});

t.test("a stranger's is left alone, and the error shows it", async (t) => {
  const { fake, kernel } = await setup((fake) => {
    fake.routes.set("254 20010db8000100000000000000000001/128 100", strangers(route(1, { via: ipv6("fe80::1") })));
  });
  const [first, second] = await kernel.apply([create(route(1)), create(route(2))]);
  t.equal(second?.error, undefined);
  t.match(first?.error, { code: "MIP_KERNEL", errno: EEXIST, isExists: true });
  t.equal(
    first?.error?.message,
    "ip -6 route add 2001:db8:1::1/128 dev wan table 254 proto 155 metric 100: there is one already that is not ours: " +
      "ip -6 route add 2001:db8:1::1/128 via fe80::1 dev wan table 254 proto 155 metric 100 (EEXIST)",
  );
  t.strictSame(
    fake.routes.get("254 20010db8000100000000000000000001/128 100"),
    strangers(route(1, { via: ipv6("fe80::1") })),
  );
  t.strictSame(await kernel.dump(["route"]), [route(2)], "and it is none of ours");
});

t.test(
  "a kernel that cannot be read in the middle of a change is a refusal, and calls for a new look at all of it",
  async (t) => {
    const { fake, kernel, changes } = await setup((fake) => {
      fake.routes.set("254 20010db8000100000000000000000001/128 100", body(route(1, { mtu: 1300 })));
    });
    // What is there already is looked at by a dump, whose answer is lost.
    fake.intercept = ({ type, flags }) =>
      type === rt.RTM_GETROUTE && (flags & NLM_F_DUMP) === NLM_F_DUMP ? { overrun: true } : undefined;
    const outcomes = await kernel.apply([create(route(1)), create(route(2))]);
    t.match(outcomes, [
      { error: { code: "MIP_KERNEL", errno: ENOBUFS, message: /^ip -6 route add 2001:db8:1::1\/128/ } },
      { error: { code: "MIP_KERNEL", errno: ENOBUFS, details: { outcomeUnknown: true } } },
    ]);
    t.strictSame(changes, ["resync"]);
  },
);

t.test("removing what is not there, or whose device is not there, is a success", async (t) => {
  const { errors } = await setup();
  t.strictSame(
    await errors([remove(route(1)), remove(route(2, { device: "gone" })), remove(proxy(1)), remove(sit("dsmip9"))]),
    [undefined, undefined, undefined, undefined],
  );
});

t.test("an update of what vanished makes it again", async (t) => {
  const { fake, errors } = await setup();
  t.strictSame(
    await errors([{ verb: "update", object: sit("dsmip0", "203.0.113.1", 1300), previous: sit("dsmip0") }]),
    [undefined],
  );
  t.match(fake.links.get("dsmip0"), { mtu: 1300, alias: "dsmipd", up: true });
});

t.test("a device and what stands on it in one go", async (t) => {
  const { fake, errors, kernel } = await setup();
  t.strictSame(await errors([create(sit("dsmip0")), create(route(1, { device: "dsmip0" })), create(route(2))]), [
    undefined,
    undefined,
    undefined,
  ]);
  t.match(fake.links.get("dsmip0"), { alias: "dsmipd", up: true, mtu: 1400 });
  t.strictSame(await kernel.dump(["link", "route"]), [sit("dsmip0"), route(1, { device: "dsmip0" }), route(2)]);
  t.strictSame(await errors([create(route(3, { device: "nowhere" }))]), ["ENODEV"]);
});

t.test("a device that came back under another index", async (t) => {
  const { fake, errors } = await setup();
  fake.links.delete("wan");
  fake.addLink("wan", { index: 77 });
  t.strictSame(await errors([create(route(1))]), [undefined]);
  t.equal(
    routeCodec.decode(
      { type: rt.RTM_NEWROUTE, flags: 0, body: [...fake.routes.values()][0] ?? body(route(9)) },
      WAN,
      true,
    )?.device,
    "wan",
  );
  t.equal(fake.routes.size, 1);
});

t.test("a link of a stranger keeps its name, its mark and its life", async (t) => {
  const { fake, kernel, errors } = await setup((fake) => {
    fake.addLink("dsmip0", { alias: "somebody", mtu: 1280 });
  });
  const [outcome] = await kernel.apply([create(sit("dsmip0"))]);
  t.match(outcome?.error, { errno: EEXIST });
  t.strictSame(await errors([remove(sit("dsmip0"))]), [undefined]);
  t.match(fake.links.get("dsmip0"), { alias: "somebody", mtu: 1280 });
});

t.test("a link that a crash left without its mark is finished", async (t) => {
  const { fake, errors } = await setup((fake) => {
    const [first] = linkCodec.create(sit("dsmip0"), WAN);
    const [, kind] = [first, first && linkInfo(first.body)];
    fake.addLink("dsmip0", { kind, up: false, mtu: 1400 });
  });
  t.strictSame(await errors([create(sit("dsmip0"))]), [undefined]);
  t.match(fake.links.get("dsmip0"), { alias: "dsmipd", up: true });
});

t.test("a tunnel that another one excludes: the error names it", async (t) => {
  const { fake, kernel } = await setup();
  await kernel.apply([create(sit("dsmip0"))]);
  fake.intercept = (message) => (message.type === rt.RTM_NEWLINK ? { errno: EEXIST } : undefined);
  const [outcome] = await kernel.apply([create(sit("dsmip1"))]);
  t.match(
    outcome?.error?.message,
    /^ip link add dsmip1 .*: another one is in the way: ip link add dsmip0 .*\(EEXIST\)$/,
  );
});

t.test("proxy neighbours are looked at before they are made, because the kernel would overwrite them", async (t) => {
  const stranger = proxyNeighbourCodec.create(proxy(1), WAN)[0]?.body ?? new Uint8Array(0);
  const { fake, kernel, errors } = await setup((fake) => {
    const without = stranger.slice(0, -8); // the attribute that carries our mark is the last
    fake.proxies.set("2 20010db8000100000000000000000001", without);
  });
  const [first, second] = await kernel.apply([create(proxy(1)), create(proxy(2))]);
  t.match(first?.error?.message, /there is one already that is not ours: ip neighbour add proxy 2001:db8:1::1 dev wan/);
  t.equal(second?.error, undefined);
  t.strictSame(await kernel.dump(["proxy-neighbour"]), [proxy(2)]);
  t.strictSame(await errors([create(proxy(2, true)), create(proxy(2, true))]), [undefined, undefined]);
  t.strictSame(await kernel.dump(["proxy-neighbour"]), [proxy(2, true)]);
  t.equal(fake.proxies.size, 2);
});

t.test("an outcome that nobody knows is found out", async (t) => {
  const { fake, errors, kernel } = await setup();
  let losing = true;
  fake.intercept = (message) => {
    if (message.type !== rt.RTM_NEWROUTE || !losing) return undefined;
    losing = false;
    fake.routes.set("254 20010db8000100000000000000000001/128 100", message.body.slice()); // done, but the answer is lost
    return { overrun: true };
  };
  t.strictSame(await errors([create(route(1)), create(route(2))]), [undefined, undefined]);
  t.strictSame(await kernel.dump(["route"]), [route(1), route(2)]);
  t.equal(kernel.counters().overruns, 1);
});

t.test("what stays refused is said as it is, and does not stop the others", async (t) => {
  const { fake, errors } = await setup();
  fake.intercept = (message) =>
    message.type === rt.RTM_NEWROUTE && message.body[1] === 127 ? { errno: ENOMEM, text: "no memory" } : undefined;
  const bad = route(0, { destination: prefix("2001:db8:1::/127") });
  t.strictSame(await errors([create(route(1)), create(bad), create(route(2))]), [undefined, "ENOMEM", undefined]);
  const wrong = await errors([create(route(3, { metric: 0 })), create(route(4))]);
  t.match(wrong, [/^metric: /, undefined]);
});

t.test("a kind whose family this kernel does not have", async (t) => {
  const { fake, kernel } = await setup();
  fake.intercept = (message) => (message.type === 0x10 ? { errno: ENODEV } : undefined);
  t.strictSame(await kernel.dump(["fou-port"]), []);
  const [outcome] = await kernel.apply([create({ kind: "fou-port", family: 4, port: 4191, encapsulation: "gue" })]);
  t.match(outcome?.error?.message, /^ip fou add port 4191 gue: .*modprobe fou/);
});

t.test("sysctls are read, written when they differ, and never restored", async (t) => {
  const files = new Map([
    ["net/a", "0\n"],
    ["net/b", "1\t2\n"],
  ]);
  const writes: string[] = [];
  const kernel = await NetlinkKernel.open({
    openTransport: new FakeRtnetlink().open,
    setTimer: new FakeTimers().set,
    codecs: [],
    sysctlFiles: {
      read(path) {
        const value = files.get(path);
        if (value === undefined) throw Object.assign(new Error("ENOENT"), { errno: -2 });
        return value;
      },
      write(path, value) {
        writes.push(`${path}=${value}`);
        files.set(path, `${value}\n`);
      },
    },
  });
  const sysctl = (path: string, value: string) => ({ kind: "sysctl" as const, path, value });
  const outcomes = await kernel.apply([
    create(sysctl("net/a", "1")),
    create(sysctl("net/b", "1 2")),
    create(sysctl("net/c", "1")),
    create(sysctl("../../etc/passwd", "1")),
  ]);
  t.match(
    outcomes.map(({ error }) => error?.message),
    [undefined, undefined, /^sysctl -w net\/c=1: .*ENOENT/, /leaves \/proc\/sys/],
  );
  t.strictSame(writes, ["net/a=1"]);
  t.strictSame(await kernel.dump(["sysctl"]), [sysctl("net/a", "1"), sysctl("net/b", "1 2")]);
  files.set("net/a", "0\n");
  t.strictSame((await kernel.dump(["sysctl"]))[0], sysctl("net/a", "0"), "somebody changed it");
  await kernel.apply([remove(sysctl("net/a", "1"))]);
  t.strictSame(writes, ["net/a=1"]);
  t.strictSame(await kernel.dump(["sysctl"]), [sysctl("net/b", "1 2")]);
});

t.test(
  "switches: what the kernel announces is looked up; what cannot be written serves if it comes to the same",
  async (t) => {
    const files = new Map([
      ["net/ipv4/ip_forward", "1\n"],
      ["net/ipv4/conf/all/rp_filter", "0\n"],
      ["net/ipv4/conf/dsmip0/rp_filter", "0\n"],
      ["net/ipv4/conf/eth1/rp_filter", "1\n"],
    ]);
    const fake = new FakeRtnetlink();
    const kernel = await NetlinkKernel.open({
      openTransport: fake.open,
      setTimer: new FakeTimers().set,
      codecs: [linkCodec],
      sysctlFiles: {
        read: (path) => files.get(path) ?? raise(2 /* ENOENT */),
        write: () => raise(30 /* EROFS */),
      },
    });
    const changes: (KernelChange | "resync")[] = [];
    kernel.onChange((change) => changes.push(change));
    const sysctl = (path: string, value: string) => ({ kind: "sysctl" as const, path, value });
    const wanted = [
      sysctl("net/ipv4/ip_forward", "1"),
      sysctl("net/ipv4/conf/dsmip0/rp_filter", "2"),
      sysctl("net/ipv4/conf/eth1/rp_filter", "2"),
    ];
    const outcomes = await kernel.apply(wanted.map(create));
    t.match(
      outcomes.map(({ error }) => error?.message),
      [undefined, undefined, "sysctl -w net/ipv4/conf/eth1/rp_filter=2: the kernel answers EROFS"],
    );
    t.strictSame(await kernel.lookUp(wanted.slice(0, 2)), wanted.slice(0, 2));
    const netconf = { type: rt.RTM_NEWNETCONF, body: Uint8Array.of(2, 0, 0, 0) };
    fake.announcements.get("route")?.announce(netconf);
    t.strictSame(changes, [], "nothing of ours");
    files.set("net/ipv4/ip_forward", "0\n");
    files.set("net/ipv4/conf/all/rp_filter", "1\n");
    fake.announcements.get("route")?.announce(netconf);
    files.delete("net/ipv4/conf/dsmip0/rp_filter");
    fake.announcements.get("route")?.announce(netconf);
    t.strictSame(changes, [
      { verb: "changed", object: sysctl("net/ipv4/ip_forward", "0") },
      { verb: "changed", object: sysctl("net/ipv4/conf/dsmip0/rp_filter", "0") },
      { verb: "removed", object: sysctl("net/ipv4/conf/dsmip0/rp_filter", "2") },
    ]);
  },
);

function raise(errno: number): never {
  throw Object.assign(new Error(errnoName(errno)), { errno: -errno, code: errnoName(errno) });
}

t.test("announcements of our objects", async (t) => {
  const { fake, changes } = await setup();
  const announce = fake.announcements.get("route");
  announce?.announce(
    { type: rt.RTM_NEWROUTE, body: body(route(1)) },
    { type: rt.RTM_NEWROUTE, body: strangers(route(2)) },
  );
  announce?.announce({ type: rt.RTM_DELROUTE, body: body(route(1)) });
  t.strictSame(changes, [
    { verb: "changed", object: route(1) },
    { verb: "removed", object: route(1) },
  ]);
});

t.test("a stranger that replaces our route has taken it away", async (t) => {
  const { fake, changes } = await setup();
  fake.announcements.get("route")?.announce({ type: rt.RTM_NEWROUTE, flags: NLM_F_REPLACE, body: strangers(route(1)) });
  t.strictSame(changes, [{ verb: "removed", object: route(1) }]);
});

t.test("lost announcements, and announcements that are no netlink", async (t) => {
  const { fake, changes } = await setup();
  fake.announcements.get("route")?.deliver(Uint8Array.of(1, 2, 3));
  t.strictSame(changes, ["resync"]);
  const gone = { type: rt.RTM_DELROUTE, body: body(route(1)) };
  fake.announcements.get("route")?.overrun();
  fake.announcements.get("route")?.announce(gone);
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
  t.strictSame(changes, ["resync", "resync"], "what is older than the loss is passed over");
  fake.announcements.get("route")?.announce(gone);
  t.match(changes[2], { verb: "removed" }, "and what is newer is not");
});

t.test("a device that goes takes IPv4 routes along without a word", async (t) => {
  const { fake, changes, kernel } = await setup();
  const wan = fake.links.get("wan");
  if (wan === undefined) throw new TypeError("wan");
  const announce = fake.announcements.get("route");
  announce?.announce(fake.linkMessage(wan)); // known to be up
  announce?.announce(fake.linkMessage({ ...wan, up: false }));
  t.strictSame(changes, [], "nothing of ours stands on it");
  announce?.announce(fake.linkMessage(wan));
  await kernel.apply([create(route(1))]);
  announce?.announce(fake.linkMessage({ ...wan, up: false }));
  t.strictSame(changes, ["resync"]);
  announce?.announce(fake.linkMessage(wan), fake.linkMessage(wan, rt.RTM_DELLINK));
  t.strictSame(changes, ["resync", "resync"]);
});

t.test("an old announcement that a dump has overtaken is no news", async (t) => {
  const { fake, changes, kernel } = await setup();
  await kernel.apply([create(sit("dsmip0")), create(route(1, { device: "dsmip0" }))]);
  const link = fake.links.get("dsmip0");
  if (link === undefined) throw new TypeError("dsmip0");
  fake.announcements.get("route")?.announce(fake.linkMessage({ ...link, up: false, alias: undefined }));
  await kernel.dump(["link"]);
  t.strictSame(changes, [], "it was made down and is up by now");
  link.up = false;
  fake.announcements.get("route")?.announce(fake.linkMessage(link));
  await kernel.dump(["link"]);
  t.ok(changes.includes("resync"), "it is down indeed");
});

t.test("the loss of a device that we took away ourselves is no news", async (t) => {
  const { fake, changes, kernel } = await setup();
  await kernel.apply([create(sit("dsmip0")), create(route(1, { device: "dsmip0" }))]);
  const link = fake.links.get("dsmip0");
  if (link === undefined) throw new TypeError("dsmip0");
  const announce = fake.announcements.get("route");
  announce?.announce(fake.linkMessage(link));
  await kernel.apply([remove(sit("dsmip0"))]);
  announce?.announce(fake.linkMessage({ ...link, up: false }), fake.linkMessage(link, rt.RTM_DELLINK));
  t.notOk(changes.includes("resync"));
});

t.test("a device that comes while the names are read is known, and one that went is not", async (t) => {
  const { fake, kernel } = await setup();
  const link = (type: number, index: number, name: string) => ({
    type,
    body: new AttributeWriter()
      .raw(encodeLinkHeader({ index, flags: rt.IFF_UP }))
      .string(rt.IFLA_IFNAME, name)
      .finish(),
  });
  fake.intercept = (message) => {
    if (message.type !== rt.RTM_GETLINK) return undefined;
    fake.intercept = () => undefined;
    fake.announcements.get("route")?.announce(link(rt.RTM_NEWLINK, 77, "late"), link(rt.RTM_DELLINK, 2, "wan"));
    return undefined;
  };
  await kernel.dump(["link"]);
  t.equal(kernel.names.interfaceName(77), "late");
  t.equal(kernel.names.isUp("wan"), false);
});

t.test("a kernel that refuses to list its links cannot be opened", async (t) => {
  const fake = new FakeRtnetlink();
  fake.intercept = () => ({ errno: EINVAL, text: "Invalid header" });
  const options = { openTransport: fake.open, setTimer: new FakeTimers().set, codecs: [routeCodec] };
  await t.rejects(NetlinkKernel.open(options), /Invalid header \(EINVAL\)/);
  for (const transport of [...fake.requests.values(), ...fake.announcements.values()]) t.equal(transport.closed, true);
  t.equal(errnoName(EINVAL), "EINVAL");
});

function linkInfo(bytes: Uint8Array): Uint8Array {
  // Behind the header (16), the name (12) and the MTU (8) stands IFLA_LINKINFO with a header of 4.
  return bytes.slice(16 + 12 + 8 + 4);
}
