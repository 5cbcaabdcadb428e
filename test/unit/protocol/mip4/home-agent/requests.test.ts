/** Which requests the home agent answers, and with which code (RFC 5944 §3.8.2, RFC 3024 §4.3.1, RFC 3519 §4.6). */
import t from "tap";
import { IPV4_ANY, ipv4 } from "../../../../../controller/base/ip.js";
import type { ReverseTunnelling } from "../../../../../controller/protocol/mip4/home-agent/site.js";
import type { RegistrationExtension } from "../../../../../controller/wire/mip4/extensions/registration.js";
import { ReplyCode } from "../../../../../controller/wire/mip4/registry.js";
import {
  type Asked,
  COA,
  codeIn,
  dropIn,
  HA,
  HOA,
  HomeAgentBench,
  kinds,
  NAT,
  NODE,
  OTHER_HOA,
  ofKind,
  replyIn,
  SITE,
  SPI,
} from "../../../../lib/mip4-home-agent.js";

const FA = ipv4("198.51.100.1");
const authentication = (kind: "foreign-home-authentication" | "mobile-home-authentication"): RegistrationExtension => ({
  kind,
  spi: kind === "foreign-home-authentication" ? 300 : SPI,
  authenticator: new Uint8Array(16),
});
const udpRequest = (part: object = {}): RegistrationExtension => ({
  ...{ kind: "udp-tunnel-request", forced: false, throughForeignAgent: false, encapsulation: 0 },
  ...part,
});
const behindNat = { source: NAT, sourcePort: 61000 };

t.test("what proves nothing creates nothing, and is answered with silence", (t) => {
  const cases: readonly (readonly [what: string, asked: Asked, reason: string])[] = [
    ["a wrong authenticator", { verdicts: ["invalid"] }, "authentication-failed"],
    ["no key for the SPI", { verdicts: ["no-association"] }, "unauthenticated"],
    ["an SPI that the node has not", { spi: 257 }, "unauthenticated"],
    ["two authentications", { behind: [authentication("mobile-home-authentication")] }, "malformed"],
    ["a stranger", { homeAddress: ipv4("192.0.2.99") }, "not-a-subscriber"],
    ["0.0.0.0 without a name", { homeAddress: IPV4_ANY }, "not-a-subscriber"],
    ["port 0", { arrival: { sourcePort: 0 } }, "wrong-source"],
    ["from nowhere", { arrival: { source: IPV4_ANY } }, "wrong-source"],
    ["to somebody else", { arrival: { destination: ipv4("203.0.113.77") } }, "wrong-destination"],
    [
      "a foreign agent that we don't know",
      { behind: [authentication("foreign-home-authentication")] },
      "foreign-agent-unknown",
    ],
  ];
  for (const [what, asked, reason] of cases) {
    const bench = new HomeAgentBench();
    const effects = bench.ask(asked).filter(({ kind }) => kind !== "journal");
    t.equal(dropIn(effects), reason, what);
    t.equal(bench.state.table.size, 0, what);
  }
  const bench = new HomeAgentBench();
  const { request, ...input } = bench.input();
  const bare = bench.step({ ...input, request: { ...request, extensions: [] }, verdicts: [] });
  t.equal(dropIn(bare), "unauthenticated", "no authentication at all");
  t.end();
});

