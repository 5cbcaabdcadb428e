/**
 * Any order of tests, updates good and bad, answers of the kernel, timers and restarts: never an exception, and no binding that was not proved.
 */
import fc from "fast-check";
import t from "tap";
import { type Ipv6Address, ipv6 } from "../../../../../controller/base/ip.js";
import { elapsed } from "../../../../../controller/base/time.js";
import type { CorrespondentNodeEffect } from "../../../../../controller/protocol/mip6/correspondent-node/inputs.js";
import {
  correspondentPaths,
  correspondentViews,
  nextDeadline,
} from "../../../../../controller/protocol/mip6/correspondent-node/machine.js";
import { decodeMobilityMessage } from "../../../../../controller/wire/mip6/messages/mobility-header.js";
import {
  arrivalFrom,
  COA,
  CorrespondentWorld,
  HOA,
  OTHER_COA,
  readInput,
  SELF,
  type Token,
  updateInput,
} from "../../../../lib/correspondent-node.js";
import { randomRuns } from "../../../../lib/random-runs.js";
import { messages } from "../../../../lib/wire-arbitraries.js";

const HOMES = [HOA, ipv6("2001:db8:1::11"), ipv6("2001:db8:1::12"), ipv6("2001:db8:1:dead::1")] as const;
const CARE_OFS = [COA, OTHER_COA, ipv6("2001:db8:5::1")] as const;

const home = fc.nat(HOMES.length - 1);
const careOf = fc.nat(CARE_OFS.length - 1);
const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("test" as const), home, careOf }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("update" as const),
      ...{ home, careOf, tokensOf: home, careOfTokensOf: careOf },
      sequence: fc.nat(40),
      seconds: fc.constantFrom(0, 4, 60, 420, 262_140),
      flip: fc.option(fc.nat(8 * 32 - 1)),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("message" as const), message: messages() }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("pass" as const), seconds: fc.constantFrom(0.5, 3, 31, 100, 241, 421) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("kernel" as const),
      kernel: fc.constantFrom("takes" as const, "refuses" as const, "is silent" as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), home }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
);
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

class Run {
  world = new CorrespondentWorld({ maximumBindings: 2, whenFull: "oldest" });
  readonly #homeTokens = new Map<Ipv6Address, Token>();
  readonly #careOfTokens = new Map<Ipv6Address, Token>();
  /** "home care-of" for which both tests were done and an untouched update was sent. */
  readonly #proved = new Set<string>();

  do(one: Command): void {
    this.#do(one);
    this.#check();
  }

