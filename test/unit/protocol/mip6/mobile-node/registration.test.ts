/** What a mobile node's updates say in each access network, and what it makes of the answers. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import { seq16 } from "../../../../../controller/base/seq16.js";
import { instant, seconds } from "../../../../../controller/base/time.js";
import type { Arrival, DropReason } from "../../../../../controller/protocol/mip6/inputs.js";
import { lifetimeUnits } from "../../../../../controller/protocol/mip6/mobile-node/binding-update.js";
import {
  listEntries,
  registrationEnd,
  type SentUpdate,
} from "../../../../../controller/protocol/mip6/mobile-node/binding-update-list.js";
import { nextDeadline } from "../../../../../controller/protocol/mip6/mobile-node/machine.js";
import { NO_REFRESH_NEEDED } from "../../../../../controller/wire/mip6/options/dsmip.js";
import { BindingStatus } from "../../../../../controller/wire/mip6/registry.js";
import {
  type Answer,
  accepted4,
  Chart,
  HOME_ADDRESS,
  HOME_AGENT,
  HOME_AGENT_IPV4,
  IPV4_HOME_ADDRESS,
  nat,
  optionKinds,
} from "./chart.js";

/** Over IPv6 from the home agent, without a routing header. */
const from = (changes: Partial<Arrival>): Arrival => ({
  path: { type: "native", device: "eth0" },
  source: HOME_AGENT,
  destination: HOME_ADDRESS,
  protection: "esp",
  ...changes,
});
const V6 = { eth0: ["2001:db8:a::10/64"] };
const V4 = { eth0: ["203.0.113.10/24"] };
const flagsSet = (flags: object): readonly string[] =>
  Object.entries(flags).flatMap(([name, set]) => (set === true ? [name] : []));

t.test("R5555-3.1.1-02: update from an IPv6 care-of address", (t) => {
  const update = new Chart({ forceUdp: true }).sees(V6).update();
  t.strictSame(flagsSet(update.message.flags), ["acknowledge", "homeRegistration"], "A and H, and no F");
  t.equal(update.message.lifetimeUnits, 150, "600 s");
  t.equal(update.source, HOME_ADDRESS);
  t.equal(update.destination, HOME_AGENT);
  t.strictSame(update.departure, { type: "native-home-address-option", careOf: "2001:db8:a::10" });
  t.strictSame(update.message.options, [
    { kind: "alternate-care-of-address", address: "2001:db8:a::10" },
    { kind: "ipv4-home-address", prefixLength: 32, mobileNetworkPrefix: false, address: IPV4_HOME_ADDRESS },
  ]);
  t.end();
});

t.test("update from an IPv4 care-of address (C-07, C-09, C-10)", (t) => {
  const update = new Chart().sees(V4).update();
  t.strictSame(flagsSet(update.message.flags), ["acknowledge", "homeRegistration"]);
  t.equal(update.source, HOME_ADDRESS, "inner source");
  t.equal(update.destination, HOME_AGENT);
  const ends = { localAddress: "203.0.113.10", remoteAddress: HOME_AGENT_IPV4, remotePort: 4191 };
  t.strictSame(update.departure, { type: "udp", ...ends });
  t.strictSame(update.message.options, [
    { kind: "ipv4-care-of-address", address: "203.0.113.10" },
    { kind: "ipv4-home-address", prefixLength: 32, mobileNetworkPrefix: false, address: IPV4_HOME_ADDRESS },
  ]);
  t.end();
});

t.test("with both families the IPv6 care-of address serves both home addresses, without UDP", (t) => {
  const update = new Chart({ forceUdp: true }).sees({ eth0: [...V4.eth0, ...V6.eth0] }).update();
  t.strictSame(update.departure, { type: "native-home-address-option", careOf: "2001:db8:a::10" });
  t.strictSame(optionKinds(update), ["alternate-care-of-address", "ipv4-home-address"]);
  t.end();
});

t.test("F only when configured, and without an IPv4 home address no option 29", (t) => {
  t.ok(new Chart({ forceUdp: true }).sees(V4).update().message.flags.forceUdp);
  const update = new Chart({ ipv4HomeAddress: undefined }).sees(V4).update();
  t.strictSame(optionKinds(update), ["ipv4-care-of-address"]);
  t.end();
});

