/** What both ends have in the kernel where IPv4 stands at either side of what goes directly (draft-oulai-mext-dsmip-ro-00). */
import t from "tap";
import { type Ipv4Address, type Ipv6Address, ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { planMobileNode, planMobileNodeSite } from "../../../../controller/plan/mobile-node/plan.js";
import { formatObjectShort } from "../../../../controller/plan/objects/format.js";
import { type KernelObject, objectKey } from "../../../../controller/plan/objects/objects.js";
import { correspondentOwner } from "../../../../controller/plan/route-optimisation/owner.js";
import {
  planCorrespondentPath,
  planDirectPath,
  planPair,
} from "../../../../controller/plan/route-optimisation/pair.js";
import { planCorrespondentSite } from "../../../../controller/plan/route-optimisation/site.js";
import type { MobileNodePlanSite } from "../../../../controller/plan/site.js";
import type { DirectPath } from "../../../../controller/protocol/mip6/mobile-node/correspondents/inputs.js";
import type { Reach } from "../../../../controller/protocol/mip6/return-routability/modes.js";

const [HOA, CN, COA, HA] = ["2001:db8:1::100", "2001:db8:c::2", "2001:db8:f::2", "2001:db8:1::1"].map(ipv6) as [
  Ipv6Address,
  Ipv6Address,
  Ipv6Address,
  Ipv6Address,
];
const [HOA4, CN4, COA4, NAT, HA4] = ["198.51.100.100", "192.0.2.2", "10.0.0.2", "203.0.113.77", "192.0.2.1"].map(
  ipv4,
) as [Ipv4Address, Ipv4Address, Ipv4Address, Ipv4Address, Ipv4Address];
const PROFILE = { dscp: "copy", ttl: 64 } as const;
const site = (protection: "none" | "esp" = "none"): MobileNodePlanSite => ({
  homeAddress: HOA,
  ipv4HomeAddress: HOA4,
  homePrefixes: [],
  homeAgent: { ipv6: HA, ipv4: HA4 },
  profile: { ...PROFILE, protection },
  routeOptimisation: true,
  dualStackCorrespondents: [{ ipv6: CN, ipv4: CN4 }],
});

const NAMES: readonly (readonly [string, string])[] = [
  [HOA, "HOA"],
  [CN, "CN"],
  [COA, "COA"],
  [HOA4, "HOA4"],
  [CN4, "CN4"],
  [COA4, "COA4"],
  [NAT, "NAT"],
];
/** Routes, rules and elements, without the words that are the same everywhere. */
const lines = (objects: readonly KernelObject[], ...kinds: readonly KernelObject["kind"][]): string[] =>
  objects
    .filter(({ kind }) => kinds.includes(kind))
    .map((object) => {
      const text = formatObjectShort(object)
        .replace(/^ip (-6 )?(route|rule) add /, "$2 ")
        .replace(/^nft add element inet dsmipd /, "element ")
        .replaceAll(/ table 11\d{8}/g, " table OWN")
        .replaceAll(/ (proto|protocol) 155/g, "")
        .replaceAll(/ metric \d+/g, "");
      return NAMES.reduce((line, [address, name]) => line.replaceAll(address, name), text);
    });

const pair = (reach: Reach) => ({
  homeAddress: HOA,
  self: CN,
  ipv6: reach,
  ipv4: { homeAddress: HOA4, self: CN4, reach },
  ipv4Self: CN4,
});
const path = (rest: Partial<DirectPath>): DirectPath => ({
  homeAddress: HOA,
  correspondent: CN,
  stage: "bound",
  careOf: COA,
  ipv6: true,
  former: [],
  revision: 1,
  ...rest,
});
const UPLINK = { format: "udp", address: COA4, device: "eth0", gateway: ipv4("10.0.0.1") } as const;
const MODE_1 = { homeAddress: HOA4, correspondent: CN4, mode: "ipv6-encapsulation" } as const;
const overIpv4 = (udp: boolean, stage: DirectPath["stage"] = "bound"): DirectPath =>
  path({ careOf: COA4, stage, ipv4: { ...MODE_1, mode: "ipv4-udp" }, outer: { correspondent: CN4, udp } });

/** A strict rp_filter is to let in what still comes by way of the home agent. */
const PEERS = /element direct-peers .*HOA4 . CN4/;

t.test("a correspondent: outer and inner addresses in one entry, and a way for this pair alone", async (test) => {
  const of = (reach: Reach): string[] => lines(planCorrespondentPath(pair(reach), PROFILE), "nft-element", "route");
  test.matchOnly(of({ via: "headers", careOf: COA }), [
    /element direct-headers-4 .*COA . HOA . HOA4 . CN4/,
    /element direct-copied .*CN . HOA/,
    /^route HOA4\/32 encap ip6 .*dst HOA.* src CN.* dev dsmip-d6 table OWN src CN4/,
    PEERS,
  ]);
  test.matchOnly(of({ via: "ipv4", careOf: COA4 }), [
    /element direct-ipv4-6 .*COA4 . CN4 . HOA . CN\b/,
    /^route HOA\/128 via ::a00:2 dev dsmip-dp\w+ table OWN src CN onlink/,
    /element direct-ipv4-4 .*COA4 . CN4 . HOA4 . CN4/,
    /^route HOA4\/32 via COA4 dev dsmip-dp\w+ table OWN src CN4 onlink/,
    PEERS,
  ]);
  test.matchOnly(of({ via: "udp", careOf: COA4, observed: { address: NAT, port: 40001 } }), [
    /element direct-udp-6 .*NAT . 40001 . CN4 . HOA . CN\b/,
    /element direct-port-6 .*CN4 . NAT . HOA : 40001/,
    /^route HOA\/128 via ::cb00:714d dev dsmip-du/,
    /element direct-udp-4 .*NAT . 40001 . CN4 . HOA4 . CN4/,
    /element direct-port-4 .*CN4 . NAT . HOA4 : 40001/,
    /^route HOA4\/32 via NAT dev dsmip-du/,
    PEERS,
  ]);
});

t.test("a node that has moved takes what is under way to where it was, in every form", async (test) => {
  const FORMER = { ...UPLINK, address: ipv4("10.9.9.9"), device: "eth9" };
  const moved: DirectPath = { ...overIpv4(true), formerIpv4: [FORMER.address] };
  const objects = planPair({ direct: { path: moved, site: site(), uplink: UPLINK, formerUplinks: [FORMER] } });
  const taken = lines(objects, "nft-element").filter((line) => line.includes("10.9.9.9"));
  test.matchOnly(taken, [/direct-ipv4-6/, /direct-udp-6/, /direct-ipv4-4/, /direct-udp-4/]);
  test.equal(lines(objects, "link").filter((line) => line.includes("local 10.9.9.9")).length, 2);
  test.equal(new Set(objects.map(objectKey)).size, objects.length, "nothing twice");
  test.match(
    lines(planPair({ direct: { path: moved, site: site(), uplink: UPLINK } }), "nft-element").join(),
    /^(?!.*10\.9)/,
  );
});

t.test(
  "from an IPv6 to an IPv4 care-of address: headers are taken at the former one, and none are written",
  async (test) => {
    const objects = planDirectPath({ ...overIpv4(false), former: [COA] }, site(), UPLINK);
    test.match(lines(objects, "nft-element").join(), /direct-headers-4 .*CN . HOA . CN4 . HOA4/);
    const states = objects.flatMap((one) => (one.kind === "xfrm-state" ? [one] : []));
    test.match(states, [
      { source: CN, destination: HOA, transform: { type: "type2-routing-header", careOfAddress: COA } },
    ]);
  },
);

t.test("while one of the two updates is under way its family comes in alone", async (test) => {
  const routes = (late: DirectPath["inOnly"]): string =>
    lines(planDirectPath({ ...overIpv4(false), ...(late && { inOnly: late }) }, site(), UPLINK), "route")
      .filter((line) => line.includes("dsmip-d"))
      .map((line) => line.split(" ")[1])
      .join();
  test.equal(routes(undefined), "CN/128,CN4/32");
  test.equal(routes("ipv6"), "CN4/32");
  test.equal(routes("ipv4"), "CN/128");
  const out = (late: DirectPath["inOnly"]): string[] =>
    lines(planDirectPath(path({ ipv4: MODE_1, ...(late && { inOnly: late }) }), site()), "xfrm-policy").filter(
      (line) =>
        / dir out /.test(line) && / HOA\/128 dst CN\/128/.test(line) && /proto hao/.test(line) && !/type 5/.test(line),
    );
  test.equal(out(undefined).length, 2, "mode 1 has a policy of its own, which outlives the route");
  test.matchOnly(out("ipv6"), [/ proto 4 /]);
  test.equal(out("ipv4").length, 1);
});

t.test("IPv4 alone in mode 1: the headers are for protocol 4 alone", async (test) => {
  const { ipv6: _, ...alone } = pair({ via: "headers", careOf: COA });
  const policies = lines(planCorrespondentPath(alone, PROFILE), "xfrm-policy");
  test.equal(policies.length, 2);
  for (const policy of policies) test.match(policy, / proto 4 /);
  const node = lines(planDirectPath(path({ ipv6: false, ipv4: MODE_1 }), site()), "xfrm-policy");
  test.equal(node.filter((line) => / (HOA|CN)\/128 .*proto 4 /.test(line)).length, 2, "in and out");
});

t.test("a node: what comes in is taken in every stage, what goes out goes directly once it is bound", async (test) => {
  for (const [stage, routes] of [
    ["updating", 0],
    ["bound", 2],
    ["receiving", 0],
  ] as const)
    for (const udp of [false, true]) {
      const objects = planDirectPath(overIpv4(udp, stage), site(), UPLINK);
      const port = udp ? "udp" : "ipv4";
      test.matchOnly(lines(objects, "nft-element"), [
        new RegExp(`direct-${port}-6 .*CN4 ${udp ? ". 4191 " : ""}. COA4 . CN . HOA`),
        new RegExp(`direct-${port}-4 .*CN4 ${udp ? ". 4191 " : ""}. COA4 . CN4 . HOA4`),
      ]);
      const direct = lines(objects, "route").filter((line) => line.includes("dsmip-d"));
      test.equal(direct.length, routes, stage);
      for (const line of direct) test.match(line, udp ? / dev dsmip-du/ : / dev dsmip-dp/);
      test.equal(new Set(objects.map(objectKey)).size, objects.length, "nothing twice");
    }
  const one = planDirectPath(path({ ipv4: MODE_1 }), site());
  test.matchOnly(lines(one, "nft-element"), [/direct-headers-4 .*CN . HOA . CN4 . HOA4/, /direct-copied .*HOA . CN/]);
  test.matchOnly(lines(one, "route"), [/^route CN4\/32 encap ip6 .* dev dsmip-d6 table OWN src HOA4/]);
  test.strictSame(planDirectPath(overIpv4(true), site()), [], "without the uplink nobody knows the link");
});

t.test("messages go as if there were no direct way, whatever the source chosen", async (test) => {
  const rules = lines(
    planCorrespondentSite({ addresses: [CN], direct: { addresses: [{ ipv6: CN, ipv4: CN4 }], profile: PROFILE } }),
    "rule",
  );
  test.matchOnly(rules, [
    /^rule priority 4189 from CN\/128 ipproto 135 table 254/,
    /^rule priority 4190 from CN\/128 table OWN # with FIB_RULE_FIND_SADDR/,
    /^rule priority 4189 from CN4\/32 fwmark 0x5191 table 254/,
    /^rule priority 4190 from CN4\/32 table OWN/,
    /^rule priority 4190 from 0.0.0.0\/32 table OWN/,
    /^rule priority 4189 from CN4\/32 fwmark 0x800000\/0x800000 table 254/,
  ]);
});

t.test("with a fixed DSCP nothing is copied: it stands in the route", async (test) => {
  const fixed = planCorrespondentPath(pair({ via: "headers", careOf: COA }), { dscp: 46, ttl: 9 });
  test.notMatch(lines(fixed, "nft-element").join(), "direct-copied");
  test.match(lines(fixed, "route"), [/hoplimit 9 tc 0xb8/]);
});

t.test("payload in ESP: what goes directly comes in clear if the firewall has known it", async (test) => {
  const policies = lines(planDirectPath(overIpv4(true), site("esp"), UPLINK), "xfrm-policy").filter((line) =>
    line.includes("ptype main"),
  );
  test.matchOnly(policies, [
    /src CN\/128 dst HOA\/128 dir in mark 0x1000000 mask 0x1000000/,
    /src HOA\/128 dst CN\/128 dir out/,
    /src CN4\/32 dst HOA4\/32 dir in mark 0x1000000 mask 0x1000000/,
    /src HOA4\/32 dst CN4\/32 dir out/,
  ]);
});

t.test(
  "RO-7.1.1.1-07 C-57: a Home Test comes out of the home agent's tunnel, or of ESP where keys protect it",
  async (test) => {
    const rules = (of: MobileNodePlanSite): string =>
      planMobileNodeSite(of, undefined)
        .flatMap((one) => (one.kind === "nft-table" ? one.chains : []))
        .flatMap((chain) => (chain.name === "in-home-test" ? chain.rules.map(({ text }) => text) : []))
        .join("\n");
    test.match(
      rules(site()),
      /ip daddr 198.51.100.100 iifname "dsmip-t\*" @th,48,8 135 @th,56,8 1 @th,336,8 3 @th,192,128/,
    );
    for (const of of [site("esp"), { ...site(), negotiated: true }]) test.match(rules(of), "meta ipsec exists");
    const away = { homeAddress: HOA, ipv4HomeAddress: HOA4, mode: "away", ingress: [], revision: 1 } as const;
    test.match(lines(planMobileNode(away, site()), "link"), ["dsmip-ht0"]);
    const { dualStackCorrespondents: _, ...without } = site();
    test.strictSame(lines(planMobileNode(away, without), "link"), []);
  },
);

t.test("whose an object of a correspondent is", async (test) => {
  for (const reach of [
    { via: "headers", careOf: COA },
    { via: "udp", careOf: COA4, observed: { address: NAT, port: 9 } },
  ] as const)
    for (const object of planCorrespondentPath(pair(reach), PROFILE)) {
      const owner = correspondentOwner(object, [CN]);
      test.ok(owner, objectKey(object));
      if (owner?.kind === "binding") test.equal(owner.homeAddress, HOA);
    }
  const shared = { addresses: [CN], direct: { addresses: [{ ipv6: CN, ipv4: CN4 }], profile: PROFILE } };
  for (const object of planCorrespondentSite(shared))
    test.strictSame(correspondentOwner(object, [CN])?.kind, "site", objectKey(object));
});
