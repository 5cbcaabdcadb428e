/** The start and the end of services on a platform: in order, in the reverse one, and what is told when something fails. */
import t from "tap";
import type { Platform } from "../../../controller/daemon/platform.js";
import type { Service, ServiceGround } from "../../../controller/daemon/service.js";
import { startServices } from "../../../controller/daemon/start.js";

function played(
  failing: { readonly [step: string]: string },
  waiting: { readonly [step: string]: Promise<void> } = {},
) {
  const steps: string[] = [];
  const step = async (name: string): Promise<void> => {
    steps.push(name);
    if (waiting[name] !== undefined) {
      await waiting[name];
      steps.push(`${name}: done`);
    }
    if (failing[name] !== undefined) throw new Error(failing[name]);
  };
  const errors: string[] = [];
  const platform = {
    ground: () => ({}) as ServiceGround,
    attach: () => undefined,
    require: () => step("require"),
    reconciler: { declareComplete: () => undefined, settled: () => Promise.resolve() },
    serve: () => step("serve"),
    close: () => step("close platform"),
    log: { error: (line: { readonly event: string; readonly reason: string }) => errors.push(line.reason) },
  } as unknown as Platform;
  const opener = (name: string) => ({
    name,
    open: () =>
      Promise.resolve({
        listen: () => void step(`listen ${name}`),
        begin: () => void step(`begin ${name}`),
        abandon: () => void step(`abandon ${name}`),
        close: () => step(`close ${name}`),
      } as unknown as Service),
  });
  return { steps, errors, start: () => startServices(platform, [opener("a"), opener("b")]) };
}

t.test("each step is done for all services, and their end is the reverse", async (test) => {
  const { steps, start } = played({});
  const running = await start();
  await running.stop();
  test.strictSame(steps, [
    ...["require", "listen a", "listen b", "serve", "begin a", "begin b"],
    ...["close b", "close a", "close platform"],
  ]);
});

t.test("the first cause of a failed start is told, whatever fails because of it", async (test) => {
  const { steps, errors, start } = played({ require: "the cause", "close platform": "a consequence" });
  await test.rejects(start(), { message: "the cause" });
  test.strictSame(steps, ["require", "abandon b", "abandon a", "close platform"]);
  test.strictSame(errors, ["Error: a consequence"]);
});

t.test("a service that fails at its end keeps nobody else from theirs", async (test) => {
  const { steps, start } = played({ "close b": "the cause" });
  const running = await start();
  await test.rejects(running.stop(), { message: "the cause" });
  test.strictSame(steps.slice(-3), ["close b", "close a", "close platform"]);
});

t.test(
  "services take their leave together: who waits for an answer keeps the platform, and nobody else",
  async (test) => {
    let answer = (): void => undefined;
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const { steps, start } = played({}, { "close b": answered });
    const running = await start();
    const stopped = running.stop();
    await new Promise(setImmediate);
    test.strictSame(steps.slice(-2), ["close b", "close a"]);
    answer();
    await stopped;
    test.strictSame(steps.slice(-2), ["close b: done", "close platform"]);
  },
);
