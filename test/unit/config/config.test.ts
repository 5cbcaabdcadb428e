import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { ipv6 } from "../../../controller/base/ip.js";
import { loadConfig } from "../../../controller/config/config.js";
import { asCorrespondent, type MobileNodeConfig, TO_BE_FOUND } from "../../../schemas/config/mobile-node.js";

const KEYS = `keys:
  - homeAddress: 2001:db8:1::100
    update: { spi: 4096, key: 0102030405060708090a0b0c0d0e0f1011121314 }
    acknowledgement: { spi: 4097, key: 0102030405060708090a0b0c0d0e0f1011121315 }
`;

const [CIPHER, HASH] = ["0f".repeat(16), "0e".repeat(32)];
const BY_HAND = `algorithm: aes-cbc-hmac-sha256
keys:
  - homeAddress: 2001:db8:1::100
    update: { spi: 4096, encryptionKey: "0x${CIPHER}", integrityKey: ${HASH} }
    acknowledgement: { spi: 4097, encryptionKey: ${CIPHER}, integrityKey: ${HASH} }
`;

const HOME_AGENT = `role: home-agent
keyFile: keys.yaml
homeAgent:
  addresses: { ipv6: "2001:db8:1::1", ipv4: 203.0.113.1 }
  homeLink: { interface: home, prefixes: ["2001:db8:1::/64", 198.51.100.0/24] }
subscribers:
  - homeAddress: 2001:DB8:1::100
    ipv4HomeAddress: 198.51.100.100
`;

const MOBILE_NODE = `role: mobile-node
keyFile: keys.yaml
mobileNode:
  homeAddress: 2001:db8:1::100
  homePrefixes: ["2001:db8:1::/64"]
  homeAgent: { ipv6: "2001:db8:1::1" }
`;

function directory(test: Test, config: string, keys = KEYS, mode = 0o600): string {
  const path = mkdtempSync(join(tmpdir(), "dsmipd-config-"));
  test.teardown(() => rmSync(path, { recursive: true }));
  writeFileSync(join(path, "dsmipd.yaml"), config);
  writeFileSync(join(path, "keys.yaml"), keys);
  chmodSync(join(path, "keys.yaml"), mode);
  return join(path, "dsmipd.yaml");
}

t.test("a home agent's file with defaults filled in and addresses in canonical text", (test) => {
  const { config, keys } = loadConfig(directory(test, HOME_AGENT));
  if (config.role !== "home-agent") throw new Error("role");
  test.equal(config.subscribers[0]?.homeAddress, "2001:db8:1::100");
  test.equal(config.homeAgent.natRefreshSeconds, 110, "R5555-3.2.2-10: the default refresh time");
  test.equal(keys.get(ipv6("2001:db8:1::100"))?.update.spi, 4096);
  test.notMatch(JSON.stringify([...keys.values()]), /0102030405/, "keys do not print");
  test.end();
});

t.test("keys by hand: no replay window unless asked for; without an algorithm AES-GCM as ever", (test) => {
  const load = (text: string) => loadConfig(directory(test, HOME_AGENT, text)).keys.get(ipv6("2001:db8:1::100"));
  const cipher = load(BY_HAND);
  test.match(cipher, { replayWindow: 0, algorithmByDefault: false, update: { algorithm: "aes-cbc-hmac-sha256" } });
  const update = cipher?.update;
  test.equal(update?.algorithm !== "aes-gcm" && update?.encryptionKey.length, 16);
  test.equal(update?.algorithm !== "aes-gcm" && update?.integrityKey.length, 32);
  test.match(load(BY_HAND.replace("    update", "    replayWindow: 32\n    update")), { replayWindow: 32 });
  test.match(load(KEYS), { replayWindow: 64, algorithmByDefault: true, update: { algorithm: "aes-gcm" } });
  const asked = load(
    `algorithm: aes-cbc-hmac-sha1\n${KEYS.replace("    update", "    algorithm: aes-gcm\n    update")}`,
  );
  test.match(asked, { replayWindow: 0, algorithmByDefault: false, update: { algorithm: "aes-gcm" } });
  test.end();
});

t.test("a mobile node's file that says how its home agent is found", (test) => {
  for (const way of [
    "{ domain: Example.org. }",
    "{ name: ha1.example.org }",
    "{ anycast: true, ipv4: 203.0.113.1 }",
    "{ dhcpv6: true }",
  ]) {
    const { config } = loadConfig(directory(test, MOBILE_NODE.replace('{ ipv6: "2001:db8:1::1" }', way)));
    if (config.role !== "mobile-node" || config.protocol === "mip4") throw new Error("role");
    test.equal(config.mobileNode.homeAgent.ipv6, TO_BE_FOUND, way);
  }
  test.end();
});

