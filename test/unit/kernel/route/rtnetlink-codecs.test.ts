/** What the rtnetlink codecs refuse, what they change in place, and what they make of strangers' objects and of any octets. */
import fc from "fast-check";
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { DecodeError, EncodeError } from "../../../../controller/base/errors.js";
import { type IpAddress, ipToBytes, ipv4, ipv6, parsePrefix } from "../../../../controller/base/ip.js";
import type { KernelNames } from "../../../../controller/kernel/codec.js";
import { addressCodec } from "../../../../controller/kernel/route/address.js";
import { fouCodec } from "../../../../controller/kernel/route/fou.js";
import { encodeLinkHeader, encodeRuleHeader } from "../../../../controller/kernel/route/headers.js";
import { linkCodec } from "../../../../controller/kernel/route/link.js";
import { permanentNeighbourCodec, proxyNeighbourCodec } from "../../../../controller/kernel/route/neighbour.js";
import { routeCodec } from "../../../../controller/kernel/route/route.js";
import { ruleCodec } from "../../../../controller/kernel/route/rule.js";
import { AttributeWriter, readAttributes } from "../../../../controller/netlink/attribute.js";
import * as rt from "../../../../controller/netlink/rtnetlink.js";
import type { Ip6TunnelLink, Link, Route, Rule, SitLink } from "../../../../controller/plan/objects/forwarding.js";

const NAMES: KernelNames = { interfaceIndex: () => 2, interfaceName: (index) => (index === 2 ? "wan" : undefined) };
const prefix = (text: string) => parsePrefix(text) ?? { address: ipv6("::"), length: 0 };
const SIT: SitLink = {
  type: "sit",
  local: ipv4("203.0.113.1"),
  ttl: 64,
  trafficClass: "inherit",
  pathMtuDiscovery: true,
};
const TUNNEL: Ip6TunnelLink = {
  type: "ip6tnl",
  external: false,
  local: ipv6("2001:db8::1"),
  remote: ipv6("2001:db8::2"),
  ttl: 64,
  trafficClass: 0,
};
const EXTERNAL: Ip6TunnelLink = { type: "ip6tnl", external: true, ttl: 64, trafficClass: 0 };
const link = (spec: Link["link"], changes: Partial<Link> = {}): Link => ({
  kind: "link",
  name: "dsmip0",
  mtu: 1400,
  up: true,
  link: spec,
  ...changes,
});
const ROUTE: Route = { kind: "route", destination: prefix("2001:db8:1::/64"), table: 254, metric: 100, device: "wan" };
const ROUTE4: Route = { ...ROUTE, destination: prefix("198.51.100.0/24") };

t.test("links that the kernel would bend or that are not ours to name", (t) => {
  const refused: readonly Link[] = [
    link(SIT, { name: "tunnel0" }),
    link(SIT, { name: "dsmip-a-long-name" }),
    link({ ...SIT, pathMtuDiscovery: false }),
    link({ ...SIT, trafficClass: 0xb9 }),
    link({ ...TUNNEL, trafficClass: 1 }),
    link({ ...EXTERNAL, local: ipv6("2001:db8::1") }),
  ];
  for (const one of refused) t.throws(() => linkCodec.create(one, NAMES), EncodeError);
  t.doesNotThrow(() => linkCodec.create(link({ ...SIT, ttl: 0, pathMtuDiscovery: false }), NAMES));
  t.end();
});

