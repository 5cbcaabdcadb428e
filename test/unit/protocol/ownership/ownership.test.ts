import t from "tap";
import { ipv4, ipv6, type Prefix, parsePrefix } from "../../../../controller/base/ip.js";
import { findOverlap } from "../../../../controller/base/prefix-table.js";
import { Ownership } from "../../../../controller/protocol/ownership/ownership.js";

const prefix = (text: string): Prefix => parsePrefix(text) as Prefix;
const A = ipv6("2001:db8:1::a");
const B = ipv6("2001:db8:1::b");

interface Given {
  readonly a?: readonly string[];
  readonly b?: readonly string[];
  readonly pool?: readonly string[];
}

const ownership = ({ a = [], b = [], pool = [] }: Given): Ownership =>
  new Ownership({
    nodes: [
      { homeAddress: A, ipv4HomeAddress: ipv4("192.0.2.10"), prefixes: a.map(prefix) },
      { homeAddress: B, prefixes: b.map(prefix) },
    ],
    pool: pool.map(prefix),
    reserved: [ipv6("2001:db8:1::1"), ipv4("203.0.113.1")],
  });

t.test("home addresses and networks of both families have one owner each", async (test) => {
  const owners = ownership({ a: ["2001:db8:100::/56", "10.1.0.0/24"], b: ["2001:db8:101::/64", "10.1.1.0/29"] });
  test.equal(owners.nodeAt(A), A);
  test.equal(owners.nodeAt(ipv4("192.0.2.10")), A);
  test.equal(owners.nodeAt(ipv6("2001:db8:100::1")), undefined);
  test.equal(owners.routerTo(ipv6("2001:db8:100:ff::1")), A);
  test.equal(owners.routerTo(ipv6("2001:db8:100:100::1")), undefined);
  test.equal(owners.routerTo(ipv4("10.1.0.255")), A);
  test.equal(owners.routerTo(ipv4("10.1.1.7")), B);
  test.equal(owners.routerTo(ipv4("10.1.1.8")), undefined);
  test.equal(owners.routerTo(A), undefined);
});

t.test("nothing belongs to two, whichever is the longer one", async (test) => {
  const refused: readonly Given[] = [
    { a: ["2001:db8:100::/56"], b: ["2001:db8:100::/56"] },
    { a: ["2001:db8:100::/56"], b: ["2001:db8:100:1::/64"] },
    { a: ["2001:db8:100:1::/64"], b: ["2001:db8:100::/40"] },
    { a: ["2001:db8:100::/56", "2001:db8:100::/57"] },
    { a: ["10.1.0.0/24"], b: ["10.0.0.0/8"] },
    { b: ["2001:db8:1::a/128"] },
    { b: ["2001:db8:1::/64"] },
    { b: ["192.0.2.0/28"] },
    { a: ["203.0.113.0/24"] },
    { a: ["198.51.100.0/28"], pool: ["198.51.100.0/24"] },
  ];
  for (const given of refused)
    test.throws(() => ownership(given), { code: "MIP_INVARIANT", message: /overlap/ }, JSON.stringify(given));
  test.doesNotThrow(() => ownership({ a: ["2001:db8:100::/57"], b: ["2001:db8:100:80::/57"] }));
});

t.test("an overlap is told in the order of what is given, however far apart they stand", async (test) => {
  const list = ["2001:db8:9::/48", "2001:db8:100::/40", "::/96", "2001:db8:1ff::/64", "10.0.0.0/8"].map((text) => ({
    prefix: prefix(text),
    text,
  }));
  test.strictSame(
    findOverlap(list)?.map(({ text }) => text),
    ["2001:db8:100::/40", "2001:db8:1ff::/64"],
  );
  test.equal(findOverlap(list.filter(({ text }) => !text.includes("1ff"))), undefined);
  const many = Array.from({ length: 40_000 }, (_, i) => ({ prefix: prefix(`10.${i >> 8}.${i & 255}.0/24`) }));
  test.equal(findOverlap(many.slice(0, 60_000 / 2)), undefined);
});
