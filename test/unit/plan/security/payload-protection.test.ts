/** Payload in ESP: what both ends plan, which associations take on from which, and that nothing is in clear. */
import t from "tap";
import { formatPrefix, ipv4, ipv6, type Prefix, parsePrefix } from "../../../../controller/base/ip.js";
import { Secret } from "../../../../controller/base/secret.js";
import { planBinding } from "../../../../controller/plan/home-agent/plan.js";
import { planMobileNode } from "../../../../controller/plan/mobile-node/plan.js";
import { type KernelObject, objectKey } from "../../../../controller/plan/objects/objects.js";
import type { XfrmPolicy, XfrmState } from "../../../../controller/plan/objects/security.js";
import { isParkingPlace, parkingPlace } from "../../../../controller/plan/security/esp-ways.js";
import {
  assignSlots,
  NO_SLOTS,
  PURPOSES,
  RequestIds,
  reqidOf,
} from "../../../../controller/plan/security/request-ids.js";
import { predecessorsOf } from "../../../../controller/plan/security/succession.js";
import { parkedAssociations } from "../../../../controller/plan/security/tunnel-associations.js";
import type { AssociationEnds, HomeAgentPlanSite, MobileNodePlanSite } from "../../../../controller/plan/site.js";
import type { DataPath, Endpoint } from "../../../../controller/protocol/mip6/inputs.js";
import type { LocalEndpoint, MobileNodeDataPath } from "../../../../controller/protocol/mip6/mobile-node/inputs.js";

const HOA = ipv6("2001:db8:1::100");
const HA6 = ipv6("2001:db8:1::1");
const HA4 = ipv4("203.0.113.1");
const PROFILE = { dscp: "copy", ttl: 64, protection: "esp" } as const;
const HOME_AGENT: HomeAgentPlanSite = {
  addresses: { ipv6: HA6, ipv4: HA4 },
  homePrefixes: [],
  mtu: 1400,
  profiles: new Map([["default", PROFILE]]),
  negotiated: { slots: NO_SLOTS, espInUdp: "nat" },
};
const NODE: MobileNodePlanSite = {
  homeAddress: HOA,
  homePrefixes: [],
  homeAgent: { ipv6: HA6, ipv4: HA4 },
  profile: PROFILE,
  negotiated: true,
};
const key = (spi: number) => ({
  spi,
  aead: { algorithm: "rfc4106(gcm(aes))", key: new Secret(new Uint8Array(20).fill(spi)), icvLength: 16 },
});
const PAYLOAD = { receive: [key(1)], send: key(2) };
const SIX: Endpoint = { format: "ipv6", address: ipv6("2001:db8:a::2") };
const FOUR: Endpoint = { format: "ipv4", address: ipv4("203.0.114.2") };
const NAT: Endpoint = { format: "udp", address: ipv4("203.0.115.2"), port: 40000 };

const path = (egress: Endpoint, ...former: Endpoint[]): DataPath => ({
  homeAddress: HOA,
  ipv4HomeAddress: ipv4("198.51.100.100"),
  egress,
  ingress: [egress, ...former],
  profile: "default",
  revision: 1,
});
const protection = (observed?: ReadonlyMap<string, number>) => ({
  associations: { payload: PAYLOAD },
  ...(observed && { observedEsp: observed as never }),
});
const states = (objects: readonly KernelObject[]): XfrmState[] =>
  objects.filter((object): object is XfrmState => object.kind === "xfrm-state" && object.transform.type === "esp");
const endsOf = (objects: readonly KernelObject[]): string[] =>
  states(objects).map(({ source, destination, transform }) => {
    const udp = transform.type === "esp" && transform.encapsulation !== undefined;
    return `${source}>${destination}${udp ? ` udp ${transform.encapsulation.destinationPort}` : ""}`;
  });

t.test("ESP as it is without a NAT, in UDP port 4500 behind one", (test) => {
  test.strictSame(endsOf(planBinding(path(SIX), HOME_AGENT, protection())), [
    ":::>2001:db8:1::1".slice(1),
    "2001:db8:1::1>2001:db8:a::2",
  ]);
  test.strictSame(endsOf(planBinding(path(FOUR), HOME_AGENT, protection())), [
    "0.0.0.0>203.0.113.1",
    "203.0.113.1>203.0.114.2",
  ]);
  const known = protection(new Map([["203.0.115.2", 61000]]));
  test.strictSame(endsOf(planBinding(path(NAT), HOME_AGENT, known)), [
    "0.0.0.0>203.0.113.1 udp 4500",
    "203.0.113.1>203.0.115.2 udp 61000",
  ]);
  test.end();
});

