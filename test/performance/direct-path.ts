/**
 * The direct path beside the way of the home agent, which is some way off: round trip and throughput of one TCP connection each, in turn, from a
 * mobile node to two addresses of one correspondent, of which one is optimised. All daemons are real.
 */
import { fetchDocument } from "../../controller/control/client.js";
import { correspondentsDocument } from "../../schemas/control.js";
import { Daemon } from "../kernel/lib/daemons.js";
import { CORRESPONDENT, type Mobile, type Scene } from "../kernel/lib/scene.js";
import { waitFor } from "../kernel/lib/wait.js";
import { withScene } from "./handover.js";
import { median, rounded } from "./statistics.js";

export interface DirectPathReport {
  /** What netem adds to each way between the home agent and everybody else. */
  readonly delayMs: number;
  readonly direct: WayReport;
  readonly byHomeAgent: WayReport;
  /** Medians of neighbouring measurements. */
  readonly roundTripRatio: number;
  readonly throughputRatio: number;
}

export interface WayReport {
  readonly roundTripMs: number;
  readonly megabitsPerSecond: number;
}

const DELAY_MS = 20;
const ROUNDS = 5;
const SECONDS = 2;
const PINGS = 20;
const PORT = 5001;
/** To this address nobody's route is optimised. */
const BESIDE = "2001:db8:c::3";

/** Counts what comes and says, at the end of each connection, how many octets and nanoseconds it was. */
const SINK = `require("node:net").createServer((one) => {
  let octets = 0, begin;
  one.on("data", (data) => { begin ??= process.hrtime.bigint(); octets += data.length; });
  one.on("end", () => one.end(octets + " " + (process.hrtime.bigint() - begin)));
}).listen(${PORT}, "::", () => console.log("listening"))`;
const SOURCE = `const [, to, from, seconds] = process.argv;
const one = require("node:net").connect({ host: to, port: ${PORT}, localAddress: from });
const data = Buffer.alloc(65536);
const until = Date.now() + 1000 * seconds;
const more = () => { while (Date.now() < until) if (!one.write(data)) return; one.end(); };
one.on("connect", more).on("drain", more).on("data", (text) => process.stdout.write(text));`;

export async function measureDirectPath(note: (text: string) => void): Promise<DirectPathReport> {
  const routeOptimisation = { deny: [`${BESIDE}/128`], minimumAgeSeconds: 0 };
  return withScene({ mobileNode: { routeOptimisation } }, async (scene) => {
    await prepare(scene);
    const direct: WayReport[] = [];
    const byHomeAgent: WayReport[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      note(`direct path and home agent, round ${round + 1} of ${ROUNDS}`);
      direct.push(measure(scene.mobile, CORRESPONDENT.ipv6));
      byHomeAgent.push(measure(scene.mobile, BESIDE));
    }
    const summed = (reports: readonly WayReport[]): WayReport => ({
      roundTripMs: rounded(median(reports.map(({ roundTripMs }) => roundTripMs))),
      megabitsPerSecond: rounded(median(reports.map(({ megabitsPerSecond }) => megabitsPerSecond))),
    });
    const ratio = (pick: (one: WayReport) => number): number =>
      rounded(median(direct.map((one, i) => pick(one) / pick(byHomeAgent[i] as WayReport))));
    return {
      ...{ delayMs: DELAY_MS, direct: summed(direct), byHomeAgent: summed(byHomeAgent) },
      roundTripRatio: ratio(({ roundTripMs }) => roundTripMs),
      throughputRatio: ratio(({ megabitsPerSecond }) => megabitsPerSecond),
    };
  });
}

/** The node is away over IPv6 and has its direct path, and somebody listens. */
async function prepare(scene: Scene): Promise<void> {
  const { ha, core, cn, net, mobile } = scene;
  const delay = (device: string): readonly string[] => [
    ...["tc", "qdisc", "add", "dev", device, "root", "netem", "delay", `${DELAY_MS}ms`],
  ];
  ha.run(...delay("wan"));
  core.run(...delay("ha"));
  cn.ip(`address add ${BESIDE}/64 dev eth0 nodad`);
  const role = { role: "correspondent-node", correspondentNode: { addresses: [CORRESPONDENT.ipv6], allow: ["::/0"] } };
  const correspondent = new Daemon(cn, { directory: net.scratch }, role);
  const sink = cn.spawn([process.execPath, "-e", SINK], { name: "sink" });
  await Promise.all([correspondent.start(), mobile.daemon.start(), sink.waitForLog(/listening/)]);
  await scene.move(mobile, "six");
  // The first packet asks for the path.
  mobile.node.spawn(["ping", "-6", "-i", "0.2", "-I", mobile.home6, CORRESPONDENT.ipv6], { name: "ping" });
  await waitFor(
    async () => {
      const text = await fetchDocument(mobile.daemon.socketPath, "/correspondents");
      return correspondentsDocument.parse(text).correspondents.some(({ direct }) => direct);
    },
    { what: "a direct path" },
  );
}

function measure({ node, home6 }: Mobile, to: string): WayReport {
  const pings = node.run("ping", "-6", "-q", "-i", "0.05", "-c", String(PINGS), "-I", home6, to);
  const average = Number(/= [\d.]+\/([\d.]+)\//.exec(pings)?.[1]);
  const sent = node.run(process.execPath, "-e", SOURCE, to, home6, String(SECONDS));
  const [octets = Number.NaN, nanoseconds = Number.NaN] = sent.split(" ").map(Number);
  return { roundTripMs: average, megabitsPerSecond: (8000 * octets) / nanoseconds };
}
