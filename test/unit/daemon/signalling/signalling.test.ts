import t from "tap";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { seq16 } from "../../../../controller/base/seq16.js";
import { Correlation } from "../../../../controller/daemon/signalling/correlation.js";
import {
  type EncapsulatedPacket,
  type MobilityHeaderOut,
  Signalling,
  type SignallingSite,
  type UdpPacket,
} from "../../../../controller/daemon/signalling/signalling.js";
import { type Arrival, NO_PORT, type SendEffect } from "../../../../controller/protocol/mip6/inputs.js";
import { decodeIpv6Packet, encodeIpv6Packet, flowLabelOf } from "../../../../controller/wire/ip/ipv6.js";
import { encodeMobilityMessage } from "../../../../controller/wire/mip6/messages/mobility-header.js";
import type { BindingUpdate, MobilityMessage } from "../../../../controller/wire/mip6/messages/mobility-message.js";
import { bindingUpdateFlags } from "../../../../controller/wire/mip6/messages/registration.js";
import { homeAddressHeader } from "../../../../controller/wire/mip6/options/destination.js";

const HOME_ADDRESS = ipv6("2001:db8:1::100");
const HOME_AGENT = ipv6("2001:db8:1::1");
const CARE_OF = ipv6("2001:db8:f::2");
const NAT = ipv4("203.0.113.77");
const HOME_AGENT_4 = ipv4("203.0.113.1");

const SITE: SignallingSite = {
  self: HOME_AGENT,
  isProtected: (source) => source === HOME_ADDRESS,
  tunDevice: "dsmip-sig",
  tunMark: 1,
  directMark: 2,
};
const UPDATE: BindingUpdate = {
  type: "binding-update",
  sequence: seq16(7),
  flags: bindingUpdateFlags({ acknowledge: true }),
  lifetimeUnits: 10,
  options: [],
};

function bench(site = SITE) {
  const log = {
    sent: [] as MobilityHeaderOut[],
    udp: [] as UdpPacket[],
    encapsulated: [] as EncapsulatedPacket[],
    tun: [] as Uint8Array[],
    messages: [] as { message: MobilityMessage; arrival: Arrival }[],
    drops: [] as string[],
  };
  const signalling = new Signalling(
    site,
    {
      sendMobilityHeader: (packet) => log.sent.push(packet),
      sendUdp: (packet) => log.udp.push(packet),
      sendEncapsulated: (packet) => log.encapsulated.push(packet),
      injectIntoTun: (packet) => log.tun.push(packet),
    },
    {
      onMessage: (message, arrival) => log.messages.push({ message, arrival }),
      onDrop: (reason) => log.drops.push(reason),
    },
  );
  return { signalling, log };
}

const inner = (
  nextHeader: number,
  changes: { source?: typeof HOME_ADDRESS; destination?: typeof HOME_ADDRESS } = {},
): Uint8Array =>
  encodeIpv6Packet({
    header: {
      trafficClass: 0,
      flowLabel: 0x12345,
      nextHeader,
      hopLimit: 64,
      source: HOME_ADDRESS,
      destination: HOME_AGENT,
      ...changes,
    },
    payload: new Uint8Array(16),
  });
const datagram = (bytes: Uint8Array): UdpPacket => ({
  bytes,
  localAddress: HOME_AGENT_4,
  remoteAddress: NAT,
  remotePort: 40000,
});

t.test(
  "R5555-5.1-08 R5555-5.2.1-04: the outer header survives the kernel's IPsec and arrives with the message",
  (test) => {
    const { signalling, log } = bench();
    signalling.receiveUdp(datagram(inner(50)));
    const [injected] = log.tun;
    if (injected === undefined) throw new Error("nothing went into the TUN device");
    const flowLabel = flowLabelOf(injected) ?? 0;
    test.not(flowLabel, 0x12345, "the sender's own label is replaced");
    const decrypted = {
      bytes: encodeMobilityMessage(UPDATE),
      source: HOME_ADDRESS,
      destination: HOME_AGENT,
      device: "dsmip-sig",
      flowLabel,
      destinationOptions: [],
    };
    signalling.receiveMobilityHeader(decrypted);
    test.match(log.messages, [
      {
        message: { type: "binding-update", sequence: 7 },
        arrival: {
          protection: "esp",
          path: { type: "udp", outerSource: NAT, outerPort: 40000, outerDestination: HOME_AGENT_4 },
        },
      },
    ]);
    signalling.receiveMobilityHeader(decrypted);
    test.strictSame(log.drops, ["malformed"], "a label is good for one message");
    test.end();
  },
);

