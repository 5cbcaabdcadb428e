/**
 * How many random runs a property gets, and with which seed: few of a fixed seed in `make test`; as many as DSMIPD_RUNS says, of the seed
 * DSMIPD_SEED or of one that is drawn, in `make simulate`. The seed is printed, so that every run can be had again.
 */
export function randomRuns(sample: number): { readonly numRuns: number; readonly seed: number } {
  const { DSMIPD_RUNS: runs, DSMIPD_SEED: wanted } = process.env;
  const drawn = runs === undefined ? 5555 : Date.now() % 0x7fffffff;
  const seed = wanted === undefined ? drawn : Number(wanted);
  const numRuns = runs === undefined ? sample : Number(runs);
  console.log(`# ${numRuns} random runs, seed ${seed}`);
  return { numRuns, seed };
}
