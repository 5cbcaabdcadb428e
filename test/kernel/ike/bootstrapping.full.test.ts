/** A mobile node that knows nothing but its credentials and its home agent (RFC 5026 §5.3): told its addresses, it keeps them. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import test from "node:test";
import { serveNames } from "../lib/name-server.js";
import { HOME_AGENT, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const AUTO = { homeAddress: "auto", ipv4HomeAddress: "auto", homePrefixes: [] };

const OTHER = "2001:db8:1::1aa";

for (const access of ["six", "nat"] as const) {
  test(`home addresses are told over ${access}, kept over a crash, and payload is protected under them`, async (t) => {
    const scene = await Scene.start(t, { ike: {}, mobileNode: AUTO, profile: { protection: "esp" } });
    const { mobile } = scene;
    await mobile.daemon.start();
    assert.equal((await mobile.daemon.status()).readiness, "detached");
    assert.deepEqual((await mobile.daemon.status()).addresses, []);
    const binding = await scene.move(mobile, access);
    assert.equal(binding.ipv4HomeAddress, mobile.home4);
    assert.deepEqual((await mobile.daemon.status()).addresses, [mobile.home6, mobile.home4]);
    assert.match(mobile.daemon.process.log, /home-address\.told/);
    await mobile.daemon.kill();
    await mobile.daemon.start();
    await scene.settled(mobile, access);
    assert.doesNotMatch(mobile.daemon.process.log, /home-address\.told/);
    assert.equal((await mobile.daemon.audit()).differences.length, 0);
  });
}

test("with nothing but a domain and credentials: the home agent by name, the addresses by IKE, and on to another network", async (t) => {
  const homeAgent = { domain: "example.org", nameServers: ["2001:db8:a::1", "203.0.114.1"] };
  const scene = await Scene.start(t, { ike: {}, mobileNode: { ...AUTO, homeAgent } });
  const { mobile, core } = scene;
  serveNames(core, homeAgent.nameServers, [
    "--srv-host=_mip6._ipv6.example.org,ha.example.org,0,10,0",
    `--host-record=ha.example.org,${HOME_AGENT.ipv4},${HOME_AGENT.ipv6}`,
  ]);
  await mobile.daemon.start();
  const { ipv4HomeAddress } = await scene.move(mobile, "four");
  assert.equal(ipv4HomeAddress, mobile.home4);
  await scene.move(mobile, "six");
  await scene.move(mobile, "home");
  assert.equal((await mobile.daemon.status()).readiness, "home");
  assert.equal((await mobile.daemon.audit()).differences.length, 0);
});

test("a home agent that gives the node another home address is asked, and the node goes on under it", async (t) => {
  const scene = await Scene.start(t, { ike: {}, mobileNode: AUTO });
  const { mobile, homeAgent } = scene;
  await mobile.daemon.start();
  await scene.move(mobile, "six");
  await homeAgent.stop();
  const text = readFileSync(homeAgent.configPath, "utf8");
  writeFileSync(homeAgent.configPath, text.replace(mobile.home6, OTHER));
  await homeAgent.start();
  // The update before the end of the lifetime is refused, or its keys are.
  await mobile.daemon.dsmipctl("refresh").exited;
  const isServed = async (): Promise<boolean> =>
    (await mobile.daemon.bindings()).some(({ homeAddress, state }) => homeAddress === OTHER && state === "registered");
  await waitFor(isServed, { what: "a registration under the other home address", timeout: 120_000 });
  assert.deepEqual((await mobile.daemon.status()).addresses, [OTHER, mobile.home4]);
  assert.equal((await mobile.daemon.audit()).differences.length, 0);
  assert.doesNotMatch(mobile.node.run("ip", "-6", "address", "show"), new RegExp(`${mobile.home6}/`));
});