t.test("what of a link changes in place", (t) => {
  const messages = (to: Link["link"], from: Link["link"]): number | undefined =>
    linkCodec.update(link(to), link(from), NAMES)?.length;
  const udp = { sourcePort: 4191, destinationPort: 9 };
  t.equal(messages({ ...SIT, local: ipv4("203.0.113.2"), ttl: 3, trafficClass: 0xb8, udp }, SIT), 2);
  t.equal(messages({ ...SIT, remote: ipv4("203.0.113.3") }, { ...SIT, remote: ipv4("203.0.113.4") }), 2);
  t.equal(messages({ ...SIT, remote: ipv4("203.0.113.3") }, SIT), undefined, "NBMA stays NBMA");
  t.equal(messages({ ...TUNNEL, remote: ipv6("2001:db8::3"), ttl: 1 }, TUNNEL), 2);
  t.equal(messages(EXTERNAL, TUNNEL), undefined);
  t.equal(messages(TUNNEL, EXTERNAL), undefined);
  t.equal(messages({ ...EXTERNAL, ttl: 1 }, EXTERNAL), undefined, "an external device takes no changes");
  t.equal(messages({ type: "dummy" }, SIT), undefined);
  for (const spec of [SIT, TUNNEL, EXTERNAL, { type: "dummy" }, { type: "tun" }] as const) {
    const [only, ...more] = linkCodec.update(link(spec, { mtu: 1300, up: false }), link(spec), NAMES) ?? [];
    t.equal(only?.type, rt.RTM_SETLINK, `${spec.type}: MTU and state`);
    t.strictSame(more, []);
  }
  t.end();
});

t.test("a TUN device is not made here, only marked", (t) => {
  t.strictSame(
    linkCodec.create(link({ type: "tun" }), NAMES).map(({ type }) => type),
    [rt.RTM_SETLINK],
  );
  t.end();
});

t.test("links that are not ours: by alias, by name, by kind", (t) => {
  const message = (name: string, alias: string | undefined, kind: string, family = 0) => {
    const writer = new AttributeWriter()
      .raw(encodeLinkHeader({ family, index: 5 }))
      .string(rt.IFLA_IFNAME, name)
      .u32(rt.IFLA_MTU, 1400);
    if (alias !== undefined) writer.string(rt.IFLA_IFALIAS, alias);
    writer.nested(rt.IFLA_LINKINFO, (info) => info.string(rt.IFLA_INFO_KIND, kind));
    return { type: rt.RTM_NEWLINK, flags: 0, body: writer.finish() };
  };
  const kinds = (ownOnly: boolean, ...of: Parameters<typeof message>) =>
    linkCodec.decode(message(...of), NAMES, ownOnly)?.link.type;
  t.equal(kinds(true, "dsmip0", "dsmipd", "dummy"), "dummy");
  t.equal(kinds(true, "dsmip0", "else", "dummy"), undefined);
  t.equal(kinds(true, "eth0", "dsmipd", "dummy"), undefined);
  t.equal(kinds(false, "eth0", undefined, "dummy"), "dummy");
  t.equal(kinds(false, "eth0", undefined, "veth"), undefined);
  t.equal(kinds(false, "eth0", undefined, "dummy", 7), undefined, "a bridge about its port");
  t.equal(linkCodec.unfinished?.(message("dsmip0", undefined, "dummy")), true);
  t.equal(linkCodec.unfinished?.(message("dsmip0", "else", "dummy")), false);
  t.equal(linkCodec.unfinished?.(message("eth0", undefined, "dummy")), false);
  t.end();
});

t.test("which tunnels exclude each other", (t) => {
  const other = (spec: Link["link"]) => link(spec, { name: "dsmip1" });
  const excludes = (a: Link["link"], b: Link["link"]) => linkCodec.excludes?.(link(a), other(b));
  t.equal(excludes(SIT, { ...SIT, ttl: 1, udp: { sourcePort: 1, destinationPort: 2 } }), true);
  t.equal(excludes(SIT, { ...SIT, remote: ipv4("203.0.113.9") }), false);
  t.equal(excludes(TUNNEL, { ...TUNNEL, ttl: 1 }), true);
  t.equal(excludes(EXTERNAL, EXTERNAL), true);
  t.equal(excludes(TUNNEL, EXTERNAL), false);
  t.equal(excludes({ type: "dummy" }, { type: "dummy" }), false);
  t.equal(linkCodec.excludes?.(link(SIT), link(SIT)), false, "not itself");
  t.end();
});

