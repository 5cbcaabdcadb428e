/**
 * Makes what groups want, all groups' operations in one batch. A group is all or nothing: if the kernel refuses one of its objects, what
 * was made for it is taken back. Only when a group that was whole is being mended, what could be put back stays, unless what is missing
 * protects or selects it. The first refusal is the group's cause: what is refused later may be so because of what was taken back.
 *
 * An association that sends may have sent a few packets by then, whose numbers must not be used again: what
 * it was to replace leaps ahead of it, and whichever of the two knows the numbers is kept until the group has got something.
 */

import { MobilityError } from "../base/errors.js";
import { append } from "../base/lists.js";
import { objectsEqual } from "../plan/objects/equal.js";
import { type KernelObject, objectKey } from "../plan/objects/objects.js";
import { isIrreplaceable, isSending } from "../plan/security/succession.js";
import { byKey, inMakingOrder, inRemovalOrder, inverse, type ObjectMap } from "./diff.js";
import type { Operation, Outcome } from "./kernel-port.js";
import type { Ledger, Loss } from "./ledger.js";

export interface MakerOptions {
  readonly ledger: Ledger;
  readonly apply: (operations: readonly Operation[]) => Promise<readonly Outcome[]>;
  /** Something that was made for a failed group, or changed, could not be taken back: the kernel has this form of it. */
  readonly onStuck: (error: MobilityError, object: KernelObject) => void;
  /** An association could not be made to leap. */
  readonly onLoss: (loss: Loss) => void;
  /** Nobody knows whether the kernel has it, and nobody holds it. */
  readonly onDoubt: (object: KernelObject) => void;
}

interface GroupWork {
  readonly group: string;
  readonly objects: ObjectMap;
  readonly operations: readonly Operation[];
}

/** Which group of a round wants an object, and in which form. */
interface Claim {
  readonly group: string;
  readonly object: KernelObject;
}

const CLASH = "MIP_CLASH";

interface Failure {
  /** The first. */
  readonly error: MobilityError;
  /** It is about an nftables transaction, which may have failed because of others; `collateral`: it has. */
  readonly inCompany: boolean;
  readonly collateral: boolean;
  /** What was refused protects or selects payload: what it is for must not be there without it. */
  exposed: boolean;
}

export class Maker {
  readonly #options: MakerOptions;
  /** What must not be removed, by the groups that have failed. */
  readonly #kept = new Map<string, Map<string, KernelObject>>();

  constructor(options: MakerOptions) {
    this.#options = options;
  }

  /**
   * Gives the groups these objects, and tells the ledger what the kernel has; returns why for the groups that failed. Nothing is removed.
   * `repairs`: those of the groups that had all this before.
   */
  async make(
    wishes: ReadonlyMap<string, ObjectMap>,
    repairs: ReadonlySet<string> = new Set(),
  ): Promise<Map<string, MobilityError>> {
    const rebuilt = [...wishes.values()].some((objects) => this.#replacesTable(objects));
    const failures = new Map<string, MobilityError>();
    const ready: GroupWork[] = [];
    const claims = new Map<string, Claim>();
    for (const [group, objects] of wishes) {
      const one = this.#workOf(group, objects, rebuilt);
      const clash = this.#clash(one) ?? rivalClaim(one, claims);
      if (clash === undefined) ready.push(one);
      else failures.set(group, clash);
    }
    const together = await this.#attempt(ready, repairs);
    for (const [group, { error }] of together) failures.set(group, error);
    // An nftables transaction fails whole: groups that were only in bad company get a try of their own.
    const alone = ready.length > 1 ? ready.filter(({ group }) => together.get(group)?.inCompany === true) : [];
    for (const { group, objects } of alone) {
      // Worked out anew: what others have got meanwhile is not made for this group, and so not taken back with it.
      const second = await this.#attempt([this.#workOf(group, objects, rebuilt)], repairs);
      const failure = second.get(group);
      if (failure === undefined) failures.delete(group);
      else if (together.get(group)?.collateral === true) failures.set(group, failure.error);
    }
    return failures;
  }

  keeps(key: string): boolean {
    return [...this.#kept.values()].some((objects) => objects.has(key));
  }

  /** The group has got something: returns what was kept for it, which may go if nobody wants it. */
  release(group: string): readonly KernelObject[] {
    const kept = this.#kept.get(group);
    this.#kept.delete(group);
    return [...(kept?.values() ?? [])];
  }

  /** A table that is made anew comes without the elements it had. */
  #replacesTable(objects: ObjectMap): boolean {
    for (const [key, object] of objects) {
      const before = this.#options.ledger.believed(key);
      if (object.kind === "nft-table" && before !== undefined && !objectsEqual(object, before)) return true;
    }
    return false;
  }

  #workOf(group: string, objects: ObjectMap, tableRebuilt: boolean): GroupWork {
    const { ledger } = this.#options;
    const operations: Operation[] = [];
    for (const [key, object] of objects) {
      const gone = ledger.isMissing(key) || (tableRebuilt && object.kind === "nft-element");
      const previous = gone ? undefined : ledger.believed(key);
      if (previous === undefined) operations.push(this.#creation(object));
      else if (!objectsEqual(object, previous)) operations.push({ verb: "update", object, previous });
    }
    return { group, objects, operations };
  }

  #creation(object: KernelObject): Operation {
    const predecessors = this.#options.ledger.predecessors(object);
    return predecessors.length === 0 ? { verb: "create", object } : { verb: "create", object, predecessors };
  }

