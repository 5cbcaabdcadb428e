#!/usr/bin/env node
/** dsmipd: argv to daemon. Exit codes: 0 stopped as asked, 1 an error told in one sentence, 2 wrong usage. */
import { networkInterfaces } from "node:os";
import { Command } from "commander";
import { ConfigError, MobilityError } from "./base/errors.js";
import { type IpAddress, parseIp } from "./base/ip.js";
import { type LoadedConfig, loadConfig } from "./config/config.js";
import { radvdSection } from "./config/radvd.js";
import { type Daemon, startDaemon } from "./daemon/daemon.js";
import { enterNamespace, isSyscallError } from "./io/native.js";
import { makeLogger } from "./log.js";
import { VERSION } from "./version.js";

/** Prints the sentence and ends; a bug shows its stack, everything else does not. */
function fail(error: unknown): never {
  const known = error instanceof MobilityError && error.code !== "MIP_INVARIANT";
  const text = known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`dsmipd: ${text}\n`);
  process.exit(1);
}

function enter(path: string): void {
  try {
    enterNamespace(path);
  } catch (cause) {
    if (!isSyscallError(cause)) throw cause;
    const why = {
      ENOENT: "there is no such file",
      EINVAL: "is no network namespace",
      EPERM: "may not be entered without CAP_SYS_ADMIN",
    };
    const reason = why[cause.code as keyof typeof why] ?? `cannot be entered (${cause.code})`;
    throw new MobilityError("MIP_NAMESPACE", `${path}: ${reason}; ip netns list shows the names under /run/netns`, {
      cause,
    });
  }
}

async function run(options: { readonly config: string; readonly netns?: string }): Promise<void> {
  // Ignored until there is a log to tell it: by default it would end the process, also one that is starting.
  let tellHangUp = (): void => undefined;
  process.on("SIGHUP", () => tellHangUp());
  const loaded: LoadedConfig = loadConfig(options.config);
  if (options.netns !== undefined) enter(options.netns);
  const log = makeLogger(loaded.config.log.level);
  tellHangUp = () =>
    log.warn(
      { event: "daemon.hang-up", signal: "SIGHUP" },
      "the configuration is read at the start only, the signal is ignored; restart the daemon for a new one",
    );
  // A bug. The kernel keeps what it has, so that no node loses a packet, and the next start takes it over.
  process.on("uncaughtException", (error) => {
    log.fatal({ event: "daemon.failed", reason: error.message, stack: error.stack });
    process.exit(1);
  });
  let daemon: Daemon | undefined;
  let stopping = false;
  const finish = (running: Daemon): void => void running.stop().then(() => process.exit(0), fail);
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return;
    stopping = true;
    log.info({ event: "daemon.stopping", signal });
    if (daemon !== undefined) finish(daemon);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  daemon = await startDaemon(loaded, log);
  // The signal came during the start: what has been made is taken out again.
  if (stopping) finish(daemon);
}

const program = new Command("dsmipd")
  .description(
    "Dual-stack IP mobility: Mobile IPv6 (RFC 5555) and Mobile IPv4 (RFC 5944, RFC 5454). Home agent, mobile node or foreign agent, as the configuration says. Signalling here, payload in the kernel.",
  )
  .version(VERSION)
  .showHelpAfterError("(dsmipd --help says more)")
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

program
  .command("run")
  .description("run in the foreground until SIGTERM")
  .requiredOption("-c, --config <file>", "configuration file (YAML)")
  .option("--netns <path>", "network namespace to live in, e.g. /run/netns/NAME")
  .action(run);

program
  .command("check")
  .description("read the configuration and the key file, say what is wrong with them, and end")
  .requiredOption("-c, --config <file>", "configuration file (YAML)")
  .action((options: { config: string }) => {
    const { config } = loadConfig(options.config);
    process.stdout.write(`${options.config}: fine, ${config.role}\n`);
  });

program
  .command("radvd")
  .description(
    "print the section of radvd.conf by which the home link and other home agents learn of this one (RFC 6275 §7)",
  )
  .requiredOption("-c, --config <file>", "configuration file (YAML) of a home agent")
  .action((options: { config: string }) => {
    const { config } = loadConfig(options.config);
    if (config.role !== "home-agent")
      throw new ConfigError(`${options.config}: role is ${config.role}; only a home agent advertises itself`);
    process.stdout.write(radvdSection(config, options.config, addressesOf));
  });

function addressesOf(device: string): readonly IpAddress[] {
  return (networkInterfaces()[device] ?? []).flatMap(({ address }) => parseIp(address) ?? []);
}

program.parseAsync().catch(fail);
