/**
 * The home link and the way in, with real daemons: while a node is bound the home agent stands in for it on its home link in both families,
 * says so when it begins, and stops when the node is back. At the end of both daemons nothing of theirs is left.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { type Ipv6Address, ipToBytes, ipv6FromBytes } from "../../../controller/base/ip.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { decodeMobilityMessage } from "../../../controller/wire/mip6/messages/mobility-header.js";
import { openEsp } from "../../lib/esp.js";
import { asPlanned } from "../lib/as-planned.js";
import type { Capture, Frame } from "../lib/capture.js";
import { layersOfKind } from "../lib/frame.js";
import { ethernetOf, icmpOf, ipLayersOf } from "../lib/frames.js";
import { spiOf } from "../lib/ike-wire.js";
import { leftovers } from "../lib/leftovers.js";
import type { JsonObject, Namespace } from "../lib/namespace.js";
import { type EspKey, HOME_AGENT, type Mobile, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const [NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT] = [135, 136];
const OVERRIDE = 0x20;
const SOLICITED = 0x40;
const ROUTER = 0x80;

const macOf = (scene: Scene): string => scene.ha.ipJson("link show dev home")[0]?.["address"] as string;

/** A gratuitous ARP: sender and target are the address. */
function isGratuitousArp({ bytes }: Frame, address: string): boolean {
  if (bytes.length < 42 || bytes[12] !== 0x08 || bytes[13] !== 0x06) return false;
  const dotted = (at: number): string => Array.from(bytes.subarray(at, at + 4)).join(".");
  return dotted(28) === address && dotted(38) === address;
}

/** Flags of a neighbour advertisement for this target; undefined for every other frame. */
function advertisementFor(frame: Frame, target: Ipv6Address): number | undefined {
  const icmp = icmpOf(frame);
  if (icmp?.kind !== "icmp6" || icmp.type !== NEIGHBOUR_ADVERTISEMENT) return undefined;
  return ipv6FromBytes(icmp.bytes.subarray(8, 24)) === target ? icmp.bytes[4] : undefined;
}

/** What a neighbour on the home link resolves an address to; undefined if nobody answers. */
function resolve(scene: Scene, address: string): string | undefined {
  const six = address.includes(":");
  scene.lan.script(`ip ${six ? "-6" : "-4"} neigh flush all; ping -c1 -W1 ${address} > /dev/null || true`);
  const entries = scene.lan.ipJson(`${six ? "-6" : "-4"} neigh show dev br0`);
  return entries.find(({ dst }) => dst === address)?.["lladdr"] as string | undefined;
}

/** Both home addresses are drawn to the link-layer address `mac`. */
async function checkAnnounced(mac: string, mobile: Mobile, homeLink: Capture): Promise<void> {
  const from = (frame: Frame): boolean => ethernetOf(frame)?.source === mac;
  await homeLink.waitFor((frame) => from(frame) && isGratuitousArp(frame, mobile.home4), { what: "gratuitous ARP" });
  const toAll = (frame: Frame): boolean => from(frame) && ipLayersOf(frame)[0]?.destination === "ff02::1";
  const [advertisement] = await homeLink.waitFor(
    (frame) => toAll(frame) && advertisementFor(frame, mobile.home6) !== undefined,
    { what: "unsolicited neighbour advertisement" },
  );
  const flags = advertisement && advertisementFor(advertisement, mobile.home6);
  assert.equal((flags ?? 0) & (ROUTER | SOLICITED | OVERRIDE), OVERRIDE);
}

/** Headers between the first IP header and ESP: number and octets. */
const extensionsOf = ({ layers }: Frame): readonly (readonly [number, string])[] =>
  layersOfKind(layers, "extension").map(({ protocol, bytes }) => [protocol, Buffer.from(bytes).toString("hex")]);

const signalling = (frames: readonly Frame[], { spi }: EspKey): readonly Frame[] =>
  frames.filter((frame) => spiOf(frame) === spi);

/** The mobility message under the ESP of static keys. */
function messageIn(frame: Frame, { spi, key }: EspKey) {
  const esp = layersOfKind(frame.layers, "other").at(-1)?.bytes ?? new Uint8Array();
  const decoded = decodeMobilityMessage(openEsp(esp, { spi, key: Buffer.from(key, "hex") }).payload);
  assert.ok(decoded.ok);
  return decoded.value;
}

