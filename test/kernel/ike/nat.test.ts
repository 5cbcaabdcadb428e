/** A node that begins behind a NAT, where strongSwan refuses transport mode for the home address; and two nodes behind one address. */
import assert from "node:assert/strict";
import test from "node:test";
import { layersOfKind } from "../lib/frame.js";
import { describeFrame } from "../lib/frames.js";
import { CREATE_CHILD_SA, IKE_AUTH, ikeOf, isKeepalive, NAT_PORT, spiOf } from "../lib/ike-wire.js";
import { crossAll, spis, spisOf } from "../lib/keys.js";
import { HOME_AGENT, identityOf, NAT_ADDRESS, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

test("nodes that begin behind a NAT", async (t) => {
  const ike = { charon: ["keep_alive = 1"] };
  const scene = await Scene.start(t, { ike, profile: { protection: "esp" }, mobiles: 2 });
  const lan = await scene.net.capture(scene.nat, "lan");
  for (const mobile of scene.mobiles) {
    scene.attach(mobile, "nat");
    await mobile.daemon.start();
  }
  for (const mobile of scene.mobiles) {
    await scene.settled(mobile, "nat");
    await crossAll(scene, mobile);
  }
  const [first, second] = scene.mobiles;
  assert.ok(first !== undefined && second !== undefined);
  const before = await spis(first);
  assert.deepEqual(
    before.map((line) => line.split(" ")[0]),
    ["payload", "signalling-nat"],
  );
  const spi = await spisOf(first, "payload");
  /** As the home agent's IKE daemon has it. */
  const ikeOfFirst = async () =>
    (await scene.charon?.sas())?.find(({ remoteIdentity }) => remoteIdentity === identityOf(first.number));

  await t.test(
    "R5555-5-07 R5555-5.2.2-01: behind a NAT too all of IKE has port 4500, and payload gets a child of its own",
    () => {
      const messages = lan.frames().flatMap((frame) => ikeOf(frame) ?? []);
      const own = messages.filter(({ source }) => source === first.careOf.nat);
      for (const { destination, sourcePort, destinationPort, marker } of own) {
        assert.equal(destination, HOME_AGENT.ipv4);
        assert.deepEqual([sourcePort, destinationPort, marker], [NAT_PORT, NAT_PORT, true]);
      }
      for (const exchange of [IKE_AUTH, CREATE_CHILD_SA]) assert.ok(own.some((one) => one.exchange === exchange));
    },
  );

  await t.test(
    "R5555-2.3.2.2-02: before the NAT updates come from the private address, for the IPv6 home address",
    async () => {
      const { up } = await spisOf(first, "signalling-nat");
      const updates = lan.frames().filter((frame) => spiOf(frame) === up);
      assert.ok(updates.length > 0);
      const ends = `${first.careOf.nat}>${HOME_AGENT.ipv4} / udp 4191>4191 / ipv6 ${first.home6}>${HOME_AGENT.ipv6}`;
      for (const text of updates.map(describeFrame)) assert.equal(text.startsWith(`ipv4 ${ends} / `), true, text);
    },
  );

  await t.test(
    "F3948-2-01 R5555-4.3-07: ESP has IKE's ports, an SPI that is not zero and no checksum; one octet keeps the mapping",
    async () => {
      await lan.waitFor((frame) => isKeepalive(frame), { what: "a keepalive" });
      const payload = lan.frames().filter((frame) => [spi.up, spi.down].includes(spiOf(frame) ?? 0));
      assert.ok(payload.length >= 4, "both families and directions");
      for (const { layers } of payload) {
        const [udp] = layersOfKind(layers, "udp");
        assert.deepEqual([udp?.sourcePort, udp?.destinationPort, udp?.checksum], [NAT_PORT, NAT_PORT, 0]);
      }
      const zero = lan.frames().filter((frame) => spiOf(frame) === 0);
      assert.deepEqual(zero, [], "with zero in its place it is IKE");
      // One mapping for both: what the home agent sees is one port.
      const up = scene.wire.frames().filter((frame) => spiOf(frame) === spi.up);
      const ports = new Set(up.map(({ layers }) => layersOfKind(layers, "udp")[0]?.sourcePort));
      const sa = (await scene.charon?.sas())?.find(({ remoteIdentity }) => remoteIdentity === "node1@example.org");
      assert.deepEqual([...ports], [sa?.remotePort]);
    },
  );

  await t.test("R5555-5.1-17: two nodes behind one NAT address; one leaves and keeps its keys", async () => {
    await scene.move(first, "six");
    await crossAll(scene, first);
    await crossAll(scene, second);
    assert.deepEqual(await spis(first), before, "no new keys");
    const { nodes } = await scene.homeAgent.security();
    for (const { replayed, integrityFailures } of nodes.flatMap(({ associations }) => associations))
      assert.equal(replayed + integrityFailures, 0);
  });

  await t.test(
    "R5555-5.1-12: back there its authentic messages of IKE tell the home agent's IKE daemon the new port",
    async () => {
      const from = scene.wire.frames().length;
      await scene.move(first, "nat");
      await crossAll(scene, first);
      await waitFor(
        async () => {
          const frames = scene.wire.frames().slice(from);
          const mapped = frames.flatMap((frame) => ikeOf(frame) ?? []).filter(({ source }) => source === NAT_ADDRESS);
          const known = await ikeOfFirst();
          return known?.remoteHost === NAT_ADDRESS && mapped.some(({ sourcePort }) => sourcePort === known.remotePort);
        },
        { what: "the port that the NAT has given" },
      );
      assert.deepEqual(await spis(first), before, "no new keys");
    },
  );
});
