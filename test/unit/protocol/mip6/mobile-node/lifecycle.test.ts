/** The beginning and the end of a mobile node, its journal, its table of transitions, and its behaviour under any inputs. */
import fc from "fast-check";
import t from "tap";
import { InvariantError } from "../../../../../controller/base/errors.js";
import { seq16 } from "../../../../../controller/base/seq16.js";
import type { MobileNodeRecord } from "../../../../../controller/protocol/mip6/mobile-node/inputs.js";
import { initialMobileNode, nextDeadline, step } from "../../../../../controller/protocol/mip6/mobile-node/machine.js";
import { checkTransition, PHASES, TRANSITIONS } from "../../../../../controller/protocol/mip6/mobile-node/states.js";
import { BindingStatus } from "../../../../../controller/wire/mip6/registry.js";
import { randomRuns } from "../../../../lib/random-runs.js";
import { nodeAct } from "../../../../sim/node-acts.js";
import { accepted4, Chart, IPV4_HOME_ADDRESS, nat, SITE } from "./chart.js";

const V6 = { eth0: ["2001:db8:a::10/64"] };
const V4 = { eth0: ["203.0.113.10/24"] };
const registered = (links: Parameters<Chart["sees"]>[0]): Chart => {
  const chart = new Chart().sees(links);
  return chart.answer(chart.update());
};
const stopped = (chart: Chart) => chart.effects.filter((effect) => effect.kind === "stopped");
const lastRecord = (chart: Chart): MobileNodeRecord => {
  const record = chart.effects.filter((effect) => effect.kind === "journal").at(-1)?.record ?? {};
  return JSON.parse(JSON.stringify(record)) as MobileNodeRecord;
};

t.test("R5555-4.4.2.1-04: stopping de-registers with lifetime 0 and ends with the answer (C-22)", (t) => {
  for (const links of [V6, V4]) {
    const chart = registered(links);
    const departure = chart.effects.find((effect) => effect.kind === "send")?.departure;
    chart.give({ kind: "stop" });
    const update = chart.update();
    t.equal(update.message.lifetimeUnits, 0);
    t.strictSame(update.departure, departure, "the way of the registration");
    t.notOk(
      update.message.options.some((option) => option.kind === "ipv4-home-address"),
      "everything is removed",
    );
    t.strictSame(stopped(chart), []);
    chart.answer(update);
    t.strictSame(stopped(chart), [{ kind: "stopped", deregistered: true }]);
    t.equal(nextDeadline(chart.state), undefined);
    t.match(lastRecord(chart), { boundSeconds: 0, registration: null });
  }
  t.end();
});

t.test("stopping without an answer gives up after three updates", (t) => {
  const chart = registered(V6);
  chart.give({ kind: "stop" }).wait(6.9);
  t.equal(chart.updates().length, 3);
  t.strictSame(stopped(chart), []);
  chart.wait(0.1);
  t.strictSame(stopped(chart), [{ kind: "stopped", deregistered: false }]);
  t.ok(
    (lastRecord(chart)["boundSeconds"] as number) > 0,
    "the next start knows that the home agent may hold a binding",
  );
  t.end();
});

t.test("stopping ends at once when there is nothing to take back or no way to say so", (t) => {
  const home = new Chart().sees({ eth0: ["2001:db8:1::aaaa/64"] }).give({ kind: "stop" });
  t.strictSame(stopped(home), [{ kind: "stopped", deregistered: true }]);
  const detached = registered(V6).sees({}).give({ kind: "stop" });
  t.strictSame(stopped(detached), [{ kind: "stopped", deregistered: false }]);
  const fresh = new Chart().give({ kind: "stop" });
  t.strictSame(stopped(fresh), [{ kind: "stopped", deregistered: true }]);
  const cut = registered(V6).give({ kind: "stop" }).sees({});
  t.strictSame(stopped(cut), [{ kind: "stopped", deregistered: false }]);
  t.end();
});

