/** A mobile node and a correspondent find the direct path between them, and leave it again (RFC 6275 §11): all three daemons are real. */
import assert from "node:assert/strict";
import test from "node:test";
import { fetchDocument } from "../../../controller/control/client.js";
import { decodeMobilityMessage } from "../../../controller/wire/mip6/messages/mobility-header.js";
import { type CorrespondentDocument, correspondentsDocument } from "../../../schemas/control.js";
import type { Frame } from "../lib/capture.js";
import { Daemon } from "../lib/daemons.js";
import { CORRESPONDENT, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const PATIENCE = { timeout: 20_000 };
/** Ten in each second. */
const INTERVAL = "0.1";

test("route optimisation of a mobile node", async (t) => {
  const scene = await Scene.start(t, { mobileNode: { routeOptimisation: { minimumAgeSeconds: 0 } } });
  const { mobile, cn, net } = scene;
  const correspondent = new Daemon(
    cn,
    { directory: net.scratch },
    {
      role: "correspondent-node",
      correspondentNode: { addresses: [CORRESPONDENT.ipv6], allow: ["2001:db8:1::/64"] },
    },
  );
  await Promise.all([correspondent.start(), mobile.daemon.start()]);
  await scene.move(mobile, "six");
  const uplink = await net.capture(mobile.node, "six");
  const ping = mobile.node.spawn(["ping", "-6", "-O", "-i", INTERVAL, "-I", mobile.home6, CORRESPONDENT.ipv6], {
    name: "ping",
  });

  await t.test(
    "R5555-2.4-01: payload asks for it, both tests and the update follow, and payload goes directly both ways",
    async () => {
      const { careOfAddress } = await bound();
      assert.equal(careOfAddress, mobile.careOf.six);
      const [theirs] = await pairsOf(correspondent);
      assert.deepEqual([theirs?.homeAddress, theirs?.careOfAddress], [mobile.home6, mobile.careOf.six]);
      for (const [from, to] of [
        [mobile.careOf.six, CORRESPONDENT.ipv6],
        [CORRESPONDENT.ipv6, mobile.careOf.six],
      ] as const)
        await uplink.waitFor((frame) => isDirectPing(frame, from, to), { what: `a direct packet to ${to}`, count: 5 });
      assert.deepEqual((await mobile.daemon.audit()).differences, []);
      assert.deepEqual((await correspondent.audit()).differences, []);
    },
  );

  await t.test(
    "killed and started again the node goes on with the path and the numbers, and nothing is lost",
    async () => {
      const [before] = await pairs();
      const unanswered = lost();
      await mobile.daemon.kill();
      await mobile.daemon.start();
      const after = await waitFor(
        async () => {
          const [one] = await pairs();
          return one?.state === "bound" && one.sequence !== before?.sequence ? one : undefined;
        },
        { what: "a binding that is made anew after the restart", ...PATIENCE },
      );
      assert.equal(after.sequence, ((before?.sequence ?? 0) + 1) & 0xffff);
      assert.equal(lost(), unanswered);
      assert.deepEqual((await mobile.daemon.audit()).differences, []);
    },
  );

  await t.test(
    "R5555-5.1-01 R5555-5.1-02 R5555-5.1-03: into a network without IPv6 the binding is taken back by way of the home agent, when that knows, and no state is left",
    async () => {
      const four = await net.capture(scene.core, `${mobile.node.label}-four`);
      await scene.move(mobile, "four");
      await waitFor(async () => (await pairsOf(correspondent)).length === 0, {
        what: "no binding at the correspondent",
        ...PATIENCE,
      });
      await waitFor(async () => (await pairs()).length === 0, { what: "no entry at the node", ...PATIENCE });
      const states = (): string => mobile.node.script("ip xfrm state");
      await waitFor(() => !states().includes(CORRESPONDENT.ipv6), { what: "no state of the pair", ...PATIENCE });
      await answered();
      assert.deepEqual((await mobile.daemon.audit()).differences, []);
      const farewells = four.frames().filter((frame) => lifetimeIn(frame) === 0);
      assert(farewells.length > 0, "an update with lifetime 0 in the tunnel");
      const [accepted] = four.frames().filter(({ layers }) => {
        const [, ip, udp] = layers;
        return ip?.kind === "ipv4" && ip.destination === mobile.careOf.four && udp?.kind === "udp";
      });
      assert(
        farewells.every(({ at }) => at > (accepted?.at ?? Number.POSITIVE_INFINITY)),
        "after the home agent's answer",
      );
    },
  );

  await t.test("back in IPv6 it begins again; at home it is taken back", async () => {
    await scene.move(mobile, "six");
    await bound();
    await scene.move(mobile, "home");
    await waitFor(async () => (await pairsOf(correspondent)).length === 0, {
      what: "no binding at the correspondent",
      ...PATIENCE,
    });
    await answered();
  });

  await t.test("a correspondent that has forgotten says so, and gets a new binding", async () => {
    await scene.move(mobile, "six");
    await bound();
    await correspondent.kill();
    await correspondent.start();
    await answered();
    await bound();
  });

  await t.test("the end takes the binding back, and all objects out", async () => {
    assert.deepEqual(await mobile.daemon.stop(), { code: 0, signal: null });
    assert.equal((await pairsOf(correspondent)).length, 0);
    assert.equal(mobile.node.script("ip xfrm policy"), "");
    // What the kernel notes down of a question has no care-of address, and goes by itself within half a minute.
    const states = mobile.node.script("ip xfrm state").split(/^(?=src )/m);
    assert.deepEqual(
      states.filter((state) => state !== "" && !/proto hao\b/.test(state)),
      [],
    );
    assert.deepEqual(
      states.filter((state) => /\bcoa\b/.test(state)),
      [],
    );
  });

  async function pairsOf({ socketPath }: Daemon): Promise<readonly CorrespondentDocument[]> {
    const all = correspondentsDocument.parse(await fetchDocument(socketPath, "/correspondents")).correspondents;
    return all.filter(({ careOfAddress }) => careOfAddress !== null);
  }
  function pairs(): Promise<readonly CorrespondentDocument[]> {
    return pairsOf(mobile.daemon);
  }
  async function bound(): Promise<CorrespondentDocument> {
    let last: readonly CorrespondentDocument[] = [];
    return waitFor(
      async () => {
        last = await pairs();
        return last.find(({ direct, state }) => direct && state === "bound");
      },
      { what: "a direct path", ...PATIENCE },
    ).catch((error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify(last)}\n${mobile.daemon.process.log.slice(-4000)}`);
    });
  }
  /** Echo requests without an answer so far. */
  function lost(): number {
    return ping.log.match(/no answer yet/g)?.length ?? 0;
  }
  /** An echo request that is sent from now on comes back. */
  async function answered(): Promise<void> {
    const replies = (): number => ping.log.match(/bytes from/g)?.length ?? 0;
    const now = replies();
    await waitFor(() => replies() > now + 3, { what: "answers", ...PATIENCE });
  }
});

/** Of a binding update to the correspondent within a tunnel over IPv4; undefined: the frame is none. */
function lifetimeIn({ layers }: Frame): number | undefined {
  const [, outer, inner, last] = layers;
  if (outer?.kind !== "ipv4" || inner?.kind !== "ipv6" || last?.kind !== "other" || last.protocol !== 135)
    return undefined;
  if (inner.destination !== CORRESPONDENT.ipv6) return undefined;
  const read = decodeMobilityMessage(last.bytes);
  return read.ok && read.value.type === "binding-update" ? read.value.lifetimeUnits : undefined;
}

/** An echo behind an extension header that is no tunnel. */
function isDirectPing({ layers }: Frame, from: string, to: string): boolean {
  const [, ip, extension, echo] = layers;
  return (
    ip?.kind === "ipv6" &&
    ip.source === from &&
    ip.destination === to &&
    extension?.kind === "extension" &&
    echo?.kind === "icmp6"
  );
}
