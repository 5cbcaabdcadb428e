/** What dsmipctl security shows, out of the plan, the kernel's counters and charon's list: a line for each association, never a key. */
import t from "tap";
import { hostPrefix, type IpAddress, ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { Secret } from "../../../../controller/base/secret.js";
import { listIkeSas, type SecuritySources, securityDocument } from "../../../../controller/daemon/security/view.js";
import type { StateCounters } from "../../../../controller/kernel/xfrm/security-watch.js";
import { planBinding } from "../../../../controller/plan/home-agent/plan.js";
import { NO_SLOTS, type Purpose, RequestIds, reqidOf } from "../../../../controller/plan/security/request-ids.js";
import { planNegotiatedSubscriber, planSubscriberSecurity } from "../../../../controller/plan/security/subscriber.js";
import { parkedAssociations } from "../../../../controller/plan/security/tunnel-associations.js";
import type { HomeAgentPlanSite } from "../../../../controller/plan/site.js";
import type { ViciSection } from "../../../../controller/vici/message.js";
import { securityDocument as schema } from "../../../../schemas/control.js";

const HOA = ipv6("2001:db8:1::100");
const HA6 = ipv6("2001:db8:1::1");
const HA4 = ipv4("203.0.113.1");
const NAT = ipv4("203.0.115.2");
const NOW = 1_000_000;
const SITE: HomeAgentPlanSite = {
  addresses: { ipv6: HA6, ipv4: HA4 },
  homePrefixes: [],
  mtu: 1400,
  profiles: new Map([["default", { dscp: "copy", ttl: 64, protection: "esp" }]]),
  negotiated: { slots: NO_SLOTS, espInUdp: "always" },
};
const OCTET = 0xab;
const key = (spi: number) => ({
  spi,
  aead: { algorithm: "rfc4106(gcm(aes))", key: new Secret(new Uint8Array(20).fill(OCTET)), icvLength: 16 },
});
const child = (spi: number) => ({ receive: [key(spi)], send: key(spi + 1) });
const KEYS = { signalling: child(0x100), payload: child(0x200) };
const FOUR = { format: "ipv4", address: NAT } as const;
const PATH = { homeAddress: HOA, egress: FOUR, ingress: [FOUR], profile: "default", revision: 1 };
const OBJECTS = [...planNegotiatedSubscriber(HOA, KEYS, SITE), ...planBinding(PATH, SITE, { associations: KEYS })];

const counted = (purpose: Purpose, spi: number, destination: IpAddress, packets: number): StateCounters => ({
  ...{ reqid: reqidOf(HOA, purpose), spi, source: NAT, destination, packets, octets: 100 * packets },
  ...{ addedAt: NOW - 50, lastUsedAt: NOW - packets, replayed: 1, integrityFailures: 0 },
});
const SA: ViciSection = {
  state: "ESTABLISHED",
  ...{ "local-host": HA4, "local-port": "4500", "remote-host": "2001:db8:a::2", "remote-port": "4500" },
  ...{ "remote-id": "node1@example.org", established: "12", "rekey-time": "3400" },
  "child-sas": { "payload-1": { "spi-in": "00000200", "spi-out": "201", "install-time": "30", "rekey-time": "900" } },
};
const view = (changes: Partial<SecuritySources> = {}) =>
  schema.parse(
    securityDocument([HOA], {
      method: "ikev2",
      ids: new RequestIds([HOA], NO_SLOTS),
      counters: [
        counted("payload", 0x200, HA4, 3),
        counted("payload", 0x200, HA4, 4),
        counted("payload", 0x201, NAT, 5),
      ],
      objects: () => OBJECTS,
      ike: new Map([[`dsmipd-${HOA}`, SA]]),
      own: new Set(),
      now: NOW,
      ...changes,
    }),
  );

t.test("one line for each association, however many ends it has; its copies count together", (test) => {
  const document = view();
  const [node] = document.nodes;
  test.equal(document.ikeDaemon, "up");
  test.match(node?.ike, { remote: "[2001:db8:a::2]:4500", keysAgeSeconds: 12, rekeyInSeconds: 3400 });
  test.strictSame(
    node?.associations.map(({ purpose, direction, spi }) => `${purpose} ${direction} ${spi}`),
    [
      "signalling receive 0x00000100",
      "signalling send 0x00000101",
      "payload receive 0x00000200",
      "payload send 0x00000201",
    ],
  );
  const [, , receive, send] = node?.associations ?? [];
  test.strictSame(receive?.ends, [
    { source: "0.0.0.0", destination: HA4, udpPort: null },
    { source: "0.0.0.0", destination: HA4, udpPort: 4500 },
  ]);
  test.match(receive, {
    packets: 7,
    octets: 700,
    replayed: 2,
    lastUsedSeconds: 3,
    keysAgeSeconds: 30,
    rekeyInSeconds: 900,
  });
  test.match(send, { packets: 5, ends: [{ source: HA4, destination: NAT, udpPort: 4500 }], parked: false });
  test.notMatch(JSON.stringify(document), new RegExp(OCTET.toString(16).repeat(4)), "no key");
  test.end();
});

t.test("policies say what they demand; the one that meets no packet is left out", (test) => {
  const { policies } = view().nodes[0] ?? { policies: [] };
  const line = (purpose: string, direction: string): readonly string[] =>
    policies.filter((one) => one.purpose === purpose && one.direction === direction).map(({ demand }) => demand);
  test.strictSame(line("signalling", "in"), ["esp"]);
  test.strictSame(line("payload", "forward"), ["esp or clear"], "on the home link it speaks in clear");
  test.strictSame(line("payload", "out"), ["esp", "esp"], "payload, and ICMPv6 errors of the home agent");
  test.strictSame([...new Set(line("-", "out"))], ["clear"], "the home agent's own packets");
  test.ok(policies.some(({ messages }) => messages === "ICMPv6 errors"));
  test.notOk(policies.some(({ source, destination }) => source === destination));
  test.end();
});

t.test("parked, without charon, and with static keys", async (test) => {
  const parked = view({ objects: () => parkedAssociations(HOA, "payload", KEYS.payload) }).nodes[0]?.associations;
  test.match(parked, [
    { parked: true, ends: [], direction: "receive", keysAgeSeconds: 30 },
    { parked: true, ends: [], direction: "send" },
  ]);
  const failing = { stream: () => Promise.reject(new Error("no")), command: () => Promise.resolve({}) };
  const ike = await listIkeSas(failing);
  test.match(view({ ike }), { ikeDaemon: "down", nodes: [{ ike: null, associations: [{ keysAgeSeconds: null }] }] });

  const secret = new Secret(new Uint8Array(20));
  const keys = {
    update: { spi: 5, algorithm: "aes-gcm", key: secret },
    acknowledgement: { spi: 6, algorithm: "aes-gcm", key: secret },
    replayWindow: 64,
  } as const;
  const objects = () => planSubscriberSecurity(HOA, keys, { ...SITE, negotiated: undefined });
  const lab = view({ method: "static-keys", objects, ike: undefined, own: new Set([HA6]) });
  test.equal(lab.ikeDaemon, null);
  test.strictSame(
    lab.nodes[0]?.associations.map(({ spi, direction }) => `${spi} ${direction}`),
    ["0x00000005 receive", "0x00000006 send"],
  );
  test.ok(lab.nodes[0]?.policies.every(({ source }) => source.endsWith(`/${hostPrefix(HOA).length}`)));
});

t.test("of several IKE SAs of a node the established one counts", async (test) => {
  const sa = (state: string, port: string): ViciSection => ({ a: { state, "local-port": port } });
  const daemon = {
    stream: async () => [sa("ESTABLISHED", "1"), sa("DELETING", "2"), sa("CONNECTING", "3")],
    command: async () => ({}),
  };
  test.match((await listIkeSas(daemon))?.get("a"), { "local-port": "1" });
});
