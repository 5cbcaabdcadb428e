/**
 * The service of a node of Mobile IPv4 over a kernel, sockets and a network that are played: what leaves after what, what is kept, and what
 * is shown. The keys and the octets are real.
 */
import t, { type Test } from "tap";
import { fromHex } from "../../../../../controller/base/bytes.js";
import { IPV4_ANY, type Ipv4Address, ipv4, parsePrefix } from "../../../../../controller/base/ip.js";
import { Secret } from "../../../../../controller/base/secret.js";
import { seq16 } from "../../../../../controller/base/seq16.js";
import type { DiscoveryListener, OutgoingDiscovery } from "../../../../../controller/daemon/mip4/agent-discovery.js";
import { authenticateWith } from "../../../../../controller/daemon/mip4/authenticators.js";
import type { RegistrationDatagram } from "../../../../../controller/daemon/mip4/registration-socket.js";
import type { AgentDatagram, AgentFrame } from "../../../../../controller/daemon/mobile-node/mip4/agent-link.js";
import { Mip4NodeService } from "../../../../../controller/daemon/mobile-node/mip4/service.js";
import type { Opening } from "../../../../../controller/plan/mobile-node/mip4/openings.js";
import type { KernelObject } from "../../../../../controller/plan/objects/objects.js";
import type { NodePath } from "../../../../../controller/protocol/mip4/mobile-node/inputs.js";
import { nodeNameOf } from "../../../../../controller/protocol/mip4/node-name.js";
import type { NetworkView } from "../../../../../controller/protocol/movement/network-view.js";
import { encodeAuthenticated } from "../../../../../controller/wire/mip4/messages/authenticated-octets.js";
import {
  decodeControlMessage,
  type RegistrationReply,
  type RegistrationRequest,
} from "../../../../../controller/wire/mip4/messages/control-message.js";
import { AgentFlag } from "../../../../../controller/wire/mip4/registry.js";
import type { Mip4NodeConfig } from "../../../../../schemas/config/mip4-node.js";
import { FakeGround } from "../../../../fake/service-ground.js";

const HA = ipv4("203.0.113.1");
const HOA = ipv4("198.51.100.10");
const COA = ipv4("192.0.2.7");
const FA = ipv4("192.0.2.1");
const FA_MAC = Uint8Array.of(2, 0, 0, 0, 0, 9);
const KEY = { spi: 256, algorithm: "hmac-md5", key: new Secret(fromHex("00112233445566778899aabbccddeeff")) } as const;
const FOREIGN = { ...KEY, spi: 300, key: new Secret(fromHex("ffeeddccbbaa99887766554433221100")) };
const CONFIG = {
  mobileNode: {
    homeAddress: HOA,
    homeAgent: HA,
    homeSubnet: parsePrefix("198.51.100.0/24"),
    prefixes: [],
    ipv6Tunnelling: "care-of-address",
    prefixDelegation: false,
    encapsulation: "ip-in-ip",
    reverseTunnelling: "preferred",
    foreignAgents: "where-needed",
    natTraversal: true,
    forceUdp: false,
    natKeepaliveSeconds: 110,
    lifetimeSeconds: 600,
    localNetworks: "own",
    exclude: [],
    previousCareOfGraceSeconds: 3,
  },
} as unknown as Mip4NodeConfig;

const EMPTY: NetworkView = { links: [], addresses: [], routes: [] };
const link = { index: 1, name: "eth0", up: true, running: true, ours: false } as const;
function network(address?: Ipv4Address, prefixLength = 24): NetworkView {
  const clean = { tentative: false, deprecated: false, temporary: false, ours: false, scope: "global" } as const;
  if (address === undefined) return { ...EMPTY, links: [link] };
  return {
    links: [link],
    addresses: [{ device: "eth0", address, prefixLength, ...clean }],
    routes: [
      {
        ...{ family: 4, destination: { address: IPV4_ANY, length: 0 }, device: "eth0", via: FA },
        ...{ metric: 100, table: 254, protocol: 3, ours: false },
      },
    ],
  };
}

const openingsOf = (path: NodePath): readonly Opening[] =>
  path.mode === "away" ? [{ family: 4, source: path.homeAddress, destination: path.homeAgent }] : [];

/** What a path is made of here: one rule that tells its mode and its end. */
function objectsOf(path: NodePath): readonly KernelObject[] {
  const table = path.mode === "away" ? (path.egress.kind === "co-located" ? 1001 : 1002) : 1003;
  return path.mode === "detached" ? [] : [{ kind: "rule", family: 4, priority: 99, table } as KernelObject];
}

