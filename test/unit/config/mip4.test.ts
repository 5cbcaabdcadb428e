/** Mobile IPv4 of a home agent's configuration: what is taken, and the one sentence about what is not. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { loadConfig } from "../../../controller/config/config.js";
import { advertisedHome, mip4Of } from "../../../controller/daemon/home-agent/mip4/site.js";
import { mip6Of } from "../../../schemas/config/home-agent.js";

const KEY = "00112233445566778899aabbccddeeff";
const KEYS = `keys:
  - homeAddress: 2001:db8:1::100
    algorithm: aes-cbc-hmac-sha256
    update: { spi: 4096, encryptionKey: ${"0f".repeat(16)}, integrityKey: ${"0e".repeat(32)} }
    acknowledgement: { spi: 4097, encryptionKey: ${"0f".repeat(16)}, integrityKey: ${"0e".repeat(32)} }
mip4:
  - { association: mobile-home, node: 198.51.100.100, spi: 256, key: ${KEY} }
  - { association: mobile-home, node: alice@example.com, spi: 257, key: ${KEY} }
  - { association: foreign-home, foreignAgent: 192.0.2.1, homeAgent: 203.0.113.1, spi: 400, key: ${KEY} }
`;
const BOTH = `role: home-agent
keyFile: keys.yaml
homeAgent:
  addresses: { ipv6: "2001:db8:1::1", ipv4: 203.0.113.1 }
  homeLink: { prefixes: ["2001:db8:1::/64", 198.51.100.0/24] }
  ipv4Pool: { prefixes: [198.51.100.192/26] }
  mip4: { foreignAgents: [192.0.2.1] }
subscribers:
  - { homeAddress: "2001:db8:1::100", ipv4HomeAddress: 198.51.100.100, protocols: [mip6, mip4], prefixes: ["2001:db8:5::/48"] }
  - { nai: alice@example.com, protocols: [mip4] }
`;
const ALONE = `role: home-agent
keyFile: keys.yaml
homeAgent:
  addresses: { ipv4: 203.0.113.1 }
  homeLink: { prefixes: [198.51.100.0/24] }
  mip4: {}
subscribers: [{ ipv4HomeAddress: 198.51.100.100, protocols: [mip4] }]
`;

function load(test: Test, config: string, keys = KEYS) {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-mip4-"));
  test.teardown(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, "dsmipd.yaml"), config);
  writeFileSync(join(directory, "keys.yaml"), keys);
  chmodSync(join(directory, "keys.yaml"), 0o600);
  return loadConfig(join(directory, "dsmipd.yaml"));
}

t.test("both protocols at one home agent; Mobile IPv6 knows its own subscribers alone", (test) => {
  const { config } = load(test, BOTH);
  if (config.role !== "home-agent") throw new Error("role");
  test.match(config.homeAgent.mip4, {
    maxLifetimeSeconds: 1800,
    replayToleranceSeconds: 7,
    reverseTunnelling: "optional",
    udp: "grant",
    keepaliveSeconds: 110,
    gre: true,
    tunnellingMode: "requested",
  });
  test.same(
    mip6Of(config)?.subscribers.map(({ homeAddress }) => homeAddress),
    ["2001:db8:1::100"],
  );
  test.end();
});

t.test("Mobile IPv4 alone needs nothing of IPv6", (test) => {
  const { config } = load(test, ALONE);
  test.equal(config.role === "home-agent" && mip6Of(config), undefined);
  test.end();
});

const AT_HOME = ALONE.replace("203.0.113.1", "198.51.100.1")
  .replace("homeLink: {", "homeLink: { interface: eth1,")
  .replace("mip4: {}", "mip4: { advertisements: {} }");
const ELSEWHERE = AT_HOME.replace("198.51.100.1", "203.0.113.1");

t.test("what the home link is told of the home agent, and when", (test) => {
  const told = (text: string) => {
    const { config } = load(test, text);
    const part = config.role === "home-agent" ? mip4Of(config) : undefined;
    return config.role === "home-agent" && part !== undefined ? advertisedHome(config, part) : undefined;
  };
  test.equal(told(ALONE), undefined, "nothing, if nobody asks for it");
  const link = {
    ...{ device: "eth1", address: "198.51.100.1", prefixLength: 24 },
    ...{ advertisementIntervalSeconds: 10, advertisementLifetimeSeconds: 30, advertisesPrefixLength: false },
  };
  const rest = { registrationLifetimeSeconds: 1800, gre: true, routesCommonTraffic: false };
  test.same(told(AT_HOME), { link, homeAgent: "198.51.100.1", ...rest });
  const given = ELSEWHERE.replace("advertisements: {}", "advertisements: { address: 198.51.100.9/25 }");
  test.match(told(given), { link: { address: "198.51.100.9", prefixLength: 25 }, homeAgent: "203.0.113.1" });
  const asked = AT_HOME.replace("advertisements: {}", "advertisements: { advertisementIntervalSeconds: 0 }");
  test.equal(told(asked)?.link.advertisementLifetimeSeconds, 1800, "no other follows soon");
  test.end();
});

const without = (text: string, part: string): string => {
  if (!text.includes(part)) throw new Error(`no ${part}`);
  return text.replace(part, "");
};
const WRONG = [
  {
    name: "advertisements without a link",
    config: AT_HOME.replace("interface: eth1,", ""),
    says: /homeAgent\.mip4\.advertisements is there, and homeAgent\.homeLink\.interface is missing; the link is wanted/,
  },
  {
    name: "advertisements from no address of the link",
    config: ELSEWHERE,
    says: /homeAgent\.mip4\.advertisements\.address is missing, and 203\.0\.113\.1 is in no home prefix; .* on eth1 is wanted/,
  },
  {
    name: "no section mip4",
    config: without(BOTH, "  mip4: { foreignAgents: [192.0.2.1] }\n"),
    says: /subscribers\[0\]\.protocols has mip4, and homeAgent\.mip4 is missing/,
  },
  {
    name: "no IPv4 address",
    config: without(BOTH, ", ipv4: 203.0.113.1"),
    says: /homeAgent\.mip4 is there, and homeAgent\.addresses\.ipv4 is missing/,
  },
  {
    name: "no IPv6 address",
    config: without(BOTH, 'ipv6: "2001:db8:1::1", '),
    says: /homeAgent\.addresses\.ipv6 is missing.*subscribers\[0\] with protocol mip6/,
  },
  {
    name: "no IPv6 home address",
    config: without(BOTH, 'homeAddress: "2001:db8:1::100", '),
    says: /subscribers\[0\]\.homeAddress is missing/,
  },
  {
    name: "no IPv4 home address and no pool",
    config: without(BOTH, "  ipv4Pool: { prefixes: [198.51.100.192/26] }\n"),
    says: /subscribers\[1\]\.ipv4HomeAddress is missing, which mip4 needs/,
  },
  {
    name: "ESP",
    config: `${BOTH.replace("protocols: [mip6, mip4]", "protocols: [mip6, mip4], profile: safe")}tunnelProfiles: { safe: { protection: esp } }\n`,
    says: /subscribers\[0\]\.protocols has mip4, and tunnelProfiles\.safe\.protection is "esp"/,
  },
  {
    name: "an MTU that leaves IPv6 too little",
    config: BOTH.replace("  mip4:", "  mtu: 1290\n  mip4:"),
    says: /homeAgent\.mtu is 1290, .*at least 1300 is wanted/,
  },
  {
    name: "an IPv4 network that it can't register",
    config: ALONE.replace("protocols: [mip4]", "protocols: [mip4], prefixes: [10.0.0.0/24]"),
    says: /subscribers\[0\]\.prefixes has 10\.0\.0\.0\/24, and Mobile IPv4 registers IPv6 prefixes alone/,
  },
  {
    name: "a NAI twice",
    config: BOTH.replace("ipv4HomeAddress: 198.51.100.100", "ipv4HomeAddress: 198.51.100.100, nai: alice@example.com"),
    says: /subscribers\[1\]\.nai is "alice@example\.com", which subscribers\[0\] has too/,
  },
  {
    name: "a NAI of a node of Mobile IPv6",
    config: BOTH.replace("[mip6, mip4]", "[mip6], nai: bob@example.com"),
    says: /subscribers\[0\]\.nai is of Mobile IPv4/,
  },
  {
    name: "no keys",
    config: BOTH,
    keys: KEYS.replace("alice", "bob"),
    says: /keys\.yaml: has no mobile-home association of alice@example\.com/,
  },
  {
    name: "no keys of the foreign agent",
    config: BOTH,
    keys: KEYS.replace("homeAgent: 203.0.113.1", "homeAgent: 203.0.113.2"),
    says: /keys\.yaml: has no foreign-home association of 192\.0\.2\.1 and 203\.0\.113\.1/,
  },
  { name: "no key file", config: without(ALONE, "keyFile: keys.yaml\n"), says: /keyFile is missing/ },
  {
    name: "prefixes that overlap",
    config: BOTH.replace("nai: alice", 'prefixes: ["2001:db8:5:1::/64"], nai: alice'),
    says: /2001:db8:5:1::\/64, which overlaps 2001:db8:5::\/48/,
  },
];
for (const { name, config, keys, says } of WRONG) {
  t.test(`bad configuration of Mobile IPv4: ${name}`, (test) => {
    test.throws(() => load(test, config, keys), { message: says, code: "MIP_CONFIG" });
    test.end();
  });
}
