/**
 * Whose an object is follows from the object alone: all that is planned for a node is found to be that node's, in the part of its plan where
 * it stands, and nothing that all nodes share is anybody's.
 */
import t, { type Test } from "tap";
import { type IpAddress, ipv4, ipv6, parsePrefix } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import { homeAgentOwner, type NodeDirectory } from "../../../controller/plan/home-agent/owner.js";
import { planBinding, planHomeAgentSite } from "../../../controller/plan/home-agent/plan.js";
import { mobileNodeOwner } from "../../../controller/plan/mobile-node/owner.js";
import { planMobileNode } from "../../../controller/plan/mobile-node/plan.js";
import { formatObjectShort } from "../../../controller/plan/objects/format.js";
import type { KernelObject } from "../../../controller/plan/objects/objects.js";
import { assignSlots, RequestIds, TUNNEL_PURPOSES } from "../../../controller/plan/security/request-ids.js";
import {
  planNegotiatedNode,
  planNegotiatedSubscriber,
  planSubscriberSecurity,
} from "../../../controller/plan/security/subscriber.js";
import { parkedAssociations } from "../../../controller/plan/security/tunnel-associations.js";
import type { HomeAgentPlanSite, MobileNodePlanSite, TunnelProfileSpec } from "../../../controller/plan/site.js";
import type { DataPath, Endpoint } from "../../../controller/protocol/mip6/inputs.js";
import type { LocalEndpoint } from "../../../controller/protocol/mip6/mobile-node/inputs.js";

const HA6 = ipv6("2001:db8:1::1");
const HA4 = ipv4("203.0.113.1");
const NODE = ipv6("2001:db8:1::100");
const OTHER = ipv6("2001:db8:1::101");
const STRANGER = ipv6("2001:db8:1::999");
const NODE4 = ipv4("198.51.100.100");
const LINK_LOCAL = ipv6("fe80::100");
const prefixes = ["2001:db8:1::/64", "198.51.100.0/24"].flatMap((text) => parsePrefix(text) ?? []);

const ENDPOINTS: readonly Endpoint[] = [
  { format: "ipv6", address: ipv6("2001:db8:a::2") },
  { format: "ipv4", address: ipv4("203.0.114.2") },
  { format: "udp", address: ipv4("203.0.115.2"), port: 40000 },
];
const PROFILES = new Map<string, TunnelProfileSpec>([
  ["default", { dscp: "copy", ttl: 64 }],
  ["gold", { dscp: 46, ttl: 77 }],
  ["protected", { dscp: "copy", ttl: 64, protection: "esp" }],
]);
const slots = assignSlots([NODE, OTHER]);
const SITE: HomeAgentPlanSite = {
  addresses: { ipv6: HA6, ipv4: HA4 },
  homePrefixes: prefixes,
  homeDevice: "home",
  mtu: 1400,
  profiles: PROFILES,
};
const NEGOTIATED: HomeAgentPlanSite = { ...SITE, negotiated: { slots, espInUdp: "nat" } };

const association = (spi: number) => ({
  spi,
  aead: { algorithm: "rfc4106(gcm(aes))", key: new Secret(new Uint8Array(20).fill(spi)), icvLength: 16 },
});
const both = (spi: number) => ({ receive: [association(spi)], send: association(spi + 1) });
const ASSOCIATIONS = { signalling: both(1), "return-routability": both(3), prefix: both(5), payload: both(7) };
const KEY = { spi: 0x1000, algorithm: "aes-gcm" as const, key: new Secret(new Uint8Array(20)) };
const KEYS = { update: KEY, acknowledgement: KEY, replayWindow: 64 };

const DIRECTORY: NodeDirectory = {
  ids: new RequestIds([NODE, OTHER], slots),
  homePrefixes: prefixes,
  nodeAt: (address: IpAddress) =>
    address === NODE || address === NODE4 ? NODE : address === OTHER ? OTHER : undefined,
};

