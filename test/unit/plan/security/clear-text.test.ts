/** What the kernel does with a packet by the policies of both ends, in every state of keys and movement: nothing that needs ESP goes without. */
import t, { type Test } from "tap";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { Secret } from "../../../../controller/base/secret.js";
import { planBinding, planHomeAgentSite } from "../../../../controller/plan/home-agent/plan.js";
import { planMobileNode, planMobileNodeSite } from "../../../../controller/plan/mobile-node/plan.js";
import type { KernelObject } from "../../../../controller/plan/objects/objects.js";
import { TYPED_MESSAGE_MARK_BIT } from "../../../../controller/plan/security/marks.js";
import { NO_SLOTS } from "../../../../controller/plan/security/request-ids.js";
import { planNegotiatedNode, planNegotiatedSubscriber } from "../../../../controller/plan/security/subscriber.js";
import type { Associations, HomeAgentPlanSite, MobileNodePlanSite } from "../../../../controller/plan/site.js";
import type { Endpoint } from "../../../../controller/protocol/mip6/inputs.js";
import type { LocalEndpoint, MobileNodeDataPath } from "../../../../controller/protocol/mip6/mobile-node/inputs.js";
import { type Fate, fateOf, type PolicyPacket } from "../../../lib/policies.js";

const HOA = ipv6("2001:db8:1::100");
const HOA4 = ipv4("198.51.100.100");
const HA6 = ipv6("2001:db8:1::1");
const HA4 = ipv4("203.0.113.1");
const CN = ipv6("2001:db8:c::2");
const CN4 = ipv4("192.0.2.2");
const [UDP, ICMPV6, MOBILITY_HEADER] = [17, 58, 135];

const key = (spi: number) => ({
  spi,
  aead: { algorithm: "rfc4106(gcm(aes))", key: new Secret(new Uint8Array(20).fill(spi)), icvLength: 16 },
});
const child = (spi: number) => ({ receive: [key(spi)], send: key(spi + 1) });
const KEYS: Readonly<Record<string, Associations>> = {
  none: {},
  "updates and payload": { signalling: child(1), payload: child(3) },
  all: { signalling: child(1), payload: child(3), "return-routability": child(5), prefix: child(7) },
};
const SIX: Endpoint = { format: "ipv6", address: ipv6("2001:db8:a::2") };
const FOUR: Endpoint = { format: "ipv4", address: ipv4("203.0.114.2") };
const NAT: Endpoint = { format: "udp", address: ipv4("203.0.115.2"), port: 40000 };

function homeAgents(protection: "none" | "esp", associations: Associations): Map<string, readonly KernelObject[]> {
  const site: HomeAgentPlanSite = {
    addresses: { ipv6: HA6, ipv4: HA4 },
    homePrefixes: [],
    homeDevice: "home",
    mtu: 1400,
    profiles: new Map([["default", { dscp: "copy", ttl: 64, protection }]]),
    negotiated: { slots: NO_SLOTS, espInUdp: "nat" },
  };
  const base = [...planHomeAgentSite(site), ...planNegotiatedSubscriber(HOA, associations, site)];
  const bound = ([egress, ...former]: readonly [Endpoint, ...Endpoint[]]): readonly KernelObject[] => {
    const homes = { homeAddress: HOA, ipv4HomeAddress: HOA4 };
    const path = { ...homes, egress, ingress: [egress, ...former], profile: "default", revision: 1 };
    return [...base, ...planBinding(path, site, { associations })];
  };
  return new Map([
    ["unbound", base],
    ["over IPv6", bound([SIX])],
    ["over IPv4", bound([FOUR, SIX])],
    ["behind a NAT", bound([NAT])],
  ]);
}