t.test("R5555-5.1-17: until a NAT's port for ESP is known the node is reached where it was before", (test) => {
  const [, , sending] = endsOf(planBinding(path(NAT, SIX), HOME_AGENT, protection()));
  test.equal(sending, "2001:db8:1::1>2001:db8:a::2");
  const before: Endpoint = { format: "udp", address: ipv4("203.0.116.2"), port: 40000 };
  const known = protection(new Map([["203.0.116.2", 61000]]));
  test.equal(
    endsOf(planBinding(path(NAT, before), HOME_AGENT, known)).at(-1),
    "203.0.113.1>203.0.116.2 udp 61000",
    "another NAT is another place, even with the same port",
  );
  test.equal(
    endsOf(planBinding(path(NAT), HOME_AGENT, protection())).at(-1),
    "203.0.113.1>203.0.115.2 udp 4500",
    "or nowhere better",
  );
  test.end();
});

t.test("no tunnel takes the node's packets, and a policy stands before every way to it", (test) => {
  const objects = planBinding(path(FOUR), HOME_AGENT, protection());
  test.notOk(objects.some(({ kind }) => kind === "nft-element"));
  const routes = objects.filter((object) => object.kind === "route");
  test.strictSame([...new Set(routes.map(({ device }) => device))], ["dsmip-esp"]);
  const out = objects.filter((object) => object.kind === "xfrm-policy" && object.direction === "out");
  test.ok(out.length >= 2, "both families");
  test.end();
});

t.test("the home agent itself is left out, at the node's end too", (test) => {
  const four: LocalEndpoint = { format: "ipv4", address: ipv4("203.0.114.2"), device: "eth0" };
  const away: MobileNodeDataPath = { homeAddress: HOA, mode: "away", egress: four, ingress: [four], revision: 1 };
  const policies = planMobileNode(away, NODE, { payload: PAYLOAD }).filter((object) => object.kind === "xfrm-policy");
  const bypass = policies.find(
    ({ direction, selector }) => direction === "out" && selector.destination.address === HA6,
  );
  test.strictSame(bypass?.templates, []);
  const payload = policies.find(({ direction, selector }) => direction === "out" && selector.destination.length === 0);
  test.ok((bypass?.priority ?? 0) < (payload?.priority ?? 0), "looked at first");
  test.strictSame(endsOf(planMobileNode(away, NODE, { payload: PAYLOAD })), [
    "0.0.0.0>203.0.114.2",
    "0.0.0.0>203.0.114.2 udp 4500",
    "203.0.114.2>203.0.113.1",
  ]);
  test.end();
});

t.test("sequence numbers go from end to end: every association takes on from its twins, and from no other", (test) => {
  const before = states(planBinding(path(SIX), HOME_AGENT, protection()));
  const after = states(planBinding(path(FOUR, SIX), HOME_AGENT, protection()));
  const parked = states(parkedAssociations(HOA, "payload", PAYLOAD));
  for (const one of after) {
    const kin = predecessorsOf(one, [...before, ...parked]).map(objectKey);
    if (before.some((other) => objectKey(other) === objectKey(one))) continue;
    test.ok(kin.length > 0, objectKey(one));
  }
  const stranger = { ...key(1), aead: { ...key(9).aead } };
  const other = states(parkedAssociations(HOA, "payload", { receive: [stranger], send: undefined }));
  test.strictSame(predecessorsOf(after[0] as XfrmState, other), [], "another key under the same SPI");
  test.end();
});

t.test("nodes that choose one SPI are parked side by side", (test) => {
  const other = ipv6("2001:db8:1::101");
  const send = key(0x1000);
  const places = PURPOSES.flatMap((purpose) =>
    [HOA, other].flatMap((home) => parkedAssociations(home, purpose, { receive: [send], send })),
  );
  test.equal(new Set(places.map(objectKey)).size, places.length, "none takes the place of another");
  for (const { destination } of states(places)) test.ok(isParkingPlace(destination), destination);
  test.notOk(isParkingPlace(HOA));
  test.end();
});

t.test("no two nodes share a request id, and each is found again", (test) => {
  const nodes = Array.from({ length: 5000 }, (_, i) =>
    ipv6(`2001:db8:${(i % 7).toString(16)}::${(i + 1).toString(16)}`),
  );
  const slots = assignSlots(nodes);
  const ids = new RequestIds(nodes, slots);
  const seen = new Set<number>();
  for (const node of nodes) for (const purpose of PURPOSES) seen.add(reqidOf(node, purpose, slots));
  test.equal(seen.size, nodes.length * PURPOSES.length);
  for (const node of nodes.slice(0, 50)) {
    test.strictSame(ids.find(reqidOf(node, "payload", slots)), { homeAddress: node, purpose: "payload" });
  }
  test.strictSame(assignSlots([...nodes, ipv6("2001:db8:ff::1")]).size >= slots.size, true);
  test.end();
});

const withEnds = (ends: AssociationEnds) => ({ payload: { ...PAYLOAD, ends } });

