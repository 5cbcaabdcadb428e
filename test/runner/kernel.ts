/**
 * `make test-kernel`: the kernel test files in a bench.
 * usage: kernel.js [--full] [WORD ...]   (only files whose path contains one of the words; with --full those named *.full.test.ts too)
 */
import { join } from "node:path";
import { artifactsPlace, keepArtifacts } from "../bench/artifacts.js";
import { chooseKind, openMachines } from "../bench/choose.js";
import { jobScript } from "../bench/job.js";
import { BenchUnavailable, guestDirectory, type Machine } from "../bench/machine.js";
import { bundleTests, inSources } from "./bundle.js";
import { type Selection, type TestFile, testFiles } from "./files.js";
import { printFile, saveTap, summarise } from "./report.js";
import { type FileOutcome, type FileRun, judge } from "./results.js";

/** How long one file may take on hardware; in emulation it takes longer, but not ten times: waiting is not slower there. */
const FILE_LIMIT_S = 120;
const FILE_LIMIT_EMULATED_S = 600;
const KILLED = 137;
/** From here on it is worth a line. */
const TOO_SLOW = 2;

export interface KernelSuite {
  readonly outcomes: FileOutcome[];
  /** For what comes after; absent when no bench could be had. */
  readonly machine?: Machine;
}

/** Opens the bench that the environment asks for; every test counts as skipped, with the reason, when there is none. */
export async function runKernel(selection: Selection = {}): Promise<KernelSuite> {
  const files = testFiles("kernel", selection);
  let machines: readonly [Machine, ...Machine[]];
  try {
    machines = await openMachines(chooseKind(process.env["BENCH"]), files.length);
  } catch (error) {
    if (!(error instanceof BenchUnavailable)) throw error;
    const detail = `no bench: ${error.message}`;
    return {
      outcomes: files.map(({ name }) => ({ file: name, tests: [{ path: [name], verdict: "skipped", detail }] })),
    };
  }
  const [machine, ...others] = machines;
  console.log(`bench: ${machine.description}${others.length > 0 ? `, ${machines.length} machines` : ""}`);
  const { outcomes, runs } = await runFiles(machines, machine.slow > 1 ? await bundleTests(files) : files);
  if (!selection.words?.length) {
    const series = machine.kind === "vm" ? process.env["KERNEL"] || "6.1" : "";
    saveTap(`kernel-${selection.full ? "full-" : ""}${machine.kind}${series}`, runs);
  }
  return { outcomes, machine };
}

interface Finished {
  readonly outcomes: FileOutcome[];
  readonly runs: readonly FileRun[];
}

/** The first machine stays up. */
async function runFiles(machines: readonly Machine[], files: readonly TestFile[]): Promise<Finished> {
  const waiting = [...files];
  const runs: FileRun[] = [];
  const outcomes: FileOutcome[] = [];
  const record = (run: FileRun, milliseconds: number): void => {
    const outcome = judge({ ...run, tap: inSources(run.tap), stderr: inSources(run.stderr) });
    runs.push(run);
    outcomes.push(outcome);
    printFile(outcome, milliseconds);
  };
  const artifacts = artifactsPlace(machines[0]?.kind ?? "");
  let kept: string | undefined;
  // Large shares first and small ones at the end, so that all machines end together.
  const share = (): TestFile[] =>
    waiting.splice(0, machines.length === 1 ? waiting.length : Math.ceil(waiting.length / (2 * machines.length)));
  const work = async (machine: Machine): Promise<void> => {
    let load: number | undefined;
    for (let files = share(); files.length > 0; files = share()) {
      const run = await runShare({ machine, files, artifacts, record, load });
      load = run.load;
      kept ??= run.kept;
      if (run.ended) break;
    }
    if (machine !== machines[0]) await machine.shutdown();
  };
  await Promise.all(machines.map(work));
  for (const file of waiting) record(notRun(file), 0);
  if (kept !== undefined) console.log(`artifacts of failed tests: ${kept}`);
  return { outcomes, runs };
}

interface Share {
  readonly machine: Machine;
  readonly files: readonly TestFile[];
  readonly artifacts: string;
  readonly record: (run: FileRun, milliseconds: number) => void;
  /** How many times slower than its kind the machine is; absent: to be found out. */
  readonly load: number | undefined;
}

