/**
 * Multicast of the home link for nodes that are away: one in UDP behind a NAT, one over IPv6, one in IPv4. They report their groups through
 * their tunnels, a neighbour of the home link sends, and every frame of the home agent is looked at.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { type IpAddress, type Ipv6Address, ipv4, ipv6, isIpv4 } from "../../../controller/base/ip.js";
import { SOCK_DGRAM } from "../../../controller/io/constants.js";
import { IpSocket } from "../../../controller/io/ip/ip-socket.js";
import { withIcmpv6Checksum } from "../../../controller/wire/icmpv6.js";
import { encodeIpv4Packet, ipv4Header } from "../../../controller/wire/ip/ipv4.js";
import { encodeIgmp, encodeMld, RecordType } from "../../../controller/wire/ip/membership.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { multicastDocument } from "../../../schemas/control.js";
import { bindingUpdate } from "../../lib/esp.js";
import { describeLayers } from "../lib/capture.js";
import { freshText } from "../lib/exchange.js";
import { layersOf } from "../lib/frame.js";
import { interfaceIndex } from "../lib/frames.js";
import {
  ALICE,
  BOB,
  HOME_AGENT,
  HostileWorld,
  inUdp,
  inventoryOf,
  type Player,
  plainIpv6,
  wantsIpv4,
  withHomeAddress,
} from "../lib/hostile.js";
import { waitFor } from "../lib/wait.js";

const GROUP = ipv6("ff3e::99");
const GROUP4 = ipv4("239.1.1.9");
const NEIGHBOUR = { ipv6: ipv6("2001:db8:1::99"), ipv4: ipv4("198.51.100.99") } as const;
const CARE_OF = ipv6("2001:db8:a::50");
const ALICES_PORT = 40_000;
const LISTENERS = ipv6("ff02::16");
const LINK_LOCAL = ipv6("fe80::a11");
/** The next header, the length, Router Alert for MLD, and padding. */
const ROUTER_ALERT = Uint8Array.of(Protocol.icmpv6, 0, 5, 2, 0, 0, 1, 0);
const IGMP = 2;

const record = <A>(recordType: number, group: A) => ({
  type: "records" as const,
  records: [{ recordType, group, sources: [] as A[] }],
});

function mld(source: Ipv6Address, group: Ipv6Address, recordType: number): Uint8Array {
  const message = withIcmpv6Checksum(encodeMld(record(recordType, group)), source, LISTENERS);
  return plainIpv6(source, LISTENERS, Protocol.hopByHop, Buffer.concat([ROUTER_ALERT, message]));
}

function igmp(who: Player, recordType: number): Uint8Array {
  const header = ipv4Header({ source: who.ipv4HomeAddress, destination: ipv4("224.0.0.22"), protocol: IGMP });
  return encodeIpv4Packet({ header, payload: encodeIgmp(record(recordType, GROUP4)) });
}

const { changeToExclude: joins, changeToInclude: leaves } = RecordType;

