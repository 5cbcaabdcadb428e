/**
 * How one kind of kernel object becomes netlink requests and comes back from a dump. Each kind has one codec in its own file;
 * netlink-kernel.ts composes them and is the only file that talks to sockets.
 */
import type { NetlinkFamily, NetlinkMessage, NetlinkRequest } from "../netlink/message.js";
import type { KernelObject } from "../plan/objects/objects.js";

export type { NetlinkFamily, NetlinkMessage, NetlinkRequest } from "../netlink/message.js";

/** Translation of names that only the running kernel knows. */
export interface KernelNames {
  /** Throws KernelError (ENODEV) for a device that is not there. */
  interfaceIndex(name: string): number;
  interfaceName(index: number): string | undefined;
}

export interface ObjectCodec<K extends KernelObject> {
  readonly kind: K["kind"];
  readonly family: NetlinkFamily;
  /**
   * Requests that make the object and fail with EEXIST if one with its key is there (of anybody's). Of several, each is sent only
   * after the one before has been accepted (nftables apart, where all are one transaction); the same for update and remove.
   */
  create(object: K, names: KernelNames): readonly NetlinkRequest[];
  /** Requests that turn our `previous` into `object` (same key) without a gap; undefined if the kernel can't and it must be removed and made again. */
  update(object: K, previous: K, names: KernelNames): readonly NetlinkRequest[] | undefined;
  remove(object: K, names: KernelNames): readonly NetlinkRequest[];
  /** The same as `create`, taking on what `replies` (to `find` of the predecessors) say of them; none: they are gone, and the object starts anew. */
  succeed?(object: K, replies: readonly NetlinkMessage[]): readonly NetlinkRequest[];
  /** Requests whose replies hold all objects of this kind; those without our mark may be left out unless `ownOnly` is false. */
  dump(ownOnly?: boolean): readonly NetlinkRequest[];
  /** There is one such thing at most: `dump` asks for it and the kernel lists nothing. */
  readonly single?: true;
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
  /** Requests whose replies hold the object with this one's key if there is one; absent: `dump(false)` must be searched. */
  find?(object: K, names: KernelNames): readonly NetlinkRequest[];
  /** The kernel does not refuse to create over somebody's object with the same key, so it must be asked (`find`) before. */
  readonly createOverwrites?: true;
  /**
   * What cannot be changed in place is removed and made again by messages that travel together, and with what comes after: while it is
   * gone, packets are lost.
   */
  readonly replacedInOneGo?: true;
  /** Numbers besides EEXIST with which the kernel refuses to create what may be there already. */
  readonly takenErrors?: readonly number[];
  /** Numbers besides the usual ones (KernelError.isNotFound) with which the kernel refuses to remove what may be gone already. */
  readonly absentErrors?: readonly number[];
  /** Whether the object of this message, which has our name but not our mark, is what a crash left of a creation of ours. */
  unfinished?(message: NetlinkMessage): boolean;
  /** Whether `other` stands in the way of `object` although their keys differ (two tunnels with the same end points). */
  excludes?(object: K, other: K): boolean;
}

/** A codec of whatever kind; each is only ever given objects of its own. */
export type AnyCodec = ObjectCodec<KernelObject>;
