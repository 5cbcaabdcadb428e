import t from "tap";
import { aggregated } from "../../../controller/base/aggregates.js";
import { formatPrefix, type Prefix, parsePrefix, prefixContains } from "../../../controller/base/ip.js";

const prefixes = (...texts: readonly string[]): readonly Prefix[] => texts.map((text) => parsePrefix(text) as Prefix);

t.test("of two halves the whole is made, again and again, in each family", (test) => {
  const given = prefixes("2001:db8:0:3::/64", "10.0.0.0/25", "2001:db8:0:2::/64", "10.0.0.128/25", "2001:db8::/63");
  test.strictSame(aggregated(given).map(formatPrefix).sort(), ["10.0.0.0/24", "2001:db8::/62"]);
  test.strictSame(
    aggregated(prefixes("0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"))
      .map(formatPrefix)
      .sort(),
    ["0.0.0.0/0", "::/0"],
  );
  test.end();
});

t.test("neighbours that are no halves of one prefix stay two", (test) => {
  const given = prefixes("10.0.1.0/24", "10.0.2.0/24", "2001:db8:0:1::/64", "2001:db8:0:2::/64");
  test.strictSame(aggregated(given), given);
  test.end();
});

t.test("one inside another, or twice there, is left out", (test) => {
  const given = prefixes("10.0.0.0/24", "10.0.0.64/26", "10.0.0.0/24", "10.0.0.0/16");
  test.strictSame(aggregated(given), prefixes("10.0.0.0/16"));
  test.strictSame(aggregated([]), []);
  test.end();
});

t.test("no address is lost, and none comes in", (test) => {
  // Each set of the sixteen /28 in a /24.
  for (let bits = 0; bits < 2 ** 16; bits += 37) {
    const given = prefixes(
      ...Array.from({ length: 16 }, (_, i) => `10.0.0.${16 * i}/28`).filter((_, i) => (bits >> i) & 1),
    );
    const found = aggregated(given);
    for (let i = 0; i < 16; i++) {
      const { address } = parsePrefix(`10.0.0.${16 * i}/28`) as Prefix;
      const holders = found.filter((one) => prefixContains(one, address)).length;
      if (holders !== ((bits >> i) & 1)) test.fail(`10.0.0.${16 * i} in ${holders} of ${found.map(formatPrefix)}`);
    }
  }
  test.end();
});
