/** The order of home agents: priority, weight by lot, and the next one after a silence. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../../../controller/base/ip.js";
import { instant } from "../../../../../../controller/base/time.js";
import {
  candidatesOf,
  orderServices,
  publicationFault,
  type ServiceRecord,
} from "../../../../../../controller/protocol/mip6/mobile-node/discovery/candidates.js";
import { nextCandidate } from "../../../../../../controller/protocol/mip6/mobile-node/discovery/choice.js";

const service = (priority: number, weight: number, target: string): ServiceRecord => ({ priority, weight, target });

t.test("R5555-2.1-06: the lowest priority comes first, whatever the weights", async (test) => {
  const records = [service(20, 100, "c"), service(10, 0, "b"), service(5, 1, "a"), service(1, 9, "")];
  test.strictSame(
    orderServices(records, () => 0.5),
    ["a", "b", "c"],
    "and the root is no home agent",
  );
});

t.test("R5555-2.1-06: among equals each is the first as often as its weight says (RFC 2782)", async (test) => {
  const records = [service(0, 30, "thirty"), service(0, 60, "sixty"), service(0, 0, "none"), service(0, 10, "ten")];
  const first = new Map<string, number>();
  const draws = 1010;
  for (let draw = 0; draw < draws; draw++) {
    const [target = ""] = orderServices(records, () => draw / draws);
    first.set(target, (first.get(target) ?? 0) + 1);
  }
  // Of the 101 numbers from 0 to 100 one is the weightless one's.
  test.strictSame(Object.fromEntries(first), { none: 10, ten: 100, thirty: 300, sixty: 600 });
  test.equal(orderServices(records, () => 0.999).length, 4, "none is left out");
  test.equal(
    orderServices(
      Array.from({ length: 500 }, (_, i) => service(i, 0, `h${i}`)),
      () => 0,
    ).length,
    16,
  );
});

t.test("addresses that are none, and those that stand twice, are passed over", async (test) => {
  const [one, two] = [ipv6("2001:db8::1"), ipv6("2001:db8::2")];
  const names = [
    { name: "a", ipv6: [ipv6("fe80::1"), one, ipv6("::1")], ipv4: [ipv4("127.0.0.1"), ipv4("192.0.2.1")] },
    { name: "b", ipv6: [one, two], ipv4: [] },
    { name: "c", ipv6: [], ipv4: [ipv4("192.0.2.3")] },
  ];
  test.strictSame(candidatesOf(names), [
    { ipv6: one, ipv4: "192.0.2.1", name: "a" },
    { ipv6: two, ipv4: undefined, name: "b" },
  ]);
});

t.test("R5555-2.1-03: who is half published is told", async (test) => {
  const [six, four] = [[ipv6("2001:db8::1")], [ipv4("192.0.2.1")]];
  test.equal(publicationFault({ name: "a", ipv6: six, ipv4: four }), undefined);
  test.match(publicationFault({ name: "a", ipv6: six, ipv4: [] }), /^a has no A record/);
  test.match(publicationFault({ name: "a", ipv6: [], ipv4: four }), /^a has no AAAA record/);
  test.match(publicationFault({ name: "a", ipv6: [], ipv4: [] }), /neither/);
  test.match(publicationFault({ name: "a", ipv6: six, ipv4: undefined }), /no name server has answered for a \(A\)/);
});

t.test("after one that is silent comes the best that has not failed, else the one that failed first", async (test) => {
  const [a, b, c] = [1, 2, 3].map((n) => ({ ipv6: ipv6(`2001:db8::${n}`), name: `${n}` })) as [never, never, never];
  const failed = new Map<unknown, number>();
  const next = (present: never) =>
    nextCandidate([a, b, c], present, (one) => {
      const at = failed.get(one);
      return at === undefined ? undefined : instant(at);
    });
  test.equal(next(a), b);
  test.equal(next(b), a);
  failed.set(a, 1).set(b, 2);
  test.equal(next(b), c);
  failed.set(c, 3);
  test.equal(next(c), a);
  test.equal(
    nextCandidate([a], a, () => undefined),
    undefined,
  );
});
