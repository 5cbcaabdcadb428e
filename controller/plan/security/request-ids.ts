/**
 * Request ids of the security associations: four for each home address, one for each purpose. They tie policies to associations, so no
 * two nodes may share one. A node's slot follows from its home address, so that it is the same after every restart; where two collide,
 * the one that comes later in the list takes the next free one.
 */
import { type Ipv6Address, ipToBytes } from "../../base/ip.js";
import { fnv1a } from "../objects/hash.js";
import { OWNERSHIP } from "../objects/objects.js";
import { NEGOTIATED } from "./marks.js";

/** signalling: binding updates and acknowledgements. return-routability: HoTI and HoT. prefix: mobile prefix discovery (RFC 4877 §4). */
export const PURPOSES = ["signalling", "return-routability", "prefix", "payload"] as const;
export type Purpose = (typeof PURPOSES)[number];
/** What goes through ESP in tunnel mode, between wherever the node is and its home agent. */
export const TUNNEL_PURPOSES = ["return-routability", "payload"] as const satisfies readonly Purpose[];
export type TunnelPurpose = (typeof TUNNEL_PURPOSES)[number];
/** What is negotiated when the first packet asks for it. */
export const DEMANDED_PURPOSES = ["return-routability", "prefix"] as const satisfies readonly Purpose[];
export type DemandedPurpose = (typeof DEMANDED_PURPOSES)[number];

/** Request ids below this offset are for what all nodes share. */
export const SHARED_REQIDS = 16;
const SLOTS = Math.floor((0x1000000 - SHARED_REQIDS) / PURPOSES.length);

/** Of a node among others; absent nodes have the slot that follows from their address. */
export type Slots = ReadonlyMap<Ipv6Address, number>;
export const NO_SLOTS: Slots = new Map();

function preferredSlot(homeAddress: Ipv6Address): number {
  return fnv1a(ipToBytes(homeAddress)) % SLOTS;
}

/** Only nodes whose slot is not the preferred one are listed. */
export function assignSlots(homeAddresses: Iterable<Ipv6Address>): Slots {
  const taken = new Set<number>();
  const moved = new Map<Ipv6Address, number>();
  for (const homeAddress of homeAddresses) {
    const preferred = preferredSlot(homeAddress);
    let slot = preferred;
    while (taken.has(slot)) slot = (slot + 1) % SLOTS;
    taken.add(slot);
    if (slot !== preferred) moved.set(homeAddress, slot);
  }
  return moved;
}

export function reqidOf(homeAddress: Ipv6Address, purpose: Purpose = "signalling", slots: Slots = NO_SLOTS): number {
  const slot = slots.get(homeAddress) ?? preferredSlot(homeAddress);
  return OWNERSHIP.reqidBase + SHARED_REQIDS + slot * PURPOSES.length + PURPOSES.indexOf(purpose);
}

/** What a request id of a node's associations is for, ours or the IKE daemon's. */
export function purposeOf(reqid: number): Purpose {
  const base = reqid >= NEGOTIATED.reqidBase ? NEGOTIATED.reqidBase : OWNERSHIP.reqidBase;
  return PURPOSES[(reqid - base - SHARED_REQIDS) % PURPOSES.length] ?? "signalling";
}

/** The request id under which the IKE daemon installs what it negotiates for the same purpose. */
export function negotiatedReqid(reqid: number): number {
  return reqid - OWNERSHIP.reqidBase + NEGOTIATED.reqidBase;
}

/** The inverse of `reqidOf` for a table of slots: whose request id it is, of ours or of the IKE daemon's; undefined for strangers'. */
export class RequestIds {
  readonly #owners = new Map<number, Ipv6Address>();

  constructor(homeAddresses: Iterable<Ipv6Address>, slots: Slots) {
    for (const homeAddress of homeAddresses)
      this.#owners.set(slots.get(homeAddress) ?? preferredSlot(homeAddress), homeAddress);
  }

  find(reqid: number): { readonly homeAddress: Ipv6Address; readonly purpose: Purpose } | undefined {
    const base = reqid >= NEGOTIATED.reqidBase ? NEGOTIATED.reqidBase : OWNERSHIP.reqidBase;
    const offset = reqid - base - SHARED_REQIDS;
    if (offset < 0) return undefined;
    const homeAddress = this.#owners.get(Math.floor(offset / PURPOSES.length));
    const purpose = PURPOSES[offset % PURPOSES.length];
    return homeAddress === undefined || purpose === undefined ? undefined : { homeAddress, purpose };
  }
}
