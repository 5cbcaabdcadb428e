/** What operators tell nodes through `dsmipctl`, with real daemons at both ends: read on the wire under ESP, and seen in both kernels. */
import assert from "node:assert/strict";
import test from "node:test";
import { decodeMobilityMessage } from "../../../controller/wire/mip6/messages/mobility-header.js";
import type { MobilityMessage } from "../../../controller/wire/mip6/messages/mobility-message.js";
import { openEsp } from "../../lib/esp.js";
import { asPlanned } from "../lib/as-planned.js";
import type { Frame } from "../lib/capture.js";
import type { Daemon } from "../lib/daemons.js";
import { cross } from "../lib/exchange.js";
import { type EspKey, Scene } from "../lib/scene.js";

const ESP = 50;
const SPI_OCTETS = 4;

/** The mobility message in a frame under one of the keys. */
function messageIn({ layers }: Frame, keys: readonly EspKey[]): MobilityMessage | undefined {
  const last = layers.at(-1);
  if (last?.kind !== "other" || last.protocol !== ESP || last.bytes.length < SPI_OCTETS) return undefined;
  const spi = Buffer.from(last.bytes).readUInt32BE(0);
  const known = keys.find((one) => one.spi === spi);
  if (known === undefined) return undefined;
  const { payload } = openEsp(last.bytes, { spi, key: Buffer.from(known.key, "hex") });
  const message = decodeMobilityMessage(payload);
  return message.ok ? message.value : undefined;
}

/** Runs dsmipctl, and gives what it has said. */
async function tell({ dsmipctl }: { dsmipctl: Daemon["dsmipctl"] }, ...words: readonly string[]): Promise<string> {
  const process = dsmipctl(...words);
  const { code } = await process.exited;
  assert.equal(code, 0, `dsmipctl ${words.join(" ")}: ${process.log}`);
  return process.log;
}

test("what an operator tells a node", async (t) => {
  const scene = await Scene.start(t);
  const { mobile, homeAgent, wire } = scene;
  const { daemon, keys, home6 } = mobile;
  const both = [keys.update, keys.acknowledgement];
  const home = { dsmipctl: (...words: readonly string[]) => homeAgent.dsmipctl(...words) };
  const node = { dsmipctl: (...words: readonly string[]) => daemon.dsmipctl(...words) };
  let read = 0;
  /** Waits for a message of that type since the last look; the frames up to it are read. */
  const seen = async (type: MobilityMessage["type"], what = (_: MobilityMessage): boolean => true) => {
    const from = read;
    const isIt = (frame: Frame): boolean => {
      const message = wire.frames().indexOf(frame) < from ? undefined : messageIn(frame, both);
      return message?.type === type && what(message);
    };
    const [frame] = await wire.waitFor(isIt, { what: type });
    read = wire.frames().indexOf(frame as Frame) + 1;
    return { frame: frame as Frame, message: messageIn(frame as Frame, both) as MobilityMessage };
  };
  const lifetimeZero = (message: MobilityMessage): boolean =>
    message.type === "binding-update" && message.lifetimeUnits === 0;
  const withoutBinding = async (): Promise<void> => {
    await daemon.waitForBinding("being refused", ({ state, endpoint }) => state === "refused" && endpoint === null);
    assert.deepEqual(
      (await homeAgent.bindings()).filter(({ endpoint }) => endpoint !== null),
      [],
    );
    await asPlanned(homeAgent, daemon);
  };

  await daemon.start();
  await scene.move(mobile, "six");

  await t.test("binding refresh: a request to the node, and its update", async () => {
    read = wire.frames().length;
    await tell(home, "binding", "refresh", home6);
    await seen("binding-refresh-request");
    await seen("binding-update");
    await seen("binding-acknowledgement");
  });

  await t.test("binding remove --ipv4: named in option 29, and IPv6 goes on", async () => {
    assert.match(await tell(home, "binding", "remove", home6, "--ipv4"), /acknowledged it \(status 0\)/);
    const { message } = await seen("binding-revocation-indication");
    assert.deepEqual(
      message.type === "binding-revocation-indication" && [message.flags.ipv4HomeAddressOnly, message.options],
      [true, [{ kind: "ipv4-home-address", prefixLength: 32, mobileNetworkPrefix: false, address: mobile.home4 }]],
    );
    for (const one of [homeAgent, daemon])
      await one.waitForBinding(
        "no IPv4 part",
        ({ ipv4HomeAddress, endpoint }) => ipv4HomeAddress === null && endpoint !== null,
      );
    for (const direction of ["down", "up"] as const) await cross(scene, mobile, { family: 6, direction });
    await asPlanned(homeAgent, daemon);
  });

  await t.test("F5846-10.2-01: binding remove: told by routing header, answered with type 2, removed", async () => {
    assert.match(await tell(home, "binding", "remove", home6), /acknowledged it \(status 0\)/);
    const { frame, message } = await seen("binding-revocation-indication");
    assert.ok(
      frame.layers.some((layer) => layer.kind === "extension" && layer.bytes[2] === 2),
      "a type 2 routing header",
    );
    const answer = await seen("binding-revocation-acknowledgement");
    assert.deepEqual(
      answer.message.type === "binding-revocation-acknowledgement" && [answer.message.status, answer.message.sequence],
      [0, message.type === "binding-revocation-indication" && message.sequence],
    );
    await withoutBinding();
  });

  await t.test("the same behind a NAT, in UDP; the node comes back when its operator wants it", async () => {
    await scene.move(mobile, "nat");
    assert.match(await tell(home, "binding", "remove", home6), /acknowledged it/);
    await seen("binding-revocation-acknowledgement");
    await withoutBinding();
    await tell(node, "refresh");
    await scene.settled(mobile, "nat");
  });

  await t.test("R5555-4.4.1-06: report-loss: F in the next update, and payload in UDP without a NAT", async () => {
    await scene.move(mobile, "four");
    read = wire.frames().length;
    await tell(node, "report-loss");
    await seen("binding-update", (update) => update.type === "binding-update" && update.flags.forceUdp);
    await daemon.waitForBinding("UDP", ({ state, endpoint }) => state === "registered" && endpoint?.format === "udp");
    for (const family of [6, 4] as const) {
      const { outer } = await cross(scene, mobile, { family, direction: "down" });
      assert.equal(outer.kind === "ipv4" && outer.protocol, 17);
    }
    assert.match(await failing(node, "report-loss"), /in UDP already/);
  });

  await t.test(
    "F5142-6.1-01: binding switch: the node de-registers, and stays away for want of another home agent",
    async () => {
      await tell(home, "binding", "switch", "all", "2001:db8:1::9");
      await seen("home-agent-switch");
      await seen("binding-update", lifetimeZero);
      await withoutBinding();
    },
  );

  async function failing(who: typeof node, ...words: readonly string[]): Promise<string> {
    const process = who.dsmipctl(...words);
    assert.equal((await process.exited).code, 1);
    return process.log;
  }
});
