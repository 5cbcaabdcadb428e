/** What a home agent tells its nodes: revocations, home agent switch messages, binding refresh requests; how often, and what ends them. */
import t from "tap";
import { type Ipv6Address, ipv6 } from "../../../../../controller/base/ip.js";
import { mappedAddress } from "../../../../../controller/base/mapped.js";
import { seq16 } from "../../../../../controller/base/seq16.js";
import type { HomeAgentSite } from "../../../../../controller/protocol/mip6/home-agent/site.js";
import type { Arrival } from "../../../../../controller/protocol/mip6/inputs.js";
import type { MobilityMessage } from "../../../../../controller/wire/mip6/messages/mobility-message.js";
import { BindingStatus, RevocationStatus } from "../../../../../controller/wire/mip6/registry.js";
import {
  alternateCareOf,
  bindingUpdate,
  COA,
  COA_2,
  COA4,
  HA,
  HA4,
  HOA,
  HOA_B,
  HOA4,
  HomeAgentHarness,
  NAT_PORT,
  NAT4,
  native,
  option29,
  option32,
  PRIVATE4,
  SILENT,
  subscribers,
  udp,
} from "../../../../sim/home-agent-harness.js";

function bound(changes: Partial<HomeAgentSite> = {}): HomeAgentHarness {
  const harness = new HomeAgentHarness(changes);
  harness.update(native(COA), { sequence: 1, options: [option29(HOA4)] });
  harness.take();
  return harness;
}

function acknowledge(
  harness: HomeAgentHarness,
  { sequence = harness.state.revocationSequence as number, status = 0, arrival = native(COA) } = {} as {
    sequence?: number;
    status?: number;
    arrival?: Arrival;
  },
): void {
  const flags = { proxyBinding: false, ipv4HomeAddressOnly: false, global: false };
  const type = "binding-revocation-acknowledgement";
  harness.deliver(arrival, { type, status, sequence: seq16(sequence), flags, options: [] } as MobilityMessage);
}

const sentTypes = (harness: HomeAgentHarness): readonly string[] => harness.sends().map(({ message }) => message.type);

t.test("the node is told to its care-of address, and its binding ends when it has acknowledged", async (test) => {
  const harness = bound();
  harness.step({ kind: "remove", homeAddress: HOA });
  test.match(harness.sends(), [
    {
      message: {
        type: "binding-revocation-indication",
        trigger: 1,
        flags: { ipv4HomeAddressOnly: false },
        options: [],
      },
      source: HA,
      destination: HOA,
      departure: { type: "native-routed", careOf: COA },
    },
  ]);
  test.match(harness.view(), { state: "established" }, "payload goes on until then");
  harness.take();
  acknowledge(harness);
  test.strictSame(harness.events(), ["binding.removed"]);
  test.match(harness.effects("notify")[0]?.event.detail, { reason: "operator", acknowledged: true, status: 0 });
  test.equal(harness.kernel.size, 0);
  test.strictSame(sentTypes(harness), []);
  test.match(harness.update(native(COA), { sequence: 1 }), { status: BindingStatus.sequenceOutOfWindow });
});

t.test("without an answer it is told once more, and removed all the same", async (test) => {
  const harness = bound();
  harness.step({ kind: "remove", homeAddress: HOA });
  harness.advance(0.9);
  test.equal(harness.sends().length, 1);
  harness.advance(0.1);
  const [first, second] = harness.sends();
  test.same(second?.message, first?.message, "the same number");
  harness.advance(1.9);
  test.match(harness.view(), { state: "established" });
  harness.advance(0.1);
  test.match(harness.view(), { state: "invalidated" });
  test.equal(harness.kernel.size, 0);
  test.match(harness.effects("notify").at(-1)?.event.detail, { reason: "operator", acknowledged: false });
  acknowledge(harness);
  test.strictSame(harness.drops(), ["no-outstanding-notice"]);
});

t.test("any status ends it; a stranger's, an old one's and an unprotected acknowledgement do not", async (test) => {
  const harness = bound();
  acknowledge(harness);
  harness.step({ kind: "remove", homeAddress: HOA });
  acknowledge(harness, { arrival: native(COA, HOA_B) });
  acknowledge(harness, { sequence: 77 });
  acknowledge(harness, { arrival: native(COA, HOA, { protection: "none" }) });
  test.strictSame(harness.drops(), [
    ...["no-outstanding-notice", "no-outstanding-notice", "no-outstanding-notice", "unprotected"],
  ]);
  test.match(harness.view(), { state: "established" });
  acknowledge(harness, { status: RevocationStatus.functionNotSupported });
  test.equal(harness.kernel.size, 0);
});

