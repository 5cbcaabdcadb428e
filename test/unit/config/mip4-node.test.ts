/** Configuration of a mobile node of Mobile IPv4: what is taken, and the one sentence about what is not. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { loadConfig } from "../../../controller/config/config.js";
import { mobileHomeKey } from "../../../controller/config/mip4-node.js";

const KEY = "00112233445566778899aabbccddeeff";
const KEYS = `mip4:
  - { association: mobile-home, node: 198.51.100.10, spi: 256, key: ${KEY} }
  - { association: mobile-home, node: 198.51.100.10, spi: 257, key: ${KEY}, replay: nonces }
  - { association: mobile-home, node: alice@example.com, spi: 258, key: ${KEY} }
`;
const NODE = `role: mobile-node
protocol: mip4
keyFile: keys.yaml
mobileNode: { homeAddress: 198.51.100.10, homeAgent: 198.51.100.1, homeSubnet: 198.51.100.0/24 }
`;

function load(test: Test, config: string) {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-mip4-node-"));
  test.teardown(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, "dsmipd.yaml"), config);
  writeFileSync(join(directory, "keys.yaml"), KEYS);
  chmodSync(join(directory, "keys.yaml"), 0o600);
  const loaded = loadConfig(join(directory, "dsmipd.yaml"));
  const { config: found } = loaded;
  if (found.role !== "mobile-node" || found.protocol !== "mip4") throw new Error(found.role);
  return { config: found, key: mobileHomeKey(found, loaded.mip4) };
}
const node = (text: string): string => NODE.replace(/\{.*\}/, `{ ${text} }`);

t.test("a node with its addresses, and one that is lent and looks for everything", (test) => {
  const { config, key } = load(test, NODE);
  test.match(config.mobileNode, {
    ...{ homeAddress: "198.51.100.10", homeAgent: "198.51.100.1", lifetimeSeconds: 600, natTraversal: true },
    ...{ reverseTunnelling: "preferred", foreignAgents: "where-needed", encapsulation: "ip-in-ip" },
  });
  test.match(key, { spi: 256, replay: "timestamps" });
  const other = node("homeAddress: 198.51.100.10, homeAgent: 198.51.100.1, spi: 257");
  test.match(load(test, other).key, { replay: "nonces" });
  const lent = node("homeAddress: dynamic, nai: alice@example.com, homeAgent: dynamic, homeSubnet: 198.51.100.0/24");
  const { mobileNode } = load(test, lent).config;
  test.equal(mobileNode.homeAddress, undefined);
  test.equal(mobileNode.homeAgent, undefined);
  test.match(load(test, lent).key, { spi: 258 });
  const anywhere = node(
    "homeAddress: 0.0.0.0, nai: alice@example.com, homeAgent: 0.0.0.0, homeSubnet: 198.51.100.0/24",
  );
  test.equal(load(test, anywhere).config.mobileNode.homeAgent, undefined, "0.0.0.0 means the same");
  test.end();
});

t.test("one sentence about what is wrong", (test) => {
  const home = "homeAddress: 198.51.100.10, homeAgent: 198.51.100.1";
  const cases: readonly (readonly [string, RegExp])[] = [
    [NODE.replace("mip4", "mip5"), /protocol is "mip5"; one of "mip6", "mip4" is wanted$/],
    [NODE.replace("keyFile: keys.yaml\n", ""), /keyFile is missing; a file with keys of Mobile IPv4 is wanted/],
    [node("homeAddress: dynamic, homeAgent: 198.51.100.1"), /mobileNode\.nai is missing; a name/],
    [node("homeAddress: 198.51.100.10, homeAgent: dynamic"), /mobileNode\.homeSubnet is missing; the subnet/],
    [
      node("homeAddress: 198.51.100.11, homeAgent: 198.51.100.1"),
      /keys\.yaml: has no mobile-home key for 198\.51\.100\.11; add/,
    ],
    [node(`${home}, spi: 999`), /add an entry to mip4 with this node and spi 999$/],
    [
      node(`${home}, homeSubnet: 192.0.2.0/24`),
      /homeAddress is 198\.51\.100\.10; an address within mobileNode\.homeSubnet/,
    ],
    [node(`${home}, homeSubnet: "2001:db8::/32"`), /homeSubnet is "2001:db8::\/32"; an IPv4 prefix/],
    [node("homeAddress: 198.51.100.10, homeAgent: 198.51.100.10"), /the home agent's address too/],
    [
      node("homeAddress: 224.0.0.1, homeAgent: 198.51.100.1"),
      /homeAddress is 224\.0\.0\.1; an address of a host is wanted/,
    ],
    [node(`${home}, prefixes: [192.0.2.0/24]`), /prefixes\[0\] is "192\.0\.2\.0\/24"; an IPv6 prefix/],
    [
      node(`${home}, prefixes: ["2001:db8::/32", "2001:db8:1::/48"]`),
      /2001:db8::\/32 and 2001:db8:1::\/48 overlap; keep one/,
    ],
    [node(`${home}, forceUdp: true, natTraversal: false`), /forceUdp is on and mobileNode\.natTraversal is off/],
    [`${NODE}tunnelProfile: { protection: esp }\n`, /tunnelProfile\.protection is "esp", which Mobile IPv4 has not/],
    [`${NODE}tunnelProfile: { decapsulateDscp: true }\n`, /tunnelProfile\.decapsulateDscp is true, .*false is wanted/],
    ...(['prefixes: ["2001:db8::/32"]', "prefixDelegation: true"] as const).map((six): readonly [string, RegExp] => [
      `${node(`${home}, ${six}`)}tunnelProfile: { mtu: 1299 }\n`,
      /tunnelProfile\.mtu is 1299, and mobileNode\.(prefixes|prefixDelegation) has IPv6 .*; at least 1300 is wanted/,
    ]),
    [node(`${home}, lifetimeSeconds: 70000`), /lifetimeSeconds is 70000; at most 65535 is wanted/],
    [node(`${home}, natKeepaliveSeconds: 9`), /natKeepaliveSeconds is 9; at least 10 is wanted/],
  ];
  for (const [text, sentence] of cases) test.throws(() => load(test, text), { message: sentence });
  test.end();
});
