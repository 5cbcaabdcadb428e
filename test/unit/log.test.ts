import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import t from "tap";

const LINES = 5000;
/** Far more than a pipe holds; then says so, still alive, and ends. */
const PROGRAM = `
  const { makeLogger } = await import(process.argv[1]);
  const log = makeLogger("info");
  for (let i = 0; i < ${LINES}; i++) log.info({ event: "test.line", i, filler: "x".repeat(100) });
  process.stdout.write("alive", () => process.exit(0));
`;

t.test("a reader that does not keep up does not stop the daemon, and nothing is lost at its end", async (test) => {
  const log = new URL("../../controller/log.js", import.meta.url).href;
  const child = spawn(process.execPath, ["--input-type=module", "-e", PROGRAM, log], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "exit");
  const [first] = (await once(child.stdout, "data")) as [Buffer];
  test.equal(first.toString(), "alive", "before anything of its log was read");
  const lines = (await text(child.stderr)).trimEnd().split("\n");
  test.strictSame(
    lines.map((line) => (JSON.parse(line) as { i: number }).i),
    Array.from({ length: LINES }, (_, i) => i),
  );
  test.strictSame(await ended, [0, null]);
});