interface ShareRun {
  readonly load: number | undefined;
  /** Where artifacts are, if there are any. */
  readonly kept: string | undefined;
  /** The machine takes nothing any more. */
  readonly ended: boolean;
}

const notRun = ({ name }: TestFile): FileRun => ({
  ...{ file: name, tap: "", status: null, timedOut: false },
  stderr: "the bench ended before it ran",
});

async function runShare({ machine, files, artifacts, record, load }: Share): Promise<ShareRun> {
  const limit = machine.slow > 1 ? FILE_LIMIT_EMULATED_S : FILE_LIMIT_S;
  const waiting = new Map(files.map((file) => [file.compiled, file]));
  let measured = load;
  let kept: string | undefined;
  let ended = false;
  const slower = (factor: number): void => {
    if (factor >= TOO_SLOW && measured === undefined)
      console.log(
        `this machine has other work and is ${factor} times slower than it should be: so are all time limits`,
      );
    measured = factor;
    watchdog = watch(limit * factor);
  };
  const split = new BlockReader(slower, (compiled, tap, status, milliseconds) => {
    const name = waiting.get(compiled)?.name ?? compiled;
    waiting.delete(compiled);
    watchdog?.refresh();
    const timedOut = status === KILLED && milliseconds >= limit * 1000;
    record({ file: name, tap, status, stderr: otherLines(tap), timedOut }, milliseconds);
  });
  const known = load === undefined ? [] : ["env", `DSMIPD_LOAD=${load}`];
  const runTests = join(guestDirectory, "run-tests.sh");
  const command = [...known, runTests, String(machine.processors), String(limit), ...waiting.keys()];
  // The limit within the machine ends a file that hangs; this ends a machine that hangs.
  const watch = (seconds: number): NodeJS.Timeout => {
    clearTimeout(watchdog);
    return setTimeout(() => void machine.shutdown(), (seconds * 1.5 + 60) * 1000);
  };
  let watchdog: NodeJS.Timeout | undefined;
  watchdog = watch(limit);
  try {
    const job = { script: jobScript(command, machine, artifacts), mode: "open" } as const;
    const result = await machine.run(job, (chunk) => split.push(chunk));
    kept = keepArtifacts(result, artifacts);
  } catch (error) {
    ended = true;
    console.error(error instanceof Error ? error.message : error);
  } finally {
    clearTimeout(watchdog);
  }
  for (const file of waiting.values()) record(notRun(file), 0);
  return { load: measured, kept, ended };
}

type BlockHandler = (file: string, output: string, status: number, milliseconds: number) => void;

/** Finds the blocks that guest/run-tests.sh prints. */
class BlockReader {
  private text = "";
  private readonly decoder = new TextDecoder();
  private readonly load: (factor: number) => void;
  private readonly done: BlockHandler;

  constructor(load: (factor: number) => void, done: BlockHandler) {
    this.load = load;
    this.done = done;
  }

  push(chunk: Buffer): void {
    this.text += this.decoder.decode(chunk, { stream: true });
    const load = /^# bench-load (\S+)\n/m.exec(this.text);
    if (load !== null) {
      this.text = this.text.slice(load.index + load[0].length);
      this.load(Number(load[1]));
    }
    const block = /^# bench-begin (\S+)\n([\s\S]*?)\n# bench-end (\d+) (\d+)\n/m;
    for (let match = block.exec(this.text); match; match = block.exec(this.text)) {
      this.text = this.text.slice(match.index + match[0].length);
      this.done(match[1] as string, match[2] as string, Number(match[3]), Number(match[4]));
    }
  }
}

/** What a process wrote besides TAP; inside the bench both outputs are one. */
function otherLines(output: string): string {
  const lines = output
    .split("\n")
    .filter((line) => !/^\s*(#|ok\b|not ok\b|1\.\.|TAP version|---|\.\.\.|duration_ms:|type:)/.test(line));
  return lines.slice(-40).join("\n");
}

if (process.argv[1] === import.meta.filename) {
  const words = process.argv.slice(2);
  const full = words.includes("--full");
  const { outcomes, machine } = await runKernel({ full, words: words.filter((word) => word !== "--full") });
  await machine?.shutdown();
  process.exitCode = summarise(outcomes);
}
