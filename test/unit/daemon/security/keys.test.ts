/** The keys of both roles between a kernel and a charon of the test: what charon is told, what is wanted of the kernel, and what is told of it. */
import t, { type Test } from "tap";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { Secret } from "../../../../controller/base/secret.js";
import { HomeAgentKeys, securityGroup } from "../../../../controller/daemon/home-agent/keys.js";
import { MobileNodeKeys, NODE_SECURITY_GROUP } from "../../../../controller/daemon/mobile-node/keys.js";
import type { KeyManagementPorts } from "../../../../controller/daemon/security/key-management.js";
import { homeAgentPlanSite, mobileNodePlanSite } from "../../../../controller/daemon/sites.js";
import { bootstrapName } from "../../../../controller/ike/bootstrapping.js";
import { connectionName } from "../../../../controller/ike/connections.js";
import { AF_INET } from "../../../../controller/kernel/xfrm/constants.js";
import type { MoveAnnouncement } from "../../../../controller/kernel/xfrm/migrate.js";
import type { KernelObject } from "../../../../controller/plan/objects/objects.js";
import type { XfrmState } from "../../../../controller/plan/objects/security.js";
import { negotiatedReqid, type Purpose, reqidOf } from "../../../../controller/plan/security/request-ids.js";
import { mobileNodeConfig } from "../../../../schemas/config/mobile-node.js";
import type { HomeAgentIke, MobileNodeIke } from "../../../../schemas/security.js";
import { ScriptedCharon } from "../../../fake/scripted-charon.js";
import { FakeGround } from "../../../fake/service-ground.js";
import { mip6ConfigOf } from "../../../lib/home-agent-config.js";
import { gone, mapping, original, there } from "../../../lib/negotiated-states.js";
import { FakeNetlink } from "../../../lib/netlink-fake.js";

const HA = ipv6("2001:db8:1::1");
const HOA = ipv6("2001:db8:1::100");
const OTHER = ipv6("2001:db8:1::101");
const COA = ipv6("2001:db8:a::11");
const NAT = ipv4("203.0.115.2");
const PSK = new Secret(Buffer.from("not a secret"));
const CREDENTIALS = { psk: new Map([["node@example.org", PSK]]), eap: new Map(), authorities: [] };

/** What charon has put into the kernel for this node, as either end sees it. */
const state = (purpose: Purpose, spi: number, from: XfrmState["source"], to: XfrmState["destination"]): XfrmState =>
  original(spi, { source: from, destination: to, reqid: negotiatedReqid(reqidOf(HOA, purpose)) });
const [UPDATES, ANSWERS] = [state("signalling", 0x1000, COA, HA), state("signalling", 0x1001, HA, COA)];

function world(test: Test, name: string) {
  const fake = new FakeGround(name, []);
  const charon = new ScriptedCharon();
  const kernel: XfrmState[] = [];
  const sockets: FakeNetlink[] = [];
  const moves: MoveAnnouncement[] = [];
  const groups = new Map<string, readonly KernelObject[]>();
  const lines: string[] = [];
  const tell = (line: { readonly event: string }): void => void lines.push(line.event);
  const ground = {
    ...fake.ground,
    log: { debug: tell, info: tell, warn: tell, error: tell } as never,
    announceMove: async (some: readonly MoveAnnouncement[]) => void moves.push(...some),
    groups: {
      setGroup: (group: string, objects: readonly KernelObject[]) => void groups.set(group, objects),
      commit: () => undefined,
      recheck: async () => true,
    } as never,
  };
  const cancels = new Set<() => void>();
  const ports: KeyManagementPorts = {
    openTransport: () => {
      const socket = new FakeNetlink(() => ({ dump: true, replies: kernel.map(there) }));
      sockets.push(socket);
      return socket;
    },
    // Nothing here waits for charon longer than for an answer.
    setTimer: (delayMs, run) => {
      const timer = setTimeout(run, Math.min(delayMs, 10));
      const cancel = (): void => clearTimeout(timer);
      cancels.add(cancel);
      return cancel;
    },
    connect: charon.connect,
  };
  test.teardown(() => {
    for (const cancel of cancels) cancel();
  });
  const installs = (...states: readonly XfrmState[]): void => {
    kernel.push(...states);
    sockets[0]?.announce(...states.map(there));
  };
  const spis = (group: string): number[] =>
    (groups.get(group) ?? []).flatMap((one) =>
      one.kind === "xfrm-state" && one.transform.type === "esp" ? [one.transform.spi] : [],
    );
  return { fake, charon, ground, ports, sockets, groups, spis, moves, lines, installs };
}
type World = ReturnType<typeof world>;

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
};
function begun({ management }: HomeAgentKeys | MobileNodeKeys): Promise<void> {
  management.start();
  return settle();
}
const told = ({ charon }: World): string[] => charon.told.splice(0);

