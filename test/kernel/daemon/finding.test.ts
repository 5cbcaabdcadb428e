/** A mobile node that knows a domain finds its home agent: a DNS server of Debian (dnsmasq), seen on the wire. */
import assert from "node:assert/strict";
import test from "node:test";
import { DNS_TYPE, questions, serveNames } from "../lib/name-server.js";
import { Scene } from "../lib/scene.js";
import { SLOW } from "../lib/surroundings.js";

const NAME_SERVERS = ["2001:db8:a::1", "203.0.114.1"];

/** What a home agent needs to answer for the first time, duplicate address detection included, in emulation as well. */
const PATIENCE_SECONDS = SLOW > 1 ? 10 : 2;

/** Nobody is at ha0; it is the best one. */
const RECORDS = [
  "--srv-host=_mip6._ipv6.example.org,ha0.example.org,0,10,0",
  "--srv-host=_mip6._ipv6.example.org,ha1.example.org,0,20,0",
  "--host-record=ha0.example.org,203.0.113.99,2001:db8:f::99",
  "--host-record=ha1.example.org,203.0.113.1,2001:db8:1::1",
];

test("R5555-2.1-04 R5555-2.1-05 F5026-5.1-01: by the service of a domain; the next home agent after a silent one", async (t) => {
  const homeAgent = { domain: "example.org", nameServers: NAME_SERVERS, switchAfterSeconds: PATIENCE_SECONDS };
  const scene = await Scene.start(t, { mobileNode: { homeAgent } });
  const { mobile, core, net } = scene;
  const names = await net.capture(core, "six", "port 53");
  serveNames(core, NAME_SERVERS, RECORDS);
  await mobile.daemon.start();
  await scene.move(mobile, "six");
  assert.match(mobile.daemon.process.log, /home-agent\.silent.*ha0\.example\.org/);
  const asked = questions(names);
  assert.ok(asked.includes(`_mip6._ipv6.example.org ${DNS_TYPE.srv}`), asked.join("\n"));
  assert.deepEqual(
    asked.filter((one) => !one.endsWith(DNS_TYPE.srv)),
    [],
    "the additional section had the addresses",
  );
  assert.equal((await mobile.daemon.audit()).differences.length, 0);
});
