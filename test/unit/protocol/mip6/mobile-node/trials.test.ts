/** Uplinks that carry nothing: left for others, tried again less and less often, never at the cost of what works. */
import t from "tap";
import { nextDeadline } from "../../../../../controller/protocol/mip6/mobile-node/machine.js";
import { SILENT_CURED, SILENT_RETRY_FIRST } from "../../../../../controller/protocol/movement/silence.js";
import { type AddressWords, accepted4, Chart, nat, type Update } from "./chart.js";

const GOOD = { eth0: ["203.0.113.10/24 metric=1000"] };
const PORTAL: Record<string, readonly AddressWords[]> = { ...GOOD, wlan0: ["192.168.77.20/24 metric=100"] };
const PORTAL_ADDRESS = "192.168.77.20";

const from = ({ departure }: Update): string =>
  departure.type === "udp"
    ? departure.localAddress
    : departure.type === "native-home-address-option"
      ? departure.careOf
      : "home";

interface Log {
  readonly at: number;
  readonly from: string;
}

/** Lets time pass; each update from an address of these is answered at once. Every update with its time in seconds. */
function play(chart: Chart, duration: number, answering: (address: string) => boolean): Log[] {
  const end = chart.now + duration * 1000;
  const log: Log[] = [];
  for (;;) {
    for (const update of chart.updates()) {
      log.push({ at: chart.now / 1000, from: from(update) });
      if (answering(from(update))) chart.answer(update, { options: [accepted4, nat(86_400)] });
    }
    const deadline = nextDeadline(chart.state);
    if (deadline === undefined || deadline > end) {
      chart.wait((end - chart.now) / 1000);
      return log;
    }
    chart.wait(Math.max(0, deadline - chart.now) / 1000);
  }
}
const good = (address: string): boolean => address !== PORTAL_ADDRESS;
const trials = (log: readonly Log[]): number[] =>
  log.filter((one, i) => one.from === PORTAL_ADDRESS && log[i - 1]?.from !== PORTAL_ADDRESS).map(({ at }) => at);

function bound(lifetimeSeconds: number): Chart {
  const chart = new Chart({ lifetimeSeconds }).sees(GOOD);
  play(chart, 0, good);
  return chart;
}

t.test(
  "a better uplink of the same family that carries nothing is left after three updates, the old binding refreshed",
  (t) => {
    const chart = bound(600).sees(PORTAL);
    const start = chart.now / 1000;
    const log = play(chart, 8, good);
    t.strictSame(
      log.map((one) => [one.at - start, one.from]),
      [
        [0, PORTAL_ADDRESS],
        [1, PORTAL_ADDRESS],
        [3, PORTAL_ADDRESS],
        [7, "203.0.113.10"],
      ],
    );
    t.match(chart.state, { phase: "registered", registration: { careOf: { device: "eth0" } } });
    t.match(chart.events("registration.failed"), [{ reason: "no answer over IPv4", attempts: 3 }]);
    t.end();
  },
);

for (const lifetime of [4, 20, 60, 600])
  t.test(
    `with a lifetime of ${lifetime} s the binding never runs out, payload stays on it, and trials grow rare`,
    (t) => {
      const chart = bound(lifetime).sees(PORTAL);
      const begin = chart.effects.length;
      const log = play(chart, 3000, good);
      t.strictSame(chart.events("registration.lost"), []);
      const ways = chart.effects
        .slice(begin)
        .flatMap((one) => (one.kind === "data-path" ? [one.path.egress?.device] : []));
      t.strictSame([...new Set(ways)], ["eth0"], "never moved without an acknowledgement");
      const times = trials(log);
      const pauses = times.slice(1).map((at, i) => at - (times[i] ?? 0));
      t.ok(times.length >= 8 && times.length <= 15, `${times.length} trials`);
      for (const [i, pause] of pauses.entries()) {
        const wanted = Math.min(320, SILENT_RETRY_FIRST * 2 ** i);
        t.ok(pause >= wanted && pause <= wanted + 25, `${pause} s after the ${i + 1}. trial`);
      }
      t.end();
    },
  );

t.test("what was silent once and has answered since is not let run out for a trial either", (t) => {
  for (const lifetime of [4, 8]) {
    const chart = bound(lifetime);
    play(chart, 30, () => false);
    play(chart, 2 * lifetime, good);
    t.match(chart.state.registration, { careOf: { device: "eth0" } });
    t.match(chart.state.silences, [{ careOf: { device: "eth0" }, retryAt: undefined }]);
    const lost = chart.events("registration.lost").length;
    chart.sees(PORTAL);
    const log = play(chart, 60, good);
    t.ok(trials(log).length > 1);
    t.equal(chart.events("registration.lost").length, lost);
  }
  t.end();
});

t.test("an uplink that is well again is taken at its next trial", (t) => {
  const chart = bound(600).sees(PORTAL);
  play(chart, 60, good);
  play(chart, 400, () => true);
  t.match(chart.state.registration, { careOf: { device: "wlan0" } });
  t.equal(chart.path?.egress?.device, "wlan0");
  t.end();
});

