/** Mobility Header messages through a TUN device, the path of signalling over IPv4 (no IPsec here; test/kernel has it with IPsec). */
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { type Ipv6Address, ipToBytes, ipv6 } from "../../../../controller/base/ip.js";
import { openMobilityHeaderSocket } from "../../../../controller/io/ip/mobility-header-socket.js";
import { TunDevice } from "../../../../controller/io/ip/tun-device.js";
import { makeNamespace, needsRoot, received } from "../support.js";

const HOME_AGENT = ipv6("2001:db8:1::1");
const HOME_ADDRESS = ipv6("2001:db8:1::100");
/** Binding update with PadN, checksum not filled in (RFC 6275 §6.1.7). */
const UPDATE = fromHex("3b01 0500 0000 0001 c000 003c 0102 0000");

/** Internet checksum over the pseudo-header of RFC 8200 §8.1 and the message; 0 for a message whose own checksum is right. */
function checksum(source: Ipv6Address, destination: Ipv6Address, message: Uint8Array): number {
  const words = Buffer.concat([
    ipToBytes(source),
    ipToBytes(destination),
    fromHex("0000"),
    new Uint8Array([0, message.length, 0, 135]),
    message,
  ]);
  let sum = 0;
  for (let at = 0; at < words.length; at += 2) sum += words.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function ipv6Packet(message: Uint8Array, flowLabel: number): Uint8Array {
  const header = Buffer.alloc(40);
  header.writeUInt32BE(0x60000000 | flowLabel, 0);
  header.writeUInt16BE(message.length, 4);
  header.set([135, 64], 6);
  return Buffer.concat([header.fill(ipToBytes(HOME_ADDRESS), 8, 24).fill(ipToBytes(HOME_AGENT), 24, 40), message]);
}

t.test(
  "messages cross between a TUN device and the socket with flow label, mark and checksum",
  { skip: needsRoot },
  async (t) => {
    const inside = makeNamespace(t);
    const tun = TunDevice.open({ name: "dsmtun0", netns: inside.path });
    const socket = openMobilityHeaderSocket({ netns: inside.path });
    t.teardown(() => [tun, socket].forEach((each) => void each.close()));
    inside.ip("link", "set", tun.name, "up");
    inside.ip("address", "add", `${HOME_AGENT}/128`, "dev", "lo");
    inside.ip("-6", "rule", "add", "fwmark", "0x77", "lookup", "100");
    inside.ip("-6", "route", "add", "default", "dev", tun.name, "table", "100");

    const sum = checksum(HOME_ADDRESS, HOME_AGENT, UPDATE);
    const right = Buffer.from(UPDATE);
    right.writeUInt16BE(sum, 4);
    const wrong = Buffer.from(UPDATE);
    wrong.writeUInt16BE(sum ^ 1, 4);
    const arrival = received(socket, 1);
    t.equal(tun.write([ipv6Packet(wrong, 0x11111), ipv6Packet(right, 0xabcde)]).sent, 2);
    const packets = await arrival;
    t.match(packets, [{ source: HOME_ADDRESS, destination: HOME_AGENT, flowLabel: 0xabcde, hopLimit: 64 }]);
    t.equal(packets.length, 1, "the one with the wrong checksum was dropped by the kernel");
    t.equal(toHex(packets[0]?.data ?? new Uint8Array()), toHex(right));

    const out = new Promise<Uint8Array>((resolve, reject) => {
      tun.listen({
        onPackets: (list) =>
          list.filter((packet) => packet[6] === 135 || packet[6] === 60).forEach((packet) => void resolve(packet)),
        onError: reject,
      });
    });
    const target = { destination: HOME_ADDRESS, source: HOME_AGENT };
    const unmarked = socket.send([{ data: UPDATE, ...target }]);
    t.match(unmarked, { sent: 0, dropped: 1, error: { code: "ENETUNREACH" } }, "without the mark there is no route");
    const options = {
      mark: 0x77,
      flowLabel: 0x54321,
      hopLimit: 9,
      trafficClass: 0xb8,
      destinationOptions: fromHex("0000010400000000"),
    };
    t.strictSame(socket.send([{ data: UPDATE, ...target, ...options }]), { sent: 1, queued: 0, dropped: 0 });
    const packet = await out;
    t.equal(toHex(packet.subarray(0, 8)), "6b854321" + "0018" + "3c" + "09");
    t.equal(toHex(packet.subarray(8, 40)), toHex(ipToBytes(HOME_AGENT)) + toHex(ipToBytes(HOME_ADDRESS)));
    t.equal(toHex(packet.subarray(40, 48)), "8700010400000000", "the destination options header");
    t.equal(checksum(HOME_AGENT, HOME_ADDRESS, packet.subarray(48)), 0, "the kernel filled in the checksum");
  },
);
