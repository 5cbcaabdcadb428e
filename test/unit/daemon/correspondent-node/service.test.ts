/** The correspondent node at work, with fakes: in octets, with its kernel objects, its journal and what it shows. */
import t from "tap";
import { Secret } from "../../../../controller/base/secret.js";
import { seq16 } from "../../../../controller/base/seq16.js";
import { CorrespondentNodeService } from "../../../../controller/daemon/correspondent-node/service.js";
import { isAuthorizedBy } from "../../../../controller/daemon/signalling/binding-authorization.js";
import type { KernelObject } from "../../../../controller/plan/objects/objects.js";
import type { CorrespondentPath } from "../../../../controller/protocol/mip6/correspondent-node/path.js";
import type { Arrival } from "../../../../controller/protocol/mip6/inputs.js";
import {
  bindingAuthenticator,
  bindingManagementKey,
} from "../../../../controller/protocol/mip6/return-routability/tokens.js";
import { bindingAuthorizationInput } from "../../../../controller/wire/mip6/messages/authenticated-octets.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
} from "../../../../controller/wire/mip6/messages/mobility-header.js";
import type { BindingUpdate } from "../../../../controller/wire/mip6/messages/mobility-message.js";
import { bindingUpdateFlags } from "../../../../controller/wire/mip6/messages/registration.js";
import { findOption, type MobilityOption } from "../../../../controller/wire/mip6/options/mobility.js";
import { RO_PROFILE } from "../../../../controller/wire/mip6/profile.js";
import { FakeGround } from "../../../fake/service-ground.js";
import { arrivalFrom, COA, HOA, OTHER_COA, SELF, SITE } from "../../../lib/correspondent-node.js";
import {
  arrivalAt,
  BEHIND_NAT,
  careOfOption,
  type DraftUpdate,
  draftUpdate,
  HOA4,
  homeOption,
  IPV4_SITE,
  modeOf,
  NAT,
  PRIVATE,
  SELF4,
} from "../../../lib/correspondent-node-ipv4.js";

const stateOf = ({ homeAddress, self, ipv6 }: CorrespondentPath): readonly KernelObject[] =>
  ipv6?.via !== "headers"
    ? []
    : [
        {
          ...{ kind: "xfrm-state", source: homeAddress, destination: self, reqid: 0x44000002 },
          transform: { type: "home-address-option", careOfAddress: ipv6.careOf, wildcard: false },
        },
      ];

async function started(records: ReadonlyMap<string, Parameters<FakeGround["records"]["set"]>[1]> = new Map()) {
  const ground = new FakeGround(CorrespondentNodeService.serviceName, []);
  for (const [key, stored] of records) ground.records.set(key, stored);
  const service = new CorrespondentNodeService({
    ...{ site: SITE, ground: ground.ground },
    beginning: { kcn: new Secret(new Uint8Array(20).fill(3)), firstIndex: 6 },
    plans: { site: () => [], path: stateOf, ownerOf: () => undefined },
  });
  await ground.start(service);
  t.teardown(() => service.abandon());
  return { ground, service };
}

type Started = Awaited<ReturnType<typeof started>>;

async function tokenOf({ ground }: Started, type: "home-test-init" | "care-of-test-init", at = COA) {
  const source = type === "home-test-init" ? HOA : at;
  await ground.hears(arrivalFrom(source), { type, cookie: new Uint8Array(8), options: [] });
  const message = ground.sent.at(-1)?.message;
  if (message?.type !== "home-test" && message?.type !== "care-of-test") throw new Error("no answer");
  return message;
}

async function bind(world: Started, sequence = 9, at = COA): Promise<Secret> {
  const home = await tokenOf(world, "home-test-init");
  const careOf = await tokenOf(world, "care-of-test-init", at);
  const key = bindingManagementKey(home.keygenToken, careOf.keygenToken);
  const indices = { homeNonceIndex: home.nonceIndex, careOfNonceIndex: careOf.nonceIndex };
  const message: BindingUpdate = {
    type: "binding-update",
    sequence: seq16(sequence),
    flags: bindingUpdateFlags({ acknowledge: true }),
    lifetimeUnits: 105,
    options: [
      { kind: "nonce-indices", ...indices },
      { kind: "binding-authorization-data", authenticator: new Uint8Array(12) },
    ],
  };
  const octets = encodeMobilityMessage(message);
  const covered = bindingAuthorizationInput(octets, at, SELF);
  if (!covered.ok || covered.value === undefined) throw new Error("nothing covered");
  octets.set(bindingAuthenticator(key, covered.value), octets.length - 12);
  const signed = decodeMobilityMessage(octets);
  if (!signed.ok) throw signed.error;
  await world.ground.hears(arrivalFrom(HOA, at), signed.value, octets.slice());
  return key;
}

t.test(
  "F6275-6.2.7-01: a procedure ends with an acknowledgement whose authenticator the node's key makes",
  async (t) => {
    const world = await started();
    const { ground, service } = world;
    const key = await bind(world);
    const sent = ground.sent.at(-1);
    const { message } = sent ?? {};
    if (message?.type !== "binding-acknowledgement") throw new Error("no acknowledgement");
    t.match(sent, { source: SELF, destination: HOA, departure: { type: "native-routed", careOf: COA } });
    t.match(message, { status: 0, sequence: 9, lifetimeUnits: 105 });
    const covered = bindingAuthorizationInput(encodeMobilityMessage(message), COA, SELF);
    if (!covered.ok || covered.value === undefined) throw new Error("no authenticator");
    const { authenticator } = findOption(message.options, "binding-authorization-data") ?? {};
    t.strictSame(authenticator, bindingAuthenticator(key, covered.value));
    t.equal([...ground.kernel.objects.values()].filter(({ kind }) => kind === "xfrm-state").length, 1);
    t.match(
      [...(service.views.correspondents?.() ?? [])],
      [
        {
          end: "correspondent-node",
          direct: true,
          homeAddress: HOA,
          correspondent: SELF,
          state: "established",
          careOfAddress: COA,
        },
      ],
    );
    t.match(
      [...service.views.bindings()],
      [{ homeAddress: HOA, endpoint: { format: "ipv6", address: COA }, sequence: 9 }],
    );
    t.match(service.views.plan(HOA), [{ state: "realised" }]);
    t.notMatch(JSON.stringify([...ground.records.values(), ground.events]), /authorization|kcn|token/);
  },
);