t.test("codes of requests that are authentic", (t) => {
  const site = { foreignAgents: [{ address: FA, spi: 300 }] };
  const fromAgent = { arrival: { source: FA, sourcePort: 434 }, careOfAddress: FA, flags: {} };
  const foreign = authentication("foreign-home-authentication");
  const { poorlyFormedRequest, administrativelyProhibited, foreignAgentAuthentication } = ReplyCode;
  const cases: readonly (readonly [what: string, asked: Asked, code: number])[] = [
    ["the foreign agent's is right", { ...fromAgent, behind: [foreign] }, 1],
    ["it is missing", fromAgent, foreignAgentAuthentication],
    ["there are two", { ...fromAgent, behind: [foreign, foreign] }, foreignAgentAuthentication],
    ["it is wrong", { ...fromAgent, behind: [foreign], verdicts: ["valid", "invalid"] }, foreignAgentAuthentication],
    ["the node's is wrong", { ...fromAgent, behind: [foreign], verdicts: ["invalid", "valid"] }, 131],
    ["the node's SPI is wrong too", { ...fromAgent, behind: [foreign], spi: 999, verdicts: ["invalid", "valid"] }, 131],
    ["the broadcast address of the home network", { arrival: { destination: ipv4("192.0.2.255") } }, 136],
    ["255.255.255.255", { arrival: { destination: ipv4("255.255.255.255") } }, 136],
    ["another home agent in the field", { homeAgent: ipv4("203.0.113.9") }, 136],
    ["somebody else's home address", { homeAddress: OTHER_HOA, extensions: [], verdicts: ["valid"], spi: SPI }, 133],
    ["a care-of address that is none", { careOfAddress: ipv4("224.0.0.1") }, poorlyFormedRequest],
    ["at home, and registering that", { careOfAddress: HOA }, administrativelyProhibited],
    ["at another's home address", { careOfAddress: OTHER_HOA }, administrativelyProhibited],
    ["at the home agent's", { careOfAddress: HA }, administrativelyProhibited],
    ["at a broadcast address", { careOfAddress: ipv4("192.0.2.255") }, administrativelyProhibited],
  ];
  for (const [what, asked, code] of cases) t.equal(codeIn(new HomeAgentBench(site).register(asked)), code, what);
  const edge = ipv4("203.0.113.255");
  const other = { ...site, isNetworkEdge: (address: string) => address === edge };
  t.equal(codeIn(new HomeAgentBench(other).register({ arrival: { destination: edge } })), 136, "of another link");
  t.equal(codeIn(new HomeAgentBench(other).register({ careOfAddress: edge })), administrativelyProhibited);
  const roamer = {
    identifier: new TextEncoder().encode("roamer@example.org"),
    kind: "network-access-identifier",
  } as const;
  t.equal(
    codeIn(new HomeAgentBench().register({ homeAddress: HOA, extensions: [roamer] })),
    129,
    "a node with another's address",
  );
  const reserved = { flags: { reserved: true, decapsulatesItself: true } };
  t.equal(codeIn(new HomeAgentBench().register(reserved)), 1, "x is ignored (C-30)");
  t.equal(codeIn(new HomeAgentBench({ strictReservedBits: true }).register(reserved)), poorlyFormedRequest);
  const ignored = { flags: { reservedFormerlyCompression: true, broadcast: true, decapsulatesItself: true } };
  t.equal(codeIn(new HomeAgentBench({ strictReservedBits: true }).register(ignored)), 1, "r and B are ignored always");
  t.end();
});

t.test("encapsulation and reverse tunnel", (t) => {
  const policies: readonly (readonly [ReverseTunnelling, boolean, number])[] = [
    ["required", true, 1],
    ["required", false, ReplyCode.reverseTunnelMandatory],
    ["optional", true, 1],
    ["optional", false, 1],
    ["refused", true, ReplyCode.reverseTunnelUnavailable],
    ["refused", false, 1],
  ];
  for (const [policy, wanted, code] of policies) {
    const bench = new HomeAgentBench({ reverseTunnelling: policy });
    const effects = bench.register({ flags: { decapsulatesItself: true, reverseTunnelling: wanted } });
    t.equal(codeIn(effects), code, `${policy}, T ${wanted}`);
    if (code === 1) t.equal(ofKind(effects, "data-path")[0]?.path.reverseTunnelling, wanted);
  }
  const own = SITE.subscribers.map((one) => ({ ...one, reverseTunnelling: "required" as const }));
  t.equal(codeIn(new HomeAgentBench({ subscribers: own }).register({ flags: {} })), 138, "of the subscriber");
  const asked = (flags: Asked["flags"], gre = true) =>
    new HomeAgentBench({ encapsulations: { gre, greInUdp: false } }).register({
      flags: { decapsulatesItself: true, ...flags },
    });
  t.equal(codeIn(asked({ minimalEncapsulation: true })), ReplyCode.encapsulationUnavailable);
  t.equal(codeIn(asked({ gre: true }, false)), ReplyCode.encapsulationUnavailable);
  const both = asked({ gre: true, minimalEncapsulation: true });
  t.match(ofKind(both, "data-path")[0]?.path.egress, { transport: "ip", address: COA, encapsulation: "gre" });
  t.match(ofKind(asked({}), "data-path")[0]?.path.egress, { transport: "ip", encapsulation: "ip-in-ip" });
  t.end();
});

