/** When a trial has to end, and when the next one may begin: each condition by itself, on states that differ in it alone. */
import t from "tap";
import { after, type Instant, instant, seconds } from "../../../../../controller/base/time.js";
import type { MobileNodeEffect } from "../../../../../controller/protocol/mip6/mobile-node/inputs.js";
import type { MobileNodeState } from "../../../../../controller/protocol/mip6/mobile-node/machine.js";
import { passTrials, trialDeadline } from "../../../../../controller/protocol/mip6/mobile-node/trials.js";
import { type AddressWords, Chart } from "./chart.js";

const GOOD = { eth0: ["203.0.113.10/24 metric=1000"] };
const BOTH: Record<string, readonly AddressWords[]> = { ...GOOD, wlan0: ["192.168.77.20/24 metric=100"] };

/** Of a first registration three updates are in vain after 1.5 + 3 + 6 s. */
const FIRST_VAIN = 11;

/** Bound through eth0 for ten minutes, with nothing outstanding. */
function bound(): Chart {
  const chart = new Chart({ lifetimeSeconds: 600 }).sees(GOOD);
  return chart.answer(chart.update());
}
/** The same, while wlan0 is tried. */
const trying = (): Chart => bound().sees(BOTH);

/** After a vain trial of wlan0, in which eth0 has been told again. */
function afterTrial(): Chart {
  const chart = trying().wait(7);
  const last = chart.updates().at(-1);
  return last === undefined ? chart : chart.answer(last);
}

/** What time alone does at `now`: the device of the update that leaves or of the way that is made, else "nothing". */
function passed(state: MobileNodeState, now: Instant): string {
  const effects: MobileNodeEffect[] = [];
  const next = passTrials(state, { now, effects });
  if (next === undefined) return "nothing";
  if (effects.some(({ kind }) => kind === "send")) return `update by ${careOf(next)}`;
  return `move to ${careOf(next)}`;
}
const careOf = ({ target }: MobileNodeState): string => (target?.kind === "away" ? target.careOf.device : "none");

t.test("a trial ends for the refresh only while it is one, and of a binding that is there", async (test) => {
  const { state, now } = trying();
  test.equal(state.phase, "registering");
  const { registration, exchange, ...unbound } = state;
  if (registration === undefined || exchange === undefined) throw new Error("bound, and trying");
  const enough = { ...state, exchange: { ...exchange, attempts: 2 } };
  test.equal(trialDeadline(enough), registration.refreshAt);
  test.equal(trialDeadline(state), undefined, "not before its second update");
  const prepared: MobileNodeState = { ...unbound, registration, exchange: undefined, phase: "preparing" };
  test.equal(trialDeadline(prepared), after(registration.refreshAt, seconds(1)), "the kernel has a second for it");
  const others: Readonly<Record<string, MobileNodeState>> = {
    "no trial: refused": { ...enough, phase: "refused" },
    "keys are being agreed on": { ...enough, secured: false },
    "not bound": { ...enough, registration: undefined },
    "on the way home": { ...enough, target: { kind: "home", device: "eth0" } },
    "no network": { ...enough, view: undefined },
    "bound from there": { ...enough, target: { kind: "away", careOf: registration.careOf } },
  };
  for (const [name, one] of Object.entries(others)) test.equal(trialDeadline(one), undefined, name);
  const end = registration.refreshAt;
  test.equal(passed(enough, instant(end - 1)), "nothing");
  test.equal(passed(enough, end), "move to eth0");
  test.ok(now < end);
});

t.test("the next trial begins when a pause is over, of a node that has nothing else to say", async (test) => {
  const { state, now } = afterTrial();
  test.match(state, { phase: "registered", registration: { careOf: { device: "eth0" } } });
  const [silence] = state.silences;
  const due = silence?.retryAt;
  if (due === undefined) throw new Error("no pause");
  test.equal(passed(state, instant(due - 1)), "nothing");
  test.equal(passed(state, due), "move to wlan0");
  test.equal(passed({ ...state, phase: "refreshing" }, due), "nothing", "an update is out");
  test.equal(passed({ ...state, silences: [] }, due), "nothing", "nobody has been silent");
  test.equal(passed({ ...state, view: undefined }, due), "nothing", "there is no network");
  test.ok(now < due);
});

t.test("a refresh that is due within eight seconds comes before the trial, unless it always would be", async (test) => {
  const { state } = afterTrial();
  const due = state.silences[0]?.retryAt;
  const { registration } = state;
  if (due === undefined || registration === undefined) throw new Error("no pause");
  const with_ = (untilRefresh: number, sinceAccepted: number): MobileNodeState => {
    const refreshAt = after(due, seconds(untilRefresh));
    const acceptedAt = instant(refreshAt - sinceAccepted * 1000);
    return { ...state, registration: { ...registration, refreshAt, acceptedAt } };
  };
  test.equal(passed(with_(7.9, 500), due), "update by eth0");
  test.equal(passed(with_(8, 500), due), "move to wlan0", "it is over by then");
  test.equal(passed(with_(7.9, 16.1), due), "update by eth0");
  test.equal(passed(with_(7.9, 20), due), "update by eth0");
  test.equal(passed(with_(7.9, 16), due), "move to wlan0", "there would be none");
});

t.test("what is said of IPv6 on one link is said of the others only where IPv4 comes next", async (test) => {
  const six = { eth0: ["2001:db8:a::10/64 metric=1"], eth1: ["2001:db8:b::10/64 metric=9"] };
  const silent = (links: Record<string, readonly AddressWords[]>): readonly string[] =>
    new Chart()
      .sees(links)
      .wait(FIRST_VAIN)
      .state.silences.map((one) => one.careOf.device)
      .sort();
  test.strictSame(silent(six), ["eth0"], "there is none");
  test.strictSame(silent({ ...six, eth2: ["203.0.113.10/24"] }), ["eth0", "eth1"]);
  const four = { eth2: ["203.0.113.10/24 metric=1"], eth3: ["198.51.100.10/24 metric=9"] };
  test.strictSame(silent(four), ["eth2"], "nothing is said of IPv6 by IPv4");
  const chart = new Chart().sees(four);
  chart.sees({ ...four, eth0: ["2001:db8:a::10/64 link"] });
  test.strictSame(
    chart.wait(FIRST_VAIN).state.silences.map((one) => one.careOf.device),
    ["eth2"],
  );
});
