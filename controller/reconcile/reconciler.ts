/**
 * Makes the kernel hold what the plans say. Groups of objects come in with a revision; everything that came in before `commit` is one
 * round: all creations and updates of all groups in one batch, then the answers to the owners, then one batch of removals. So the new
 * path exists before the old one goes, and what many nodes want in one turn costs few netlink transactions.
 *
 * A group is all or nothing: if the kernel refuses one of its objects, what was made for it is taken back and it stays as it was. What
 * the kernel holds is believed from the answers, watched through notifications, and learnt anew by a full dump when those were lost.
 * Objects found at the start that no group claims are removed, but only after `declareComplete`: before that the plan is not whole.
 */
import { MobilityError } from "../base/errors.js";
import { objectsEqual } from "../plan/equal.js";
import { type KernelObject, objectKey } from "../plan/objects.js";
import { byKey, diff, inMakingOrder, inRemovalOrder, inverse } from "./diff.js";
import type { KernelChange, KernelPort, Operation, Outcome } from "./kernel-port.js";
import { Ledger } from "./ledger.js";
import { KIND_ORDER } from "./order.js";

export interface GroupResult {
  readonly group: string;
  readonly revision: number;
  /** Absent: realised (or, for a group that was removed, gone). */
  readonly failure?: MobilityError;
}

export interface ReconcilerListener {
  onResult(result: GroupResult): void;
  /** Something was not as it should be and has been or will be mended: for the log. */
  onRepair(what: "drift" | "resync" | "removal-failed" | "repair-failed", detail: string): void;
}

export interface AuditDifference {
  readonly key: string;
  readonly wanted?: KernelObject;
  readonly found?: KernelObject;
}

export interface ReconcilerClock {
  schedule(delayMs: number, run: () => void): void;
}

interface Wish {
  readonly objects: ReadonlyMap<string, KernelObject>;
  readonly revision: number;
  /** A repair of ours: nobody waits for an answer. */
  readonly silent: boolean;
}

interface GroupWork {
  readonly group: string;
  readonly wish: Wish;
  readonly operations: readonly Operation[];
}

/** Which group of a round wants an object, and in which form. */
interface Claim {
  readonly group: string;
  readonly object: KernelObject;
}

const CLASH = "MIP_CLASH";
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;

export class Reconciler {
  readonly #kernel: KernelPort;
  readonly #listener: ReconcilerListener;
  readonly #clock: ReconcilerClock;
  readonly #ledger = new Ledger();
  #wishes = new Map<string, Wish>();
  #changes: (KernelChange | "resync")[] = [];
  /** Of a resync that was asked for; absent: the kernel's notifications were lost. */
  #staleBecause: string | undefined;
  /** Objects whose removal is due: leftovers of failed removals, and of the start. */
  #leftovers = new Map<string, KernelObject>();
  /** Groups whose repair failed and is due again. What they are made of is looked up when its round begins: one under way may change it. */
  readonly #due = new Set<string>();
  #running: Promise<void> | undefined;
  #retryMs = FIRST_RETRY_MS;
  #retryArmed = false;
  #closed = false;
  #failed = 0;

  constructor(kernel: KernelPort, listener: ReconcilerListener, clock: ReconcilerClock) {
    this.#kernel = kernel;
    this.#listener = listener;
    this.#clock = clock;
    kernel.onChange((change) => {
      this.#changes.push(change);
      if (this.#running === undefined) this.commit();
    });
  }

  /** Learns what an earlier life left in the kernel; to be called before anything is wanted. */
  async start(): Promise<void> {
    this.#ledger.replaceObserved(await this.#kernel.dump(KIND_ORDER));
  }

  /** The group shall consist of these objects. An earlier wish that was not tried yet is superseded and gets no answer. */
  setGroup(group: string, objects: readonly KernelObject[], revision: number): void {
    this.#wishes.set(group, { objects: byKey(objects), revision, silent: false });
  }

  removeGroup(group: string, revision: number): void {
    this.setGroup(group, [], revision);
  }

  /** Starts on all that is wanted and not tried yet; what comes in meanwhile is the next round. */
  commit(): void {
    if (this.#running !== undefined || this.#closed || !this.#hasWork()) return;
    this.#running = this.#rounds().finally(() => {
      this.#running = undefined;
      this.commit();
    });
  }

