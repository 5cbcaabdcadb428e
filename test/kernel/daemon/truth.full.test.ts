/**
 * The kernel's truth: switches that somebody turns, what nobody announces, devices of ours that somebody takes away, a quarrel over IPv6.
 * All comes back by itself within ten seconds, and the log says it a few times.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { ALICE } from "../lib/hostile.js";
import { aliceRegistered } from "../lib/registered.js";
import { waitFor } from "../lib/wait.js";

test("a home agent whose kernel is turned by others without a word", async (t) => {
  const { hostile, ha, register, inventory } = await aliceRegistered(t);
  const healthy = inventory();
  const log = (from = 0): string => hostile.daemon?.log.slice(from) ?? "";
  const back = async (what: string, holds: () => boolean): Promise<void> => {
    await waitFor(holds, { what, timeout: 12_000, interval: 200 });
  };
  const value = (path: string): string => ha.run("sysctl", "-n", path).trim();

  await t.test("switches, ports, proxies and thresholds", async () => {
    const from = log().length;
    ha.script(`
      sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0 net/ipv4/conf/dsmip-in4/rp_filter=1
      sysctl -qw net.ipv6.conf.all.proxy_ndp=0 net.ipv6.neigh.home.proxy_delay=80
      ip -6 neigh del proxy ${ALICE.homeAddress} dev home
      ip xfrm policy set hthresh6 128 128
    `);
    // What the kernel announces is back at once.
    await waitFor(() => value("net.ipv4.ip_forward") === "1" && value("net.ipv6.conf.all.forwarding") === "1", {
      what: "forwarding to be on again",
    });
    ha.script("ip fou del port 4191 local 203.0.113.1 || ip fou del port 4191");
    await back("all of it to be as before", () => {
      const proxies = ha.run("ip", "-6", "neigh", "show", "proxy");
      return (
        value("net/ipv4/conf/dsmip-in4/rp_filter") === "2" &&
        value("net.ipv6.conf.all.proxy_ndp") === "1" &&
        value("net.ipv6.neigh.home.proxy_delay") === "0" &&
        proxies.includes(ALICE.homeAddress) &&
        /4191/.test(ha.run("ip", "fou", "show"))
      );
    });
    await waitFor(() => inventory() === healthy, { what: "the inventory to be as before" });
    const told = log(from)
      .split("\n")
      .filter((line) => line.includes("ip_forward "));
    assert.equal(told.length, 1, told.join("\n"));
    assert.equal(hostile.dsmipctl("audit").status, 0);
  });

  await t.test("IPv6 is switched off and on again", async () => {
    const from = log().length;
    ha.script("sysctl -qw net.ipv6.conf.all.disable_ipv6=1; sleep 3; sysctl -qw net.ipv6.conf.all.disable_ipv6=0");
    ha.script("ip -6 addr add 2001:db8:f::1/64 dev wan nodad; ip -6 addr add 2001:db8:1::1/64 dev home nodad");
    await back("the objects to be as before", () => hostile.dsmipctl("audit").status === 0);
    const lines = log(from).split("\n").length;
    assert.ok(lines < 60, `${lines} lines`);
  });

  await t.test("the device of the signalling is deleted, renamed, moved away", async (nested) => {
    const ways = [
      ["deleted", "ip link del dsmip-sig"],
      ["renamed", "printf 'link set dsmip-sig down\\nlink set dsmip-sig name lost0\\n' | ip -batch -"],
      ["moved", "ip netns add elsewhere-$$; ip link set dsmip-sig netns elsewhere-$$; ip netns del elsewhere-$$"],
    ] as const;
    for (const [what, command] of ways) {
      await nested.test(what, async () => {
        ha.script(command);
        await back(`${what} device`, () => hostile.dsmipctl("audit").status === 0);
        assert.equal((await register()).message.status, BindingStatus.accepted);
      });
    }
  });

  await t.test("a stranger's route under our mark is told once", async () => {
    const from = log().length;
    ha.script("ip route add 192.0.2.0/24 dev home proto 155");
    for (let i = 0; i < 3; i++) hostile.dsmipctl("audit");
    await waitFor(() => log(from).includes("kernel.foreign"), { what: "it to be told" });
    ha.script("ip route replace 192.0.2.0/24 dev home proto 155 mtu 1400");
    assert.equal((await register()).message.status, BindingStatus.accepted);
    assert.equal(log(from).split("kernel.foreign").length, 2);
    assert.equal(log(from).includes("kernel.resync"), false);
    ha.script("ip route del 192.0.2.0/24 dev home proto 155");
  });
});
