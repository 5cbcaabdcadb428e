/** IPv4 route optimisation at the mobile node (draft-oulai-mext-dsmip-ro-00): both home addresses, both kinds of care-of address, modes. */
import t from "tap";
import type { IpAddress } from "../../../../../../controller/base/ip.js";
import type { Arrival } from "../../../../../../controller/protocol/mip6/inputs.js";
import type { CorrespondentSendEffect } from "../../../../../../controller/protocol/mip6/mobile-node/correspondents/inputs.js";
import type { Ipv4Mode } from "../../../../../../controller/protocol/mip6/return-routability/modes.js";
import { NO_REFRESH_NEEDED, type RoModeValue } from "../../../../../../controller/wire/mip6/options/dsmip.js";
import type { MobilityOption } from "../../../../../../controller/wire/mip6/options/mobility.js";
import { CN, CN4, COA, COA2, COA4, HOA, HOA4, IPV4, Node } from "./node.js";

const AWAY = { kind: "away", careOf: COA, ipv4HomeAddress: HOA4 } as const;
const AWAY4 = { kind: "away", careOf: COA4, ipv4HomeAddress: HOA4 } as const;
const OPTION29 = { kind: "ipv4-home-address", prefixLength: 32, mobileNetworkPrefix: false, address: HOA4 } as const;
const OPTION32 = { kind: "ipv4-care-of-address", address: COA4 } as const;
const mode = (value: RoModeValue): MobilityOption => ({ kind: "ipv4-ro-mode", mode: value });
const nat = (refreshSeconds: number): MobilityOption => ({ kind: "nat-detection", forceUdp: false, refreshSeconds });

/** What a correspondent says to what has left. */
interface Answers {
  /** In Care-of Tests; null: no option. */
  readonly test?: RoModeValue | null;
  /** In acknowledgements; absent: that of the update. */
  readonly ack?: RoModeValue | null;
  readonly more?: readonly MobilityOption[];
  readonly status?: number;
  /** To whom alone; the rest is lost. */
  readonly of?: (sent: CorrespondentSendEffect) => boolean;
}

const udp = (outerSource: IpAddress = CN4): Arrival["path"] => ({
  ...{ type: "udp", outerSource, outerPort: 4191, outerDestination: COA4 },
});

/** Answers everything that has left; returns it. */
function answer(
  node: Node,
  { test = 1, ack, more = [], status = 0, of = () => true }: Answers = {},
): readonly CorrespondentSendEffect[] {
  const sent = node.took();
  for (const { message, departure, authorization, destination: source } of sent.filter(of)) {
    if (message.type === "unknown") continue;
    const asked = message.options.filter(
      (one) => one.kind === "ipv4-home-address" || one.kind === "ipv4-care-of-address",
    );
    const said = (value: RoModeValue | null): readonly MobilityOption[] => (value === null ? [] : [mode(value)]);
    const tokens = { nonceIndex: 7, keygenToken: new Uint8Array(8).fill(0xa0) };
    if (message.type === "home-test-init")
      node.hears(
        { type: "home-test", cookie: message.cookie, ...tokens, options: asked },
        { source, throughHomeAgent: true },
      );
    if (message.type === "care-of-test-init") {
      const over = departure.type === "over-ipv4";
      const options = [...(over ? asked : []), ...said(test)];
      const place = over ? { source, path: udp() } : { source, destination: COA };
      node.hears({ type: "care-of-test", cookie: message.cookie, ...tokens, options }, place);
    }
    if (message.type === "binding-update") {
      const own = message.options.find((one) => one.kind === "ipv4-ro-mode")?.mode ?? 1;
      const options = [...said(ack === undefined ? own : ack), ...more];
      const { sequence, lifetimeUnits } = message;
      node.hears(
        {
          type: "binding-acknowledgement",
          status,
          flags: {
            keyManagementMobility: false,
            mobileRouter: false,
            proxyRegistration: false,
            tlv: false,
            bulk: false,
            distributedMobility: false,
          } as never,
          sequence,
          lifetimeUnits,
          options,
        },
        { source, authorized: (given) => given === authorization?.tokens },
      );
    }
  }
  return sent;
}

/** Until nothing leaves any more. */
function settle(node: Node, answers?: Answers): readonly CorrespondentSendEffect[] {
  const all: CorrespondentSendEffect[] = [];
  for (let i = 0; i < 10; i++) {
    const sent = answer(node, answers);
    if (sent.length === 0) return all;
    all.push(...sent);
  }
  throw new Error("no end");
}

