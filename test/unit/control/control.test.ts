import { execFile, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { MobilityError } from "../../../controller/base/errors.js";
import { ipv6 } from "../../../controller/base/ip.js";
import { fetchDocument, followLines } from "../../../controller/control/client.js";
import { ListeningSocket } from "../../../controller/control/listening.js";
import {
  type ControlServerOptions,
  type ControlSource,
  startControlServer,
} from "../../../controller/control/server.js";
import { EventLog } from "../../../controller/store/events.js";
import type {
  BindingDocument,
  CorrespondentDocument,
  SecurityDocument,
  StatusDocument,
} from "../../../schemas/control.js";
import { documents } from "../../../schemas/generate.js";

const BINDING: BindingDocument = {
  protocol: "mip6",
  homeAddress: "2001:db8:1::100",
  ipv4HomeAddress: "198.51.100.100",
  mobileRouter: true,
  prefixes: ["2001:db8:100::/56", "192.0.2.16/28"],
  state: "established",
  endpoint: { format: "udp", address: "203.0.113.77", port: 40000 },
  acceptedFrom: [{ format: "udp", address: "203.0.113.77", port: 40000 }],
  sequence: 7,
  lifetimeSeconds: 600,
  remainingSeconds: 512.4,
  profile: "default",
  revision: 3,
  mip4: null,
};

const STATUS: StatusDocument = {
  version: "0",
  role: "home-agent",
  pid: 1,
  uptimeSeconds: 2,
  addresses: ["2001:db8:1::1"],
  bindings: 1,
  visitors: 0,
  homePrefixes: [],
  readiness: null,
  pendingOperations: 0,
  failedObjects: 0,
  counters: {
    received: { "binding-update": 3 },
    sent: {},
    dropped: {},
    kernel: { "spoofed-udp": 2, signalling: 9 },
    xfrm: { XfrmInError: 0, XfrmInNoStates: 4 },
    netlink: {},
    negotiation: {},
  },
  payloadOctetsThroughProcess: 0,
};

/** A subscriber that has not registered. */
const CORRESPONDENT = {
  end: "mobile-node",
  homeAddress: "2001:db8:1::10",
  correspondent: "2001:db8:c::2",
  ipv4: { homeAddress: "198.51.100.10", correspondent: "203.0.113.2" },
  mode: "ipv4-udp",
  state: "bound",
  direct: true,
  careOfAddress: "2001:db8:f::2",
  observed: "203.0.113.77:31000",
  acceptedFrom: ["2001:db8:f::2"] as string[],
  sequence: 7,
  lifetimeSeconds: 420,
  remainingSeconds: 400.2,
  idleSeconds: 3,
  reason: null,
} satisfies CorrespondentDocument;
const UNBOUND = "2001:db8:1::101";
const SECURITY: SecurityDocument = {
  method: "ikev2",
  ikeDaemon: "up",
  nodes: [
    {
      homeAddress: "2001:db8:1::100",
      ike: {
        ...{ state: "ESTABLISHED", local: "203.0.113.1:4500", remote: "203.0.113.77:4500" },
        ...{ remoteIdentity: "node1@example.org", keysAgeSeconds: 12, rekeyInSeconds: 10_320 },
      },
      policies: [
        {
          ...{ purpose: "payload", direction: "out", source: "::/0", destination: "2001:db8:1::100/128" },
          ...{ messages: "all", mark: null, demand: "esp", priority: 0x41910600 },
        },
      ],
      associations: [
        {
          ...{ purpose: "payload", direction: "send", spi: "0xc0000001", mode: "tunnel", parked: false },
          ends: [{ source: "203.0.113.1", destination: "203.0.113.77", udpPort: 61000 }],
          ...{ keysAgeSeconds: 200, rekeyInSeconds: 3400, lastUsedSeconds: 2 },
          ...{ packets: 42, octets: 4200, replayed: 0, integrityFailures: 0 },
        },
        {
          ...{ purpose: "payload", direction: "receive", spi: "0xc0000002", mode: "tunnel", parked: false },
          ends: [
            { source: "0.0.0.0", destination: "203.0.113.1", udpPort: null },
            { source: "0.0.0.0", destination: "203.0.113.1", udpPort: 4500 },
            { source: "::", destination: "2001:db8:1::1", udpPort: null },
          ],
          ...{ keysAgeSeconds: null, rekeyInSeconds: null, lastUsedSeconds: null },
          ...{ packets: 7, octets: 700, replayed: 1, integrityFailures: 0 },
        },
        {
          ...{ purpose: "return-routability", direction: "send", spi: "0xc0000003", mode: "tunnel", parked: true },
          ...{ ends: [], keysAgeSeconds: 90_000, rekeyInSeconds: null, lastUsedSeconds: null },
          ...{ packets: 0, octets: 0, replayed: 0, integrityFailures: 0 },
        },
      ],
    },
    { homeAddress: UNBOUND, ike: null, policies: [], associations: [] },
  ],
};

interface Bench {
  readonly socket: string;
  readonly events: EventLog;
  differences: number;
}

async function bench(
  test: Test,
  changes: Partial<ControlSource> = {},
  options: ControlServerOptions = {},
): Promise<Bench> {
  const path = mkdtempSync(join(tmpdir(), "dsmipd-control-"));
  const events = new EventLog(() => new Date(0));
  const state: Bench = { socket: join(path, "run", "control.sock"), events, differences: 0 };
  const source: ControlSource = {
    status: () => STATUS,
    bindings: () => [BINDING],
    binding: (address) => ([BINDING.homeAddress, BINDING.ipv4HomeAddress].includes(address) ? BINDING : undefined),
    plan: (homeAddress) => ({
      homeAddress,
      objects: [{ key: "k", kind: "route", command: "ip route add x", state: "realised" }],
    }),
    audit: async () => ({
      checked: 5,
      differences: Array.from({ length: state.differences }, () => ({
        key: "k",
        kind: "route",
        difference: "missing" as const,
        wanted: "ip route add x",
        found: null,
      })),
    }),
    visitors: () => ({ visitors: [] }),
    correspondents: () => ({ correspondents: [CORRESPONDENT] }),
    multicast: () => ({
      groups: [{ group: "ff3e::99", members: [{ homeAddress: "2001:db8:1::10", remainingSeconds: 200 }] }],
    }),
    security: (address) =>
      address === undefined || [BINDING.homeAddress, BINDING.ipv4HomeAddress, UNBOUND].includes(address)
        ? Promise.resolve(SECURITY)
        : undefined,
    command: async (request) => ({ command: request.command, nodes: 1, outcome: "begun", status: null }),
    recentEvents: () => events.recent(),
    subscribe: (listener) => events.subscribe(listener),
    ...changes,
  };
  const server = await startControlServer(state.socket, source, options);
  test.teardown(async () => {
    await server.close();
    rmSync(path, { recursive: true });
  });
  return state;
}

const CLI = fileURLToPath(new URL("../../../controller/control/cli.js", import.meta.url));

function dsmipctl(socket: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, "--socket", socket, ...args], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
  });
}

