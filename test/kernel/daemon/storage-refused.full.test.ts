/** A home agent whose state directory cannot be written, from the start or later, and that is told to be silent then. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { bindingUpdate, espPacket } from "../../lib/esp.js";
import { ALICE, HOME_AGENT, HostileWorld, inUdp, wantsIpv4 } from "../lib/hostile.js";
import { waitFor } from "../lib/wait.js";

test("silent while the disk refuses", async (t) => {
  const run = (...words: readonly string[]): void => void execFileSync(words[0] ?? "", words.slice(1));
  // Hooks run in the order in which they are given: the world's own removes the directory around it.
  let unmount = (): void => undefined;
  t.after(() => unmount());
  const hostile = new HostileWorld(t, { journalFailure: "silent" });
  const state = join(hostile.net.scratch, "state");
  mkdirSync(state);
  run("mount", "-t", "tmpfs", "-o", "size=1m,ro", "none", state);
  unmount = () => run("umount", "-l", state);
  let sequence = 0;
  const outer = { sourcePort: 40000 };
  const fields = (): { sequence: number; options: ReturnType<typeof wantsIpv4>[] } => ({
    sequence: ++sequence,
    options: [wantsIpv4(ALICE)],
  });
  const accepted = async (): Promise<void> =>
    assert.equal((await hostile.update(ALICE, fields(), outer)).message.status, BindingStatus.accepted);
  /** Sends an update whose success the disk does not take: the daemon says by its count that it has dealt with it. */
  const unanswered = async (): Promise<void> => {
    const before = await hostile.dropped("journal-unwritable");
    const answers = hostile.acknowledgements(ALICE).length;
    const esp = hostile.sender(ALICE).seal(bindingUpdate(fields(), ALICE.homeAddress, HOME_AGENT.ipv6));
    hostile.send(4, inUdp(espPacket(ALICE.homeAddress, HOME_AGENT.ipv6, esp), outer));
    await waitFor(async () => (await hostile.dropped("journal-unwritable")) > before, { what: "it to be dropped" });
    assert.equal(hostile.acknowledgements(ALICE).length, answers, "no success leaves");
  };
  const recovers = async (): Promise<void> => {
    const from = hostile.daemon?.log.length ?? 0;
    await waitFor(() => hostile.daemon?.log.slice(from).includes("journal.recovered"), {
      what: "journal.recovered",
      timeout: 60_000,
      interval: 100,
    });
  };

  await t.test("a read-only directory at the start", async () => {
    await hostile.open();
    assert.match(hostile.daemon?.log ?? "", /journal\.failed.*EROFS|EROFS.*journal\.failed/);
    await unanswered();
    assert.equal(await hostile.binding(ALICE), undefined, "nothing is bound that a crash could forget");
    const recovered = recovers();
    run("mount", "-o", "remount,rw", state);
    await recovered;
    await accepted();
  });

  await t.test("a file that must not grow", async () => {
    const before = await hostile.binding(ALICE);
    run("prlimit", "--pid", String(hostile.daemon?.pid), "--fsize=10:unlimited");
    await unanswered();
    await hostile.daemon?.waitForLog(/EFBIG/);
    await unanswered();
    assert.deepEqual((await hostile.binding(ALICE))?.endpoint, before?.endpoint, "the old binding stands");
    const recovered = recovers();
    run("prlimit", "--pid", String(hostile.daemon?.pid), "--fsize=unlimited:unlimited");
    await recovered;
    await accepted();
  });

  await t.test("what was told is there after a crash", async () => {
    const before = await hostile.binding(ALICE);
    hostile.daemon?.kill("SIGKILL");
    await hostile.daemon?.exited;
    await hostile.start();
    const after = await hostile.binding(ALICE);
    assert.deepEqual([after?.endpoint, after?.sequence], [before?.endpoint, before?.sequence]);
  });
});
