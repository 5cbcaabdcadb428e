/**
 * Which security association another one takes on from: the same keys at another end or in another encapsulation. The new one goes on with
 * the old one's sequence numbers and its memory of what was received, so that a move opens no door to replays.
 */
import type { Secret } from "../base/secret.js";
import { type EspState, type KernelObject, objectKey } from "./objects.js";
import { SENDING_MARK } from "./security-marks.js";

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

/** Those of `present` (objects that the kernel has) that `object` takes on from: whichever of them has come furthest. None: it starts anew. */
export function predecessorsOf(object: KernelObject, present: Iterable<KernelObject>): readonly KernelObject[] {
  if (object.kind !== "xfrm-state" || object.transform.type !== "esp" || object.transform.mark === undefined) return [];
  const { transform, reqid } = object;
  const found: KernelObject[] = [];
  for (const other of present) {
    if (other.kind !== "xfrm-state" || other.transform.type !== "esp" || other.reqid !== reqid) continue;
    if (other.transform.spi !== transform.spi || other.transform.mark === undefined) continue;
    if (isSending(other.transform) !== isSending(transform) || objectKey(other) === objectKey(object)) continue;
    if (sameKey(other.transform.aead.key, transform.aead.key)) found.push(other);
  }
  return found;
}

const sameKey = (a: Secret, b: Secret): boolean => a.equals(b);
