/** `make demo`: dual-stack mobile nodes on tour, everything measured, an orderly end. See --help. */
import { parseArgs } from "node:util";
import { FROZEN_SECONDS } from "./freeze.js";
import { HandoverDemo } from "./handover.js";
import { keepObstacle, keepUp, shell } from "./keep.js";
import { isProfile, isProtocol, PROFILES, PROTOCOLS } from "./profile.js";
import { CUT_SECONDS, DELAY_MS, RouteOptimisationDemo } from "./route-optimisation.js";
import type { Run } from "./run.js";

const SCENES: readonly string[] = ["handover", "route-optimisation"];

const USAGE = `usage: make demo [ARGS='OPTION ...']

Two mobile nodes with an IPv4 and an IPv6 flow each way (eight flows) travel: home, IPv6, public IPv4, behind a NAT, which then
forgets them, IPv6, home; and go out again for a home agent whose process is frozen for ${FROZEN_SECONDS} s. Everything is measured, and the
exit status is 0 if all of it was as expected.

  --json     one JSON document instead of tables
  --scene=handover|route-optimisation   (default handover) route-optimisation: one node and a correspondent that is a dsmipd too; each
             way to the home agent takes ${DELAY_MS} ms, flows leave it for the direct path (RFC 6275 §11) and come back to it, and all links of
             the home agent are cut for ${CUT_SECONDS} s; of the options below with --rate and --keep alone
  --security=static|ikev2   who keys the protection (default static); with ikev2 payload travels in ESP, and what is in clear is counted
  --profile=rfc5555|soliman2004   how updates travel in IPv4 networks (default rfc5555); with soliman2004 in protocol 41 and never in
             UDP (draft-soliman-v4v6-mipv6-00), through no NAT: the tour is home, IPv6, public IPv4, home
  --protocol=mip6|mip4   by which the nodes register (default mip6); with mip4 the tour is home, public IPv4, behind the NAT, a foreign
             agent, home, IPv6 goes in the tunnels of IPv4, and the foreign agent is a dsmipd too
  --hard     every move is a hard handover: the old network goes before the new one comes
  --rate N   packets a second of each flow (default 50)
  --keep     afterwards start again, leave everything up and say how to enter it
  --help`;

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    hard: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    scene: { type: "string", default: "handover" },
    security: { type: "string", default: "static" },
    profile: { type: "string", default: "rfc5555" },
    protocol: { type: "string", default: "mip6" },
    rate: { type: "string", default: "50" },
    help: { type: "boolean", default: false },
  },
});

const print = (text: string): void => {
  if (!options.json) process.stdout.write(`${text}\n`);
};

/** Throws if the options do not go together. */
function chosen(): Run {
  const { scene, security, profile, protocol, hard, keep } = options;
  const ikev2 = security === "ikev2";
  const mip4 = protocol === "mip4";
  if (!SCENES.includes(scene)) throw new Error(`--scene ${scene}: ${SCENES.join(" or ")} is wanted`);
  if (!["static", "ikev2"].includes(security)) throw new Error(`--security ${security}: static or ikev2 is wanted`);
  if (!isProfile(profile)) throw new Error(`--profile ${profile}: ${PROFILES.join(" or ")} is wanted`);
  if (profile === "soliman2004" && ikev2)
    throw new Error(
      "--profile soliman2004 with --security ikev2: the profile has no tunnel in ESP; --security static is wanted",
    );
  if (!isProtocol(protocol)) throw new Error(`--protocol ${protocol}: ${PROTOCOLS.join(" or ")} is wanted`);
  if (mip4 && (ikev2 || profile !== "rfc5555"))
    throw new Error(
      "--protocol mip4 with --security ikev2 or --profile: Mobile IPv4 has neither ESP nor binding updates; leave them out",
    );
  const rate = Number(options.rate);
  if (!(rate >= 1 && rate <= 1000))
    throw new Error(`--rate ${options.rate}: a number of packets a second from 1 to 1000 is wanted`);
  const obstacle = keep ? keepObstacle() : undefined;
  if (obstacle !== undefined) throw new Error(obstacle);
  if (scene === "handover") return new HandoverDemo({ ikev2, profile, protocol, rate, hard, keep }, print);
  if (ikev2 || mip4 || hard || profile !== "rfc5555")
    throw new Error(
      "--scene route-optimisation with --security, --profile, --protocol or --hard: it has static keys, Mobile IPv6 and networks that overlap; leave them out",
    );
  return new RouteOptimisationDemo({ rate, keep }, print);
}

async function main(): Promise<number> {
  if (options.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const demo = chosen();
  const interrupted = (): void => void demo.remove().then(() => process.exit(130));
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  await demo.run();
  if (options.keep && demo.daemons.length > 0) demo.kept = await keepUp(demo);
  const { report } = demo;
  if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else print(`\n${demo.verdict}`);
  for (const line of report.kept ?? []) print(line);
  if (!options.keep) await demo.remove();
  else if (process.stdin.isTTY) await shell().then(() => demo.remove());
  else for (const daemon of demo.daemons) daemon.leave();
  return report.ok ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
