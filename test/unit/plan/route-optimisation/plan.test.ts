/** What correspondents, nodes, and pairs that are both have in the kernel, as the commands that would make it. */
import t from "tap";
import { type Ipv6Address, ipv6 } from "../../../../controller/base/ip.js";
import { planMobileNode, planMobileNodeSite } from "../../../../controller/plan/mobile-node/plan.js";
import { formatObjectShort } from "../../../../controller/plan/objects/format.js";
import { type KernelObject, OWNERSHIP, objectKey } from "../../../../controller/plan/objects/objects.js";
import { correspondentFirewall } from "../../../../controller/plan/route-optimisation/firewall.js";
import { correspondentOwner } from "../../../../controller/plan/route-optimisation/owner.js";
import {
  planCorrespondentPath,
  planDirectPath,
  planPair,
  planSilence,
} from "../../../../controller/plan/route-optimisation/pair.js";
import {
  demandReqid,
  planCorrespondentSite,
  planDemand,
  planDirectSite,
} from "../../../../controller/plan/route-optimisation/site.js";
import { SHARED_REQIDS } from "../../../../controller/plan/security/request-ids.js";
import type { MobileNodePlanSite } from "../../../../controller/plan/site.js";
import type { DirectPath } from "../../../../controller/protocol/mip6/mobile-node/correspondents/inputs.js";

const [HOA, CN, COA, FORMER, HA] = [
  "2001:db8:1::100",
  "2001:db8:c::2",
  "2001:db8:f::2",
  "2001:db8:e::2",
  "2001:db8:1::1",
].map(ipv6) as [Ipv6Address, Ipv6Address, Ipv6Address, Ipv6Address, Ipv6Address];
const site = (protection: "none" | "esp" = "none"): MobileNodePlanSite => ({
  homeAddress: HOA,
  homePrefixes: [],
  homeAgent: { ipv6: HA },
  profile: { dscp: "copy", ttl: 64, protection },
  routeOptimisation: true,
});
const path = (rest: Partial<DirectPath> = {}): DirectPath => ({
  homeAddress: HOA,
  correspondent: CN,
  stage: "bound",
  careOf: COA,
  ipv6: true,
  former: [],
  revision: 1,
  ...rest,
});
const BOUND = { homeAddress: HOA, self: CN, ipv6: { via: "headers", careOf: COA } } as const;

/** Without the words that are the same everywhere. */
const lines = (objects: readonly KernelObject[]): string[] =>
  objects.map((object) =>
    formatObjectShort(object)
      .replace(/^ip xfrm (\w+) add /, "$1 ")
      .replaceAll("tmpl src :: dst :: proto", "tmpl")
      .replaceAll(/ ptype sub| mode ro/g, "")
      .replaceAll(/priority (\d+)/g, (_, priority) => `priority 0x${(Number(priority) - 0x41910000).toString(16)}`)
      .replaceAll(/reqid (\d+)/g, (_, reqid) => (reqid === "0" ? "any" : `reqid ${Number(reqid) - 0x44000000}`))
      .replaceAll(HOA, "HOA")
      .replaceAll(COA, "COA")
      .replaceAll(FORMER, "FORMER")
      .replaceAll(CN, "CN")
      .replaceAll(HA, "HA"),
  );

t.test("a correspondent: what comes in stands first, and only from the bound care-of address", async (test) => {
  test.strictSame(lines(planCorrespondentPath(BOUND)), [
    "state src HOA dst CN proto hao reqid 2 coa COA",
    "policy src HOA/128 dst CN/128 dir in priority 0xa00 tmpl hao reqid 2 level use",
    "state src CN dst HOA proto route2 reqid 3 coa COA",
    "policy src CN/128 dst HOA/128 dir out priority 0x930 tmpl route2 reqid 3 level use",
  ]);
});

t.test("a node that updates a correspondent: updates alone bear the option; bound: payload, too", async (test) => {
  const updating = lines(planDirectPath(path({ stage: "updating" }), site()));
  test.strictSame(updating, [
    "state src CN dst HOA proto route2 reqid 2 coa COA",
    "policy src CN/128 dst HOA/128 dir in priority 0xa00 tmpl route2 reqid 2 level use",
    "state src HOA dst CN proto hao reqid 3 coa COA",
    "policy src HOA/128 dst CN/128 proto 135 type 5 dir out priority 0x910 tmpl hao reqid 3",
    "policy src HOA/128 dst CN/128 dir out priority 0x930",
  ]);
  const bound = lines(planDirectPath(path(), site()));
  test.strictSame(bound, [
    ...updating.slice(0, 4),
    "policy src HOA/128 dst CN/128 dir out priority 0x930 tmpl hao reqid 3 level use",
  ]);
  const silence = planSilence(HOA, CN);
  test.strictSame(lines(silence), ["policy src HOA/128 dst CN/128 dir out mark 0x0 mask 0x40000000 priority 0x938"]);
  const keys = planDirectPath(path(), site()).map(objectKey);
  test.notOk(
    silence.some((one) => keys.includes(objectKey(one))),
    "it may stand beside the path in any form",
  );
});

