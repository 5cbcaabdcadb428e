/** When a mobile node sends: retransmissions, the change of family, refreshes, keepalives, and the rate limit. */
import t from "tap";
import { listEntries } from "../../../../../controller/protocol/mip6/mobile-node/binding-update-list.js";
import { nextDeadline } from "../../../../../controller/protocol/mip6/mobile-node/machine.js";
import { NO_REFRESH_NEEDED } from "../../../../../controller/wire/mip6/options/dsmip.js";
import type { MobilityOption } from "../../../../../controller/wire/mip6/options/mobility.js";
import { accepted4, Chart, nat, type Update } from "./chart.js";

const V6 = { eth0: ["2001:db8:a::10/64"] };
const V4 = { eth0: ["203.0.113.10/24"] };
const BOTH = { eth0: ["2001:db8:a::10/64", "203.0.113.10/24"] };

/** The next update after however long it takes, and how long that was in seconds. */
function next(chart: Chart): { waited: number; update: Update } {
  const start = chart.now;
  for (;;) {
    const [update, ...more] = chart.updates();
    if (update !== undefined && more.length === 0) return { waited: (chart.now - start) / 1000, update };
    const deadline = nextDeadline(chart.state);
    if (deadline === undefined || more.length > 0) throw new Error("no next update, or several at once");
    chart.wait((deadline - chart.now) / 1000);
  }
}

