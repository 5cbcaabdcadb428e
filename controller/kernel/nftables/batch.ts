/**
 * nftables operations as transactions: all or nothing. What a refusal shows to be as wanted already (an element removed that is not
 * there, one added that is there) is taken out and the rest sent again, so only true refusals undo the whole. Elements share messages
 * while all goes well; after a refusal each has its own, so that the kernel can name the culprit. A batch that exceeds the send
 * buffer is halved: only then consecutive operations are more than one transaction.
 */
import { MobilityError } from "../../base/errors.js";
import { EBUSY, ECANCELED, EMSGSIZE, EOPNOTSUPP } from "../../netlink/errno.js";
import { KernelError } from "../../netlink/errors.js";
import type { NetlinkRequest } from "../../netlink/message.js";
import type { TransactionOutcome } from "../../netlink/session.js";
import { objectsEqual } from "../../plan/objects/equal.js";
import { formatObjectShort } from "../../plan/objects/format.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import type { Operation } from "../../reconcile/kernel-port.js";
import type { AnyCodec } from "../codec.js";
import { type Found, findExisting, type Lookup } from "../existing.js";

/** Packed, one by one, and then as often as something new turns out to be there or gone. */
const MAX_ATTEMPTS = 6;

export interface TransactionContext extends Lookup {
  readonly transact: (requests: readonly NetlinkRequest[]) => Promise<TransactionOutcome>;
}

interface Item {
  readonly index: number;
  readonly object: KernelObject;
  readonly codec: AnyCodec;
  readonly verb: Operation["verb"];
  readonly previous: KernelObject | undefined;
}

interface Packet {
  readonly request: NetlinkRequest;
  readonly items: readonly Item[];
}

type Errors = Map<number, MobilityError>;

/** One entry for each operation, in order: its error, or undefined. */
export async function applyTransaction(
  context: TransactionContext,
  operations: readonly Operation[],
  codecs: ReadonlyMap<string, AnyCodec>,
): Promise<(MobilityError | undefined)[]> {
  const items = operations.map((operation, index): Item => {
    const codec = codecs.get(operation.object.kind);
    if (codec === undefined) throw new KernelError(EOPNOTSUPP, { text: `no codec for ${operation.object.kind}` });
    const { object, verb } = operation;
    return { index, object, codec, verb, previous: verb === "update" ? operation.previous : undefined };
  });
  const errors: Errors = new Map();
  await applyItems(context, items, errors);
  return operations.map(({ object }, index) => {
    const error = errors.get(index);
    return error instanceof KernelError ? error.about(formatObjectShort(object)) : error;
  });
}

async function applyItems(context: TransactionContext, items: readonly Item[], errors: Errors): Promise<void> {
  let open = items;
  let packed = true;
  for (let attempt = 1; open.length > 0; attempt++) {
    const packets = encode(context, open, packed, errors);
    if (packets === undefined) return;
    const outcome = await context.transact(packets.map(({ request }) => request));
    if (outcome.committed) return;
    if (outcome.failure?.errno === EMSGSIZE && open.length > 1) {
      const middle = Math.ceil(open.length / 2);
      await applyItems(context, open.slice(0, middle), errors);
      await applyItems(context, open.slice(middle), errors);
      return;
    }
    const again: readonly Item[] | "unpack" | undefined =
      attempt < MAX_ATTEMPTS ? await settle(context, open, packets, outcome, packed) : undefined;
    if (again === undefined) return fail(open, packets, outcome, errors);
    if (again === "unpack") packed = false;
    else open = again;
  }
}

/** Undefined: some object cannot be encoded, so nothing is sent and all have their errors. */
function encode({ names }: Lookup, items: readonly Item[], packed: boolean, errors: Errors): Packet[] | undefined {
  const packets: Packet[] = [];
  for (const group of packed ? groups(items) : items.map((item) => [item])) {
    try {
      for (const request of requests(group, names)) packets.push({ request, items: group });
    } catch (error) {
      if (!(error instanceof MobilityError)) throw error;
      failAll(items, errors, `rolled back because of another operation: ${error.message}`);
      for (const { index } of group) errors.set(index, error);
      return undefined;
    }
  }
  return packets;
}

