/** Both roles from their configuration to their first messages, over a machine in memory; and that a start that fails leaves nothing open. */
import t from "tap";
import { ipv6 } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import type { NodeKeys } from "../../../controller/config/keys.js";
import type { DiscoveryPorts } from "../../../controller/daemon/home-agent/discovery/service.js";
import { type HomeAgentMachine, startHomeAgent } from "../../../controller/daemon/home-agent/role.js";
import { HomeLink } from "../../../controller/daemon/home-link/link.js";
import type { OpenHomeLink } from "../../../controller/daemon/home-link/sockets.js";
import { type MobileNodeMachine, startMobileNode } from "../../../controller/daemon/mobile-node/role.js";
import type { PlatformOptions } from "../../../controller/daemon/platform.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
} from "../../../controller/wire/mip6/messages/mobility-header.js";
import { homeAddressHeader } from "../../../controller/wire/mip6/options/destination.js";
import { type HomeAgentConfig, homeAgentConfig } from "../../../schemas/config/home-agent.js";
import { mobileNodeConfig } from "../../../schemas/config/mobile-node.js";
import { FakeMachine } from "../../fake/platform-parts.js";
import { bindingUpdate, COA, HA, HA4, HOA, HOA_B } from "../../sim/home-agent-harness.js";
import { HOME_ADDRESS, HOME_AGENT, network } from "../protocol/mip6/mobile-node/chart.js";

const KEY = { spi: 0x1000, algorithm: "aes-gcm" as const, key: new Secret(new Uint8Array(20)) };
const keysOf = (homeAddress: NodeKeys["homeAddress"]): NodeKeys => ({
  ...{ homeAddress, update: KEY, acknowledgement: KEY, replayWindow: 0, algorithmByDefault: true },
});

/** The machine beside the platform, and what was opened on it, in order; closed things are taken off again. */
class Around {
  readonly machine: FakeMachine;
  readonly open: string[] = [];
  readonly hears: boolean[] = [];
  options: PlatformOptions | undefined;

  constructor(machine: FakeMachine) {
    this.machine = machine;
  }

  readonly openPlatform = async (options: PlatformOptions) => {
    this.options = options;
    return this.machine.platform(options.role);
  };

  readonly openHomeLink = (_: unknown, { hears }: { readonly hears: boolean }): OpenHomeLink => {
    this.hears.push(hears);
    const link = new HomeLink({
      identify: () => undefined,
      neighbour: () => undefined,
      sendFrame: () => undefined,
      schedule: () => () => undefined,
    });
    return { link, ...this.opened("home link") };
  };

  readonly openRegistrations = () => ({
    listen: () => undefined,
    send: () => ({ sent: 1, queued: 0, dropped: 0 }),
    ...this.opened("port 434"),
  });

  readonly openSolicitations = () => ({
    listen: () => undefined,
    send: () => undefined,
    ...this.opened("solicitations"),
  });

  readonly openMulticast = () => ({
    listen: () => undefined,
    send: () => undefined,
    join: () => undefined,
    leave: () => undefined,
    ...this.opened("multicast"),
  });

  readonly openDiscovery = (): DiscoveryPorts => ({
    listen: () => undefined,
    send: () => undefined,
    defend: () => undefined,
    ownAddresses: () => new Set(),
    ...this.opened("discovery"),
  });

  readonly findHomeAgents = async () => ({ candidates: [], faults: [] });
  readonly homeAgentAnswers = async () => undefined;
  readonly askHomeAddresses = () => this.opened("question");

  opened(what: string) {
    this.open.push(what);
    return { close: () => void (this.open.includes(what) && this.open.splice(this.open.indexOf(what), 1)) };
  }
}

function homeAgent(machine: FakeMachine, changes: Partial<HomeAgentConfig["homeAgent"]> = {}): HomeAgentConfig {
  return homeAgentConfig.parse({
    role: "home-agent",
    controlSocket: machine.controlSocket,
    homeAgent: { addresses: { ipv6: HA, ipv4: HA4 }, homeLink: { prefixes: ["2001:db8:1::/64"] }, ...changes },
    subscribers: [{ homeAddress: HOA }, { homeAddress: HOA_B }],
  });
}

const until = async (what: () => boolean): Promise<void> => {
  while (!what()) await new Promise(setImmediate);
};

function sentBy(machine: FakeMachine) {
  return machine.sockets.sent.map(({ bytes, destination }) => {
    const message = decodeMobilityMessage(bytes);
    if (!message.ok) throw message.error;
    return { destination, message: message.value };
  });
}

