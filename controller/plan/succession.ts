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

/** One of `present` (objects of the same group that the kernel has) that `object` takes on from; undefined if it starts anew. */
export function predecessorOf(object: KernelObject, present: Iterable<KernelObject>): KernelObject | undefined {
  if (object.kind !== "xfrm-state" || object.transform.type !== "esp" || object.transform.mark === undefined)
    return undefined;
  const { transform, reqid } = object;
  for (const other of present) {
    if (other.kind !== "xfrm-state" || other.transform.type !== "esp" || other.reqid !== reqid) continue;
    if (other.transform.spi !== transform.spi || other.transform.mark === undefined) continue;
    if (isSending(other.transform) !== isSending(transform) || objectKey(other) === objectKey(object)) continue;
    if (sameKey(other.transform.aead.key, transform.aead.key)) return other;
  }
  return undefined;
}

const sameKey = (a: Secret, b: Secret): boolean => a.equals(b);
