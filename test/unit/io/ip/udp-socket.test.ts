import { execFileSync } from "node:child_process";
import t from "tap";
import { EncodeError } from "../../../../controller/base/errors.js";
import { type Ipv4Address, ipv4, ipv6 } from "../../../../controller/base/ip.js";
import * as c from "../../../../controller/io/constants.js";
import type { IpSocket } from "../../../../controller/io/ip/ip-socket.js";
import { openUdpSocket } from "../../../../controller/io/ip/udp-socket.js";
import { type Message, Socket } from "../../../../controller/io/socket.js";
import { firstError, makeNamespace, needsRoot, received } from "../support.js";

const LOCAL4 = ipv4("127.0.0.1");
const LOCAL6 = ipv6("::1");
const text = (packet: { readonly data: Uint8Array }): string => Buffer.from(packet.data).toString();
const to = (socket: IpSocket<Ipv4Address>): { destination: Ipv4Address; destinationPort: number } => {
  const { address, port } = socket.localAddress();
  return { destination: address, destinationPort: port };
};

t.test("UDP over IPv4 in both directions with destination, interface, TTL and TOS", async (t) => {
  const server = openUdpSocket({ family: 4, address: ipv4("127.0.0.2") });
  const client = openUdpSocket({ family: 4, address: LOCAL4 });
  t.teardown(() => [server, client].forEach((socket) => void socket.close()));
  const request = received(server, 1);
  const port = server.localAddress().port;
  const options = { destination: ipv4("127.0.0.2"), destinationPort: port, hopLimit: 33, trafficClass: 0xb9 };
  t.strictSame(client.send([{ data: Buffer.from("request"), ...options }]), { sent: 1, queued: 0, dropped: 0 });
  const [packet] = await request;
  t.match(packet, {
    source: "127.0.0.1",
    sourcePort: client.localAddress().port,
    destination: "127.0.0.2",
    interfaceIndex: 1,
    hopLimit: 33,
    trafficClass: 0xb9,
  });
  const reply = received(client, 1);
  const { source = LOCAL4, sourcePort = 0 } = packet ?? {};
  server.send([
    { data: Buffer.from("reply"), destination: source, destinationPort: sourcePort, source: ipv4("127.0.0.2") },
  ]);
  t.match((await reply).map(text), ["reply"]);
});

t.test("UDP over IPv6 with destination, hop limit, traffic class and flow label", async (t) => {
  const server = openUdpSocket({ family: 6, address: LOCAL6 });
  const client = openUdpSocket({ family: 6, address: LOCAL6 });
  t.teardown(() => [server, client].forEach((socket) => void socket.close()));
  const arrival = received(server, 1);
  const destinationPort = server.localAddress().port;
  const metadata = { hopLimit: 44, trafficClass: 0x2e, flowLabel: 0xabcde };
  client.send([{ data: Buffer.from("six"), destination: LOCAL6, destinationPort, source: LOCAL6, ...metadata }]);
  const [packet] = await arrival;
  t.match(packet, { source: "::1", destination: "::1", interfaceIndex: 1, ...metadata, destinationOptions: [] });
  t.equal(packet?.routingHeader, undefined);
});

t.test("a mark is sent and received per packet", { skip: needsRoot }, async (t) => {
  const { path: netns } = makeNamespace(t);
  const server = openUdpSocket({ family: 6, address: LOCAL6, netns });
  server.socket.setOption(c.SOL_SOCKET, c.SO_RCVMARK, 1);
  const client = openUdpSocket({ family: 6, address: LOCAL6, netns, mark: 0x11 });
  t.teardown(() => [server, client].forEach((socket) => void socket.close()));
  const arrival = received(server, 2);
  const target = { destination: LOCAL6, destinationPort: server.localAddress().port };
  client.send([
    { data: Buffer.from("a"), ...target },
    { data: Buffer.from("b"), ...target, mark: 0xdead },
  ]);
  t.strictSame(
    (await arrival).map(({ mark }) => mark),
    [0x11, 0xdead],
  );
});

