/** The watch over the IKE daemon's associations: the picture, announcements, lost ones, and octets that are no message at all. */
import fc from "fast-check";
import t from "tap";
import { toHex } from "../../../../controller/base/bytes.js";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import type { KernelNames, NetlinkMessage } from "../../../../controller/kernel/codec.js";
import * as n from "../../../../controller/kernel/notification-constants.js";
import * as c from "../../../../controller/kernel/xfrm/constants.js";
import { StructView, XFRM_STRUCTS } from "../../../../controller/kernel/xfrm/layout.js";
import { xfrmPolicyCodec } from "../../../../controller/kernel/xfrm/policy.js";
import { type SecurityChange, SecurityWatch } from "../../../../controller/kernel/xfrm/security-watch.js";
import { AttributeWriter } from "../../../../controller/netlink/attribute.js";
import { NLM_F_DUMP } from "../../../../controller/netlink/constants.js";
import { EPERM } from "../../../../controller/netlink/errno.js";
import { KernelError } from "../../../../controller/netlink/errors.js";
import { OWNERSHIP } from "../../../../controller/plan/objects/objects.js";
import type { XfrmPolicy, XfrmState, XfrmTemplate } from "../../../../controller/plan/objects/security.js";
import { NEGOTIATED, SENDING_MARK } from "../../../../controller/plan/security/marks.js";
import { gone, KEY, mapping, original, there } from "../../../lib/negotiated-states.js";
import { type Answer, FakeNetlink, FakeTimers } from "../../../lib/netlink-fake.js";

const NAMES: KernelNames = { interfaceIndex: () => 0, interfaceName: () => undefined };
const { xfrm_usersa_info: INFO, xfrm_id, xfrm_user_acquire: ACQUIRE, xfrm_user_expire: EXPIRE } = XFRM_STRUCTS;
const [HOME_AGENT, NODE] = [ipv6("2001:db8:1::1"), ipv6("2001:db8:a::11")];
const REQID = NEGOTIATED.reqidBase + 19;
const OURS = OWNERSHIP.reqidBase + 19;

const ours = (spi: number): XfrmState => {
  const { transform } = original(spi);
  return original(spi, { reqid: OURS, transform: { ...transform, mark: SENDING_MARK } as XfrmState["transform"] });
};

function expired(state: XfrmState, hard: boolean): NetlinkMessage {
  const view = new StructView(new Uint8Array(EXPIRE.size));
  view.bytes.set(there(state).body.subarray(0, INFO.size), EXPIRE.state);
  view.putU8(EXPIRE.hard, hard ? 1 : 0);
  return { type: c.XFRM_MSG_EXPIRE, flags: 0, body: view.bytes };
}

function acquire(protocol: number, templates: readonly Partial<XfrmTemplate>[]): NetlinkMessage {
  const anybody = { address: ipv6("::"), length: 0 };
  const policy: XfrmPolicy = {
    kind: "xfrm-policy",
    direction: "out",
    policyType: "main",
    selector: { source: anybody, destination: anybody, protocol: 0 },
    priority: OWNERSHIP.policyPriorityBase,
    action: "allow",
    templates: templates.map((one) => ({
      protocol: "esp",
      mode: "tunnel",
      source: NODE,
      destination: HOME_AGENT,
      reqid: OURS,
      optional: false,
      ...one,
    })),
  };
  const [request] = xfrmPolicyCodec.create(policy, NAMES);
  const attributes = request?.body.subarray(XFRM_STRUCTS.xfrm_userpolicy_info.size) ?? new Uint8Array(0);
  const view = new StructView(new Uint8Array(ACQUIRE.size));
  view.putU8(ACQUIRE.id + xfrm_id.proto, protocol);
  return {
    type: c.XFRM_MSG_ACQUIRE,
    flags: 0,
    body: new AttributeWriter().raw(view.bytes).raw(attributes).finish(),
  };
}

