/**
 * Anti-spoofing before decapsulation with real daemons: a packet comes out of a tunnel only if its outer address (and port) is the
 * registered one of its inner source, whatever the encapsulation. Each refusal is counted, and no other packet is.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { type IpAddress, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { encapsulate, Injector, stationPacket, withVersion } from "../lib/craft.js";
import { freshText } from "../lib/exchange.js";
import {
  CORRESPONDENT,
  FAMILIES,
  HOME_AGENT,
  type Mobile,
  NAT_ADDRESS,
  type PayloadFamily,
  Scene,
} from "../lib/scene.js";

const COPIES = 3;
const STRANGER = { six: ipv6("2001:db8:a::99"), four: ipv4("203.0.114.99"), nat: ipv4("203.0.115.99") } as const;

const COUNTERS = ["spoofed-udp", "spoofed-ipv4", "spoofed-ipv6", "bad-version", "link-local"] as const;

/** What is no forgery, and is not let in either: the kernel of a node looks for routers through its tunnel. */
const solicitation = (text: string): Uint8Array =>
  stationPacket({ source: ipv6("fe80::1"), destination: ipv6("ff02::2") }, text);

interface Forgery {
  readonly what: string;
  readonly counter: (typeof COUNTERS)[number];
  readonly make: (text: string) => Uint8Array;
}

interface Case {
  readonly genuine: (text: string) => Uint8Array;
  readonly forgeries: readonly Forgery[];
}

const homeOf = (mobile: Mobile, family: PayloadFamily): IpAddress => (family === 6 ? mobile.home6 : mobile.home4);

/** Payload from that home address to the correspondent. */
function payload(mobile: Mobile, family: PayloadFamily, text: string): Uint8Array {
  const destination = family === 6 ? CORRESPONDENT.ipv6 : CORRESPONDENT.ipv4;
  return stationPacket({ source: homeOf(mobile, family), destination }, text);
}

/** Without UDP: over IPv6, and protocols 41 and 4 over IPv4. */
function plainCase(access: "six" | "four", family: PayloadFamily, mobile: Mobile, other: Mobile): Case {
  const destination = access === "six" ? HOME_AGENT.ipv6 : HOME_AGENT.ipv4;
  const counter = access === "six" ? "spoofed-ipv6" : "spoofed-ipv4";
  const registered = { source: mobile.careOf[access], destination };
  const stranger = { source: STRANGER[access], destination };
  return {
    genuine: (text) => encapsulate(registered, payload(mobile, family, text)),
    forgeries: [
      { what: "wrong outer source", counter, make: (text) => encapsulate(stranger, payload(mobile, family, text)) },
      { what: "another node's", counter, make: (text) => encapsulate(registered, payload(other, family, text)) },
      { what: "link-local", counter: "link-local", make: (text) => encapsulate(registered, solicitation(text)) },
    ],
  };
}

function udpCase(family: PayloadFamily, mobile: Mobile, other: Mobile, port: number, otherPort: number): Case {
  const outer = { source: NAT_ADDRESS, destination: HOME_AGENT.ipv4 };
  const ports = (sourcePort: number) => ({ sourcePort, destinationPort: 4191 });
  const inner = (text: string): Uint8Array => payload(mobile, family, text);
  const counter = "spoofed-udp";
  const stranger = { ...outer, source: STRANGER.nat };
  return {
    genuine: (text) => encapsulate(outer, inner(text), ports(port)),
    forgeries: [
      { what: "wrong outer source", counter, make: (text) => encapsulate(stranger, inner(text), ports(port)) },
      { what: "wrong port", counter, make: (text) => encapsulate(outer, inner(text), ports(port ^ 1)) },
      { what: "the neighbour's port", counter, make: (text) => encapsulate(outer, inner(text), ports(otherPort)) },
      {
        what: "another node's",
        counter,
        make: (text) => encapsulate(outer, payload(other, family, text), ports(port)),
      },
      {
        what: "version 5",
        counter: "bad-version",
        make: (text) => encapsulate(outer, withVersion(inner(text), 5), ports(port)),
      },
      {
        what: "link-local",
        counter: "link-local",
        make: (text) => encapsulate(outer, solicitation(text), ports(port)),
      },
      { what: "without UDP", counter: "spoofed-ipv4", make: (text) => encapsulate(outer, inner(text)) },
    ],
  };
}

async function check(scene: Scene, wire: Injector, family: PayloadFamily, { genuine, forgeries }: Case): Promise<void> {
  const there = scene.correspondents[family];
  const before = await scene.homeAgent.kernelCounters();
  const texts: string[] = [];
  const expected: Record<string, number> = {};
  for (const { what, counter, make } of forgeries) {
    for (let copy = 0; copy < COPIES; copy++) {
      const text = freshText(what);
      texts.push(text);
      wire.send(make(text));
    }
    expected[counter] = (expected[counter] ?? 0) + COPIES;
  }
  const honest = freshText("genuine");
  wire.send(genuine(honest));
  // It went the same way after the others: what is not there when it is never comes.
  await there.waitFor(honest);
  assert.deepEqual(
    texts.filter((text) => there.count(text) > 0),
    [],
    "forgeries that were forwarded",
  );
  const after = await scene.homeAgent.kernelCounters();
  const grown = Object.fromEntries(COUNTERS.map((name) => [name, (after[name] ?? 0) - (before[name] ?? 0)]));
  assert.deepEqual(grown, { ...Object.fromEntries(COUNTERS.map((name) => [name, 0])), ...expected });
}