  /** An object that another group holds in another form cannot be given. */
  #clash({ group, operations }: GroupWork): MobilityError | undefined {
    for (const { verb, object } of operations) {
      const others = [...this.#options.ledger.owners(objectKey(object))].filter((owner) => owner !== group);
      if (verb === "update" && others.length > 0) {
        return new MobilityError(CLASH, `${objectKey(object)} is wanted by ${others[0]} in another form`);
      }
    }
    return undefined;
  }

  /** Applies the operations of the groups; returns those that failed, each taken back. */
  async #attempt(work: readonly GroupWork[], repairs: ReadonlySet<string>): Promise<Map<string, Failure>> {
    const { ledger, apply, onDoubt } = this.#options;
    const failures = new Map<string, Failure>();
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
    const outcomes = batch.length === 0 ? [] : await apply(inMakingOrder(batch));
    for (const outcome of outcomes) {
      if (outcome.unknown === true && outcome.operation.verb === "create") onDoubt(outcome.operation.object);
      if (outcome.error === undefined) ledger.note(outcome.operation.object);
      else
        for (const group of owners.get(outcome.operation) ?? []) noteFailure(failures, group, outcome, outcome.error);
    }
    const undone = new Set<string>();
    for (const [group, { exposed }] of failures) if (exposed || !repairs.has(group)) undone.add(group);
    await this.#takeBack(outcomes, owners, undone);
    return failures;
  }

  async #takeBack(
    outcomes: readonly Outcome[],
    owners: ReadonlyMap<Operation, readonly string[]>,
    undone: ReadonlySet<string>,
  ): Promise<void> {
    const undo: Operation[] = [];
    for (const { operation, error } of outcomes) {
      const groups = owners.get(operation) ?? [];
      if (error !== undefined || isLentDevice(operation) || !groups.every((group) => undone.has(group))) continue;
      append(undo, this.#undoOfSender(operation, groups) ?? [inverse(operation)]);
    }
    if (undo.length === 0) return;
    for (const { operation, error } of await this.#options.apply(inRemovalOrder(undo)))
      this.#noteUndone(operation, error);
  }

  #undoOfSender(operation: Operation, groups: readonly string[]): readonly Operation[] | undefined {
    const { verb, object: heir } = operation;
    if (verb !== "create" || !isSender(heir)) return undefined;
    const staying = (operation.predecessors ?? []).filter(
      (one) => this.#options.ledger.owners(objectKey(one)).size > 0,
    );
    const kept = staying.length === 0 ? [heir] : staying;
    for (const group of groups) this.#kept.set(group, new Map([...(this.#kept.get(group) ?? []), ...byKey(kept)]));
    if (staying.length === 0) return [];
    const leaps = staying.flatMap((object): Operation[] => [
      { verb: "remove", object },
      { verb: "create", object, predecessors: [object, heir] },
    ]);
    return [...leaps, { verb: "remove", object: heir }];
  }

  #noteUndone(operation: Operation, error: MobilityError | undefined): void {
    const { ledger, onStuck, onLoss } = this.#options;
    const { verb, object } = operation;
    const key = objectKey(object);
    if (error !== undefined) onStuck(error, operation.verb === "update" ? operation.previous : object);
    if (verb === "create" && error !== undefined) onLoss({ object, groups: ledger.lose(key) });
    else if (error === undefined && verb === "remove") ledger.forget(key);
    else if (error === undefined) ledger.note(object);
  }
}

const isNft = ({ kind }: KernelObject): boolean => kind === "nft-table" || kind === "nft-element";

function noteFailure(failures: Map<string, Failure>, group: string, outcome: Outcome, error: MobilityError): void {
  const { object } = outcome.operation;
  const inCompany = isNft(object);
  const failure = failures.get(group) ?? { error, inCompany, collateral: outcome.collateral === true, exposed: false };
  failures.set(group, failure);
  failure.exposed ||= inCompany || object.kind === "xfrm-state" || object.kind === "xfrm-policy";
}

/** The device of a TUN is made and kept by whoever has it open; taking back our mark would be its end. */
const isLentDevice = ({ verb, object }: Operation): boolean =>
  verb === "create" && object.kind === "link" && object.link.type === "tun";

const isSender = (object: KernelObject): boolean =>
  isIrreplaceable(object) &&
  object.kind === "xfrm-state" &&
  object.transform.type === "esp" &&
  isSending(object.transform);

/** Of two groups that want an object in two forms in one round the first has it; what the kernel holds already counts as wanted too. */
function rivalClaim({ group, objects }: GroupWork, claims: Map<string, Claim>): MobilityError | undefined {
  for (const [key, object] of objects) {
    const rival = claims.get(key);
    if (rival !== undefined && !objectsEqual(rival.object, object)) {
      return new MobilityError(CLASH, `${key} is wanted by ${rival.group} in another form`);
    }
  }
  for (const [key, object] of objects) if (!claims.has(key)) claims.set(key, { group, object });
  return undefined;
}
