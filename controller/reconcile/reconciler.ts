/**
 * Makes the kernel hold what the plans say. Groups of objects come in with a revision; everything that came in before `commit` is one
 * round: all creations and updates of all groups in one batch, then the answers to the owners, then one batch of removals. So the new
 * path exists before the old one goes, and what many nodes want in one turn costs few netlink transactions.
 *
 * A group is all or nothing: if the kernel refuses one of its objects, what was made for it is taken back and it stays as it was. What
 * the kernel holds is believed from the answers, watched through notifications, and learnt anew by a full dump when those were lost.
 * A security association that somebody else has taken out cannot be made again, for its sequence numbers are gone: its owner is told.
 * Objects found at the start that no group claims are removed, but only after `declareComplete`: before that the plan is not whole.
 */
import { MobilityError } from "../base/errors.js";
import { objectsEqual } from "../plan/objects/equal.js";
import { type KernelObject, type KernelObjectKind, objectKey } from "../plan/objects/objects.js";
import { isIrreplaceable } from "../plan/security/succession.js";
import { type AuditDifference, compare } from "./audit.js";
import { byKey, diff, inRemovalOrder, type ObjectMap } from "./diff.js";
import { type Drift, takeIn } from "./drift.js";
import type { KernelChange, KernelPort, Operation, Outcome } from "./kernel-port.js";
import { type Damage, Ledger, type Loss } from "./ledger.js";
import { Maker } from "./making.js";
import { KIND_ORDER } from "./order.js";
import { Pauses } from "./pauses.js";

export interface GroupResult {
  readonly group: string;
  readonly revision: number;
  /** Absent: realised (or, for a group that was removed, gone). */
  readonly failure?: MobilityError;
}

export type Repair = "drift" | "resync" | "resync-failed" | "removal-failed" | "repair-failed" | "foreign";

export interface ReconcilerListener {
  onResult(result: GroupResult): void;
  /** Something was not as it should be and has been or will be mended: for the log. `foreign` is nobody's business but its maker's. */
  onRepair(what: Repair, detail: string): void;
  /** Vanished, and not to be made again: the owners have to want something in its place. */
  onLoss(loss: Loss): void;
}

export interface ReconcilerClock {
  schedule(delayMs: number, run: () => void): void;
}

interface Wish {
  readonly objects: ObjectMap;
  readonly revision: number;
  /** A repair of ours: nobody waits for an answer. */
  readonly silent: boolean;
}

/** Names of pauses that are no group's. */
const RESYNC = "\0resync";
const REMOVALS = "\0removals";
/** So many foreign objects are remembered, to be told once each. */
const MAX_FOREIGN = 1000;

export class Reconciler {
  readonly #kernel: KernelPort;
  readonly #listener: ReconcilerListener;
  readonly #ledger = new Ledger();
  readonly #maker: Maker;
  #wishes = new Map<string, Wish>();
  #changes: (KernelChange | "resync")[] = [];
  /** Of a resync that was asked for; absent: the kernel's notifications were lost. */
  #staleBecause: string | undefined;
  /** Objects whose removal is due. */
  #leftovers = new Map<string, KernelObject>();
  /** Those that the kernel would not let go: tried again after a pause, not with whatever else there is to do meanwhile. */
  readonly #stuck = new Map<string, KernelObject>();
  /** Keys of what the kernel was asked for, without an answer: a dump tells. */
  readonly #doubtful = new Set<string>();
  #running: Promise<void> | undefined;
  /** Groups whose repair has failed and that have got no other form since. */
  readonly #unrepaired = new Set<string>();
  /** Groups that are to be mended, in the next round, which sees what they want by then. */
  readonly #hurt = new Set<string>();
  /** For each one who is reading the kernel: what was worked on or announced meanwhile, of which the answer may be older. */
  readonly #readers = new Set<Set<string>>();
  readonly #pauses: Pauses;
  /** Slices of what nobody announces that are to be looked at before the next pause. */
  #slicesDue = 0;
  /** Told already. */
  readonly #foreign = new Set<string>();
  #closed = false;

