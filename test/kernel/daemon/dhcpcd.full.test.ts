/**
 * A visited network's DHCPv6 server (dnsmasq) offers a home agent (RFC 6610), Debian's DHCPv6 client (dhcpcd) hands it over by the hook that
 * README has, and the node, which knows no other way, registers there.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { toHex } from "../../../controller/base/bytes.js";
import { ipv6 } from "../../../controller/base/ip.js";
import { encodeHomeInformation } from "../../../controller/wire/dhcpv6/home-information.js";
import { repository } from "../../runner/files.js";
import { DSMIPCTL } from "../lib/daemons.js";
import { Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const OPTION_MIP6_IDINF = 69;
const HOME_NETWORK = toHex(
  encodeHomeInformation([
    {
      ...{ kind: "home-network", network: "visited" },
      options: [{ kind: "home-agent-address", address: ipv6("2001:db8:1::1") }],
    },
  ]),
);

/** The lines of README's example from one that begins like this up to one that is this. */
function example(readme: string, first: string, last: string): string {
  const lines = readme.split("\n").map((line) => line.replace(/^ {4}/, ""));
  const from = lines.findIndex((line) => line.startsWith(first));
  return lines.slice(from, lines.findIndex((line, i) => i >= from && line.startsWith(last)) + 1).join("\n");
}

test("R5555-2.1-07: dhcpcd's offer is taken, as README has it configured", async (t) => {
  const scene = await Scene.start(t, { mobileNode: { homeAgent: { dhcpv6: true } } });
  const { mobile, core, net } = scene;
  const readme = readFileSync(join(repository, "README.md"), "utf8");
  const file = join(net.scratch, "dhcpcd");
  const options = example(readme, "define6 50", "option dhcp6_mip6");
  assert.match(options, /define6 70/);
  writeFileSync(`${file}.conf`, `${options}\nduid ll\nipv6only\nnoipv6rs\nnogateway\ninterface six\nia_na 1\n`);
  const hook = example(readme, 'case "$reason" in', "esac");
  assert.match(hook, /dsmipctl home-agent offered/);
  const dsmipctl = `dsmipctl() { ${process.execPath} ${DSMIPCTL} --socket ${mobile.daemon.socketPath} "$@"; }`;
  writeFileSync(`${file}.hook`, `#!/bin/sh\n${dsmipctl}\n${hook}\n`, { mode: 0o755 });
  const colons = HOME_NETWORK.replaceAll(/..(?=.)/g, "$&:");
  const quiet = ["-k", "-C", "/dev/null", "-u", "root", "--pid-file", "--port=0", "--log-facility=-", "--log-dhcp"];
  const lease = [`--dhcp-leasefile=${file}.leases`, "--dhcp-range=2001:db8:a::1000,2001:db8:a::1fff,64,120"];
  core.spawn(["dnsmasq", ...quiet, ...lease, `--dhcp-option=option6:${OPTION_MIP6_IDINF},${colons}`], {
    name: "dnsmasq",
  });
  await mobile.daemon.start();
  scene.attach(mobile, "six");
  await waitFor(() => /has offered a home agent by DHCPv6/.test(mobile.daemon.process.log), {
    what: "a search in vain",
  });
  const words = ["-6", "-B", "-d", "--noarp", "-f", `${file}.conf`, "-c", `${file}.hook`, "six"];
  mobile.node.spawn(["dhcpcd", ...words], { name: "dhcpcd" });
  await waitFor(async () => (await mobile.daemon.status()).readiness === "registered", {
    what: "a registration with the home agent that DHCPv6 has offered",
    timeout: 30_000,
  });
  assert.match(mobile.daemon.process.log, /home-agent\.chosen/);
});