const node = (): Node => new Node(IPV4);
/** [type, departure, kinds of options] */
const shapes = (sent: readonly CorrespondentSendEffect[]) =>
  sent.map(({ message, departure }) => [
    message.type,
    departure.type,
    message.type === "unknown" ? "" : message.options.map(({ kind }) => kind).join(" "),
  ]);
const updates = (sent: readonly CorrespondentSendEffect[]) =>
  sent.filter(({ message }) => message.type === "binding-update");

t.test(
  "RO-1-01 RO-7.1.1.1-01 RO-7.1.1.2-01 RO-6.3-01 RO-7.1.2-02 RO-7.1.2-04 RO-7.1.2-05: case A for the IPv4 home address alone",
  (t) => {
    const one = node().at(AWAY).demand(CN4);
    t.match(one.sent, [
      {
        message: { type: "care-of-test-init", options: [OPTION29, mode(1)] },
        source: COA,
        departure: { type: "native-direct" },
      },
      { message: { type: "home-test-init", options: [OPTION29] }, source: HOA, departure: { type: "native-direct" } },
    ]);
    answer(one);
    t.match(one.sent, [
      {
        message: {
          type: "binding-update",
          options: [OPTION29, mode(1), { kind: "nonce-indices" }, { kind: "binding-authorization-data" }],
        },
        departure: { type: "native-home-address-option", careOf: COA },
        authorization: { careOf: COA },
      },
    ]);
    t.match(one.path, { stage: "updating", ipv6: false, careOf: COA });
    answer(one);
    const ipv4 = { homeAddress: HOA4, correspondent: CN4, mode: "ipv6-encapsulation" };
    t.match(one.path, { stage: "bound", ipv6: false, ipv4, careOf: COA });
    t.equal(one.path?.outer, undefined);
    t.end();
  },
);

t.test(
  "RO-7.1.2-01 RO-5-03 RO-7.1.2-03 RO-6.1-02: both home addresses have tests, updates and entries of their own",
  (t) => {
    const one = node().at(AWAY).demand(CN);
    const first = settle(one);
    t.strictSame(
      shapes(updates(first)),
      [["binding-update", "native-home-address-option", "nonce-indices binding-authorization-data"]],
      "an update for the IPv6 home address is RFC 6275's",
    );
    t.match(one.path, { stage: "bound", ipv6: true });
    t.equal(one.path?.ipv4, undefined);
    one.demand(CN4);
    const second = settle(one);
    t.strictSame(
      shapes(second).map(([type]) => type),
      ["care-of-test-init", "home-test-init", "binding-update"],
    );
    t.match(one.path, { stage: "bound", ipv6: true, ipv4: { mode: "ipv6-encapsulation" } });
    const [six, four] = [CN, CN4].map((key) => one.state.entries.get(key));
    t.match(four, { ipv4: { homeAddress: HOA4, correspondent: CN4 }, binding: { mode: "ipv6-encapsulation" } });
    t.not(six?.binding?.sequence, four?.binding?.sequence);
    t.strictSame(one.drops, []);
    t.end();
  },
);

t.test(
  "RO-7.2.1.2-01 RO-7.2.1.2-02 RO-7.2.1.2-03 RO-7.2.2-01 RO-7.2.1.1-01 RO-5-04: case B, in UDP first, then in the mode",
  (t) => {
    for (const [answered, remotePort, udpIsUsed] of [
      [3, undefined, false],
      [4, 4191, true],
    ] as const) {
      const one = node().at(AWAY4).demand(CN4);
      const way = { type: "over-ipv4", localAddress: COA4, remoteAddress: CN4 };
      t.match(one.sent, [
        {
          message: { type: "care-of-test-init", options: [OPTION32, mode(3)] },
          source: HOA,
          destination: CN,
          departure: { ...way, remotePort: 4191 },
        },
        { message: { type: "home-test-init", options: [OPTION29] }, source: HOA, departure: { type: "native-direct" } },
      ]);
      answer(one, { test: answered });
      t.match(one.sent, [
        {
          message: {
            options: [
              OPTION29,
              OPTION32,
              mode(answered),
              { kind: "nonce-indices" },
              { kind: "binding-authorization-data" },
            ],
          },
          departure: way,
          authorization: { careOf: COA4 },
        },
      ]);
      const [{ departure } = {}] = one.sent;
      t.equal(departure?.type === "over-ipv4" && departure.remotePort, remotePort);
      answer(one);
      t.match(one.path, { stage: "bound", careOf: COA4, ipv6: false, outer: { correspondent: CN4, udp: udpIsUsed } });
      t.match(one.path?.ipv4, { mode: udpIsUsed ? "ipv4-udp" : "ipv4-encapsulation" });
    }
    t.end();
  },
);

