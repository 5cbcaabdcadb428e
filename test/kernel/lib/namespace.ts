/** One network namespace: commands in it, and what the kernel says of it in JSON. */
import { run, runAsync } from "./command.js";
import { Background } from "./process.js";

/** An object as `ip -j` or `nft -j` prints it; tests know which fields they look at. */
// biome-ignore lint/suspicious/noExplicitAny: the shape is the tool's, and every field is checked by the assertion that uses it
export type JsonObject = Record<string, any>;

export class Namespace {
  /** As in `ip netns`. */
  readonly name: string;
  /** What the test calls it. */
  readonly label: string;
  readonly #processes: Background[];

  constructor(label: string, name: string, processes: Background[]) {
    this.label = label;
    this.name = name;
    this.#processes = processes;
  }

  get path(): string {
    return `/run/netns/${this.name}`;
  }

  /** A command vector that enters the namespace first. */
  inside(command: readonly string[]): string[] {
    return ["nsenter", `--net=${this.path}`, ...command];
  }

  run(...command: readonly string[]): string {
    return run(this.inside(command));
  }

  runAsync(...command: readonly string[]): Promise<string> {
    return runAsync(this.inside(command));
  }

  /** A bash script; for tests that read best as the commands a person would type. */
  script(text: string): string {
    return run(this.inside(["bash", "-euo", "pipefail", "-c", text]));
  }

  /** What `ip xfrm policy` prints, one line each. Without /etc/protocols it has numbers in the place of names. */
  policies(): readonly string[] {
    return this.run("ip", "xfrm", "policy")
      .replaceAll(/\s*\n\s+/g, " ")
      .replaceAll("proto 135 ", "proto mobility-header ")
      .split("\n");
  }

  /** `ip` commands without the word ip, in one process; the first that fails is an error. */
  ip(...lines: readonly string[]): string {
    return run(["ip", "-n", this.name, "-batch", "-"], lines.join("\n"));
  }

  /** What `ip -j WORDS` prints: ipJson("-6 route show table all"). */
  ipJson(words: string): JsonObject[] {
    const text = run(["ip", "-n", this.name, "-j", "-d", ...words.split(" ")]);
    return text.trim() === "" ? [] : (JSON.parse(text) as JsonObject[]);
  }

  /** A ruleset in nft's language, as one transaction. */
  nft(ruleset: string): string {
    return run(this.inside(["nft", "-f", "-"]), ruleset);
  }

  /** The objects of `nft -j WORDS` without its metainfo: nftJson("list ruleset"). */
  nftJson(words: string): JsonObject[] {
    const text = run(this.inside(["nft", "-j", ...words.split(" ")]));
    const { nftables } = JSON.parse(text) as { nftables: JsonObject[] };
    return nftables.filter((object) => !("metainfo" in object));
  }

  /** Kernel settings, by their dotted names. */
  sysctl(settings: Readonly<Record<string, string | number>>): void {
    const words = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
    if (words.length > 0) run(this.inside(["sysctl", "-qw", ...words]));
  }

  /** A program beside the test; it is stopped with the topology, and its log is kept when the test fails. */
  spawn(command: readonly string[], options: { name?: string; environment?: Record<string, string> } = {}): Background {
    const name = options.name ?? `${this.label}-${command[0]?.split("/").at(-1)}`;
    const process = new Background(name, this.inside(command), options.environment);
    this.#processes.push(process);
    return process;
  }

  /** Packets and drops by name, of this namespace (`nstat`): counters("Ip6InReceives"). */
  counters(...names: readonly string[]): Readonly<Record<string, number>> {
    const text = run(this.inside(["nstat", "-asjz", ...names]));
    return (JSON.parse(text) as { kernel: Record<string, number> }).kernel;
  }
}
