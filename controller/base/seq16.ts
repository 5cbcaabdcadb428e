/** Sequence numbers of binding updates: integers modulo 2^16 (RFC 6275 §9.5.1). */

declare const seqBrand: unique symbol;
export type Seq16 = number & { readonly [seqBrand]: true };

export function seq16(value: number): Seq16 {
  return (value & 0xffff) as Seq16;
}

export function nextSeq(value: Seq16): Seq16 {
  return seq16(value + 1);
}

/** Whether `candidate` comes after `last`: their difference modulo 2^16 is in 1..32767 (RFC 6275 §9.5.1). */
export function isAfter(candidate: Seq16, last: Seq16): boolean {
  const distance = (candidate - last) & 0xffff;
  return distance >= 1 && distance <= 32767;
}
