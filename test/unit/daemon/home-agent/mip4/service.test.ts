/** The home agent of Mobile IPv4 at work: datagrams of port 434 in and out, with their authenticators; the kernel, the home link and the journal are fakes. */
import t from "tap";
import { fromHex } from "../../../../../controller/base/bytes.js";
import { type Ipv4Address, ipv4 } from "../../../../../controller/base/ip.js";
import { Secret } from "../../../../../controller/base/secret.js";
import type { Mip4Keys } from "../../../../../controller/config/keys.js";
import { Mip4HomeAgentService } from "../../../../../controller/daemon/home-agent/mip4/service.js";
import { mip4Associations, mip4Of } from "../../../../../controller/daemon/home-agent/mip4/site.js";
import { OneBinding } from "../../../../../controller/daemon/home-agent/one-binding.js";
import { authenticateWith, verdictOn } from "../../../../../controller/daemon/mip4/authenticators.js";
import type {
  OutgoingRegistration,
  RegistrationDatagram,
} from "../../../../../controller/daemon/mip4/registration-socket.js";
import { timeOfDay } from "../../../../../controller/daemon/mip4/time-of-day.js";
import { homeAgentOwnership, ipv4PlanSite } from "../../../../../controller/daemon/sites.js";
import { isOfIpv6 } from "../../../../../controller/plan/objects/family.js";
import { objectKey } from "../../../../../controller/plan/objects/objects.js";
import type { RegistrationExtension } from "../../../../../controller/wire/mip4/extensions/registration.js";
import {
  authenticationsOf,
  encodeAuthenticated,
} from "../../../../../controller/wire/mip4/messages/authenticated-octets.js";
import { decodeControlMessage } from "../../../../../controller/wire/mip4/messages/control-message.js";
import { type Identification, requestFlags } from "../../../../../controller/wire/mip4/messages/registration.js";
import { homeAgentConfig } from "../../../../../schemas/config/home-agent.js";
import { FakeGround, type Stored } from "../../../../fake/service-ground.js";

const HA = ipv4("203.0.113.1");
const [ALICE, BOB] = [ipv4("198.51.100.10"), ipv4("198.51.100.11")];
const COA = ipv4("203.0.114.2");
const FOREIGN_AGENT = ipv4("203.0.115.1");
const ARP = 0x0806;
const WALL = Date.UTC(2026, 0, 1);
const [ALICE_KEY, BOB_KEY, AGENT_KEY, WRONG] = ["a1", "b0", "fa", "00"].map(
  (octet) => new Secret(fromHex(octet.repeat(16))),
) as [Secret, Secret, Secret, Secret];
const algorithm = "hmac-md5";
const KEYS: Mip4Keys = {
  mobileHome: [
    { node: ALICE, spi: 256, algorithm, key: ALICE_KEY, replay: "timestamps" },
    { node: BOB, spi: 257, algorithm, key: BOB_KEY, replay: "nonces" },
  ],
  mobileForeign: [],
  foreignHome: [{ foreignAgent: FOREIGN_AGENT, homeAgent: HA, spi: 300, algorithm, key: AGENT_KEY }],
};

interface Asked {
  readonly node?: Ipv4Address;
  readonly careOfAddress?: Ipv4Address;
  readonly source?: Ipv4Address;
  readonly lifetimeSeconds?: number;
  readonly identification?: Identification;
  readonly key?: Secret;
  /** Of the Foreign-Home authentication; absent: none. */
  readonly agentKey?: Secret;
  readonly before?: readonly RegistrationExtension[];
  readonly type?: number;
}
const NONE = new Uint8Array(0);

