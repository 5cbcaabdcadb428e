/**
 * The home link and the way in, with real daemons: while a node is bound the home agent stands in for it on its home link in both families,
 * says so when it begins, and stops when the node is back. At the end of both daemons nothing of theirs is left.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { type Ipv6Address, ipv6FromBytes } from "../../../controller/base/ip.js";
import { asPlanned } from "../lib/as-planned.js";
import type { Capture, Frame } from "../lib/capture.js";
import { ethernetOf, icmpOf, ipLayersOf } from "../lib/frames.js";
import { leftovers } from "../lib/leftovers.js";
import type { JsonObject, Namespace } from "../lib/namespace.js";
import { HOME_AGENT, type Mobile, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const NEIGHBOUR_ADVERTISEMENT = 136;
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
  const homeLink = await scene.net.capture(scene.lan, "br0", "arp or icmp6");
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");

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
