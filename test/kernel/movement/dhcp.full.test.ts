/**
 * IPv4 alone, addresses by DHCP (dnsmasq, Debian's dhclient): after a loss of the carrier the address is used only when the router that
 * it came with has answered a unicast ARP request (RFC 4436), or when DHCP has given one; elsewhere it is not, though it stays configured.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { decodeArp } from "../../../controller/wire/ip/arp.js";
import type { Frame } from "../lib/capture.js";
import { ethernetOf, ipLayersOf } from "../lib/frames.js";
import { NETWORKS, Roaming, SOON } from "../lib/roaming.js";
import { waitFor } from "../lib/wait.js";

test("F4436-2.1-01 R5555-4.4.4-01 a cable with a DHCP address is moved: its router is asked by unicast ARP, elsewhere it is not used", async (t) => {
  const roaming = await Roaming.start(t, "one", { ipv4Only: true });
  const { mn, core, mobile } = roaming;
  roaming.lease("one", "two");
  await roaming.configure();
  await mobile.start();
  await roaming.settled("one");
  const address = roaming.addresses("one")[0];
  const router = roaming.macOf(core, "one");

  // A short loss of the carrier, the same network: one question, one answer.
  const flap = roaming.plug("one", { carrier: true });
  const update = await roaming.update("one", flap);
  await roaming.settled("one");
  const [asked] = questions(roaming, flap);
  assert.equal(asked?.to, router);
  assert.equal(asked?.sender, address);
  assert.equal(asked?.target, `${NETWORKS.one.ipv4}.1`);
  const began = asked?.at ?? 0;
  t.diagnostic(`same network: update ${Math.round((update - began) * 1000)} ms after the question`);
  assert.ok(update - began < SOON, `${update - began} s`);

  // Another network: three questions, and nothing leaves from the address that is still there.
  const moved = roaming.plug("two", { carrier: true });
  await waitFor(() => mobile.process.log.includes('"network.left"'), { what: "the end of the questions" });
  assert.deepEqual(roaming.addresses("one"), [address], "it is still configured");
  assert.equal(questions(roaming, moved).filter(({ to }) => to === router).length, 3);
  assert.equal((await mobile.bindings())[0]?.state, "detached");
  const configured = Date.now() / 1000;
  await roaming.configure();
  const there = await roaming.update("two", configured);
  await roaming.settled("two");
  const leased = await roaming.leasedAt(configured);
  t.diagnostic(`other network: update ${Math.round((there - leased) * 1000)} ms after the DHCP acknowledgement`);
  assert.ok(there - leased < SOON, `${there - leased} s`);
  assert.deepEqual(fromFormer(roaming, address, moved), [], "nothing from the former address");
  assert.ok(mn.ipJson("route show default").length > 0);
});

interface Question {
  readonly at: number;
  /** Link-layer destination. */
  readonly to: string;
  readonly sender: string;
  readonly target: string;
}

/** ARP requests of the node with its address in question, in order. */
function questions(roaming: Roaming, since: number): readonly Question[] {
  return roaming.wire.frames().flatMap((frame): Question[] => {
    const ethernet = ethernetOf(frame);
    if (frame.at < since || ethernet?.type !== 0x806 || ethernet.source !== roaming.macOf(roaming.mn, "eth0"))
      return [];
    const arp = decodeArp(frame.bytes.subarray(14));
    if (!arp.ok || arp.value.operation !== 1 || ethernet.destination === "ff:ff:ff:ff:ff:ff") return [];
    return [
      { at: frame.at, to: ethernet.destination, sender: arp.value.senderAddress, target: arp.value.targetAddress },
    ];
  });
}

/** Signalling that left from an address. */
function fromFormer(roaming: Roaming, address: string | undefined, since: number): readonly Frame[] {
  return roaming.wire.frames().filter((frame) => {
    const [outer] = ipLayersOf(frame);
    return frame.at > since && outer?.source === address && outer?.destination === "203.0.113.1";
  });
}
