/**
 * Whatever happens for a while — moves, loss, duplication, reordering, NATs that forget, freezes, restarts — when the world comes to
 * rest both sides agree on where the node is and in which format payload travels, nobody has thrown, and nobody runs in a circle (the
 * simulation fails after a bounded number of steps).
 */
import fc from "fast-check";
import t from "tap";
import { randomRuns } from "../lib/random-runs.js";
import { type Act, calm, perform, schedules } from "./acts.js";
import { PLACES, type PlaceName, World } from "./places.js";
import { Simulation } from "./simulation.js";

const place = fc.constantFrom(...PLACES);

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
  calm(sim, world);
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
    fc.property(fc.nat(), schedules(1, 1), place, (seed, acts, last) => {
      const problems = agreesInTheEnd(seed, acts, last);
      if (problems.length > 0) throw new Error(problems.join("; "));
    }),
    randomRuns(300),
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
    randomRuns(100),
  );
  t.pass("held");
  t.end();
});
