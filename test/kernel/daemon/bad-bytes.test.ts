/**
 * Any bytes at every door of the daemon: UDP ports, Mobility Header, control socket. It lives on, counts what it drops, keeps its memory
 * and still registers a node. The bytes are pseudo-random with a fixed seed, half of them well-formed up to one mutation.
 */
import assert from "node:assert/strict";
import { connect } from "node:net";
import test from "node:test";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { homeAddressHeader } from "../../../controller/wire/mip6/options/destination.js";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { encodeType2RoutingHeader } from "../../../controller/wire/mip6/routing-header.js";
import { bindingUpdate, espPacket } from "../../lib/esp.js";
import {
  ALICE,
  BOB,
  HOME_AGENT,
  HostileWorld,
  inUdp,
  type Player,
  plainIpv6,
  withHomeAddress,
} from "../lib/hostile.js";
import { SLOW } from "../lib/surroundings.js";
import { waitFor } from "../lib/wait.js";

const CARE_OF = ipv6("2001:db8:a::2");
/** In emulation a quarter of them, which is some hundreds of each kind: there it is another kernel that is on trial. */
const PACKETS = SLOW > 1 ? 5_000 : 20_000;
const BATCH = 50;
/** Heap of a garbage collector under load, not of 20,000 packets of 200 octets, which would be kept twice over in this. */
const GROWTH = 64 << 20;

/** Mulberry32: 32 bits of state, the same numbers in every run. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  /** A copy with some octets changed, cut off, or added. */
  mutate(bytes: Uint8Array): Uint8Array {
    const kind = this.below(4);
    if (kind === 0) return bytes.slice(0, this.below(bytes.length));
    if (kind === 1) return new Uint8Array(Buffer.concat([bytes, this.bytes(this.below(300))]));
    const copy = bytes.slice();
    for (let count = this.below(4); count >= 0; count--) copy[this.below(copy.length)] = this.below(256);
    return copy;
  }
}

type Family = 4 | 6;
type Maker = (random: Random) => readonly [Family, Uint8Array];

const update = (who: Player, sequence: number): Uint8Array =>
  bindingUpdate({ sequence }, who.homeAddress, HOME_AGENT.ipv6);
const innerHeaders = [Protocol.esp, Protocol.mobility, Protocol.routing, Protocol.destinationOptions, 0, 44, 58];

/** Inside UDP: garbage, garbage behind a good inner header, and mutated messages. */
function udpMakers(destinationPort: number): Maker[] {
  const outer = (random: Random, payload: Uint8Array): readonly [Family, Uint8Array] => [
    4,
    inUdp(payload, {
      source: ipv4(`203.0.114.${1 + random.below(250)}`),
      sourcePort: random.below(65536),
      destinationPort,
    }),
  ];
  const source = (random: Random) => random.pick([ALICE.homeAddress, BOB.homeAddress, CARE_OF, ipv6("::1")]);
  const inner = (random: Random, nextHeader: number, payload: Uint8Array): Uint8Array =>
    plainIpv6(source(random), HOME_AGENT.ipv6, nextHeader, payload);
  return [
    (random) => outer(random, random.bytes(random.below(400))),
    (random) => outer(random, inner(random, random.pick(innerHeaders), random.bytes(random.below(200)))),
    (random) => outer(random, inner(random, Protocol.esp, random.bytes(1380))),
    (random) => outer(random, random.mutate(inner(random, Protocol.mobility, update(ALICE, random.below(65536))))),
    (random) => outer(random, random.mutate(espPacket(source(random), HOME_AGENT.ipv6, random.bytes(80)))),
  ];
}

/** Over IPv6: with and without Home Address option, behind routing headers, and as fragments of nothing. */
const IPV6_MAKERS: readonly Maker[] = [
  (random) => [6, plainIpv6(CARE_OF, HOME_AGENT.ipv6, Protocol.mobility, random.bytes(random.below(200)))],
  (random) => [6, plainIpv6(ALICE.homeAddress, HOME_AGENT.ipv6, Protocol.mobility, random.mutate(update(ALICE, 7)))],
  (random) => [6, withHomeAddress(CARE_OF, ALICE.homeAddress, Protocol.mobility, random.mutate(update(ALICE, 7)))],
  (random) => [6, withHomeAddress(CARE_OF, BOB.homeAddress, Protocol.esp, random.bytes(8 + random.below(120)))],
  (random) => {
    const routing = encodeType2RoutingHeader({ nextHeader: Protocol.mobility, homeAddress: ALICE.homeAddress });
    const payload = Buffer.concat([random.mutate(routing), update(ALICE, 7)]);
    return [6, plainIpv6(CARE_OF, HOME_AGENT.ipv6, Protocol.routing, payload)];
  },
  (random) => {
    const options = random.mutate(homeAddressHeader(Protocol.mobility, ALICE.homeAddress));
    const payload = Buffer.concat([options, update(ALICE, 7)]);
    return [6, plainIpv6(CARE_OF, HOME_AGENT.ipv6, Protocol.destinationOptions, payload)];
  },
  (random) => [6, plainIpv6(CARE_OF, HOME_AGENT.ipv6, 44, random.bytes(8 + random.below(100)))],
];