t.test("routes that the kernel would bend", (t) => {
  t.throws(() => routeCodec.create({ ...ROUTE, metric: 0 }, NAMES), EncodeError);
  t.throws(() => routeCodec.create({ ...ROUTE, via: ipv4("203.0.113.1") }, NAMES), EncodeError);
  t.throws(() => routeCodec.create({ ...ROUTE, preferredSource: ipv4("203.0.113.1") }, NAMES), EncodeError);
  t.end();
});

t.test("an IPv4 route via an IPv6 gateway", (t) => {
  const object: Route = { ...ROUTE4, via: ipv6("fe80::1") };
  const [request] = routeCodec.create(object, NAMES);
  const via = readAttributes(request?.body.subarray(12) ?? new Uint8Array(0)).get(rt.RTA_VIA)?.payload;
  t.equal(via && toHex(via), `0a00${"fe80000000000000"}0000000000000001`);
  t.strictSame(request && routeCodec.decode(request, NAMES, true), object);
  t.end();
});

t.test("a route is removed by its key and our mark; without a metric the device narrows it down", (t) => {
  const attributes = (route: Route) => [
    ...readAttributes(routeCodec.remove(route, NAMES)[0]?.body.subarray(12) ?? new Uint8Array(0)).keys(),
  ];
  t.strictSame(attributes({ ...ROUTE, mtu: 1300, via: ipv6("fe80::1") }), [rt.RTA_TABLE, rt.RTA_DST, rt.RTA_PRIORITY]);
  t.strictSame(attributes({ ...ROUTE4, metric: 0 }), [rt.RTA_TABLE, rt.RTA_DST, rt.RTA_OIF]);
  t.equal(routeCodec.remove(ROUTE, NAMES)[0]?.body[5], 155);
  t.end();
});

t.test("an MTU that is not locked is not ours", (t) => {
  const [request] = routeCodec.create({ ...ROUTE, mtu: 1300 }, NAMES);
  const body = request?.body.slice() ?? new Uint8Array(0);
  body.set(fromHex("00000000"), Buffer.from(body).indexOf(Buffer.from(fromHex("0800010004000000"))) + 4);
  t.equal(routeCodec.decode({ type: rt.RTM_NEWROUTE, flags: 0, body }, NAMES, true)?.mtu, undefined);
  t.end();
});

t.test("rules that cannot be", (t) => {
  const rule: Rule = { kind: "rule", family: 4, priority: 1, table: 2 };
  t.throws(() => ruleCodec.create({ ...rule, findSource: true }, NAMES), EncodeError);
  t.throws(() => ruleCodec.create({ ...rule, from: prefix("2001:db8::/32") }, NAMES), EncodeError);
  t.throws(() => ruleCodec.create({ ...rule, to: prefix("2001:db8::/32") }, NAMES), EncodeError);
  t.equal(ruleCodec.update(rule, rule, NAMES), undefined);
  const find: Rule = { ...rule, family: 6, from: prefix("2001:db8::/32"), findSource: true };
  const [request] = ruleCodec.create(find, NAMES);
  t.strictSame(request && ruleCodec.decode(request, NAMES, true), find);
  const nowhere: Rule = { kind: "rule", family: 6, priority: 3, table: 0, mark: 0x6191, unreachable: true };
  const [other] = ruleCodec.create(nowhere, NAMES);
  t.strictSame(other && ruleCodec.decode(other, NAMES, true), nowhere);
  t.end();
});

