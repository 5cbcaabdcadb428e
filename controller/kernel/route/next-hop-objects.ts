/**
 * Next hop objects (`ip nexthop`): a route may name one in the place of a way of its own. With net.ipv4.nexthop_compat_mode 0 its number
 * is all that the kernel tells of such a route, in dumps, announcements and answers; so what stands behind the numbers is kept here.
 * Source: linux/nexthop.h (nhmsg, nexthop_grp).
 */
import type { IpAddress } from "../../base/ip.js";
import { AttributeWriter, LITTLE, readAttributes } from "../../netlink/attribute.js";
import type { NetlinkMessage, NetlinkRequest } from "../../netlink/message.js";
import * as rt from "../../netlink/rtnetlink.js";
import { NEXT_HOP_HEADER_LENGTH } from "./headers.js";

/** A link, and the gateway on it; without one what is sent is for the link itself. */
export interface NextHop {
  readonly index: number;
  readonly via?: IpAddress;
}

/** One hop, or the numbers of several; neither: what is sent there is thrown away. */
interface NextHopObject {
  readonly hop?: NextHop;
  readonly members: readonly number[];
}

export class NextHopObjects {
  readonly #objects = new Map<number, NextHopObject>();

  clear(): void {
    this.#objects.clear();
  }

  /** Whether the message is about a next hop object. */
  apply(message: NetlinkMessage): boolean {
    const { type, body } = message;
    if (type !== rt.RTM_NEWNEXTHOP && type !== rt.RTM_DELNEXTHOP) return false;
    const attributes = readAttributes(body.subarray(NEXT_HOP_HEADER_LENGTH), NEXT_HOP_HEADER_LENGTH);
    const id = attributes.get(rt.NHA_ID)?.u32();
    if (id === undefined) return true;
    if (type === rt.RTM_DELNEXTHOP) {
      this.#objects.delete(id);
      return true;
    }
    const index = attributes.get(rt.NHA_OIF)?.u32();
    const via = attributes.get(rt.NHA_GATEWAY)?.address();
    this.#objects.set(id, {
      ...(index !== undefined && { hop: via === undefined ? { index } : { index, via } }),
      members: membersOf(attributes.get(rt.NHA_GROUP)?.payload),
    });
    return true;
  }

  /** The hops behind a number, in the kernel's order. Empty for one that is not known, and for a black hole. */
  hopsOf(id: number): readonly NextHop[] {
    const { hop, members } = this.#objects.get(id) ?? { members: [] };
    if (hop !== undefined) return [hop];
    // A group has no groups in it.
    return members.flatMap((member) => this.#objects.get(member)?.hop ?? []);
  }
}

/** struct nexthop_grp, 8 octets: number, weight, reserved. */
function membersOf(bytes: Uint8Array | undefined): readonly number[] {
  if (bytes === undefined) return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: Math.floor(bytes.length / 8) }, (_, i) => view.getUint32(8 * i, LITTLE));
}

/** Asks for all of them. */
export function dumpNextHopObjects(): NetlinkRequest {
  const body = new AttributeWriter(8).raw(new Uint8Array(NEXT_HOP_HEADER_LENGTH)).finish();
  return { family: "route", type: rt.RTM_GETNEXTHOP, flags: 0, body };
}