class Bench {
  readonly fake = new FakeGround("mip4-node", ["eth0"]);
  readonly service: Mip4NodeService;
  readonly sent: RegistrationRequest[] = [];
  readonly frames: AgentFrame[] = [];
  readonly solicited: OutgoingDiscovery[] = [];
  readonly announced: string[] = [];
  readonly opened: Opening[] = [];
  heard: number | undefined;
  #socket: ((datagram: RegistrationDatagram) => void) | undefined;
  #agents: (datagram: AgentDatagram) => void = () => undefined;
  #discovery: DiscoveryListener | undefined;
  #see: ((view: NetworkView) => void)[] = [];

  constructor(
    view: NetworkView,
    parts: { readonly config?: Mip4NodeConfig; readonly records?: FakeGround["records"] } = {},
  ) {
    for (const [key, stored] of parts.records ?? []) this.fake.records.set(key, stored);
    const identity = (device: string) =>
      device === "eth0" ? { index: 1, linkLayerAddress: Uint8Array.of(2, 0, 0, 0, 0, 1) } : undefined;
    const names = { interfaceIndex: () => 1, interfaceName: () => "eth0", identity };
    const onView = (listener: (view: NetworkView) => void) => void this.#see.push(listener);
    const source = { view, onView, close: () => undefined, give: () => undefined };
    this.service = new Mip4NodeService({
      config: parts.config ?? CONFIG,
      ring: {
        home: { ...KEY, node: HOA, replay: "timestamps" },
        foreign: [{ ...FOREIGN, node: HOA, foreignAgent: FA }],
      },
      ground: { ...this.fake.ground, names: names as never },
      plan: { site: () => [], path: objectsOf, openings: openingsOf },
      open: (opening) => void this.opened.push(opening),
      network: source,
      movement: source as never,
      discovery: {
        listen: (listener) => {
          this.#discovery = listener;
        },
        send: (outgoing) => void this.solicited.push(outgoing),
        close: () => undefined,
      },
      socket: {
        listen: (listener) => {
          this.#socket = listener;
        },
        send: ({ data }) => {
          this.sent.push(requestIn(data));
          return { sent: 1, queued: 0, dropped: 0 };
        },
        close: () => undefined,
      },
      openAgentLink: (onDatagram) => {
        this.#agents = onDatagram;
        return {
          send: (frame) => {
            this.frames.push(frame);
            this.sent.push(requestIn(frame.data));
          },
          hear: (index) => {
            this.heard = index;
          },
          close: () => undefined,
        };
      },
      home: { announce: (device, addresses) => void this.announced.push(`${addresses} on ${device}`) },
      openEcho: () => ({ ask: () => undefined, close: () => undefined }),
      packets: () => 0,
      close: () => undefined,
    });
  }

  async start(test: Test): Promise<this> {
    test.teardown(() => this.service.abandon());
    await this.fake.start(this.service);
    return this;
  }

  async sees(view: NetworkView): Promise<void> {
    for (const listener of this.#see) listener(view);
    await this.fake.settled();
  }

  async advertises(): Promise<void> {
    const flags = Object.fromEntries(Object.keys(AgentFlag).map((key) => [key, key === "foreignAgent"])) as never;
    this.#discovery?.onMessage({
      ...{ interfaceIndex: 1, source: FA, destination: ipv4("224.0.0.1"), linkLayerAddress: FA_MAC, ttl: 1 },
      message: {
        ...{ type: "router-advertisement", code: 0, lifetimeSeconds: 900, routers: [] },
        extensions: [
          {
            kind: "mobility-agent-advertisement",
            ...{ sequence: seq16(1), registrationLifetimeSeconds: 300, flags, careOfAddresses: [FA] },
          },
        ],
      },
    });
    await this.fake.settled();
  }

  /** The home agent's answer to the latest request, by the way of the agent or not. */
  async answers(
    part: Partial<RegistrationReply> = {},
    { key = KEY as typeof KEY, viaAgent = false } = {},
  ): Promise<void> {
    const request = this.sent.at(-1);
    if (request === undefined) throw new Error("nothing was asked");
    const reply: RegistrationReply = {
      ...{ type: "registration-reply", code: 0, lifetimeSeconds: request.lifetimeSeconds },
      ...{ homeAddress: HOA, homeAgent: HA, identification: request.identification },
      extensions: [
        { kind: "mobile-home-authentication", spi: KEY.spi, authenticator: new Uint8Array(0) },
        ...(viaAgent
          ? [{ kind: "mobile-foreign-authentication", spi: FOREIGN.spi, authenticator: new Uint8Array(0) } as const]
          : []),
      ],
      ...part,
    };
    const make = authenticateWith(({ kind }) => (kind === "mobile-home-authentication" ? key : FOREIGN));
    const data = encodeAuthenticated(reply, make);
    if (viaAgent) this.#agents({ data, source: FA, interfaceIndex: 1 });
    else this.#socket?.({ data, source: HA, sourcePort: 434, destination: COA, interfaceIndex: 1, ttl: 60 });
    await this.fake.settled();
  }

  get shown() {
    return [...this.service.views.bindings()][0];
  }

  get tables(): readonly unknown[] {
    return [...this.fake.kernel.objects.values()].flatMap((object) => (object.kind === "rule" ? [object.table] : []));
  }
}

