/**
 * A mobile node of Mobile IPv4 at a private address, with a scripted home agent: what it sends with and without UDP, and how it keeps the
 * NAT's mapping (RFC 3519).
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { stringify } from "yaml";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import type { RegistrationExtension } from "../../../controller/wire/mip4/extensions/registration.js";
import type { Frame } from "../lib/capture.js";
import { Daemon } from "../lib/daemons.js";
import { describeFrame, icmpOf, ipLayersOf } from "../lib/frames.js";
import { ASSOCIATION, KEY, MOBILE_HOME, replyTo, ScriptedHomeAgent } from "../lib/scripted-mip4-home-agent.js";
import { Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const HA = ipv4("203.0.113.1");
const NAT = ipv4("203.0.113.77");
const HOA = ipv4("198.51.100.10");
const COA = ipv4("10.0.1.2");
const CN = { 4: ipv4("192.0.2.99"), 6: ipv6("2001:db8:99::1") } as const;
const NODE6 = ipv6("2001:db8:5::1");
const [INTERVAL, OWN_INTERVAL] = [2, 10];
const MOBILITY_HEADER = 135;
const LONG = { timeout: 30_000 };

test("a node of Mobile IPv4 behind a NAT", async (t) => {
  const net = new Topology(t);
  const [ha, nat, mn] = [net.node("ha"), net.node("nat", { forwarding: true }), net.node("mn")];
  net.link(ha.port("wan", `${HA}/24`), nat.port("wan", `${NAT}/24`));
  net.link(mn.port("eth0", `${COA}/24`), nat.port("lan", "10.0.1.1/24"));
  mn.route("default via 10.0.1.1");
  net.build();
  nat.nft(
    'table ip nat { chain post { type nat hook postrouting priority 100; oifname "wan" masquerade fully-random; }; }',
  );
  const wire = await net.capture(ha, "wan");
  const homeAgent = new ScriptedHomeAgent(t, ha, HA);
  const keyFile = join(net.scratch, "keys.yaml");
  writeFileSync(
    keyFile,
    stringify({ mip4: [{ association: "mobile-home", node: HOA, spi: ASSOCIATION.spi, key: KEY }] }),
    { mode: 0o600 },
  );
  const daemon = new Daemon(
    mn,
    { directory: net.scratch, keyFile },
    {
      role: "mobile-node",
      protocol: "mip4",
      mobileNode: {
        ...{ homeAddress: HOA, homeAgent: HA, prefixes: ["2001:db8:5::/48"], ipv6HomeAddress: NODE6 },
        natKeepaliveSeconds: OWN_INTERVAL,
      },
    },
  );
  const PREFIX_REPLY = { kind: "ipv6-prefix-reply", code: 1, prefixLength: 48, prefix: ipv6("2001:db8:5::") } as const;
  const accepts = (lifetimeSeconds: number, ...more: readonly RegistrationExtension[]): void => {
    homeAgent.answer = ({ request }) =>
      replyTo(request, { lifetimeSeconds, extensions: [PREFIX_REPLY, ...more, MOBILE_HOME] });
  };
  const inUdp = (keepaliveSeconds: number): RegistrationExtension => ({
    kind: "udp-tunnel-reply",
    ...{ code: 0, forced: false, keepaliveSeconds },
  });
  /** An echo request of the node to the correspondent, as the home agent's network sees it. */
  const outgoing = async (family: 4 | 6, since: number): Promise<Frame> =>
    waitFor(
      () => {
        mn.run("bash", "-c", `ping -n -c1 -W1 -${family} -I ${family === 4 ? HOA : NODE6} ${CN[family]} || true`);
        return wire.frames().find((frame) => frame.at > since && ipLayersOf(frame).at(-1)?.destination === CN[family]);
      },
      { what: `IPv${family} payload`, ...LONG },
    );
  const echoes = (since: number): readonly Frame[] =>
    wire
      .frames()
      .filter((frame) => frame.at > since && icmpOf(frame)?.type === 8 && ipLayersOf(frame).at(-1)?.destination === HA);
  let silentSince = { at: 0, asked: 0 };
  const nowSeconds = (): number => Date.now() / 1000;
  const encapsulated = ({ layers }: Frame): boolean =>
    layers.some((layer) => layer.kind === "ipv4" && layer.source === NAT && [4, 41, 47].includes(layer.protocol));

  accepts(4);
  await daemon.start();

  await t.test("F3519-4.4-01: a home agent that says nothing of UDP gets none", async () => {
    await daemon.waitForBinding("a registration", ({ state }) => state === "registered");
    const [four, six] = [await outgoing(4, 0), await outgoing(6, 0)];
    assert.equal(describeFrame(four), `ipv4 ${NAT}>${HA} / ipv4 ${HOA}>${CN[4]} / icmp`);
    assert.equal(describeFrame(six), `ipv4 ${NAT}>${HA} / ipv6 ${NODE6}>${CN[6]} / icmp6`);
  });

  await t.test(
    "F3519-4.4-02 F3519-4.7-01 V4-4.9-01: with UDP all payload has it, and no registration is tunnelled",
    async () => {
      accepts(600, inUdp(INTERVAL));
      await daemon.waitForBinding("UDP", ({ endpoint }) => endpoint?.format === "udp");
      const since = nowSeconds();
      const port = homeAgent.latest.sourcePort;
      const [four, six] = [await outgoing(4, since), await outgoing(6, since)];
      const way = (protocol: number): string => `ipv4 ${NAT}>${HA} / udp ${port}>434 / protocol ${protocol}`;
      assert.equal(describeFrame(four), `${way(4)} / ipv4 ${HOA}>${CN[4]} / icmp`);
      assert.equal(describeFrame(six), `${way(41)} / ipv6 ${NODE6}>${CN[6]} / icmp6`);
      assert.equal(wire.frames().filter((frame) => frame.at > since && encapsulated(frame)).length, 0);
      // All of them came to the socket of the port, from where their data comes.
      assert.ok(homeAgent.asked.length > 1);
    },
  );

  await t.test(
    "F3519-4.9-01 F3519-3.2-02: after the home agent's interval of silence an echo request goes through the tunnel",
    async () => {
      silentSince = { at: nowSeconds(), asked: homeAgent.asked.length };
      const { at: since } = silentSince;
      const [echo] = await waitFor(() => echoes(since).length > 0 && echoes(since), { what: "a keepalive", ...LONG });
      const port = homeAgent.latest.sourcePort;
      const frame = echo ?? assert.fail();
      assert.equal(describeFrame(frame), `ipv4 ${NAT}>${HA} / udp ${port}>434 / protocol 4 / ipv4 ${HOA}>${HA} / icmp`);
      const before = wire
        .frames()
        .filter((one) => one.at < frame.at && ipLayersOf(one).length === 2 && ipLayersOf(one)[0]?.source === NAT);
      const silence = frame.at - (before.at(-1)?.at ?? 0);
      assert.ok(silence > INTERVAL * 0.8, `${silence} s`);
    },
  );

  await t.test("F3519-4.10-01: who gets no answer registers again, long before its time is over", async () => {
    const { at: since, asked } = silentSince;
    await waitFor(() => homeAgent.asked.length > asked, { what: "a new registration", ...LONG });
    assert.ok(echoes(since).length >= 3, `${echoes(since).length} echo requests`);
  });

  await t.test("F3519-3.2-02: an interval of 0 is the node's own", async () => {
    accepts(600, inUdp(0));
    const asked = homeAgent.asked.length;
    await waitFor(() => homeAgent.asked.length > asked, { what: "a registration", ...LONG });
    const since = nowSeconds();
    const [echo] = await waitFor(() => echoes(since).length > 0 && echoes(since), { what: "a keepalive", ...LONG });
    const silence = (echo?.at ?? 0) - since;
    assert.ok(silence > OWN_INTERVAL * 0.8, `${silence} s`);
  });

  await t.test(
    "V4-2-01 V4-2-02: registrations on port 434, payload of both families over IPv4, and nothing of Mobile IPv6",
    () => {
      const sent = wire.frames().filter((frame) => ipLayersOf(frame)[0]?.source === NAT);
      for (const frame of sent)
        assert.match(describeFrame(frame), /^ipv4 203\.0\.113\.77>203\.0\.113\.1 \/ (udp \d+>434|ipv4|ipv6)\b/u);
      assert.ok(
        sent.some(({ layers }) => layers.at(-1)?.kind === "udp") &&
          sent.some((frame) => icmpOf(frame)?.kind === "icmp6"),
      );
      const headers = sent.flatMap(ipLayersOf).filter(({ protocol }) => protocol === MOBILITY_HEADER);
      assert.deepEqual(headers, []);
    },
  );
});
