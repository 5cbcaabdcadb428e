/**
 * Multicast with real daemons at both ends: an application joins groups on the device of the home addresses, the node moves from one format
 * to the next, and what a neighbour on the home link sends to the groups reaches it, each time once.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { ipToBytes, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { fetchDocument } from "../../../controller/control/client.js";
import {
  IP_ADD_MEMBERSHIP,
  IPV6_ADD_MEMBERSHIP,
  SOCK_DGRAM,
  SOL_IP,
  SOL_IPV6,
} from "../../../controller/io/constants.js";
import { IpSocket } from "../../../controller/io/ip/ip-socket.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { multicastDocument } from "../../../schemas/control.js";
import { asPlanned } from "../lib/as-planned.js";
import { freshText } from "../lib/exchange.js";
import { interfaceIndex } from "../lib/frames.js";
import { Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const GROUP = ipv6("ff3e::99");
const GROUP4 = ipv4("239.1.1.9");
const PORT = 7001;

test("groups that are joined on the device of the home addresses", async (t) => {
  const scene = await Scene.start(t, { homeAgent: { multicast: {} }, mobileNode: { multicast: true } });
  const [mobile] = scene.mobiles;
  assert.ok(mobile);
  scene.attach(mobile, "four");
  await mobile.daemon.start();
  await scene.settled(mobile, "four");
  scene.lan.ip("route add 239.0.0.0/8 dev br0");
  const br0 = interfaceIndex(scene.lan, "br0");
  const speakers = [6, 4].map((family) =>
    IpSocket.open({ family: family as 4 | 6, type: SOCK_DGRAM, protocol: Protocol.udp, netns: scene.lan.path }),
  );
  const listeners = [6, 4].map((family) =>
    IpSocket.open({ family: family as 4 | 6, type: SOCK_DGRAM, protocol: Protocol.udp, netns: mobile.node.path }),
  );
  t.after(() => {
    for (const socket of [...speakers, ...listeners]) socket.close();
  });
  const heard: string[] = [];
  const index = interfaceIndex(mobile.node, "dsmip-hoa");
  listeners.forEach((socket, i) => {
    socket.bind(i === 0 ? ipv6("::") : ipv4("0.0.0.0"), PORT);
    const request = new Uint8Array(i === 0 ? 20 : 12);
    request.set(ipToBytes(i === 0 ? GROUP : GROUP4));
    new DataView(request.buffer).setUint32(i === 0 ? 16 : 8, index, true);
    if (i === 0) socket.socket.joinGroup(SOL_IPV6, IPV6_ADD_MEMBERSHIP, request);
    else socket.socket.joinGroup(SOL_IP, IP_ADD_MEMBERSHIP, request);
    socket.listen({
      onPackets: (packets) => {
        for (const { data, destination } of packets)
          heard.push(`${destination} ${Buffer.from(data).toString("latin1")}`);
      },
      onError: (error) => {
        throw error;
      },
    });
  });

  const joined = async (): Promise<readonly string[]> => {
    const document = multicastDocument.parse(await fetchDocument(scene.homeAgent.socketPath, "/multicast"));
    return document.groups.filter(({ members }) => members.length > 0).map(({ group }) => group);
  };
  for (const access of ["four", "nat", "six"] as const) {
    await t.test(`away on ${access} (RFC 6275 §11.3.4)`, async () => {
      if (access !== "four") await scene.move(mobile, access);
      await waitFor(async () => [...(await joined())].sort().join() === [GROUP4, GROUP].sort().join(), {
        what: "both groups at the home agent",
      });
      await waitFor(async () => (await scene.homeAgent.audit()).differences.length === 0, { what: "copies" });
      const text = freshText("group");
      [GROUP, GROUP4].forEach((group, i) => {
        const packet = { data: Buffer.from(text, "latin1"), destinationPort: PORT, interfaceIndex: br0 };
        const report = speakers[i]?.send([{ ...packet, destination: group }]);
        assert.equal(report?.error, undefined);
      });
      const expected = [`${GROUP} ${text}`, `${GROUP4} ${text}`].sort();
      await waitFor(() => heard.filter((one) => one.endsWith(text)).length >= 2, { what: "both groups' packets" });
      assert.deepEqual(heard.filter((one) => one.endsWith(text)).sort(), expected);
      await asPlanned(scene.homeAgent, mobile.daemon);
    });
  }

  await t.test("another home link in the place of the one that is gone is in the groups", async () => {
    const { ha, lan } = scene;
    const groupsOfLink = (): string => ha.run("ip", "maddr", "show", "dev", "home");
    assert.ok([GROUP, GROUP4].every((group) => groupsOfLink().includes(group)));
    ha.ip(
      "link del home",
      `link add home type veth peer name ha netns ${lan.name}`,
      "link set home up",
      "address add 198.51.100.1/24 dev home",
      "address add 2001:db8:1::1/64 dev home nodad",
    );
    lan.ip("link set ha master br0 up");
    await waitFor(() => [GROUP, GROUP4].every((group) => groupsOfLink().includes(group)), {
      what: "the groups on the new link",
      timeout: 30_000,
    });
    await asPlanned(scene.homeAgent, mobile.daemon);
  });
});
