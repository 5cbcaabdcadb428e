/**
 * Where payload of nodes that have gone home is still taken for a grace time: it was on its way through the tunnel when they took their
 * binding back by a shorter way. A group of kernel objects of its own, beside whatever the node has meanwhile.
 */
import type { Ipv6Address } from "../../base/ip.js";
import type { Seconds } from "../../base/time.js";
import type { SetTimer } from "../../netlink/transport.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import type { ServiceGroups } from "../groups.js";

export interface FormerWaysPorts {
  readonly groups: Pick<ServiceGroups, "setGroup" | "removeGroup" | "commit">;
  readonly setTimer: SetTimer;
  readonly grace: Seconds;
}

export class FormerWays {
  readonly #ports: FormerWaysPorts;
  readonly #kept = new Map<Ipv6Address, { readonly objects: readonly KernelObject[]; readonly cancel: () => void }>();
  #revision = 0;

  constructor(ports: FormerWaysPorts) {
    this.#ports = ports;
  }

  /** Before the binding's own objects go, in the same turn. */
  keep(node: Ipv6Address, objects: readonly KernelObject[]): void {
    const { groups, setTimer, grace } = this.#ports;
    if (grace <= 0 || objects.length === 0) return;
    this.#kept.get(node)?.cancel();
    const cancel = setTimer(grace * 1000, () => {
      this.#kept.delete(node);
      groups.removeGroup(groupOf(node), ++this.#revision);
      groups.commit();
    });
    this.#kept.set(node, { objects, cancel });
    groups.setGroup(groupOf(node), objects, ++this.#revision);
  }

  objectsOf(node: Ipv6Address): readonly KernelObject[] {
    return this.#kept.get(node)?.objects ?? [];
  }

  close(): void {
    for (const { cancel } of this.#kept.values()) cancel();
    this.#kept.clear();
  }
}

const groupOf = (node: Ipv6Address): string => `former ways ${node}`;
