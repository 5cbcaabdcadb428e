/**
 * Mobile routers with real daemons: a host behind one keeps talking through every move, sources that are not behind it are refused before
 * decapsulation in all six formats, and the router itself refuses what is for nobody behind it.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { IpAddress } from "../../../controller/base/ip.js";
import { formatPrefix } from "../../../controller/base/ip.js";
import { asPlanned } from "../lib/as-planned.js";
import type { Behind } from "../lib/behind.js";
import type { Frame } from "../lib/capture.js";
import { encapsulate, Injector, stationPacket } from "../lib/craft.js";
import { freshText, isEncapsulated } from "../lib/exchange.js";
import { describeFrame, ipLayersOf, payloadText } from "../lib/frames.js";
import {
  type Access,
  CORRESPONDENT,
  FAMILIES,
  HOME_AGENT,
  type Mobile,
  NAT_ADDRESS,
  type PayloadFamily,
  Scene,
} from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const COPIES = 2;
const ROUTER_ADVERTISEMENT = 134;
const DHCP = [67, 68, 546, 547];

/** A packet each way between the correspondent and the host behind the router, in a tunnel on the home agent's wire or not. */
async function talk(scene: Scene, { stations }: Behind, access: Access): Promise<void> {
  for (const family of FAMILIES) {
    const ends = [scene.correspondents[family], stations[family]] as const;
    for (const [from, to] of [ends, [ends[1], ends[0]]] as const) {
      const text = freshText(`${access} IPv${family}`);
      from.send(to, text);
      await to.waitFor(text);
      const frames = scene.wire.frames().filter((frame) => payloadText(frame) === text);
      if (access === "home") assert.equal(frames.some(isEncapsulated), false, `${text} went in a tunnel`);
      else
        checkHopLimit(
          await scene.wire.waitFor((one) => payloadText(one) === text && isEncapsulated(one), { what: text }),
          access,
        );
    }
  }
}

/** That of a router's own packets, 64, less the routers between it and the wire. */
function checkHopLimit(frames: readonly Frame[], access: Access): void {
  const routers = access === "nat" ? 2 : 1;
  const [outer] = frames.flatMap((frame) => ipLayersOf(frame).slice(0, 1));
  const isDown = outer?.source === HOME_AGENT.ipv4 || outer?.source === HOME_AGENT.ipv6;
  assert.equal(outer?.hopLimit, isDown ? 64 : 64 - routers);
}

const HEADER_OCTETS: Readonly<Record<string, number>> = { ipv6: 40, ipv4: 20, udp: 8 };
/** Octets of all headers in front of the innermost packet. */
function overhead({ layers }: Frame): number {
  const kinds = layers.map(({ kind }) => kind);
  const innermost = Math.max(kinds.lastIndexOf("ipv6"), kinds.lastIndexOf("ipv4"));
  return kinds.slice(0, innermost).reduce((sum, kind) => sum + (HEADER_OCTETS[kind] ?? 0), 0);
}

/** EF and ECT(1); and a flow label that is CE for who takes the IPv6 header for an IPv4 one. */
const CLASS = 0xb9;
const FLOW_LABEL = 0xf3579;

/** The same from behind a router in the network of a router: seen in two tunnels, both of its class, and of one DF over IPv4. */
async function nested(scene: Scene, { stations }: Behind, access: Access, t: TestContext): Promise<void> {
  for (const family of FAMILIES) {
    const ends = [scene.correspondents[family], stations[family]] as const;
    for (const [from, to] of [ends, [ends[1], ends[0]]] as const) {
      const text = freshText(`guest at ${access} IPv${family}`);
      // From a socket: of a packet whose checksum is still to be made the kernel remembers where the innermost header stands.
      from.send(to, text, { trafficClass: CLASS, ...(family === 6 && { flowLabel: FLOW_LABEL }) });
      await to.waitFor(text);
      const isNested = (frame: Frame): boolean => payloadText(frame) === text && ipLayersOf(frame).length === 3;
      const [frame] = (await scene.wire.waitFor(isNested, { what: `${text} in two tunnels` })) as [Frame];
      const layers = ipLayersOf(frame);
      t.diagnostic(`two tunnels, ${overhead(frame)} octets: ${describeFrame(frame)}`);
      const classes = layers.map(({ trafficClass }) => trafficClass);
      assert.deepEqual(classes, [CLASS, CLASS, CLASS], describeFrame(frame));
      const [outer, middle] = layers;
      if (outer?.kind === "ipv4" && middle?.kind === "ipv4") assert.equal(outer.dontFragment, middle.dontFragment);
    }
  }
}

