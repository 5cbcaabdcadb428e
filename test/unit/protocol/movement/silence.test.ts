/** What is remembered of care-of addresses from which the home agent was not heard, and for how long. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { after, type Instant, instant, seconds } from "../../../../controller/base/time.js";
import type { CareOf } from "../../../../controller/protocol/movement/attachment.js";
import {
  answered,
  fallenSilent,
  isSilent,
  nextTrial,
  pausesOver,
  SILENT_CURED,
  SILENT_RETRY_FIRST,
  SILENT_RETRY_MAX,
  type Silence,
  silentAlike,
  silentNow,
  stillKnown,
  unansweredOf,
} from "../../../../controller/protocol/movement/silence.js";
import { network } from "../mip6/mobile-node/chart.js";

const six = (host: string, device = "eth0"): CareOf => ({ family: 6, address: ipv6(`2001:db8:a::${host}`), device });
const four = (host: number, device = "eth0"): CareOf => ({ family: 4, address: ipv4(`203.0.113.${host}`), device });
const A = six("10");
const B = six("20", "eth1");
const START = instant(1_000_000);
const later = (duration: number, from = START): Instant => after(from, seconds(duration));

t.test("the pause doubles with each vain trial up to its longest, whoever else is silent", (t) => {
  let silences: readonly Silence[] = fallenSilent([], B, 3, START);
  const pauses = Array.from({ length: 8 }, (_, i) => {
    silences = fallenSilent(silences, A, 3 * (i + 1), START);
    const entry = silences.find(({ careOf }) => careOf === A) as Silence;
    t.equal(entry.trials, i + 1);
    t.equal(unansweredOf(silences, A), 3 * (i + 1));
    return ((entry.retryAt ?? START) - START) / 1000;
  });
  t.strictSame(pauses, [10, 20, 40, 80, 160, 320, 320, 320]);
  t.strictSame([pauses[0], pauses.at(-1)], [SILENT_RETRY_FIRST, SILENT_RETRY_MAX]);
  t.equal(silences.length, 2, "one note for each address");
  t.equal(unansweredOf(silences, six("99")), 0);
  t.end();
});

t.test("an answer is a cure once it has lasted; until then the count goes on", (t) => {
  const twice = fallenSilent(fallenSilent([], A, 3, START), A, 6, START);
  const heard = answered(twice, A, later(100));
  t.notOk(isSilent(heard, A, later(100)));
  t.equal(unansweredOf(heard, A), 0);
  const still = answered(heard, A, later(150));
  const trialsAfter = (duration: number): number | undefined =>
    fallenSilent(still, A, 3, later(100 + duration))[0]?.trials;
  t.equal(trialsAfter(SILENT_CURED - 1), 3, "counted from the first answer, and not long enough");
  t.equal(trialsAfter(SILENT_CURED), 1);
  t.end();
});

t.test("an answer from elsewhere begins the back-off anew, and ends nobody's pause", (t) => {
  const heard = answered(fallenSilent([], A, 3, START), B, later(1));
  t.equal(unansweredOf(heard, A), 0);
  t.ok(isSilent(heard, A, later(1)));
  t.end();
});

t.test("what is said of one address is said of those like it that were not tried, for as long", (t) => {
  const tried = fallenSilent([], B, 3, later(-5));
  const alike = silentAlike(fallenSilent(tried, A, 3, START), [B, six("30", "eth2")], A);
  t.strictSame(
    alike.map(({ careOf, trials, unanswered, retryAt }) => [careOf.device, trials, unanswered, retryAt]),
    [
      ["eth1", 1, 3, later(5)],
      ["eth0", 1, 3, later(10)],
      ["eth2", 0, 0, later(10)],
    ],
  );
  t.strictSame(silentAlike(tried, [six("30")], A), tried, "nothing is said of who has not been silent");
  t.end();
});

t.test("a silent one is worth a trial when its pause is over, and is then like any other", (t) => {
  const silences = fallenSilent(fallenSilent([], A, 3, START), B, 4, later(4));
  t.equal(nextTrial(silences), later(10));
  t.equal(nextTrial([]), undefined);
  t.strictSame(silentNow(silences, later(9)), [
    { careOf: A, unanswered: 3 },
    { careOf: B, unanswered: 4 },
  ]);
  t.strictSame(silentNow(silences, later(10)), [{ careOf: B, unanswered: 4 }], "at the very moment");
  const over = pausesOver(silences, later(10));
  t.strictSame(
    over.map(({ retryAt }) => retryAt),
    [undefined, later(14)],
  );
  t.strictSame(
    over.map(({ trials }) => trials),
    [1, 1],
    "what was vain stays counted",
  );
  t.end();
});

t.test("it is remembered while the address is there, and of IPv6 for the next address of the link", (t) => {
  const [v6, v4] = [fallenSilent([], A, 3, START), fallenSilent([], four(10), 3, START)];
  const at = (links: Parameters<typeof network>[0], silences: readonly Silence[]): readonly string[] =>
    stillKnown(silences, network(links)).map(({ careOf }) => careOf.address);
  t.strictSame(at({ eth0: ["2001:db8:a::10/64", "203.0.113.10/24"] }, [...v6, ...v4]), [
    "2001:db8:a::10",
    "203.0.113.10",
  ]);
  t.strictSame(
    at({ eth0: ["2001:db8:a::99/64", "203.0.113.99/24"] }, [...v6, ...v4]),
    ["2001:db8:a::10"],
    "RFC 5555 §4.4.1",
  );
  t.strictSame(at({ eth1: ["2001:db8:a::10/64"] }, v6), [], "the link has gone");
  t.strictSame(at({ eth0: [] }, answered(v6, A, START)), [], "it had answered");
  const both = fallenSilent(v6, six("11"), 3, START);
  t.strictSame(at({ eth0: ["2001:db8:a::99/64"] }, both), ["2001:db8:a::11"], "one for each link, the last");
  t.end();
});
