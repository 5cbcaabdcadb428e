/** Which unit test files see a source file, and how far they stand from it: read from the imports of the compiled tree. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { type TestFile, testFiles } from "../runner/files.js";

const SPECIFIER = /(?:from|import)\s*\(?\s*"(\.[^"]+\.js)"/g;

export class ImportGraph {
  readonly #root: string;
  readonly #tests = testFiles("unit");
  readonly #imports = new Map<string, readonly string[]>();
  readonly #distances = new Map<string, ReadonlyMap<string, number>>();

  /** `root`: the directory that a tree was compiled to. It is read now, and not again. */
  constructor(root: string) {
    this.#root = root;
    for (const file of this.#tests) this.#distancesFrom(inTree(file));
  }

  /** Test files that import the compiled file (path below the root), the nearest first. */
  testsOf(compiled: string): readonly TestFile[] {
    return this.#tests
      .map((file) => ({ file, distance: this.#distancesFrom(inTree(file)).get(compiled) }))
      .filter((one): one is { file: TestFile; distance: number } => one.distance !== undefined)
      .sort((a, b) => a.distance - b.distance || nearness(b.file, compiled) - nearness(a.file, compiled))
      .map(({ file }) => file);
  }

  #distancesFrom(start: string): ReadonlyMap<string, number> {
    const known = this.#distances.get(start);
    if (known !== undefined) return known;
    const distances = new Map([[start, 0]]);
    for (const [file, distance] of distances) {
      for (const next of this.#importsOf(file)) if (!distances.has(next)) distances.set(next, distance + 1);
    }
    this.#distances.set(start, distances);
    return distances;
  }

  #importsOf(file: string): readonly string[] {
    const known = this.#imports.get(file);
    if (known !== undefined) return known;
    const path = join(this.#root, file);
    const text = existsSync(path) ? readFileSync(path, "utf8") : "";
    const found = [...text.matchAll(SPECIFIER)].map(([, specifier = ""]) => join(dirname(file), specifier));
    this.#imports.set(file, found);
    return found;
  }
}

/** "test/unit/x.test.js" of "build/test/unit/x.test.js". */
export const inTree = ({ name }: TestFile): string => name.replace(/\.ts$/, ".js");

/** How many folders the names of a test and a source file share: test/unit/wire/ip stands beside controller/wire/ip. */
function nearness({ name }: TestFile, compiled: string): number {
  const test = dirname(relative("test/unit", name)).split("/");
  const source = dirname(relative("controller", compiled)).split("/");
  let shared = 0;
  while (shared < test.length && test[shared] === source[shared]) shared++;
  return shared;
}