t.test("RO-7.2.1.1-02: in case B the IPv6 home address has RFC 6275's home test, and a path over IPv4", (t) => {
  const one = node().at(AWAY4).demand(CN);
  const sent = settle(one, { test: 3 });
  t.strictSame(shapes(sent), [
    ["care-of-test-init", "over-ipv4", "ipv4-care-of-address ipv4-ro-mode"],
    ["home-test-init", "native-direct", ""],
    ["binding-update", "over-ipv4", "ipv4-care-of-address ipv4-ro-mode nonce-indices binding-authorization-data"],
  ]);
  t.match(one.path, { stage: "bound", ipv6: true, careOf: COA4, outer: { udp: false } });
  t.end();
});

t.test(
  "RO-5-09 RO-6.3-02 RO-6.3-05 RO-6.3-06: the mode is the correspondent's, the node's own where that says all, or there is no path",
  (t) => {
    const modeOf = (
      where: typeof AWAY | typeof AWAY4,
      test: RoModeValue | null,
      site: object = IPV4,
    ): Ipv4Mode | string => {
      const one = new Node(site).at(where).demand(CN4);
      settle(one, { test });
      return one.path?.ipv4?.mode ?? one.state.pauses.get(CN4)?.reason ?? "?";
    };
    const wished = { ipv4: { ...IPV4.ipv4, mode: "ipv4-udp" } };
    t.strictSame(
      [0, 1, 2, 3, 4].map((one) => modeOf(AWAY, one as RoModeValue)),
      [...["ipv6-encapsulation", "ipv6-encapsulation", "mode mapped", "mode ipv4-encapsulation", "mode ipv4-udp"]],
    );
    t.strictSame(
      [0, 1, 2, 3, 4].map((one) => modeOf(AWAY4, one as RoModeValue)),
      [...["ipv4-encapsulation", "mode ipv6-encapsulation", "mode mapped", "ipv4-encapsulation", "ipv4-udp"]],
    );
    t.strictSame([modeOf(AWAY4, 0, wished), modeOf(AWAY4, 3, wished)], ["ipv4-udp", "ipv4-encapsulation"]);
    t.match([modeOf(AWAY, null), modeOf(AWAY4, null)], [/no IPv4 route optimisation/, /no IPv4 route optimisation/]);
    t.end();
  },
);

t.test(
  "RO-7.1.2-10 C-49: an acknowledgement without the mode, or with another one, leaves IPv4 with the home agent",
  (t) => {
    for (const ack of [null, 4] as const) {
      const one = node().at(AWAY).demand(CN4);
      const sent = settle(one, { ack });
      t.equal(one.path?.ipv4, undefined);
      t.match(updates(sent).at(-1)?.message, { lifetimeUnits: 0, options: [OPTION29, { kind: "nonce-indices" }, {}] });
      t.ok(one.silent.has(CN4));
      const reason = one.state.pauses.get(CN4)?.reason;
      t.equal(reason, ack === null ? "no IPv4 route optimisation at the correspondent" : "mode ipv4-udp");
      one.demand(CN);
      settle(one, { ack: null });
      t.match(one.path, { stage: "bound", ipv6: true }, "RFC 6275 goes on");
    }
    const refused = node().at(AWAY4).demand(CN4);
    settle(refused, { test: 3, status: 129 });
    t.match([refused.path, refused.state.pauses.get(CN4)?.reason], [undefined, "status 129"]);
    t.end();
  },
);