async function started(
  records: Iterable<readonly [string, Stored]> = [],
  refuse: FakeGround["kernel"]["refuse"] = () => undefined,
  previousCareOfGraceSeconds = 0,
  ipv6 = true,
) {
  const config = homeAgentConfig.parse({
    role: "home-agent",
    homeAgent: {
      addresses: { ipv4: HA },
      homeLink: { interface: "home", prefixes: ["198.51.100.0/24"] },
      previousCareOfGraceSeconds,
      mip4: { foreignAgents: [FOREIGN_AGENT] },
    },
    subscribers: [
      { ipv4HomeAddress: ALICE, protocols: ["mip4"] },
      { ipv4HomeAddress: BOB, protocols: ["mip4"] },
    ],
  });
  const part = mip4Of(config);
  if (part === undefined) throw new Error("no Mobile IPv4");
  const fake = new FakeGround(Mip4HomeAgentService.serviceName, ["home"]);
  for (const [key, stored] of records) fake.records.set(key, stored);
  fake.kernel.refuse = refuse;
  const sent: OutgoingRegistration[] = [];
  const timers: (() => void)[] = [];
  const disk: { stores: boolean } = { stores: true };
  let receive: (datagram: RegistrationDatagram) => void = () => undefined;
  const service = new Mip4HomeAgentService({
    config,
    part,
    associations: mip4Associations(part, KEYS),
    planSite: ipv4PlanSite(config),
    ...{ alone: true, ipv6 },
    ground: { ...fake.ground, flush: () => Promise.resolve(disk.stores) },
    home: fake.home,
    port: {
      listen: (listener) => {
        receive = listener;
      },
      send: (outgoing) => {
        sent.push(outgoing);
        return { sent: 1, queued: 0, dropped: 0 };
      },
      close: () => undefined,
    },
    ownership: homeAgentOwnership(config),
    bindings: new OneBinding(),
    wallClock: () => WALL,
    setTimer: (_, done) => {
      timers.push(done);
      return () => undefined;
    },
  });
  await fake.start(service);
  t.teardown(() => service.abandon());
  let ticks = 0;
  const request = (asked: Asked): Uint8Array => {
    const { node = ALICE, careOfAddress = COA, agentKey, before = [] } = asked;
    const key = asked.key ?? (node === ALICE ? ALICE_KEY : BOB_KEY);
    const spi = node === ALICE ? 256 : 257;
    return encodeAuthenticated(
      {
        type: "registration-request",
        flags: requestFlags({ decapsulatesItself: agentKey === undefined, reverseTunnelling: true }),
        lifetimeSeconds: asked.lifetimeSeconds ?? 600,
        homeAddress: node,
        homeAgent: HA,
        careOfAddress,
        identification: asked.identification ?? timeOfDay(WALL + ++ticks),
        extensions: [
          ...before,
          { kind: "mobile-home-authentication", spi, authenticator: NONE },
          ...(agentKey === undefined
            ? []
            : [{ kind: "foreign-home-authentication", spi: 300, authenticator: NONE } as const]),
        ],
      },
      authenticateWith(({ kind }) => ({
        algorithm,
        key: kind === "foreign-home-authentication" ? (agentKey ?? WRONG) : key,
      })),
    );
  };
  const hears = async (data: Uint8Array, source = COA): Promise<void> => {
    receive({ data, source, sourcePort: 434, destination: HA, interfaceIndex: 1, ttl: 64 });
    await fake.settled();
  };
  /** All that was answered since the last call, with the keys under which its authenticators are right. */
  const answers = () =>
    sent.splice(0).map(({ data, destination, destinationPort, source }) => {
      const message = decodeControlMessage(data);
      if (!message.ok || message.value.type !== "registration-reply") throw new Error("no reply");
      const { homeAddress } = message.value;
      const keyOf = (kind: string): Secret => {
        if (kind === "foreign-home-authentication") return AGENT_KEY;
        return homeAddress === BOB ? BOB_KEY : ALICE_KEY;
      };
      const proofs = authenticationsOf(data).map(
        (one) => `${one.extension.kind} ${verdictOn(one, ({ kind }) => ({ algorithm, key: keyOf(kind) }))}`,
      );
      return { reply: message.value, proofs, to: `${source} > ${destination}:${destinationPort}` };
    });
  const ask = async (asked: Asked = {}) => {
    await hears(request(asked), asked.source ?? asked.careOfAddress ?? COA);
    return answers();
  };
  const routes = () =>
    [...fake.kernel.objects.values()].flatMap((one) =>
      one.kind === "route" && one.destination.address === ALICE ? [one.via ?? one.device] : [],
    );
  return { fake, service, disk, ask, hears, answers, routes, timers };
}