t.test("R5555-4.5-05: dsmipctl prints tables and schema-valid JSON, of a node by either home address", async (test) => {
  const { socket } = await bench(test);
  const table = await dsmipctl(socket, "bindings");
  test.match(table.stdout, /HOME ADDRESS.*CARE-OF ADDRESS/);
  test.match(table.stdout, /2001:db8:1::100 .*udp +203\.0\.113\.77:40000/);
  test.strictSame(JSON.parse((await dsmipctl(socket, "-o", "json", "bindings")).stdout), { bindings: [BINDING] });
  test.match(
    (await dsmipctl(socket, "binding", "198.51.100.100")).stdout,
    /lifetime +600 s, 512 s left/,
    "found by either home address",
  );
  test.equal((await dsmipctl(socket, "plan", "2001:db8:1::100")).stdout, "ip route add x\n");
  const { stdout } = await dsmipctl(socket, "status");
  test.match(stdout, /home-agent, pid 1/);
  test.match(stdout, /^kernel: spoofed-udp 2 \(payload in UDP whose .*\), signalling 9 \(led to the process\)$/m);
  test.match(stdout, /^xfrm: XfrmInNoStates 4 \(ESP with an SPI that nobody has here: .*\)$/m);
});

t.test("dsmipctl status at a foreign agent counts visitors in the place of bindings", async (test) => {
  const { socket } = await bench(test, { status: () => ({ ...STATUS, role: "foreign-agent", visitors: 7 }) });
  const { stdout } = await dsmipctl(socket, "status");
  test.match(stdout, /^visitors: 7, kernel operations pending: /m);
  test.notMatch(stdout, /bindings/);
});

