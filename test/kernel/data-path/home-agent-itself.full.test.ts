/**
 * Payload between a home address and the home agent itself, as other implementations send it: with a Home Address option from the
 * care-of address, with a type 2 routing header to it. Real daemons at both ends; the packets that a peer would send are made here.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { type Ipv6Address, ipv6 } from "../../../controller/base/ip.js";
import { withIcmpv6Checksum } from "../../../controller/wire/icmpv6.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
  verifyChecksum,
  withChecksum,
} from "../../../controller/wire/mip6/messages/mobility-header.js";
import { homeAddressHeader } from "../../../controller/wire/mip6/options/destination.js";
import { encodeType2RoutingHeader } from "../../../controller/wire/mip6/routing-header.js";
import type { Capture, Frame } from "../lib/capture.js";
import { Injector, ipPacket } from "../lib/craft.js";
import { layersOfKind } from "../lib/frame.js";
import { HOME_AGENT, Scene } from "../lib/scene.js";

const [ECHO_REQUEST, ECHO_REPLY] = [128, 129] as const;
const STRANGER = ipv6("2001:db8:bad::66");
const UNKNOWN_HOME = ipv6("2001:db8:1::fff");

/** `number` comes back in the reply. */
function echo(source: Ipv6Address, destination: Ipv6Address, number: number): Uint8Array {
  const message = Uint8Array.of(ECHO_REQUEST, 0, 0, 0, 0x41, 0x91, number >> 8, number & 0xff);
  return withIcmpv6Checksum(message, source, destination);
}

function withOption(careOf: Ipv6Address, home: Ipv6Address, number: number): Uint8Array {
  const payload = Buffer.concat([homeAddressHeader(Protocol.icmpv6, home), echo(home, HOME_AGENT.ipv6, number)]);
  return ipPacket({ source: careOf, destination: HOME_AGENT.ipv6 }, Protocol.destinationOptions, payload);
}

function withRoutingHeader(source: Ipv6Address, careOf: Ipv6Address, home: Ipv6Address, number: number): Uint8Array {
  const header = encodeType2RoutingHeader({ nextHeader: Protocol.icmpv6, homeAddress: home });
  const payload = Buffer.concat([header, echo(source, home, number)]);
  return ipPacket({ source, destination: careOf }, Protocol.routing, payload);
}

/** The numbers of the echo replies between these two, in whatever tunnel. */
const repliesIn = (frames: readonly Frame[], source: Ipv6Address, destination: Ipv6Address): number[] =>
  frames.flatMap(({ layers }) => {
    const inner = layersOfKind(layers, "ipv6").at(-1);
    const icmp = layers.at(-1);
    if (icmp?.kind !== "icmp6" || icmp.type !== ECHO_REPLY) return [];
    if (inner?.source !== source || inner.destination !== destination) return [];
    return [Buffer.from(icmp.bytes).readUInt16BE(6)];
  });

/** Binding errors to this address: status and home address of each. */
const bindingErrorsIn = (frames: readonly Frame[], destination: Ipv6Address): string[] =>
  frames.flatMap(({ layers }) => {
    const [ip] = layersOfKind(layers, "ipv6");
    const last = layers.at(-1);
    if (ip?.destination !== destination || last?.kind !== "other" || last.protocol !== Protocol.mobility) return [];
    const message = decodeMobilityMessage(last.bytes);
    if (!message.ok || message.value.type !== "binding-error") return [];
    assert.ok(verifyChecksum(last.bytes, ip.source, destination));
    return [`${ip.source} ${message.value.status} ${message.value.homeAddress}`];
  });

async function replied(wire: Capture, source: Ipv6Address, destination: Ipv6Address, number: number): Promise<void> {
  const is = (frame: Frame): boolean => repliesIn([frame], source, destination).includes(number);
  await wire.waitFor(is, { what: `echo reply ${number} from ${source} to ${destination}` });
}