/** In the order of their headers: an update away from home has a Home Address option, its answer the routing header, and nothing else. */
function checkHeadersAway(scene: Scene, { home6, keys }: Mobile): void {
  const home = Buffer.from(ipToBytes(home6)).toString("hex");
  const [update] = signalling(scene.wire.frames(), keys.update);
  const [answer] = signalling(scene.wire.frames(), keys.acknowledgement);
  assert.ok(update && answer);
  assert.deepEqual(
    extensionsOf(update).map(([protocol, octets]) => [protocol, octets.includes(`c910${home}`)]),
    [[Protocol.destinationOptions, true]],
  );
  // ESP next, two units of eight octets, type 2, one segment left, four octets of zero, the home address (RFC 6275 §6.4.1).
  assert.deepEqual(extensionsOf(answer), [[Protocol.routing, `3202020100000000${home}`]]);
}

/** The exchange on the home link: neither header, from and to the home address; nobody asks whether that is free. */
function checkReturn(mobile: Mobile, homeLink: Capture, own: string): void {
  const { home6, keys } = mobile;
  const frames = homeLink.frames();
  const [update] = signalling(frames, keys.update);
  const [answer] = signalling(frames, keys.acknowledgement);
  assert.ok(update && answer);
  const ends = (frame: Frame) => ipLayersOf(frame).map(({ source, destination }) => [source, destination]);
  assert.deepEqual([ends(update), ends(answer)], [[[home6, HOME_AGENT.ipv6]], [[HOME_AGENT.ipv6, home6]]]);
  assert.deepEqual([extensionsOf(update), extensionsOf(answer)], [[], []]);
  const message = messageIn(update, keys.update);
  assert.ok(message.type === "binding-update");
  const { flags, lifetimeUnits, options } = message;
  assert.deepEqual([flags.acknowledge, flags.homeRegistration, lifetimeUnits], [true, true, 0]);
  for (const one of options) if (one.kind === "alternate-care-of-address") assert.equal(one.address, home6);
  const answered = messageIn(answer, keys.acknowledgement);
  assert.ok(answered.type === "binding-acknowledgement" && answered.status === 0);
  const isProbe = (frame: Frame): boolean => {
    const icmp = icmpOf(frame);
    return icmp?.type === NEIGHBOUR_SOLICITATION && ipLayersOf(frame)[0]?.source === "::";
  };
  const probes = frames.filter((frame) => ethernetOf(frame)?.source === own && isProbe(frame));
  assert.deepEqual(
    probes.filter((frame) => ipv6FromBytes((icmpOf(frame)?.bytes ?? new Uint8Array()).subarray(8, 24)) === home6),
    [],
  );
  const drawn = frames.findIndex(
    (frame) => ethernetOf(frame)?.source === own && advertisementFor(frame, home6) !== undefined,
  );
  assert.ok(drawn > frames.indexOf(answer), "the addresses are drawn home after the answer");
}

function proxied(scene: Scene): string[] {
  return ["-4", "-6"].flatMap((family) =>
    scene.ha.ipJson(`${family} neigh show proxy`).map(({ dst }) => dst as string),
  );
}

function checkProxying(scene: Scene, mobile: Mobile): void {
  const mac = macOf(scene);
  assert.deepEqual(proxied(scene).sort(), [mobile.home4, mobile.home6].sort());
  assert.equal(resolve(scene, mobile.home4), mac);
  assert.equal(resolve(scene, mobile.home6), mac);
}

/** Somebody on the home link tries to take the home address: duplicate address detection finds it in use. */
async function checkDuplicate(scene: Scene, mobile: Mobile): Promise<void> {
  const address = `${mobile.home6}/128`;
  scene.lan.sysctl({ "net.ipv6.conf.br0.accept_dad": 1 });
  scene.lan.ip(`address add ${address} dev br0`);
  const failed = (): boolean =>
    scene.lan
      .ipJson("-6 address show dev br0")
      .flatMap((link) => link["addr_info"] as JsonObject[])
      .some(({ local, dadfailed }) => local === mobile.home6 && dadfailed === true);
  await waitFor(failed, { what: "the failure of duplicate address detection", interval: 100 });
  scene.lan.ip(`address del ${address} dev br0`);
}

