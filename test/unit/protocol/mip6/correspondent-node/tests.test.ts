/** Home and care-of tests at a correspondent. */
import t from "tap";
import { type Ipv6Address, ipv6 } from "../../../../../controller/base/ip.js";
import type { CorrespondentNodeInput } from "../../../../../controller/protocol/mip6/correspondent-node/inputs.js";
import { arrivalFrom, COA, CorrespondentWorld, drops, HOA, sends } from "../../../../lib/correspondent-node.js";

const init = (
  type: "home-test-init" | "care-of-test-init",
  source: Ipv6Address,
  careOf?: Ipv6Address,
  destination?: Ipv6Address,
): CorrespondentNodeInput => ({
  kind: "test-init",
  message: { type, cookie: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), options: [] },
  arrival: arrivalFrom(source, careOf, destination),
});

t.test("both tests are answered to where they come from, with their cookie, and nothing is kept (RO-6.4-01)", (t) => {
  const world = new CorrespondentWorld();
  for (const [type, answer, source] of [
    ["home-test-init", "home-test", HOA],
    ["care-of-test-init", "care-of-test", COA],
  ] as const) {
    const [sent, ...others] = sends(world.give(init(type, source)));
    t.strictSame(others, []);
    t.match(sent, {
      message: { type: answer, nonceIndex: 100, cookie: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
      ...{ destination: source, departure: { type: "native-direct" } },
    });
  }
  t.equal(world.state.cache.size, 0);
  t.end();
});

t.test("F6275-9.4.1-01: one with a Home Address option is ignored", (t) => {
  const world = new CorrespondentWorld();
  for (const type of ["home-test-init", "care-of-test-init"] as const) {
    const effects = world.give(init(type, HOA, COA));
    t.strictSame([sends(effects), drops(effects)], [[], ["unexpected-type"]], type);
  }
  t.end();
});

t.test("who is not allowed, or is nobody, gets no answer", (t) => {
  const world = new CorrespondentWorld();
  const asks: readonly (readonly [string, Ipv6Address, Ipv6Address | undefined, string])[] = [
    ["of a prefix that nobody names", ipv6("2001:db8:9::1"), undefined, "not-permitted"],
    ["of a denied prefix within an allowed one", ipv6("2001:db8:1:dead::1"), undefined, "not-permitted"],
    ["link-local", ipv6("fe80::1"), undefined, "wrong-source"],
    ["our own address", ipv6("2001:db8:3::30"), undefined, "wrong-source"],
    ["to another address of this machine", HOA, ipv6("2001:db8:3::31"), "wrong-destination"],
  ];
  for (const [what, source, destination, reason] of asks) {
    const effects = world.give(init("home-test-init", source, undefined, destination));
    t.strictSame([sends(effects), drops(effects)], [[], [reason]], what);
  }
  t.end();
});

t.test("a flood gets so many answers and no more, and leaves nothing behind", (t) => {
  const world = new CorrespondentWorld();
  let answered = 0;
  for (let i = 0; i < 10_000; i++)
    answered += sends(world.give(init("care-of-test-init", ipv6(`2001:db8:2::${(i + 1).toString(16)}`)))).length;
  t.equal(answered, 4000);
  world.pass(1);
  t.equal(sends(world.give(init("care-of-test-init", COA))).length, 1);
  t.equal(world.state.cache.size, 0);
  t.end();
});
