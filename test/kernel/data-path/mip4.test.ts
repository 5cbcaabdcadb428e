/**
 * Mobile IPv4's payload with both ends' plans in real kernels and no daemon: IP in IP, GRE and RFC 3519's UDP, IPv4 and IPv6 in both ways of
 * RFC 5454, two nodes behind one NAT address, and what is forged. The network is drawn in lib/mip4-scene.ts.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { type Ipv4Address, type Ipv6Address, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { openUdpSocket } from "../../../controller/io/ip/udp-socket.js";
import type { TunnelEnd } from "../../../controller/protocol/mip4/inputs.js";
import { encodeIcmpv6, withIcmpv6Checksum } from "../../../controller/wire/icmpv6.js";
import { encodeIpv6Packet } from "../../../controller/wire/ip/ipv6.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import type { Frame } from "../lib/capture.js";
import { encapsulate, Injector, ipPacket, stationPacket } from "../lib/craft.js";
import { freshText } from "../lib/exchange.js";
import { icmpOf, ipLayersOf, payloadText } from "../lib/frames.js";
import {
  CN,
  type Crossing,
  checkHeaders,
  type Form,
  HA,
  type Mobile,
  NAT,
  natPort,
  natPorts,
  PORT,
  Scene,
} from "../lib/mip4-scene.js";
import { waitFor } from "../lib/wait.js";

/** RFC 4213 §3.7. */
const linkLocalOf = (address: Ipv4Address): Ipv6Address =>
  ipv6(
    `fe80::${Buffer.from(address.split(".").map(Number))
      .toString("hex")
      .replace(/^(....)/u, "$1:")}`,
  );

/** Whether the neighbour is still there (RFC 4861 §7.3.3), with a link-layer address that is to be ignored. */
function solicitation(source: Ipv6Address, target: Ipv6Address): Uint8Array {
  const options = [{ kind: "source-link-layer-address", address: Uint8Array.of(2, 7, 7, 7, 7, 7) }] as const;
  const question = encodeIcmpv6({ type: "neighbour-solicitation", target, options });
  const payload = withIcmpv6Checksum(question, source, target);
  const addresses = { source, destination: target };
  const header = { ...addresses, trafficClass: 0, flowLabel: 0, nextHeader: Protocol.icmpv6, hopLimit: 255 };
  return encodeIpv6Packet({ header, payload });
}

/** As `ip -details -json link show` tells it. */
interface TunnelLink {
  readonly ifname: string;
  readonly mtu: number;
  readonly linkinfo?: { readonly info_kind: string; readonly info_data?: { readonly pmtudisc?: boolean } };
}

const GRE_PROTOCOL = 47;
const GRE_IPV4 = [0, 0, 8, 0];
const GRE_IPV6 = [0, 0, 0x86, 0xdd];
/** K, and the key 7. */
const GRE_WITH_KEY = [0x20, 0, 8, 0, 0, 0, 0, 7];

