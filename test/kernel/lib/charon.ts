/** strongSwan's charon in a namespace of the test, with a VICI socket of its own, and the files that identities are proved with. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectUnixStream } from "../../../controller/io/unix/stream.js";
import { isSection, type ViciSection } from "../../../controller/vici/message.js";
import { ViciSession } from "../../../controller/vici/session.js";
import type { Namespace } from "./namespace.js";
import type { Background } from "./process.js";
import { SLOW } from "./surroundings.js";
import { waitFor } from "./wait.js";

const setTimer = (delayMs: number, callback: () => void): (() => void) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};

/**
 * charon asks for a sign of life while the node moves, from an address that is gone, and gives its SA up after the last repetition. That
 * must take longer than the move: 7 s on hardware, a minute where everything is slower.
 */
const RETRANSMISSIONS = SLOW > 1 ? 16 : 4;

const LOG = `filelog { stderr { default = 1
    ike = 1
    knl = 1
    job = 2 } }`;

/** One association pair as charon tells it. */
export interface ChildSa {
  readonly name: string;
  readonly state: string;
  readonly mode: string;
  readonly spiIn: string;
  readonly spiOut: string;
}

export interface IkeSa {
  readonly state: string;
  readonly localHost: string;
  readonly remoteHost: string;
  readonly remotePort: number;
  readonly remoteIdentity: string;
  readonly children: readonly ChildSa[];
}

export interface CharonOptions {
  /** Logs nothing: for measurements. */
  readonly quiet?: boolean;
  /** The settings by which dsmipd leads its MOBIKE (README). */
  readonly mobike?: boolean;
  /** Further lines of its section in strongswan.conf. */
  readonly settings?: readonly string[];
}

const MOBIKE_PLUGINS = `kernel-netlink { fwmark = !0x6191 }
    socket-default { fwmark = 0x6191 }`;

export class Charon {
  readonly namespace: Namespace;
  readonly socketPath: string;
  readonly #configuration: string;
  #process: Background | undefined;

  constructor(
    namespace: Namespace,
    directory: string,
    { quiet = false, mobike = false, settings = [] }: CharonOptions = {},
  ) {
    this.namespace = namespace;
    const folder = join(directory, `${namespace.label}-charon`);
    mkdirSync(folder, { recursive: true });
    this.socketPath = join(folder, "charon.vici");
    this.#configuration = join(folder, "strongswan.conf");
    writeFileSync(
      this.#configuration,
      `charon-systemd {
  load_modular = yes
  install_routes = no
  install_virtual_ip = no
  ${mobike ? "prefer_best_path = yes" : ""}
  retransmit_timeout = 0.5
  retransmit_base = 1.5
  retransmit_tries = ${RETRANSMISSIONS}
  retransmit_limit = 4
  ${settings.join("\n  ")}
  ${quiet ? "syslog { daemon { default = -1 } }\n  journal { default = -1 }" : LOG}
  plugins { include /etc/strongswan.d/charon/*.conf
    # What Debian's packages bring and this has no use for.
    forecast { load = no }
    connmark { load = no }
    dhcp { load = no }
    farp { load = no }
    # A node moves when dsmipd says so: without this charon makes its SA anew when an address goes.
    ${mobike ? MOBIKE_PLUGINS : "kernel-netlink { roam_events = no }"}
    vici { socket = unix://${this.socketPath} } }
}
`,
    );
  }

  get process(): Background {
    if (this.#process === undefined) throw new Error(`charon in ${this.namespace.label} was not started`);
    return this.#process;
  }

  async start(): Promise<void> {
    this.#process = this.namespace.spawn(["/usr/sbin/charon-systemd"], {
      name: `${this.namespace.label}-charon`,
      environment: { STRONGSWAN_CONF: this.#configuration },
    });
    const up = async (): Promise<boolean> => (await this.#ask((session) => session.command("version"))) !== undefined;
    await waitFor(up, { what: `charon in ${this.namespace.label}`, timeout: 20_000, interval: 50 });
  }

  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exited;
  }

  sas(): Promise<readonly IkeSa[]> {
    return listSas(this.socketPath);
  }

  /** A command as a person would give it with swanctl. */
  async command(name: string, section: ViciSection): Promise<ViciSection> {
    return this.#ask((session) => session.command(name, section, { timeoutMs: 20_000 }));
  }

  #ask<T>(question: (session: ViciSession) => Promise<T>): Promise<T> {
    return ask(this.socketPath, question);
  }
}

/** The IKE SAs that the charon behind the socket has. */
export async function listSas(socketPath: string): Promise<readonly IkeSa[]> {
  const events = await ask(socketPath, (session) => session.stream("list-sas", {}, "list-sa"));
  return events.flatMap((event) => Object.values(event).filter(isSection)).map(ikeSa);
}

async function ask<T>(socketPath: string, question: (session: ViciSession) => Promise<T>): Promise<T> {
  const session = new ViciSession(await connectUnixStream(socketPath), { setTimer });
  try {
    return await question(session);
  } finally {
    session.close();
  }
}

const text = (section: ViciSection, name: string): string => {
  const value = section[name];
  return typeof value === "string" ? value : "";
};

function ikeSa(section: ViciSection): IkeSa {
  const children = section["child-sas"];
  const list = children !== undefined && isSection(children) ? Object.values(children).filter(isSection) : [];
  return {
    state: text(section, "state"),
    localHost: text(section, "local-host"),
    remoteHost: text(section, "remote-host"),
    remotePort: Number(text(section, "remote-port")),
    remoteIdentity: text(section, "remote-id"),
    children: list.map((child) => ({
      name: text(child, "name"),
      state: text(child, "state"),
      mode: text(child, "mode"),
      spiIn: text(child, "spi-in"),
      spiOut: text(child, "spi-out"),
    })),
  };
}