t.test("NAT traversal", (t) => {
  const tunnelReply = (effects: ReturnType<HomeAgentBench["ask"]>) =>
    replyIn(effects).reply.extensions.find(({ kind }) => kind === "udp-tunnel-reply");
  const plain = new HomeAgentBench().register({ extensions: [udpRequest()] });
  t.match(tunnelReply(plain), { code: 64, forced: false, keepaliveSeconds: 0 }, "no NAT, not forced: declined");
  t.match(ofKind(plain, "data-path")[0]?.path.egress, { transport: "ip", address: COA });
  const forced = new HomeAgentBench().register({ extensions: [udpRequest({ forced: true })] });
  t.match(tunnelReply(forced), { code: 0, forced: true, keepaliveSeconds: 45 });
  t.match(ofKind(forced, "data-path")[0]?.path.egress, { transport: "udp", address: COA, port: 40000 });
  const natted = new HomeAgentBench().register({ arrival: behindNat, extensions: [udpRequest()] });
  t.match(tunnelReply(natted), { code: 0, forced: false, keepaliveSeconds: 45 });
  t.match(ofKind(natted, "data-path")[0]?.path.egress, {
    transport: "udp",
    address: NAT,
    port: 61000,
    encapsulation: "ip-in-ip",
  });
  t.match(replyIn(natted), { destination: NAT, destinationPort: 61000, source: HA });
  const through = new HomeAgentBench().register({
    arrival: behindNat,
    extensions: [udpRequest({ throughForeignAgent: true })],
  });
  t.match(tunnelReply(through), { code: 64 }, "R: declined");
  t.equal(tunnelReply(new HomeAgentBench().register({ arrival: behindNat })), undefined, "not asked, not answered");

  const codes: readonly (readonly [what: string, asked: Asked, code: number, site?: object])[] = [
    ["D missing", { flags: {}, extensions: [udpRequest()] }, ReplyCode.poorlyFormedRequest],
    ["behind the authentication, with D", { behind: [udpRequest()] }, ReplyCode.poorlyFormedRequest],
    ["behind the authentication, without D", { flags: {}, behind: [udpRequest()] }, 1],
    ["NAT, not allowed", { arrival: behindNat, extensions: [udpRequest()] }, 129, { allowed: false }],
    ["F, not allowed", { extensions: [udpRequest({ forced: true })] }, 129, { forced: false }],
    [
      "F and NAT, forcing alone not allowed",
      { arrival: behindNat, extensions: [udpRequest({ forced: true })] },
      1,
      { forced: false },
    ],
    ["minimal in UDP", { extensions: [udpRequest({ forced: true, encapsulation: 55 })] }, 142],
    ["GRE in UDP", { extensions: [udpRequest({ forced: true, encapsulation: 47 })] }, 142],
    ["G, in UDP", { flags: { decapsulatesItself: true, gre: true }, extensions: [udpRequest({ forced: true })] }, 142],
    [
      "IPv4 in UDP, G besides",
      { flags: { decapsulatesItself: true, gre: true }, extensions: [udpRequest({ forced: true, encapsulation: 4 })] },
      1,
    ],
    ["another encapsulation, but no UDP", { extensions: [udpRequest({ encapsulation: 55 })] }, 1],
  ];
  for (const [what, asked, code, udp] of codes) {
    const bench = new HomeAgentBench({ udpTunnelling: { ...SITE.udpTunnelling, ...udp } });
    t.equal(codeIn(bench.register(asked)), code, what);
  }
  const gre = new HomeAgentBench({ encapsulations: { gre: true, greInUdp: true } });
  const asked = { flags: { decapsulatesItself: true, gre: true }, extensions: [udpRequest({ forced: true })] };
  t.match(ofKind(gre.register(asked), "data-path")[0]?.path.egress, { transport: "udp", encapsulation: "gre" });
  t.end();
});

