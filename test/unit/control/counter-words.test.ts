/** Every counter that the firewall of any role can show has words, and nothing else has. */
import assert from "node:assert/strict";
import t from "tap";
import { ipv4, ipv6, type Prefix, parsePrefix } from "../../../controller/base/ip.js";
import { counterText, DROP_WORDS, FIREWALL_WORDS } from "../../../controller/control/counter-words.js";
import { foreignAgentFirewall } from "../../../controller/plan/foreign-agent/firewall.js";
import { homeAgentFirewall } from "../../../controller/plan/home-agent/firewall.js";
import { mobileNodeFirewall } from "../../../controller/plan/mobile-node/firewall.js";
import { mip4NodeFirewall } from "../../../controller/plan/mobile-node/mip4/firewall.js";
import type { NftTable } from "../../../controller/plan/objects/firewall.js";
import { correspondentFirewall } from "../../../controller/plan/route-optimisation/firewall.js";
import { NO_SLOTS } from "../../../controller/plan/security/request-ids.js";
import type { HomeAgentPlanSite, MobileNodePlanSite, TunnelProfileSpec } from "../../../controller/plan/site.js";
import type { ForeignAgentDropReason } from "../../../controller/protocol/mip4/foreign-agent/inputs.js";
import type { DropReason as Mip4DropReason } from "../../../controller/protocol/mip4/inputs.js";
import type { ReplyDropReason } from "../../../controller/protocol/mip4/mobile-node/inputs.js";
import type { CorrespondentDropReason } from "../../../controller/protocol/mip6/correspondent-node/inputs.js";
import type { DropReason as Mip6DropReason } from "../../../controller/protocol/mip6/inputs.js";

const prefix = (text: string): Prefix => parsePrefix(text) ?? assert.fail(text);
const ESP: TunnelProfileSpec = { dscp: "copy", ttl: 64, protection: "esp" };
const PLAIN: TunnelProfileSpec = { dscp: "copy", ttl: 64 };
const HA4 = ipv4("203.0.113.1");
const HOA4 = ipv4("198.51.100.100");

const HOME: HomeAgentPlanSite = {
  addresses: { ipv6: ipv6("2001:db8:1::1"), ipv4: HA4 },
  homePrefixes: [prefix("2001:db8:1::/64"), prefix("198.51.100.0/24")],
  homeDevice: "home",
  mtu: 1400,
  profiles: new Map([["default", PLAIN]]),
};
const SERVES_ALL: HomeAgentPlanSite = {
  ...HOME,
  mappedSignalling: true,
  addressDiscovery: true,
  multicast: true,
  udpOverIpv6: true,
  prefixLengths: { ipv4: [24], ipv6: [56] },
  mip4: { prefixLengths: [64], gre: true },
};
const NODE: MobileNodePlanSite = {
  homeAddress: ipv6("2001:db8:1::100"),
  ipv4HomeAddress: HOA4,
  homePrefixes: HOME.homePrefixes,
  homeAgent: HOME.addresses,
  profile: PLAIN,
};
const negotiated = { slots: NO_SLOTS, espInUdp: "nat" } as const;

