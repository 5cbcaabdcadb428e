/** Keys that are negotiated: the K flag on both sides, and updates that wait for protection. */
import t from "tap";
import {
  bindingAcknowledgementFlags,
  bindingUpdateFlags,
} from "../../../../controller/wire/mip6/messages/registration.js";
import { alternateCareOf, COA, COA_2, HA, HomeAgentHarness, native } from "../../../sim/home-agent-harness.js";
import { Chart, SITE } from "./mobile-node/chart.js";

const K = { keyManagementMobility: true } as const;
const V6 = { eth0: ["2001:db8:a::10/64"] };
const BOTH = { eth0: ["2001:db8:a::10/64"], eth1: ["203.0.113.10/24"] };
const NEGOTIATING = { ...SITE, negotiatesKeys: true };

t.test(
  "K in the acknowledgement only if it was in the update, keys are dynamic, and the update was accepted",
  async (test) => {
    const flagsOf = (site: object, flags: object): unknown =>
      new HomeAgentHarness({ duplicateAddressDetection: false, ...site }).update(native(COA), {
        sequence: 1,
        flags,
        options: [alternateCareOf(COA)],
      })?.flags;
    test.strictSame(flagsOf({ ...K }, { ...K }), bindingAcknowledgementFlags({ ...K }));
    test.strictSame(flagsOf({ ...K }, {}), bindingAcknowledgementFlags());
    test.strictSame(flagsOf({}, { ...K }), bindingAcknowledgementFlags(), "static keys cannot follow");
    const harness = new HomeAgentHarness({ duplicateAddressDetection: false, ...K, subscribers: new Map() });
    const refused = harness.update(native(COA), { sequence: 1, flags: { ...K }, options: [alternateCareOf(COA)] });
    test.strictSame(refused?.flags, refused === undefined ? undefined : bindingAcknowledgementFlags(), "refused");
  },
);

t.test("R5555-5.1-11: the IKE SA's end follows when signalling comes from elsewhere, and only then", async (test) => {
  const harness = new HomeAgentHarness({ duplicateAddressDetection: false, ...K });
  const moves = (): unknown[] => harness.take().filter(({ kind }) => kind === "key-management-moved");
  const update = (careOf: typeof COA, sequence: number, flags: object): void => {
    harness.take();
    harness.deliver(native(careOf), {
      type: "binding-update",
      sequence: sequence as never,
      flags: bindingUpdateFlags({ acknowledge: true, homeRegistration: true, ...flags }),
      lifetimeUnits: 150,
      options: [alternateCareOf(careOf)],
    });
  };
  update(COA, 1, K);
  test.strictSame(moves(), [], "it was made from there");
  update(COA, 2, K);
  test.strictSame(moves(), [], "a refresh");
  update(COA_2, 3, K);
  test.match(moves(), [{ local: HA, remote: COA_2 }]);
  update(COA, 4, {});
  test.strictSame(moves(), [], "the node has not asked for it");
});

t.test("updates wait for protection, carry K, and leave as soon as it is there", (test) => {
  const chart = new Chart(NEGOTIATING).sees(V6);
  test.strictSame(chart.updates(), [], "nothing leaves without");
  test.match(
    chart.effects.filter(({ kind }) => kind === "secure"),
    [{ careOf: { address: "2001:db8:a::10" } }],
  );
  chart.give({ kind: "security", ready: true });
  const update = chart.update();
  test.equal(update.message.flags.keyManagementMobility, true);
  chart.answer(update);
  test.match(
    chart.effects.filter(({ kind }) => kind === "key-management"),
    [{ careOf: { address: "2001:db8:a::10" }, moved: false }],
  );
  test.end();
});

t.test("K in the acknowledgement tells whether the IKE SA moves or is made anew", (test) => {
  for (const [flags, moved] of [
    [K, true],
    [{}, false],
  ] as const) {
    const chart = new Chart(NEGOTIATING).sees(V6).give({ kind: "security", ready: true });
    chart.answer(chart.update(), { flags });
    test.match(chart.news("key-management"), [{ careOf: { address: "2001:db8:a::10" }, moved }]);
  }
  test.end();
});