t.test("rules of another shape are other rules", (t) => {
  const decode = (fill: (writer: AttributeWriter) => AttributeWriter, header = {}) => {
    const writer = new AttributeWriter().raw(
      encodeRuleHeader({ family: 2, action: rt.FR_ACT_TO_TBL, table: 254, ...header }),
    );
    return ruleCodec.decode(
      { type: rt.RTM_NEWRULE, flags: 0, body: fill(writer.u32(rt.FRA_PRIORITY, 5)).finish() },
      NAMES,
      false,
    );
  };
  t.strictSame(
    decode((w) => w),
    { kind: "rule", family: 4, priority: 5, table: 254 },
  );
  t.equal(
    decode((w) => w.string(rt.FRA_IIFNAME, "eth0")),
    undefined,
  );
  t.equal(
    decode((w) => w.u8(rt.FRA_L3MDEV, 1)),
    undefined,
  );
  t.match(
    decode((w) => w.u8(rt.FRA_IP_PROTO, 17)),
    { ipProtocol: 17, udpDestinationPort: undefined },
    "all of UDP is none of our rules for one port",
  );
  t.equal(
    decode((w) => w.u8(rt.FRA_IP_PROTO, 6).u32(rt.FRA_DPORT_RANGE, 0x00430043)),
    undefined,
    "a port of TCP",
  );
  t.equal(
    decode((w) => w.u8(rt.FRA_IP_PROTO, 17).u32(rt.FRA_DPORT_RANGE, 0x00440043)),
    undefined,
    "several ports",
  );
  t.match(
    decode((w) => w.u32(rt.FRA_FWMARK, 1).u32(rt.FRA_FWMASK, 0xff)),
    { mark: 1, markMask: 0xff },
  );
  t.equal(
    decode((w) => w, { flags: rt.FIB_RULE_INVERT }),
    undefined,
  );
  t.equal(
    decode((w) => w, { action: 6 }),
    undefined,
    "blackhole",
  );
  t.end();
});

t.test("addresses", (t) => {
  const address = { kind: "address", device: "wan", prefixLength: 32, home: false, noPrefixRoute: false } as const;
  const at = (text: IpAddress) => ({ ...address, address: text });
  t.throws(() => addressCodec.create({ ...at(ipv4("198.51.100.1")), home: true }, NAMES), EncodeError);
  t.throws(() => addressCodec.create({ ...at(ipv6("2001:db8::1")), hostScope: true }, NAMES), EncodeError);
  t.equal(
    addressCodec.update(at(ipv4("198.51.100.1")), at(ipv4("198.51.100.1")), NAMES),
    undefined,
    "IPv4 needs a new one",
  );
  t.equal(addressCodec.update(at(ipv6("2001:db8::1")), at(ipv6("2001:db8::1")), NAMES)?.length, 1);
  t.end();
});

t.test("FOU ports: ours are those that were named or made", (t) => {
  const codec = fouCodec([4191]);
  const answer = (port: number, type = rt.FOU_ENCAP_GUE) => ({
    type: 33,
    flags: 0,
    body: new AttributeWriter()
      .raw(Uint8Array.of(rt.FOU_CMD_GET, 1, 0, 0))
      .u16be(rt.FOU_ATTR_PORT, port)
      .u8(rt.FOU_ATTR_AF, rt.AF_INET)
      .u8(rt.FOU_ATTR_TYPE, type)
      .finish(),
  });
  t.match(codec.decode(answer(4191), NAMES, true), { port: 4191 });
  t.equal(codec.decode(answer(5555), NAMES, true), undefined);
  t.match(codec.decode(answer(5555), NAMES, false), { port: 5555 });
  t.equal(codec.decode(answer(4191, rt.FOU_ENCAP_DIRECT), NAMES, false), undefined, "plain FOU is another thing");
  const [request] = codec.create({ kind: "fou-port", family: 6, port: 5555, encapsulation: "gue" }, NAMES);
  t.notOk(
    readAttributes(request?.body.subarray(4) ?? new Uint8Array(0)).has(rt.FOU_ATTR_IPPROTO),
    "newer kernels answer ERANGE",
  );
  t.match(codec.decode(answer(5555), NAMES, true), { port: 5555 });
  t.end();
});

