/** The real charon for one test: a network namespace, a socket and a configuration of its own; the system's is left alone. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectUnixStream } from "../../controller/io/unix/stream.js";
import type { ViciTransport } from "../../controller/vici/transport.js";

const PROGRAM = "/usr/sbin/charon-systemd";

/** Why charon cannot be run here, or false. */
export function charonMissing(): string | false {
  if (!existsSync(PROGRAM)) return "charon is not installed (apt install charon-systemd strongswan-swanctl)";
  if (process.getuid?.() !== 0) return "charon needs root";
  return spawnSync("unshare", ["-n", "true"]).status === 0
    ? false
    : "no network namespace can be made here (unshare -n)";
}

const configuration = (folder: string): string => `
charon-systemd {
  load = random nonce aes sha1 sha2 hmac kdf pem pkcs1 pkcs8 x509 pubkey openssl gcm kernel-netlink socket-default vici
  plugins {
    vici {
      socket = unix://${join(folder, "vici")}
    }
  }
  journal {
    default = -1
  }
}
`;

export class RealCharon {
  readonly #folder = mkdtempSync(join(tmpdir(), "dsmipd-charon-"));
  #child: ChildProcess | undefined;

  readonly connect = (): Promise<ViciTransport> => connectUnixStream(this.socket);

  get socket(): string {
    return join(this.#folder, "vici");
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    const file = join(this.#folder, "strongswan.conf");
    writeFileSync(file, configuration(this.#folder));
    // It ends with this process, whatever becomes of it.
    const command = ["-n", "--", "setpriv", "--pdeathsig", "KILL", PROGRAM];
    const env = { ...process.env, STRONGSWAN_CONF: file };
    const child = spawn("unshare", command, { env, stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    let log = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
    for (let i = 0; i < 1000; i++) {
      const transport = await this.connect().catch(() => undefined);
      if (transport !== undefined) return transport.close();
      if (child.exitCode !== null || child.signalCode !== null) break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`charon did not start: ${log}`);
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  async dispose(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true });
  }
}
