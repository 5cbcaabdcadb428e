/**
 * A reconciler over a kernel in memory that is slow, refuses, forgets to tell, and in which others do things: what stands behind a machine
 * and its plan. Time is virtual; each answer of the kernel and each announcement can be let through one by one.
 */
import { MobilityError } from "../../controller/base/errors.js";
import { type KernelObject, type KernelObjectKind, objectKey } from "../../controller/plan/objects/objects.js";
import { compare } from "../../controller/reconcile/audit.js";
import { byKey } from "../../controller/reconcile/diff.js";
import type { KernelChange, KernelPort, Operation, Outcome } from "../../controller/reconcile/kernel-port.js";
import { isQuiet } from "../../controller/reconcile/quiet-kinds.js";
import { type GroupResult, Reconciler } from "../../controller/reconcile/reconciler.js";
import { FakeKernel } from "../fake/fake-kernel.js";

/** A machine that is mended needs this long at most: the longest pause between two attempts, twice. */
const MENDED_MS = 20_000;
/** Who still works on something after so many turns of the event loop runs in a circle. */
const MAX_TURNS = 2000;
/** And who asks the kernel so often within one of them. */
const MAX_CALLS = 2000;

export class PlannedKernel {
  readonly kernel = new FakeKernel();
  /** Of groups; taken by whoever plays the service. */
  readonly results: GroupResult[] = [];
  /** What others have made under our marks, which stays theirs until a restart. */
  readonly foreign = new Map<string, KernelObject>();
  /** Calls and announcements wait to be let through. */
  slow = false;
  /** How many more batches get no answer: what became of them nobody knows. */
  unanswered = 0;
  #life = 0;
  #reconciler: Reconciler;
  #calls: (() => void)[] = [];
  #news: (() => void)[] = [];
  #timers: { readonly atMs: number; readonly run: () => void }[] = [];
  #nowMs = 0;
  /** Since the last rest. */
  #asked = 0;

  constructor() {
    this.#reconciler = this.#born();
  }

  get reconciler(): Reconciler {
    return this.#reconciler;
  }

