/** Handovers, going home and leaving it: what the data path looks like at each moment, and what is told to whom. */
import t from "tap";
import { formatPrefix, ipv6, maskAddress } from "../../../../../controller/base/ip.js";
import { BindingStatus } from "../../../../../controller/wire/mip6/registry.js";
import { Chart, HOME_ADDRESS, HOME_AGENT, IPV4_HOME_ADDRESS, network, optionKinds, type Update } from "./chart.js";

const V6A = "2001:db8:a::10/64";
const V6B = "2001:db8:b::10/64";
const V4 = "203.0.113.10/24";
const AT_HOME = "2001:db8:1::aaaa/64";

const ways = (chart: Chart): readonly string[] => chart.path?.ingress.map((one) => one.address) ?? [];
const egress = (chart: Chart): string | undefined => chart.path?.egress?.address;
const registered = (links: Parameters<Chart["sees"]>[0]): Chart => {
  const chart = new Chart().sees(links);
  return chart.answer(chart.update());
};

t.test("the way in through the new address is there before the update, the old way out until the answer", (t) => {
  const chart = registered({ eth0: [V6A] });
  chart.kernel = "silent";
  chart.sees({ eth0: [`${V6A} deprecated`], eth1: [V4] });
  t.equal(chart.state.phase, "preparing");
  t.strictSame(chart.updates(), [], "no update before the kernel has the way in");
  t.strictSame(ways(chart), ["2001:db8:a::10", "203.0.113.10"]);
  t.equal(egress(chart), "2001:db8:a::10");

  chart.programmed();
  const update = chart.update();
  t.equal(update.departure.type, "udp");
  t.equal(egress(chart), "2001:db8:a::10", "payload still leaves the old way");

  chart.answer(update).programmed();
  t.equal(egress(chart), "203.0.113.10");
  t.strictSame(ways(chart), ["203.0.113.10", "2001:db8:a::10"], "the old way in has its grace time");
  chart.wait(3);
  t.strictSame(ways(chart), ["203.0.113.10"]);
  t.end();
});

t.test("each way in knows the router of its own link, the one of the best route to the home agent", (t) => {
  const gateways = (chart: Chart): unknown => chart.path?.ingress.map(({ device, gateway }) => [device, gateway]);
  const chart = registered({ eth0: [V6A] });
  t.strictSame(gateways(chart), [["eth0", "fe80::1"]]);
  const view = network({ eth0: [V6A] });
  const [route] = view.routes.filter(({ via }) => via !== undefined);
  if (route === undefined) throw new Error("no default route");
  const through = (via: string, length: number, metric: number): typeof route => {
    return { ...route, destination: { address: maskAddress(HOME_AGENT, length), length }, via: ipv6(via), metric };
  };
  const see = (...routes: readonly (typeof route)[]): unknown => {
    return gateways(chart.give({ kind: "network", view: { ...view, routes: [...view.routes, ...routes] } }));
  };
  t.strictSame(see(through("fe80::2", 0, 512)), [["eth0", "fe80::2"]], "the lower metric");
  t.strictSame(
    see(through("fe80::2", 0, 512), through("fe80::3", 48, 2048)),
    [["eth0", "fe80::3"]],
    "the longer prefix",
  );
  t.strictSame(see({ ...through("fe80::4", 64, 1), ours: true }), [["eth0", "fe80::1"]], "never one of ours");
  t.strictSame(see({ ...through("fe80::4", 64, 1), device: "eth9" }), [["eth0", "fe80::1"]], "never another link's");
  t.end();
});

t.test("the kernel's answer for an earlier data path, or for somebody else's, means nothing", (t) => {
  const chart = registered({ eth0: [V6A] });
  chart.kernel = "silent";
  chart.sees({ eth0: [`${V6A} deprecated`], eth1: [V4] });
  const revision = chart.path?.revision ?? 0;
  chart.give({ kind: "programmed", homeAddress: HOME_ADDRESS, revision: revision - 1 });
  chart.give({ kind: "programmed", homeAddress: HOME_AGENT, revision });
  t.strictSame(chart.updates(), []);
  chart.give({ kind: "programmed", homeAddress: HOME_ADDRESS, revision });
  t.equal(chart.updates().length, 1);
  t.end();
});

t.test("a data path that the kernel refuses is asked for again, and no update leaves before it is there", (t) => {
  const chart = new Chart();
  chart.kernel = "refusing";
  chart.sees({ eth0: [V6A] });
  t.match(chart.events("registration.failed"), [{ reason: "no such device" }]);
  const revisions = () => chart.news("data-path").map((effect) => effect.path.revision);
  t.strictSame(revisions(), [1]);
  chart.wait(1);
  t.strictSame(revisions(), [2]);
  chart.wait(1.9);
  t.strictSame(revisions(), [], "the second wait is twice as long");
  chart.kernel = "ready";
  chart.wait(0.1);
  t.equal(chart.update().message.type, "binding-update");
  t.end();
});