test("payload between home address and home agent with the headers of route optimisation", async (t) => {
  const scene = await Scene.start(t);
  const { mobile, wire, core, ha } = scene;
  const { home6, node } = mobile;
  const careOf = mobile.careOf.six as Ipv6Address;
  await mobile.daemon.start();
  await scene.move(mobile, "six");
  const toHomeAgent = new Injector({ namespace: core, device: "ha" }, { namespace: ha, device: "wan" });
  const toNode = new Injector({ namespace: core, device: `${node.label}-six` }, { namespace: node, device: "six" });
  t.after(() => [toHomeAgent, toNode].forEach((one) => void one.close()));
  const access = await scene.net.capture(node, "six");
  let number = 0;

  await t.test("the home agent takes the option from the bound care-of address, before any protocol", async () => {
    toHomeAgent.send(withOption(careOf, home6, ++number));
    await replied(wire, HOME_AGENT.ipv6, home6, number);
  });

  await t.test(
    "the node takes the routing header at the bound care-of address, from the home agent alone",
    async () => {
      toNode.send(withRoutingHeader(STRANGER, careOf, home6, ++number));
      toNode.send(withRoutingHeader(HOME_AGENT.ipv6, careOf, home6, ++number));
      await replied(wire, home6, HOME_AGENT.ipv6, number);
      assert.deepEqual(repliesIn(wire.frames(), home6, STRANGER), []);
    },
  );

  await t.test(
    "F6275-9.3.1-01: from another care-of address or for a home address that is not bound it is refused with a binding error",
    async () => {
      const from = wire.frames().length;
      for (const home of [home6, UNKNOWN_HOME]) {
        toHomeAgent.send(withOption(STRANGER, home, ++number));
        const expected = `${HOME_AGENT.ipv6} 1 ${home}`;
        await wire.waitFor((frame) => bindingErrorsIn([frame], STRANGER).includes(expected), {
          what: "a binding error",
        });
      }
      toHomeAgent.send(withOption(careOf, home6, ++number));
      await replied(wire, HOME_AGENT.ipv6, home6, number);
      const frames = wire.frames().slice(from);
      assert.deepEqual(repliesIn(frames, HOME_AGENT.ipv6, home6), [number]);
      assert.deepEqual(repliesIn(frames, HOME_AGENT.ipv6, UNKNOWN_HOME), []);
    },
  );

  await t.test(
    "F6275-9.3.1-01: the node has no bindings of others, and says so from the address that was asked",
    async () => {
      const payload = Buffer.concat([
        homeAddressHeader(Protocol.icmpv6, UNKNOWN_HOME),
        echo(UNKNOWN_HOME, careOf, ++number),
      ]);
      toNode.send(ipPacket({ source: STRANGER, destination: careOf }, Protocol.destinationOptions, payload));
      const expected = `${careOf} 1 ${UNKNOWN_HOME}`;
      await access.waitFor((frame) => bindingErrorsIn([frame], STRANGER).includes(expected), {
        what: "a binding error",
      });
    },
  );

  await t.test(
    "F6275-9.2-02: a message of unknown type is answered with status 2 by both, without any protection",
    async () => {
      const message = (to: Ipv6Address): Uint8Array =>
        withChecksum(Uint8Array.of(59, 0, 200, 0, 0, 0, 0, 0), STRANGER, to);
      toNode.send(ipPacket({ source: STRANGER, destination: careOf }, Protocol.mobility, message(careOf)));
      toHomeAgent.send(
        ipPacket({ source: STRANGER, destination: HOME_AGENT.ipv6 }, Protocol.mobility, message(HOME_AGENT.ipv6)),
      );
      for (const [capture, from] of [
        [access, careOf],
        [wire, HOME_AGENT.ipv6],
      ] as const) {
        const is = (frame: Frame): boolean => bindingErrorsIn([frame], STRANGER).includes(`${from} 2 ::`);
        await capture.waitFor(is, { what: `a binding error of status 2 from ${from}` });
      }
    },
  );

  await t.test("F6275-11.3.6-01: a binding error at the care-of address makes the node register again", async () => {
    const before = (await mobile.daemon.bindings())[0]?.sequence ?? 0;
    const error = encodeMobilityMessage({ type: "binding-error", status: 1, homeAddress: home6, options: [] });
    const sent = withChecksum(error, HOME_AGENT.ipv6, careOf);
    toNode.send(ipPacket({ source: HOME_AGENT.ipv6, destination: careOf }, Protocol.mobility, sent));
    await mobile.daemon.waitForBinding(
      "another registration",
      ({ state, sequence }) => state === "registered" && (sequence ?? 0) > before,
    );
    assert.equal((await mobile.daemon.status()).counters.dropped["wrong-destination"], undefined);
  });
});