async function homeAgent(test: Test, prepare: (world: World) => void = () => undefined) {
  const all = world(test, "home-agent");
  prepare(all);
  const config = mip6ConfigOf({
    role: "home-agent",
    homeAgent: { addresses: { ipv6: HA, ipv4: "203.0.113.1" }, homeLink: { prefixes: ["2001:db8:1::/64"] } },
    security: { method: "ikev2", identity: "home.example.org" },
    subscribers: [
      { homeAddress: HOA, identity: "node@example.org", authentication: "psk" },
      { homeAddress: OTHER, identity: "other@example.org", authentication: "psk" },
    ],
  });
  const ike = config.security as HomeAgentIke;
  const replanned: string[] = [];
  const replan = (homeAddress: string): void => void replanned.push(homeAddress);
  const site = homeAgentPlanSite(config);
  const keys = await HomeAgentKeys.open(config, ike, CREDENTIALS, site, all.ground, replan, all.ports);
  test.teardown(() => keys.management.close());
  return { ...all, keys, replanned, start: () => begun(keys) };
}

t.test(
  "a home agent ends what it does not entitle any more, and then gives charon its secrets and its subscribers",
  async (test) => {
    const former = connectionName(ipv6("2001:db8:1::99"));
    const agent = await homeAgent(test, ({ charon }) => {
      charon.connections.set(former, {}).set("somebody-else", {});
      charon.sas.set(connectionName(HOA), { state: "ESTABLISHED", uniqueid: "7", "remote-id": "impostor@example.org" });
    });
    await agent.start();
    test.strictSame(told(agent), [
      "get-conns",
      `unload-conn ${former}`,
      "list-sas",
      "terminate 7",
      "load-shared dsmipd-psk-node@example.org",
      ...[HOA, OTHER].flatMap((address) => [
        `load-conn ${connectionName(address)}`,
        `load-pool ${connectionName(address)}`,
        `load-conn ${bootstrapName(address)}`,
      ]),
    ]);
    test.ok(agent.charon.connections.has("somebody-else"));
    test.ok(agent.lines.includes("keys.former"));
  },
);

t.test(
  "what charon has put into the kernel becomes the subscriber's protection, and its binding is planned anew",
  async (test) => {
    const agent = await homeAgent(test);
    await agent.start();
    agent.installs(UPDATES, ANSWERS);
    await settle();
    test.strictSame(agent.spis(securityGroup(HOA)), [0x1000, 0x1001]);
    test.equal(agent.groups.get(securityGroup(OTHER)), undefined, "nobody else's");
    test.ok(agent.replanned.includes(HOA) && !agent.replanned.includes(OTHER));
    test.match(agent.keys.protection(HOA).associations.signalling, {
      receive: [{ spi: 0x1000 }],
      send: { spi: 0x1001 },
    });
    agent.replanned.length = 0;
    agent.sockets[0]?.announce(gone(UPDATES));
    test.strictSame(agent.replanned, [HOA], "what charon takes back is planned anew, too");
  },
);

t.test("where a NAT shows a node's ESP is kept for its binding until the node comes to another NAT", async (test) => {
  const agent = await homeAgent(test);
  agent.sockets[0]?.announce(mapping(reqidOf(HOA, "payload"), NAT, 61_000, AF_INET));
  test.strictSame([...(agent.keys.protection(HOA).observedEsp ?? [])], [[NAT, 61_000]]);
  test.strictSame(agent.replanned, [HOA]);
  for (const last of [3, 4]) {
    const other = ipv4(`203.0.115.${last}`);
    agent.sockets[0]?.announce(mapping(reqidOf(HOA, "payload"), other, 61_000 + last, AF_INET));
  }
  test.strictSame(
    [...(agent.keys.protection(HOA).observedEsp ?? [])],
    [
      ["203.0.115.3", 61_003],
      ["203.0.115.4", 61_004],
    ],
    "the present one and the one before",
  );
  agent.keys.forgetMappings(HOA);
  test.equal(agent.keys.protection(HOA).observedEsp, undefined);
});

t.test(
  "an association of ours that somebody takes out is told, not used again, and charon is asked for another",
  async (test) => {
    const agent = await homeAgent(test);
    agent.installs(UPDATES, ANSWERS);
    await agent.start();
    told(agent);
    agent.charon.sas.set(connectionName(HOA), {
      ...{ state: "ESTABLISHED", uniqueid: "1" },
      "child-sas": {
        "signalling-1": { name: "signalling", uniqueid: "3", state: "INSTALLED", "spi-in": "1000", "spi-out": "1001" },
      },
    });
    const ours = agent.keys.planSubscriber(HOA).find((one) => one.kind === "xfrm-state" && one.destination === HA);
    if (ours === undefined) throw new Error("nothing is planned");
    agent.keys.management.lost(ours);
    await settle();
    test.match(agent.fake.events, [
      { event: "keys.lost", homeAddress: HOA, detail: { purpose: "signalling", spi: "0x00001000" } },
    ]);
    test.strictSame(agent.spis(securityGroup(HOA)), [0x1001]);
    test.ok(told(agent).some((one) => one.startsWith("rekey")));
  },
);

