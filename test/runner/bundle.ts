/**
 * Programs as one file each, for a machine in emulation: loading one of our 400 modules and their libraries costs 15 ms there, so that a
 * daemon starts in 3 s in place of 10, and a test starts many. It is the same code; on hardware the modules run as they are compiled.
 */
import { readFileSync, rmSync } from "node:fs";
import { SourceMap } from "node:module";
import { join, relative } from "node:path";
import { build } from "esbuild";
import { buildDirectory, repository, type TestFile } from "./files.js";

/** Below the build directory; the same tree in it, so that a program finds the others where it would find them there. */
const bundles = join(buildDirectory, "bundle");

/** What tests start beside themselves. */
const PROGRAMS = [
  "controller/main.js",
  "controller/control/cli.js",
  "test/demo/main.js",
  "test/kernel/lib/print-load.js",
];

/** What CommonJS packages expect of their surroundings. */
const REQUIRE =
  'import { createRequire as makeRequire } from "node:module"; const require = makeRequire(import.meta.url);';

/** Bundles the test files, and what they start. The returned files say where. Throws when a module is missing. */
export async function bundleTests(files: readonly TestFile[]): Promise<TestFile[]> {
  rmSync(bundles, { recursive: true, force: true });
  await build({
    entryPoints: [...PROGRAMS.map((path) => join(buildDirectory, path)), ...files.map(({ compiled }) => compiled)],
    outbase: buildDirectory,
    outdir: bundles,
    absWorkingDir: repository,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    sourcemap: "external",
    banner: { js: REQUIRE },
    external: ["netlink"], // it has an addon of its own, which it looks for beside itself
    logLevel: "warning",
  });
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
