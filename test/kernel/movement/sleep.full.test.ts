/**
 * A node that sleeps past its deadlines: the process stands still, and when it goes on CLOCK_BOOTTIME is far ahead. Played in the daemon's
 * process, for the test machines do not sleep: what reads that clock and what is due by it are shifted at the moment of waking.
 */
import assert from "node:assert/strict";
import test from "node:test";
import type { Frame } from "../lib/capture.js";
import { ipLayersOf } from "../lib/frames.js";
import { crossAll } from "../lib/keys.js";
import { SOON } from "../lib/roaming.js";
import { HOME_AGENT, Scene } from "../lib/scene.js";

const LIFETIME = 600;

/** A module that shifts the addon's clock by so many milliseconds when SIGUSR2 comes, and has its timers go off as the kernel's would. */
const sleeper = (milliseconds: number): string =>
  `data:text/javascript,${encodeURIComponent(`
    import Module from "node:module";
    const load = Module._extensions[".node"];
    Module._extensions[".node"] = (module, path) => {
      load(module, path);
      const addon = module.exports;
      const timers = new Map();
      let slept = 0;
      const setTimer = (handle, at) => {
        timers.set(handle, at);
        addon.setTimer(handle, at === 0 ? 0 : Math.max(1, at - slept));
      };
      process.on("SIGUSR2", () => {
        slept += ${milliseconds};
        for (const [handle, at] of timers) setTimer(handle, at);
      });
      module.exports = { ...addon, bootTime: () => addon.bootTime() + slept, setTimer };
    };`)}`;

test("a node that has slept registers at once on waking, whatever fell due meanwhile", async (t) => {
  const scene = await Scene.start(t, { mobileNode: { lifetimeSeconds: LIFETIME } });
  const { mobile, core, net } = scene;
  const { daemon, careOf } = mobile;
  scene.attach(mobile, "four");
  await daemon.start({ environment: { NODE_OPTIONS: `--import=${sleeper(2 * LIFETIME * 1000)}` } });
  await scene.settled(mobile, "four");
  await crossAll(scene, mobile);
  const wire = await net.capture(core, "four");

  daemon.process.kill("SIGSTOP");
  daemon.process.kill("SIGUSR2");
  const woken = Date.now() / 1000;
  daemon.process.kill("SIGCONT");
  const isUpdate = (frame: Frame): boolean => {
    const [outer] = ipLayersOf(frame);
    return frame.at >= woken && outer?.source === careOf.four && outer.destination === HOME_AGENT.ipv4;
  };
  const [first] = await wire.waitFor(isUpdate, { what: "a binding update" });
  const update = first?.at ?? Number.NaN;
  t.diagnostic(`update ${Math.round((update - woken) * 1000)} ms after waking`);
  assert.ok(update - woken < SOON, `${update - woken} s`);
  await daemon.process.waitForLog(/"registration\.lost".*lifetime/);
  await scene.settled(mobile, "four");
  const [binding] = await daemon.bindings();
  assert.ok((binding?.remainingSeconds ?? 0) > LIFETIME / 2, `${binding?.remainingSeconds} s remain`);
  await crossAll(scene, mobile);
  assert.deepEqual((await daemon.audit()).differences, []);
});
