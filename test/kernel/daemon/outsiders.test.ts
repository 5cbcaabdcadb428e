/**
 * What comes from outside comes past the operator's firewall as what it is, or not at all: no way round it leads through dsmipd's ports
 * and tunnels, and nothing that is not authenticated leaves anything behind in connection tracking.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { type IpAddress, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { bindingUpdate, espPacket } from "../../lib/esp.js";
import { encapsulate, ipPacket } from "../lib/craft.js";
import { ALICE, HOME_AGENT, inUdp, plainIpv6, STRANGER, wantsIpv4, withHomeAddress } from "../lib/hostile.js";
import { answersTo, plainSyn, wrapped } from "../lib/intruder.js";
import { aliceRegistered } from "../lib/registered.js";
import { waitFor } from "../lib/wait.js";

const SOURCE = ipv4("203.0.114.9");
const SOURCE6 = ipv6("2001:db8:bad::9");
/** The home agent's other addresses: of the home link, broadcast, and what only dsmipd's devices have. */
const OTHER_ADDRESSES = ["198.51.100.1", "203.0.113.255", "198.51.100.255", "255.255.255.255", "240.41.65.4"].map(ipv4);
const OTHER_ADDRESSES6 = ["2001:db8:f::1", "ff02::1"].map(ipv6);

/** Only what README says is open, and that statefully. */
const FIREWALL = `table inet operator { chain in {
  type filter hook input priority 0; policy drop;
  iif lo accept
  ct state established,related accept
  udp dport 4191 accept
  meta l4proto { icmp, ipv6-icmp, 4, 41, 50, 135 } accept
}; }`;