t.test("no protection over one family: the other one is tried", (test) => {
  const chart = new Chart(NEGOTIATING).sees(BOTH);
  chart.give({ kind: "security", ready: false, failure: "no answer" });
  test.match(
    chart.effects.filter(({ kind }) => kind === "secure"),
    [{ careOf: { family: 6 } }, { careOf: { family: 4 } }],
  );
  chart.give({ kind: "security", ready: true });
  test.match(chart.update().departure, { type: "udp" });
  test.end();
});

t.test("associations that are lost are asked for again, and the registration is told under the new ones", (test) => {
  const chart = new Chart(NEGOTIATING).sees(V6).give({ kind: "security", ready: true });
  chart.answer(chart.update());
  const before = chart.updates().length;
  chart.give({ kind: "security", ready: false });
  test.equal(chart.effects.filter(({ kind }) => kind === "secure").length, 2);
  test.equal(chart.state.phase, "registered", "the binding outlasts its keys");
  chart.give({ kind: "security", ready: true });
  test.equal(chart.updates().length, before + 1);
  test.end();
});

t.test("what was asked for before the node came home is asked for again when it leaves", (test) => {
  const home = { eth2: ["2001:db8:1::55/64"] };
  const chart = new Chart(NEGOTIATING).sees(V6);
  const asked = (): number => chart.effects.filter(({ kind }) => kind === "secure").length;
  test.equal(asked(), 1);
  chart.sees(home);
  test.equal(chart.path?.mode, "home");
  test.equal(asked(), 1, "at home nothing is negotiated");
  chart.sees(V6);
  test.equal(asked(), 2);
  test.end();
});

t.test("with static keys nothing waits and K is clear", (test) => {
  const chart = new Chart().sees(V6);
  test.equal(chart.update().message.flags.keyManagementMobility, false);
  test.strictSame(
    chart.effects.filter(({ kind }) => kind === "secure" || kind === "key-management"),
    [],
  );
  test.end();
});

t.test("where the IKE SA shall not follow, K is clear, and each acceptance says that it has not", (test) => {
  const chart = new Chart({ ...NEGOTIATING, movesKeys: false }).sees(V6).give({ kind: "security", ready: true });
  const update = chart.update();
  test.equal(update.message.flags.keyManagementMobility, false);
  chart.answer(update);
  test.match(
    chart.effects.filter(({ kind }) => kind === "key-management"),
    [{ moved: false }],
  );
  test.end();
});

t.test("with MOBIKE, IKE moves with the first update about a place, and K is set as ever", (test) => {
  const home = { eth2: ["2001:db8:1::55/64"] };
  const chart = new Chart({ ...NEGOTIATING, mobike: true }).sees(V6).give({ kind: "security", ready: true });
  test.match(chart.path?.ikeEnd, { address: "2001:db8:a::10", device: "eth0", gateway: "fe80::1" });
  const first = chart.update();
  test.equal(first.message.flags.keyManagementMobility, true);
  chart.answer(first);
  chart.sees({ eth1: BOTH.eth1 });
  test.match(chart.path?.ikeEnd, { address: "203.0.113.10" }, "no acknowledgement is there yet");
  chart.answer(chart.update());
  chart.sees({ eth1: BOTH.eth1, ...home });
  test.match(chart.path?.ikeEnd, { address: "203.0.113.10" }, "while the home agent has the binding");
  chart.wait(1);
  chart.answer(chart.update(), { lifetimeUnits: 0 });
  test.equal(chart.state.phase, "home");
  test.match(chart.path?.ikeEnd, { format: "ipv6", address: "2001:db8:1::100", device: "eth2" });
  chart.sees({});
  test.equal(chart.path?.ikeEnd, undefined, "nowhere");
  test.notOk("ikeEnd" in (new Chart(NEGOTIATING).sees(V6).path ?? {}), "nobody leads it otherwise");
  test.end();
});
