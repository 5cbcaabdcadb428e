/** Bad configuration of a foreign agent: one sentence with file, key, what was found and what is wanted. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { loadConfig } from "../../../controller/config/config.js";

const GOOD = `role: foreign-agent
foreignAgent:
  careOfAddress: 203.0.113.10
  links:
    - { interface: eth1, address: 192.0.2.1/24 }
`;
const load = (text: string) => {
  const path = join(mkdtempSync(join(tmpdir(), "dsmipd-config-")), "dsmipd.yaml");
  writeFileSync(path, text);
  return loadConfig(path);
};

t.test("a foreign agent", (t) => {
  const { config } = load(GOOD);
  t.match(config, {
    role: "foreign-agent",
    foreignAgent: { reverseTunnelling: "optional", links: [{ address: { address: "192.0.2.1", length: 24 } }] },
  });
  for (const [from, to, says] of [
    ["203.0.113.10", "224.0.0.1", /careOfAddress is 224.0.0.1; a unicast address/],
    [
      "  careOfAddress: 203.0.113.10\n",
      "",
      /foreignAgent.careOfAddress is missing; an IPv4 address like .* is wanted$/,
    ],
    ["203.0.113.10", "[203.0.113.10]", /foreignAgent.careOfAddress is a list; an IPv4 address like .* is wanted$/],
    ["203.0.113.10", "10", /careOfAddress is 10; an IPv4 address like .* is wanted; put it in quotes$/],
    ["203.0.113.10", "", /careOfAddress is null; an IPv4 address like .* is wanted$/],
    ["interface: eth1, ", "", /links\[0\].interface is missing; an interface name/],
    [", address: 192.0.2.1/24", "", /links\[0\].address is missing; an address with its prefix length/],
    ["192.0.2.1/24", "192.0.2.1", /an address with its prefix length like 192.0.2.1\/24 is wanted/],
    ["192.0.2.1/24", "192.0.2.255/24", /links\[0\].address is 192.0.2.255\/24; our own address/],
    [
      "192.0.2.1/24 }",
      "192.0.2.1/24 }\n    - { interface: eth1, address: 10.0.0.1/24 }",
      /links\[1\].interface is eth1, which foreignAgent.links\[0\] has too/,
    ],
    [
      "192.0.2.1/24 }",
      "192.0.2.1/24 }\n    - { interface: eth2, address: 192.0.2.5/28 }",
      /links\[1\].address .* overlaps/,
    ],
    ["192.0.2.1/24 }", "192.0.2.1/24, advertisementLifetimeSeconds: 4 }", /advertisementLifetimeSeconds is 4, less/],
    [
      "role",
      "tunnelProfile: { decapsulateDscp: true }\nrole",
      /decapsulateDscp is true, which the kernel can do for ESP/,
    ],
    ["role", "tunnelProfile: { protection: esp }\nrole", /protection is "esp", which a foreign agent has not/],
  ] as const)
    t.throws(() => load(GOOD.replace(from, to)), { message: says, code: "MIP_CONFIG" }, to);
  t.end();
});