t.test("R5555-4.4.2-16 R5555-2-01: an accepted IPv4 home address is a second entry of the binding update list", (t) => {
  const chart = new Chart().sees(V6);
  t.notOk(chart.path?.ipv4HomeAddress, "not before the answer");
  chart.answer(chart.update());
  t.equal(chart.state.phase, "registered");
  const entries = listEntries(chart.state.site, chart.state.registration);
  t.strictSame(
    entries.map((entry) => [entry.homeAddress, entry.careOf.address, entry.udpEncapsulation]),
    [
      [HOME_ADDRESS, "2001:db8:a::10", false],
      [IPV4_HOME_ADDRESS, "2001:db8:a::10", false],
    ],
  );
  t.equal(chart.path?.ipv4HomeAddress, IPV4_HOME_ADDRESS);
  const gateway = "fe80::1";
  t.strictSame(chart.path?.egress, { format: "ipv6", address: "2001:db8:a::10", device: "eth0", gateway });
  t.end();
});

t.test("R5555-2.3.1-06 R5555-4.4.2-19: no option 30: IPv6 only, and option 29 is not sent again (C-05)", (t) => {
  const chart = new Chart().sees(V6);
  chart.answer(chart.update(), { options: [] });
  t.equal(listEntries(chart.state.site, chart.state.registration).length, 1);
  t.notOk(chart.path?.ipv4HomeAddress);
  chart.wait(450);
  t.strictSame(optionKinds(chart.update()), ["alternate-care-of-address"], "the refresh");
  chart.sees(V4);
  t.strictSame(optionKinds(chart.update()), ["ipv4-care-of-address"], "after a move");
  chart.give({ kind: "refresh" });
  t.ok(optionKinds(chart.update()).includes("ipv4-home-address"), "again when a person asks for it");
  t.end();
});

t.test("no option 30, and another try after the configured time (C-05)", (t) => {
  const chart = new Chart({ ipv4RetrySeconds: 1000 }).sees(V6);
  chart.answer(chart.update(), { options: [] });
  chart.give({ kind: "refresh", forgets: false });
  const asks = (): boolean => {
    const update = chart.update();
    chart.answer(update, { options: [] });
    return optionKinds(update).includes("ipv4-home-address");
  };
  t.notOk(asks());
  chart.wait(450);
  t.notOk(asks(), "a refresh");
  chart.wait(450);
  t.notOk(asks(), "another one");
  chart.wait(450);
  t.ok(asks(), "the time is over");
  chart.wait(450);
  t.notOk(asks(), "and runs anew");
  t.end();
});

t.test(
  "R5555-4.4.2-21 R5555-3.2.1-04 R5555-3.2.1-06: a failure in option 30: no IPv4 binding, asked for again later",
  (t) => {
    for (const [status, prefixLength] of [
      [128, 0],
      [130, 32],
      [255, 24],
    ] as const) {
      const chart = new Chart().sees(V6);
      chart.answer(chart.update(), {
        options: [{ ...accepted4, status, prefixLength }],
      });
      t.equal(chart.state.phase, "registered");
      t.equal(listEntries(chart.state.site, chart.state.registration).length, 1);
      t.notOk(chart.path?.ipv4HomeAddress);
      t.match(chart.events("registration.failed"), [{ status }]);
      chart.wait(450);
      t.ok(optionKinds(chart.update()).includes("ipv4-home-address"));
    }
    t.end();
  },
);

t.test("R5555-3.2.1-02: an unknown status below 128 in option 30 is success; another address than ours is not", (t) => {
  const chart = new Chart().sees(V6);
  chart.answer(chart.update(), { options: [{ ...accepted4, status: 77 }] });
  t.equal(chart.path?.ipv4HomeAddress, IPV4_HOME_ADDRESS);
  const other = new Chart().sees(V6);
  other.answer(other.update(), { options: [{ ...accepted4, address: ipv4("192.0.2.200") }] });
  t.notOk(other.path?.ipv4HomeAddress);
  t.end();
});

