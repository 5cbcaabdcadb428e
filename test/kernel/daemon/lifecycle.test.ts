/** What becomes of bindings and of the kernel's objects when the daemon dies, is stopped, is stopped while it starts, or is started twice. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { ALICE, MAIN } from "../lib/hostile.js";
import { aliceRegistered } from "../lib/registered.js";
import { emptyBridge } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

test("a home agent's life and end", async (t) => {
  const { hostile, ha, register, last, inventory } = await aliceRegistered(t);
  await t.test(
    "killed and started again it knows its bindings, keeps the kernel's objects and the last sequence number",
    async () => {
      const links = ha.script("ip -o link | grep dsmip- | grep -v dsmip-sig | cut -d: -f1,2");
      const daemon = hostile.daemon;
      daemon?.kill("SIGKILL");
      await daemon?.exited;
      await hostile.start();
      assert.equal(
        ha.script("ip -o link | grep dsmip- | grep -v dsmip-sig | cut -d: -f1,2"),
        links,
        "the devices are the same ones",
      );
      assert.deepEqual((await hostile.binding(ALICE))?.endpoint, {
        format: "udp",
        address: "203.0.114.2",
        port: 40000,
      });
      assert.equal(hostile.dsmipctl("audit").status, 0);
      const stale = await register(last());
      assert.deepEqual([stale.message.status, stale.message.sequence], [BindingStatus.sequenceOutOfWindow, last()]);
      assert.equal((await register()).message.status, BindingStatus.accepted);
    },
  );

  await t.test("a second dsmipd with the same addresses refuses to start and harms nothing", async () => {
    const { status, stderr } = spawnSync(
      "nsenter",
      [`--net=${ha.path}`, process.execPath, MAIN, "run", "--config", hostile.config],
      { encoding: "utf8" },
    );
    assert.equal(status, 1);
    assert.match(stderr, /^dsmipd: another dsmipd serves 2001:db8:1::1 in this network namespace; stop it first\n$/);
    assert.equal(hostile.dsmipctl("audit").status, 0);
    assert.equal((await register()).message.status, BindingStatus.accepted);
  });

  await t.test("a busy control socket is told, and what had been made is taken out again", () => {
    const { net } = hostile;
    const directory = join(net.scratch, "second");
    mkdirSync(directory);
    const config = JSON.parse(readFileSync(hostile.config, "utf8")) as Record<string, unknown>;
    const path = join(directory, "dsmipd.yaml");
    writeFileSync(
      path,
      JSON.stringify({ ...config, stateDirectory: directory, keyFile: join(net.scratch, "keys.yaml") }),
    );
    const other = hostile.world;
    other.ip(
      ...emptyBridge("home"),
      "address add 2001:db8:1::1/64 dev home",
      "link set lo up",
      "address add 203.0.113.1/32 dev lo",
    );
    const { status, stderr } = spawnSync(process.execPath, [MAIN, "run", "--config", path, "--netns", other.path], {
      encoding: "utf8",
    });
    assert.equal(status, 1);
    assert.match(
      stderr,
      /dsmipd: .*control\.sock: another dsmipd answers on this control socket; stop it or set another controlSocket\n$/,
    );
    assert.equal(other.script("ip -o link | grep -c dsmip- || true; nft list tables; ip xfrm policy"), "0\n");
  });

  await t.test("SIGTERM takes everything out; SIGTERM during the start is obeyed too", async () => {
    const nothing = ["dsmip", "4191", "4192", "4193"];
    const clean = (): void => {
      const left = inventory()
        .split("\n")
        .filter((line) => nothing.some((word) => line.includes(word)));
      assert.deepEqual(left, []);
    };
    assert.deepEqual(await hostile.daemon?.stop("SIGTERM", 15_000), { code: 0, signal: null });
    clean();
    const starting = ha.spawn([process.execPath, MAIN, "run", "--config", hostile.config], { name: "dsmipd-stopped" });
    await waitFor(() => ha.script("ip -o link").includes("dsmip-"), {
      what: "the first device of the start",
      timeout: 15_000,
    });
    assert.deepEqual(await starting.stop("SIGTERM", 15_000), { code: 0, signal: null });
    clean();
  });

  await t.test("a local program that has one of our UDP ports first is told, and by what to find it", async () => {
    for (const port of [4192, 4191]) {
      const script = `require("node:dgram").createSocket("udp4").bind(${port}, () => console.log("held"))`;
      const holder = ha.spawn([process.execPath, "-e", script], { name: `holder-${port}` });
      await holder.waitForLog(/held/, 15_000);
      const { status, stderr } = spawnSync(
        "nsenter",
        [`--net=${ha.path}`, process.execPath, MAIN, "run", "--config", hostile.config],
        { encoding: "utf8" },
      );
      assert.deepEqual(
        [status, stderr.match(/^dsmipd: .*$/m)?.[0]],
        [
          1,
          `dsmipd: UDP port ${port} of 203.0.113.1 is in use; another dsmipd, or a program to stop (ss -ulpn sport = :${port} names it)`,
        ],
      );
      await holder.stop("SIGTERM", 15_000);
    }
  });

  await t.test("while the daemon has them nobody else gets them, at this address or at any", async () => {
    await hostile.start();
    const script = `for (const port of [4191, 4192]) for (const address of ["203.0.113.1", "0.0.0.0", "::"])
      require("node:dgram").createSocket({ type: address === "::" ? "udp6" : "udp4", reuseAddr: true })
        .on("error", ({ code }) => console.log(code)).bind(port, address, () => console.log("bound"))`;
    const { stdout } = spawnSync("nsenter", [`--net=${ha.path}`, "timeout", "10", process.execPath, "-e", script], {
      encoding: "utf8",
    });
    assert.deepEqual(stdout.trim().split("\n"), Array(6).fill("EADDRINUSE"));
  });
});