/** How the router's payload leaves its access, as the home agent gets it. */
async function outerOf(scene: Scene, mobile: Mobile, access: Exclude<Access, "home">) {
  if (access === "six") return { ends: { source: mobile.careOf.six, destination: HOME_AGENT.ipv6 } } as const;
  if (access === "four") return { ends: { source: mobile.careOf.four, destination: HOME_AGENT.ipv4 } } as const;
  const ports = { sourcePort: await scene.natPort(mobile), destinationPort: 4191 };
  return { ends: { source: NAT_ADDRESS, destination: HOME_AGENT.ipv4 }, ports } as const;
}

const COUNTER = { six: "spoofed-ipv6", four: "spoofed-ipv4", nat: "spoofed-udp" } as const;

/** Sources behind the other router, and beside the prefix of this one, do not come out of its tunnel; its own do. */
async function checkSources(
  scene: Scene,
  wire: Injector,
  [mobile, other]: readonly [Mobile, Mobile],
  access: Exclude<Access, "home">,
): Promise<void> {
  const { ends, ports } = (await outerOf(scene, mobile, access)) as {
    ends: { source: IpAddress; destination: IpAddress };
    ports?: { sourcePort: number; destinationPort: number };
  };
  const [here, there] = [mobile.behind, other.behind] as [Behind, Behind];
  for (const family of FAMILIES) {
    const correspondent = scene.correspondents[family];
    const inner = (source: IpAddress, text: string): Uint8Array =>
      stationPacket({ source, destination: correspondent.address }, text);
    const before = (await scene.homeAgent.kernelCounters())[COUNTER[access]] ?? 0;
    const forged: string[] = [];
    for (const source of [there.stations[family].address, here.beside[family]]) {
      for (let copy = 0; copy < COPIES; copy++) {
        const text = freshText(`forged ${source}`);
        forged.push(text);
        wire.send(encapsulate(ends, inner(source, text), ports));
      }
    }
    const honest = freshText("honest");
    wire.send(encapsulate(ends, inner(here.stations[family].address, honest), ports));
    // It went the same way after the others: what is not there when it is never comes.
    await correspondent.waitFor(honest);
    assert.deepEqual(
      forged.filter((text) => correspondent.count(text) > 0),
      [],
    );
    const after = (await scene.homeAgent.kernelCounters())[COUNTER[access]] ?? 0;
    assert.equal(after - before, forged.length, `IPv${family} ${COUNTER[access]}`);
  }
}

/** From the home agent, but for nobody behind the router: not forwarded, though the router has a route. */
async function checkDestinations(scene: Scene, mobile: Mobile, access: "six" | "four"): Promise<void> {
  const near = new Injector({ namespace: scene.core, device: access }, { namespace: mobile.node, device: access });
  const { stations, beside } = mobile.behind as Behind;
  const ends = { source: access === "six" ? HOME_AGENT.ipv6 : HOME_AGENT.ipv4, destination: mobile.careOf[access] };
  const counter = COUNTER[access];
  for (const family of FAMILIES) {
    const source = family === 6 ? CORRESPONDENT.ipv6 : CORRESPONDENT.ipv4;
    const before = (await mobile.daemon.kernelCounters())[counter] ?? 0;
    const [stray, honest] = [freshText("for nobody"), freshText("for the host")];
    near.send(
      encapsulate(ends, stationPacket({ source, destination: beside[family] }, stray)),
      encapsulate(ends, stationPacket({ source, destination: stations[family].address }, honest)),
    );
    await stations[family].waitFor(honest);
    const after = (await mobile.daemon.kernelCounters())[counter] ?? 0;
    assert.equal(after - before, 1, `IPv${family}`);
  }
  near.close();
}

const routesTo = (scene: Scene, { prefixes }: Behind, family: PayloadFamily): string =>
  scene.ha.script(`ip -${family} route show ${formatPrefix(prefixes[family])} proto 155`).trim();

