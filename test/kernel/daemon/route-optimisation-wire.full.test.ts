/**
 * What a mobile node sends to correspondents, and what it believes of them, on the wire: one that says nothing, one that does not know the
 * protocol, and one that a script is. Home agent and node are real.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { type Ipv6Address, ipv6 } from "../../../controller/base/ip.js";
import { seq16 } from "../../../controller/base/seq16.js";
import { fetchDocument } from "../../../controller/control/client.js";
import { withAuthenticator } from "../../../controller/daemon/signalling/binding-authorization.js";
import { bindingManagementKey } from "../../../controller/protocol/mip6/return-routability/tokens.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
  withChecksum,
} from "../../../controller/wire/mip6/messages/mobility-header.js";
import type { MessageOfType, MobilityMessage } from "../../../controller/wire/mip6/messages/mobility-message.js";
import { bindingAcknowledgementFlags } from "../../../controller/wire/mip6/messages/registration.js";
import { encodeType2RoutingHeader } from "../../../controller/wire/mip6/routing-header.js";
import { type CorrespondentDocument, correspondentsDocument } from "../../../schemas/control.js";
import type { Frame } from "../lib/capture.js";
import { Injector, ipPacket } from "../lib/craft.js";
import { CORRESPONDENT, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const PATIENCE = { timeout: 30_000 };
const PROTOCOL = { routing: 43, mobility: 135 } as const;
/** Of the correspondent's link: one that knows nothing, one that says nothing, one that a script is. */
const [IGNORANT, SILENT, SCRIPTED] = ["2001:db8:c::11", "2001:db8:c::12", "2001:db8:c::13"].map(ipv6) as [
  Ipv6Address,
  Ipv6Address,
  Ipv6Address,
];
const TOKEN = { home: new Uint8Array(8).fill(0xa1), careOf: new Uint8Array(8).fill(0xb2) } as const;

interface Said {
  readonly message: MobilityMessage;
  readonly to: Ipv6Address;
  readonly from: Ipv6Address;
  /** In a tunnel to the home agent. */
  readonly tunnelled: boolean;
}

/** Undefined: no mobility message that anybody can read. */
function saidIn({ layers }: Frame): Said | undefined {
  const last = layers.at(-1);
  const ip = layers.filter((layer) => layer.kind === "ipv6");
  const inner = ip.at(-1);
  if (last?.kind !== "other" || last.protocol !== PROTOCOL.mobility || inner === undefined) return undefined;
  const read = decodeMobilityMessage(last.bytes);
  if (!read.ok) return undefined;
  return { message: read.value, from: inner.source, to: inner.destination, tunnelled: ip.length > 1 };
}

