/** A home agent whose disk refuses and whose wall clock is set; and SIGHUP. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { ALICE } from "../lib/hostile.js";
import { aliceRegistered } from "../lib/registered.js";
import { waitFor } from "../lib/wait.js";

test("a home agent and its disk", async (t) => {
  const { hostile, register } = await aliceRegistered(t);
  const state = join(hostile.net.scratch, "state");

  await t.test("SIGHUP is told and ignored", async () => {
    hostile.daemon?.kill("SIGHUP");
    await hostile.daemon?.waitForLog(/daemon\.hang-up/);
    assert.equal((await register()).message.status, BindingStatus.accepted);
  });

  await t.test("a wall clock that is set costs no binding at a restart", async () => {
    const before = await hostile.binding(ALICE);
    for (const seconds of [86_400, -86_400]) {
      hostile.daemon?.kill("SIGKILL");
      await hostile.daemon?.exited;
      execFileSync("date", ["-s", `@${Math.floor(Date.now() / 1000) + seconds}`]);
      await hostile.start();
      assert.deepEqual((await hostile.binding(ALICE))?.endpoint, before?.endpoint);
    }
  });

  await t.test(
    "a full disk at the start and after: no success leaves, and none is lost when it has room again",
    async () => {
      assert.deepEqual(await hostile.daemon?.stop("SIGTERM", 15_000), { code: 0, signal: null });
      mkdirSync(state, { recursive: true });
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "none", state]);
      try {
        await hostile.start();
        assert.equal((await register()).message.status, BindingStatus.accepted);
        try {
          writeFileSync(join(state, "fill"), Buffer.alloc(100_000));
        } catch {
          // full
        }
        const refused = await waitFor(
          async () => {
            const { status } = (await register()).message;
            return status === BindingStatus.accepted ? undefined : status;
          },
          { what: "the last page of the journal to be full", timeout: 15_000 },
        );
        assert.equal(refused, BindingStatus.insufficientResources);
        assert.equal((await register()).message.status, BindingStatus.insufficientResources);
        await hostile.daemon?.waitForLog(/journal\.failed/);
        rmSync(join(state, "fill"));
        await hostile.daemon?.waitForLog(/journal\.recovered/, 60_000);
        assert.equal((await register()).message.status, BindingStatus.accepted);
      } finally {
        await hostile.daemon?.stop("SIGTERM", 15_000);
        execFileSync("umount", [state]);
      }
    },
  );
});
