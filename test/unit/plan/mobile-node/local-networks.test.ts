/** What keeps local networks out of the tunnel, as commands. */
import t from "tap";
import { ipv4, ipv6, parsePrefix } from "../../../../controller/base/ip.js";
import { planLocalNetworks } from "../../../../controller/plan/mobile-node/local-networks.js";
import { formatObject } from "../../../../controller/plan/objects/format.js";
import type { MobileNodePlanSite } from "../../../../controller/plan/site.js";
import type { LocalNetwork } from "../../../../controller/protocol/movement/local-networks.js";

const prefix = (text: string) => parsePrefix(text) ?? { address: ipv6("::"), length: 0 };
const SITE: MobileNodePlanSite = {
  homeAddress: ipv6("2001:db8:1::100"),
  ipv4HomeAddress: ipv4("198.51.100.100"),
  homePrefixes: [],
  homeAgent: { ipv6: ipv6("2001:db8:1::1"), ipv4: ipv4("203.0.113.1") },
  profile: { dscp: "copy", ttl: 64 },
};
const FOUR: LocalNetwork = { destination: prefix("172.17.0.0/16"), device: "br9", source: ipv4("172.17.0.1") };
const SIX: LocalNetwork = { destination: prefix("fd00:17::/64"), device: "br9", source: ipv6("fd00:17::1") };
const EXCLUDED: LocalNetwork = { destination: prefix("2001:db8:77::/48"), device: "eth0", gateway: ipv6("fe80::1") };
const FIND = "# with FIB_RULE_FIND_SADDR, which ip has no word for";

t.test("own networks go before everything, visited and excluded ones after what comes from a home address", (t) => {
  t.strictSame(planLocalNetworks({ own: [FOUR, SIX], visited: [EXCLUDED] }, SITE).map(formatObject), [
    "ip -6 route add fd00:17::/64 dev br9 table 4194 proto 155 metric 1024 src fd00:17::1",
    "ip -6 route add 2001:db8:77::/48 via fe80::1 dev eth0 table 4195 proto 155 metric 1024 onlink",
    `ip -6 rule add priority 4186 from 2001:db8:1::100/128 table 4194 proto 155 ${FIND}`,
    `ip -6 rule add priority 4192 from 2001:db8:1::100/128 table 4195 proto 155 ${FIND}`,
    "ip route add 172.17.0.0/16 dev br9 table 4194 proto 155 metric 0 src 172.17.0.1",
    "ip rule add priority 4186 from 0.0.0.0/32 table 4194 proto 155",
    "ip rule add priority 4186 from 198.51.100.100/32 table 4194 proto 155",
  ]);
  t.end();
});

t.test("without networks of a family, or without its home address, there is nothing", (t) => {
  t.strictSame(planLocalNetworks({ own: [], visited: [] }, SITE), []);
  const { ipv4HomeAddress: _, ...six } = SITE;
  t.strictSame(planLocalNetworks({ own: [FOUR], visited: [] }, six), []);
  t.end();
});
