/** The neighbour watch: who has a link-layer address, who has answered, who was given up; nothing of bridges and proxies. */
import t from "tap";
import { fromHex } from "../../../../controller/base/bytes.js";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { encodeNeighbourHeader } from "../../../../controller/kernel/route/headers.js";
import { type NeighbourNews, NeighbourWatch } from "../../../../controller/kernel/route/neighbour-watch.js";
import { AttributeWriter } from "../../../../controller/netlink/attribute.js";
import * as rt from "../../../../controller/netlink/rtnetlink.js";
import { FakeNetlink, FakeTimers } from "../../../lib/netlink-fake.js";

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const AF_BRIDGE = 7;

function neighbour(
  hex: string,
  state: number,
  options: { mac?: Uint8Array; flags?: number; type?: number; family?: number } = {},
) {
  const octets = fromHex(hex);
  const family = options.family ?? (octets.length === 4 ? rt.AF_INET : rt.AF_INET6);
  const writer = new AttributeWriter()
    .raw(encodeNeighbourHeader({ family, index: 2, state, flags: options.flags ?? 0 }))
    .bytes(rt.NDA_DST, octets);
  if (options.mac !== undefined) writer.bytes(rt.NDA_LLADDR, options.mac);
  return { type: options.type ?? rt.RTM_NEWNEIGH, body: writer.finish() };
}

const GATEWAY = "0a000001";
const ROUTER = "fe80000000000000 0000000000000001";

t.test("neighbours are known from the start, and what the kernel finds out is told", async (t) => {
  let announcements = new FakeNetlink();
  const watch = await NeighbourWatch.open({
    openTransport: (_family, groups) => {
      const replies = [neighbour(GATEWAY, rt.NUD_STALE, { mac: MAC })];
      const transport = new FakeNetlink(() => ({ dump: true, replies }));
      if (groups.length > 0) announcements = transport;
      return transport;
    },
    setTimer: new FakeTimers().set,
    onError: (error) => t.fail(String(error)),
  });
  t.teardown(() => watch.close());
  t.strictSame(watch.linkLayerAddress(2, ipv4("10.0.0.1")), MAC);
  t.equal(watch.linkLayerAddress(3, ipv4("10.0.0.1")), undefined);
  const news: NeighbourNews[] = [];
  watch.onNews((one) => news.push(one));
  announcements.announce(
    neighbour(ROUTER, rt.NUD_REACHABLE, { mac: MAC }),
    neighbour(ROUTER, rt.NUD_FAILED),
    neighbour(GATEWAY, rt.NUD_STALE, { mac: MAC, type: rt.RTM_DELNEIGH }),
    neighbour(GATEWAY, rt.NUD_PERMANENT, { mac: MAC, flags: rt.NTF_PROXY }),
    neighbour(GATEWAY, rt.NUD_PERMANENT, { mac: MAC, family: AF_BRIDGE }),
  );
  await new Promise(setImmediate);
  t.strictSame(
    news.map(({ kind, address }) => `${kind} ${address}`),
    ["reachable fe80::1", "failed fe80::1", "forgotten 10.0.0.1"],
  );
  t.equal(watch.linkLayerAddress(2, ipv6("fe80::1")), undefined);
  t.equal(watch.linkLayerAddress(2, ipv4("10.0.0.1")), undefined);
});

t.test("what changed while announcements were lost is told when the kernel has been asked anew", async (t) => {
  let announcements = new FakeNetlink();
  let replies = [neighbour(GATEWAY, rt.NUD_STALE, { mac: MAC })];
  const watch = await NeighbourWatch.open({
    openTransport: (_family, groups) => {
      const transport = new FakeNetlink(() => ({ dump: true, replies }));
      if (groups.length > 0) announcements = transport;
      return transport;
    },
    setTimer: new FakeTimers().set,
    onError: (error) => t.fail(String(error)),
  });
  t.teardown(() => watch.close());
  const news = new Set<string>();
  watch.onNews(({ kind, address }) => news.add(`${kind} ${address}`));
  replies = [neighbour(GATEWAY, rt.NUD_FAILED)];
  announcements.overrun();
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  t.strictSame([...news], ["failed 10.0.0.1"]);
  t.equal(watch.linkLayerAddress(2, ipv4("10.0.0.1")), undefined);
});
