/** Whatever comes, in whatever order: no step throws, and what holds of every home agent holds. */
import fc from "fast-check";
import t from "tap";
import { IPV4_ANY, type Ipv4Address, ipv4, ipv6, prefixesOverlap } from "../../../../controller/base/ip.js";
import type { HomeAgentEffect } from "../../../../controller/protocol/mip4/home-agent/inputs.js";
import { dataPaths } from "../../../../controller/protocol/mip4/home-agent/machine.js";
import type { AuthenticationVerdict } from "../../../../controller/protocol/mip4/inputs.js";
import type { RegistrationExtension } from "../../../../controller/wire/mip4/extensions/registration.js";
import {
  COA,
  HA,
  HOA,
  HomeAgentBench,
  NAT,
  NODE,
  OTHER,
  OTHER_HOA,
  ROAMER,
  SITE,
} from "../../../lib/mip4-home-agent.js";

const name = { kind: "network-access-identifier", identifier: new TextEncoder().encode("roamer@example.org") } as const;
const extensions: fc.Arbitrary<RegistrationExtension> = fc.oneof(
  fc.constant(name),
  fc.constant({ kind: "ipv6-tunnelling-mode" } as const),
  fc.record({
    kind: fc.constant("ipv6-prefix-request" as const),
    prefixLength: fc.constantFrom(0, 48, 56, 64, 129, 255),
    prefix: fc
      .constantFrom("2001:db8:5::", "2001:db8:7::", "2001:db8:f000:1200::", "2001:db8:f000:3400::", "fe80::1")
      .map(ipv6),
  }),
  fc.record({
    kind: fc.constant("udp-tunnel-request" as const),
    forced: fc.boolean(),
    throughForeignAgent: fc.boolean(),
    encapsulation: fc.constantFrom(0, 4, 47, 55),
  }),
);
const LENT = ipv4("192.0.2.129");
/** Now and then any address in any place; most often one that makes sense there. */
const likely = (...addresses: readonly Ipv4Address[]): fc.Arbitrary<Ipv4Address> =>
  fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...addresses) },
    { weight: 1, arbitrary: fc.constantFrom<Ipv4Address>(HOA, OTHER_HOA, IPV4_ANY, COA, NAT, HA, LENT) },
  );
const requests = fc.record({
  kind: fc.constant("request" as const),
  homeAddress: likely(HOA, HOA, OTHER_HOA, IPV4_ANY, LENT),
  careOfAddress: likely(COA, COA, NAT),
  source: likely(COA, COA, NAT),
  sourcePort: fc.constantFrom(434, 40000, 40001),
  lifetimeSeconds: fc.constantFrom(0, 1, 10, 600, 0xffff),
  flags: fc.record({
    decapsulatesItself: fc.boolean(),
    reverseTunnelling: fc.boolean(),
    gre: fc.boolean(),
    simultaneousBindings: fc.boolean(),
  }),
  extensions: fc.array(extensions, { maxLength: 4 }),
  verdict: fc.oneof(
    { weight: 15, arbitrary: fc.constant<AuthenticationVerdict>("valid") },
    { weight: 1, arbitrary: fc.constantFrom<AuthenticationVerdict>("invalid", "no-association") },
  ),
  /** Of a request that came before, so many ago. */
  repeats: fc.option(fc.nat(3), { freq: 1 }),
});
const acts = fc.oneof(
  { weight: 6, arbitrary: requests },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("kernel" as const), failure: fc.boolean(), at: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), seconds: fc.constantFrom(0.5, 3, 5, 60, 700) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("storage" as const), writable: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("unstored" as const), repeats: fc.nat(3) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("remove" as const), node: fc.constantFrom(NODE, OTHER, ROAMER) }),
  },
);
type Act = typeof acts extends fc.Arbitrary<infer A> ? A : never;

class Run {
  readonly bench = new HomeAgentBench({
    maxLifetimeSeconds: 0xffff,
    subscribers: SITE.subscribers.map((one) => ({ ...one, borrowsPrefixes: true, prefixRegistration: undefined })),
  });
  /** What the kernel was asked and has not answered. */
  readonly asked: { readonly node: typeof NODE; readonly revision: number }[] = [];
  readonly replies: Extract<HomeAgentEffect, { readonly kind: "reply" }>[] = [];
  readonly sent: ReturnType<HomeAgentBench["input"]>[] = [];

