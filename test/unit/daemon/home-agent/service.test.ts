/** The home agent's service: that what its machine asks for is done, and that what the journal kept comes back to it. */
import t from "tap";
import type { Ipv6Address } from "../../../../controller/base/ip.js";
import { OneBinding } from "../../../../controller/daemon/home-agent/one-binding.js";
import { HomeAgentService } from "../../../../controller/daemon/home-agent/service.js";
import { Ownership } from "../../../../controller/protocol/ownership/ownership.js";
import { decodeIcmpv6, encodeIcmpv6, verifyIcmpv6Checksum } from "../../../../controller/wire/icmpv6.js";
import { decodeIpv6Packet } from "../../../../controller/wire/ip/ipv6.js";
import { FakeGround, type Frame, type Stored } from "../../../fake/service-ground.js";
import { mip6ConfigOf } from "../../../lib/home-agent-config.js";
import { bindingUpdate, COA, HA, HOA, HOA_B, native } from "../../../sim/home-agent-harness.js";

const ARP = 0x0806;

async function started(
  records: Iterable<readonly [string, Stored]> = [],
  changes: { readonly interface?: string; readonly duplicateAddressDetection?: boolean } = { interface: "home" },
) {
  const { interface: device, ...more } = changes;
  const config = mip6ConfigOf({
    role: "home-agent",
    homeAgent: {
      addresses: { ipv6: HA },
      homeLink: { prefixes: ["2001:db8:1::/64"], ...(device !== undefined && { interface: device }) },
      ...more,
    },
    subscribers: [{ homeAddress: HOA }, { homeAddress: HOA_B }],
  });
  const fake = new FakeGround(HomeAgentService.serviceName, ["home"]);
  for (const [key, stored] of records) fake.records.set(key, stored);
  const ownership = new Ownership({ nodes: [{ homeAddress: HOA }, { homeAddress: HOA_B }], pool: [], reserved: [] });
  const parts = {
    config,
    keys: { keys: new Map() },
    ground: fake.ground,
    home: fake.home,
    ownership,
    bindings: new OneBinding(),
  };
  const service = await HomeAgentService.open(parts);
  await fake.start(service);
  t.teardown(() => service.abandon());
  const register = (homeAddress: Ipv6Address, sequence: number, lifetimeUnits = 10) =>
    fake.hears(native(COA, homeAddress), bindingUpdate({ sequence, lifetimeUnits }));
  const statuses = () =>
    fake.sent.splice(0).map(({ message }) => (message.type === "binding-acknowledgement" ? message.status : message));
  return { fake, service, register, statuses };
}

/** Neighbour discovery in a frame. */
function discovery({ payload }: Frame): string {
  const packet = decodeIpv6Packet(payload);
  if (!packet.ok) throw packet.error;
  const { source, destination } = packet.value.header;
  const message = decodeIcmpv6(packet.value.payload);
  if (!message.ok || !verifyIcmpv6Checksum(packet.value.payload, source, destination)) return "unreadable";
  const target = "target" in message.value ? message.value.target : "";
  return `${message.value.type} ${target} from ${source}`;
}
const said = (fake: FakeGround) =>
  fake.frames.splice(0).map((frame) => (frame.etherType === ARP ? "arp" : discovery(frame)));

t.test(
  "no first registration is accepted before the home link was asked for its address and kept silent",
  async (test) => {
    const { fake, service, register, statuses } = await started();
    await register(HOA, 1);
    test.strictSame(said(fake), [`neighbour-solicitation ${HOA} from ::`]);
    test.strictSame(statuses(), [], "no answer while the question is out");
    test.equal(service.views.binding(HOA)?.endpoint ?? null, null);
    await fake.silence();
    test.strictSame(statuses(), [0]);
    test.strictSame(said(fake), [`neighbour-advertisement ${HOA} from ${HOA}`], "then the address is drawn here");
    await register(HOA, 2);
    test.strictSame(statuses(), [0]);
    test.strictSame(said(fake), [], "a refresh asks nobody");
  },
);

t.test("an address that somebody on the home link has is refused with status 134, the others are not", async (test) => {
  const { fake, service, register, statuses } = await started();
  await register(HOA, 1);
  const claim = encodeIcmpv6({
    type: "neighbour-advertisement",
    flags: { router: false, solicited: false, override: true },
    target: HOA,
    options: [],
  });
  fake.home.link.receiveIcmpv6(claim, { source: HOA, hopLimit: 255, device: "home" });
  await fake.settled();
  test.strictSame(statuses(), [134]);
  test.equal(service.views.binding(HOA)?.endpoint ?? null, null);
  await register(HOA_B, 1);
  await fake.silence();
  test.strictSame(statuses(), [0]);
});

t.test("a virtual home link has nobody to ask, and who has switched it off is not asked", async (test) => {
  for (const changes of [{}, { interface: "home", duplicateAddressDetection: false }]) {
    const { fake, register, statuses } = await started([], changes);
    await register(HOA, 1);
    test.strictSame(statuses(), [0]);
    test.notOk(said(fake).some((one) => one.startsWith("neighbour-solicitation")));
  }
});

t.test("a binding goes on after a restart with the time that it has left, and not one that is over", async (test) => {
  const before = await started();
  await before.register(HOA, 7);
  await before.fake.silence();
  await before.register(HOA_B, 9);
  await before.fake.silence();
  const kept = [...before.fake.records].map(([key, { record }], i) => {
    return [key, { record, ageSeconds: i === 0 ? 15 : 41 }] as const;
  });
  test.strictSame(
    kept.map(([key]) => key),
    [HOA, HOA_B],
  );
  const after = await started(kept);
  const found = after.service.views.binding(HOA);
  test.match(found, { endpoint: { format: "ipv6", address: COA } });
  const remaining = found?.remainingSeconds ?? 0;
  test.ok(remaining > 0 && remaining <= 25, `40 s, 15 of them gone: ${remaining}`);
  test.equal(after.service.views.binding(HOA_B)?.endpoint ?? null, null, "its 40 s were over before the start");
  const objects = after.service.objectsOf(HOA).map(({ kind }) => kind);
  test.ok(objects.length > 0 && after.fake.kernel.objects.size > 0);
  await after.register(HOA, 7);
  test.strictSame(after.statuses(), [135], "its sequence number is remembered");
  await after.register(HOA, 8);
  test.strictSame(after.statuses(), [0]);
  test.notOk(
    said(after.fake).some((one) => one.startsWith("neighbour-solicitation")),
    "who is bound needs no detection",
  );
});
