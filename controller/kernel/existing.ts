/** What the kernel has already, anybody's: looked up when a creation meets something, and whose it is. */
import { append } from "../base/lists.js";
import type { NetlinkMessage, NetlinkRequest } from "../netlink/message.js";
import type { RequestOutcome } from "../netlink/session.js";
import { type KernelObject, objectKey } from "../plan/objects/objects.js";
import type { AnyCodec } from "./codec.js";
import type { InterfaceNames } from "./names.js";

export interface Found {
  readonly object: KernelObject;
  /** It carries our mark. */
  readonly ours: boolean;
  /** It has our name, but a crash came before the mark. */
  readonly unfinished: boolean;
}

export interface Wanted {
  readonly object: KernelObject;
  readonly codec: AnyCodec;
}

/** How objects are asked for; netlink-kernel.ts has the sockets. */
export interface Lookup {
  readonly names: InterfaceNames;
  execute(requests: readonly NetlinkRequest[]): Promise<readonly RequestOutcome[]>;
  /** All replies to the codec's dump requests, strangers' objects included. */
  dumpAll(codec: AnyCodec): Promise<readonly NetlinkMessage[]>;
}

/** The objects that have the keys of the wanted ones, by wanted object. Few are asked for one by one if the kernel can, else all. */
export async function findExisting(
  lookup: Lookup,
  wanted: readonly Wanted[],
): Promise<ReadonlyMap<KernelObject, Found>> {
  const found = new Map<KernelObject, Found>();
  const codecs = new Set(wanted.map(({ codec }) => codec));
  for (const codec of codecs) {
    const objects = wanted.filter((one) => one.codec === codec).map(({ object }) => object);
    const present = codec.find === undefined ? await allExisting(lookup, codec) : await askEach(lookup, codec, objects);
    // Some kinds (rules) can have a stranger's twin beside ours: then ours is meant.
    const byKey = new Map(
      [...present].sort((a, b) => Number(a.ours) - Number(b.ours)).map((one) => [objectKey(one.object), one]),
    );
    for (const object of objects) {
      const match = byKey.get(objectKey(object));
      if (match !== undefined) found.set(object, match);
    }
  }
  return found;
}

/** Everything of this codec's kind, anybody's. */
export async function allExisting(lookup: Lookup, codec: AnyCodec): Promise<Found[]> {
  const messages = await lookup.dumpAll(codec);
  if (codec.assemble !== undefined) {
    const own = codec.assemble(messages, lookup.names, true);
    const keys = new Set(own.map(objectKey));
    const others = codec.assemble(messages, lookup.names, false).filter((object) => !keys.has(objectKey(object)));
    return [
      ...own.map((object) => ({ object, ours: true, unfinished: false })),
      ...others.map((object) => ({ object, ours: false, unfinished: false })),
    ];
  }
  const found = messages.flatMap((message) => classify(lookup, codec, message) ?? []);
  if (codec.family === "xfrm") for (const { body } of messages) body.fill(0); // keys; the objects have copies of their own
  return found;
}

async function askEach(lookup: Lookup, codec: AnyCodec, objects: readonly KernelObject[]): Promise<Found[]> {
  const requests: NetlinkRequest[] = [];
  for (const object of objects) {
    try {
      append(requests, codec.find?.(object, lookup.names) ?? []);
    } catch {
      // ignored: on a device that is not there nothing can be, and what cannot be encoded will say so when it is created
    }
  }
  const messages = (await lookup.execute(requests)).flatMap(({ replies }) => replies);
  const found = messages.flatMap((message) => classify(lookup, codec, message) ?? []);
  if (codec.family === "xfrm") for (const { body } of messages) body.fill(0); // keys; the objects have copies of their own
  return found;
}

function classify({ names }: Lookup, codec: AnyCodec, message: NetlinkMessage): Found | undefined {
  const own = codec.decode(message, names, true);
  if (own !== undefined) return { object: own, ours: true, unfinished: false };
  const object = codec.decode(message, names, false);
  return object && { object, ours: false, unfinished: codec.unfinished?.(message) === true };
}
