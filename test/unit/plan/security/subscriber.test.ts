/** XFRM of both roles as commands, and what must never be in it. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { Secret } from "../../../../controller/base/secret.js";
import { formatObject } from "../../../../controller/plan/objects/format.js";
import { type KernelObject, OWNERSHIP } from "../../../../controller/plan/objects/objects.js";
import { reqidOf } from "../../../../controller/plan/security/request-ids.js";
import {
  homeAddressOptionState,
  homeAgentSecuritySite,
  mobileNodeSecuritySite,
  planSubscriberSecurity,
} from "../../../../controller/plan/security/subscriber.js";
import type { HomeAgentPlanSite, MobileNodePlanSite, NodeSecurity } from "../../../../controller/plan/site.js";

const HA = ipv6("2001:db8:1::1");
const HOA = ipv6("2001:db8:1::100");
const KEYS: NodeSecurity = {
  update: { spi: 0x1000, algorithm: "aes-gcm", key: new Secret(new Uint8Array(20).fill(0xaa)) },
  acknowledgement: { spi: 0x1001, algorithm: "aes-gcm", key: new Secret(new Uint8Array(20).fill(0xbb)) },
  replayWindow: 64,
};
const PROFILE = { dscp: "copy", ttl: 64 } as const;
const HOME_AGENT: HomeAgentPlanSite = {
  addresses: { ipv6: HA },
  homePrefixes: [],
  mtu: 1400,
  profiles: new Map([["default", PROFILE]]),
};
const NODE: MobileNodePlanSite = {
  homeAddress: HOA,
  homePrefixes: [],
  homeAgent: { ipv6: HA, ipv4: ipv4("203.0.113.1") },
  profile: PROFILE,
};

const commands = (objects: readonly KernelObject[]): string[] => objects.map(formatObject);
const REQID = reqidOf(HOA);
const UP = "src 2001:db8:1::100/128 dst 2001:db8:1::1/128 proto 135";
const DOWN = "src 2001:db8:1::1/128 dst 2001:db8:1::100/128 proto 135";
const [UP_ALL, DOWN_ALL] = [UP, DOWN].map((selector) => selector.replace(" proto 135", "")) as [string, string];
const ESP = `tmpl src :: dst :: proto esp reqid ${REQID} mode transport`;
const STATES = [
  `ip xfrm state add src 2001:db8:1::100 dst 2001:db8:1::1 proto esp spi 0x1000 mode transport reqid ${REQID} replay-window 64 aead 'rfc4106(gcm(aes))' [secret] 128 sel ${UP_ALL}`,
  `ip xfrm state add src 2001:db8:1::1 dst 2001:db8:1::100 proto esp spi 0x1001 mode transport reqid ${REQID} replay-window 64 aead 'rfc4106(gcm(aes))' [secret] 128 sel ${DOWN_ALL}`,
];
const priority = (offset: number): string => `priority ${OWNERSHIP.policyPriorityBase + offset}`;
const TYPED = "mark 0x8000000 mask 0x8000000";
const wildcard = (proto: "hao" | "route2"): string[] => [
  `ip xfrm state add src :: dst :: proto ${proto} mode ro reqid ${OWNERSHIP.reqidBase} flag wildrecv coa ::`,
  ...["50 dir in", "135 dir in", `58 dir in ${TYPED}`].map(
    (selected) =>
      `ip xfrm policy add src ::/0 dst ::/0 proto ${selected} ptype sub ${priority(0x900)} tmpl src :: dst :: proto ${proto} reqid 0 mode ro level use`,
  ),
];
const bound = (proto: "hao" | "route2", selector: string): string =>
  `ip xfrm policy add ${selector} dir in ptype sub ${priority(0xa00)} tmpl src :: dst :: proto ${proto} reqid ${OWNERSHIP.reqidBase + 2} mode ro level use`;

t.test("ESP in transport mode for mobility messages, mirrored on both sides", (test) => {
  test.strictSame(commands(planSubscriberSecurity(HOA, KEYS, HOME_AGENT)), [
    ...STATES,
    `ip xfrm policy add ${UP} dir in ptype main ${priority(0x100)} ${ESP}`,
    `ip xfrm policy add ${DOWN} dir out ptype main ${priority(0x100)} ${ESP}`,
    bound("hao", UP_ALL),
    `ip xfrm policy add ${UP_ALL} proto 58 dir in ${TYPED} ptype main ${priority(0x100)} ${ESP}`,
    `ip xfrm policy add ${DOWN_ALL} proto 58 type 147 dir out ptype main ${priority(0x100)} ${ESP}`,
  ]);
  const option = `tmpl src 2001:db8:1::100 dst 2001:db8:1::1 proto hao reqid ${OWNERSHIP.reqidBase + 1} mode ro`;
  test.strictSame(commands(mobileNodeSecuritySite(NODE, KEYS)), [
    ...STATES,
    `ip xfrm policy add ${DOWN_ALL} proto 58 dir in ${TYPED} ptype main ${priority(0x100)} ${ESP}`,
    `ip xfrm policy add ${UP_ALL} proto 58 type 146 dir out mark 0x5191 mask 0xffff ptype main ${priority(0x100)} ${ESP}`,
    `ip xfrm policy add ${UP_ALL} proto 58 type 146 dir out ptype main ${priority(0x200)} ${option} ${ESP}`,
    `ip xfrm policy add ${DOWN} dir in ptype main ${priority(0x100)} ${ESP}`,
    `ip xfrm policy add ${UP} dir out mark 0x4191 mask 0xefff ptype main ${priority(0x100)} ${ESP}`,
    `ip xfrm policy add ${UP} dir out ptype main ${priority(0x200)} ${option} ${ESP}`,
    ...wildcard("route2"),
    bound("route2", DOWN_ALL),
    ...wildcard("hao").slice(0, 1),
  ]);
  test.end();
});

t.test("keys by hand have no replay window; the ICV has the length of the RFC, not the kernel's own", (test) => {
  const [encryptionKey, integrityKey] = [new Secret(new Uint8Array(16)), new Secret(new Uint8Array(32))];
  const keysOf = (algorithm: "aes-cbc-hmac-sha256" | "aes-cbc-hmac-sha1") => ({
    algorithm,
    encryptionKey,
    integrityKey,
  });
  const keys: NodeSecurity = {
    update: { spi: 0x1000, ...keysOf("aes-cbc-hmac-sha256") },
    acknowledgement: { spi: 0x1001, ...keysOf("aes-cbc-hmac-sha1") },
    replayWindow: 0,
  };
  test.strictSame(commands(planSubscriberSecurity(HOA, keys, HOME_AGENT)).slice(0, 2), [
    `ip xfrm state add src 2001:db8:1::100 dst 2001:db8:1::1 proto esp spi 0x1000 mode transport reqid ${REQID} replay-window 0 auth-trunc 'hmac(sha256)' [secret] 128 enc 'cbc(aes)' [secret] sel ${UP_ALL}`,
    `ip xfrm state add src 2001:db8:1::1 dst 2001:db8:1::100 proto esp spi 0x1001 mode transport reqid ${REQID} replay-window 0 auth-trunc 'hmac(sha1)' [secret] 96 enc 'cbc(aes)' [secret] sel ${DOWN_ALL}`,
  ]);
  test.end();
});

t.test(
  "home address options of anybody are taken before ESP, Mobility Headers and prefix discovery only; what is unprotected is blocked",
  (test) => {
    test.strictSame(commands(homeAgentSecuritySite(HOME_AGENT)), [
      "ip xfrm policy set hthresh4 0 32 hthresh6 0 128",
      ...wildcard("hao"),
      `ip xfrm policy add src ::/0 dst 2001:db8:1::1/128 proto 135 dir in mark 0x4000000 mask 0x4000000 ptype main ${priority(0x700)}`,
      `ip xfrm policy add src ::/0 dst 2001:db8:1::1/128 proto 135 dir in ptype main action block ${priority(0x800)}`,
      `ip xfrm policy add src ::/0 dst 2001:db8:1::1/128 proto 58 dir in ${TYPED} ptype main action block ${priority(0x300)}`,
      `ip xfrm policy add src 2001:db8:1::1/128 dst ::/0 proto 58 type 147 dir out ptype main action block ${priority(0x300)}`,
    ]);
    test.end();
  },
);

t.test(
  "inbound policies name no Mobility Header type: kernels do not tell it reliably for what they receive",
  (test) => {
    const all = [
      ...homeAgentSecuritySite(HOME_AGENT),
      ...planSubscriberSecurity(HOA, KEYS, HOME_AGENT),
      ...mobileNodeSecuritySite(NODE, KEYS),
    ];
    const inbound = all.filter((object) => object.kind === "xfrm-policy" && object.direction === "in");
    test.equal(inbound.length, 15);
    for (const one of inbound) test.equal(one.kind === "xfrm-policy" && one.selector.mobilityHeaderType, undefined);
    test.end();
  },
);

t.test("the care-of address of updates over IPv6", (test) => {
  test.equal(
    formatObject(homeAddressOptionState(NODE, ipv6("2001:db8:a::2"))),
    `ip xfrm state add src 2001:db8:1::100 dst 2001:db8:1::1 proto hao mode ro reqid ${OWNERSHIP.reqidBase + 1} coa 2001:db8:a::2`,
  );
  test.end();
});

t.test("request ids: ours, the same for the same node, beyond the shared ones", (test) => {
  const ids = Array.from({ length: 2000 }, (_, i) => reqidOf(ipv6(`2001:db8:1::${(i + 1).toString(16)}`)));
  test.ok(ids.every((id) => id >= OWNERSHIP.reqidBase + 16 && id < OWNERSHIP.reqidBase + 2 ** 24));
  test.equal(reqidOf(HOA), REQID);
  test.ok(new Set(ids).size > 1990, "they may collide, seldom; the SPI tells the states apart");
  test.end();
});