function requests(group: readonly Item[], names: Lookup["names"]): readonly NetlinkRequest[] {
  const [first] = group;
  if (first === undefined) return [];
  const { codec, verb, object, previous = object } = first;
  const objects = group.map((item) => item.object);
  if (verb === "create") return codec.createMany?.(objects, names) ?? codec.create(object, names);
  if (verb === "remove") return codec.removeMany?.(objects, names) ?? codec.remove(object, names);
  return codec.update(object, previous, names) ?? [...codec.remove(previous, names), ...codec.create(object, names)];
}

/** Neighbours with the same verb whose codec can pack them. */
function groups(items: readonly Item[]): Item[][] {
  const result: Item[][] = [];
  for (const item of items) {
    const last = result.at(-1);
    const packs =
      item.verb === "create" ? item.codec.createMany : item.verb === "remove" ? item.codec.removeMany : undefined;
    if (packs !== undefined && last?.[0]?.codec === item.codec && last[0].verb === item.verb) last.push(item);
    else result.push([item]);
  }
  return result;
}

/** The operations to send again, without those that need nothing; "unpack": one by one; undefined: it is refused for good. */
async function settle(
  context: TransactionContext,
  open: readonly Item[],
  packets: readonly Packet[],
  outcome: TransactionOutcome,
  packed: boolean,
): Promise<readonly Item[] | "unpack" | undefined> {
  if (outcome.failure !== undefined) return outcome.failure.isRetryable ? open : undefined;
  if (packed && packets.some(({ items }, i) => items.length > 1 && outcome.errors.has(i))) return "unpack";
  const refused = new Map<Item, KernelError>();
  for (const [i, error] of outcome.errors) for (const item of packets[i]?.items ?? []) refused.set(item, error);
  const taken = [...refused].filter(([{ verb }, error]) => verb === "create" && isTaken(error)).map(([item]) => item);
  const found = await findExisting(context, taken);
  const again: Item[] = [];
  for (const item of open) {
    const error = refused.get(item);
    const next = error === undefined ? item : adapt(item, error, found.get(item.object));
    if (next === undefined) return undefined;
    if (next !== "needless") again.push(next);
  }
  return again;
}

/** What to do instead of a refused operation; undefined: nothing helps. */
function adapt(item: Item, error: KernelError, present: Found | undefined): Item | "needless" | undefined {
  if (item.verb === "remove") return error.isNotFound ? "needless" : undefined;
  if (item.verb === "update") return error.isNotFound ? { ...item, verb: "create", previous: undefined } : undefined;
  if (!isTaken(error) || present?.ours !== true) return undefined;
  if (objectsEqual(item.object, present.object)) return "needless";
  return { ...item, verb: "update", previous: present.object };
}

/** The kernel says EBUSY to a map's element that is there with another value. */
const isTaken = (error: KernelError): boolean => error.isExists || error.errno === EBUSY;

function fail(open: readonly Item[], packets: readonly Packet[], outcome: TransactionOutcome, errors: Errors): void {
  const culprit = outcome.failure ?? [...outcome.errors.values()][0];
  failAll(open, errors, `rolled back because of another operation: ${culprit?.message ?? "unknown"}`);
  if (outcome.failure !== undefined) for (const { index } of open) errors.set(index, outcome.failure);
  for (const [i, error] of outcome.errors) for (const { index } of packets[i]?.items ?? []) errors.set(index, error);
}

function failAll(items: readonly Item[], errors: Errors, text: string): void {
  for (const { index } of items) errors.set(index, new KernelError(ECANCELED, { text }));
}