t.test("stopping goes on after a wrong sequence number and ends with any other refusal", (t) => {
  const chart = registered(V6).give({ kind: "stop" });
  chart.answer(chart.update(), { status: BindingStatus.sequenceOutOfWindow, sequence: 900 });
  chart.answer(chart.update(), { status: BindingStatus.reasonUnspecified });
  t.strictSame(stopped(chart), [{ kind: "stopped", deregistered: false }]);
  t.end();
});

t.test(
  "stopping while a new way in is being made uses the registered one, as soon as the kernel is back there",
  (t) => {
    const moving = (): Chart => {
      const chart = registered(V6);
      chart.kernel = "silent";
      return chart.sees({ eth0: ["2001:db8:a::10/64 deprecated"], eth1: ["2001:db8:b::10/64"] });
    };
    const chart = moving().give({ kind: "stop" });
    t.equal(chart.path?.updateFrom, "2001:db8:a::10");
    t.strictSame(chart.updates(), []);
    chart.programmed();
    t.strictSame(chart.update().departure, { type: "native-home-address-option", careOf: "2001:db8:a::10" });
    const stuck = moving().give({ kind: "stop" }).wait(1);
    t.equal(stuck.updates().length, 1, "a kernel that does not answer is not waited for longer than for a home agent");
    t.end();
  },
);

t.test("stopping during a trial goes on from the registered address when the other is silent or goes", (t) => {
  const both = { eth0: ["2001:db8:a::10/64 deprecated"], eth1: ["2001:db8:b::10/64"] };
  const bound = { type: "native-home-address-option", careOf: "2001:db8:a::10" };
  const trying = (): Chart => {
    const chart = registered({ eth0: both.eth0 }).sees(both);
    t.strictSame(chart.update().departure, { ...bound, careOf: "2001:db8:b::10" });
    return chart.give({ kind: "stop" });
  };
  const unanswered = trying();
  t.strictSame(unanswered.update().departure, { ...bound, careOf: "2001:db8:b::10" }, "it may be the one that works");
  unanswered.wait(1);
  const cut = trying();
  cut.update();
  cut.sees({ eth0: both.eth0 }).wait(1);
  for (const chart of [unanswered, cut]) {
    const update = chart.update();
    t.strictSame([update.message.lifetimeUnits, update.departure], [0, bound]);
    chart.answer(update);
    t.strictSame(stopped(chart), [{ kind: "stopped", deregistered: true }]);
  }
  const silent = trying().wait(8.1);
  t.equal(silent.updates().length, 1 + 3);
  t.strictSame(stopped(silent), [{ kind: "stopped", deregistered: false }]);
  t.end();
});

t.test("stopping with an unanswered first update takes that one back", (t) => {
  const chart = new Chart().sees(V6);
  const first = chart.update();
  chart.give({ kind: "stop" });
  const last = chart.update();
  t.strictSame([last.message.lifetimeUnits, last.message.sequence], [0, first.message.sequence + 1]);
  t.end();
});

t.test("after the end no input has any effect", (t) => {
  const chart = new Chart().sees(V6).give({ kind: "stop" }).wait(10);
  const count = chart.effects.length;
  chart.sees(V4).wait(100).give({ kind: "refresh" }).give({ kind: "stop" });
  t.equal(chart.effects.length, count);
  t.end();
});

t.test("a restart keeps payload flowing and goes on with the next sequence number", (t) => {
  const before = new Chart().sees(V4);
  before.answer(before.update(), { options: [accepted4, nat(60)] });
  const record = lastRecord(before);
  const chart = new Chart().give({ kind: "restore", record, ageSeconds: 20 });
  chart.kernel = "silent";
  chart.sees(V4);
  const gateway = "10.255.255.254";
  t.strictSame(chart.path?.egress, { format: "udp", address: "203.0.113.10", device: "eth0", gateway });
  t.equal(chart.path?.ipv4HomeAddress, IPV4_HOME_ADDRESS);
  chart.programmed();
  const update = chart.update();
  t.equal(update.message.sequence, 2);
  t.equal(chart.state.registration?.expiresAt, chart.now + 580_000);
  chart.answer(update);
  t.equal(chart.state.phase, "registered");
  t.end();
});