function allAre(test: Test, kind: "binding" | "subscriber", objects: readonly KernelObject[]): void {
  test.ok(objects.length > 0);
  const wrong = objects.flatMap((object) => {
    const owner = homeAgentOwner(object, DIRECTORY);
    return owner?.kind === kind && owner.homeAddress === NODE ? [] : [`${formatObjectShort(object)}: ${owner?.kind}`];
  });
  test.strictSame(wrong, []);
}

t.test("each object of a binding is its node's, in every format, profile and protection", (test) => {
  for (const egress of ENDPOINTS)
    for (const profile of PROFILES.keys())
      for (const site of [SITE, NEGOTIATED]) {
        if (profile === "protected" && site === SITE) continue;
        const path: DataPath = {
          ...{ homeAddress: NODE, ipv4HomeAddress: NODE4, linkLocalAddress: LINK_LOCAL, egress, ingress: ENDPOINTS },
          ...{ profile, revision: 1 },
        };
        allAre(test, "binding", planBinding(path, site, site === SITE ? undefined : { associations: ASSOCIATIONS }));
      }
  for (const purpose of TUNNEL_PURPOSES)
    allAre(test, "binding", parkedAssociations(NODE, purpose, ASSOCIATIONS[purpose], slots));
  test.end();
});

t.test("each object of a subscriber's security is its own, bound or not", (test) => {
  allAre(test, "subscriber", planSubscriberSecurity(NODE, KEYS, SITE));
  allAre(test, "subscriber", planNegotiatedSubscriber(NODE, ASSOCIATIONS, NEGOTIATED));
  allAre(test, "subscriber", planNegotiatedSubscriber(NODE, {}, NEGOTIATED));
  test.end();
});

t.test("what all nodes share is nobody's, nor is what a stranger would have", (test) => {
  for (const site of [SITE, NEGOTIATED])
    for (const object of planHomeAgentSite(site))
      test.equal(homeAgentOwner(object, DIRECTORY), undefined, formatObjectShort(object));
  const path: DataPath = {
    ...{ homeAddress: STRANGER, egress: ENDPOINTS[0] as Endpoint, ingress: ENDPOINTS, profile: "default", revision: 1 },
  };
  for (const object of [...planBinding(path, SITE), ...planSubscriberSecurity(STRANGER, KEYS, SITE)])
    test.equal(homeAgentOwner(object, DIRECTORY), undefined, formatObjectShort(object));
  test.end();
});

t.test(
  "at a mobile node its negotiated signalling is its security, and all else that changes its data path",
  (test) => {
    const site: MobileNodePlanSite = {
      ...{ homeAddress: NODE, ipv4HomeAddress: NODE4, homePrefixes: prefixes, homeAgent: { ipv6: HA6, ipv4: HA4 } },
      ...{ profile: { dscp: "copy", ttl: 64, protection: "esp" }, negotiated: true },
    };
    for (const object of planNegotiatedNode(site, ASSOCIATIONS))
      test.strictSame(
        mobileNodeOwner(object, NODE),
        { kind: "subscriber", homeAddress: NODE },
        formatObjectShort(object),
      );
    const local: LocalEndpoint = { format: "ipv6", address: ipv6("2001:db8:a::2"), device: "eth0" };
    const path = {
      homeAddress: NODE,
      mode: "away",
      egress: local,
      ingress: [local],
      updateFrom: local.address,
      revision: 1,
    };
    for (const object of planMobileNode(path as never, site, ASSOCIATIONS))
      test.strictSame(mobileNodeOwner(object, NODE), { kind: "binding", homeAddress: NODE }, formatObjectShort(object));
    const [strangers] = planNegotiatedNode({ ...site, homeAddress: OTHER }, ASSOCIATIONS);
    test.equal(strangers && mobileNodeOwner(strangers, NODE), undefined, "another node's association is not its own");
    test.end();
  },
);