t.test("a mobile node's file", (test) => {
  const { config } = loadConfig(directory(test, MOBILE_NODE));
  if (config.role !== "mobile-node") throw new Error("role");
  test.equal(config.mobileNode.natKeepaliveSeconds, 110, "R5555-6-01: NATKATIMEOUT");
  test.equal(config.tunnelProfile.dscp, "copy");
  test.end();
});

const WRONG: { name: string; config?: string; keys?: string; mode?: number; says: RegExp }[] = [
  {
    name: "unknown key",
    config: `${HOME_AGENT}colour: red\n`,
    says: /dsmipd\.yaml:9: colour is not a known key; remove it/,
  },
  {
    name: "no way to a home agent",
    config: MOBILE_NODE.replace('{ ipv6: "2001:db8:1::1" }', "{ ipv4: 203.0.113.1 }"),
    says: /homeAgent has no ipv6; its address is wanted, or a name, domain or anycast/,
  },
  {
    name: "an address and a name",
    config: MOBILE_NODE.replace('{ ipv6: "2001:db8:1::1" }', '{ ipv6: "2001:db8:1::1", name: ha.example.org }'),
    says: /homeAgent has both ipv6 and name; keep one of them/,
  },
  {
    name: "an IPv4 address and a domain",
    config: MOBILE_NODE.replace('{ ipv6: "2001:db8:1::1" }', "{ ipv4: 203.0.113.1, domain: example.org }"),
    says: /homeAgent has both ipv4 and domain; remove ipv4/,
  },
  {
    name: "no host name",
    config: MOBILE_NODE.replace('{ ipv6: "2001:db8:1::1" }', '{ name: "ha..example" }'),
    says: /homeAgent\.name is "ha\.\.example"; a name like ha1\.example\.com is wanted/,
  },
  {
    name: "no name server",
    config: MOBILE_NODE.replace('{ ipv6: "2001:db8:1::1" }', "{ name: ha.example, nameServers: [one] }"),
    says: /homeAgent\.nameServers\[0\] is "one"; an IPv4 or IPv6 address is wanted/,
  },
  {
    name: "unknown nested key",
    config: HOME_AGENT.replace("ipv4HomeAddress", "ip4HomeAddress"),
    says: /:8: subscribers\[0\]\.ip4HomeAddress is not a known key/,
  },
  {
    name: "wrong type",
    config: HOME_AGENT.replace("subscribers:", "  mtu: big\nsubscribers:"),
    says: /:6: homeAgent\.mtu is "big"; .*number is wanted/,
  },
  {
    name: "out of range",
    config: HOME_AGENT.replace("subscribers:", "  mtu: 100\nsubscribers:"),
    says: /:6: homeAgent\.mtu is 100; at least 1280 is wanted/,
  },
  {
    name: "not an address",
    config: HOME_AGENT.replace("203.0.113.1", "203.0.113.256"),
    says: /:4: homeAgent\.addresses\.ipv4 is "203\.0\.113\.256"; an IPv4 address/,
  },
  {
    name: "missing key",
    config: HOME_AGENT.replace(/.*addresses.*\n/, ""),
    says: /homeAgent\.addresses is missing; a map is wanted/,
  },
  {
    name: "unknown role",
    config: HOME_AGENT.replace("home-agent", "router"),
    says: /:1: role is "router"; one of "home-agent", "foreign-agent", "correspondent-node", "mobile-node" is wanted/,
  },
  {
    name: "overlapping prefixes",
    config: HOME_AGENT.replace('"2001:db8:1::/64"', '"2001:db8:1::/64", "2001:db8::/32"'),
    says: /2001:db8::\/32 and 2001:db8:1::\/64 overlap/,
  },
  {
    name: "prefix with host bits",
    config: HOME_AGENT.replace("198.51.100.0/24", "198.51.100.7/24"),
    says: /prefixes\[1\] is "198\.51\.100\.7\/24"; a prefix without host bits/,
  },
  ...(
    [
      ["host bits", ["2001:db8:100::1/56"], /subscribers\[0\]\.prefixes\[0\] is .*; a prefix without host bits/],
      ["no bits", ["10.1.0.0/24", "::/0"], /subscribers\[0\]\.prefixes\[1\] is "::\/0"; a prefix of at least one bit/],
      ["no routed address", ["fe80::/64"], /prefixes has fe80::\/64; a prefix of unicast addresses that are routed/],
      [
        "the home link's",
        ["2001:db8:1::/64"],
        /2001:db8:1::\/64, which overlaps 2001:db8:1::\/64 of homeAgent\.homeLink/,
      ],
      [
        "in the home link's",
        ["198.51.100.128/28"],
        /128\/28, which overlaps 198\.51\.100\.0\/24 of homeAgent\.homeLink/,
      ],
      ["around the home agent", ["203.0.113.0/24"], /which overlaps 203\.0\.113\.1\/32 of homeAgent\.addresses\.ipv4/],
      [
        "twice",
        ["10.1.0.0/24", "10.0.0.0/8"],
        /\[0\]\.prefixes has 10\.0\.0\.0\/8, which overlaps 10\.1\.0\.0\/24 of sub/,
      ],
    ] as const
  ).map(([name, prefixes, says]) => ({
    name: `mobile network prefix: ${name}`,
    config: `${HOME_AGENT}    prefixes: ${JSON.stringify(prefixes)}\n`,
    says,
  })),
  {
    name: "mobile network prefix of two routers",
    config: `${HOME_AGENT}    prefixes: ["2001:db8:100::/56"]\n  - homeAddress: 2001:db8:1::101\n    prefixes: ["2001:db8:100:8::/64"]\n`,
    says: /subscribers\[1\]\.prefixes has 2001:db8:100:8::\/64, which overlaps 2001:db8:100::\/56 of subscribers\[0\]\.prefixes/,
  },
  {
    name: "a mobile router's prefix is the home link's",
    config: MOBILE_NODE.replace("  homeAgent:", '  prefixes: ["2001:db8:1::/72"]\n  homeAgent:'),
    says: /mobileNode\.prefixes has 2001:db8:1::\/72, which overlaps 2001:db8:1::\/64 of mobileNode\.homePrefixes/,
  },
  {
    name: "a mode of mobile routers that there is not",
    config: `${HOME_AGENT}    mobileRouter: yes\n`,
    says: /subscribers\[0\]\.mobileRouter is .*; one of "either", "explicit", "implicit", "no" is wanted/,
  },
  {
    name: "an outer DSCP to be taken over from a tunnel without ESP",
    config: `${HOME_AGENT}tunnelProfiles: { voice: { decapsulateDscp: true } }\n`,
    says: /tunnelProfiles\.voice\.decapsulateDscp is true and .*protection is "none"; .* ESP alone: protection "esp" is wanted/,
  },
  ...(
    [
      ["nobody knows", "soliman2003", /is "soliman2003"; one of "rfc5555", "soliman2004" is wanted/],
      [
        "and an IPv4 prefix",
        "soliman2004, prefixes: [10.1.0.0/24]",
        /whose short options name no prefix, and subscribers\[0\]\.prefixes has 10\.1\.0\.0\/24; remove it, or use "rfc5555"/,
      ],
      [
        "and UDP forced",
        "soliman2004, forceUdp: always",
        /which knows no UDP, and subscribers\[0\]\.forceUdp is "always"; remove that, or use "rfc5555"/,
      ],
      [
        "and a 6to4 prefix",
        'soliman2004, prefixes: ["2002:c000:204::/48"]',
        /prefixes has 2002:c000:204::\/48, a 6to4 prefix, in whose place subscribers\[0\]\.ipv4Signalling .* has care-of/,
      ],
    ] as const
  ).map(([name, words, says]) => ({
    name: `a profile of updates over IPv4 ${name}`,
    config: HOME_AGENT.replace(
      /subscribers:[\s\S]*/,
      `subscribers: [{ homeAddress: "2001:db8:1::100", ipv4Signalling: ${words} }]\n`,
    ),
    says,
  })),
  {
    name: "the 2004 profile without an IPv4 address of the home agent",
    config: `${HOME_AGENT.replace(", ipv4: 203.0.113.1", "")}    ipv4Signalling: soliman2004\n`,
    says: /subscribers\[0\]\.ipv4Signalling is "soliman2004", and homeAgent\.addresses\.ipv4 is missing; the address is wanted/,
  },
  {
    name: "the 2004 profile with UDP forced",
    config: `${MOBILE_NODE}  ipv4Signalling: soliman2004\n  forceUdp: true\n`,
    says: /ipv4Signalling is "soliman2004", which knows no UDP, and mobileNode\.forceUdp is on; turn that off/,
  },
  {
    name: "the 2004 profile with prefixes to be lent",
    config: `${MOBILE_NODE}  ipv4Signalling: soliman2004\n  prefixes: dynamic\n`,
    says: /ipv4Signalling is "soliman2004", whose short options ask for no prefix, and mobileNode\.prefixes is "dynamic"/,
  },
  {
    name: "home address outside the home prefixes",
    config: HOME_AGENT.replace("198.51.100.100", "192.0.2.1"),
    says: /subscribers\[0\]\.ipv4HomeAddress is 192\.0\.2\.1; an address within/,
  },
  {
    name: "home address twice",
    config: `${HOME_AGENT}  - homeAddress: 2001:db8:1::100\n`,
    says: /subscribers\[1\]\.homeAddress is 2001:db8:1::100, which subscribers\[0\] has too/,
  },
  {
    name: "unknown profile",
    config: `${HOME_AGENT}    profile: gold\n`,
    says: /subscribers\[0\]\.profile is "gold"; a name under tunnelProfiles/,
  },
  {
    name: "a prefix pool that overlaps a subscriber's prefixes",
    config: `${HOME_AGENT.replace("subscribers:", '  prefixPool: { prefixes: ["2001:db8:100::/40"] }\nsubscribers:')}    prefixes: ["2001:db8:100::/56"]\n`,
    says: /subscribers\[0\]\.prefixes has 2001:db8:100::\/56, which overlaps 2001:db8:100::\/40 of homeAgent\.prefixPool\.prefixes/,
  },
  {
    name: "a prefix pool in the home network",
    config: HOME_AGENT.replace("subscribers:", "  prefixPool: { prefixes: [198.51.100.128/25] }\nsubscribers:"),
    says: /homeAgent\.prefixPool\.prefixes has 198\.51\.100\.128\/25, which overlaps 198\.51\.100\.0\/24 of homeAgent\.homeLink/,
  },
  {
    name: "a prefix pool in itself",
    config: HOME_AGENT.replace("subscribers:", "  prefixPool: { prefixes: [10.0.0.0/8, 10.9.0.0/16] }\nsubscribers:"),
    says: /prefixPool\.prefixes has 10\.9\.0\.0\/16, which overlaps 10\.0\.0\.0\/8 of homeAgent\.prefixPool/,
  },
  {
    name: "a prefix pool without room for what is lent",
    config: HOME_AGENT.replace(
      "subscribers:",
      "  prefixPool: { prefixes: [10.9.0.0/26], ipv4Lengths: [24, 25] }\nsubscribers:",
    ),
    says: /prefixPool\.prefixes has 10\.9\.0\.0\/26, out of which nothing of .*ipv4Lengths can be lent \(24, 25\); a shorter/,
  },
  {
    name: "lent prefixes without a pool",
    config: `${HOME_AGENT}    prefixes: dynamic\n`,
    says: /subscribers\[0\]\.prefixes is "dynamic" and homeAgent\.prefixPool is missing; a pool or a list/,
  },
  {
    name: "lent prefixes at a node that names none",
    config: MOBILE_NODE.replace("  homeAgent:", "  prefixes: dynamic\n  mobileRouter: implicit\n  homeAgent:"),
    says: /mobileNode\.prefixes is "dynamic" and mobileRouter is "implicit"; .*: explicit is wanted/,
  },
  {
    name: "a home address that is told to a node with static keys",
    config: MOBILE_NODE.replace(/homeAddress: .*/, "homeAddress: auto"),
    says: /mobileNode\.homeAddress is "auto", and static keys belong to a home address that is known; name the address, or use/,
  },
  {
    name: "an IPv4 home address that is told beside one that is known",
    config: MOBILE_NODE.replace("  homeAgent:", "  ipv4HomeAddress: auto\n  homeAgent:"),
    says: /mobileNode\.ipv4HomeAddress is "auto", which is told together with the IPv6 one; .* is wanted/,
  },
  {
    name: "no home address at all",
    config: MOBILE_NODE.replace(/homeAddress: .*/, 'homeAddress: "::"'),
    says: /mobileNode\.homeAddress.*"auto"/,
  },
  {
    name: "an address out of a prefix that nobody asks for",
    config: MOBILE_NODE.replace("  homeAgent:", "  ipv4HomeAddress: from-prefix\n  homeAgent:"),
    says: /mobileNode\.ipv4HomeAddress is "from-prefix" and no IPv4 prefix is asked for/,
  },
  {
    name: "a pool outside the home prefixes",
    config: HOME_AGENT.replace("subscribers:", "  ipv4Pool: { prefixes: [192.0.2.0/24] }\nsubscribers:"),
    says: /homeAgent\.ipv4Pool\.prefixes has 192\.0\.2\.0\/24; an IPv4 prefix within/,
  },
  {
    name: "a home network that is everywhere",
    config: HOME_AGENT.replace('"2001:db8:1::/64"', '"::/0"'),
    says: /homeAgent\.homeLink\.prefixes has ::\/0, which is everywhere; the home network's prefix is wanted/,
  },
  {
    name: "the broadcast address as a home address",
    config: HOME_AGENT.replace("198.51.100.100", "198.51.100.255"),
    says: /subscribers\[0\]\.ipv4HomeAddress is 198\.51\.100\.255, the network or broadcast address of 198\.51\.100\.0\/24; an address of a host/,
  },
  {
    name: "the network's own address as a home address",
    config: HOME_AGENT.replace("2001:DB8:1::100", "'2001:db8:1::'"),
    keys: KEYS.replace("2001:db8:1::100", "'2001:db8:1::'"),
    says: /subscribers\[0\]\.homeAddress is 2001:db8:1::, the address of all routers of 2001:db8:1::\/64/,
  },
  {
    name: "a home agent that is nobody",
    config: MOBILE_NODE.replace('"2001:db8:1::1"', '"ff02::1"'),
    says: /mobileNode\.homeAgent\.ipv6 is ff02::1; a unicast address is wanted/,
  },
  {
    name: "a home agent that is the node itself",
    config: MOBILE_NODE.replace('"2001:db8:1::1"', '"2001:db8:1::100"'),
    says: /mobileNode\.homeAgent\.ipv6 is 2001:db8:1::100, which is the node's own home address/,
  },
  {
    name: "a home address that is not unicast",
    config: MOBILE_NODE.replaceAll("2001:db8:1::", "fe80::"),
    keys: KEYS.replace("2001:db8:1::100", "fe80::100"),
    says: /mobileNode\.homeAgent\.ipv6 is fe80::1; a unicast address/,
  },
  {
    name: "no interface at all",
    config: `${MOBILE_NODE}  interfaces: []\n`,
    says: /mobileNode\.interfaces is an empty list; at least one entry is wanted/,
  },
  {
    name: "an excluded prefix with host bits",
    config: `${MOBILE_NODE}  exclude: [10.1.2.3/16]\n`,
    says: /mobileNode\.exclude\[0\] is "10\.1\.2\.3\/16"; a prefix without host bits/,
  },
  { name: "broken YAML", config: `${HOME_AGENT}  - [\n`, says: /dsmipd\.yaml:\d+: not valid YAML/ },
  {
    name: "a key that stands twice",
    config: `${HOME_AGENT}role: home-agent\n`,
    says: /dsmipd\.yaml:9: not valid YAML: Map keys must be unique$/,
  },
  { name: "an empty file", config: "", says: /dsmipd\.yaml: is empty; a map is wanted$/ },
  {
    name: "a relative path",
    config: `${HOME_AGENT}stateDirectory: var\n`,
    says: /:9: stateDirectory is "var"; a path that begins with \/ is wanted$/,
  },
  {
    name: "a list in the place of a map of profiles",
    config: `${HOME_AGENT}tunnelProfiles: []\n`,
    says: /:9: tunnelProfiles is an empty list; a map is wanted$/,
  },
  {
    name: "a class by its name",
    config: `${HOME_AGENT}tunnelProfiles: { voice: { dscp: ef } }\n`,
    says: /:9: tunnelProfiles\.voice\.dscp is "ef"; "copy" or a number is wanted$/,
  },
  {
    name: "world-readable key file",
    mode: 0o644,
    says: /keys\.yaml: has mode 0644 and holds keys; run: chmod 0600 .*keys\.yaml/,
  },
  {
    name: "missing key file",
    config: HOME_AGENT.replace("keys.yaml", "nowhere.yaml"),
    says: /nowhere\.yaml: there is no such file/,
  },
  {
    name: "no keys for a subscriber",
    keys: KEYS.replace("::100", "::101"),
    says: /keys\.yaml: has no keys for 2001:db8:1::100; add an entry/,
  },
  {
    name: "a cipher's key that is missing",
    keys: KEYS.replace("keys:", "algorithm: aes-cbc-hmac-sha1\nkeys:").replaceAll(/, key: \w+/g, ""),
    says: /keys\[0\]\.update\.encryptionKey is missing; for algorithm aes-cbc-hmac-sha1 an AES key is wanted: 32, 48 or 64 hex/,
  },
  {
    name: "the key of another algorithm",
    keys: KEYS.replace("    update", "    algorithm: aes-cbc-hmac-sha256\n    update"),
    says: /keys\[0\]\.update\.key is wrong; algorithm aes-cbc-hmac-sha256 has none, but encryptionKey and integrityKey; remove it/,
  },
  {
    name: "an integrity key of the other hash",
    keys: BY_HAND.replace("sha256", "sha1"),
    says: /integrityKey is wrong; for algorithm aes-cbc-hmac-sha1 an HMAC-SHA-1 key is wanted: 40 hexadecimal digits/,
  },
  {
    name: "an algorithm nobody knows",
    keys: BY_HAND.replace("sha256", "md5"),
    says: /algorithm is wrong; one of "aes-cbc-hmac-sha256", "aes-cbc-hmac-sha1", "aes-gcm" is wanted/,
  },
  {
    name: "a key that YAML reads as a number",
    keys: KEYS.replace("0102030405060708090a0b0c0d0e0f1011121314", "0102030405060708090001020304050607080900"),
    says: /update\.key is wrong; hexadecimal digits are wanted, two for each octet; put it in quotes$/,
  },
  {
    name: "reserved SPI",
    keys: KEYS.replace("4096", "255"),
    says: /keys\[0\]\.update\.spi is wrong; at least 256 is wanted/,
  },
];

