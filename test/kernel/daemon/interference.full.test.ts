/**
 * What others do to the kernel behind the home agent's back is noticed by the kernel's announcements, logged and mended.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { ALICE } from "../lib/hostile.js";
import { aliceRegistered } from "../lib/registered.js";
import { waitFor } from "../lib/wait.js";

test("a home agent among others who meddle", async (t) => {
  const { hostile, ha, register, inventory } = await aliceRegistered(t);
  const healthy = inventory();
  assert.match(hostile.dsmipctl("audit").stdout, /objects checked, no difference/);

  await t.test("what was taken away comes back, and the log says so", async (nested) => {
    const meddlings = [
      ["an IPv6 route", `ip -6 route del ${ALICE.homeAddress}`],
      ["an IPv4 route", `ip route del ${ALICE.ipv4HomeAddress}`],
      ["a set element", `nft flush set inet dsmipd udp-6`],
      ["the route of the signalling", "ip -6 route del 2001:db8:1::/64 dev dsmip-sig"],
      ["all IPsec policies", "ip xfrm policy flush; ip xfrm policy flush ptype sub"],
      ["all security associations", "ip xfrm state flush"],
      ["the nftables table", "nft delete table inet dsmipd"],
      ["all nftables tables", "nft flush ruleset"],
      ["a sending device", "ip link del dsmip-ou-c-64"],
      ["the receiving devices", "ip link del dsmip-in4; ip link del dsmip-in6"],
      ["the device that is down", "ip link set dsmip-o6 down"],
    ] as const;
    for (const [what, command] of meddlings) {
      await nested.test(what, async () => {
        const logged = hostile.daemon?.log.length ?? 0;
        ha.script(command);
        const noticed = (): boolean => /kernel\.(drift|resync)/.test(hostile.daemon?.log.slice(logged) ?? "");
        await waitFor(noticed, { what: `${what} to be missed` });
        await waitFor(() => inventory() === healthy, {
          what: `${what} to be as before`,
          timeout: 8000,
          interval: 100,
        }).catch((error: Error) => {
          assert.equal(inventory(), healthy, error.message);
        });
        assert.equal((await register()).message.status, BindingStatus.accepted);
      });
    }
    assert.equal(hostile.dsmipctl("audit").status, 0);
  });
});