t.test("R5555-4.4.2-18: option 31 decides between UDP and plain IPv4 (C-06)", (t) => {
  const cases = [
    { name: "NAT", options: [accepted4, nat(90)], forceUdp: false, format: "udp" },
    { name: "NAT, and forced", options: [accepted4, nat(90, true)], forceUdp: false, format: "udp" },
    { name: "no NAT", options: [accepted4, nat(NO_REFRESH_NEEDED)], forceUdp: false, format: "ipv4" },
    { name: "no NAT, forced", options: [accepted4, nat(NO_REFRESH_NEEDED, true)], forceUdp: false, format: "udp" },
    { name: "no option", options: [accepted4], forceUdp: false, format: "ipv4" },
    { name: "no option, own F accepted", options: [accepted4], forceUdp: true, format: "udp" },
  ] as const;
  for (const { name, options, forceUdp, format } of cases) {
    const chart = new Chart({ forceUdp }).sees(V4);
    chart.answer(chart.update(), { options });
    t.equal(chart.path?.egress?.format, format, name);
    const udp = listEntries(chart.state.site, chart.state.registration).map((entry) => entry.udpEncapsulation);
    t.strictSame(udp, [format === "udp", format === "udp"], name);
  }
  t.end();
});

t.test("every later update from an IPv4 network is in UDP, also when payload is plain", (t) => {
  const chart = new Chart().sees(V4);
  chart.answer(chart.update());
  t.equal(chart.path?.egress?.format, "ipv4");
  t.equal(chart.wait(450).update().departure.type, "udp");
  t.end();
});

t.test("144 for an update with F: again without F and with a new number (C-02)", (t) => {
  const chart = new Chart({ forceUdp: true }).sees(V4);
  const first = chart.update();
  chart.answer(first, { status: 144, options: [nat(NO_REFRESH_NEEDED)] });
  const second = chart.update();
  t.notOk(second.message.flags.forceUdp);
  t.equal(second.message.sequence, first.message.sequence + 1);
  chart.answer(first, { status: 144, options: [] });
  t.strictSame(chart.updates(), [], "a repeated 144 changes nothing");
  chart.answer(second);
  t.equal(chart.path?.egress?.format, "ipv4");

  const plain = new Chart().sees(V4);
  plain.answer(plain.update(), { status: 144, options: [] });
  t.equal(plain.state.phase, "refused", "without F it is a plain failure");
  const replay = { kind: "message-identification", seconds: 1, fraction: 0 } as const;
  const forced = new Chart({ forceUdp: true }).sees(V4);
  forced.answer(forced.update(), { status: 144, options: [replay] });
  t.equal(forced.state.phase, "refused", "with option 10 it is the meaning of RFC 4285");
  t.end();
});

t.test(
  "F6275-11.7.3-01: the lifetime counts from the update: what remains less what was taken off, never negative",
  (t) => {
    const sent: SentUpdate = {
      sequence: seq16(1),
      sentAt: instant(0),
      lifetime: seconds(600),
      forceUdp: false,
      ipv4Requested: false,
    };
    t.equal(registrationEnd(sent, seconds(600), instant(2000)), 600_000);
    t.equal(registrationEnd(sent, seconds(400), instant(2000)), 400_000);
    t.equal(registrationEnd(sent, seconds(4), instant(9000)), 9000);
    t.equal(lifetimeUnits(seconds(4)), 1);
    t.equal(lifetimeUnits(seconds(603)), 150);
    t.equal(lifetimeUnits(seconds(0)), 0);

    const chart = new Chart().sees(V6);
    chart.wait(1).answer(chart.update(), { lifetimeUnits: 100 });
    t.equal(chart.state.registration?.expiresAt, 1_000_000 + 400_000);
    t.end();
  },
);

t.test(
  "F6275-11.7.3-01: only a protected answer from the home agent, with the number of an unanswered update, counts",
  (t) => {
    const chart = new Chart().sees(V6);
    const update = chart.update();
    const via = (path: Arrival["path"]): Answer => ({ arrival: { path } });
    const stranger = { type: "udp", outerSource: ipv4("192.0.2.66"), outerPort: 4191 } as const;
    const another = ipv6("2001:db8:1::200");
    const refused: readonly (readonly [DropReason, Answer])[] = [
      ["unprotected", { arrival: { protection: "none" } }],
      ["wrong-source", { arrival: { source: ipv6("2001:db8:666::1") } }],
      ["wrong-destination", { arrival: { destination: another } }],
      ["home-address-mismatch", via({ type: "native", device: "eth0", routingHeaderHomeAddress: another })],
      ["wrong-source", via({ ...stranger, outerDestination: ipv4("203.0.113.10") })],
      ["sequence-mismatch", { sequence: 77 }],
    ];
    for (const [reason, answer] of refused) {
      chart.answer(update, answer);
      t.equal(chart.drops().at(-1), reason);
      t.equal(chart.state.phase, "registering", reason);
    }
    chart.answer(update);
    t.equal(chart.state.phase, "registered");
    chart.answer(update);
    t.equal(chart.drops().at(-1), "no-outstanding-update", "the same answer again");
    chart.hears({ type: "home-test-init", cookie: new Uint8Array(8), options: [] });
    chart.hears({ type: "unknown", mhType: 99, body: new Uint8Array(2) });
    t.strictSame(chart.drops().slice(-2), ["unexpected-type", "unexpected-type"]);
    t.end();
  },
);