t.test("a charon that has died leaves its associations in use until there are others", async (test) => {
  const agent = await homeAgent(test);
  await agent.start();
  agent.installs(UPDATES, ANSWERS);
  agent.charon.kill();
  await settle();
  test.ok(agent.lines.includes("charon.down"));
  test.match(agent.keys.protection(HOA).associations.signalling, { receive: [{ spi: 0x1000 }], send: { spi: 0x1001 } });
  agent.installs(state("signalling", 0x2000, COA, HA), state("signalling", 0x2001, HA, COA));
  await settle();
  test.equal(
    agent.keys.protection(HOA).associations.signalling?.send?.spi,
    0x1001,
    "the other end may not have it yet",
  );
});

t.test("charon is told where a node's SAs lie now, unless MOBIKE moves them", async (test) => {
  const agent = await homeAgent(test);
  agent.installs(UPDATES, ANSWERS);
  agent.keys.moved({ kind: "key-management-moved", homeAddress: HOA, local: HA, remote: COA });
  await settle();
  test.match(agent.moves, [{ local: HA, remote: COA, reqid: negotiatedReqid(reqidOf(HOA)) }]);
  test.equal(agent.moves.length, 1, "of what there is alone");
  test.ok(agent.lines.includes("keys.moved"));
});

t.test("a home agent that ends takes its connections and SAs along, whatever charon says to it", async (test) => {
  const agent = await homeAgent(test);
  await agent.start();
  told(agent);
  agent.charon.refused.set("unload-conn", "no such connection");
  await agent.keys.close();
  const all = [HOA, OTHER].flatMap((address) => [connectionName(address), bootstrapName(address)]);
  test.strictSame(
    told(agent),
    all.map((name) => `unload-conn ${name}`),
  );
  agent.charon.raise("ike-updown", {});
  test.equal(
    agent.sockets.every(({ closed }) => closed),
    true,
  );
});

async function mobileNode(test: Test) {
  const all = world(test, "mobile-node");
  const config = mobileNodeConfig.parse({
    role: "mobile-node",
    mobileNode: { homeAddress: HOA, homePrefixes: ["2001:db8:1::/64"], homeAgent: { ipv6: HA, ipv4: "203.0.113.1" } },
    security: {
      ...{ method: "ikev2", identity: "node@example.org", homeAgentIdentity: "home.example.org" },
      authentication: "psk",
    },
  });
  const ike = config.security as MobileNodeIke;
  const replans = { count: 0 };
  const failures: string[] = [];
  const listener = { replan: () => void replans.count++, onFailure: (reason: string) => void failures.push(reason) };
  const site = mobileNodePlanSite(config);
  const keys = await MobileNodeKeys.open(config, ike, CREDENTIALS, site, all.ground, listener, all.ports);
  test.teardown(() => keys.close());
  return { ...all, keys, replans, failures, start: () => begun(keys) };
}

t.test(
  "a mobile node negotiates from where it is, and can protect its updates when charon has put both directions into the kernel",
  async (test) => {
    const node = await mobileNode(test);
    await node.start();
    test.strictSame(
      told(node).filter((one) => !one.startsWith("list-sas")),
      ["load-shared dsmipd-psk-node@example.org"],
      "nothing is negotiated before it is asked for",
    );
    node.keys.secure({ family: 6, address: COA, device: "eth0" });
    await settle();
    test.ok(told(node).some((one) => one.startsWith("initiate")));
    const [options] = [...node.charon.connections.values()];
    test.match(options, { local_addrs: [COA], remote_addrs: [HA] });
    node.installs(state("signalling", 0x1000, COA, HA));
    test.equal(node.keys.complete, false, "one direction is not enough");
    node.installs(state("signalling", 0x1001, HA, COA));
    test.equal(node.keys.complete, true);
    test.ok(node.replans.count > 0);
    test.strictSame(node.spis(NODE_SECURITY_GROUP).sort(), [0x1000, 0x1001]);
  },
);

t.test("a mobile node that is at home asks charon for nothing, and for new keys when it leaves", async (test) => {
  const node = await mobileNode(test);
  await node.start();
  node.keys.rest();
  told(node);
  await settle();
  test.strictSame(told(node), []);
  node.keys.secure({ family: 4, address: NAT, device: "eth0" });
  await settle();
  test.match([...node.charon.connections.values()], [{ local_addrs: [NAT], remote_addrs: ["203.0.113.1"] }]);
});

t.test("a charon that is not there is told as a failed registration", async (test) => {
  const node = await mobileNode(test);
  await node.start();
  node.charon.kill();
  await settle();
  test.match(node.fake.events.at(-1), { event: "registration.failed", homeAddress: HOA });
});
