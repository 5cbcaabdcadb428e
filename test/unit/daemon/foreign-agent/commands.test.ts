/** An operator ends a visit: which one, and when it is over. */
import t from "tap";
import { MobilityError } from "../../../../controller/base/errors.js";
import { type Ipv4Address, ipv4 } from "../../../../controller/base/ip.js";
import { ForeignAgentCommands } from "../../../../controller/daemon/foreign-agent/commands.js";
import { visitorPaths } from "../../../../controller/protocol/mip4/foreign-agent/machine.js";
import { ForeignAgentBench, HA, HA2, HOA } from "../../../lib/mip4-foreign-agent.js";

function world() {
  const bench = new ForeignAgentBench();
  bench.register();
  bench.register({ homeAgent: HA2, linkAddress: "02:00:00:00:00:02" });
  bench.kernel = null;
  const revisions: number[] = [];
  const commands = new ForeignAgentCommands({
    paths: () => visitorPaths(bench.state),
    remove: (visitor) => {
      for (const effect of bench.step({ kind: "remove", visitor, reason: "a test" })) {
        if (effect.kind !== "data-path-removed") continue;
        revisions.push(effect.revision);
        commands.asked(effect.visitor, effect.revision);
      }
    },
  });
  const remove = async (homeAgent?: Ipv4Address) =>
    commands.run({ command: "remove-visitor", homeAddress: HOA, ...(homeAgent !== undefined && { homeAgent }) });
  return { bench, commands, remove, revisions };
}

t.test("it is over when the kernel has let go, and earlier answers of the kernel are not meant", async (t) => {
  const { bench, commands, remove, revisions } = world();
  let isOver = false;
  const done = remove(HA).then((document) => {
    isOver = true;
    return document;
  });
  const [revision = 0] = revisions;
  t.equal(bench.state.list.size, 1);
  commands.programmed(`${HOA} ${HA}`, { revision: revision - 1 });
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(isOver);
  commands.programmed(`${HOA} ${HA}`, { revision });
  t.match(await done, { command: "remove-visitor", nodes: 1 });
  t.strictSame(
    [...visitorPaths(bench.state)].map(({ homeAgent }) => homeAgent),
    [HA2],
  );
});

t.test(
  "who is no visitor, and one of two with one home address, is not guessed; the kernel's failure is told",
  async (t) => {
    const { bench, commands, remove, revisions } = world();
    await t.rejects(remove(), { code: "MIP_COMMAND", message: /203\.0\.113\.1 and 203\.0\.113\.2 each have/ });
    await t.rejects(remove(ipv4("203.0.113.9")), { code: "MIP_NO_BINDING" });
    t.equal(bench.state.list.size, 2);
    const done = remove(HA2);
    commands.programmed(`${HOA} ${HA2}`, {
      revision: revisions[0] ?? 0,
      failure: new MobilityError("MIP_KERNEL", "busy"),
    });
    await t.rejects(done, { code: "MIP_KERNEL", message: /asked again: busy/ });
    t.equal(commands.run({ command: "refresh" }), undefined);
  },
);