/** A mobile node with further home addresses. */
const further = (entries: string, node = MOBILE_NODE): string => `${node}  furtherHomeAddresses: [${entries}]\n`;
const FURTHER = '{ homeAddress: "2001:db8:1::101" }';
WRONG.push(
  { name: "a further home address without keys", config: further(FURTHER), says: /has no keys for 2001:db8:1::101/ },
  {
    name: "a home address named twice",
    config: further('{ homeAddress: "2001:db8:1::100" }'),
    says: /furtherHomeAddresses\[0\]\.homeAddress is 2001:db8:1::100, which mobileNode\.homeAddress is too/,
  },
  {
    name: "a further home address of another network",
    config: further('{ homeAddress: "2001:db8:9::100" }'),
    says: /\[0\]\.homeAddress is 2001:db8:9::100; an address within mobileNode\.homePrefixes is wanted/,
  },
  {
    name: "a further home address that is no host's",
    config: further('{ homeAddress: "2001:db8:1::" }'),
    says: /\[0\]\.homeAddress is 2001:db8:1::, the address of all routers/,
  },
  {
    name: "an IPv4 home address of the further one alone",
    config: further(
      '{ homeAddress: "2001:db8:1::101", ipv4HomeAddress: 198.51.100.101 }',
      MOBILE_NODE.replace('["2001:db8:1::/64"]', '["2001:db8:1::/64", 198.51.100.0/24]'),
    ),
    says: /mobileNode\.ipv4HomeAddress is missing; the first IPv4 home address is wanted there/,
  },
  {
    name: "further home addresses at a home agent that is looked for",
    config: further(FURTHER, MOBILE_NODE.replace('{ ipv6: "2001:db8:1::1" }', "{ domain: example.org }")),
    says: /furtherHomeAddresses has entries and mobileNode\.homeAgent has no ipv6/,
  },
);

