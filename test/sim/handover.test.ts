/** Moves between all kinds of access networks: with both networks up nothing is lost; in bad weather both sides agree in the end. */
import t from "tap";
import { FORMATS, PLACES, type PlaceName, World } from "./places.js";
import { Simulation } from "./simulation.js";

const PAIRS = PLACES.flatMap((from) => PLACES.filter((to) => to !== from).map((to) => [from, to] as const));

function start(place: PlaceName, seed = 1): { sim: Simulation; world: World } {
  const sim = new Simulation({ seed });
  const world = new World();
  sim.node.plug("eth0", world.plug(place));
  sim.run(3);
  return { sim, world };
}

t.test("with both networks up a move in any direction loses and doubles nothing", (t) => {
  for (const [from, to] of PAIRS) {
    const { sim, world } = start(from);
    const { node } = sim;
    node.talk();
    sim.run(1);
    node.plug("eth1", world.plug(to));
    node.deprecate("eth0");
    sim.run(5);
    node.unplug("eth0");
    sim.run(2);
    node.silence();
    sim.run(1);
    const name = `${from} to ${to}`;
    t.equal(node.observedUplink()?.type, FORMATS[to], name);
    t.strictSame(node.disagreements(), [], name);
    t.strictSame([node.up.lost, node.down.lost, node.up.duplicates, node.down.duplicates], [0, 0, 0, 0], name);
    t.ok(node.down.sent > 390, name);
  }
  t.end();
});

t.test("the whole tour with both networks up, two nodes at once, nothing lost", (t) => {
  const sim = new Simulation({ nodes: 2 });
  const world = new World();
  const tour: readonly PlaceName[] = ["home", "ipv6", "ipv4", "nat", "ipv6", "home"];
  const hosts = [10, 11];
  sim.nodes.forEach((node, i) => void node.plug("eth0", world.plug("home", hosts[i])));
  sim.run(3);
  for (const node of sim.nodes) node.talk();
  tour.slice(1).forEach((place, step) => {
    const [old, next] = step % 2 === 0 ? ["eth0", "eth1"] : ["eth1", "eth0"];
    sim.nodes.forEach((node, i) => {
      node.plug(next as string, world.plug(place, hosts[i]));
      node.deprecate(old as string);
    });
    sim.run(4);
    for (const node of sim.nodes) node.unplug(old as string);
    sim.run(1);
    for (const node of sim.nodes) t.equal(node.observedUplink()?.type, FORMATS[place], place);
  });
  for (const node of sim.nodes) node.silence();
  sim.run(1);
  for (const node of sim.nodes) {
    t.strictSame([node.up.lost, node.down.lost, node.up.duplicates, node.down.duplicates], [0, 0, 0, 0]);
  }
  t.end();
});

t.test("a hard move loses what was sent while the node was nowhere, and what the registration takes", (t) => {
  for (const [from, to] of PAIRS) {
    const { sim, world } = start(from);
    const { node } = sim;
    node.talk();
    sim.run(1);
    node.unplug("eth0");
    sim.run(1);
    node.plug("eth0", world.plug(to));
    sim.run(5);
    node.silence();
    sim.run(1);
    const name = `${from} to ${to}`;
    t.strictSame(node.disagreements(), [], name);
    // One second without a network is 50 packets; DAD on the home link takes another before the home agent answers.
    const most = 50 + (from === "home" ? 50 : 0) + 10;
    t.ok(node.up.lost <= most && node.down.lost <= most, `${name}: ${node.up.lost} up, ${node.down.lost} down`);
  }
  t.end();
});

t.test("moves in any direction with loss, duplication and reordering end in agreement", (t) => {
  for (const [index, [from, to]] of PAIRS.entries()) {
    for (let seed = 1; seed <= 5; seed++) {
      const { sim, world } = start(from, 100 * index + seed);
      const { node } = sim;
      world.weather(0.4, 0.3, 2500);
      node.plug("eth1", world.plug(to));
      node.deprecate("eth0");
      sim.run(4);
      node.unplug("eth0");
      sim.run(60);
      world.weather(0, 0, 0);
      sim.run(130);
      t.strictSame(node.disagreements(), [], `${from} to ${to}, seed ${seed}`);
    }
  }
  t.end();
});

t.test("a node that comes home while everything is lost is home when its binding has ended", (t) => {
  const { sim, world } = start("ipv6");
  world.networks.home.weather.loss = 1;
  sim.node.plug("eth1", world.plug("home"));
  sim.run(30);
  t.equal(sim.node.state.phase, "deregistering");
  t.equal(sim.node.observedUplink()?.type, "ipv6", "the tunnel is used meanwhile");
  sim.run(700);
  t.equal(sim.node.state.phase, "home");
  t.strictSame(sim.node.disagreements(), []);
  t.end();
});

t.test("duplicate address detection at the home agent finds nobody when a node leaves home", (t) => {
  const { sim, world } = start("home");
  sim.node.plug("eth1", world.plug("ipv6"));
  sim.node.deprecate("eth0");
  sim.run(3);
  t.ok(sim.effects.some((effect) => effect.kind === "dad"));
  t.equal(sim.node.state.phase, "registered");
  t.strictSame(sim.node.disagreements(), []);
  t.end();
});