  #do(one: Command): void {
    const { world } = this;
    switch (one.do) {
      case "test":
        this.#test(HOMES[one.home] ?? HOA, CARE_OFS[one.careOf] ?? COA);
        return;
      case "update":
        this.#update(one);
        return;
      case "message": {
        const { message } = one;
        const arrival = arrivalFrom(HOA, COA);
        if (message.type === "home-test-init" || message.type === "care-of-test-init")
          world.give({ kind: "test-init", message, arrival: arrivalFrom(HOA) });
        // Whatever stands in its authenticator.
        else if (message.type === "binding-update")
          world.give({ kind: "update", message, arrival, covered: new Uint8Array(60) });
        else world.give({ kind: "message", message, arrival });
        return;
      }
      case "pass":
        world.pass(one.seconds);
        world.give({ kind: "timer" });
        return;
      case "kernel":
        world.kernel = one.kernel;
        return;
      case "remove":
        world.give({ kind: "remove", homeAddress: HOMES[one.home] ?? HOA, self: SELF, reason: "wanted" });
        return;
      case "restart":
        this.#restart();
    }
  }

  #test(homeAddress: Ipv6Address, careOf: Ipv6Address): void {
    const world = this.world;
    if (homeAddress !== HOMES[3]) this.#homeTokens.set(homeAddress, world.test("home-test-init", homeAddress));
    this.#careOfTokens.set(careOf, world.test("care-of-test-init", careOf));
  }

  #update(one: Extract<Command, { do: "update" }>): void {
    const homeAddress = HOMES[one.home] ?? HOA;
    const careOf = CARE_OFS[one.careOf] ?? COA;
    const own = HOMES[one.tokensOf] ?? HOA;
    const at = CARE_OFS[one.careOfTokensOf] ?? COA;
    const nothing = { index: 1, token: new Uint8Array(8) };
    const [homeToken, careOfToken] = [this.#homeTokens.get(own), this.#careOfTokens.get(at)];
    const isProved = own === homeAddress && at === careOf && homeToken !== undefined && careOfToken !== undefined;
    if (isProved && one.flip === null) this.#proved.add(`${homeAddress} ${careOf}`);
    const input = readable({
      ...{ homeAddress, careOf, sequence: one.sequence, seconds: one.seconds },
      ...{ home: homeToken ?? nothing, careOfToken: careOfToken ?? nothing },
      // Of what the authenticator covers or is, not of the checksum, which the kernel looks at.
      tamper: (octets) => {
        if (one.flip === null) return;
        const octet = Math.min(Math.max(6, one.flip >> 3), octets.length - 1);
        octets[octet] = (octets[octet] ?? 0) ^ (1 << (one.flip & 7));
      },
    });
    if (input !== undefined) this.world.give(input);
  }

  #restart(): void {
    const records = [...lastRecords(this.world.effects).values()].map((record) => ({ record, ageSeconds: 1 }));
    const { now } = this.world;
    this.world = new CorrespondentWorld({ maximumBindings: 2, whenFull: "oldest" });
    this.world.now = now;
    this.world.pass(1);
    // As if the index had been drawn anew.
    this.#homeTokens.clear();
    this.#careOfTokens.clear();
    this.world.give({ kind: "restore", records });
  }

  #check(): void {
    const { state, now } = this.world;
    for (const { homeAddress, ipv6, former } of correspondentPaths(state))
      for (const address of [ipv6?.careOf, ...former])
        if (!this.#proved.has(`${homeAddress} ${address}`))
          throw new Error(`${homeAddress} at ${address} is not proved`);
    for (const view of correspondentViews(state, now)) {
      if (view.lifetimeSeconds > 420 || view.remainingSeconds > view.lifetimeSeconds) throw new Error("too long");
      if (view.homeAddress === HOMES[3]) throw new Error("not allowed");
    }
    if (state.cache.bound > 2 || state.cache.size > 4) throw new Error(`${state.cache.size} entries`);
    const due = nextDeadline(state);
    if (state.cache.size > 0 && due === undefined) throw new Error("an entry without an end");
    if (due !== undefined && elapsed(now, due) > 421) throw new Error("too late a deadline");
  }
}

/** Undefined: what was changed is no update any more. */
function readable(choices: Parameters<typeof updateInput>[0]): ReturnType<typeof updateInput> | undefined {
  try {
    return updateInput(choices);
  } catch {
    return undefined;
  }
}

function lastRecords(
  effects: readonly CorrespondentNodeEffect[],
): ReadonlyMap<string, Readonly<Record<string, unknown>>> {
  const records = new Map<string, Readonly<Record<string, unknown>>>();
  for (const effect of effects) {
    if (effect.kind !== "journal") continue;
    if (effect.record === null) records.delete(effect.key);
    else records.set(effect.key, effect.record);
  }
  return records;
}

t.test(
  "F6275-9.1-01 F6275-5.2.6-01: any sequence of inputs keeps the rules: no entry that is not proved, allowed and bounded",
  (t) => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60, size: "max" }), (commands) => {
        const run = new Run();
        for (const one of commands) run.do(one);
        run.world.kernel = "takes";
        for (let i = 0; i < 3; i++) {
          run.world.pass(430);
          run.world.give({ kind: "timer" });
        }
        if (run.world.state.cache.size !== 0) throw new Error("something is left for ever");
      }),
      randomRuns(1000),
    );
    t.end();
  },
);

t.test("any octets in the place of an update make no entry and no exception", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(31), (noise, at) => {
      const world = new CorrespondentWorld();
      let good = new Uint8Array();
      updateInput({
        ...world.tokens(),
        sequence: 1,
        tamper: (signed) => {
          good = signed.slice();
        },
      });
      const octets = good.slice();
      octets.set(noise.subarray(0, octets.length - at), at);
      const read = decodeMobilityMessage(octets);
      if (!read.ok || read.value.type !== "binding-update") return;
      world.give(readInput(octets, arrivalFrom(HOA, COA)));
      // All but the checksum.
      const isUntouched = octets.every((octet, i) => octet === good[i] || i === 4 || i === 5);
      if (isUntouched !== world.state.cache.size > 0) throw new Error(`${world.state.cache.size} entries`);
    }),
    randomRuns(1000),
  );
  t.end();
});
