import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import * as c from "../../../../controller/io/constants.js";
import { type Frame, PacketSocket } from "../../../../controller/io/ip/packet-socket.js";
import { makeNamespace, type Namespace, needsRoot } from "../support.js";

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