  /** Resolves when nothing is left to be done. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** The plan is whole: what is ours in the kernel and in no group goes. */
  declareComplete(): void {
    for (const object of this.#ledger.unclaimed()) {
      if (!this.#wished(objectKey(object))) this.#leftovers.set(objectKey(object), object);
    }
    this.commit();
  }

  get pending(): number {
    return this.#wishes.size;
  }

  /** Objects that should be gone or there and are not, as far as is known. */
  get failedObjects(): number {
    return this.#failed + this.#leftovers.size;
  }

  groupObjects(group: string): readonly KernelObject[] {
    return [...this.#ledger.groupObjects(group).values()];
  }

  /** Compares the kernel's truth with the plan, and changes nothing. */
  async audit(): Promise<{ readonly checked: number; readonly differences: readonly AuditDifference[] }> {
    await this.settled();
    const found = byKey(await this.#kernel.dump(KIND_ORDER));
    const desired = this.#ledger.desired();
    const differences: AuditDifference[] = [];
    for (const [key, wanted] of desired) {
      const object = found.get(key);
      if (object === undefined) differences.push({ key, wanted });
      else if (!objectsEqual(wanted, object)) differences.push({ key, wanted, found: object });
    }
    for (const [key, object] of found)
      if (!desired.has(key) && object.kind !== "sysctl") differences.push({ key, found: object });
    return { checked: desired.size, differences };
  }

  /** Learns anew what the kernel has and mends what differs: some things go without a word (proxy neighbours, GUE ports, switches). */
  refresh(why: string): void {
    this.#staleBecause = why;
    this.#changes.push("resync");
    if (this.#running === undefined) this.commit();
  }

  /** Takes everything of ours out of the kernel, known or not, and ends. Returns what the kernel would not let go. */
  async removeAll(): Promise<readonly Outcome[]> {
    await this.settled();
    this.#closed = true;
    const { remove } = diff(new Map(), byKey(await this.#kernel.dump(KIND_ORDER)));
    const outcomes = await this.#kernel.apply(remove);
    return outcomes.filter((outcome) => outcome.error !== undefined);
  }

  /** Ends and leaves the kernel as it is. */
  close(): void {
    this.#closed = true;
  }

  #hasWork(): boolean {
    return (
      this.#wishes.size + this.#due.size > 0 ||
      this.#changes.length > 0 ||
      (this.#leftovers.size > 0 && !this.#retryArmed)
    );
  }

  #wished(key: string): boolean {
    for (const wish of this.#wishes.values()) if (wish.objects.has(key)) return true;
    return false;
  }

  async #rounds(): Promise<void> {
    while (!this.#closed && this.#hasWork()) {
      await this.#absorbChanges();
      this.#repair(this.#due);
      this.#due.clear();
      const wishes = this.#wishes;
      this.#wishes = new Map();
      const removals = new Map(this.#leftovers);
      this.#leftovers = new Map();
      await this.#round(wishes, removals);
    }
  }

  async #round(wishes: ReadonlyMap<string, Wish>, leftovers: Map<string, KernelObject>): Promise<void> {
    const rebuilt = [...wishes.values()].some((wish) => this.#replacesTable(wish));
    const work = [...wishes].map(([group, wish]) => this.#workOf(group, wish, rebuilt));
    const failures = await this.#make(work);
    const gone: GroupResult[] = [];
    for (const { group, wish } of work) {
      const failure = failures.get(group);
      const result = { group, revision: wish.revision, ...(failure !== undefined && { failure }) };
      if (failure === undefined) {
        for (const object of this.#ledger.assign(group, wish.objects)) leftovers.set(objectKey(object), object);
      }
      if (wish.silent) this.#reportRepair(group, failure);
      else if (wish.objects.size === 0) gone.push(result);
      else this.#listener.onResult(result);
    }
    await this.#remove(leftovers);
    for (const result of gone) this.#listener.onResult(result);
  }

  /** A table that is made anew comes without the elements it had. */
  #replacesTable(wish: Wish): boolean {
    for (const [key, object] of wish.objects) {
      const before = this.#ledger.believed(key);
      if (object.kind === "nft-table" && before !== undefined && !objectsEqual(object, before)) return true;
    }
    return false;
  }

  #workOf(group: string, wish: Wish, tableRebuilt: boolean): GroupWork {
    const operations: Operation[] = [];
    for (const [key, object] of wish.objects) {
      const previous =
        this.#ledger.isMissing(key) || (tableRebuilt && object.kind === "nft-element")
          ? undefined
          : this.#ledger.believed(key);
      if (previous === undefined) operations.push(this.#creation(object));
      else if (!objectsEqual(object, previous)) operations.push({ verb: "update", object, previous });
    }
    return { group, wish, operations };
  }

  #creation(object: KernelObject): Operation {
    const predecessors = this.#ledger.predecessors(object);
    return predecessors.length === 0 ? { verb: "create", object } : { verb: "create", object, predecessors };
  }

  /** Applies the operations of all groups; returns the groups that failed, each taken back. */
  async #make(work: readonly GroupWork[]): Promise<Map<string, MobilityError>> {
    const failures = new Map<string, MobilityError>();
    const ready: GroupWork[] = [];
    const claims = new Map<string, Claim>();
    for (const one of work) {
      const clash = this.#clash(one) ?? rivalClaim(one, claims);
      if (clash === undefined) ready.push(one);
      else failures.set(one.group, clash);
    }
    const together = await this.#attempt(ready);
    // An nftables transaction fails whole: groups that were only in bad company get a try of their own.
    const unlucky = ({ group }: GroupWork): boolean => together.has(group) && together.get(group)?.code !== CLASH;
    const alone = ready.length > 1 ? ready.filter(unlucky) : [];
    for (const one of alone) {
      together.delete(one.group);
      for (const [group, error] of await this.#attempt([one])) together.set(group, error);
    }
    for (const [group, error] of together) failures.set(group, error);
    return failures;
  }

  /** An object that another group holds in another form cannot be given. */
  #clash({ group, operations }: GroupWork): MobilityError | undefined {
    for (const { verb, object } of operations) {
      const others = [...this.#ledger.owners(objectKey(object))].filter((owner) => owner !== group);
      if (verb === "update" && others.length > 0) {
        return new MobilityError(CLASH, `${objectKey(object)} is wanted by ${others[0]} in another form`);
      }
    }
    return undefined;
  }

  async #attempt(work: readonly GroupWork[]): Promise<Map<string, MobilityError>> {
    const failures = new Map<string, MobilityError>();
    const owners = new Map<Operation, string[]>();
    const first = new Map<string, Operation>();
    for (const { group, operations } of work) {
      for (const operation of operations) {
        // Groups that want the same new object share the operation.
        const shared = first.get(objectKey(operation.object)) ?? operation;
        first.set(objectKey(operation.object), shared);
        owners.set(shared, [...(owners.get(shared) ?? []), group]);
      }
    }
    const batch = [...owners.keys()];
    const outcomes = batch.length === 0 ? [] : await this.#kernel.apply(inMakingOrder(batch));
    for (const { operation, error } of outcomes) {
      if (error === undefined) this.#ledger.note(operation.object);
      else for (const group of owners.get(operation) ?? []) if (!failures.has(group)) failures.set(group, error);
    }
    await this.#takeBack(outcomes, owners, failures);
    return failures;
  }

  async #takeBack(
    outcomes: readonly Outcome[],
    owners: ReadonlyMap<Operation, readonly string[]>,
    failures: ReadonlyMap<string, MobilityError>,
  ): Promise<void> {
    const undo: Operation[] = [];
    for (const { operation, error } of outcomes) {
      const onlyFailed = (owners.get(operation) ?? []).every((group) => failures.has(group));
      if (error === undefined && onlyFailed) undo.push(inverse(operation));
    }
    if (undo.length === 0) return;
    for (const { operation, error } of await this.#kernel.apply(inRemovalOrder(undo))) {
      if (error !== undefined) this.#listener.onRepair("removal-failed", error.message);
      if (operation.verb === "update") this.#ledger.note(operation.object);
      else if (error === undefined) this.#ledger.forget(objectKey(operation.object));
    }
  }

  async #remove(objects: ReadonlyMap<string, KernelObject>): Promise<void> {
    const operations: Operation[] = [];
    for (const [key, object] of objects) {
      if (this.#ledger.owners(key).size === 0 && object.kind !== "sysctl") operations.push({ verb: "remove", object });
      else if (object.kind === "sysctl") this.#ledger.forget(key);
    }
    if (operations.length === 0) return;
    for (const { operation, error } of await this.#kernel.apply(inRemovalOrder(operations))) {
      const key = objectKey(operation.object);
      if (error === undefined) {
        this.#ledger.forget(key);
        this.#retryMs = FIRST_RETRY_MS;
        continue;
      }
      this.#listener.onRepair("removal-failed", error.message);
      this.#leftovers.set(key, operation.object);
    }
    if (this.#leftovers.size > 0) this.#retryLater();
  }

  /** What others (or we) changed behind the ledger's back; only the last word on each object counts. */
  async #absorbChanges(): Promise<void> {
    const changes = this.#changes;
    this.#changes = [];
    if (changes.includes("resync")) {
      const why = this.#staleBecause ?? "notifications were lost";
      this.#staleBecause = undefined;
      return this.#resync(why);
    }
    const last = new Map<string, KernelChange>();
    for (const change of changes) if (change !== "resync") last.set(objectKey(change.object), change);
    const hurt = new Set<string>();
    for (const [key, { verb, object }] of last) {
      const believed = this.#ledger.believed(key);
      if (believed === undefined || (verb === "changed" && objectsEqual(believed, object))) continue;
      const owners = this.#ledger.owners(key);
      if (owners.size === 0) {
        if (verb === "removed") this.#ledger.forget(key);
        continue;
      }
      this.#listener.onRepair("drift", `${key} was ${verb}`);
      // With a device goes everything on it, mostly without a word.
      if (object.kind === "link") return this.#resync(`${key} was ${verb}`);
      if (verb === "removed") this.#ledger.forget(key);
      else this.#ledger.note(object);
      for (const owner of owners) hurt.add(owner);
    }
    this.#repair(hurt);
  }

  async #resync(why: string): Promise<void> {
    this.#listener.onRepair("resync", why);
    this.#repair(this.#ledger.replaceObserved(await this.#kernel.dump(KIND_ORDER)));
  }

  #repair(groups: ReadonlySet<string>): void {
    for (const group of groups) {
      if (!this.#wishes.has(group))
        this.#wishes.set(group, { objects: this.#ledger.groupObjects(group), revision: 0, silent: true });
    }
  }

  #reportRepair(group: string, failure: MobilityError | undefined): void {
    if (failure === undefined) {
      this.#failed = 0;
      this.#retryMs = FIRST_RETRY_MS;
      return;
    }
    this.#failed++;
    this.#listener.onRepair("repair-failed", `${group}: ${failure.message}`);
    this.#clock.schedule(this.#nextRetry(), () => {
      this.#due.add(group);
      this.commit();
    });
  }

  #retryLater(): void {
    if (this.#retryArmed) return;
    this.#retryArmed = true;
    this.#clock.schedule(this.#nextRetry(), () => {
      this.#retryArmed = false;
      this.commit();
    });
  }

  #nextRetry(): number {
    const delay = this.#retryMs;
    this.#retryMs = Math.min(LONGEST_RETRY_MS, 2 * delay);
    return delay;
  }
}

/** Of two groups that want an object in two forms in one round the first has it; what the kernel holds already counts as wanted too. */
function rivalClaim({ group, wish }: GroupWork, claims: Map<string, Claim>): MobilityError | undefined {
  for (const [key, object] of wish.objects) {
    const rival = claims.get(key);
    if (rival !== undefined && !objectsEqual(rival.object, object)) {
      return new MobilityError(CLASH, `${key} is wanted by ${rival.group} in another form`);
    }
  }
  for (const [key, object] of wish.objects) if (!claims.has(key)) claims.set(key, { group, object });
  return undefined;
}