const FIREWALLS: Readonly<Record<string, NftTable>> = {
  "home agent": homeAgentFirewall(HOME),
  "home agent that serves all": homeAgentFirewall(SERVES_ALL),
  "home agent with negotiated keys": homeAgentFirewall({ ...SERVES_ALL, mappedSignalling: false, negotiated }),
  "home agent with payload in ESP alone": homeAgentFirewall({
    ...HOME,
    negotiated,
    profiles: new Map([["default", ESP]]),
  }),
  "home agent over IPv6 alone": homeAgentFirewall({ ...HOME, addresses: { ipv6: HOME.addresses.ipv6 } }),
  "mobile node": mobileNodeFirewall(NODE),
  "mobile node of the 2004 profile": mobileNodeFirewall({ ...NODE, mappedSignalling: true }),
  "mobile node over UDP in IPv6": mobileNodeFirewall({ ...NODE, udpOverIpv6: true, multicast: true }),
  "mobile node with payload in ESP": mobileNodeFirewall({ ...NODE, profile: ESP, negotiated: true }),
  "mobile node of Mobile IPv4": mip4NodeFirewall({
    ...{ homeAgent: HA4, homeAddress: HOA4, homePrefixes: [], profile: PLAIN, routers: new Map() },
    prefixes: [prefix("2001:db8:5::/48")],
  }),
  correspondent: correspondentFirewall(),
  "foreign agent": foreignAgentFirewall({
    careOfAddress: ipv4("203.0.113.10"),
    links: [{ device: "visit", address: ipv4("192.0.2.1"), prefixLength: 24 }],
    profile: PLAIN,
    gre: true,
    mtu: 1400,
  }),
};

const counted = ({ chains }: NftTable): readonly string[] =>
  chains.flatMap(({ rules }) =>
    rules.flatMap(({ expressions }) => expressions.flatMap((one) => (one.type === "count" ? [one.counter] : []))),
  );
const sorted = (names: Iterable<string>): readonly string[] => [...new Set(names)].sort();

for (const [whose, table] of Object.entries(FIREWALLS))
  t.test(`firewall of a ${whose}: its counters are those that its rules count, and each has words`, async (test) => {
    test.strictSame(sorted(table.counters), sorted(counted(table)));
    for (const name of table.counters) test.match(counterText(name, 1), /^[a-z0-9-]+ 1 \(.+\)$/, name);
  });

t.test("no words are left of counters that are not there any more", async (test) => {
  // mapped-forged is the difference of two of them (platform.ts).
  const all = [...Object.values(FIREWALLS).flatMap(counted), "mapped-forged"];
  test.strictSame(sorted(Object.keys(FIREWALL_WORDS)), sorted(all));
});

t.test("a counter that is zero, or that nobody knows, is its number alone", async (test) => {
  test.equal(counterText("metered", 0), "metered 0");
  test.equal(counterText("unheard-of", 3), "unheard-of 3");
});

type Reason = Mip6DropReason | CorrespondentDropReason | Mip4DropReason | ReplyDropReason | ForeignAgentDropReason;
/** The compiler sees to it that none is missing. */
const REASONS: Readonly<Record<Reason, true>> = {
  malformed: true,
  "unexpected-type": true,
  "not-a-subscriber": true,
  unprotected: true,
  unauthenticated: true,
  "authentication-failed": true,
  "authorization-missing": true,
  "stale-nonces": true,
  "not-permitted": true,
  "foreign-agent-unknown": true,
  "wrong-destination": true,
  "wrong-source": true,
  "wrong-path": true,
  "care-of-not-unicast": true,
  "mapped-source": true,
  "home-address-mismatch": true,
  "home-address-option-missing": true,
  "routing-header-missing": true,
  "not-home-registration": true,
  "unknown-binding": true,
  "no-outstanding-request": true,
  "no-outstanding-update": true,
  "no-outstanding-notice": true,
  "cookie-mismatch": true,
  "identifier-mismatch": true,
  "identification-mismatch": true,
  "sequence-mismatch": true,
  duplicate: true,
  "rate-limited": true,
  "queue-full": true,
  "refused-by-kernel": true,
  "journal-unwritable": true,
  "multicast-scope": true,
  "multicast-limit": true,
  "multicast-unserved": true,
};

t.test("every reason for which a message is dropped has words, and nothing else has", async (test) => {
  test.strictSame(sorted(Object.keys(DROP_WORDS)), sorted(Object.keys(REASONS)));
  for (const name of Object.keys(REASONS)) test.match(counterText(name, 2, "dropped"), /^[a-z-]+ 2 \(.+\)$/, name);
  test.not(
    counterText("mapped-source", 1, "dropped"),
    counterText("mapped-source", 1),
    "a counter of the firewall too",
  );
});
