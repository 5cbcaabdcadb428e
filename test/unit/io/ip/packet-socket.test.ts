import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { ipv4 } from "../../../../controller/base/ip.js";
import * as c from "../../../../controller/io/constants.js";
import type { PacketFilter } from "../../../../controller/io/ip/packet-filter.js";
import { type Frame, PacketSocket } from "../../../../controller/io/ip/packet-socket.js";
import { openUdpSocket } from "../../../../controller/io/ip/udp-socket.js";
import { makeNamespace, type Namespace, needsRoot } from "../support.js";

/** IPv4 from 198.51.100.1 to 224.0.0.1 with the protocol, the fragment field, IPv4 options of so many octets, and what follows. */
function ipv4Packet(protocol: number, fragment: number, options: number, payload: string): Uint8Array {
  const header = Uint8Array.of(0x45 + options / 4, 0, 0, 0, 0, 0, fragment >> 8, fragment & 0xff, 1, protocol, 0, 0);
  const addresses = fromHex("c6336401 e0000001");
  return Uint8Array.of(...header, ...addresses, ...new Uint8Array(options), ...fromHex(payload));
}

/** Gratuitous ARP request for 198.51.100.100 (RFC 5944 §4.6). */
const ARP = fromHex("0001 0800 06 04 0001 020000000001 c6336464 000000000000 c6336464");
const BROADCAST = fromHex("ffffffffffff");

function makePair(t: Parameters<typeof makeNamespace>[0]): Namespace & { readonly a: number; readonly b: number } {
  const inside = makeNamespace(t);
  inside.ip("link", "add", "name", "va", "address", "02:00:00:00:00:01", "type", "veth", "peer", "name", "vb");
  for (const name of ["va", "vb"]) inside.ip("link", "set", name, "up");
  const index = (name: string): number => Number.parseInt(inside.ip("-o", "link", "show", "dev", name), 10);
  return { ...inside, a: index("va"), b: index("vb") };
}

t.test("a gratuitous ARP leaves as a broadcast frame with our link-layer address", { skip: needsRoot }, async (t) => {
  const pair = makePair(t);
  const receiver = PacketSocket.open({ type: "raw", protocol: c.ETH_P_ARP, interfaceIndex: pair.b, netns: pair.path });
  const sender = PacketSocket.open({ type: "dgram", netns: pair.path });
  t.teardown(() => [receiver, sender].forEach((socket) => void socket.close()));
  const arrival = new Promise<Frame>((resolve, reject) => {
    receiver.listen({ onFrames: ([frame]) => frame && resolve(frame), onError: reject });
  });
  const report = sender.send([{ data: ARP, interfaceIndex: pair.a, protocol: c.ETH_P_ARP, destination: BROADCAST }]);
  t.strictSame(report, { sent: 1, queued: 0, dropped: 0 });
  const frame = await arrival;
  t.match(frame, { interfaceIndex: pair.b, protocol: c.ETH_P_ARP, packetType: c.PACKET_BROADCAST, truncated: false });
  t.equal(toHex(frame.source), "020000000001");
  t.equal(toHex(frame.data), `ffffffffffff0200000000010806${toHex(ARP)}`);
});

t.test(
  "a socket without a protocol receives nothing; an interface that is down is an error value",
  { skip: needsRoot },
  async (t) => {
    const pair = makePair(t);
    const sender = PacketSocket.open({ type: "dgram", netns: pair.path });
    const receiver = PacketSocket.open({
      type: "dgram",
      protocol: c.ETH_P_ARP,
      interfaceIndex: pair.b,
      netns: pair.path,
    });
    t.teardown(() => [sender, receiver].forEach((socket) => void socket.close()));
    const frames: Frame[] = [];
    sender.listen({ onFrames: (list) => frames.push(...list), onError: (error) => t.fail(error.message) });
    const arrival = new Promise<readonly Frame[]>((resolve, reject) => {
      receiver.listen({ onFrames: resolve, onError: reject });
    });
    const frame = { data: ARP, interfaceIndex: pair.a, protocol: c.ETH_P_ARP, destination: BROADCAST };
    sender.send([frame]);
    t.match(
      (await arrival).map(({ data }) => toHex(data)),
      [toHex(ARP)],
    );
    t.strictSame(frames, []);
    pair.ip("link", "set", "va", "down");
    t.match(sender.send([frame]), { sent: 0, dropped: 1, error: { code: "ENETDOWN" } });
    t.throws(
      () => PacketSocket.open({ type: "raw", protocol: c.ETH_P_ARP, interfaceIndex: 999_999, netns: pair.path }),
      {
        code: "ENODEV",
      },
    );
  },
);

