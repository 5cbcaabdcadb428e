/**
 * Each clause is a wording and the kernel's expressions: that they say the same. What is expected is what nft 1.0.6 makes of the wording
 * (`nft -c --debug=netlink`), where ours goes another way on purpose told beside it.
 */
import t from "tap";
import { fromHex } from "../../../../controller/base/bytes.js";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import type { Hex, NftExpression } from "../../../../controller/plan/objects/firewall.js";
import {
  type Clause,
  innerField,
  innerPrefix,
  KEY,
  rule as ruleOf,
} from "../../../../controller/plan/objects/nft-clause.js";
import * as matches from "../../../../controller/plan/objects/nft-matches.js";
import * as verdicts from "../../../../controller/plan/objects/nft-verdicts.js";
import * as writes from "../../../../controller/plan/objects/nft-writes.js";

const clauses = { ...matches, ...writes, ...verdicts, innerField, innerPrefix, KEY, rule: ruleOf };

/** What of the vocabulary stands in the table below. */
const told = new Set<string | symbol>();
const nft = new Proxy(clauses, {
  get: (all, name) => {
    told.add(name);
    return Reflect.get(all, name);
  },
});

const FOUR = ipv4("203.0.113.1");
const SIX = ipv6("2001:db8:1::100");
const FIELDS = [nft.KEY.ip4Source, nft.KEY.udpSource, nft.innerField(16, 16)];
const BUCKET = { perSecond: 10, burst: 20 };

/** nft prints registers as words in the machine's order, with zeros behind the last octet. */
function value(hex: Hex): string {
  const octets = fromHex(hex.padEnd(Math.ceil(hex.length / 8) * 8, "0"));
  const view = new DataView(octets.buffer, octets.byteOffset, octets.length);
  const words: string[] = [];
  for (let at = 0; at < octets.length; at += 4)
    words.push(`0x${view.getUint32(at, true).toString(16).padStart(8, "0")}`);
  return words.join(" ");
}

/** Register 8 begins where 1 does, and nft says 1. */
const name = (register: number): string => `reg ${register === 8 ? 1 : register}`;

/** As nft prints it. */
function line(one: NftExpression): string {
  switch (one.type) {
    case "meta":
      return `meta load ${one.key} => ${name(one.register)}`;
    case "meta-set":
      return `meta set ${one.key} with ${name(one.register)}`;
    case "payload":
      return `payload load ${one.length}b @ ${one.base} header + ${one.offset} => ${name(one.register)}`;
    case "payload-set": {
      const checksum = `csum_type ${one.checksum === "inet" ? 1 : 0} csum_off ${one.checksumOffset}`;
      const where = `${one.length}b @ ${one.base} header + ${one.offset}`;
      return `payload write ${name(one.register)} => ${where} ${checksum} csum_flags ${one.pseudoHeader ? "0x1" : "0x0"}`;
    }
    case "compare":
      return `cmp ${one.op} ${name(one.register)} ${value(one.value)}`;
    case "bitwise":
      return `bitwise ${name(one.destination)} = ( ${name(one.source)} & ${value(one.mask)} ) ^ ${value(one.xor)}`;
    case "lookup": {
      const to = one.destination === undefined ? "" : ` dreg ${one.destination}`;
      return `lookup ${name(one.register)} set ${one.set}${to}${one.negate ? " 0x1" : ""}`;
    }
    case "immediate":
      return `immediate ${name(one.register)} ${value(one.value)}`;
    case "verdict":
      return `immediate reg 0 ${one.verdict}${one.chain === undefined ? "" : ` -> ${one.chain}`}`;
    case "count":
      return `objref type 1 name ${one.counter}`;
    case "limit":
      return limit(one);
    case "meter":
      return `${dynamic(one)} expr [ ${limit(one)} ]`;
    case "remember":
      return dynamic(one);
    case "notrack":
      return "notrack";
  }
}
const limit = ({ perSecond, burst, over }: { perSecond: number; burst: number; over: boolean }): string =>
  `limit rate ${perSecond}/second burst ${burst} type packets flags ${over ? "0x1" : "0x0"}`;
const dynamic = ({ register, set }: { register: number; set: string }): string =>
  `dynset update reg_key ${name(register).slice(4)} set ${set}`;

