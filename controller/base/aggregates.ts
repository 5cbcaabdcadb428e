/** Prefixes put together, as a routing table would be (RFC 4632 §5). */
import { formatPrefix, maskAddress, type Prefix, prefixContains, samePrefix } from "./ip.js";

const LONGEST = 128;

/**
 * The fewest prefixes that have exactly the addresses of these: one inside another is left out, and of two halves the whole is made. For
 * the few prefixes of one node.
 */
export function aggregated(prefixes: readonly Prefix[]): readonly Prefix[] {
  if (prefixes.length < 2) return prefixes;
  let found = prefixes.filter((one, i) => !prefixes.some((other, j) => j !== i && coveredBy(other, one, j < i)));
  for (let length = LONGEST; length > 0; length--) {
    const halves = found.filter((one) => one.length === length);
    if (halves.length < 2) continue;
    const wholes = new Map<string, Prefix[]>();
    for (const one of halves) {
      const whole = formatPrefix(wholeOf(one));
      wholes.set(whole, [...(wholes.get(whole) ?? []), one]);
    }
    for (const [first, second] of wholes.values()) {
      if (first === undefined || second === undefined) continue;
      found = [...found.filter((one) => one !== first && one !== second), wholeOf(first)];
    }
  }
  return found;
}

const wholeOf = ({ address, length }: Prefix): Prefix => ({
  address: maskAddress(address, length - 1),
  length: length - 1,
});

/** Of two that are the same the first stays. */
const coveredBy = (other: Prefix, one: Prefix, isBefore: boolean): boolean =>
  samePrefix(other, one) ? isBefore : other.length < one.length && prefixContains(other, one.address);
