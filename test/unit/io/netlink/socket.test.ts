import { spawnSync } from "node:child_process";
import t from "tap";
import * as c from "../../../../controller/io/constants.js";
import { NetlinkSocket } from "../../../../controller/io/netlink/socket.js";
import { Socket } from "../../../../controller/io/socket.js";
import type { NetlinkTransport } from "../../../../controller/netlink/transport.js";
import { makeNamespace, needsRoot } from "../support.js";

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const RTNLGRP_LINK = 1;
const REQUEST_DUMP = 0x301;
const REQUEST_ACK = 0x5;

/** struct nlmsghdr and a zero struct ifinfomsg; native-endian, which the machines these tests run on have as little-endian. */
function linkRequest(flags: number, sequence: number): Buffer {
  const message = Buffer.alloc(32);
  message.writeUInt32LE(32, 0);
  message.writeUInt16LE(RTM_GETLINK, 4);
  message.writeUInt16LE(flags, 6);
  message.writeUInt32LE(sequence, 8);
  return message;
}

interface Header {
  readonly type: number;
  readonly sequence: number;
  readonly portId: number;
  /** Of an NLMSG_ERROR: the negative errno. */
  readonly error: number;
  readonly hex: string;
}

/** The messages of a datagram, copied: its octets are only good during the call. */
function headers(datagram: Uint8Array): Header[] {
  const bytes = Buffer.from(datagram);
  const list: Header[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    const [type, sequence, portId] = [
      bytes.readUInt16LE(at + 4),
      bytes.readUInt32LE(at + 8),
      bytes.readUInt32LE(at + 12),
    ];
    const error = type === NLMSG_ERROR ? bytes.readInt32LE(at + 16) : 0;
    list.push({ type, sequence, portId, error, hex: bytes.subarray(at, at + length).toString("hex") });
    at += (length + 3) & ~3;
  }
  return list;
}

/** Collects messages until one satisfies `last`. */
function until(transport: NetlinkTransport, last: (header: Header) => boolean): Promise<Header[]> {
  return new Promise((resolve) => {
    const all: Header[] = [];
    transport.onDatagram((datagram) => {
      all.push(...headers(datagram));
      if (all.some(last)) resolve(all);
    });
  });
}

t.test("a dump of the links: every message answers our request and the loopback device is in it", async (t) => {
  const socket = NetlinkSocket.open({ protocol: c.NETLINK_ROUTE });
  t.teardown(() => socket.close());
  const answer = until(socket, ({ type }) => type === NLMSG_DONE);
  socket.send(linkRequest(REQUEST_DUMP, 7));
  const list = await answer;
  t.ok(list.every(({ sequence, portId }) => sequence === 7 && portId === socket.portId));
  const links = list.filter(({ type }) => type === RTM_NEWLINK);
  t.ok(links.some(({ hex }) => hex.includes(Buffer.from("lo\0").toString("hex"))));
  t.equal(list.at(-1)?.type, NLMSG_DONE);
});

t.test("all four families open with extended ACK, strict checking and short ACKs", { skip: needsRoot }, async (t) => {
  const { path: netns } = makeNamespace(t);
  for (const protocol of [c.NETLINK_ROUTE, c.NETLINK_XFRM, c.NETLINK_NETFILTER, c.NETLINK_GENERIC]) {
    const socket = NetlinkSocket.open({ protocol, netns });
    t.ok(socket.portId > 0, `family ${protocol}`);
    socket.close();
  }
  const socket = NetlinkSocket.open({ protocol: c.NETLINK_ROUTE, netns });
  t.teardown(() => socket.close());
  const answer = until(socket, ({ type }) => type === NLMSG_ERROR);
  const bad = linkRequest(REQUEST_ACK, 9);
  bad.writeInt32LE(4242, 20); // an interface index nobody has
  socket.send(bad);
  const [error] = await answer;
  t.match(error, { error: -19, sequence: 9 }, "ENODEV");
});

t.test(
  "ENOBUFS on a multicast socket is an overrun, and the socket and the process go on",
  { skip: needsRoot },
  async (t) => {
    const inside = makeNamespace(t);
    const groups = [RTNLGRP_LINK];
    const socket = NetlinkSocket.open({
      protocol: c.NETLINK_ROUTE,
      netns: inside.path,
      groups,
      receiveBufferBytes: 4096,
    });
    t.teardown(() => socket.close());
    let overruns = 0;
    const overrun = new Promise<void>((resolve) => {
      socket.onOverrun(() => {
        overruns++;
        resolve();
      });
    });
    socket.onError((error) => t.fail(error.message));
    let notify: (() => void) | undefined;
    let messages = 0;
    socket.onDatagram(() => {
      messages++;
      notify?.();
    });
    // All of it happens while this thread waits for the child: nothing is read in between.
    const flaps = "link set lo down\nlink set lo up\n".repeat(100);
    const child = spawnSync("ip", ["-n", inside.name, "-batch", "-"], { input: flaps, encoding: "utf8" });
    t.equal(child.status, 0, child.stderr);
    await overrun;
    t.ok(overruns >= 1);
    t.ok(messages < 400, `of the 200 changes ${messages} datagrams fitted`);
    const next = new Promise<void>((resolve) => {
      notify = resolve;
    });
    inside.ip("link", "set", "lo", "down");
    await next;
    t.pass("notifications come again");
  },
);

t.test("only the kernel is believed: a datagram from another process is ignored", { skip: needsRoot }, async (t) => {
  const { path: netns } = makeNamespace(t);
  const socket = NetlinkSocket.open({ protocol: c.NETLINK_ROUTE, netns });
  const forger = Socket.open({ family: c.AF_NETLINK, type: c.SOCK_RAW, protocol: c.NETLINK_ROUTE, netns });
  t.teardown(() => [socket, forger].forEach((each) => void each.close()));
  const answer = until(socket, ({ type }) => type === NLMSG_DONE);
  const forged = linkRequest(0, 666);
  const report = forger.send([{ data: forged, to: { family: "netlink", portId: socket.portId, groups: 0 } }]);
  t.equal(report.sent, 1);
  socket.send(linkRequest(REQUEST_DUMP, 8));
  const list = await answer;
  t.ok(list.length > 0 && list.every(({ sequence }) => sequence === 8));
});

t.test("wiped: the octets are zero after the listener has seen them", async (t) => {
  const socket = NetlinkSocket.open({ protocol: c.NETLINK_ROUTE, wipe: true });
  t.teardown(() => socket.close());
  const seen: Uint8Array[] = [];
  const answer = new Promise<void>((resolve) => {
    socket.onDatagram((datagram) => {
      t.ok(datagram.some((octet) => octet !== 0));
      seen.push(datagram);
      if (headers(datagram).some(({ type }) => type === NLMSG_DONE)) resolve();
    });
  });
  socket.send(linkRequest(REQUEST_DUMP, 1));
  await answer;
  t.ok(seen.length > 0 && seen.every((datagram) => datagram.every((octet) => octet === 0)));
});

t.test("a send the kernel does not take is thrown", async (t) => {
  const socket = NetlinkSocket.open({ protocol: c.NETLINK_ROUTE, sendBufferBytes: 4608 });
  t.teardown(() => socket.close());
  t.throws(() => socket.send(new Uint8Array(10_000)), { code: "EMSGSIZE", syscall: "sendmmsg" });
  t.throws(() => NetlinkSocket.open({ protocol: 250 }), { code: "EPROTONOSUPPORT" });
});
