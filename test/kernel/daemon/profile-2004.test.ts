/**
 * The 2004 profile (draft-soliman-v4v6-mipv6-00) with real daemons at both ends: home, IPv6, public IPv4, home; what is on the home
 * agent's wire, who is refused, and that no NAT is passed.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { type Ipv6Address, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { mappedAddress } from "../../../controller/base/mapped.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { decodeMobilityMessage, type MobilityMessage } from "../../../controller/wire/mip6/messages/mobility-header.js";
import { decodeDestinationOptions, homeAddressOf } from "../../../controller/wire/mip6/options/destination.js";
import { SOLIMAN_2004_PROFILE } from "../../../controller/wire/mip6/profile.js";
import { openEsp } from "../../lib/esp.js";
import { asPlanned } from "../lib/as-planned.js";
import type { Frame } from "../lib/capture.js";
import { encapsulate, Injector } from "../lib/craft.js";
import { cross, DIRECTIONS } from "../lib/exchange.js";
import { layersOfKind } from "../lib/frame.js";
import { describeFrame } from "../lib/frames.js";
import { withHomeAddress } from "../lib/hostile.js";
import { CORRESPONDENT, FAMILIES, HOME_AGENT, type Mobile, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

/** A mobility message on the wire, and where it stood. */
interface Seen {
  readonly frame: Frame;
  readonly message: MobilityMessage;
}

const ROUTING = 43;
const UDP_PORT = 4191;

/** All of the node's that passed, opened with its keys. */
function messagesOf({ wire }: Scene, { keys }: Mobile): readonly Seen[] {
  return wire.frames().flatMap((frame): Seen[] => {
    const last = frame.layers.at(-1);
    if (last?.kind !== "other" || last.protocol !== Protocol.esp) return [];
    const spi = Buffer.from(last.bytes).readUInt32BE(0);
    const key = [keys.update, keys.acknowledgement].find((one) => one.spi === spi);
    if (key === undefined) return [];
    const { payload } = openEsp(last.bytes, { spi, key: Buffer.from(key.key, "hex") });
    const message = decodeMobilityMessage(payload, { profile: SOLIMAN_2004_PROFILE });
    assert.ok(message.ok, "a message that can be read");
    return [{ frame, message: message.value }];
  });
}

const inIpv4 = ({ frame }: Seen): boolean => layersOfKind(frame.layers, "ipv4").length > 0;
const kinds = ({ message }: Seen): readonly string[] =>
  "options" in message ? message.options.map(({ kind }) => kind) : [];
const routingHeader = ({ layers }: Frame): Uint8Array | undefined => {
  const at = layers.findIndex((layer) => layer.kind === "ipv6" && layer.protocol === ROUTING);
  const next = layers[at + 1];
  return at >= 0 && next?.kind === "extension" ? next.bytes : undefined;
};
function homeAddressOption({ layers }: Frame): Ipv6Address | undefined {
  for (const { bytes } of layersOfKind(layers, "extension")) {
    const options = decodeDestinationOptions(bytes);
    if (options.ok) return homeAddressOf(options.value);
  }
  return undefined;
}

