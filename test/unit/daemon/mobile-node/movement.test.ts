/** Movement detection's eyes and questions: octets of the link in, frames out, a view of what is believed. */
import t from "tap";
import { ipv4, ipv6, type Prefix, parsePrefix } from "../../../../controller/base/ip.js";
import { Movement, type MovementPorts } from "../../../../controller/daemon/mobile-node/movement.js";
import type { NetworkView } from "../../../../controller/protocol/movement/network-view.js";
import { decodeIcmpv6, encodeIcmpv6, verifyIcmpv6Checksum } from "../../../../controller/wire/icmpv6.js";
import { decodeArp, encodeArp } from "../../../../controller/wire/ip/arp.js";
import { decodeIpv6Packet } from "../../../../controller/wire/ip/ipv6.js";

const INDEX = 2;
const OWN = Uint8Array.of(2, 0, 0, 0, 0, 5);
const ROUTER = Uint8Array.of(2, 0, 0, 0, 0, 1);

function view(carrierChanges: number): NetworkView {
  const one = { device: "eth0", tentative: false, deprecated: false, temporary: false, ours: false };
  const via = { device: "eth0", metric: 1, table: 254, protocol: 4, ours: false };
  return {
    links: [{ index: INDEX, name: "eth0", up: true, running: true, ours: false, carrierChanges }],
    addresses: [
      { ...one, address: ipv6("fe80::5"), prefixLength: 64, scope: "link" },
      { ...one, address: ipv6("2001:db8:a::5"), prefixLength: 64, scope: "global" },
      { ...one, address: ipv4("10.0.0.5"), prefixLength: 24, scope: "global" },
    ],
    routes: [
      { ...via, family: 6, destination: parsePrefix("::/0") as Prefix, via: ipv6("fe80::1") },
      { ...via, family: 4, destination: parsePrefix("0.0.0.0/0") as Prefix, via: ipv4("10.0.0.1") },
    ],
  };
}

function setup(identity: { index: number; mac: Uint8Array } | null = { index: INDEX, mac: OWN }) {
  const frames: { etherType: number; destination: Uint8Array; payload: Uint8Array }[] = [];
  const drops: string[] = [];
  const views: NetworkView[] = [];
  let heard: ReadonlySet<number> = new Set();
  const ports: MovementPorts = {
    identify: () => identity ?? undefined,
    sendFrame: (_index, etherType, destination, payload) => void frames.push({ etherType, destination, payload }),
    hearArp: (indices) => {
      heard = indices;
    },
    linkLayerAddress: () => ROUTER,
    drop: (detail) => void drops.push(detail),
    report: () => undefined,
  };
  const movement = new Movement(ports, { ipv6: ipv6("2001:db8:1::1"), ipv4: ipv4("203.0.113.1") }, view(1));
  movement.onView((seen) => views.push(seen));
  const turn = (): Promise<void> =>
    new Promise((resolve) => setTimeout(resolve, 0)).then(() => new Promise(setImmediate));
  return { movement, frames, drops, views, turn, heard: () => heard };
}

const globals = (seen: NetworkView): readonly string[] =>
  seen.addresses.filter(({ scope }) => scope === "global").map(({ address }) => address);