t.test("RO-7.1.1.1-07 RO-7.2.1.2-05: which tests are believed", (t) => {
  const one = node().at(AWAY4).demand(CN4);
  const [careOf, home] = one.took().map(({ message }) => message);
  if (careOf?.type !== "care-of-test-init" || home?.type !== "home-test-init") throw new Error("other messages");
  const tokens = { nonceIndex: 7, keygenToken: new Uint8Array(8).fill(0xa0) };
  const homeTest = { type: "home-test", cookie: home.cookie, ...tokens, options: [OPTION29] } as const;
  one.hears(homeTest, { throughHomeAgent: false });
  one.hears({ ...homeTest, options: [] }, { throughHomeAgent: true });
  one.hears({ ...homeTest, options: [{ ...OPTION29, address: CN4 }] }, { throughHomeAgent: true });
  one.hears({ ...homeTest, cookie: careOf.cookie }, { throughHomeAgent: true });
  const careOfTest = { type: "care-of-test", cookie: careOf.cookie, ...tokens, options: [OPTION32, mode(3)] } as const;
  one.hears(careOfTest);
  one.hears(careOfTest, { path: udp(HOA4) });
  one.hears({ ...careOfTest, options: [mode(3)] }, { path: udp() });
  one.hears({ ...careOfTest, cookie: home.cookie }, { path: udp() });
  t.strictSame(one.drops, [
    ...["wrong-path", "wrong-path", "wrong-path", "cookie-mismatch"],
    ...["wrong-path", "wrong-path", "wrong-path", "cookie-mismatch"],
  ]);
  t.strictSame(one.took(), []);
  one.hears(homeTest, { throughHomeAgent: true }).hears(careOfTest, { path: udp() });
  t.strictSame(one.types(), ["binding-update"]);
  t.end();
});

t.test("RO-7.2.4-02: behind a NAT updates keep its mapping, with the tokens that hold", (t) => {
  const one = node().at(AWAY4).demand(CN4);
  settle(one, { test: 4, more: [nat(30)] });
  t.strictSame(one.wait(29).types(), []);
  one.wait(1);
  t.strictSame(
    shapes(settle(one, { more: [nat(30)] })).map(([type]) => type),
    ["binding-update"],
  );
  for (let i = 0; i < 4; i++) {
    one.wait(30);
    settle(one, { more: [nat(30)] });
  }
  one.wait(30);
  t.strictSame(
    shapes(settle(one, { test: 4, more: [nat(NO_REFRESH_NEEDED)] })).map(([type]) => type),
    ["care-of-test-init", "home-test-init", "binding-update"],
    "and with new ones in time",
  );
  t.strictSame(one.wait(170).types(), [], "no keepalive where there is no NAT");
  const silent = node().at(AWAY4).demand(CN4);
  settle(silent, { test: 4 });
  t.strictSame(silent.wait(109).types(), []);
  t.strictSame(silent.wait(1).types(), ["binding-update"], "the node's own interval");
  t.end();
});

t.test(
  "C-49: an update over IPv4 that nobody answers is followed by another care-of test, for the NAT may have another port",
  (t) => {
    const one = node().at(AWAY4).demand(CN4);
    answer(one, { test: 4 });
    t.strictSame(one.types(), ["binding-update"]);
    one.wait(1);
    t.strictSame(one.types(), ["care-of-test-init"]);
    one.wait(20);
    t.match(one.state.pauses.get(CN4)?.reason, /unanswered/, "not for ever");
    t.equal(one.path, undefined);
    t.end();
  },
);

t.test(
  "C-40: into a network without IPv6: who knows IPv4 route optimisation is told, the others lose their bindings; and back",
  (t) => {
    const OTHER = COA2;
    const one = node().at(AWAY).demand(CN).demand(CN4).demand(OTHER);
    settle(one);
    one.wait(10).at(AWAY4);
    const sent = settle(one, { test: 3 });
    t.match(one.state.entries.get(CN4), { phase: "bound", binding: { careOf: COA4, mode: "ipv4-encapsulation" } });
    t.match(one.state.entries.get(CN), { phase: "bound", binding: { careOf: COA4 } });
    t.match(
      updates(sent).filter(({ destination }) => destination === OTHER),
      [{ message: { lifetimeUnits: 0 }, departure: { type: "native-direct" } }],
    );
    t.strictSame(
      sent.filter(({ message }) => message.type === "home-test-init").map(({ destination }) => destination),
      [],
      "home tokens still hold",
    );
    one.wait(10).at({ ...AWAY, careOf: COA });
    settle(one);
    t.match(one.state.entries.get(CN4), { phase: "bound", binding: { careOf: COA, mode: "ipv6-encapsulation" } });
    t.match(one.state.entries.get(CN), { phase: "bound", binding: { careOf: COA } });

    const plain = node().at(AWAY).demand(CN);
    settle(plain, { test: null, ack: null });
    plain.wait(10).at(AWAY4);
    t.match(
      settle(plain),
      [{ message: { type: "binding-update", lifetimeUnits: 0 } }],
      "one that has not said a mode is asked for none",
    );

    const silent = node().at(AWAY).demand(CN);
    settle(silent, { test: 1 });
    silent.wait(10).at(AWAY4).wait(60);
    t.match(silent.state.entries.get(CN)?.phase, /leaving|left/, "who does not confirm is left");
    t.end();
  },
);