test("the 2004 profile", async (t) => {
  const scene = await Scene.start(t, { ipv4Signalling: "soliman2004" });
  const { mobile, homeAgent, ha } = scene;
  const mapped = mappedAddress(ipv4("203.0.114.11"));
  const home6 = Buffer.from("20010db8000100000000000000000101", "hex");
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");

  await t.test("S04-2.2.1-01 S04-2.2.1-03 S04-2.2.1-04 S04-3.3-14: over IPv6, with the short options", () => {
    const messages = messagesOf(scene, mobile);
    // On a slow machine an update may have been sent again before it was answered.
    const [update, answer] = (["binding-update", "binding-acknowledgement"] as const).map((type) =>
      messages.find(({ message }) => message.type === type),
    );
    assert.ok(update !== undefined && answer !== undefined);
    assert.equal(describeFrame(update.frame).startsWith(`ipv6 ${mobile.careOf.six}>${HOME_AGENT.ipv6}`), true);
    assert.ok(kinds(update).includes("ipv4-home-address-2004"));
    assert.ok(answer.message.type === "binding-acknowledgement" && answer.message.status === 0);
    assert.deepEqual(
      answer.message.options.filter(({ kind }) => kind === "ipv4-address-acknowledgement-2004"),
      [{ kind: "ipv4-address-acknowledgement-2004", status: 0, address: mobile.home4 }],
    );
  });
  await t.test("S04-2.2.1-07: the routing header of the answer over IPv6 holds the home address", () => {
    const answer = messagesOf(scene, mobile).find(({ message }) => message.type === "binding-acknowledgement");
    assert.deepEqual(Buffer.from((answer && routingHeader(answer.frame)) ?? []).subarray(8, 24), home6);
  });

  await scene.move(mobile, "four");
  const overIpv4 = messagesOf(scene, mobile).filter(inIpv4);
  const update = overIpv4.find(({ message }) => message.type === "binding-update");
  const answer = overIpv4.find(({ message }) => message.type === "binding-acknowledgement");
  assert.ok(update !== undefined && answer !== undefined);
  const [updateOuter, answerOuter] = [update, answer].map(({ frame }) => layersOfKind(frame.layers, "ipv4")[0]);
  const [updateInner, answerInner] = [update, answer].map(({ frame }) => layersOfKind(frame.layers, "ipv6")[0]);

  await t.test("S04-2.2.2-01 S04-3.3-04 S04-3.3-05 S04-3.3-06: the update is tunnelled in protocol 41", () => {
    assert.deepEqual(
      [updateOuter?.source, updateOuter?.destination, updateOuter?.protocol],
      [mobile.careOf.four, HOME_AGENT.ipv4, Protocol.ipv6],
    );
  });
  await t.test("S04-2.2.2-03 S04-3.3-07: its inner source is the IPv4-mapped form of the outer one", () => {
    assert.deepEqual([updateInner?.source, updateInner?.destination], [mapped, HOME_AGENT.ipv6]);
  });
  await t.test("S04-2.2.2-02 S04-3.3-08 S04-3.3-11 S04-4-02: the home address is in the option, under its ESP", () => {
    assert.equal(homeAddressOption(update.frame), mobile.home6);
    assert.equal(
      Buffer.from((update.frame.layers.at(-1) as { bytes: Uint8Array }).bytes).readUInt32BE(0),
      mobile.keys.update.spi,
    );
  });
  await t.test("S04-2.2.2-04 S04-3.3-01 S04-3.3-09 S04-1-01: the IPv4 home address is asked for, not mapped", () => {
    assert.ok(update.message.type === "binding-update");
    assert.deepEqual(
      update.message.options.filter(({ kind }) => kind.startsWith("ipv4-")),
      [{ kind: "ipv4-home-address-2004", address: mobile.home4 }],
    );
  });
  await t.test("S04-2.2.2-09 S04-2.2.2-10 S04-3.4-01 S04-3.4-10: the answer has the short acknowledgement", () => {
    assert.ok(answer.message.type === "binding-acknowledgement" && answer.message.status === 0);
    assert.deepEqual(
      answer.message.options.filter(({ kind }) => kind.startsWith("ipv4-")),
      [{ kind: "ipv4-address-acknowledgement-2004", status: 0, address: mobile.home4 }],
    );
  });
  await t.test(
    "S04-2.2.2-11 S04-3.4-14 S04-3.4-15 S04-3.4-16: it goes in IPv4 to the IPv4-mapped care-of address",
    () => {
      assert.deepEqual(
        [answerOuter?.source, answerOuter?.destination, answerOuter?.protocol],
        [HOME_AGENT.ipv4, mobile.careOf.four, Protocol.ipv6],
      );
      assert.deepEqual([answerInner?.source, answerInner?.destination], [HOME_AGENT.ipv6, mapped]);
    },
  );
  await t.test("S04-3.4-13 S04-3.2.1-03: its routing header holds the home address, its option the IPv4 one", () => {
    assert.deepEqual(Buffer.from(routingHeader(answer.frame) ?? []).subarray(8, 24), home6);
  });
  await t.test("S04-3.3-21: the mapped address is on the visited interface", () => {
    const addresses = mobile.node.ipJson("-6 address show dev four").flatMap((link) => link["addr_info"]);
    assert.match(JSON.stringify(addresses), /"::ffff:203\.0\.114\.11","prefixlen":128/);
  });
  await t.test("S04-3.4-12: the home agent's tunnel leads to the IPv4 care-of address", () => {
    const [route] = ha.ipJson(`-6 route show ${mobile.home6}`);
    assert.equal(route?.["gateway"], "::203.0.114.11");
  });
  await t.test(
    "S04-2.2.2-08 S04-3.4-17 S04-3.4-18: payload goes in protocols 41 and 4, and never has the mapped form",
    async () => {
      for (const family of FAMILIES) {
        for (const direction of DIRECTIONS) {
          const { frame } = await cross(scene, mobile, { family, direction });
          const [home, there] = family === 6 ? [mobile.home6, CORRESPONDENT.ipv6] : [mobile.home4, CORRESPONDENT.ipv4];
          const pair = (a: string, b: string): string => (direction === "down" ? `${a}>${b}` : `${b}>${a}`);
          const outer = pair(HOME_AGENT.ipv4, mobile.careOf.four as string);
          assert.equal(describeFrame(frame), `ipv4 ${outer} / ipv${family} ${pair(there, home)} / udp 7000>7000`);
        }
      }
    },
  );
  await t.test("S04-2.1-03: no association knows the IPv4 care-of address", () => {
    for (const node of [ha, mobile.node])
      assert.doesNotMatch(node.run("ip", "xfrm", "state"), /203\.0\.114\.11 .*proto esp/);
  });
  await t.test("C-50: a mapped source that is not the outer one is refused and counted", async () => {
    const wire = new Injector({ namespace: scene.core, device: "ha" }, { namespace: ha, device: "wan" });
    const forged = async (): Promise<number> => (await homeAgent.kernelCounters())["mapped-forged"] ?? 0;
    const before = await forged();
    const { dropped } = (await homeAgent.status()).counters;
    const esp = (update.frame.layers.at(-1) as { bytes: Uint8Array }).bytes;
    for (const [outer, inner] of [
      ["203.0.114.99", mapped],
      [mobile.careOf.four, ipv6("::ffff:203.0.114.99")],
      [mobile.careOf.four, ipv6("::ffff:127.0.0.1")],
    ] as const)
      wire.send(
        encapsulate(
          { source: ipv4(outer), destination: HOME_AGENT.ipv4 },
          withHomeAddress(inner, mobile.home6, Protocol.esp, esp),
        ),
      );
    wire.close();
    await waitFor(async () => ((await forged()) === before + 3 ? true : undefined), { what: "three refusals" });
    assert.deepEqual((await homeAgent.status()).counters.dropped, dropped, "nothing came to the process");
  });

  await t.test("S04-2.2-02: behind a NAT the node says nothing, and nothing of all this was in UDP", async () => {
    scene.attach(mobile, "nat");
    scene.detach(mobile, "four");
    await mobile.daemon.waitForBinding("no way", ({ state }) => state === "detached");
    const udp = scene.wire
      .frames()
      .filter(({ layers }) =>
        layersOfKind(layers, "udp").some(({ sourcePort, destinationPort }) =>
          [sourcePort, destinationPort].includes(UDP_PORT),
        ),
      );
    assert.deepEqual(udp.map(describeFrame), []);
  });
  await t.test("home again: nothing is left of the way", async () => {
    await scene.move(mobile, "home");
    await waitFor(async () => ((await homeAgent.bindings()).length === 0 ? true : undefined), { what: "no binding" });
    await asPlanned(homeAgent, mobile.daemon);
    for (const what of ["address", "rule"]) assert.doesNotMatch(mobile.node.run("ip", "-6", what), /::ffff:203/);
  });
});