t.test("for a grace time what comes to the former care-of address is taken", async (test) => {
  const objects = lines(planDirectPath(path({ former: [FORMER] }), site()));
  test.equal(objects[0], "state src CN dst HOA proto route2 reqid 2 coa FORMER");
  test.match(objects[2], "proto hao reqid 3 coa COA");
  const held = lines(planDirectPath(path({ stage: "receiving", former: [FORMER] }), site()));
  test.equal(held[0], "state src CN dst HOA proto route2 reqid 2 coa COA", "where it was told last");
  const away = { homeAddress: HOA, mode: "away", ingress: [], revision: 1 } as const;
  const egress = { format: "ipv6", address: COA, device: "eth0" } as const;
  const node = lines(planMobileNode({ ...away, egress, ingress: [egress] }, site()));
  test.ok(
    node.includes("state src :: dst HOA proto route2 reqid 2 flag wildrecv coa COA"),
    "the present one: anybody's",
  );
});

t.test("the way is that of the care-of address, whatever uplink the main table prefers", async (test) => {
  const uplink = { format: "ipv6", address: COA, device: "eth1", gateway: ipv6("fe80::1") } as const;
  const routes = lines(planDirectPath(path(), site(), uplink)).filter((line) => line.includes("route add"));
  test.equal(routes.length, 1);
  test.match(routes[0], /^ip -6 route add CN\/128 via fe80::1 dev eth1 table \d+ proto 155 .*onlink$/);
});

t.test("both ends mobile: one policy for each direction, option before routing header", async (test) => {
  const bound = { homeAddress: CN, self: HOA, careOf: FORMER };
  const uplink = { format: "ipv6", address: COA, device: "eth1" } as const;
  const objects = planPair({ bound, direct: { path: path(), site: site(), uplink } });
  test.strictSame(
    lines(objects).filter((line) => !line.startsWith("ip ")),
    [
      "state src CN dst HOA proto hao reqid 2 coa FORMER",
      "state src CN dst HOA proto route2 reqid 2 coa COA",
      "state src FORMER dst HOA proto route2 reqid 2 coa COA",
      "policy src CN/128 dst HOA/128 dir in priority 0xa00 tmpl hao reqid 2 level use tmpl route2 reqid 2 level use",
      "state src HOA dst CN proto hao reqid 3 coa COA",
      "state src HOA dst CN proto route2 reqid 3 coa FORMER",
      "policy src HOA/128 dst CN/128 proto 135 type 5 dir out priority 0x910 tmpl hao reqid 3 tmpl route2 reqid 3 level use",
      "policy src HOA/128 dst CN/128 dir out priority 0x930 tmpl hao reqid 3 level use tmpl route2 reqid 3 level use",
    ],
  );
  test.strictSame(
    lines(objects).flatMap((line) => /route add (\S+)/.exec(line)?.[1] ?? []),
    ["CN/128", "FORMER/128"],
  );
  test.strictSame(planPair({}), []);
});

t.test(
  "a pair whose other end alone is bound asks the kernel whether we send there; no other pair does",
  async (test) => {
    const bound = { homeAddress: CN, self: HOA, careOf: FORMER };
    const asks = { demandReqid: OWNERSHIP.reqidBase + 4 };
    const out = (objects: readonly KernelObject[]): readonly string[] =>
      lines(objects).filter((line) => line.includes("dir out priority 0x930"));
    test.match(out(planPair({ bound, ...asks })), ["tmpl hao reqid 4 level use tmpl route2 reqid 3 level use"]);
    test.notMatch(out(planPair({ bound })), ["hao"]);
    const direct = { path: path({ stage: "updating" }), site: site() };
    test.notMatch(out(planPair({ bound, direct, ...asks })), ["hao"], "its state is there, and nothing else is asked");
  },
);

t.test(
  "protected payload: out of ESP only to the bound, in clear only behind a routing header to the bound",
  async (test) => {
    const main = (stage: DirectPath["stage"]): string[] =>
      lines(planDirectPath(path({ stage }), site("esp"))).filter((line) => line.includes("ptype main"));
    const taken =
      "policy src CN/128 dst HOA/128 dir in mark 0x2000000 mask 0x2000000 ptype main priority 0x420 tmpl route2 reqid 2";
    const updates = "policy src HOA/128 dst CN/128 proto 135 type 5 dir out ptype main priority 0x408";
    test.strictSame(main("updating"), [taken, updates]);
    test.strictSame(main("bound"), [taken, updates, "policy src HOA/128 dst CN/128 dir out ptype main priority 0x420"]);
    const negotiated = { ...site("esp"), negotiated: true };
    const firewall = planMobileNodeSite(negotiated, undefined).flatMap((one) =>
      one.kind === "nft-table" ? [one] : [],
    );
    const rules = (tables: typeof firewall): string[] =>
      tables.flatMap(({ chains }) => chains.flatMap((chain) => chain.rules.map(({ text }) => text)));
    test.ok(rules(firewall).some((text) => text.includes("@nh,336,8 2 meta mark set")));
    const off = planMobileNodeSite({ ...negotiated, routeOptimisation: false }, undefined);
    test.notOk(
      rules(off.flatMap((one) => (one.kind === "nft-table" ? [one] : []))).some((text) => text.includes("@nh,336")),
    );
  },
);