  act(act: Act): readonly HomeAgentEffect[] {
    switch (act.kind) {
      case "request":
        return this.#request(act);
      case "kernel": {
        const [answer] = this.asked.splice(act.at % Math.max(1, this.asked.length), 1);
        if (answer === undefined) return [];
        const { node, revision } = answer;
        return this.bench.step({ kind: "programmed", node, revision, ...(act.failure ? { failure: "no" } : {}) });
      }
      case "wait":
        this.bench.wait(act.seconds);
        return this.bench.step({ kind: "timer" });
      case "storage":
        return this.bench.step(act);
      case "unstored": {
        const reply = this.replies.at(-1 - act.repeats);
        if (reply === undefined) return [];
        return this.bench.step({
          kind: "unstored",
          node: reply.node,
          identification: reply.reply.identification,
        });
      }
      case "remove":
        return this.bench.step({ ...act, reason: "a test" });
    }
  }

  #request(act: Extract<Act, { kind: "request" }>): readonly HomeAgentEffect[] {
    const before = act.repeats === null ? undefined : this.sent.at(-1 - act.repeats);
    if (before !== undefined) return this.bench.step({ ...before, timeOfDay: this.bench.timestamp() });
    const { homeAddress, careOfAddress, lifetimeSeconds, flags, source, sourcePort, verdict } = act;
    const nonce = this.bench.state.replay.get(OTHER)?.nonce;
    const isNonce = homeAddress === OTHER_HOA && nonce !== undefined;
    const input = this.bench.input({
      ...{ homeAddress, careOfAddress, lifetimeSeconds, flags, extensions: act.extensions },
      ...{ arrival: { source, sourcePort }, verdicts: [verdict], nonce: this.sent.length },
      ...(isNonce ? { identification: { high: nonce, low: this.sent.length } } : {}),
    });
    this.sent.push(input);
    return this.bench.step(input);
  }

  keep(effects: readonly HomeAgentEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "reply") this.replies.push(effect);
      if (effect.kind === "data-path") this.asked.push(effect.path);
      if (effect.kind === "data-path-removed") this.asked.push(effect);
    }
  }
}

/** What must be true after each step. */
function check({ bench }: Run, effects: readonly HomeAgentEffect[]): void {
  const paths = [...dataPaths(bench.state)];
  const homes = paths.map(({ homeAddress }) => homeAddress);
  if (new Set(homes).size < homes.length) throw new Error(`two nodes have ${homes}`);
  const prefixes = paths.flatMap((path) => path.prefixes.map(({ prefix }) => prefix));
  for (const [i, one] of prefixes.entries()) {
    if (prefixes.some((other, j) => j > i && prefixesOverlap(one, other))) throw new Error(`overlap: ${one.address}`);
  }
  for (const { egress, node, prefixes: own, linkLocalAddress } of paths) {
    if (bench.state.ownership.nodeAt(egress.address) !== undefined || egress.address === HA)
      throw new Error(`${node} is tunnelled to ${egress.address}`);
    if (node === NODE && linkLocalAddress !== undefined) throw new Error("a link-local address");
    if (node === NODE && own.some(({ prefix }) => !/^2001:db8:([56]|f000:.*)::$/.test(prefix.address)))
      throw new Error("not its own");
  }
  for (const effect of effects) {
    if (effect.kind !== "reply") continue;
    const { code, lifetimeSeconds, extensions: list } = effect.reply;
    if (code > 1 && lifetimeSeconds > 0) throw new Error(`refused for ${lifetimeSeconds} s`);
    if (code > 1 && list.some(({ kind }) => kind === "ipv6-prefix-reply")) throw new Error("prefixes of a refusal");
    if (list.filter(({ kind }) => kind === "mobile-home-authentication").length !== 1)
      throw new Error("not signed once");
  }
}

t.test("V4-4.2-01: any order of requests, answers of the kernel and time", (t) => {
  const property = fc.property(fc.array(acts, { minLength: 5, maxLength: 60 }), (list) => {
    const run = new Run();
    for (const act of list) {
      const effects = run.act(act);
      run.keep(effects);
      check(run, effects);
    }
    // Everything ends: with the kernel's answers and time nothing is left, but what has no end.
    run.bench.wait(70_000);
    run.bench.step({ kind: "timer" });
    run.bench.wait(10);
    run.bench.step({ kind: "timer" });
    for (const entry of run.bench.state.table.entries()) {
      if (entry.established?.expiresAt !== undefined || entry.state !== "established") throw new Error(entry.state);
    }
  });
  fc.assert(property, { numRuns: 600 });
  t.pass("no step has thrown");
  t.end();
});
