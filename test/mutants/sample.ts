/** Which mutants are tried: a sample by seed, so that a run can be repeated; changed files first. */
/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** At most `count`: half of them from the changed files, if there are so many there, the rest from all others. */
export function sample<M extends { readonly file: string }>(
  mutants: readonly M[],
  changed: ReadonlySet<string>,
  count: number,
  seed: number,
): M[] {
  const random = randomNumbers(seed);
  const mixed = mutants
    .map((mutant) => ({ mutant, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ mutant }) => mutant);
  const first = mixed.filter(({ file }) => changed.has(file)).slice(0, Math.ceil(count / 2));
  const taken = new Set(first);
  return [...first, ...mixed.filter((mutant) => !taken.has(mutant))].slice(0, count);
}