function requestIn(data: Uint8Array): RegistrationRequest {
  const decoded = decodeControlMessage(data);
  if (!decoded.ok || decoded.value.type !== "registration-request") throw new Error("no request");
  return decoded.value;
}

t.test("away at an address of its own: asked, accepted, shown, and gone home", async (t) => {
  const bench = await new Bench(network(COA)).start(t);
  t.match(bench.sent, [{ careOfAddress: COA, homeAddress: HOA, homeAgent: HA, flags: { decapsulatesItself: true } }]);
  t.equal(bench.service.views.readiness(), "registering");
  t.match(bench.fake.records.get(HOA)?.record, { kind: "mip4-node", mayBeBound: true }, "kept before it was asked");
  await bench.answers({}, { key: { ...KEY, key: FOREIGN.key } });
  t.equal(bench.service.views.readiness(), "registering", "another key convinces nobody");
  t.strictSame(bench.fake.drops, ["authentication-failed"]);
  await bench.answers();
  t.equal(bench.service.views.readiness(), "registered");
  t.match(bench.shown, { homeAddress: HOA, state: "registered", endpoint: { format: "ipv4", address: COA } });
  t.match(bench.shown, { lifetimeSeconds: 600 });
  t.strictSame(bench.tables, [1001]);
  t.equal(bench.service.views.nodeAt(HOA), nodeNameOf(HOA), "found by its IPv4 address");
  t.strictSame(bench.service.addresses, [HOA]);
  t.strictSame(bench.opened, [{ family: 4, source: HOA, destination: HA }], "a stateful firewall has seen the tunnel");
  t.strictSame(bench.announced, []);
  await bench.sees(network(ipv4("198.51.100.77")));
  t.equal(bench.service.views.readiness(), "returning");
  t.strictSame(bench.tables, [1003], "payload has left the tunnel");
  t.strictSame(bench.announced, [`${HOA} on eth0`]);
});

t.test("at a foreign agent without an address: by its link-layer address, with both authentications", async (t) => {
  const bench = await new Bench(network()).start(t);
  t.equal(bench.service.views.readiness(), "detached");
  t.match(bench.solicited, [{ source: IPV4_ANY, destination: "224.0.0.11", message: { type: "router-solicitation" } }]);
  await bench.advertises();
  t.match(bench.frames, [{ source: HOA, destination: FA, ttl: 255, linkLayerDestination: FA_MAC }]);
  t.equal(bench.heard, 1, "the answer is heard below IP");
  const kinds = bench.sent[0]?.extensions.map(({ kind }) => kind);
  t.strictSame(kinds, ["mobile-home-authentication", "mobile-foreign-authentication"]);
  await bench.answers();
  t.equal(bench.service.views.readiness(), "registering", "what comes by IP on that link is passed over");
  await bench.answers({}, { viaAgent: true });
  t.equal(bench.service.views.readiness(), "registered");
  t.match(bench.shown, { endpoint: { format: "ipv4", address: FA }, lifetimeSeconds: 300 });
  t.strictSame(bench.tables, [1002]);
});

t.test("a daemon that starts again asks with a later timestamp, and one that ends de-registers", async (t) => {
  const first = await new Bench(network(COA)).start(t);
  await first.answers();
  const second = await new Bench(network(COA), { records: first.fake.records }).start(t);
  const [before, after] = [first.sent[0], second.sent[0]].map((one) => one?.identification);
  t.ok(before !== undefined && after !== undefined && (after.high - before.high || after.low - before.low) > 0);
  await second.answers();
  const end = second.service.close();
  await second.fake.settled();
  if (second.sent.length === 1) t.pass("never two within a second");
  else t.match(second.sent.at(-1), { lifetimeSeconds: 0 });
  second.service.abandon();
  void end;
});

t.test("a daemon that starts again keeps its tunnel, whatever it hears before it knows the network", async (t) => {
  const config = { mobileNode: { ...CONFIG.mobileNode, prefixDelegation: true } } as Mip4NodeConfig;
  const first = await new Bench(network(COA), { config }).start(t);
  await first.answers();
  const second = await new Bench(network(COA), { config, records: first.fake.records }).start(t);
  t.match(second.sent, [{ careOfAddress: COA }]);
  t.strictSame(second.tables, [1001], "the tunnel is there before the request is answered");
});

t.test("octets that are no reply are counted, and a command that is not a node's is refused", async (t) => {
  const bench = await new Bench(network(COA)).start(t);
  const { service } = bench;
  t.match(await service.command({ command: "refresh" }), { outcome: "begun" });
  await t.rejects(async () => void (await service.command({ command: "refresh", node: FA })), {
    message: /is not this node/,
  });
  t.equal(service.command({ command: "report-loss" }), undefined);
  t.end();
});
