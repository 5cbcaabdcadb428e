/** In which order objects come into being, so that each finds what it stands on; they go in the reverse order. */
import type { KernelObjectKind } from "../plan/objects/objects.js";

/**
 * Devices before what is on them; the firewall's knowledge of a new endpoint before the routes that lead there, so that no packet is
 * sent to a wrong port or dropped as spoofed (make before break); rules after the tables they lead to; copies of packets after all that leads them on; the home link last: packets are
 * drawn here only when they can go on. Addresses after the policies: nothing has a home address without its protection. The policies' hash
 * before the policies: with many of them a change of it is work.
 */
export const KIND_ORDER: readonly KernelObjectKind[] = [
  "fou-port",
  "link",
  "sysctl",
  "xfrm-state",
  "policy-hash",
  "xfrm-policy",
  "nft-table",
  "nft-element",
  "address",
  "permanent-neighbour",
  "route",
  "rule",
  "qdisc",
  "filter",
  "proxy-neighbour",
];

const RANK: ReadonlyMap<KernelObjectKind, number> = new Map(KIND_ORDER.map((kind, i) => [kind, i]));

export function rankOf(kind: KernelObjectKind): number {
  return RANK.get(kind) ?? KIND_ORDER.length;
}
