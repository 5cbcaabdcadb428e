/**
 * The machine's network as the mobile node's choice sees it: links, addresses and routes, ours and others', at one moment.
 * Made of what the kernel reported; plain data, complete, in no particular order.
 */
import type { Family, IpAddress, Prefix } from "../../base/ip.js";

export interface NetworkLink {
  readonly index: number;
  readonly name: string;
  /** Administratively up. */
  readonly up: boolean;
  /** Has carrier and may carry packets (IFF_RUNNING). */
  readonly running: boolean;
  /** IFLA_INFO_KIND, for example "veth"; absent for hardware and the loopback link. */
  readonly kind?: string;
  /** Made by this program. */
  readonly ours: boolean;
  /** How often it has got or lost its carrier; absent where the kernel does not count. A flap too short to be seen otherwise shows here. */
  readonly carrierChanges?: number;
  /** Present: a tunnel device; without `local` its packets leave with whatever source is chosen for them. */
  readonly tunnel?: { readonly local?: IpAddress };
  /** The interface on which it stands, or to which its packets are bound. */
  readonly lower?: number;
  /** False: neighbours are not resolved on it (IFF_NOARP), so none can be asked anything. */
  readonly resolves?: false;
}

export interface NetworkAddress {
  readonly device: string;
  readonly address: IpAddress;
  readonly prefixLength: number;
  readonly scope: "global" | "site" | "link" | "host";
  /** Duplicate address detection is not over, or has failed. */
  readonly tentative: boolean;
  /** Its preferred lifetime is over. */
  readonly deprecated: boolean;
  /** A privacy address (RFC 8981). */
  readonly temporary: boolean;
  readonly ours: boolean;
  /** Its network may be another one with the same numbers: then nothing is reached from there, and it says nothing about home. */
  readonly unproven?: true;
  /** Without an end of its lifetime: set by hand, or by a manager that takes it away itself. */
  readonly permanent?: true;
  /** When it was last set or its lifetime renewed, in hundredths of a second on the kernel's own clock. */
  readonly configuredAt?: number;
}

/** A unicast route through a device. */
export interface NetworkRoute {
  readonly family: Family;
  readonly destination: Prefix;
  readonly device: string;
  /** The gateway; absent: on the link. */
  readonly via?: IpAddress;
  readonly metric: number;
  readonly table: number;
  /** RTPROT_*. */
  readonly protocol: number;
  readonly ours: boolean;
}

/** A network to which packets go nowhere unless a longer prefix leads them on: of one that was delegated, what is not in use. */
export type DiscardedNetwork = Pick<NetworkRoute, "destination" | "metric" | "protocol">;

/** A next hop by which the kernel would send from an address to the home agent over the address's link, by its rules and tables of others. */
export interface NetworkWay {
  readonly device: string;
  readonly address: IpAddress;
  /** Of the route that the kernel would take; a way without it says nothing about the network it is in. */
  readonly destination?: Prefix;
  /** The gateway; absent: on the link. */
  readonly via?: IpAddress;
  readonly metric: number;
}

export interface NetworkView {
  readonly links: readonly NetworkLink[];
  readonly addresses: readonly NetworkAddress[];
  readonly routes: readonly NetworkRoute[];
  /** Of IPv6, others' alone, in the main table; absent: there are none. */
  readonly discarded?: readonly DiscardedNetwork[];
  /** The kernel's preference first; absent: nobody has asked it, and the routes have to do. */
  readonly ways?: readonly NetworkWay[];
}

export const EMPTY_NETWORK: NetworkView = { links: [], addresses: [], routes: [] };

/** Whether packets can pass a link of this name. */
export function linkUsable(view: NetworkView, device: string): boolean {
  return view.links.some((link) => link.name === device && link.up && link.running);
}
