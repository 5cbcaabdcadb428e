import fc from "fast-check";
import t from "tap";
import {
  familyOf,
  formatPrefix,
  ipv4,
  ipv6,
  type Prefix,
  parsePrefix,
  prefixesOverlap,
} from "../../../../controller/base/ip.js";
import { LentNetworks, type NetworkPool } from "../../../../controller/protocol/ownership/lent-networks.js";
import { PrefixPool } from "../../../../controller/protocol/ownership/prefix-pool.js";

const prefix = (text: string): Prefix => parsePrefix(text) as Prefix;
const node = (i: number) => ipv6(`2001:db8:1:${(i >> 16).toString(16)}::${(i & 0xffff).toString(16)}`);
const SILENT = { lent: () => undefined, givenBack: () => undefined };
const POOL: NetworkPool = {
  prefixes: [prefix("10.64.0.0/26"), prefix("2001:db8:200::/54")],
  lengths: { ipv4: [28, 30], ipv6: [56, 64] },
  mostPerNode: 3,
};

t.test("space that is given back is whole again, whatever was taken of it", async (test) => {
  const lengths = fc.array(fc.integer({ min: 8, max: 24 }), { maxLength: 60 });
  fc.assert(
    fc.property(lengths, fc.infiniteStream(fc.nat()), (wanted, choices) => {
      const pool = new PrefixPool([prefix("10.0.0.0/12")]);
      const taken: Prefix[] = [];
      for (const length of wanted) {
        const found = pool.take(length);
        if (found !== undefined) {
          if (found.length !== length || taken.some((one) => prefixesOverlap(one, found))) return false;
          taken.push(found);
        }
        const [choice] = choices.next().value === undefined ? [0] : [taken.length];
        if ((choices.next().value ?? 0) % 3 === 0 && choice > 0) {
          const [back] = taken.splice((choices.next().value ?? 0) % taken.length, 1);
          if (back !== undefined) pool.give(back);
        }
      }
      for (const one of taken) pool.give(one);
      return formatPrefix(pool.take(12) ?? prefix("::/0")) === "10.0.0.0/12";
    }),
    { seed: 5555, numRuns: 300 },
  );
  test.pass();
});

t.test("a prefix can be taken by name, once, and not beside what it overlaps", async (test) => {
  const pool = new PrefixPool([prefix("2001:db8:200::/40"), prefix("10.0.0.0/30")]);
  test.ok(pool.takeThis(prefix("2001:db8:2ff:100::/56")));
  test.notOk(pool.takeThis(prefix("2001:db8:2ff:100::/56")));
  test.notOk(pool.takeThis(prefix("2001:db8:2ff:180::/64")));
  test.notOk(pool.takeThis(prefix("2001:db8:200::/40")));
  test.notOk(pool.takeThis(prefix("2001:db8:300::/56")), "not of the pool");
  pool.give(prefix("2001:db8:2ff:100::/56"));
  test.ok(pool.takeThis(prefix("2001:db8:200::/40")));
});