t.test("updates meanwhile: a registration is refused with 129, a de-registration is the end", async (test) => {
  const harness = bound();
  harness.step({ kind: "remove", homeAddress: HOA });
  test.match(harness.update(native(COA_2), { sequence: 2 }), { status: BindingStatus.administrativelyProhibited });
  test.match(harness.update(native(COA), { sequence: 3, lifetimeUnits: 0 }), { status: 0 });
  test.strictSame(harness.events(), ["binding.removed"]);
  harness.take();
  harness.advance(5);
  test.strictSame(harness.take(), []);

  const waiting = bound();
  waiting.kernelMood = SILENT;
  waiting.update(native(COA_2), { sequence: 2 });
  waiting.step({ kind: "remove", homeAddress: HOA });
  acknowledge(waiting);
  test.match(waiting.acknowledgements(), [{ status: BindingStatus.administrativelyProhibited, sequence: 2 }]);
  waiting.answerKernel();
  waiting.answerKernel();
  test.equal(waiting.kernel.size, 0);
  test.equal(waiting.view()?.state, "invalidated");
  waiting.take();
  waiting.step({ kind: "remove", homeAddress: HOA });
  test.strictSame(waiting.take(), [], "there is nothing to end any more");
});

t.test(
  "behind a NAT it goes to the port that the updates come from, from the address on this machine",
  async (test) => {
    const harness = new HomeAgentHarness({ addresses: { ipv6: HA, ipv4: HA4, ipv4Local: PRIVATE4 } });
    harness.deliver(udp(NAT4, NAT_PORT), bindingUpdate({ sequence: 1, options: [option32(PRIVATE4)] }));
    harness.take();
    harness.step({ kind: "remove", homeAddress: HOA });
    const departure = { type: "udp", localAddress: PRIVATE4, remoteAddress: NAT4, remotePort: NAT_PORT };
    test.match(harness.sends(), [{ departure }]);
  },
);

t.test(
  "it goes the way that the node's signalling came: in UDP over IPv6, and to an IPv4-mapped address",
  async (test) => {
    const lastResort = new HomeAgentHarness({ udpOverIpv6: true });
    lastResort.deliver(udp(COA, NAT_PORT), bindingUpdate({ sequence: 1, options: [alternateCareOf(COA)] }));
    lastResort.step({ kind: "remove", homeAddress: HOA });
    test.match(lastResort.sends().at(-1), {
      message: { type: "binding-revocation-indication" },
      departure: { type: "udp", localAddress: HA, remoteAddress: COA, remotePort: NAT_PORT },
    });

    const soliman = new HomeAgentHarness({
      subscribers: subscribers([{ homeAddress: HOA, profile: "default", ipv4Signalling: "soliman2004" }]),
    });
    soliman.deliver(native(mappedAddress(COA4)), bindingUpdate({ sequence: 1 }));
    test.match(soliman.view(), { endpoint: { format: "ipv4", address: COA4 } });
    soliman.step({ kind: "notice", homeAddresses: [HOA], subject: { kind: "refresh" } });
    test.match(soliman.sends().at(-1), {
      message: { type: "binding-refresh-request" },
      departure: { type: "native-routed", careOf: mappedAddress(COA4) },
    });
  },
);

t.test(
  "what is being ended as a whole does not end in part; nobody who is sent away is kept by a refresh",
  async (test) => {
    const harness = bound();
    harness.step({ kind: "remove", homeAddress: HOA });
    harness.step({ kind: "remove", homeAddress: HOA, ipv4Only: true });
    harness.step({ kind: "remove", homeAddress: HOA });
    test.strictSame(sentTypes(harness), ["binding-revocation-indication"], "told once, and again when it is time");
    acknowledge(harness);
    test.match(harness.view(), { state: "invalidated" });
    test.equal(harness.kernel.size, 0);

    const more = bound();
    more.step({ kind: "remove", homeAddress: HOA, ipv4Only: true });
    more.step({ kind: "remove", homeAddress: HOA });
    test.match(more.sends().at(-1)?.message, { flags: { ipv4HomeAddressOnly: false } });
    acknowledge(more);
    test.equal(more.kernel.size, 0);

    const away = bound();
    away.step({ kind: "notice", homeAddresses: [HOA], subject: { kind: "switch", homeAgents: [] } });
    away.step({ kind: "notice", homeAddresses: [HOA], subject: { kind: "refresh" } });
    away.advance(1);
    test.strictSame(sentTypes(away), ["home-agent-switch", "home-agent-switch"]);
  },
);

