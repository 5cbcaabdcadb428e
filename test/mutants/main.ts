/**
 * `make mutants`: changes the pure layers in small ways, one at a time, and counts how many of the changes a unit test notices. What
 * nobody notices is a rule without a test, and is printed. Last line: "mutants: K killed of N". Sources and what was compiled of them are read
 * before the first change: who goes on working in the repository meanwhile disturbs only tests that read the repository themselves.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildDirectory, repository } from "../runner/files.js";
import { ImportGraph } from "./imports.js";
import { mutationsOf } from "./operators.js";
import { Laboratory, type Mutant, Undecided, type Verdict } from "./run.js";
import { sample } from "./sample.js";

const PURE_LAYERS = ["base", "wire", "protocol", "plan", "reconcile"];

const USAGE = `usage: make mutants [ARGS='OPTION ...']

  --count N      mutants (100)
  --seed N       of the sample (1)
  --layers L,..  folders of controller (${PURE_LAYERS.join(",")})
  --files WORD   only files whose path contains the word; may be repeated
  --base REV     half of the sample comes from files that have changed since (HEAD~10, and what is not committed)
  --at-least P   exit status 1 if fewer than P percent are killed
  --jobs N       at a time (as many as there are processors)`;

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
    layers: { type: "string", default: PURE_LAYERS.join(",") },
    files: { type: "string", multiple: true, default: [] },
    base: { type: "string", default: "HEAD~10" },
    "at-least": { type: "string" },
    jobs: { type: "string", default: String(availableParallelism()) },
    help: { type: "boolean", default: false },
  },
});

function sourceFiles(): string[] {
  return values.layers
    .split(",")
    .flatMap((layer) =>
      readdirSync(join(repository, "controller", layer), { recursive: true, encoding: "utf8" })
        .filter((path) => path.endsWith(".ts"))
        .map((path) => join("controller", layer, path)),
    )
    .sort();
}

/** Empty where git cannot tell: the sample is then drawn from all files alike. */
function changedFiles(base: string): ReadonlySet<string> {
  try {
    const names = execFileSync("git", ["diff", "--name-only", base, "--"], {
      cwd: repository,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return new Set(names.split("\n"));
  } catch {
    return new Set();
  }
}

const seconds = (since: number): string => ((performance.now() - since) / 1000).toFixed(1);

function changeOf(mutant: Mutant): string {
  const before = mutant.text.slice(mutant.start, mutant.end).replaceAll(/\s+/g, " ");
  const change =
    mutant.replacement === ";" ? `without ${before}` : `${before} → ${mutant.replacement.replaceAll(/\s+/g, " ")}`;
  return `${mutant.file}:${mutant.line}: ${change}`;
}

function describe({ mutant, killedBy }: Verdict): string {
  const change = changeOf(mutant);
  return killedBy === undefined ? `SURVIVED ${change}` : `killed   ${change}   (${killedBy})`;
}

async function main(): Promise<number> {
  const { files, base } = values;
  const jobs = Math.max(1, Number(values.jobs));
  const graph = new ImportGraph(buildDirectory);
  const usual = new Map<string, number>();
  const laboratories = Array.from({ length: jobs }, (_, number) => new Laboratory(number, graph, usual));
  const all = sourceFiles()
    .filter((file) => files.length === 0 || files.some((word) => file.includes(word)))
    .flatMap((file): Mutant[] => {
      const text = readFileSync(join(repository, file), "utf8");
      return mutationsOf(file, text).map((mutation) => ({ ...mutation, file, text }));
    });
  const chosen = sample(all, changedFiles(base), Number(values.count), Number(values.seed));
  console.log(`${chosen.length} of ${all.length} mutants, seed ${values.seed}`);
  const queue = chosen.values();
  const verdicts: Verdict[] = [];
  let undecided = 0;
  const work = async (laboratory: Laboratory): Promise<void> => {
    try {
      for (const mutant of queue) {
        const started = performance.now();
        try {
          const verdict = await laboratory.judge(mutant);
          verdicts.push(verdict);
          console.log(`${describe(verdict)}   ${seconds(started)} s`);
        } catch (cause) {
          if (!(cause instanceof Undecided)) throw cause;
          undecided++;
          console.log(`UNDECIDED ${changeOf(mutant)}: ${cause.message}`);
        }
      }
    } finally {
      laboratory.close();
    }
  };
  await Promise.all(laboratories.map(work));
  const survivors = verdicts.filter(({ killedBy }) => killedBy === undefined);
  if (survivors.length > 0) console.log("\nWhat no test notices:");
  for (const survivor of survivors) console.log(describe(survivor));
  if (undecided > 0) console.log(`${undecided} more were not decided: tests that read the repository failed meanwhile`);
  const killed = verdicts.length - survivors.length;
  console.log(`mutants: ${killed} killed of ${verdicts.length}`);
  const wanted = values["at-least"];
  return wanted !== undefined && killed * 100 < Number(wanted) * verdicts.length ? 1 : 0;
}

if (values.help) console.log(USAGE);
else process.exitCode = await main();