t.test("dsmipctl security: a line for each IKE SA, association and, for one node, policy", async (test) => {
  const { socket } = await bench(test);
  const lines = (text: string, pattern: RegExp): number => text.split("\n").filter((line) => pattern.test(line)).length;
  const all = (await dsmipctl(socket, "security")).stdout;
  test.match(all, /HOME ADDRESS +IKE SA .*NEW KEYS IN/);
  test.match(
    all,
    /:100 +ESTABLISHED +203\.0\.113\.1:4500 +203\.0\.113\.77:4500 +node1@example\.org +12 s +2 h 52 min +1\n/,
  );
  test.match(all, /:101 +none +- /);
  test.match(all, /dsmipctl events/, "where to look for the reason");
  test.match(
    all,
    /payload +send +0xc0000001 +tunnel +203\.0\.113\.1 +203\.0\.113\.77 \(UDP 61000\) +3 min 20 s +56 min 40 s +42 +4200 +2 s ago +0 +0/,
  );
  test.match(all, /receive +0xc0000002 +tunnel +any +203\.0\.113\.1 \(ESP, UDP 4500\), 2001:db8:1::1 +- +- +7 /);
  test.match(all, /send +0xc0000003 +tunnel +parked +- +1 d 1 h/);
  test.equal(lines(all, /0xc000000\d/), 3, "one line for each association");
  test.notMatch(all, /DEMAND/);
  for (const address of [BINDING.homeAddress, BINDING.ipv4HomeAddress ?? "", UNBOUND])
    test.equal((await dsmipctl(socket, "security", address)).code, 0, `${address}, bound or not`);
  test.match(
    (await dsmipctl(socket, "security", UNBOUND)).stdout,
    /0x41910600 +out +::\/0 +2001:db8:1::100\/128 +all +- +esp +payload/,
  );
  test.strictSame(JSON.parse((await dsmipctl(socket, "-o", "json", "security")).stdout), SECURITY, "the same facts");
  const unknown = await dsmipctl(socket, "security", "2001:db8:1::dead");
  test.equal(unknown.code, 1);
  test.equal(
    unknown.stderr,
    "dsmipctl: 2001:db8:1::dead is no home address of a node that is known here\n",
    "a sentence",
  );
  test.equal((await dsmipctl(socket, "security", "nobody")).code, 1);
});

t.test("audit's exit code tells a program what the text tells a person", async (test) => {
  const state = await bench(test);
  test.equal((await dsmipctl(state.socket, "audit")).code, 0);
  state.differences = 2;
  const audit = await dsmipctl(state.socket, "audit");
  test.equal(audit.code, 1);
  test.match(audit.stdout, /2 differences/);
});

t.test("events: the last ones, and those to come", async (test) => {
  const state = await bench(test);
  state.events.record({ event: "binding.accepted", homeAddress: ipv6("2001:db8:1::100"), detail: { sequence: 1 } });
  test.match((await dsmipctl(state.socket, "events")).stdout, /binding\.accepted +2001:db8:1::100 sequence=1/);
  const stop = new AbortController();
  const lines: string[] = [];
  const following = followLines(
    state.socket,
    "/events",
    (line) => {
      lines.push(line);
      stop.abort();
    },
    { signal: stop.signal },
  );
  const unsubscribed = new Promise<void>((resolve) => {
    const poll = (): void => {
      state.events.record({ event: "binding.moved", detail: {} });
      if (lines.length > 0) resolve();
      else setImmediate(poll);
    };
    poll();
  });
  await unsubscribed;
  await following;
  test.match(lines[0], /binding\.moved/);
});

t.test("wrong questions get answers, not exceptions", async (test) => {
  const { socket } = await bench(test);
  const missing = await dsmipctl(socket, "binding", "2001:db8:1::999");
  test.equal(missing.code, 1);
  test.match(missing.stderr, /2001:db8:1::999 has no binding here/);
  await test.rejects(fetchDocument(socket, "/bindings/rubbish"), { code: "MIP_ADDRESS" });
  await test.rejects(fetchDocument(socket, "/nothing"), { code: "MIP_NOT_FOUND" });
  await test.rejects(fetchDocument(socket, "/bindings/%E0%A4%A"), { code: "MIP_ADDRESS" });
  test.equal((await dsmipctl(socket, "frobnicate")).code, 2);
  const nobody = await dsmipctl(`${socket}.not`, "status");
  test.match(nobody.stderr, /is dsmipd running/);
});