t.test(
  "a home agent answers an update when the kernel has the binding, and takes all of it along when it ends",
  async (test) => {
    const machine = new FakeMachine(test);
    const around = new Around(machine);
    const on: HomeAgentMachine = { check: () => undefined, ...around };
    const running = await startHomeAgent(
      homeAgent(machine),
      { keys: new Map([[HOA, keysOf(HOA)]]) },
      machine.logger,
      on,
    );
    test.match(around.options, {
      ...{ role: "home-agent", addresses: [HA, HA4], signallingAddress: HA4, signallingPort: 4192 },
      ...{ tunDevice: "dsmip-sig", bindsToTun: true, controlSocket: machine.controlSocket },
    });
    test.strictSame(around.hears, [false], "nobody is on a virtual home link");
    const site = machine.kernel.objects.size;
    test.ok(site > 0);
    const hears = (source: typeof HOA, sequence: number): void =>
      machine.sockets.receivers[0]?.receiveMobilityHeader({
        bytes: encodeMobilityMessage(bindingUpdate({ sequence, lifetimeUnits: 10 })),
        source,
        destination: HA,
        device: "eth0",
        flowLabel: 0,
        destinationOptions: [homeAddressHeader(Protocol.mobility, COA)],
      });
    hears(HOA, 7);
    await until(() => machine.sockets.sent.length > 0);
    test.match(sentBy(machine), [
      { destination: HOA, message: { type: "binding-acknowledgement", status: 0, sequence: 7 } },
    ]);
    test.ok(machine.kernel.objects.size > site);
    machine.sockets.sent.length = 0;
    hears(HOA_B, 1);
    hears(HOA, 8);
    await until(() => machine.sockets.sent.length > 0);
    test.strictSame(
      sentBy(machine).map(({ destination }) => destination),
      [HOA],
      "a subscriber without keys proves nothing",
    );
    await running.stop();
    test.strictSame([around.open, machine.leftovers, machine.released], [[], [], 1]);
  },
);

t.test("a home agent listens on its home link if it has one and detects duplicates there", async (test) => {
  for (const duplicateAddressDetection of [true, false]) {
    const machine = new FakeMachine(test);
    const around = new Around(machine);
    const prefixes = homeAgent(machine).homeAgent.homeLink.prefixes;
    const config = homeAgent(machine);
    const withLink = {
      ...config,
      homeAgent: { ...config.homeAgent, homeLink: { prefixes, interface: "home" }, duplicateAddressDetection },
    };
    const on = { check: () => undefined, ...around };
    const running = await startHomeAgent(withLink, { keys: new Map() }, machine.logger, on);
    test.strictSame(around.hears, [duplicateAddressDetection]);
    await running.stop();
  }
});

t.test(
  "a home agent that advertises itself opens its eyes for that, and closes everything when it cannot",
  async (test) => {
    const machine = new FakeMachine(test);
    const around = new Around(machine);
    const home = { prefixes: ["198.51.100.0/24", "2001:db8:1::/64"], interface: "home" };
    const advertisements = { address: "198.51.100.1/24" };
    const config = homeAgent(machine, { homeLink: home, mip4: { advertisements } } as never);
    const on = { check: () => undefined, ...around };
    const running = await startHomeAgent(config, { keys: new Map() }, machine.logger, on);
    test.ok(around.open.includes("solicitations"), around.open.join());
    await running.stop();
    test.strictSame(around.open, []);
    const deaf = {
      ...on,
      openSolicitations: () => {
        throw new Error("deaf");
      },
    };
    await test.rejects(startHomeAgent(config, { keys: new Map() }, machine.logger, deaf), { message: "deaf" });
    test.strictSame([around.open, machine.leftovers], [[], []]);
  },
);

t.test("a home agent on an unfit machine opens nothing, and one that cannot start closes everything", async (test) => {
  const machine = new FakeMachine(test);
  const around = new Around(machine);
  const unfit = {
    check: () => {
      throw new Error("unfit");
    },
    ...around,
  };
  const start = (on: HomeAgentMachine) => startHomeAgent(homeAgent(machine), { keys: new Map() }, machine.logger, on);
  await test.rejects(start(unfit), { message: "unfit" });
  test.equal(around.options, undefined);
  machine.kernel.refuse = ({ verb }) => (verb === "create" ? "no" : undefined);
  await test.rejects(start({ check: () => undefined, ...around }), { message: /no/ });
  test.strictSame([around.open, machine.leftovers, machine.released], [[], [], 1]);
  const noLink = {
    check: () => undefined,
    ...around,
    openHomeLink: () => {
      throw new Error("no link");
    },
  };
  await test.rejects(start(noLink), { message: "no link" });
  test.strictSame([around.open, machine.released], [[], 2]);
});

