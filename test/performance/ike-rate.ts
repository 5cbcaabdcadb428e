/**
 * What charon can do by itself, beside which our registrations per second stand: IKE SAs with a child between two charons, all asked for
 * at once, with the connections that the product gives it; and how long the connections and secrets of many subscribers take to load.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "../../controller/base/secret.js";
import { setTimer } from "../../controller/daemon/kernel.js";
import {
  CHILDREN,
  connectionName,
  homeAgentConnection,
  type IkePeers,
  mobileNodeConnection,
} from "../../controller/ike/connections.js";
import { loadCredentials } from "../../controller/ike/credentials.js";
import { connectUnixStream } from "../../controller/io/unix/stream.js";
import { isSection } from "../../controller/vici/message.js";
import { isYes } from "../../controller/vici/section.js";
import { ViciSession } from "../../controller/vici/session.js";
import { Charon } from "../kernel/lib/charon.js";
import { Namespace } from "../kernel/lib/namespace.js";
import type { Background } from "../kernel/lib/process.js";
import { homeAgentMachine, Machine } from "./machines.js";
import { GATEWAY, HOME_AGENT, mobileNode } from "./places.js";
import { rounded } from "./statistics.js";

export interface IkeRateOptions {
  /** IKE SAs that are asked for at once. */
  readonly sas: number;
  /** Subscribers that are loaded into one charon. */
  readonly subscribers: number;
}

export interface IkeRateReport {
  readonly sas: number;
  readonly perSecond: number;
  readonly load: {
    readonly subscribers: number;
    /** load-shared, load-conn and both, of all subscribers. */
    readonly secretsSeconds: number;
    readonly connectionsSeconds: number;
    /** Milliseconds of one connection, of the first and of the last tenth. */
    readonly firstTenthMs: number;
    readonly lastTenthMs: number;
  };
}

const IDENTITY = "ha.example.org";
const TERMS = {
  ikeProposals: ["aes128gcm16-prfsha256-x25519"],
  espCiphers: ["aes128gcm16"],
  rekeySeconds: 3600,
  movement: "migrate",
  ikeRekeySeconds: 14400,
} as const;
/** All initiators have one address, which charon would take for an attack. */
const SETTINGS = ["dos_protection = no"];
const UP_TIMEOUT_MS = 120_000;

const identityOf = (number: number): string => `node${number}@example.org`;
const secretOf = (number: number): Secret => new Secret(Buffer.from(`of node ${number}, for a benchmark`));
const numbers = (count: number): number[] => Array.from({ length: count }, (_, number) => number);

function peersOf(number: number): IkePeers {
  return {
    ...mobileNode(number),
    homeAgent: HOME_AGENT.ipv6,
    nodeIdentity: identityOf(number),
    homeAgentIdentity: IDENTITY,
    authentication: "psk",
    protectPayload: false,
    slots: new Map(),
  };
}

const credentialsOf = (count: number): Parameters<typeof loadCredentials>[1] => ({
  psk: new Map(numbers(count).map((number) => [identityOf(number), secretOf(number)])),
  eap: new Map(),
  authorities: [],
});

/** A charon, and what ends with it. */
class Engine {
  readonly session: ViciSession;
  readonly #charon: Charon;

  static async start(machine: Machine, label: string, directory: string, processes: Background[]): Promise<Engine> {
    const namespace = new Namespace(label, machine.name, processes);
    const charon = new Charon(namespace, directory, { quiet: true, settings: SETTINGS });
    await charon.start();
    return new Engine(charon, new ViciSession(await connectUnixStream(charon.socketPath), { setTimer }));
  }

  private constructor(charon: Charon, session: ViciSession) {
    this.#charon = charon;
    this.session = session;
  }

  async stop(): Promise<void> {
    this.session.close();
    await this.#charon.kill();
  }

