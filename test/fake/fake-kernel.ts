/** A kernel in memory that obeys test/contract/kernel-port.ts: strangers' objects, refusals on demand, atomic nftables transactions. */
import { MobilityError } from "../../controller/base/errors.js";
import { objectsEqual } from "../../controller/plan/objects/equal.js";
import { type KernelObject, type KernelObjectKind, objectKey } from "../../controller/plan/objects/objects.js";
import type { KernelChange, KernelPort, Operation, Outcome } from "../../controller/reconcile/kernel-port.js";

export class FakeKernel implements KernelPort {
  readonly objects = new Map<string, KernelObject>();
  readonly strangers = new Map<string, KernelObject>();
  /** Each call of `apply`, as "verb key" lines. */
  readonly batches: string[][] = [];
  /** Of each object that was created: the keys of its predecessors that were there then. */
  readonly heritage = new Map<string, readonly string[]>();
  dumps = 0;
  /** Keys that were asked for one by one. */
  readonly lookedUp: string[] = [];
  /** A sentence makes the kernel refuse the operation. */
  refuse: (operation: Operation) => string | undefined = () => undefined;
  /** What there was when the batch began: predecessors are asked for their history then. */
  #before: ReadonlySet<string> = new Set();
  readonly #listeners: ((change: KernelChange | "resync") => void)[] = [];

  async dump(kinds: readonly KernelObjectKind[]): Promise<readonly KernelObject[]> {
    this.dumps++;
    await Promise.resolve();
    return [...this.objects.values()].filter((object) => kinds.includes(object.kind));
  }

  async lookUp(objects: readonly KernelObject[]): Promise<readonly (KernelObject | undefined)[]> {
    this.lookedUp.push(...objects.map(objectKey));
    await Promise.resolve();
    return objects.map((object) => this.objects.get(objectKey(object)));
  }

  async apply(operations: readonly Operation[]): Promise<readonly Outcome[]> {
    this.batches.push(operations.map(({ verb, object }) => `${verb} ${objectKey(object)}`));
    await Promise.resolve();
    this.#before = new Set(this.objects.keys());
    const outcomes: Outcome[] = [];
    for (let at = 0; at < operations.length; ) {
      const run = this.#transaction(operations, at);
      const made = isNft(run[0]) ? this.#atomic(run) : run.map((operation) => this.#one(operation));
      for (const outcome of made) if (outcome.error === undefined) this.#announceOwn(outcome.operation);
      outcomes.push(...made);
      at += run.length;
    }
    return outcomes;
  }

  onChange(listener: (change: KernelChange | "resync") => void): void {
    this.#listeners.push(listener);
  }

  close(): void {
    this.#listeners.length = 0;
  }

  /** Somebody else takes an object away, or changes it. */
  interfere(change: KernelChange): void {
    const key = objectKey(change.object);
    if (change.verb === "removed") this.objects.delete(key);
    else this.objects.set(key, change.object);
    this.announce(change);
  }

  announce(change: KernelChange | "resync"): void {
    for (const listener of this.#listeners) listener(change);
  }

  /** Consecutive nftables operations, or a single one of any other kind. */
  #transaction(operations: readonly Operation[], from: number): readonly Operation[] {
    let to = from + 1;
    while (isNft(operations[from]) && isNft(operations[to])) to++;
    return operations.slice(from, to);
  }

  #atomic(run: readonly Operation[]): Outcome[] {
    const before = new Map(this.objects);
    const outcomes = run.map((operation) => this.#one(operation));
    const failed = outcomes.find(({ error }) => error !== undefined)?.error;
    if (failed === undefined) return outcomes;
    this.objects.clear();
    for (const [key, object] of before) this.objects.set(key, object);
    return outcomes.map(({ operation, error }) =>
      error === undefined ? { operation, error: failed, collateral: true } : { operation, error },
    );
  }

  #one(operation: Operation): Outcome {
    const { verb, object } = operation;
    const key = objectKey(object);
    const refusal = this.refuse(operation) ?? this.#conflict(operation);
    if (refusal !== undefined) return { operation, error: new MobilityError("MIP_KERNEL", refusal) };
    // A table goes with everything in it, and what replaces it is made anew.
    if (object.kind === "nft-table" && verb !== "create") this.#dropElements();
    if (verb === "remove") this.objects.delete(key);
    else this.objects.set(key, object);
    if (verb === "create") this.heritage.set(key, this.#present(operation.predecessors ?? []));
    return { operation };
  }

  /** What has become of a transaction, not what was tried in it. */
  #announceOwn({ verb, object }: Operation): void {
    this.announce({ verb: verb === "remove" ? "removed" : "changed", object, own: true });
  }

  #present(objects: readonly KernelObject[]): readonly string[] {
    return objects.map(objectKey).filter((key) => this.objects.has(key));
  }

  #conflict(operation: Operation): string | undefined {
    const { verb, object } = operation;
    const key = objectKey(object);
    if (verb === "create" && this.strangers.has(key)) return `File exists: ${key} is somebody else's`;
    if (verb === "update" && !this.objects.has(key)) return `No such file or directory: ${key}`;
    if (verb !== "remove" && object.kind === "nft-element" && !this.#hasSet(object.set))
      return `No such file or directory: ${key}`;
    if (verb === "create" && operation.predecessors?.some((one) => !this.#before.has(objectKey(one))) === true)
      return `${key}: what it continues is not in the kernel any more`;
    return undefined;
  }

  /** Tests that are not about tables leave them out; then every set is there. */
  #hasSet(name: string): boolean {
    const tables = [...this.objects.values()].filter((object) => object.kind === "nft-table");
    return tables.length === 0 || tables.some(({ sets }) => sets.some((set) => set.name === name));
  }

  #dropElements(): void {
    for (const [key, object] of this.objects) if (object.kind === "nft-element") this.objects.delete(key);
  }

  /** The same objects, whatever the order. */
  holds(objects: readonly KernelObject[]): boolean {
    return (
      objects.length === this.objects.size &&
      objects.every((object) => objectsEqual(object, this.objects.get(objectKey(object)) ?? NONE))
    );
  }
}

const NONE: KernelObject = { kind: "sysctl", path: "", value: "" };

function isNft(operation: Operation | undefined): boolean {
  return operation?.object.kind === "nft-element" || operation?.object.kind === "nft-table";
}
