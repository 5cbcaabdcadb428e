/** A dsmipd in the role of a home agent with many subscribers, in a namespace of its own. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatPrefix } from "../../controller/base/ip.js";
import { fetchDocument } from "../../controller/control/client.js";
import { type StatusDocument, statusDocument } from "../../schemas/control.js";
import { Background } from "../kernel/lib/process.js";
import { associationsOf } from "./esp-node.js";
import type { Machine } from "./machines.js";
import { mip4KeyOf } from "./mip4-node.js";
import { HOME_AGENT, HOME_PREFIXES, type Kind, mobileNode, networksOf } from "./places.js";

const MAIN = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "controller", "main.js");
const START_TIMEOUT_MS = 600_000;

export class HomeAgent {
  readonly startMs: number;
  readonly #directory: string;
  readonly #process: Background;

  /** Writes configuration and keys for the subscribers 0 to `count` - 1 and starts it; resolves when it answers. */
  static async start(machine: Machine, count: number, kind: Kind | "mip4" = "hosts"): Promise<HomeAgent> {
    const directory = mkdtempSync(join(tmpdir(), "dsmipd-bench-"));
    writeFileSync(join(directory, "ha.yaml"), configuration(directory, count, kind));
    writeFileSync(join(directory, "keys.yaml"), keys(count, kind), { mode: 0o600 });
    const begin = performance.now();
    // With our own options: `node --cpu-prof` profiles the daemon too.
    const command = [
      process.execPath,
      ...process.execArgv,
      MAIN,
      "run",
      "--config",
      join(directory, "ha.yaml"),
      "--netns",
      machine.path,
    ];
    const daemon = new Background("ha", command);
    try {
      await daemon.waitForLog(/"daemon\.ready"/, START_TIMEOUT_MS);
    } catch (error) {
      await daemon.stop();
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
    return new HomeAgent(directory, daemon, performance.now() - begin);
  }

  private constructor(directory: string, daemon: Background, startMs: number) {
    this.#directory = directory;
    this.#process = daemon;
    this.startMs = startMs;
  }

  async status(): Promise<StatusDocument> {
    return statusDocument.parse(await fetchDocument(join(this.#directory, "ha.sock"), "/status"));
  }

  /** Octets of the process that are in memory, now and at most. */
  memory(): { readonly resident: number; readonly peak: number } {
    const text = readFileSync(`/proc/${this.#process.pid}/status`, "utf8");
    const octets = (name: string): number => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
    return { resident: octets("VmRSS"), peak: octets("VmHWM") };
  }

  /** What it has logged of the given events, at most the last few lines of each. */
  logged(event: string, lines = 3): string {
    return this.#process.log
      .split("\n")
      .filter((line) => line.includes(`"${event}"`) || line.includes('"kernel.'))
      .slice(-lines)
      .join("\n");
  }

  /** Ends it without giving it time to clean up; its namespace goes with what it made. */
  async kill(): Promise<void> {
    await this.#process.stop("SIGKILL");
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async stop(): Promise<void> {
    await this.#process.stop("SIGTERM", START_TIMEOUT_MS);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function configuration(directory: string, count: number, kind: Kind | "mip4"): string {
  const subscribers = Array.from({ length: count }, (_, number) => {
    const { homeAddress, ipv4HomeAddress } = mobileNode(number);
    const networks = kind !== "routers" ? [] : Object.values(networksOf(number)).flat().map(formatPrefix);
    const prefixes = networks.length === 0 ? "" : `, prefixes: ${JSON.stringify(networks)}`;
    const more = `${prefixes}${kind === "mip4" ? ", protocols: [mip4]" : ""}`;
    return `  - { homeAddress: "${homeAddress}", ipv4HomeAddress: ${ipv4HomeAddress}${more} }`;
  });
  return [
    "role: home-agent",
    `controlSocket: ${join(directory, "ha.sock")}`,
    `stateDirectory: ${join(directory, "state")}`,
    "keyFile: keys.yaml",
    "log: { level: info }",
    "homeAgent:",
    `  addresses: { ipv6: "${HOME_AGENT.ipv6}", ipv4: ${HOME_AGENT.ipv4} }`,
    ...(kind === "mip4" ? ["  mip4: {}"] : []),
    `  homeLink: { prefixes: ${JSON.stringify(HOME_PREFIXES)} }`,
    "subscribers:",
    ...subscribers,
    "",
  ].join("\n");
}

function keys(count: number, kind: Kind | "mip4"): string {
  const nodes = Array.from({ length: count }, (_, number) => mobileNode(number));
  const entries = nodes.map((node) =>
    kind === "mip4"
      ? { association: "mobile-home", node: node.ipv4HomeAddress, ...mip4KeyOf(node) }
      : { homeAddress: node.homeAddress, ...associationsOf(node) },
  );
  const lines = entries.map((entry) => `  - ${JSON.stringify(entry)}\n`);
  return `${kind === "mip4" ? "mip4" : "keys"}:\n${lines.join("")}`;
}