t.test(
  "F6275-9.3.2-01: of mobility messages none but updates bears a header, nor does neighbour discovery, and nobody asks about the home agent or groups",
  async (test) => {
    test.strictSame(lines(planDirectSite(site())), [
      "policy src HOA/128 dst ::/0 proto 135 dir out priority 0x920",
      "policy src HOA/128 dst ::/0 proto 58 type 135 dir out priority 0x920",
      "policy src HOA/128 dst ::/0 proto 58 type 136 dir out priority 0x920",
      "policy src HOA/128 dst HA/128 dir out priority 0x940",
      "policy src HOA/128 dst ff00::/8 dir out priority 0x940",
      "policy src HOA/128 dst fe80::/10 dir out priority 0x940",
    ]);
    const keys = planMobileNodeSite(site(), undefined).map(objectKey);
    for (const object of planDirectSite(site())) test.ok(keys.includes(objectKey(object)));
  },
);

t.test("demand: a request id for each home address, and another policy for each round", async (test) => {
  test.strictSame(lines(planDemand(HOA, {}, 0)), [
    "policy src HOA/128 dst ::/0 dir out priority 0x950 tmpl hao reqid 4 level use",
  ]);
  test.strictSame(lines(planDemand(HOA, { rank: 2 }, 3)), [
    "policy src HOA/128 dst ::/0 dir out priority 0x951 tmpl hao reqid 6 level use",
  ]);
  test.ok(demandReqid({ rank: 7 }) - 0x44000000 < SHARED_REQIDS, "no subscriber has it");
});

t.test("a correspondent's site: options are recognised, and taken before mobility messages alone", async (test) => {
  const objects = planCorrespondentSite({ addresses: [CN] });
  test.strictSame(lines(objects.filter(({ kind }) => kind !== "nft-table")), [
    "state src :: dst :: proto hao reqid 0 flag wildrecv coa ::",
    "policy src ::/0 dst CN/128 proto 135 dir in priority 0x8f0 tmpl hao any level use",
    "policy src CN/128 dst ::/0 proto 135 dir out priority 0x920",
    "policy src CN/128 dst ::/0 proto 58 type 135 dir out priority 0x920",
    "policy src CN/128 dst ::/0 proto 58 type 136 dir out priority 0x920",
  ]);
  test.equal(objects.filter(({ kind }) => kind === "nft-table").length, 1);
  const node = planCorrespondentSite({ addresses: [HOA], homeAddresses: [HOA] });
  test.equal(node.filter(({ kind }) => kind === "nft-table").length, 0, "the node's table stands already");
  test.match(lines(node)[1], "tmpl hao any level use tmpl route2 any level use");
});

t.test("a correspondent's firewall: a bucket for each test and for all else, and payload meets none", async (test) => {
  const { chains } = correspondentFirewall();
  const bucket = (of: string): string[] => [
    `${of}limit rate 1000/second burst 2000 packets accept`,
    `${of}counter name metered drop`,
  ];
  test.strictSame(
    chains.map(({ name, base, rules }) => [name, base?.policy, rules.map(({ text }) => text)]),
    [
      [
        "in-mobility",
        undefined,
        [...bucket("@th,16,8 1 meta l4proto 135 "), ...bucket("@th,16,8 2 meta l4proto 135 "), ...bucket("")],
      ],
      [
        "input",
        "accept",
        [
          "meta nfproto ipv6 @nh,144,16 0xffff @nh,64,96 0x00000000000000000000ffff counter name mapped-source drop",
          "meta l4proto 135 jump in-mobility",
        ],
      ],
    ],
  );
});

t.test("whose an object of a correspondent is shows in the object", async (test) => {
  const owner = (object: KernelObject) => correspondentOwner(object, [CN]);
  for (const object of planCorrespondentPath(BOUND))
    test.strictSame(owner(object), { kind: "binding", homeAddress: HOA }, objectKey(object));
  for (const object of planCorrespondentSite({ addresses: [CN] }))
    test.strictSame(owner(object), { kind: "site" }, objectKey(object));
  for (const object of planCorrespondentPath({ ...BOUND, self: HA })) test.equal(owner(object), undefined);
  test.equal(
    owner({ kind: "proxy-neighbour", device: "eth0", address: HOA, router: false } as KernelObject),
    undefined,
  );
});