test("a mobile router and the host behind it", async (t: TestContext) => {
  const scene = await Scene.start(t, { mobiles: 2, routers: "explicit" });
  const [first, second] = scene.mobiles as [Mobile, Mobile];
  const behind = first.behind as Behind;
  scene.attach(second, "nat");
  await Promise.all([first, second].map(({ daemon }) => daemon.start()));
  await scene.settled(second, "nat");
  const egress = await scene.net.capture(scene.core, `${first.node.label}-six`);
  const wire = new Injector({ namespace: scene.core, device: "ha" }, { namespace: scene.ha, device: "wan" });
  t.after(() => wire.close());

  await t.test("at home its networks are reached over the home link, without a tunnel", async () => {
    await scene.move(first, "home");
    await talk(scene, behind, "home");
  });

  await t.test("F3963-5.6-01: it forwards, and goes on listening to routers where it may attach, not behind it", () => {
    const value = (path: string): string => first.node.script(`cat /proc/sys/net/${path}`).trim();
    assert.equal(value("ipv6/conf/six/accept_ra"), "2");
    assert.notEqual(value("ipv6/conf/inside/accept_ra"), "2");
    assert.deepEqual([value("ipv6/conf/all/forwarding"), value("ipv4/ip_forward")], ["1", "1"]);
  });

  for (const access of ["six", "four", "nat"] as const) {
    const ids = access === "six" ? "F3963-5.5-01 F3963-6.5-01 F3963-6.2-02" : "F3963-6.5-01 R5555-4.5-04";
    await t.test(`${ids}: the host behind it goes on talking by way of "${access}"`, async () => {
      await scene.move(first, access);
      await talk(scene, behind, access);
      for (const family of FAMILIES) assert.notEqual(routesTo(scene, behind, family), "");
    });
    await t.test(`sources that are not behind it are refused before decapsulation: "${access}"`, () =>
      checkSources(scene, wire, [first, second], access),
    );
    if (access !== "nat")
      await t.test(`F3963-3-01: the router drops what is for nobody behind it: "${access}"`, () =>
        checkDestinations(scene, first, access),
      );
  }

  await t.test("plan and kernel agree at both ends, and nft reads what is there", async () => {
    await asPlanned(scene.homeAgent, first.daemon);
    const bindings = await scene.homeAgent.bindings();
    const shown = bindings.find(({ homeAddress }) => homeAddress === first.home6);
    assert.deepEqual(
      shown?.prefixes,
      FAMILIES.map((family) => formatPrefix(behind.prefixes[family])),
    );
  });

  await t.test(
    "a router in the network of a router: two tunnels, one in the other, over every access of the outer one",
    async () => {
      await scene.move(first, "six");
      scene.detach(second, "nat");
      first.node.ip(
        `link add cabin type veth peer name cabin netns ${second.node.name}`,
        "link set cabin up",
        "address add 2001:db8:101:1::1/64 dev cabin",
        "address add 10.101.0.17/28 dev cabin",
      );
      second.node.ip(
        "link set cabin up",
        "address add 2001:db8:101:1::2/64 dev cabin",
        "route add ::/0 via 2001:db8:101:1::1 dev cabin metric 20",
      );
      const guest = second.behind as Behind;
      const boundTo = async (address: string): Promise<void> => {
        const isThere = (what: string) =>
          scene.homeAgent.waitForBinding(
            what,
            ({ homeAddress, endpoint }) => homeAddress === second.home6 && endpoint?.address === address,
          );
        await isThere(`the guest at ${address}`);
        await second.daemon.waitForBinding(
          "the guest's acceptance",
          ({ state, endpoint }) => state === "registered" && endpoint?.address === address,
        );
      };
      await boundTo("2001:db8:101:1::2");
      for (const access of ["six", "four", "nat"] as const) {
        await scene.move(first, access);
        await nested(scene, guest, access, t);
      }
      second.node.ip(
        "address flush dev cabin",
        "address add 10.101.0.18/28 dev cabin",
        "route add default via 10.101.0.17 dev cabin metric 20",
      );
      await boundTo("10.101.0.18");
      for (const access of ["four", "six"] as const) {
        await scene.move(first, access);
        await nested(scene, guest, access, t);
      }
      assert.deepEqual((await scene.homeAgent.audit()).differences, []);
    },
  );

  await t.test("what belongs to its networks, advertisements and DHCP, never leaves by its egress", () => {
    const isOurs = ({ layers }: Frame): boolean =>
      layers.some(
        (layer) =>
          (layer.kind === "icmp6" && layer.bytes[0] === ROUTER_ADVERTISEMENT) ||
          (layer.kind === "udp" && DHCP.includes(layer.destinationPort)),
      );
    assert.deepEqual(egress.frames().filter(isOurs).map(describeFrame), []);
    assert.ok(egress.frames().length > 0);
  });

  await t.test("F3963-6.7-01: home again, nothing of its networks is left in the tunnels", async () => {
    await scene.move(first, "home");
    await waitFor(() => FAMILIES.every((family) => routesTo(scene, behind, family) === ""), { what: "routes to go" });
    await talk(scene, behind, "home");
  });
});
