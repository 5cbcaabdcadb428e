/** A node that is told its home addresses: when it asks, what it keeps, and how it begins anew under others. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import { BootstrapService } from "../../../../../controller/daemon/mobile-node/bootstrapping/service.js";
import type { Service, ServiceGround } from "../../../../../controller/daemon/service.js";
import type { HomeAddresses } from "../../../../../controller/ike/home-addresses.js";
import { mobileNodeConfig } from "../../../../../schemas/config/mobile-node.js";
import { FakeGround, type Stored } from "../../../../fake/service-ground.js";

const told = (n: number): HomeAddresses => ({ ipv6: ipv6(`2001:db8:1::${n}`), ipv4: ipv4(`198.51.100.${n}`) });
const IKE = { method: "ikev2", identity: "node@example.org", homeAgentIdentity: "ha.example.org" };

class World {
  readonly fake = new FakeGround("mobile-node", []);
  readonly life: string[] = [];
  readonly timers: (() => void)[] = [];
  readiness: "registering" | "detached" = "registering";
  refusal: Error | undefined;
  /** What happens while a node ends, or is being opened. */
  whileClosing = (): void => undefined;
  whileOpening = (): void => undefined;
  /** Answers the open question; undefined: nothing is asked. */
  answer: ((told: HomeAddresses) => Promise<void>) | undefined;
  ground!: ServiceGround;
  service!: BootstrapService;

  async start(further: object = {}, ...records: readonly (readonly [string, Stored])[]): Promise<void> {
    for (const [key, stored] of records) this.fake.records.set(key, stored);
    this.service = await BootstrapService.open("mobile-node", {
      config: mobileNodeConfig.parse({
        ...{ role: "mobile-node", security: IKE },
        mobileNode: {
          ...{ homeAddress: "auto", ipv4HomeAddress: "auto", homeAgent: { ipv6: "2001:db8:1::1" } },
          ...further,
        },
      }),
      ground: this.fake.ground,
      openNode: async ({ mobileNode }, ground) => {
        if (this.refusal !== undefined) throw this.refusal;
        this.ground = ground;
        this.whileOpening();
        const { homeAddress, ipv4HomeAddress, homePrefixes } = mobileNode;
        return this.node(`${homeAddress} ${ipv4HomeAddress} ${homePrefixes.map(({ length }) => length)}`, ground);
      },
      offers: {
        take: async ({ interface: link }) => {
          this.life.push(`offered ${link}`);
          return { command: "offer", nodes: 1, outcome: "begun", status: null };
        },
      },
      ask: (take) => {
        this.answer = take;
        return {
          close: () => {
            this.answer = undefined;
          },
        };
      },
      setTimer: (_, run) => {
        this.timers.push(run);
        return () => void (this.timers.includes(run) && this.timers.splice(this.timers.indexOf(run), 1));
      },
    });
    await this.fake.start(this.service);
  }

  node(name: string, ground: ServiceGround): Service {
    const note = (what: string): void => void this.life.push(`${what} ${name}`);
    const [address = ""] = name.split(" ");
    const views = { readiness: () => this.readiness, plan: () => [] };
    return {
      ...{ name, addresses: [ipv6(address)], views: views as unknown as Service["views"] },
      prepare: () => new Map(),
      listen: () =>
        ground.listen(
          { self: ipv6(address), isProtected: () => true, tunDevice: "", directMark: 0 },
          { onMessage: () => note("message"), onDrop: () => undefined },
        ),
      begin: () => note("begin"),
      ...{ onGroupResult: () => undefined, onLoss: () => undefined, objectsOf: () => [], ownerOf: () => undefined },
      abandon: () => note("abandon"),
      close: async () => {
        note("close");
        this.whileClosing();
      },
    };
  }

  happens(event: "registration.failed" | "registration.completed" | "home-prefix.withdrawn"): void {
    this.ground.note({ event, homeAddress: told(100).ipv6, detail: {} });
  }

  async tells(addresses: HomeAddresses): Promise<void> {
    if (this.answer === undefined) throw new Error("nothing was asked");
    await this.answer(addresses);
    this.answer = undefined;
    await this.fake.settled();
  }

  elapse(): void {
    for (const run of this.timers.splice(0)) run();
  }
}

