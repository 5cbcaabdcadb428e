/** How payload over IPv4 goes directly between a mobile node and a correspondent (draft-oulai-mext-dsmip-ro-00), as both ends know it. */
import type { Ipv4Address, Ipv6Address } from "../../../base/ip.js";

/** How IPv4 payload goes directly (draft §6.2); wire numbers 1 to 4, 0 is "all". */
export type Ipv4Mode = "ipv6-encapsulation" | "mapped" | "ipv4-encapsulation" | "ipv4-udp";

/** In the order of their numbers, from 1 on. */
export const IPV4_MODES = ["ipv6-encapsulation", "mapped", "ipv4-encapsulation", "ipv4-udp"] as const;

/** Where the other end is, and how payload gets there. */
export type Reach =
  /** RFC 6275's headers; IPv4 payload in mode 1 inside them. */
  | { readonly via: "headers"; readonly careOf: Ipv6Address }
  /** Mode 3: protocols 41 and 4. */
  | { readonly via: "ipv4"; readonly careOf: Ipv4Address }
  /** Mode 4: UDP, port 4191. `observed`: after any NAT. */
  | {
      readonly via: "udp";
      readonly careOf: Ipv4Address;
      readonly observed: { readonly address: Ipv4Address; readonly port: number };
    };

/** Of the option on the wire. */
export const modeNumber = (mode: Ipv4Mode): 1 | 2 | 3 | 4 => (IPV4_MODES.indexOf(mode) + 1) as 1 | 2 | 3 | 4;

/** Undefined for 0: all of them. */
export const modeOfNumber = (number: 0 | 1 | 2 | 3 | 4): Ipv4Mode | undefined => IPV4_MODES[number - 1];

export function sameReach(a: Reach, b: Reach): boolean {
  if (a.via !== b.via || a.careOf !== b.careOf) return false;
  if (a.via !== "udp" || b.via !== "udp") return true;
  return a.observed.address === b.observed.address && a.observed.port === b.observed.port;
}
