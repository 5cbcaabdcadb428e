/** One mutant after the other in a compiled tree of its own: a copy, which a build in the real one does not touch. */
import { spawn } from "node:child_process";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { buildDirectory, repository, type TestFile } from "../runner/files.js";
import { type ImportGraph, inTree } from "./imports.js";
import { type Mutation, mutate } from "./operators.js";

export interface Mutant extends Mutation {
  /** Source file, as people name it. */
  readonly file: string;
  /** Of the whole file, unchanged. */
  readonly text: string;
}

export interface Verdict {
  readonly mutant: Mutant;
  /** The test that noticed; undefined: none did. */
  readonly killedBy: string | undefined;
}

/** A mutant may loop: so many times as long as the unchanged program, and at least this. */
const PATIENCE = 5;
const SHORTEST_LIMIT_MS = 20_000;
const LONGEST_LIMIT_MS = 900_000;
/** Files in one process: the nearest alone, for most mutants die of it; then a few, then all others. */
const FIRST_BATCHES = [1, 5];

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
};

/** A test fails without any mutation: then nothing can be said. */
export class Undecided extends Error {}

export class Laboratory {
  readonly #tree: string;
  readonly #graph: ImportGraph;
  /** Milliseconds that a batch takes without a mutation, by its files; shared by all laboratories. */
  readonly #usual: Map<string, number>;

  constructor(number: number, graph: ImportGraph, usual: Map<string, number>) {
    this.#tree = join(repository, `build-mutants-${number}`);
    this.#graph = graph;
    this.#usual = usual;
    rmSync(this.#tree, { recursive: true, force: true });
    for (const folder of ["controller", "schemas", "test"])
      cpSync(join(buildDirectory, folder), join(this.#tree, folder), {
        recursive: true,
        filter: (path) => !path.endsWith(".map"),
      });
  }

  /** Throws Undecided. */
  async judge(mutant: Mutant): Promise<Verdict> {
    const compiled = mutant.file.replace(/\.ts$/, ".js");
    const path = join(this.#tree, compiled);
    const tests = this.#graph.testsOf(compiled);
    const text = mutate(mutant.text, mutant);
    const original = readFileSync(path);
    const restore = (): void => writeFileSync(path, original);
    const change = (): void =>
      writeFileSync(path, ts.transpileModule(text, { compilerOptions: OPTIONS, fileName: mutant.file }).outputText);
    try {
      for (const batch of batchesOf(tests)) {
        const limit = batch.length === 1 ? await this.#limit(batch) : LONGEST_LIMIT_MS;
        change();
        const killedBy = await this.#failure(batch, limit);
        restore();
        if (killedBy === undefined) continue;
        await this.#limit(batch); // a failure says something only where there is none without the mutation
        return { mutant, killedBy };
      }
      return { mutant, killedBy: undefined };
    } finally {
      restore();
    }
  }

  close(): void {
    rmSync(this.#tree, { recursive: true, force: true });
  }

  async #limit(batch: readonly TestFile[]): Promise<number> {
    const name = batch
      .map((file) => file.name)
      .sort()
      .join(" ");
    let usual = this.#usual.get(name);
    if (usual === undefined) {
      const started = performance.now();
      const failure = await this.#failure(batch, LONGEST_LIMIT_MS);
      if (failure !== undefined) throw new Undecided(`without any mutation fails: ${failure} (of ${name})`);
      usual = performance.now() - started;
      this.#usual.set(name, usual);
    }
    return Math.max(SHORTEST_LIMIT_MS, PATIENCE * usual);
  }

  /** The name of the first test that fails; undefined: none does. */
  #failure(batch: readonly TestFile[], limitMs: number): Promise<string | undefined> {
    const files = batch.map((file) => join(this.#tree, inTree(file)));
    const [first] = batch;
    const command = batch.length === 1 ? files : [join(this.#tree, "test/mutants/batch.js"), ...files];
    return new Promise((resolve) => {
      const child = spawn(process.execPath, command, {
        cwd: repository,
        env: { ...process.env, TAP_TIMEOUT: String(Math.ceil(limitMs / 1000)), TAP_BAIL: "1" },
        stdio: ["ignore", "pipe", "ignore"],
      });
      let name = first?.name;
      let rest = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        name = lines.map((line) => /^not ok \d+ - (.*)$/.exec(line)?.[1]).find((one) => one !== undefined) ?? name;
      });
      const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
      child.on("close", (status) => {
        clearTimeout(timer);
        resolve(status === 0 ? undefined : (name ?? "?"));
      });
    });
  }
}

function batchesOf(tests: readonly TestFile[]): TestFile[][] {
  const batches: TestFile[][] = [];
  let at = 0;
  for (const size of [...FIRST_BATCHES, tests.length]) {
    const batch = tests.slice(at, at + size);
    if (batch.length > 0) batches.push(batch);
    at += size;
  }
  return batches;
}
