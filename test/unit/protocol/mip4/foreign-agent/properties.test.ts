/** Whatever comes, in whatever order: no step throws, and what holds of every foreign agent holds. */
import fc from "fast-check";
import t from "tap";
import { IPV4_ANY, type Ipv4Address, ipv4 } from "../../../../../controller/base/ip.js";
import { planVisitor } from "../../../../../controller/plan/foreign-agent/plan.js";
import { objectsEqual } from "../../../../../controller/plan/objects/equal.js";
import type { KernelObject } from "../../../../../controller/plan/objects/objects.js";
import { objectKey } from "../../../../../controller/plan/objects/objects.js";
import type { ForeignAgentEffect } from "../../../../../controller/protocol/mip4/foreign-agent/inputs.js";
import { visitorPaths, visitorViews } from "../../../../../controller/protocol/mip4/foreign-agent/machine.js";
import { LIMITS } from "../../../../../controller/protocol/mip4/foreign-agent/timers.js";
import { REPLY_CODE_REGISTRY } from "../../../../../controller/wire/mip4/registry.js";
import {
  answered,
  COA,
  ForeignAgentBench,
  HA,
  HA2,
  HOA,
  MOBILE_HOME,
  relayed,
} from "../../../../lib/mip4-foreign-agent.js";
import { randomRuns } from "../../../../lib/random-runs.js";

const OTHER_HOA = ipv4("198.51.100.102");
const MACS = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"] as const;
const NAI = { kind: "network-access-identifier", identifier: new TextEncoder().encode("a@example.org") } as const;
/** Most often what makes sense there. */
const mostly = <T>(usual: readonly T[], ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });
const requests = fc.record({
  kind: fc.constant("request" as const),
  linkAddress: fc.constantFrom(...MACS),
  homeAddress: mostly<Ipv4Address>([HOA, HOA, OTHER_HOA], IPV4_ANY, COA),
  homeAgent: mostly<Ipv4Address>([HA, HA2], COA),
  careOfAddress: mostly<Ipv4Address>([COA], ipv4("192.0.2.77")),
  lifetimeSeconds: mostly([10, 300, 600], 0, 0xffff),
  flags: fc.record({
    decapsulatesItself: mostly([false], true),
    reverseTunnelling: fc.boolean(),
    gre: fc.boolean(),
    reserved: mostly([false], true),
  }),
  extensions: mostly([[MOBILE_HOME], [NAI, MOBILE_HOME]], []),
});
const acts = fc.oneof(
  { weight: 6, arbitrary: requests },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("reply" as const),
      ago: mostly([0, 1], 2, 3),
      code: mostly([0], 1, 131, 133),
      lifetimeSeconds: mostly([undefined], 0, 5, 0xffff),
      homeAddress: mostly<Ipv4Address | undefined>([undefined], OTHER_HOA, COA),
      source: mostly<Ipv4Address | undefined>([undefined], HA2, ipv4("203.0.113.66")),
      bare: mostly([false], true),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("kernel" as const),
      failure: fc.constantFrom(false, false, true),
      at: fc.nat(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), seconds: fc.constantFrom(0.5, 3, 7, 60, 700) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), at: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("unreachable" as const),
      homeAgent: fc.constantFrom(HA, HA2),
      what: fc.constantFrom("network", "host", "port", "other"),
    }),
  },
);
type Act = typeof acts extends fc.Arbitrary<infer A> ? A : never;

const ACCEPTANCE = {
  ...{ kind: "reply" as const, code: 0, bare: false },
  ...{ lifetimeSeconds: undefined, homeAddress: undefined, source: undefined },
};

class Run {
  readonly bench = new ForeignAgentBench({ gre: true, registrationLifetimeSeconds: 0xffff, mostVisitors: 4 });
  /** What was relayed, and could be answered. */
  readonly relayed: (readonly ForeignAgentEffect[])[] = [];
  /** What the kernel was asked and has not answered. */
  readonly asked: { readonly visitor: string; readonly revision: number }[] = [];
  /** Of each group as it was last asked for, until the kernel has let go of the former one. */
  readonly held = new Map<
    string,
    readonly { readonly revision: number; readonly objects: readonly KernelObject[] }[]
  >();
  readonly accepted = new Set<string>();

  constructor() {
    this.bench.kernel = null;
  }

