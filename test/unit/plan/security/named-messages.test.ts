/** What RFC 4877 §4 protects besides updates and payload: return routability and mobile prefix discovery, as both ends plan it. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { Secret } from "../../../../controller/base/secret.js";
import { homeAgentFirewall } from "../../../../controller/plan/home-agent/firewall.js";
import { planBinding } from "../../../../controller/plan/home-agent/plan.js";
import { mobileNodeFirewall } from "../../../../controller/plan/mobile-node/firewall.js";
import { planMobileNode } from "../../../../controller/plan/mobile-node/plan.js";
import type { KernelObject } from "../../../../controller/plan/objects/objects.js";
import type { XfrmPolicy, XfrmState } from "../../../../controller/plan/objects/security.js";
import { TYPED_MESSAGE_MARK } from "../../../../controller/plan/security/marks.js";
import { NO_SLOTS, reqidOf } from "../../../../controller/plan/security/request-ids.js";
import {
  homeAgentSecuritySite,
  mobileNodeSecuritySite,
  planNegotiatedNode,
  planNegotiatedSubscriber,
} from "../../../../controller/plan/security/subscriber.js";
import { type HomeAgentPlanSite, type MobileNodePlanSite, POLICY_PRIORITY } from "../../../../controller/plan/site.js";
import type { DataPath } from "../../../../controller/protocol/mip6/inputs.js";
import type { LocalEndpoint, MobileNodeDataPath } from "../../../../controller/protocol/mip6/mobile-node/inputs.js";

const HOA = ipv6("2001:db8:1::100");
const HA6 = ipv6("2001:db8:1::1");
const HA4 = ipv4("203.0.113.1");
const homeAgent = (protection: "none" | "esp", negotiated = true): HomeAgentPlanSite => ({
  addresses: { ipv6: HA6, ipv4: HA4 },
  homePrefixes: [],
  mtu: 1400,
  profiles: new Map([["default", { dscp: "copy", ttl: 64, protection }]]),
  ...(negotiated && { negotiated: { slots: NO_SLOTS, espInUdp: "nat" } }),
});
const node = (protection: "none" | "esp"): MobileNodePlanSite => ({
  homeAddress: HOA,
  homePrefixes: [],
  homeAgent: { ipv6: HA6, ipv4: HA4 },
  profile: { dscp: "copy", ttl: 64, protection },
  negotiated: true,
});
const key = (spi: number) => ({
  spi,
  aead: { algorithm: "rfc4106(gcm(aes))", key: new Secret(new Uint8Array(20).fill(spi)), icvLength: 16 },
});
const CHILD = { receive: [key(1)], send: key(2) };
const PATH: DataPath = {
  homeAddress: HOA,
  egress: { format: "ipv4", address: ipv4("203.0.114.2") },
  ingress: [{ format: "ipv4", address: ipv4("203.0.114.2") }],
  profile: "default",
  revision: 1,
};
const FOUR: LocalEndpoint = { format: "ipv4", address: ipv4("203.0.114.2"), device: "eth0" };
const AWAY: MobileNodeDataPath = { homeAddress: HOA, mode: "away", egress: FOUR, ingress: [FOUR], revision: 1 };

const policies = (objects: readonly KernelObject[], reqid: number): XfrmPolicy[] =>
  objects.filter(
    (one): one is XfrmPolicy =>
      one.kind === "xfrm-policy" && one.templates.some((template) => template.reqid === reqid),
  );
const states = (objects: readonly KernelObject[], reqid: number): XfrmState[] =>
  objects.filter((one): one is XfrmState => one.kind === "xfrm-state" && one.reqid === reqid);

t.test("return routability has policies before payload, with and without protected payload", (test) => {
  const reqid = reqidOf(HOA, "return-routability");
  for (const protection of ["none", "esp"] as const) {
    const there = planBinding(PATH, homeAgent(protection), { associations: { "return-routability": CHILD } });
    const here = planMobileNode(AWAY, node(protection), { "return-routability": CHILD });
    test.strictSame(
      policies(there, reqid).map(({ direction, mark }) => [direction, mark]),
      [
        ["forward", TYPED_MESSAGE_MARK],
        ["out", TYPED_MESSAGE_MARK],
      ],
    );
    test.strictSame(
      policies(here, reqid).map(({ direction, mark, selector }) => [direction, mark, selector.mobilityHeaderType]),
      [
        ["in", TYPED_MESSAGE_MARK, undefined],
        ["out", undefined, 1],
      ],
      "what is sent here is told by its type, a Home Test Init",
    );
    for (const policy of [...policies(there, reqid), ...policies(here, reqid)]) {
      test.ok(policy.priority % 0x10000 < POLICY_PRIORITY.bypassErrors, "looked at before payload");
      test.notOk(
        policy.templates.some(({ optional }) => optional),
        "never without ESP",
      );
    }
    test.equal(states(there, reqid).length, 2);
    test.equal(states(here, reqid).length, 3, "one sends; from the home agent plain and in UDP");
  }
  test.end();
});

t.test("without keys the policies stand all the same, so nothing passes", (test) => {
  const reqid = reqidOf(HOA, "return-routability");
  const there = planBinding(PATH, homeAgent("none"));
  test.equal(states(there, reqid).length, 0);
  test.equal(policies(there, reqid).length, 2);
  test.equal(policies(planBinding(PATH, homeAgent("none", false)), reqid).length, 0, "static keys have none for it");
  test.end();
});

t.test("mobile prefix discovery in transport mode; what is not protected is blocked", (test) => {
  const reqid = reqidOf(HOA, "prefix");
  const there = planNegotiatedSubscriber(HOA, { prefix: CHILD }, homeAgent("none"));
  test.strictSame(
    policies(there, reqid).map(({ direction, selector, mark }) => [direction, selector.icmpv6Type, mark]),
    [
      ["in", undefined, TYPED_MESSAGE_MARK],
      ["out", 147, undefined],
    ],
  );
  const here = [
    ...mobileNodeSecuritySite(node("none"), undefined),
    ...planNegotiatedNode(node("none"), { prefix: CHILD }),
  ];
  test.strictSame(
    policies(here, reqid).map(({ direction, selector, templates }) => [
      direction,
      selector.icmpv6Type,
      templates.length,
    ]),
    [
      ["in", undefined, 1],
      ["out", 146, 1],
      ["out", 146, 2],
    ],
    "over IPv6 with a Home Address option",
  );
  for (const objects of [there, here]) test.equal(states(objects, reqid).length, 2);
  const blocked = homeAgentSecuritySite(homeAgent("none")).filter(
    (one) => one.kind === "xfrm-policy" && one.action === "block" && one.selector.protocol === 58,
  );
  test.equal(blocked.length, 2, "solicitations in, advertisements out");
  test.strictSame(
    planNegotiatedSubscriber(HOA, {}, homeAgent("none")).filter(
      (one) => policies([one], reqid).length > 0 && one.kind === "xfrm-policy" && one.selector.protocol === 58,
    ),
    [],
  );
  test.end();
});

t.test("the firewalls of both ends mark the messages that have policies of their own", (test) => {
  for (const { chains } of [homeAgentFirewall(homeAgent("none")), mobileNodeFirewall(node("none"))]) {
    const texts = chains.find(({ name }) => name === "typed-messages")?.rules.map(({ text }) => text) ?? [];
    const types = [
      "@th,16,8 1 meta l4proto 135 ",
      "@th,16,8 3 meta l4proto 135 ",
      "icmpv6 type 146 ",
      "icmpv6 type 147 ",
    ];
    for (const type of types)
      test.ok(
        texts.some((text) => text.startsWith(type)),
        type,
      );
    const jumps = chains.flatMap(({ rules }) => rules.filter(({ text }) => text.endsWith("jump typed-messages")));
    test.equal(jumps.length, 2);
  }
  const lab = homeAgentFirewall(homeAgent("none", false));
  test.notOk(
    lab.chains.some(({ name }) => name === "typed-messages"),
    "not with static keys",
  );
  test.end();
});
