import t from "tap";
import { isSelected } from "../../runner/files.js";

t.test("long test files run only when they are asked for", async (t) => {
  const long = "test/kernel/daemon/storm.full.test.ts";
  const short = "test/kernel/daemon/audit.test.ts";
  t.same(
    [long, short].map((path) => isSelected(path, {})),
    [false, true],
  );
  t.same(
    [long, short].map((path) => isSelected(path, { full: true })),
    [true, true],
  );
  t.same(
    [long, short].map((path) => isSelected(path, { words: ["daemon/"] })),
    [false, true],
  );
  t.same(
    [long, short].map((path) => isSelected(path, { words: ["daemon/"], full: true })),
    [true, true],
  );
  t.same(
    [long, short].map((path) => isSelected(path, { words: ["storm.full"] })),
    [true, false],
  );
});
