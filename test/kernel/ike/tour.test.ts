/** Keys by IKEv2 with the real charon on both sides: registration from every access, movement without new keys, and what passes the wire. */
import assert from "node:assert/strict";
import test from "node:test";
import { ipv6FromBytes } from "../../../controller/base/ip.js";
import { asPlanned } from "../lib/as-planned.js";
import { kernelAssociations } from "../lib/associations.js";
import { DIRECTIONS, type Direction, freshText } from "../lib/exchange.js";
import { layersOfKind } from "../lib/frame.js";
import { describeFrame, payloadText } from "../lib/frames.js";
import { espForms, INFORMATIONAL, ikeOf, NAT_PORT, signallingForm, spiOf } from "../lib/ike-wire.js";
import { type Abroad, begin, crossAll, ikeAt, spis, spisOf, TOUR, withoutAnswer } from "../lib/keys.js";
import { HOME_AGENT, outerAddress, Scene } from "../lib/scene.js";
import { Station } from "../lib/station.js";
import { waitFor } from "../lib/wait.js";

const MOBILITY_HEADER = 135;
/** The extension header in front of ESP over IPv6: home address option, type 2 routing header. */
const EXTENSION = { up: 60, down: 43 } as const;
const ABROAD: readonly Abroad[] = ["six", "four", "nat"];

