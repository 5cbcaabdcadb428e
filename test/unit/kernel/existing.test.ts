/** Whose is the object that a creation meets: where a stranger has one with the same key, ours is meant. */
import t from "tap";
import type { AnyCodec } from "../../../controller/kernel/codec.js";
import { allExisting, findExisting, type Lookup } from "../../../controller/kernel/existing.js";
import { InterfaceNames } from "../../../controller/kernel/names.js";
import type { NetlinkMessage } from "../../../controller/netlink/message.js";
import type { KernelObject } from "../../../controller/plan/objects/objects.js";

/** `variant` is no part of its key: it tells ours from a stranger's twin. */
const rule = (priority: number, variant: number): KernelObject => {
  return { kind: "rule", family: 6, priority, table: 0, ...(variant === 1 ? { unreachable: true } : {}) };
};
/** Mark, priority and variant. */
const message = (ours: boolean, priority: number, variant: number): NetlinkMessage => ({
  type: 32,
  flags: 0,
  body: Uint8Array.of(ours ? 1 : 0, priority, variant),
});

const decode: AnyCodec["decode"] = ({ body: [mark = 0, priority = 0, variant = 0] }, _, ownOnly) =>
  ownOnly && mark === 0 ? undefined : rule(priority, variant);
const codec: AnyCodec = {
  kind: "rule",
  family: "route",
  create: () => [],
  update: () => undefined,
  remove: () => [],
  dump: () => [],
  decode,
};

function lookup(messages: readonly NetlinkMessage[]): Lookup {
  return {
    names: new InterfaceNames(),
    execute: async (requests) => requests.map(() => ({ replies: messages })),
    dumpAll: async () => messages,
  };
}

const STRANGERS = message(false, 7, 1);
const OURS = message(true, 7, 2);
const wanted = rule(7, 3);

for (const [order, messages] of [
  ["before", [STRANGERS, OURS]],
  ["behind", [OURS, STRANGERS]],
] as const) {
  for (const [way, asked] of [
    ["a dump", codec],
    ["questions one by one", { ...codec, find: () => [{ family: "route", type: 34, flags: 0, body: OURS.body }] }],
  ] as const) {
    t.test(`a stranger's twin ${order} ours, found by ${way}`, async (test) => {
      const found = await findExisting(lookup(messages), [{ object: wanted, codec: asked as AnyCodec }]);
      test.strictSame(found.get(wanted), { object: rule(7, 2), ours: true, unfinished: false });
    });
  }
}

t.test("a stranger's alone is a stranger's, and what nobody has is not found", async (test) => {
  const other = rule(8, 3);
  const found = await findExisting(lookup([STRANGERS]), [
    { object: wanted, codec },
    { object: other, codec },
  ]);
  test.strictSame([...found], [[wanted, { object: rule(7, 1), ours: false, unfinished: false }]]);
});

t.test("what a crash left of a creation of ours is told from a stranger's", async (test) => {
  const unfinished: AnyCodec = { ...codec, unfinished: ({ body }) => body[1] === 7 };
  const all = await allExisting(lookup([STRANGERS, message(false, 9, 1), OURS]), unfinished);
  test.strictSame(
    all.map((one) => [one.ours, one.unfinished]),
    [
      [false, true],
      [false, false],
      [true, false],
    ],
  );
});

t.test("what is put together from many messages is ours once, not a stranger's as well", async (test) => {
  const assemble: AnyCodec["assemble"] = (messages, names, ownOnly) =>
    messages.flatMap((one) => decode(one, names, ownOnly) ?? []);
  const all = await allExisting(lookup([STRANGERS, OURS, message(false, 9, 1)]), { ...codec, assemble });
  test.strictSame(
    all.map(({ object, ours }) => [object, ours]),
    [
      [rule(7, 2), true],
      [rule(9, 1), false],
    ],
  );
});

t.test("keys that were in a dump of associations do not stay in memory", async (test) => {
  for (const asked of [codec, { ...codec, find: () => [{ family: "xfrm", type: 18, flags: 0, body: OURS.body }] }]) {
    const messages = [message(true, 7, 2)];
    await findExisting(lookup(messages), [{ object: wanted, codec: { ...asked, family: "xfrm" } as AnyCodec }]);
    test.strictSame([...(messages[0]?.body ?? [])], [0, 0, 0]);
  }
});
