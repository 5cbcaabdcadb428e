/** nftables operations as transactions against a kernel that is a function: what is needless is left out, the rest is all or nothing. */
import t from "tap";
import { EncodeError } from "../../../../controller/base/errors.js";
import type { AnyCodec, ObjectCodec } from "../../../../controller/kernel/codec.js";
import { InterfaceNames } from "../../../../controller/kernel/names.js";
import { applyTransaction } from "../../../../controller/kernel/nftables/batch.js";
import { AttributeWriter, readAttributes } from "../../../../controller/netlink/attribute.js";
import { EBUSY, ECANCELED, EMSGSIZE, ENOBUFS, ENOENT, EPERM } from "../../../../controller/netlink/errno.js";
import { KernelError } from "../../../../controller/netlink/errors.js";
import type { NetlinkRequest } from "../../../../controller/netlink/message.js";
import type { TransactionOutcome } from "../../../../controller/netlink/session.js";
import type { NftElement } from "../../../../controller/plan/objects/firewall.js";
import type { Operation } from "../../../../controller/reconcile/kernel-port.js";

const ADD = 1;
const DELETE = 2;
const element = (key: number, value = 0): NftElement => ({ kind: "nft-element", set: "m", key: [key], value });

/** One message: its verb, and as many (key, value) pairs as were packed into it. */
function request(verb: number, elements: readonly NftElement[]): NetlinkRequest {
  const writer = new AttributeWriter();
  for (const { key, value } of elements) {
    if (key[0] === 666) throw new EncodeError("key", "666 is nobody's key");
    writer.u32(1, Number(key[0])).u32(2, Number(value));
  }
  return { family: "netfilter", type: verb, flags: 0, body: writer.finish() };
}

const codec: ObjectCodec<NftElement> = {
  kind: "nft-element",
  family: "netfilter",
  create: (one) => [request(ADD, [one])],
  createMany: (many) => [request(ADD, many)],
  update: (one, previous) => [request(DELETE, [previous]), request(ADD, [one])],
  remove: (one) => [request(DELETE, [one])],
  removeMany: (many) => [request(DELETE, many)],
  dump: () => [],
  decode(message) {
    const attributes = readAttributes(message.body);
    return element(attributes.get(1)?.u32() ?? 0, attributes.get(2)?.u32() ?? 0);
  },
};

class FakeTables {
  readonly elements = new Map<number, number>();
  /** Each transaction as text: "+1=0 -2", a message in brackets. */
  readonly log: string[] = [];
  failures: KernelError[] = [];
  maxBytes = Number.POSITIVE_INFINITY;

  transact = (requests: readonly NetlinkRequest[]): Promise<TransactionOutcome> =>
    Promise.resolve(this.#transact(requests));

  #transact(requests: readonly NetlinkRequest[]): TransactionOutcome {
    const size = requests.reduce((sum, { body }) => sum + body.length, 0);
    this.log.push(
      requests
        .map(
          ({ type, body }) =>
            `[${pairs(body)
              .map(([k, v]) => (type === ADD ? `+${k}=${v}` : `-${k}`))
              .join(" ")}]`,
        )
        .join(""),
    );
    const none = new Map<number, KernelError>();
    if (size > this.maxBytes) return { committed: false, errors: none, failure: new KernelError(EMSGSIZE) };
    const failure = this.failures.shift();
    if (failure !== undefined) return { committed: false, errors: none, failure };
    const after = new Map(this.elements);
    const errors = new Map<number, KernelError>();
    requests.forEach(({ type, body }, i) => {
      for (const [key, value] of pairs(body)) {
        const present = after.get(key);
        if (type === ADD && present !== undefined && present !== value) errors.set(i, new KernelError(EBUSY));
        if (type === DELETE && present === undefined) errors.set(i, new KernelError(ENOENT));
        if (key === 13) errors.set(i, new KernelError(EPERM, { text: "not 13" }));
        if (type === ADD) after.set(key, value);
        else after.delete(key);
      }
    });
    if (errors.size > 0) return { committed: false, errors };
    this.elements.clear();
    for (const [key, value] of after) this.elements.set(key, value);
    return { committed: true, errors };
  }
}

function pairs(body: Uint8Array): [number, number][] {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  return Array.from({ length: body.length / 16 }, (_, i) => [
    view.getUint32(16 * i + 4, true),
    view.getUint32(16 * i + 12, true),
  ]);
}