/** The home agent neither answers for a link-local address of the node nor tunnels anything to it. */
function checkLinkLocal(scene: Scene): void {
  const address = "fe80::100";
  scene.lan.script(`ping -c1 -W1 ${address}%br0 > /dev/null || true`);
  const entry = scene.lan.ipJson("-6 neigh show dev br0").find(({ dst }) => dst === address);
  assert.deepEqual([entry?.["dst"], entry?.["lladdr"]], [address, undefined]);
  const tunnelled = scene.wire.frames().filter((frame) => ipLayersOf(frame)[1]?.destination === address);
  assert.deepEqual(tunnelled, []);
}

test("the home agent on the home link, and its end", async (t: TestContext) => {
  const scene = await Scene.start(t);
  const { mobile, homeAgent } = scene;
  // The bridge shows what goes from port to port too.
  scene.lan.ip("link set br0 promisc on");
  const homeLink = await scene.net.capture(scene.lan, "br0", "arp or icmp6 or ip6 proto 50");
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");

  await t.test(
    "F6275-6.1-01 F6275-6.4-01 F6275-9.5.4-01: away updates have a Home Address option, answers the routing header",
    () => checkHeadersAway(scene, mobile),
  );
  await t.test("F6275-10.4.1-01: a registration is announced on the home link by ARP and neighbour advertisement", () =>
    checkAnnounced(macOf(scene), mobile, homeLink),
  );
  await t.test(
    "F6275-10.4.1-02: a neighbour resolves both home addresses to the home agent, and may not take one",
    async () => {
      checkProxying(scene, mobile);
      await checkDuplicate(scene, mobile);
    },
  );
  await t.test(
    "F6275-10.4.2-01: what a neighbour on the home link sends is tunnelled to the care-of address",
    async () => {
      const [six] = await captureEcho(scene, mobile.home6);
      assert.deepEqual(six, [HOME_AGENT.ipv6, mobile.careOf.six]);
      const [four] = await captureEcho(scene, mobile.home4);
      assert.deepEqual(four, [HOME_AGENT.ipv6, mobile.careOf.six]);
      checkLinkLocal(scene);
    },
  );
  await t.test(
    "F6275-10.3.2-02: back at home the node draws its addresses to itself and answers for them, the home agent holds nothing of it",
    async () => {
      await scene.move(mobile, "home");
      // An ended binding stays known for its sequence number, without an endpoint.
      const ended = async (): Promise<boolean> =>
        (await homeAgent.bindings()).every(({ endpoint }) => endpoint === null);
      await waitFor(ended, { what: "the end of the binding" });
      await waitFor(() => proxied(scene).length === 0, { what: "the end of the proxy entries" });
      const own = mobile.node.ipJson("link show dev home")[0]?.["address"] as string;
      await checkAnnounced(own, mobile, homeLink);
      assert.equal(resolve(scene, mobile.home4), own);
      assert.equal(resolve(scene, mobile.home6), own);
      await asPlanned(homeAgent, mobile.daemon);
    },
  );
  await t.test(
    "F6275-11.5.5-01 F6275-9.5.4-01: the de-registration at home and its answer have neither, and no lifetime",
    () => checkReturn(mobile, homeLink, mobile.node.ipJson("link show dev home")[0]?.["address"] as string),
  );
  await t.test("after SIGTERM nothing of ours is left in either kernel", async () => {
    await scene.move(mobile, "nat");
    const homes = [mobile.home6, mobile.home4];
    const kinds = (node: Namespace): string[] =>
      [...new Set(leftovers(node, homes).map((line) => line.split(" ")[0] ?? ""))].sort();
    assert.deepEqual(kinds(scene.ha), ["fou", "link", "nft", "proxy", "route", "src"]);
    assert.deepEqual(kinds(mobile.node), ["address", "fou", "link", "nft", "route", "rule", "src"]);
    const ends = [await mobile.daemon.stop(), await homeAgent.stop()];
    assert.deepEqual(ends, [
      { code: 0, signal: null },
      { code: 0, signal: null },
    ]);
    assert.deepEqual([leftovers(scene.ha, homes), leftovers(mobile.node, homes)], [[], []]);
  });
});

/** Outer addresses of an echo request of a neighbour on its way to the mobile node. */
async function captureEcho(scene: Scene, address: string): Promise<string[][]> {
  scene.lan.run("ping", "-c1", "-W5", address);
  const frames = await scene.wire.waitFor(
    (frame) => ipLayersOf(frame).length === 2 && ipLayersOf(frame)[1]?.destination === address,
    { what: `an echo request to ${address} in a tunnel` },
  );
  return frames.map((frame) => [ipLayersOf(frame)[0]?.source ?? "", ipLayersOf(frame)[0]?.destination ?? ""]);
}
