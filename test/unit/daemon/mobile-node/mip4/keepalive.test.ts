/** When a NAT's mapping is kept alive (RFC 3519 §4.9), and when a silent home agent is told of (§4.10). Time is a number here. */
import t from "tap";
import { ipv4 } from "../../../../../controller/base/ip.js";
import { type Instant, instant, seconds } from "../../../../../controller/base/time.js";
import { Keepalive } from "../../../../../controller/daemon/mobile-node/mip4/keepalive.js";

const HA = ipv4("203.0.113.1");
const TUNNEL = { homeAddress: ipv4("198.51.100.10"), homeAgent: HA, keepalive: seconds(100) };

class Bench {
  now = 0;
  packets = 0;
  readonly asked: number[] = [];
  readonly sequences: number[] = [];
  silences = 0;
  #timers: { readonly at: number; readonly run: () => void }[] = [];
  readonly keepalive = new Keepalive({
    packets: () => this.packets,
    ask: (_source, _destination, sequence) => {
      this.asked.push(this.now);
      this.sequences.push(sequence);
      this.packets += 1;
    },
    setTimer: (delayMs, run) => {
      const timer = { at: this.now + delayMs / 1000, run };
      this.#timers.push(timer);
      return () => {
        this.#timers = this.#timers.filter((one) => one !== timer);
      };
    },
    now: (): Instant => instant(1000 * this.now),
    onSilence: () => {
      this.silences += 1;
    },
  });

  /** `each` is called before every timer that goes off. */
  runTo(end: number, each: () => void = () => undefined): void {
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== next);
      this.now = next.at;
      each();
      next.run();
    }
    this.now = end;
  }
}

t.test("the home agent is asked after so much silence, and after each of its answers again", (t) => {
  const bench = new Bench();
  bench.keepalive.follow(TUNNEL);
  bench.runTo(95);
  t.strictSame(bench.asked, []);
  bench.runTo(100);
  t.strictSame(bench.asked, [100]);
  bench.keepalive.answered(HA, bench.sequences[0] ?? 0);
  bench.runTo(199);
  t.strictSame(bench.asked, [100], "its own request was the last thing that was sent");
  bench.runTo(201);
  t.equal(bench.asked.length, 2);
  t.equal(bench.silences, 0);
  bench.keepalive.close();
  bench.runTo(1000);
  t.equal(bench.asked.length, 2);
  t.end();
});

t.test("who sends through the tunnel need not ask", (t) => {
  const bench = new Bench();
  bench.keepalive.follow(TUNNEL);
  bench.runTo(500, () => {
    bench.packets += 1;
  });
  t.strictSame(bench.asked, []);
  t.end();
});

t.test("three requests without an answer are told; an answer to an earlier one, or of another, is none", (t) => {
  const bench = new Bench();
  bench.keepalive.follow(TUNNEL);
  bench.runTo(100);
  bench.keepalive.answered(ipv4("203.0.113.2"), bench.sequences[0] ?? 0);
  bench.keepalive.answered(HA, 999);
  bench.runTo(107);
  t.strictSame(bench.asked, [100, 102, 104]);
  t.equal(bench.silences, 1);
  bench.keepalive.follow(undefined);
  bench.runTo(1000);
  t.equal(bench.silences, 1);
  t.end();
});