t.test("R5555-4.5-07: no network is two nodes' at once, whatever they ask for, give back and restart", async (test) => {
  const action = fc.record({
    who: fc.nat({ max: 11 }),
    wanted: fc.array(fc.tuple(fc.constantFrom(4 as const, 6 as const), fc.integer({ min: 20, max: 64 })), {
      maxLength: 4,
    }),
    keeps: fc.boolean(),
    visits: fc.option(fc.nat({ max: 63 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
      const forwarded = new Map<string, string>();
      let lent = new LentNetworks(POOL, {
        lent: (one, by) => void forwarded.set(formatPrefix(one), by),
        givenBack: (one) => void forwarded.delete(formatPrefix(one)),
      });
      actions.forEach(({ who, wanted, keeps, visits }, turn) => {
        const careOf = visits === undefined ? [] : [ipv4(`10.64.0.${visits}`)];
        const selection = lent.select(node(who), careOf);
        for (const [family, length] of wanted) {
          const found = selection.any(family, length);
          if (typeof found === "string") continue;
          if (familyOf(found.address) !== family) throw new Error("of the other family");
        }
        if (!keeps) selection.abandon();
        for (const one of lent.leasesOf(node(who))) if (!selection.chosen.includes(one)) lent.release(node(who), one);
        lent.setCareOf(node(who), careOf);
        if (turn % 40 === 39) {
          const kept = Array.from({ length: 12 }, (_, i) => [node(i), lent.leasesOf(node(i))] as const);
          lent = new LentNetworks(POOL, SILENT);
          for (const [by, list] of kept)
            for (const one of list) if (!lent.restore(by, one)) throw new Error(`${formatPrefix(one)} is lost`);
        }
        const all = Array.from({ length: 12 }, (_, i) => lent.leasesOf(node(i)));
        if (all.some((list) => list.length > POOL.mostPerNode)) throw new Error("too many");
        const flat = all.flat();
        flat.forEach((one, i) => {
          if (!POOL.prefixes.some((pool) => prefixesOverlap(pool, one))) throw new Error("not of the pool");
          if (flat.some((other, j) => i !== j && prefixesOverlap(one, other))) throw new Error("lent twice");
        });
      });
      return true;
    }),
    { seed: 5555, numRuns: 300 },
  );
  test.pass();
});

t.test("the wanted length, or the nearest that the pool has: rather a larger network", async (test) => {
  const lent = new LentNetworks(POOL, SILENT);
  const selection = lent.select(node(1), []);
  const got = [29, 30, 64].map((length) => selection.any(length === 64 ? 6 : 4, length));
  test.strictSame(
    got.map((one) => (typeof one === "string" ? one : one.length)),
    [28, 30, 64],
  );
  test.equal(selection.any(4, 30), "too-many");
  const other = lent.select(node(2), []).any(4, 8);
  test.match(other, { length: 28 }, "the largest there is");
});

t.test(
  "what a node gave back is its own again, until the space is needed; then the longest unused goes first",
  async (test) => {
    const lent = new LentNetworks({ ...POOL, lengths: { ipv4: [28], ipv6: [] } }, SILENT);
    const one = (i: number): string => {
      const found = lent.select(node(i), []).any(4, 28);
      return typeof found === "string" ? found : formatPrefix(found);
    };
    const giveBack = (i: number): void => {
      for (const lease of lent.leasesOf(node(i))) lent.release(node(i), lease);
    };
    const first = one(1);
    const second = one(2);
    giveBack(1);
    giveBack(2);
    const third = one(3);
    test.notOk([first, second].includes(third), "unused ones go first");
    test.equal(one(1), first);
    giveBack(1);
    one(4);
    test.equal(one(5), second, "the longest unused");
    test.equal(one(6), first);
    test.equal(one(7), "none-free");
    test.equal(one(2), "none-free");
  },
);

t.test("a network in which somebody is, the node itself before all, is not lent", async (test) => {
  const only = { ...POOL, prefixes: [prefix("10.64.0.0/28")], lengths: { ipv4: [28], ipv6: [] } };
  const lent = new LentNetworks(only, SILENT);
  const at = ipv4("10.64.0.5");
  test.equal(lent.select(node(1), [at]).any(4, 28), "none-free");
  lent.setCareOf(node(2), [at]);
  test.equal(lent.select(node(1), []).any(4, 28), "none-free");
  lent.setCareOf(node(3), [at]);
  lent.setCareOf(node(2), []);
  lent.setCareOf(node(2), []);
  lent.setCareOf(node(2), [ipv4("192.0.2.1")]);
  test.equal(lent.select(node(1), []).any(4, 28), "none-free", "who has left has left once; the other one is there");
  lent.setCareOf(node(3), []);
  test.match(lent.select(node(1), []).any(4, 28), { length: 28 });
});

t.test(
  "a storm on a full pool, and on one of 16 million addresses, costs each update the same few steps",
  async (test) => {
    const big = { ...POOL, prefixes: [prefix("10.0.0.0/8")], lengths: { ipv4: [24], ipv6: [] } };
    let changes = 0;
    const lent = new LentNetworks(big, { lent: () => void changes++, givenBack: () => void changes++ });
    const got = new Set<string>();
    for (let i = 0; i < 70_000; i++) {
      const found = lent.select(node(i), []).any(4, 24);
      if (typeof found !== "string") got.add(formatPrefix(found));
    }
    test.equal(got.size, 65_536);
    test.equal(changes, 65_536, "nothing is passed from one to another");
  },
);

t.test(
  "what rests under a node's name nobody else can name; what was delegated to it is delegated to others",
  (test) => {
    const delegated = { delegated: true };
    const lent = new LentNetworks(POOL, SILENT);
    const found = lent.select(node(1), []).any(6, 64);
    if (typeof found === "string") throw new Error(found);
    for (const how of [{}, delegated]) test.equal(lent.restore(node(2), found, how), false, "not while it is in use");
    lent.release(node(1), found);
    for (const how of [{}, delegated]) test.equal(lent.restore(node(2), found, how), false, "nor while it rests");
    test.equal(lent.restore(node(1), found, delegated), true, "whose it is has it back");
    lent.release(node(1), found);
    const other = { ...found, address: ipv6("2001:db8:200:177::") };
    test.equal(lent.restore(node(1), other, delegated), true);
    lent.release(node(1), other);
    test.equal(lent.restore(node(2), other), false, "who has nothing by DHCPv6 cannot name it");
    test.equal(lent.restore(node(2), other, delegated), true);
    test.strictSame(lent.formerOf(node(1)), [found]);
    test.equal(lent.restore(node(1), other, delegated), false);
    test.end();
  },
);
