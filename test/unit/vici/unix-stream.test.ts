/** The unix stream transport against a server of ours: octets both ways, ends, and sentences for what is missing. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { MissingError } from "../../../controller/base/errors.js";
import { connectUnixStream } from "../../../controller/io/unix/stream.js";
import type { ViciTransport } from "../../../controller/vici/transport.js";

interface Bench {
  readonly path: string;
  readonly transport: ViciTransport;
  /** The server's end. */
  readonly peer: Socket;
}

function folder(test: Test): string {
  const path = mkdtempSync(join(tmpdir(), "dsmipd-stream-"));
  test.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

async function bench(test: Test): Promise<Bench> {
  const path = join(folder(test), "s");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const transport = await connectUnixStream(path);
  const peer = await accepted;
  test.teardown(() => {
    transport.close();
    peer.destroy();
    server.close();
  });
  return { path, transport, peer };
}

const pause = (ms = 20): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Returns when the condition holds; one that never does is for the assertion behind it. */
async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await pause(10);
}

t.test("octets go both ways, and what came before the listener is not lost", async (t) => {
  const { transport, peer } = await bench(t);
  peer.write("early ");
  await pause();
  let heard = "";
  const done = new Promise<void>((resolve) => {
    transport.onData((bytes) => {
      heard += Buffer.from(bytes).toString();
      if (heard.endsWith("late")) resolve();
    });
  });
  peer.write("late");
  await done;
  t.equal(heard, "early late");
  const received = new Promise<Buffer>((resolve) => peer.once("data", resolve));
  await new Promise<void>((resolve) => transport.write(Buffer.from("hello"), resolve));
  t.equal((await received).toString(), "hello");
});

t.test("octets may be wiped once they are written, also when the other side reads late", async (t) => {
  const { transport, peer } = await bench(t);
  peer.pause();
  const size = 4 * 1024 * 1024; // more than the socket's buffers
  const bytes = new Uint8Array(size).fill(0x41);
  let written = 0;
  transport.write(bytes, () => {
    written++;
    bytes.fill(0);
  });
  await pause();
  t.equal(written, 0);
  let [received, wrong] = [0, 0];
  const done = new Promise<void>((resolve) => {
    peer.on("data", (part) => {
      received += part.length;
      wrong += part.filter((octet) => octet !== 0x41).length;
      if (received === size) resolve();
    });
  });
  peer.resume();
  await done;
  await until(() => written > 0);
  t.strictSame([written, wrong], [1, 0]);
});

t.test("the other side's end is told once, with a listener that comes late too", async (t) => {
  const { transport, peer } = await bench(t);
  const ends: unknown[] = [];
  transport.onData(() => undefined);
  transport.onClose((error) => ends.push(error));
  peer.end();
  await until(() => ends.length > 0);
  t.strictSame(ends, [undefined]);
  let written = 0;
  transport.write(Uint8Array.of(1), () => written++);
  await until(() => written > 0);
  await pause();
  t.strictSame([written, ends.length], [1, 1], "a write after the end");
  const late = await bench(t);
  late.transport.onData(() => undefined);
  late.peer.destroy();
  await pause();
  await new Promise<void>((resolve) => late.transport.onClose(() => resolve()));
  t.pass("told");
});

t.test("writes that never get out are told to be over, and a broken connection has a reason", async (t) => {
  const { transport, peer, path } = await bench(t);
  peer.pause();
  let written = 0;
  const ends: unknown[] = [];
  transport.onClose((error) => ends.push(error));
  for (let i = 0; i < 3; i++) transport.write(new Uint8Array(4 * 1024 * 1024), () => written++);
  await pause();
  peer.destroy();
  await until(() => ends.length > 0 && written === 3);
  t.equal(written, 3);
  t.match(ends, [{ code: "MIP_SOCKET", message: new RegExp(`^${path}: (read|write) E`) }]);
});

t.test("our own end is told to nobody", async (t) => {
  const { transport, peer } = await bench(t);
  let ends = 0;
  let written = 0;
  transport.onData(() => undefined);
  transport.onClose(() => ends++);
  peer.on("error", () => undefined);
  const gone = new Promise((resolve) => peer.once("close", resolve));
  peer.resume();
  transport.close();
  transport.close();
  transport.write(Uint8Array.of(1), () => written++);
  await gone;
  await until(() => written > 0);
  await pause();
  t.strictSame([ends, written], [0, 1]);
});

t.test("what is missing is said, with the command that brings it", async (t) => {
  const path = join(folder(t), "vici");
  await t.rejects(connectUnixStream(path), {
    code: "MIP_MISSING",
    message: `${path}: charon's socket is not there; start it: systemctl start strongswan (if it is not installed: apt-get install charon-systemd strongswan-swanctl)`,
  });
  const dead = createServer();
  await new Promise<void>((resolve) => dead.listen(path, resolve));
  await t.resolves(connectUnixStream(path).then((transport) => transport.close()));
  // A killed charon leaves its socket behind, as a file that nobody listens on does.
  await new Promise((resolve) => dead.close(resolve));
  writeFileSync(path, "");
  const refused = await connectUnixStream(path).catch((error: unknown) => error);
  t.ok(refused instanceof MissingError);
  t.match(refused, { message: `${path}: charon does not listen on its socket; start it: systemctl start strongswan` });
  await t.rejects(connectUnixStream(`${path}${"x".repeat(200)}`), { code: /^MIP_/ });
});

t.test(
  "a socket that we may not open",
  { skip: process.getuid?.() !== 0 && "needs root, to stop being it" },
  async (t) => {
    const { path } = await bench(t);
    chmodSync(path, 0o600);
    // Root may open everything, so for a moment we are nobody.
    process.seteuid?.(65534);
    const connecting = connectUnixStream(path).catch((error: unknown) => error);
    process.seteuid?.(0);
    t.match(await connecting, { code: "MIP_MISSING", message: /may not be opened; run dsmipd as root/ });
  },
);
