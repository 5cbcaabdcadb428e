/** What stays out of the tunnel while the node is away: its own networks, the visited link's where wanted, and what is excluded. */
import assert from "node:assert/strict";
import test from "node:test";
import { answers, CONTAINER, ownTables, plugContainer, unplugContainer } from "../lib/containers.js";
import { ipLayersOf } from "../lib/frames.js";
import { CORRESPONDENT, FAMILIES, HOME_AGENT, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

/** Behind a router of the IPv6 access network, and of the IPv4 one: reached without the tunnel. */
const EXCLUDED = { 6: "2001:db8:77::1", 4: "100.64.7.1" } as const;

test("local networks", async (t) => {
  const scene = await Scene.start(t, {
    mobileNode: { localNetworks: "own-and-visited", exclude: ["2001:db8:77::/48", "100.64.0.0/10"] },
  });
  const { mobile, core, net } = scene;
  mobile.node.sysctl({ "net.ipv4.conf.all.rp_filter": 1, "net.ipv4.conf.default.rp_filter": 1 });
  core.ip(`address add ${EXCLUDED[6]}/128 dev lo nodad`, `address add ${EXCLUDED[4]}/32 dev lo`);
  scene.attach(mobile, "four");
  await mobile.daemon.start();
  await scene.move(mobile, "four");
  const four = await net.capture(core, "four");
  const { node, home4, home6 } = mobile;

  await t.test("containers answer, with and without a chosen source, and reach the home addresses", async () => {
    const container = await plugContainer(t, mobile);
    for (const family of FAMILIES) {
      const home = { 4: home4, 6: home6 }[family];
      assert.ok(answers(node, CONTAINER[family]), `IPv${family}`);
      assert.ok(answers(node, `-I ${home} ${CONTAINER[family]}`), `IPv${family} from the home address`);
      assert.ok(answers(container, home), `IPv${family} to the home address`);
      assert.ok(answers(node, `-I ${home} ${CORRESPONDENT[`ipv${family}`]}`), `IPv${family} to the correspondent`);
    }
    const source = (family: 4 | 6): unknown => node.ipJson(`-${family} route get ${CONTAINER[family]}`)[0]?.["prefsrc"];
    assert.deepEqual([source(4), source(6)], ["172.17.0.1", "fd00:17::1"]);
    assert.deepEqual((await mobile.daemon.audit()).differences, []);
    await unplugContainer(mobile);
    assert.ok(!answers(node, CONTAINER[4]));
    const strange = four.frames().filter((frame) => ipLayersOf(frame)[0]?.destination === CONTAINER[4]);
    assert.equal(strange.length, 0, "what was for the container goes into the tunnel when that is gone");
  });

  await t.test("the visited link and what is excluded: without the tunnel, and never from a home address", async () => {
    const direct = async (target: string, source: string, access: "four" | "six"): Promise<void> => {
      assert.ok(answers(node, target), target);
      const capture = access === "four" ? four : six;
      await capture.waitFor((frame) => ipLayersOf(frame)[0]?.destination === target, { what: `a packet to ${target}` });
      const family = target.includes(":") ? 6 : 4;
      assert.equal(node.ipJson(`-${family} route get ${target}`)[0]?.["prefsrc"], source);
      answers(node, `-I ${family === 6 ? home6 : home4} ${target}`);
    };
    await direct("203.0.114.1", mobile.careOf.four, "four");
    await direct(EXCLUDED[4], mobile.careOf.four, "four");
    const six = await net.capture(core, "six");
    await scene.move(mobile, "six");
    await waitFor(() => node.script("ip -6 route show table 4195").includes("2001:db8:a::/64"), {
      what: "the new link",
    });
    await direct("2001:db8:a::1", mobile.careOf.six, "six");
    await direct(EXCLUDED[6], mobile.careOf.six, "six");
    assert.ok(answers(node, CORRESPONDENT.ipv6) && answers(node, CORRESPONDENT.ipv4), "all else through the tunnel");
    const clear = [...four.frames(), ...six.frames()]
      .map((frame) => ipLayersOf(frame)[0])
      .filter((outer) => outer?.source === home4 || (outer?.source === home6 && outer.destination !== HOME_AGENT.ipv6));
    assert.deepEqual(clear, []);
    assert.deepEqual(ownTables(mobile), { 4: "", 6: "" });
    assert.deepEqual((await mobile.daemon.audit()).differences, []);
  });
});
