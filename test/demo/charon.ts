/** strongSwan's charon beside each dsmipd of the demonstration, with a socket and a log of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MachineName, Topology } from "./topology.js";
import { until } from "./until.js";

const CHARON = "/usr/sbin/charon-systemd";
const START = { seconds: 60 };

export const viciPath = (directory: string, machine: MachineName): string =>
  join(directory, `${machine}-charon`, "vici");

export class Charon {
  readonly machine: MachineName;
  readonly #child: ChildProcess;

  constructor(topology: Topology, machine: MachineName, directory: string) {
    this.machine = machine;
    const folder = join(directory, `${machine}-charon`);
    mkdirSync(folder, { recursive: true });
    const configuration = join(folder, "strongswan.conf");
    writeFileSync(configuration, configurationOf(viciPath(directory, machine)));
    const log = openSync(join(folder, "log"), "a");
    this.#child = spawn("nsenter", [`--net=${topology.path(machine)}`, CHARON], {
      stdio: ["ignore", log, log],
      env: { ...process.env, STRONGSWAN_CONF: configuration },
      detached: true,
    });
    closeSync(log);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Its sockets' policies go with it. */
  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGTERM");
    await ended;
  }
}

/** One for each machine that runs dsmipd; resolves when all of them can be asked. */
export async function startCharons(topology: Topology, directory: string): Promise<readonly Charon[]> {
  if (!existsSync(CHARON))
    throw new Error(`${CHARON} is missing; run: apt-get install charon-systemd strongswan-swanctl`);
  const charons = (["ha", "mn1", "mn2"] as const).map((machine) => new Charon(topology, machine, directory));
  for (const { machine } of charons) {
    await until(`charon in ${machine}`, START, () => existsSync(viciPath(directory, machine)) || undefined);
  }
  return charons;
}

const configurationOf = (socket: string): string => `charon-systemd {
  load_modular = yes
  install_routes = no
  install_virtual_ip = no
  filelog { stderr { default = 1 } }
  plugins { include /etc/strongswan.d/charon/*.conf
    forecast { load = no }
    connmark { load = no }
    dhcp { load = no }
    farp { load = no }
    kernel-netlink {
      roam_events = no
      spdh_thresh {
        ipv4 {
          lbits = 0
          rbits = 32
        }
        ipv6 {
          lbits = 0
          rbits = 128
        }
      }
    }
    vici { socket = unix://${socket} } }
}
`;
