/**
 * The cable is moved to another network while the addresses of the former one stay (SLAAC, nothing is flushed): away, between networks,
 * with and without a loss of the carrier, and home again. `dsmipctl wait` and systemd's
 * status line say so. Real radvd; the binding update and its time are read off the wire.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import type { Background } from "../lib/process.js";
import { HOME_ADDRESS, Roaming, SOON } from "../lib/roaming.js";
import { waitFor } from "../lib/wait.js";

const supervisorPath = ({ net }: Roaming): string => join(net.scratch, "supervisor.sock");

/** Writes down what the daemon tells systemd (sd_notify), a line each. */
function listenAsSupervisor(roaming: Roaming): Background {
  const program = [
    "import socket, sys",
    "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "s.bind(sys.argv[1])",
    "print('listening', flush=True)",
    "while True: print(s.recv(4096).decode(), flush=True)",
  ];
  return roaming.mn.spawn(["python3", "-c", program.join("\n"), supervisorPath(roaming)], { name: "supervisor" });
}

test("a cable that is moved with its addresses (RFC 6275 §11.5.1): the node follows, goes home and leaves again", async (t) => {
  const roaming = await Roaming.start(t, "home");
  await roaming.advertise("home", "one", "two");
  await roaming.hasAddress("home");
  const { mobile } = roaming;
  const supervisor = listenAsSupervisor(roaming);
  await supervisor.waitForLog(/listening/);
  const waits = mobile.dsmipctl("wait", "home");
  await mobile.start({ environment: { NOTIFY_SOCKET: supervisorPath(roaming) } });
  await roaming.settled("home");
  assert.deepEqual(await waits.exited, { code: 0, signal: null }, waits.log);
  const early = mobile.dsmipctl("wait", "registered", "--timeout", "0.2");
  assert.deepEqual(await early.exited, { code: 1, signal: null });
  assert.match(early.log, /after 0.2 s the node is not registered but (home|unknown)/);
  const registered = mobile.dsmipctl("wait", "registered", "--timeout", "600");

  // The carrier stays, and the home prefix stays configured away from home.
  await step("home → one", () => roaming.plug("one", { carrier: false }), "one");
  assert.ok(roaming.addresses("home").length > 0, "the home prefix is still configured");
  assert.deepEqual(await registered.exited, { code: 0, signal: null }, registered.log);
  const [address] = roaming.addresses("one");
  const last = `STATUS=${HOME_ADDRESS} registered from ${address} on eth0, payload as packets in IPv6`;
  await waitFor(() => supervisor.stdout.trimEnd().endsWith(last), { what: `${last} after ${supervisor.stdout}` });
  assert.match(supervisor.stdout, /^READY=1$/m);
  assert.match(supervisor.stdout, new RegExp(`^STATUS=${HOME_ADDRESS} at home$`, "m"));
  // With a loss of the carrier.
  await step("one → two", () => roaming.plug("two", { carrier: true }), "two");
  assert.ok(roaming.addresses("one").length > 0, "the former network's address is still configured");
  // Back, where the address still is: no new configuration, its router is enough.
  await step("two → one", () => roaming.plug("one", { carrier: true }), "one", { known: true });
  await step("one → home", () => roaming.plug("home", { carrier: false }), "home");

  async function step(
    what: string,
    move: () => number,
    to: "home" | "one" | "two",
    { known = false } = {},
  ): Promise<void> {
    const since = move();
    const update = await roaming.update(to, since);
    // A router that is known answers a question; of another one the node must have heard.
    const from = known ? since : Math.min(update, await roaming.advertisement(to, since));
    t.diagnostic(
      `${what}: update ${Math.round((update - since) * 1000)} ms after the move, ${Math.round((update - from) * 1000)} ms after the advertisement`,
    );
    assert.ok(update - from < SOON, `${what}: ${update - from} s`);
    await roaming.settled(to);
  }
});
