/** Mobile prefix discovery at the mobile node: when it asks, how often, and whom it believes. */
import t from "tap";
import { type Ipv6Address, ipv6 } from "../../../../../controller/base/ip.js";
import { after, type Instant, instant, seconds } from "../../../../../controller/base/time.js";
import type { Arrival } from "../../../../../controller/protocol/mip6/inputs.js";
import {
  homeAddressValidFor,
  initialPrefixes,
  type NodePrefixesInput,
  type NodePrefixesSite,
  nextDeadline,
  step,
} from "../../../../../controller/protocol/mip6/mobile-node/prefixes/machine.js";

const [HOA, HA] = [ipv6("2001:db8:1::10"), ipv6("2001:db8:1::1")];
const HOME = ipv6("2001:db8:1::");
const INFINITE = 0xffffffff;
const TOLD = { valid: 1000, preferred: 500 };

class Node {
  now: Instant = instant(1000);
  asked: { readonly at: number; readonly id: number }[] = [];
  readonly drops: string[] = [];
  readonly events: string[] = [];
  record: Readonly<Record<string, unknown>> | undefined;
  #state;

  constructor(when: NodePrefixesSite["when"] = "registration") {
    this.#state = initialPrefixes({ homeAddress: HOA, homeAgent: HA, when });
  }