/**
 * Ours differ from nft's in this: icmpv6 stands where the family is known; a changed port or address leaves UDP's checksum to clearUdpChecksum; nft reads the type of
 * "@th,0,16 & 0x0ff0 ^ 0x6000" otherwise, and its expressions are those of the wording by hand. nft takes raw octets neither as a map's key
 * nor as what it gives: there the lookup is that of typed fields. A copy's destination from a tag leaves the transport checksum, which is the
 * group's. Where nft reads the family first, ours stands behind a clause that has done so.
 */
const CLAUSES: readonly (readonly [clause: Clause, text: string, lines: readonly string[]])[] = [
  [
    nft.ipField("saddr", FOUR),
    "ip saddr 203.0.113.1",
    [
      "meta load nfproto => reg 1",
      "cmp eq reg 1 0x00000002",
      "payload load 4b @ network header + 12 => reg 1",
      "cmp eq reg 1 0x017100cb",
    ],
  ],
  [
    nft.ipField("daddr", FOUR),
    "ip daddr 203.0.113.1",
    [
      "meta load nfproto => reg 1",
      "cmp eq reg 1 0x00000002",
      "payload load 4b @ network header + 16 => reg 1",
      "cmp eq reg 1 0x017100cb",
    ],
  ],
  [
    nft.ipField("saddr", SIX),
    "ip6 saddr 2001:db8:1::100",
    [
      "meta load nfproto => reg 1",
      "cmp eq reg 1 0x0000000a",
      "payload load 16b @ network header + 8 => reg 1",
      "cmp eq reg 1 0xb80d0120 0x00000100 0x00000000 0x00010000",
    ],
  ],
  [
    nft.ipField("daddr", SIX),
    "ip6 daddr 2001:db8:1::100",
    [
      "meta load nfproto => reg 1",
      "cmp eq reg 1 0x0000000a",
      "payload load 16b @ network header + 24 => reg 1",
      "cmp eq reg 1 0xb80d0120 0x00000100 0x00000000 0x00010000",
    ],
  ],
  [
    nft.toInternalAddresses,
    "ip daddr 240.0.0.0/8",
    [
      "meta load nfproto => reg 1",
      "cmp eq reg 1 0x00000002",
      "payload load 1b @ network header + 16 => reg 1",
      "cmp eq reg 1 0x000000f0",
    ],
  ],
  [nft.l4proto(17), "meta l4proto udp", ["meta load l4proto => reg 1", "cmp eq reg 1 0x00000011"]],
  [nft.l4proto(41), "meta l4proto 41", ["meta load l4proto => reg 1", "cmp eq reg 1 0x00000029"]],
  [nft.l4protoFrom(51), "meta l4proto >= 51", ["meta load l4proto => reg 1", "cmp gte reg 1 0x00000033"]],
  [
    nft.udpPort("sport", 4191),
    "udp sport 4191",
    [
      "meta load l4proto => reg 1",
      "cmp eq reg 1 0x00000011",
      "payload load 2b @ transport header + 0 => reg 1",
      "cmp eq reg 1 0x00005f10",
    ],
  ],
  [
    nft.udpPort("dport", 4191),
    "udp dport 4191",
    [
      "meta load l4proto => reg 1",
      "cmp eq reg 1 0x00000011",
      "payload load 2b @ transport header + 2 => reg 1",
      "cmp eq reg 1 0x00005f10",
    ],
  ],
  [
    nft.mobilityHeader(6),
    "@th,16,8 6 meta l4proto 135",
    [
      "payload load 1b @ transport header + 2 => reg 1",
      "cmp eq reg 1 0x00000006",
      "meta load l4proto => reg 1",
      "cmp eq reg 1 0x00000087",
    ],
  ],
  [
    nft.mobilityHeaderAbove(7),
    "@th,16,8 > 7 meta l4proto 135",
    [
      "payload load 1b @ transport header + 2 => reg 1",
      "cmp gt reg 1 0x00000007",
      "meta load l4proto => reg 1",
      "cmp eq reg 1 0x00000087",
    ],
  ],
  [
    nft.icmpv6(146),
    "icmpv6 type 146",
    [
      "meta load l4proto => reg 1",
      "cmp eq reg 1 0x0000003a",
      "payload load 1b @ transport header + 0 => reg 1",
      "cmp eq reg 1 0x00000092",
    ],
  ],
  [
    nft.type2RoutingHeader,
    "meta nfproto ipv6 @nh,48,8 43 @nh,336,8 2",
    [
      "meta load nfproto => reg 1",
      "cmp eq reg 1 0x0000000a",
      "payload load 1b @ network header + 6 => reg 1",
      "cmp eq reg 1 0x0000002b",
      "payload load 1b @ network header + 42 => reg 1",
      "cmp eq reg 1 0x00000002",
    ],
  ],
  [
    nft.homeAddressOption,
    "meta nfproto ipv6 @nh,48,8 60 @nh,368,16 0xc910",
    [
      "meta load nfproto => reg 1",
      "cmp eq reg 1 0x0000000a",
      "payload load 1b @ network header + 6 => reg 1",
      "cmp eq reg 1 0x0000003c",
      "payload load 2b @ network header + 46 => reg 1",
      "cmp eq reg 1 0x000010c9",
    ],
  ],
  [nft.isAuthenticated, "meta ipsec exists", ["meta load secpath => reg 1", "cmp eq reg 1 0x00000001"]],
  [
    nft.inputDevices("dsmip-in"),
    'iifname "dsmip-in*"',
    ["meta load iifname => reg 1", "cmp eq reg 1 0x696d7364 0x6e692d70"],
  ],
  [
    nft.innerVersion(8, 4),
    "@th,64,4 4",
    [
      "payload load 1b @ transport header + 8 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x000000f0 ) ^ 0x00000000",
      "cmp eq reg 1 0x00000040",
    ],
  ],
  [
    nft.innerVersion(8, 6),
    "@th,64,4 6",
    [
      "payload load 1b @ transport header + 8 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x000000f0 ) ^ 0x00000000",
      "cmp eq reg 1 0x00000060",
    ],
  ],
  [
    nft.innerAddress(16, FOUR),
    "@th,128,32 0xcb007101",
    ["payload load 4b @ transport header + 16 => reg 1", "cmp eq reg 1 0x017100cb"],
  ],
  [
    nft.innerAddress(32, SIX),
    "@th,256,128 0x20010db8000100000000000000000100",
    ["payload load 16b @ transport header + 32 => reg 1", "cmp eq reg 1 0xb80d0120 0x00000100 0x00000000 0x00010000"],
  ],
  [
    nft.innerLinkLocal(8),
    "@th,64,10 0x3fa",
    [
      "payload load 2b @ transport header + 8 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x0000c0ff ) ^ 0x00000000",
      "cmp eq reg 1 0x000080fe",
    ],
  ],
  [
    nft.keyIn([nft.KEY.ip4SourceNetwork, nft.innerField(16, 16)], "networks"),
    "@nh,96,16 . @th,128,128 @networks",
    [
      "payload load 2b @ network header + 12 => reg 1",
      "payload load 16b @ transport header + 16 => reg 9",
      "lookup reg 1 set networks",
    ],
  ],
  [
    nft.innerOctet(14, 50),
    "@th,112,8 50",
    ["payload load 1b @ transport header + 14 => reg 1", "cmp eq reg 1 0x00000032"],
  ],
  [
    nft.innerOctetIn(14, "octets"),
    "@th,112,8 @octets",
    ["payload load 1b @ transport header + 14 => reg 1", "lookup reg 1 set octets"],
  ],
  [
    nft.hasTransportHeader,
    "@th,0,24 >= 0",
    ["payload load 3b @ transport header + 0 => reg 1", "cmp gte reg 1 0x00000000"],
  ],
  [
    nft.keyIn(FIELDS, "pairs"),
    "ip saddr . udp sport . @th,128,128 @pairs",
    [
      "payload load 4b @ network header + 12 => reg 1",
      "payload load 2b @ transport header + 0 => reg 9",
      "payload load 16b @ transport header + 16 => reg 10",
      "lookup reg 1 set pairs",
    ],
  ],
  [
    nft.keyIn([nft.KEY.ip6Source], "sources-6"),
    "ip6 saddr @sources-6",
    ["payload load 16b @ network header + 8 => reg 1", "lookup reg 1 set sources-6"],
  ],
  [
    nft.beyond([nft.KEY.ip4Source], "meters", BUCKET),
    "update @meters { ip saddr limit rate over 10/second burst 20 packets }",
    [
      "payload load 4b @ network header + 12 => reg 1",
      "dynset update reg_key 1 set meters expr [ limit rate 10/second burst 20 type packets flags 0x1 ]",
    ],
  ],
  [
    nft.remember([nft.KEY.ip4Source], "meters"),
    "update @meters { ip saddr }",
    ["payload load 4b @ network header + 12 => reg 1", "dynset update reg_key 1 set meters"],
  ],
  [
    nft.within(BUCKET),
    "limit rate 10/second burst 20 packets",
    ["limit rate 10/second burst 20 type packets flags 0x0"],
  ],
  [
    nft.setDestinationPortFrom([nft.KEY.ip4Destination], "ports"),
    "udp dport set ip daddr map @ports",
    [
      "payload load 4b @ network header + 16 => reg 1",
      "lookup reg 1 set ports dreg 1",
      "payload write reg 1 => 2b @ transport header + 2 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [
    nft.setUdpPort("sport", 4191),
    "udp sport set 4191",
    [
      "immediate reg 1 0x00005f10",
      "payload write reg 1 => 2b @ transport header + 0 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [
    nft.setUdpPort("dport", 4192),
    "udp dport set 4192",
    [
      "immediate reg 1 0x00006010",
      "payload write reg 1 => 2b @ transport header + 2 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [
    nft.clearUdpChecksum,
    "udp checksum set 0",
    [
      "immediate reg 1 0x00000000",
      "payload write reg 1 => 2b @ transport header + 6 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [
    nft.setIpv4Source(FOUR),
    "ip saddr set 203.0.113.1",
    [
      "immediate reg 1 0x017100cb",
      "payload write reg 1 => 4b @ network header + 12 csum_type 1 csum_off 10 csum_flags 0x0",
    ],
  ],
  [
    nft.setIpv4Ttl(64),
    "ip ttl set 64",
    [
      "payload load 2b @ network header + 8 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x0000ff00 ) ^ 0x00000040",
      "payload write reg 1 => 2b @ network header + 8 csum_type 1 csum_off 10 csum_flags 0x0",
    ],
  ],
  [nft.ttlIsNot(4, 64), "ip ttl != 64", ["payload load 1b @ network header + 8 => reg 1", "cmp neq reg 1 0x00000040"]],
  [
    nft.ttlIsNot(6, 64),
    "ip6 hoplimit != 64",
    ["payload load 1b @ network header + 7 => reg 1", "cmp neq reg 1 0x00000040"],
  ],
  [
    nft.setIpv4Dscp(46),
    "ip dscp set 46",
    [
      "payload load 2b @ network header + 0 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x000003ff ) ^ 0x0000b800",
      "payload write reg 1 => 2b @ network header + 0 csum_type 1 csum_off 10 csum_flags 0x0",
    ],
  ],
  [
    nft.setIpv6Dscp(46),
    "ip6 dscp set 46",
    [
      "payload load 2b @ network header + 0 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x00003ff0 ) ^ 0x0000800b",
      "payload write reg 1 => 2b @ network header + 0 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [
    nft.setIpv6HopLimit(64),
    "ip6 hoplimit set 64",
    [
      "immediate reg 1 0x00000040",
      "payload write reg 1 => 1b @ network header + 7 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [nft.family(4), "meta nfproto ipv4", ["meta load nfproto => reg 1", "cmp eq reg 1 0x00000002"]],
  [nft.family(6), "meta nfproto ipv6", ["meta load nfproto => reg 1", "cmp eq reg 1 0x0000000a"]],
  [
    nft.markIs({ value: 0x1234, mask: 0xffff }),
    "meta mark & 0xffff == 0x1234",
    ["meta load mark => reg 1", "bitwise reg 1 = ( reg 1 & 0x0000ffff ) ^ 0x00000000", "cmp eq reg 1 0x00001234"],
  ],
  [
    nft.markIs({ value: 0x81c24de9, mask: 0xfff7ffff }),
    "meta mark & 0xfff7ffff == 0x81c24de9",
    ["meta load mark => reg 1", "bitwise reg 1 = ( reg 1 & 0xfff7ffff ) ^ 0x00000000", "cmp eq reg 1 0x81c24de9"],
  ],
  [
    nft.setMarkBit(0x4000000),
    "meta mark set meta mark | 0x4000000",
    ["meta load mark => reg 1", "bitwise reg 1 = ( reg 1 & 0xfbffffff ) ^ 0x04000000", "meta set mark with reg 1"],
  ],
  [
    nft.copyClassFromIpv6,
    "@nh,0,16 set @th,0,16 & 0x0ff0 ^ 0x6000",
    [
      "payload load 2b @ transport header + 0 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x0000f00f ) ^ 0x00000060",
      "payload write reg 1 => 2b @ network header + 0 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [
    nft.copyClassFromIpv4("classes"),
    "@nh,0,16 set @th,0,16 & 0x00ff map @classes",
    [
      "payload load 2b @ transport header + 0 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x0000ff00 ) ^ 0x00000000",
      "lookup reg 1 set classes dreg 1",
      "payload write reg 1 => 2b @ network header + 0 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [nft.isUnauthenticated, "meta ipsec missing", ["meta load secpath => reg 1", "cmp eq reg 1 0x00000000"]],
  [
    nft.fromMapped,
    "meta nfproto ipv6 @nh,144,16 0xffff @nh,64,96 0x00000000000000000000ffff",
    [
      "meta load nfproto => reg 1",
      "cmp eq reg 1 0x0000000a",
      "payload load 2b @ network header + 18 => reg 1",
      "cmp eq reg 1 0x0000ffff",
      "payload load 12b @ network header + 8 => reg 1",
      "cmp eq reg 1 0x00000000 0x00000000 0xffff0000",
    ],
  ],
  [
    nft.innerMapped(8),
    "@th,64,96 0x00000000000000000000ffff",
    ["payload load 12b @ transport header + 8 => reg 1", "cmp eq reg 1 0x00000000 0x00000000 0xffff0000"],
  ],
  [
    nft.innerAddressIn(16, { address: ipv4("203.0.113.0"), length: 24 }),
    "@th,128,32 & 0xffffff00 == 0xcb007100",
    [
      "payload load 4b @ transport header + 16 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x00ffffff ) ^ 0x00000000",
      "cmp eq reg 1 0x007100cb",
    ],
  ],
  [
    nft.keyIn([nft.innerPrefix(8, 6, 60)], "networks"),
    "@th,64,128 & 0xfffffffffffffff00000000000000000 @networks",
    [
      "payload load 16b @ transport header + 8 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0xffffffff 0xf0ffffff 0x00000000 0x00000000 ) ^ 0x00000000 0x00000000 0x00000000 0x00000000",
      "lookup reg 1 set networks",
    ],
  ],
  [
    nft.correctDestinationPortFrom([nft.innerField(24, 16)], "ports"),
    "udp dport set @th,192,128 map @ports",
    [
      "payload load 16b @ transport header + 24 => reg 1",
      "lookup reg 1 set ports dreg 1",
      "payload write reg 1 => 2b @ transport header + 2 csum_type 1 csum_off 6 csum_flags 0x0",
    ],
  ],
  [
    nft.setIpv6DestinationFrom([nft.innerField(24, 16)], "ends"),
    "ip6 daddr set @th,192,128 map @ends",
    [
      "payload load 16b @ transport header + 24 => reg 1",
      "lookup reg 1 set ends dreg 1",
      "payload write reg 1 => 16b @ network header + 24 csum_type 0 csum_off 0 csum_flags 0x1",
    ],
  ],
  [
    nft.innerMappedTo6to4(8),
    "@th,80,32 set @th,160,32 @th,64,16 set 0x2002 @th,112,48 set 0",
    [
      "payload load 4b @ transport header + 20 => reg 1",
      "payload write reg 1 => 4b @ transport header + 10 csum_type 0 csum_off 0 csum_flags 0x0",
      "immediate reg 1 0x00000220",
      "payload write reg 1 => 2b @ transport header + 8 csum_type 0 csum_off 0 csum_flags 0x0",
      "immediate reg 1 0x00000000 0x00000000",
      "payload write reg 1 => 6b @ transport header + 14 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [
    nft.setInnerMapped(8),
    "@th,64,96 set 0x00000000000000000000ffff",
    [
      "immediate reg 1 0x00000000 0x00000000 0xffff0000",
      "payload write reg 1 => 12b @ transport header + 8 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [nft.from6to4, "@nh,64,16 0x2002", ["payload load 2b @ network header + 8 => reg 1", "cmp eq reg 1 0x00000220"]],
  [
    nft.correctUdpPort("sport", 4191),
    "udp sport set 4191",
    [
      "immediate reg 1 0x00005f10",
      "payload write reg 1 => 2b @ transport header + 0 csum_type 1 csum_off 6 csum_flags 0x0",
    ],
  ],
  [
    nft.outputDevice("dsmip-hoa"),
    'oifname "dsmip-hoa"',
    ["meta load oifname => reg 1", "cmp eq reg 1 0x696d7364 0x6f682d70 0x00000061 0x00000000"],
  ],
  [
    nft.setSource(FOUR),
    "ip saddr set 203.0.113.1",
    [
      "immediate reg 1 0x017100cb",
      "payload write reg 1 => 4b @ network header + 12 csum_type 1 csum_off 10 csum_flags 0x1",
    ],
  ],
  [
    nft.setSource(SIX),
    "ip6 saddr set 2001:db8:1::100",
    [
      "immediate reg 1 0xb80d0120 0x00000100 0x00000000 0x00010000",
      "payload write reg 1 => 16b @ network header + 8 csum_type 0 csum_off 0 csum_flags 0x1",
    ],
  ],
  [
    nft.setDestination(FOUR),
    "ip daddr set 203.0.113.1",
    [
      "immediate reg 1 0x017100cb",
      "payload write reg 1 => 4b @ network header + 16 csum_type 1 csum_off 10 csum_flags 0x1",
    ],
  ],
  [
    nft.setDestination(SIX),
    "ip6 daddr set 2001:db8:1::100",
    [
      "immediate reg 1 0xb80d0120 0x00000100 0x00000000 0x00010000",
      "payload write reg 1 => 16b @ network header + 24 csum_type 0 csum_off 0 csum_flags 0x1",
    ],
  ],
  [
    nft.singleHop(4),
    "ip ttl 1 ip ttl set 2",
    [
      "payload load 1b @ network header + 8 => reg 1",
      "cmp eq reg 1 0x00000001",
      "payload load 2b @ network header + 8 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x0000ff00 ) ^ 0x00000002",
      "payload write reg 1 => 2b @ network header + 8 csum_type 1 csum_off 10 csum_flags 0x0",
    ],
  ],
  [
    nft.singleHop(6),
    "ip6 hoplimit 1 ip6 hoplimit set 2",
    [
      "payload load 1b @ network header + 7 => reg 1",
      "cmp eq reg 1 0x00000001",
      "immediate reg 1 0x00000002",
      "payload write reg 1 => 1b @ network header + 7 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [
    nft.hideInner6to4(0),
    "@th,192,16 0x2002 @th,192,16 set 0x0141",
    [
      "payload load 2b @ transport header + 24 => reg 1",
      "cmp eq reg 1 0x00000220",
      "immediate reg 1 0x00004101",
      "payload write reg 1 => 2b @ transport header + 24 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [
    nft.show6to4(nft.inputDevices("dsmip-in")),
    'meta nfproto ipv6 @nh,192,16 0x0141 iifname "dsmip-in*" @nh,192,16 set 0x2002',
    [
      "meta load nfproto => reg 1",
      "cmp eq reg 1 0x0000000a",
      "payload load 2b @ network header + 24 => reg 1",
      "cmp eq reg 1 0x00004101",
      "meta load iifname => reg 1",
      "cmp eq reg 1 0x696d7364 0x6e692d70",
      "immediate reg 1 0x00000220",
      "payload write reg 1 => 2b @ network header + 24 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [
    nft.setNetworkControl,
    "@nh,0,32 set 0x6c000000",
    [
      "immediate reg 1 0x0000006c",
      "payload write reg 1 => 4b @ network header + 0 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [nft.clearMark, "meta mark set 0", ["immediate reg 1 0x00000000", "meta set mark with reg 1"]],
  [
    nft.inputDevice("visit"),
    'iifname "visit"',
    ["meta load iifname => reg 1", "cmp eq reg 1 0x69736976 0x00000074 0x00000000 0x00000000"],
  ],
  [
    nft.sourceIn({ address: ipv4("192.0.2.1"), length: 20 }),
    "ip saddr 192.0.0.0/20",
    [
      "payload load 4b @ network header + 12 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x00f0ffff ) ^ 0x00000000",
      "cmp eq reg 1 0x000000c0",
    ],
  ],
  [
    nft.toManyIpv4,
    "ip daddr 224.0.0.0/3",
    [
      "payload load 1b @ network header + 16 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x000000e0 ) ^ 0x00000000",
      "cmp eq reg 1 0x000000e0",
    ],
  ],
  [
    nft.setMarkFrom([nft.KEY.etherSource, nft.KEY.ip4Source], "senders"),
    "meta mark set ether saddr . ip saddr map @senders",
    [
      "payload load 6b @ link header + 6 => reg 1",
      "payload load 4b @ network header + 12 => reg 10",
      "lookup reg 1 set senders dreg 1",
      "meta set mark with reg 1",
    ],
  ],
  [
    nft.setIpv4DestinationFromMark("agents"),
    "ip daddr set meta mark map @agents",
    [
      "meta load mark => reg 1",
      "lookup reg 1 set agents dreg 1",
      "payload write reg 1 => 4b @ network header + 16 csum_type 1 csum_off 10 csum_flags 0x0",
    ],
  ],
  [nft.packetToHost, "meta pkttype set host", ["immediate reg 1 0x00000000", "meta set pkttype with reg 1"]],
  [
    nft.markFromTag,
    "meta mark set @ll,48,32",
    ["payload load 4b @ link header + 6 => reg 1", "meta set mark with reg 1"],
  ],
  [
    nft.setDestinationFromTag(6, "members"),
    "ip6 daddr set @ll,80,16 map @members",
    [
      "payload load 2b @ link header + 10 => reg 1",
      "lookup reg 1 set members dreg 1",
      "payload write reg 1 => 16b @ network header + 24 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [
    nft.setDestinationFromTag(4, "members"),
    "ip daddr set @ll,80,16 map @members",
    [
      "payload load 2b @ link header + 10 => reg 1",
      "lookup reg 1 set members dreg 1",
      "payload write reg 1 => 4b @ network header + 16 csum_type 1 csum_off 10 csum_flags 0x0",
    ],
  ],
  [
    nft.innerMulticastListener(8),
    "@th,128,10 0x3fa @th,256,8 255 @th,112,8 0",
    [
      "payload load 2b @ transport header + 16 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x0000c0ff ) ^ 0x00000000",
      "cmp eq reg 1 0x000080fe",
      "payload load 1b @ transport header + 32 => reg 1",
      "cmp eq reg 1 0x000000ff",
      "payload load 1b @ transport header + 14 => reg 1",
      "cmp eq reg 1 0x00000000",
    ],
  ],
  [
    nft.setInnerFlow(8, [nft.KEY.ip4Source, nft.KEY.udpSource], "reports"),
    "@th,64,32 set ip saddr . udp sport map @reports",
    [
      "payload load 4b @ network header + 12 => reg 1",
      "payload load 2b @ transport header + 0 => reg 9",
      "lookup reg 1 set reports dreg 1",
      "payload write reg 1 => 4b @ transport header + 8 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [
    nft.setInnerGroup(6, 28, "groups"),
    "@nh,416,128 set meta mark map @groups meta mark set 0",
    [
      "meta load mark => reg 1",
      "lookup reg 1 set groups dreg 1",
      "payload write reg 1 => 16b @ network header + 52 csum_type 0 csum_off 0 csum_flags 0x0",
      "immediate reg 1 0x00000000",
      "meta set mark with reg 1",
    ],
  ],
  [
    nft.setInnerGroup(4, 40, "groups"),
    "@nh,448,32 set meta mark map @groups meta mark set 0",
    [
      "meta load mark => reg 1",
      "lookup reg 1 set groups dreg 1",
      "payload write reg 1 => 4b @ network header + 56 csum_type 1 csum_off 50 csum_flags 0x0",
      "immediate reg 1 0x00000000",
      "meta set mark with reg 1",
    ],
  ],
  [
    nft.innerOctetAbove(9, 63),
    "@th,72,8 > 63",
    ["payload load 1b @ transport header + 9 => reg 1", "cmp gt reg 1 0x0000003f"],
  ],
  [
    nft.innerOctets(0, "000086dd"),
    "@th,0,32 0x000086dd",
    ["payload load 4b @ transport header + 0 => reg 1", "cmp eq reg 1 0xdd860000"],
  ],
  [
    nft.innerMayFragment(4),
    "@th,80,16 & 0x4000 == 0x0000",
    [
      "payload load 2b @ transport header + 10 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x00000040 ) ^ 0x00000000",
      "cmp eq reg 1 0x00000000",
    ],
  ],
  [
    nft.ipv4Dscp(46),
    "ip dscp 46",
    [
      "payload load 1b @ network header + 1 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x000000fc ) ^ 0x00000000",
      "cmp eq reg 1 0x000000b8",
    ],
  ],
  [
    nft.copyInnerClass(12),
    "@nh,0,16 set @th,96,16",
    [
      "payload load 2b @ transport header + 12 => reg 1",
      "payload write reg 1 => 2b @ network header + 0 csum_type 1 csum_off 10 csum_flags 0x0",
    ],
  ],
  [
    nft.copyInnerEcn(4, 46),
    "@nh,0,16 set @th,32,16 & 0xff03 ^ 0x00b8",
    [
      "payload load 2b @ transport header + 4 => reg 1",
      "bitwise reg 1 = ( reg 1 & 0x000003ff ) ^ 0x0000b800",
      "payload write reg 1 => 2b @ network header + 0 csum_type 1 csum_off 10 csum_flags 0x0",
    ],
  ],
  // nft corrects a UDP checksum that does not count here: it is cleared.
  [
    nft.setInnerOctets(8, "04"),
    "@th,64,8 set 0x04",
    [
      "immediate reg 1 0x00000004",
      "payload write reg 1 => 1b @ transport header + 8 csum_type 0 csum_off 0 csum_flags 0x0",
    ],
  ],
  [
    nft.clearDontFragment,
    "ip frag-off set 0",
    [
      "immediate reg 1 0x00000000",
      "payload write reg 1 => 2b @ network header + 6 csum_type 1 csum_off 10 csum_flags 0x0",
    ],
  ],
  [
    nft.clearMarkBit(0x01000000),
    "meta mark set meta mark & 0xfeffffff",
    ["meta load mark => reg 1", "bitwise reg 1 = ( reg 1 & 0xfeffffff ) ^ 0x00000000", "meta set mark with reg 1"],
  ],
  [nft.notrack, "notrack", ["notrack"]],
  [nft.accept, "accept", ["immediate reg 0 accept"]],
  [nft.drop, "drop", ["immediate reg 0 drop"]],
  [nft.jump("there"), "jump there", ["immediate reg 0 jump -> there"]],
  [nft.count("hits"), "counter name hits", ["objref type 1 name hits"]],
];

/** What makes no clause. */
const OTHERS = ["rule"];
const untold = Object.keys(clauses).filter((name) => !told.has(name) && !OTHERS.includes(name));
t.strictSame(untold, [], "every clause has its row");

for (const [clause, text, lines] of CLAUSES)
  t.test(text, async (test) => {
    test.equal(clause.text, text);
    test.strictSame(clause.expressions.map(line), lines);
  });

t.test("a rule says and does its clauses one after the other", async (test) => {
  const rule = nft.rule(nft.family(4), nft.count("hits"), nft.drop);
  test.equal(rule.text, "meta nfproto ipv4 counter name hits drop");
  test.strictSame(rule.expressions.map(line), [
    "meta load nfproto => reg 1",
    "cmp eq reg 1 0x00000002",
    "objref type 1 name hits",
    "immediate reg 0 drop",
  ]);
});
