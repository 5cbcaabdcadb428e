/**
 * A security association that takes on from another one, in a real kernel: the peer goes on accepting, what was received once is not
 * received again, and without the predecessor both would fail.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { fromHex } from "../../../controller/base/bytes.js";
import type { Ipv4Address } from "../../../controller/base/ip.js";
import { SOCK_RAW } from "../../../controller/io/constants.js";
import { IpSocket } from "../../../controller/io/ip/ip-socket.js";
import { IPPROTO_ESP } from "../../../controller/kernel/xfrm/constants.js";
import type { XfrmState } from "../../../controller/plan/objects/security.js";
import { RECEIVING_UDP_MARK } from "../../../controller/plan/security/marks.js";
import type { Operation } from "../../../controller/reconcile/kernel-port.js";
import { create, remove, update } from "../codecs/rtnetlink-objects.js";
import { A, B, type EspEnd, espEnds, outgoing, receiving, sending, TO_A, TO_B } from "../lib/esp-ends.js";
import { waitFor } from "../lib/wait.js";

const WINDOW = 64;
const after = (object: XfrmState, ...predecessors: readonly XfrmState[]): Operation => ({
  verb: "create",
  object,
  predecessors,
});

/** a sends to b from its first address; everything that b sends back comes to that one too. */
async function setup(t: TestContext, replayWindow = WINDOW) {
  const ends = await espEnds(t);
  const states = {
    out: sending(TO_B, A.outer, B.outer, { replayWindow }),
    in: receiving(TO_B, B.outer, { replayWindow }),
  };
  await ends.a.make(states.out, receiving(TO_A, A.outer));
  await ends.b.make(states.in, sending(TO_A, B.outer, A.outer));
  return { ...ends, ...states };
}

/** Which way a's packets go. */
const redirect = (a: EspEnd, from: Ipv4Address, to: Ipv4Address): Promise<void> =>
  a.apply(...outgoing(A, B, from, to).map((policy, i): Operation => update(policy, outgoing(A, B)[i] ?? policy)));

test("a sender at a new address goes on with its numbers, and the other end takes them", async (t) => {
  const { a, b, out, in: receiver } = await setup(t);
  a.ping(B, 20);
  assert.equal((await a.look(out)).sent, 40);
  const moved = sending(TO_B, A.moved, B.outer, { replayWindow: WINDOW });
  // The key of the states is the destination's: what changes is a's end, so that the old state has to go first.
  await a.apply(update(moved, out));
  assert.equal((await a.look(moved)).sent, 40 + WINDOW / 2);
  await redirect(a, A.moved, B.outer);
  a.ping(B, 20);
  assert.equal((await a.look(moved)).sent, 80 + WINDOW / 2);
  assert.equal((await b.look(receiver)).received, 80 + WINDOW / 2);
  assert.equal((await b.look(receiver)).packets, 80);
  assert.deepEqual(b.faults(), {});
});

test("a sender and a receiver of a new destination go on side by side with the old ones, which are still good for what is under way", async (t) => {
  const { a, b, out, in: receiver } = await setup(t);
  a.ping(B, 20);
  const there = receiving(TO_B, B.moved, { replayWindow: WINDOW });
  const onward = sending(TO_B, A.outer, B.moved, { replayWindow: WINDOW });
  await b.apply(after(there, receiver));
  const [before, taken] = [await b.look(receiver), await b.look(there)];
  assert.deepEqual({ ...taken, packets: 40 }, before, "numbers and bitmap as they were");
  assert.equal(taken.packets, 0, "and counters of its own");
  await a.apply(after(onward, out));
  a.ping(B, 5); // the policies still lead to the old one
  assert.equal((await a.look(out)).sent, 50);
  await redirect(a, A.outer, B.moved);
  a.ping(B, 5);
  assert.equal((await a.look(onward)).sent, 50 + WINDOW / 2, "10 after the leap");
  await b.apply(remove(receiver));
  await a.apply(remove(out));
  a.ping(B, 5);
  assert.equal((await b.look(there)).received, 60 + WINDOW / 2);
  assert.deepEqual(b.faults(), {});
});

/** The ESP packets that arrive at b, without their IP headers. */
function listen(t: TestContext, { node }: EspEnd): { readonly packets: Uint8Array[] } {
  const socket = IpSocket.open({ family: 4, type: SOCK_RAW, protocol: IPPROTO_ESP, netns: node.path });
  t.after(() => socket.close());
  const packets: Uint8Array[] = [];
  socket.listen({
    onPackets: (some) => void packets.push(...some.map(({ data }) => withoutHeader(data))),
    onError: (error) => assert.fail(error),
  });
  return { packets };
}

/** Raw IPv4 sockets give the header too. */
const withoutHeader = (data: Uint8Array): Uint8Array => {
  const esp = fromHex("0000 1000");
  const at = data.length > 24 && data[0] === 0x45 ? 20 : 0;
  assert.deepEqual(data.subarray(at, at + 4), esp);
  return data.slice(at);
};

