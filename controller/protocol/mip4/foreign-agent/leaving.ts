/**
 * Visits that have ended and may still be in the kernel. Until that has let go nobody else gets their numbers, and nobody's data path is
 * asked for with their home address: of two that want one object in two forms the later one would be refused.
 */
import type { Ipv4Address } from "../../../base/ip.js";

export interface Leaving {
  readonly key: string;
  readonly homeAddress: Ipv4Address;
  readonly homeAgent: Ipv4Address;
  /** Of the removal. */
  readonly revision: number;
}

/** `Entry`: of who waits for their end. */
export class LeavingVisits<Entry> {
  readonly #byKey = new Map<string, Leaving[]>();
  readonly #byHome = new Map<Ipv4Address, Set<Leaving>>();
  /** What was accepted and has to wait. */
  readonly #held = new Map<Ipv4Address, Set<Entry>>();

  add(one: Leaving): void {
    this.#byKey.set(one.key, [...(this.#byKey.get(one.key) ?? []), one]);
    this.#byHome.set(one.homeAddress, (this.#byHome.get(one.homeAddress) ?? new Set()).add(one));
  }

  /** Whether another visitor than this one still has the home address in the kernel. */
  isInTheWay(homeAddress: Ipv4Address, key: string): boolean {
    for (const one of this.#byHome.get(homeAddress) ?? []) if (one.key !== key) return true;
    return false;
  }

  hold(homeAddress: Ipv4Address, entry: Entry): void {
    this.#held.set(homeAddress, (this.#held.get(homeAddress) ?? new Set()).add(entry));
  }

  /** The kernel has answered for `revision` of this visitor's: what has gone with that. */
  gone(key: string, revision: number): readonly Leaving[] {
    const all = this.#byKey.get(key) ?? [];
    const gone = all.filter((one) => one.revision <= revision);
    if (gone.length === 0) return gone;
    const left = all.filter((one) => one.revision > revision);
    if (left.length === 0) this.#byKey.delete(key);
    else this.#byKey.set(key, left);
    for (const one of gone) {
      const there = this.#byHome.get(one.homeAddress);
      there?.delete(one);
      if (there?.size === 0) this.#byHome.delete(one.homeAddress);
    }
    return gone;
  }

  /** Who has waited for this home address; those for whom somebody else is still in the way are to be held again. */
  released(homeAddress: Ipv4Address): readonly Entry[] {
    const all = [...(this.#held.get(homeAddress) ?? [])];
    this.#held.delete(homeAddress);
    return all;
  }
}