t.test("F6275-11.7.3-01: a late answer to an earlier transmission counts too", (t) => {
  const chart = new Chart().sees(V6);
  const first = chart.update();
  chart.wait(1.5);
  const second = chart.update();
  t.not(second.message.sequence, first.message.sequence);
  chart.answer(first);
  t.equal(chart.state.phase, "registered");
  chart.answer(second);
  t.equal(chart.drops().at(-1), "no-outstanding-update");
  t.end();
});

t.test("135 gives the number to go on after", (t) => {
  const chart = new Chart().sees(V6);
  const first = chart.update();
  t.equal(first.message.sequence, 1);
  chart.answer(first, { status: BindingStatus.sequenceOutOfWindow, sequence: 4711, lifetimeUnits: 0 });
  const second = chart.update();
  t.equal(second.message.sequence, 4712);
  chart.answer(second);
  t.equal(chart.state.phase, "registered");
  chart.answer(second, { status: BindingStatus.sequenceOutOfWindow, sequence: 9000 });
  t.strictSame(chart.updates(), [], "nothing is outstanding, so nothing is believed");
  t.end();
});

t.test("a 135 for an update that a later one has overtaken is ignored", (t) => {
  const chart = new Chart().sees(V6);
  const first = chart.update();
  chart.wait(1.5);
  chart.update();
  // The home agent has seen the second one and calls the first one old; here its number is one behind ours.
  chart.answer(first, { status: BindingStatus.sequenceOutOfWindow, sequence: first.message.sequence });
  t.strictSame(chart.updates(), []);
  t.equal(chart.drops().at(-1), "sequence-mismatch");
  t.end();
});

t.test(
  "a refusal that may pass is asked again with doubling waits; one that needs an operator after five minutes",
  (t) => {
    const chart = new Chart().sees(V6);
    chart.answer(chart.update(), { status: BindingStatus.insufficientResources });
    t.equal(chart.state.phase, "refused");
    t.equal(nextDeadline(chart.state), chart.now + 2000);
    chart.answer(chart.wait(2).update(), { status: BindingStatus.reasonUnspecified });
    t.equal(nextDeadline(chart.state), chart.now + 4000);
    chart.answer(chart.wait(4).update());
    t.equal(chart.state.phase, "registered");

    for (const status of [129, 131, 132, 133]) {
      const node = new Chart().sees(V6);
      node.answer(node.update(), { status });
      t.equal(nextDeadline(node.state), node.now + 300_000, `status ${status}`);
      t.match(node.events("registration.failed"), [{ status }]);
    }
    t.end();
  },
);

t.test("a refused refresh keeps the binding until its lifetime ends", (t) => {
  const chart = new Chart().sees(V6);
  chart.answer(chart.update()).wait(450);
  chart.answer(chart.update(), { status: BindingStatus.insufficientResources });
  t.ok(chart.path?.egress);
  t.ok(chart.state.registration);
  t.end();
});

t.test("an acceptance with lifetime 0 is none", (t) => {
  const chart = new Chart().sees(V6);
  chart.answer(chart.update(), { lifetimeUnits: 0 });
  t.equal(chart.state.phase, "refused");
  t.notOk(chart.path?.egress);
  t.end();
});

t.test("a binding error from the home agent makes the node register again; without an entry it is ignored", (t) => {
  const error = { type: "binding-error", status: 1, homeAddress: HOME_ADDRESS, options: [] } as const;
  const chart = new Chart().sees(V6);
  const update = chart.update();
  chart.hears(error);
  t.strictSame(chart.updates(), [], "not registered");
  chart.answer(update).hears({ ...error, status: 2 });
  chart.hears({ ...error, homeAddress: HOME_AGENT });
  t.strictSame(chart.updates(), [], "unknown message type, somebody else's address");
  chart.hears(error);
  t.equal(chart.update().message.lifetimeUnits, 150);
  t.ok(chart.path?.egress, "nothing vouches for the error, so the tunnel stays until there is an answer");
  chart.hears(error);
  t.strictSame(chart.updates(), [], "one update is out already");
  t.end();
});

