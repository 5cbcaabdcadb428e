/** dsmipd itself in a namespace of the test: configuration, start, questions over its control socket, every way to end it. */
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { fetchDocument } from "../../../controller/control/client.js";
import {
  type AuditDocument,
  auditDocument,
  type BindingDocument,
  bindingsDocument,
  type SecurityDocument,
  type StatusDocument,
  securityDocument,
  statusDocument,
} from "../../../schemas/control.js";
import type { Namespace } from "./namespace.js";
import type { Background, ExitStatus } from "./process.js";
import { waitFor } from "./wait.js";

/** Compiled beside us. */
const CONTROLLER = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "controller");
const MAIN = join(CONTROLLER, "main.js");
export const DSMIPCTL = join(CONTROLLER, "control", "cli.js");
/** A start reads the kernel's whole state and makes some forty objects. */
const START = 20_000;

export interface StartOptions {
  /** Milliseconds, of this one process's clock. Default 0. */
  readonly clockBehind?: number;
  readonly environment?: Readonly<Record<string, string>>;
}

/** A module that sets the clock of the process back. */
const slowClock = (milliseconds: number): string =>
  `data:text/javascript,${encodeURIComponent(`const { now } = Date; Date.now = () => now() - ${milliseconds};`)}`;

export interface DaemonFiles {
  /** Where its socket, journal and configuration go. */
  readonly directory: string;
  /** Absent: keys are negotiated, and the role says how. */
  readonly keyFile?: string;
}

export class Daemon {
  readonly namespace: Namespace;
  readonly socketPath: string;
  readonly configPath: string;
  #process: Background | undefined;

  /** Writes the configuration; `start` runs it, any number of times. */
  constructor(namespace: Namespace, files: DaemonFiles, role: Readonly<Record<string, unknown>>) {
    this.namespace = namespace;
    this.socketPath = join(files.directory, `${namespace.label}.sock`);
    this.configPath = join(files.directory, `${namespace.label}.yaml`);
    const common = {
      controlSocket: this.socketPath,
      stateDirectory: join(files.directory, namespace.label),
      ...(files.keyFile !== undefined && { keyFile: files.keyFile }),
      log: { level: "debug" },
    };
    writeFileSync(this.configPath, stringify({ ...common, ...role }));
  }

  get process(): Background {
    if (this.#process === undefined) throw new Error(`dsmipd in ${this.namespace.label} was not started`);
    return this.#process;
  }

  /** Resolves when it answers. */
  async start({ clockBehind = 0, environment: more = {} }: StartOptions = {}): Promise<void> {
    const { label, path } = this.namespace;
    const command = [process.execPath, MAIN, "run", "--config", this.configPath, "--netns", path];
    const environment = clockBehind === 0 ? {} : { NODE_OPTIONS: `--import=${slowClock(clockBehind)}` };
    this.#process = this.namespace.spawn(command, {
      name: `${label}-dsmipd`,
      environment: { ...environment, ...more },
    });
    await this.#process.waitForLog(/daemon\.ready/, START);
  }

  /** `dsmipctl` with these words, as a person or a script would run it beside the daemon. */
  dsmipctl(...words: readonly string[]): Background {
    const command = [process.execPath, DSMIPCTL, "--socket", this.socketPath, ...words];
    return this.namespace.spawn(command, { name: `${this.namespace.label}-dsmipctl-${words.join("-")}` });
  }

  async status(): Promise<StatusDocument> {
    return statusDocument.parse(await fetchDocument(this.socketPath, "/status"));
  }

  async bindings(): Promise<readonly BindingDocument[]> {
    return bindingsDocument.parse(await fetchDocument(this.socketPath, "/bindings")).bindings;
  }

  async audit(): Promise<AuditDocument> {
    return auditDocument.parse(await fetchDocument(this.socketPath, "/audit"));
  }

  async security(): Promise<SecurityDocument> {
    return securityDocument.parse(await fetchDocument(this.socketPath, "/security"));
  }

  /** Packets by the names of the nftables counters. */
  async kernelCounters(): Promise<Readonly<Record<string, number>>> {
    return (await this.status()).counters.kernel;
  }

  /** Waits for a binding that the predicate takes, with nothing left to be programmed. */
  async waitForBinding(what: string, matches: (binding: BindingDocument) => boolean): Promise<BindingDocument> {
    let last: readonly BindingDocument[] = [];
    const look = async (): Promise<BindingDocument | undefined> => {
      last = await this.bindings();
      const found = last.find(matches);
      return found !== undefined && (await this.status()).pendingOperations === 0 ? found : undefined;
    };
    const options = { what: `${what} in ${this.namespace.label}`, timeout: 15_000, interval: 50 };
    return waitFor(look, options).catch((error: Error) => {
      throw new Error(`${error.message}; it has ${JSON.stringify(last)} and says:\n${this.process.log.slice(-4000)}`);
    });
  }

  async stop(): Promise<ExitStatus> {
    return this.process.stop("SIGTERM", START);
  }

  /** As a crash would end it. */
  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exited;
  }
}