t.test("after a movement the way in is open at the new care-of address alone, as in the kernel", async (t) => {
  const world = await started();
  await bind(world);
  await bind(world, 10, OTHER_COA);
  t.match(
    [...world.ground.kernel.objects.values()].filter(({ kind }) => kind === "xfrm-state"),
    [{ transform: { careOfAddress: OTHER_COA } }],
  );
  const { correspondents, bindings } = world.service.views;
  t.strictSame(
    [...(correspondents?.() ?? [])].map(({ acceptedFrom }) => acceptedFrom),
    [[OTHER_COA]],
  );
  t.strictSame(
    [...bindings()].map(({ acceptedFrom }) => acceptedFrom),
    [[{ format: "ipv6", address: OTHER_COA }]],
  );
});

t.test("a restart goes on with the bindings of the journal", async (t) => {
  const before = await started();
  await bind(before);
  t.strictSame([...before.ground.records.keys()], [`${HOA} ${SELF}`]);
  const { ground, service } = await started(before.ground.records);
  t.equal([...ground.kernel.objects.values()].filter(({ kind }) => kind === "xfrm-state").length, 1);
  t.match([...(service.views.correspondents?.() ?? [])], [{ homeAddress: HOA, state: "established", sequence: 9 }]);
});

t.test(
  "RO-6.1-01: a node with IPv4 home and care-of address is bound, answered and shown with mode and where it is seen",
  async (t) => {
    const ground = new FakeGround(CorrespondentNodeService.serviceName, []);
    const service = new CorrespondentNodeService({
      site: { ...SITE, ipv4: IPV4_SITE },
      ground: ground.ground,
      beginning: { kcn: new Secret(new Uint8Array(20).fill(7)), firstIndex: 99 },
      plans: { site: () => [], path: () => [], ownerOf: () => undefined },
      modeOptionType: 18,
    });
    await ground.start(service);
    t.teardown(() => service.abandon());
    t.strictSame(service.addresses, [SELF, SELF4]);
    t.match(ground.site, { roModeType: 18 });
    const test = async (type: "home-test-init" | "care-of-test-init", arrival: Arrival, option: MobilityOption) => {
      await ground.hears(arrival, { type, cookie: new Uint8Array(8), options: [option, modeOf(0)] });
      const message = ground.sent.at(-1)?.message;
      if (message?.type !== "home-test" && message?.type !== "care-of-test") throw new Error("no answer");
      return { index: message.nonceIndex, token: message.keygenToken };
    };
    const home = await test("home-test-init", arrivalFrom(HOA), homeOption(HOA4));
    const careOfToken = await test("care-of-test-init", arrivalAt(BEHIND_NAT), careOfOption(PRIVATE));
    let octets = new Uint8Array();
    const update: DraftUpdate = {
      ...{ place: BEHIND_NAT, sequence: 4, ipv4HomeAddress: HOA4, mode: "ipv4-udp", homes: [home], careOfToken },
      tamper: (signed) => {
        octets = signed.slice();
      },
    };
    const input = draftUpdate(update);
    if (input === undefined) throw new Error("no update");
    await ground.hears(input.arrival, input.message, octets);
    const answer = ground.sent.at(-1);
    if (answer?.message.type !== "binding-acknowledgement") throw new Error("no acknowledgement");
    t.match(answer.departure, { type: "over-ipv4", remoteAddress: NAT.address, remotePort: NAT.port });
    const key = bindingManagementKey(home.token, careOfToken.token);
    const sent = encodeMobilityMessage(answer.message, { profile: RO_PROFILE });
    t.ok(isAuthorizedBy(sent, key, { careOf: PRIVATE, correspondent: SELF }, { profile: RO_PROFILE }));
    t.match(
      [...(service.views.correspondents?.() ?? [])],
      [
        {
          ...{
            homeAddress: HOA,
            correspondent: SELF,
            ipv4: { homeAddress: HOA4, correspondent: SELF4 },
            mode: "ipv4-udp",
          },
          ...{ direct: true, careOfAddress: PRIVATE, observed: `${NAT.address}:${NAT.port}`, sequence: 4 },
        },
      ],
    );
    t.match(service.views.binding(HOA4), { ipv4HomeAddress: HOA4, endpoint: { format: "udp", ...NAT } });
    t.equal(service.views.nodeAt(HOA4), HOA);
  },
);

t.test(
  "F6275-9.3.3-01: who is bound when it ends is told, at the care-of address; a restart finds nothing then",
  async (t) => {
    const { ground, service } = await started();
    await bind({ ground, service });
    ground.sent.splice(0);
    await service.close();
    await ground.settled();
    t.match(ground.sent, [
      {
        ...{ source: SELF, destination: COA, departure: { type: "native-direct" } },
        message: { type: "binding-error", status: 1, homeAddress: HOA },
      },
    ]);
    t.equal(ground.records.size, 0);
    t.equal(ground.kernel.objects.size, 0);
    t.match(ground.events.at(-1), { event: "binding.removed", detail: { reason: "the correspondent ends" } });
  },
);
