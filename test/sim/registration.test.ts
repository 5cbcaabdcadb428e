/** A mobile node and its home agent, machine to machine: registrations, NATs, restarts, the end. */
import t from "tap";
import { lookup } from "../../controller/protocol/mip6/home-agent/machine.js";
import { listEntries } from "../../controller/protocol/mip6/mobile-node/binding-update-list.js";
import { FORMATS, PLACES, type PlaceName, World } from "./places.js";
import { Simulation, type SimulationOptions } from "./simulation.js";

function settled(place: PlaceName, options: SimulationOptions = {}): { sim: Simulation; world: World } {
  const sim = new Simulation(options);
  const world = new World();
  sim.node.plug("eth0", world.plug(place));
  sim.run(3);
  return { sim, world };
}

t.test(
  "R5555-2.3.1-02 R5555-2.3.2.1-05 R5555-2.3.2.1-06 R5555-2.3.2.2-05: both sides agree in every kind of access network",
  (t) => {
    for (const place of PLACES) {
      const { sim } = settled(place);
      const { node } = sim;
      t.strictSame(node.disagreements(), [], place);
      t.equal(node.observedUplink()?.type, FORMATS[place], place);
      t.equal(node.homeAgent.downlink(node.site.homeAddress).type, FORMATS[place], place);
      const entries = listEntries(node.site, node.state.registration).map((entry) => entry.homeAddress);
      const home = place === "home";
      t.strictSame(entries, home ? [] : [node.site.homeAddress, node.site.ipv4HomeAddress], place);
      for (const address of [node.site.homeAddress, node.site.ipv4HomeAddress ?? node.site.homeAddress]) {
        t.equal(lookup(sim.homeAgent, address)?.homeAddress, home ? undefined : node.site.homeAddress, place);
      }
    }
    t.end();
  },
);

t.test("F is granted as UDP without a NAT; refused, plain IPv4 is used", (t) => {
  const granted = settled("ipv4", { node: { forceUdp: true } }).sim;
  t.equal(granted.node.observedUplink()?.type, "udp");
  t.strictSame(granted.node.disagreements(), []);
  const refused = settled("ipv4", { node: { forceUdp: true }, homeAgent: { forceUdp: "refuse" } }).sim;
  t.equal(refused.node.observedUplink()?.type, "ipv4");
  t.strictSame(refused.node.disagreements(), []);
  t.end();
});

t.test("updates keep an idle NAT mapping; a lost one is found by the next", (t) => {
  const { sim, world } = settled("nat");
  const { node } = sim;
  const portOf = () => {
    const outer = node.homeAgent.downlink(node.site.homeAddress);
    return outer.type === "udp" ? outer.destinationPort : undefined;
  };
  const first = portOf();
  sim.run(1000);
  t.equal(portOf(), first, "longer than the mapping lives without updates");
  t.strictSame(node.disagreements(), []);
  world.nat.forgetMappings();
  t.not(node.disagreements().length, 0);
  sim.run(111);
  t.not(portOf(), first);
  t.strictSame(node.disagreements(), []);
  t.end();
});

t.test("several nodes behind one NAT address are told apart by port", (t) => {
  const sim = new Simulation({ nodes: 3 });
  const world = new World();
  sim.nodes.forEach((node, i) => void node.plug("eth0", world.plug("nat", 10 + i)));
  sim.run(3);
  const ports = sim.nodes.map((node) => {
    t.strictSame(node.disagreements(), []);
    const outer = node.homeAgent.downlink(node.site.homeAddress);
    return outer.type === "udp" ? outer.destinationPort : 0;
  });
  t.equal(new Set(ports).size, 3);
  t.end();
});

t.test("IPv6 that answers nothing is left for IPv4 after three updates", (t) => {
  const sim = new Simulation();
  const world = new World();
  const { ipv6 } = world.plug("ipv6");
  world.networks.ipv4.blocked.add("ipv6");
  sim.node.plug("eth0", { ...world.plug("ipv4"), ...(ipv6 === undefined ? {} : { ipv6 }) });
  sim.run(10);
  const sent = sim.node.effects.flatMap((effect) => (effect.kind === "send" ? [effect.departure.type] : []));
  t.strictSame(new Set(sent), new Set(["native-home-address-option"]));
  t.equal(sent.length, 3);
  sim.run(3);
  t.strictSame(sim.node.disagreements(), []);
  t.equal(sim.node.observedUplink()?.type, "ipv4");
  t.end();
});

t.test("R5555-4.4.2.1-05: stopping removes everything at the home agent, from every place", (t) => {
  for (const place of PLACES) {
    const { sim } = settled(place);
    sim.node.give({ kind: "stop" });
    sim.run(1);
    t.equal(sim.node.state.phase, "stopped", place);
    t.equal(sim.paths.size, 0, place);
    t.equal(lookup(sim.homeAgent, sim.node.site.homeAddress), undefined, place);
    t.match(sim.node.effects.at(-1), { kind: "stopped", deregistered: true }, place);
  }
  t.end();
});

t.test("flows run on while the home agent is frozen, and while either side is killed and started again", (t) => {
  for (const place of PLACES) {
    const { sim } = settled(place);
    const { node } = sim;
    node.talk();
    sim.run(1);
    sim.freeze();
    sim.run(5);
    sim.thaw();
    sim.run(1);
    node.restart();
    sim.run(3);
    sim.restart();
    sim.run(3);
    node.give({ kind: "refresh" });
    sim.run(3);
    node.silence();
    sim.run(1);
    t.strictSame([node.up.lost, node.down.lost, node.up.duplicates, node.down.duplicates], [0, 0, 0, 0], place);
    t.ok(node.up.sent > 700, place);
    t.strictSame(node.disagreements(), [], place);
  }
  t.end();
});

t.test("a node that lost its journal learns its sequence number from the home agent", (t) => {
  const { sim } = settled("ipv6");
  sim.run(500);
  const { node } = sim;
  const used = node.state.lastSequence;
  node.forget();
  sim.run(2);
  t.ok(node.state.lastSequence > used);
  t.equal(node.state.phase, "registered");
  t.strictSame(node.disagreements(), []);
  t.end();
});

t.test("a binding lives as long as it is refreshed, and no longer", (t) => {
  const { sim, world } = settled("ipv6");
  sim.run(4000);
  t.strictSame(sim.node.disagreements(), []);
  world.networks.ipv6.blocked.add("ipv6");
  sim.run(700);
  t.equal(sim.paths.size, 0, "the home agent has let go");
  t.equal(sim.node.path?.egress, undefined, "so has the node");
  world.networks.ipv6.blocked.clear();
  sim.run(40);
  t.strictSame(sim.node.disagreements(), [], "and it found back");
  t.end();
});
