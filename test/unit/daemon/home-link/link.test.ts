import t from "tap";
import { toHex } from "../../../../controller/base/bytes.js";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { HomeLink } from "../../../../controller/daemon/home-link/link.js";
import { decodeIcmpv6, encodeIcmpv6, verifyIcmpv6Checksum } from "../../../../controller/wire/icmpv6.js";
import { decodeArp } from "../../../../controller/wire/ip/arp.js";
import { decodeIpv6Packet } from "../../../../controller/wire/ip/ipv6.js";

const HOME_ADDRESS = ipv6("2001:db8:1::100");
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);

function bench() {
  const frames: { etherType: number; destination: string; payload: Uint8Array }[] = [];
  const timers: { at: number; run: () => void }[] = [];
  const neighbours = new Map<string, Uint8Array>();
  const link = new HomeLink({
    identify: (device) => (device === "home" ? { index: 3, mac: MAC } : undefined),
    neighbour: (_, address) => neighbours.get(address),
    sendFrame: (_link, etherType, destination, payload) =>
      void frames.push({ etherType, destination: toHex(destination), payload }),
    schedule: (at, run) => {
      const timer = { at, run };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer), 1);
    },
  });
  return { link, frames, timers, neighbours };
}

const advertisement = encodeIcmpv6({
  type: "neighbour-advertisement",
  flags: { router: false, solicited: false, override: true },
  target: HOME_ADDRESS,
  options: [],
});
const heard = { source: HOME_ADDRESS, hopLimit: 255, device: "home" };

t.test(
  "the probe is a solicitation from :: to the solicited-node group, and silence for a second means free",
  (test) => {
    const { link, frames, timers } = bench();
    const results: boolean[] = [];
    link.probe("home", HOME_ADDRESS, (conflict) => results.push(conflict));
    const packet = decodeIpv6Packet(frames[0]?.payload ?? new Uint8Array());
    if (!packet.ok) throw packet.error;
    test.match(packet.value.header, { source: "::", destination: "ff02::1:ff00:100", hopLimit: 255, nextHeader: 58 });
    test.equal(frames[0]?.destination, "3333ff000100");
    test.ok(verifyIcmpv6Checksum(packet.value.payload, ipv6("::"), ipv6("ff02::1:ff00:100")));
    test.equal(timers[0]?.at, 1000);
    test.strictSame(results, []);
    timers[0]?.run();
    test.strictSame(results, [false]);
    test.end();
  },
);

t.test("an advertisement or another's probe is a conflict; a wrong hop limit, link or address is not", (test) => {
  for (const [bytes, from, conflict] of [
    [advertisement, heard, true],
    [advertisement, { ...heard, hopLimit: 254 }, undefined],
    [advertisement, { ...heard, device: "wan" }, undefined],
    [
      encodeIcmpv6({ type: "neighbour-solicitation", target: HOME_ADDRESS, options: [] }),
      { ...heard, source: ipv6("::") },
      true,
    ],
    [
      encodeIcmpv6({ type: "neighbour-solicitation", target: HOME_ADDRESS, options: [] }),
      { ...heard, source: ipv6("fe80::1") },
      undefined,
    ],
    [Uint8Array.of(136, 0, 0), heard, undefined],
  ] as const) {
    const { link } = bench();
    let result: boolean | undefined;
    link.probe("home", HOME_ADDRESS, (found) => {
      result = found;
    });
    link.receiveIcmpv6(bytes, from);
    test.equal(result, conflict);
  }
  test.end();
});

t.test("announcing sends an advertisement with O to all nodes and a gratuitous ARP", (test) => {
  const { link, frames } = bench();
  link.announce("home", [HOME_ADDRESS, ipv4("198.51.100.100")], false);
  const packet = decodeIpv6Packet(frames[0]?.payload ?? new Uint8Array());
  if (!packet.ok) throw packet.error;
  test.equal(packet.value.header.destination, "ff02::1");
  const message = decodeIcmpv6(packet.value.payload);
  test.match(message, {
    ok: true,
    value: {
      type: "neighbour-advertisement",
      target: HOME_ADDRESS,
      flags: { router: false, solicited: false, override: true },
    },
  });
  const arp = decodeArp(frames[1]?.payload ?? new Uint8Array());
  test.match(arp, {
    ok: true,
    value: { senderAddress: "198.51.100.100", targetAddress: "198.51.100.100", senderMac: MAC },
  });
  test.equal(frames[1]?.destination, "ffffffffffff");
  test.end();
});

t.test("without the link nobody can object and nothing is sent", (test) => {
  const { link, frames } = bench();
  let result: boolean | undefined;
  link.probe("gone", HOME_ADDRESS, (conflict) => {
    result = conflict;
  });
  link.announce("gone", [HOME_ADDRESS], false);
  test.equal(result, false);
  test.strictSame(frames, []);
  test.end();
});
