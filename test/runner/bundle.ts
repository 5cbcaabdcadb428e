/**
 * Programs as one file each, for a machine in emulation: loading one of our 400 modules and their libraries costs 15 ms there, so that a
 * daemon starts in 3 s in place of 10, and a test starts many. What tests start most often is compiled beforehand as well (V8's code
 * cache), which halves what is left of that. It is the same code; on hardware the modules run as they are compiled.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { join, relative } from "node:path";
import { type BuildOptions, build } from "esbuild";
import { buildDirectory, repository, type TestFile } from "./files.js";

/** Below the build directory; the same tree in it, so that a program finds the others where it would find them there. */
const bundles = join(buildDirectory, "bundle");

/** What tests start beside themselves. */
const PROGRAMS = ["test/demo/main.js", "test/kernel/lib/print-load.js"];
/** What they start often. */
const COMPILED_PROGRAMS = ["controller/main.js", "controller/control/cli.js"];
/** Without the suffix it is a program of the name that people know, which loads it. */
const BODY = ".body.cjs";

/** What CommonJS packages expect of their surroundings. */
const REQUIRE =
  'import { createRequire as makeRequire } from "node:module"; const require = makeRequire(import.meta.url);';

const OWN_URL = 'const ownUrl = require("node:url").pathToFileURL(__filename).href;';

const KEEP = "DSMIPD_KEEP_COMPILED";
/** The line and the columns of the script are those of its file. What V8 doesn't take (another version) it compiles as ever. */
const LOADER = `import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";
const filename = fileURLToPath(import.meta.url).replace(/\\.js$/, ${JSON.stringify(BODY)});
const kept = filename + ".compiled";
const head = "(function (exports, require, module, __filename, __dirname) {";
const script = new Script(head + readFileSync(filename, "utf8").replace(/^#!.*/, "") + "\\n})", {
  filename,
  columnOffset: -head.length,
  ...(existsSync(kept) && { cachedData: readFileSync(kept) }),
});
const module = { exports: {} };
if (process.env.${KEEP}) process.on("exit", () => writeFileSync(kept, script.createCachedData()));
script.runInThisContext()(module.exports, createRequire(filename), module, filename, dirname(filename));
`;

/** Bundles the test files, and what they start. The returned files say where. Throws when a module is missing. */
export async function bundleTests(files: readonly TestFile[]): Promise<TestFile[]> {
  rmSync(bundles, { recursive: true, force: true });
  const common = {
    outbase: buildDirectory,
    outdir: bundles,
    absWorkingDir: repository,
    bundle: true,
    platform: "node",
    target: "node20",
    sourcemap: "external",
    external: ["netlink"], // it has an addon of its own, which it looks for beside itself
    logLevel: "warning",
  } satisfies BuildOptions;
  const inBuild = (paths: readonly string[]): string[] => paths.map((path) => join(buildDirectory, path));
  await build({
    ...common,
    entryPoints: [...inBuild(PROGRAMS), ...files.map(({ compiled }) => compiled)],
    format: "esm",
    banner: { js: REQUIRE },
  });
  // Only scripts can be loaded as they were compiled, modules can't.
  await build({
    ...common,
    entryPoints: inBuild(COMPILED_PROGRAMS),
    format: "cjs",
    outExtension: { ".js": BODY },
    banner: { js: OWN_URL },
    define: { "import.meta.url": "ownUrl" },
  });
  for (const path of COMPILED_PROGRAMS) {
    const program = join(bundles, path);
    writeFileSync(program, LOADER);
    // What runs now is compiled, and kept: all modules and what they do first.
    execFileSync(process.execPath, [program, "--help"], { env: { ...process.env, [KEEP]: "1" }, stdio: "pipe" });
  }
  return files.map(({ name, compiled }) => ({ name, compiled: bundled(compiled) }));
}

/** Where the bundle of a compiled file is, named as that file is (relative to the repository). */
export function bundled(compiled: string): string {
  return relative(repository, join(bundles, relative(buildDirectory, join(repository, compiled))));
}

/** The same text in which positions in bundles are those of the sources, as a person wants to read them. */
export function inSources(text: string, directory: string = bundles): string {
  const maps = new Map<string, SourceMap>();
  return text.replace(
    /(?:file:\/\/)?(\/[^\s:()']+\.js):(\d+):(\d+)/g,
    (position, path: string, line: string, column: string) => {
      if (!path.startsWith(`${directory}/`)) return position;
      const map = maps.get(path) ?? new SourceMap(JSON.parse(readFileSync(`${path}.map`, "utf8")));
      maps.set(path, map);
      const found = map.findEntry(Number(line) - 1, Number(column) - 1);
      if (!("originalSource" in found)) return position;
      const source = relative(repository, join(path, "..", found.originalSource));
      return `${source}:${found.originalLine + 1}:${found.originalColumn + 1}`;
    },
  );
}