test("any bytes at a running home agent", async (t) => {
  const hostile = new HostileWorld(t);
  await hostile.open();
  let sequence = 0;
  /** A registration that must work whatever came before. */
  const registers = async (): Promise<void> => {
    const esp = hostile.sender(ALICE).seal(update(ALICE, ++sequence));
    const before = hostile.acknowledgements(ALICE).length;
    hostile.send(4, inUdp(espPacket(ALICE.homeAddress, HOME_AGENT.ipv6, esp)));
    const { message } = await hostile.nextAcknowledgement(ALICE, before);
    assert.deepEqual([message.status, message.sequence], [BindingStatus.accepted, sequence]);
  };
  const flood = async (makers: readonly Maker[], count: number, seed: number): Promise<void> => {
    const random = new Random(seed);
    for (let done = 0; done < count; done += BATCH) {
      for (let i = 0; i < BATCH; i++) hostile.send(...random.pick(makers)(random));
      if (done % (20 * BATCH) === 0) await hostile.status(); // it answers meanwhile, and this end does not run ahead
      hostile.frames.length = 0;
    }
    await registers();
  };
  const all = udpMakers(4191).concat(udpMakers(4192), IPV6_MAKERS);

  await registers();
  await flood(all, PACKETS / 10, 1); // what it loads and compiles on the first of each kind is no growth
  const octets = hostile.residentOctets();

  await t.test("UDP port 4191", async () => {
    const before = (await hostile.status()).counters;
    await flood(udpMakers(4191), PACKETS / 4, 2);
    // The meters let a few a second through, and of which kind they are in a flood nobody knows.
    const unprotected = plainIpv6(ALICE.homeAddress, HOME_AGENT.ipv6, Protocol.mobility, update(ALICE, 1));
    const count = (of: typeof before): number => of.dropped["unprotected"] ?? 0;
    await waitFor(
      async () => {
        hostile.send(4, inUdp(unprotected));
        return count((await hostile.status()).counters) > count(before);
      },
      { what: "an unprotected update to be counted", interval: 200 },
    );
    const after = (await hostile.status()).counters;
    const [strangers, strangersBefore] = [after, before].map(({ dropped }) => dropped["not-a-subscriber"] ?? 0);
    assert.equal(Number(strangers) > Number(strangersBefore), true, "not-a-subscriber");
    assert.equal((after.kernel["bad-version"] ?? 0) > (before.kernel["bad-version"] ?? 0), true, "bad-version");
  });
  await t.test("the signalling port 4192 itself: nothing reaches the process", async () => {
    const before = (await hostile.status()).counters;
    await flood(udpMakers(4192), PACKETS / 4, 3);
    const after = (await hostile.status()).counters;
    assert.deepEqual(after.dropped, before.dropped);
    const closed = (after.kernel["signalling-port"] ?? 0) - (before.kernel["signalling-port"] ?? 0);
    assert.equal(closed, PACKETS / 4);
  });
  await t.test("the Mobility Header over IPv6, with and without Home Address option and routing header", async () => {
    const before = hostile.ipsec("XfrmInTmplMismatch") + hostile.ipsec("XfrmInPolBlock");
    const received = (await hostile.status()).counters.received["binding-update"];
    await flood(IPV6_MAKERS, PACKETS / 2, 4);
    assert.equal(hostile.ipsec("XfrmInTmplMismatch") + hostile.ipsec("XfrmInPolBlock") > before, true);
    assert.equal(
      (await hostile.status()).counters.received["binding-update"],
      (received ?? 0) + 1,
      "only the good one",
    );
  });
  await t.test("the control socket", async () => {
    const random = new Random(5);
    const request = Buffer.from("GET /v1/bindings/2001:db8:1::10 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    const knock = (bytes: Uint8Array): Promise<string> =>
      new Promise((resolve) => {
        let answer = "";
        const client = connect(hostile.controlSocket, () => client.end(bytes));
        client.on("data", (part) => {
          answer += part.toString("latin1");
        });
        client.on("error", () => undefined); // it may hang up on us
        client.on("close", () => resolve(answer));
      });
    for (let i = 0; i < 300; i++) {
      const answer = await knock(i % 3 === 0 ? random.bytes(random.below(2000)) : random.mutate(request));
      assert.match(answer, /^$|^HTTP\/1\.1 (200|400|404|405|431|500) /);
    }
    // More clients than it serves, that say nothing, for as long as they like.
    const idle = Array.from({ length: 100 }, () => connect(hostile.controlSocket).on("error", () => undefined));
    for (const client of idle) client.destroy();
    await waitFor(() => hostile.status(), { what: "an answer after all that" });
  });

  const growth = hostile.residentOctets() - octets;
  assert.equal(growth < GROWTH, true, `grown by ${growth} octets`);
  const { counters, bindings } = await hostile.status();
  t.diagnostic(`memory grew by ${growth >> 10} KiB; ${JSON.stringify(counters)}`);
  assert.deepEqual([bindings, hostile.daemon?.running], [1, true]);
});
