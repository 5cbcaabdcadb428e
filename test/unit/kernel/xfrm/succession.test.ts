/** A new association goes on with the sequence numbers of its predecessors: what is asked, and what the new one begins with. */
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { type IpAddress, ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { Secret } from "../../../../controller/base/secret.js";
import type { AnyCodec, KernelNames, NetlinkMessage } from "../../../../controller/kernel/codec.js";
import { NetlinkKernel } from "../../../../controller/kernel/netlink-kernel.js";
import * as c from "../../../../controller/kernel/xfrm/constants.js";
import { StructView, XFRM_STRUCTS } from "../../../../controller/kernel/xfrm/layout.js";
import { xfrmPolicyCodec } from "../../../../controller/kernel/xfrm/policy.js";
import { xfrmStateCodec } from "../../../../controller/kernel/xfrm/state.js";
import { AttributeWriter, readAttributeList } from "../../../../controller/netlink/attribute.js";
import { NLM_F_DUMP } from "../../../../controller/netlink/constants.js";
import { ESRCH } from "../../../../controller/netlink/errno.js";
import type { ReceivedMessage } from "../../../../controller/netlink/message.js";
import { OWNERSHIP } from "../../../../controller/plan/objects/objects.js";
import type { AeadState, XfrmPolicy, XfrmState } from "../../../../controller/plan/objects/security.js";
import { RECEIVING_PLAIN_MARK, RECEIVING_UDP_MARK, SENDING_MARK } from "../../../../controller/plan/security/marks.js";
import type { Operation } from "../../../../controller/reconcile/kernel-port.js";
import { type Answer, FakeNetlink, FakeTimers } from "../../../lib/netlink-fake.js";

const NAMES: KernelNames = { interfaceIndex: () => 0, interfaceName: () => undefined };
const { xfrm_usersa_info: INFO, xfrm_replay_state_esn: LARGE, xfrm_replay_state: SMALL } = XFRM_STRUCTS;
const [HERE, THERE, ELSEWHERE] = [ipv6("2001:db8:a::11"), ipv4("203.0.114.11"), ipv4("10.0.0.2")];

function state(destination: IpAddress, transform: Partial<AeadState> = {}): XfrmState {
  return {
    kind: "xfrm-state",
    source: destination,
    destination,
    reqid: OWNERSHIP.reqidBase + 19,
    transform: {
      type: "esp",
      spi: 0x1000,
      mode: "tunnel",
      aead: { algorithm: "rfc4106(gcm(aes))", key: new Secret(new Uint8Array(20).fill(7)), icvLength: 16 },
      replayWindow: 64,
      mark: SENDING_MARK,
      ...transform,
    },
  };
}
const receiving = (destination: IpAddress, transform: Partial<AeadState> = {}): XfrmState =>
  state(destination, { mark: RECEIVING_PLAIN_MARK, ...transform });

interface Numbers {
  readonly sent?: number;
  readonly received?: number;
  /** Hexadecimal. */
  readonly bitmap?: string;
}

/** The message by which the kernel tells of a state with such numbers. */
function told(of: XfrmState, { sent = 0, received = 0, bitmap = "" }: Numbers): NetlinkMessage {
  const [request] = xfrmStateCodec.create(of, NAMES);
  const body = request?.body ?? new Uint8Array(0);
  const writer = new AttributeWriter().raw(body.subarray(0, INFO.size));
  const window = of.transform.type === "esp" ? of.transform.replayWindow : 0;
  for (const { type, payload } of readAttributeList(body.subarray(INFO.size)))
    if (type !== c.XFRMA_REPLAY_VAL && type !== c.XFRMA_REPLAY_ESN_VAL) writer.bytes(type, payload);
  if (window <= 32) {
    const value = new StructView(new Uint8Array(SMALL.size));
    value.putU32(SMALL.oseq, sent);
    value.putU32(SMALL.seq, received);
    value.bytes.set(fromHex(bitmap), SMALL.bitmap);
    writer.bytes(c.XFRMA_REPLAY_VAL, value.bytes);
  } else {
    const words = Math.ceil(window / 32);
    const value = new StructView(new Uint8Array(LARGE.size + 4 * words));
    value.putU32(LARGE.bmp_len, words);
    value.putU32(LARGE.oseq, sent);
    value.putU32(LARGE.seq, received);
    value.putU32(LARGE.replay_window, window);
    value.bytes.set(fromHex(bitmap), LARGE.bmp);
    writer.bytes(c.XFRMA_REPLAY_ESN_VAL, value.bytes);
  }
  return { type: c.XFRM_MSG_NEWSA, flags: 0, body: writer.finish() };
}

/** What a request to make a state says of its numbers. */
function begins({ body }: { readonly body: Uint8Array }): Required<Numbers> | "anew" {
  for (const { type, payload } of readAttributeList(body.subarray(INFO.size))) {
    if (type !== c.XFRMA_REPLAY_VAL && type !== c.XFRMA_REPLAY_ESN_VAL) continue;
    const fields = type === c.XFRMA_REPLAY_VAL ? { ...SMALL, bmp: SMALL.bitmap } : LARGE;
    const view = new StructView(payload);
    const [sent, received] = [view.u32(fields.oseq), view.u32(fields.seq)];
    if (sent !== 0 || received !== 0) return { sent, received, bitmap: toHex(payload.subarray(fields.bmp)) };
  }
  return "anew";
}

const successor = (of: XfrmState, ...replies: readonly NetlinkMessage[]): Required<Numbers> | "anew" =>
  begins(xfrmStateCodec.succeed?.(of, replies)[0] ?? { body: new Uint8Array(INFO.size) });

const BITMAP = "0f00000000000080";

t.test("one that receives goes on with number and bitmap as they are", (t) => {
  const before = told(receiving(HERE), { received: 70, bitmap: BITMAP });
  t.strictSame(successor(receiving(THERE), before), { sent: 0, received: 70, bitmap: BITMAP });
  const small = { replayWindow: 32 };
  t.strictSame(successor(receiving(THERE, small), told(receiving(HERE, small), { received: 9, bitmap: "ff010000" })), {
    sent: 0,
    received: 9,
    bitmap: "ff010000",
  });
  t.equal(successor(receiving(THERE), told(receiving(HERE), {})), "anew", "nothing was received yet");
  t.end();
});

t.test("in a window of another size all numbers up to the last count as seen", (t) => {
  const before = told(receiving(HERE), { received: 70, bitmap: BITMAP });
  const seen = (octets: number) => ({ sent: 0, received: 70, bitmap: "ff".repeat(octets) });
  t.strictSame(successor(receiving(THERE, { replayWindow: 128 }), before), seen(16));
  t.strictSame(successor(receiving(THERE, { replayWindow: 48 }), before), seen(8), "as long, but another window");
  t.strictSame(successor(receiving(THERE, { replayWindow: 32 }), before), seen(4));
  t.end();
});

t.test("one that sends leaps ahead by half the window, at least 32, and never past the end", (t) => {
  const leap = (replayWindow: number, sent: number) => {
    const numbers = successor(state(THERE, { replayWindow }), told(state(HERE, { replayWindow }), { sent }));
    return numbers === "anew" ? numbers : [numbers.sent, numbers.received];
  };
  t.strictSame(leap(4096, 1000), [3048, 0]);
  t.strictSame(leap(64, 1000), [1032, 0]);
  t.strictSame(leap(32, 1000), [1032, 0]);
  t.strictSame(leap(0, 1000), [1032, 0]);
  t.strictSame(leap(4096, 0xffffff00), [0xffffffff, 0]);
  t.strictSame(leap(4096, 0), [2048, 0], "its predecessor may send at any moment");
  t.end();
});

t.test("of several the one that has come furthest counts, and none with other keys", (t) => {
  const other = {
    aead: { algorithm: "rfc4106(gcm(aes))", key: new Secret(new Uint8Array(20).fill(8)), icvLength: 16 },
  };
  const [first, second] = [
    told(receiving(HERE), { received: 5, bitmap: "1f" }),
    told(receiving(ELSEWHERE), { received: 7, bitmap: "7f" }),
  ];
  t.match(successor(receiving(THERE), first, second), { received: 7, bitmap: "7f00000000000000" });
  t.match(successor(receiving(THERE), second, first), { received: 7 });
  t.equal(successor(receiving(THERE), told(receiving(HERE, other), { received: 99 })), "anew");
  t.equal(successor(receiving(THERE), told(state(HERE), { sent: 99 })), "anew", "the other direction");
  t.equal(successor(receiving(THERE)), "anew");
  t.end();
});

/** A kernel of states by destination and mark. */
async function setup(...present: readonly (readonly [XfrmState, Numbers])[]) {
  const states = new Map(
    present.map(([of, numbers]) => [idOf(xfrmStateCodec.find?.(of, NAMES)[0]?.body), told(of, numbers)]),
  );
  const made: ReceivedMessage[] = [];
  const answer = (message: ReceivedMessage): Answer => {
    if ((message.flags & NLM_F_DUMP) === NLM_F_DUMP) return { dump: true };
    if (message.type === c.XFRM_MSG_NEWSA) made.push(message);
    if (message.type === c.XFRM_MSG_DELSA) return states.delete(idOf(message.body)) ? {} : { errno: ESRCH };
    if (message.type !== c.XFRM_MSG_GETSA) return {};
    const found = states.get(idOf(message.body));
    return found === undefined ? { errno: ESRCH } : { replies: [found] };
  };
  const replies: NetlinkMessage[] = [];
  const codec = {
    ...xfrmStateCodec,
    succeed(of: XfrmState, all: readonly NetlinkMessage[]) {
      replies.push(...all);
      return xfrmStateCodec.succeed?.(of, all) ?? [];
    },
  };
  const transports: FakeNetlink[] = [];
  const kernel = await NetlinkKernel.open({
    openTransport: () => {
      const transport = new FakeNetlink(answer);
      transports.push(transport);
      return transport;
    },
    setTimer: new FakeTimers().set,
    codecs: [codec as unknown as AnyCodec, xfrmPolicyCodec as unknown as AnyCodec],
  });
  const sent = (): number => transports.reduce((sum, transport) => sum + transport.sent.length, 0);
  const batches = (): number[][] => transports.flatMap((one) => one.sent.map((batch) => batch.map(({ type }) => type)));
  return { kernel, made, replies, sent, batches };
}

const idOf = (body: Uint8Array | undefined): string => toHex(body ?? new Uint8Array(0));
const create = (object: XfrmState, ...predecessors: readonly XfrmState[]): Operation => ({
  verb: "create",
  object,
  predecessors,
});

t.test("all predecessors are asked for in one batch, and the answers are wiped", async (t) => {
  const nodes = Array.from({ length: 50 }, (_, i) => i);
  const at = (node: number, end: IpAddress): XfrmState => state(end, { spi: 0x1000 + node });
  const { kernel, made, replies, sent } = await setup(
    ...nodes.map((node) => [at(node, HERE), { sent: 100 + node }] as const),
  );
  const before = sent();
  const outcomes = await kernel.apply(nodes.map((node) => create(at(node, THERE), at(node, HERE))));
  t.strictSame(
    outcomes.filter(({ error }) => error !== undefined),
    [],
  );
  t.equal(sent() - before, 2, "the questions, and the creations");
  t.strictSame(
    made.map(begins),
    nodes.map((node) => ({ sent: 132 + node, received: 0, bitmap: "" })),
  );
  t.equal(replies.length, 50);
  for (const { body } of replies) t.ok(body.every((octet) => octet === 0));
});

t.test(
  "without its predecessor, or one of them, nothing is made: it would begin with numbers that have been used",
  async (t) => {
    const { kernel, made } = await setup([state(ELSEWHERE), { sent: 1000 }]);
    const outcomes = await kernel.apply([
      create(state(THERE), state(HERE)),
      create(state(THERE), state(ELSEWHERE), state(HERE)),
      { verb: "update", object: state(HERE, { hideDscp: true }), previous: state(HERE) },
    ]);
    for (const { error } of outcomes) t.match(error?.message, /what it continues is not in the kernel any more/);
    t.strictSame(made, []);
  },
);

t.test("what is removed and made again for a change goes on where it was", async (t) => {
  const before = state(HERE);
  const { kernel, made } = await setup([before, { sent: 1000 }]);
  const object = state(HERE, { hideDscp: true });
  const [outcome] = await kernel.apply([{ verb: "update", object, previous: before }]);
  t.equal(outcome?.error, undefined);
  t.strictSame(made.map(begins), [{ sent: 1032, received: 0, bitmap: "" }]);
});

t.test(
  "what is removed and made again is gone for one message only, and its policy follows in the same datagram",
  async (t) => {
    const before = state(HERE);
    const { kernel, batches } = await setup([before, { sent: 1000 }]);
    const policy = (source: IpAddress): XfrmPolicy => ({
      kind: "xfrm-policy",
      direction: "out",
      policyType: "main",
      selector: { source: { address: HERE, length: 128 }, destination: { address: HERE, length: 0 }, protocol: 0 },
      priority: OWNERSHIP.policyPriorityBase,
      action: "allow",
      templates: [{ protocol: "esp", mode: "tunnel", source, destination: HERE, reqid: before.reqid, optional: false }],
    });
    const other = state(ELSEWHERE, { spi: 0x2000 });
    const outcomes = await kernel.apply([
      create(other),
      { verb: "update", object: state(HERE, { hideDscp: true }), previous: before },
      { verb: "update", object: policy(ipv6("2001:db8:a::12")), previous: policy(ipv6("2001:db8:a::11")) },
    ]);
    t.strictSame(
      outcomes.map(({ error }) => error),
      [undefined, undefined, undefined],
    );
    t.strictSame(batches().at(-1), [c.XFRM_MSG_NEWSA, c.XFRM_MSG_DELSA, c.XFRM_MSG_NEWSA, c.XFRM_MSG_UPDPOLICY]);
  },
);

t.test("a change in place needs no history", async (t) => {
  const ports = (destinationPort: number) => ({
    mark: RECEIVING_UDP_MARK,
    encapsulation: { sourcePort: 4500, destinationPort },
  });
  const before = state(HERE, ports(4500));
  const { kernel, made } = await setup([before, { received: 1000 }]);
  await kernel.apply([{ verb: "update", object: state(HERE, ports(40000)), previous: before }]);
  t.strictSame(made, []);
});
