/** When two nftables tables are the same one, and when they are not. */
import t from "tap";
import type { NftSet, NftTable } from "../../../../controller/plan/objects/firewall.js";
import {
  canonicalRegister,
  hasOwnElements,
  isConstantSet,
  nftTableFingerprint,
  sameNftTable,
} from "../../../../controller/plan/objects/nft-canonical.js";

const SET: NftSet = { name: "nodes", key: ["ipv6_addr"], value: "inet_service", size: 100, dynamicTimeoutMs: 10_000 };
const CONSTANT: NftSet = { name: "classes", key: ["integer"], elements: [{ key: "0A" }, { key: "01", value: "FF" }] };
const table = (...sets: readonly NftSet[]): NftTable => ({
  ...{ kind: "nft-table", family: "inet", name: "dsmipd", counters: ["b", "a"], sets, chains: [] },
});

t.test("neither order nor spelling makes another table", (t) => {
  const other: NftTable = {
    ...table({ ...CONSTANT, elements: [{ key: "01", value: "ff" }, { key: "0a" }], size: 2, constant: true }, SET),
    counters: ["a", "b"],
  };
  t.ok(sameNftTable(table(SET, CONSTANT), other));
  t.equal(nftTableFingerprint(table(SET, CONSTANT)), nftTableFingerprint(other));
  t.match(nftTableFingerprint(other), /^[0-9a-f]{16}$/);
  t.end();
});

t.test("each property of a set does", (t) => {
  const changes: readonly Partial<NftSet>[] = [
    { name: "others" },
    { key: ["ipv4_addr"] },
    { value: "ipv4_addr" } as never,
    { integerLength: 4 } as never,
    { size: 101 },
    { dynamicTimeoutMs: 20_000 },
  ];
  for (const change of changes) {
    const changed = table({ ...SET, ...change });
    t.notOk(sameNftTable(table(SET), changed), JSON.stringify(change));
    t.not(nftTableFingerprint(table(SET)), nftTableFingerprint(changed));
  }
  const { dynamicTimeoutMs: _, ...lasting } = SET;
  t.notOk(sameNftTable(table(SET), table(lasting)), "elements that go by themselves, and such that stay");
  t.notOk(sameNftTable(table(CONSTANT), table({ ...CONSTANT, elements: [{ key: "0a" }] })));
  t.end();
});

t.test("elements are nobody's objects where the table or packets make them", (t) => {
  const { dynamicTimeoutMs: _, ...lasting } = SET;
  t.strictSame([SET, CONSTANT, lasting].map(hasOwnElements), [true, true, false]);
  t.strictSame([SET, CONSTANT, { ...lasting, constant: true }].map(isConstantSet), [false, true, true]);
  t.end();
});

t.test("a register of 16 octets and the first of its four are one", (t) => {
  t.strictSame([8, 12, 16, 20].map(canonicalRegister as (register: number) => number), [1, 2, 3, 4]);
  t.strictSame([1, 4, 9, 11, 23].map(canonicalRegister as (register: number) => number), [1, 4, 9, 11, 23]);
  t.end();
});