const IKE_NODE = `${MOBILE_NODE.replace("keyFile: keys.yaml\n", "")}`;
const ike = (more: string): string =>
  `security: { method: ikev2, identity: a@example.org, homeAgentIdentity: ha, credentialFile: secrets.yaml${more} }\n`;
WRONG.push(
  {
    name: "a further home address without an identity",
    config: further(FURTHER, IKE_NODE) + ike(""),
    says: /furtherHomeAddresses\[0\]\.identity is missing \(2001:db8:1::101\)/,
  },
  {
    name: "one identity for two home addresses",
    config: further('{ homeAddress: "2001:db8:1::101", identity: a@example.org }', IKE_NODE) + ike(""),
    says: /\[0\]\.identity is a@example\.org, which security\.identity is too/,
  },
  {
    name: "MOBIKE with further home addresses",
    config: further(FURTHER, IKE_NODE) + ike(", movement: mobike"),
    says: /security\.movement is "mobike", which leads one IKE SA/,
  },
);

for (const { name, config = HOME_AGENT, keys = KEYS, mode = 0o600, says } of WRONG) {
  t.test(`bad configuration: ${name}`, (test) => {
    test.throws(() => loadConfig(directory(test, config, keys, mode)), { message: says, code: "MIP_CONFIG" });
    test.end();
  });
}