t.test("any bytes on the control socket: an error answer, and the server lives on", async (test) => {
  const { socket } = await bench(test);
  const hostile = [
    "\0\0\0\0\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
    `GET /${"a".repeat(20000)} HTTP/1.1\r\n\r\n`,
    "POST /v1/status HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello",
    "\x16\x03\x01",
  ];
  for (const bytes of hostile) {
    const answer = await new Promise<string>((resolve) => {
      const client = connect(socket, () => client.end(bytes));
      let text = "";
      client.on("data", (part) => {
        text += part.toString("latin1");
      });
      client.on("error", () => resolve(text));
      client.on("close", () => resolve(text));
    });
    test.notMatch(answer, /HTTP\/1\.1 200/);
  }
  test.strictSame(await fetchDocument(socket, "/status"), STATUS);
});

t.test("the socket is not for everybody, a second daemon is refused", async (test) => {
  const { socket } = await bench(test);
  test.equal(statSync(socket).mode & 0o777, 0o660);
  const source = {} as ControlSource;
  await test.rejects(startControlServer(socket, source), {
    code: "MIP_BUSY",
    message: /another dsmipd answers on this control socket/,
  });
});

t.test("of what is in the way only a socket that nobody listens on is replaced", async (test) => {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-socket-"));
  test.teardown(() => rmSync(directory, { recursive: true }));
  const at = (name: string): string => join(directory, name);
  writeFileSync(at("file"), "the operator's");
  mkdirSync(at("directory"));
  symlinkSync(at("file"), at("link"));
  const refused: readonly [string, RegExp][] = [
    [
      "file",
      /^controlSocket: .*file is a regular file, not a socket, and is left alone; move it away or set another path$/,
    ],
    ["directory", /is a directory, not a socket/],
    ["link", /is a symbolic link, not a socket/],
    [join("file", "below"), /below cannot be made \(E\w+\); check its directory/],
    ["x".repeat(108), /is longer than the 106 octets/],
  ];
  for (const [name, message] of refused)
    await test.rejects(startControlServer(at(name), {} as ControlSource), { code: "MIP_CONTROL", message });
  test.equal(readFileSync(at("file"), "utf8"), "the operator's");
  // As after kill -9: the process is gone, its socket is still in the file system.
  const leave = `require("net").createServer().listen(${JSON.stringify(at("stale"))}, () => process.kill(process.pid, "SIGKILL"))`;
  test.equal(spawnSync(process.execPath, ["-e", leave]).signal, "SIGKILL");
  test.ok(statSync(at("stale")).isSocket());
  const server = await startControlServer(at("stale"), { status: () => STATUS } as ControlSource);
  test.strictSame(await fetchDocument(at("stale"), "/status"), STATUS);
  await server.close();
});

/** All that the connection says until `enough`, or until it ends. */
function conversation(socket: string, say: string, enough: (text: string) => boolean): Promise<string> {
  return new Promise((resolve) => {
    const client = connect(socket, () => client.write(say));
    let text = "";
    client.on("data", (part) => {
      text += part.toString("latin1");
      if (enough(text)) client.destroy();
    });
    client.on("error", () => undefined);
    client.on("close", () => resolve(text));
  });
}

t.test("1,700 requests at once on a connection: one is answered at a time, all are in the end", async (test) => {
  const requests = 1700;
  let running = 0;
  let most = 0;
  const { socket } = await bench(test, {
    status: async () => {
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running--;
      return STATUS;
    },
  });
  const answers = (text: string): number => text.split("HTTP/1.1 200 OK").length - 1;
  const say = "GET /v1/status HTTP/1.1\r\nhost:x\r\n\r\n".repeat(requests);
  const text = await conversation(socket, say, (heard) => answers(heard) === requests && heard.endsWith("}"));
  test.equal(answers(text), requests);
  test.equal(most, 1);
});

