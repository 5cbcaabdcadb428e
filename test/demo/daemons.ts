/** The three dsmipd of the demonstration: configuration, start, events, orderly end. Each is a process with its log in a file. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { fetchDocument, followLines } from "../../controller/control/client.js";
import {
  type AuditDocument,
  auditDocument,
  type BindingDocument,
  bindingsDocument,
  type EventDocument,
  eventDocument,
  type StatusDocument,
  statusDocument,
} from "../../schemas/control.js";
import type { SignallingSpis } from "./capture.js";
import { viciPath } from "./charon.js";
import type { Profile, Protocol } from "./profile.js";
import {
  CORRESPONDENT,
  FOREIGN_AGENT,
  HOME_AGENT,
  HOME_PREFIXES,
  type MachineName,
  type MobileNode,
  NODES,
  type Topology,
} from "./topology.js";
import { until } from "./until.js";

/** Compiled beside us. */
const CONTROLLER = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "controller");
const MAIN = join(CONTROLLER, "main.js");
export const DSMIPCTL = join(CONTROLLER, "control", "cli.js");

/** Less is reserved (RFC 5944 §3.5.1). */
const FIRST_SPI_OF_MIP4 = 256;

const START = { seconds: 60 };
const STOP = { seconds: 30 };
/** Short, so that a lost NAT mapping is found soon; the default is 110 s (RFC 5555 §6). */
const NAT_REFRESH_SECONDS = 2;

/** SPIs as in every RFC's example: one above the other; unique per node (RFC 4301 §4.1). */
export const SPIS: readonly SignallingSpis[] = NODES.map((node) => ({
  node,
  update: 0x1000 + 2 * node.number,
  acknowledgement: 0x1001 + 2 * node.number,
}));

export interface TimedEvent {
  /** On this process's clock (performance.now), when it arrived here. */
  readonly at: number;
  readonly document: EventDocument;
}

export class Daemon {
  readonly machine: MachineName;
  readonly socketPath: string;
  readonly configPath: string;
  readonly logPath: string;
  /** In order of arrival. */
  readonly events: TimedEvent[] = [];
  readonly #child: ChildProcess;
  readonly #following = new AbortController();
  #ended: string | undefined;