function mobileNodes(protection: "none" | "esp", associations: Associations): Map<string, readonly KernelObject[]> {
  const site: MobileNodePlanSite = {
    homeAddress: HOA,
    ipv4HomeAddress: HOA4,
    homePrefixes: [],
    homeAgent: { ipv6: HA6, ipv4: HA4 },
    profile: { dscp: "copy", ttl: 64, protection },
    negotiated: true,
  };
  const six: LocalEndpoint = { format: "ipv6", address: ipv6("2001:db8:a::2"), device: "eth6" };
  const nat: LocalEndpoint = { format: "udp", address: ipv4("10.0.0.2"), device: "lan" };
  const base = [...planMobileNodeSite(site, undefined), ...planNegotiatedNode(site, associations)];
  const at = (changes: Partial<MobileNodeDataPath>): readonly KernelObject[] => {
    const homes = { homeAddress: HOA, ipv4HomeAddress: HOA4 };
    const path: MobileNodeDataPath = { ...homes, mode: "away", ingress: [], revision: 1, ...changes };
    return [...base, ...planMobileNode(path, site, associations)];
  };
  return new Map([
    ["over IPv6", at({ egress: six, ingress: [six, nat] })],
    ["behind a NAT", at({ egress: nat, ingress: [nat] })],
    ["between two ways", at({ ingress: [six] })],
  ]);
}

function check(
  test: Test,
  places: ReadonlyMap<string, readonly KernelObject[]>,
  packets: Readonly<Record<string, PolicyPacket>>,
  allowed: readonly Fate[],
): void {
  for (const [place, objects] of places) {
    for (const [name, packet] of Object.entries(packets)) {
      const fate = fateOf(objects, packet);
      test.ok(allowed.includes(fate), `${name}, ${place}: ${fate}`);
    }
  }
}

const typed = { mark: TYPED_MESSAGE_MARK_BIT };
const PREFIX_DISCOVERY: Readonly<Record<string, PolicyPacket>> = {
  "a solicitation comes in": {
    direction: "in",
    source: HOA,
    destination: HA6,
    protocol: ICMPV6,
    type: 146,
    ...typed,
  },
  "an advertisement leaves": { direction: "out", source: HA6, destination: HOA, protocol: ICMPV6, type: 147 },
};
const UPDATES: Readonly<Record<string, PolicyPacket>> = {
  "an update comes in": { direction: "in", source: HOA, destination: HA6, protocol: MOBILITY_HEADER, type: 5 },
  "an acknowledgement leaves": { direction: "out", source: HA6, destination: HOA, protocol: MOBILITY_HEADER, type: 6 },
};

t.test("updates and mobile prefix discovery never pass in clear, whatever the binding and its payload", (test) => {
  for (const protection of ["none", "esp"] as const) {
    for (const [name, associations] of Object.entries(KEYS)) {
      test.comment(`payload: ${protection}, keys: ${name}`);
      const places = homeAgents(protection, associations);
      check(test, places, { ...PREFIX_DISCOVERY, ...UPDATES }, ["protected", "blocked"]);
    }
  }
  test.end();
});

t.test("return routability of a bound node never passes in clear", (test) => {
  const messages = {
    "a Home Test Init is forwarded": { direction: "forward", source: HOA, destination: CN },
    "a Home Test leaves": { direction: "out", source: CN, destination: HOA },
  } as const;
  const marked = Object.fromEntries(
    Object.entries(messages).map(([name, one]) => [name, { ...one, protocol: MOBILITY_HEADER, ...typed }]),
  );
  for (const protection of ["none", "esp"] as const) {
    for (const associations of Object.values(KEYS)) {
      const places = homeAgents(protection, associations);
      places.delete("unbound");
      check(test, places, marked, ["protected", "blocked"]);
    }
  }
  test.end();
});

t.test("protected payload never leaves in clear, at either end, with or without keys", (test) => {
  const down = {
    "IPv6 payload to the node": { direction: "out", source: CN, destination: HOA, protocol: UDP },
    "IPv4 payload to the node": { direction: "out", source: CN4, destination: HOA4, protocol: UDP },
  } as const;
  const up = {
    "IPv6 payload of the node": { direction: "out", source: HOA, destination: CN, protocol: UDP },
    "IPv4 payload of the node": { direction: "out", source: HOA4, destination: CN4, protocol: UDP },
  } as const;
  for (const associations of Object.values(KEYS)) {
    const places = homeAgents("esp", associations);
    places.delete("unbound");
    check(test, places, down, ["protected", "blocked"]);
    check(test, mobileNodes("esp", associations), up, ["protected", "blocked"]);
  }
  test.end();
});
