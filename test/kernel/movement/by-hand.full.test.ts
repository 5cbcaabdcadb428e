/**
 * An IPv4 address set by hand: nobody configures it anew elsewhere, and the router there may well have the same address (RFC 4436). After
 * a loss of the carrier another link-layer address behind it makes the address a last resort, until the home agent has answered there.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { isUpdate, NETWORKS, Roaming, SPARE } from "../lib/roaming.js";
import { waitFor } from "../lib/wait.js";

const ADDRESS = `${NETWORKS.one.ipv4}.77`;
const ROUTER = `${NETWORKS.one.ipv4}.1`;

test("an address set by hand in another network with the same router address is not believed", async (t) => {
  const roaming = await Roaming.start(t, "one", { ipv4Only: true, spare: true });
  const { mn, core, mobile, wire } = roaming;
  // Network "two" has a router of the same address as well; what is sent from there finds no way back.
  core.ip(`address add ${ROUTER}/24 dev two`);
  mn.ip(`address add ${ADDRESS}/24 dev eth0`, `route add default via ${ROUTER} dev eth0 metric 10`);
  await mobile.start();
  const registered = (address: string): Promise<unknown> =>
    mobile.waitForBinding(`registration from ${address}`, ({ state, endpoint }) => {
      return state === "registered" && endpoint?.address === address;
    });
  await registered(ADDRESS);

  await t.test("the other uplink is used, and nothing leaves from there", async () => {
    const moved = roaming.plug("two", { carrier: true });
    await registered(SPARE);
    await waitFor(() => mobile.process.log.includes('"network.unproven"'), { what: "the word about the router" });
    const from = wire.frames().filter(({ at }) => at > moved);
    assert.deepEqual(
      from.filter((frame) => isUpdate(frame, (source) => source === ADDRESS)),
      [],
    );
    assert.equal((await mobile.bindings())[0]?.endpoint?.address, SPARE);
  });

  await t.test("back where it belongs its router answers, and it is the better one again", async () => {
    roaming.plug("one", { carrier: true });
    await registered(ADDRESS);
  });

  await t.test("the router was exchanged: without another uplink the home agent's answer is the proof", async () => {
    core.ip(
      `address del ${ROUTER}/24 dev two`,
      "link set one down",
      "link set one address 02:00:00:00:00:77",
      "link set one up",
    );
    mn.ip("link set eth1 down");
    const unproven = mobile.process.log.split('"network.unproven"').length;
    const confirmed = mobile.process.log.split('"network.confirmed"').length;
    roaming.plug("one", { carrier: true });
    await waitFor(() => mobile.process.log.split('"network.unproven"').length > unproven, { what: "the doubt" });
    await waitFor(() => mobile.process.log.split('"network.confirmed"').length > confirmed, { what: "its end" });
    await registered(ADDRESS);
    // It is as good as ever: preferred to the other uplink.
    mn.ip("link set eth1 up", "route add default via 203.0.115.1 dev eth1 metric 2000");
    await registered(ADDRESS);
  });
});
