/**
 * `make bench`: the measurements of the project, ratios of things measured side by side in one run. To be run as root in the bench
 * (test/bench/run), best in User Mode Linux: an emulated machine measures the emulation.
 */
import { availableParallelism, release } from "node:os";
import { parseArgs } from "node:util";
import { measureCorrespondentForwarding } from "./correspondent-forwarding.js";
import { measureCorrespondentRate } from "./correspondent-rate.js";
import { measureDirectPath } from "./direct-path.js";
import { measureFlood, writeFlood } from "./flood.js";
import { measureForwarding } from "./forwarding.js";
import { measureHandovers } from "./handover.js";
import { measureIkeRate } from "./ike-rate.js";
import { measureRegistration, type RegistrationOptions, type RegistrationReport } from "./registration.js";
import { type BenchmarkDocument, formatDocument } from "./report.js";
import { measureScale } from "./scale.js";
import { measureSecurityForwarding } from "./security-forwarding.js";

const SECTIONS = [
  "forwarding",
  "router-forwarding",
  "security-forwarding",
  "router-security-forwarding",
  "registration",
  "mip4-forwarding",
  "mip4-registration",
  "handover",
  "flood",
  "ike-rate",
  "scale",
  "route-optimisation",
] as const;

const USAGE = `usage: make bench [ARGS='OPTION ...']

  --json           one JSON document instead of tables
  --only SECTION   ${SECTIONS.join(", ")}; may be repeated
                   mip4-registration measures that of Mobile IPv6's hosts too, to be compared with
  --bindings N     bindings of the forwarding measurements of both protocols (10000, at most)
  --rounds N       slices of each kind in the forwarding measurement (25)
  --slice MS       length of a slice (20)
  --protected N    subscribers whose payload is in ESP (1000)
  --frames N       length of a slice there, in frames, and --esp-rounds N slices of each kind (1600, 10)
  --routers N      mobile routers with four prefixes each in the forwarding measurement (10000, at most)
  --protected-routers N  those whose payload is in ESP (2500)
  --nodes N        nodes that register at once: hosts, routers, and hosts by Mobile IPv4 (1000)
  --repetitions N  how often they all move (3)
  --handovers N    single handovers (200)
  --moves N        of one node, with static keys and with IKEv2 each (50)
  --flood N        packets a second of each kind of flood (10000), and --flood-handovers N under each (100)
  --flood-rounds N in so many rounds (5); --flood-kind KIND, which may be repeated, instead of all kinds
  --out DIR        the flood table also as DIR/flood.json
  --sas N          IKE SAs that charon makes at once (500)
  --connections N  subscribers that are loaded into charon (10000)
  --subscribers N  of the start-up measurement (10000)
  --correspondent-nodes N  nodes that a correspondent answers at once (1000, at most 2000); it has --bindings in the forwarding measurement`;

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [...SECTIONS] },
    bindings: { type: "string", default: "10000" },
    rounds: { type: "string", default: "25" },
    slice: { type: "string", default: "20" },
    protected: { type: "string", default: "1000" },
    frames: { type: "string", default: "1600" },
    "esp-rounds": { type: "string", default: "10" },
    routers: { type: "string", default: "10000" },
    "protected-routers": { type: "string", default: "2500" },
    nodes: { type: "string", default: "1000" },
    repetitions: { type: "string", default: "3" },
    handovers: { type: "string", default: "200" },
    moves: { type: "string", default: "50" },
    flood: { type: "string", default: "10000" },
    "flood-handovers": { type: "string", default: "100" },
    "flood-rounds": { type: "string", default: "5" },
    "flood-kind": { type: "string", multiple: true, default: [] },
    out: { type: "string" },
    sas: { type: "string", default: "500" },
    connections: { type: "string", default: "10000" },
    subscribers: { type: "string", default: "10000" },
    "correspondent-nodes": { type: "string", default: "1000" },
  },
});

/** Progress; in a bench machine both outputs are one, which a document must have for itself. */
function note(text: string): void {
  if (!values.json) process.stderr.write(`bench: ${text}\n`);
}

