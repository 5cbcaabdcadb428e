import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { ipv4 } from "../../../../controller/base/ip.js";
import { TunDevice } from "../../../../controller/io/ip/tun-device.js";
import { openUdpSocket } from "../../../../controller/io/ip/udp-socket.js";
import type { SyscallError } from "../../../../controller/io/native.js";
import { makeNamespace, needsRoot, received } from "../support.js";

/** 192.0.2.2:7 → 192.0.2.1:`port`, payload "in". UDP checksum zero: not used. */
function udpPacket(port: number): Uint8Array {
  const packet = Buffer.from(fromHex("45000020 00000000 4011f6a7 c0000202 c0000201 0007 0000 000c 0000 696e0000"));
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt16BE(port, 22);
  packet.writeUInt16BE(0, 10);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += packet.readUInt16BE(at);
  sum = (sum & 0xffff) + (sum >>> 16);
  packet.writeUInt16BE(~sum & 0xffff, 10);
  return packet;
}

t.test("packets come out of and go into a TUN device whole", { skip: needsRoot }, async (t) => {
  const inside = makeNamespace(t);
  const tun = TunDevice.open({ name: "dsmtun%d", netns: inside.path });
  t.teardown(() => tun.close());
  t.equal(tun.name, "dsmtun0");
  t.throws(() => TunDevice.open({ name: "dsmtun0", netns: inside.path }), { code: "EBUSY", syscall: "ioctl" });
  t.throws(() => TunDevice.open({ name: "lo", netns: inside.path }), { code: "EBUSY", syscall: "ioctl" });
  t.match(tun.write([udpPacket(1)]), { sent: 0, dropped: 1, error: { code: "EIO", syscall: "write" } }, "down");
  inside.ip("address", "add", "192.0.2.1/24", "dev", tun.name);
  inside.ip("link", "set", tun.name, "up");
  const socket = openUdpSocket({ family: 4, address: ipv4("192.0.2.1"), netns: inside.path });
  t.teardown(() => socket.close());

  const out = new Promise<Uint8Array[]>((resolve, reject) => {
    const all: Uint8Array[] = [];
    tun.listen({
      onPackets(packets) {
        // Router solicitations and multicast reports of the new device pass by.
        all.push(...packets.filter((packet) => packet[0] === 0x45 && packet[9] === 17));
        if (all.length === 100) resolve(all);
      },
      onError: reject,
    });
  });
  const data = Buffer.from("out");
  const destination = ipv4("192.0.2.2");
  socket.send(Array.from({ length: 100 }, (_, i) => ({ data, destination, destinationPort: 7, hopLimit: 1 + i })));
  const packets = await out;
  t.strictSame(
    packets.map((packet) => packet[8]),
    Array.from({ length: 100 }, (_, i) => 1 + i),
    "in order",
  );
  t.equal(toHex(packets[0]?.subarray(12, 20) ?? new Uint8Array()), "c0000201c0000202");
  t.equal(Buffer.from(packets[0]?.subarray(28) ?? []).toString(), "out");

  const arrival = received(socket, 2);
  const report = tun.write([
    udpPacket(socket.localAddress().port),
    new Uint8Array([0]),
    udpPacket(socket.localAddress().port),
  ]);
  t.match(
    report,
    { sent: 2, dropped: 1, error: { code: "EINVAL", syscall: "write" } },
    "what is no IP packet is refused",
  );
  t.match(
    (await arrival).map(({ source, sourcePort, data: payload }) => [source, sourcePort, toHex(payload)]),
    [
      ["192.0.2.2", 7, "696e0000"],
      ["192.0.2.2", 7, "696e0000"],
    ],
  );
});

t.test("a deleted device is one error, and then silence", { skip: needsRoot }, async (t) => {
  const inside = makeNamespace(t);
  const tun = TunDevice.open({ name: "dsmtun0", netns: inside.path });
  t.teardown(() => tun.close());
  const errors: SyscallError[] = [];
  const first = new Promise<void>((resolve) => {
    tun.listen({
      onPackets: () => {},
      onError(error) {
        errors.push(error);
        resolve();
      },
    });
  });
  inside.ip("link", "del", "dsmtun0");
  await first;
  // Several turns of the loop in which a dead descriptor would report again.
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  t.match(errors, [{ code: "EBADFD", syscall: "read", stopped: true }]);
});

t.test("a deleted device that nobody listens to is made anew at the next packet", { skip: needsRoot }, async (t) => {
  const inside = makeNamespace(t);
  const reopened = new Promise<SyscallError>((resolve) => {
    const tun = TunDevice.open({ name: "dsmtun0", netns: inside.path, onReopened: resolve });
    t.teardown(() => tun.close());
    inside.ip("link", "del", "dsmtun0");
    t.match(tun.write([udpPacket(1)]), { sent: 0, dropped: 1, error: { code: "EBADFD" } });
    t.match(tun.write([udpPacket(1)]), { sent: 0, dropped: 1, error: { code: "EBADFD" } });
  });
  t.match(await reopened, { code: "EBADFD", syscall: "write" });
  t.match(inside.ip("link", "show", "dsmtun0"), /dsmtun0/);
});

t.test("a device name that does not fit is a TypeError", async (t) => {
  for (const name of ["", "sixteen-octets-x"]) t.throws(() => TunDevice.open({ name }), TypeError, name);
});
