/** From a loaded configuration to a running role. */
import type { LoadedConfig } from "../config/config.js";
import type { NodeKeys } from "../config/keys.js";
import type { Logger } from "../log.js";
import { startCorrespondentNode } from "./correspondent-node/role.js";
import { startForeignAgent } from "./foreign-agent/role.js";
import { startHomeAgent } from "./home-agent/role.js";
import { startMip4Node } from "./mobile-node/mip4/role.js";
import { startMobileNode } from "./mobile-node/role.js";
import type { Running } from "./start.js";
import { notifySupervisor } from "./supervisor.js";

export interface Daemon {
  /** De-registers where that is the role's duty, takes everything out of the kernel, and closes. */
  stop(): Promise<void>;
}

/** Resolves when messages are answered. Throws MobilityError with a sentence for the operator. */
export async function startDaemon(loaded: LoadedConfig, log: Logger): Promise<Daemon> {
  const { config, keys } = loaded;
  const daemon = await startRole(loaded, log);
  if ("security" in config && config.security.method === "static-keys" && keys.size > 0)
    warnOfStaticKeys([...keys.values()], log);
  log.info({ event: "daemon.ready", role: config.role });
  notifySupervisor("READY=1");
  return {
    stop: () => {
      notifySupervisor("STOPPING=1");
      return daemon.stop();
    },
  };
}

function startRole({ config, keys, mip4, credentials }: LoadedConfig, log: Logger): Promise<Running> {
  if (config.role === "home-agent") return startHomeAgent(config, { keys, mip4, credentials }, log);
  if (config.role === "correspondent-node") return startCorrespondentNode(config, log);
  if (config.role === "foreign-agent") return startForeignAgent(config, mip4, log);
  if (config.protocol === "mip4") return startMip4Node(config, mip4, log);
  return startMobileNode(config, { keys, mip4, credentials }, log);
}

function warnOfStaticKeys(keys: readonly NodeKeys[], log: Logger): void {
  log.warn(
    { event: "security.static-keys" },
    "static keys are for labs: they never change; security.method ikev2 negotiates",
  );
  const gcm = keys.filter(({ update }) => update.algorithm === "aes-gcm");
  if (gcm.length === 0) return;
  const why = gcm.some(({ algorithmByDefault }) => algorithmByDefault)
    ? "keyFile names no algorithm, which means aes-gcm"
    : "keyFile has algorithm aes-gcm";
  const locked = gcm.some(({ replayWindow }) => replayWindow > 0)
    ? " and, with a replay window, its messages are dropped until they have passed the old numbers"
    : "";
  log.warn(
    { event: "security.aes-gcm", subscribers: gcm.length },
    `${why}: an end that starts anew uses its sequence numbers again, which breaks AES-GCM (RFC 8221 §3)${locked}; choose algorithm aes-cbc-hmac-sha256 at both ends`,
  );
}
