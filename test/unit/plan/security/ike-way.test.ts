/** The way of IKE that charon's MOBIKE follows. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { formatObject } from "../../../../controller/plan/objects/format.js";
import { ikeRoute, ikeRules } from "../../../../controller/plan/security/ike-way.js";
import type { MobileNodePlanSite } from "../../../../controller/plan/site.js";

const SITE: MobileNodePlanSite = {
  homeAddress: ipv6("2001:db8:1::100"),
  homePrefixes: [],
  homeAgent: { ipv6: ipv6("2001:db8:1::1"), ipv4: ipv4("203.0.113.1") },
  profile: { dscp: "copy", ttl: 64 },
  mobike: true,
};

t.test("IKE has one way, from the care-of address to the home agent, and no other", (test) => {
  test.strictSame(ikeRules(SITE).map(formatObject), [
    "ip -6 rule add priority 4184 from all fwmark 0x6191 table 4193 proto 155",
    "ip -6 rule add priority 4185 from all fwmark 0x6191 unreachable proto 155",
    "ip rule add priority 4184 from all fwmark 0x6191 table 4193 proto 155",
    "ip rule add priority 4185 from all fwmark 0x6191 unreachable proto 155",
  ]);
  const four = { format: "udp", address: ipv4("10.0.0.2"), device: "lan", gateway: ipv4("10.0.0.1") } as const;
  test.strictSame(ikeRoute(four, SITE).map(formatObject), [
    "ip route add 203.0.113.1/32 via 10.0.0.1 dev lan table 4193 proto 155 metric 0 src 10.0.0.2 onlink",
  ]);
  const home = { format: "ipv6", address: SITE.homeAddress, device: "home" } as const;
  test.strictSame(ikeRoute(home, SITE).map(formatObject), [
    "ip -6 route add 2001:db8:1::1/128 dev home table 4193 proto 155 metric 1024 src 2001:db8:1::100",
  ]);
  test.end();
});

t.test("nothing of it without MOBIKE, without an end, or without the home agent's address of that family", (test) => {
  const end = { format: "ipv4", address: ipv4("10.0.0.2"), device: "lan" } as const;
  test.strictSame([...ikeRules({ ...SITE, mobike: false }), ...ikeRoute(end, { ...SITE, mobike: false })], []);
  test.strictSame(ikeRoute(undefined, SITE), []);
  test.strictSame(ikeRoute(end, { ...SITE, homeAgent: { ipv6: SITE.homeAgent.ipv6 } }), []);
  test.end();
});