  give(input: NodePrefixesInput): this {
    const next = step(this.#state, input, this.now, () => 0.25);
    this.#state = next.state;
    for (const effect of next.effects) {
      if (effect.kind === "send") this.asked.push({ at: this.now / 1000 - 1, id: effect.message.identifier });
      if (effect.kind === "drop") this.drops.push(effect.reason);
      if (effect.kind === "notify") this.events.push(effect.event.event);
      if (effect.kind === "journal") this.record = effect.record;
    }
    return this;
  }

  registers(necessary = false): this {
    return this.give({ kind: "registered", necessary });
  }

  hears(
    { valid, preferred, prefix = HOME }: { valid: number; preferred: number; prefix?: Ipv6Address },
    changes: Partial<Arrival> & { readonly id?: number; readonly direct?: boolean } = {},
  ): this {
    const { id = this.asked.at(-1)?.id ?? 1, direct = false, ...arrival } = changes;
    const path = { type: "native", device: "up0", ...(!direct && { routingHeaderHomeAddress: HOA }) } as const;
    return this.give({
      kind: "advertisement",
      arrival: { path, source: HA, destination: HOA, protection: "esp", ...arrival },
      message: {
        type: "mobile-prefix-advertisement",
        identifier: id,
        flags: { managedAddresses: false, otherConfiguration: false },
        options: [
          {
            kind: "prefix-information",
            prefixLength: 64,
            flags: { onLink: true, autonomous: true, routerAddress: false },
            validLifetimeSeconds: valid,
            preferredLifetimeSeconds: preferred,
            prefix,
          },
        ],
      },
    });
  }

  wait(time: number): this {
    const end = after(this.now, seconds(time));
    for (let turns = 0; ; turns++) {
      if (turns > 500) throw new Error("the timer does not end");
      const deadline = nextDeadline(this.#state);
      if (deadline === undefined || deadline > end) break;
      if (deadline > this.now) this.now = deadline;
      this.give({ kind: "timer" });
    }
    this.now = end;
    return this;
  }

  get validFor(): number | undefined {
    return homeAddressValidFor(this.#state, this.now);
  }

  get times(): readonly number[] {
    return this.asked.splice(0).map(({ at }) => at);
  }
}

t.test("RFC 6275 §11.4.2: asked after registration, six times, and then not before there is a reason", async (test) => {
  const node = new Node().registers().wait(500);
  test.strictSame(new Set(node.asked.map(({ id }) => id)).size, 1, "one question");
  test.strictSame(node.times, [0, 3, 9, 21, 45, 77]);
  node.registers(true);
  test.equal(node.times.length, 1);
  test.strictSame(new Node("demand").registers().wait(500).times, []);
  test.strictSame(new Node("off").registers(true).wait(500).times, []);
});

t.test("an answer is kept, limits what is asked for, and is asked for again before it is over", async (test) => {
  const node = new Node().registers().hears(TOLD);
  test.equal(node.validFor, 1000);
  test.strictSame(node.events, ["home-prefixes.changed"]);
  node.asked = [];
  node.wait(399);
  test.strictSame(node.times, []);
  node.wait(1).hears(TOLD);
  test.strictSame([node.times, node.validFor], [[400], 1000]);
  node.wait(400).wait(3000);
  const times = node.times;
  test.ok(times.length > 6 && times.length < 40, `${times.length} questions without an answer`);
  test.equal(node.validFor, undefined, "over: the home agent decides");
  const forever = new Node().registers().hears({ valid: INFINITE, preferred: INFINITE }).wait(100_000);
  test.strictSame([forever.times, forever.validFor], [[0], undefined]);
});

t.test(
  "nobody but the home agent is believed, under ESP, by routing header, and to the question asked",
  async (test) => {
    const node = new Node().registers();
    node.hears(TOLD, { source: ipv6("2001:db8:1::2") });
    node.hears(TOLD, { destination: ipv6("2001:db8:1::11") });
    node.hears(TOLD, { protection: "none" });
    node.hears(TOLD, { direct: true });
    node.hears(TOLD, { id: 7 });
    test.strictSame(node.drops, [
      ...["wrong-source", "wrong-destination", "unprotected", "routing-header-missing", "identifier-mismatch"],
    ]);
    test.strictSame([node.record, node.validFor, node.asked.length], [undefined, undefined, 1]);
  },
);

t.test("what comes unasked makes it ask, once a second at most", async (test) => {
  const node = new Node("demand").registers();
  for (let i = 0; i < 100; i++) node.hears(TOLD, { id: 0 }).wait(0.01);
  test.strictSame(node.times, [0]);
  node.hears(TOLD, { id: 16_384 });
  test.equal(node.validFor, 1000);
  for (let i = 0; i < 30; i++) node.hears(TOLD, { id: 0 }).hears(TOLD, { id: 16_384 }).wait(0.1);
  test.ok(node.times.length <= 4);
});

t.test("a home prefix that goes is told once; one that is not there at all too", async (test) => {
  const node = new Node().registers().hears(TOLD);
  node.registers(true).wait(1).hears({ valid: 1000, preferred: 0 }).registers(true).wait(1);
  node.hears({ valid: 900, preferred: 0 });
  test.equal(node.events.filter((one) => one === "home-prefix.withdrawn").length, 1);
  const other = new Node().registers().hears({ ...TOLD, prefix: ipv6("2001:db8:7::") });
  test.ok(other.events.includes("home-prefix.withdrawn"));
});

t.test("a restart knows what was said; who has switched it off is not bound to that for ever", async (test) => {
  const { record } = new Node().registers().hears(TOLD);
  test.ok(record);
  if (record === undefined) return;
  const after = new Node().give({ kind: "restore", record, ageSeconds: 100 });
  test.equal(after.validFor, 900);
  test.strictSame(after.registers().times, [], "known");
  test.equal(after.wait(320).times.length, 1, "asked for again before it is over");
  const off = new Node("off").give({ kind: "restore", record, ageSeconds: 100 }).registers().wait(2000);
  test.strictSame([off.times, off.validFor], [[], undefined]);
  for (const bad of [{}, { prefixes: 7 }, { prefixes: [null, 3, { prefix: "x", validSeconds: -1 }] }])
    test.equal(new Node().give({ kind: "restore", record: bad, ageSeconds: Number.NaN }).registers().times.length, 1);
});

t.test("at home nothing is asked; what was due is asked for when it is away again", async (test) => {
  const node = new Node().registers().hears(TOLD).give({ kind: "unregistered" });
  node.asked = [];
  test.strictSame(node.wait(450).times, []);
  test.equal(node.registers().wait(0).times.length, 1);
});
