import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import t from "tap";
import { type Native, type NativeHandle, native } from "../../../controller/io/native.js";

const addon = native();
const UDP4 = [2, 2, 0, undefined] as const;

/** The addon without its types, for arguments no TypeScript lets through. */
const untyped = addon as unknown as Record<keyof Native, (...values: unknown[]) => unknown>;

t.test("an argument of the wrong type is a TypeError that names it", async (t) => {
  const handle = addon.open(...UDP4);
  t.teardown(() => addon.close(handle));
  const calls: [string, () => unknown][] = [
    ["family", () => untyped.open("inet", 2, 0)],
    ["family", () => untyped.open()],
    ["type", () => untyped.open(2, 2.5, 0)],
    ["protocol", () => untyped.open(2, 2, -1)],
    ["netns", () => untyped.open(2, 2, 0, 7)],
    ["netns", () => untyped.open(2, 2, 0, "")],
    ["netns", () => untyped.open(2, 2, 0, "a\0b")],
    ["name", () => untyped.openTun("a-name-of-16-oct", 0)],
    ["name", () => untyped.openTun(5, 0)],
    ["path", () => untyped.enterNamespace()],
    ["handle", () => untyped.bind({}, new Uint8Array(16))],
    ["handle", () => untyped.close(Object.create(handle))],
    ["address", () => untyped.bind(handle, "127.0.0.1")],
    ["address", () => untyped.connect(handle, new Uint16Array(8))],
    ["level", () => untyped.setsockopt(handle, Number.NaN, 1, 1)],
    ["value", () => untyped.setsockopt(handle, 1, 1, "1")],
    ["value", () => untyped.setsockopt(handle, 1, 1, 2 ** 33)],
    ["length", () => untyped.getsockopt(handle, 1, 1, 1e9)],
    ["limit", () => untyped.watch(handle, 0, false, () => {})],
    ["callback", () => untyped.watch(handle, 64, false, "function")],
    ["wipe", () => untyped.watch(handle, 64, 1, () => {})],
    ["events", () => untyped.arm(handle, 8192)],
    ["parts", () => untyped.send(handle, [new Uint8Array(1)])],
    ["parts", () => untyped.send(handle, "message")],
    ["part", () => untyped.send(handle, [undefined, undefined, undefined])],
    ["part", () => untyped.send(handle, [new Uint8Array(1), "::1", undefined])],
  ];
  for (const [name, call] of calls)
    t.throws(call, { name: "TypeError", message: new RegExp(`\\b${name}`) }, call.toString());
  for (const value of [undefined, null, 1, "handle", Symbol("handle"), () => {}, []]) {
    t.throws(() => untyped.close(value), TypeError, `close(${String(value)})`);
  }
});

t.test("the kernel's refusal has errno, code and syscall like Node's own errors", async (t) => {
  t.throws(() => addon.open(99, 2, 0, undefined), { errno: -97, code: "EAFNOSUPPORT", syscall: "socket" });
  t.throws(() => addon.open(2, 2, 0, "/nowhere"), { errno: -2, code: "ENOENT", syscall: "open" });
  const handle = addon.open(...UDP4);
  t.throws(() => addon.setsockopt(handle, 1, 9999, 1), { code: "ENOPROTOOPT", syscall: "setsockopt" });
  t.throws(() => addon.bind(handle, new Uint8Array(200)), { code: "EINVAL", syscall: "bind" });
  t.throws(() => addon.arm(handle, 1), { code: "ENOTCONN" }, "armed before it is watched");
  addon.close(handle);
  addon.close(handle);
  t.throws(() => addon.getsockname(handle), { code: "EBADF" }, "closed");
});

