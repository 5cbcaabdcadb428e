/** Keeps the kernel's local networks as the machine's own routes have them, in a group of its own: what fails here holds up no handover. */
import type { Seconds } from "../../base/time.js";
import { type HomeAddresses, planLocalNetworks } from "../../plan/mobile-node/local-networks.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import { backOff, PATH_RETRY_FIRST, PATH_RETRY_MAX } from "../../protocol/mip6/mobile-node/timers.js";
import { type LocalNetworksSite, localNetworks } from "../../protocol/movement/local-networks.js";
import type { NetworkView } from "../../protocol/movement/network-view.js";
import type { Reconciler } from "../../reconcile/reconciler.js";

export const NETWORKS_GROUP = "local networks";

interface Way {
  readonly device: string;
}

/** What the present data path goes over. */
export interface UsedDevices {
  readonly ingress: readonly Way[];
  readonly egress?: Way | undefined;
  readonly homeDevice?: string | undefined;
}

export class LocalNetworksKeeper {
  readonly #site: LocalNetworksSite;
  #planSite: HomeAddresses;
  readonly #reconciler: Pick<Reconciler, "setGroup" | "commit">;
  readonly #later: (wait: Seconds, run: () => void) => void;
  #view: NetworkView;
  #busy: readonly string[] = [];
  /** What was last asked for. */
  #wanted = "";
  #objects: readonly KernelObject[] = [];
  #revision = 0;
  #failures = 0;

  constructor(parts: {
    site: LocalNetworksSite;
    planSite: HomeAddresses;
    view: NetworkView;
    reconciler: Pick<Reconciler, "setGroup" | "commit">;
    later: (wait: Seconds, run: () => void) => void;
  }) {
    this.#site = parts.site;
    this.#planSite = parts.planSite;
    this.#view = parts.view;
    this.#reconciler = parts.reconciler;
    this.#later = parts.later;
  }

  /** What was last asked for. */
  get objects(): readonly KernelObject[] {
    return this.#objects;
  }

  /** The home addresses are others now. The commit is the caller's. */
  adopt(planSite: HomeAddresses): void {
    this.#planSite = planSite;
    if (this.#wanted === "") return;
    this.#wanted = "";
    this.#update();
  }

  /** The commit is the caller's. */
  see(view: NetworkView): void {
    this.#view = view;
    this.#update();
  }

  /** The commit is the caller's. */
  follow({ ingress, egress, homeDevice }: UsedDevices): void {
    const ways = [...ingress, ...(egress === undefined ? [] : [egress])].map(({ device }) => device);
    this.#busy = homeDevice === undefined ? ways : [...ways, homeDevice];
    this.#update();
  }

  /** The kernel's answer; a refusal is tried again, unless the network has changed by then. */
  answered(revision: number, failed: boolean): void {
    if (revision !== this.#revision) return;
    this.#failures = failed ? this.#failures + 1 : 0;
    if (!failed) return;
    this.#later(backOff(PATH_RETRY_FIRST, this.#failures - 1, PATH_RETRY_MAX), () => {
      if (revision !== this.#revision) return;
      this.#wanted = "";
      this.#update();
      this.#reconciler.commit();
    });
  }

  #update(): void {
    const networks = localNetworks(this.#view, this.#site, this.#busy);
    const wanted = JSON.stringify(networks);
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#revision += 1;
    this.#objects = planLocalNetworks(networks, this.#planSite);
    this.#reconciler.setGroup(NETWORKS_GROUP, this.#objects, this.#revision);
  }
}
