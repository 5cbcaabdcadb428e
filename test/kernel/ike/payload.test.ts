/** Payload in ESP with keys by IKEv2: every access, every family and direction, and nothing of it in clear on the wire. */
import assert from "node:assert/strict";
import test from "node:test";
import { asPlanned } from "../lib/as-planned.js";
import { type KernelAssociation, kernelAssociations } from "../lib/associations.js";
import { answers, CONTAINER, plugContainer, unplugContainer } from "../lib/containers.js";
import { DIRECTIONS } from "../lib/exchange.js";
import { describeFrame, ipLayersOf } from "../lib/frames.js";
import { espForms, NAT_PORT, payloadForm } from "../lib/ike-wire.js";
import { InClear } from "../lib/in-clear.js";
import { type Abroad, begin, crossAll, spis, spisOf, TOUR, withoutAnswer } from "../lib/keys.js";
import { HOME_AGENT, outerAddress, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const ABROAD: readonly Abroad[] = ["six", "four", "nat"];

test("protected payload", async (t) => {
  const scene = await Scene.start(t, {
    ike: {},
    profile: { protection: "esp" },
    mobileNode: { localNetworks: "own-and-visited", exclude: ["100.64.0.0/10", "2001:db8:77::/48"] },
  });
  const { mobile, ha } = scene;
  const inClear = await InClear.watch(scene);
  await begin(scene, mobile, "six");
  const before = await spis(mobile);
  assert.equal(before.length, 2, "updates and payload");
  const spi = await spisOf(mobile, "payload");

  /** The port behind which the NAT has the node's ESP at the moment. */
  const natPort = (): string | undefined => {
    const up = espForms(scene.wire.frames(), spi.up).filter((text) => payloadForm(mobile, "nat", "up").test(text));
    return / udp (\d+)>/.exec(up.at(-1) ?? "")?.[1];
  };
  const sending = (associations: readonly KernelAssociation[], number: number): string[] =>
    associations
      .filter((one) => one.spi === number)
      .map(({ source, destination, mode, udp = "no UDP" }) => `${mode} ${source}>${destination} ${udp}`);
  const atHomeAgent = (): string[] => sending(kernelAssociations(ha), spi.down);
  const atNode = (): string[] => sending(kernelAssociations(mobile.node), spi.up);
  /** How either end sends to or from there. */
  const ends = (access: Abroad) => {
    const agent = access === "six" ? HOME_AGENT.ipv6 : HOME_AGENT.ipv4;
    const [outer, careOf] = [outerAddress(mobile, access), mobile.careOf[access]];
    const ports = access === "nat" ? [`${NAT_PORT}>${natPort()}`, `${NAT_PORT}>${NAT_PORT}`] : ["no UDP", "no UDP"];
    return { agent: [`tunnel ${agent}>${outer} ${ports[0]}`], node: [`tunnel ${careOf}>${agent} ${ports[1]}`] };
  };
  const settled = (access: Abroad): Promise<true> =>
    waitFor(
      () => {
        const { agent, node } = ends(access);
        assert.deepEqual([atHomeAgent(), atNode()], [agent, node]);
        return true;
      },
      { what: `associations at ${access}`, interval: 100 },
    );

  await t.test(
    "R5555-5.1-09 R5555-5.1-10 R5555-5.1-19 F4877-4.3-02: associations in tunnel mode follow the node at both ends, in UDP behind a NAT alone, with their keys",
    async () => {
      for (const access of TOUR) {
        const from = scene.wire.frames().length;
        await scene.move(mobile, access);
        await crossAll(scene, mobile);
        assert.deepEqual(await spis(mobile), before, `no new keys at ${access}`);
        await settled(access);
        for (const direction of DIRECTIONS) {
          const form = payloadForm(mobile, access, direction);
          const seen = espForms(scene.wire.frames().slice(from), spi[direction]);
          assert.ok(
            seen.some((text) => form.test(text)),
            `${direction} at ${access}: ${seen}`,
          );
        }
      }
    },
  );

  await t.test("R5555-5.1-19: the node's end stays until the acknowledgement is there", async () => {
    const { node } = ends("four");
    await withoutAnswer(scene, mobile, async () => {
      await crossAll(scene, mobile);
      assert.deepEqual(atNode(), node);
    });
    await crossAll(scene, mobile);
    await settled("six");
  });

  await t.test(
    "R5555-5.2.2-02 R5555-5.2.2-03 R5555-5-06 R5555-4.1-06: payload is in ESP as it is without a NAT, in UDP port 4500 behind one, and never in clear",
    () => {
      const frames = scene.wire.frames();
      for (const direction of DIRECTIONS) {
        const forms = ABROAD.map((access) => payloadForm(mobile, access, direction));
        const strange = espForms(frames, spi[direction]).filter((text) => !forms.some((form) => form.test(text)));
        assert.deepEqual(strange, []);
      }
      assert.deepEqual(inClear.seen(), []);
    },
  );

  await t.test(
    "R5555-5.2.2-04 R5555-5.2.2-05: payload's policies are of tunnel mode, mirrored, and those between the two ends come first",
    () => {
      for (const [node, from, to, whole] of [
        [mobile.node, `${mobile.home6}/128`, "::/0", `${mobile.home6}/128 dst ${HOME_AGENT.ipv6}/128`],
        [ha, "::/0", `${mobile.home6}/128`, `${HOME_AGENT.ipv6}/128 dst ${mobile.home6}/128`],
      ] as const) {
        const policies = node.policies();
        const priority = (line: string): number => Number(/ priority (\d+)/.exec(line)?.[1]);
        const payload = policies.find((line) => line.startsWith(`src ${from} dst ${to} dir out `));
        assert.match(payload ?? "", / proto esp .*mode tunnel/, policies.join("\n"));
        const between = policies.filter((line) => line.startsWith(`src ${whole} `) && line.includes(" dir out "));
        assert.ok(
          between.some((line) => line.startsWith(`src ${whole} dir out `)),
          "one for every protocol",
        );
        for (const line of between) {
          // ICMPv6 errors about payload are in the tunnel all the same.
          assert.ok(!line.includes("mode tunnel") || line.includes(" proto ipv6-icmp "), line);
          assert.ok(priority(line) < priority(payload ?? ""), line);
        }
      }
    },
  );

  await t.test("local networks are reached in clear, but never with a home address", async () => {
    const here = mobile.node;
    await scene.move(mobile, "six");
    await plugContainer(t, mobile);
    const container = await scene.net.capture(here, "br9");
    for (const target of [CONTAINER[4], CONTAINER[6], "2001:db8:a::1"]) assert.ok(answers(here, target), target);
    for (const target of [CONTAINER[6], "2001:db8:a::1", "2001:db8:77::1"])
      answers(here, `-I ${mobile.home6} ${target}`);
    for (const target of [CONTAINER[4], "100.64.7.1"]) answers(here, `-I ${mobile.home4} ${target}`);
    answers(here, "2001:db8:77::1");
    await scene.move(mobile, "four");
    assert.ok(answers(here, "203.0.114.1"));
    for (const target of ["203.0.114.1", "100.64.7.1"]) answers(here, `-I ${mobile.home4} ${target}`);
    const homes: readonly string[] = [mobile.home4, mobile.home6];
    const leaked = container.frames().filter((frame) => homes.includes(ipLayersOf(frame)[0]?.source ?? ""));
    assert.deepEqual([...inClear.fromHome(mobile), ...leaked.map(describeFrame)], []);
    await unplugContainer(mobile);
    await crossAll(scene, mobile);
  });

  const [node] = (await scene.homeAgent.security()).nodes;
  assert.equal(node?.ike?.remoteIdentity, "node1@example.org");
  const carried = node?.associations.filter(({ purpose, packets }) => purpose === "payload" && packets > 0) ?? [];
  assert.deepEqual(
    carried.map(({ direction }) => direction).sort(),
    ["receive", "send"],
    "a line for each association",
  );
  for (const one of carried) assert.ok(one.keysAgeSeconds !== null && one.ends.length > 0, JSON.stringify(one));
  assert.ok(
    node?.policies.some(({ purpose, demand, direction }) => `${purpose} ${direction} ${demand}` === "payload out esp"),
  );
  await asPlanned(scene.homeAgent, mobile.daemon);
});