t.test("a former way in is given up at once when its address or its link has vanished", (t) => {
  const chart = registered({ eth0: [V6A] });
  chart.sees({ eth1: [V6B] });
  t.notOk(egress(chart));
  t.strictSame(ways(chart), ["2001:db8:b::10"]);
  chart.answer(chart.update());
  chart.sees({ eth1: [V6B, "2001:db8:b::20/64"] });
  t.strictSame(ways(chart), ["2001:db8:b::10"], "an address more is no reason to move");
  chart.sees({ eth1: [`${V6B} deprecated`, "2001:db8:b::20/64"] });
  chart.answer(chart.update());
  t.strictSame(ways(chart), ["2001:db8:b::20", "2001:db8:b::10"]);
  chart.sees({ eth1: ["2001:db8:b::20/64"] });
  t.strictSame(ways(chart), ["2001:db8:b::20"], "before the grace time is over");
  t.end();
});

t.test("an update whose answer never came may have been accepted: its way in stays until another is answered", (t) => {
  const chart = registered({ eth0: [V6A] });
  chart.sees({ eth0: [`${V6A} deprecated`], eth1: [V6B] });
  chart.updates();
  chart.sees({ eth0: [`${V6A} deprecated`], eth1: [`${V6B} deprecated`], eth2: ["2001:db8:c::10/64"] });
  const update = chart.update();
  t.strictSame(ways(chart), ["2001:db8:a::10", "2001:db8:c::10", "2001:db8:b::10"]);
  chart.wait(5);
  t.equal(ways(chart).length, 3);
  chart.answer(chart.updates().at(-1) ?? update);
  t.equal(ways(chart).length, 3);
  chart.wait(3);
  t.strictSame(ways(chart), ["2001:db8:c::10"]);
  t.end();
});

t.test("the grace time of a former way in runs from the answer that ended its use, not from each later one", (t) => {
  const chart = registered({ eth0: [V6A] });
  chart.sees({ eth0: [`${V6A} deprecated`], eth1: [V6B] });
  chart.answer(chart.update());
  chart.wait(2);
  chart.sees({ eth0: [`${V6A} deprecated`], eth1: [`${V6B} deprecated`], eth2: ["2001:db8:c::10/64"] });
  chart.answer(chart.update());
  t.strictSame(ways(chart), ["2001:db8:c::10", "2001:db8:a::10", "2001:db8:b::10"]);
  chart.wait(1);
  t.strictSame(ways(chart), ["2001:db8:c::10", "2001:db8:b::10"], "3 s after the first move");
  chart.wait(2);
  t.strictSame(ways(chart), ["2001:db8:c::10"], "3 s after the second");
  t.end();
});

t.test("an answer for a former target means nothing for the present one", (t) => {
  const chart = registered({ eth0: [V6A] });
  chart.sees({ eth0: [`${V6A} deprecated`], eth1: [V6B] });
  const late = chart.update();
  chart.sees({ eth0: [`${V6A} deprecated`], eth1: [`${V6B} deprecated`], eth2: ["2001:db8:c::10/64"] });
  chart.answer(late);
  t.equal(egress(chart), "2001:db8:a::10");
  t.equal(chart.drops().at(-1), "sequence-mismatch");
  t.end();
});

t.test("with an IPv4 registration an IPv6 network that appears is moved to", (t) => {
  const chart = registered({ eth0: [V4] });
  chart.sees({ eth0: [V4], eth1: [V6A] });
  chart.answer(chart.update());
  t.equal(egress(chart), "2001:db8:a::10");
  t.match(chart.events("attachment.changed"), [{}, { from: "203.0.113.10 on eth0", to: "2001:db8:a::10 on eth1" }]);
  t.end();
});

t.test("without any attachment payload waits, and the same address is registered again when it is back", (t) => {
  const chart = registered({ eth0: [V6A] });
  chart.sees({ eth0: ["down", V6A] });
  t.equal(chart.state.phase, "detached");
  t.equal(chart.path?.mode, "detached");
  t.strictSame([chart.path?.egress, chart.path?.ingress], [undefined, []]);
  t.equal(chart.path?.ipv4HomeAddress, IPV4_HOME_ADDRESS, "the home addresses stay where they are");
  chart.wait(60).sees({ eth0: [V6A] });
  t.equal(egress(chart), "2001:db8:a::10", "the binding has not ended");
  t.equal(chart.update().message.type, "binding-update");
  t.end();
});

