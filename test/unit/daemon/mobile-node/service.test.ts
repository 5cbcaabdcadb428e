/** The mobile node's service: that what its machine asks for is done, and that what the journal kept comes back to it. */
import t from "tap";
import { Secret } from "../../../../controller/base/secret.js";
import { seq16 } from "../../../../controller/base/seq16.js";
import { MobileNodeService } from "../../../../controller/daemon/mobile-node/service.js";
import type { Arrival } from "../../../../controller/protocol/mip6/inputs.js";
import type { NetworkView } from "../../../../controller/protocol/movement/network-view.js";
import { decodeIcmpv6 } from "../../../../controller/wire/icmpv6.js";
import { decodeArp } from "../../../../controller/wire/ip/arp.js";
import { decodeIpv6Packet } from "../../../../controller/wire/ip/ipv6.js";
import type { BindingUpdate } from "../../../../controller/wire/mip6/messages/mobility-message.js";
import { bindingAcknowledgementFlags } from "../../../../controller/wire/mip6/messages/registration.js";
import { mobileNodeConfig } from "../../../../schemas/config/mobile-node.js";
import { FakeGround, type Stored } from "../../../fake/service-ground.js";
import {
  accepted4,
  HOME_ADDRESS,
  HOME_AGENT,
  IPV4_HOME_ADDRESS,
  network,
} from "../../protocol/mip6/mobile-node/chart.js";

const ARP = 0x0806;
const KEY = { spi: 0x1000, algorithm: "aes-gcm" as const, key: new Secret(new Uint8Array(20)) };
const KEYS = {
  homeAddress: HOME_ADDRESS,
  update: KEY,
  acknowledgement: KEY,
  replayWindow: 0,
  algorithmByDefault: true,
};
const AWAY = { eth0: ["2001:db8:a::10/64"] };
const AT_HOME = { eth0: ["2001:db8:1::aaaa/64"] };

/** Movement detection that believes what it is shown. */
class Shown {
  view: NetworkView;
  readonly #listeners: ((view: NetworkView) => void)[] = [];

