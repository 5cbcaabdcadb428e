/**
 * Any order of updates, answers of the kernel, ends of probes, timers, operators and restarts: never an exception, and after each input
 * the rules hold that make the rest of the program safe.
 */
import fc from "fast-check";
import t from "tap";
import { ipv6 } from "../../../../../controller/base/ip.js";
import { isAfter, type Seq16, seq16 } from "../../../../../controller/base/seq16.js";
import { dataPaths } from "../../../../../controller/protocol/mip6/home-agent/machine.js";
import { BINDING_STATES } from "../../../../../controller/protocol/mip6/home-agent/states.js";
import { randomRuns } from "../../../../lib/random-runs.js";
import { messages } from "../../../../lib/wire-arbitraries.js";
import { atHome, HOA, HOA4, HomeAgentHarness, native, udp } from "../../../../sim/home-agent-harness.js";
import {
  CARE_OF,
  command,
  HomeAgentRun,
  OUTER,
  STRANGER,
  seenStates,
  seenStatuses,
} from "../../../../sim/home-agent-run.js";

t.test("F6275-9.5.2-01: any sequence of inputs keeps the rules, and nothing is left at the end", async (test) => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(command, { maxLength: 60, size: "max" }), (probes, commands) => {
      const run = new HomeAgentRun(probes);
      for (const one of commands) run.do(one);
      run.settle();
    }),
    randomRuns(2000),
  );
  test.strictSame(
    [...seenStates].sort(),
    Object.keys(BINDING_STATES)
      .filter((state) => state !== "absent")
      .sort(),
  );
  test.strictSame([...seenStatuses].sort(), [0, 128, 129, 130, 133, 134, 135, 139, 140, 141, 142, 143, 144, 174]);
});

t.test("the same inputs at the same times give the same effects", async (test) => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(command, { maxLength: 40, size: "max" }), (probes, commands) => {
      const effects = () => {
        const run = new HomeAgentRun(probes);
        return commands.map((one) => {
          run.do(one);
          return JSON.stringify([...dataPaths(run.harness.state)]);
        });
      };
      const first = effects();
      return JSON.stringify(first) === JSON.stringify(effects());
    }),
    { numRuns: 100 },
  );
  test.pass();
});

t.test("any message from anywhere: never an exception, never an entry for strangers", async (test) => {
  const arrivals = [native(CARE_OF[0] ?? HOA, STRANGER), udp(OUTER[0] ?? HOA4, 1, STRANGER), atHome(STRANGER)];
  fc.assert(
    fc.property(messages(), fc.constantFrom(...arrivals), (message, arrival) => {
      const harness = new HomeAgentHarness();
      harness.deliver(arrival, message);
      return harness.state.cache.size === 0 && harness.journal.size === 0 && harness.asked.length === 0;
    }),
  );
  test.pass();
});

t.test("accepted numbers of one node only grow as long as it is bound", async (test) => {
  fc.assert(
    fc.property(fc.array(fc.nat(65535), { maxLength: 30 }), (sequences) => {
      const harness = new HomeAgentHarness();
      let last: Seq16 | undefined;
      for (const sequence of sequences) {
        const answer = harness.update(native(ipv6("2001:db8:2::20")), { sequence });
        const fresh = last === undefined || isAfter(seq16(sequence), last);
        if ((answer?.status === 0) !== fresh) return false;
        if (fresh) last = seq16(sequence);
        if (answer?.sequence !== last) return false;
      }
      return true;
    }),
  );
  test.pass();
});
