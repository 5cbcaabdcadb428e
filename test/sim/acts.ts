/** What happens to nodes, networks and home agents in random schedules. */
import fc from "fast-check";
import { PLACES, type PlaceName, type World } from "./places.js";
import type { Simulation } from "./simulation.js";

export type Act =
  | {
      readonly kind: "plug";
      readonly node: number;
      readonly device: "eth0" | "eth1";
      readonly place: PlaceName;
    }
  | { readonly kind: "unplug" | "deprecate"; readonly node: number; readonly device: "eth0" | "eth1" }
  | { readonly kind: "weather"; readonly loss: number; readonly duplication: number; readonly jitterMs: number }
  | { readonly kind: "block"; readonly place: PlaceName; readonly blocked: boolean }
  | { readonly kind: "forget-nat" }
  | {
      readonly kind: "freeze" | "thaw" | "restart-home-agent" | "die" | "boot";
      readonly homeAgent: number;
    }
  | { readonly kind: "restart-node" | "lose-journal" | "refresh" | "force-udp"; readonly node: number }
  | { readonly kind: "wait"; readonly seconds: number };

/** Schedules for so many nodes and home agents. With a single home agent none dies: nobody would be there instead. */
export function schedules(nodes: number, homeAgents: number): fc.Arbitrary<readonly Act[]> {
  const node = fc.nat(nodes - 1);
  const homeAgent = fc.nat(homeAgents - 1);
  const device = fc.constantFrom("eth0" as const, "eth1" as const);
  const place = fc.constantFrom(...PLACES);
  const waits = fc.record({
    kind: fc.constant("wait" as const),
    seconds: fc.constantFrom(0.005, 0.05, 0.5, 2, 8, 40),
  });
  const ofHomeAgents = ["freeze", "thaw", "restart-home-agent", ...(homeAgents > 1 ? (["die", "boot"] as const) : [])];
  const act: fc.Arbitrary<Act> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("plug" as const), node, device, place }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constantFrom("unplug" as const, "deprecate" as const), node, device }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("block" as const), place, blocked: fc.boolean() }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("weather" as const),
        loss: fc.constantFrom(0, 0.2, 0.6),
        duplication: fc.constantFrom(0, 0.3),
        jitterMs: fc.constantFrom(0, 100, 4000),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("forget-nat" as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constantFrom(...(ofHomeAgents as Extract<Act, { readonly homeAgent: number }>["kind"][])),
        homeAgent,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constantFrom(...(["restart-node", "lose-journal", "refresh", "force-udp"] as const)),
        node,
      }),
    },
    { weight: 8, arbitrary: waits },
  );
  return fc.array(act, { maxLength: 40, size: "max" });
}

/** A node's address on each of its links, different from everybody else's. */
export const hostNumber = (node: number, device: "eth0" | "eth1"): number => (device === "eth0" ? 10 : 20) + node;

export function perform(sim: Simulation, world: World, one: Act): void {
  const node = "node" in one ? sim.nodes[one.node] : undefined;
  const homeAgent = "homeAgent" in one ? sim.homeAgents[one.homeAgent] : undefined;
  switch (one.kind) {
    case "plug":
      return node?.plug(one.device, world.plug(one.place, hostNumber(one.node, one.device)));
    case "unplug":
      return node?.unplug(one.device);
    case "deprecate":
      return node?.deprecate(one.device);
    case "weather":
      return world.weather(one.loss, one.duplication, one.jitterMs);
    case "block":
      if (one.blocked) for (const type of ["ipv6", "udp"] as const) world.networks[one.place].blocked.add(type);
      else world.networks[one.place].blocked.clear();
      return;
    case "forget-nat":
      return world.nat.forgetMappings();
    case "freeze":
      return homeAgent?.freeze();
    case "thaw":
      return homeAgent?.thaw();
    case "restart-home-agent":
      return homeAgent?.restart();
    case "die":
      return homeAgent?.die();
    case "boot":
      return homeAgent?.boot();
    case "restart-node":
      return node?.restart();
    case "lose-journal":
      return node?.forget();
    case "refresh":
      return node?.give({ kind: "refresh" });
    case "force-udp":
      return node?.give({ kind: "refresh", forceUdp: true });
    case "wait":
      sim.run(one.seconds);
  }
}

/** Nothing disturbs any more: everybody runs, all networks are as they should be. */
export function calm(sim: Simulation, world: World): void {
  for (const homeAgent of sim.homeAgents) {
    homeAgent.boot();
    homeAgent.thaw();
  }
  world.weather(0, 0, 0);
  for (const network of Object.values(world.networks)) network.blocked.clear();
}