t.test("a native message with a stolen flow label is not taken for one that came over UDP", (test) => {
  const { signalling, log } = bench();
  signalling.receiveUdp(datagram(inner(50)));
  const flowLabel = flowLabelOf(log.tun[0] ?? new Uint8Array()) ?? 0;
  signalling.receiveMobilityHeader({
    bytes: encodeMobilityMessage(UPDATE),
    source: HOME_ADDRESS,
    destination: HOME_AGENT,
    device: "wan",
    flowLabel,
    destinationOptions: [homeAddressHeader(135, CARE_OF)],
  });
  test.match(log.messages[0]?.arrival.path, { type: "native", device: "wan", homeAddressOptionCareOf: CARE_OF });
  test.end();
});

t.test(
  "R5555-5.2.1-05: an acknowledgement over UDP goes through the TUN device and out to the observed port",
  (test) => {
    const { signalling, log } = bench();
    const effect: SendEffect = {
      kind: "send",
      message: UPDATE,
      source: HOME_AGENT,
      destination: HOME_ADDRESS,
      departure: { type: "udp", localAddress: HOME_AGENT_4, remoteAddress: NAT, remotePort: 40000 },
    };
    signalling.send(effect);
    const [sent] = log.sent;
    test.equal(sent?.mark, 1);
    const protectedPacket = inner(50, { source: HOME_AGENT, destination: HOME_ADDRESS });
    protectedPacket[1] = ((sent?.flowLabel ?? 0) >> 16) & 0x0f;
    protectedPacket[2] = ((sent?.flowLabel ?? 0) >> 8) & 0xff;
    protectedPacket[3] = (sent?.flowLabel ?? 0) & 0xff;
    signalling.receiveTun(protectedPacket);
    test.match(log.udp, [{ localAddress: HOME_AGENT_4, remoteAddress: NAT, remotePort: 40000 }]);
    test.equal(flowLabelOf(log.udp[0]?.bytes ?? new Uint8Array()), 0, "the label does not leave the machine");
    test.end();
  },
);

t.test("a message that comes out of the kernel in the clear is not sent", (test) => {
  const { signalling, log } = bench();
  signalling.receiveTun(inner(135, { source: HOME_AGENT, destination: HOME_ADDRESS }));
  test.strictSame(log.udp, []);
  test.strictSame(log.drops, ["unprotected"]);
  signalling.receiveTun(inner(50, { source: HOME_AGENT, destination: HOME_ADDRESS }));
  test.strictSame(log.drops, ["unprotected", "malformed"], "and neither is one without a label");
  test.end();
});

t.test("native departures: routing header, pinned link, or the kernel's Home Address option", (test) => {
  const { signalling, log } = bench();
  const base = { kind: "send", message: UPDATE, source: HOME_AGENT, destination: HOME_ADDRESS } as const;
  signalling.send({ ...base, departure: { type: "native-routed", careOf: CARE_OF } });
  signalling.send({ ...base, departure: { type: "native-direct", device: "home" } });
  signalling.send({ ...base, departure: { type: "native-home-address-option", careOf: CARE_OF } });
  test.equal(log.sent[0]?.routingHeader?.length, 24);
  test.match(log.sent[1], { device: "home", mark: 2 });
  test.strictSame(Object.keys(log.sent[2] ?? {}), ["bytes", "source", "destination"]);
  test.end();
});