t.test("10,000 datagrams arrive in order, in wake-ups of at most 64", async (t) => {
  const server = openUdpSocket({ family: 4, address: LOCAL4 });
  const client = openUdpSocket({ family: 4, address: LOCAL4 });
  t.teardown(() => [server, client].forEach((socket) => void socket.close()));
  const total = 10_000;
  const target = to(server);
  let sent = 0;
  // 160 in flight fit the smallest default receive buffer.
  const sendMore = (): void => {
    const packets = Array.from({ length: Math.min(160, total - sent) }, (_, i) => ({
      data: Buffer.from(String(sent + i)),
      ...target,
    }));
    sent += client.send(packets).sent;
  };
  const numbers: number[] = [];
  const batches: number[] = [];
  await new Promise<void>((resolve, reject) => {
    server.listen({
      onPackets(packets) {
        batches.push(packets.length);
        for (const packet of packets) numbers.push(Number(text(packet)));
        if (numbers.length === total) resolve();
        else if (numbers.length === sent) sendMore();
      },
      onError: reject,
    });
    sendMore();
  });
  t.strictSame(
    numbers,
    Array.from({ length: total }, (_, i) => i),
  );
  t.equal(Math.max(...batches), 64, "bounded");
  t.ok(batches.length >= total / 64 && batches.length < total / 16, `batched: ${batches.length} wake-ups`);
});

t.test("a flooded socket does not starve its neighbour", async (t) => {
  const flooded = openUdpSocket({ family: 4, address: LOCAL4, limit: 4 });
  const quiet = openUdpSocket({ family: 4, address: LOCAL4 });
  const client = openUdpSocket({ family: 4, address: LOCAL4 });
  t.teardown(() => [flooded, quiet, client].forEach((socket) => void socket.close()));
  client.send(Array.from({ length: 100 }, () => ({ data: Buffer.from("flood"), ...to(flooded) })));
  client.send([{ data: Buffer.from("quiet"), ...to(quiet) }]);
  let floods = 0;
  let before: number | undefined;
  await new Promise<void>((resolve, reject) => {
    flooded.listen({
      onPackets(packets) {
        t.ok(packets.length <= 4);
        floods += packets.length;
        if (floods === 100) resolve();
      },
      onError: reject,
    });
    quiet.listen({ onPackets: () => (before ??= floods), onError: reject });
  });
  t.ok(before !== undefined && before <= 8, `the neighbour was served after ${before} of 100`);
});

t.test("closing oneself and others inside a callback is safe, and no callback comes after it", async (t) => {
  const sockets = Array.from({ length: 8 }, () => openUdpSocket({ family: 4, address: LOCAL4, limit: 1 }));
  const client = openUdpSocket({ family: 4, address: LOCAL4 });
  t.teardown(() => [...sockets, client].forEach((socket) => void socket.close()));
  let calls = 0;
  await new Promise<void>((resolve, reject) => {
    for (const socket of sockets) {
      socket.listen({
        onPackets() {
          calls++;
          for (const each of sockets) each.close();
          client.send([{ data: Buffer.from("end"), ...to(client) }]);
        },
        onError: reject,
      });
    }
    client.listen({ onPackets: () => resolve(), onError: reject });
    client.send(sockets.flatMap((socket) => [1, 2].map(() => ({ data: Buffer.from("x"), ...to(socket) }))));
  });
  t.equal(calls, 1);
  t.throws(() => sockets[0]?.send([]), { code: "EBADF" });
});

t.test("paused sockets keep what arrives in the kernel", async (t) => {
  const server = openUdpSocket({ family: 4, address: LOCAL4 });
  t.teardown(() => server.close());
  const arrival = received(server, 1);
  server.socket.pause();
  server.send([{ data: Buffer.from("later"), ...to(server) }]);
  const other = openUdpSocket({ family: 4, address: LOCAL4 });
  t.teardown(() => other.close());
  const otherArrival = received(other, 1);
  other.send([{ data: Buffer.from("now"), ...to(other) }]);
  t.match((await otherArrival).map(text), ["now"]);
  server.socket.resume();
  t.match((await arrival).map(text), ["later"]);
});

