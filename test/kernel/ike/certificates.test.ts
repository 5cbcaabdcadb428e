/** Certificates whose time is over or that nobody vouches for: what is told, and that the remedy helps. */
import assert from "node:assert/strict";
import test from "node:test";
import type { Daemon } from "../lib/daemons.js";
import { reconfigure, waitForEvent } from "../lib/faults.js";
import { crossAll } from "../lib/keys.js";
import { authority } from "../lib/pki.js";
import { HOME_AGENT_IDENTITY, identityOf, type Mobile, Scene } from "../lib/scene.js";

const MINUTE = 60_000;

/** With other keys of its security section or its subscribers. */
async function restart(daemon: Daemon, changes: Parameters<typeof reconfigure>[1]): Promise<void> {
  await daemon.stop();
  reconfigure(daemon, changes);
  await daemon.start();
}

test("R5555-5-02: a certificate that has expired at either end and a strange authority are named, and the remedy helps", async (t) => {
  const [ca, stranger] = [authority(t), authority(t, "another CA")];
  const authorities = [ca.path];
  // A daemon does not start with a certificate that has expired: these think that it is half an hour earlier. Their charon knows better.
  const until = new Date(Date.now() - MINUTE);
  const start = { clockBehind: 30 * MINUTE };
  const scene = await Scene.start(t, {
    ...{ mobiles: 2, start },
    ike: {
      authentication: "certificate",
      homeAgent: { ...ca.issue(HOME_AGENT_IDENTITY, { until }), authorities },
      mobileNode: { ...ca.issue(identityOf(1), { until }), authorities },
    },
  });
  const { homeAgent } = scene;
  const [late, foreign] = scene.mobiles as [Mobile, Mobile];
  reconfigure(foreign.daemon, { security: stranger.issue(identityOf(2)) });
  await Promise.all([late.daemon.start(start), foreign.daemon.start()]);

  for (const mobile of [late, foreign]) scene.attach(mobile, "six");
  const EXPIRED =
    /^IKE with \S+, which claims to be node1@example\.org \(\S+\), failed: subject certificate invalid \(valid from .*\).*; renew/;
  assert.equal((await waitForEvent(homeAgent, "negotiation.failed", EXPIRED)).homeAddress, late.home6);
  const STRANGE =
    /^IKE with \S+, which claims to be node2@example\.org .*: no issuer certificate found for .*; let an authority/;
  assert.equal((await waitForEvent(homeAgent, "negotiation.failed", STRANGE)).homeAddress, foreign.home6);
  const refused = /failed: received AUTHENTICATION_FAILED notify error; compare/;
  for (const { daemon } of [late, foreign]) await waitForEvent(daemon, "registration.failed", refused);
  assert.deepEqual(await homeAgent.bindings(), []);

  await restart(foreign.daemon, { security: ca.issue(identityOf(2)) });
  await waitForEvent(
    foreign.daemon,
    "registration.failed",
    /^IKE with ha\.example\.org as node2@example\.org failed: subject certificate invalid \(valid from .*\).*; renew/,
  );
  await restart(homeAgent, { security: ca.issue(HOME_AGENT_IDENTITY) });
  await restart(late.daemon, { security: ca.issue(identityOf(1)) });
  for (const mobile of [foreign, late]) await scene.settled(mobile, "six");
  await crossAll(scene, late);
});