  constructor(kernel: KernelPort, listener: ReconcilerListener, clock: ReconcilerClock) {
    this.#kernel = kernel;
    this.#listener = listener;
    this.#pauses = new Pauses(
      (delayMs, run) => clock.schedule(delayMs, run),
      (name) => this.#due(name),
    );
    this.#maker = new Maker({
      ledger: this.#ledger,
      apply: (operations) => this.#apply(operations),
      onStuck: (error, object) => this.#notTakenBack(error, object),
      onLoss: (loss) => listener.onLoss(loss),
      onDoubt: (object) => this.#doubtful.add(objectKey(object)),
    });
    kernel.onChange((change) => {
      this.#changes.push(change);
      if (change !== "resync") this.#touch([change]);
      this.commit();
    });
  }

  /** Learns what an earlier life left in the kernel; to be called before anything is wanted. What is announced meanwhile is taken in afterwards. */
  async start(): Promise<void> {
    this.#running = this.#kernel.dump(KIND_ORDER).then((objects) => {
      this.#ledger.replaceObserved(objects);
    });
    try {
      await this.#running;
    } finally {
      this.#running = undefined;
    }
    this.commit();
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
    return this.#ledger.faultsOf(this.#unrepaired).size + this.#leftovers.size + this.#stuck.size;
  }

  groupObjects(group: string): readonly KernelObject[] {
    return [...this.#ledger.groupObjects(group).values()];
  }

  /** Compares the kernel's truth with the plan, and changes nothing. */
  async audit(): Promise<{ readonly checked: number; readonly differences: readonly AuditDifference[] }> {
    await this.settled();
    // A round may begin while the kernel is read: a grace time ends, a node moves.
    return this.#read(KIND_ORDER, (found, touched) => {
      const desired = this.#ledger.desired();
      return { checked: desired.size, differences: compare(desired, found, touched) };
    });
  }

  /** Learns anew what the kernel has and mends what differs, at once: also what waits because it has failed. */
  refresh(why: string): void {
    this.#staleBecause = why;
    this.#changes.push("resync");
    this.#pauses.end();
    this.commit();
  }

  /** Looks at one object that others change without a word, and mends it. Whether it was there. Rejects if the kernel cannot be read. */
  async recheck(object: KernelObject): Promise<boolean> {
    return (await this.#lookAt([object])) === 0 && !this.#ledger.isMissing(objectKey(object));
  }

  /**
   * Looks at objects whose change nobody announces, so many at a time, and mends them. Rejects if the kernel cannot be read. Resolves to
   * whether some were missing and others have not had their turn yet: then it is best called again at once.
   */
  async look(): Promise<boolean> {
    const { quiet } = this.#ledger;
    const missing = await this.#lookAt(quiet.next());
    if (missing > 0 && this.#slicesDue === 0) this.#slicesDue = quiet.slices;
    this.#slicesDue = Math.max(0, this.#slicesDue - 1);
    return this.#slicesDue > 0 && !this.#closed;
  }

  /** How many of them are missing, and were not known to be. */
  async #lookAt(objects: readonly KernelObject[]): Promise<number> {
    const touched = new Set<string>();
    this.#readers.add(touched);
    try {
      const found = await this.#kernel.lookUp(objects);
      let missing = 0;
      objects.forEach((object, i) => {
        const present = found[i];
        // What was announced meanwhile is newer, and is taken in anyway.
        if (touched.has(objectKey(object)) || (present !== undefined && objectsEqual(object, present))) return;
        if (present === undefined && !this.#ledger.isMissing(objectKey(object))) missing++;
        this.#changes.push(present === undefined ? { verb: "removed", object } : { verb: "changed", object: present });
      });
      this.commit();
      return missing;
    } finally {
      this.#readers.delete(touched);
    }
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
    const due = this.#wishes.size + this.#changes.length + this.#hurt.size + this.#leftovers.size;
    return due > 0 || (this.#stuck.size > 0 && this.#pauses.admits(REMOVALS));
  }

  #wished(key: string): boolean {
    for (const wish of this.#wishes.values()) if (wish.objects.has(key)) return true;
    return false;
  }

  async #rounds(): Promise<void> {
    while (!this.#closed && this.#hasWork()) {
      await this.#absorbChanges();
      const hurt = new Set(this.#hurt);
      this.#hurt.clear();
      this.#repair(hurt);
      const wishes = this.#wishes;
      this.#wishes = new Map();
      await this.#round(wishes, this.#takeLeftovers());
    }
  }

  /** What nobody holds is to go all the same, and what somebody holds is to have his form again. */
  #notTakenBack({ message }: MobilityError, object: KernelObject): void {
    const key = objectKey(object);
    const owners = this.#ledger.owners(key);
    this.#listener.onRepair("removal-failed", message);
    for (const owner of owners) this.#hurt.add(owner);
    if (owners.size > 0) return;
    this.#stuck.set(key, object);
    this.#pauses.failed(REMOVALS);
  }

  #takeLeftovers(): Map<string, KernelObject> {
    const taken = this.#leftovers;
    this.#leftovers = new Map();
    if (this.#stuck.size === 0 || !this.#pauses.admits(REMOVALS)) return taken;
    for (const [key, object] of this.#stuck) taken.set(key, object);
    this.#stuck.clear();
    return taken;
  }

  async #round(wishes: ReadonlyMap<string, Wish>, leftovers: Map<string, KernelObject>): Promise<void> {
    const repairs = new Set([...wishes].filter(([, { silent }]) => silent).map(([group]) => group));
    const wanted = new Map([...wishes].map(([group, { objects }]) => [group, objects]));
    const failures = await this.#maker.make(wanted, repairs);
    const gone: GroupResult[] = [];
    for (const [group, wish] of wishes) {
      const failure = failures.get(group);
      const result = { group, revision: wish.revision, ...(failure !== undefined && { failure }) };
      if (failure === undefined) {
        this.#unrepaired.delete(group);
        const left = [...this.#ledger.assign(group, wish.objects), ...this.#maker.release(group)];
        for (const object of left) leftovers.set(objectKey(object), object);
      }
      if (wish.silent) this.#settleRepair(group, failure);
      else if (failure === undefined) this.#pauses.forget(group);
      if (wish.silent) continue;
      if (wish.objects.size === 0) gone.push(result);
      else this.#listener.onResult(result);
    }
    await this.#remove(leftovers);
    for (const result of gone) this.#listener.onResult(result);
  }

  #apply(operations: readonly Operation[]): Promise<readonly Outcome[]> {
    this.#touch(operations);
    return this.#kernel.apply(operations);
  }

  /** Has the answer used at once: what the kernel has of these kinds, and the keys of which something newer may be known by now. */
  async #read<T>(
    kinds: readonly KernelObjectKind[],
    use: (found: ObjectMap, touched: ReadonlySet<string>) => T,
  ): Promise<T> {
    const touched = new Set<string>();
    this.#readers.add(touched);
    try {
      return use(byKey(await this.#kernel.dump(kinds)), touched);
    } finally {
      this.#readers.delete(touched);
    }
  }

  #touch(touching: readonly { readonly object: KernelObject }[]): void {
    for (const touched of this.#readers) for (const { object } of touching) touched.add(objectKey(object));
  }

  async #remove(objects: ReadonlyMap<string, KernelObject>): Promise<void> {
    const operations: Operation[] = [];
    for (const [key, object] of objects) {
      if (this.#maker.keeps(key)) continue;
      if (this.#ledger.owners(key).size === 0 && object.kind !== "sysctl") operations.push({ verb: "remove", object });
      else if (object.kind === "sysctl") this.#ledger.forget(key);
    }
    if (operations.length === 0) return;
    let failed = false;
    for (const { operation, error } of await this.#apply(inRemovalOrder(operations))) {
      const key = objectKey(operation.object);
      if (error === undefined) {
        this.#ledger.forget(key);
        continue;
      }
      failed = true;
      this.#listener.onRepair("removal-failed", error.message);
      this.#stuck.set(key, operation.object);
    }
    if (failed) this.#pauses.failed(REMOVALS);
    else if (this.#stuck.size === 0) this.#pauses.forget(REMOVALS);
  }

  /** What others changed behind the ledger's back. */
  async #absorbChanges(): Promise<void> {
    const changes = this.#changes;
    this.#changes = [];
    const drift = takeIn(changes, this.#ledger);
    for (const what of drift.told) this.#listener.onRepair("drift", what);
    for (const object of drift.changelings) this.#leftovers.set(objectKey(object), object);
    this.#tellForeign(drift.foreign);
    this.#mend(drift);
    if (drift.stale !== undefined && this.#pauses.admits(RESYNC)) await this.#resync(this.#staleBecause ?? drift.stale);
  }

  async #resync(why: string): Promise<void> {
    this.#listener.onRepair("resync", why);
    try {
      const objects = await this.#kernel.dump(KIND_ORDER);
      this.#staleBecause = undefined;
      this.#pauses.mended(RESYNC);
      this.#mend(this.#ledger.replaceObserved(objects));
      this.#settleDoubts();
    } catch (error) {
      if (!(error instanceof MobilityError)) throw error;
      this.#listener.onRepair("resync-failed", error.message);
      this.#pauses.failed(RESYNC);
    }
  }

  /** What was made without an answer and whose group has failed is nobody's; of an association nobody knows then who has used which numbers. */
  #settleDoubts(): void {
    for (const key of this.#doubtful) {
      const object = this.#ledger.believed(key);
      if (object === undefined || this.#ledger.owners(key).size > 0) continue;
      this.#leftovers.set(key, object);
      if (isIrreplaceable(object)) this.#listener.onLoss({ object, groups: [] });
    }
    this.#doubtful.clear();
  }

  /** What others make under our marks is theirs to take away; it is told once. */
  #tellForeign({ appeared, vanished }: Drift["foreign"]): void {
    for (const key of vanished) this.#foreign.delete(key);
    for (const key of appeared) {
      if (this.#foreign.has(key) || this.#foreign.size >= MAX_FOREIGN) continue;
      this.#foreign.add(key);
      this.#listener.onRepair("foreign", `${key} has our mark, but is none of ours: it is left alone`);
    }
  }

  /** What is lost, its owners make up for, at once: they know it before the round begins. */
  #mend({ hurt, lost }: Damage): void {
    for (const loss of lost) this.#listener.onLoss(loss);
    this.#repair(hurt);
  }

  /** At the beginning of a round only: while one is at work, a group's realised form may be on its way out. */
  #repair(groups: ReadonlySet<string>): void {
    for (const group of groups) {
      if (this.#wishes.has(group) || !this.#pauses.admits(group)) continue;
      this.#wishes.set(group, { objects: new Map(this.#ledger.groupObjects(group)), revision: 0, silent: true });
    }
  }

  #settleRepair(group: string, failure: MobilityError | undefined): void {
    if (failure === undefined) return this.#pauses.mended(group);
    this.#unrepaired.add(group);
    this.#pauses.failed(group);
    this.#listener.onRepair("repair-failed", `${group}: ${failure.message}`);
  }

  /** A pause is over. */
  #due(name: string): void {
    if (name === RESYNC) this.#changes.push("resync");
    else if (name !== REMOVALS) this.#hurt.add(name);
    this.commit();
  }
}