test("multicast of the home link for nodes that are away", async (t) => {
  const hostile = new HostileWorld(t, { multicast: {} });
  const { net, ha } = hostile;
  const neighbour = net.node("neighbour");
  net.link(ha.port("home2"), neighbour.port("eth0", `${NEIGHBOUR.ipv6}/64`, `${NEIGHBOUR.ipv4}/24`));
  neighbour.route("239.0.0.0/8 dev eth0");
  ha.also("link set home2 master home");
  await hostile.open();
  const idle = inventoryOf(ha);

  const fromAlice = (inner: Uint8Array, sourcePort = ALICES_PORT): void =>
    hostile.send(4, inUdp(inner, { sourcePort }));
  const fromBob = (inner: Uint8Array, source = CARE_OF): void => {
    const protocol = (inner[0] ?? 0) >> 4 === 6 ? Protocol.ipv6 : Protocol.ipv4;
    hostile.send(6, plainIpv6(source, HOME_AGENT.ipv6, protocol, inner));
  };
  const bobsUpdate = async (lifetimeUnits: number, sequence: number): Promise<void> => {
    const before = hostile.acknowledgements(BOB).length;
    const fields = { sequence, lifetimeUnits, options: [wantsIpv4(BOB)] };
    const esp = hostile.sender(BOB).seal(bindingUpdate(fields, BOB.homeAddress, HOME_AGENT.ipv6));
    hostile.send(6, withHomeAddress(CARE_OF, BOB.homeAddress, Protocol.esp, esp));
    await hostile.nextAcknowledgement(BOB, before);
  };

  const six = IpSocket.open({ family: 6, type: SOCK_DGRAM, protocol: Protocol.udp, netns: neighbour.path });
  const four = IpSocket.open({ family: 4, type: SOCK_DGRAM, protocol: Protocol.udp, netns: neighbour.path });
  t.after(() => {
    six.close();
    four.close();
  });
  const eth0 = interfaceIndex(neighbour, "eth0");
  /** To the group, with a hop limit of 1 as the kernel has it for groups. */
  const say = (group: IpAddress): string => {
    const text = freshText("group");
    const packet = { data: Buffer.from(text, "latin1"), destinationPort: 7000, interfaceIndex: eth0 };
    const { error } = isIpv4(group)
      ? four.send([{ ...packet, destination: group }])
      : six.send([{ ...packet, destination: group }]);
    if (error !== undefined) throw error;
    return text;
  };
  /** The home agent's frames that hold the text, as what is in what. */
  const copies = (text: string): string[] =>
    hostile.frames
      .map((frame) => layersOf(frame, 1))
      .filter((layers) => {
        const last = layers.at(-1);
        return last?.kind === "udp" && Buffer.from(last.payload).toString("latin1") === text;
      })
      .map((layers) => describeLayers(layers.filter(({ kind }) => kind !== "ethernet")).replace(/ udp \d+>7000$/, ""))
      .sort();
  /** What is sent until all of these copies have come, each once; and the other text's copies by then. */
  const comeTo = async (group: IpAddress, expected: readonly string[]): Promise<void> => {
    const text = say(group);
    await waitFor(() => copies(text).length >= expected.length, { what: `copies of ${group}` });
    assert.deepEqual(copies(text), expected);
  };
  const groups = async (): Promise<Record<string, readonly string[]>> => {
    const { stdout } = hostile.dsmipctl("--output", "json", "multicast");
    const document = multicastDocument.parse(JSON.parse(stdout));
    return Object.fromEntries(
      document.groups.map(({ group, members }) => [group, members.map(({ homeAddress }) => homeAddress).sort()]),
    );
  };
  const become = (wanted: Record<string, readonly string[]>): Promise<unknown> =>
    waitFor(async () => JSON.stringify(await groups()) === JSON.stringify(wanted), {
      what: `memberships ${JSON.stringify(wanted)}`,
    });

  /** The audit finds nothing in the end, and nft can list what there is. */
  const asPlanned = async (): Promise<void> => {
    await waitFor(async () => (await hostile.differences()) === 0, { what: "the kernel as planned" });
    ha.script("nft list ruleset > /dev/null; nft -j list ruleset > /dev/null");
  };

  const outer = { alice: "ipv4 203.0.113.1>203.0.114.2 / udp 4191>40000", bob: `ipv6 ${HOME_AGENT.ipv6}>${CARE_OF}` };
  const alices6 = `${outer.alice} / ipv6 ${NEIGHBOUR.ipv6}>${GROUP} /`;
  const bobs6 = `${outer.bob} / ipv6 ${NEIGHBOUR.ipv6}>${GROUP} /`;
  const bobs4 = `${outer.bob} / ipv4 ${NEIGHBOUR.ipv4}>${GROUP4} /`;

  await hostile.update(ALICE, { sequence: 1, options: [wantsIpv4(ALICE)] }, { sourcePort: ALICES_PORT });
  await bobsUpdate(100, 1);

  await t.test("who is bound is asked for its groups", async () => {
    const asked = (what: string): boolean =>
      hostile.frames.some((frame) => describeLayers(layersOf(frame, 1)).includes(what));
    await waitFor(() => asked(`${outer.alice} / ipv6 fe80::1>ff02::1 /`), { what: "a query to Alice" });
    await waitFor(() => asked(`${outer.bob} / ipv6 fe80::1>ff02::1 /`), { what: "a query to Bob" });
  });

  await t.test("a group comes to who has joined it through the tunnel, once, and to nobody else", async () => {
    fromAlice(mld(LINK_LOCAL, GROUP, joins));
    await become({ [GROUP]: [ALICE.homeAddress] });
    await waitFor(() => ha.script("ip maddr show dev home").includes(GROUP), { what: "the group on the home link" });
    await comeTo(GROUP, [alices6]);
    fromBob(mld(LINK_LOCAL, GROUP, joins));
    fromBob(igmp(BOB, joins));
    await become({ [GROUP]: [ALICE.homeAddress, BOB.homeAddress].sort(), [GROUP4]: [BOB.homeAddress] });
    await asPlanned();
    await comeTo(GROUP, [alices6, bobs6]);
    await comeTo(GROUP4, [bobs4]);
  });

  await t.test("who is not at the node's registered address joins nothing in its name", async () => {
    const before = await hostile.dropped("multicast-scope");
    const other = ipv6("ff3e::66");
    fromAlice(mld(LINK_LOCAL, other, joins), ALICES_PORT + 1);
    fromAlice(mld(BOB.homeAddress, other, joins));
    fromBob(mld(LINK_LOCAL, other, joins), ipv6("2001:db8:a::66"));
    fromBob(igmp(ALICE, joins));
    hostile.send(6, mld(LINK_LOCAL, other, joins));
    // Link-local and smaller than global: never, and not by default. The last one shows that the others have been looked at.
    fromAlice(mld(LINK_LOCAL, ipv6("ff02::6a"), joins));
    fromAlice(mld(ALICE.homeAddress, ipv6("ff05::99"), joins));
    await waitFor(async () => (await hostile.dropped("multicast-scope")) > before, {
      what: "a group of smaller scope",
    });
    assert.deepEqual(await groups(), {
      [GROUP]: [ALICE.homeAddress, BOB.homeAddress].sort(),
      [GROUP4]: [BOB.homeAddress],
    });
  });

  await t.test("who leaves gets no more, the others go on", async () => {
    fromAlice(mld(ALICE.homeAddress, GROUP, leaves));
    await become({ [GROUP]: [BOB.homeAddress], [GROUP4]: [BOB.homeAddress] });
    await asPlanned();
    await comeTo(GROUP, [bobs6]);
  });

  await t.test("what others take away is put back", async () => {
    ha.script("tc qdisc del dev home clsact; ip link del dsmip-mm");
    await asPlanned();
    await comeTo(GROUP, [bobs6]);
  });

  await t.test("memberships end with the binding, and nothing is left of them", async () => {
    await bobsUpdate(0, 2);
    await become({});
    await asPlanned();
    await waitFor(() => !ha.script("ip maddr show dev home").includes(GROUP), { what: "the group gone" });
    const listing = ha.script(
      "nft list ruleset > /dev/null; nft -j list ruleset > /dev/null; tc filter show block 4192",
    );
    assert.equal(listing.trim(), "");
    assert.notEqual(idle, "");
    hostile.daemon?.kill("SIGTERM");
    await hostile.daemon?.exited;
    assert.doesNotMatch(ha.script("tc qdisc show; ip link"), /clsact|dsmip/);
  });
});