  /** A home agent's charon: everything of so many subscribers. Seconds of the secrets, milliseconds of each connection. */
  async loadHomeAgent(count: number): Promise<{ secretsSeconds: number; connectionsMs: readonly number[] }> {
    const begin = performance.now();
    await loadCredentials(this.session, credentialsOf(count));
    const secretsSeconds = (performance.now() - begin) / 1000;
    const connectionsMs: number[] = [];
    const addresses = [HOME_AGENT.ipv6, HOME_AGENT.ipv4];
    for (const number of numbers(count)) {
      const started = performance.now();
      const { homeAddress } = mobileNode(number);
      const connection = homeAgentConnection(peersOf(number), TERMS, addresses);
      await this.session.command("load-conn", { [connectionName(homeAddress)]: connection });
      connectionsMs.push(performance.now() - started);
    }
    return { secretsSeconds, connectionsMs };
  }

  async loadNodes(count: number): Promise<void> {
    await loadCredentials(this.session, credentialsOf(count));
    const ends = { careOf: GATEWAY.ipv4, homeAgent: HOME_AGENT.ipv4 };
    for (const number of numbers(count)) {
      const connection = mobileNodeConnection(peersOf(number), { ...TERMS, deadPeerDetectionSeconds: 60 }, ends);
      await this.session.command("load-conn", { [connectionName(mobileNode(number).homeAddress)]: connection });
    }
  }
}

export async function measureIkeRate(options: IkeRateOptions, note: (text: string) => void): Promise<IkeRateReport> {
  note(`charon: ${options.sas} IKE SAs at once`);
  const perSecond = await withEngines(async (node, home) => {
    await home.loadHomeAgent(options.sas);
    await node.loadNodes(options.sas);
    return rounded((1000 * options.sas) / (await initiateAll(node.session, options.sas)));
  });
  note(`charon: connections and secrets of ${options.subscribers} subscribers`);
  const load = await withEngines((_, home) => home.loadHomeAgent(options.subscribers));
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const tenth = Math.max(1, Math.floor(options.subscribers / 10));
  return {
    sas: options.sas,
    perSecond,
    load: {
      subscribers: options.subscribers,
      secretsSeconds: rounded(load.secretsSeconds),
      connectionsSeconds: rounded(sum(load.connectionsMs) / 1000),
      firstTenthMs: rounded(sum(load.connectionsMs.slice(0, tenth)) / tenth),
      lastTenthMs: rounded(sum(load.connectionsMs.slice(-tenth)) / tenth),
    },
  };
}

async function withEngines<T>(use: (node: Engine, home: Engine) => Promise<T>): Promise<T> {
  using load = new Machine("load");
  using agent = homeAgentMachine(load, "ha", { answer: true });
  load.ip(`address add ${GATEWAY.ipv4}/24 dev wha`);
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-bench-"));
  const processes: Background[] = [];
  const engines: Engine[] = [];
  try {
    for (const [machine, label] of [
      [load, "node"],
      [agent.machine, "home"],
    ] as const)
      engines.push(await Engine.start(machine, label, directory, processes));
    const [node, home] = engines as [Engine, Engine];
    return await use(node, home);
  } finally {
    for (const engine of engines) await engine.stop();
    for (const process of processes) await process.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Milliseconds until the child of the last one is up. */
async function initiateAll(session: ViciSession, count: number): Promise<number> {
  await session.register("child-updown");
  let up = 0;
  const all = new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`charon made ${up} of ${count} SAs only`)), UP_TIMEOUT_MS);
    session.onEvent((_, message) => {
      up += isYes(message, "up") ? Object.values(message).filter(isSection).length : 0;
      if (up < count) return;
      clearTimeout(late);
      resolve();
    });
  });
  const begin = performance.now();
  for (const number of numbers(count)) {
    const ike = connectionName(mobileNode(number).homeAddress);
    // Does not wait for the SA: all are under way at once.
    await session.command("initiate", { ike, child: CHILDREN.signalling, timeout: "-1" });
  }
  await all;
  return performance.now() - begin;
}