t.test("replays: a request is good once, and a refused one tells our time", (t) => {
  const bench = new HomeAgentBench();
  const first = bench.input();
  const registered = bench.settle(bench.step(first));
  t.match(replyIn(registered).reply, { code: 1, identification: first.request.identification });
  bench.wait(1);
  bench.register({ careOfAddress: ipv4("198.51.100.8") });
  bench.wait(1);
  const now = bench.timestamp();
  const replayed = bench.step({ ...first, timeOfDay: now });
  t.match(replyIn(replayed).reply, {
    code: 133,
    lifetimeSeconds: 0,
    identification: { high: now.high, low: first.request.identification.low },
  });
  t.strictSame(kinds(replayed), ["reply", "notify"], "and nothing changes");
  const off = bench.timestamp(-31_536_000);
  const wrong = replyIn(bench.ask({ identification: off })).reply;
  t.match(wrong, { code: 133, identification: { low: off.low } });
  const set = { high: wrong.identification.high, low: 0xffffffff };
  t.equal(codeIn(bench.register({ identification: set })), 1, "with the time of the answer it is served");
  bench.wait(1);
  const refused = bench.input({ careOfAddress: HA });
  t.equal(codeIn(bench.step(refused)), 129);
  t.equal(codeIn(bench.step(refused)), 133, "what is refused for another reason is good once too");
  t.end();
});

t.test("nonces: each is good once, and a replay does not take it away", (t) => {
  const bench = new HomeAgentBench();
  const ask = (high: number, nonce: number, part: Asked = {}) =>
    bench.register({ homeAddress: OTHER_HOA, identification: { high, low: 7 }, nonce, ...part });
  const first = replyIn(ask(0, 100)).reply;
  t.match(first, { code: 133, identification: { high: 100, low: 7 } }, "it learns a nonce");
  const second = replyIn(ask(100, 200)).reply;
  t.match(second, { code: 1, identification: { high: 200, low: 7 } });
  t.match(replyIn(ask(100, 300, { careOfAddress: NAT })).reply, { code: 133, identification: { high: 200 } });
  t.match(replyIn(ask(200, 200)).reply, { code: 1, identification: { high: 201 } }, "never the same again");
  t.end();
});

t.test("the answer goes where the request came from, in the order of RFC 5944", (t) => {
  const site = { foreignAgents: [{ address: FA, spi: 300 }] };
  const name = { kind: "network-access-identifier", identifier: new TextEncoder().encode("n@example.org") } as const;
  const effects = new HomeAgentBench(site).register({
    flags: {},
    careOfAddress: FA,
    arrival: { source: FA, sourcePort: 5555 },
    extensions: [
      name,
      { kind: "ipv6-prefix-request", prefixLength: 48, prefix: SITE.subscribers[0]?.prefixes?.[0]?.address as never },
    ],
    behind: [authentication("foreign-home-authentication")],
  });
  const reply = replyIn(effects);
  t.match(reply, { node: NODE, source: HA, destination: FA, destinationPort: 5555, departure: "routed" });
  t.strictSame(
    reply.reply.extensions.map(({ kind }) => kind),
    ["network-access-identifier", "ipv6-prefix-reply", "mobile-home-authentication", "foreign-home-authentication"],
  );
  const broadcast = replyIn(
    new HomeAgentBench().ask({ arrival: { destination: ipv4("192.0.2.255") }, homeAgent: ipv4("192.0.2.255") }),
  );
  t.match(broadcast, { source: HA, reply: { code: 136, homeAgent: HA, homeAddress: HOA } });
  const natted = new HomeAgentBench({ localAddress: ipv4("10.0.0.1") }).ask({
    arrival: { destination: ipv4("10.0.0.1") },
  });
  t.equal(ofKind(natted, "data-path").length, 1, "behind a static NAT: served at its own address");
  t.end();
});
