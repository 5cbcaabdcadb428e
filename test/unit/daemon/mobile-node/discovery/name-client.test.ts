/** Questions to name servers over real sockets: whose answers count, what comes over TCP, and that nothing ends in an exception. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { createServer } from "node:net";
import t from "tap";
import { fromHex } from "../../../../../controller/base/bytes.js";
import { type IpAddress, ipv4 } from "../../../../../controller/base/ip.js";
import { NameClient } from "../../../../../controller/daemon/mobile-node/discovery/name-client.js";
import { DNS_TYPE, encodeDnsQuery } from "../../../../../controller/wire/dns/message.js";

const HERE = ipv4("127.0.0.1");
const QUESTION = { name: "ha.example.org", type: DNS_TYPE.a };
/** From the name of the question on: 14 octets after the header and one more. */
const ASKED = encodeDnsQuery(0, QUESTION).subarray(12, 12 + 16 + 4);
const RECORD = fromHex("c00c00010001000000780004cb007101");

const answer = (id: number, { truncated = false, rcode = 0 } = {}): Buffer => {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(0x8180 | (truncated ? 0x0200 : 0) | rcode, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(rcode === 0 && !truncated ? 1 : 0, 6);
  return Buffer.concat([header, ASKED, rcode === 0 && !truncated ? RECORD : new Uint8Array()]);
};

async function server(reply: (socket: Socket, query: Buffer, from: RemoteInfo) => void): Promise<number> {
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => reply(socket, query, from));
  await new Promise<void>((resolve) => socket.bind(0, HERE, resolve));
  t.teardown(() => socket.close());
  return socket.address().port;
}

const client = (port: number, servers: readonly IpAddress[] = [HERE]) =>
  new NameClient({ servers, port, sources: () => [] });

t.test("an answer with another number is a guess, and the server's own still counts", async (test) => {
  const port = await server((socket, query, { port: to, address }) => {
    const id = query.readUInt16BE(0);
    for (const octets of [Buffer.from("no"), answer(id ^ 1, { rcode: 3 }), answer(id)])
      socket.send(octets, to, address);
  });
  test.match(await client(port).ask(QUESTION), { answers: [{ type: "a", address: "203.0.113.1" }] });
});

t.test("what does not fit a datagram comes over TCP", async (test) => {
  const tcp = createServer((socket) => {
    socket.on("data", (query) => {
      const message = answer(Buffer.from(query).readUInt16BE(2));
      socket.write(Buffer.from([message.length >> 8]));
      socket.write(Buffer.concat([Buffer.from([message.length & 0xff]), message]));
    });
    socket.on("error", () => undefined);
  });
  const port = await server((socket, query, from) =>
    socket.send(answer(query.readUInt16BE(0), { truncated: true }), from.port, from.address),
  );
  await new Promise<void>((resolve) => tcp.listen(port, HERE, resolve));
  test.teardown(() => tcp.close());
  test.match(await client(port).ask(QUESTION), { truncated: false, answers: [{ address: "203.0.113.1" }] });
});

t.test("a server that fails is passed over; no such name is an answer", async (test) => {
  let asked = 0;
  const port = await server((socket, query, from) => {
    const rcode = asked++ === 0 ? 2 : 3;
    socket.send(answer(query.readUInt16BE(0), { rcode }), from.port, from.address);
  });
  test.match(await client(port, [HERE, HERE]).ask(QUESTION), { rcode: 3, answers: [] });
  test.equal(asked, 2);
});

t.test("a name that is none, a server without a way and one that refuses end in nothing", async (test) => {
  test.equal(await client(9).ask({ name: "a?b.example", type: DNS_TYPE.a }), undefined);
  test.equal(await client(1, [ipv4("255.255.255.255"), HERE]).ask(QUESTION), undefined);
});
