/**
 * Several home addresses of one node: each has a machine of its own, a service, for each is a binding of its own (RFC 6275 §5.5, §11.1): update,
 * sequence number, keys, data path. They share one view of the network, so that all of them move at once.
 */
import type { MobileNodeConfig } from "../../../schemas/config/mobile-node.js";
import type { NetworkView } from "../../protocol/movement/network-view.js";
import type { MobileNodeParts } from "./service.js";

export interface Home {
  /** Its place among the node's home addresses; 0 is the first. */
  readonly rank: number;
  /** As if the node had no other one. */
  readonly config: MobileNodeConfig;
  /** Of its service. Without blanks. */
  readonly name: string;
  /** Of its keys in the journal; absent: none. */
  readonly recordPrefix?: string;
}

/** The first one's service is called `name`, and knows of the others, for the firewall is its business. */
export function homesOf(config: MobileNodeConfig, name: string): readonly [Home, ...Home[]] {
  const { mobileNode, security } = config;
  const further = mobileNode.furtherHomeAddresses.map(({ homeAddress, ipv4HomeAddress, identity }, i): Home => {
    const own = { homeAddress, ipv4HomeAddress, furtherHomeAddresses: [], prefixes: [], multicast: false };
    const keyed = security.method === "ikev2" && identity !== undefined ? { ...security, identity } : security;
    return {
      rank: i + 1,
      config: { ...config, security: keyed, mobileNode: { ...mobileNode, ...own } },
      name: `${name}-${homeAddress}`,
      recordPrefix: `home ${homeAddress} `,
    };
  });
  return [{ rank: 0, config, name }, ...further];
}

type Network = Pick<MobileNodeParts, "network" | "movement">;

/**
 * Opens once what all who ask then look at together; it is closed when the last of them has closed both parts. Who has closed its own hears
 * nothing more.
 */
export function sharedNetwork(open: () => Promise<Network>): () => Promise<Network> {
  let shared: { readonly opened: Network; users: number } | undefined;
  const leave = (from: NonNullable<typeof shared>): void => {
    from.users -= 1;
    if (from.users > 0) return;
    from.opened.movement.close();
    from.opened.network.close();
    if (shared === from) shared = undefined;
  };
  return async () => {
    shared ??= { opened: await open(), users: 0 };
    const { opened } = shared;
    const using = shared;
    using.users += 1;
    const parts = new Set(["network", "movement"]);
    const close = (part: string): void => {
      if (parts.delete(part) && parts.size === 0) leave(using);
    };
    const whileOpen =
      (part: string, listener: (view: NetworkView) => void) =>
      (view: NetworkView): void => {
        if (parts.has(part)) listener(view);
      };
    const { network, movement } = opened;
    return {
      network: {
        get view() {
          return network.view;
        },
        onView: (listener) => network.onView(whileOpen("network", listener)),
        close: () => close("network"),
      },
      movement: {
        movement: {
          get view() {
            return movement.movement.view;
          },
          onView: (listener) => movement.movement.onView(whileOpen("movement", listener)),
          give: (input) => movement.movement.give(input),
        },
        close: () => close("movement"),
      },
    };
  };
}