t.test("a key never stands in a message about the key file", (test) => {
  const bad = KEYS.replace("0102030405060708090a0b0c0d0e0f1011121314", "c0ffeec0ffee");
  try {
    loadConfig(directory(test, HOME_AGENT, bad));
    test.fail("accepted");
  } catch (error) {
    test.match(
      (error as Error).message,
      /update\.key is wrong; for algorithm aes-gcm an AES-GCM key with its salt is wanted: 40, 56 or 72/,
    );
    test.notMatch((error as Error).message, /c0ffee/);
  }
  test.end();
});

t.test("no secret and no subscriber has the home agent's own identity", (test) => {
  const config = (identity: string): string =>
    `${HOME_AGENT.replace("keyFile: keys.yaml\n", "security: { method: ikev2, identity: ha.example.org, credentialFile: credentials.yaml }\n")}    identity: ${identity}\n`;
  const credentials = (...identities: readonly string[]): string =>
    `credentials:\n${identities.map((one) => `  - { identity: ${one}, psk: something long and random }\n`).join("")}`;
  const load = (identity: string, ...identities: readonly string[]) => {
    const path = directory(test, config(identity));
    writeFileSync(join(dirname(path), "credentials.yaml"), credentials(...identities), { mode: 0o600 });
    return () => loadConfig(path);
  };
  test.doesNotThrow(load("node1@example.org", "node1@example.org"));
  test.throws(load("node1@example.org", "node1@example.org", "ha.example.org"), {
    message:
      /credentialFile has an entry for ha\.example\.org, which is the home agent's own identity; remove it there/,
  });
  test.throws(load("ha.example.org", "node1@example.org"), {
    message: /subscribers\[0\]\.identity is ha\.example\.org, which is the home agent's own; one of a node's is wanted/,
  });
  test.end();
});