async function setup(...present: readonly XfrmState[]) {
  const kernel = { states: [...present], answer: undefined as Answer | undefined, dumps: 0, onDump: () => {} };
  const errors: unknown[] = [];
  const timers = new FakeTimers();
  const transports: { groups: readonly number[]; socket: FakeNetlink }[] = [];
  const openTransport = (_family: string, groups: readonly number[]): FakeNetlink => {
    const socket = new FakeNetlink(({ type, flags }) => {
      if (type !== c.XFRM_MSG_GETSA || (flags & NLM_F_DUMP) !== NLM_F_DUMP) throw new TypeError("not a dump");
      kernel.dumps++;
      kernel.onDump();
      return kernel.answer ?? { dump: true, replies: kernel.states.map(there) };
    });
    transports.push({ groups, socket });
    return socket;
  };
  const watch = await SecurityWatch.open({
    openTransport,
    setTimer: timers.set,
    onError: (error) => errors.push(error),
  });
  const changes: SecurityChange[] = [];
  watch.onChange((change) => changes.push(change));
  const [listening, asking] = transports;
  if (listening === undefined || asking === undefined) throw new TypeError("two sockets");
  const spis = (): readonly number[] => watch.states().map(({ spi }) => spi);
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 60; i++) await Promise.resolve();
  };
  return { watch, kernel, changes, errors, timers, listening, asking, spis, settle };
}

t.test("the picture at the start: what was negotiated and nothing else", async (t) => {
  const stranger = original(0x500, { reqid: 1 });
  const { watch, listening, asking } = await setup(original(0x1000), ours(0x1000), stranger, original(0x1001));
  t.strictSame(listening.groups, [n.XFRMNLGRP_SA, n.XFRMNLGRP_ACQUIRE, n.XFRMNLGRP_EXPIRE, n.XFRMNLGRP_MAPPING]);
  t.strictSame(asking.groups, []);
  t.strictSame(
    watch.states().map(({ aead: { key, ...aead }, ...state }) => ({ ...state, ...aead, key: toHex(key.reveal()) })),
    [0x1000, 0x1001].map((spi) => ({
      source: NODE,
      destination: HOME_AGENT,
      reqid: REQID,
      spi,
      mode: "tunnel",
      algorithm: "rfc4106(gcm(aes))",
      icvLength: 16,
      key: KEY,
    })),
  );
});

t.test("associations come and go", async (t) => {
  const { changes, listening, spis } = await setup(original(0x1000));
  listening.socket.announce(there(original(0x1001)), there(ours(0x1001)));
  t.match(changes.splice(0), [{ kind: "added", state: { spi: 0x1001 } }]);
  listening.socket.announce(gone(original(0x1000)), gone(ours(0x1001)), gone(original(0x7777)));
  t.match(changes.splice(0), [{ kind: "removed", state: { spi: 0x1000, reqid: REQID } }]);
  t.strictSame(spis(), [0x1001]);
  listening.socket.announce({ ...there(original(0x1002)), type: c.XFRM_MSG_UPDSA });
  t.match(changes.splice(0), [{ kind: "added", state: { spi: 0x1002 } }]);
});

t.test("a hard end takes an association away, a soft one or one of ours does not", async (t) => {
  const { changes, listening, spis } = await setup(original(0x1000), original(0x1001));
  listening.socket.announce(expired(original(0x1000), false), expired(ours(0x1001), true));
  t.strictSame(changes, []);
  listening.socket.announce(expired(original(0x1000), true));
  t.match(changes, [{ kind: "removed", state: { spi: 0x1000 } }]);
  t.strictSame(spis(), [0x1001]);
});

t.test("a packet without an association: the request id of the template that it is missing", async (t) => {
  const { changes, listening } = await setup();
  const option = { protocol: "home-address-option", mode: "route-optimisation", reqid: OURS + 5 } as const;
  listening.socket.announce(acquire(c.IPPROTO_ESP, [option, {}]), acquire(c.IPPROTO_DSTOPTS, [option, {}]));
  listening.socket.announce(acquire(c.IPPROTO_ESP, [{ reqid: REQID }]), acquire(c.IPPROTO_ESP, []));
  t.strictSame(changes, [{ kind: "acquire", reqid: OURS }], "no keys are missing where the option is");
});

