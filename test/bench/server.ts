/**
 * A bench that stays up: one machine behind a unix socket, on which clients speak the language of bus.ts. Jobs run one after the
 * other; who comes second waits. The state file tells clients where the socket is and what the machine is.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { Bus, endMarkers } from "./bus.js";
import { openMachine } from "./choose.js";
import {
  type BenchKind,
  BenchUnavailable,
  cacheDirectory,
  type JobMode,
  type Machine,
  type MachineFacts,
  machineDirectory,
} from "./machine.js";

interface BenchState extends MachineFacts {
  readonly socket: string;
  readonly pid: number;
}

function statePath(name: string): string {
  return join(cacheDirectory, "bench", `${name}.json`);
}

/** Boots a machine and serves it until a client says halt. `up` is called when clients may come. */
export async function serve(kind: BenchKind, name: string, up: (facts: MachineFacts) => void): Promise<void> {
  const machine = await openMachine(kind);
  const directory = machineDirectory();
  const socket = join(directory, "bench.sock");
  let last: Promise<void> = Promise.resolve();
  const clients = new Set<Socket>();
  const halt = (): void => {
    server.close();
    for (const client of clients) client.destroy();
  };
  const server = createServer((client) => {
    clients.add(client.once("close", () => clients.delete(client)));
    last = last.then(() => attend(client, machine, halt));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const { slow, processors, description } = machine;
  const state: BenchState = { kind: machine.kind, slow, processors, description, socket, pid: process.pid };
  mkdirSync(join(cacheDirectory, "bench"), { recursive: true });
  writeFileSync(`${statePath(name)}.new`, JSON.stringify(state));
  renameSync(`${statePath(name)}.new`, statePath(name));
  process.once("SIGTERM", halt);
  up(machine);
  await new Promise((resolve) => server.once("close", resolve));
  rmSync(statePath(name), { force: true });
  await machine.shutdown();
  rmSync(directory, { recursive: true, force: true });
}

/** Serves one client until it leaves. A job whose client left is killed. */
function attend(client: Socket, machine: Machine, halt: () => void): Promise<void> {
  if (client.destroyed) return Promise.resolve(); // it left while it waited for its turn
  return new Promise((resolve) => {
    let pending = "";
    let input: PassThrough | undefined;
    let job: Promise<void> | undefined;
    const start = (line: string): void => {
      const [verb, token = "", mode, script = ""] = line.split(" ");
      if (verb === "halt") halt();
      else if (verb === "kill") machine.interrupt();
      else if (verb === "job" && !job) {
        input = new PassThrough();
        job = runFor(client, machine, token, mode as JobMode, Buffer.from(script, "base64").toString(), input);
        void job.finally(() => {
          job = undefined;
          input = undefined;
        });
      }
    };
    client.on("data", (chunk: Buffer) => {
      if (input && isShellInput(chunk)) return void input.write(chunk);
      pending += chunk.toString("latin1");
      for (let end = pending.indexOf("\n"); end >= 0; end = pending.indexOf("\n")) {
        const line = pending.slice(0, end);
        pending = pending.slice(end + 1);
        start(line);
      }
    });
    client.on("error", () => client.destroy());
    client.once("close", () => {
      if (job !== undefined) machine.interrupt();
      void Promise.resolve(job).then(() => resolve());
    });
    client.write("\x01ready \n");
  });
}

/** During a job only keystrokes for a shell and the word "kill" can arrive. */
function isShellInput(chunk: Buffer): boolean {
  return chunk.toString("latin1") !== "kill\n";
}

async function runFor(
  client: Socket,
  machine: Machine,
  token: string,
  mode: JobMode,
  script: string,
  input: PassThrough,
): Promise<void> {
  const send = (data: Buffer | string): void => {
    if (client.writable) client.write(data);
  };
  try {
    send(endMarkers(token, await machine.run({ script, mode, input }, send)));
  } catch {
    client.destroy(); // the machine has ended; the client says so
  }
}

export interface Attachment {
  readonly facts: MachineFacts;
  readonly bus: Bus;
  /** Resolves when the connection is closed, by us or by the bench going down. */
  readonly closed: Promise<void>;
  leave(): void;
}

/** The facts and a line to the bench that stays up under this name. */
export async function attach(name: string): Promise<Attachment> {
  const path = statePath(name);
  if (!existsSync(path)) throw new BenchUnavailable("no bench is up: run `make bench-up` first");
  const state = JSON.parse(readFileSync(path, "utf8")) as BenchState;
  const socket = createConnection(state.socket);
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", () => {
      rmSync(path, { force: true });
      reject(new BenchUnavailable("the bench that was up is gone: run `make bench-up` again"));
    });
  });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const bus = new Bus(socket);
  await bus.ready();
  return { facts: state, bus, closed, leave: () => socket.destroy() };
}