t.test("1.5 s before the first registration, doubled up to 32 s, a new number each", (t) => {
  const chart = new Chart().sees(V6);
  const numbers: number[] = [];
  const waits: number[] = [];
  for (let i = 0; i < 8; i++) {
    const { waited, update } = next(chart);
    numbers.push(update.message.sequence);
    waits.push(waited);
  }
  t.strictSame(waits, [0, 1.5, 3, 6, 12, 24, 32, 32]);
  t.strictSame(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
  t.end();
});

t.test("1 s when a registration exists", (t) => {
  const chart = new Chart().sees(V6);
  chart.answer(chart.update()).wait(450);
  t.strictSame(
    [0, 1, 2, 3].map(() => next(chart).waited),
    [0, 1, 2, 4],
  );
  chart.sees({ eth1: ["2001:db8:b::10/64"] });
  t.strictSame(
    [0, 1, 2].map(() => next(chart).waited),
    [0, 1, 2],
    "after a move too",
  );
  t.end();
});

t.test("three unanswered updates over IPv6, then IPv4 in UDP with the same back-off", (t) => {
  const chart = new Chart().sees(BOTH);
  const log = Array.from({ length: 8 }, () => {
    const { waited, update } = next(chart);
    return `${waited} ${update.departure.type}`;
  });
  t.strictSame(log.slice(0, 6), [
    "0 native-home-address-option",
    "1.5 native-home-address-option",
    "3 native-home-address-option",
    "6 udp",
    "1.5 udp",
    "3 udp",
  ]);
  t.strictSame(
    log.slice(6),
    ["6 native-home-address-option", "12 native-home-address-option"],
    "and back, going on doubling",
  );
  t.match(chart.events("registration.failed"), [{ reason: "no answer over IPv6", attempts: 3 }]);
  t.end();
});

t.test(
  "R5555-4.4.1-07: IPv6 before IPv4; in IPv4 protocols 41 and 4 without a NAT and UDP with one; UDP without a NAT when the path loses them",
  (t) => {
    const registered = (links: Parameters<Chart["sees"]>[0], ...options: readonly MobilityOption[]): Chart => {
      const chart = new Chart().sees(links);
      chart.answer(chart.update(), options.length === 0 ? {} : { options: [accepted4, ...options] });
      return chart;
    };
    t.equal(registered(BOTH).path?.egress?.format, "ipv6");
    t.equal(registered(V4, nat(60)).path?.egress?.format, "udp");
    const plain = registered(V4);
    t.equal(plain.path?.egress?.format, "ipv4");
    plain.give({ kind: "refresh", forceUdp: true });
    const forced = plain.update();
    t.strictSame([forced.message.flags.forceUdp, plain.path?.egress?.format], [true, "ipv4"], "until it is answered");
    plain.answer(forced, { options: [accepted4, nat(60, true)] });
    t.equal(plain.path?.egress?.format, "udp");
    plain.sees(BOTH);
    const six = plain.update();
    t.strictSame([six.departure.type, six.message.flags.forceUdp], ["native-home-address-option", false]);
    t.end();
  },
);

t.test("after an answer over IPv4 a move does not repeat the IPv6 trial; a new IPv6 link does", (t) => {
  const chart = new Chart().sees(BOTH).wait(10.5);
  chart.answer(chart.updates().at(-1) as Update);
  t.equal(chart.path?.egress?.format, "ipv4");
  chart.sees({ eth0: ["2001:db8:b::10/64", "198.51.100.10/24"] });
  const moved = chart.update();
  t.equal(moved.departure.type, "udp");
  chart.answer(moved);
  chart.sees({ eth0: ["2001:db8:b::10/64", "198.51.100.10/24"], eth1: ["2001:db8:c::10/64"] });
  t.strictSame(chart.update().departure, { type: "native-home-address-option", careOf: "2001:db8:c::10" });
  t.end();
});

t.test("an answer over IPv6, or a person's wish, ends the preference for IPv4", (t) => {
  const silent = new Chart().sees(BOTH).wait(10.5);
  silent.answer(silent.updates().at(-1) as Update);
  silent.give({ kind: "refresh" });
  t.equal(silent.update().departure.type, "native-home-address-option");

  const back = new Chart().sees(BOTH).wait(10.5);
  back.answer(back.updates().at(-1) as Update);
  back.sees({ eth0: ["2001:db8:a::10/64"] });
  back.answer(back.update()).sees(BOTH);
  t.strictSame(back.updates(), [], "IPv6 has answered: it stays");
  t.end();
});

t.test("while IPv6 stays silent a new IPv6 link is tried at once", (t) => {
  const chart = new Chart().sees(BOTH).wait(10.5);
  t.equal(chart.updates().at(-1)?.departure.type, "udp");
  chart.sees({ ...BOTH, eth1: ["2001:db8:b::10/64"] });
  t.strictSame(chart.update().departure, { type: "native-home-address-option", careOf: "2001:db8:b::10" });
  t.end();
});

t.test("R5555-4.3-06: behind a NAT the suggested interval (C-21)", (t) => {
  const chart = new Chart().sees(V4);
  chart.answer(chart.update(), { options: [accepted4, nat(30)] });
  for (let i = 0; i < 3; i++) {
    const { waited, update } = next(chart);
    t.equal(waited, 30);
    t.equal(update.departure.type, "udp");
    chart.answer(update, { options: [accepted4, nat(30)] });
  }
  t.end();
});

t.test("R5555-4.3-02 R5555-3.2.2-08 R5555-6-01: 110 s when the home agent suggests nothing", (t) => {
  const chart = new Chart().sees(V4);
  chart.answer(chart.update(), { options: [accepted4, nat(0)] });
  t.equal(next(chart).waited, 110);
  t.end();
});

t.test("R5555-4.3-05: a node that need not be reached refreshes for its lifetime alone", (t) => {
  const chart = new Chart({ reachability: "on-demand" }).sees(V4);
  chart.answer(chart.update(), { options: [accepted4, nat(30)] });
  chart.wait(200);
  t.strictSame(chart.updates(), [], "idle");
  chart.give({ kind: "refresh", forgets: false });
  chart.answer(chart.update(), { options: [accepted4, nat(30)] });
  t.ok(next(chart).waited > 300);
  chart.give({ kind: "refresh", forgets: false });
  t.strictSame(chart.updates(), [], "one is on its way");
  t.end();
});

t.test("R5555-3.2.2-09: all ones: no keepalive, UDP as F says", (t) => {
  const chart = new Chart().sees(V4);
  chart.answer(chart.update(), { options: [accepted4, nat(NO_REFRESH_NEEDED, true)] });
  t.equal(chart.path?.egress?.format, "udp");
  t.equal(next(chart).waited, 450, "only the lifetime counts");
  t.end();
});

t.test("a refresh advice of one unit, the shortest that there is, is followed; none is no advice", (t) => {
  const chart = new Chart().sees(V6);
  chart.answer(chart.update(), { options: [{ kind: "binding-refresh-advice", intervalUnits: 1 }] });
  t.equal(nextDeadline(chart.state), chart.now + 4_000);
  const unadvised = new Chart().sees(V6);
  unadvised.answer(unadvised.update());
  t.equal(nextDeadline(unadvised.state), unadvised.now + 450_000, "three quarters of 600 s");
  t.end();
});

t.test(
  "an answer that asks for another update has the back-off begin anew, also where one goes on (RFC 6275 §11.8)",
  (t) => {
    for (const vain of [2, 8]) {
      const chart = new Chart().sees(BOTH);
      const first = Array.from({ length: vain + 1 }, () => next(chart).update).at(-1) as Update;
      chart.answer(first, { status: 135, sequence: 4711, lifetimeUnits: 0, options: [] });
      const after = Array.from({ length: 3 }, () => next(chart));
      t.strictSame(
        after.map(({ waited }) => waited),
        [0, 1.5, 3],
        `after ${vain} unanswered ones`,
      );
      t.strictSame([...new Set(after.map(({ update }) => update.departure.type))], [first.departure.type]);
    }
    t.end();
  },
);

t.test("the next update is due at the earliest of lifetime, advice and keepalive (C-21)", (t) => {
  const chart = new Chart().sees(V4);
  const advice = { kind: "binding-refresh-advice", intervalUnits: 5 } as const;
  chart.answer(chart.update(), { options: [accepted4, nat(60), advice] });
  t.equal(nextDeadline(chart.state), chart.now + 20_000, "advice");
  chart.give({ kind: "refresh" });
  chart.answer(chart.update(), { lifetimeUnits: 10, options: [accepted4, nat(60)] });
  t.equal(next(chart).waited, 30, "three quarters of 40 s");
  t.end();
});

t.test("a binding that is not refreshed in time is lost, and registering goes on", (t) => {
  const chart = new Chart().sees(V6);
  chart.answer(chart.update()).wait(599);
  t.ok(chart.path?.egress, "until the end of its lifetime");
  chart.wait(2);
  t.match(chart.events("registration.lost"), [{ reason: "lifetime" }]);
  t.notOk(chart.path?.egress);
  t.strictSame(listEntries(chart.state.site, chart.state.registration), []);
  t.equal(chart.state.phase, "registering");
  chart.updates();
  chart.answer(next(chart).update);
  t.ok(chart.path?.egress);
  t.end();
});

t.test("not more than three updates in any second, whatever the network does", (t) => {
  const chart = new Chart();
  const times: number[] = [];
  for (let i = 0; i < 40; i++) {
    chart.sees({ eth0: [`2001:db8:a::${i + 1}/64`] }).wait(0.05);
    for (const _ of chart.updates()) times.push(chart.now);
  }
  chart.wait(1);
  for (const _ of chart.updates()) times.push(chart.now);
  t.ok(times.length >= 6, "it did send");
  for (const [i, time] of times.entries()) {
    const third = times[i + 3];
    if (third !== undefined) t.ok(third - time >= 950, `updates ${i} to ${i + 3} within ${third - time} ms`);
  }
  t.equal(chart.state.exchange?.attempts, 1, "the last address has been told");
  t.end();
});