  act(act: Act): readonly ForeignAgentEffect[] {
    switch (act.kind) {
      case "request":
        return this.bench.request(act);
      case "reply": {
        const request = this.relayed.at(-1 - act.ago);
        if (request === undefined) return [];
        const { code, lifetimeSeconds, homeAddress, bare, source } = act;
        return this.bench.reply(
          request,
          {
            code,
            ...(lifetimeSeconds !== undefined && { lifetimeSeconds }),
            ...(homeAddress !== undefined && { homeAddress }),
            ...(bare && { extensions: [] }),
          },
          source,
        );
      }
      case "kernel": {
        const [answer] = this.asked.splice(act.at % Math.max(1, this.asked.length), 1);
        if (answer === undefined) return [];
        const { visitor, revision } = answer;
        // What is older is superseded in the kernel, too.
        for (let i = this.asked.length - 1; i >= 0; i--) {
          const one = this.asked[i];
          if (one !== undefined && one.visitor === visitor && one.revision < revision) this.asked.splice(i, 1);
        }
        const held = this.held.get(visitor) ?? [];
        this.held.set(
          visitor,
          held.filter((one) => one.revision >= revision),
        );
        return this.bench.step({ kind: "programmed", visitor, revision, ...(act.failure ? { failure: "no" } : {}) });
      }
      case "wait":
        return this.bench.wait(act.seconds);
      case "remove": {
        const all = [...visitorPaths(this.bench.state)];
        const visitor = all[act.at % Math.max(1, all.length)]?.visitor ?? "nobody";
        return this.bench.step({ kind: "remove", visitor, reason: "a test" });
      }
      case "unreachable":
        return this.bench.step({ ...act, what: act.what as "network" });
    }
  }

  keep(effects: readonly ForeignAgentEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "send" && effect.message.to === "home-agent") this.relayed.push([effect]);
      if (effect.kind === "data-path") this.#ask(effect.path.visitor, effect.revision, planVisitor(effect.path));
      if (effect.kind === "data-path-removed") this.#ask(effect.visitor, effect.revision, []);
    }
  }

  #ask(visitor: string, revision: number, objects: readonly KernelObject[]): void {
    // Of two groups that want one object in two forms the later one is refused: nobody else may still have it.
    const others = [...this.held]
      .filter(([name]) => name !== visitor)
      .flatMap(([, forms]) => forms.flatMap((one) => one.objects));
    for (const object of objects) {
      const rival = others.find((one) => objectKey(one) === objectKey(object) && !objectsEqual(one, object));
      if (rival !== undefined) throw new Error(`${objectKey(object)} is somebody else's in another form`);
    }
    this.asked.push({ visitor, revision });
    this.held.set(visitor, [...(this.held.get(visitor) ?? []), { revision, objects }]);
  }
}

const REGISTERED = new Set<number>(Object.values(REPLY_CODE_REGISTRY).map(({ code }) => code));

/** What must be true after each step. */
function check({ bench, accepted }: Run, act: Act, effects: readonly ForeignAgentEffect[]): void {
  const { list } = bench.state;
  for (const { homeAddress, homeAgent } of visitorViews(bench.state, bench.now))
    if (!accepted.has(`${homeAddress} ${homeAgent}`)) throw new Error(`${homeAddress} was never accepted`);
  if (list.pendingSize > LIMITS.pending) throw new Error(`${list.pendingSize} requests wait`);
  for (const mac of MACS) if (list.pendingOf(mac) > LIMITS.pendingOfOne) throw new Error(`${mac} has too many`);
  for (const effect of effects) {
    if (effect.kind !== "send" || effect.message.to !== "visitor") continue;
    const { reply, to } = answered([effect]) ?? {};
    if (reply === undefined || to === undefined) throw new Error("no reply");
    if (!REGISTERED.has(reply.code)) throw new Error(`code ${reply.code}`);
    const isOurs = to.content.kind === "denial";
    if (isOurs && (reply.code < 64 || (reply.code > 127 && reply.code !== 194)))
      throw new Error(`our code ${reply.code}`);
    if (!isOurs && act.kind !== "reply" && act.kind !== "kernel") throw new Error(`an answer out of ${act.kind}`);
  }
}

