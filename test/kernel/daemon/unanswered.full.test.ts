/** A mobile node whose updates nobody answers, on a link with both families: when it asks again, and over what (RFC 5555 §4.4.1). */
import assert from "node:assert/strict";
import test from "node:test";
import { isAfter } from "../../../controller/base/seq16.js";
import { bindingAcknowledgementFlags } from "../../../controller/wire/mip6/messages/registration.js";
import type { Frame } from "../lib/capture.js";
import { layersOfKind } from "../lib/frame.js";
import { ALICE } from "../lib/hostile.js";
import { spiOf } from "../lib/ike-wire.js";
import { GRANTED, ScriptedHome, type SeenUpdate } from "../lib/scripted-home.js";
import { waitFor } from "../lib/wait.js";
import { slowness } from "../lib/yardstick.js";

/** How long the kernel takes for one round of objects on hardware. */
const KERNEL_MS = 30;

/** The node's IPv4 care-of address at the beginning of its moves, and how many there are. */
const FIRST_HOST = 21;
const MOVES = 30;
/** MAX_UPDATE_RATE (RFC 6275 §12). */
const MOST_PER_SECOND = 3;

test("updates that nobody answers", async (t) => {
  const home = new ScriptedHome(t, [4, 6], () => undefined);
  await home.open();
  await home.update(5, 60_000);
  const gaps = home.updates.slice(1).map(({ at }, i) => at - (home.updates[i] as SeenUpdate).at);
  /** The timer begins when the update is decided on; the first one over a way leaves when the kernel has taken what it needs. */
  const kernelMs = KERNEL_MS * slowness();
  const atLeast = (gap: number | undefined, milliseconds: number): void =>
    assert.equal((gap ?? 0) > milliseconds * 0.95 - kernelMs, true, `${gap} ms instead of ${milliseconds}`);

  await t.test(
    "F6275-11.8-01 R5555-4.4.1-02: they are repeated after 1.5 s and then twice that, each with a new number",
    () => {
      atLeast(gaps[0], 1500);
      atLeast(gaps[1], 3000);
      for (const [i, { message }] of home.updates.slice(1).entries())
        assert.equal(isAfter(message.sequence, (home.updates[i] as SeenUpdate).message.sequence), true);
    },
  );

  await t.test("R5555-4.4.1-03: after three over IPv6 the next one is in UDP over IPv4", () => {
    assert.deepEqual(
      home.updates.slice(0, 4).map(({ outer }) => outer.kind),
      ["ipv6", "ipv6", "ipv6", "ipv4"],
    );
    assert.equal(layersOfKind((home.updates[3] as SeenUpdate).layers, "udp").length, 1);
  });

  await t.test("R5555-4.4.1-04: over IPv4 they back off too", () => {
    assert.deepEqual(
      home.updates.slice(3, 6).map(({ outer }) => outer.kind),
      ["ipv4", "ipv4", "ipv4"],
    );
    atLeast(gaps[3], 1000);
    atLeast(gaps[4], 2000);
  });

  await t.test(
    "R5555-4.4.1-05: after an answer over IPv4 a move within the link does not try IPv6 first again",
    async () => {
      home.answerWith(({ outer }) => (outer.kind === "ipv4" ? { options: [GRANTED] } : undefined));
      const late = home.updates[5] as SeenUpdate;
      const { sequence, lifetimeUnits } = late.message;
      const flags = bindingAcknowledgementFlags({});
      const options = [GRANTED];
      home.say(late, { type: "binding-acknowledgement", status: 0, flags, sequence, lifetimeUnits, options });
      await home.registered();
      const count = home.updates.length;
      home.mn.sysctl({ "net.ipv4.conf.wan.promote_secondaries": 1 });
      home.mn.ip(
        "address add 2001:db8:f::21/64 dev wan",
        "address add 192.0.2.21/24 dev wan",
        "address del 2001:db8:f::20/64 dev wan",
        "address del 192.0.2.20/24 dev wan",
      );
      await waitFor(() => home.updates.slice(count).some(({ outer }) => outer.source === "192.0.2.21"), {
        what: "an update from the new address",
      });
      const later = home.updates.slice(count).filter(({ outer }) => String(outer.source).endsWith("21"));
      assert.equal(later[0]?.outer.kind, "ipv4");
    },
  );

  await t.test("of new care-of addresses the home agent hears three times a second at most", async () => {
    const from = home.updates.length;
    const wire = await home.net.capture(home.world, "wan", "udp dst port 4191");
    // Faster than any answer: what the node says of each is up to it, and the last one is told in any case.
    for (let host = FIRST_HOST; host < FIRST_HOST + MOVES; host++)
      home.mn.ip(`address add 192.0.2.${host + 1}/24 dev wan`, `address del 192.0.2.${host}/24 dev wan`);
    const last = `192.0.2.${FIRST_HOST + MOVES}`;
    await waitFor(() => home.updates.slice(from).some(({ outer }) => outer.source === last), {
      what: `an update from ${last}`,
    });
    // By the capture's clock: we have been busy with the moves ourselves.
    await wire.waitFor(({ layers }) => layersOfKind(layers, "ipv4")[0]?.source === last, { what: last });
    const sent = wire.frames().filter((frame) => spiOf(frame) === ALICE.update.spi);
    assert.ok(sent.length > 0);
    for (const [i, { at }] of sent.slice(MOST_PER_SECOND).entries()) atLeast(1000 * (at - (sent[i] as Frame).at), 1000);
  });
});
