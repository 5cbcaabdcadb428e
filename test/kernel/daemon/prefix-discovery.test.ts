/**
 * Mobile prefix discovery between real daemons, over IPv6, in IPv4 and behind a NAT: Debian's radvd says at the home agent what the home
 * link's prefixes are, and says something else before each question. The ESP of the static keys is opened by tshark.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { ipv6 } from "../../../controller/base/ip.js";
import { openIcmpv6Socket } from "../../../controller/io/ip/icmpv6-socket.js";
import { encodeIcmpv6 } from "../../../controller/wire/icmpv6.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { asPlanned } from "../lib/as-planned.js";
import { icmpOf, ipLayersOf } from "../lib/frames.js";
import { begin } from "../lib/keys.js";
import type { Background } from "../lib/process.js";
import { type Access, CORRESPONDENT, HOME_AGENT, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const SOLICITATION = 146;
const ADVERTISEMENT = 147;
const FIELDS = [
  "frame.time_epoch",
  "ipv6.src",
  "ipv6.dst",
  "ip.proto",
  "udp.dstport",
  "icmpv6.type",
  "icmpv6.mip6.identifier",
  "ipv6.routing.mipv6.home_address",
  "ipv6.opt.mipv6.home_address",
  "icmpv6.opt.prefix.preferred_lifetime",
];

test("mobile prefix discovery", async (t) => {
  const scene = await Scene.start(t, { mobileNode: { prefixDiscovery: "registration" } });
  const { mobile, ha, net, homeAgent } = scene;
  let radvd: Background | undefined;
  let preferred = 14_400;
  /** What the home link's router says from now on. */
  const advertise = async (): Promise<void> => {
    await radvd?.stop("SIGTERM");
    const file = join(net.scratch, `radvd-${preferred}.conf`);
    writeFileSync(
      file,
      `interface home { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4;
  prefix 2001:db8:1::/64 { AdvValidLifetime 86400; AdvPreferredLifetime ${preferred}; }; };\n`,
    );
    const words = ["--nodaemon", "--logmethod=stderr", `--config=${file}`, `--pidfile=${file}.pid`];
    radvd = ha.spawn(["radvd", ...words], { name: `radvd-${preferred}` });
    await waitFor(
      async () => (await homeAgent.status()).homePrefixes.some((one) => near(one.preferredSeconds, preferred)),
      { what: `the home agent to hear of ${preferred} s` },
    );
  };
  const known = (): Promise<unknown> =>
    waitFor(
      async () => (await mobile.daemon.status()).homePrefixes.some((one) => near(one.preferredSeconds, preferred)),
      { what: `the node to know of ${preferred} s` },
    );

  await advertise();
  await begin(scene, mobile, "six");
  await known();
  for (const access of ["six", "four", "nat"] as const) {
    await scene.move(mobile, access);
    preferred -= 1000;
    await advertise();
    await known();
  }

  /** Solicitations and advertisements on the home agent's wide area device, in order. */
  const messages = scene.wire
    .tshark(FIELDS, "icmpv6.type == 146 or icmpv6.type == 147", ...decrypting(mobile.keys))
    .map((fields) => ({
      at: Number(fields["frame.time_epoch"]),
      isQuestion: fields["icmpv6.type"] === "146",
      identifier: Number(fields["icmpv6.mip6.identifier"]),
      // tshark names the home address where it belongs, not where it stands: the source of the first header is the wire's.
      source: fields["ipv6.src"]?.split(",")[0],
      destination: fields["ipv6.dst"]?.split(",")[0],
      option: fields["ipv6.opt.mipv6.home_address"],
      routing: fields["ipv6.routing.mipv6.home_address"],
      way: fields["udp.dstport"] ? "nat" : fields["ip.proto"] ? "four" : "six",
      udp: fields["udp.dstport"],
      protocol: fields["ip.proto"],
      preferred: Number(fields["icmpv6.opt.prefix.preferred_lifetime"]),
    }));
  const on = (way: Access) => messages.filter((one) => one.way === way);
  const home = mobile.home6;

  await t.test(
    "R5555-2.2-01 R5555-2.2-03: from IPv4 a solicitation is in protocol 41 or UDP 4191, with the home address as source and as option",
    () => {
      for (const [way, protocol, port] of [
        ["four", "41", ""],
        ["nat", "17", "4191"],
      ] as const) {
        const questions = on(way).filter(({ isQuestion }) => isQuestion);
        assert.ok(questions.length > 0, way);
        for (const { source, destination, option, ...one } of questions) {
          assert.deepEqual([source, destination, option], [home, HOME_AGENT.ipv6, home]);
          assert.deepEqual([one.protocol?.split(",")[0], one.udp], [protocol, port]);
        }
      }
    },
  );

  await t.test("R5555-2.2-02: what policies ask for it, and that all of it was in ESP", async () => {
    const clear = scene.wire.frames().filter((frame) => ipLayersOf(frame).at(-1)?.protocol === Protocol.icmpv6);
    const types = clear
      .map((frame) => icmpOf(frame)?.type)
      .filter((type) => type === SOLICITATION || type === ADVERTISEMENT);
    assert.deepEqual(types, []);
    const policies = ha.run("ip", "xfrm", "policy", "show");
    assert.match(
      policies,
      new RegExp(`src ${HOME_AGENT.ipv6}/128 dst ${home}/128 proto ipv6-icmp type 147[^]*?proto esp`),
    );
    const own = mobile.node.run("ip", "xfrm", "policy", "show");
    assert.match(own, new RegExp(`src ${home}/128 dst ${HOME_AGENT.ipv6}/128 proto ipv6-icmp type 146[^]*?proto esp`));
  });

  await t.test(
    "F6275-10.6.3-01 F6275-6.8-01: advertisements have the routing header, the identifier of the question, and a second between them",
    () => {
      const advertisements = messages.filter(({ isQuestion }) => !isQuestion);
      const answered = new Set(messages.filter(({ isQuestion }) => isQuestion).map(({ identifier }) => identifier));
      for (const { source, destination, routing, way, identifier } of advertisements) {
        assert.deepEqual([source, routing], [HOME_AGENT.ipv6, home]);
        assert.equal(destination, way === "six" ? mobile.careOf.six : home);
        assert.ok(identifier === 0 || answered.has(identifier));
      }
      for (const way of ["six", "four", "nat"] as const)
        assert.ok(
          on(way).some((one) => !one.isQuestion && one.identifier === 0),
          `one that nobody has asked for: ${way}`,
        );
      const pauses = advertisements.slice(1).map(({ at }, i) => at - (advertisements[i]?.at ?? 0));
      assert.ok(
        pauses.every((pause) => pause > 0.9),
        `${pauses}`,
      );
      assert.ok(advertisements.some((one) => near(one.preferred, preferred)));
    },
  );

  await t.test("F6275-11.4.3-01: what is not an answer of the home agent to a question changes nothing", async (t) => {
    const before = await mobile.daemon.status();
    const stranger = openIcmpv6Socket({ netns: scene.cn.path, types: [] });
    t.after(() => stranger.close());
    const option = {
      kind: "prefix-information",
      prefixLength: 64,
      flags: { onLink: true, autonomous: true, routerAddress: false },
      validLifetimeSeconds: 0,
      preferredLifetimeSeconds: 0,
      prefix: ipv6("2001:db8:1::"),
    } as const;
    const flags = { managedAddresses: false, otherConfiguration: false };
    const data = encodeIcmpv6({ type: "mobile-prefix-advertisement", identifier: 0, flags, options: [option] });
    await waitFor(
      async () => {
        stranger.send([{ data, source: CORRESPONDENT.ipv6, destination: home }]);
        return ((await mobile.daemon.status()).counters.dropped["wrong-source"] ?? 0) > 0;
      },
      { what: "the stranger's advertisement to be counted", interval: 200 },
    );
    const after = await mobile.daemon.status();
    assert.deepEqual(
      after.homePrefixes.map(({ prefix }) => prefix),
      before.homePrefixes.map(({ prefix }) => prefix),
    );
    // Each of the home agent's that nobody had asked for is one, too.
    assert.ok((after.counters.dropped["identifier-mismatch"] ?? 0) >= 3);
    assert.equal(after.readiness, "registered");
    const asking = encodeIcmpv6({ type: "mobile-prefix-solicitation", identifier: 7 });
    const blocked = async (): Promise<number> => (await homeAgent.status()).counters.xfrm["XfrmInPolBlock"] ?? 0;
    const refused = await blocked();
    stranger.send([{ data: asking, source: CORRESPONDENT.ipv6, destination: HOME_AGENT.ipv6 }]);
    await waitFor(async () => (await blocked()) > refused, { what: "a solicitation in clear to be refused" });
  });

  await asPlanned(homeAgent, mobile.daemon);
});

/** Seconds that pass in a test are not seconds of difference. */
const near = (seconds: number | null, wanted: number): boolean =>
  seconds !== null && seconds <= wanted + 1 && seconds > wanted - 500;

/** AES-GCM: the key with its salt. */
function decrypting(keys: Readonly<Record<string, { readonly spi: number; readonly key: string }>>): string[] {
  const associations = Object.values(keys).flatMap(({ spi, key }) => [
    "-o",
    `uat:esp_sa:"IPv6","*","*","0x${spi.toString(16)}","AES-GCM with 16 octet ICV [RFC4106]","0x${key}","NULL",""`,
  ]);
  return ["-o", "esp.enable_encryption_decode:TRUE", ...associations];
}