  /** Starts the process; `ready` says when it can be asked. */
  constructor(topology: Topology, machine: MachineName, directory: string, role: Readonly<Record<string, unknown>>) {
    this.machine = machine;
    this.socketPath = join(directory, `${machine}.sock`);
    this.configPath = join(directory, `${machine}.yaml`);
    this.logPath = join(directory, `${machine}.log`);
    const common = {
      controlSocket: this.socketPath,
      stateDirectory: join(directory, machine),
      ...(!("security" in role) && role["role"] !== "correspondent-node" && { keyFile: keyPath(directory) }),
    };
    writeFileSync(this.configPath, stringify({ ...common, ...role }));
    const log = openSync(this.logPath, "a");
    const args = [MAIN, "run", "--config", this.configPath, "--netns", topology.path(machine)];
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", log, log], detached: true }); // Ctrl-C is for us
    closeSync(log);
    this.#child.once("error", (error) => {
      this.#ended = error.message;
    });
    this.#child.once("exit", (status, signal) => {
      this.#ended = signal ?? `exit status ${status}`;
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** How it ended; undefined while it runs. */
  get ended(): string | undefined {
    return this.#ended;
  }

  /** Waits until it answers, and follows its events from then on. Throws if it ends instead. */
  async ready(): Promise<void> {
    await until(`answer from dsmipd in ${this.machine} (its log: ${this.logPath})`, START, async () => {
      if (this.#ended !== undefined)
        throw new Error(`dsmipd in ${this.machine} ended at once (${this.#ended}); its log: ${this.logPath}`);
      return this.status().catch(() => undefined);
    });
    const { signal } = this.#following;
    const note = (line: string): void => {
      this.events.push({ at: performance.now(), document: eventDocument.parse(JSON.parse(line)) });
    };
    // The stream ends with the daemon; `ended` tells.
    followLines(this.socketPath, "/events", note, { signal }).catch(() => undefined);
  }

  async status(): Promise<StatusDocument> {
    return statusDocument.parse(await fetchDocument(this.socketPath, "/status"));
  }

  async bindings(): Promise<readonly BindingDocument[]> {
    return bindingsDocument.parse(await fetchDocument(this.socketPath, "/bindings")).bindings;
  }

  /** The difference between what it wants and what the kernel has. */
  async audit(): Promise<AuditDocument> {
    return auditDocument.parse(await fetchDocument(this.socketPath, "/audit"));
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#ended === undefined) this.#child.kill(signal);
  }

  /** SIGTERM, and waits for the end. Returns how it ended. */
  async stop(): Promise<string> {
    this.signal("SIGTERM");
    const how = await until(`end of dsmipd in ${this.machine} after SIGTERM`, STOP, () => this.#ended);
    this.#following.abort();
    return how;
  }

  /** Leaves it running when this process ends. */
  leave(): void {
    this.#following.abort();
    this.#child.unref();
  }
}

function keyPath(directory: string): string {
  return join(directory, "keys.yaml");
}

/** Fresh keys for all nodes, in the file that all three daemons read. */
export function writeKeys(directory: string): void {
  const association = (spi: number): { spi: number; key: string } => ({ spi, key: randomBytes(20).toString("hex") });
  const keys = SPIS.map(({ node, update, acknowledgement }) => ({
    homeAddress: node.homeAddress,
    update: association(update),
    acknowledgement: association(acknowledgement),
  }));
  writeFileSync(keyPath(directory), stringify({ keys }), { mode: 0o600 });
}

/** Of Mobile IPv4, between each node and the home agent; what nobody needs is in the other's file too. */
export function writeMip4Keys(directory: string): void {
  const mip4 = NODES.map(({ ipv4HomeAddress, number }) => ({
    association: "mobile-home",
    node: ipv4HomeAddress,
    spi: FIRST_SPI_OF_MIP4 + number,
    algorithm: "hmac-sha256",
    key: randomBytes(32).toString("hex"),
  }));
  writeFileSync(keyPath(directory), stringify({ mip4 }), { mode: 0o600 });
}

/** Fresh pre-shared keys: one file for the home agent, one for each node. */
export function writeCredentials(directory: string): void {
  const write = (name: string, credentials: readonly object[]): void =>
    writeFileSync(join(directory, name), stringify({ credentials }), { mode: 0o600 });
  const entries = NODES.map((node) => ({ identity: identityOf(node), psk: randomBytes(16).toString("hex") }));
  write("ha-credentials.yaml", entries);
  for (const [i, { name }] of NODES.entries()) write(`${name}-credentials.yaml`, entries.slice(i, i + 1));
}

const HOME_AGENT_IDENTITY = "ha.example.org";
const identityOf = ({ name }: MobileNode): string => `${name}@example.org`;
/** Short, so that IKE is seen to follow within the demonstration. */
const DEAD_PEER_DETECTION_SECONDS = 5;

export interface Choices {
  readonly ikev2: boolean;
  readonly profile: Profile;
  readonly protocol: Protocol;
  /** With these wishes of `mobileNode.routeOptimisation`. */
  readonly routeOptimisation?: object;
}

export function startHomeAgent(topology: Topology, directory: string, { ikev2, profile, protocol }: Choices): Daemon {
  return new Daemon(topology, "ha", directory, {
    role: "home-agent",
    homeAgent: {
      addresses: HOME_AGENT,
      homeLink: { interface: "home", prefixes: HOME_PREFIXES },
      natRefreshSeconds: NAT_REFRESH_SECONDS,
      ...(protocol === "mip4" && { mip4: {} }),
    },
    ...(ikev2 && {
      security: {
        method: "ikev2",
        viciSocket: viciPath(directory, "ha"),
        identity: HOME_AGENT_IDENTITY,
        credentialFile: join(directory, "ha-credentials.yaml"),
      },
      tunnelProfiles: { default: { protection: "esp" } },
    }),
    subscribers: NODES.map((node) => ({
      homeAddress: node.homeAddress,
      ipv4HomeAddress: node.ipv4HomeAddress,
      ipv4Signalling: profile,
      protocols: [protocol],
      ...(ikev2 && { identity: identityOf(node) }),
    })),
  });
}

export function startMobileNode(
  topology: Topology,
  directory: string,
  node: MobileNode,
  { ikev2, profile, protocol, routeOptimisation }: Choices,
): Daemon {
  const { homeAddress, ipv4HomeAddress } = node;
  if (protocol === "mip4")
    return new Daemon(topology, node.name, directory, {
      ...{ role: "mobile-node", protocol },
      mobileNode: {
        homeAddress: ipv4HomeAddress,
        homeAgent: HOME_AGENT.ipv4,
        homeSubnet: HOME_PREFIXES[1],
        prefixes: [`${homeAddress}/128`],
        ipv6HomeAddress: homeAddress,
        reverseTunnelling: "always",
      },
    });
  return new Daemon(topology, node.name, directory, {
    role: "mobile-node",
    mobileNode: {
      homeAddress,
      ipv4HomeAddress,
      homePrefixes: HOME_PREFIXES,
      homeAgent: HOME_AGENT,
      ipv4Signalling: profile,
      ...(routeOptimisation !== undefined && { routeOptimisation }),
    },
    ...(ikev2 && {
      security: {
        method: "ikev2",
        viciSocket: viciPath(directory, node.name),
        identity: identityOf(node),
        homeAgentIdentity: HOME_AGENT_IDENTITY,
        credentialFile: join(directory, `${node.name}-credentials.yaml`),
        deadPeerDetectionSeconds: DEAD_PEER_DETECTION_SECONDS,
      },
      tunnelProfile: { protection: "esp" },
    }),
  });
}

/** Of both addresses of the scene its node uses one alone. */
export function startCorrespondent(topology: Topology, directory: string): Daemon {
  return new Daemon(topology, "cn", directory, {
    role: "correspondent-node",
    correspondentNode: {
      ...{ addresses: [CORRESPONDENT.ipv6], allow: [HOME_PREFIXES[0]] },
      ipv4RouteOptimisation: { addresses: [{ ipv6: CORRESPONDENT.ipv6, ipv4: CORRESPONDENT.ipv4 }] },
    },
  });
}

export function startForeignAgent(topology: Topology, directory: string): Daemon {
  return new Daemon(topology, "agent", directory, {
    role: "foreign-agent",
    foreignAgent: {
      careOfAddress: FOREIGN_AGENT.careOfAddress,
      links: [{ interface: "visited", address: FOREIGN_AGENT.link }],
    },
  });
}
