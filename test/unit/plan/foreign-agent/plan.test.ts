/** What of the kernel a foreign agent wants: for itself, and for each visitor. */
import t from "tap";
import { ipv4 } from "../../../../controller/base/ip.js";
import { planForeignAgentSite, planVisitor } from "../../../../controller/plan/foreign-agent/plan.js";
import { FA_SETS, type ForeignAgentPlanSite } from "../../../../controller/plan/foreign-agent/site.js";
import { objectKey } from "../../../../controller/plan/objects/objects.js";
import type { VisitorPath } from "../../../../controller/protocol/mip4/foreign-agent/inputs.js";

const SITE: ForeignAgentPlanSite = {
  careOfAddress: ipv4("203.0.113.10"),
  links: [{ device: "visit", address: ipv4("192.0.2.1"), prefixLength: 24 }],
  profile: { dscp: "copy", ttl: 64 },
  gre: true,
  mtu: 1400,
};
const PATH: VisitorPath = {
  visitor: "10.9.0.5 203.0.113.1",
  homeAddress: ipv4("10.9.0.5"),
  homeAgent: ipv4("203.0.113.1"),
  device: "visit",
  linkAddress: "02:00:00:00:00:03",
  decapsulates: true,
  reverseTunnelling: true,
  encapsulation: "ip-in-ip",
  number: 3,
  homeAgentNumber: 1,
  separate: false,
};
const keys = (path: Partial<VisitorPath> = {}): readonly string[] => planVisitor({ ...PATH, ...path }).map(objectKey);

t.test("a visitor: a route to a neighbour that nobody asks for, and who may send what", (t) => {
  t.strictSame(keys(), [
    "nft-element home-agents 536870913",
    "nft-element visitors-up 02:00:00:00:00:03 . 10.9.0.5",
    "nft-element visitors-down 203.0.113.1 . 10.9.0.5",
    "permanent-neighbour visit 240.43.0.3",
    "route 4197 10.9.0.5/32 0",
  ]);
  t.end();
});

t.test("of two visitors with one home address one has its home agent's table; nothing of theirs is the same", (t) => {
  const other = { homeAgent: ipv4("203.0.113.2"), linkAddress: "02:00:00:00:00:04", number: 4, homeAgentNumber: 2 };
  const second = keys({ ...other, separate: true });
  t.ok(second.includes("route 1107296258 10.9.0.5/32 0"));
  t.ok(second.some((key) => key.startsWith("rule 4 4180")));
  t.strictSame(
    second.filter((key) => keys().includes(key)),
    [],
  );
  t.end();
});

t.test("in GRE: a mark of its own up, and a set of its own down", (t) => {
  t.strictSame(keys({ encapsulation: "gre" }), [
    "nft-element home-agents 1073741825",
    "nft-element visitors-up 02:00:00:00:00:03 . 10.9.0.5",
    "nft-element visitors-down-gre 203.0.113.1 . 10.9.0.5",
    "permanent-neighbour visit 240.43.0.3",
    "route 4197 10.9.0.5/32 0",
  ]);
  const up = planVisitor({ ...PATH, encapsulation: "gre" }).find(
    (one) => one.kind === "nft-element" && one.set === FA_SETS.senders.name,
  );
  t.match(up, { value: 0x40000001 });
  t.end();
});

t.test("the site's GRE: one device, one route for all home agents with the profile, or nothing of it", (t) => {
  const profile = { dscp: 46, ttl: 9, mtu: 1300 } as const;
  const objects = planForeignAgentSite({ ...SITE, profile });
  t.match(
    objects.find((one) => one.kind === "route" && one.table === 4195 && one.destination.length === 0),
    { device: "dsmip-in-gre", mtu: 1300, encapsulation: { destination: "240.42.65.2", ttl: 9, trafficClass: 184 } },
  );
  t.match(
    planForeignAgentSite(SITE).find((one) => one.kind === "route" && one.table === 4195),
    { encapsulation: { trafficClass: "inherit", dontFragment: true } },
  );
  const without = planForeignAgentSite({ ...SITE, gre: false });
  t.notMatch(JSON.stringify(without), /dsmip-in-gre|4195|bad-gre/);
  t.end();
});

t.test("without a reverse tunnel the mark is taken away; who decapsulates itself only may send", (t) => {
  const up = planVisitor({ ...PATH, reverseTunnelling: false }).find(
    (one) => one.kind === "nft-element" && one.set === FA_SETS.senders.name,
  );
  t.match(up, { value: 0 });
  t.strictSame(keys({ decapsulates: false, reverseTunnelling: false }), [
    "nft-element visitors-up 02:00:00:00:00:03 . 10.9.0.5",
  ]);
  t.end();
});

t.test(
  "the site: no device, rule or route for a home agent; the profile on the device, the rule and the route",
  (t) => {
    const site = { ...SITE, profile: { dscp: 46, ttl: 9, mtu: 1300 } } as const;
    const objects = planForeignAgentSite(site);
    t.match(
      objects.find((one) => one.kind === "link" && one.name === "dsmip-ofa"),
      { mtu: 1400, link: { type: "sit", trafficClass: 184, ttl: 0 } },
    );
    t.match(
      objects.find((one) => one.kind === "route" && one.table === 4196),
      { mtu: 1300, via: "240.42.65.2" },
    );
    const table = objects.find((one) => one.kind === "nft-table");
    const texts = table?.kind === "nft-table" ? table.chains.flatMap(({ rules }) => rules.map(({ text }) => text)) : [];
    t.ok(texts.some((text) => text.includes("ip ttl set 9") && text.includes("meta mark map @home-agents")));
    t.ok(texts.includes("meta mark set ether saddr . ip saddr map @visitors-up accept"));
    t.ok(objects.some((one) => one.kind === "sysctl" && one.path === "net/ipv4/fwmark_reflect" && one.value === "1"));
    t.equal(new Set(objects.map(objectKey)).size, objects.length);
    t.end();
  },
);
