/**
 * Foreign agents of other configurations: one that wants a challenge answered (RFC 4721), one without reverse tunnels and one that wants
 * nothing else (RFC 3024), in replies from the wire.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { fromHex, toHex } from "../../../controller/base/bytes.js";
import { ipv4 } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import { findExtension } from "../../../controller/wire/mip4/extensions/registration.js";
import type { RegistrationReply } from "../../../controller/wire/mip4/messages/control-message.js";
import { Daemon } from "../lib/daemons.js";
import { MOBILE_HOME, ScriptedVisitors } from "../lib/mip4-visitors.js";
import { ASSOCIATION, MOBILE_HOME as HOMES, replyTo, ScriptedHomeAgent } from "../lib/scripted-mip4-home-agent.js";
import { Topology } from "../lib/topology.js";

const COA = ipv4("203.0.113.10");
const LINK = ipv4("192.0.2.1");
const HA = ipv4("203.0.113.1");
const HOA = ipv4("10.9.0.5");
const AAA = { kind: "mobile-aaa-authentication", spi: 700, authenticator: new Uint8Array(0) } as const;
const KEY = { algorithm: "hmac-md5", key: new Secret(fromHex("000102030405060708090a0b0c0d0e0f")) } as const;

async function foreignAgent(t: TestContext, foreignAgent: Readonly<Record<string, unknown>>) {
  const net = new Topology(t);
  const [ha, fa, node] = [net.node("ha"), net.node("fa"), net.node("node")];
  net.link(ha.port("wan", `${HA}/24`), fa.port("wan", `${COA}/24`));
  net.link(node.port("eth0"), fa.port("visit", `${LINK}/24`));
  net.build();
  const homeAgent = new ScriptedHomeAgent(t, ha, HA);
  homeAgent.answer = ({ request }) => replyTo(request, { extensions: [HOMES] }, ASSOCIATION);
  const links = [{ interface: "visit", address: `${LINK}/24`, advertisementIntervalSeconds: 1 }];
  const daemon = new Daemon(
    fa,
    { directory: net.scratch },
    { role: "foreign-agent", foreignAgent: { careOfAddress: COA, links, ...foreignAgent } },
  );
  const [visit] = fa.ipJson("link show dev visit") as { readonly address: string }[];
  const visitors = new ScriptedVisitors({
    ...{ node, device: "eth0", defaults: { homeAddress: HOA, homeAgent: HA }, keyOf: () => KEY },
    agent: { address: LINK, linkAddress: visit?.address ?? "", careOfAddress: COA },
  });
  t.after(() => visitors.close());
  await daemon.start();
  return { visitors, homeAgent };
}

test("RFC 4721 §3.2: a challenge is asked for (105), has to be one of ours (104), and is answered once (106)", async (t) => {
  const { visitors, homeAgent } = await foreignAgent(t, { challenge: true });
  const node = visitors.newcomer();
  const challengeIn = ({ extensions }: RegistrationReply): Uint8Array =>
    findExtension(extensions, "mobile-foreign-challenge")?.challenge ?? assert.fail("no challenge in the reply");
  const answering = (challenge: Uint8Array) => ({
    extensions: [MOBILE_HOME, { kind: "mobile-foreign-challenge", challenge } as const, AAA],
  });
  const missing = await visitors.ask({}, node);
  assert.equal(missing.code, 105);
  const unknown = await visitors.ask(answering(new Uint8Array(8)), node);
  assert.equal(unknown.code, 104);
  const [first, second] = [challengeIn(missing), challengeIn(unknown)];
  assert.notEqual(toHex(first), toHex(second), "each reply has one of its own");
  assert.equal(homeAgent.asked.length, 0, "no home agent is asked before");
  const accepted = await visitors.ask(answering(second), node);
  assert.equal(accepted.code, 0);
  const kinds = homeAgent.latest.request.extensions.map(({ kind }) => kind);
  assert.deepEqual(kinds, ["mobile-home-authentication", "mobile-foreign-challenge", "mobile-aaa-authentication"]);
  const asked = homeAgent.asked.length;
  const stale = await visitors.ask(answering(second), node);
  assert.equal(stale.code, 106);
  assert.equal(homeAgent.asked.length, asked);
  assert.equal((await visitors.ask(answering(challengeIn(stale)), node)).code, 0, "the next one is in each reply");
});

test("RFC 3024 §4.2.1: without reverse tunnels T is refused (74), where they are mandatory its absence is (75)", async (t) => {
  for (const [reverseTunnelling, code] of [
    ["refused", 74],
    ["required", 75],
  ] as const)
    await t.test(reverseTunnelling, async (one) => {
      const { visitors, homeAgent } = await foreignAgent(one, { reverseTunnelling });
      const isWanted = reverseTunnelling === "required";
      const refused = await visitors.ask({ flags: { reverseTunnelling: !isWanted } });
      assert.deepEqual([refused.code, homeAgent.asked.length], [code, 0]);
      const { code: accepted } = await visitors.ask({ flags: { reverseTunnelling: isWanted } });
      assert.deepEqual([accepted, homeAgent.latest.request.flags.reverseTunnelling], [0, isWanted]);
    });
});
