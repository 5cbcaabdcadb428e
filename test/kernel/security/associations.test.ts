/**
 * Security associations as IKEv2 needs them, in a real kernel: everything an ESP state can have, states with one SPI side by side, ESP
 * and ESP in UDP at one address, and what changes in place.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { ipv6 } from "../../../controller/base/ip.js";
import { XFRM_MSG_UPDSA } from "../../../controller/kernel/xfrm/constants.js";
import { xfrmStateCodec } from "../../../controller/kernel/xfrm/state.js";
import { objectsEqual } from "../../../controller/plan/objects/equal.js";
import { type KernelObject, objectKey } from "../../../controller/plan/objects/objects.js";
import type { XfrmState } from "../../../controller/plan/objects/security.js";
import {
  CLEAR_UDP_MARK,
  ORIGINAL_MARK,
  RECEIVING_PLAIN_MARK,
  RECEIVING_UDP_MARK,
  SENDING_MARK,
  UDP_MARK_BIT,
} from "../../../controller/plan/security/marks.js";
import { CodecKernel, NAMES, namespace } from "../codecs/codec-kernel.js";
import { create, openKernel, remove, update } from "../codecs/rtnetlink-objects.js";
import { A, B, ESP_PORT, type EspEnd, espEnds, receiving, sending, state, TO_A, TO_B } from "../lib/esp-ends.js";

const IN_UDP = { sourcePort: ESP_PORT, destinationPort: ESP_PORT };
const ORIGINALS = 0x45000013;

function assertSame(found: readonly KernelObject[], wanted: readonly KernelObject[]): void {
  assert.deepEqual(found.map(objectKey).sort(), wanted.map(objectKey).sort());
  for (const object of wanted) {
    const match = found.find((one) => objectKey(one) === objectKey(object));
    assert.ok(match !== undefined && objectsEqual(match, object), `${objectKey(object)}: ${JSON.stringify(match)}`);
  }
}

/** What `ip -s xfrm state` says of each state (without -s nothing of extra flags), by SPI. */
function shown(kernel: CodecKernel): ReadonlyMap<number, string> {
  const texts = kernel.run("ip", "-s", "xfrm", "state").split(/^(?=src )/m);
  return new Map(texts.map((text) => [Number(/spi (0x[0-9a-f]+)/.exec(text)?.[1]), text]));
}

test("everything that a state can have, in the words of ip xfrm", async (t) => {
  const kernel = new CodecKernel(t, "xfrm", namespace(t, "words"));
  const everything: readonly (readonly [XfrmState, ...RegExp[]])[] = [
    [
      state(0x1000, A.outer, B.outer),
      /^src 10\.0\.0\.1 dst 10\.0\.0\.2\n/,
      /mode tunnel\n\treplay-window 0 seq 0x00000000 flag af-unspec/,
    ],
    [
      state(0x1100, A.outer, B.outer, { encapsulation: { sourcePort: 4500, destinationPort: 40_000 } }),
      /encap type espinudp sport 4500 dport 40000 addr 0\.0\.0\.0/,
    ],
    [state(0x1200, A.outer, B.outer, { mark: SENDING_MARK }), /mark 0x?0?\/0x40000000/],
    [state(0x1300, A.outer, B.outer, { setMark: CLEAR_UDP_MARK }), /output-mark 0x0\/0x20000000/],
    [state(0x1400, A.outer, B.outer, { decapsulateDscp: true }), /flag decap-dscp af-unspec/],
    [state(0x1500, A.outer, B.outer, { hideDscp: true }), /extra_flag dont-encap-dscp/],
    [state(0x1600, A.outer, B.outer, { replayWindow: 4096 }), /replay_window 4096, bitmap-length 128/],
    [state(0x1700, A.outer, B.outer, { replayWindow: 32 }), /replay-window 32 /],
    [
      { ...state(0x1800, A.outer, B.outer), source: ipv6("2001:db8:a::1"), destination: ipv6("2001:db8:a::2") },
      /^src 2001:/,
    ],
    [
      receiving(0x1900, B.outer, {
        mark: RECEIVING_UDP_MARK,
        encapsulation: IN_UDP,
        setMark: CLEAR_UDP_MARK,
        decapsulateDscp: true,
        replayWindow: 4096,
      }),
      /^src 0\.0\.0\.0 dst 10\.0\.0\.2\n/,
      /mark 0x20000000\/0x60000000/,
      /output-mark 0x0\/0x20000000/,
      /encap type espinudp sport 4500 dport 4500/,
    ],
  ];
  const objects = everything.map(([object]) => object);
  await kernel.execute(objects.flatMap((object) => xfrmStateCodec.create(object, NAMES)));
  assertSame(await kernel.dump(xfrmStateCodec), objects);
  const texts = shown(kernel);
  for (const [{ transform }, ...patterns] of everything) {
    const text = transform.type === "esp" ? (texts.get(transform.spi) ?? "") : "";
    for (const pattern of patterns) assert.match(text, pattern);
  }
  for (const object of objects) {
    const [message] = await kernel.ask(xfrmStateCodec.find?.(object, NAMES) ?? []);
    assert.ok(message);
    assertSame([xfrmStateCodec.decode(message, NAMES, true) as KernelObject], [object]);
  }
});

