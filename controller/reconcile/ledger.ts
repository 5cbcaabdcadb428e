/**
 * What the reconciler believes: which groups want which objects, and what is in the kernel. A group is everything that stands and falls
 * together (a binding, the site); objects that several groups want in the same form are shared and counted.
 */
import { objectsEqual } from "../plan/objects/equal.js";
import { type KernelObject, objectKey } from "../plan/objects/objects.js";
import { isIrreplaceable, predecessorsOf, successionKey } from "../plan/security/succession.js";
import { QuietObjects } from "./quiet-kinds.js";

interface Believed {
  object: KernelObject;
  /** Groups whose realised form holds it; none: found at the start and not claimed yet, or left over from a failed removal. */
  readonly owners: Set<string>;
}

/** An object that has vanished and must not be made again, for nobody knows its history; no group has it any more. */
export interface Loss {
  readonly object: KernelObject;
  readonly groups: readonly string[];
}

export interface Damage {
  /** Groups that are to be mended. */
  readonly hurt: ReadonlySet<string>;
  readonly lost: readonly Loss[];
}

export class Ledger {
  readonly #kernel = new Map<string, Believed>();
  /** Keys of objects that may take on from each other. */
  readonly #kin = new Map<string, Set<string>>();
  /** The realised objects' keys of each group. */
  readonly #groups = new Map<string, Map<string, KernelObject>>();
  /** Keys that groups hold but the kernel lacks. */
  readonly #missing = new Set<string>();

  /** Of what groups hold: what the kernel does not announce. */
  readonly quiet = new QuietObjects();

  /** The object that is believed to be in the kernel. */
  believed(key: string): KernelObject | undefined {
    return this.#kernel.get(key)?.object;
  }

  owners(key: string): ReadonlySet<string> {
    return this.#kernel.get(key)?.owners ?? NOBODY;
  }

  groupObjects(group: string): ReadonlyMap<string, KernelObject> {
    return this.#groups.get(group) ?? NOTHING;
  }

  get size(): number {
    return this.#kernel.size;
  }

  /** The kernel has it (now). */
  note(object: KernelObject): void {
    const key = objectKey(object);
    const entry = this.#kernel.get(key);
    if (entry === undefined) this.#put(key, object);
    else entry.object = object;
    this.#missing.delete(key);
  }

  /** The kernel does not have it (any more). */
  forget(key: string): void {
    const owners = this.#kernel.get(key)?.owners;
    if (owners === undefined) return;
    if (owners.size === 0) this.#drop(key);
    else this.#missing.add(key);
  }

  /** It has gone for good: no group holds it any more. Returns those that did. */
  lose(key: string): readonly string[] {
    const owners = [...this.owners(key)];
    for (const owner of owners) {
      const objects = this.#groups.get(owner);
      objects?.delete(key);
      if (objects?.size === 0) this.#groups.delete(owner);
    }
    this.#missing.delete(key);
    this.#drop(key);
    return owners;
  }

  /** Keys of what the groups hold and the kernel lacks or has in another form. */
  faultsOf(groups: Iterable<string>): ReadonlySet<string> {
    const faults = new Set<string>();
    for (const group of groups) {
      for (const [key, wanted] of this.groupObjects(group)) {
        const believed = this.believed(key);
        if (believed === undefined || this.#missing.has(key) || !objectsEqual(wanted, believed)) faults.add(key);
      }
    }
    return faults;
  }

  /** Groups hold it, but the kernel has lost it. */
  isMissing(key: string): boolean {
    return this.#missing.has(key);
  }

  /** The group's realised form is now this one. Objects it held before and nobody holds now are returned: they are to be removed. */
  assign(group: string, objects: ReadonlyMap<string, KernelObject>): KernelObject[] {
    const orphans: KernelObject[] = [];
    for (const [key] of this.groupObjects(group)) {
      if (objects.has(key)) continue;
      const entry = this.#kernel.get(key);
      entry?.owners.delete(group);
      if (entry !== undefined && entry.owners.size === 0) {
        this.quiet.forget(key);
        if (this.#missing.delete(key)) this.#drop(key);
        else orphans.push(entry.object);
      }
    }
    for (const [key, object] of objects) {
      const entry = this.#kernel.get(key) ?? this.#put(key, object);
      entry.object = object;
      entry.owners.add(group);
      this.quiet.note(object);
      this.#missing.delete(key);
    }
    if (objects.size === 0) this.#groups.delete(group);
    else this.#groups.set(group, new Map(objects));
    return orphans;
  }

  /** All that groups want and have been given. */
  desired(): Map<string, KernelObject> {
    const all = new Map<string, KernelObject>();
    for (const objects of this.#groups.values()) for (const [key, object] of objects) all.set(key, object);
    return all;
  }

  /** Objects in the kernel that no group holds. */
  unclaimed(): KernelObject[] {
    const list: KernelObject[] = [];
    for (const { object, owners } of this.#kernel.values()) if (owners.size === 0) list.push(object);
    return list;
  }

  /** The kernel's objects as a full dump tells them; returns the groups that lack something or have it in another form, and what is lost. */
  replaceObserved(objects: readonly KernelObject[]): Damage {
    const seen = new Set<string>();
    const hurt = new Set<string>();
    const lost: Loss[] = [];
    for (const object of objects) {
      const key = objectKey(object);
      seen.add(key);
      const entry = this.#kernel.get(key);
      if (entry === undefined) this.#put(key, object);
      else if (!objectsEqual(entry.object, object)) this.#damage(entry, object, hurt);
      this.#missing.delete(key);
    }
    for (const [key, entry] of this.#kernel) {
      if (seen.has(key)) continue;
      if (isIrreplaceable(entry.object) && entry.owners.size > 0) {
        lost.push({ object: entry.object, groups: this.lose(key) });
        continue;
      }
      for (const owner of entry.owners) hurt.add(owner);
      this.forget(key);
    }
    return { hurt, lost };
  }

  /** In the kernel, and hand their history on to the object (plan/succession.ts). */
  predecessors(object: KernelObject): readonly KernelObject[] {
    const kin = this.#kin.get(successionKey(object) ?? "");
    if (kin === undefined) return [];
    const candidates = [...kin].filter((key) => !this.#missing.has(key)).map((key) => this.#kernel.get(key)?.object);
    return predecessorsOf(
      object,
      candidates.filter((candidate) => candidate !== undefined),
    );
  }

  #put(key: string, object: KernelObject): Believed {
    const entry = { object, owners: new Set<string>() };
    this.#kernel.set(key, entry);
    const kinship = successionKey(object);
    if (kinship !== undefined) this.#kin.set(kinship, (this.#kin.get(kinship) ?? new Set()).add(key));
    return entry;
  }

  #drop(key: string): void {
    const object = this.#kernel.get(key)?.object;
    this.#kernel.delete(key);
    this.quiet.forget(key);
    const kinship = object === undefined ? undefined : successionKey(object);
    if (kinship === undefined) return;
    const kin = this.#kin.get(kinship);
    kin?.delete(key);
    if (kin?.size === 0) this.#kin.delete(kinship);
  }

  #damage(entry: Believed, found: KernelObject, hurt: Set<string>): void {
    entry.object = found;
    for (const owner of entry.owners) hurt.add(owner);
  }
}

const NOBODY: ReadonlySet<string> = new Set();
const NOTHING: ReadonlyMap<string, KernelObject> = new Map();