t.test("UDP over IPv6 is off unless asked for, and not for payload in ESP", (test) => {
  const load = (text: string) => {
    const directory = mkdtempSync(join(tmpdir(), "dsmip-config-"));
    test.teardown(() => rmSync(directory, { recursive: true, force: true }));
    writeFileSync(join(directory, "keys.yaml"), KEYS, { mode: 0o600 });
    chmodSync(join(directory, "keys.yaml"), 0o600);
    const path = join(directory, "config.yaml");
    writeFileSync(path, text);
    return loadConfig(path).config;
  };
  const off = load(MOBILE_NODE);
  test.equal(off.role === "mobile-node" && off.protocol !== "mip4" && off.mobileNode.udpOverIpv6, false);
  test.throws(
    () => load(`${MOBILE_NODE}  udpOverIpv6: true\ntunnelProfile: { protection: esp }\n`),
    /tunnelProfile\.protection is "esp" and mobileNode\.udpOverIpv6 is true; keep one of the two/,
  );
  test.end();
});

t.test("S04-2-02 S04-2.1-01 S04-2.1-05 S04-3.3-03: all addresses of the 2004 profile are configured", (test) => {
  const addresses = `  ipv4HomeAddress: 198.51.100.100\n  ipv4Signalling: soliman2004\n`;
  const text = MOBILE_NODE.replace('{ ipv6: "2001:db8:1::1" }', '{ ipv6: "2001:db8:1::1", ipv4: 203.0.113.1 }').replace(
    '["2001:db8:1::/64"]',
    '["2001:db8:1::/64", 198.51.100.0/24]',
  );
  const { config } = loadConfig(directory(test, `${text}${addresses}`));
  test.match(config, {
    mobileNode: {
      ipv4Signalling: "soliman2004",
      homeAddress: "2001:db8:1::100",
      ipv4HomeAddress: "198.51.100.100",
      homeAgent: { ipv6: "2001:db8:1::1", ipv4: "203.0.113.1" },
    },
  });
  const off = loadConfig(directory(test, MOBILE_NODE)).config;
  test.match(off, { mobileNode: { ipv4Signalling: "rfc5555" } }, "off by default");
  test.match(loadConfig(directory(test, HOME_AGENT)).config, { subscribers: [{ ipv4Signalling: "rfc5555" }] });
  test.end();
});