/** A network that stays as it is. */
function still(around: Around) {
  const view = network({ eth0: ["2001:db8:a::10/64"] });
  const source = { view, onView: () => undefined, give: () => undefined };
  return {
    network: { ...source, ...around.opened("network") },
    movement: { movement: source, ...around.opened("movement") },
  };
}

function mobileNode(machine: FakeMachine) {
  return mobileNodeConfig.parse({
    role: "mobile-node",
    controlSocket: machine.controlSocket,
    mobileNode: { homeAddress: HOME_ADDRESS, homePrefixes: ["2001:db8:1::/64"], homeAgent: { ipv6: HOME_AGENT } },
  });
}

t.test("a mobile node registers from where it is, and takes leave of its home agent when it ends", async (test) => {
  const machine = new FakeMachine(test);
  const around = new Around(machine);
  const on: MobileNodeMachine = { ...around, openNetwork: async () => still(around) };
  const keys = { keys: new Map([[HOME_ADDRESS, keysOf(HOME_ADDRESS)]]) };
  const running = await startMobileNode(mobileNode(machine), keys, machine.logger, on);
  test.match(around.options, { role: "mobile-node", addresses: [HOME_ADDRESS], bindsToTun: false });
  test.equal(around.options?.signallingAddress, undefined, "without an IPv4 address of the home agent none is served");
  await until(() => machine.sockets.sent.length > 0);
  test.match(sentBy(machine), [{ destination: HOME_AGENT, message: { type: "binding-update" } }]);
  test.ok(machine.kernel.objects.size > 0);
  const stopped = running.stop();
  await until(() => machine.sockets.closed);
  await stopped;
  test.strictSame([around.open, machine.leftovers, machine.released], [[], [], 1]);
});

t.test(
  "a mobile node with two home addresses registers and de-registers both, over one view of the network",
  async (test) => {
    const machine = new FakeMachine(test);
    const around = new Around(machine);
    let looks = 0;
    const openNetwork = async () => {
      looks += 1;
      return still(around);
    };
    const OTHER = ipv6("2001:db8:1::1a1");
    const config = mobileNode(machine);
    const { mobileNode: node } = config;
    const two = { ...config, mobileNode: { ...node, furtherHomeAddresses: [{ homeAddress: OTHER }] } };
    const others = { ...keysOf(OTHER), update: { ...KEY, spi: 0x2000 } };
    const keys = {
      keys: new Map([
        [HOME_ADDRESS, keysOf(HOME_ADDRESS)],
        [OTHER, others],
      ]),
    };
    await test.rejects(
      startMobileNode(two, { keys: new Map([[HOME_ADDRESS, keysOf(HOME_ADDRESS)]]) }, machine.logger, {
        ...around,
        openNetwork,
      }),
      { message: `no keys for ${OTHER}` },
    );
    const running = await startMobileNode(two, keys, machine.logger, { ...around, openNetwork });
    test.match(around.options, { addresses: [HOME_ADDRESS, OTHER] });
    test.equal(looks, 1);
    await until(() => machine.sockets.sent.length > 1);
    test.match(sentBy(machine), [
      { destination: HOME_AGENT, message: { type: "binding-update" } },
      { destination: HOME_AGENT, message: { type: "binding-update" } },
    ]);
    test.strictSame(
      new Set(machine.sockets.sent.map(({ source }) => source)),
      new Set([HOME_ADDRESS, OTHER]),
      "each update has its own home address",
    );
    await running.stop();
    test.strictSame([around.open, machine.leftovers, machine.released], [[], [], 1]);
  },
);

t.test("a mobile node without keys opens nothing; one whose start fails closes what it had opened", async (test) => {
  const machine = new FakeMachine(test);
  const around = new Around(machine);
  const fine: MobileNodeMachine = { ...around, openNetwork: async () => still(around) };
  const keys = { keys: new Map([[HOME_ADDRESS, keysOf(HOME_ADDRESS)]]) };
  await test.rejects(startMobileNode(mobileNode(machine), { keys: new Map() }, machine.logger, fine), {
    message: /no keys/,
  });
  test.equal(around.options, undefined);
  const blind = {
    ...around,
    openNetwork: async () => {
      throw new Error("no network");
    },
  };
  await test.rejects(startMobileNode(mobileNode(machine), keys, machine.logger, blind), { message: "no network" });
  test.strictSame([around.open, machine.leftovers, machine.released], [[], [], 1]);
  machine.kernel.refuse = ({ verb }) => (verb === "create" ? "no" : undefined);
  await test.rejects(startMobileNode(mobileNode(machine), keys, machine.logger, fine), { message: /no/ });
  test.strictSame([around.open, machine.leftovers, machine.released], [[], [], 2]);
});
