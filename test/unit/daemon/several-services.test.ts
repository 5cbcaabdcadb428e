/** Several services of one role as one: what an operator asks for, and how ready a node with several home addresses is. */
import t from "tap";
import { MobilityError } from "../../../controller/base/errors.js";
import { commandOf } from "../../../controller/daemon/command.js";
import type { ServiceViews } from "../../../controller/daemon/service.js";
import { mergedViews } from "../../../controller/daemon/views.js";
import type { CommandDocument, HomePrefixDocument, StatusDocument } from "../../../schemas/control.js";

const REFRESH = { command: "refresh" } as const;
const done = async (): Promise<CommandDocument> => ({ command: "refresh", nodes: 1, outcome: "begun", status: null });
const refuses = (reason: string) => async (): Promise<CommandDocument> => {
  throw new MobilityError("MIP_COMMAND", reason);
};

t.test("a command is done by all that have it; refused if all of them refuse, or none has it", async (test) => {
  const run = (...commands: ((() => Promise<CommandDocument>) | undefined)[]) =>
    commandOf(
      commands.map((command) => (command === undefined ? {} : { command })),
      REFRESH,
      "mobile-node",
    );
  test.match(await run(done, undefined, done), { command: "refresh", nodes: 2, outcome: "begun" });
  test.match(await run(refuses("not this one"), done), { nodes: 1 });
  await test.rejects(run(refuses("first"), refuses("second")), { message: "first" });
  await test.rejects(run(undefined), { code: "MIP_COMMAND", message: "refresh: a mobile-node has no such command" });
});

t.test("a node is as ready as the least ready of its home addresses, and each home prefix is shown once", (test) => {
  const views = (readiness: StatusDocument["readiness"], prefixes: readonly string[] = []): ServiceViews => ({
    bindings: () => [],
    binding: () => undefined,
    plan: () => [],
    nodes: () => [],
    nodeAt: () => undefined,
    security: async () => ({ method: "static-keys", ikeDaemon: null, nodes: [] }),
    readiness: () => readiness,
    homePrefixes: () => prefixes.map((prefix) => ({ prefix }) as HomePrefixDocument),
  });
  const of = (...states: StatusDocument["readiness"][]) => mergedViews(states.map((state) => views(state))).readiness();
  test.equal(of("registered", "registering"), "registering");
  test.equal(of("refused", "registered"), "refused");
  test.equal(of("home", "returning"), "returning");
  test.equal(of("registered", "registered"), "registered");
  test.equal(of(null, null), null);
  test.equal(of(null, "home"), "home");
  const both = mergedViews([views("home", ["2001:db8:1::/64"]), views("home", ["2001:db8:1::/64", "2001:db8:2::/64"])]);
  test.strictSame(
    both.homePrefixes?.().map(({ prefix }) => prefix),
    ["2001:db8:1::/64", "2001:db8:2::/64"],
  );
  test.end();
});