t.test("what is told is held, kept and used at once after a restart", async (test) => {
  const world = new World();
  await world.start();
  test.strictSame(world.service.addresses, []);
  test.equal(world.service.views.readiness(), "detached");
  await test.rejects(world.service.command({ command: "refresh" } as never) as Promise<unknown>, /has not told/);
  await world.tells(told(100));
  test.strictSame(world.life, ["begin 2001:db8:1::100 198.51.100.100 64,32"], "with the home prefix of the address");
  test.strictSame(world.fake.held, ["2001:db8:1::100"]);
  test.match(world.fake.events.at(-1), { event: "home-address.told", detail: { ipv4: "198.51.100.100" } });
  const kept = world.fake.records.get("home-address") as Stored;
  const next = new World();
  await next.start({}, ["home-address", kept]);
  test.equal(next.answer, undefined, "nobody is asked");
  test.strictSame(next.life, world.life);
  await next.service.close();
  test.match(next.life.at(-1), /^close/);
});

t.test("what does not go with the configuration, or is another daemon's, is not taken", async (test) => {
  const world = new World();
  await world.start({ homePrefixes: ["2001:db8:2::/64"] });
  await test.rejects(world.tells(told(100)), { message: /homeAddress is 2001:db8:1::100; an address within/ });
  await test.rejects(world.tells({ ipv6: ipv6("2001:db8:1::1") }), { code: "MIP_CONFIG" });
  test.strictSame(world.life, []);
  const former = new World();
  await former.start({ homePrefixes: ["2001:db8:2::/64"] }, [
    "home-address",
    { record: { ipv6: told(100).ipv6 }, ageSeconds: 1 },
  ]);
  test.ok(former.answer, "the configuration has changed: it asks");
  const busy = new World();
  await busy.start();
  busy.fake.busy = new Error("another dsmipd");
  await test.rejects(busy.tells(told(100)), /another dsmipd/);
  busy.fake.busy = undefined;
  busy.refusal = new Error("no kernel");
  await test.rejects(busy.tells(told(100)), /no kernel/);
  test.strictSame(busy.fake.held, []);
  busy.refusal = undefined;
  await busy.tells(told(100));
  test.equal(busy.life.length, 1, "it is tried again");
});

t.test("a node that is refused for a minute asks again, and begins anew under other addresses alone", async (test) => {
  const world = new World();
  await world.start();
  await world.tells(told(100));
  world.happens("registration.failed");
  world.happens("registration.completed");
  test.strictSame(world.timers, [], "it is served");
  world.happens("registration.failed");
  world.readiness = "detached";
  world.elapse();
  test.equal(world.answer, undefined, "nobody can be asked");
  world.readiness = "registering";
  world.happens("home-prefix.withdrawn");
  world.elapse();
  await world.tells(told(100));
  test.equal(world.life.length, 1, "the same");
  world.happens("registration.failed");
  world.happens("registration.failed");
  world.elapse();
  await world.tells(told(101));
  test.strictSame(world.life.slice(1), [
    "close 2001:db8:1::100 198.51.100.100 64,32",
    "begin 2001:db8:1::101 198.51.100.101 64,32",
  ]);
  test.strictSame(world.fake.held, ["2001:db8:1::101"]);
  test.equal(world.fake.listeners.length, 1, "nothing is heard for the former one, nor kept of it");
  test.match(world.fake.records.get("home-address"), { record: { ipv6: "2001:db8:1::101" } });
});

t.test("what a network offers is kept for the question, where a home agent is looked for", async (test) => {
  const offer = { command: "offer", interface: "eth0", dhcpv6: "" } as const;
  const known = new World();
  await known.start();
  await test.rejects(known.service.command(offer) as Promise<unknown>, { code: "MIP_COMMAND" });
  test.strictSame(known.life, []);
  const looking = new World();
  await looking.start({ homeAgent: { dhcpv6: true } });
  await looking.service.command(offer);
  test.strictSame(looking.life, ["offered eth0"]);
});

t.test("a daemon that ends meanwhile opens nothing more, and keeps nothing", async (test) => {
  const world = new World();
  await world.start();
  await world.tells(told(100));
  world.happens("registration.failed");
  world.elapse();
  world.whileClosing = () => {
    world.whileClosing = () => undefined;
    void world.service.close();
  };
  await world.tells(told(101));
  test.strictSame(world.life.filter((one) => !one.startsWith("close")).length, 1, "no other node");
  test.strictSame(world.fake.held, []);
  const opening = new World();
  await opening.start();
  opening.whileOpening = () => void opening.service.close();
  await opening.tells(told(100));
  test.match(opening.life, [/^abandon/]);
  test.strictSame(opening.fake.held, []);
});
