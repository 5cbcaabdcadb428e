/**
 * Two mobile nodes, each the other's correspondent (RFC 6275 §8.2, §9, §11): payload goes directly with both headers in one packet, wherever
 * either of them is plugged in, and nothing of it is lost while a cable is in. All daemons are real.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { fetchDocument } from "../../../controller/control/client.js";
import { type CorrespondentDocument, correspondentsDocument } from "../../../schemas/control.js";
import type { Frame } from "../lib/capture.js";
import type { Daemon } from "../lib/daemons.js";
import { type Mobile, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const PATIENCE = { timeout: 30_000 };
/** Ten in each second. */
const INTERVAL = "0.1";
const PROTOCOL = { routing: 43, destinationOptions: 60 } as const;

test("two mobile nodes that are each other's correspondent", async (t) => {
  const scene = await Scene.start(t, { mobiles: 2, mobileNode: { routeOptimisation: { minimumAgeSeconds: 0 } } });
  const { net, mobiles } = scene;
  const [one, two] = mobiles as readonly [Mobile, Mobile];
  await Promise.all(mobiles.map(({ daemon }) => daemon.start()));
  await Promise.all(mobiles.map((mobile) => scene.move(mobile, "six")));
  const wires = await Promise.all(mobiles.map(({ node }) => net.capture(node, "six")));
  const ping = one.node.spawn(["ping", "-6", "-O", "-i", INTERVAL, "-I", one.home6, two.home6], { name: "ping" });

  await t.test("each asks the other, and both headers are in every packet", async () => {
    await bothBound();
    for (const [from, to] of [
      [one, two],
      [two, one],
    ] as const)
      await wires[0]?.waitFor((frame) => isDirect(frame, from, to), {
        what: `a direct packet to ${to.home6}`,
        count: 5,
      });
    for (const { daemon } of mobiles) assert.deepEqual((await daemon.audit()).differences, []);
    const plan = one.daemon.dsmipctl("plan", one.home6);
    await plan.exited;
    assert.match(plan.log, /tmpl .*hao.*tmpl .*route2/s);
  });

  async function pairsOf({ socketPath }: Daemon): Promise<readonly CorrespondentDocument[]> {
    return correspondentsDocument.parse(await fetchDocument(socketPath, "/correspondents")).correspondents;
  }
  /** Both directions of both nodes stand at where the nodes are. */
  async function bothBound(): Promise<void> {
    const where = (mobile: Mobile) => mobile.careOf.six;
    let last: unknown;
    await waitFor(
      async () => {
        const all = await Promise.all(mobiles.map(({ daemon }) => pairsOf(daemon)));
        last = all;
        return all.every((pairs, i) => {
          const [self, other] = [mobiles[i], mobiles[1 - i]] as readonly [Mobile, Mobile];
          const own = pairs.find(({ end }) => end === "mobile-node");
          const theirs = pairs.find(({ end }) => end === "correspondent-node");
          return (
            own?.direct === true &&
            own.state === "bound" &&
            own.careOfAddress === where(self) &&
            theirs?.direct === true &&
            theirs.careOfAddress === where(other)
          );
        });
      },
      { what: "two direct paths", ...PATIENCE },
    ).catch((error: Error) => {
      const logs = mobiles.map(({ daemon }) => daemon.process.log.slice(-5000)).join("\n=====\n");
      throw new Error(`${error.message}: ${JSON.stringify(last)}\n${logs}`);
    });
  }
  void ping;
});

/** From where one is to where the other is, with the routing header and the option. */
function isDirect({ layers }: Frame, from: Mobile, to: Mobile): boolean {
  const [, ip, ...rest] = layers;
  const headers = rest.flatMap((layer) => (layer.kind === "extension" ? [layer.protocol] : []));
  return (
    ip?.kind === "ipv6" &&
    ip.source === from.careOf.six &&
    ip.destination === to.careOf.six &&
    headers.includes(PROTOCOL.routing) &&
    headers.includes(PROTOCOL.destinationOptions) &&
    rest.at(-1)?.kind === "icmp6"
  );
}
