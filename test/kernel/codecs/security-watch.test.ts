/**
 * The watch over security associations against a real kernel: what a key manager installs and takes away, what the kernel asks for, and
 * the announcement that the IKE SA has moved.
 */
import assert from "node:assert/strict";
import { release } from "node:os";
import test, { type TestContext } from "node:test";
import { hostPrefix, type IpAddress, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { NETLINK_XFRM } from "../../../controller/io/constants.js";
import { NetlinkSocket } from "../../../controller/io/netlink/socket.js";
import { netlinkTransports } from "../../../controller/io/netlink/transport.js";
import { XFRM_MSG_MIGRATE, XFRMA_KMADDRESS } from "../../../controller/kernel/xfrm/constants.js";
import { StructView, XFRM_STRUCTS } from "../../../controller/kernel/xfrm/layout.js";
import type { MoveAnnouncement } from "../../../controller/kernel/xfrm/migrate.js";
import { type SecurityChange, SecurityWatch } from "../../../controller/kernel/xfrm/security-watch.js";
import { readAttributes } from "../../../controller/netlink/attribute.js";
import { KernelError } from "../../../controller/netlink/errors.js";
import { type ReceivedMessage, splitMessages } from "../../../controller/netlink/message.js";
import type { XfrmPolicy } from "../../../controller/plan/objects/security.js";
import {
  CLEAR_UDP_MARK,
  NEGOTIATED,
  RECEIVING_UDP_MARK,
  UDP_MARK_BIT,
} from "../../../controller/plan/security/marks.js";
import { A, B, ESP_PORT, espEnds, REQID, receiving, sending, TO_A, TO_B } from "../lib/esp-ends.js";
import { type Node, Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";
import { create, openKernel, remove, setTimer, update } from "./rtnetlink-objects.js";

const ORIGINAL = NEGOTIATED.reqidBase + 19;
const KEY = "0102030405060708090a0b0c0d0e0f1011121314";
/** linux/xfrm.h */
const XFRMNLGRP_MIGRATE = 7;

/** The change whose kind may be `K`. */
type ChangeOf<K, One = SecurityChange> = One extends { readonly kind: infer Kinds }
  ? K extends Kinds
    ? One
    : never
  : never;

function oneNode(t: TestContext): Node {
  const net = new Topology(t);
  const node = net.node("k");
  net.build();
  return node;
}

async function openWatch(t: TestContext, netns: string, receiveBufferBytes?: number) {
  const open = netlinkTransports(netns);
  const watch = await SecurityWatch.open({
    openTransport: (family, groups) =>
      groups.length > 0 && receiveBufferBytes !== undefined
        ? NetlinkSocket.open({ protocol: NETLINK_XFRM, netns, groups, receiveBufferBytes, wipe: true })
        : open(family, groups),
    setTimer,
    onError: (error) => assert.fail(String(error)),
  });
  t.after(() => watch.close());
  const changes: SecurityChange[] = [];
  watch.onChange((change) => changes.push(change));
  const heard = <K extends SecurityChange["kind"]>(kind: K, count = 1) =>
    waitFor(
      () => {
        const found = changes.filter((change): change is ChangeOf<K> => change.kind === kind);
        return found.length >= count && found;
      },
      { what: `${count} of ${kind}` },
    );
  const spis = (): readonly number[] =>
    watch
      .states()
      .map(({ spi }) => spi)
      .sort((a, b) => a - b);
  return { watch, changes, heard, spis };
}

/** As the IKE daemon installs it. */
const install = (spi: number, more = "", reqid = ORIGINAL): string =>
  `xfrm state add src 203.0.114.11 dst 203.0.113.1 proto esp spi ${spi} reqid ${reqid} mode tunnel replay-window 32 ` +
  `mark 0x40000000 mask 0x40000000 ${more} aead rfc4106(gcm(aes)) 0x${KEY} 128`;
const uninstall = (spi: number): string =>
  `xfrm state delete src 203.0.114.11 dst 203.0.113.1 proto esp spi ${spi} mark 0x40000000 mask 0x40000000`;

test("what the IKE daemon installs and takes away, with its keys", async (t) => {
  const node = oneNode(t);
  node.ip(install(0x1000), install(0x500, "", 7));
  const { watch, changes, heard, spis } = await openWatch(t, node.path);
  assert.deepEqual(spis(), [0x1000]);
  const [state] = watch.states();
  assert.ok(state);
  const { aead, ...rest } = state;
  assert.deepEqual(rest, {
    source: ipv4("203.0.114.11"),
    destination: ipv4("203.0.113.1"),
    reqid: ORIGINAL,
    spi: 0x1000,
    mode: "tunnel",
  });
  assert.deepEqual([aead.algorithm, aead.icvLength], ["rfc4106(gcm(aes))", 16]);
  assert.equal(Buffer.from(aead.key.reveal()).toString("hex"), KEY);

  const { kernel } = await openKernel(t, node.path);
  await kernel.apply([create(sending(0x1000, A.outer, B.outer))]);
  node.ip(install(0x1001), install(0x501, "", 7), uninstall(0x1000));
  const [removed] = await heard("removed");
  assert.equal(removed?.state.spi, 0x1000);
  assert.deepEqual(
    changes.map(({ kind }) => kind),
    ["added", "removed"],
    "nothing of strangers' and nothing of ours",
  );
  assert.deepEqual(spis(), [0x1001]);
});

test("a hard lifetime that ends, and a flush", async (t) => {
  const node = oneNode(t);
  const { heard, spis } = await openWatch(t, node.path);
  node.ip(install(0x1000, "limit time-hard 1"), install(0x1001), install(0x1002));
  const [removed] = await heard("removed");
  assert.equal(removed?.state.spi, 0x1000);
  assert.deepEqual(spis(), [0x1001, 0x1002]);
  node.ip("xfrm state flush");
  await waitFor(() => spis().length === 0, { what: "the flush" });
});

test("more announcements than the socket holds: the picture is made anew", async (t) => {
  const node = oneNode(t);
  const { heard, spis } = await openWatch(t, node.path, 4096);
  const all = Array.from({ length: 400 }, (_, i) => 0x2000 + i);
  node.ip(...all.map((spi) => install(spi)), uninstall(0x2000)); // blocks us: nothing is read meanwhile
  await heard("resynchronised");
  assert.deepEqual(spis(), all.slice(1));
  node.ip(uninstall(0x2001));
  await waitFor(() => spis().length === all.length - 2, { what: "an announcement afterwards" });
});

test("a packet without an association is told by the request id of its policy", async (t) => {
  const { a } = await espEnds(t);
  const { changes, heard } = await openWatch(t, a.node.path);
  assert.throws(() => a.ping(B));
  const [first] = await heard("acquire");
  assert.equal(first?.reqid, REQID);
  // The larval state that stands for the question is no association, and does not hinder ours.
  assert.deepEqual(await a.kernel.dump(["xfrm-state"]), []);
  await a.make(sending(TO_B, A.outer, B.outer));
  assert.equal((await a.kernel.dump(["xfrm-state"])).length, 1);
  assert.ok(changes.every(({ kind }) => kind === "acquire"));
});

test("ESP in UDP from another port or address than before, and not with every packet", async (t) => {
  const { a, b } = await espEnds(t);
  const { changes, heard } = await openWatch(t, b.node.path);
  b.receiveInUdp(t);
  b.node.nft(`table inet marks { chain in { type filter hook prerouting priority -150;
    udp dport ${ESP_PORT} meta mark set mark | ${UDP_MARK_BIT}; }; }`);
  const ports = (sourcePort: number) => ({ encapsulation: { sourcePort, destinationPort: ESP_PORT } });
  await b.make(
    receiving(TO_B, B.outer, { mark: RECEIVING_UDP_MARK, setMark: CLEAR_UDP_MARK, ...ports(ESP_PORT) }),
    sending(TO_A, B.outer, A.outer),
  );
  const first = sending(TO_B, A.outer, B.outer, ports(ESP_PORT));
  await a.make(first, receiving(TO_A, A.outer));
  a.ping(B, 10);
  await heard("mapping");
  const second = sending(TO_B, A.outer, B.outer, ports(40_000));
  await a.apply(update(second, first));
  a.ping(B, 10);
  await heard("mapping", 2);
  assert.deepEqual(changes, [
    { kind: "mapping", reqid: REQID, address: A.outer, port: ESP_PORT },
    { kind: "mapping", reqid: REQID, address: A.outer, port: 40_000 },
  ]);
});

test("counters of ours and of what was negotiated", async (t) => {
  const { a, b } = await espEnds(t);
  const { watch } = await openWatch(t, a.node.path);
  const started = Math.floor(Date.now() / 1000);
  await a.make(sending(TO_B, A.outer, B.outer), receiving(TO_A, A.outer));
  await b.make(sending(TO_A, B.outer, A.outer), receiving(TO_B, B.outer));
  a.node.ip(install(0x1000), install(0x500, "", 7));
  a.ping(B, 3);
  const counters = [...(await watch.stateCounters())].sort((x, y) => x.reqid - y.reqid || x.spi - y.spi);
  assert.deepEqual(
    counters.map(({ reqid, spi, destination, packets, replayed, integrityFailures }) => [
      reqid,
      spi,
      destination,
      packets,
      replayed,
      integrityFailures,
    ]),
    [
      [REQID, TO_B, B.outer, 6, 0, 0],
      [REQID, TO_A, A.outer, 6, 0, 0],
      [ORIGINAL, 0x1000, ipv4("203.0.113.1"), 0, 0, 0],
    ],
  );
  const [used, , idle] = counters;
  assert.ok(used && idle && used.octets >= 3 * (84 + 104), `${used?.octets} octets`);
  const [major = 0, minor = 0] = release().split(".").map(Number);
  assert.equal(used.lastUsedAt !== undefined, major > 6 || (major === 6 && minor >= 2));
  for (const at of [used.addedAt, used.lastUsedAt ?? used.addedAt, idle.addedAt])
    assert.ok(at >= started - 1 && at < started + 600, `${at}`);
  assert.equal(idle.lastUsedAt, undefined);
});

const [HOME_ADDRESS, HOME_AGENT] = [ipv6("2001:db8:1::100"), ipv6("2001:db8:1::1")];
const SIGNALLING: XfrmPolicy = {
  kind: "xfrm-policy",
  direction: "out",
  policyType: "main",
  selector: { source: hostPrefix(HOME_ADDRESS), destination: hostPrefix(HOME_AGENT), protocol: 135 },
  priority: 0x41910000,
  action: "allow",
  templates: [
    { protocol: "esp", mode: "transport", source: ipv6("::"), destination: ipv6("::"), reqid: REQID, optional: false },
  ],
};
const moveTo = (local: IpAddress, remote: IpAddress): MoveAnnouncement => ({
  selector: SIGNALLING.selector,
  reqid: REQID,
  local,
  remote,
});

test("the announcement of a move reaches key managers, and changes nothing", async (t) => {
  const node = oneNode(t);
  const { kernel, changes } = await openKernel(t, node.path);
  const managers = NetlinkSocket.open({ protocol: NETLINK_XFRM, netns: node.path, groups: [XFRMNLGRP_MIGRATE] });
  t.after(() => managers.close());
  const heard: ReceivedMessage[] = [];
  managers.onDatagram((datagram) => void heard.push(...splitMessages(datagram)));

  await assert.rejects(kernel.announceMove([moveTo(ipv4("10.0.0.2"), ipv4("203.0.113.1"))]), (error) => {
    assert.ok(error instanceof KernelError && error.isNotFound, String(error));
    assert.match(error.message, /^move of the IKE SA to 203\.0\.113\.1: /);
    return true;
  });
  await kernel.apply([create(SIGNALLING)]);
  const before = node.run("ip", "xfrm", "policy");
  await kernel.announceMove([
    moveTo(ipv4("10.0.0.2"), ipv4("203.0.113.1")),
    moveTo(ipv6("2001:db8:a::11"), HOME_AGENT),
  ]);
  await waitFor(() => heard.length === 2, { what: "the announcements" });
  const { xfrm_userpolicy_id: ID, xfrm_user_kmaddress: KMADDRESS } = XFRM_STRUCTS;
  const ends = heard.map(({ type, body }) => {
    const address = readAttributes(body.subarray(ID.size), ID.size).get(XFRMA_KMADDRESS);
    assert.ok(type === XFRM_MSG_MIGRATE && address);
    const view = new StructView(address.payload);
    const family = view.u16(KMADDRESS.family);
    return [view.address(KMADDRESS.local, family), view.address(KMADDRESS.remote, family)];
  });
  assert.deepEqual(ends, [
    ["10.0.0.2", "203.0.113.1"],
    ["2001:db8:a::11", "2001:db8:1::1"],
  ]);
  assert.equal(node.run("ip", "xfrm", "policy"), before);
  assert.equal(node.run("ip", "xfrm", "state"), "");
  assert.deepEqual(
    changes.map((change) => (change === "resync" ? change : change.verb)),
    ["changed"],
  );
  await kernel.apply([remove(SIGNALLING)]);
});