/** Sends the packets again from a to an address of b. */
function replay(t: TestContext, { node }: EspEnd, destination: Ipv4Address, packets: readonly Uint8Array[]): void {
  const socket = IpSocket.open({ family: 4, type: SOCK_RAW, protocol: IPPROTO_ESP, netns: node.path });
  t.after(() => socket.close());
  for (const data of packets) assert.equal(socket.send([{ data, destination }]).sent, 1);
}

for (const replayWindow of [32, 64, 4096]) {
  test(`a packet that the predecessor received is nothing to the successor; window ${replayWindow}`, async (t) => {
    const { a, b, in: receiver } = await setup(t, replayWindow);
    const { packets } = listen(t, b);
    a.ping(B, 4);
    await waitFor(() => packets.length === 8, { what: "the packets" });
    const there = receiving(TO_B, B.moved, { replayWindow });
    await b.apply(after(there, receiver));
    replay(t, a, B.moved, packets);
    await waitFor(() => b.faults()["XfrmInStateSeqError"] === 8, { what: "the drops" });
    assert.equal((await b.look(there)).packets, 0);
    // Without the predecessor it would have taken them.
    await b.apply(remove(there));
    await b.make(there);
    replay(t, a, B.moved, packets);
    await waitFor(async () => (await b.look(there)).packets === 8, { what: "the packets for the second time" });
  });
}

test("in a window of another size what came before is too old or has been there", async (t) => {
  const { a, b, in: receiver } = await setup(t, 32);
  const { packets } = listen(t, b);
  a.ping(B, 4);
  await waitFor(() => packets.length === 8, { what: "the packets" });
  const larger = receiving(TO_B, B.moved, { replayWindow: 128 });
  await b.apply(after(larger, receiver));
  assert.equal((await b.look(larger)).received, 8);
  replay(t, a, B.moved, packets);
  await waitFor(() => b.faults()["XfrmInStateSeqError"] === 8, { what: "the drops" });
});

test("from ESP to ESP in UDP at one address, and with the predecessor gone", async (t) => {
  const { a, b, in: plain } = await setup(t);
  a.ping(B, 3);
  const inUdp = receiving(TO_B, B.outer, {
    replayWindow: WINDOW,
    mark: RECEIVING_UDP_MARK,
    encapsulation: { sourcePort: 4500, destinationPort: 4500 },
  });
  await b.apply(after(inUdp, plain));
  assert.equal((await b.look(inUdp)).received, 6);
  const elsewhere = receiving(TO_B, B.moved);
  await b.apply(remove(plain), remove(inUdp), after(elsewhere, plain, inUdp));
  assert.equal((await b.look(elsewhere)).received, 6, "asked for before they went");
  await b.apply(remove(elsewhere));
  const [outcome] = await b.kernel.apply([after(plain, elsewhere, inUdp)]);
  assert.match(outcome?.error?.message ?? "", /is not in the kernel any more/, "nothing is left to take on from");
});

test("what is removed and made again for a change goes on, in either direction", async (t) => {
  const { a, b, out, in: receiver } = await setup(t);
  a.ping(B, 5);
  const hiding = sending(TO_B, A.outer, B.outer, { replayWindow: WINDOW, hideDscp: true });
  await a.apply(update(hiding, out));
  const copying = receiving(TO_B, B.outer, { replayWindow: WINDOW, decapsulateDscp: true });
  await b.apply(update(copying, receiver));
  assert.equal((await b.look(copying)).received, 10);
  a.ping(B, 5);
  assert.equal((await a.look(hiding)).sent, 20 + WINDOW / 2);
  assert.deepEqual(b.faults(), {});
});

test("the kernel lets nobody send past the last number", async (t) => {
  const { a, out } = await setup(t, 0);
  const near = 0xffff_fffd;
  a.node.ip(
    "xfrm state delete src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x1000 mark 0 mask 0x40000000",
    `xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x1000 reqid ${out.reqid} mode tunnel flag af-unspec mark 0 mask 0x40000000 replay-oseq ${near} aead rfc4106(gcm(aes)) 0x${"10".repeat(20)} 128`,
  );
  assert.equal((await a.look(out)).sent, near);
  const moved = sending(TO_B, A.outer, B.moved, { replayWindow: 0 });
  await a.apply(create(moved));
  await a.apply(remove(moved));
  await a.apply(after(moved, out));
  assert.equal((await a.look(moved)).sent, 0xffff_ffff);
  await redirect(a, A.outer, B.moved);
  assert.throws(() => a.node.run("ping", "-c1", "-W1", B.inner[0] ?? ""));
  assert.equal(a.faults()["XfrmOutStateSeqError"], 1);
});