t.test("ECONNREFUSED reaches the listener and the socket lives on", async (t) => {
  const gone = openUdpSocket({ family: 4, address: LOCAL4 });
  const port = gone.localAddress().port;
  gone.close();
  const client = openUdpSocket({ family: 4, address: LOCAL4 });
  t.teardown(() => client.close());
  client.socket.connect({ family: "inet", address: LOCAL4, port });
  const error = firstError(client);
  client.send([{ data: Buffer.from("x"), destination: LOCAL4, destinationPort: port }]);
  t.match(await error, { code: "ECONNREFUSED", syscall: "recvmmsg", stopped: false });
  const back = openUdpSocket({ family: 4, address: LOCAL4, port });
  t.teardown(() => back.close());
  const answer = received(client, 1);
  back.send([{ data: Buffer.from("back"), ...to(client) }]);
  t.match((await answer).map(text), ["back"]);
});

t.test("the error queue is drained: the failed packet comes back once, the loop does not spin", async (t) => {
  const gone = openUdpSocket({ family: 4, address: LOCAL4 });
  const port = gone.localAddress().port;
  gone.close();
  const socket = Socket.open({ family: c.AF_INET, type: c.SOCK_DGRAM, protocol: 0 });
  t.teardown(() => socket.close());
  socket.setOption(c.SOL_IP, c.IP_RECVERR, 1);
  const messages: Message[] = [];
  const failed = new Promise<void>((resolve, reject) => {
    socket.listen({
      onMessages(list) {
        messages.push(...list);
        resolve();
      },
      onError: reject,
    });
  });
  socket.send([{ data: Buffer.from("lost"), to: { family: "inet", address: LOCAL4, port } }]);
  await failed;
  t.match(messages, [{ fromErrorQueue: true, source: { family: "inet", port } }]);
  t.equal(messages.map(text).join(), "lost");
});

t.test("one refused message does not stop the others", async (t) => {
  const server = openUdpSocket({ family: 4, address: LOCAL4 });
  const client = openUdpSocket({ family: 4, address: LOCAL4 });
  t.teardown(() => [server, client].forEach((socket) => void socket.close()));
  const arrival = received(server, 2);
  const report = client.send([
    { data: Buffer.from("first"), ...to(server) },
    { data: Buffer.alloc(66_000), ...to(server) },
    { data: Buffer.from("third"), ...to(server) },
  ]);
  t.match(report, { sent: 2, queued: 0, dropped: 1, error: { code: "EMSGSIZE", syscall: "sendmmsg" } });
  t.match((await arrival).map(text), ["first", "third"]);
});

t.test("a full send buffer queues, keeps the order and reports what finds no place", async (t) => {
  const reader = Socket.open({ family: c.AF_UNIX, type: c.SOCK_DGRAM, protocol: 0 });
  const writer = Socket.open({ family: c.AF_UNIX, type: c.SOCK_DGRAM, protocol: 0, maxQueued: 3000 });
  t.teardown(() => [reader, writer].forEach((socket) => void socket.close()));
  const path = `\0dsmipd-io-${process.pid}`;
  reader.bind({ family: "unix", path });
  writer.connect({ family: "unix", path });
  const first = writer.send(Array.from({ length: 2500 }, (_, i) => ({ data: Buffer.from(String(i)) })));
  t.ok(first.sent > 0 && first.queued > 0, JSON.stringify(first));
  t.equal(first.sent + first.queued, 2500);
  const second = writer.send(Array.from({ length: 2000 }, (_, i) => ({ data: Buffer.from(String(2500 + i)) })));
  t.equal(second.sent, 0, "what waits goes first");
  t.equal(first.queued + second.queued, 3000);
  t.match(second, { dropped: 2000 - second.queued, error: { code: "EAGAIN" } });
  const accepted = 2500 + second.queued;
  const numbers: number[] = [];
  await new Promise<void>((resolve, reject) => {
    reader.listen({
      onMessages(messages) {
        for (const message of messages) numbers.push(Number(text(message)));
        if (numbers.length >= accepted) resolve();
      },
      onError: reject,
    });
  });
  t.strictSame(
    numbers,
    Array.from({ length: accepted }, (_, i) => i),
  );
});

