/** Mobile nodes that know a name, or nothing but their home prefix, find their home agent; as finding.test.ts has it for a domain. */
import assert from "node:assert/strict";
import test from "node:test";
import { toHex } from "../../../controller/base/bytes.js";
import { ipv6 } from "../../../controller/base/ip.js";
import { encodeHomeInformation } from "../../../controller/wire/dhcpv6/home-information.js";
import { icmpOf } from "../lib/frames.js";
import { DNS_TYPE, questions, serveNames } from "../lib/name-server.js";
import { Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const NAME_SERVERS = ["2001:db8:a::1", "203.0.114.1"];
const DISCOVERY_REQUEST = 144;

const RECORDS = ["--host-record=ha1.example.org,203.0.113.1,2001:db8:1::1"];

test("R5555-2.1-01 R5555-2.1-02 S04-2.1-04: by name in an IPv4 network, where no anycast address is asked; kept over a crash", async (t) => {
  const homeAgent = { name: "ha1.example.org", anycast: true, nameServers: NAME_SERVERS };
  const scene = await Scene.start(t, { mobileNode: { homeAgent } });
  const { mobile, core, net } = scene;
  const wire = await net.capture(core, "four", "");
  await mobile.daemon.start();
  scene.attach(mobile, "four");
  await waitFor(() => /home-agent\.search/.test(mobile.daemon.process.log), {
    what: "a search in vain",
    timeout: 15_000,
  });
  const server = serveNames(core, NAME_SERVERS, RECORDS);
  await scene.settled(mobile, "four");
  const asked = questions(wire);
  for (const type of [DNS_TYPE.a, DNS_TYPE.aaaa])
    assert.ok(asked.includes(`ha1.example.org ${type}`), asked.join("\n"));
  assert.ok(!wire.frames().some((frame) => icmpOf(frame)?.type === DISCOVERY_REQUEST));
  await server.stop();
  await mobile.daemon.kill();
  await mobile.daemon.start();
  await scene.settled(mobile, "four");
  assert.equal((await mobile.daemon.status()).readiness, "registered");
});

test("F6275-11.4.1-01: by the anycast address of the home prefix, as soon as there is IPv6", async (t) => {
  const scene = await Scene.start(t, { mobileNode: { homeAgent: { anycast: true } } });
  const { mobile, core, net } = scene;
  const wire = await net.capture(core, "six", "icmp6");
  await mobile.daemon.start();
  await scene.move(mobile, "six");
  const request = wire.frames().find((frame) => icmpOf(frame)?.type === DISCOVERY_REQUEST);
  assert.ok(request !== undefined, "it was asked");
});

/** What a network's DHCPv6 server says in OPTION_MIP6_VDINF. */
const OFFER = toHex(
  encodeHomeInformation([
    {
      ...{ kind: "home-network", network: "visited" },
      options: [{ kind: "home-agent-address", address: ipv6("2001:db8:1::1") }],
    },
  ]),
);

test("R5555-2.1-07: what DHCPv6 offers is taken in an IPv6 network, and refused and not relied on in an IPv4 one", async (t) => {
  const scene = await Scene.start(t, { mobileNode: { homeAgent: { dhcpv6: true, ipv4: "203.0.113.1" } } });
  const { mobile, core, net } = scene;
  const wire = await net.capture(core, "four", "udp port 4191 or udp port 546 or udp port 547");
  const offer = async (link: string) => {
    const told = mobile.daemon.dsmipctl("home-agent", "offered", "--interface", link, "--dhcpv6", OFFER);
    const { code } = await told.exited;
    return { code, log: told.log };
  };
  await mobile.daemon.start();
  scene.attach(mobile, "four");
  await waitFor(() => /has offered a home agent by DHCPv6/.test(mobile.daemon.process.log), {
    what: "a search in vain",
  });
  const refused = await offer("four");
  assert.equal(refused.code, 1);
  assert.match(refused.log, /four has no global IPv6 address/);
  assert.deepEqual(wire.frames(), [], "no home agent is written to, and no DHCPv6 server asked");
  assert.equal((await mobile.daemon.status()).readiness, "detached");
  scene.attach(mobile, "six");
  // Duplicate address detection has to be over before the link has the address for good.
  await waitFor(async () => (await offer("six")).code === 0, { what: "the offer to be taken", interval: 200 });
  await waitFor(async () => (await mobile.daemon.status()).readiness === "registered", { what: "a registration" });
});