/** Payload for the mobile node, in a tunnel that is not its home agent's. */
async function checkMobileNode(wire: Injector, mobile: Mobile, access: "six" | "four"): Promise<void> {
  const agent = access === "six" ? HOME_AGENT.ipv6 : HOME_AGENT.ipv4;
  for (const family of FAMILIES) {
    const source = family === 6 ? CORRESPONDENT.ipv6 : CORRESPONDENT.ipv4;
    const inner = (text: string): Uint8Array => stationPacket({ source, destination: homeOf(mobile, family) }, text);
    const outer = (from: IpAddress) => ({ source: from, destination: mobile.careOf[access] });
    const [forged, honest] = [freshText("not the home agent"), freshText("genuine")];
    wire.send(encapsulate(outer(STRANGER[access]), inner(forged)), encapsulate(outer(agent), inner(honest)));
    await mobile.stations[family].waitFor(honest);
    assert.equal(mobile.stations[family].count(forged), 0, `IPv${family}`);
  }
}

/** The same in UDP, where the port counts as well; what is refused is counted, and nothing else is. */
async function checkMobileNodeInUdp(wire: Injector, mobile: Mobile, other: Mobile): Promise<void> {
  const outer = (source: IpAddress) => ({ source, destination: mobile.careOf.nat });
  const ports = (sourcePort: number) => ({ sourcePort, destinationPort: 4191 });
  for (const family of FAMILIES) {
    const source = family === 6 ? CORRESPONDENT.ipv6 : CORRESPONDENT.ipv4;
    const inner = (text: string, to = mobile): Uint8Array =>
      stationPacket({ source, destination: homeOf(to, family) }, text);
    const before = (await mobile.daemon.kernelCounters())["spoofed-udp"] ?? 0;
    const [stranger, port, another, honest] = ["a stranger", "a wrong port", "for another", "genuine"].map(
      freshText,
    ) as [string, string, string, string];
    wire.send(
      encapsulate(outer(STRANGER.nat), inner(stranger), ports(4191)),
      encapsulate(outer(HOME_AGENT.ipv4), inner(port), ports(4190)),
      encapsulate(outer(HOME_AGENT.ipv4), inner(another, other), ports(4191)),
      encapsulate(outer(HOME_AGENT.ipv4), inner(honest), ports(4191)),
    );
    await mobile.stations[family].waitFor(honest);
    for (const text of [stranger, port]) assert.equal(mobile.stations[family].count(text), 0, `IPv${family}: ${text}`);
    const after = (await mobile.daemon.kernelCounters())["spoofed-udp"] ?? 0;
    assert.equal(after - before, 3, `IPv${family}`);
  }
}

test("packets in a tunnel that are not from whom they say", async (t: TestContext) => {
  const scene = await Scene.start(t, { mobiles: 2 });
  const [first, second] = scene.mobiles as [Mobile, Mobile];
  scene.attach(first, "six");
  scene.attach(second, "nat");
  await Promise.all([first.daemon.start(), second.daemon.start()]);
  await scene.settled(second, "nat");
  const wire = new Injector({ namespace: scene.core, device: "ha" }, { namespace: scene.ha, device: "wan" });
  t.after(() => wire.close());

  for (const access of ["six", "four"] as const) {
    await scene.move(first, access);
    for (const family of FAMILIES) {
      const format = access === "six" ? `IPv${family}/IPv6` : `IPv${family}/IPv4, protocol ${family === 6 ? 41 : 4}`;
      await t.test(`F6275-10.4.5-01: ${format}: wrong outer source, inner source of another node`, () =>
        check(scene, wire, family, plainCase(access, family, first, second)),
      );
    }
    await t.test(`F6275-11.3.3-01: the mobile node in "${access}" takes payload from its home agent only`, async () => {
      const near = new Injector({ namespace: scene.core, device: access }, { namespace: first.node, device: access });
      await checkMobileNode(near, first, access).finally(() => near.close());
    });
  }

  await scene.move(first, "nat");
  const [port, otherPort] = [await scene.natPort(first), await scene.natPort(second)];
  for (const family of FAMILIES) {
    const ids = "F6275-10.4.5-01 R5555-4.1-04";
    await t.test(`${ids}: IPv${family}/UDP/IPv4: wrong address, ports, another node, version 5, without UDP`, () =>
      check(scene, wire, family, udpCase(family, first, second, port, otherPort)),
    );
  }
  await t.test(
    "F6275-11.3.3-01: the mobile node behind a NAT takes payload in UDP from its home agent only",
    async () => {
      const near = new Injector({ namespace: scene.nat, device: "lan" }, { namespace: first.node, device: "nat" });
      await checkMobileNodeInUdp(near, first, second).finally(() => near.close());
    },
  );
});