test("a mobile node and correspondents on the wire", async (t) => {
  const scene = await Scene.start(t, { mobileNode: { routeOptimisation: { minimumAgeSeconds: 0 } } });
  const { mobile, cn, core, net } = scene;
  const careOf = mobile.careOf.six as Ipv6Address;
  cn.ip(...[IGNORANT, SILENT, SCRIPTED].map((address) => `address add ${address}/64 dev eth0 nodad`));
  cn.nft(
    `table ip6 mute { chain input { type filter hook input priority 0; ip6 daddr { ${SILENT}, ${SCRIPTED} } meta l4proto 135 drop; }; }`,
  );
  await mobile.daemon.start();
  await scene.move(mobile, "six");
  const uplink = await net.capture(mobile.node, "six");
  const throughCore = new Injector({ namespace: cn, device: "eth0" }, { namespace: core, device: "cn" });
  const onLink = new Injector({ namespace: core, device: "six" }, { namespace: mobile.node, device: "six" });
  t.after(() => {
    throughCore.close();
    onLink.close();
  });
  const said = (to: Ipv6Address): readonly Said[] =>
    uplink.frames().flatMap((frame) => {
      const one = saidIn(frame);
      return one?.to === to ? [one] : [];
    });
  const saidOf = <Type extends MobilityMessage["type"]>(type: Type, to: Ipv6Address) =>
    said(to).flatMap((one) =>
      one.message.type === type ? [{ ...one, message: one.message as MessageOfType<Type> }] : [],
    );

  await t.test("F6275-11.3.5-01: who answers with a Parameter Problem is left to the home agent for long", async () => {
    pingTo(IGNORANT);
    const paused = await entry(IGNORANT, ({ state }) => state === "paused");
    assert.equal(paused.reason, "not supported by the correspondent");
    assert((paused.remainingSeconds ?? 0) > 1800, `${paused.remainingSeconds} s`);
    assert(saidOf("care-of-test-init", IGNORANT).length <= 2, "it is asked no further");
    await goesThroughHomeAgent(IGNORANT);
  });

  await t.test(
    "F6275-5.2.3-01 F6275-5.2.9-01: who says nothing is asked three times, with another cookie each time, and left to the home agent",
    async () => {
      pingTo(SILENT);
      const paused = await entry(SILENT, ({ state }) => state === "paused");
      assert.match(paused.reason ?? "", /unanswered/);
      const home = saidOf("home-test-init", SILENT);
      const there = saidOf("care-of-test-init", SILENT);
      assert.deepEqual([home.length, there.length], [3, 3]);
      assert.deepEqual([...new Set(home.map((one) => `${one.from} ${one.tunnelled}`))], [`${mobile.home6} true`]);
      assert.deepEqual([...new Set(there.map((one) => `${one.from} ${one.tunnelled}`))], [`${careOf} false`]);
      const cookies = [...home, ...there].map(({ message }) => Buffer.from(message.cookie).toString("hex"));
      assert.equal(new Set(cookies).size, 6);
      await goesThroughHomeAgent(SILENT);
    },
  );

  await t.test(
    "F6275-11.6.2-01: a Home Test counts only out of the home agent's tunnel, and any test with its cookie alone",
    async () => {
      pingTo(SCRIPTED);
      const home = await heard("home-test-init");
      const there = await heard("care-of-test-init");
      const wrong = home.cookie.map((octet) => octet ^ 0xff);
      onLink.send(testOf("home-test", home.cookie, mobile.home6));
      throughCore.send(testOf("home-test", wrong, mobile.home6), testOf("care-of-test", wrong, careOf));
      throughCore.send(testOf("care-of-test", there.cookie, careOf));
      await waitFor(async () => (await tested(SCRIPTED)).includes("care-of"), {
        what: "the care-of test",
        ...PATIENCE,
      });
      assert.deepEqual(await tested(SCRIPTED), ["care-of"], "the right cookie on the wrong way");
      assert.deepEqual(saidOf("binding-update", SCRIPTED), []);
      const latest = await heard("home-test-init");
      throughCore.send(testOf("home-test", latest.cookie, mobile.home6));
      const update = await heard("binding-update");
      assert.deepEqual([update.flags.homeRegistration, update.flags.acknowledge], [false, true]);
    },
  );

  await t.test(
    "F6275-11.7.3-02: an authenticated 135 gives the number after which the next update goes on",
    async () => {
      throughCore.send(acknowledgement(135, 40_000, { authentic: false }), acknowledgement(135, 50_000));
      await waitFor(() => saidOf("binding-update", SCRIPTED).some(({ message }) => message.sequence === 50_001), {
        what: "an update with the next number",
        ...PATIENCE,
      });
      assert(saidOf("binding-update", SCRIPTED).every(({ message }) => message.sequence !== 40_001));
      throughCore.send(acknowledgement(0, 50_001));
      await entry(SCRIPTED, ({ state, direct }) => state === "bound" && direct);
    },
  );

  await t.test(
    "F6275-11.3.6-01: a binding error of nobody's binding is nothing; the correspondent's own makes payload take the long way",
    async () => {
      const error = (source: Ipv6Address): Uint8Array =>
        packet(source, careOf, { type: "binding-error", status: 1, homeAddress: mobile.home6, options: [] });
      throughCore.send(error(IGNORANT));
      throughCore.send(error(SCRIPTED));
      await goesThroughHomeAgent(SCRIPTED);
      const lost = (await events()).filter(({ event }) => event === "correspondent.lost");
      assert.deepEqual(
        lost.map(({ detail }) => detail["correspondent"]),
        [SCRIPTED],
      );
    },
  );

  await t.test("R5555-2.4-02: neither IPv4 payload nor a network without IPv6 makes the node ask anybody", async () => {
    const four = await net.capture(core, `${mobile.node.label}-four`);
    mobile.node.spawn(["ping", "-i", "0.2", "-I", mobile.home4, CORRESPONDENT.ipv4], { name: "ping4" });
    await scene.move(mobile, "four");
    const ping = pingTo(CORRESPONDENT.ipv6);
    await ping.waitForLog(/(.*bytes from){5}/s, PATIENCE.timeout);
    const types = [...uplink.frames(), ...four.frames()].flatMap((frame) => {
      const one = saidIn(frame);
      return one?.to === CORRESPONDENT.ipv6 ? [one.message.type] : [];
    });
    assert.deepEqual(types, []);
  });

  function pingTo(to: Ipv6Address) {
    return mobile.node.spawn(["ping", "-6", "-i", "0.2", "-I", mobile.home6, to], { name: `ping-${to}` });
  }
  async function entry(
    other: Ipv6Address,
    matches: (one: CorrespondentDocument) => boolean,
  ): Promise<CorrespondentDocument> {
    let last: unknown;
    return waitFor(
      async () => {
        const all = await fetchDocument(mobile.daemon.socketPath, "/correspondents");
        const { correspondents } = correspondentsDocument.parse(all);
        last = correspondents;
        return correspondents.find((one) => one.correspondent === other && matches(one));
      },
      { what: `what is wanted of ${other}`, ...PATIENCE },
    ).catch((error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify(last)}\n${mobile.daemon.process.log.slice(-4000)}`);
    });
  }
  async function events(): Promise<readonly { event: string; detail: Record<string, unknown> }[]> {
    const lines = mobile.daemon.process.log.split("\n").flatMap((line) => {
      try {
        return [JSON.parse(line) as Record<string, unknown>];
      } catch {
        return [];
      }
    });
    return lines.map((line) => ({ event: String(line["event"]), detail: line }));
  }
  /** Which tests have succeeded. */
  async function tested(other: Ipv6Address): Promise<readonly string[]> {
    const all = (await events()).filter(
      ({ event, detail }) => event === "correspondent.tested" && detail["correspondent"] === other,
    );
    return all.map(({ detail }) => String(detail["test"]));
  }
  /** An echo request from now on has the tunnel's header. */
  async function goesThroughHomeAgent(to: Ipv6Address): Promise<void> {
    const since = Date.now() / 1000;
    const isTunnelled = ({ at, layers }: Frame): boolean => {
      const ip = layers.filter((layer) => layer.kind === "ipv6");
      return at > since && ip.length === 2 && ip[1]?.destination === to && layers.at(-1)?.kind === "icmp6";
    };
    await uplink.waitFor(isTunnelled, { what: `a tunnelled packet to ${to}`, ...PATIENCE });
  }
  /** The last one that the node has said to the scripted correspondent. */
  async function heard<Type extends MobilityMessage["type"]>(type: Type): Promise<MessageOfType<Type>> {
    return waitFor(() => saidOf(type, SCRIPTED).at(-1)?.message, { what: `${type} to ${SCRIPTED}`, ...PATIENCE });
  }
  function packet(source: Ipv6Address, destination: Ipv6Address, message: MobilityMessage): Uint8Array {
    const octets = withChecksum(encodeMobilityMessage(message), source, destination);
    return ipPacket({ source, destination }, PROTOCOL.mobility, octets);
  }
  function testOf(type: "home-test" | "care-of-test", cookie: Uint8Array, to: Ipv6Address): Uint8Array {
    const keygenToken = type === "home-test" ? TOKEN.home : TOKEN.careOf;
    return packet(SCRIPTED, to, { type, nonceIndex: 7, cookie, keygenToken, options: [] });
  }
  /** Through a type 2 routing header to the care-of address. */
  function acknowledgement(status: number, sequence: number, { authentic = true } = {}): Uint8Array {
    const message: MobilityMessage = {
      ...{ type: "binding-acknowledgement", status, flags: bindingAcknowledgementFlags() },
      sequence: seq16(sequence),
      lifetimeUnits: status === 0 ? 60 : 0,
      options: [{ kind: "binding-authorization-data", authenticator: new Uint8Array(12) }],
    };
    const key = bindingManagementKey(TOKEN.home, authentic ? TOKEN.careOf : TOKEN.home);
    const signed = withAuthenticator(message, key, { careOf, correspondent: SCRIPTED });
    const octets = withChecksum(encodeMobilityMessage(signed), SCRIPTED, mobile.home6);
    const header = encodeType2RoutingHeader({ nextHeader: PROTOCOL.mobility, homeAddress: mobile.home6 });
    return ipPacket({ source: SCRIPTED, destination: careOf }, PROTOCOL.routing, Buffer.concat([header, octets]));
  }
});
