import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import t from "tap";
import { bundled, inSources } from "../../runner/bundle.js";

t.test("a bundle has the place of its file in a tree of its own", (t) => {
  const compiled = bundled("build/test/kernel/daemon/audit.test.js");
  t.equal(compiled, "build/bundle/test/kernel/daemon/audit.test.js");
  t.end();
});

t.test("positions in bundles become those of the sources, other text stays as it is", async (t) => {
  const place = mkdtempSync(join(tmpdir(), "bundle-"));
  t.teardown(() => rmSync(place, { recursive: true }));
  mkdirSync(join(place, "out"));
  writeFileSync(join(place, "other.mjs"), "\n\nexport function fail() {\n  throw new Error('as asked for');\n}\n");
  writeFileSync(
    join(place, "main.mjs"),
    "import { fail } from './other.mjs';\n\ntry { fail(); } catch (error) { console.log(error.stack); }\n",
  );
  const outfile = join(place, "out/main.js");
  await build({
    entryPoints: [join(place, "main.mjs")],
    outfile,
    bundle: true,
    format: "cjs",
    banner: { js: "// one\n// two" },
    sourcemap: "external",
  });
  const stack = execFileSync(process.execPath, [outfile], { encoding: "utf8" });
  t.match(stack, /out\/main\.js:\d+:\d+/);
  const told = inSources(`at somewhere (/else/main.js:1:1)\n${stack}`, join(place, "out"));
  t.match(told, /fail \(\S*other\.mjs:4:9\)/);
  t.match(told, /main\.mjs:3:7/);
  t.match(told, "at somewhere (/else/main.js:1:1)");
  t.notMatch(told, "out/main.js:");
});