t.test(
  "going home: update with lifetime 0 from the home address, after the answer the addresses are announced",
  (t) => {
    const chart = registered({ eth0: [V6A] });
    chart.kernel = "silent";
    chart.sees({ eth0: [V6A], eth1: [AT_HOME] });
    t.match(chart.path, { mode: "home", homeDevice: "eth1", ipv4HomeAddress: IPV4_HOME_ADDRESS });
    t.strictSame(chart.updates(), [], "the home address is not on the link yet");
    t.notOk(egress(chart), "payload leaves the tunnel first");
    t.strictSame(ways(chart), ["2001:db8:a::10"], "but still comes through it");
    chart.programmed().wait(0.2);
    t.strictSame(chart.updates(), [], "what is in the tunnel arrives before the home agent forgets it");
    chart.wait(0.1);
    const update = chart.update();
    t.equal(update.message.lifetimeUnits, 0);
    t.ok(update.message.flags.acknowledge && update.message.flags.homeRegistration);
    t.strictSame(update.message.options, [{ kind: "alternate-care-of-address", address: HOME_ADDRESS }]);
    t.strictSame([update.source, update.departure], [HOME_ADDRESS, { type: "native-direct", device: "eth1" }]);
    t.strictSame(chart.news("announce"), []);

    chart.answer(update);
    t.equal(chart.state.phase, "home");
    t.strictSame(
      chart.effects.filter((effect) => effect.kind === "announce"),
      [{ kind: "announce", addresses: [HOME_ADDRESS, IPV4_HOME_ADDRESS], router: false, device: "eth1" }],
    );
    t.notOk(egress(chart));
    t.strictSame(ways(chart), ["2001:db8:a::10"], "what is still in the tunnel gets out of it");
    t.strictSame(chart.events("home.returned"), [{ device: "eth1", buToBaMs: 50 }]);
    chart.programmed().wait(3);
    t.strictSame(ways(chart), []);
    t.end();
  },
);

t.test("going home without an answer: payload goes back into the tunnel while that is there", (t) => {
  const chart = registered({ eth0: [V6A] });
  chart.sees({ eth0: [V6A], eth1: [AT_HOME] }).wait(1);
  t.notOk(egress(chart));
  chart.wait(0.3);
  t.equal(chart.updates().length, 2, "the first and its repetition");
  t.match(chart.path, { mode: "home", homeDevice: "eth1", egress: { address: "2001:db8:a::10" } });
  chart.sees({ eth1: [AT_HOME] });
  t.notOk(egress(chart));
  t.end();
});

t.test("going home is repeated until the home agent answers or its binding must have ended", (t) => {
  const chart = registered({ eth0: [V4] });
  chart.sees({ eth1: [AT_HOME] });
  t.notOk(egress(chart), "the old link has gone: payload uses the home link");
  chart.wait(7);
  t.strictSame(
    chart.updates().map((update) => update.message.lifetimeUnits),
    [0, 0, 0, 0],
  );
  chart.wait(600);
  t.equal(chart.state.phase, "home");
  t.equal(chart.news("announce").length, 1);
  t.end();
});

t.test("going home: no binding there (133) is as good as removed; another refusal is asked again", (t) => {
  const chart = registered({ eth0: [V6A] });
  chart.sees({ eth1: [AT_HOME] });
  chart.answer(chart.update(), { status: BindingStatus.insufficientResources });
  t.equal(chart.state.phase, "deregistering");
  t.strictSame(chart.updates(), []);
  chart.wait(2);
  chart.answer(chart.update(), { status: BindingStatus.sequenceOutOfWindow, sequence: 500 });
  const update = chart.update();
  t.equal(update.message.sequence, 501);
  chart.answer(update, { status: BindingStatus.notHomeAgent });
  t.equal(chart.state.phase, "home");
  t.end();
});

t.test("at home from the start there is nothing to tell the home agent", (t) => {
  const chart = new Chart().sees({ eth0: [AT_HOME] });
  t.equal(chart.state.phase, "home");
  t.match(chart.path, { mode: "home", homeDevice: "eth0", ipv4HomeAddress: IPV4_HOME_ADDRESS, ingress: [] });
  t.equal(chart.news("announce").length, 1);
  t.strictSame(chart.updates(), []);
  t.end();
});

