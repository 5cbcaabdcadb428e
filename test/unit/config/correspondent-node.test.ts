/** Configuration of a correspondent node: what it defaults to, and one sentence for what is wrong. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { loadConfig } from "../../../controller/config/config.js";

const GOOD = `role: correspondent-node
correspondentNode:
  addresses: [2001:db8:3::30]
  allow: [2001:db8:1::/48]
  deny: [2001:db8:1:dead::/64]
`;
const load = (text: string) => {
  const path = join(mkdtempSync(join(tmpdir(), "dsmipd-config-")), "dsmipd.yaml");
  writeFileSync(path, text);
  return loadConfig(path);
};

t.test("a correspondent node needs addresses alone; without allow nobody is served", (t) => {
  t.match(load(GOOD).config, {
    role: "correspondent-node",
    correspondentNode: {
      addresses: ["2001:db8:3::30"],
      allow: [{ address: "2001:db8:1::", length: 48 }],
      ...{ maximumBindings: 10_000, whenFull: "refuse", maximumLifetimeSeconds: 420 },
    },
  });
  const least = "role: correspondent-node\ncorrespondentNode: { addresses: [2001:db8:3::30] }\n";
  t.match(load(least).config, { correspondentNode: { allow: [], deny: [] } });
  t.end();
});

t.test("what is wrong in it", (t) => {
  for (const [from, to, says] of [
    ["[2001:db8:3::30]", "[]", /correspondentNode.addresses/],
    ["2001:db8:3::30", "fe80::1", /addresses\[0\] is fe80::1, which nobody reaches from elsewhere; a unicast address/],
    ["2001:db8:3::30", "2001:db8:3::30, 2001:db8:3::30", /addresses\[1\] is 2001:db8:3::30, which is there twice/],
    ["2001:db8:1::/48", "2001:db8:1::1/48", /allow\[0\].*a prefix without host bits/],
    ["2001:db8:1::/48", "192.0.2.0/24", /allow\[0\].*an IPv6 prefix like/],
    ["dead::/64", "dead::/64, 2001:db8:1::/48", /allow\[0\] is 2001:db8:1::\/48, which correspondentNode.deny has too/],
    ["  allow:", "  maximumLifetimeSeconds: 421\n  allow:", /maximumLifetimeSeconds.*421/],
    ["  allow:", "  whenFull: youngest\n  allow:", /whenFull.*"refuse"/],
    ["role:", "keyFile: keys.yaml\nrole:", /keyFile/],
  ] as const)
    t.throws(() => load(GOOD.replace(from, to)), { message: says }, to);
  t.end();
});
