/**
 * Namespaces and the wires between them, declared first and built in as few processes as possible (under emulation each one costs
 * tens of milliseconds), torn down with the test, and described in the artifacts when the test failed. With DSMIPD_KEEP_CAPTURES in the
 * environment what passed the wires is kept of every test, as evidence (`make conformance`).
 *
 *   const net = new Topology(t);
 *   const ha = net.node("ha", { forwarding: true });
 *   const mn = net.node("mn");
 *   net.link(ha.port("wan", "203.0.113.1/24"), mn.port("eth0", "203.0.113.2/24"));
 *   mn.route("default via 203.0.113.1");
 *   net.build();
 */
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { TestContext } from "node:test";
import { artifactName } from "../../lib/artifact-name.js";
import { Capture } from "./capture.js";
import { run } from "./command.js";
import { describe } from "./dump.js";
import { Namespace } from "./namespace.js";
import type { Background } from "./process.js";
import { artifactsDirectory, scratchDirectory } from "./surroundings.js";

export interface NodeOptions {
  readonly forwarding?: boolean;
  /** Set before any device exists, so that `conf.default` holds for all of them. */
  readonly sysctl?: Readonly<Record<string, string | number>>;
}

/** One end of a wire: a device in a namespace. */
export interface Port {
  readonly node: Node;
  readonly device: string;
  readonly addresses: readonly string[];
}

/**
 * `ip` commands for a bridge with a link-layer address of its own. One without has the lowest of its ports': the router that it may be
 * changes its address when somebody else's port goes, and its neighbours go on sending to the former one.
 */
export function bridge(name: string): readonly string[] {
  const octets = createHash("sha256").update(name).digest("hex").slice(0, 10).match(/../gu) ?? [];
  return [
    `link add ${name} address ${["02", ...octets].join(":")} type bridge mcast_snooping 0`,
    `link set ${name} up`,
  ];
}

/** `ip` commands for a bridge that gets no port: it has a carrier only as long as nobody has given it a link-layer address. */
export const emptyBridge = (name: string): readonly string[] => [`link add ${name} type bridge`, `link set ${name} up`];

export class Node extends Namespace {
  readonly options: NodeOptions;
  readonly lines: string[] = [];

  constructor(label: string, name: string, processes: Background[], options: NodeOptions) {
    super(label, name, processes);
    this.options = options;
  }

  /** A device to be, with addresses ("2001:db8::1/64"; duplicate address detection is off). */
  port(device: string, ...addresses: readonly string[]): Port {
    return { node: this, device, addresses };
  }

  /** `ip route add` of these words when the topology is built. The words tell the family: for an IPv6 default route without `via`, "::/0". */
  route(words: string): this {
    this.lines.push(`route add ${words}`);
    return this;
  }

  /** Any further `ip` command to run when the topology is built. */
  also(...lines: readonly string[]): this {
    this.lines.push(...lines);
    return this;
  }
}

let serial = 0;

export class Topology {
  readonly nodes: Node[] = [];
  readonly scratch: string;
  readonly #test: TestContext;
  readonly #processes: Background[] = [];
  readonly #captures: Capture[] = [];
  readonly #links: string[] = [];
  readonly #suffix = `${process.pid}${serial++ > 0 ? `-${serial}` : ""}`;

  constructor(test: TestContext) {
    this.#test = test;
    this.scratch = scratchDirectory("test");
    test.after(() => this.#tearDown());
  }

  node(label: string, options: NodeOptions = {}): Node {
    const node = new Node(label, `${label}-${this.#suffix}`, this.#processes, options);
    this.nodes.push(node);
    return node;
  }

  /** A virtual Ethernet wire between two ports. */
  link(a: Port, b: Port): void {
    this.#links.push(`link add ${a.device} netns ${a.node.name} type veth peer name ${b.device} netns ${b.node.name}`);
    for (const port of [a, b]) addressPort(port);
  }

  /** A switch with a wire to each port; the node it returns holds the bridge `br0` and, named like the stations, its ports. */
  segment(label: string, ...ports: readonly Port[]): Node {
    const node = this.node(label);
    node.also(...bridge("br0"));
    for (const port of ports) {
      this.link(port, node.port(port.node.label));
      node.also(`link set ${port.node.label} master br0`);
    }
    return node;
  }

  build(): void {
    run(["ip", "-batch", "-"], this.nodes.map(({ name }) => `netns add ${name}`).join("\n"));
    for (const node of this.nodes) {
      node.sysctl({
        "net.ipv6.conf.default.accept_dad": 0,
        "net.ipv6.conf.default.router_solicitations": 0,
        ...(node.options.forwarding ? { "net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1 } : {}),
        ...node.options.sysctl,
      });
    }
    if (this.#links.length > 0) run(["ip", "-batch", "-"], this.#links.join("\n"));
    for (const node of this.nodes) node.ip("link set lo up", ...node.lines);
  }

  /** Starts to write down what passes a device; resolves when nothing that is sent from now on can be missed. */
  async capture(node: Node, device: string, filter = ""): Promise<Capture> {
    const file = join(this.scratch, `${node.label}-${device}-${this.#captures.length}.pcap`);
    const capture = new Capture(node, device, filter, file);
    this.#captures.push(capture);
    await capture.started();
    return capture;
  }

  async #tearDown(): Promise<void> {
    const failed = !(this.#test as { readonly passed?: boolean }).passed; // @types/node 20 does not know it yet
    const kept = failed || (this.#captures.length > 0 && process.env["DSMIPD_KEEP_CAPTURES"] !== undefined);
    const directory = kept ? artifactsDirectory(artifactName(this.#test.name)) : "";
    if (failed) {
      for (const node of this.nodes) {
        if (existsSync(node.path)) writeFileSync(join(directory, `${node.label}.txt`), describe(node));
      }
    }
    await Promise.allSettled(this.#processes.map((process) => process.stop()));
    if (failed) {
      for (const { name, log } of this.#processes) writeFileSync(join(directory, `${name}.log`), log);
    }
    if (kept) {
      for (const { file } of this.#captures) {
        if (existsSync(file)) copyFileSync(file, join(directory, basename(file)));
      }
    }
    const existing = this.nodes.filter(({ path }) => existsSync(path));
    if (existing.length > 0) run(["ip", "-batch", "-"], existing.map(({ name }) => `netns del ${name}`).join("\n"));
    rmSync(this.scratch, { recursive: true, force: true });
  }
}

function addressPort({ node, device, addresses }: Port): void {
  node.also(...addresses.map((address) => `address add ${address} dev ${device}`));
  node.also(`link set ${device} up`);
}
