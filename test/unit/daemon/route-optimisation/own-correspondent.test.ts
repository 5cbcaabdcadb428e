/** A mobile node as the correspondent of others, with fakes: its node's service answers, binds, remembers, and says so. */
import t from "tap";
import { ipv6 } from "../../../../controller/base/ip.js";
import { Secret } from "../../../../controller/base/secret.js";
import { seq16 } from "../../../../controller/base/seq16.js";
import { MobileNodeService } from "../../../../controller/daemon/mobile-node/service.js";
import { withAuthenticator } from "../../../../controller/daemon/signalling/binding-authorization.js";
import type { Arrival } from "../../../../controller/protocol/mip6/inputs.js";
import { bindingManagementKey } from "../../../../controller/protocol/mip6/return-routability/tokens.js";
import { encodeMobilityMessage } from "../../../../controller/wire/mip6/messages/mobility-header.js";
import type { MobilityMessage } from "../../../../controller/wire/mip6/messages/mobility-message.js";
import { bindingUpdateFlags } from "../../../../controller/wire/mip6/messages/registration.js";
import { mobileNodeConfig } from "../../../../schemas/config/mobile-node.js";
import { FakeGround, type Stored } from "../../../fake/service-ground.js";
import { HOME_ADDRESS, HOME_AGENT, network } from "../../protocol/mip6/mobile-node/chart.js";

const [PEER, STRANGER] = [ipv6("2001:db8:7::10"), ipv6("2001:db8:9::10")];
const [COA, OTHER_COA] = [ipv6("2001:db8:b::10"), ipv6("2001:db8:d::10")];
const KEY = { spi: 0x1000, algorithm: "aes-gcm" as const, key: new Secret(new Uint8Array(20)) };
const KEYS = { homeAddress: HOME_ADDRESS, update: KEY, acknowledgement: KEY, replayWindow: 0 } as const;
const close = (): void => undefined;

async function started(routeOptimisation: object, records: Iterable<readonly [string, Stored]> = []) {
  const config = mobileNodeConfig.parse({
    role: "mobile-node",
    mobileNode: { homeAddress: HOME_ADDRESS, homeAgent: { ipv6: HOME_AGENT }, routeOptimisation },
  });
  const fake = new FakeGround(MobileNodeService.serviceName, ["eth0"]);
  for (const [key, stored] of records) fake.records.set(key, stored);
  const view = network({ eth0: ["2001:db8:a::10/64"] });
  const source = { view, onView: close, give: close, close };
  const service = await MobileNodeService.open({
    ...{ config, ground: fake.ground, home: fake.home, network: source },
    keys: { keys: new Map([[HOME_ADDRESS, { ...KEYS, algorithmByDefault: true }]]) },
    movement: { movement: source, close },
    setTimer: () => close,
    correspondentPorts: {
      watchDemand: () => ({ close }),
      watchProblems: () => ({ close }),
      openStates: () => ({ look: async () => [], forgetQuestions: async () => undefined, close }),
      random: (octets) => new Uint8Array(octets).fill(1),
    },
  });
  await fake.start(service);
  t.teardown(() => service.abandon());
  return { fake, service };
}

type World = Awaited<ReturnType<typeof started>>;

const from = (source: typeof PEER, careOf?: typeof COA): Arrival => ({
  path: { type: "native", device: "dsmip6-1", ...(careOf !== undefined && { homeAddressOptionCareOf: careOf }) },
  ...{ source, destination: HOME_ADDRESS, protection: "none" },
});

/** What is sent in answer to this. */
async function answers({ fake }: World, message: MobilityMessage, arrival: Arrival, octets?: Uint8Array<ArrayBuffer>) {
  fake.sent.splice(0);
  await fake.hears(arrival, message, octets);
  return fake.sent.filter(({ destination }) => destination !== HOME_AGENT);
}

