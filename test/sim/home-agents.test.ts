/**
 * Two home agents on one home link, a mobile router that names its networks, one that does not, and a host. Whatever happens for a while
 * (acts.ts): when the world comes to rest, each node and one home agent agree within the protocol's own timers, the other home agent has
 * forgotten it, every kernel holds what its machine says and nothing else, and nobody owns anything of somebody else's.
 */
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import t from "tap";
import { formatPrefix } from "../../controller/base/ip.js";
import { planBinding } from "../../controller/plan/home-agent/plan.js";
import { objectKey } from "../../controller/plan/objects/objects.js";
import { dataPaths } from "../../controller/protocol/mip6/home-agent/machine.js";
import { isBound } from "../../controller/protocol/mip6/home-agent/states.js";
import { randomRuns } from "../lib/random-runs.js";
import { type Act, calm, hostNumber, perform, schedules } from "./acts.js";
import { SWITCH_AFTER_SECONDS } from "./finder.js";
import type { SimulatedHomeAgent } from "./home-agent.js";
import type { SimulatedNode } from "./node.js";
import { PLACES, type PlaceName, World } from "./places.js";
import { Simulation } from "./simulation.js";

const LIFETIME_SECONDS = 120;
/** Until a binding elsewhere has ended, then a change of the home agent and two of the longest waits for an answer. */
const REST_SECONDS = LIFETIME_SECONDS + SWITCH_AFTER_SECONDS + 75;
const NODES = 3;

function problemsOf(seed: number, acts: readonly Act[], last: readonly PlaceName[]): readonly string[] {
  const sim = new Simulation({
    seed,
    nodes: NODES,
    homeAgents: 2,
    routers: ["explicit", "implicit"],
    node: { lifetimeSeconds: LIFETIME_SECONDS },
    homeAgent: { natRefreshSeconds: 30 },
  });
  const world = new World();
  for (const one of acts) {
    perform(sim, world, one);
    const owners = sim.homeAgents.flatMap(ownership);
    if (owners.length > 0) return owners;
  }
  calm(sim, world);
  sim.nodes.forEach((node, i) => {
    node.unplug("eth1");
    node.plug("eth0", world.plug(last[i] ?? "ipv6", hostNumber(i, "eth0")));
  });
  sim.run(2 * REST_SECONDS);
  const agreed = [
    ...sim.nodes.flatMap((node, i) => disagreements(sim, node, last[i] ?? "ipv6")),
    ...sim.homeAgents.flatMap(kernelDifferences),
    ...sim.homeAgents.flatMap(ownership),
  ];
  if (agreed.length > 0) return agreed;
  for (const node of sim.nodes) node.stop();
  sim.run(REST_SECONDS);
  return leftovers(sim);
}

function disagreements(sim: Simulation, node: SimulatedNode, place: PlaceName): readonly string[] {
  const { homeAddress, prefixes = [] } = node.site;
  const who = `${homeAddress} at ${place}`;
  const { phase } = node.state;
  const expected = place === "home" ? ["home"] : ["registered", "refreshing"];
  if (!expected.includes(phase)) return [`${who}: phase ${phase}`];
  const holders = sim.homeAgents.filter(({ paths }) => paths.has(homeAddress));
  const wanted = place === "home" ? [] : [node.homeAgent];
  if (!isDeepStrictEqual(holders, wanted)) return [`${who}: ${holders.length} home agents hold a binding`];
  const path = node.homeAgent.paths.get(homeAddress);
  const forwarded = (path?.prefixes ?? []).map(formatPrefix);
  const networks = place === "home" ? [] : prefixes.map(formatPrefix);
  return [
    ...node.disagreements().map((one) => `${who}: ${one}`),
    ...(isDeepStrictEqual(forwarded, networks) ? [] : [`${who}: ${forwarded.join(" ")} are forwarded`]),
    ...(path === undefined || path.ipv4HomeAddress === node.site.ipv4HomeAddress ? [] : [`${who}: no IPv4 address`]),
  ];
}

/** A home agent's kernel holds what its machine stands for. */
function kernelDifferences({ state, paths, site }: SimulatedHomeAgent): readonly string[] {
  const wanted = [...dataPaths(state)];
  const same =
    wanted.length === paths.size && wanted.every((one) => isDeepStrictEqual(one, paths.get(one.homeAddress)));
  return same ? [] : [`the kernel of ${site.addresses.ipv6} holds ${JSON.stringify([...paths.values()])}`];
}

/** No two nodes have a kernel object between them, and nobody a binding past its lifetime. */
function ownership(homeAgent: SimulatedHomeAgent): readonly string[] {
  const { site, paths } = homeAgent;
  const plan = {
    addresses: site.addresses,
    homePrefixes: site.homePrefixes,
    homeDevice: "home0",
    mtu: 1400,
    profiles: new Map([["default", { dscp: "copy", ttl: 64 } as const]]),
    prefixLengths: { ipv4: [16], ipv6: [56] },
  };
  const owners = new Map<string, string>();
  const problems: string[] = [];
  for (const path of paths.values()) {
    for (const object of planBinding(path, plan)) {
      const key = objectKey(object);
      const other = owners.get(key);
      if (other !== undefined && other !== path.homeAddress)
        problems.push(`${key} is of ${other} and ${path.homeAddress}`);
      owners.set(key, path.homeAddress);
    }
  }
  return problems;
}

function leftovers({ nodes, homeAgents }: Simulation): readonly string[] {
  return [
    ...nodes.flatMap(({ state, path }) => [
      ...(state.phase === "stopped" ? [] : [`a node that was stopped is ${state.phase}`]),
      ...(path === undefined ? [] : ["a node that was stopped has a data path"]),
    ]),
    ...homeAgents.flatMap(({ paths, state }) => [
      ...[...paths.keys()].map((homeAddress) => `the path of ${homeAddress} is left`),
      ...[...state.cache.entries()]
        .filter((entry) => isBound(entry.state))
        .map(({ homeAddress }) => `the binding of ${homeAddress} is left`),
    ]),
  ];
}

t.test(
  "with two home agents, routers and a host: whatever happens, each node and one home agent agree in the end, and nothing is left over",
  (t) => {
    const places = fc.array(fc.constantFrom(...PLACES), { minLength: NODES, maxLength: NODES });
    fc.assert(
      fc.property(fc.nat(), schedules(NODES, 2), places, (seed, acts, last) => {
        const problems = problemsOf(seed, acts, last);
        if (problems.length > 0) throw new Error(problems.join("; "));
      }),
      { ...randomRuns(100), includeErrorInReport: true },
    );
    t.pass("held");
    t.end();
  },
);
