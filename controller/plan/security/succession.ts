/**
 * Which security association another one takes on from: the same keys at another end or in another encapsulation. The new one goes on with
 * the old one's sequence numbers and its memory of what was received, so that a move opens no door to replays.
 */

import { type KernelObject, objectKey } from "../objects/objects.js";
import type { AeadKey, EspState } from "../objects/security.js";
import { SENDING_MARK } from "./marks.js";

/** Of states with one of our marks; the others have no direction of their own. */
export function isSending({ mark }: EspState): boolean {
  return mark?.mask === SENDING_MARK.mask && mark.value === SENDING_MARK.value;
}

/** Objects that may take on from each other have the same one; undefined for all that take on from nobody. */
export function successionKey(object: KernelObject): string | undefined {
  if (object.kind !== "xfrm-state" || object.transform.type !== "esp" || object.transform.mark === undefined)
    return undefined;
  return `${object.reqid} ${object.transform.spi} ${isSending(object.transform)}`;
}

/** Once it has vanished nobody can make it again: its numbers, and its memory of what was received, have gone with it. */
export function isIrreplaceable(object: KernelObject): boolean {
  return successionKey(object) !== undefined;
}

/** Those of `present` (objects that the kernel has) that `object` takes on from: whichever of them has come furthest. None: it starts anew. */
export function predecessorsOf(object: KernelObject, present: Iterable<KernelObject>): readonly KernelObject[] {
  const key = objectKey(object);
  return [...present].filter((other) => mayTakeOn(object, other) && objectKey(other) !== key);
}

/** Whether the numbers of `other` are also those of `object`: the same keys in the same direction, whatever the ends and the encapsulation. */
export function mayTakeOn(object: KernelObject, other: KernelObject): boolean {
  const key = successionKey(object);
  if (key === undefined || key !== successionKey(other)) return false;
  const [a, b] = [aeadOf(object), aeadOf(other)];
  return a !== undefined && b !== undefined && a.algorithm === b.algorithm && a.key.equals(b.key);
}

function aeadOf(object: KernelObject): AeadKey | undefined {
  return object.kind === "xfrm-state" && object.transform.type === "esp" ? object.transform.aead : undefined;
}
