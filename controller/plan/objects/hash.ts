/** Numbers that follow from an address, so that they are the same after every restart. */

/** FNV-1a, 32 bits. */
export function fnv1a(units: Iterable<number>): number {
  let hash = 0x811c9dc5;
  for (const unit of units) hash = Math.imul(hash ^ unit, 0x01000193) >>> 0;
  return hash;
}
