import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { loadKeys } from "../../../controller/config/keys.js";

const KEY = "00112233445566778899aabbccddeeff";
const HOME = `  - { association: mobile-home, node: 198.51.100.100, spi: 256, key: ${KEY} }\n`;
const FILE = `mip4:
${HOME}  - { association: mobile-home, node: alice@example.com, spi: 256, algorithm: hmac-sha256, key: "0x${KEY}ff", replay: nonces }
  - { association: mobile-foreign, node: alice@example.com, foreignAgent: 192.0.2.1, spi: 300, key: ${KEY} }
  - { association: foreign-home, foreignAgent: 192.0.2.1, homeAgent: 203.0.113.1, spi: 400, algorithm: hmac-sha1, key: ${KEY} }
`;

function keyFile(test: Test, text: string, mode = 0o600): string {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-keys-"));
  test.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "keys.yaml");
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

t.test("the associations of Mobile IPv4, by the parties that have them", (test) => {
  const { keys, mip4 } = loadKeys(keyFile(test, FILE));
  test.equal(keys.size, 0, "static ESP keys need not be there");
  test.match(mip4.mobileHome, [
    { node: "198.51.100.100", spi: 256, algorithm: "hmac-md5", replay: "timestamps" },
    { node: "alice@example.com", spi: 256, algorithm: "hmac-sha256", replay: "nonces" },
  ]);
  test.same(
    mip4.mobileHome.map(({ key }) => key.length),
    [16, 17],
  );
  test.match(mip4.mobileForeign, [{ node: "alice@example.com", foreignAgent: "192.0.2.1", spi: 300 }]);
  test.match(mip4.foreignHome, [{ foreignAgent: "192.0.2.1", homeAgent: "203.0.113.1", algorithm: "hmac-sha1" }]);
  test.notMatch(JSON.stringify(mip4), /0011223344/, "keys do not print");
  test.end();
});

const WRONG = [
  { name: "readable for others", text: FILE, mode: 0o640, says: /mode 0640 and holds keys; run: chmod 0600/ },
  {
    name: "one association twice",
    text: FILE + HOME,
    says: /mip4 has SPI 256 of 198\.51\.100\.100 \(mobile-home\) twice/,
  },
  { name: "a reserved SPI", text: FILE.replace("256", "255"), says: /mip4\[0\]\.spi is wrong; at least 256 is wanted/ },
  {
    name: "a short key",
    text: FILE.replace(KEY, "aabb"),
    says: /mip4\[0\]\.key is wrong; 32 to 128 hexadecimal digits/,
  },
  {
    name: "an address that is none",
    text: FILE.replace("198.51.100.100", "198.51.100.300"),
    says: /mip4\[0\]\.node is wrong/,
  },
  {
    name: "an unknown algorithm",
    text: FILE.replace("hmac-sha1", "hmac-sha-512"),
    says: /"hmac-md5", "hmac-sha1", "hmac-sha256"/,
  },
  { name: "an unknown association", text: FILE.replace("mobile-home", "home"), says: /mip4\[0\]\.association/ },
  { name: "nothing in it", text: "keys: []\n", says: /at least one entry is wanted/ },
];
for (const { name, text, mode, says } of WRONG) {
  t.test(`bad key file: ${name}`, (test) => {
    test.throws(() => loadKeys(keyFile(test, text, mode)), { message: says, code: "MIP_CONFIG" });
    test.end();
  });
}
