/** RFC 2526 §2 in numbers: what a node and its home agent must make of the same prefix. */
import t from "tap";
import { homeAgentsAnycast } from "../../../controller/base/anycast.js";
import { parsePrefix } from "../../../controller/base/ip.js";

t.test("the home agents anycast address is identifier 126 of the subnet", async (test) => {
  const rows: readonly (readonly [prefix: string, address: string | undefined])[] = [
    ["2001:db8:1::/64", "2001:db8:1:0:fdff:ffff:ffff:fffe"],
    ["2001:db8:1::/48", "2001:db8:1:0:fdff:ffff:ffff:fffe"],
    ["2001:db8:1:0:5::/80", "2001:db8:1:0:5:ffff:ffff:fffe"],
    ["2001:db8:1::1234:5600/120", "2001:db8:1::1234:56fe"],
    ["2001:db8:1::1234:5680/121", "2001:db8:1::1234:56fe"],
    ["2001:db8:1::1234:5600/121", "2001:db8:1::1234:567e"],
    ["2001:db8:1::1234:5680/122", undefined],
    ["198.51.100.0/24", undefined],
  ];
  for (const [text, address] of rows) {
    const prefix = parsePrefix(text);
    test.equal(prefix && homeAgentsAnycast(prefix), address, text);
  }
});
