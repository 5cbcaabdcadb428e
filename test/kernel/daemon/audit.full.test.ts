/** Differences between plan and kernel that nobody announces, or that cannot be mended, are told by `dsmipctl audit`. */
import assert from "node:assert/strict";
import test from "node:test";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { ALICE } from "../lib/hostile.js";
import { aliceRegistered } from "../lib/registered.js";
import { emptyBridge } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

test("a home agent whose kernel is not as planned", async (t) => {
  const { hostile, ha, register, inventory } = await aliceRegistered(t);
  const healthy = inventory();
  assert.match(hostile.dsmipctl("audit").stdout, /objects checked, no difference/);

  await t.test(
    "what the kernel tells nobody is found by audit, exit code 1, or was found before, and is mended",
    async (nested) => {
      const meddlings = [
        ["a proxy neighbour", `ip neighbour del proxy ${ALICE.homeAddress} dev home`, /missing +ip .*neigh.* home/],
        ["the GUE port", "ip fou del port 4191 local 203.0.113.1", /missing +ip fou add port 4191/],
        ["a switch", "sysctl -qw net.ipv6.conf.home.proxy_ndp=0", /different +.*proxy_ndp/],
      ] as const;
      for (const [what, command, told] of meddlings) {
        await nested.test(what, async () => {
          ha.script(command);
          const { status, stdout } = hostile.dsmipctl("audit");
          // The quiet look may have come first.
          if (status === 0) assert.match(stdout, /no difference/);
          else assert.match(stdout, told);
          await waitFor(async () => (await hostile.differences()) === 0 && inventory() === healthy, {
            what: `${what} to be mended`,
            timeout: 15_000,
            interval: 200,
          });
          assert.equal((await register()).message.status, BindingStatus.accepted);
        });
      }
    },
  );

  await t.test(
    "a stranger's route in the place of ours is left to the stranger, told by audit, and mended when it is gone",
    async () => {
      ha.script(`ip route replace ${ALICE.ipv4HomeAddress} dev home proto 139`);
      await waitFor(() => /repair-failed/.test(hostile.daemon?.log ?? ""), { what: "the repair to fail" });
      for (const _ of [1, 2]) {
        // An audit says nothing of what is being tried again while it reads the kernel.
        await waitFor(
          () => {
            const { status, stdout } = hostile.dsmipctl("audit");
            return status === 1 && /missing +ip route add 198\.51\.100\.10/.test(stdout);
          },
          { what: "the route to be missing" },
        );
      }
      assert.match(ha.run("ip", "route", "show", ALICE.ipv4HomeAddress), /dev home proto 139/);
      ha.script(`ip route del ${ALICE.ipv4HomeAddress} dev home proto 139`);
      await waitFor(async () => (await hostile.differences()) === 0, {
        what: "a clean audit",
        timeout: 15_000,
        interval: 200,
      });
      assert.equal(inventory(), healthy);
    },
  );

  await t.test(
    "a home link that went away is told by audit with exit code 1, and what stood on it comes back with it",
    async () => {
      ha.ip("link del home");
      // An audit says nothing of what is being mended while it reads the kernel.
      await waitFor(
        () => {
          const { status, stdout } = hostile.dsmipctl("audit");
          return status === 1 && /missing +ip .*neigh.* home/.test(stdout);
        },
        { what: "the proxy neighbours to be missing" },
      );
      ha.ip(...emptyBridge("home"), "address add 198.51.100.1/24 dev home", "address add 2001:db8:1::1/64 dev home");
      await waitFor(async () => (await hostile.differences()) === 0, {
        what: "a clean audit",
        timeout: 15_000,
        interval: 200,
      });
      assert.equal((await register()).message.status, BindingStatus.accepted);
    },
  );
});
