/**
 * Whatever happens for a while — moves, loss, duplication, reordering, NATs that forget, freezes, restarts — when the world comes to
 * rest both sides agree on where the node is and in which format payload travels, nobody has thrown, and nobody runs in a circle (the
 * simulation fails after a bounded number of steps).
 */
import fc from "fast-check";
import t from "tap";
import { PLACES, type PlaceName, World } from "./places.js";
import { Simulation } from "./simulation.js";

type Act =
  | { readonly kind: "plug"; readonly device: "eth0" | "eth1"; readonly place: PlaceName }
  | { readonly kind: "unplug" | "deprecate"; readonly device: "eth0" | "eth1" }
  | { readonly kind: "weather"; readonly loss: number; readonly duplication: number; readonly jitterMs: number }
  | { readonly kind: "block"; readonly place: PlaceName; readonly blocked: boolean }
  | {
      readonly kind:
        | "forget-nat"
        | "freeze"
        | "thaw"
        | "restart-node"
        | "restart-home-agent"
        | "lose-journal"
        | "refresh";
    }
  | { readonly kind: "wait"; readonly seconds: number };

const device = fc.constantFrom("eth0" as const, "eth1" as const);
const place = fc.constantFrom(...PLACES);
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("plug" as const), device, place }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("unplug" as const, "deprecate" as const), device }) },
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
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        ...(["forget-nat", "freeze", "thaw", "restart-node", "restart-home-agent", "lose-journal", "refresh"] as const),
      ),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), seconds: fc.constantFrom(0.005, 0.05, 0.5, 2, 8, 40) }),
  },
);

function perform(sim: Simulation, world: World, one: Act): void {
  const { node } = sim;
  switch (one.kind) {
    case "plug":
      node.plug(one.device, world.plug(one.place, one.device === "eth0" ? 10 : 20));
      break;
    case "unplug":
      node.unplug(one.device);
      break;
    case "deprecate":
      node.deprecate(one.device);
      break;
    case "weather":
      world.weather(one.loss, one.duplication, one.jitterMs);
      break;
    case "block":
      if (one.blocked) for (const type of ["ipv6", "udp"] as const) world.networks[one.place].blocked.add(type);
      else world.networks[one.place].blocked.clear();
      break;
    case "forget-nat":
      world.nat.forgetMappings();
      break;
    case "freeze":
      sim.freeze();
      break;
    case "thaw":
      sim.thaw();
      break;
    case "restart-node":
      node.restart();
      break;
    case "restart-home-agent":
      sim.restart();
      break;
    case "lose-journal":
      node.forget();
      break;
    case "refresh":
      node.give({ kind: "refresh" });
      break;
    case "wait":
      sim.run(one.seconds);
      break;
  }
}

const LIFETIME_SECONDS = 120;
/** Two of the longest waits for an answer. */
const REST_SECONDS = 75;

function agreesInTheEnd(seed: number, acts: readonly Act[], last: PlaceName): readonly string[] {
  const sim = new Simulation({
    seed,
    node: { lifetimeSeconds: LIFETIME_SECONDS },
    homeAgent: { natRefreshSeconds: 30 },
  });
  const world = new World();
  for (const one of acts) perform(sim, world, one);
  sim.thaw();
  world.weather(0, 0, 0);
  for (const network of Object.values(world.networks)) network.blocked.clear();
  sim.node.unplug("eth1");
  sim.node.plug("eth0", world.plug(last));
  // A node at home that has lost its journal does not know of the binding; that one ends by itself.
  const forgetful = acts.some((one) => one.kind === "lose-journal");
  sim.run(forgetful ? LIFETIME_SECONDS + REST_SECONDS : REST_SECONDS);
  const { phase } = sim.node.state;
  const expected = last === "home" ? ["home"] : ["registered", "refreshing"];
  return expected.includes(phase) ? sim.node.disagreements() : [`phase ${phase}`];
}

t.test("after any disturbance that ends, both sides agree and no machine has thrown", (t) => {
  fc.assert(
    fc.property(fc.nat(), fc.array(act, { maxLength: 40, size: "max" }), place, (seed, acts, last) => {
      const problems = agreesInTheEnd(seed, acts, last);
      if (problems.length > 0) throw new Error(problems.join("; "));
    }),
    { numRuns: 300, seed: 5555 },
  );
  t.pass("held");
  t.end();
});

t.test("moves with both networks up lose and double nothing, in any order and at any distance", (t) => {
  const latencies = fc.array(fc.integer({ min: 0, max: 200 }), { minLength: 4, maxLength: 4 });
  // Two links to one home link are not two networks.
  const twiceHome = (places: readonly PlaceName[]): boolean =>
    places.some((name, i) => name === "home" && places[i + 1] === "home");
  const tour = fc.array(place, { minLength: 2, maxLength: 6 }).filter((places) => !twiceHome(places));
  fc.assert(
    fc.property(tour, latencies, fc.integer({ min: 0, max: 19 }), (places, delays, phase) => {
      const sim = new Simulation();
      const world = new World(delays);
      const { node } = sim;
      node.plug("eth0", world.plug(places[0] ?? "home"));
      sim.run(5 + phase / 1000);
      node.talk();
      places.slice(1).forEach((name, i) => {
        const [old, next] = i % 2 === 0 ? (["eth0", "eth1"] as const) : (["eth1", "eth0"] as const);
        node.plug(next, world.plug(name, 20 + i));
        node.deprecate(old);
        sim.run(5);
        node.unplug(old);
        sim.run(0.5);
      });
      node.silence();
      sim.run(1);
      const counts = [node.up.lost, node.down.lost, node.up.duplicates, node.down.duplicates];
      if (counts.some((count) => count > 0)) throw new Error(`lost and doubled up and down: ${counts.join(" ")}`);
    }),
    { numRuns: 100, seed: 5555 },
  );
  t.pass("held");
  t.end();
});