test("what the IKE daemon installed and ours have one SPI at one address, and each goes by itself", async (t) => {
  const { name, path } = (await espEnds(t)).a.node;
  const { kernel, changes } = await openKernel(t, path);
  const codec = new CodecKernel(t, "xfrm", name);
  const original = `src ${A.outer} dst ${B.outer} proto esp spi 0x1000 reqid ${ORIGINALS} mode tunnel mark 0x40000000 mask 0x40000000`;
  codec.run(
    "ip",
    "xfrm",
    "state",
    "add",
    ...original.split(" "),
    "aead",
    "rfc4106(gcm(aes))",
    `0x${"10".repeat(20)}`,
    "128",
  );
  const ours = [
    sending(TO_B, A.outer, B.outer),
    receiving(TO_B, B.moved, { mark: RECEIVING_PLAIN_MARK }),
    receiving(TO_B, B.moved, { mark: RECEIVING_UDP_MARK, encapsulation: IN_UDP, setMark: CLEAR_UDP_MARK }),
  ];
  const apply = async (...operations: Parameters<typeof kernel.apply>[0]) =>
    assert.deepEqual(
      (await kernel.apply(operations)).filter(({ error }) => error !== undefined),
      [],
    );
  await apply(...ours.map(create));
  assertSame(await kernel.dump(["xfrm-state"]), ours);
  assert.equal((await codec.dump(xfrmStateCodec, false)).length, 4);
  await apply(...ours.map(create));
  assertSame(await kernel.dump(["xfrm-state"]), ours);

  changes.length = 0;
  for (const [i, object] of ours.entries()) {
    await apply(remove(object));
    assertSame(await kernel.dump(["xfrm-state"]), ours.slice(i + 1));
  }
  await apply(...ours.map(remove));
  assert.match(codec.run("ip", "xfrm", "state"), /spi 0x00001000 reqid 1157627923 mode tunnel/);
  // All that was announced is ours, as it was.
  const removed = changes.flatMap((change) =>
    change !== "resync" && change.verb === "removed" ? [change.object] : [],
  );
  assertSame(removed, ours);
});

/** b takes ESP and ESP in UDP for one SPI at one address; a gets its answers as plain ESP. */
async function bothWays(t: TestContext, setMark = true) {
  const { a, b, net } = await espEnds(t);
  const plain = receiving(TO_B, B.outer);
  const inUdp = receiving(TO_B, B.outer, {
    mark: RECEIVING_UDP_MARK,
    encapsulation: IN_UDP,
    ...(setMark && { setMark: CLEAR_UDP_MARK }),
  });
  b.receiveInUdp(t);
  await b.make(plain, inUdp, sending(TO_A, B.outer, A.outer));
  await a.make(receiving(TO_A, A.outer));
  return { a, b, net, plain, inUdp };
}

/** The firewall's part: what comes in as UDP at the port carries the bit. */
const markUdp = ({ node }: EspEnd): string =>
  node.nft(`table inet marks { chain in { type filter hook prerouting priority -150;
    udp dport ${ESP_PORT} meta mark set mark | ${UDP_MARK_BIT}; }; }`);