const DROPS: readonly { name: string; bytes: Uint8Array; reason: string }[] = [
  { name: "a BU without ESP", bytes: inner(135), reason: "unprotected" },
  {
    name: "a home address that is no subscriber's",
    bytes: inner(50, { source: ipv6("2001:db8:1::666") }),
    reason: "not-a-subscriber",
  },
  {
    name: "another inner destination",
    bytes: inner(50, { destination: ipv6("2001:db8:1::2") }),
    reason: "wrong-destination",
  },
  { name: "inner IPv4", bytes: Uint8Array.of(0x45, 0, 0, 20), reason: "malformed" },
  { name: "nothing", bytes: new Uint8Array(0), reason: "malformed" },
  { name: "a payload length beyond the datagram", bytes: inner(50).subarray(0, 50), reason: "malformed" },
  {
    name: "a giant",
    bytes: encodeIpv6Packet({
      header: {
        trafficClass: 0,
        flowLabel: 0,
        nextHeader: 50,
        hopLimit: 1,
        source: HOME_ADDRESS,
        destination: HOME_AGENT,
      },
      payload: new Uint8Array(9000),
    }),
    reason: "malformed",
  },
];

for (const { name, bytes, reason } of DROPS) {
  t.test(`on the signalling port, ${name}: counted as ${reason}`, (test) => {
    const { signalling, log } = bench();
    signalling.receiveUdp(datagram(bytes));
    test.strictSame(log.drops, [reason]);
    test.strictSame(log.tun, []);
    test.end();
  });
}

t.test("what comes to the process and is no signalling is measured, the kernel's own messages left out", (test) => {
  const { signalling } = bench();
  const UDP = 17;
  const counted = (receive: () => void): number => {
    const before = signalling.payloadOctets;
    receive();
    return signalling.payloadOctets - before;
  };
  for (const header of [50, 135, 60, 43])
    test.equal(
      counted(() => signalling.receiveUdp(datagram(inner(header)))),
      0,
    );
  test.equal(
    counted(() => signalling.receiveUdp(datagram(inner(UDP)))),
    56,
  );
  test.equal(
    counted(() => signalling.receiveUdp(datagram(new Uint8Array(84).fill(0x45)))),
    84,
    "IPv4 inside",
  );
  const ends = { source: HOME_AGENT, destination: HOME_ADDRESS };
  test.equal(
    counted(() => signalling.receiveTun(inner(50, ends))),
    0,
  );
  test.equal(
    counted(() => signalling.receiveTun(inner(UDP, { ...ends, source: CARE_OF }))),
    56,
    "a packet gone astray",
  );
  for (const source of [ipv6("fe80::1"), ipv6("::")])
    test.equal(
      counted(() => signalling.receiveTun(inner(58, { ...ends, source }))),
      0,
    );
  test.end();
});

t.test("rubbish from the Mobility Header socket is a counted drop", (test) => {
  const { signalling, log } = bench();
  const base = {
    source: HOME_ADDRESS,
    destination: HOME_AGENT,
    device: "wan",
    flowLabel: 0,
    destinationOptions: [Uint8Array.of(1, 2, 3)],
  };
  signalling.receiveMobilityHeader({ ...base, bytes: Uint8Array.of(59, 200, 5, 0) });
  signalling.receiveMobilityHeader({ ...base, bytes: encodeMobilityMessage(UPDATE), destination: HOME_ADDRESS });
  test.strictSame(log.drops, ["malformed"]);
  test.match(
    log.messages,
    [{ arrival: { destination: HOME_ADDRESS, protection: "none" } }],
    "no policy has looked at it",
  );
  test.end();
});

t.test("the table of outer headers does not grow with what strangers send", (test) => {
  const table = new Correlation<number>(4096);
  for (let i = 0; i < 200_000; i++) table.remember(i);
  test.equal(table.size, 4096);
  const label = table.remember(1);
  test.equal(table.recall(label), 1);
  test.equal(table.recall(label), undefined);
  test.end();
});

t.test("what the kernel refuses to take on is dropped and counted, not thrown at the socket", (test) => {
  const drops: string[] = [];
  const refuse = (): never => {
    throw Object.assign(new Error("ENETUNREACH: sendmmsg"), { code: "ENETUNREACH" });
  };
  let label = 0;
  const ports = {
    sendMobilityHeader: ({ flowLabel = 0 }: MobilityHeaderOut) => {
      label = flowLabel;
    },
    sendUdp: refuse,
    injectIntoTun: refuse,
  };
  const signalling = new Signalling(SITE, ports, {
    onMessage: () => test.fail("no message"),
    onDrop: (reason, detail) => drops.push(`${reason} ${detail}`),
  });
  signalling.receiveUdp(datagram(inner(50)));
  signalling.send({
    kind: "send",
    message: UPDATE,
    source: HOME_AGENT,
    destination: HOME_ADDRESS,
    departure: { type: "udp", localAddress: HOME_AGENT_4, remoteAddress: NAT, remotePort: 40000 },
  });
  const header = { trafficClass: 0, flowLabel: label, nextHeader: 50, hopLimit: 64 };
  signalling.receiveTun(
    encodeIpv6Packet({
      header: { ...header, source: HOME_AGENT, destination: HOME_ADDRESS },
      payload: new Uint8Array(32),
    }),
  );
  test.equal(drops.length, 2);
  for (const drop of drops) test.match(drop, /^refused-by-kernel .*ENETUNREACH/);
  test.end();
});