t.test("a binding error comes to the care-of address, from the home agent, and to no other", (t) => {
  const error = { type: "binding-error", status: 1, homeAddress: HOME_ADDRESS, options: [] } as const;
  const chart = new Chart().sees(V6);
  chart.answer(chart.update());
  const careOf = chart.state.registration?.careOf.address as typeof HOME_ADDRESS;
  chart.hears(error, from({ destination: careOf, source: ipv6("2001:db8:bad::1"), protection: "none" }));
  chart.hears(error, from({ destination: ipv6("2001:db8:a::99"), protection: "none" }));
  t.strictSame(chart.updates(), []);
  t.match(chart.drops(), ["wrong-source", "wrong-destination"]);
  const acknowledgement = { type: "binding-acknowledgement", status: 0, options: [] } as never;
  chart.hears(acknowledgement, from({ destination: careOf, protection: "none" }));
  t.equal(chart.drops().at(-1), "wrong-destination", "of all messages the binding error alone");
  chart.hears(error, from({ destination: careOf, protection: "none" }));
  t.equal(chart.updates().length, 1);
  t.end();
});

t.test("the node sends binding errors too: of unknown messages, and of options that it has no binding for", (t) => {
  const chart = new Chart().sees(V6);
  const careOf = ipv6("2001:db8:a::10");
  const stranger = ipv6("2001:db8:bad::1");
  const errors = () =>
    chart.effects.flatMap((one) => (one.kind === "send" && one.message.type === "binding-error" ? [one] : []));
  const arrival = from({ source: stranger, destination: careOf, protection: "none" });
  chart.hears({ type: "unknown", mhType: 99, body: new Uint8Array(2) }, arrival);
  chart.give({
    kind: "option-refused",
    source: stranger,
    destination: careOf,
    homeAddress: HOME_AGENT,
    protocol: 17,
  });
  t.match(errors(), [
    { message: { status: 2, homeAddress: "::" }, source: careOf, destination: stranger },
    { message: { status: 1, homeAddress: HOME_AGENT }, source: careOf, destination: stranger },
  ]);
  for (let i = 0; i < 100; i++) chart.hears({ type: "unknown", mhType: 99, body: new Uint8Array(2) }, arrival);
  t.equal(errors().length, 3);
  chart.hears(
    { type: "unknown", mhType: 99, body: new Uint8Array(2) },
    { ...arrival, source: ipv6("2001:db8:bad::2"), destination: ipv6("ff02::1") },
  );
  t.equal(errors().length, 3, "nobody is asked from a group");
  t.end();
});

t.test("a binding refresh request makes the next update earlier", (t) => {
  const chart = new Chart().sees(V6);
  chart.answer(chart.update()).hears({ type: "binding-refresh-request", options: [] });
  t.equal(chart.update().message.lifetimeUnits, 150);
  t.end();
});

t.test("on request the node asks for UDP over a path that loses plain IP in IP", (t) => {
  const chart = new Chart().sees(V4);
  chart.answer(chart.update());
  t.equal(chart.path?.egress?.format, "ipv4");
  chart.give({ kind: "refresh", forceUdp: true });
  const update = chart.update();
  t.ok(update.message.flags.forceUdp);
  chart.answer(update);
  t.equal(chart.path?.egress?.format, "udp");
  t.end();
});

t.test(
  "R5555-4.2-01 R5555-2.3.2-01: a NAT that appears or goes on the same attachment changes the format at the next answer",
  (t) => {
    const chart = new Chart().sees(V4);
    chart.answer(chart.update()).wait(450);
    chart.answer(chart.update(), { options: [accepted4, nat(60)] });
    t.equal(chart.path?.egress?.format, "udp");
    t.match(chart.events("nat.changed"), [{ nat: true, format: "udp" }]);
    chart.wait(60).answer(chart.update());
    t.equal(chart.path?.egress?.format, "ipv4");
    t.match(chart.events("nat.changed"), [{ nat: true }, { nat: false }]);
    t.end();
  },
);
