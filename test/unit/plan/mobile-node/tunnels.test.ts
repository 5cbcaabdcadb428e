/** Tunnels of the mobile node's care-of addresses, their uplinks, and where payload goes. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { planMobileNode, tunnelName } from "../../../../controller/plan/mobile-node/plan.js";
import type { Link, Route, Rule } from "../../../../controller/plan/objects/forwarding.js";
import type { KernelObject } from "../../../../controller/plan/objects/objects.js";
import { objectKey } from "../../../../controller/plan/objects/objects.js";
import type { MobileNodePlanSite } from "../../../../controller/plan/site.js";
import type { LocalEndpoint, MobileNodeDataPath } from "../../../../controller/protocol/mip6/mobile-node/inputs.js";

const HOME4 = ipv4("198.51.100.100");
const SITE: MobileNodePlanSite = {
  homeAddress: ipv6("2001:db8:1::100"),
  ipv4HomeAddress: HOME4,
  homePrefixes: [
    { address: ipv6("2001:db8:1::"), length: 64 },
    { address: ipv4("198.51.100.0"), length: 24 },
  ],
  homeAgent: { ipv6: ipv6("2001:db8:1::1"), ipv4: ipv4("203.0.113.1") },
  profile: { dscp: "copy", ttl: 64 },
};
const SIX: LocalEndpoint = {
  format: "ipv6",
  address: ipv6("2001:db8:a::10"),
  device: "eth0",
  gateway: ipv6("fe80::1"),
};
const PLAIN: LocalEndpoint = {
  format: "ipv4",
  address: ipv4("192.0.2.10"),
  device: "eth1",
  gateway: ipv4("192.0.2.1"),
};
const NAT: LocalEndpoint = { format: "udp", address: ipv4("10.0.0.10"), device: "eth2" };

const path = (change: Partial<MobileNodeDataPath>): MobileNodeDataPath => {
  return { homeAddress: SITE.homeAddress, ipv4HomeAddress: HOME4, mode: "away", ingress: [], revision: 1, ...change };
};
const kinds = <K extends KernelObject["kind"]>(
  objects: readonly KernelObject[],
  kind: K,
): Extract<KernelObject, { kind: K }>[] =>
  objects.filter((object): object is Extract<KernelObject, { kind: K }> => object.kind === kind);
const links = (change: Partial<MobileNodeDataPath>): Link[] => kinds(planMobileNode(path(change), SITE), "link");
const defaultRoute = (change: Partial<MobileNodeDataPath>, table: number): Route | undefined =>
  kinds(planMobileNode(path(change), SITE), "route").find(
    (route) => route.table === table && route.destination.address === "0.0.0.0",
  );

t.test("an IPv4 care-of address has a device for each format, whichever is in use", (test) => {
  const ends = { type: "sit", local: PLAIN.address, remote: SITE.homeAgent.ipv4 };
  const udp = { sourcePort: 4191, destinationPort: 4191 };
  const both = links({ ingress: [PLAIN] });
  test.match(both, [{ link: { ...ends, udp } }, { link: { ...ends, device: "eth1" } }]);
  test.equal(both[1]?.link.type === "sit" && both[1].link.udp, undefined);
  test.strictSame(links({ ingress: [{ ...PLAIN, format: "udp" }] }), both, "a change of format changes no device");
  test.strictSame(links({ ingress: [PLAIN], egress: PLAIN }), both, "nor does sending through it");
  test.strictSame(
    both.map(({ name }) => name),
    [tunnelName({ ...PLAIN, format: "udp" }), tunnelName(PLAIN)],
  );
  test.match(links({ ingress: [SIX] }), [{ name: tunnelName(SIX), link: { type: "ip6tnl", local: SIX.address } }]);
  const names = links({ ingress: [SIX, PLAIN, NAT] }).map(({ name }) => name);
  test.equal(new Set(names).size, 5);
  test.ok(
    names.every((name) => /^dsmip-t[spu][0-9a-f]{7}$/.test(name)),
    "at most 15 octets",
  );
  test.end();
});

t.test("payload leaves through the device of the registered format", (test) => {
  for (const egress of [SIX, PLAIN, NAT, { ...PLAIN, format: "udp" } as const]) {
    test.match(defaultRoute({ ingress: [egress], egress }, 4191), {
      device: tunnelName(egress),
      preferredSource: HOME4,
    });
  }
  test.end();
});

t.test("payload without a way goes nowhere, at home too while no IPv4 router is known", (test) => {
  test.match(defaultRoute({}, 4191), { device: "dsmip-hoa" });
  const home = { mode: "home", homeDevice: "eth0" } as const;
  test.match(defaultRoute(home, 4191), { device: "dsmip-hoa", preferredSource: HOME4 });
  const homeIpv4Gateway = ipv4("198.51.100.1");
  test.match(defaultRoute({ ...home, homeIpv4Gateway }, 4191), { device: "eth0", via: homeIpv4Gateway, onlink: true });
  test.end();
});

t.test("from each care-of address the home agent is reached through the link of that address", (test) => {
  const objects = planMobileNode(path({ ingress: [SIX, PLAIN, NAT] }), SITE);
  const tables = new Set<number>();
  for (const { address, device, gateway } of [SIX, PLAIN, NAT]) {
    const rule = kinds(objects, "rule").find(({ from }) => from?.address === address) as Rule;
    const route = kinds(objects, "route").find(({ table }) => table === rule.table) as Route;
    test.match(rule, { priority: 4187, from: { length: address.includes(":") ? 128 : 32 } });
    test.equal(route.destination.address, address.includes(":") ? SITE.homeAgent.ipv6 : SITE.homeAgent.ipv4);
    test.equal(route.device, device);
    test.equal(route.via, gateway, "absent: the home agent is on the link");
    tables.add(rule.table);
  }
  test.equal(tables.size, 3);
  test.end();
});

t.test("every tunnel device has an IPv4 address, and no two objects are in each other's way", (test) => {
  const objects = planMobileNode(path({ ingress: [SIX, PLAIN, NAT], egress: SIX }), SITE);
  const addressed = new Set(kinds(objects, "address").map(({ device }) => device));
  test.ok(kinds(objects, "link").every(({ name }) => addressed.has(name)));
  test.equal(new Set(objects.map(objectKey)).size, objects.length);
  test.end();
});