async function measure(): Promise<BenchmarkDocument> {
  const wanted = (section: (typeof SECTIONS)[number]): boolean => values.only.includes(section);
  const bench = process.env["DSMIPD_BENCH"] ?? "native";
  if (bench === "vm") note("this is an emulated machine; the numbers are its own (User Mode Linux: make um-kernel)");
  const bindings = Number(values.bindings);
  const routers = Number(values.routers);
  const slices = { rounds: Number(values.rounds), slice: { milliseconds: Number(values.slice) } };
  const forwarding = wanted("forwarding")
    ? measureForwarding({ kind: "hosts", bindings, ...slices }, note)
    : { forwarding: [], installs: [], routes: [] };
  const routerForwarding = wanted("router-forwarding")
    ? measureForwarding({ kind: "routers", bindings: routers, ...slices }, note)
    : null;
  const mip4Forwarding = wanted("mip4-forwarding")
    ? measureForwarding({ kind: "mip4", bindings, ...slices }, note)
    : null;
  const espSlices = { rounds: Number(values["esp-rounds"]), frames: Number(values.frames) };
  const securityForwarding = wanted("security-forwarding")
    ? measureSecurityForwarding({ kind: "hosts", subscribers: Number(values.protected), ...espSlices }, note)
    : null;
  const protectedRouters = Number(values["protected-routers"]);
  const routerSecurityForwarding = wanted("router-security-forwarding")
    ? measureSecurityForwarding({ kind: "routers", subscribers: protectedRouters, ...espSlices }, note)
    : null;
  const nodes = Number(values.nodes);
  const repetitions = Number(values.repetitions);
  const register = async (
    kind: RegistrationOptions["kind"],
    ...sections: readonly (typeof SECTIONS)[number][]
  ): Promise<RegistrationReport | null> => {
    if (!sections.some(wanted)) return null;
    note(`${nodes} ${kind === "mip4" ? "hosts by Mobile IPv4" : kind} register`);
    return measureRegistration({ kind, nodes, repetitions, handovers: Number(values.handovers) });
  };
  const registration = await register("hosts", "registration", "mip4-registration");
  const mip4Registration = await register("mip4", "mip4-registration");
  const routerRegistration = await register("routers", "registration");
  const handovers = wanted("handover") ? await measureHandovers(Number(values.moves), note) : [];
  const flood = wanted("flood")
    ? await measureFlood(
        {
          nodes: 50,
          handovers: Number(values["flood-handovers"]),
          rounds: Number(values["flood-rounds"]),
          perSecond: Number(values.flood),
          kinds: values["flood-kind"],
        },
        note,
      )
    : null;
  if (flood !== null && values.out !== undefined) writeFlood(process.env["DSMIPD_ARTIFACTS"] ?? values.out, flood);
  const rate = { sas: Number(values.sas), subscribers: Number(values.connections) };
  const ikeRate = wanted("ike-rate") ? await measureIkeRate(rate, note) : null;
  if (wanted("scale")) note(`${values.subscribers} subscribers`);
  const scale = wanted("scale") ? await measureScale(Number(values.subscribers)) : null;
  const routeOptimisation = wanted("route-optimisation")
    ? {
        bindings,
        directPath: await measureDirectPath(note),
        rate: await measureCorrespondentRate(Number(values["correspondent-nodes"])),
        forwarding: measureCorrespondentForwarding({ bindings, ...slices }, note),
      }
    : null;
  const machine = { kernel: release(), bench, processors: availableParallelism() };
  return {
    ...{ machine, bindings, ...forwarding, securityForwarding, registration, handovers, flood, ikeRate, scale },
    ...{ mip4Forwarding, mip4Registration, routeOptimisation },
    ...{ routers, routerForwarding, routerSecurityForwarding, routerRegistration },
  };
}

if (values.help) {
  process.stdout.write(`${USAGE}\n`);
} else {
  const document = await measure();
  process.stdout.write(`${values.json ? JSON.stringify(document, undefined, 2) : formatDocument(document)}\n`);
}