t.test("V bit: the IPv4 part alone, named in option 29, and IPv6 stays", async (test) => {
  const harness = bound();
  harness.step({ kind: "remove", homeAddress: HOA, ipv4Only: true });
  test.match(harness.sends(), [{ message: { flags: { ipv4HomeAddressOnly: true }, options: [option29(HOA4)] } }]);
  acknowledge(harness);
  test.match(harness.view(), { state: "established", ipv4HomeAddress: null, endpoint: { address: COA } });
  test.equal(harness.kernel.get(HOA)?.ipv4HomeAddress, undefined);
  test.match(harness.journal.get(HOA)?.record, { ipv4HomeAddress: null });
  harness.advance(700);
  test.strictSame(sentTypes(harness), ["binding-revocation-indication"], "and nothing more");
});

t.test("V bit while an update is with the kernel: what comes of it has no IPv4 part", async (test) => {
  const harness = bound();
  harness.kernelMood = SILENT;
  harness.update(native(COA_2), { sequence: 2, options: [option29(HOA4)] });
  harness.step({ kind: "remove", homeAddress: HOA, ipv4Only: true });
  acknowledge(harness);
  harness.answerKernel();
  harness.advance(1);
  harness.answerKernel();
  test.match(harness.view(), { ipv4HomeAddress: null, endpoint: { address: COA_2 } });
  test.equal(harness.kernel.get(HOA)?.ipv4HomeAddress, undefined);
});

t.test("another home agent: told three times, until an update with lifetime 0", async (test) => {
  const other = ipv6("2001:db8:1::2");
  const subject = { kind: "switch", homeAgents: [other] } as const;
  const obedient = bound();
  obedient.step({ kind: "notice", homeAddresses: [HOA, HOA_B], subject });
  test.match(obedient.sends(), [{ message: { type: "home-agent-switch", addresses: [other] }, destination: HOA }]);
  obedient.update(native(COA), { sequence: 2, lifetimeUnits: 0 });
  obedient.take();
  obedient.advance(8);
  test.strictSame(obedient.sends(), []);

  const deaf = bound();
  deaf.step({ kind: "notice", homeAddresses: [HOA], subject });
  deaf.update(native(COA), { sequence: 2 });
  deaf.advance(7);
  test.equal(deaf.effects("notify").at(-1)?.event.event, "notice.unanswered");
  test.match(deaf.view(), { state: "established" }, "it stays bound");
  deaf.take();
  deaf.advance(100);
  test.strictSame(deaf.sends(), []);
});

t.test("a hundred nodes a second are told", async (test) => {
  const nodes: Ipv6Address[] = Array.from({ length: 250 }, (_, i) => ipv6(`2001:db8:1::1:${(i + 1).toString(16)}`));
  const harness = new HomeAgentHarness({
    subscribers: subscribers(nodes.map((homeAddress) => ({ homeAddress, profile: "default" }))),
  });
  for (const node of nodes) harness.update(native(COA, node), { sequence: 1 });
  harness.take();
  harness.step({ kind: "notice", homeAddresses: nodes, subject: { kind: "refresh" } });
  harness.advance(0.995);
  test.equal(new Set(harness.sends().map(({ destination }) => destination)).size, 100);
  harness.advance(1.5);
  test.equal(new Set(harness.sends().map(({ destination }) => destination)).size, 250);
});

t.test("a late node is asked to refresh at nine tenths of its lifetime, until it does", async (test) => {
  const harness = bound({ refreshRequests: true });
  harness.advance(539);
  test.strictSame(harness.sends(), []);
  harness.advance(1);
  test.match(harness.sends(), [{ message: { type: "binding-refresh-request" }, departure: { careOf: COA } }]);
  harness.update(native(COA), { sequence: 2 });
  harness.take();
  harness.advance(539);
  test.strictSame(harness.sends(), [], "an update ends it, and the next time is that of the new lifetime");
  harness.advance(60.9);
  test.equal(harness.sends().length, 3, "three times without an answer");
  harness.advance(0.1);
  test.match(harness.view(), { state: "invalidated" });

  const prompt = bound({ refreshRequests: true });
  prompt.advance(450);
  prompt.update(native(COA), { sequence: 2 });
  prompt.take();
  prompt.advance(500);
  test.strictSame(prompt.sends(), []);
  const restarted = prompt.restart(0, { refreshRequests: true });
  restarted.advance(41);
  test.match(restarted.sends(), [{ message: { type: "binding-refresh-request" } }], "after a restart too");
  test.strictSame(sentTypes(bound()), [], "not where it is switched off");
});