t.test("another source of ESP in UDP, of ours alone", async (t) => {
  const { changes, listening } = await setup();
  listening.socket.announce(
    mapping(OURS, ipv4("203.0.115.2"), 40_000, c.AF_INET),
    mapping(REQID, ipv4("203.0.115.2"), 40_001, c.AF_INET),
    mapping(OURS, NODE, 4500, c.AF_INET6),
    mapping(OURS, NODE, 4500, 17),
  );
  t.strictSame(changes, [
    { kind: "mapping", reqid: OURS, address: ipv4("203.0.115.2"), port: 40_000 },
    { kind: "mapping", reqid: OURS, address: NODE, port: 4500 },
  ]);
});

t.test("lost announcements, and flushes: the picture is made anew, once for any number of them", async (t) => {
  const { changes, kernel, listening, spis, settle } = await setup(original(0x1000));
  kernel.states = [original(0x1001), original(0x1002)];
  listening.socket.overrun();
  t.strictSame(spis(), [0x1000], "until the answer is there");
  await settle();
  t.strictSame(changes.splice(0), [{ kind: "resynchronised" }]);
  t.strictSame(spis(), [0x1001, 0x1002]);
  kernel.states = [];
  const before = kernel.dumps;
  for (let i = 0; i < 9; i++) listening.socket.announce({ type: n.XFRM_MSG_FLUSHSA, body: new Uint8Array(8) });
  await settle();
  t.strictSame(changes, [{ kind: "resynchronised" }]);
  t.strictSame(spis(), []);
  t.equal(kernel.dumps - before, 2, "one that was under way, and one for all that came meanwhile");
});

t.test("what is announced while a dump runs stands, whatever the dump has seen of it", async (t) => {
  const { changes, kernel, listening, spis, settle } = await setup(original(0x1000), original(0x1001));
  kernel.states = [original(0x1001)];
  listening.socket.announce({ type: n.XFRM_MSG_FLUSHSA, body: new Uint8Array(8) });
  await Promise.resolve();
  listening.socket.announce(there(original(0x1002)), gone(original(0x1001)), acquire(c.IPPROTO_ESP, [{}]));
  t.strictSame(changes, [{ kind: "acquire", reqid: OURS }]);
  await settle();
  t.strictSame(spis(), [0x1002]);
  t.equal(changes.at(-1)?.kind, "resynchronised");
});

t.test("after a loss what was still in the socket is not believed: dumps go on until it is empty", async (t) => {
  const { changes, kernel, listening, spis, settle } = await setup();
  kernel.states = [original(0x1001)];
  const before = kernel.dumps;
  listening.socket.overrun();
  for (let i = 0; i < 3; i++) {
    await Promise.resolve();
    // It has come and, as was lost, gone again; what is nobody's business may lie between.
    listening.socket.announce(i === 1 ? there(ours(0x1000)) : there(original(0x1000)));
  }
  await settle();
  t.strictSame(spis(), [0x1001]);
  t.strictSame(changes, [{ kind: "resynchronised" }]);
  t.ok(kernel.dumps - before >= 3, "two of them in a row undisturbed");
  listening.socket.announce(there(original(0x1002)));
  t.strictSame(spis(), [0x1001, 0x1002], "and from then on everything is believed");
});

t.test("announcements without end do not hold it up for good", async (t) => {
  const { changes, kernel, listening, spis, settle } = await setup();
  kernel.onDump = () => queueMicrotask(() => listening.socket.announce(there(original(0x1000))));
  listening.socket.overrun();
  for (let i = 0; i < 10; i++) await settle();
  t.strictSame(spis(), [0x1000]);
  t.equal(changes.at(-1)?.kind, "resynchronised");
  t.ok(kernel.dumps < 15);
});

t.test("a dump that fails is told and tried again a second later", async (t) => {
  const { changes, kernel, errors, timers, listening, spis, settle } = await setup(original(0x1000));
  kernel.answer = { errno: EPERM };
  listening.socket.overrun();
  await settle();
  t.match(errors, [{ errno: EPERM }]);
  t.strictSame(changes, []);
  t.strictSame(
    [...timers.pending].map(({ delayMs }) => delayMs),
    [1000],
  );
  kernel.answer = undefined;
  kernel.states = [];
  timers.tick();
  await settle();
  t.strictSame(changes, [{ kind: "resynchronised" }]);
  t.strictSame(spis(), []);
  t.equal(timers.pending.size, 0);
});