test("who must stay outside stays outside", async (t) => {
  const { hostile, ha, register, last } = await aliceRegistered(t);
  const counters = async (): Promise<Record<string, number>> => (await hostile.status()).counters.kernel;
  /** When this is answered, everything that was sent before has gone its way. */
  const settled = async (): Promise<void> => assert.equal((await register()).message.status, BindingStatus.accepted);

  await t.test("the port that signalling is steered to is closed, to a genuine update too", async () => {
    const before = await counters();
    const { dropped, received } = (await hostile.status()).counters;
    const esp = hostile.sender(ALICE).seal(bindingUpdate({ sequence: 500 }, ALICE.homeAddress, HOME_AGENT.ipv6));
    hostile.send(4, inUdp(espPacket(ALICE.homeAddress, HOME_AGENT.ipv6, esp), { destinationPort: 4192 }));
    hostile.send(4, inUdp(Buffer.from("anything"), { destinationPort: 4192 }));
    await settled();
    assert.equal(((await counters())["signalling-port"] ?? 0) - (before["signalling-port"] ?? 0), 2);
    const after = (await hostile.status()).counters;
    assert.deepEqual(after.dropped, dropped);
    assert.equal(after.received["binding-update"], (received["binding-update"] ?? 0) + 1, "only the last one");
  });

  await t.test("C-50: IPv4-mapped sources are dropped and counted, wherever they come in", async () => {
    const mapped = ipv6("::ffff:203.0.114.9");
    const echo = plainIpv6(mapped, HOME_AGENT.ipv6, Protocol.icmpv6, Uint8Array.of(128, 0, 0, 0, 0, 1, 0, 1));
    const update = hostile.sender(ALICE).seal(bindingUpdate({ sequence: 600 }, ALICE.homeAddress, HOME_AGENT.ipv6));
    const genuine = withHomeAddress(mapped, ALICE.homeAddress, Protocol.esp, update);
    const overIpv4 = { source: SOURCE, destination: HOME_AGENT.ipv4 };
    const before = await counters();
    const received = (await hostile.status()).counters.received["binding-update"] ?? 0;
    hostile.send(6, genuine, echo, encapsulate({ source: SOURCE6, destination: HOME_AGENT.ipv6 }, echo));
    hostile.send(4, ...[genuine, echo].flatMap((inner) => [inUdp(inner), encapsulate(overIpv4, inner)]));
    await settled();
    assert.equal(((await counters())["mapped-source"] ?? 0) - (before["mapped-source"] ?? 0), 7);
    assert.equal((await hostile.status()).counters.received["binding-update"], received + 1, "only the last one");
  });

  await t.test("a flood in a node's name, under its own SPI, slows down nobody but itself", async () => {
    const metered = async (): Promise<number> => (await counters())["metered"] ?? 0;
    const forged = (number: number): Uint8Array => {
      const octets = Buffer.alloc(64, number);
      octets.writeUInt32BE(ALICE.update.spi);
      octets.writeUInt32BE(100_000 + number, 4);
      return espPacket(ALICE.homeAddress, HOME_AGENT.ipv6, octets);
    };
    const flood = (from: (number: number) => Parameters<typeof inUdp>[1]): void =>
      hostile.send(4, ...Array.from({ length: 300 }, (_, i) => inUdp(forged(i), from(i))));
    const before = await metered();
    // From the very NAT that she is behind, and from everywhere in another network: she refreshes, and she moves to a third one.
    flood((i) => ({ sourcePort: 50_000 + i }));
    flood((i) => ({ source: ipv4(`198.18.${i >> 8}.${i & 0xff}`) }));
    await settled();
    const source = ipv4("192.0.2.77");
    const moved = await hostile.update(ALICE, { sequence: last() + 1, options: [wantsIpv4(ALICE)] }, { source });
    assert.equal(moved.message.status, BindingStatus.accepted);
    const dropped = (await metered()) - before;
    assert.equal(dropped > 450 && dropped <= 600, true, `${dropped} of 600`);
    await register();
    await settled();
  });

  await t.test(
    "GUE, UDP 4192 and tunnels with TCP in them, to every address of the home agent, reach no port that is closed",
    async () => {
      const to4 = { source: SOURCE, destination: HOME_AGENT.ipv4 };
      const to6 = { source: SOURCE6, destination: HOME_AGENT.ipv6 };
      const answers = (): number => answersTo([SOURCE, SOURCE6], hostile.frames);
      hostile.send(4, plainSyn(to4));
      hostile.send(6, plainSyn(to6));
      await waitFor(() => answers() === 2, { what: "the resets of a machine without a firewall" });
      ha.nft(FIREWALL);
      for (const destination of [HOME_AGENT.ipv4, ...OTHER_ADDRESSES])
        hostile.send(4, ...wrapped({ ...to4, destination }, { 4: { ...to4, destination }, 6: to6 }));
      for (const destination of [HOME_AGENT.ipv6, ...OTHER_ADDRESSES6])
        hostile.send(6, ...wrapped({ ...to6, destination }, { 4: to4, 6: { ...to6, destination } }));
      await settled();
      assert.equal(answers(), 2);
      assert.match(ha.run("ip", "fou", "show"), /^port 4191 gue local 203\.0\.113\.1 *$/m);
    },
  );

  await t.test(
    "nothing of it is tracked: ESP, Mobility Headers and tunnels from anybody, and what is answered",
    async () => {
      const tracked = (): number => Number(ha.run("sysctl", "-n", "net.netfilter.nf_conntrack_count"));
      const before = tracked();
      const stranger = (i: number): IpAddress => ipv6(`2001:db8:bad::${(i + 1).toString(16)}`);
      for (let i = 0; i < 64; i++) {
        const source = stranger(i);
        const source4 = ipv4(`203.0.114.${i + 1}`);
        const esp = Buffer.alloc(64, i + 1);
        const to6 = { source, destination: HOME_AGENT.ipv6 };
        const to4 = { source: source4, destination: HOME_AGENT.ipv4 };
        hostile.send(
          6,
          ipPacket(to6, Protocol.esp, esp),
          ipPacket(to6, Protocol.mobility, bindingUpdate({ sequence: 7 }, ALICE.homeAddress, HOME_AGENT.ipv6)),
          withHomeAddress(ipv6(`2001:db8:bad::${(i + 1).toString(16)}`), ALICE.homeAddress, Protocol.esp, esp),
          ipPacket(to6, Protocol.ipv6, plainIpv6(STRANGER.homeAddress, HOME_AGENT.ipv6, 59, new Uint8Array(8))),
        );
        hostile.send(
          4,
          inUdp(espPacket(ALICE.homeAddress, HOME_AGENT.ipv6, esp), { source: source4, sourcePort: 1024 + i }),
          ipPacket(to4, Protocol.ipv4, plainSyn(to4)),
        );
      }
      await settled();
      assert.equal(tracked() - before, 0, ha.run("cat", "/proc/net/nf_conntrack"));
      assert.equal(
        (await hostile.update(ALICE, { sequence: 400, options: [wantsIpv4(ALICE)] })).message.status,
        BindingStatus.accepted,
      );
    },
  );
});
