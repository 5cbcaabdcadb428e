/**
 * The carrier stays and the router falls silent: the switch has connected the port to a network in which nobody is, and neither the kernel
 * nor an advertisement says so. An update without an answer has the router asked, and the node goes where it can.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { isUpdate, Roaming, SOON, SPARE } from "../lib/roaming.js";

/** From the first update without an answer to the first question, in seconds. */
const PROBE_WITHIN = 3;
/** From the last question to a router to the end of the patience with it, in seconds. */
const PATIENCE = 0.15;

test("a router that falls silent while the carrier stays: it is asked, left, and another uplink is used", async (t) => {
  const roaming = await Roaming.start(t, "one", { spare: true, mobileNode: { lifetimeSeconds: 8 } });
  const { core, mobile, mn } = roaming;
  await roaming.advertise("one");
  await roaming.hasAddress("one");
  const spare = await roaming.net.capture(mn, "eth1");
  await mobile.start();
  await roaming.settled("one");
  const router = roaming.macOf(core, "one");

  const gone = roaming.plug("nowhere", { carrier: false });
  const unanswered = await roaming.update("one", gone);
  const [update] = await spare.waitFor((frame) => frame.at > gone && isUpdate(frame, (source) => source === SPARE), {
    what: "a binding update over the other uplink",
    timeout: 20_000,
  });
  // The kernel may ask as well, for what it sent there.
  const questions = roaming.questions(router, gone).filter(({ at }) => at < (update?.at ?? 0));
  const [first, last] = [questions[0]?.at ?? Number.NaN, questions.at(-1)?.at ?? Number.NaN];
  t.diagnostic(
    `${questions.length} questions, the first ${Math.round((first - unanswered) * 1000)} ms after the update without an answer`,
  );
  assert.ok(first - unanswered < PROBE_WITHIN, `${first - unanswered} s`);
  assert.ok(questions.length >= 3, `${questions.length} questions`);
  const failed = last + PATIENCE;
  t.diagnostic(`update over the other uplink ${Math.round(((update?.at ?? 0) - failed) * 1000)} ms after that`);
  assert.ok((update?.at ?? Number.NaN) - failed < SOON, `${(update?.at ?? 0) - failed} s`);
  await mobile.waitForBinding("registration over the other uplink", ({ state, endpoint }) => {
    return state === "registered" && endpoint?.address === SPARE;
  });

  // A router is there after all, of another network: its first advertisement is enough.
  const since = roaming.plug("two", { carrier: false });
  await roaming.advertise("two");
  const there = await roaming.update("two", since);
  const heard = await roaming.advertisement("two", since);
  t.diagnostic(`update from the new network ${Math.round((there - heard) * 1000)} ms after its first advertisement`);
  assert.ok(there - heard < SOON, `${there - heard} s`);
  await roaming.settled("two");
});