test("keys by IKEv2 for updates", async (t) => {
  const scene = await Scene.start(t, { ike: {} });
  const { mobile } = scene;
  await begin(scene, mobile, "six");
  const before = await spis(mobile);
  assert.equal(before.length, 1, "one child, for updates");
  const spi = await spisOf(mobile, "signalling");
  const since = (from: number) => scene.wire.frames().slice(from);

  await t.test(
    "R5555-5-02 R5555-5-07 F4877-4.4-01: IKE runs from the care-of address, on port 4500 without a NAT",
    () => {
      const messages = since(0).flatMap((frame) => ikeOf(frame) ?? []);
      assert.ok(messages.length >= 4);
      for (const { source, destination, sourcePort, destinationPort, marker } of messages) {
        assert.deepEqual([source, destination].sort(), [HOME_AGENT.ipv6, mobile.careOf.six].sort());
        assert.deepEqual(
          { sourcePort, destinationPort, marker },
          { sourcePort: NAT_PORT, destinationPort: NAT_PORT, marker: true },
        );
      }
    },
  );

  await t.test(
    "R5555-5.1-11 R5555-5.1-13 R5555-5.1-16 F6275-10.3.1-06: the IKE SA follows the node, keys and SPIs stay",
    async () => {
      for (const access of TOUR) {
        const [from, said] = [scene.wire.frames().length, mobile.charon?.process.log.length];
        await scene.move(mobile, access);
        await crossAll(scene, mobile);
        assert.deepEqual(await spis(mobile), before, `no new keys at ${access}`);
        await ikeAt(scene, mobile, access);
        // An empty message from the new place, after the acknowledgement.
        const outer = outerAddress(mobile, access);
        const spoken = await waitFor(
          () =>
            since(from)
              .flatMap((frame) => ikeOf(frame) ?? [])
              .find(({ source, isResponse }) => source === outer && !isResponse),
          { what: `IKE from ${outer}` },
        );
        assert.equal(spoken.exchange, INFORMATIONAL);
        await waitFor(
          () => /generating INFORMATIONAL request \d+ \[ \]/.test(mobile.charon?.process.log.slice(said) ?? ""),
          {
            what: "charon to say that the message is empty",
          },
        );
        const frames = since(from);
        const acknowledged = frames.findIndex(
          (frame) => spiOf(frame) === spi.down && signallingForm(mobile, access, "down").test(describeFrame(frame)),
        );
        assert.ok(
          acknowledged >= 0 && acknowledged < frames.findIndex((frame) => ikeOf(frame)?.source === outer),
          access,
        );
        for (const direction of DIRECTIONS) {
          const form = signallingForm(mobile, access, direction);
          assert.ok(
            espForms(frames, spi[direction]).some((text) => form.test(text)),
            `${direction} at ${access}`,
          );
        }
      }
    },
  );

  await t.test(
    "R5555-5.1-06 R5555-5.1-07: until the acknowledgement is there updates alone take the new way, whatever else is for the home agent the old one",
    async () => {
      const homeAgent = new Station(scene.ha, HOME_AGENT.ipv6);
      t.after(() => homeAgent.close());
      await withoutAnswer(scene, mobile, async () => {
        await crossAll(scene, mobile);
        const text = freshText("for the home agent itself");
        mobile.stations[6].send(homeAgent, text);
        await homeAgent.waitFor(text);
        const [frame] = await scene.wire.waitFor((one) => payloadText(one) === text, { what: text });
        assert.match(
          frame === undefined ? "" : describeFrame(frame),
          RegExp(`^ipv4 ${mobile.careOf.four}>${HOME_AGENT.ipv4} / ipv6 ${mobile.home6}>${HOME_AGENT.ipv6} / udp`),
        );
      });
      await crossAll(scene, mobile);
    },
  );

  const frames = scene.wire.frames();
  /** Signalling of one direction; the form in each access network is what the headers must be, down to the SPI. */
  const checkForms = (direction: Direction): void => {
    const forms = ABROAD.map((access) => signallingForm(mobile, access, direction));
    const strange = espForms(frames, spi[direction]).filter((text) => !forms.some((form) => form.test(text)));
    assert.deepEqual(strange, []);
    for (const frame of frames.filter((one) => spiOf(one) === spi[direction])) {
      const [header] = layersOfKind(frame.layers, "extension");
      const [outer] = layersOfKind(frame.layers, "ipv4");
      assert.equal(header?.protocol, outer === undefined ? EXTENSION[direction] : undefined);
      if (header !== undefined) assert.equal(ipv6FromBytes(header.bytes.subarray(8, 24)), mobile.home6);
    }
  };

  await t.test(
    "R5555-5-05 R5555-5.1-04 R5555-5.1-05 R5555-2.3.2.1-01: updates are in ESP, as they are over IPv6 and in UDP of IPv4 where there is no IPv6",
    () => checkForms("up"),
  );

  await t.test("R5555-2.3.2.2-01 R5555-4.1-05 R5555-4.2-02 R5555-8-01: over IPv4 they go to port 4191", () => {
    const overIpv4 = frames.filter((one) => spiOf(one) === spi.up && layersOfKind(one.layers, "ipv4").length > 0);
    assert.ok(overIpv4.length > 0);
    for (const { layers } of overIpv4) {
      assert.equal(layersOfKind(layers, "udp")[0]?.destinationPort, 4191);
      assert.equal(layersOfKind(layers, "ipv6")[0]?.source, mobile.home6);
    }
  });

  await t.test(
    "R5555-2.3.2.2-11 R5555-4.5-21 R5555-4.5-23: so are acknowledgements, with the home address in the routing header",
    () => checkForms("down"),
  );

  await t.test(
    "R5555-5-04 R5555-4.4.2-09 F4877-4.2-01: nothing was in clear, and the associations are for the home address in transport mode",
    () => {
      const isClear = ({ layers }: (typeof frames)[number]): boolean =>
        layers.some((layer) => layer.kind === "other" && layer.protocol === MOBILITY_HEADER);
      assert.deepEqual(frames.filter(isClear).map(describeFrame), []);
      for (const node of [scene.ha, mobile.node]) {
        const ours = kernelAssociations(node).filter((one) => Object.values(spi).includes(one.spi));
        assert.deepEqual([...new Set(ours.map(({ mode }) => mode))], ["transport"], node.label);
      }
    },
  );

  await asPlanned(scene.homeAgent, mobile.daemon);
  await scene.move(mobile, "home");
  await crossAll(scene, mobile);
  await mobile.daemon.stop();
  assert.deepEqual(await mobile.charon?.sas(), [], "a stop ends the IKE SA");
});