async function bind(world: World, sequence = 5, at = COA) {
  const tests = [
    ["home-test-init", PEER],
    ["care-of-test-init", at],
  ] as const;
  const tokens = [];
  for (const [type, source] of tests) {
    const [sent] = await answers(world, { type, cookie: new Uint8Array(8), options: [] }, from(source));
    const message = sent?.message;
    if (message?.type !== "home-test" && message?.type !== "care-of-test") throw new Error(`no answer to ${type}`);
    tokens.push(message);
  }
  const [home, careOf] = tokens;
  if (home === undefined || careOf === undefined) throw new Error("no tokens");
  const message = withAuthenticator(
    {
      ...{ type: "binding-update", sequence: seq16(sequence), flags: bindingUpdateFlags({ acknowledge: true }) },
      lifetimeUnits: 100,
      options: [
        { kind: "nonce-indices", homeNonceIndex: home.nonceIndex, careOfNonceIndex: careOf.nonceIndex },
        { kind: "binding-authorization-data", authenticator: new Uint8Array(12) },
      ],
    },
    bindingManagementKey(home.keygenToken, careOf.keygenToken),
    { careOf: at, correspondent: HOME_ADDRESS },
  );
  return answers(world, message, from(PEER, at), new Uint8Array(encodeMobilityMessage(message)));
}

const pairsIn = ({ fake }: World) =>
  [...fake.kernel.objects.values()].filter(
    (one) =>
      one.kind === "xfrm-state" &&
      [one.source, one.destination].every((end) => [PEER, HOME_ADDRESS].includes(end as never)),
  ).length;

t.test("F6275-8.2-01: a node with route optimisation answers tests and updates as a correspondent", async (t) => {
  const world = await started({});
  t.match(await bind(world), [
    { source: HOME_ADDRESS, destination: PEER, message: { type: "binding-acknowledgement", status: 0 } },
  ]);
  t.equal(pairsIn(world), 2, "an option that is taken, a header that is written");
  const { service, fake } = world;
  t.match(service.views.correspondents?.(), [
    { end: "correspondent-node", homeAddress: PEER, correspondent: HOME_ADDRESS, careOfAddress: COA, direct: true },
  ]);
  t.equal([...service.views.bindings()].length, 1, "it is no registration of the node's");
  t.match(fake.events.at(-1), { event: "binding.accepted", homeAddress: PEER });
  await fake.settled();

  const again = await started({}, [...fake.records]);
  t.equal(pairsIn(again), 2, "after a restart, with the first groups");
  t.match(again.service.views.correspondents?.(), [{ end: "correspondent-node", careOfAddress: COA, sequence: 5 }]);
});

t.test("who may not, and everybody where it is off, gets no answer; the home agent is no mobile node", async (t) => {
  const init = { type: "home-test-init", cookie: new Uint8Array(8), options: [] } as const;
  const narrow = await started({ allow: ["2001:db8:7::/48"] });
  t.equal((await answers(narrow, init, from(PEER))).length, 1);
  t.equal((await answers(narrow, init, from(STRANGER))).length, 0, "outside of routeOptimisation.allow");
  const own = await started({
    allow: ["2001:db8:7::/48"],
    correspondent: { allow: ["::/0"], deny: ["2001:db8:7::/48"] },
  });
  t.equal((await answers(own, init, from(PEER))).length, 0);
  t.equal((await answers(own, init, from(STRANGER))).length, 1, "it has prefixes of its own");
  await answers(own, init, from(HOME_AGENT));
  t.notOk(own.fake.sent.some(({ message }) => message.type === "home-test"));
  const off = await started({ correspondent: "off" });
  t.equal((await answers(off, init, from(PEER))).length, 0);
  t.ok(off.fake.drops.length > 0, "counted");
});

t.test("an option that no binding covers brings an error, and none while the node that sent it moves", async (t) => {
  const world = await started({});
  const refused = async (homeAddress: typeof PEER, source: typeof COA) => {
    world.fake.sent.splice(0);
    await world.fake.refuses({ homeAddress, source, destination: HOME_ADDRESS, protocol: 58 });
    return world.fake.sent.map(({ message, destination }) => [message.type, destination]);
  };
  t.strictSame(await refused(PEER, COA), [["binding-error", COA]]);
  await bind(world);
  await bind(world, 6, OTHER_COA);
  t.strictSame(await refused(PEER, COA), [], "sent before it moved");
  t.strictSame(await refused(STRANGER, COA), [["binding-error", COA]]);
});
