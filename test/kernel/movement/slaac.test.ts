/**
 * The cable is moved to another network while the addresses of the former one stay (SLAAC, nothing is flushed): away, between networks,
 * with and without a loss of the carrier, and home again. Real radvd; the binding update and its time are read off the wire.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { Roaming } from "../lib/roaming.js";
import { scaled } from "../lib/surroundings.js";

/** Seconds to the update beyond the network's own configuration: one, and what other work on the machine may cost. */
const SOON = scaled(1800) / 1000;

test("a cable that is moved with its addresses (RFC 6275 §11.5.1): the node follows, goes home and leaves again", async (t) => {
  const roaming = await Roaming.start(t, "home");
  await roaming.advertise("home", "one", "two");
  await roaming.hasAddress("home");
  await roaming.mobile.start();
  await roaming.settled("home");

  // The carrier stays, and the home prefix stays configured away from home.
  await step("home → one", () => roaming.plug("one", { carrier: false }), "one");
  assert.ok(roaming.addresses("home").length > 0, "the home prefix is still configured");
  // With a loss of the carrier.
  await step("one → two", () => roaming.plug("two", { carrier: true }), "two");
  assert.ok(roaming.addresses("one").length > 0, "the former network's address is still configured");
  // Back, where the address still is: no new configuration, its router is enough.
  await step("two → one", () => roaming.plug("one", { carrier: true }), "one", { known: true });
  await step("one → home", () => roaming.plug("home", { carrier: false }), "home");

  async function step(
    what: string,
    move: () => number,
    to: "home" | "one" | "two",
    { known = false } = {},
  ): Promise<void> {
    const since = move();
    const update = await roaming.update(to, since);
    // A router that is known answers a question; of another one the node must have heard.
    const from = known ? since : Math.min(update, await roaming.advertisement(to, since));
    t.diagnostic(
      `${what}: update ${Math.round((update - since) * 1000)} ms after the move, ${Math.round((update - from) * 1000)} ms after the advertisement`,
    );
    assert.ok(update - from < SOON, `${what}: ${update - from} s`);
    await roaming.settled(to);
  }
});
