/** One mutant after the other in a compiled tree of its own, whose other files are links to the real one. */
import { spawn } from "node:child_process";
import { cpSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { buildDirectory, repository, type TestFile } from "../runner/files.js";
import { type ImportGraph, inTree } from "./imports.js";
import { type Mutation, mutate } from "./operators.js";

export interface Mutant extends Mutation {
  /** Source file, as people name it. */
  readonly file: string;
}

export interface Verdict {
  readonly mutant: Mutant;
  /** The test file that noticed; undefined: nobody did. */
  readonly killedBy: string | undefined;
}

/** A mutant may loop: so many times as long as the unchanged program, and at least this. */
const PATIENCE = 5;
const SHORTEST_LIMIT_MS = 10_000;
const LONGEST_LIMIT_MS = 300_000;

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
};

export class Laboratory {
  readonly #tree: string;
  readonly #graph: ImportGraph;
  /** Milliseconds that a test file takes without a mutation; shared by all laboratories. */
  readonly #usual: Map<string, number>;

  constructor(number: number, graph: ImportGraph, usual: Map<string, number>) {
    this.#tree = join(repository, `build-mutants-${number}`);
    this.#graph = graph;
    this.#usual = usual;
    rmSync(this.#tree, { recursive: true, force: true });
    for (const folder of ["controller", "schemas", "test"])
      linkTree(join(buildDirectory, folder), join(this.#tree, folder));
  }

  /** Throws Error if a test fails without any mutation: then nothing can be said. */
  async judge(mutant: Mutant): Promise<Verdict> {
    const compiled = mutant.file.replace(/\.ts$/, ".js");
    const path = join(this.#tree, compiled);
    const tests = this.#graph.testsOf(compiled);
    const text = mutate(readFileSync(join(repository, mutant.file), "utf8"), mutant);
    const original = readFileSync(path);
    unlinkSync(path); // the link, not the file of the real tree
    writeFileSync(path, ts.transpileModule(text, { compilerOptions: OPTIONS, fileName: mutant.file }).outputText);
    try {
      for (const test of tests) {
        const limit = await this.#limit(test);
        if (!(await this.#passes(this.#tree, test, limit))) return { mutant, killedBy: test.name };
      }
      return { mutant, killedBy: undefined };
    } finally {
      writeFileSync(path, original);
    }
  }

  close(): void {
    rmSync(this.#tree, { recursive: true, force: true });
  }

  async #limit(test: TestFile): Promise<number> {
    let usual = this.#usual.get(test.name);
    if (usual === undefined) {
      const started = performance.now();
      if (!(await this.#passes(buildDirectory, test, LONGEST_LIMIT_MS))) {
        throw new Error(`${test.name} fails without any mutation`);
      }
      usual = performance.now() - started;
      this.#usual.set(test.name, usual);
    }
    return Math.max(SHORTEST_LIMIT_MS, PATIENCE * usual);
  }

  #passes(tree: string, test: TestFile, limitMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const child = spawn(process.execPath, [join(tree, inTree(test))], {
        cwd: repository,
        env: { ...process.env, TAP_TIMEOUT: String(Math.ceil(limitMs / 1000)), TAP_BAIL: "1" },
        stdio: "ignore",
      });
      const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
      child.on("close", (status) => {
        clearTimeout(timer);
        resolve(status === 0);
      });
    });
  }
}

function linkTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (entry.isDirectory()) linkTree(source, target);
    else if (entry.isSymbolicLink()) cpSync(source, target);
    else if (!entry.name.endsWith(".map")) linkSync(source, target);
  }
}
