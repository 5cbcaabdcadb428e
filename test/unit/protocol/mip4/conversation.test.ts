/**
 * A mobile node and a home agent that talk in octets: both machines, the codecs, and HMACs made and checked. What one sends is what the
 * other reads; nothing else connects them.
 */
import t from "tap";
import { fromHex } from "../../../../controller/base/bytes.js";
import { IPV4_ANY, type Ipv4Address, ipv4 } from "../../../../controller/base/ip.js";
import { Secret } from "../../../../controller/base/secret.js";
import {
  type AuthenticationKey,
  authenticateWith,
  verdictOn,
} from "../../../../controller/daemon/mip4/authenticators.js";
import type { HomeAgentEffect } from "../../../../controller/protocol/mip4/home-agent/inputs.js";
import type { HomeAgentSite } from "../../../../controller/protocol/mip4/home-agent/site.js";
import type {
  Attachment,
  MobileNodeEffect,
  MobileNodeInput,
} from "../../../../controller/protocol/mip4/mobile-node/inputs.js";
import { MobileNodeState, nextDeadline, step } from "../../../../controller/protocol/mip4/mobile-node/machine.js";
import type { MobileNodeSite } from "../../../../controller/protocol/mip4/mobile-node/site.js";
import {
  authenticationsOf,
  encodeAuthenticated,
} from "../../../../controller/wire/mip4/messages/authenticated-octets.js";
import {
  locateControlMessage,
  type RegistrationMessage,
} from "../../../../controller/wire/mip4/messages/control-message.js";
import { COA, HA, HOA, HomeAgentBench, NAT, OTHER_HOA, OWN, prefix, SPI } from "../../../lib/mip4-home-agent.js";

const NODE_SITE: MobileNodeSite = {
  homeAddress: HOA,
  homeAgent: HA,
  spi: SPI,
  replayProtection: { kind: "timestamps" },
  lifetimeSeconds: 600,
  reverseTunnelling: "preferred",
  encapsulation: "ip-in-ip",
  udpTunnelling: { ask: true, forced: false, keepaliveSeconds: 110 },
  previousCareOfGraceSeconds: 5,
  prefixes: [],
  tunnelToCareOf: false,
  delegation: false,
};
const AT_COA: Attachment = { kind: "co-located", device: "eth1", address: COA };
const KEY: AuthenticationKey = { algorithm: "hmac-md5", key: new Secret(fromHex("000102030405060708090a0b0c0d0e0f")) };

class Conversation {
  readonly bench: HomeAgentBench;
  readonly node: MobileNodeState;
  readonly #nodesKey: AuthenticationKey;
  /** Seconds by which the node's clock is wrong. */
  clockError = 0;
  nat: { readonly source: Ipv4Address; readonly sourcePort: number } | undefined;
  /** What the node sends is lost. */
  cut = false;
  #random = 1;
  /** All that was asked and answered. */
  readonly requests: RegistrationMessage[] = [];
  readonly events: string[] = [];

  constructor(site: Partial<MobileNodeSite> = {}, agent: Partial<HomeAgentSite> = {}, key = KEY) {
    this.bench = new HomeAgentBench(agent);
    this.node = new MobileNodeState({ ...NODE_SITE, ...site });
    this.#nodesKey = key;
  }