t.test("a document is made as fast as it is read, and a client that reads nothing is cut off", async (test) => {
  const bindings = 20_000;
  let made = 0;
  let cutOff = (): void => undefined;
  const over = new Promise<void>((resolve) => {
    cutOff = resolve;
  });
  const { socket } = await bench(
    test,
    {
      *bindings() {
        try {
          for (made = 0; made < bindings; made++) yield BINDING;
        } finally {
          cutOff();
        }
      },
    },
    { clientTimeoutMs: 500 },
  );
  const client: Socket = connect(socket, () => {
    client.pause();
    client.write("GET /v1/bindings HTTP/1.1\r\nhost: x\r\n\r\n");
  });
  client.on("error", () => undefined);
  test.teardown(() => client.destroy());
  await over;
  test.ok(made > 0 && made < bindings, `${made} of ${bindings} made for a client that reads nothing`);
  const document = (await fetchDocument(socket, "/bindings")) as { bindings: unknown[] };
  test.equal(document.bindings.length, bindings);
  test.strictSame(document.bindings.at(-1), BINDING);
});

t.test("silent clients do not keep others out", async (test) => {
  const { socket } = await bench(test, {}, { clientTimeoutMs: 500 });
  const silent = Array.from({ length: 64 }, (_, i) =>
    conversation(socket, i % 2 === 0 ? "" : "GET /v1/st", () => false),
  );
  await Promise.all(silent);
  test.strictSame(await fetchDocument(socket, "/status"), STATUS);
});

t.test("events are followed by half of the clients at most; a follower that leaves makes room", async (test) => {
  const { socket } = await bench(test);
  const ask = (stop: AbortController): Promise<void> =>
    new Promise((resolve, reject) => {
      followLines(socket, "/events", () => undefined, { signal: stop.signal, onOpen: resolve }).catch(reject);
    });
  const stops = Array.from({ length: 32 }, () => new AbortController());
  await Promise.all(stops.map(ask));
  await test.rejects(ask(new AbortController()), { code: "MIP_BUSY", message: /32 clients follow the events already/ });
  test.strictSame(await fetchDocument(socket, "/status"), STATUS);
  for (const stop of stops) stop.abort();
  const again = new AbortController();
  for (let free = false; !free; ) {
    free = await ask(again).then(
      () => true,
      () => false,
    );
  }
  again.abort();
});