t.test(
  "a registration is answered once it is in the kernel, under the node's key, and the home link hears of it",
  async (test) => {
    const { fake, service, ask, routes } = await started();
    const [answer, ...others] = await ask();
    test.match(answer, {
      reply: { code: 1, lifetimeSeconds: 600, homeAddress: ALICE, homeAgent: HA },
      proofs: ["mobile-home-authentication valid"],
      to: `${HA} > ${COA}:434`,
    });
    test.equal(others.length, 0);
    test.strictSame(routes(), [COA]);
    test.strictSame(
      fake.frames.splice(0).map(({ device, etherType }) => `${device} ${etherType}`),
      [`home ${ARP}`],
    );
    test.match(service.views.binding(ALICE), { homeAddress: ALICE, endpoint: { format: "ipv4", address: COA } });
    test.match(service.views.nodeAt(ALICE), /./);
    const node = service.views.nodeAt(ALICE);
    const planned = node === undefined ? [] : service.objectsOf(node);
    test.ok(planned.length > 0 && planned.every((one) => fake.kernel.objects.has(objectKey(one))));
    await ask({ lifetimeSeconds: 0, careOfAddress: ALICE, source: ALICE });
    test.strictSame(routes(), [], "at home the kernel lets go");
    test.strictSame(fake.counted, [
      "received registration-request",
      "sent registration-reply",
      "received registration-request",
      "sent registration-reply",
    ]);
  },
);

t.test("what the kernel refuses of a binding of an earlier life is asked for again, and told once", async (test) => {
  const first = await started();
  await first.ask();
  const second = await started(first.fake.records, ({ object }) => (object.kind === "route" ? "no" : undefined));
  const { fake, service } = second;
  test.match(service.views.binding(ALICE), { state: "established" });
  test.strictSame(second.routes(), []);
  const failures = (): number => fake.events.filter(({ event }) => event === "binding.failed").length;
  test.equal(failures(), 1);
  second.timers.shift()?.();
  await fake.settled();
  test.equal(failures(), 1);
  fake.kernel.refuse = () => undefined;
  second.timers.shift()?.();
  await fake.settled();
  test.strictSame(second.routes(), [COA]);
  test.strictSame(second.timers, []);
});

t.test("a kernel without IPv6 is asked for nothing of it, and serves IPv4", async (test) => {
  const { fake, ask } = await started([], ({ object }) => (isOfIpv6(object) ? "no" : undefined), 0, false);
  test.match((await ask())[0]?.reply, { code: 1 });
  test.equal([...fake.kernel.objects.values()].filter(isOfIpv6).length, 0);
  test.ok([...(await started()).fake.kernel.objects.values()].some(isOfIpv6));
});

t.test("what is on its way through the tunnel when a node is home already is taken for a grace time", async (test) => {
  const { ask, fake, service, timers } = await started([], undefined, 5);
  const elements = (): number => [...fake.kernel.objects.values()].filter(({ kind }) => kind === "nft-element").length;
  const home = { lifetimeSeconds: 0, careOfAddress: ALICE, source: ALICE };
  await ask();
  const bound = elements();
  const [answer] = await ask(home);
  test.match(answer?.reply, { code: 1, lifetimeSeconds: 0 });
  test.equal(elements(), 1, "from its care-of address, and nothing back");
  const node = service.views.nodeAt(ALICE);
  test.match(node && service.objectsOf(node), [{ kind: "nft-element" }]);
  test.equal(service.views.binding(ALICE), undefined);
  await ask();
  test.equal(elements(), bound);
  const [end, ...others] = timers.splice(0);
  test.equal(others.length, 0);
  end?.();
  await fake.settled();
  test.equal(elements(), bound, "bound again, it keeps what it has");
  await ask(home);
  for (const done of timers.splice(0)) done();
  await fake.settled();
  test.equal(elements(), 0);
  await ask({ careOfAddress: COA });
  await ask({ ...home, careOfAddress: COA, source: COA });
  test.equal(elements(), 1);
});

t.test("what is not to be believed is counted by what it is, and not answered", async (test) => {
  const { fake, ask, hears } = await started();
  test.strictSame(await ask({ key: WRONG }), []);
  await hears(Uint8Array.of(1, 2, 3));
  await hears(Uint8Array.from([3, 0, 0, 60, ...new Array(16).fill(1)]));
  test.strictSame(await ask({ agentKey: AGENT_KEY }), [], "of a foreign agent that we do not know at this address");
  test.strictSame(fake.drops, ["authentication-failed", "malformed", "unexpected-type", "foreign-agent-unknown"]);
});