test("ESP and ESP in UDP come in at one address under one SPI, each by its own state, IPv4 and IPv6 inside", async (t) => {
  const { a, b, plain, inUdp } = await bothWays(t);
  markUdp(b);
  const [direct, wrapped] = [
    sending(TO_B, A.outer, B.outer),
    sending(TO_B, A.outer, B.outer, { encapsulation: IN_UDP }),
  ];
  // The IKE daemon's, with the same SPI and keys at the same addresses, are met by nothing.
  const installed = (object: XfrmState): XfrmState => ({ ...object, reqid: ORIGINALS });
  const there = installed(receiving(TO_B, B.outer, { mark: ORIGINAL_MARK }));
  const here = installed(sending(TO_B, A.outer, B.outer, { mark: ORIGINAL_MARK }));
  await b.make(there);
  await a.make(here, direct);
  a.ping(B, 5);
  assert.equal((await b.look(plain)).packets, 10);
  assert.equal((await b.look(inUdp)).packets, 0);
  await a.apply(update(wrapped, direct));
  a.ping(B, 5);
  assert.equal((await b.look(plain)).packets, 10);
  assert.equal((await b.look(inUdp)).packets, 10);
  await a.apply(update(direct, wrapped));
  a.ping(B, 1);
  assert.equal((await b.look(plain)).packets, 12);
  assert.deepEqual([(await a.look(here)).packets, (await b.look(there)).packets], [0, 0]);
  for (const end of [a, b]) assert.deepEqual(end.faults(), {});
});

test("without the firewall's mark ESP in UDP meets the state for plain ESP, and is dropped for that", async (t) => {
  const { a, b, inUdp } = await bothWays(t);
  await a.make(sending(TO_B, A.outer, B.outer, { encapsulation: IN_UDP }));
  assert.throws(() => a.node.run("ping", "-c1", "-W1", B.inner[0] ?? ""));
  assert.equal((await b.look(inUdp)).packets, 0);
  assert.deepEqual(b.faults(), { XfrmInStateMismatch: 1 });
});

test("the firewall's bit is off again behind the state, so that what was inside meets no rule for it", async (t) => {
  for (const clears of [true, false]) {
    await t.test(clears ? "cleared" : "kept", async (t) => {
      const { a, b } = await bothWays(t, clears);
      markUdp(b);
      b.node.nft(`table inet inside { chain in { type filter hook input priority 0;
        meta l4proto { icmp, icmpv6 } meta mark & ${UDP_MARK_BIT} != 0 counter; }; }`);
      await a.make(sending(TO_B, A.outer, B.outer, { encapsulation: IN_UDP }));
      a.ping(B, 3);
      const [, marked] = /counter packets (\d+)/.exec(b.node.run("nft", "list", "table", "inet", "inside")) ?? [];
      assert.equal(Number(marked), clears ? 0 : 6);
    });
  }
});

test("the ports of an encapsulation change in place: counters and sequence numbers go on", async (t) => {
  const { a, b, inUdp, net } = await bothWays(t);
  markUdp(b);
  const before = sending(TO_B, A.outer, B.outer, { encapsulation: IN_UDP });
  const after = sending(TO_B, A.outer, B.outer, { encapsulation: { ...IN_UDP, sourcePort: 4600 } });
  const capture = await net.capture(b.node, "eth0", "udp");
  await a.make(before);
  a.ping(B, 3);
  assert.equal(xfrmStateCodec.update(after, before, NAMES)?.[0]?.type, XFRM_MSG_UPDSA);
  await a.apply(update(after, before));
  assertSame(await a.kernel.dump(["xfrm-state"]), [receiving(TO_A, A.outer), after]);
  assert.deepEqual([(await a.look(after)).sent, (await a.look(after)).packets], [6, 6]);
  a.ping(B, 3);
  assert.deepEqual([(await a.look(after)).sent, (await a.look(after)).packets], [12, 12]);
  assert.equal((await b.look(inUdp)).packets, 12);
  await capture.waitFor(({ layers }) => layers.some((layer) => layer.kind === "udp" && layer.sourcePort === 4600), {
    what: "the new source port",
    count: 6,
  });
});

test("nothing else of an ESP state changes in place: the kernel refuses an encapsulation, and ignores marks, flags and windows", async (t) => {
  const kernel = new CodecKernel(t, "xfrm", namespace(t, "fixed"));
  const plain = sending(TO_B, A.outer, B.outer);
  await kernel.execute(xfrmStateCodec.create(plain, NAMES));
  const asUpdate = (object: XfrmState) =>
    xfrmStateCodec.create(object, NAMES).map((request) => ({ ...request, type: XFRM_MSG_UPDSA }));
  const wrapped = sending(TO_B, A.outer, B.outer, { encapsulation: IN_UDP });
  assert.equal((await kernel.refusal(asUpdate(wrapped)))?.errnoName, "EINVAL");
  for (const transform of [{ hideDscp: true }, { decapsulateDscp: true }, { replayWindow: 128 }] as const) {
    const changed = sending(TO_B, A.outer, B.outer, transform);
    assert.equal(xfrmStateCodec.update(changed, plain, NAMES), undefined);
    await kernel.execute(asUpdate(changed));
    assertSame(await kernel.dump(xfrmStateCodec), [plain]);
  }
});