t.test("dsmipctl ends when the daemon is silent, and says so in one sentence", async (test) => {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-silent-"));
  const socket = join(directory, "control.sock");
  const server = createServer(() => undefined);
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  test.teardown(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  for (const command of ["status", "events", "audit"]) {
    const { code, stderr } = await dsmipctl(socket, "--timeout", "0.2", command);
    test.equal(code, 1, command);
    test.equal(
      stderr,
      `dsmipctl: ${socket}: dsmipd has not answered for 0.2 s; it hangs, is stopped or has much to do (--timeout SECONDS waits longer)\n`,
    );
  }
  for (const wrong of ["0", "-1", "soon", "1e9"])
    test.equal((await dsmipctl(socket, `--timeout=${wrong}`, "status")).code, 2, wrong);
});

t.test(
  "dsmipctl wait ends with the state, with the time, or at once where there is nothing to wait for",
  async (test) => {
    let readiness: StatusDocument["readiness"] = "registering";
    let asked = 0;
    const { socket, events } = await bench(test, {
      status: () => {
        asked++;
        return { ...STATUS, role: "mobile-node" as const, readiness };
      },
    });
    const timeout = await dsmipctl(socket, "wait", "registered", "--timeout", "1");
    test.strictSame(timeout, {
      code: 1,
      stdout: "",
      stderr: "dsmipctl: after 1 s the node is not registered but registering\n",
    });
    test.equal(asked, 1, "asked once, not again and again");
    const waiting = dsmipctl(socket, "wait", "registered");
    while (asked < 2) await new Promise(setImmediate);
    events.record({ event: "attachment.changed", detail: {} });
    readiness = "registered";
    events.record({ event: "readiness.changed", detail: { state: "registered", before: "registering" } });
    test.strictSame(await waiting, { code: 0, stdout: "", stderr: "" });
    test.equal((await dsmipctl(socket, "wait", "registered")).code, 0, "it is already");
    test.equal((await dsmipctl(socket, "wait", "home", "--timeout", "0.1")).code, 1);
    test.equal((await dsmipctl(socket, "wait", "lunch")).code, 2);
    test.equal((await dsmipctl(socket, "wait")).code, 2);
    readiness = null;
    const homeAgent = await dsmipctl(socket, "wait", "home");
    test.equal(homeAgent.code, 2);
    test.match(homeAgent.stderr, /dsmipd is a home agent here; only a mobile node registers/);
  },
);

t.test("dsmipctl wait waits for the daemon too", async (test) => {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-wait-"));
  const socket = join(directory, "control.sock");
  const nobody = await dsmipctl(socket, "wait", "home", "--timeout", "0.2");
  test.equal(nobody.code, 1);
  test.match(nobody.stderr, /is dsmipd running.*; waiting\ndsmipctl: after 0.2 s the node is not home but unknown\n$/);
  const waiting = dsmipctl(socket, "wait", "home");
  const server = await startControlServer(socket, {
    status: () => ({ ...STATUS, role: "mobile-node", readiness: "home" }),
    subscribe: () => () => undefined,
  } as unknown as ControlSource);
  test.teardown(async () => {
    await server.close();
    rmSync(directory, { recursive: true });
  });
  test.equal((await waiting).code, 0);
});

t.test("completion for three shells, and a sentence for a fourth", async (test) => {
  const { socket } = await bench(test);
  test.match((await dsmipctl(socket, "completion", "bash")).stdout, /complete -F _dsmipctl dsmipctl/);
  test.match((await dsmipctl(socket, "completion", "zsh")).stdout, /bashcompinit/);
  test.match((await dsmipctl(socket, "completion", "fish")).stdout, /complete -c dsmipctl/);
  test.match((await dsmipctl(socket, "completion", "tcsh")).stderr, /no completion for tcsh/);
});

t.test("the committed schema documents are the present ones", (test) => {
  let root = dirname(fileURLToPath(import.meta.url));
  while (!root.endsWith("/") && !hasPackage(root)) root = dirname(root);
  for (const [name, text] of documents())
    test.equal(readFileSync(join(root, "schemas", name), "utf8"), text, `${name}: run make schemas`);
  test.end();
});

function hasPackage(directory: string): boolean {
  try {
    return statSync(join(directory, "package.json")).isFile();
  } catch {
    return false;
  }
}

t.test(
  "a socket that is taken away is made again; what stands in its place is left alone, at the end too",
  async (test) => {
    const directory = mkdtempSync(join(tmpdir(), "dsmipd-socket-"));
    test.teardown(() => rmSync(directory, { recursive: true }));
    const path = join(directory, "run", "control.sock");
    const events = new EventLog(() => new Date(0));
    const server = await startControlServer(path, {
      status: () => STATUS,
      subscribe: (listener: Parameters<EventLog["subscribe"]>[0]) => events.subscribe(listener),
    } as ControlSource);
    test.equal(statSync(path).mode & 0o777, 0o660);
    test.equal(await server.look(), false, "it stands");
    const heard: string[] = [];
    const stop = new AbortController();
    await new Promise<void>((resolve) => {
      void followLines(path, "/events", (line) => heard.push(line), { signal: stop.signal, onOpen: resolve });
    });
    // As a runtime directory goes whose service is thought to be over.
    rmSync(join(directory, "run"), { recursive: true });
    test.equal(await server.look(), true);
    test.strictSame(await fetchDocument(path, "/status"), STATUS);
    test.strictSame(readdirSync(join(directory, "run")), ["control.sock"]);
    events.record({ event: "journal.recovered", detail: {} });
    for (let turn = 0; turn < 1000 && heard.length === 0; turn++) await new Promise(setImmediate);
    test.equal(heard.length, 1, "who was connected still is");
    stop.abort();
    renameSync(path, `${path}.old`);
    writeFileSync(path, "somebody else's");
    await test.rejects(server.look(), {
      code: "MIP_CONTROL",
      message: /control\.sock is a regular file, not a socket/,
    });
    await server.close();
    test.equal(readFileSync(path, "utf8"), "somebody else's");
    rmSync(path);
    test.equal(await server.look(), false, "nothing is made after the end");
    test.notOk(existsSync(path));
  },
);

t.test("a connection that cannot be accepted ends nothing", async (test) => {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-socket-"));
  test.teardown(() => rmSync(directory, { recursive: true }));
  const server = createHttpServer((_request, response) => void response.end("{}"));
  const socket = await ListeningSocket.open(join(directory, "s"), () => server);
  test.doesNotThrow(() => server.emit("error", Object.assign(new Error("accept EMFILE"), { code: "EMFILE" })));
  test.strictSame(await fetchDocument(join(directory, "s"), "/status"), {});
  await socket.close();
  test.notOk(existsSync(join(directory, "s")));
});

t.test("dsmipctl correspondents shows the pairs, for people and for programs", async (t) => {
  const { socket } = await bench(t);
  const table = await dsmipctl(socket, "correspondents");
  t.match(table.stdout, /198.51.100.10 \(2001:db8:1::10\) +203.0.113.2 \(2001:db8:c::2\) +ipv4-udp +bound +yes/);
  t.match(table.stdout, / 2001:db8:f::2 \(203.0.113.77:31000\) +7 +400 s +3 s/);
  const json = await dsmipctl(socket, "-o", "json", "correspondents");
  t.strictSame(JSON.parse(json.stdout), { correspondents: [CORRESPONDENT] });
});

t.test("commands: what dsmipctl asks for, and what is no command", async (test) => {
  const asked: unknown[] = [];
  const { socket } = await bench(test, {
    command: async (request) => {
      asked.push(request);
      if (request.command === "switch") throw new MobilityError("MIP_NO_BINDING", "nobody is bound");
      const nodes = request.command === "refresh" ? 7 : 1;
      const acknowledged = request.command === "remove";
      return {
        command: request.command,
        nodes,
        outcome: acknowledged ? "acknowledged" : "begun",
        status: acknowledged ? 0 : null,
      };
    },
  });
  const removed = await dsmipctl(socket, "binding", "remove", BINDING.homeAddress, "--ipv4");
  test.match(removed, { code: 0, stdout: "the binding has ended; the node has acknowledged it (status 0)\n" });
  test.match(await dsmipctl(socket, "binding", "refresh", "all"), { code: 0, stdout: "7 nodes are told\n" });
  const refused = await dsmipctl(socket, "binding", "switch", "all", "2001:db8::2", "2001:db8::3");
  test.match(refused, { code: 1, stderr: "dsmipctl: nobody is bound\n" });
  await dsmipctl(socket, "report-loss");
  await dsmipctl(socket, "refresh");
  const offered = ["home-agent", "offered", "--interface", "eth0"];
  test.match(await dsmipctl(socket, ...offered, "--dhcpv6", "0045"), { code: 0, stdout: "noted\n" });
  await dsmipctl(socket, ...offered);
  const visit = ["visitor", "remove", "198.51.100.101"];
  test.match(await dsmipctl(socket, ...visit, "203.0.113.1"), { code: 0, stdout: "the visit has ended\n" });
  const forget = ["correspondents", "forget"];
  test.match(await dsmipctl(socket, ...forget, "2001:db8:c::2"), { code: 0, stdout: "begun\n" });
  await dsmipctl(socket, ...forget, "all");
  test.match(await dsmipctl(socket, ...forget, "192.0.2.2"), { code: 1, stderr: /correspondent: an IPv6 address/ });
  test.match(await dsmipctl(socket, "visitor", "remove", "2001:db8::1"), { code: 1, stderr: /homeAddress: an IPv4/ });
  test.strictSame(asked, [
    { command: "remove", node: BINDING.homeAddress, part: "ipv4" },
    { command: "refresh" },
    { command: "switch", to: ["2001:db8::2", "2001:db8::3"] },
    { command: "report-loss" },
    { command: "refresh" },
    { command: "offer", interface: "eth0", dhcpv6: "0045" },
    { command: "offer", interface: "eth0", dhcpv6: "" },
    { command: "remove-visitor", homeAddress: "198.51.100.101", homeAgent: "203.0.113.1" },
    { command: "forget-correspondent", correspondent: "2001:db8:c::2" },
    { command: "forget-correspondent" },
  ]);
  test.match(await dsmipctl(socket, ...offered, "--dhcpv6", "004"), { code: 1, stderr: /dhcpv6: hexadecimal octets/ });
  test.match(await dsmipctl(socket, "home-agent", "offered"), { code: 2, stderr: /--interface/ });
  test.match(await dsmipctl(socket, "binding", BINDING.homeAddress), { code: 0, stdout: /home address/ });
  test.match(await dsmipctl(socket, "binding", "switch", "all", "192.0.2.1"), {
    code: 1,
    stderr: /to\.0: an IPv6 address/,
  });
  test.match(await dsmipctl(socket, "binding", "remove", "nobody"), {
    code: 1,
    stderr: /node: an IPv4 or IPv6 address/,
  });
  await test.rejects(fetchDocument(socket, "/commands/format", { method: "POST" }), { code: "MIP_COMMAND" });
  await test.rejects(fetchDocument(socket, "/status", { method: "POST" }), { code: "MIP_METHOD" });
});
