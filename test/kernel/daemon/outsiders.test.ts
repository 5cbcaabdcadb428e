/**
 * What comes from outside comes past the operator's firewall as what it is, or not at all: no way round it leads through dsmipd's ports
 * and tunnels, and nothing that is not authenticated leaves anything behind in connection tracking.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { type IpAddress, type Ipv4Address, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { encodeUdp } from "../../../controller/wire/ip/udp.js";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { bindingUpdate, espPacket } from "../../lib/esp.js";
import { ipPacket } from "../lib/craft.js";
import { layersOf } from "../lib/frame.js";
import {
  ALICE,
  HOME_AGENT,
  type HostileWorld,
  inUdp,
  plainIpv6,
  STRANGER,
  wantsIpv4,
  withHomeAddress,
} from "../lib/hostile.js";
import { aliceRegistered } from "../lib/registered.js";

const SOURCE = ipv4("203.0.114.9");
const TCP = 6;
const CLOSED_PORT = 2222;
/** The home agent's other addresses: of the home link, broadcast, and what only dsmipd's devices have. */
const OTHER_ADDRESSES = ["198.51.100.1", "203.0.113.255", "198.51.100.255", "255.255.255.255", "240.41.65.4"].map(ipv4);

/** Only what README says is open, and that statefully. */
const FIREWALL = `table inet operator { chain in {
  type filter hook input priority 0; policy drop;
  iif lo accept
  ct state established,related accept
  udp dport 4191 accept
  meta l4proto { icmp, ipv6-icmp, 4, 41, 50, 135 } accept
}; }`;

function internetChecksum(octets: Buffer): number {
  let sum = 0;
  for (let i = 0; i < octets.length; i += 2) sum += ((octets[i] ?? 0) << 8) | (octets[i + 1] ?? 0);
  while (sum >> 16 > 0) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

/** A TCP segment that asks for a connection. */
function syn(source: Ipv4Address, destination: Ipv4Address): Buffer {
  const octets = (address: Ipv4Address): number[] => address.split(".").map(Number);
  const segment = Buffer.alloc(20);
  segment.writeUInt16BE(5555, 0);
  segment.writeUInt16BE(CLOSED_PORT, 2);
  segment.writeUInt16BE(0x5002, 12);
  segment.writeUInt16BE(65535, 14);
  const pseudoHeader = Buffer.from([...octets(source), ...octets(destination), 0, TCP, 0, segment.length]);
  segment.writeUInt16BE(internetChecksum(Buffer.concat([pseudoHeader, segment])), 16);
  return segment;
}

/** GUE variant 0: a header of four octets with the protocol of what follows (draft-ietf-intarea-gue §3). */
const gue = (protocol: number, payload: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.of(0, protocol, 0, 0), payload]);

function udpTo(destination: Ipv4Address, destinationPort: number, payload: Uint8Array): Uint8Array {
  const addresses = { source: SOURCE, destination };
  return ipPacket(addresses, Protocol.udp, encodeUdp({ sourcePort: 7777, destinationPort, payload }, addresses));
}

/** Segments to the intruder: whatever gets to TCP is answered, if only by a reset. */
function answers(hostile: HostileWorld): number {
  return hostile.frames.filter((frame) =>
    layersOf(frame, 1).some((layer) => layer.kind === "ipv4" && layer.destination === SOURCE && layer.protocol === TCP),
  ).length;
}

test("who must stay outside stays outside", async (t) => {
  const { hostile, ha, register } = await aliceRegistered(t);
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

  ha.nft(FIREWALL);
  await t.test("GUE with TCP in it, to every address of the home agent, reaches no port that is closed", async () => {
    for (const destination of [HOME_AGENT.ipv4, ...OTHER_ADDRESSES]) {
      hostile.send(4, udpTo(destination, 4191, gue(TCP, syn(SOURCE, destination))));
      hostile.send(
        4,
        udpTo(
          destination,
          4191,
          gue(Protocol.ipv4, ipPacket({ source: SOURCE, destination }, TCP, syn(SOURCE, destination))),
        ),
      );
      hostile.send(
        4,
        udpTo(destination, 4191, ipPacket({ source: SOURCE, destination }, TCP, syn(SOURCE, destination))),
      );
      hostile.send(
        4,
        ipPacket(
          { source: SOURCE, destination },
          Protocol.ipv4,
          ipPacket({ source: SOURCE, destination }, TCP, syn(SOURCE, destination)),
        ),
      );
    }
    await settled();
    assert.equal(answers(hostile), 0);
    assert.match(ha.run("ip", "fou", "show"), /^port 4191 gue local 203\.0\.113\.1 *$/m);
  });

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
          ipPacket(to4, Protocol.ipv4, ipPacket(to4, TCP, syn(source4, HOME_AGENT.ipv4))),
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