  /** The process dies and is started again: what it was about to do is lost, what the kernel has stays. */
  async restart(): Promise<void> {
    this.#reconciler.close();
    this.kernel.close();
    this.#life++;
    for (const list of [this.#calls, this.#news, this.#timers, this.results]) list.length = 0;
    this.foreign.clear();
    Object.assign(this, { slow: false, unanswered: 0 });
    this.kernel.refuse = () => undefined;
    this.#reconciler = this.#born();
    await this.#reconciler.start();
  }

  /** What a daemon cannot start without: where somebody else has one of them it ends with a sentence, so nobody has. */
  wantShared(group: string, objects: readonly KernelObject[]): void {
    for (const object of objects) this.kernel.strangers.delete(objectKey(object));
    this.#reconciler.setGroup(group, objects, 1);
  }

  /** Lets one waiting call or announcement through, if there is any. */
  async letThrough(which: "call" | "news"): Promise<void> {
    (which === "call" ? this.#calls : this.#news).shift()?.();
    await turn();
  }

  schedule(delayMs: number, run: () => void): void {
    this.#timers.push({ atMs: this.#nowMs + delayMs, run });
  }

  /** Time passes, with what is due on the way. */
  async advance(ms: number): Promise<void> {
    const end = this.#nowMs + ms;
    for (let due = this.#nextTimer(end); due !== undefined; due = this.#nextTimer(end)) {
      this.#nowMs = due.atMs;
      this.#timers.splice(this.#timers.indexOf(due), 1);
      due.run();
      await turn();
    }
    this.#nowMs = end;
  }

  /** Nobody disturbs any more; returns when all is done, or throws. `serve` gives the service its results, and is called until there are none. */
  async settle(serve: () => void): Promise<void> {
    Object.assign(this, { slow: false, unanswered: 0 });
    this.kernel.refuse = () => undefined;
    this.kernel.strangers.clear();
    for (const list of [this.#news, this.#calls]) for (const one of list.splice(0)) one();
    const end = this.#nowMs + MENDED_MS;
    this.#asked = 0;
    for (let turns = 0; turns < MAX_TURNS; turns++) {
      await this.#reconciler.settled();
      if (this.results.length > 0) {
        serve();
        continue;
      }
      if (this.#nowMs < end) {
        await this.advance(Math.max(1, (this.#nextTimer(end)?.atMs ?? end) - this.#nowMs));
        continue;
      }
      if (await this.#reconciler.look()) continue;
      await this.#reconciler.settled();
      if (this.results.length > 0) continue;
      this.#asked = 0;
      this.kernel.batches.length = 0;
      return;
    }
    throw new Error("the reconciler does not come to rest");
  }

  /** What is not as these plans say: missing, different, or left over. */
  differences(plans: readonly KernelObject[]): readonly string[] {
    const found = new Map([...this.kernel.objects].filter(([key]) => !this.foreign.has(key)));
    return compare(byKey(plans), found, new Set()).map(({ key, wanted, found: object }) => {
      const difference = wanted === undefined ? "left over" : object === undefined ? "missing" : "different";
      return `${key} is ${difference}`;
    });
  }

  /** Somebody else takes the objects away, or changes them; with a device or a table goes all that is on it, without a word of each. */
  interfere(change: KernelChange): void {
    const { object } = change;
    if (change.verb === "removed") this.#takeAlong(object);
    if (isQuiet(object)) this.kernel.objects.delete(objectKey(object));
    else this.kernel.interfere(change);
    if (object.kind === "nft-table" || object.kind === "nft-element") this.kernel.announce("resync");
  }

  /** They go, and nobody hears of each (ENOBUFS). */
  loseSilently(objects: readonly KernelObject[]): void {
    for (const object of objects) {
      this.#takeAlong(object);
      this.kernel.objects.delete(objectKey(object));
    }
    this.#news.length = 0;
    this.kernel.announce("resync");
  }

  #takeAlong(object: KernelObject): void {
    for (const [key, other] of this.kernel.objects) {
      const onDevice = object.kind === "link" && "device" in other && other.device === object.name;
      const inTable = object.kind === "nft-table" && other.kind === "nft-element";
      if (onDevice || inTable) this.kernel.objects.delete(key);
    }
  }

  #born(): Reconciler {
    const life = this.#life;
    const listener = {
      onResult: (result: GroupResult) => void this.results.push(result),
      onRepair: () => undefined,
      onLoss: () => undefined,
    };
    return new Reconciler(
      this.#port(() => life === this.#life),
      listener,
      this,
    );
  }

  /** For one life: what it has asked for and not got goes with it. */
  #port(alive: () => boolean): KernelPort {
    const { kernel } = this;
    const gate = async (): Promise<void> => {
      if (this.#asked++ > MAX_CALLS)
        throw new Error(`the reconciler runs in a circle: ${kernel.batches.slice(-3).join(" / ")}`);
      if (this.slow) await new Promise<void>((resolve) => void this.#calls.push(resolve));
      if (!alive()) await new Promise(() => undefined);
    };
    return {
      dump: async (kinds: readonly KernelObjectKind[]) => {
        await gate();
        const found = await kernel.dump(kinds);
        await gate();
        return found;
      },
      lookUp: async (objects) => {
        await gate();
        const found = await kernel.lookUp(objects);
        await gate();
        return found;
      },
      apply: async (operations: readonly Operation[]) => {
        await gate();
        const outcomes = await kernel.apply(operations);
        await gate();
        return this.#unanswered(outcomes);
      },
      onChange: (listener) =>
        kernel.onChange((change) => {
          if (this.slow) this.#news.push(() => listener(change));
          else listener(change);
        }),
      close: () => undefined,
    };
  }

  #unanswered(outcomes: readonly Outcome[]): readonly Outcome[] {
    if (this.unanswered === 0 || outcomes.length === 0) return outcomes;
    this.unanswered--;
    this.kernel.announce("resync");
    const error = new MobilityError("MIP_KERNEL", "the kernel's answer was lost");
    return outcomes.map(({ operation }) => ({ operation, error, unknown: true }));
  }

  #nextTimer(end: number): { readonly atMs: number; readonly run: () => void } | undefined {
    const due = this.#timers.filter(({ atMs }) => atMs <= end);
    return due.sort((a, b) => a.atMs - b.atMs)[0];
  }
}

/** All that was resolved so far has had its consequences. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