t.test("at home IPv4 needs the router of the home link; in the tunnel it does not", (t) => {
  const chart = registered({ eth0: [V6A] });
  t.equal(chart.path?.updateFrom, "2001:db8:a::10", "what the kernel writes into updates");
  chart.sees({ eth0: [V6A], eth1: [AT_HOME, "192.0.2.7/24"] });
  t.equal(chart.path?.homeIpv4Gateway, "10.255.255.254");
  t.notOk(chart.path?.updateFrom);
  chart.sees({ eth0: [V6A], eth1: [AT_HOME, "192.0.2.7/24 noroute"] });
  t.notOk(chart.path?.homeIpv4Gateway);
  t.equal(chart.path?.homeDevice, "eth1");
  t.end();
});

t.test("over the home link payload takes that link's IPv6 routes, the best one to each destination", (t) => {
  const chart = registered({ eth0: [V6A] });
  t.notOk(chart.path?.homeRoutes);
  chart.sees({ eth0: [V6A], eth1: [AT_HOME] });
  const routes = (chart.path?.homeRoutes ?? []).map(({ destination, gateway }) => [formatPrefix(destination), gateway]);
  t.ok(routes.length > 0);
  t.equal(new Set(routes.map(([destination]) => destination)).size, routes.length);
  const view = chart.state.view?.routes.filter(
    ({ device, family, ours }) => device === "eth1" && family === 6 && !ours,
  );
  t.strictSame(
    routes.map(([destination]) => destination).sort(),
    [...new Set(view?.map(({ destination }) => formatPrefix(destination)))].sort(),
    "all of them and no others",
  );
  t.end();
});

t.test("leaving home: the addresses leave the link before the update, payload uses the link until the answer", (t) => {
  const chart = new Chart().sees({ eth0: [AT_HOME] });
  chart.kernel = "silent";
  chart.sees({ eth0: [`${AT_HOME} deprecated`], eth1: [V6A] });
  t.match(chart.path, { mode: "away", homeDevice: "eth0", ipv4HomeAddress: IPV4_HOME_ADDRESS });
  t.notOk(egress(chart));
  t.strictSame(ways(chart), ["2001:db8:a::10"]);
  t.strictSame(chart.updates(), []);
  t.strictSame(chart.events("home.left"), [{ to: "2001:db8:a::10 on eth1" }]);
  chart.programmed();
  const update = chart.update();
  t.equal(update.message.lifetimeUnits, 150);
  t.equal(chart.path?.homeDevice, "eth0");
  chart.answer(update).programmed();
  t.match(chart.path, { mode: "away", egress: { address: "2001:db8:a::10" } });
  t.notOk(chart.path?.homeDevice);
  t.end();
});

t.test(
  "leaving home by losing it: nothing leaves outside the tunnel through a link that is no longer the home link",
  (t) => {
    const chart = new Chart().sees({ eth0: [AT_HOME] });
    chart.sees({ eth0: [V6A] });
    t.notOk(chart.path?.homeDevice);
    t.notOk(egress(chart));
    t.equal(chart.path?.mode, "away");
    t.end();
  },
);

t.test("back home before the update about leaving was answered: it is taken back", (t) => {
  const chart = new Chart().sees({ eth0: [AT_HOME] });
  chart.sees({ eth0: [`${AT_HOME} deprecated`], eth1: [V6A] }).updates();
  chart.sees({ eth0: [AT_HOME], eth1: [V6A] });
  const update = chart.update();
  t.equal(update.message.lifetimeUnits, 0);
  chart.answer(update);
  t.equal(chart.state.phase, "home");
  t.end();
});

t.test("away again before going home was answered: an ordinary registration follows", (t) => {
  const chart = registered({ eth0: [V6A] });
  chart.sees({ eth1: [AT_HOME] });
  const unanswered = chart.update();
  chart.sees({ eth0: [V6A] });
  const update: Update = chart.update();
  t.equal(update.message.lifetimeUnits, 150);
  t.ok(optionKinds(update).includes("ipv4-home-address"));
  chart.answer(unanswered);
  t.equal(chart.state.phase, "refreshing", "the answer to going home means nothing any more");
  chart.answer(update);
  t.equal(egress(chart), "2001:db8:a::10");
  t.end();
});

t.test("the home link moves to another device: the addresses and their announcement follow", (t) => {
  const chart = new Chart().sees({ eth0: [AT_HOME] });
  chart.news("announce");
  chart.sees({ eth1: ["2001:db8:1::bbbb/64"] });
  t.match(chart.path, { mode: "home", homeDevice: "eth1" });
  t.match(chart.effects.filter((effect) => effect.kind === "announce").at(-1), { device: "eth1" });
  t.strictSame(chart.updates(), []);
  t.end();
});