t.test(
  "payload that is under way when the path changes comes in: of an entry whose update is not answered yet, at former addresses",
  (t) => {
    const isOfIpv4 = ({ message }: CorrespondentSendEffect): boolean =>
      message.type !== "unknown" && message.options.some(({ kind }) => kind === "ipv4-home-address");
    const one = node().at(AWAY).demand(CN).demand(CN4);
    answer(one);
    t.match(one.path, { stage: "updating", ipv6: true, ipv4: { homeAddress: HOA4 } });
    answer(one, { of: (sent) => !isOfIpv4(sent) });
    t.match(one.path, { stage: "bound", ipv6: true, ipv4: { homeAddress: HOA4 }, inOnly: "ipv4" });
    one.wait(1);
    settle(one);
    t.match(one.path, { stage: "bound", inOnly: undefined });
    one.wait(10).at(AWAY4);
    settle(one, { test: 3 });
    t.match(one.path, { stage: "bound", careOf: COA4, former: [COA], formerIpv4: undefined });
    one.wait(10).at(AWAY);
    settle(one);
    t.match(one.path, { stage: "bound", careOf: COA, former: [], formerIpv4: [COA4] });
    one.wait(10);
    t.match(one.path, { stage: "bound", careOf: COA, former: [], formerIpv4: undefined }, "for the grace time");
    t.end();
  },
);

t.test("R5555-2.4-02 C-40: without the profile nothing of it is said or heard", (t) => {
  const one = new Node().at(AWAY).demand(CN);
  t.strictSame(shapes(one.sent), [
    ["care-of-test-init", "native-direct", ""],
    ["home-test-init", "native-direct", ""],
  ]);
  t.strictSame(new Node().at(AWAY).demand(CN4).types(), []);
  t.strictSame(new Node().at(AWAY4).demand(CN).types(), []);
  t.end();
});

t.test(
  "without an IPv4 home address there is no entry for it, and one that the home agent takes away ends its entry",
  (t) => {
    t.strictSame(node().at({ kind: "away", careOf: COA }).demand(CN4).types(), []);
    const one = node().at(AWAY).demand(CN).demand(CN4);
    settle(one);
    one.at({ kind: "away", careOf: COA });
    t.match(settle(one), [
      { message: { lifetimeUnits: 0, options: [OPTION29, {}, {}] }, departure: { type: "native-home-address-option" } },
    ]);
    t.match(one.path, { stage: "bound", ipv6: true });
    t.equal(one.path?.ipv4, undefined);
    t.end();
  },
);

t.test("home again: both entries end from the home address, with their own home tokens", (t) => {
  const one = node().at(AWAY).demand(CN).demand(CN4);
  settle(one);
  one.wait(10).at({ kind: "home" });
  const sent = updates(settle(one));
  t.strictSame(
    shapes(sent).map(([, way, options]) => [way, options]),
    [
      ["native-direct", "nonce-indices binding-authorization-data"],
      ["native-direct", "ipv4-home-address nonce-indices binding-authorization-data"],
    ],
  );
  one.wait(5);
  t.equal(one.path, undefined);
  t.strictSame([one.state.entries.size, one.state.pairs.size], [0, 0]);
  t.end();
});

t.test(
  "a restart goes on with what the journal has of both home addresses, and forgets what is not configured any more",
  (t) => {
    const one = node().at(AWAY4).demand(CN4);
    settle(one, { test: 4 });
    const { record } = one;
    if (record === null) throw new Error("nothing was kept");
    const again = node().give({ kind: "restore", record, ageSeconds: 5 }).at(AWAY4);
    t.match(again.path, { stage: "bound", careOf: COA4, ipv4: { mode: "ipv4-udp" }, outer: { udp: true } });
    settle(again, { test: 4 });
    t.match(again.state.entries.get(CN4), { phase: "bound" });
    t.equal(new Node().give({ kind: "restore", record, ageSeconds: 5 }).state.entries.size, 0);
    for (const bad of [
      { ipv4HomeAddress: "x" },
      { ipv4Correspondent: HOA },
      { mode: "best" },
      { careOf: "192.0.2.300" },
    ])
      t.equal(node().give({ kind: "restore", record: { ...record, ...bad }, ageSeconds: 0 }).state.entries.size, 0);
    t.end();
  },
);
