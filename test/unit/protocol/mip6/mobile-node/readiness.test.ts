/** What is said of a node in each phase, and that "registered" and "home" are only said when payload has its way. */
import t from "tap";
import { ReadinessReport } from "../../../../../controller/daemon/mobile-node/readiness-report.js";
import { StatusLine } from "../../../../../controller/daemon/supervisor.js";
import { readinessOf } from "../../../../../controller/protocol/mip6/mobile-node/readiness.js";
import { Chart, HOME_ADDRESS } from "./chart.js";

const AWAY = { eth0: ["2001:db8:a::10/64"] };
const ELSEWHERE = { eth0: ["2001:db8:b::10/64"] };
const HOME = { eth0: ["2001:db8:1::100/64", "192.0.2.100/24"] };

t.test("a node's readiness follows it away, elsewhere and home", (t) => {
  const chart = new Chart();
  const now = (): string => readinessOf(chart.state).state;
  t.equal(now(), "detached");
  chart.sees(AWAY);
  t.equal(now(), "registering");
  chart.answer(chart.update());
  t.equal(now(), "registered");
  t.match(readinessOf(chart.state).text, /^registered from 2001:db8:a::10 on eth0, payload as packets in IPv6$/);
  chart.sees(ELSEWHERE);
  t.equal(now(), "registering", "bound still, and from where it is no more");
  chart.answer(chart.update());
  t.equal(now(), "registered");
  chart.sees(HOME);
  t.equal(now(), "returning");
  chart.answer(chart.update(), { lifetimeUnits: 0 });
  t.equal(now(), "home");
  t.equal(readinessOf({ ...chart.state, path: undefined }).state, "returning", "the kernel has nothing yet");
  chart.sees({});
  t.equal(now(), "detached");
  t.end();
});

t.test("a refusal is told, and so is a kernel that has not made the way yet", (t) => {
  const refused = new Chart().sees(AWAY);
  refused.answer(refused.update(), { status: 129 });
  t.equal(readinessOf(refused.state).state, "refused");
  const waiting = new Chart().sees(AWAY);
  waiting.answer(waiting.update());
  const { path } = waiting.state;
  if (path === undefined) throw new Error("no path");
  t.equal(readinessOf({ ...waiting.state, path: { ...path, status: "pending" } }).state, "registering");
  t.end();
});

t.test("each change is one event and one status line; many soon after one another are the first and the last", (t) => {
  const events: unknown[] = [];
  const told: string[] = [];
  let timer: (() => void) | undefined;
  const status = new StatusLine(
    (_, run) => {
      timer = run;
      return () => undefined;
    },
    (line) => told.push(line),
  );
  const report = new ReadinessReport(HOME_ADDRESS, {
    note: (detail) => events.push(["readiness.changed", detail]),
    tellSupervisor: (text) => status.tell(text),
  });
  const chart = new Chart();
  const look = (): void => report.look(readinessOf(chart.state));
  look();
  look();
  chart.sees(AWAY);
  look();
  chart.answer(chart.update());
  look();
  t.strictSame(events, [
    ["readiness.changed", { state: "detached" }],
    ["readiness.changed", { state: "registering", before: "detached" }],
    ["readiness.changed", { state: "registered", before: "registering" }],
  ]);
  t.strictSame(told, [`STATUS=${HOME_ADDRESS} not registered: there is no network that leads to the home agent`]);
  timer?.();
  t.strictSame(told.slice(1), [
    `STATUS=${HOME_ADDRESS} registered from 2001:db8:a::10 on eth0, payload as packets in IPv6`,
  ]);
  timer?.();
  t.equal(told.length, 2, "no change, no line");
  t.end();
});