t.test("a FOU port of one address: named when it is made and when it is removed, and read back", (t) => {
  const codec = fouCodec([4191]);
  const local = ipv4("203.0.113.1");
  const bound = { kind: "fou-port", family: 4, port: 4191, encapsulation: "gue", local } as const;
  const answer = (address: string) => ({
    type: 33,
    flags: 0,
    body: new AttributeWriter()
      .raw(Uint8Array.of(rt.FOU_CMD_GET, 1, 0, 0))
      .u16be(rt.FOU_ATTR_PORT, 4191)
      .u8(rt.FOU_ATTR_AF, rt.AF_INET)
      .u8(rt.FOU_ATTR_TYPE, rt.FOU_ENCAP_GUE)
      .bytes(rt.FOU_ATTR_LOCAL_V4, ipToBytes(ipv4(address)))
      .finish(),
  });
  t.strictSame(codec.decode(answer("203.0.113.1"), NAMES, true), bound);
  t.notOk("local" in (codec.decode(answer("0.0.0.0"), NAMES, true) ?? {}), "any address");
  for (const [request] of [codec.create(bound, NAMES), codec.remove(bound, NAMES)]) {
    const attributes = readAttributes(request?.body.subarray(4) ?? new Uint8Array(0));
    t.strictSame(Buffer.from(attributes.get(rt.FOU_ATTR_LOCAL_V4)?.payload ?? []), Buffer.from(ipToBytes(local)));
  }
  t.equal(codec.update(bound, { ...bound }, NAMES), undefined, "another address is another socket");
  t.end();
});

t.test("proxies of others, and neighbours that are no proxies", (t) => {
  const proxy = { kind: "proxy-neighbour", device: "wan", address: ipv4("198.51.100.1"), router: false } as const;
  const [request] = proxyNeighbourCodec.create(proxy, NAMES);
  const body = request?.body.slice() ?? new Uint8Array(0);
  const decode = (bytes: Uint8Array, ownOnly: boolean) =>
    proxyNeighbourCodec.decode({ type: rt.RTM_NEWNEIGH, flags: 0, body: bytes }, NAMES, ownOnly);
  t.strictSame(decode(body, true), proxy);
  t.equal(decode(body.slice(0, -8), true), undefined, "without the mark");
  t.strictSame(decode(body.slice(0, -8), false), proxy);
  body[10] = 0;
  t.equal(decode(body, false), undefined);
  t.end();
});

t.test("permanent neighbours of others, those that are learnt, and proxies", (t) => {
  const one = {
    kind: "permanent-neighbour",
    device: "wan",
    address: ipv4("240.43.0.1"),
    linkAddress: "02:00:00:00:00:01",
  } as const;
  const [request] = permanentNeighbourCodec.create(one, NAMES);
  const body = request?.body.slice() ?? new Uint8Array(0);
  const decode = (bytes: Uint8Array, ownOnly: boolean, type: number = rt.RTM_NEWNEIGH) =>
    permanentNeighbourCodec.decode({ type, flags: 0, body: bytes }, NAMES, ownOnly);
  t.strictSame(decode(body, true), one);
  t.equal(decode(body.slice(0, -8), true), undefined, "without the mark");
  t.strictSame(decode(body.slice(0, -8), false), one);
  const proxy = body.slice();
  proxy[10] = 0x08;
  t.equal(decode(proxy, false), undefined);
  const learnt = body.slice();
  learnt[8] = 0x02;
  t.equal(decode(learnt, true), undefined);
  t.match(decode(learnt, true, rt.RTM_DELNEIGH), { address: "240.43.0.1" }, "what is gone has no state");
  t.end();
});

t.test("any octets are an object, nothing, or a DecodeError", (t) => {
  const codecs = [
    linkCodec,
    addressCodec,
    routeCodec,
    ruleCodec,
    proxyNeighbourCodec,
    permanentNeighbourCodec,
    fouCodec([4191]),
  ];
  const types = [16, 17, 20, 21, 24, 25, 28, 29, 32, 33];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(...types), fc.boolean(), (body, type, ownOnly) => {
      for (const codec of codecs) {
        try {
          codec.decode({ type, flags: 0, body }, NAMES, ownOnly);
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
        }
      }
    }),
    { numRuns: 2000 },
  );
  t.end();
});
