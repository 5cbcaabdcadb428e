/** Nodes that must get nothing, one fault each, beside one that is well: what is told of each at both ends, and who is harmed. */
import assert from "node:assert/strict";
import test from "node:test";
import { events, forge, reconfigure, waitForEvent } from "../lib/faults.js";
import { crossAll, spis } from "../lib/keys.js";
import { authority } from "../lib/pki.js";
import { HOME_AGENT_IDENTITY, identityOf, type Mobile, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

interface Fault {
  readonly name: string;
  readonly prepare: (mobile: Mobile, good: Mobile) => void;
  /** Whom the home agent's event names. */
  readonly subscriber: (mobile: Mobile, good: Mobile) => string | null;
  readonly atHomeAgent: RegExp;
  readonly atNode: RegExp;
}

const startingWith = (text: string): RegExp => new RegExp(`^${text.replace(/[.()]/g, "\\$&")}`);
/** Between two reports of one peer's failures: a minute, and something for the journey into the list of events. */
const A_WHILE = 55_000;

const own = (mobile: Mobile): string => mobile.home6;
const STRANGER = "stranger@example.org";

const FAULTS: readonly Fault[] = [
  {
    name: "a wrong secret",
    prepare: (mobile) => forge(mobile, { secret: "not the right one" }),
    subscriber: own,
    atHomeAgent:
      /^IKE with 2001:db8:a::12, which claims to be node2@example\.org \(\S+::102\), failed: tried 1 shared key .*MAC mismatched; .*psk/,
    atNode: /failed: received AUTHENTICATION_FAILED notify error; compare identities/,
  },
  {
    name: "an identity that nobody knows",
    prepare: (mobile) => {
      reconfigure(mobile.daemon, { security: { identity: STRANGER } });
      forge(mobile, { identity: STRANGER });
    },
    subscriber: () => null,
    atHomeAgent:
      /^IKE with \S+, which claims to be stranger@example\.org, failed: no matching peer config found; give the identity/,
    atNode: /as stranger@example\.org failed: received AUTHENTICATION_FAILED notify error; compare identities/,
  },
  {
    name: "no proposal for IKE in common",
    prepare: ({ daemon }) => reconfigure(daemon, { security: { ikeProposals: ["aes256gcm16-prfsha512-ecp521"] } }),
    subscriber: () => null,
    atHomeAgent: /from 2001:db8:a::14 failed: received proposals: IKE:AES_GCM_16_256.*configured.*; .*ikeProposals/,
    atNode: /failed: received NO_PROPOSAL_CHOSEN notify error; .*ikeProposals/,
  },
  {
    name: "no cipher for ESP in common",
    prepare: ({ daemon }) => reconfigure(daemon, { security: { espCiphers: ["chacha20poly1305"] } }),
    subscriber: own,
    atHomeAgent: /^IKE with node5@example\.org .* failed: received proposals: ESP:CHACHA20_POLY1305.*; .*espCiphers/,
    atNode: /failed: received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built; .*espCiphers/,
  },
  {
    name: "an identity of its own, and another subscriber's home address",
    prepare: ({ daemon }, good) => reconfigure(daemon, { mobileNode: { homeAddress: good.home6 } }),
    subscriber: own,
    atHomeAgent:
      /^IKE with node6@example\.org .* failed: traffic selectors .* unacceptable; .*its own home addresses only/,
    atNode: /failed: received TS_UNACCEPTABLE notify, no CHILD_SA built; .*its own home addresses only/,
  },
  {
    name: "another subscriber's identity and home address, and a secret of its own",
    prepare: (mobile, good) => {
      const identity = identityOf(good.number);
      reconfigure(mobile.daemon, { security: { identity }, mobileNode: { homeAddress: good.home6 } });
      forge(mobile, { identity });
    },
    subscriber: (_, good) => good.home6,
    atHomeAgent:
      /^IKE with 2001:db8:a::17, which claims to be node1@example\.org .*, failed: tried 1 shared key .*MAC mismatched/,
    atNode: /as node1@example\.org failed: received AUTHENTICATION_FAILED notify error/,
  },
];

test("F6275-5.1-01 F6275-5.1-02: who cannot prove that a home address is its own gets nothing, and both ends say why", async (t) => {
  const scene = await Scene.start(t, { mobiles: 1 + FAULTS.length, ike: {}, profile: { protection: "esp" } });
  const { mobile: good, homeAgent } = scene;
  scene.attach(good, "six");
  await good.daemon.start();
  await scene.settled(good, "six");
  const before = await spis(good);
  const policies = scene.ha.run("ip", "xfrm", "policy");
  const faulty = scene.mobiles.slice(1).map((mobile, i) => ({ mobile, fault: FAULTS[i] as Fault }));
  for (const { mobile, fault } of faulty) {
    fault.prepare(mobile, good);
    scene.attach(mobile, "six");
    await mobile.daemon.start();
  }
  for (const { mobile, fault } of faulty) {
    const [line] = await mobile.daemon.process.waitForLog(/.*"registration\.failed".*/, 15_000);
    assert.match(JSON.parse(line).reason, fault.atNode, fault.name);
    const told = await waitForEvent(homeAgent, "negotiation.failed", fault.atHomeAgent);
    assert.equal(told.homeAddress, fault.subscriber(mobile, good), fault.name);
  }
  await waitFor(async () => ((await homeAgent.status()).counters.negotiation["left-out"] ?? 0) > 0, {
    what: "failures that are counted and not told again",
  });
  const ofSecret = (await events(homeAgent, "negotiation.failed")).filter(
    ({ homeAddress }) => homeAddress === scene.mobiles[1]?.home6,
  );
  const times = ofSecret.map(({ time }) => Date.parse(time));
  assert.ok(times.length >= 1);
  for (const [i, time] of times.slice(1).entries()) {
    assert.ok(time - (times[i] ?? 0) > A_WHILE, `told once in a while, not at ${times}`);
  }
  const { nodes } = await homeAgent.security();
  for (const { homeAddress, associations } of nodes) {
    if (homeAddress !== good.home6) assert.deepEqual(associations, [], `${homeAddress} has nothing`);
  }
  assert.deepEqual(
    (await homeAgent.bindings()).map(({ homeAddress }) => homeAddress),
    [good.home6],
  );
  assert.equal(scene.ha.run("ip", "xfrm", "policy"), policies, "no policy for anybody");
  assert.deepEqual(await spis(good), before);
  await crossAll(scene, good);
});

test("F6275-5.1-02: a wrong EAP password is told at both ends, once a minute, with what the peer claims to be", async (t) => {
  const ca = authority(t);
  const authorities = [ca.path];
  const scene = await Scene.start(t, {
    mobiles: 3,
    ike: {
      authentication: "eap",
      homeAgent: { ...ca.issue(HOME_AGENT_IDENTITY), authorities },
      mobileNode: { authorities },
    },
  });
  const { homeAgent } = scene;
  const [good, mistaken, pretender] = scene.mobiles as [Mobile, Mobile, Mobile];
  forge(mistaken, { secret: "not the right one" });
  const identity = identityOf(good.number);
  reconfigure(pretender.daemon, { security: { identity }, mobileNode: { homeAddress: good.home6 } });
  forge(pretender, { identity });
  for (const mobile of scene.mobiles) {
    scene.attach(mobile, "six");
    await mobile.daemon.start();
  }
  await scene.settled(good, "six");
  for (const [mobile, claimed] of [
    [mistaken, mistaken],
    [pretender, good],
  ] as const) {
    const peer = `${mobile.careOf.six}, which claims to be ${identityOf(claimed.number)} (${claimed.home6}),`;
    const reason = `IKE with ${peer} failed: EAP-MS-CHAPv2 verification failed, retry (1); give both ends the same eapPassword`;
    const told = await waitForEvent(homeAgent, "negotiation.failed", startingWith(reason));
    assert.equal(told.homeAddress, claimed.home6);
    const [line] = await mobile.daemon.process.waitForLog(/.*"registration\.failed".*/, 15_000);
    assert.match(
      JSON.parse(line).reason,
      /failed: EAP-MS-CHAPv2 failed with error .*; give both ends the same eapPassw/,
    );
  }
  await waitFor(async () => ((await homeAgent.status()).counters.negotiation["left-out"] ?? 0) > 0, {
    what: "failures that are counted and not told again",
  });
  assert.equal((await events(homeAgent, "negotiation.failed")).length, 2, "once a minute for each peer");
  assert.deepEqual(
    (await homeAgent.bindings()).map(({ homeAddress }) => homeAddress),
    [good.home6],
  );
  await crossAll(scene, good);
});