t.test(
  "a filter lets in what it is for: by protocol and field, behind IPv4 options, no later fragments",
  { skip: needsRoot },
  async (t) => {
    const pair = makePair(t);
    const sender = PacketSocket.open({ type: "dgram", netns: pair.path });
    const open = (filter: PacketFilter): PacketSocket =>
      PacketSocket.open({ type: "dgram", protocol: c.ETH_P_IP, interfaceIndex: pair.b, netns: pair.path, filter });
    const icmp = open({ protocol: 1, offset: 0, size: 1, values: [9, 10] });
    const udp = open({ protocol: 17, offset: 2, size: 2, values: [434] });
    const messages = open({ protocol: 17, offset: 2, size: 2, values: [434], unless: { offset: 8, value: 4 } });
    t.teardown(() => [sender, icmp, udp, messages].forEach((socket) => void socket.close()));
    const packets = [
      ipv4Packet(1, 0, 0, "0800 0001"),
      ipv4Packet(17, 0, 0, "0900 01b3"),
      ipv4Packet(1, 0, 0, "0900 0002"),
      ipv4Packet(1, 0x2000, 8, "0a00 0003"),
      ipv4Packet(1, 1, 0, "0900 0004"),
      ipv4Packet(17, 0, 4, "0001 01b2"),
      ipv4Packet(17, 0x4000, 0, "ffff 01b2"),
      ipv4Packet(17, 0, 0, "0005 01b2 00000000 0401 0001"),
      ipv4Packet(17, 0, 4, "0006 01b2 00000000 0101 0002"),
      ipv4Packet(17, 0, 0, "0007 01b3 00000000 0101 0003"),
      ipv4Packet(17, 0, 0, "0008 01b2 00000000 0301 0004"),
    ];
    const collect = (socket: PacketSocket, count = 2): Promise<string[]> =>
      new Promise((resolve, reject) => {
        const found: string[] = [];
        socket.listen({
          onFrames: (frames) => {
            for (const { data } of frames) found.push(toHex(data.subarray(-4)));
            if (found.length >= count) resolve(found);
          },
          onError: reject,
        });
      });
    const arrivals = Promise.all([collect(icmp), collect(udp, 5), collect(messages)]);
    const frame = { interfaceIndex: pair.a, protocol: c.ETH_P_IP, destination: BROADCAST };
    t.match(sender.send(packets.map((data) => ({ ...frame, data }))), { sent: packets.length });
    t.strictSame(await arrivals, [
      ["09000002", "0a000003"],
      ["000101b2", "ffff01b2", "04010001", "01010002", "03010004"],
      ["01010002", "03010004"],
    ]);
  },
);

t.test(
  "a frame tells whether its checksum is still to be made: of UDP from this machine it is, of UDP made by hand it is not",
  { skip: needsRoot },
  async (t) => {
    const pair = makePair(t);
    pair.ip("address", "add", "198.51.100.1/24", "dev", "va");
    pair.ip("neighbour", "add", "198.51.100.2", "lladdr", "02:00:00:00:00:09", "dev", "va");
    const filter: PacketFilter = { protocol: 17, offset: 2, size: 2, values: [434] };
    const receiver = PacketSocket.open({
      type: "dgram",
      protocol: c.ETH_P_IP,
      interfaceIndex: pair.b,
      filter,
      netns: pair.path,
    });
    const crafted = PacketSocket.open({ type: "dgram", netns: pair.path });
    const udp = openUdpSocket({ family: 4, netns: pair.path });
    t.teardown(() => [receiver, crafted, udp].forEach((socket) => void socket.close()));
    const frames: Frame[] = [];
    const arrived = new Promise<void>((resolve, reject) => {
      receiver.listen({
        onFrames: (list) => {
          for (const one of list) frames.push(one);
          if (frames.length >= 2) resolve();
        },
        onError: reject,
      });
    });
    udp.send([{ data: Uint8Array.of(1), destination: ipv4("198.51.100.2"), destinationPort: 434 }]);
    const data = ipv4Packet(17, 0, 0, "01b201b200090000ff");
    crafted.send([{ data, interfaceIndex: pair.a, protocol: c.ETH_P_IP, destination: BROADCAST }]);
    await arrived;
    t.strictSame(
      frames.map(({ checksumPending }) => checksumPending),
      [true, false],
    );
  },
);
