import t from "tap";
import { append, largest } from "../../../controller/base/lists.js";

t.test("lists of any length are appended and compared", (t) => {
  const many = Array.from({ length: 1_000_000 }, (_, i) => i);
  const list = [7];
  append(list, many);
  t.equal(list.length, 1_000_001);
  t.equal(list.at(-1), 999_999);
  t.equal(largest(many), 999_999);
  t.equal(largest([3, 5, 4], 9), 9);
  t.equal(largest([]), -Infinity);
  t.end();
});
