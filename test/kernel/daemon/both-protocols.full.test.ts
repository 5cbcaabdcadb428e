/**
 * A node that may register by either protocol: the other one's registration takes its binding over, in both directions, while packets to its
 * home address come out of one tunnel or the other and none is lost.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { fromHex } from "../../../controller/base/bytes.js";
import { type Ipv4Address, type Ipv6Address, ipv4, ipv6, isIpv4 } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import { authenticateWith } from "../../../controller/daemon/mip4/authenticators.js";
import { timeOfDay } from "../../../controller/daemon/mip4/time-of-day.js";
import { encodeIpv4Packet, ipv4Header } from "../../../controller/wire/ip/ipv4.js";
import { encodeIpv6Packet } from "../../../controller/wire/ip/ipv6.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { encodeUdp } from "../../../controller/wire/ip/udp.js";
import { encodeAuthenticated } from "../../../controller/wire/mip4/messages/authenticated-octets.js";
import {
  decodeControlMessage,
  type RegistrationReply,
} from "../../../controller/wire/mip4/messages/control-message.js";
import { requestFlags } from "../../../controller/wire/mip4/messages/registration.js";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { layersOf, layersOfKind } from "../lib/frame.js";
import { ALICE, HOME_AGENT, HostileWorld, wantsIpv4 } from "../lib/hostile.js";
import { waitFor } from "../lib/wait.js";

const CARE_OF = ipv4("203.0.114.9");
const CORRESPONDENT = { 4: ipv4("192.0.2.2"), 6: ipv6("2001:db8:c::2") } as const;
const KEY = { spi: 256, key: "00112233445566778899aabbccddeeff" };

function udp<Address extends Ipv4Address | Ipv6Address>(
  source: Address,
  destination: Address,
  ports: readonly [number, number],
  payload: Uint8Array,
): Uint8Array {
  const [sourcePort, destinationPort] = ports;
  const datagram = encodeUdp({ sourcePort, destinationPort, payload }, { source, destination });
  if (isIpv4(source) && isIpv4(destination))
    return encodeIpv4Packet({ header: ipv4Header({ source, destination, protocol: Protocol.udp }), payload: datagram });
  const header = { trafficClass: 0, flowLabel: 0, nextHeader: Protocol.udp, hopLimit: 64 };
  return encodeIpv6Packet({
    header: { ...header, source: source as Ipv6Address, destination: destination as Ipv6Address },
    payload: datagram,
  });
}

test("one binding of two protocols", async (t) => {
  const world = new HostileWorld(t, { mip4: {} }, { protocols: ["mip6", "mip4"] });
  const keys = join(world.net.scratch, "keys.yaml");
  const mip4 = [{ association: "mobile-home", node: ALICE.ipv4HomeAddress, ...KEY }];
  writeFileSync(keys, JSON.stringify({ ...JSON.parse(readFileSync(keys, "utf8")), mip4 }), { mode: 0o600 });
  await world.open();
  let sequence = 0;
  let latest = 0;

  const replies = (): RegistrationReply[] =>
    world.frames.flatMap((frame) => {
      const [layer] = layersOfKind(layersOf(frame, 1), "udp");
      if (layer?.sourcePort !== 434) return [];
      const message = decodeControlMessage(layer.payload);
      return message.ok && message.value.type === "registration-reply" ? [message.value] : [];
    });
  const byMip4 = async (lifetimeSeconds = 600): Promise<RegistrationReply> => {
    latest = Math.max(Date.now(), latest + 1);
    const before = replies().length;
    const request = encodeAuthenticated(
      {
        type: "registration-request",
        flags: requestFlags({ decapsulatesItself: true, reverseTunnelling: true }),
        lifetimeSeconds,
        homeAddress: ALICE.ipv4HomeAddress,
        homeAgent: HOME_AGENT.ipv4,
        careOfAddress: CARE_OF,
        identification: timeOfDay(latest),
        extensions: [
          { kind: "ipv6-prefix-request", prefixLength: 128, prefix: ALICE.homeAddress },
          { kind: "ipv6-tunnelling-mode" },
          { kind: "mobile-home-authentication", spi: KEY.spi, authenticator: new Uint8Array(0) },
        ],
      },
      authenticateWith(() => ({ algorithm: "hmac-md5", key: new Secret(fromHex(KEY.key)) })),
    );
    world.send(4, udp(CARE_OF, HOME_AGENT.ipv4, [434, 434], request));
    return waitFor(() => replies()[before], { what: "a registration reply" });
  };
  const byMip6 = async () =>
    (await world.update(ALICE, { sequence: ++sequence, options: [wantsIpv4(ALICE)] })).message.status;
  /** How often the packet with this text has come out, and through which tunnel. */
  const seen = (text: string): string[] =>
    world.frames.flatMap((frame) => {
      if (!Buffer.from(frame).includes(text)) return [];
      const [outer] = layersOfKind(layersOf(frame, 1), "ipv4");
      return outer === undefined ? [] : [outer.protocol === Protocol.udp ? "mip6" : "mip4"];
    });
  let sent = 0;
  const textOf = (family: 4 | 6, number: number): string => `flow-${family}-${String(number).padStart(6, "0")}`;
  const sendOne = (): void => {
    const text = (family: 4 | 6): Uint8Array => Buffer.from(textOf(family, sent));
    world.send(4, udp(CORRESPONDENT[4], ALICE.ipv4HomeAddress, [7000, 7000], text(4)));
    world.send(6, udp(CORRESPONDENT[6], ALICE.homeAddress, [7000, 7000], text(6)));
    sent++;
  };
  const during = async <T>(change: () => Promise<T>): Promise<T> => {
    let over = false;
    const changed = change().finally(() => {
      over = true;
    });
    while (!over) {
      sendOne();
      await new Promise((resolve) => setImmediate(resolve));
    }
    sendOne();
    return changed;
  };
  const protocol = async () => (await world.binding(ALICE))?.protocol;

  await t.test("from Mobile IPv6 to Mobile IPv4 and back, without a lost packet of IPv4 or IPv6", async () => {
    assert.equal(await byMip6(), BindingStatus.accepted);
    for (const _ of [1, 2, 3]) {
      assert.equal((await during(() => byMip4())).code, 1);
      await waitFor(async () => (await protocol()) === "mip4", { what: "Mobile IPv4" });
      assert.equal(await during(byMip6), BindingStatus.accepted);
      await waitFor(async () => (await protocol()) === "mip6", { what: "Mobile IPv6" });
    }
    for (const family of [4, 6] as const) {
      const all = Array.from({ length: sent }, (_, i) => textOf(family, i));
      await waitFor(() => all.every((text) => seen(text).length > 0), {
        what: `all packets of IPv${family}`,
        timeout: 10_000,
      });
      assert.deepEqual(new Set(all.flatMap(seen)), new Set(["mip6", "mip4"]), `IPv${family}`);
    }
    assert.equal(await world.differences(), 0);
  });

  await t.test("one binding is shown, and what the other protocol had is told to be over", async () => {
    const { bindings } = await world.status();
    assert.equal(bindings, 1);
    const reasons = (await world.events("binding.removed")).map(({ detail }) => detail["reason"]);
    assert.ok(
      reasons.includes("registered by Mobile IPv4") && reasons.includes("registered by Mobile IPv6"),
      String(reasons),
    );
  });
});