t.test(
  "RO-7.2.1.2-02 RO-6.2-01: without ESP, in UDP or protocol 41, whole and with the mode, from whom it is expected",
  (test) => {
    const site = { ...SITE, isProtected: () => false, speaksInClear: () => true, roModeType: 18 };
    const { signalling, log } = bench(site);
    const message: MobilityMessage = {
      type: "care-of-test",
      nonceIndex: 3,
      cookie: new Uint8Array(8).fill(1),
      keygenToken: new Uint8Array(8).fill(2),
      options: [{ kind: "ipv4-ro-mode", mode: 4 }],
    };
    const ways = { localAddress: HOME_AGENT_4, remoteAddress: NAT, hopLimit: 1 } as const;
    const send = (remotePort?: number): void => {
      const departure = { type: "over-ipv4", ...ways, ...(remotePort !== undefined && { remotePort }) } as const;
      signalling.send({ kind: "send", message, source: HOME_AGENT, destination: HOME_ADDRESS, departure });
    };
    send(40000);
    send();
    test.match(log.udp, [{ localAddress: HOME_AGENT_4, remoteAddress: NAT, remotePort: 40000 }]);
    test.match(log.encapsulated, [{ localAddress: HOME_AGENT_4, remoteAddress: NAT, mark: SITE.directMark }]);
    const bytes = log.udp[0]?.bytes ?? new Uint8Array();
    test.strictSame(log.encapsulated[0]?.bytes, bytes);
    const packet = decodeIpv6Packet(bytes);
    test.match(packet.ok && packet.value.header, { hopLimit: 1, nextHeader: 135, source: HOME_AGENT });

    const peer = bench({ ...site, self: HOME_ADDRESS });
    peer.signalling.receiveUdp(datagram(bytes));
    const path = { type: "udp", outerSource: NAT, outerPort: 40000, outerDestination: HOME_AGENT_4 };
    test.match(peer.log.messages, [{ message, arrival: { path, source: HOME_AGENT, protection: "none" } }]);
    peer.signalling.receiveEncapsulated({ bytes, localAddress: HOME_AGENT_4, remoteAddress: NAT });
    test.match(peer.log.messages[1], {
      message,
      arrival: { path: { ...path, outerPort: NO_PORT }, protection: "none" },
    });
    const damaged = bytes.slice();
    damaged[60] = (damaged[60] ?? 0) ^ 1;
    peer.signalling.receiveUdp(datagram(damaged));
    const strict = bench({ ...site, self: HOME_ADDRESS, speaksInClear: () => false });
    strict.signalling.receiveUdp(datagram(bytes));
    test.strictSame([peer.log.drops, strict.log.drops], [["malformed"], ["not-a-subscriber"]]);
    const encapsulated = { bytes, localAddress: HOME_AGENT_4, remoteAddress: NAT };
    strict.signalling.receiveEncapsulated(encapsulated);
    peer.signalling.receiveEncapsulated({ ...encapsulated, bytes: damaged });
    peer.signalling.receiveEncapsulated({ ...encapsulated, bytes: bytes.subarray(0, 39) });
    signalling.receiveEncapsulated(encapsulated);
    // In the place of a port it would say that there is none.
    peer.signalling.receiveUdp({ ...datagram(bytes), remotePort: NO_PORT });
    test.strictSame(
      [peer.log.drops.slice(1), strict.log.drops.slice(1), log.drops],
      [["malformed", "malformed", "not-a-subscriber"], ["not-a-subscriber"], ["wrong-destination"]],
    );
    test.equal(strict.log.messages.length, 0);
    test.end();
  },
);
