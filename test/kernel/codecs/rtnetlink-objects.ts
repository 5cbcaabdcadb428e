/** The objects of the rtnetlink tests, and the kernel port opened in a namespace of a test. */
import { spawnSync } from "node:child_process";
import type { TestContext } from "node:test";
import { ipv4, ipv6, type Prefix, parsePrefix } from "../../../controller/base/ip.js";
import { NetlinkSocket } from "../../../controller/io/netlink/socket.js";
import { netlinkTransports } from "../../../controller/io/netlink/transport.js";
import { NetlinkKernel, type OpenTransport } from "../../../controller/kernel/netlink-kernel.js";
import type { SetTimer } from "../../../controller/netlink/transport.js";
import type { Link, Route } from "../../../controller/plan/objects/forwarding.js";
import type { KernelObject, KernelObjectKind } from "../../../controller/plan/objects/objects.js";
import type { KernelChange, Operation, Outcome } from "../../../controller/reconcile/kernel-port.js";

export const setTimer: SetTimer = (delayMs, callback) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};

export interface OpenKernel {
  readonly kernel: NetlinkKernel;
  /** Everything that was announced so far. */
  readonly changes: (KernelChange | "resync")[];
}

/** `netns`: path of the namespace; absent: the present one. Closed with the test. */
export async function openKernel(
  t: TestContext,
  netns?: string,
  openTransport: OpenTransport = netlinkTransports(netns),
): Promise<OpenKernel> {
  const kernel = await NetlinkKernel.open({ openTransport, setTimer });
  t.after(() => kernel.close());
  const changes: (KernelChange | "resync")[] = [];
  kernel.onChange((change) => changes.push(change));
  return { kernel, changes };
}

/** Announcements on a socket that holds next to nothing. */
export function tinyTransports(netns: string): OpenTransport {
  const open = netlinkTransports(netns);
  return (family, groups) =>
    family === "route" && groups.length > 0
      ? NetlinkSocket.open({ protocol: 0, netns, groups, receiveBufferBytes: 4096 })
      : open(family, groups);
}

/** Why the kernel cannot make the devices of these tests, or false. Tried, not guessed. */
export function missingDevices(): string | false {
  const script =
    "ip link add dsmipy type dummy && ip link add dsmipx type sit local 192.0.2.1 && ip link del dsmipx && ip link add dsmipx type ip6tnl external && ip fou add port 4190 gue";
  const { status, stderr } = spawnSync("unshare", ["--net", "bash", "-c", script], { encoding: "utf8" });
  if (status === 0) return false;
  const what = `no dummy, sit, ip6tnl or fou in this kernel, or not root: ${stderr.trim()}`;
  // A bench has them all, or these tests prove nothing.
  if (process.env["DSMIPD_BENCH"] !== undefined) throw new Error(what);
  return what;
}

export const prefix = (text: string): Prefix => {
  const value = parsePrefix(text);
  if (value === undefined) throw new TypeError(text);
  return value;
};

export const create = (object: KernelObject): Operation => ({ verb: "create", object });
export const update = (object: KernelObject, previous: KernelObject): Operation => ({
  verb: "update",
  object,
  previous,
});
export const remove = (object: KernelObject): Operation => ({ verb: "remove", object });
export const errorsOf = (outcomes: readonly Outcome[]): string[] =>
  outcomes.flatMap(({ error }) => (error === undefined ? [] : [error.message]));

export const link = (name: string, spec: Link["link"], changes: Partial<Link> = {}): Link => ({
  kind: "link",
  name,
  mtu: 1400,
  up: true,
  link: spec,
  ...changes,
});

const HA6 = ipv6("2001:db8:f::1");
export const DUMMY = link("dsmipd0", { type: "dummy" });
export const NBMA = link("dsmip4", {
  type: "sit",
  local: ipv4("203.0.113.1"),
  ttl: 64,
  trafficClass: "inherit",
  pathMtuDiscovery: true,
});
export const OVER_UDP = link("dsmip4u", {
  type: "sit",
  local: ipv4("192.0.0.8"),
  udp: { sourcePort: 4191, destinationPort: 9 },
  ttl: 64,
  trafficClass: "inherit",
  pathMtuDiscovery: true,
});
export const DEDICATED4 = link(
  "dsmip4x",
  {
    type: "sit",
    local: ipv4("203.0.113.1"),
    remote: ipv4("203.0.113.77"),
    udp: { sourcePort: 4191, destinationPort: 40_000 },
    ttl: 0,
    trafficClass: 0xb8,
    pathMtuDiscovery: false,
  },
  { mtu: 1380 },
);
export const EXTERNAL = link("dsmip6", { type: "ip6tnl", external: true, ttl: 64, trafficClass: "inherit" });
export const DEDICATED6 = link(
  "dsmip6x",
  { type: "ip6tnl", external: false, local: HA6, remote: ipv6("2001:db8:f::2"), ttl: 64, trafficClass: 0x28 },
  { up: false },
);
/** Its remote end is a placeholder that no packet keeps; the kernel sends UDP for nothing less. */
export const OVER_UDP6 = link("dsmip6u", {
  type: "ip6tnl",
  external: false,
  local: HA6,
  remote: ipv6("100:0:0:0:4191::1"),
  udp: { sourcePort: 4191, destinationPort: 9 },
  ttl: 77,
  trafficClass: "inherit",
});

