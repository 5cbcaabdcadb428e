/**
 * What the daemon holds can be taken from it while it lives: its TUN device, the device that holds an address, the file of its control
 * socket, the home link. All comes back by itself, in both roles.
 */
import assert from "node:assert/strict";
import { renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import test from "node:test";
import { lockName } from "../../../controller/daemon/upkeep/address-lock.js";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { ALICE, HOME_AGENT } from "../lib/hostile.js";
import { aliceRegistered } from "../lib/registered.js";
import { Scene } from "../lib/scene.js";
import { emptyBridge } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const isSocket = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isSocket() === true;

test("a home agent from which things are taken", async (t) => {
  const { hostile, ha, register } = await aliceRegistered(t);
  const { controlSocket } = hostile;
  const back = (what: string, holds: () => boolean): Promise<true> =>
    waitFor(holds, { what, timeout: 20_000, interval: 200 });

  await t.test("the file of the control socket", async () => {
    rmSync(controlSocket);
    await back("the control socket", () => isSocket(controlSocket));
    assert.equal(hostile.dsmipctl("status").status, 0);
    assert.match(hostile.daemon?.log ?? "", /control\.renewed/);
    renameSync(controlSocket, `${controlSocket}.old`);
    writeFileSync(controlSocket, "the operator's");
    await hostile.daemon?.waitForLog(/look\.failed.*is a regular file, not a socket, and is left alone/, 20_000);
    rmSync(controlSocket);
    await back("the control socket", () => isSocket(controlSocket));
    assert.equal(hostile.dsmipctl("status").status, 0);
  });

  await t.test("the devices that hold its addresses", async () => {
    const name = lockName(HOME_AGENT.ipv6);
    const stands = (): boolean =>
      ha.script(`ip link show ${name} > /dev/null 2>&1 && echo yes || echo no`).trim() === "yes";
    assert.ok(stands());
    ha.ip(`link del ${name}`);
    await back("the device that was deleted", stands);
    ha.ip(`link set ${name} name lost0`);
    await back("the device that was renamed", stands);
    assert.equal(ha.script("ip link show lost0 2> /dev/null || true").trim(), "", "nobody keeps the former one");
    assert.match(hostile.daemon?.log ?? "", /address\.retaken/);
  });

  await t.test("the home link", async () => {
    const proxies = (): boolean => ha.run("ip", "-6", "neigh", "show", "proxy").includes(ALICE.homeAddress);
    assert.ok(proxies());
    ha.ip("link del home");
    await waitFor(() => !proxies(), { what: "the proxy to be gone" });
    ha.ip(
      ...emptyBridge("home"),
      "address add 198.51.100.1/24 dev home",
      "address add 2001:db8:1::1/64 dev home nodad",
    );
    await back("the proxy on the new link", proxies);
    await back("all objects", () => hostile.dsmipctl("audit").status === 0);
    assert.equal((await register()).message.status, BindingStatus.accepted);
  });

  assert.ok(hostile.daemon?.running);
});

test("a mobile node from which things are taken", async (t) => {
  const scene = await Scene.start(t);
  const { mobile } = scene;
  const { node, daemon } = mobile;
  scene.attach(mobile, "nat");
  await daemon.start();
  await scene.settled(mobile, "nat");
  const settledAgain = async (): Promise<void> => {
    await waitFor(async () => (await daemon.audit()).differences.length === 0, {
      what: "no difference",
      timeout: 20_000,
    });
  };

  await t.test("the device of the signalling: its updates go out again", async () => {
    node.ip("link del dsmip-sig");
    await daemon.process.waitForLog(/socket\.reopened.*TUN device dsmip-sig/);
    await settledAgain();
    scene.detach(mobile, "nat");
    scene.attach(mobile, "four");
    await scene.settled(mobile, "four");
    scene.detach(mobile, "four");
    scene.attach(mobile, "nat");
    await scene.settled(mobile, "nat");
  });

  await t.test("the file of the control socket", async () => {
    rmSync(daemon.socketPath);
    await waitFor(() => isSocket(daemon.socketPath), { what: "the control socket", timeout: 20_000 });
    assert.equal((await daemon.status()).role, "mobile-node");
  });
});