t.test("a restart at home or elsewhere: what the home agent may still hold is taken back or moved", (t) => {
  const record = lastRecord(registered(V6));
  const home = new Chart().give({ kind: "restore", record, ageSeconds: 20 }).sees({ eth0: ["2001:db8:1::aaaa/64"] });
  t.equal(home.update().message.lifetimeUnits, 0);
  const late = new Chart().give({ kind: "restore", record, ageSeconds: 601 }).sees({ eth0: ["2001:db8:1::aaaa/64"] });
  t.strictSame(late.updates(), [], "its binding has ended");
  const ended = new Chart().give({ kind: "restore", record, ageSeconds: 600 });
  t.strictSame([ended.state.registration, ended.state.boundUntil], [undefined, undefined]);
  const elsewhere = new Chart().give({ kind: "restore", record, ageSeconds: 20 }).sees(V4);
  t.notOk(elsewhere.path?.egress);
  t.equal(elsewhere.update().message.sequence, 2);
  t.end();
});

t.test("a record that is none is not believed, and a clock set back makes nothing last longer", (t) => {
  const record = lastRecord(registered(V6));
  const bad: MobileNodeRecord[] = [
    {},
    { ...record, sequence: 70_000 },
    { ...record, boundSeconds: "long" },
    { ...record, registration: { address: "nowhere" } },
    { ...record, registration: { ...(record["registration"] as object), format: "ipv4" } },
    { ...record, registration: { ...(record["registration"] as object), format: "udp" } },
    { ...record, registration: { ...(record["registration"] as object), remainingSeconds: -1 } },
  ];
  for (const one of bad) {
    const chart = new Chart().give({ kind: "restore", record: one, ageSeconds: 1 });
    t.equal(chart.state.registration, undefined);
  }
  const chart = new Chart().give({ kind: "restore", record, ageSeconds: -1000 });
  t.equal(chart.state.registration?.expiresAt, chart.now + 600_000);
  t.end();
});

t.test("the table of transitions is whole: every phase can be left for the end, and what it lacks is refused", (t) => {
  t.strictSame(Object.keys(TRANSITIONS), [...PHASES]);
  for (const phase of PHASES.filter((phase) => phase !== "stopping" && phase !== "stopped")) {
    t.ok(TRANSITIONS[phase].stop?.includes("stopped"), phase);
  }
  const reached = new Set(PHASES.flatMap((phase) => Object.values(TRANSITIONS[phase]).flat()));
  t.strictSame(
    PHASES.filter((phase) => !reached.has(phase)),
    [],
  );
  t.throws(() => checkTransition("home", "timer", "registered"), InvariantError);
  t.throws(() => registered(V6).give({ kind: "restore", record: {}, ageSeconds: 0 }), InvariantError, "too late");
  t.end();
});

t.test("without a journal numbers start where the caller says, and wrap", (t) => {
  const chart = new Chart();
  chart.state = initialMobileNode(SITE, seq16(0xffff));
  t.equal(chart.sees(V6).update().message.sequence, 0);
  t.end();
});

const action: fc.Arbitrary<(chart: Chart) => void> = fc.oneof(
  { weight: 17, arbitrary: nodeAct },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom<Chart["kernel"][]>("ready", "silent", "refusing")
      .map((kernel) => (chart: Chart) => void Object.assign(chart, { kernel })),
  },
  { weight: 2, arbitrary: fc.constant((chart: Chart) => void chart.programmed()) },
);

t.test("any inputs in any order: never an exception, always a later deadline, always an end", (t) => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60, size: "max" }), (actions) => {
      const chart = new Chart({ lifetimeSeconds: 80 });
      for (const act of actions) {
        act(chart);
        const due = nextDeadline(chart.state);
        if (due !== undefined && due <= chart.now) {
          const { state } = step(chart.state, { kind: "timer" }, chart.now);
          const later = nextDeadline(state);
          if (later !== undefined && later <= chart.now) throw new Error(`deadline ${later} at ${chart.now}`);
        }
      }
      chart.give({ kind: "stop" }).wait(60);
      if (chart.state.phase !== "stopped") throw new Error(`phase ${chart.state.phase}`);
    }),
    randomRuns(500),
  );
  t.pass("held");
  t.end();
});
