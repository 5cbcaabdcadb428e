/** A start where the switches cannot be turned, as in every default container; where IPv6 is off; without a TUN device to open. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { configuration, MAIN } from "../lib/hostile.js";
import { scaled } from "../lib/surroundings.js";
import { emptyBridge, Topology } from "../lib/topology.js";

test("a home agent that cannot start says the first cause, and what helps", async (t) => {
  const net = new Topology(t);
  const ha = net.node("ha", { forwarding: false });
  const world = net.node("world");
  net.link(ha.port("wan", "203.0.113.1/24", "2001:db8:f::1/64"), world.port("wan"));
  ha.also(...emptyBridge("home"), "addr add 2001:db8:1::1/64 dev home nodad", "addr add 198.51.100.1/24 dev home");
  net.build();
  const config = configuration(mkdtempSync(join(tmpdir(), "dsmipd-read-only-")));
  const READ_ONLY = "mount -o bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys";
  /** Within a mount namespace of its own; ends by itself or is told to after a few seconds. */
  const start = (before: string) => {
    const script = `${before}\nexec timeout -s TERM ${scaled(6000) / 1000} ${process.execPath} ${MAIN} run --config ${config}`;
    const command = ha.inside(["unshare", "-m", "bash", "-euo", "pipefail", "-c", script]);
    return spawnSync(command[0] ?? "", command.slice(1), { encoding: "utf8" });
  };

  await t.test("all switches in one sentence", () => {
    ha.run(
      "sysctl",
      "-qw",
      "net.ipv4.ip_forward=0",
      "net.ipv6.conf.all.forwarding=0",
      "net.ipv4.conf.default.rp_filter=1",
      "net.ipv4.conf.all.rp_filter=1",
    );
    const { stderr, status } = start(READ_ONLY);
    const sentence = stderr.split("\n").find((line) => line.startsWith("dsmipd: ")) ?? stderr;
    assert.equal(status, 1, stderr);
    assert.match(sentence, /\/proc\/sys is read-only.*sysctl -w /);
    for (const setting of [
      "net.ipv4.ip_forward=1",
      "net.ipv6.conf.all.forwarding=1",
      "net.ipv6.conf.home.proxy_ndp=1",
      "net.ipv4.conf.default.rp_filter=2",
    ])
      assert.ok(sentence.includes(setting), `${setting} in: ${sentence}`);
    assert.doesNotMatch(stderr, /ENODEV|tuntap|CAP_/);
    // What it says is enough.
    const command = /sysctl -w (.*)$/.exec(sentence)?.[1]?.split(" ") ?? [];
    ha.run("sysctl", "-qw", ...command);
    const second = start(READ_ONLY);
    assert.match(second.stderr, /daemon\.ready/, second.stderr);
  });

  await t.test("IPv6 that is switched off", () => {
    ha.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1");
    const { stderr, status } = start("true");
    assert.equal(status, 1);
    assert.match(
      stderr,
      /dsmipd: IPv6 is switched off in this network namespace .*sysctl -w net\.ipv6\.conf\.all\.disable_ipv6=0/,
    );
    ha.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0");
    ha.script("ip -6 addr add 2001:db8:f::1/64 dev wan nodad; ip -6 addr add 2001:db8:1::1/64 dev home nodad");
  });

  await t.test("a TUN device that is not there, or is none", () => {
    const hidden = start("mkdir -p /tmp/empty-dev; mount -t tmpfs none /dev/net; true");
    assert.match(
      hidden.stderr,
      /dsmipd: \/dev\/net\/tun is missing; run: modprobe tun \(in a container: --device \/dev\/net\/tun\)/,
    );
    const none = start("mount -t tmpfs none /dev/net; touch /dev/net/tun");
    assert.match(none.stderr, /dsmipd: \/dev\/net\/tun is no device/);
    for (const { stderr } of [hidden, none]) assert.doesNotMatch(stderr, /CAP_/);
  });
});