async function apply(tables: FakeTables, operations: readonly Operation[]): Promise<(string | undefined)[]> {
  const context = {
    names: new InterfaceNames(),
    execute: () => Promise.resolve([]),
    dumpAll: () =>
      Promise.resolve(
        [...tables.elements].map(([key, value]) => ({
          type: ADD,
          flags: 0,
          body: request(ADD, [element(key, value)]).body,
        })),
      ),
    transact: tables.transact,
  };
  const errors = await applyTransaction(context, operations, new Map<string, AnyCodec>([["nft-element", codec]]));
  return errors.map((error) => (error instanceof KernelError ? error.errnoName : error?.message));
}

const create = (object: NftElement): Operation => ({ verb: "create", object });
const remove = (object: NftElement): Operation => ({ verb: "remove", object });

t.test("neighbours of one verb share a message, all share a transaction", async (t) => {
  const tables = new FakeTables();
  const update: Operation = { verb: "update", object: element(1, 9), previous: element(1) };
  t.strictSame(await apply(tables, [create(element(1)), create(element(2)), update, remove(element(2))]), [
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  t.strictSame(tables.log, ["[+1=0 +2=0][-1][+1=9][-2]"]);
  t.strictSame([...tables.elements], [[1, 9]]);
  t.strictSame(await apply(tables, []), []);
});

t.test("what is gone already or there already does not undo the rest", async (t) => {
  const tables = new FakeTables();
  tables.elements.set(1, 5).set(3, 3);
  const result = await apply(tables, [
    create(element(1, 6)),
    create(element(2)),
    remove(element(7)),
    remove(element(3)),
  ]);
  t.strictSame(result, [undefined, undefined, undefined, undefined]);
  t.strictSame(
    [...tables.elements],
    [
      [1, 6],
      [2, 0],
    ],
  );
  t.strictSame(tables.log, ["[+1=6 +2=0][-7 -3]", "[+1=6][+2=0][-7][-3]", "[-1][+1=6][+2=0][-3]"]);
});

t.test("an update of an element that vanished makes it again", async (t) => {
  const tables = new FakeTables();
  t.strictSame(await apply(tables, [{ verb: "update", object: element(1, 2), previous: element(1) }]), [undefined]);
  t.strictSame([...tables.elements], [[1, 2]]);
});

t.test("a true refusal undoes everything; the culprit has the kernel's error, the others say why", async (t) => {
  const tables = new FakeTables();
  const operations = [create(element(1)), create(element(13)), remove(element(8))];
  t.strictSame(await apply(tables, operations), ["ECANCELED", "EPERM", "ENOENT"]);
  t.equal(tables.elements.size, 0);
  t.equal(new KernelError(ECANCELED).errnoName, "ECANCELED");
});

t.test("an object that cannot be encoded undoes everything before anything is sent", async (t) => {
  const tables = new FakeTables();
  t.strictSame(await apply(tables, [remove(element(1)), create(element(666))]), [
    "ECANCELED",
    "key: 666 is nobody's key",
  ]);
  t.strictSame(tables.log, []);
});

t.test("a passing trouble is tried again, a lasting one is the error of all", async (t) => {
  const tables = new FakeTables();
  tables.failures = [new KernelError(ENOBUFS, { outcomeUnknown: true })];
  t.strictSame(await apply(tables, [create(element(1))]), [undefined]);
  tables.failures = [new KernelError(EPERM)];
  t.strictSame(await apply(tables, [create(element(2)), create(element(3))]), ["EPERM", "EPERM"]);
  tables.failures = Array.from({ length: 20 }, () => new KernelError(ENOBUFS));
  t.strictSame(await apply(tables, [create(element(2))]), ["ENOBUFS"]);
});

t.test("more than the send buffer holds goes in halves", async (t) => {
  const tables = new FakeTables();
  tables.maxBytes = 40;
  const operations = Array.from({ length: 5 }, (_, i) => create(element(i + 20)));
  t.strictSame(new Set(await apply(tables, operations)), new Set([undefined]));
  t.equal(tables.elements.size, 5);
  t.strictSame(tables.log.slice(-2), ["[+22=0]", "[+23=0 +24=0]"]);
});
