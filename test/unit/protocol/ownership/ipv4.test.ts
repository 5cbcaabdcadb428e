/** Who owns an IPv4 home address: what is lent, given back, taken up again, and what can never be. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { Ipv4Ownership } from "../../../../controller/protocol/ownership/ipv4.js";

const [HOA, HOA_B, HOA_C] = [ipv6("2001:db8:1::a"), ipv6("2001:db8:1::b"), ipv6("2001:db8:1::c")];
const HOA4 = ipv4("192.0.2.10");
const [FIRST, SECOND] = [ipv4("192.0.2.129"), ipv4("192.0.2.130")];

/** A pool of two host addresses; HOA has one of its own outside it. */
const small = () =>
  new Ipv4Ownership({
    own: [{ homeAddress: HOA, ipv4HomeAddress: HOA4 }],
    pool: [{ address: ipv4("192.0.2.128"), length: 30 }],
    reserved: [],
  });

t.test("an address that has been lent a second time is no free one any more, whoever had it before", async (test) => {
  const addresses = small();
  addresses.lease(HOA_B, FIRST);
  addresses.release(HOA_B);
  test.ok(addresses.mayUse(HOA_B, FIRST));
  addresses.lease(HOA_C, FIRST);
  test.notOk(addresses.mayUse(HOA_B, FIRST), "another node's now");
  test.equal(addresses.candidateFor(HOA_B), SECOND);
  addresses.lease(HOA_B, SECOND);
  test.equal(addresses.candidateFor(ipv6("2001:db8:1::f")), undefined, "the pool is empty");
});

t.test("what would give a node two addresses, or an address two nodes, is a bug and thrown", async (test) => {
  const addresses = small();
  const bug = { code: "MIP_INVARIANT", name: "InvariantError" };
  test.throws(() => addresses.lease(HOA, FIRST), bug, "it has its own");
  addresses.lease(HOA_B, FIRST);
  addresses.lease(HOA_B, FIRST);
  test.throws(() => addresses.lease(HOA_B, SECOND), bug, "it has another");
  test.throws(() => addresses.lease(HOA_C, FIRST), bug, "it is another node's");
  test.strictSame([addresses.ownerOf(FIRST), addresses.ownerOf(SECOND)], [HOA_B, undefined], "and nothing is changed");
});

t.test(
  "a journal's lease is taken up only where the address is the pool's, free, and the node has no other",
  async (test) => {
    const addresses = small();
    test.ok(addresses.canRestore(HOA_B, FIRST));
    test.ok(addresses.canRestore(HOA, HOA4), "its own");
    test.notOk(addresses.canRestore(HOA, FIRST), "the configuration gives it one of its own since");
    test.notOk(addresses.canRestore(HOA_B, HOA4), "a subscriber's own");
    addresses.lease(HOA_B, FIRST);
    test.ok(addresses.canRestore(HOA_B, FIRST), "what it has");
    test.notOk(addresses.canRestore(HOA_B, SECOND), "it has another");
    test.notOk(addresses.canRestore(HOA_C, FIRST), "lent to another node");
    test.ok(addresses.canRestore(HOA_C, SECOND));
    test.notOk(addresses.canRestore(HOA_C, ipv4("192.0.2.133")), "outside the pool");
  },
);

t.test("an address where somebody is reached is taken up from no journal", async (test) => {
  const addresses = small();
  addresses.setCareOf(HOA_C, [FIRST, SECOND]);
  test.notOk(addresses.canRestore(HOA_B, FIRST));
  addresses.setCareOf(HOA_C, [SECOND]);
  test.ok(addresses.canRestore(HOA_B, FIRST));
  addresses.setCareOf(HOA_B, [SECOND]);
  addresses.setCareOf(HOA_C, []);
  test.ok(addresses.isCareOf(SECOND), "the other one is there still");
  addresses.setCareOf(HOA_B, []);
  test.notOk(addresses.isCareOf(SECOND));
});

t.test(
  "the network and broadcast address of a home network are lent to nobody, whatever the pool is cut from",
  async (test) => {
    const edges = (pool: string, length: number) =>
      new Ipv4Ownership({
        own: [],
        pool: [{ address: ipv4(pool), length }],
        reserved: [],
        homePrefixes: [{ address: ipv4("192.0.2.0"), length: 24 }],
      });
    const last = edges("192.0.2.255", 32);
    test.equal(last.candidateFor(HOA), undefined);
    test.notOk(last.canRestore(HOA, ipv4("192.0.2.255")));
    test.equal(edges("192.0.2.254", 31).candidateFor(HOA), ipv4("192.0.2.254"));
    test.equal(edges("192.0.2.0", 31).candidateFor(HOA), ipv4("192.0.2.1"));
  },
);

t.test("choosing an address costs nothing for those where somebody is reached, and they come back", async (test) => {
  const pool = { address: ipv4("10.0.0.0"), length: 20 };
  const addresses = new Ipv4Ownership({ own: [], pool: [pool], reserved: [] });
  const nodes = Array.from({ length: 4094 }, (_, i) => ipv6(`2001:db8:1::1:${(i + 1).toString(16)}`));
  const lent = nodes.map((node) => {
    const address = addresses.candidateFor(node);
    if (address !== undefined) addresses.lease(node, address);
    return address;
  });
  test.equal(new Set(lent).size, 4094);
  for (const node of nodes) addresses.release(node);
  // Each node now visits a network where the next one's former address is that of its NAT; but for the last four.
  nodes.slice(0, 4090).forEach((node, i) => {
    const there = lent[i];
    if (there !== undefined) addresses.setCareOf(node, [there]);
  });
  const before = addresses.looked;
  const besides = [lent[4090], lent[4091]].filter((one) => one !== undefined);
  for (let i = 0; i < 100; i++) test.equal(addresses.candidateFor(HOA, besides), lent[4092]);
  test.ok(addresses.looked - before <= 300, `${addresses.looked - before} addresses for 100 questions`);
  for (const one of [4090, 4091, 4092, 4093]) {
    const node = ipv6(`2001:db8:1::2:${one.toString(16)}`);
    const address = addresses.candidateFor(node);
    test.equal(address, lent[one]);
    if (address !== undefined) addresses.lease(node, address);
  }
  test.equal(addresses.candidateFor(HOA), undefined, "the pool is empty");
  addresses.setCareOf(nodes[0] ?? HOA, []);
  test.equal(addresses.candidateFor(HOA), lent[0], "nobody is there any more");
});
