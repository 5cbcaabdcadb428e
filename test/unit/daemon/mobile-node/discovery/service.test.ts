/** When a node takes which home agent: at the start, after a silence, back again, over a restart; and that each life of it ends before the next. */
import t from "tap";
import { type IpAddress, type Ipv6Address, ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import { FinderService, type Node } from "../../../../../controller/daemon/mobile-node/discovery/service.js";
import type { HomeAgentCandidate } from "../../../../../controller/protocol/mip6/mobile-node/discovery/candidates.js";
import { mobileNodeConfig } from "../../../../../schemas/config/mobile-node.js";
import { FakeGround, type Stored } from "../../../../fake/service-ground.js";

const HOA = ipv6("2001:db8:1::100");
const agent = (n: number): HomeAgentCandidate => ({
  ipv6: ipv6(`2001:db8:1::${n}`),
  ipv4: ipv4(`203.0.113.${n}`),
  name: `ha${n}.example.org`,
});

class World {
  readonly fake = new FakeGround("mobile-node", []);
  /** What happens to the nodes, in order. */
  readonly life: string[] = [];
  readonly timers: { readonly seconds: number; readonly run: () => void }[] = [];
  found: readonly HomeAgentCandidate[] = [];
  /** A question had no answer. */
  incomplete = false;
  /** By the visited network alone. */
  offered = false;
  readiness: "registering" | "registered" | "home" | "detached" = "registering";
  /** Of the registration. */
  phase = "registering";
  refusal: Error | undefined;
  /** Who answers echo requests; undefined: nobody can be asked. */
  answering: readonly Ipv6Address[] | undefined;
  /** What happens while a node is being opened. */
  opening = (): void => undefined;
  lent: readonly IpAddress[] = [];
  /** How long a node takes to end. */
  farewell: Promise<void> = Promise.resolve();
  silent = (): void => undefined;
  tell = (_event: "registration.completed" | "registration.failed"): void => undefined;
  sentAway = (_homeAgents: readonly Ipv6Address[]): void => undefined;
  service!: FinderService;

  async start(...records: readonly (readonly [string, Stored])[]): Promise<void> {
    for (const [key, stored] of records) this.fake.records.set(key, stored);
    const config = mobileNodeConfig.parse({
      role: "mobile-node",
      mobileNode: {
        ...{ homeAddress: HOA, homePrefixes: ["2001:db8:1::/64"] },
        homeAgent: { domain: "example.org", switchAfterSeconds: 5, returnAfterSeconds: 60 },
      },
    });
    this.service = await FinderService.open("mobile-node", {
      config,
      ground: this.fake.ground,
      openNode: async ({ mobileNode }, ground, { onUnanswered, onSwitch }) => {
        this.opening();
        if (this.refusal !== undefined) throw this.refusal;
        this.silent = onUnanswered;
        this.phase = "registering";
        this.tell = (event) => ground.notify({ kind: "notify", event: { event, homeAddress: HOA, detail: {} } });
        this.sentAway = onSwitch;
        return this.node(mobileNode.homeAgent.ipv6, ground);
      },
      search: async () => {
        const faults = this.found.length === 0 ? ["nobody"] : [];
        return { candidates: this.found, faults, incomplete: this.incomplete, offered: this.offered };
      },
      answers: async ({ ipv6 }) => this.answering?.includes(ipv6),
      offers: { take: async () => ({ command: "offer", nodes: 1, outcome: "begun", status: null }) },
      setTimer: (delayMs, run) => {
        const timer = { seconds: delayMs / 1000, run };
        this.timers.push(timer);
        return () => {
          const at = this.timers.indexOf(timer);
          if (at >= 0) this.timers.splice(at, 1);
        };
      },
    });
    await this.fake.start(this.service);
  }

  node(home: string, ground: Parameters<Parameters<typeof FinderService.open>[1]["openNode"]>[1]): Node {
    const told = (what: string): void => void this.life.push(`${what} ${home.slice(-1)}`);
    const binding = () => ({ state: this.phase, endpoint: null });
    const views = { readiness: () => this.readiness, binding, bindings: () => [] };
    const world = this;
    return {
      get addresses() {
        return [HOA, ...world.lent];
      },
      ...{ name: "mobile-node", views: views as unknown as Node["views"] },
      prepare: () => new Map(),
      listen: () => {
        const site = {
          ...{ self: HOA, tunDevice: "", directMark: 0 },
          isProtected: (source: string) => source === home,
          sendsShortOptions: (source: string) => source === home,
        };
        ground.listen(site, { onMessage: () => told("message"), onDrop: () => undefined });
      },
      begin: () => told("begin"),
      onGroupResult: () => undefined,
      onLoss: () => undefined,
      objectsOf: () => [],
      ownerOf: () => undefined,
      abandon: () => told("abandon"),
      close: () => {
        told("close");
        return this.farewell;
      },
      leave: async () => told("leave"),
      withdraw: () => told("withdraw"),
    };
  }

  async elapse(seconds: number): Promise<void> {
    const timer = this.timers.find((one) => one.seconds === seconds);
    if (timer === undefined) throw new Error(`no timer of ${seconds} s, but ${this.timers.map((one) => one.seconds)}`);
    this.timers.splice(this.timers.indexOf(timer), 1);
    timer.run();
    await this.fake.settled();
  }

  accepted(): void {
    this.phase = "registered";
    this.tell("registration.completed");
  }

  /** Whoever has sent it. */
  async acknowledged(protection: "esp" | "none"): Promise<void> {
    const arrival = { path: { type: "native", device: "eth0" }, source: agent(1).ipv6, destination: HOA } as const;
    await this.fake.hears({ ...arrival, protection }, {
      ...{ type: "binding-acknowledgement", status: 0, sequence: 1, lifetimeUnits: 1, options: [] },
      flags: { keyManagement: false, mobileRouter: false, proxy: false, tlv: false, bulk: false },
    } as unknown as Parameters<FakeGround["hears"]>[1]);
  }
}

t.test("until somebody is found it asks again, later each time; then the best one is taken and kept", async (test) => {
  const world = new World();
  await world.start();
  test.equal(world.service.views.readiness(), "detached");
  await world.elapse(2);
  await world.elapse(4);
  world.found = [agent(1), agent(2)];
  await world.elapse(8);
  test.strictSame(world.life, ["begin 1"]);
  test.match(world.fake.events.at(-1), { event: "home-agent.chosen", detail: { name: "ha1.example.org" } });
  const kept = world.fake.records.get("home-agent");
  test.match(kept, { record: { ipv6: agent(1).ipv6, ipv4: agent(1).ipv4 } });
  await world.service.close();
  const next = new World();
  next.found = [agent(2), agent(1)];
  await next.start(["home-agent", kept as Stored]);
  test.strictSame(next.life, ["begin 1"], "the one of before, which is still among them");
  await next.elapse(60);
  test.strictSame(next.life, ["begin 1", "close 1", "begin 2"], "and back to the best one in its time");
  const other = new World();
  other.found = [agent(2)];
  await other.start(["home-agent", kept as Stored]);
  test.strictSame(other.life, ["begin 1", "close 1", "begin 2"], "it is no home agent any more");
});

t.test(
  "what its messages may be like is the present home agent's; its addresses are those it has now",
  async (test) => {
    const world = new World();
    await world.start();
    test.equal(world.fake.site?.sendsShortOptions?.(agent(1).ipv6), false, "nobody's yet");
    test.strictSame(world.service.addresses, [HOA]);
    world.found = [agent(1)];
    await world.elapse(2);
    test.equal(world.fake.site?.sendsShortOptions?.(agent(1).ipv6), true, "short options of the 2004 profile");
    test.equal(world.fake.site?.sendsShortOptions?.(agent(2).ipv6), false);
    world.lent = [ipv4("192.0.2.77")];
    test.strictSame(world.service.addresses, [HOA, ipv4("192.0.2.77")]);
  },
);

t.test("who has no home agent looks for one at once when its operator says refresh", async (test) => {
  const world = new World();
  await world.start();
  await world.elapse(2);
  await world.elapse(4);
  await test.rejects(async () => void (await world.service.command({ command: "report-loss" })), {
    message: /no home agent is known yet/,
  });
  test.equal(world.service.command({ command: "switch", to: [] }), undefined, "no command of a node");
  world.found = [agent(1)];
  test.match(await world.service.command({ command: "refresh" }), { outcome: "begun" });
  await world.fake.settled();
  test.strictSame(world.life, ["begin 1"]);
  test.strictSame(world.timers, [], "and not a second time");
});

t.test("an answer that was lost is asked for again, and takes nothing away that is known", async (test) => {
  const world = new World();
  const { ipv4: _, ...without } = agent(1);
  world.found = [without];
  world.incomplete = true;
  await world.start();
  test.strictSame(world.life, ["begin 1"], "what is known will do for now");
  world.found = [agent(1)];
  world.incomplete = false;
  await world.elapse(2);
  test.strictSame(world.life, ["begin 1", "leave 1", "begin 1"], "with its IPv4 address");
  test.strictSame(world.timers, [], "nothing is missing any more");
  const kept = world.fake.records.get("home-agent") as Stored;
  test.match(kept, { record: { ipv4: agent(1).ipv4 } });

  for (const found of [[without], [agent(2)]]) {
    const next = new World();
    next.found = found;
    next.incomplete = true;
    await next.start(["home-agent", kept]);
    test.strictSame(next.life, ["begin 1"], "the home agent of before, with its IPv4 address");
    next.found = [agent(2)];
    next.incomplete = false;
    await next.elapse(2);
    test.strictSame(next.life, ["begin 1", "close 1", "begin 2"], "it is none any more");
  }
});

t.test("whom another way has found while the names were not answered is no better than who is known", async (test) => {
  const world = new World();
  world.found = [agent(1), agent(2)];
  await world.start();
  world.accepted();
  world.found = [agent(3)];
  world.incomplete = true;
  world.silent();
  world.phase = "refreshing";
  world.silent();
  await world.elapse(5);
  test.equal(world.life.at(-1), "begin 2", "those that are known go before, too");
  world.accepted();
  await world.elapse(60);
  test.equal(world.life.at(-1), "begin 1", "and it returns to the best of them");
  test.notOk(
    world.timers.some(({ seconds }) => seconds === 120),
    "not from there to the one that was found",
  );
});

t.test("one that is silent for so long gives way to the next, and is tried again later and later", async (test) => {
  const world = new World();
  world.found = [agent(1), agent(2)];
  await world.start([HOA, { record: { of: "ha1" }, ageSeconds: 1 }]);
  world.silent();
  world.silent();
  world.accepted();
  test.strictSame(world.timers, [], "an answer ends the silence");
  world.tell("registration.failed");
  test.strictSame(world.timers, [], "what it does not accept besides, an IPv4 home address for example, is no silence");
  world.phase = "refreshing";
  world.silent();
  await world.acknowledged("none");
  test.equal(world.timers.length, 1, "what anybody can send ends no silence");
  await world.elapse(5);
  test.strictSame(world.life, ["begin 1", "message 1", "leave 1", "begin 2"]);
  test.notOk(world.fake.records.has(HOA), "what it had accepted is nothing to the other one");
  await world.acknowledged("esp");
  test.equal(world.life.at(-1), "message 2", "messages come to the present one");
  world.accepted();
  await world.elapse(60);
  test.strictSame(world.life.slice(-2), ["close 2", "begin 1"], "one that answers is told that the node leaves");
  world.silent();
  await world.elapse(5);
  test.strictSame(world.life.slice(-2), ["leave 1", "begin 2"]);
  test.strictSame(
    world.timers.map(({ seconds }) => seconds),
    [120],
  );
});

t.test("nobody is left for one that answers no echo request, where the present one does", async (test) => {
  const world = new World();
  world.found = [agent(1), agent(2)];
  await world.start();
  world.silent();
  await world.elapse(5);
  world.accepted();
  world.answering = [agent(2).ipv6];
  await world.elapse(60);
  test.equal(world.life.at(-1), "begin 2", "it stays");
  await world.elapse(120);
  test.equal(world.life.at(-1), "begin 2", "and is asked again later and later");
  world.answering = [agent(1).ipv6, agent(2).ipv6];
  await world.elapse(240);
  test.strictSame(world.life.slice(-2), ["close 2", "begin 1"]);
  for (const answering of [[], undefined]) {
    world.silent();
    await world.elapse(5);
    world.accepted();
    world.answering = answering;
    const [timer] = world.timers;
    await world.elapse(timer?.seconds ?? 0);
    test.strictSame(world.life.slice(-2), ["close 2", "begin 1"], "where nobody answers, echo requests say nothing");
  }
});

t.test("without a network, at home, or with nobody else, nobody is given up", async (test) => {
  for (const readiness of ["detached", "home"] as const) {
    const world = new World();
    world.found = [agent(1), agent(2)];
    await world.start();
    world.readiness = readiness;
    world.silent();
    await world.elapse(5);
    test.strictSame(world.life, ["begin 1"], readiness);
  }
  const alone = new World();
  alone.found = [agent(1)];
  await alone.start();
  alone.silent();
  await alone.elapse(5);
  test.strictSame(alone.life, ["begin 1"]);
});

t.test("a node that cannot be opened is tried again, and an end in between leaves nothing", async (test) => {
  const world = new World();
  world.found = [agent(1)];
  world.refusal = new Error("no kernel");
  await world.start();
  test.strictSame(world.life, []);
  world.refusal = undefined;
  await world.elapse(2);
  test.strictSame(world.life, ["begin 1"]);
  await world.service.close();
  test.equal(world.life.at(-1), "close 1");
  test.strictSame(world.timers, []);
});

t.test("sent away it says goodbye and takes the one that was named, or the next one", async (test) => {
  const world = new World();
  world.found = [agent(1), agent(2), agent(3)];
  await world.start();
  world.sentAway([agent(1).ipv6, agent(3).ipv6]);
  await world.fake.settled();
  test.strictSame(world.life, ["begin 1", "close 1", "begin 3"]);
  world.sentAway([]);
  await world.fake.settled();
  test.strictSame(world.life.slice(-2), ["close 3", "begin 2"], "not the one that has sent it away before");
  await world.elapse(60);
  test.strictSame(world.life.slice(-2), ["close 2", "begin 1"], "which is tried again later");
  world.sentAway([agent(7).ipv6]);
  await world.fake.settled();
  test.strictSame(world.life.slice(-2), ["close 1", "begin 7"], "one that was not found");

  const alone = new World();
  alone.found = [agent(1)];
  await alone.start();
  alone.sentAway([agent(1).ipv6]);
  await alone.fake.settled();
  test.strictSame(alone.life, ["begin 1", "withdraw 1"]);
});

t.test("whatever the node is doing, it takes its leave of a home agent that may hold a binding of it", async (test) => {
  for (const phase of ["preparing", "registering", "refreshing", "refused", "registered"]) {
    const world = new World();
    world.found = [agent(1), agent(2)];
    await world.start();
    world.silent();
    await world.elapse(5);
    test.strictSame(world.life, ["begin 1", "leave 1", "begin 2"], "one that is silent would not hear it");
    world.accepted();
    world.phase = phase;
    await world.elapse(60);
    test.strictSame(world.life.slice(-2), ["close 2", "begin 1"], phase);
  }
});

t.test("an end during the farewell waits for it, and opens no other node", async (test) => {
  const world = new World();
  world.found = [agent(1), agent(2)];
  await world.start();
  world.sentAway([]);
  await world.fake.settled();
  let heard = (): void => undefined;
  world.farewell = new Promise((resolve) => {
    heard = resolve;
  });
  world.sentAway([]);
  const ended = world.service.close();
  await world.fake.settled();
  const life = ["begin 1", "close 1", "begin 2", "close 2", "close 2"];
  test.strictSame(world.life, life, "to the node it is one, whoever asks");
  heard();
  await ended;
  await world.fake.settled();
  test.strictSame(world.life, life);
  test.strictSame(world.timers, [], "nor goes back to the best one");
});

t.test(
  "what a network offers is looked at at once by who has no home agent; who has one keeps it until that is silent",
  async (test) => {
    const world = new World();
    await world.start();
    world.found = [agent(2)];
    world.offered = true;
    world.incomplete = true;
    const offer = { command: "offer", interface: "eth0", dhcpv6: "" } as const;
    test.match(await world.service.command(offer), { command: "offer", outcome: "begun" });
    await world.fake.settled();
    test.strictSame(world.life, ["begin 2"]);
    await world.elapse(2);
    test.strictSame(world.life, ["begin 2"], "the better ways are asked again, and nothing comes of it");
    const kept = new World();
    kept.found = [agent(1)];
    kept.offered = true;
    await kept.start(["home-agent", world.fake.records.get("home-agent") as Stored]);
    await kept.service.command(offer);
    await kept.fake.settled();
    test.strictSame(kept.life, ["begin 2"], "in another network, with a home agent that is not offered there");
    test.notOk(
      kept.timers.some(({ seconds }) => seconds === 60),
      "no return to what is only offered",
    );
    kept.silent();
    await kept.elapse(5);
    test.strictSame(kept.life, ["begin 2", "leave 2", "begin 1"]);
  },
);

t.test("what names say goes before what a network offers", async (test) => {
  const world = new World();
  world.found = [agent(2)];
  world.offered = true;
  world.incomplete = true;
  await world.start();
  world.accepted();
  world.found = [agent(1)];
  world.offered = false;
  world.incomplete = false;
  await world.elapse(2);
  test.strictSame(world.life, ["begin 2", "close 2", "begin 1"]);
});

t.test("a daemon that ends while home agents change opens none, and looks for none", async (test) => {
  const world = new World();
  world.found = [agent(1), agent(2)];
  await world.start();
  await world.fake.settled();
  world.silent();
  await world.elapse(5);
  test.strictSame(world.life.splice(0), ["begin 1", "leave 1", "begin 2"]);
  const settled = world.fake.ground.groups.settled.bind(world.fake.ground.groups);
  world.fake.ground.groups.settled = async () => {
    await settled();
    await world.service.close();
  };
  world.sentAway([]);
  await new Promise(setImmediate);
  test.strictSame(world.life, ["close 2"]);
  test.strictSame(world.timers, []);
});

t.test("a home agent that is refused while the daemon ends is not looked for again", async (test) => {
  const world = new World();
  world.found = [agent(1), agent(2)];
  await world.start();
  await world.fake.settled();
  world.opening = () => void world.service.close();
  world.refusal = new Error("the platform is closed");
  world.sentAway([]);
  await new Promise(setImmediate);
  test.strictSame(world.life.slice(0, 2), ["begin 1", "close 1"]);
  test.strictSame(world.timers, []);
});