t.test("a foreign agent with whom we have keys has to use them (132), and is answered under them", async (test) => {
  const { ask } = await started();
  const through = { careOfAddress: FOREIGN_AGENT, source: FOREIGN_AGENT };
  const [right] = await ask({ ...through, agentKey: AGENT_KEY });
  test.match(right, {
    reply: { code: 1 },
    proofs: ["mobile-home-authentication valid", "foreign-home-authentication valid"],
  });
  const [wrong] = await ask({ ...through, agentKey: WRONG });
  test.match(wrong, { reply: { code: 132, lifetimeSeconds: 0 } });
  const [without] = await ask({ ...through });
  test.equal(without?.reply.code, 132, "without any");
  // Authentic itself, it vouches for having the request from somebody who says that he is the node.
  const [impostor] = await ask({ ...through, agentKey: AGENT_KEY, key: WRONG });
  test.match(impostor, { reply: { code: 131 }, proofs: [/mobile-home/, "foreign-home-authentication valid"] });
});

t.test("F5944-5.7-01: a node with nonces is told the next one in each answer, and none is good twice", async (test) => {
  const { ask } = await started();
  const of = async (high: number, low: number) => (await ask({ node: BOB, identification: { high, low } }))[0]?.reply;
  const first = await of(7, 1);
  test.match(first, { code: 133, identification: { low: 1 } });
  const nonce = first?.identification.high ?? 0;
  const second = await of(nonce, 2);
  test.match(second, { code: 1, identification: { low: 2 } });
  test.not(second?.identification.high, nonce, "a new one");
  test.match(await of(nonce, 3), { code: 133, identification: { high: second?.identification.high } });
  test.match(await of(second?.identification.high ?? 0, 4), { code: 1 });
});

t.test("a node that asks for UDP through a foreign agent (R) is registered without (RFC 3519 §3.1)", async (test) => {
  const { ask } = await started();
  const asked = { kind: "udp-tunnel-request", throughForeignAgent: true, forced: false, encapsulation: 0 } as const;
  const [answer] = await ask({ before: [asked], source: ipv4("203.0.116.1") });
  test.equal(answer?.reply.code, 1);
  test.match(
    answer?.reply.extensions.find(({ kind }) => kind === "udp-tunnel-reply"),
    { code: 64, forced: false, keepaliveSeconds: 0 },
  );
});

t.test("what the disk does not take is refused (130) and taken back, in the kernel too", async (test) => {
  const { fake, service, disk, ask, routes } = await started();
  disk.stores = false;
  test.match(await ask(), [{ reply: { code: 130, lifetimeSeconds: 0 }, proofs: ["mobile-home-authentication valid"] }]);
  test.strictSame(routes(), []);
  test.equal(service.views.binding(ALICE)?.endpoint ?? null, null);
  disk.stores = true;
  test.match(await ask(), [{ reply: { code: 1 } }]);
  disk.stores = false;
  test.match(await ask({ careOfAddress: ipv4("203.0.114.3") }), [{ reply: { code: 130 } }]);
  test.strictSame(routes(), [COA], "the binding that was told before");
  test.match(service.views.binding(ALICE), { endpoint: { address: COA } });
  test.strictSame(fake.drops, ["journal-unwritable", "journal-unwritable"]);
});

t.test("F5944-5.7-01: bindings and what protects against replays come back from the journal", async (test) => {
  const before = await started();
  const identification = timeOfDay(WALL + 1000);
  await before.ask({ identification });
  const kept = [...before.fake.records].map(([key, { record }]) => [key, { record, ageSeconds: 100 }] as const);
  const after = await started(kept);
  test.strictSame(after.routes(), [COA]);
  const remaining = after.service.views.binding(ALICE)?.remainingSeconds ?? 0;
  test.ok(remaining > 0 && remaining <= 500, `600 s, 100 of them gone: ${remaining}`);
  const [replayed] = await after.ask({ identification: timeOfDay(WALL + 999) });
  test.equal(replayed?.reply.code, 133);
});
