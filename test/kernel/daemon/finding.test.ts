/** Mobile nodes that know a domain, a name or nothing but their home prefix find their home agent: a DNS server of Debian (dnsmasq), seen on the wire. */
import assert from "node:assert/strict";
import test from "node:test";
import type { Capture } from "../lib/capture.js";
import { icmpOf } from "../lib/frames.js";
import { Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const NAME_SERVERS = ["2001:db8:a::1", "203.0.114.1"];
const TYPE = { a: "1", aaaa: "28", srv: "33" } as const;
const DISCOVERY_REQUEST = 144;

/** Nobody is at ha0; it is the best one. */
const RECORDS = [
  "--srv-host=_mip6._ipv6.example.org,ha0.example.org,0,10,0",
  "--srv-host=_mip6._ipv6.example.org,ha1.example.org,0,20,0",
  "--host-record=ha0.example.org,203.0.113.99,2001:db8:f::99",
  "--host-record=ha1.example.org,203.0.113.1,2001:db8:1::1",
];

function serveNames({ core }: Scene) {
  const quiet = ["-k", "-C", "/dev/null", "-u", "root", "--pid-file", "--no-resolv", "--no-hosts", "--bind-interfaces"];
  const addresses = NAME_SERVERS.map((address) => `--listen-address=${address}`);
  return core.spawn(["dnsmasq", ...quiet, "--log-facility=-", ...addresses, ...RECORDS], { name: "dnsmasq" });
}

/** "name type" of each question. */
function questions(capture: Capture): string[] {
  return capture
    .tshark(["dns.qry.name", "dns.qry.type"], "dns.flags.response == 0")
    .map((fields) => `${fields["dns.qry.name"]} ${fields["dns.qry.type"]}`);
}

test("R5555-2.1-04 R5555-2.1-05 F5026-5.1-01: by the service of a domain; the next home agent after a silent one", async (t) => {
  const homeAgent = { domain: "example.org", nameServers: NAME_SERVERS, switchAfterSeconds: 2 };
  const scene = await Scene.start(t, { mobileNode: { homeAgent } });
  const { mobile, core, net } = scene;
  const names = await net.capture(core, "six", "port 53");
  serveNames(scene);
  await mobile.daemon.start();
  await scene.move(mobile, "six");
  assert.match(mobile.daemon.process.log, /home-agent\.silent.*ha0\.example\.org/);
  const asked = questions(names);
  assert.ok(asked.includes(`_mip6._ipv6.example.org ${TYPE.srv}`), asked.join("\n"));
  assert.deepEqual(
    asked.filter((one) => !one.endsWith(TYPE.srv)),
    [],
    "the additional section had the addresses",
  );
  assert.equal((await mobile.daemon.audit()).differences.length, 0);
});

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
  const server = serveNames(scene);
  await scene.settled(mobile, "four");
  const asked = questions(wire);
  for (const type of [TYPE.a, TYPE.aaaa]) assert.ok(asked.includes(`ha1.example.org ${type}`), asked.join("\n"));
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
