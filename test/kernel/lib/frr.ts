/** FRR's zebra and bgpd in a namespace, with their files in a folder of the test. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Namespace } from "./namespace.js";
import { waitFor } from "./wait.js";

const DAEMONS = "/usr/lib/frr";
type Daemon = "zebra" | "bgpd";

export class Frr {
  readonly #namespace: Namespace;
  readonly #folder: string;

  /** `lines`: what stands in frr.conf. */
  constructor(namespace: Namespace, directory: string, lines: readonly string[]) {
    this.#namespace = namespace;
    this.#folder = join(directory, `${namespace.label}-frr`);
    mkdirSync(this.#folder, { recursive: true });
    for (const one of [directory, this.#folder]) chmodSync(one, 0o777); // both run as user frr
    writeFileSync(join(this.#folder, "frr.conf"), `${lines.join("\n")}\n`);
  }

  async start(): Promise<void> {
    const shared = ["--config_file", join(this.#folder, "frr.conf"), "--vty_socket", this.#folder];
    const api = ["--socket", join(this.#folder, "zserv.api"), "--vty_port", "0"];
    for (const daemon of ["zebra", "bgpd"] as const) {
      const pid = ["--pid_file", join(this.#folder, `${daemon}.pid`)];
      const words = [join(DAEMONS, daemon), ...shared, ...api, ...pid, "--log", "stdout"];
      this.#namespace.spawn(words, { name: `${this.#namespace.label}-${daemon}` });
      await waitFor(() => this.#answers(daemon), { what: `${daemon} in ${this.#namespace.label}`, timeout: 20_000 });
    }
  }

  /** What vtysh answers to a command. */
  async show(daemon: Daemon, command: string): Promise<string> {
    return this.#namespace.runAsync("vtysh", "--vty_socket", this.#folder, "-d", daemon, "-c", command);
  }

  async #answers(daemon: Daemon): Promise<true | undefined> {
    return this.show(daemon, "show version").then(
      () => true,
      () => undefined,
    );
  }
}
