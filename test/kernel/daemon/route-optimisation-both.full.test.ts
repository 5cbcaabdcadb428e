/**
 * Two mobile nodes, each the other's correspondent (RFC 6275 §8.2, §9, §11): payload goes directly with both headers in one packet, wherever
 * either of them is plugged in, and nothing of it is lost while a cable is in. All daemons are real.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { type IpAddress, ipv6 } from "../../../controller/base/ip.js";
import { fetchDocument } from "../../../controller/control/client.js";
import { type CorrespondentDocument, correspondentsDocument } from "../../../schemas/control.js";
import type { Frame } from "../lib/capture.js";
import { connection, Echoes, repeated } from "../lib/conversation.js";
import type { Daemon } from "../lib/daemons.js";
import { type Mobile, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const PATIENCE = { timeout: 30_000 };
/** Ten in each second. */
const INTERVAL = "0.1";
const PROTOCOL = { routing: 43, destinationOptions: 60 } as const;
/** IPv6 in the network that has IPv4 alone in other scenes. */
const EIGHT = { router: "2001:db8:b::1", careOf: (number: number) => ipv6(`2001:db8:b::1${number}`) } as const;

test("two mobile nodes that are each other's correspondent", async (t) => {
  const scene = await Scene.start(t, { mobiles: 2, mobileNode: { routeOptimisation: { minimumAgeSeconds: 0 } } });
  const { net, core, mobiles } = scene;
  const [one, two] = mobiles as readonly [Mobile, Mobile];
  core.ip(`address add ${EIGHT.router}/64 dev four nodad`);
  await Promise.all(mobiles.map(({ daemon }) => daemon.start()));
  await Promise.all(mobiles.map((mobile) => scene.move(mobile, "six")));
  const where = new Map<Mobile, IpAddress>(mobiles.map((mobile) => [mobile, mobile.careOf.six]));
  const wires = await Promise.all(
    (["six", "four"] as const).map((access) => net.capture(core, `${one.node.label}-${access}`)),
  );
  const echoes = new Echoes(one.node, one.home6, two.home6, INTERVAL);
  await echoes.more();

  await t.test("F6275-8.2-01: each asks the other, and both headers are in every packet", async () => {
    await bothBound();
    await directBothWays();
    await audited();
    const plan = one.daemon.dsmipctl("plan", one.home6);
    await plan.exited;
    assert.match(plan.log, /dst 2001:db8:1::102\/128.*tmpl .*hao.*tmpl .*route2/);
  });

  const tcp = await connection(two.node, two.home6, one.node, one.home6);
  const before = repeated(one.node) + repeated(two.node);

  await t.test("one moves and then the other, to another IPv6 network and back: the path follows", async () => {
    for (const mobile of mobiles) {
      await moveTo(mobile, "four");
      await directBothWays();
      await tcp.more();
    }
    await moveTo(one, "six");
    await directBothWays();
    await tcp.more();
    await audited();
    assert.deepEqual(echoes.unanswered(), []);
  });

  await t.test("killed and started again a node goes on with both ends of the path", async () => {
    await two.daemon.kill();
    await echoes.more();
    await two.daemon.start();
    await bothBound();
    await echoes.more();
    await audited();
    assert.deepEqual(echoes.unanswered(), []);
  });

  await t.test("both come home: the bindings are taken back, and nothing is left of the paths", async () => {
    for (const mobile of mobiles) {
      scene.attach(mobile, "home");
      await mobile.daemon.waitForBinding("being at home", ({ state }) => state === "home");
      await waitFor(async () => (await pairsOf(mobile.daemon)).every(({ end }) => end === "correspondent-node"), {
        what: `no direct path of ${mobile.home6}`,
        ...PATIENCE,
      });
      for (const access of ["six", "four"] as const) scene.detach(mobile, access);
      await echoes.more();
      await tcp.more();
    }
    for (const { daemon } of mobiles)
      await waitFor(async () => (await pairsOf(daemon)).length === 0, { what: "no binding", ...PATIENCE });
    await audited();
  });

  await t.test("nothing was lost, and no segment sent again", async () => {
    await echoes.more();
    assert.deepEqual(echoes.unanswered(), []);
    assert.equal(repeated(one.node) + repeated(two.node), before);
  });

  await t.test("the end leaves nothing in the kernel", async () => {
    for (const { daemon, node } of mobiles) {
      assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
      assert.equal(node.script("ip xfrm policy"), "");
    }
  });

  async function pairsOf({ socketPath }: Daemon): Promise<readonly CorrespondentDocument[]> {
    return correspondentsDocument.parse(await fetchDocument(socketPath, "/correspondents")).correspondents;
  }
  async function audited(): Promise<void> {
    for (const { daemon } of mobiles) assert.deepEqual((await daemon.audit()).differences, []);
  }
  /** The new network is there before the former one is gone. */
  async function moveTo(mobile: Mobile, to: "six" | "four"): Promise<void> {
    const { node, number, careOf } = mobile;
    const address = to === "six" ? careOf.six : EIGHT.careOf(number);
    const gateway = to === "six" ? "2001:db8:a::1" : EIGHT.router;
    node.ip(
      `link set ${to} up`,
      `address replace ${address}/64 dev ${to} nodad`,
      `route replace default via ${gateway} dev ${to} metric ${to === "six" ? 14 : 15}`,
    );
    await mobile.daemon.waitForBinding(`registration from ${to}`, ({ endpoint }) => endpoint?.address === address);
    where.set(mobile, address);
    await bothBound();
    await echoes.more();
    scene.detach(mobile, to === "six" ? "four" : "six");
  }
  /** Both directions of both nodes stand at where the nodes are. */
  async function bothBound(): Promise<void> {
    let last: unknown;
    await waitFor(
      async () => {
        const all = await Promise.all(mobiles.map(({ daemon }) => pairsOf(daemon)));
        last = all;
        return all.every((pairs, i) => {
          const [self, other] = [mobiles[i], mobiles[1 - i]] as readonly [Mobile, Mobile];
          const own = pairs.find(({ end }) => end === "mobile-node");
          const theirs = pairs.find(({ end }) => end === "correspondent-node");
          const isOwn = own?.direct === true && own.state === "bound" && own.careOfAddress === where.get(self);
          return isOwn && theirs?.direct === true && theirs.careOfAddress === where.get(other);
        });
      },
      { what: "two direct paths", ...PATIENCE },
    ).catch((error: Error) => {
      const logs = mobiles.map(({ daemon }) => daemon.process.log.slice(-5000)).join("\n=====\n");
      throw new Error(`${error.message}: ${JSON.stringify(last)}\n${logs}`);
    });
  }
  /** On the wire of the first, from now on. */
  async function directBothWays(): Promise<void> {
    const since = Date.now() / 1000;
    const isSeen = (from: Mobile, to: Mobile): boolean =>
      wires.some((wire) => wire.frames().some((frame) => frame.at >= since && isDirect(frame, from, to)));
    await waitFor(() => isSeen(one, two) && isSeen(two, one), { what: "direct packets both ways", ...PATIENCE });
  }
  /** From where one is to where the other is, with the routing header and the option. */
  function isDirect({ layers }: Frame, from: Mobile, to: Mobile): boolean {
    const [, ip, ...rest] = layers;
    const headers = rest.flatMap((layer) => (layer.kind === "extension" ? [layer.protocol] : []));
    return (
      ip?.kind === "ipv6" &&
      ip.source === where.get(from) &&
      ip.destination === where.get(to) &&
      headers.includes(PROTOCOL.routing) &&
      headers.includes(PROTOCOL.destinationOptions) &&
      rest.at(-1)?.kind === "icmp6"
    );
  }
});