  /** One input of the node, and everything that follows without waiting. */
  input(input: MobileNodeInput): readonly MobileNodeEffect[] {
    const moment = { now: this.bench.now, timeOfDay: this.bench.timestamp(this.clockError), random: this.#random++ };
    const effects = step(this.node, input, moment);
    const answers = effects.flatMap((effect) => {
      if (effect.kind === "notify") this.events.push(effect.event);
      return effect.kind === "request" ? this.#carry(effect) : [];
    });
    return [...effects, ...answers];
  }

  #carry(effect: Extract<MobileNodeEffect, { kind: "request" }>): readonly MobileNodeEffect[] {
    const octets = encodeAuthenticated(
      effect.request,
      authenticateWith(() => this.#nodesKey),
    );
    const { message: request } = locateControlMessage(octets);
    if (request.type !== "registration-request") throw new Error(request.type);
    this.requests.push(request);
    if (this.cut) return [];
    const verdicts = authenticationsOf(octets).map((one) => verdictOn(one, () => KEY));
    const arrival = {
      source: effect.source,
      sourcePort: 434,
      destination: effect.destination,
      device: "eth0",
      ...this.nat,
    };
    this.bench.wait(0.02);
    const timeOfDay = this.bench.timestamp();
    const asked = this.bench.step({ kind: "request", arrival, request, verdicts, timeOfDay, nonce: this.#random++ });
    return this.bench.settle(asked).flatMap((answer) => this.#answer(answer));
  }

  #answer(effect: HomeAgentEffect): readonly MobileNodeEffect[] {
    if (effect.kind !== "reply") return [];
    const octets = encodeAuthenticated(
      effect.reply,
      authenticateWith(() => KEY),
    );
    const { message: reply } = locateControlMessage(octets);
    if (reply.type !== "registration-reply") throw new Error(reply.type);
    const verdicts = authenticationsOf(octets).map((one) => verdictOn(one, () => this.#nodesKey));
    this.bench.wait(0.02);
    return this.input({ kind: "reply", source: effect.source, reply, verdicts });
  }

  /** Lets the node's deadlines come, up to `seconds` from now. */
  run(seconds: number): readonly MobileNodeEffect[] {
    const end = this.bench.now + 1000 * seconds;
    const effects: MobileNodeEffect[] = [];
    for (;;) {
      const due = nextDeadline(this.node);
      if (due === undefined || due > end) break;
      this.bench.wait(Math.max(0, due - this.bench.now) / 1000);
      effects.push(...this.input({ kind: "timer" }));
    }
    this.bench.wait(Math.max(0, end - this.bench.now) / 1000);
    return effects;
  }
}

t.test("a node registers, stays registered, and comes home", (t) => {
  const talk = new Conversation({ prefixes: [OWN], tunnelToCareOf: true });
  talk.input({ kind: "attach", attachment: AT_COA });
  t.match(talk.node.path, {
    mode: "away",
    homeAddress: HOA,
    keepaliveSeconds: undefined,
    reverseTunnelling: true,
    prefixes: [{ prefix: OWN, mode: "care-of-address" }],
  });
  t.strictSame(talk.events, ["registration.started", "registration.completed"]);
  talk.run(3500);
  t.notOk(talk.events.includes("nat.changed"));
  t.ok(talk.requests.length >= 8 && talk.requests.length <= 10, `${talk.requests.length} requests in an hour`);
  t.equal(talk.bench.state.table.size, 1);
  talk.input({ kind: "attach", attachment: { kind: "home", device: "eth2" } });
  const former = { kind: "co-located", device: AT_COA.device, address: AT_COA.address };
  t.strictSame(talk.node.path, { mode: "home", device: "eth2", homeAddress: HOA, ingress: [former] });
  talk.run(6);
  t.strictSame(talk.node.path, { mode: "home", device: "eth2", homeAddress: HOA }, "the grace time is over");
  t.equal(talk.bench.state.table.size, 0);
  t.equal(nextDeadline(talk.node), undefined);
  t.match(talk.requests.at(-1), { lifetimeSeconds: 0, careOfAddress: HOA });
  t.ok(talk.events.includes("home.returned"));
  t.end();
});

t.test("before an answer is here the place that is asked for is ready, and the home link for the last one", (t) => {
  const talk = new Conversation();
  const path = (): unknown => talk.node.path;
  talk.cut = true;
  talk.input({ kind: "attach", attachment: AT_COA });
  const end = { kind: "co-located", device: AT_COA.device, address: AT_COA.address };
  t.strictSame(path(), { mode: "detached", ingress: [end] });
  talk.cut = false;
  talk.run(3);
  t.match(path(), { mode: "away", egress: end });
  talk.cut = true;
  const home = { kind: "home", device: "eth2" } as const;
  const asking = talk.input({ kind: "attach", attachment: home });
  const order = asking.flatMap((effect) =>
    ["data-path", "announce", "request"].includes(effect.kind) ? [effect] : [],
  );
  t.match(
    order,
    [{ kind: "data-path" }, { kind: "announce", device: "eth2", address: HOA }, { kind: "request" }],
    "payload leaves the tunnel, and the link is told, before the home agent is",
  );
  t.strictSame(path(), { mode: "home", device: "eth2", homeAddress: HOA, ingress: [end] });
  talk.run(1.5);
  t.match(path(), { mode: "away", egress: end, ingress: [end], homeDevice: "eth2" }, "home does not lead far");
  talk.cut = false;
  const answered = talk.run(3);
  t.match(
    answered.filter(({ kind }) => kind === "announce"),
    [{ device: "eth2", address: HOA }],
  );
  t.match(path(), { mode: "home", device: "eth2", ingress: [end] });
  talk.run(6);
  t.strictSame(path(), { mode: "home", device: "eth2", homeAddress: HOA });
  talk.cut = true;
  talk.input({ kind: "attach", attachment: AT_COA });
  t.strictSame(path(), { mode: "home", device: "eth2", homeAddress: HOA, ingress: [end] });
  talk.input({ kind: "attach", attachment: home });
  t.match(path(), { mode: "home", ingress: undefined });
  t.end();
});

t.test("F5944-5.7-01: a clock that is a year off costs one request more, in either direction", (t) => {
  for (const error of [-31_536_000, 31_536_000, 8]) {
    const talk = new Conversation();
    talk.clockError = error;
    talk.input({ kind: "attach", attachment: AT_COA });
    talk.run(3);
    t.equal(talk.node.path.mode, "away", `${error} s`);
    t.equal(talk.requests.length, 2);
    t.ok(talk.events.includes("clock.corrected"));
    talk.run(3600);
    t.equal(talk.events.filter((event) => event === "clock.corrected").length, 1, "and is right from then on");
    t.equal(talk.bench.state.table.size, 1);
  }
  t.end();
});

t.test("on the way home, and away again before an answer: the tunnel, which nobody has taken back", (t) => {
  const talk = new Conversation();
  talk.input({ kind: "attach", attachment: AT_COA });
  talk.run(10);
  const end = { kind: "co-located", device: AT_COA.device, address: AT_COA.address };
  const fresh = { kind: "co-located", device: "eth3", address: ipv4("198.51.100.8") } as const;
  talk.cut = true;
  talk.input({ kind: "attach", attachment: { kind: "home", device: "eth2" } });
  talk.input({ kind: "attach", attachment: fresh });
  t.match(talk.node.path, { mode: "away", egress: end, ingress: [end, fresh] });
  talk.cut = false;
  talk.run(2);
  t.match(talk.node.path, { mode: "away", egress: fresh, ingress: [fresh, end] });
  talk.input({ kind: "attach", attachment: undefined });
  talk.run(700);
  talk.input({ kind: "attach", attachment: fresh });
  talk.run(2);
  t.match(talk.node.path, { mode: "away", egress: fresh, ingress: [fresh] });
  t.end();
});

t.test("a home agent that was found is the one whose tunnels stay, at home too", (t) => {
  const talk = new Conversation({ homeAgent: ipv4("203.0.113.255"), findsHomeAgent: true });
  talk.node.homeAgent = HA;
  talk.input({ kind: "attach", attachment: AT_COA });
  talk.run(3);
  t.match(talk.node.path, { mode: "away", homeAgent: HA });
  talk.input({ kind: "attach", attachment: { kind: "home", device: "eth2" } });
  t.match(talk.node.path, { mode: "home", homeAgent: HA });
  t.end();
});

t.test("F5944-5.7-01: nonces", (t) => {
  const talk = new Conversation({ homeAddress: OTHER_HOA, replayProtection: { kind: "nonces" } });
  talk.input({ kind: "attach", attachment: AT_COA });
  talk.run(3);
  t.equal(talk.node.path.mode, "away");
  t.equal(talk.requests.length, 2, "the first answer tells the nonce");
  talk.cut = true;
  talk.run(470);
  const [a, b] = talk.requests.slice(-2);
  t.ok(talk.requests.length >= 4);
  t.strictSame(a?.identification, b?.identification, "what is not answered is sent unchanged");
  talk.cut = false;
  talk.run(60);
  t.equal(talk.node.path.mode, "away");
  t.equal(talk.node.exchange, undefined);
  t.end();
});

t.test("NAT: UDP and the keepalive that the home agent names; without one it stops", (t) => {
  const talk = new Conversation({ prefixes: [OWN] });
  talk.nat = { source: NAT, sourcePort: 61000 };
  talk.input({ kind: "attach", attachment: { kind: "co-located", device: "eth1", address: ipv4("10.0.0.5") } });
  t.match(talk.node.path, { mode: "away", keepaliveSeconds: 45, prefixes: [{ mode: "home-address" }] });
  talk.nat = undefined;
  talk.input({ kind: "attach", attachment: AT_COA });
  talk.run(2);
  t.match(talk.node.path, { mode: "away", keepaliveSeconds: undefined });
  t.ok(talk.events.includes("nat.changed"));
  t.end();
});

t.test("a move: the new place takes packets before it is registered, the old one for a while after", (t) => {
  const talk = new Conversation();
  talk.input({ kind: "attach", attachment: AT_COA });
  talk.run(10);
  const there = ipv4("198.51.100.8");
  const [old, fresh] = [COA, there].map((address) => ({ kind: "co-located" as const, device: "eth1", address }));
  if (old === undefined || fresh === undefined) throw new Error("no places");
  t.match(talk.node.path, { egress: old, ingress: [old] });
  const effects = talk.input({ kind: "attach", attachment: fresh });
  const order = effects.flatMap((effect): readonly unknown[] =>
    effect.kind === "request" ? ["request"] : effect.kind === "data-path" ? [effect.path] : [],
  );
  t.match(order, [{ egress: old, ingress: [old, fresh] }, "request", { egress: fresh, ingress: [fresh, old] }]);
  t.equal(order.length, 3);
  talk.run(6);
  t.strictSame(talk.node.path.mode === "away" && talk.node.path.ingress, [fresh]);
  talk.input({ kind: "attach", attachment: undefined });
  t.strictSame(talk.node.path, { mode: "detached" });
  t.end();
});

t.test("a foreign agent: no flags that it has not, no tunnelling mode, TTL 255, a home address for a name", (t) => {
  const talk = new Conversation({
    homeAddress: undefined,
    identifier: "roamer@example.org",
    prefixes: [prefix("2001:db8:f000:1200::/56")],
    tunnelToCareOf: true,
    encapsulation: "gre",
  });
  const agent = {
    address: HA,
    registrationLifetimeSeconds: 200,
    gre: false,
    reverseTunnelling: true,
    challenge: Uint8Array.of(1, 2, 3, 4),
  };
  const attachment = { kind: "foreign-agent", device: "wlan0", careOfAddress: COA, agent } as const;
  talk.nat = { source: COA, sourcePort: 434 };
  const effects = talk.input({ kind: "attach", attachment });
  t.match(
    effects.find(({ kind }) => kind === "request"),
    { source: IPV4_ANY, destination: HA, ttl: 255, device: "wlan0" },
  );
  t.match(talk.requests[0], {
    flags: { decapsulatesItself: false, gre: false, reverseTunnelling: true },
    lifetimeSeconds: 200,
  });
  t.strictSame(
    talk.requests[0]?.extensions.map(({ kind }) => kind),
    ["network-access-identifier", "ipv6-prefix-request", "mobile-home-authentication"],
    "no key for the agent: no challenge is answered",
  );
  t.match(talk.node.path, { mode: "away", homeAddress: "192.0.2.129", prefixes: [{ mode: "home-address" }] });
  talk.input({ kind: "attach", attachment: { ...attachment, agent: { ...agent, challenge: Uint8Array.of(9) } } });
  t.equal(talk.requests.length, 1, "a new challenge is no new place");
  t.end();
});

t.test("what is refused is asked for otherwise, where the operator permits it", (t) => {
  const gre = new Conversation({ encapsulation: "gre" }, { encapsulations: { gre: false, greInUdp: false } });
  gre.input({ kind: "attach", attachment: AT_COA });
  gre.run(2);
  t.match(gre.node.path, { mode: "away", encapsulation: "ip-in-ip" });
  const nat = new Conversation({ encapsulation: "gre" }, { encapsulations: { gre: true, greInUdp: false } });
  nat.nat = { source: NAT, sourcePort: 61000 };
  nat.input({ kind: "attach", attachment: AT_COA });
  nat.run(2);
  t.match(
    nat.node.path,
    { mode: "away", encapsulation: "ip-in-ip", keepaliveSeconds: 45 },
    "GRE in UDP: 142, and without",
  );
  t.strictSame(
    nat.requests.map((one) => one.type === "registration-request" && one.flags.gre),
    [true, false],
  );
  const reverse = new Conversation({}, { reverseTunnelling: "refused" });
  reverse.input({ kind: "attach", attachment: AT_COA });
  reverse.run(2);
  t.match(reverse.node.path, { mode: "away", reverseTunnelling: false });
  const never = new Conversation({ reverseTunnelling: "always" }, { reverseTunnelling: "refused" });
  never.input({ kind: "attach", attachment: AT_COA });
  never.run(40);
  t.match(never.node.path, { mode: "detached" });
  t.ok(never.events.includes("registration.failed"));
  t.ok(never.requests.length <= 7, `${never.requests.length} requests in 40 s`);
  t.end();
});

t.test(
  "F5944-3.6.2.2-01, no answer: at most one a second, at least doubling, and the end of the lifetime counts from the request",
  (t) => {
    const talk = new Conversation({ lifetimeSeconds: 100 });
    talk.input({ kind: "attach", attachment: AT_COA });
    const sent = talk.node.lastSentAt ?? 0;
    t.equal(talk.node.registered?.expiresAt, sent + 100_000, "not from the answer");
    talk.cut = true;
    const times: number[] = [];
    const end = talk.bench.now + 200_000;
    while (talk.bench.now < end) {
      const due = nextDeadline(talk.node);
      if (due === undefined) break;
      const before = talk.requests.length;
      talk.run((due - talk.bench.now) / 1000);
      if (talk.requests.length > before) times.push(talk.bench.now / 1000);
    }
    const gaps = times.slice(1).map((time, i) => Math.round(time - (times[i] ?? 0)));
    t.strictSame(gaps.slice(0, 7), [1, 2, 4, 8, 16, 32, 32]);
    t.ok(talk.events.includes("registration.lost"));
    t.match(talk.node.path, { mode: "detached" });
    talk.cut = false;
    talk.run(40);
    t.equal(talk.node.path.mode, "away");
    t.end();
  },
);

t.test(
  "V4-4.7.1-02 V4-4.7.1-04 V4-4.7.1-07: for DHCPv6 the link-local address is asked for once the home address is bound, then what was delegated",
  (t) => {
    const talk = new Conversation({
      homeAddress: undefined,
      identifier: "roamer@example.org",
      delegation: true,
      tunnelToCareOf: true,
    });
    talk.input({ kind: "attach", attachment: AT_COA });
    t.match(talk.node.path, { mode: "away", linkLocalAddress: undefined });
    talk.run(2);
    t.equal(talk.requests.length, 2);
    t.match(talk.node.path, { linkLocalAddress: "fe80::c000:281" });
    const lent = prefix("2001:db8:f000:3400::/56");
    talk.input({ kind: "delegated", prefixes: [lent] });
    talk.run(2);
    t.match(talk.node.path, {
      prefixes: [{ prefix: lent, mode: "care-of-address" }],
      linkLocalAddress: "fe80::c000:281",
    });
    talk.input({ kind: "delegated", prefixes: [lent] });
    t.equal(talk.requests.length, 3);
    const asked = talk.requests.map(({ extensions }) =>
      extensions.flatMap((one) => (one.kind === "ipv6-prefix-request" ? [`${one.prefix}/${one.prefixLength}`] : [])),
    );
    t.strictSame(asked, [[], ["fe80::c000:281/255"], ["2001:db8:f000:3400::/56", "fe80::c000:281/255"]]);
    t.end();
  },
);

t.test("a node that ends de-registers, and waits no longer than is decent", (t) => {
  const talk = new Conversation();
  talk.input({ kind: "attach", attachment: AT_COA });
  talk.bench.wait(1);
  const effects = talk.input({ kind: "stop" });
  t.match(effects.at(-1), { kind: "stopped", deregistered: true });
  t.equal(talk.bench.state.table.size, 0);
  t.strictSame(talk.input({ kind: "refresh" }), []);
  const cut = new Conversation();
  cut.input({ kind: "attach", attachment: AT_COA });
  cut.cut = true;
  cut.input({ kind: "stop" });
  cut.run(20);
  t.ok(cut.node.stopped);
  t.equal(cut.requests.length, 4);
  const idle = new Conversation();
  t.match(idle.input({ kind: "stop" }).at(-1), { kind: "stopped", deregistered: true });
  t.end();
});

t.test("another key: nothing comes of it on either side", (t) => {
  const other = { algorithm: "hmac-sha1", key: KEY.key } as const;
  const talk = new Conversation({}, {}, other);
  talk.input({ kind: "attach", attachment: AT_COA });
  talk.run(30);
  t.match(talk.node.path, { mode: "detached" });
  t.equal(talk.bench.state.table.size, 0);
  t.end();
});

t.test(
  "after a restart its timestamps go on, and it comes home from a binding that it does not remember making",
  (t) => {
    const talk = new Conversation();
    talk.clockError = 100;
    const effects = talk.input({ kind: "attach", attachment: AT_COA });
    talk.run(2);
    const record = JSON.parse(JSON.stringify([...effects].reverse().find(({ kind }) => kind === "journal"))) as {
      record: object;
    };
    const kept = {
      ...record.record,
      latest: talk.node.identification.latest,
      correctionSeconds: talk.node.identification.correctionSeconds,
    };
    const next = new MobileNodeState(NODE_SITE);
    const moment = { now: talk.bench.now, timeOfDay: talk.bench.timestamp(100), random: 1 };
    step(next, { kind: "restore", record: kept as Readonly<Record<string, unknown>>, ageSeconds: 1 }, moment);
    const request = step(next, { kind: "attach", attachment: { kind: "home", device: "eth2" } }, moment).find(
      ({ kind }) => kind === "request",
    );
    if (request?.kind !== "request") throw new Error(`no request: ${JSON.stringify(request)}`);
    t.match(request.request, {
      lifetimeSeconds: 0,
      careOfAddress: HOA,
      identification: { high: talk.bench.timestamp().high },
    });
    t.match(
      step(new MobileNodeState(NODE_SITE), { kind: "restore", record: { kind: "mip6" }, ageSeconds: 0 }, moment),
      [{ kind: "drop" }],
    );
    t.end();
  },
);

t.test("a process that starts again goes on in the tunnel that it had, until it knows better", (t) => {
  const talk = new Conversation({ prefixes: [OWN], tunnelToCareOf: true });
  const effects = talk.input({ kind: "attach", attachment: AT_COA });
  const before = talk.node.path;
  const kept = [...effects].reverse().find(({ kind }) => kind === "journal");
  if (kept?.kind !== "journal") throw new Error("nothing is kept");
  const record = JSON.parse(JSON.stringify(kept.record)) as Record<string, unknown>;
  const started = (change: Record<string, unknown> = {}, ageSeconds = 10, site: Partial<MobileNodeSite> = {}) => {
    const node = new MobileNodeState({ ...NODE_SITE, prefixes: [OWN], ...site });
    const moment = { now: talk.bench.now, timeOfDay: talk.bench.timestamp(), random: 1 };
    const said = step(node, { kind: "restore", record: { ...record, ...change }, ageSeconds }, moment);
    return {
      node,
      said,
      attach: (attachment: Attachment | undefined) => step(node, { kind: "attach", attachment }, moment),
    };
  };
  const { node, said, attach } = started();
  t.match(said, [{ kind: "data-path", path: before }]);
  t.match(
    attach(AT_COA),
    [{ kind: "journal" }, { kind: "notify" }, { kind: "request" }],
    "asked anew, with no other path",
  );
  t.strictSame(node.path, before);
  t.equal(nextDeadline(node) !== undefined, true);
  const elsewhere = started();
  elsewhere.attach(undefined);
  t.strictSame(elsewhere.node.path, { mode: "detached" });
  for (const [why, other] of [
    ["its time is over", started({}, 601)],
    ["another home agent", started({}, 1, { homeAgent: NAT })],
    ["another home address", started({}, 1, { homeAddress: OTHER_HOA })],
    ["no binding", started({ binding: null })],
  ] as const) {
    t.strictSame(other.said, [], why);
    t.ok(other.node.identification.latest, "what protects against replays is kept");
  }
  for (const key of Object.keys(record["binding"] as object)) {
    const broken = started({ binding: { ...(record["binding"] as object), [key]: Symbol } });
    t.strictSame(broken.said, [], key);
  }
  t.ok(started({ correctionSeconds: "?" }).node.identification.latest);
  t.end();
});