t.test("what the kernel may still be at work on for one visitor is in the way of another", (t) => {
  const run = new Run();
  const ask = (linkAddress: string, homeAgent: Ipv4Address) => run.keep(run.bench.request({ linkAddress, homeAgent }));
  const accept = (ago: number) => run.keep(run.act({ ...ACCEPTANCE, ago }));
  const [first, second] = MACS;
  ask(first, HA);
  ask(second, HA);
  accept(0);
  accept(1);
  t.equal(run.asked.length, 2, "one visitor, at two places, and no answer yet");
  ask(second, HA2);
  accept(0);
  t.equal(run.asked.length, 2, "where the first form may be, nobody else is asked for");
  run.keep(run.act({ kind: "kernel", failure: false, at: 1 }));
  t.equal(run.asked.length, 1, "the answer for the later form lets it go on");
  run.keep(run.act({ kind: "kernel", failure: false, at: 0 }));
  const views = [...visitorViews(run.bench.state, run.bench.now)];
  t.strictSame(
    views.map(({ homeAgent, linkAddress }) => [homeAgent, linkAddress]),
    [
      [HA, first],
      [HA2, second],
    ],
  );
  t.end();
});

t.test("any order of requests, replies, ICMP errors, answers of the kernel and time", (t) => {
  const property = fc.property(fc.array(acts, { minLength: 5, maxLength: 60 }), (all) => {
    const run = new Run();
    for (const act of all) {
      const before = act.kind === "reply" ? run.relayed.at(-1 - act.ago) : undefined;
      const effects = run.act(act);
      // A reply makes visitors only if it is an acceptance with the node's authentication, from the home agent that was asked.
      if (act.kind === "reply" && before !== undefined && act.code <= 1 && !act.bare) {
        const { homeAddress, homeAgent } = requestOf(before);
        if (act.source === undefined || act.source === homeAgent)
          run.accepted.add(`${act.homeAddress ?? homeAddress} ${homeAgent}`);
      }
      run.keep(effects);
      check(run, act, effects);
    }
    // Everything ends: with the kernel's answers and time nothing is left, but what has no end.
    for (let i = 0; i < 3; i++) {
      while (run.asked.length > 0) run.keep(run.act({ kind: "kernel", failure: false, at: 0 }));
      run.keep(run.bench.wait(70_000));
    }
    if (run.bench.state.list.pendingSize > 0) throw new Error("requests wait for ever");
    for (const entry of run.bench.state.list.entries())
      if (entry.expiresAt !== undefined || entry.next !== undefined || entry.asked !== undefined)
        throw new Error(`${entry.key} stays`);
    // Nobody who is gone has kept a number, and nobody is in anybody's way.
    const { list } = run.bench.state;
    const fresh = Array.from({ length: 10 }, (_, i) => list.numbers.take(`another one ${i}`));
    if (Math.max(...fresh) > list.size + 10) throw new Error(`${fresh} with ${list.size} visitors`);
    const agents = Array.from({ length: 10 }, (_, i) => list.homeAgents.take(`another one ${i}`));
    if (Math.max(...agents) > 2 + 10) throw new Error(`${agents} for home agents`);
    if (list.size === 0 && Math.max(...agents) > 10) throw new Error(`${agents} for home agents of nobody`);
    for (const home of [HOA, OTHER_HOA, COA])
      if (list.leaving.isInTheWay(home, "")) throw new Error(`somebody is in the way of ${home}`);
  });
  fc.assert(property, randomRuns(400));
  t.pass("no step has thrown");
  t.end();
});

function requestOf(effects: readonly ForeignAgentEffect[]) {
  const octets = relayed(effects);
  const view = new DataView(octets.buffer, octets.byteOffset);
  const text = (at: number): Ipv4Address => ipv4([0, 1, 2, 3].map((i) => view.getUint8(at + i)).join("."));
  return { homeAddress: text(4), homeAgent: text(8) };
}

t.test("a flood of requests from as many nodes leaves no more behind than its bounds", (t) => {
  const bench = new ForeignAgentBench({ challenge: false });
  bench.kernel = null;
  for (let i = 0; i < 3 * LIMITS.denied; i++) {
    const low = i.toString(16).padStart(6, "0");
    const linkAddress = `02:00:00:${low.slice(0, 2)}:${low.slice(2, 4)}:${low.slice(4)}`;
    bench.request({ linkAddress, flags: { reserved: i % 2 === 0 } });
  }
  t.equal(bench.state.list.pendingSize, LIMITS.pending);
  t.ok(bench.state.denied.size <= LIMITS.denied);
  t.equal(bench.state.list.size, 0);
  t.end();
});