t.test(
  "a lost carrier: both routers are asked at their link-layer addresses, and each answer brings its family back",
  async (t) => {
    const { movement, frames, turn, heard } = setup();
    t.teardown(() => movement.close());
    t.strictSame(globals(movement.view), ["2001:db8:a::5", "10.0.0.5"]);
    movement.give({ kind: "network", view: view(3) });
    await turn();
    t.strictSame(globals(movement.view), []);
    t.strictSame([...heard()], [INDEX], "ARP is heard while an IPv4 router is being asked");
    const arp = frames.find(({ etherType }) => etherType === 0x0806);
    t.strictSame(arp?.destination, ROUTER);
    const request = decodeArp(arp?.payload ?? new Uint8Array(0));
    t.match(request, { ok: true, value: { operation: 1, senderAddress: "10.0.0.5", targetAddress: "10.0.0.1" } });
    const packets = frames
      .filter(({ etherType }) => etherType === 0x86dd)
      .map(({ destination, payload }) => ({ destination, ...read(payload) }));
    const question = packets.find(({ message }) => message?.type === "neighbour-solicitation");
    t.match(question, {
      destination: ROUTER,
      hopLimit: 255,
      to: "fe80::1",
      from: "fe80::5",
      sound: true,
      message: { target: "fe80::1" },
    });
    t.match(
      packets.find(({ message }) => message?.type === "router-solicitation"),
      {
        destination: Uint8Array.of(0x33, 0x33, 0, 0, 0, 2),
        hopLimit: 255,
        to: "ff02::2",
        from: "fe80::5",
        sound: true,
      },
    );

    movement.receiveArp(
      encodeArp({
        operation: 2,
        senderMac: ROUTER,
        senderAddress: ipv4("10.0.0.1"),
        targetMac: OWN,
        targetAddress: ipv4("10.0.0.5"),
      }),
      INDEX,
    );
    await turn();
    t.strictSame(globals(movement.view), ["10.0.0.5"]);
    t.strictSame([...heard()], []);
    const answer = encodeIcmpv6({
      type: "neighbour-advertisement",
      flags: { router: true, solicited: true, override: false },
      target: ipv6("fe80::1"),
      options: [],
    });
    movement.receiveIcmpv6(answer, { source: ipv6("fe80::1"), hopLimit: 64, index: INDEX });
    await turn();
    t.strictSame(globals(movement.view), ["10.0.0.5"], "one that came over a router is not from this link");
    movement.receiveIcmpv6(answer, { source: ipv6("fe80::1"), hopLimit: 255, index: INDEX });
    await turn();
    t.strictSame(globals(movement.view), ["2001:db8:a::5", "10.0.0.5"]);
  },
);

t.test("octets that mean nothing are counted, and nothing else happens", async (t) => {
  const { movement, drops, views, turn } = setup();
  t.teardown(() => movement.close());
  movement.receiveIcmpv6(Uint8Array.of(134, 0, 0), { source: ipv6("fe80::9"), hopLimit: 255, index: INDEX });
  movement.receiveArp(Uint8Array.of(1, 2, 3), INDEX);
  const advertisement = encodeIcmpv6({
    type: "router-advertisement",
    currentHopLimit: 64,
    flags: { managedAddresses: false, otherConfiguration: false, homeAgent: false },
    routerLifetimeSeconds: 1800,
    reachableTimeMs: 0,
    retransmissionTimerMs: 0,
    options: [],
  });
  // RFC 4861 §6.1.2.
  movement.receiveIcmpv6(advertisement, { source: ipv6("2001:db8:a::9"), hopLimit: 255, index: INDEX });
  await turn();
  t.equal(drops.length, 3);
  t.strictSame(views, []);
});

t.test("on a link that can carry no question of ours nothing is held against anybody", async (t) => {
  const { movement, frames, turn } = setup(null);
  t.teardown(() => movement.close());
  movement.give({ kind: "network", view: view(3) });
  await turn();
  await turn();
  t.strictSame(frames, []);
  t.strictSame(globals(movement.view), ["2001:db8:a::5", "10.0.0.5"]);
});

function read(packet: Uint8Array) {
  const decoded = decodeIpv6Packet(packet);
  if (!decoded.ok) throw new Error("no IPv6 packet");
  const { header, payload } = decoded.value;
  const { source: from, destination: to, hopLimit } = header;
  const message = decodeIcmpv6(payload);
  return {
    from,
    to,
    hopLimit,
    sound: verifyIcmpv6Checksum(payload, from, to),
    message: message.ok ? message.value : undefined,
  };
}
