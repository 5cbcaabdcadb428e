/** The routes that a home link has, which a node at home takes over into its own table. */
import { formatPrefix, type IpAddress, type Prefix } from "../../base/ip.js";
import type { NetworkView } from "./network-view.js";

/** A route of the home link; without a gateway on the link itself. */
export interface HomeRoute {
  readonly destination: Prefix;
  readonly gateway?: IpAddress;
}

/** The best for each destination that others made, in a fixed order, because the content is compared. */
export function ipv6Routes(view: NetworkView, device: string): readonly HomeRoute[] {
  const best = new Map<string, { readonly metric: number; readonly route: HomeRoute }>();
  for (const { ours, family, destination, device: through, via, metric } of view.routes) {
    if (ours || family !== 6 || through !== device) continue;
    const key = formatPrefix(destination);
    const known = best.get(key);
    if (known !== undefined && known.metric <= metric) continue;
    best.set(key, { metric, route: { destination, ...(via !== undefined && { gateway: via }) } });
  }
  return [...best].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { route }]) => route);
}
