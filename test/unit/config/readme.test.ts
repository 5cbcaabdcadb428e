/** README's examples are what they say: whole files among them pass as they stand, and the ends of an example fit together. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { loadConfig } from "../../../controller/config/config.js";
import { repositoryPath } from "../../lib/repository.js";

const README = readFileSync(repositoryPath("README.md"), "utf8");
/** Its indented blocks, without the indentation. */
const BLOCKS = README.split(/\n(?! {4}|\n)/).flatMap((part) => {
  const lines = part.split("\n").filter((line) => /^ {4}/.test(line));
  return lines.length === 0 ? [] : [`${lines.map((line) => line.slice(4)).join("\n")}\n`];
});

/** The block that has all of these lines in it. */
function block(test: Test, ...parts: readonly string[]): string {
  const found = BLOCKS.filter((text) => parts.every((part) => text.includes(part)));
  test.equal(found.length, 1, `one example with ${parts.join(", ")}`);
  return found[0] ?? "";
}

/** The configuration in a directory with the files that it names; throws what an operator would be told. */
function load(test: Test, config: string, others: Readonly<Record<string, string>>): ReturnType<typeof loadConfig> {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-readme-"));
  test.teardown(() => rmSync(directory, { recursive: true }));
  for (const [name, text] of Object.entries(others)) writeFileSync(join(directory, name), text, { mode: 0o600 });
  writeFileSync(join(directory, "dsmipd.yaml"), config);
  return loadConfig(join(directory, "dsmipd.yaml"));
}

t.test("with IKEv2: a home agent and its node", async (test) => {
  const credentials = { "credentials.yaml": block(test, "credentials:\n", "psk:") };
  const agent = load(test, block(test, "role: home-agent", "method: ikev2"), credentials);
  const node = load(test, block(test, "role: mobile-node", "method: ikev2"), credentials);
  test.equal(agent.config.role, "home-agent");
  test.equal(node.config.role, "mobile-node");
});

t.test(
  "Mobile IPv4: a home agent, a node and a foreign agent, each with the keys that the others have",
  async (test) => {
    const staticKeys = block(test, "algorithm: aes-cbc-hmac-sha256", "acknowledgement:");
    const agent = load(test, block(test, "role: home-agent", "mip4:"), {
      "keys.yaml": `${staticKeys}${block(test, "mip4:\n", "replay: nonces")}`,
    });
    const node = load(test, block(test, "protocol: mip4"), {
      "keys.yaml": block(test, "mip4:\n", "mobile-home", "mobile-foreign"),
    });
    const foreign = load(test, block(test, "role: foreign-agent"), {
      "keys.yaml": block(test, "mip4:\n", "mobile-foreign", "foreign-home"),
    });
    assert(agent.config.role === "home-agent" && foreign.config.role === "foreign-agent");
    const text = (keys: readonly object[]): readonly string[] => keys.map((key) => JSON.stringify(key));
    const common = (here: readonly object[], there: readonly object[]): number =>
      text(here).filter((key) => text(there).includes(key)).length;
    test.equal(common(agent.mip4.mobileHome, node.mip4.mobileHome), 1, "node and home agent");
    test.equal(common(foreign.mip4.mobileForeign, node.mip4.mobileForeign), 1, "node and foreign agent");
    test.equal(common(agent.mip4.foreignHome, foreign.mip4.foreignHome), 1, "foreign agent and home agent");
    test.strictSame(agent.config.homeAgent.mip4?.foreignAgents, [foreign.config.foreignAgent.careOfAddress]);
  },
);

t.test("a correspondent node", async (test) => {
  const { config } = load(test, block(test, "role: correspondent-node"), {});
  test.equal(config.role, "correspondent-node");
});