t.test(
  "correspondents of a mobile node have IPv6 prefixes, and are all that there are unless some are named",
  (test) => {
    const withWishes = (text: string) =>
      loadConfig(directory(test, `${MOBILE_NODE}  routeOptimisation: ${text}\n`)).config;
    test.match(withWishes("{}"), {
      mobileNode: { routeOptimisation: { allow: [{ address: "::", length: 0 }], deny: [] } },
    });
    for (const key of ["allow", "deny"])
      test.throws(() => withWishes(`{ ${key}: [192.0.2.0/24] }`), {
        message: new RegExp(`mobileNode.routeOptimisation.${key}\\[0\\].*192.0.2.0/24.*an IPv6 prefix like`),
      });
    test.end();
  },
);

t.test(
  "RO-6.3-02 RO-7-01 RO-9-01: correspondents are known by both addresses, modes and option type have defaults",
  (test) => {
    const wishes = (text: string, more = "") =>
      loadConfig(directory(test, `${MOBILE_NODE}  routeOptimisation: { ${more}ipv4: ${text} }\n`)).config;
    const pair = "{ ipv6: 2001:db8:3::30, ipv4: 203.0.113.30 }";
    test.match(wishes(`{ correspondents: [${pair}] }`), {
      mobileNode: {
        routeOptimisation: {
          ipv4: { optionType: 18, modes: { ipv6CareOf: "ipv6-encapsulation", ipv4CareOf: "ipv4-encapsulation" } },
        },
      },
    });
    const at = "mobileNode.routeOptimisation.ipv4";
    for (const [text, message, more] of [
      ["{}", `${at}.correspondents`],
      [`{ correspondents: [${pair}], optionType: 29 }`, `${at}.optionType.*no other mobility option`],
      [`{ correspondents: [${pair}], modes: { ipv4CareOf: mapped } }`, `${at}.modes.ipv4CareOf.*ipv4-udp`],
      [
        `{ correspondents: [${pair}, ${pair}] }`,
        `correspondents\\[1\\].ipv6 is 2001:db8:3::30, which correspondents\\[0\\]`,
      ],
      [`{ correspondents: [{ ipv6: fe80::1, ipv4: 203.0.113.30 }] }`, "ipv6 is fe80::1.*a unicast address is wanted"],
      [
        `{ correspondents: [{ ipv6: 2001:db8:3::30, ipv4: 224.0.0.1 }] }`,
        "ipv4 is 224.0.0.1.*a unicast address is wanted",
      ],
      [
        `{ correspondents: [{ ipv6: 2001:db8:1::1, ipv4: 203.0.113.30 }] }`,
        "ipv6 is 2001:db8:1::1, our own or the home agent's",
      ],
      [`{ correspondents: [${pair}] }`, "ipv6 is 2001:db8:3::30, which allow and deny", 'deny: ["2001:db8:3::/48"], '],
    ] as const)
      test.throws(() => wishes(text, more), { message: new RegExp(message) }, text);
    test.end();
  },
);