t.test(
  "an element that is a getter may detach the others, close the handle or throw: nothing is read of what is gone",
  async (t) => {
    const address = Uint8Array.of(2, 0, 0, 9, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    /** Two messages, of which the last part does something when it is read. */
    const parts = (act: (data: Uint8Array) => void): unknown[] => {
      const data = new Uint8Array(60_000).fill(7);
      const list: unknown[] = [data, address, undefined, new Uint8Array(8), address];
      const get = (): undefined => {
        act(data);
        return undefined;
      };
      Object.defineProperty(list, 5, { get, enumerable: true });
      return list;
    };
    const handle = addon.open(...UDP4);
    t.teardown(() => addon.close(handle));
    const detach = (data: Uint8Array): void => void structuredClone(data, { transfer: [data.buffer as ArrayBuffer] });
    t.strictSame(untyped.send(handle, parts(detach)), { sent: 2, next: 2 }, "the detached one is empty");
    const thrown = (): void => {
      throw new RangeError("not today");
    };
    t.throws(() => untyped.send(handle, parts(thrown)), { name: "RangeError", message: "not today" });
    const proxied = new Proxy([new Uint8Array(8), address, undefined], {});
    t.throws(() => untyped.send(handle, proxied), { name: "TypeError", message: /parts/ });
    const buffer = new Proxy(new Uint8Array(8), {});
    t.throws(() => untyped.send(handle, [buffer, address, undefined]), { name: "TypeError", message: /part must be/ });
    t.throws(() => untyped.bind(handle, buffer), { name: "TypeError", message: /address/ });
    const closing = addon.open(...UDP4);
    t.match(
      untyped.send(
        closing,
        parts(() => addon.close(closing)),
      ),
      { sent: 0, error: { code: "EBADF" } },
    );
  },
);

t.test("a descriptor nobody closed goes with its object", async (t) => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const open = (): number => readdirSync("/proc/self/fd").length;
  const before = open();
  const handles: NativeHandle[] = Array.from({ length: 50 }, () => addon.open(...UDP4));
  t.equal(open(), before + 50);
  handles.length = 0;
  for (let i = 0; i < 1000 && open() > before; i++) {
    collect();
    await turn();
  }
  t.equal(open(), before);
});

t.test("without the addon one sentence says what to do", async (t) => {
  const script = `import(${JSON.stringify(new URL("../../../controller/io/native.js", import.meta.url).href)})
    .then((m) => m.native()).catch((e) => console.log(e.code, e.message))`;
  const env = { ...process.env, DSMIPD_NATIVE_SUFFIX: "-absent" };
  const output = execFileSync(process.execPath, ["-e", script], { encoding: "utf8", env });
  t.equal(output, "MIP_MISSING the native addon is not built: run `make build`\n");
});

t.test("a worker thread that ends with open sockets leaves nothing behind", async (t) => {
  const url = JSON.stringify(new URL("../../../controller/io/ip/udp-socket.js", import.meta.url).href);
  const script = `import(${url}).then(({ openUdpSocket }) => {
    const socket = openUdpSocket({ family: 4, address: "127.0.0.1" });
    socket.listen({ onPackets() {}, onError() {} });
    require("node:worker_threads").parentPort.postMessage(socket.localAddress().port);
  })`;
  const before = readdirSync("/proc/self/fd").length;
  for (let i = 0; i < 3; i++) {
    const worker = new Worker(script, { eval: true });
    const port = await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
    t.type(port, "number");
    t.equal(await worker.terminate(), 1, "terminated while listening");
  }
  t.equal(readdirSync("/proc/self/fd").length, before, "its descriptors are closed");
});

t.test(
  "a process without listening sockets ends by itself; an exception in a listener is an uncaughtException",
  async (t) => {
    const url = JSON.stringify(new URL("../../../controller/io/ip/udp-socket.js", import.meta.url).href);
    const script = `import(${url}).then(({ openUdpSocket }) => {
    process.on("uncaughtException", (e) => { console.log("uncaught", e.message); if (++seen === 2) socket.close(); else send(); });
    let seen = 0;
    openUdpSocket({ family: 4, address: "127.0.0.1" });
    const socket = openUdpSocket({ family: 4, address: "127.0.0.1" });
    const send = () => socket.send([{ data: Buffer.from("x"), destination: "127.0.0.1", destinationPort: socket.localAddress().port }]);
    socket.listen({ onPackets() { throw new Error("boom"); }, onError() {} });
    send();
  })`;
    const output = execFileSync(process.execPath, ["-e", script], { encoding: "utf8", timeout: 60_000 });
    t.equal(output, "uncaught boom\nuncaught boom\n");
  },
);
