/**
 * Puts the kernel objects of a home agent with COUNT bindings of one ACCESS into a network namespace and leaves them there: plan and
 * netlink as in the daemon, without a daemon. With "esp" payload is protected, under the keys of esp-frames.ts, and the policies and
 * associations of signalling are there too. Prints {"bindings", "objects", "milliseconds", "transactions"}.
 *
 * usage: node install.js NAMESPACE-PATH ACCESS COUNT hosts|routers [esp|mixed]
 */
import { parsePrefix } from "../../controller/base/ip.js";
import { openKernel } from "../../controller/daemon/kernel.js";
import { enterNamespace } from "../../controller/io/native.js";
import { planMip4Binding } from "../../controller/plan/home-agent/mip4/binding.js";
import { planMip4Site } from "../../controller/plan/home-agent/mip4/site.js";
import { planBinding, planHomeAgentSite } from "../../controller/plan/home-agent/plan.js";
import type { KernelObject } from "../../controller/plan/objects/objects.js";
import { assignSlots } from "../../controller/plan/security/request-ids.js";
import { planNegotiatedSubscriber } from "../../controller/plan/security/subscriber.js";
import type { NodeProtection } from "../../controller/plan/security/tunnel-associations.js";
import { type HomeAgentPlanSite, TUN_DEVICE, type TunnelProfileSpec } from "../../controller/plan/site.js";
import { homeAgentAssociations } from "./esp-frames.js";
import { make } from "./making.js";
import {
  ACCESSES,
  type Access,
  carrierOf,
  dataPathOf,
  endpointOf,
  HOME_AGENT,
  HOME_PREFIXES,
  isMip4,
  KINDS,
  type Kind,
  MIP4_ACCESSES,
  type Mip4Access,
  mip4DataPathOf,
  mobileNode,
  NETWORK_LENGTHS,
} from "./places.js";

/** "mixed": payload in ESP at a home agent that has a profile without protection too. */
type Protection = (typeof PROTECTIONS)[number];
const PROTECTIONS = ["none", "esp", "mixed"] as const;

/** With "esp" as where IKE gives the keys: its policies and rules are there, whoever has given these. */
function siteWith(protection: Protection, count: number, kind: Kind): HomeAgentPlanSite {
  const header = { dscp: "copy", ttl: 64 } as const;
  const profiles = new Map<string, TunnelProfileSpec>([
    ["default", { ...header, protection: protection === "none" ? "none" : "esp" }],
    ...(protection === "mixed" ? [["plain", header] as const] : []),
  ]);
  const homePrefixes = HOME_PREFIXES.map((text) => parsePrefix(text)).filter((prefix) => prefix !== undefined);
  const prefixLengths = { ipv4: [NETWORK_LENGTHS.ipv4], ipv6: [NETWORK_LENGTHS.ipv6] };
  const site = {
    ...{ addresses: HOME_AGENT, homePrefixes, mtu: 1400, profiles },
    ...(kind === "routers" && { prefixLengths }),
  };
  if (protection === "none") return site;
  const nodes = Array.from({ length: count }, (_, number) => mobileNode(number).homeAddress);
  return { ...site, negotiated: { slots: assignSlots(nodes), espInUdp: "nat" } };
}

function planNode(number: number, access: Access, site: HomeAgentPlanSite, kind: Kind): readonly KernelObject[] {
  const path = dataPathOf(number, access, kind);
  if (site.profiles.get("default")?.protection !== "esp") return planBinding(path, site);
  const endpoint = endpointOf(number, access);
  const protection: NodeProtection = {
    associations: { payload: homeAgentAssociations(number) },
    ...(endpoint.format === "udp" && { observedEsp: new Map([[endpoint.address, endpoint.port]]) }),
  };
  const signalling = { signalling: homeAgentAssociations(SIGNALLING + number) };
  return [
    ...planNegotiatedSubscriber(mobileNode(number).homeAddress, signalling, site),
    ...planBinding(path, site, protection),
  ];
}

/** What stands for a node whether it is bound or not; its policies, without keys. */
const subscriber = (number: number, site: HomeAgentPlanSite): readonly KernelObject[] =>
  planNegotiatedSubscriber(mobileNode(number).homeAddress, {}, site);

/** Far from the numbers of nodes, so that both purposes have keys and SPIs of their own. */
const SIGNALLING = 1_000_000;

/** The TUN device of the signalling would go with this process; payload never sees it. */
const ofSignalling = (object: KernelObject): boolean =>
  (object.kind === "link" && object.name === TUN_DEVICE) || ("device" in object && object.device === TUN_DEVICE);

async function install(
  access: Access | Mip4Access,
  count: number,
  kind: Kind,
  protection: Protection,
): Promise<Record<string, number>> {
  const kernel = await openKernel();
  const plain = siteWith(protection, count, kind);
  const site = isMip4(access) ? { ...plain, mip4: { prefixLengths: [128], gre: carrierOf(access) === "gre" } } : plain;
  await make(
    kernel,
    [...planHomeAgentSite(site), ...(isMip4(access) ? planMip4Site(site) : [])].filter(
      (object) => !ofSignalling(object),
    ),
  );
  // As at a home agent that runs: with the first policy for what leaves, the kernel asks all of them for each packet.
  if (protection === "none")
    await make(kernel, Array.from({ length: count }, (_, one) => subscriber(one, site)).flat());
  const objects = Array.from({ length: count }, (_, number) =>
    isMip4(access) ? planMip4Binding(mip4DataPathOf(number, access), site) : planNode(number, access, site, kind),
  ).flat();
  const before = kernel.counters().transactions;
  const begin = performance.now();
  await make(kernel, objects);
  const milliseconds = performance.now() - begin;
  kernel.close();
  return {
    bindings: count,
    objects: objects.length,
    milliseconds,
    transactions: kernel.counters().transactions - before,
  };
}

const [path = "", name = "", count = "", which = "", word = "none"] = process.argv.slice(2);
const access = [...ACCESSES, ...MIP4_ACCESSES].find((one) => one === name);
const kind = KINDS.find((one) => one === which);
const protection = PROTECTIONS.find((one) => one === word);
if (access === undefined || !(Number(count) > 0) || kind === undefined || protection === undefined)
  throw new Error("usage: node install.js NAMESPACE-PATH ACCESS COUNT hosts|routers [esp|mixed]");
enterNamespace(path);
process.stdout.write(`${JSON.stringify(await install(access, Number(count), kind, protection))}\n`);