t.test("the wrong family, or a value that fits no field, is an EncodeError before anything is sent", async (t) => {
  const socket = openUdpSocket({ family: 4, address: LOCAL4 });
  t.teardown(() => socket.close());
  const data = Buffer.from("x");
  t.throws(
    () => socket.send([{ data, destination: LOCAL6 as unknown as typeof LOCAL4, destinationPort: 1 }]),
    EncodeError,
  );
  t.throws(() => socket.send([{ data, destination: LOCAL4, destinationPort: 70_000 }]), EncodeError);
  t.throws(() => socket.send([{ data, destination: LOCAL4, destinationPort: 1, hopLimit: 256 }]), EncodeError);
  t.throws(() => openUdpSocket({ family: 4, address: ipv4("192.0.2.1") }), { code: "EADDRNOTAVAIL", syscall: "bind" });
  const free = openUdpSocket({ family: 4, address: ipv4("192.0.2.1"), freebind: true });
  t.equal(free.localAddress().address, "192.0.2.1");
  free.close();
  t.throws(() => openUdpSocket({ family: 4, address: LOCAL4, port: socket.localAddress().port }), {
    code: "EADDRINUSE",
  });
});

t.test(
  "a socket is made in the namespace asked for, and the process stays in its own",
  { skip: needsRoot },
  async (t) => {
    const inside = makeNamespace(t);
    inside.ip("address", "add", "192.0.2.77/32", "dev", "lo");
    const namespaceOf = (): string => execFileSync("readlink", [`/proc/${process.pid}/ns/net`], { encoding: "utf8" });
    const before = namespaceOf();
    const socket = openUdpSocket({ family: 4, address: ipv4("192.0.2.77"), netns: inside.path });
    t.teardown(() => socket.close());
    t.equal(namespaceOf(), before);
    t.throws(() => openUdpSocket({ family: 4, address: ipv4("192.0.2.77") }), { code: "EADDRNOTAVAIL" });
    const arrival = received(socket, 1);
    socket.send([{ data: Buffer.from("inside"), ...to(socket) }]);
    t.match((await arrival).map(text), ["inside"]);
    t.throws(() => openUdpSocket({ family: 4, netns: "/run/netns/no-such" }), { code: "ENOENT", syscall: "open" });
    t.throws(() => openUdpSocket({ family: 4, netns: "/dev/null" }), { code: "EINVAL", syscall: "setns" });
    t.throws(() => Socket.open({ family: 99, type: 2, protocol: 0, netns: inside.path }), { code: "EAFNOSUPPORT" });
    t.equal(namespaceOf(), before, "also after a failure");
  },
);

t.test("--netns: the whole process moves", { skip: needsRoot }, async (t) => {
  const inside = makeNamespace(t);
  inside.ip("address", "add", "192.0.2.78/32", "dev", "lo");
  const url = (name: string): string =>
    JSON.stringify(new URL(`../../../../controller/io/${name}.js`, import.meta.url).href);
  const script = `Promise.all([import(${url("native")}), import(${url("ip/udp-socket")})]).then(([{ enterNamespace }, { openUdpSocket }]) => {
    enterNamespace(${JSON.stringify(inside.path)});
    const socket = openUdpSocket({ family: 4, address: "192.0.2.78" });
    console.log(socket.localAddress().address);
    try { enterNamespace("/nowhere"); } catch (error) { console.log(error.code, error.syscall); }
  })`;
  t.equal(execFileSync(process.execPath, ["-e", script], { encoding: "utf8" }), "192.0.2.78\nENOENT open\n");
});