/** RFC 3519's UDP. */
export const OVER_GUE = link(
  "dsmip4n",
  {
    type: "sit",
    local: ipv4("192.0.0.9"),
    udp: { sourcePort: 434, destinationPort: 434, gue: true },
    ttl: 0,
    trafficClass: "inherit",
    pathMtuDiscovery: false,
  },
  { multicast: true },
);
export const GRE_EXTERNAL = link("dsmipg", { type: "gre", external: true, ttl: 0, trafficClass: 0 });
export const GRE_ENDS = link("dsmipgx", {
  type: "gre",
  external: false,
  local: ipv4("203.0.113.1"),
  remote: ipv4("203.0.113.77"),
  ttl: 0,
  trafficClass: 0xb8,
});

export const route = (destination: string, changes: Partial<Route> = {}): Route => ({
  kind: "route",
  destination: prefix(destination),
  table: 254,
  metric: 100,
  device: "dsmipd0",
  ...changes,
});

const ENCAPSULATION = { source: HA6, destination: ipv6("2001:db8:f::2"), hopLimit: 64, trafficClass: 0xb8 };
const ENCAPSULATION4 = { source: ipv4("203.0.113.1"), destination: ipv4("203.0.113.78"), ttl: 64 };
const HOA = ipv6("2001:db8:1::100");
const HOA4 = ipv4("198.51.100.100");

/** At least one of every kind that any kernel has, each optional field in at least one. */
export const PLAIN: readonly KernelObject[] = [
  DUMMY,
  { kind: "address", device: "dsmipd0", address: HOA, prefixLength: 128, home: true, noPrefixRoute: true },
  {
    kind: "address",
    device: "dsmipd0",
    address: ipv6("2001:db8:1::101"),
    prefixLength: 64,
    home: false,
    noPrefixRoute: false,
  },
  { kind: "address", device: "dsmipd0", address: HOA4, prefixLength: 32, home: false, noPrefixRoute: true },
  {
    kind: "address",
    device: "dsmipd0",
    address: ipv4("240.41.64.64"),
    prefixLength: 32,
    home: false,
    noPrefixRoute: false,
    hostScope: true,
  },
  route("2001:db8:5::/64"),
  route("::/0", { table: 4191, metric: 5 }),
  route("2001:db8:6::1/128", {
    via: ipv6("fe80::1"),
    onlink: true,
    preferredSource: HOA,
    mtu: 1300,
    advertisedMss: 1220,
  }),
  route("10.1.0.0/16"),
  route("10.2.0.1/32", {
    via: ipv4("203.0.113.77"),
    onlink: true,
    table: 5000,
    metric: 0,
    preferredSource: HOA4,
    mtu: 1300,
  }),
  { kind: "rule", family: 6, priority: 1000, table: 4191, mark: 0x4191 },
  { kind: "rule", family: 6, priority: 1001, table: 200, from: prefix("2001:db8:1::100/128"), findSource: true },
  { kind: "rule", family: 4, priority: 1002, table: 5000, from: prefix("0.0.0.0/32") },
  { kind: "rule", family: 4, priority: 1003, table: 254, from: prefix("0.0.0.0/32"), to: prefix("224.0.0.0/3") },
  { kind: "rule", family: 4, priority: 1004, table: 254, from: prefix("0.0.0.0/32"), udpDestinationPort: 67 },
  { kind: "rule", family: 4, priority: 1006, table: 254, from: prefix("198.51.100.7/32"), ipProtocol: 41 },
  { kind: "rule", family: 6, priority: 1006, table: 254, from: prefix("2001:db8:7::7/128"), ipProtocol: 135 },
  { kind: "rule", family: 6, priority: 1005, table: 0, mark: 0x6191, unreachable: true },
  { kind: "rule", family: 4, priority: 1005, table: 0, mark: 0x6191, unreachable: true },
  { kind: "proxy-neighbour", device: "dsmipd0", address: ipv6("2001:db8:1::200"), router: true },
  { kind: "proxy-neighbour", device: "dsmipd0", address: ipv4("198.51.100.200"), router: false },
];

export const TUNNELS: readonly KernelObject[] = [
  { kind: "fou-port", family: 4, port: 4191, encapsulation: "gue", local: ipv4("127.0.0.1") },
  { kind: "fou-port", family: 6, port: 4191, encapsulation: "gue" },
  NBMA,
  OVER_UDP,
  DEDICATED4,
  EXTERNAL,
  DEDICATED6,
  OVER_UDP6,
  OVER_GUE,
  GRE_EXTERNAL,
  GRE_ENDS,
  route("2001:db8:7::4/128", {
    device: "dsmipg",
    via: ipv6("fe80::1"),
    encapsulation: { ...ENCAPSULATION4, trafficClass: "inherit" },
  }),
  route("10.7.0.4/32", {
    device: "dsmipg",
    via: ipv6("fe80::1"),
    encapsulation: { ...ENCAPSULATION4, trafficClass: 0xb8, dontFragment: true },
  }),
  route("2001:db8:7::3/128", { device: "dsmip6u" }),
  route("10.7.0.3/32", { device: "dsmip6u", mtu: 1300 }),
  route("2001:db8:7::1/128", { device: "dsmip6", encapsulation: ENCAPSULATION }),
  route("10.7.0.1/32", { device: "dsmip6", encapsulation: ENCAPSULATION }),
  route("2001:db8:7::2/128", { device: "dsmip4", via: ipv6("::203.0.113.77") }),
  route("10.7.0.2/32", { device: "dsmip4u", via: ipv4("203.0.113.77"), onlink: true }),
];

export const KINDS: readonly KernelObjectKind[] = ["fou-port", "link", "address", "route", "rule", "proxy-neighbour"];