t.test("a first dump that fails is an error, and nothing stays open", async (t) => {
  const sockets: FakeNetlink[] = [];
  const openTransport = (): FakeNetlink => {
    const socket = new FakeNetlink(() => ({ errno: EPERM }));
    sockets.push(socket);
    return socket;
  };
  const open = SecurityWatch.open({ openTransport, setTimer: new FakeTimers().set, onError: () => undefined });
  await t.rejects(open, KernelError);
  t.strictSame(
    sockets.map(({ closed }) => closed),
    [true, true],
  );
});

t.test("after the end nothing is heard and nothing asked", async (t) => {
  const { watch, changes, errors, kernel, timers, listening, settle } = await setup(original(0x1000));
  listening.socket.overrun();
  const { dumps } = kernel;
  watch.close();
  listening.socket.overrun();
  await settle();
  t.strictSame([changes, errors, kernel.dumps - dumps], [[], [], 0]);
  t.equal(timers.pending.size, 0);
});

t.test("counters of ours and of the negotiated ones", async (t) => {
  const { watch, kernel } = await setup();
  const [used, idle, stranger] = [there(ours(0x1000)), there(original(0x1001)), there(original(1000, { reqid: 1 }))];
  const counted = new AttributeWriter().raw(used.body).u64(c.XFRMA_LASTUSED, 1_700_000_100n).finish();
  const view = new DataView(counted.buffer, counted.byteOffset);
  const { curlft, stats } = INFO;
  view.setBigUint64(curlft, 123_456n, true);
  view.setBigUint64(curlft + 8, 99n, true);
  view.setBigUint64(curlft + 16, 1_700_000_000n, true);
  view.setUint32(stats + 4, 3, true);
  view.setUint32(stats + 8, 4, true);
  kernel.answer = { dump: true, replies: [{ ...used, body: counted }, idle, stranger] };
  const common = { source: NODE, destination: HOME_AGENT };
  t.strictSame(await watch.stateCounters(), [
    {
      ...common,
      reqid: OURS,
      spi: 0x1000,
      packets: 99,
      octets: 123_456,
      addedAt: 1_700_000_000,
      lastUsedAt: 1_700_000_100,
      replayed: 3,
      integrityFailures: 4,
    },
    { ...common, reqid: REQID, spi: 0x1001, packets: 0, octets: 0, addedAt: 0, replayed: 0, integrityFailures: 0 },
  ]);
});

t.test("any octets: no exception, and a new dump where they made no sense", async (t) => {
  const { listening, kernel, settle } = await setup(original(0x1000));
  const types = [c.XFRM_MSG_NEWSA, c.XFRM_MSG_DELSA, c.XFRM_MSG_EXPIRE, c.XFRM_MSG_ACQUIRE, c.XFRM_MSG_MAPPING];
  const good = [
    there(original(0x1000)),
    gone(original(0x1000)),
    expired(original(0x1000), true),
    acquire(c.IPPROTO_ESP, [{}]),
    mapping(OURS, NODE, 1, c.AF_INET6),
  ];
  fc.assert(
    fc.property(fc.constantFrom(...types), fc.uint8Array({ maxLength: 400 }), (type, body) =>
      listening.socket.announce({ type, body }),
    ),
  );
  fc.assert(
    fc.property(fc.constantFrom(...good), fc.nat(), fc.nat(255), fc.nat(), (message, at, value, length) => {
      const body = message.body.slice(0, length % (message.body.length + 1));
      if (body.length > 0) body[at % body.length] = value;
      listening.socket.announce({ type: message.type, body });
    }),
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (octets) => listening.socket.deliver(octets)));
  await settle();
  const before = kernel.dumps;
  listening.socket.announce({ type: c.XFRM_MSG_NEWSA, body: new Uint8Array(8) });
  await settle();
  t.equal(kernel.dumps - before, 2);
});