t.test("one that comes and goes is tried less and less often; one that has lasted is as good as new", (t) => {
  const chart = bound(40).sees(PORTAL);
  const failing = (): number => {
    const [entry] = chart.state.silences.filter(({ careOf }) => careOf.device === "wlan0");
    return entry?.trials ?? 0;
  };
  const at = (): string | undefined => chart.state.registration?.careOf.device;
  for (let i = 1; i <= 4; i++) {
    while (at() !== "eth0" || failing() < i) play(chart, 5, good);
    while (at() !== "wlan0") play(chart, 5, () => true);
  }
  t.ok(failing() >= 4);
  play(chart, SILENT_CURED + 40, () => true);
  while (at() !== "eth0") play(chart, 5, good);
  t.equal(failing(), 1);
  t.end();
});

t.test("a registered uplink that stops to answer is left for another one, payload with the acknowledgement", (t) => {
  const chart = new Chart({ lifetimeSeconds: 60 }).sees(PORTAL);
  play(chart, 0, () => true);
  t.match(chart.state.registration, { careOf: { device: "wlan0" } });
  play(chart, 45 + 8, good);
  t.match(chart.state, { phase: "registered", registration: { careOf: { device: "eth0" } } });
  t.strictSame(chart.events("registration.lost"), []);
  t.end();
});

t.test("another address, whatever its family and link; where there is none the first goes on as ever", (t) => {
  const links = { eth0: ["2001:db8:a::10/64"], eth1: ["2001:db8:b::10/64"] };
  const chart = new Chart().sees(links);
  t.strictSame(
    play(chart, 30, () => false).map((one) => one.from),
    ["2001:db8:a::10", "2001:db8:a::10", "2001:db8:a::10", "2001:db8:b::10", "2001:db8:b::10", "2001:db8:b::10"].concat(
      ["2001:db8:a::10"],
    ),
  );
  t.end();
});

t.test("IPv6 that is vain on one link is left for IPv4 before other links are tried with it (RFC 5555 §4.4.1)", (t) => {
  const six = { eth0: ["2001:db8:a::10/64"], eth1: ["2001:db8:b::10/64"] };
  const froms = (links: Record<string, readonly AddressWords[]>): readonly string[] =>
    play(new Chart().sees(links), 20, () => false).map((one) => one.from);
  t.strictSame(froms({ ...six, eth2: ["203.0.113.10/24"] }).slice(2, 5), [
    "2001:db8:a::10",
    "203.0.113.10",
    "203.0.113.10",
  ]);
  t.equal(froms(six)[3], "2001:db8:b::10", "where there is no IPv4, another link");
  // What is registered over IPv6 has answered, and nothing is said of it by the silence of a better one.
  const chart = new Chart({ lifetimeSeconds: 600 }).sees({ eth1: six.eth1 });
  play(chart, 0, () => true);
  chart.sees({ eth0: ["2001:db8:a::10/64 metric=1"], eth1: ["2001:db8:b::10/64 metric=9"], eth2: ["203.0.113.10/24"] });
  const log = play(chart, 8, (address) => address === "2001:db8:b::10");
  t.strictSame(
    log.map((one) => one.from),
    ["2001:db8:a::10", "2001:db8:a::10", "2001:db8:a::10", "2001:db8:b::10"],
  );
  t.end();
});

t.test("what is in the way of the next refresh begins after it", (t) => {
  const chart = bound(600).sees(PORTAL);
  play(chart, 8, good);
  const before = chart.state.registration?.refreshAt ?? 0;
  // The next pauses end shortly before the refresh, somewhere.
  const log = play(chart, 2000, good);
  t.ok(before > 0 && log.length > 10);
  for (const [i, one] of log.entries()) {
    const next = log[i + 1];
    if (one.from === PORTAL_ADDRESS && next !== undefined && next.from !== PORTAL_ADDRESS)
      t.equal(log[i - 2]?.from, PORTAL_ADDRESS, "every trial has its three updates");
  }
  t.end();
});

t.test("a link that was away is tried at once when it is back", (t) => {
  const chart = bound(600).sees(PORTAL);
  play(chart, 100, good);
  chart.sees(GOOD).sees(PORTAL);
  t.equal(from(chart.update()), PORTAL_ADDRESS);
  t.end();
});

t.test(
  "R5555-1.3-04 R5555-4.4.1-03: UDP over IPv6 comes after plain IPv6 and IPv4, and only where it is on",
  (test) => {
    const both = { eth0: ["2001:db8:a::10/64", "203.0.113.10/24"] };
    const ways = (chart: Chart): readonly string[] => {
      const seen: string[] = [];
      const end = chart.now + 40_000;
      for (let deadline = nextDeadline(chart.state); deadline !== undefined && deadline < end; ) {
        for (const { departure } of chart.updates()) {
          const way = departure.type === "udp" ? (departure.localAddress.includes(":") ? "udp6" : "udp4") : "ipv6";
          if (seen.at(-1) !== way) seen.push(way);
        }
        chart.wait(Math.max(0, deadline - chart.now) / 1000);
        deadline = nextDeadline(chart.state);
      }
      return seen;
    };
    test.strictSame(ways(new Chart({ udpOverIpv6: true }).sees(both)).slice(0, 3), ["ipv6", "udp4", "udp6"]);
    test.notOk(ways(new Chart().sees(both)).includes("udp6"));
    test.end();
  },
);
