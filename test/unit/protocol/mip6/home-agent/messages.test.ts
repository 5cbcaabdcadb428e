/** Messages other than binding updates. */
import t from "tap";
import { ipv6 } from "../../../../../controller/base/ip.js";
import { seq16 } from "../../../../../controller/base/seq16.js";
import type { MobilityMessage } from "../../../../../controller/wire/mip6/messages/mobility-message.js";
import { bindingAcknowledgementFlags } from "../../../../../controller/wire/mip6/messages/registration.js";
import {
  atHome,
  COA,
  COA_2,
  GRANTS,
  HA,
  HA4,
  HOA,
  HomeAgentHarness,
  NAT_PORT,
  NAT4,
  native,
  SILENT,
  udp,
} from "../../../../sim/home-agent-harness.js";

const UNKNOWN: MobilityMessage = { type: "unknown", mhType: 99, body: new Uint8Array(2) };

t.test(
  "an unknown MH type: binding error status 2 to the wire source, with the address of the Home Address option",
  async (test) => {
    const harness = new HomeAgentHarness();
    harness.deliver(native(COA), UNKNOWN);
    test.match(harness.sends(), [
      {
        message: { type: "binding-error", status: 2, homeAddress: HOA, options: [] },
        source: HA,
        destination: COA,
        departure: { type: "native-direct", device: "up0" },
      },
    ]);
    harness.take();
    harness.deliver(atHome(), UNKNOWN);
    test.match(harness.sends(), [{ message: { homeAddress: "::" }, destination: HOA, departure: { device: "home0" } }]);
    harness.take();
    harness.deliver(udp(NAT4, NAT_PORT), UNKNOWN);
    test.match(harness.sends(), [
      {
        message: { homeAddress: "::" },
        destination: HOA,
        departure: { type: "udp", localAddress: HA4, remoteAddress: NAT4, remotePort: NAT_PORT },
      },
    ]);
  },
);

t.test("not to sources that are not unicast", async (test) => {
  const harness = new HomeAgentHarness();
  for (const source of ["::", "ff02::1"].map(ipv6)) {
    harness.deliver({ ...atHome(), source }, UNKNOWN);
    harness.deliver(native(source), UNKNOWN);
  }
  test.strictSame(harness.sends(), []);
  test.strictSame(harness.drops(), Array(4).fill("unexpected-type"));
});

t.test("binding errors are rate limited: 10 at once, then 10 a second, 3 of them to one address", async (test) => {
  const harness = new HomeAgentHarness();
  const careOf = (i: number) => ipv6(`2001:db8:a::${(i + 1).toString(16)}`);
  const flood = (count: number, addresses = 5): number => {
    harness.take();
    for (let i = 0; i < count; i++) harness.deliver({ ...native(careOf(i % addresses)), protection: "none" }, UNKNOWN);
    return harness.sends().length;
  };
  test.equal(flood(100, 1), 3);
  harness.advance(1);
  test.equal(flood(1000), 10);
  test.equal(harness.drops().filter((reason) => reason === "rate-limited").length, 990);
  harness.advance(0.05);
  test.equal(flood(10), 0);
  harness.advance(0.05);
  test.equal(flood(10), 1);
  harness.advance(0.5);
  test.equal(flood(10), 5);
  harness.advance(3600);
  test.equal(flood(1000), 10);
  harness.advance(1);
  test.equal(flood(1000, 1000), 10);
  test.ok(harness.state.bindingErrors.destinations.length <= 32);
  test.equal(harness.state.cache.size, 0, "nothing is kept of them");
});

t.test("a refused Home Address option: binding error status 1 from the address it was sent to", async (test) => {
  const harness = new HomeAgentHarness();
  const refused = { kind: "option-refused", source: COA, destination: HA, homeAddress: HOA } as const;
  harness.step({ ...refused, protocol: 58 });
  test.strictSame(harness.sends(), [
    {
      kind: "send",
      message: { type: "binding-error", status: 1, homeAddress: HOA, options: [] },
      source: HA,
      destination: COA,
      departure: { type: "native-direct" },
    },
  ]);
  test.strictSame(harness.drops(), ["unknown-binding"]);
  harness.take();
  for (const protocol of [50, 51, 135]) harness.step({ ...refused, protocol });
  harness.step({ ...refused, source: ipv6("ff02::1"), protocol: 58 });
  harness.step({ ...refused, destination: ipv6("ff02::1"), protocol: 58 });
  test.strictSame(harness.sends(), []);
});

t.test("no error to a node on the move: to where it is, is about to be or was just now", async (test) => {
  const harness = new HomeAgentHarness();
  const errors = (...sources: readonly (typeof COA)[]): number => {
    harness.take();
    for (const source of sources)
      harness.step({ kind: "option-refused", source, destination: HA, homeAddress: HOA, protocol: 6 });
    test.strictSame(harness.drops(), Array(sources.length).fill("unknown-binding"));
    return harness.sends().length;
  };
  harness.update(native(COA), { sequence: 1 });
  test.equal(errors(COA), 0, "the kernel does not have it yet after a start");
  harness.kernelMood = SILENT;
  harness.update(native(COA_2), { sequence: 2 });
  test.equal(errors(COA, COA_2), 0);
  harness.kernelMood = GRANTS;
  harness.answerKernel();
  test.equal(errors(COA, COA_2), 0);
  harness.advance(3.5);
  test.equal(errors(COA_2), 0);
  test.equal(errors(COA), 1, "the grace time is over");
});

t.test("messages that a home agent does not expect are dropped and counted", async (test) => {
  const harness = new HomeAgentHarness();
  const cookie = new Uint8Array(8);
  const messages: readonly MobilityMessage[] = [
    { type: "binding-refresh-request", options: [] },
    { type: "home-test-init", cookie, options: [] },
    { type: "care-of-test-init", cookie, options: [] },
    { type: "home-test", nonceIndex: 1, cookie, keygenToken: cookie, options: [] },
    { type: "binding-error", status: 1, homeAddress: HOA, options: [] },
    {
      type: "binding-acknowledgement",
      status: 0,
      flags: bindingAcknowledgementFlags(),
      sequence: seq16(1),
      lifetimeUnits: 1,
      options: [],
    },
  ];
  for (const message of messages) {
    const effects = harness.deliver(native(COA), message);
    test.match(effects, [{ kind: "drop", reason: "unexpected-type", detail: message.type }]);
    test.equal(effects.length, 1);
  }
});

t.test("an unknown type that was sent to somebody else is not ours to answer", async (test) => {
  const harness = new HomeAgentHarness();
  harness.deliver(native(COA, HOA, { destination: ipv6("ff02::1") }), UNKNOWN);
  test.strictSame(harness.take(), [{ kind: "drop", reason: "wrong-destination", detail: "sent to ff02::1" }]);
});
