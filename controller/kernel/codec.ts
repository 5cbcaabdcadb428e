/**
 * How one kind of kernel object becomes netlink requests and comes back from a dump. Each kind has one codec in its own file;
 * netlink-kernel.ts composes them and is the only file that talks to sockets.
 */
import type { KernelObject } from "../plan/objects.js";

export type NetlinkFamily = "route" | "xfrm" | "netfilter" | "generic";

/** One netlink message without header fields that the session fills in (length, sequence, port). */
export interface NetlinkRequest {
  readonly family: NetlinkFamily;
  /** nlmsg_type. For generic netlink the family's name stands in `generic` and is resolved to a number by the session. */
  readonly type: number;
  readonly generic?: string;
  /** NLM_F_* beyond REQUEST and ACK, which the session sets. */
  readonly flags: number;
  /** Family header and attributes. */
  readonly body: Uint8Array;
  /** The body holds a key: whoever sends it zeroes it, and every copy of it, afterwards. */
  readonly secret?: true;
}

/** One message of a dump or a notification: type as received, body after the netlink header. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly body: Uint8Array;
}

/** Translation of names that only the running kernel knows. */
export interface KernelNames {
  /** Throws KernelError (ENODEV) for a device that is not there. */
  interfaceIndex(name: string): number;
  interfaceName(index: number): string | undefined;
}

export interface ObjectCodec<K extends KernelObject> {
  readonly kind: K["kind"];
  readonly family: NetlinkFamily;
  /** Requests that make the object and fail with EEXIST if one with its key is there (of anybody's). */
  create(object: K, names: KernelNames): readonly NetlinkRequest[];
  /** Requests that turn our `previous` into `object` (same key) without a gap; undefined if the kernel can't and it must be removed and made again. */
  update(object: K, previous: K, names: KernelNames): readonly NetlinkRequest[] | undefined;
  remove(object: K, names: KernelNames): readonly NetlinkRequest[];
  /** Requests whose replies hold all objects of this kind. */
  dump(): readonly NetlinkRequest[];
  /** The object in a reply or notification; undefined if it is none of this kind or (`ownOnly`) does not carry our mark. Unknown attributes are no error. */
  decode(message: NetlinkMessage, names: KernelNames, ownOnly: boolean): K | undefined;
  /**
   * For kinds whose objects stand in many messages, or many in one: the requests that the replies to `dump` show to be needed as
   * well. Absent: `dump` asks for everything.
   */
  dumpMore?(replies: readonly NetlinkMessage[]): readonly NetlinkRequest[];
  /** All objects of this kind in the replies to `dump` and `dumpMore` together; absent: `decode` of each reply. */
  assemble?(replies: readonly NetlinkMessage[], names: KernelNames, ownOnly: boolean): readonly K[];
  /** The same as `create` of each, packed into as few messages as possible; absent: one by one. */
  createMany?(objects: readonly K[], names: KernelNames): readonly NetlinkRequest[];
  /** The same as `remove` of each, packed into as few messages as possible; absent: one by one. */
  removeMany?(objects: readonly K[], names: KernelNames): readonly NetlinkRequest[];
}
