/**
 * With the route optimisation draft: any order of tests, updates good and bad from places of both families, answers of the kernel, timers and
 * restarts. Never an exception, and no way for a home address that was not proved for it at that place.
 */
import fc from "fast-check";
import t from "tap";
import { ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import {
  correspondentPaths,
  correspondentViews,
  nextDeadline,
} from "../../../../../controller/protocol/mip6/correspondent-node/machine.js";
import { type Reach, sameReach } from "../../../../../controller/protocol/mip6/return-routability/modes.js";
import { HOA, SELF, type Token } from "../../../../lib/correspondent-node.js";
import {
  AT_V4,
  AT_V6,
  BEHIND_NAT,
  DraftWorld,
  draftUpdate,
  HOA4,
  type Place,
} from "../../../../lib/correspondent-node-ipv4.js";
import { randomRuns } from "../../../../lib/random-runs.js";

const HOMES = [HOA, ipv6("2001:db8:1::11")] as const;
const HOMES4 = [HOA4, ipv4("198.51.100.11")] as const;
const PLACES: readonly Place[] = [
  AT_V6,
  { over: "ipv6", careOf: ipv6("2001:db8:5::1") },
  AT_V4,
  { ...AT_V4, over: "protocol-41" } as Place,
  BEHIND_NAT,
  { ...BEHIND_NAT, observed: { address: ipv4("203.0.113.77"), port: 31001 } } as Place,
];
const MODES = [undefined, 0, "ipv6-encapsulation", "mapped", "ipv4-encapsulation", "ipv4-udp"] as const;
const LIMIT = 3;

const bit = fc.nat(1);
const place = fc.nat(PLACES.length - 1);
const family = fc.constantFrom("ipv6" as const, "ipv4" as const, "both" as const);
const command = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("test" as const), place }) },
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constant("update" as const),
      ...{ home: bit, home4: bit, place, family, tokensOf: bit, tokensOf4: bit, careOfTokensOf: place },
      mode: fc.option(fc.nat(MODES.length - 1), { freq: 1 }),
      isHonest: fc.constantFrom(true, true, true, false),
      sequence: fc.nat(40),
      seconds: fc.constantFrom(0, 4, 60, 420),
      flip: fc.option(fc.nat(8 * 60 - 1), { freq: 1 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("pass" as const), seconds: fc.constantFrom(0.5, 3, 31, 241, 421) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("kernel" as const),
      kernel: fc.constantFrom("takes" as const, "refuses" as const, "is silent" as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), home: bit }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
);
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

const at = <A>(list: readonly A[], i: number): A => list[i % list.length] as A;
const reachName = (reach: Reach): string =>
  reach.via === "udp"
    ? `udp ${reach.careOf} ${reach.observed.address}:${reach.observed.port}`
    : `${reach.via} ${reach.careOf}`;
function nameOf(where: Place): string {
  if (where.over === "ipv6") return reachName({ via: "headers", careOf: where.careOf });
  const observed = where.observed ?? { address: where.careOf, port: 4191 };
  return reachName(
    where.over === "udp" ? { via: "udp", careOf: where.careOf, observed } : { via: "ipv4", careOf: where.careOf },
  );
}
/** Places that one test proves: the token of a test in UDP without a NAT serves protocol 41, too. */
const tokenPlace = (where: Place): string => nameOf(where.over === "ipv6" ? where : { ...where, over: "udp" });

class Run {
  world = Run.#world();
  readonly #homeTokens = new Map<string, Token>();
  readonly #careOfTokens = new Map<string, Token>();
  /** "home address, IPv4 home address or none, reach", for which untouched updates with both tokens were sent. */
  readonly #proved = new Set<string>();

