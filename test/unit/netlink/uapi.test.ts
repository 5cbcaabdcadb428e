/** The numbers of controller/netlink and the headers of controller/kernel/headers.ts against the C compiler's view of the system. */
import t from "tap";
import * as groups from "../../../controller/kernel/notification-constants.js";
import {
  encodeAddressHeader,
  encodeLinkHeader,
  encodeNeighbourHeader,
  encodeRouteHeader,
  encodeRuleHeader,
} from "../../../controller/kernel/route/headers.js";
import * as netlink from "../../../controller/netlink/constants.js";
import * as errno from "../../../controller/netlink/errno.js";
import * as ethtool from "../../../controller/netlink/ethtool.js";
import { encodeMessage } from "../../../controller/netlink/message.js";
import * as rtnetlink from "../../../controller/netlink/rtnetlink.js";
import * as trafficControl from "../../../controller/netlink/traffic-control.js";
import { repositoryPath } from "../../lib/repository.js";
import { NO_COMPILER, runC, valuesInHeaders } from "../../lib/uapi.js";

const numbers = (module: object): Record<string, number> =>
  Object.fromEntries(Object.entries(module).filter((entry): entry is [string, number] => typeof entry[1] === "number"));

t.test("netlink numbers are those of the headers", { skip: NO_COMPILER }, (t) => {
  const headers = ["linux/netlink.h", "linux/genetlink.h", "linux/netfilter/nfnetlink.h"];
  t.strictSame(valuesInHeaders(headers, Object.keys(netlink)), { ...netlink });
  t.end();
});

t.test("rtnetlink, tunnel and fou numbers are those of the headers", { skip: NO_COMPILER }, (t) => {
  const headers = [
    "sys/socket.h",
    "linux/if.h",
    "linux/ip.h",
    "linux/rtnetlink.h",
    "linux/if_link.h",
    "linux/if_addr.h",
  ].concat([
    "linux/if_tunnel.h",
    "linux/ip6_tunnel.h",
    "linux/neighbour.h",
    "linux/fib_rules.h",
    "linux/lwtunnel.h",
    "linux/fou.h",
    "linux/veth.h",
    "linux/nexthop.h",
  ]);
  // Of the flags of tunnels the headers have the octets, in network byte order.
  const octets = Uint8Array.of(rtnetlink.TUNNEL_DONT_FRAGMENT >> 8, rtnetlink.TUNNEL_DONT_FRAGMENT & 0xff);
  const [TUNNEL_DONT_FRAGMENT = 0] = new Uint16Array(octets.buffer);
  t.strictSame(valuesInHeaders(headers, Object.keys(rtnetlink)), { ...rtnetlink, TUNNEL_DONT_FRAGMENT });
  t.end();
});

t.test("ethtool numbers are those of the headers", { skip: NO_COMPILER }, (t) => {
  const headers = ["linux/ethtool.h", "linux/ethtool_netlink.h"];
  t.strictSame(valuesInHeaders(headers, Object.keys(ethtool)), { ...ethtool });
  t.end();
});

t.test("traffic control numbers are those of the headers", { skip: NO_COMPILER }, (t) => {
  const headers = ["rtnetlink.h", "pkt_sched.h", "pkt_cls.h", "tc_act/tc_pedit.h", "tc_act/tc_mirred.h", "if_ether.h"];
  const full = headers.map((header) => `linux/${header}`);
  t.strictSame(valuesInHeaders(full, Object.keys(trafficControl)), { ...trafficControl });
  t.end();
});

t.test("notification groups and flush messages are those of the headers", { skip: NO_COMPILER }, (t) => {
  const headers = ["linux/xfrm.h", "linux/netfilter/nfnetlink.h"];
  t.strictSame(valuesInHeaders(headers, Object.keys(groups)), { ...groups });
  t.end();
});

t.test("error numbers are those of the headers", { skip: NO_COMPILER }, (t) => {
  const table = Object.fromEntries(errno.errnoTable());
  t.strictSame(valuesInHeaders(["errno.h"], Object.keys(table)), table);
  for (const [name, value] of Object.entries(numbers(errno))) t.equal(table[name], value, name);
  t.ok(Object.keys(table).length > 120);
  t.end();
});

/** Our encoder with every octet of one field set: the octets that changed are where the field lies. */
const ENCODERS: Readonly<
  Record<string, { encode: (value: object) => Uint8Array; fields: Readonly<Record<string, string>> }>
> = {
  ifinfomsg: {
    encode: encodeLinkHeader,
    fields: { ifi_family: "family", ifi_type: "type", ifi_index: "index", ifi_flags: "flags", ifi_change: "change" },
  },
  ifaddrmsg: {
    encode: encodeAddressHeader,
    fields: {
      ifa_family: "family",
      ifa_prefixlen: "prefixLength",
      ifa_flags: "flags",
      ifa_scope: "scope",
      ifa_index: "index",
    },
  },
  rtmsg: {
    encode: encodeRouteHeader,
    fields: {
      rtm_family: "family",
      rtm_dst_len: "destinationLength",
      rtm_src_len: "sourceLength",
      rtm_tos: "tos",
      rtm_table: "table",
      rtm_protocol: "protocol",
      rtm_scope: "scope",
      rtm_type: "type",
      rtm_flags: "flags",
    },
  },
  fib_rule_hdr: {
    encode: encodeRuleHeader,
    fields: {
      family: "family",
      dst_len: "destinationLength",
      src_len: "sourceLength",
      tos: "tos",
      table: "table",
      action: "action",
      flags: "flags",
    },
  },
  ndmsg: {
    encode: encodeNeighbourHeader,
    fields: { ndm_family: "family", ndm_ifindex: "index", ndm_state: "state", ndm_flags: "flags", ndm_type: "type" },
  },
};

t.test("the fixed headers lie as the headers say", { skip: NO_COMPILER }, (t) => {
  const lines = runC(repositoryPath("test/uapi/netlink_layout.c")).map((line) => line.split(" "));
  for (const [struct = "", field = "", first, second] of lines) {
    const ours = ENCODERS[struct];
    if (ours === undefined) continue;
    if (field === "size") {
      t.equal(ours.encode({}).length, Number(first), `sizeof ${struct}`);
      continue;
    }
    const value = 2 ** (8 * Number(second)) - 1;
    const bytes = ours.encode({ [ours.fields[field] ?? ""]: value });
    const set = [...bytes].flatMap((byte, at) => (byte === 0xff ? [at] : []));
    const want = Array.from({ length: Number(second) }, (_, i) => Number(first) + i);
    t.strictSame(set, want, `${struct}.${field}`);
  }
  const sizes = Object.fromEntries(
    lines.filter(([, field]) => field === "size").map(([struct, , size]) => [struct, Number(size)]),
  );
  t.match(sizes, { nlmsghdr: 16, genlmsghdr: 4, nfgenmsg: 4, rtnexthop: 8 });
  const message = encodeMessage({ type: 0x1122, flags: 0x3344, sequence: 0x55667788, body: new Uint8Array(0) });
  const view = new DataView(message.buffer, message.byteOffset);
  const at = (name: string): number =>
    Number(lines.find(([struct, field]) => struct === "nlmsghdr" && field === name)?.[2]);
  const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  t.equal(view.getUint32(at("nlmsg_len"), little), 16);
  t.equal(view.getUint16(at("nlmsg_type"), little), 0x1122);
  t.equal(view.getUint16(at("nlmsg_flags"), little), 0x3344);
  t.equal(view.getUint32(at("nlmsg_seq"), little), 0x55667788);
  t.end();
});