t.test("a mobile node with route optimisation is others' correspondent, for the same prefixes or its own", (test) => {
  const wishes = (text: string) =>
    asCorrespondent(
      loadConfig(directory(test, `${MOBILE_NODE}  routeOptimisation: ${text}\n`)).config as MobileNodeConfig,
    );
  const [one, two] = ["2001:db8:7::", "2001:db8:8::"];
  test.match(wishes(`{ allow: ["${one}/48"] }`), { allow: [{ address: one, length: 48 }], maximumBindings: 10_000 });
  test.match(wishes(`{ allow: ["${one}/48"], correspondent: { allow: ["${two}/48"], deny: ["${one}/48"] } }`), {
    allow: [{ address: two }],
    deny: [{ address: one }],
  });
  test.equal(wishes("{ correspondent: off }"), undefined);
  test.equal(asCorrespondent(loadConfig(directory(test, MOBILE_NODE)).config as MobileNodeConfig), undefined);
  test.throws(() => wishes("{ correspondent: { deny: [192.0.2.0/24] } }"), {
    message: /mobileNode.routeOptimisation.correspondent.deny\[0\].*192.0.2.0\/24.*an IPv6 prefix like/,
  });
  test.throws(() => wishes("{ correspondent: on }"), { message: /mobileNode.routeOptimisation.correspondent.*"off"/ });
  test.end();
});

t.test("route optimisation that payload in ESP makes idle is told", (test) => {
  const esp = (more: string) => `${MOBILE_NODE}  routeOptimisation: {}\ntunnelProfile: { protection: esp${more} }\n`;
  test.throws(() => loadConfig(directory(test, esp(""))), {
    message: /tunnelProfile.protection is "esp" and mobileNode.routeOptimisation is there, which does nothing/,
  });
  for (const one of ["clear", '"off"'])
    test.throws(() => loadConfig(directory(test, esp(`, routeOptimisation: ${one}`))), { message: /negotiated keys/ });
  test.end();
});
