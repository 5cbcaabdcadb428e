/**
 * Which nodes have their tunnels' associations parked: all whose binding the kernel does not hold. A binding's objects take on from them,
 * so they go when those are there and not before: numbers used under a key must not be forgotten, whatever the kernel refuses.
 */
import type { Ipv6Address } from "../../base/ip.js";
import type { KernelObject } from "../../plan/objects/objects.js";

export class ParkedNodes {
  readonly #objects: (homeAddress: Ipv6Address) => readonly KernelObject[];
  readonly #want: (homeAddress: Ipv6Address, objects: readonly KernelObject[]) => void;
  readonly #bound = new Set<Ipv6Address>();
  readonly #parked = new Set<Ipv6Address>();

  /** `objects`: of the node, parked. `want`: these and no others shall be in the kernel. */
  constructor(
    objects: (homeAddress: Ipv6Address) => readonly KernelObject[],
    want: (homeAddress: Ipv6Address, objects: readonly KernelObject[]) => void,
  ) {
    this.#objects = objects;
    this.#want = want;
  }

  /** What is parked of the node. */
  objects(homeAddress: Ipv6Address): readonly KernelObject[] {
    return this.#bound.has(homeAddress) ? [] : this.#objects(homeAddress);
  }

  /** The kernel holds the binding's objects. */
  bound(homeAddress: Ipv6Address): void {
    this.#bound.add(homeAddress);
    this.update(homeAddress);
  }

  /** The binding's objects are about to go, or were refused. */
  unbound(homeAddress: Ipv6Address): void {
    this.#bound.delete(homeAddress);
    this.update(homeAddress);
  }

  /** The node's associations may be others, or become known. */
  update(homeAddress: Ipv6Address): void {
    const objects = this.objects(homeAddress);
    if (objects.length > 0) this.#parked.add(homeAddress);
    else if (!this.#parked.delete(homeAddress)) return;
    this.#want(homeAddress, objects);
  }
}