test("Mobile IPv4's payload in the kernel", async (t: TestContext) => {
  const scene = await Scene.start(t);
  const [first, second, third] = scene.mobiles as [Mobile, Mobile, Mobile];
  const crossings: Crossing[] = [];
  const check = async (mobile: Mobile, form: Form): Promise<void> => {
    crossings.push(...(await checkHeaders(scene, mobile, form)));
  };
  const PLAIN: TunnelEnd = { transport: "ip", address: third.careOf, encapsulation: "ip-in-ip" };
  const GRE: TunnelEnd = { transport: "ip", address: third.careOf, encapsulation: "gre" };

  await t.test(
    "V4-4.3.2-10 V4-4.3.2-11 V4-4.3.2-03 V4-4.5-09: IP in IP, and IPv6 in protocol 41 to the care-of address",
    async () => {
      await third.register(scene, PLAIN, "care-of-address");
      await check(third, { between: "", carrier: false });
    },
  );
  await t.test(
    "V4-4.3.2-07 V4-4.3.2-09 V4-4.3.2-06 V4-4.5-08: IP in IP, and IPv6 to the home address inside it",
    async () => {
      await third.register(scene, PLAIN, "home-address");
      await check(third, { between: "", carrier: true });
    },
  );
  await t.test("V4-4.3.2-02 V4-4.3.2-04 F5944-4.1-01: GRE for IPv4 and IPv6", async () => {
    await third.register(scene, GRE, "care-of-address");
    await check(third, { between: " / protocol 47", carrier: false });
  });
  await t.test("IPv6 to the home address inside GRE", async () => {
    await third.register(scene, GRE, "home-address");
    await check(third, { between: " / protocol 47", carrier: true });
  });
  await t.test(
    "V4-4.9-02 F3519-3.3-01 F3519-4.4-02: RFC 3519's UDP, two nodes behind one NAT address, each in its way of IPv6",
    async () => {
      for (const [mobile, mode] of [
        [first, "care-of-address"],
        [second, "home-address"],
      ] as const) {
        const port = await natPort(scene, mobile);
        natPorts.set(mobile, port);
        await mobile.register(scene, { transport: "udp", address: NAT, port, encapsulation: "ip-in-ip" }, mode);
      }
      await check(first, { between: " / udp PORTS / protocol NH", carrier: false });
      await check(second, { between: " / udp PORTS / protocol NH", carrier: true });
      const headers = crossings.slice(-8).map(({ frame }) => {
        const header = frame.layers.find((layer) => layer.kind === "other");
        return header?.kind === "other" ? Buffer.from(header.bytes).toString("hex") : undefined;
      });
      const [four, six] = ["04040000", "04290000"];
      assert.deepEqual(headers, [four, four, six, six, four, four, four, four]);
    },
  );
  await t.test("V4-4.6-01 V4-4.6-04 V4-4.3.2-08 V4-4.6-07: a tunnel is one hop, and its headers are nobody's", () => {
    assert.equal(crossings.length, 24);
    for (const { way, direction, frame, received } of crossings) {
      // The home agent forwards, the node is an end: sent with 50.
      assert.equal(ipLayersOf(frame).at(-1)?.hopLimit, direction === "down" ? 49 : 50, way);
      assert.equal(received.hopLimit, 49, way);
    }
  });
  await t.test("V4-4.6-05 V4-4.6-06 F4213-3.2-01: tunnels have an MTU of their own, and no path MTU discovery", () => {
    for (const { node } of [{ node: scene.ha }, first, third]) {
      const tunnels = node
        .ipJson("-details link show")
        .map((link) => link as unknown as TunnelLink)
        .filter(({ ifname, linkinfo }) => ifname.startsWith("dsmip-") && linkinfo?.info_kind === "sit");
      assert.ok(tunnels.length > 1, node.label);
      for (const { ifname, mtu, linkinfo } of tunnels) {
        assert.equal(linkinfo?.info_data?.pmtudisc, false, ifname);
        assert.ok(mtu >= 1280 && (mtu <= 1480 || ifname.startsWith("dsmip-in")), `${ifname}: ${mtu}`);
      }
    }
  });
  await t.test("a keepalive is answered while nobody listens on port 434", () => {
    first.node.run("ping", "-c1", "-w60", "-I", first.home4, HA);
  });
  await t.test(
    "F3519-4.3-01 F3024-4.3.2-01 V4-5-01 V4-5-02: what is forged is dropped and counted by what it is",
    async (forged) => {
      const injector = new Injector({ namespace: third.node, device: "eth0" }, { namespace: scene.ha, device: "wan" });
      t.after(() => injector.close());
      const texts: string[] = [];
      const payload = (from: Mobile, family: 4 | 6): Uint8Array => {
        const text = freshText("forged");
        texts.push(text);
        return stationPacket({ source: from.stations[family].address, destination: CN[family] }, text);
      };
      const unknown = (): Uint8Array => {
        const text = freshText("forged");
        texts.push(text);
        return stationPacket({ source: ipv6("2001:db8:77::1"), destination: CN[6] }, text);
      };
      const toAgent = (source: Ipv4Address) => ({ source, destination: HA });
      const gre = (header: readonly number[], inner: Uint8Array): Uint8Array => Buffer.from([...header, ...inner]);
      const data = (
        source: Ipv4Address,
        port: number,
        header: readonly number[],
        inner: Uint8Array,
        to = PORT,
      ): Uint8Array => encapsulate(toAgent(source), gre(header, inner), { sourcePort: port, destinationPort: to });
      const carrier = (home: Mobile, prefixOf: Mobile): Uint8Array =>
        encapsulate(toAgent(home.home4), payload(prefixOf, 6));
      const port = natPorts.get(first) ?? 0;
      const FORGED: readonly (readonly [counter: string, packet: Uint8Array])[] = [
        ["spoofed-gre", ipPacket(toAgent(third.careOf), GRE_PROTOCOL, gre(GRE_IPV4, payload(second, 4)))],
        ["spoofed-gre", ipPacket(toAgent(NAT), GRE_PROTOCOL, gre(GRE_IPV4, payload(third, 4)))],
        ["bad-gre", ipPacket(toAgent(third.careOf), GRE_PROTOCOL, gre(GRE_WITH_KEY, payload(third, 4)))],
        // To another address of the machine: the device without ends would take it.
        [
          "spoofed-gre",
          ipPacket(
            { source: third.careOf, destination: ipv4("198.51.100.1") },
            GRE_PROTOCOL,
            gre(GRE_IPV4, payload(third, 4)),
          ),
        ],
        ["spoofed-udp", data(NAT, port, [4, 4, 0, 0], payload(second, 4))],
        ["spoofed-udp", data(NAT, 9, [4, 4, 0, 0], payload(first, 4))],
        ["spoofed-udp", data(third.careOf, port, [4, 41, 0, 0], payload(first, 6))],
        ["bad-version", data(NAT, port, [4, 47, 0, 0], gre(GRE_IPV4, payload(first, 4)))],
        ["tunnel-port", data(NAT, port, [0, 4, 0, 0], payload(first, 4), 4193)],
        // Where IPv6 goes to the home address there is only IPv4 in UDP.
        ["spoofed-udp", data(NAT, natPorts.get(second) ?? 0, [4, 41, 0, 0], payload(second, 6))],
      ];
      const FORGED_IPV6: typeof FORGED = [
        // To the home address: outside any tunnel, in another node's name, and in nobody's.
        ["spoofed-ipv4", carrier(third, third)],
        ["spoofed-ipv4", ipPacket(toAgent(third.careOf), GRE_PROTOCOL, gre(GRE_IPV4, carrier(third, second)))],
        [
          "spoofed-ipv4",
          ipPacket(toAgent(third.careOf), GRE_PROTOCOL, gre(GRE_IPV4, encapsulate(toAgent(third.home4), unknown()))),
        ],
        // To the care-of address, where that is another node's, and where none of its home is registered there.
        ["spoofed-udp", data(NAT, port, [4, 41, 0, 0], payload(second, 6))],
        ["spoofed-ipv4", encapsulate(toAgent(third.careOf), payload(third, 6))],
        ["spoofed-gre", ipPacket(toAgent(third.careOf), GRE_PROTOCOL, gre(GRE_IPV6, payload(third, 6)))],
      ];
      const dropped = async (list: typeof FORGED): Promise<void> => {
        for (const [i, [counter, packet]] of list.entries()) {
          const before = await scene.counter(counter);
          injector.send(packet);
          await waitFor(async () => (await scene.counter(counter)) > before, {
            what: `number ${i + 1} to be counted as ${counter}`,
          });
        }
      };
      await dropped(FORGED);
      await forged.test(
        "V4-4.3.2-13 V4-4.3.2-14 V4-4.3.2-15: so is IPv6 from who has not registered its prefix there",
        () => dropped(FORGED_IPV6),
      );
      const good = freshText("reserved bits");
      const addresses = { source: first.home4, destination: CN[4] };
      injector.send(data(NAT, port, [4, 4, 0xff, 0xff], stationPacket(addresses, good)));
      await scene.correspondents[4].waitFor(good);
      for (const text of texts)
        assert.equal(scene.correspondents[4].count(text) + scene.correspondents[6].count(text), 0, text);
      await forged.test("V4-5-03: nobody is told by ICMP", () => {
        const errors = scene.wire.frames().filter((frame) => {
          const [outer] = ipLayersOf(frame);
          const kind = icmpOf(frame);
          return outer?.source === HA && (kind?.type === 3 || kind?.type === 1);
        });
        assert.equal(errors.length, 0);
      });
    },
  );
  await t.test("F5944-4.2.3-01: what is in a tunnel already goes on, but not in circles", async () => {
    const injector = new Injector({ namespace: third.node, device: "eth0" }, { namespace: scene.ha, device: "wan" });
    t.after(() => injector.close());
    const tunnelled = (source: Ipv4Address, to: Mobile): string => {
      const text = freshText("tunnelled");
      const inner = stationPacket({ source: CN[4], destination: to.home4 }, text);
      injector.send(encapsulate({ source, destination: third.home4 }, inner));
      return text;
    };
    const arrived = (text: string) =>
      scene.wire.waitFor((frame) => payloadText(frame) === text && ipLayersOf(frame).length === 3, { what: text });
    const before = await scene.counter("tunnel-loop");
    const circling = tunnelled(third.careOf, third);
    // From elsewhere, or for somebody else inside: the outer source is the home agent's, the node gets what it was sent.
    for (const text of [tunnelled(ipv4("203.0.113.99"), third), tunnelled(third.careOf, second)]) {
      const [frame] = await arrived(text);
      const [outer] = ipLayersOf(frame ?? assert.fail(text));
      assert.deepEqual([outer?.source, outer?.destination], [HA, third.careOf], text);
    }
    assert.equal((await scene.counter("tunnel-loop")) - before, 1);
    const circled = (frame: Frame) => payloadText(frame) === circling && ipLayersOf(frame).length > 2;
    assert.equal(scene.wire.frames().filter(circled).length, 0);
  });
  await t.test("requests of one node and refusals to it are limited by the kernel", async () => {
    const agent = openUdpSocket({ netns: scene.ha.path, address: HA, port: PORT, family: 4 });
    const node = openUdpSocket({ netns: third.node.path, address: third.careOf, port: PORT, family: 4 });
    t.after(() => [agent, node].map((socket) => socket.close()));
    const home = [198, 51, 100, 103];
    const some = (data: readonly number[], destination: Ipv4Address) =>
      Array.from({ length: 200 }, () => ({ data: Uint8Array.from(data), destination, destinationPort: PORT }));
    node.send(some([1, 0, 0, 60, ...home, ...new Array(16).fill(1)], HA));
    await waitFor(async () => (await scene.counter("metered-registrations")) > 0, {
      what: "requests beyond the bucket",
    });
    // A dropped one is an error to who sends it.
    for (const reply of some([3, 133, 0, 60, ...home, ...new Array(12).fill(1)], third.careOf)) agent.send([reply]);
    await waitFor(async () => (await scene.counter("metered-answers")) > 0, { what: "refusals beyond the bucket" });
  });
  await t.test(
    "V4-4.6-02 F4213-3.7-01 V4-4.7.1-05 V4-4.7.1-06: both ends have a link-local address, and its packets have the tunnel to the home address",
    async () => {
      const linkLocals = [HA, third.home4].map(linkLocalOf) as [Ipv6Address, Ipv6Address];
      await third.register(scene, PLAIN, "care-of-address", { linkLocalAddress: linkLocals[1] });
      const deviceWith = (node: typeof scene.ha, address: string): string => {
        const found = node
          .ipJson("-6 address show")
          .map(
            (one) => one as unknown as { ifname: string; addr_info: readonly { local: string; prefixlen: number }[] },
          )
          .find(({ addr_info }) => addr_info.some(({ local, prefixlen }) => local === address && prefixlen === 64));
        return found?.ifname ?? assert.fail(`${address} is nobody's in ${node.label}`);
      };
      deviceWith(scene.ha, linkLocals[0]);
      const device = deviceWith(third.node, linkLocals[1]);
      third.node.run("ping", "-6", "-n", "-c1", "-w60", `${linkLocals[0]}%${device}`);
      const seen = (type: number) => (frame: Frame) =>
        icmpOf(frame)?.type === type && icmpOf(frame)?.kind === "icmp6" && ipLayersOf(frame).length === 3;
      for (const [type, way] of [
        [128, [third.careOf, HA, third.home4, HA, linkLocals[1], linkLocals[0]]],
        [129, [HA, third.careOf, HA, third.home4, linkLocals[0], linkLocals[1]]],
      ] as const) {
        const [frame] = await scene.wire.waitFor(seen(type), { what: `ICMPv6 ${type} in two tunnels` });
        const ends = ipLayersOf(frame as Frame).flatMap(({ source, destination }) => [source, destination]);
        assert.deepEqual(ends, way);
      }
    },
  );
  await t.test(
    "V4-4.6-03 F4213-3.8-01 V4-4.7.1-03: the node's end answers a question for its link-local address, without link-layer addresses",
    async () => {
      const injector = new Injector({ namespace: scene.ha, device: "wan" }, { namespace: third.node, device: "eth0" });
      t.after(() => injector.close());
      const [source, target] = [HA, third.home4].map(linkLocalOf) as [Ipv6Address, Ipv6Address];
      const probe = encapsulate(
        { source: HA, destination: third.careOf },
        encapsulate({ source: HA, destination: third.home4 }, solicitation(source, target)),
      );
      injector.send(probe);
      const [answer] = await scene.wire.waitFor((frame) => icmpOf(frame)?.type === 136, { what: "the answer" });
      const layers = ipLayersOf(answer as Frame);
      assert.deepEqual(
        layers.map(({ destination }) => destination),
        [HA, HA, source],
      );
      assert.equal(icmpOf(answer as Frame)?.bytes.length, 24, "no option");
      const known = third.node.ipJson("-6 neighbour show").filter(({ lladdr }) => lladdr === "02:07:07:07:07:07");
      assert.deepEqual(known, []);
    },
  );
  await t.test("V4-4.6-03 F4213-3.8-01: so does the home agent's, for a node that has registered its own", async () => {
    const injector = new Injector({ namespace: third.node, device: "eth0" }, { namespace: scene.ha, device: "wan" });
    t.after(() => injector.close());
    const [target, source] = [HA, third.home4].map(linkLocalOf) as [Ipv6Address, Ipv6Address];
    const ask = (from: Ipv6Address): void => {
      const packet = solicitation(from, target);
      const inner = encapsulate({ source: third.home4, destination: HA }, packet);
      injector.send(encapsulate({ source: third.careOf, destination: HA }, inner));
    };
    const before = await scene.counter("link-local");
    ask(linkLocalOf(second.home4));
    ask(source);
    const answers = () =>
      scene.wire.frames().filter((frame) => icmpOf(frame)?.type === 136 && ipLayersOf(frame)[0]?.source === HA);
    const [answer] = await waitFor(() => answers().length > 0 && answers(), { what: "the home agent's answer" });
    const layers = ipLayersOf(answer as Frame);
    assert.deepEqual(
      layers.map(({ destination }) => destination),
      [third.careOf, third.home4, source],
    );
    assert.equal(layers.at(-1)?.hopLimit, 255);
    assert.equal(icmpOf(answer as Frame)?.bytes.length, 24, "no option");
    assert.equal(answers().length, 1, "and none to who has not registered that address");
    assert.equal((await scene.counter("link-local")) - before, 1);
  });
  await t.test("all of it is in the kernels as planned, and nft lists it", async () => {
    for (const { kernel, node } of [{ kernel: scene.kernel, node: scene.ha }, ...scene.mobiles]) {
      assert.deepEqual(await kernel.differences(), [], node.label);
      node.script("nft list ruleset > /dev/null; nft -j list ruleset > /dev/null");
    }
  });
});
