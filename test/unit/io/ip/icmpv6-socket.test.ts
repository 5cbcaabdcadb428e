import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { EncodeError } from "../../../../controller/base/errors.js";
import { ipv6 } from "../../../../controller/base/ip.js";
import {
  icmpv6Filter,
  joinMulticast,
  leaveMulticast,
  openIcmpv6Socket,
} from "../../../../controller/io/ip/icmpv6-socket.js";
import { makeNamespace, needsRoot, received } from "../support.js";

const ECHO_REQUEST = 128;
const ECHO_REPLY = 129;
const NEIGHBOUR_ADVERTISEMENT = 136;

t.test("the filter blocks everything but the types asked for", async (t) => {
  t.equal(toHex(icmpv6Filter([])), "ff".repeat(32));
  // Bit 1 of the fifth word and bit 0 of it, little-endian words.
  t.equal(toHex(icmpv6Filter([ECHO_REQUEST, ECHO_REPLY])), `${"ff".repeat(16)}fcffffff${"ff".repeat(12)}`);
  t.equal(toHex(icmpv6Filter([255])), `${"ff".repeat(31)}7f`);
  t.throws(() => icmpv6Filter([256]), EncodeError);
});

t.test(
  "echo over loopback: checksum by the kernel, hop limit 255, only the wanted type",
  { skip: needsRoot },
  async (t) => {
    const { path: netns } = makeNamespace(t);
    const socket = openIcmpv6Socket({ types: [ECHO_REPLY], netns });
    t.teardown(() => socket.close());
    const arrival = received(socket, 1);
    socket.send([{ data: fromHex("80000000 1234 0001 61"), destination: ipv6("::1") }]);
    const [reply, ...more] = await arrival;
    t.strictSame(more, [], "the request itself is filtered out");
    t.match(reply, { source: "::1", destination: "::1", interfaceIndex: 1 });
    t.equal(toHex(reply?.data ?? new Uint8Array()).replace(/^(....)..../, "$1----"), "8100----12340001" + "61");
  },
);

t.test(
  "a neighbour advertisement to a multicast group goes over the interface of the packet, with hop limit 255",
  { skip: needsRoot },
  async (t) => {
    const inside = makeNamespace(t);
    inside.ip("link", "add", "name", "va", "type", "veth", "peer", "name", "vb");
    const index = (name: string): number => Number.parseInt(inside.ip("-o", "link", "show", "dev", name), 10);
    for (const name of ["va", "vb"]) {
      inside.ip("link", "set", name, "up");
      inside.ip("address", "add", `fe80::${name.slice(1)}/64`, "dev", name, "nodad");
    }
    const sender = openIcmpv6Socket({ types: [], netns: inside.path });
    const receiver = openIcmpv6Socket({ types: [NEIGHBOUR_ADVERTISEMENT], netns: inside.path });
    t.teardown(() => [sender, receiver].forEach((socket) => void socket.close()));
    const group = ipv6("ff02::1:2");
    joinMulticast(receiver, group, index("vb"));
    const arrival = received(receiver, 1);
    const advertisement = fromHex("88000000 20000000 20010db8000100000000000000000100");
    const report = sender.send([
      { data: advertisement, destination: group, source: ipv6("fe80::a"), interfaceIndex: index("va") },
    ]);
    t.strictSame(report, { sent: 1, queued: 0, dropped: 0 });
    const wanted = { source: "fe80::a", destination: group, hopLimit: 255, interfaceIndex: index("vb") };
    t.match(await arrival, [wanted]);
    leaveMulticast(receiver, group, index("vb"));
    t.throws(() => leaveMulticast(receiver, group, index("vb")), { code: "EADDRNOTAVAIL" });
  },
);

t.test(
  "a socket that has to be opened anew does without the groups of a link that is gone",
  { skip: needsRoot },
  async (t) => {
    const inside = makeNamespace(t);
    inside.ip("link", "add", "name", "va", "type", "veth", "peer", "name", "vb");
    for (const name of ["va", "vb"]) inside.ip("link", "set", name, "up");
    const index = (name: string): number => Number.parseInt(inside.ip("-o", "link", "show", "dev", name), 10);
    const joined = (): string => inside.ip("-6", "maddress", "show", "dev", "lo");
    const reopened: string[] = [];
    const options = { types: [ECHO_REPLY], netns: inside.path, onReopened: () => reopened.push("reopened") };
    const socket = openIcmpv6Socket(options);
    t.teardown(() => socket.close());
    joinMulticast(socket, ipv6("ff02::1:2"), index("vb"));
    joinMulticast(socket, ipv6("ff02::1:3"), 1);
    joinMulticast(socket, ipv6("ff02::1:4"), 1);
    leaveMulticast(socket, ipv6("ff02::1:4"), 1);
    inside.ip("link", "del", "va");
    const why = Object.assign(new Error("ended"), { errno: -103, code: "ECONNABORTED", syscall: "recvmmsg" });
    socket.socket.reopen(why);
    t.strictSame(reopened, ["reopened"]);
    t.match(joined(), /ff02::1:3/, "what can be heard still is");
    t.notMatch(joined(), /ff02::1:4/);
  },
);
