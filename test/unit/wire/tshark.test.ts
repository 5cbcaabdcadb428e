/** tshark reads what we encode: every canonical vector, every packet stack of requirements A.11 that needs no encryption. */
import t, { type Test } from "tap";
import { fromHex } from "../../../controller/base/bytes.js";
import { type Ipv6Address, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { encodeIcmpv6, type Icmpv6Message, withIcmpv6Checksum } from "../../../controller/wire/icmpv6.js";
import { gratuitousArp } from "../../../controller/wire/ip/arp.js";
import { encodeIpv4Packet, ipv4Header } from "../../../controller/wire/ip/ipv4.js";
import { encodeIpv6Packet } from "../../../controller/wire/ip/ipv6.js";
import type { NdOption } from "../../../controller/wire/ip/nd-options.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { encodeUdp } from "../../../controller/wire/ip/udp.js";
import { encodeMobilityMessage, withChecksum } from "../../../controller/wire/mip6/messages/mobility-header.js";
import type { MobilityMessage } from "../../../controller/wire/mip6/messages/mobility-message.js";
import { homeAddressHeader } from "../../../controller/wire/mip6/options/destination.js";
import { DSMIP6_PORT } from "../../../controller/wire/mip6/registry.js";
import { encodeType2RoutingHeader } from "../../../controller/wire/mip6/routing-header.js";
import { LINK_TYPE } from "../../lib/pcap.js";
import { differences, type Expectation, tsharkMissing } from "../../lib/tshark.js";
import { expectedFields } from "../../lib/tshark-mobility.js";
import { loadVectors, revive, surroundings, type WireVector } from "../../lib/wire-vectors.js";

const HOA = ipv6("2001:db8:1::10");
const HA = ipv6("2001:db8:1::1");
const COA = ipv6("2001:db8:2::20");
const GOOD = ["1"]; // ip/udp/icmpv6.checksum.status
const skip = tsharkMissing();
const bit = (value: boolean): string => (value ? "1" : "0");

/** Right packets about which tshark 4.0 complains all the same. */
const COMPLAINTS: ReadonlySet<string> = new Set([
  // It looks for the options of a Home Agent Switch in front of the addresses.
  "HAS, no address",
  "HAS, two addresses",
  // "not dissected yet".
  "unknown option",
  "unknown option without data, and option 29",
  "three unknown options of one type",
  "unknown ND option",
  // It wants at least one octet of text or data in these.
  "option 8, no text",
  "option 9, subtype 2, no data",
  "option 17, only R",
  "option 17, status",
  "option 18, no data",
]);

function ipv6Packet(
  source: Ipv6Address,
  destination: Ipv6Address,
  nextHeader: number,
  payload: Uint8Array,
): Uint8Array {
  const header = { trafficClass: 0, flowLabel: 0, nextHeader, hopLimit: 64, source, destination };
  return encodeIpv6Packet({ header, payload });
}

const messageOf = (vector: WireVector): MobilityMessage => revive(vector.value) as MobilityMessage;

function vectorNamed(name: string): WireVector {
  const found = loadVectors("mobility-header").find((vector) => vector.name === name);
  if (found === undefined) throw new Error(`no vector ${name}`);
  return found;
}

function encoded(vector: WireVector, source: Ipv6Address = HOA, destination: Ipv6Address = HA): Uint8Array {
  return withChecksum(encodeMobilityMessage(messageOf(vector)), source, destination);
}

function check(t: Test, linkType: number, expectations: readonly Expectation[]): void {
  t.not(expectations.length, 0);
  t.strictSame(differences(linkType, expectations), [], `${expectations.length} packets`);
}

t.test("every Mobility Header vector is read as it was meant", { skip }, (t) => {
  const vectors = loadVectors("mobility-header").filter(({ canonical }) => canonical === true);
  const expectations = vectors.map((vector): Expectation => {
    const bytes = encoded(vector);
    const packet = ipv6Packet(HOA, HA, Protocol.mobility, bytes);
    const complaintsExpected = COMPLAINTS.has(vector.name);
    return { name: vector.name, packet, fields: expectedFields(messageOf(vector), bytes), complaintsExpected };
  });
  check(t, LINK_TYPE.rawIp, expectations);
  t.end();
});

t.test("BU and BA over IPv6: Home Address option, type 2 routing header", { skip }, (t) => {
  const update = encoded(vectorNamed("option 3"));
  const acknowledgement = encoded(vectorNamed("T-02"), HA, HOA);
  const options = homeAddressHeader(Protocol.mobility, HOA);
  const routing = encodeType2RoutingHeader({ nextHeader: Protocol.mobility, homeAddress: HOA });
  check(t, LINK_TYPE.rawIp, [
    {
      name: "BU",
      packet: ipv6Packet(COA, HA, Protocol.destinationOptions, Uint8Array.from([...options, ...update])),
      fields: {
        ...expectedFields(messageOf(vectorNamed("option 3")), update),
        "ipv6.nxt": ["60"],
        "ipv6.opt.type": ["0x01", "0xc9"],
        "ipv6.opt.length": ["2", "16"],
        "ipv6.opt.mipv6.home_address": [HOA],
      },
    },
    {
      name: "BA",
      packet: ipv6Packet(HA, COA, Protocol.routing, Uint8Array.from([...routing, ...acknowledgement])),
      fields: {
        ...expectedFields(messageOf(vectorNamed("T-02")), acknowledgement),
        "ipv6.nxt": ["43"],
        "ipv6.routing.type": ["2"],
        "ipv6.routing.len": ["2"],
        "ipv6.routing.segleft": ["1"],
        "ipv6.routing.mipv6.home_address": [HOA],
      },
    },
  ]);
  t.end();
});

t.test("BU and BA over IPv4: UDP 4191 and the IPv6 packet directly behind it", { skip }, (t) => {
  const [node, agent] = [ipv4("198.51.100.7"), ipv4("203.0.113.1")];
  const stack = (name: string, up: boolean): Expectation => {
    const [source, destination] = up ? [node, agent] : [agent, node];
    const mh = up ? encoded(vectorNamed(name)) : encoded(vectorNamed(name), HA, HOA);
    const inner = up ? ipv6Packet(HOA, HA, Protocol.mobility, mh) : ipv6Packet(HA, HOA, Protocol.mobility, mh);
    const ports = up
      ? { sourcePort: 40000, destinationPort: DSMIP6_PORT }
      : { sourcePort: DSMIP6_PORT, destinationPort: 40000 };
    const payload = encodeUdp({ ...ports, payload: inner }, { source, destination });
    return {
      name,
      packet: encodeIpv4Packet({ header: ipv4Header({ source, destination, protocol: Protocol.udp }), payload }),
      fields: {
        ...expectedFields(messageOf(vectorNamed(name)), mh),
        "ip.src": [source],
        "ip.dst": [destination],
        "ip.checksum.status": GOOD,
        "udp.srcport": [`${ports.sourcePort}`],
        "udp.dstport": [`${ports.destinationPort}`],
        "udp.checksum.status": GOOD,
        "ipv6.src": [up ? HOA : HA],
        "ipv6.dst": [up ? HA : HOA],
      },
    };
  };
  check(t, LINK_TYPE.rawIp, [stack("T-01", true), stack("T-02", false), stack("T-03", false)]);
  t.end();
});

t.test("every ICMPv6 vector has a checksum that is right", { skip }, (t) => {
  const vectors = loadVectors("icmpv6").filter(({ canonical }) => canonical === true);
  const expectations = vectors.map((vector): Expectation => {
    const message = revive(vector.value) as Icmpv6Message;
    const { addresses } = surroundings(vector);
    const [source, destination] = [addresses?.source ?? HOA, addresses?.destination ?? HA] as Ipv6Address[];
    if (source === undefined || destination === undefined) throw new Error(vector.name);
    const bytes = withIcmpv6Checksum(encodeIcmpv6(message), source, destination);
    return {
      name: vector.name,
      complaintsExpected: COMPLAINTS.has(vector.name),
      packet: ipv6Packet(source, destination, Protocol.icmpv6, bytes),
      fields: { ...icmpFields(message), "icmpv6.type": [`${bytes[0]}`], "icmpv6.checksum.status": GOOD },
    };
  });
  check(t, LINK_TYPE.rawIp, expectations);
  t.end();
});

/** tshark 4.0 shows these parts. */
function icmpFields(message: Icmpv6Message): Record<string, string[]> {
  switch (message.type) {
    case "router-advertisement":
      return {
        "icmpv6.nd.ra.flag.m": [bit(message.flags.managedAddresses)],
        "icmpv6.nd.ra.flag.o": [bit(message.flags.otherConfiguration)],
        "icmpv6.nd.ra.flag.h": [bit(message.flags.homeAgent)],
        "icmpv6.nd.ra.router_lifetime": [`${message.routerLifetimeSeconds}`],
        "icmpv6.nd.ra.reachable_time": [`${message.reachableTimeMs}`],
        "icmpv6.nd.ra.retrans_timer": [`${message.retransmissionTimerMs}`],
        ...ndOptionFields(message.options),
      };
    case "neighbour-solicitation":
      return { "icmpv6.nd.ns.target_address": [message.target] };
    case "neighbour-advertisement":
      return {
        "icmpv6.nd.na.flag.r": [bit(message.flags.router)],
        "icmpv6.nd.na.flag.s": [bit(message.flags.solicited)],
        "icmpv6.nd.na.flag.o": [bit(message.flags.override)],
        "icmpv6.nd.na.target_address": [message.target],
        "icmpv6.opt.linkaddr": ["02:00:5e:10:00:01"],
      };
    case "home-agent-address-discovery-reply":
      return { "icmpv6.mip6.home_agent_address": [...message.addresses] };
    case "mobile-prefix-advertisement":
      return {
        "icmpv6.mip6.flag.m": [bit(message.flags.managedAddresses)],
        "icmpv6.mip6.flag.o": [bit(message.flags.otherConfiguration)],
      };
    default:
      return {};
  }
}

function ndOptionFields(options: readonly NdOption[]): Record<string, string[]> {
  const fields: Record<string, string[]> = {};
  for (const option of options) {
    if (option.kind === "prefix-information") {
      fields["icmpv6.opt.prefix"] = [option.prefix];
      fields["icmpv6.opt.prefix.length"] = [`${option.prefixLength}`];
      fields["icmpv6.opt.prefix.flag.l"] = [bit(option.flags.onLink)];
      fields["icmpv6.opt.prefix.flag.a"] = [bit(option.flags.autonomous)];
      fields["icmpv6.opt.prefix.flag.r"] = [bit(option.flags.routerAddress)];
      fields["icmpv6.opt.prefix.valid_lifetime"] = [`${option.validLifetimeSeconds}`];
      fields["icmpv6.opt.prefix.preferred_lifetime"] = [`${option.preferredLifetimeSeconds}`];
    } else if (option.kind === "advertisement-interval") {
      fields["icmpv6.opt.advertisement_interval"] = [`${option.milliseconds}`];
    } else if (option.kind === "home-agent-information") {
      fields["icmpv6.opt.home_agent_preference"] = [`${option.preference}`];
      fields["icmpv6.opt.home_agent_lifetime"] = [`${option.lifetimeSeconds}`];
    } else if (option.kind === "mtu") {
      fields["icmpv6.opt.mtu"] = [`${option.mtu}`];
    }
  }
  return fields;
}

t.test("a gratuitous ARP frame is one", { skip }, (t) => {
  check(t, LINK_TYPE.ethernet, [
    {
      name: "gratuitous",
      packet: gratuitousArp(fromHex("02005e100001"), ipv4("192.0.2.10")),
      fields: {
        "arp.opcode": ["1"],
        "arp.isgratuitous": ["1"],
        "arp.src.hw_mac": ["02:00:5e:10:00:01"],
        "arp.src.proto_ipv4": ["192.0.2.10"],
        "arp.dst.proto_ipv4": ["192.0.2.10"],
      },
    },
  ]);
  t.end();
});

t.test("the judge notices a wrong packet", { skip }, (t) => {
  const bytes = encoded(vectorNamed("T-01"));
  const packet = ipv6Packet(HOA, HA, Protocol.mobility, bytes.subarray(0, 20));
  const fields = { "mip6.mhtype": ["6"], "ipv6.hlim": ["64"] };
  const found = differences(LINK_TYPE.rawIp, [{ name: "cut", packet, fields }]);
  t.ok(found.some((text) => text.includes("mip6.mhtype is 5, not 6")));
  t.ok(found.some((text) => text.includes("_ws.malformed")));
  t.notOk(found.some((text) => text.includes("ipv6.hlim")));
  t.end();
});
