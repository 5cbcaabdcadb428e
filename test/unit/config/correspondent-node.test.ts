/** Configuration of a correspondent node: what it defaults to, and one sentence for what is wrong. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { loadConfig } from "../../../controller/config/config.js";
import type { CorrespondentNodeConfig } from "../../../schemas/config/correspondent-node.js";

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

t.test(
  "RO-7-01 RO-9-01 C-40 C-41: route optimisation with IPv4 is off by default; pairs of addresses, modes and the option's number",
  (t) => {
    t.equal("ipv4RouteOptimisation" in (load(GOOD).config as CorrespondentNodeConfig).correspondentNode, false);
    const pairs = "addresses: [{ ipv6: 2001:db8:3::30, ipv4: 203.0.113.2 }]";
    const config = (rest: string) => load(`${GOOD}  ipv4RouteOptimisation: { ${rest} }\n`).config;
    t.match(config(pairs), {
      correspondentNode: {
        ipv4RouteOptimisation: {
          addresses: [{ ipv6: "2001:db8:3::30", ipv4: "203.0.113.2" }],
          modes: ["ipv6-encapsulation", "ipv4-encapsulation", "ipv4-udp"],
          ...{ optionType: 18, combinedUpdates: true },
        },
      },
    });
    t.match(config(`${pairs}, optionType: 200`), { correspondentNode: { ipv4RouteOptimisation: { optionType: 200 } } });
    for (const [rest, says] of [
      ["addresses: []", /ipv4RouteOptimisation.addresses/],
      [
        "addresses: [{ ipv6: 2001:db8:3::31, ipv4: 203.0.113.2 }]",
        /addresses\[0\].ipv6 is 2001:db8:3::31, which is none of correspondentNode.addresses/,
      ],
      [
        "addresses: [{ ipv6: 2001:db8:3::30, ipv4: 127.0.0.1 }]",
        /addresses\[0\].ipv4 is 127.0.0.1, which nobody reaches from elsewhere/,
      ],
      [
        pairs.replace("]", ", { ipv6: 2001:db8:3::30, ipv4: 203.0.113.3 }]"),
        /addresses\[1\].ipv6 is 2001:db8:3::30, which has an IPv4 address already/,
      ],
      [`${pairs}, modes: [mapped]`, /modes\[0\].*"ipv6-encapsulation"/],
      [`${pairs}, modes: [ipv4-udp, ipv4-udp]`, /modes\[1\] is ipv4-udp, which is there twice/],
      [`${pairs}, optionType: 29`, /optionType.*a number from 0 to 255 that no other mobility option has/],
    ] as const)
      t.throws(() => config(rest), { message: says }, rest);
    t.end();
  },
);