t.test("with MOBIKE the home agent sends to the IKE daemon's ends and receives at all of its own", (test) => {
  const at = (ends: AssociationEnds, bound: Endpoint = SIX): string[] =>
    endsOf(planBinding(path(bound), HOME_AGENT, { associations: withEnds(ends) }));
  const own = ["::>2001:db8:1::1", "0.0.0.0>203.0.113.1", "0.0.0.0>203.0.113.1 udp 4500"];
  const udp = { localPort: 4500, remotePort: 61000 };
  test.strictSame(at({ local: HA4, remote: NAT.address, udp }), [...own, "203.0.113.1>203.0.115.2 udp 61000"]);
  test.strictSame(
    at({ local: HA4, remote: FOUR.address }),
    [...own, "203.0.113.1>203.0.114.2"],
    "ahead of the binding",
  );
  test.strictSame(at({ local: HA6, remote: SIX.address }, FOUR), [...own, "2001:db8:1::1>2001:db8:a::2"], "behind it");
  test.strictSame(at({ local: HA6, remote: HOA }, FOUR), [...own, "203.0.113.1>203.0.114.2"], "it was at home");
  const always = { ...HOME_AGENT, negotiated: { slots: NO_SLOTS, espInUdp: "always" } } as const;
  const forced = planBinding(path(SIX), always, { associations: withEnds({ local: HA4, remote: FOUR.address }) });
  test.equal(endsOf(forced).at(-1), "203.0.113.1>203.0.114.2 udp 4500");
  test.end();
});

t.test("with MOBIKE the node's payload does not wait for the acknowledgement", (test) => {
  const six: LocalEndpoint = { format: "ipv6", address: ipv6("2001:db8:a::2"), device: "eth6" };
  const four: LocalEndpoint = { format: "udp", address: ipv4("10.0.0.2"), device: "eth0" };
  const at = (ends: AssociationEnds, changes: Partial<MobileNodeDataPath> = {}): string | undefined => {
    const away: MobileNodeDataPath = { homeAddress: HOA, mode: "away", egress: six, ingress: [six, four], revision: 1 };
    const { egress, ...rest } = { ...away, ...changes };
    return endsOf(planMobileNode({ ...rest, ...(egress && { egress }) }, NODE, withEnds(ends))).at(-1);
  };
  const udp = { localPort: 4500, remotePort: 4500 };
  const moved = { local: four.address, remote: HA4, udp };
  test.equal(at(moved), "10.0.0.2>203.0.113.1 udp 4500");
  test.equal(at(moved, { egress: undefined as never }), "10.0.0.2>203.0.113.1 udp 4500", "the old way is gone");
  test.equal(
    at(moved, { egress: undefined as never, homeDevice: "home" }),
    `${parkingPlace(reqidOf(HOA, "payload"))}>${parkingPlace(reqidOf(HOA, "payload"))}`,
    "the home link still does",
  );
  test.equal(at({ local: six.address, remote: HA6, udp }), "2001:db8:a::2>2001:db8:1::1", "no UDP over IPv6");
  test.equal(at({ local: HOA, remote: HA6 }), "2001:db8:a::2>2001:db8:1::1", "IKE still speaks from home");
  test.end();
});

const NETWORKS = ["2001:db8:100:1::/64", "2001:db8:100::/64", "10.1.0.0/24"].map((text) => parsePrefix(text) as Prefix);
/** "in A>B" of those that ask for ESP, with a question mark where they do not insist. */
const esp = (objects: readonly KernelObject[]): string[] =>
  objects
    .filter((object): object is XfrmPolicy => object.kind === "xfrm-policy" && (object.templates ?? []).length > 0)
    .map(({ direction, selector: { source, destination }, templates }) => {
      const question = templates?.every(({ optional }) => optional) === true ? "?" : "";
      return `${direction} ${formatPrefix(source)}>${formatPrefix(destination)}${question}`;
    });

t.test("the home agent has one policy each way for networks that are neighbours", (test) => {
  const found = esp(planBinding({ ...path(SIX), mobileRouter: true, prefixes: NETWORKS }, HOME_AGENT, protection()));
  for (const network of ["2001:db8:100::/63", "10.1.0.0/24"]) {
    const any = network.includes(":") ? "::/0" : "0.0.0.0/0";
    test.strictSame(
      found.filter((one) => one.includes(network)),
      [`forward ${network}>${any}?`, `in ${network}>${any}?`, `out ${any}>${network}`],
    );
  }
  test.strictSame(
    found.filter((one) => one.includes("2001:db8:100:1::")),
    [],
  );
  test.end();
});

t.test(
  "a router takes what is for its own addresses in its networks out of ESP, and from its neighbours in clear",
  (test) => {
    const endpoint: LocalEndpoint = { format: "ipv6", address: ipv6("2001:db8:a::2"), device: "six" };
    const away: MobileNodeDataPath = {
      homeAddress: HOA,
      mode: "away",
      egress: endpoint,
      ingress: [endpoint],
      revision: 1,
    };
    const site = { ...NODE, prefixes: NETWORKS };
    const found = esp(planMobileNode(away, site, { payload: PAYLOAD }));
    for (const network of ["2001:db8:100::/63", "10.1.0.0/24"]) {
      const any = network.includes(":") ? "::/0" : "0.0.0.0/0";
      test.strictSame(
        found.filter((one) => one.includes(`>${network}`)),
        [`forward ${any}>${network}`, `in ${any}>${network}?`],
      );
    }
    test.end();
  },
);