  constructor(view: NetworkView) {
    this.view = view;
  }
  onView(listener: (view: NetworkView) => void): void {
    this.#listeners.push(listener);
  }
  show(view: NetworkView): void {
    this.view = view;
    for (const listener of this.#listeners) listener(view);
  }
  give(): void {}
  close(): void {}
}

interface Start {
  readonly record?: Stored;
  /** The kernel takes no object of the site. */
  readonly siteRefused?: boolean;
  /** Of the first groups. */
  readonly revision?: number;
}

async function started(links: Parameters<typeof network>[0], { record, siteRefused, revision }: Start = {}) {
  const config = mobileNodeConfig.parse({
    role: "mobile-node",
    mobileNode: {
      homeAddress: HOME_ADDRESS,
      ipv4HomeAddress: IPV4_HOME_ADDRESS,
      homePrefixes: ["2001:db8:1::/64", "192.0.2.0/24"],
      homeAgent: { ipv6: HOME_AGENT },
    },
  });
  const fake = new FakeGround(MobileNodeService.serviceName, ["eth0", "eth1"]);
  if (record !== undefined) fake.records.set(HOME_ADDRESS, record);
  const shown = new Shown(network(links));
  const told = { unanswered: 0 };
  const timers = new Set<{ readonly delayMs: number; readonly run: () => void }>();
  const service = await MobileNodeService.open({
    config,
    keys: { keys: new Map([[HOME_ADDRESS, KEYS]]) },
    ground: fake.ground,
    home: fake.home,
    network: shown,
    movement: { movement: shown, close: () => undefined },
    onUnanswered: () => void told.unanswered++,
    setTimer: (delayMs, run) => {
      const timer = { delayMs, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  });
  if (siteRefused === true)
    fake.kernel.refuse = ({ object }) => (service.ownerOf(object)?.kind === "site" ? "no memory" : undefined);
  await fake.start(service, revision);
  t.teardown(() => service.abandon());
  const sees = (next: Parameters<typeof network>[0]) => {
    shown.show(network(next));
    return fake.settled();
  };
  const updates = () => fake.sent.splice(0).map(({ message }) => message as BindingUpdate);
  const answer = ({ sequence, lifetimeUnits }: BindingUpdate, routed = true) => {
    const routingHeader = routed ? { routingHeaderHomeAddress: HOME_ADDRESS } : {};
    const path = { type: "native", device: "eth0", ...routingHeader } as const;
    const arrival: Arrival = { path, source: HOME_AGENT, destination: HOME_ADDRESS, protection: "esp" };
    return fake.hears(arrival, {
      type: "binding-acknowledgement",
      status: 0,
      flags: bindingAcknowledgementFlags(),
      sequence: seq16(sequence),
      lifetimeUnits,
      options: lifetimeUnits === 0 ? [] : [accepted4],
    });
  };
  return { fake, service, sees, updates, answer, told, timers };
}

/** The addresses that are drawn to a link, with the link. */
const announced = (fake: FakeGround) =>
  fake.frames.splice(0).map(({ device, etherType, payload }) => {
    if (etherType === ARP) {
      const arp = decodeArp(payload);
      return arp.ok ? `${device} arp ${arp.value.senderAddress}` : arp.error;
    }
    const packet = decodeIpv6Packet(payload);
    const message = packet.ok ? decodeIcmpv6(packet.value.payload) : packet;
    if (!message.ok) return message.error;
    return message.value.type === "neighbour-advertisement" ? `${device} ${message.value.target}` : message.value.type;
  });

t.test("a node that has come home draws its addresses to the home link, after the answer", async (test) => {
  const { fake, sees, updates, answer, service, told } = await started(AWAY);
  const [first] = updates();
  if (first === undefined) throw new Error("no update");
  await answer(first);
  test.match(service.views.binding(HOME_ADDRESS), { endpoint: { address: "2001:db8:a::10" } });
  test.equal(told.unanswered, 0, "an answer is no silence");
  test.strictSame(announced(fake), [], "nothing is drawn anywhere while it is away");
  await sees(AT_HOME);
  const [last] = updates();
  if (last === undefined) throw new Error("no update");
  test.equal(last.lifetimeUnits, 0);
  test.strictSame(announced(fake), [], "the home agent still defends them");
  await answer(last, false);
  test.strictSame(announced(fake), [`eth0 ${HOME_ADDRESS}`, `eth0 arp ${IPV4_HOME_ADDRESS}`]);
  await sees({ eth1: AT_HOME.eth0 });
  test.strictSame(
    announced(fake),
    [`eth1 ${HOME_ADDRESS}`, `eth1 arp ${IPV4_HOME_ADDRESS}`],
    "and to where home moves",
  );
});

t.test(
  "a node goes on after a restart: its number, its registration, and the time that is left of it",
  async (test) => {
    const before = await started(AWAY);
    const [first] = before.updates();
    if (first === undefined) throw new Error("no update");
    await before.answer(first);
    const record = before.fake.records.get(HOME_ADDRESS)?.record;
    if (record === undefined) throw new Error("nothing in the journal");

    const soon = await started(AWAY, { record: { record, ageSeconds: 100 } });
    const found = soon.service.views.binding(HOME_ADDRESS);
    test.match(found, { endpoint: { format: "ipv6", address: "2001:db8:a::10" } }, "payload goes on at once");
    test.ok(
      soon.service
        .objectsOf(HOME_ADDRESS)
        .some(({ kind }) => kind === "link" || kind === "xfrm-policy" || kind === "route"),
    );
    const remaining = found?.remainingSeconds ?? 0;
    test.ok(remaining > 0 && remaining <= 500, `600 s, 100 of them gone: ${remaining}`);
    test.strictSame(
      soon.updates().map(({ sequence }) => sequence as number),
      [(first.sequence + 1) & 0xffff],
      "and the next update has the next number",
    );

    const late = await started(AWAY, { record: { record, ageSeconds: 601 } });
    test.equal(late.service.views.binding(HOME_ADDRESS)?.endpoint ?? null, null, "after its end it is none");
    test.strictSame(
      late.updates().map(({ sequence }) => sequence as number),
      [(first.sequence + 1) & 0xffff],
      "but numbers go on",
    );
  },
);

t.test(
  "a node that is at home after a restart takes back what the home agent may still hold, and only then",
  async (test) => {
    const before = await started(AWAY);
    const [first] = before.updates();
    if (first === undefined) throw new Error("no update");
    await before.answer(first);
    const record = before.fake.records.get(HOME_ADDRESS)?.record;
    if (record === undefined) throw new Error("nothing in the journal");
    const bound = await started(AT_HOME, { record: { record, ageSeconds: 100 } });
    const lifetimes = (node: typeof bound) => node.updates().map(({ lifetimeUnits }) => lifetimeUnits);
    test.strictSame(lifetimes(bound), [0]);
    const free = await started(AT_HOME, { record: { record, ageSeconds: 601 } });
    test.strictSame(lifetimes(free), []);
    test.strictSame(announced(free.fake), [`eth0 ${HOME_ADDRESS}`, `eth0 arp ${IPV4_HOME_ADDRESS}`]);
  },
);

t.test("who is told twice to end says goodbye once, and both are answered", async (test) => {
  const { service, updates, answer } = await started(AWAY);
  const [first] = updates();
  if (first === undefined) throw new Error("no update");
  await answer(first);
  const ends = [service.close(), service.close()];
  await new Promise(setImmediate);
  const [last, ...more] = updates();
  if (last === undefined) throw new Error("no update");
  test.equal(last.lifetimeUnits, 0);
  test.strictSame(more, []);
  await answer(last);
  await Promise.all([...ends, service.close()]);
});

t.test("who has left, or is abandoned while it says goodbye, keeps nobody waiting", async (test) => {
  const left = await started(AWAY);
  await Promise.all([left.service.leave(), left.service.close()]);
  test.equal(left.updates().length, 1, "without a word");
  await left.service.close();
  const { service, updates, answer } = await started(AWAY);
  const [first] = updates();
  if (first === undefined) throw new Error("no update");
  await answer(first);
  const end = service.close();
  await new Promise(setImmediate);
  test.match(updates(), [{ lifetimeUnits: 0 }]);
  service.abandon();
  await Promise.all([end, service.close()]);
  const abandoned = await started(AWAY);
  abandoned.service.abandon();
  await abandoned.service.close();
});

t.test(
  "what the kernel refuses of the site is asked for again, whoever asked before, and not by who has left",
  async (test) => {
    const nothing = (): undefined => undefined;
    for (const revision of [1, 7]) {
      const { fake, service, timers } = await started(AWAY, { siteRefused: true, revision });
      const elapse = async (): Promise<void> => {
        const due = [...timers];
        timers.clear();
        for (const { run } of due) run();
        await fake.settled();
      };
      const ofSite = () =>
        [...fake.kernel.objects.values()].filter((one) => service.ownerOf(one)?.kind === "site").length;
      await elapse();
      test.equal(ofSite(), 0, `revision ${revision}`);
      test.ok(timers.size > 0, "refused once more, and not for good");
      fake.kernel.refuse = nothing;
      await elapse();
      test.ok(ofSite() > 0);
      await elapse();
      test.equal(timers.size, 0, "no longer asked for");
    }
    for (const end of ["leave", "abandon"] as const) {
      const { service, timers } = await started(AWAY, { siteRefused: true });
      test.ok(timers.size > 0);
      await service[end]();
      test.equal(timers.size, 0, end);
    }
  },
);