  static #world(): DraftWorld {
    return new DraftWorld({}, { maximumBindings: LIMIT, whenFull: "oldest" });
  }

  do(one: Command): void {
    this.#do(one);
    this.#check();
  }

  #do(one: Command): void {
    const { world } = this;
    if (one.do === "test") this.#test(one);
    else if (one.do === "update") this.#update(one);
    else if (one.do === "pass") {
      world.pass(one.seconds);
      world.give({ kind: "timer" });
    } else if (one.do === "kernel") world.kernel = one.kernel;
    else if (one.do === "remove")
      world.give({ kind: "remove", homeAddress: at(HOMES, one.home), self: SELF, reason: "wanted" });
    else this.#restart();
  }

  /** Of all home addresses, and of one place. */
  #test({ place: where }: Extract<Command, { do: "test" }>): void {
    const there = at(PLACES, where);
    for (const six of HOMES) {
      this.#homeTokens.set(six, this.world.homeToken(six));
      for (const four of HOMES4) this.#homeTokens.set(`${six} ${four}`, this.world.homeToken(six, four));
    }
    this.#careOfTokens.set(tokenPlace(there), this.world.careOfToken(there));
  }

  #update(one: Extract<Command, { do: "update" }>): void {
    const [six, four, there] = [at(HOMES, one.home), at(HOMES4, one.home4), at(PLACES, one.place)];
    const nothing: Token = { index: 1, token: new Uint8Array(8) };
    const ofHome = one.isHonest ? six : at(HOMES, one.tokensOf);
    const ofHome4 = one.isHonest ? four : at(HOMES4, one.tokensOf4);
    const ofPlace = one.isHonest ? there : at(PLACES, one.careOfTokensOf);
    const keys =
      one.family === "ipv6"
        ? [ofHome]
        : one.family === "ipv4"
          ? [`${ofHome} ${ofHome4}`]
          : [ofHome, `${ofHome} ${ofHome4}`];
    const homes = keys.map((key) => this.#homeTokens.get(key));
    const careOfToken = this.#careOfTokens.get(tokenPlace(ofPlace));
    const natural = there.over === "ipv6" ? 2 : there.over === "udp" ? 5 : 4;
    const isProved =
      ofHome === six && (one.family === "ipv6" || ofHome4 === four) && tokenPlace(ofPlace) === tokenPlace(there);
    if (isProved && one.flip === null && careOfToken !== undefined && homes.every((token) => token !== undefined)) {
      if (one.family !== "ipv4") this.#proved.add(`${six} none ${nameOf(there)}`);
      if (one.family !== "ipv6") this.#proved.add(`${six} ${four} ${nameOf(there)}`);
    }
    const input = draftUpdate({
      ...{ place: there, homeAddress: six, sequence: one.sequence, seconds: one.seconds },
      ...(one.family !== "ipv6" && { ipv4HomeAddress: four }),
      mode: one.mode === null ? MODES[natural] : MODES[one.mode],
      homes: homes.map((token) => token ?? nothing),
      careOfToken: careOfToken ?? nothing,
      tamper: (octets) => {
        if (one.flip === null) return;
        const octet = Math.min(Math.max(6, one.flip >> 3), octets.length - 1);
        octets[octet] = (octets[octet] ?? 0) ^ (1 << (one.flip & 7));
      },
    });
    if (input !== undefined) this.world.give(input);
  }

  #restart(): void {
    this.#count();
    const last = new Map<string, Readonly<Record<string, unknown>> | null>();
    for (const effect of this.world.effects) if (effect.kind === "journal") last.set(effect.key, effect.record);
    const records = [...last.values()].flatMap((record) => (record === null ? [] : [{ record, ageSeconds: 1 }]));
    const { now } = this.world;
    this.world = Run.#world();
    this.world.now = now;
    this.world.pass(1);
    this.#homeTokens.clear();
    this.#careOfTokens.clear();
    this.world.give({ kind: "restore", records });
  }

  #boundBefore = 0;

  /** Bindings that were made. */
  get bound(): number {
    this.#count();
    return this.#boundBefore;
  }

  #count(): void {
    for (const effect of this.world.effects)
      if (effect.kind === "notify" && /accepted|moved/.test(effect.event.event)) this.#boundBefore++;
  }

  #check(): void {
    const { state, now } = this.world;
    const taken = new Set<string>();
    for (const { homeAddress, ipv6: six, ipv4: four } of correspondentPaths(state)) {
      if (six !== undefined && !this.#proved.has(`${homeAddress} none ${reachName(six)}`))
        throw new Error(`${homeAddress} at ${reachName(six)} is not proved`);
      if (four !== undefined && !this.#proved.has(`${homeAddress} ${four.homeAddress} ${reachName(four.reach)}`))
        throw new Error(`${four.homeAddress} of ${homeAddress} at ${reachName(four.reach)} is not proved`);
      if (six !== undefined && four !== undefined && !sameReach(six, four.reach))
        throw new Error("two ways for one pair");
      if (four !== undefined && taken.has(four.homeAddress)) throw new Error(`${four.homeAddress} is in two places`);
      if (four !== undefined) taken.add(four.homeAddress);
    }
    for (const view of correspondentViews(state, now))
      if (view.lifetimeSeconds > 420 || view.remainingSeconds > view.lifetimeSeconds) throw new Error("too long");
    if (state.cache.bound > LIMIT || state.cache.size > 2 * LIMIT) throw new Error(`${state.cache.size} entries`);
    if (state.cache.size > 0 && nextDeadline(state) === undefined) throw new Error("an entry without an end");
  }
}

t.test("RO-8-01 RO-7.1.2-06 RO-7.1.2-07: whatever happens, no home address goes where it was not proved", (t) => {
  let bound = 0;
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60, size: "max" }), (commands) => {
      const run = new Run();
      for (const one of commands) run.do(one);
      bound += run.bound;
    }),
    randomRuns(300),
  );
  t.ok(bound > 200, `${bound} bindings, or else nothing was looked at`);
  t.end();
});
