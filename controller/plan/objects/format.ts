/**
 * A kernel object as the `ip`, `nft` or `sysctl` command that would make it: for `dsmipctl plan`, for errors, for people. One line per
 * command; keys never appear. Pure.
 */

import { formatPrefix, isIpv6 } from "../../base/ip.js";
import { exhaustive } from "../../base/result.js";
import type { Filter, FilterHook } from "./copying.js";
import type { NftElement, NftSet, NftTable } from "./firewall.js";
import type {
  Address,
  FouPort,
  Link,
  PermanentNeighbour,
  ProxyNeighbour,
  Route,
  Rule,
  Sysctl,
  TunnelHeaderSpec,
} from "./forwarding.js";
import { type KernelObject, OWNERSHIP } from "./objects.js";
import type { EspKeys, PolicyHash, XfrmPolicy, XfrmSelector, XfrmState, XfrmTemplate } from "./security.js";

/** Ends without a line break; only links and nftables tables need more than one line. */
export function formatObject(object: KernelObject): string {
  switch (object.kind) {
    case "fou-port":
      return formatFouPort(object);
    case "link":
      return formatLink(object);
    case "address":
      return formatAddress(object);
    case "route":
      return formatRoute(object);
    case "rule":
      return formatRule(object);
    case "proxy-neighbour":
      return formatProxyNeighbour(object);
    case "permanent-neighbour":
      return formatPermanentNeighbour(object);
    case "xfrm-state":
      return formatXfrmState(object);
    case "xfrm-policy":
      return formatXfrmPolicy(object);
    case "policy-hash":
      return formatPolicyHash(object);
    case "nft-table":
      return formatNftTable(object);
    case "nft-element":
      return formatNftElement(object);
    case "qdisc":
      return formatQdisc(object);
    case "filter":
      return formatFilter(object);
    case "sysctl":
      return formatSysctl(object);
    default:
      return exhaustive(object);
  }
}

/** The same in one line: of several commands the first, which names the object. For errors and tables. */
export function formatObjectShort(object: KernelObject): string {
  return formatObject(object).split("\n", 1)[0] ?? "";
}

type Words = readonly (string | number | undefined)[];

/** The words that are there, with single spaces. */
function words(...list: Words): string {
  return list.filter((word) => word !== undefined && word !== "").join(" ");
}

/** "name value", or nothing without a value. */
function option(name: string, value: string | number | undefined): string | undefined {
  return value === undefined ? undefined : `${name} ${value}`;
}

const hex = (value: number): string => `0x${value.toString(16)}`;

function formatFouPort({ family, port, encapsulation, local }: FouPort): string {
  return words(family === 6 ? "ip -6 fou add port" : "ip fou add port", port, encapsulation, option("local", local));
}

function formatLink(link: Link): string {
  const { name, mtu } = link;
  const make =
    link.link.type === "tun"
      ? `ip tuntap add dev ${name} mode tun`
      : `ip link add ${name} mtu ${mtu} type ${formatKind(link.link)}`;
  return `${make}\nip link set dev ${name} mtu ${mtu} alias ${OWNERSHIP.linkAlias}${link.multicast === true ? " multicast on" : ""} ${link.up ? "up" : "down"}`;
}

function formatKind(kind: Exclude<Link["link"], { type: "tun" }>): string {
  switch (kind.type) {
    case "dummy":
      return "dummy";
    case "ip6tnl":
      return words(
        "ip6tnl mode any",
        kind.external ? "external" : `local ${kind.local ?? "::"} remote ${kind.remote ?? "::"}`,
        kind.device && `dev ${kind.device}`,
        formatTunnelHeader(kind, { ttl: "hoplimit", trafficClass: "tclass" }),
        "encaplimit none",
        kind.udp &&
          `encap fou encap-sport ${kind.udp.sourcePort} encap-dport ${kind.udp.destinationPort} encap-udp6-csum`,
      );
    case "sit":
      return words(
        `sit mode any local ${kind.local} remote ${kind.remote ?? "any"}`,
        kind.device && `dev ${kind.device}`,
        formatTunnelHeader(kind, { ttl: "ttl", trafficClass: "tos" }),
        kind.pathMtuDiscovery ? "pmtudisc" : "nopmtudisc",
        kind.udp &&
          `encap ${kind.udp.gue === true ? "gue" : "fou"} encap-sport ${kind.udp.sourcePort} encap-dport ${kind.udp.destinationPort}`,
      );
    case "gre":
      if (kind.external) return "gre external";
      return words(
        `gre local ${kind.local ?? "any"} remote ${kind.remote ?? "any"}`,
        kind.device && `dev ${kind.device}`,
        formatTunnelHeader(kind, { ttl: "ttl", trafficClass: "tos" }),
        "nopmtudisc",
      );
    default:
      return exhaustive(kind);
  }
}

function formatTunnelHeader(header: TunnelHeaderSpec, names: { ttl: string; trafficClass: string }): string {
  const trafficClass = header.trafficClass === "inherit" ? "inherit" : hex(header.trafficClass);
  return `${names.ttl} ${header.ttl === 0 ? "inherit" : header.ttl} ${names.trafficClass} ${trafficClass}`;
}

function formatAddress({ device, address, prefixLength, home, noPrefixRoute, hostScope }: Address): string {
  const scope = hostScope === true ? "scope host" : undefined;
  const flags = words(home ? "home nodad" : undefined, noPrefixRoute ? "noprefixroute" : undefined);
  return words(`ip address add ${address}/${prefixLength} dev ${device}`, scope, "proto", OWNERSHIP.protocol, flags);
}

function formatRoute(route: Route): string {
  const { destination, encapsulation: outer } = route;
  return words(
    isIpv6(destination.address) ? "ip -6 route add" : "ip route add",
    route.local === true ? "local" : undefined,
    formatPrefix(destination),
    outer && formatEncapsulation(outer),
    option("via", route.via === undefined ? undefined : viaWord(destination.address, route.via)),
    `dev ${route.device} table ${route.table} proto ${OWNERSHIP.protocol}`,
    // Without the word ip makes it a route onto the link.
    route.via === undefined && destination.length === 0 && !isIpv6(destination.address) ? "scope global" : undefined,
    option("metric", route.metric),
    option("src", route.preferredSource),
    option("mtu lock", route.mtu),
    option("advmss", route.advertisedMss),
    route.onlink === true ? "onlink" : undefined,
    outer !== undefined && "ttl" in outer && outer.dontFragment === true
      ? "# with TUNNEL_DONT_FRAGMENT, which ip has no word for"
      : undefined,
  );
}

function formatEncapsulation(outer: NonNullable<Route["encapsulation"]>): string {
  const ends = `dst ${outer.destination} src ${outer.source}`;
  if (!("ttl" in outer)) return `encap ip6 ${ends} hoplimit ${outer.hopLimit} tc ${hex(outer.trafficClass)}`;
  // The lowest bit of the octet means "as inside".
  return `encap ip ${ends} ttl ${outer.ttl} tos ${outer.trafficClass === "inherit" ? 1 : hex(outer.trafficClass)}`;
}

function viaWord(destination: Route["destination"]["address"], via: NonNullable<Route["via"]>): string {
  return isIpv6(via) && !isIpv6(destination) ? `inet6 ${via}` : via;
}

function formatRule(rule: Rule): string {
  const { family, priority, table, from, to, ipProtocol, udpDestinationPort, mark, markMask } = rule;
  const { unlessMark, findSource, unreachable } = rule;
  return words(
    family === 6 ? "ip -6 rule add" : "ip rule add",
    `priority ${priority} from ${from === undefined ? "all" : formatPrefix(from)}`,
    option("to", to && formatPrefix(to)),
    option("ipproto", ipProtocol),
    option("ipproto udp dport", udpDestinationPort),
    option("fwmark", mark === undefined ? undefined : hex(mark) + (markMask === undefined ? "" : `/${hex(markMask)}`)),
    option("fwmark", unlessMark === undefined ? undefined : `0/${hex(unlessMark)}`),
    unreachable === true ? "unreachable" : `table ${table}`,
    `proto ${OWNERSHIP.protocol}`,
    findSource === true ? "# with FIB_RULE_FIND_SADDR, which ip has no word for" : undefined,
  );
}

function formatPermanentNeighbour({ device, address, linkAddress }: PermanentNeighbour): string {
  return words(
    "ip neigh add",
    address,
    `lladdr ${linkAddress} nud permanent dev ${device}`,
    `protocol ${OWNERSHIP.protocol}`,
  );
}

function formatProxyNeighbour({ device, address, router }: ProxyNeighbour): string {
  return words(
    "ip neighbour add proxy",
    address,
    "dev",
    device,
    router ? "router" : undefined,
    "proto",
    OWNERSHIP.protocol,
  );
}

const TRANSFORM_WORDS = { esp: "esp", "home-address-option": "hao", "type2-routing-header": "route2" } as const;
const MODE_WORDS = { transport: "transport", tunnel: "tunnel", "route-optimisation": "ro" } as const;

function formatXfrmState(state: XfrmState): string {
  const { source, destination, reqid, selector, transform } = state;
  const head = `ip xfrm state add src ${source} dst ${destination} proto ${TRANSFORM_WORDS[transform.type]}`;
  const tail = selector === undefined ? undefined : `sel ${formatSelector(selector)}`;
  if (transform.type !== "esp") {
    const flag = transform.wildcard ? "flag wildrecv" : undefined;
    return words(head, "mode ro reqid", reqid, flag, "coa", transform.careOfAddress, tail);
  }
  const { mark, setMark, encapsulation: udp } = transform;
  return words(
    head,
    `spi ${hex(transform.spi)} mode ${transform.mode} reqid ${reqid} replay-window ${transform.replayWindow}`,
    mark && `mark ${hex(mark.value)} mask ${hex(mark.mask)}`,
    transform.decapsulateDscp === true ? "flag decap-dscp" : undefined,
    transform.hideDscp === true ? "extra-flag dont-encap-dscp" : undefined,
    formatKeys(transform),
    udp && `encap espinudp ${udp.sourcePort} ${udp.destinationPort} 0.0.0.0`,
    setMark && `output-mark ${hex(setMark.value)} mask ${hex(setMark.mask)}`,
    tail,
  );
}

function formatKeys({ aead, encryption, integrity }: EspKeys): string {
  if (aead !== undefined) return `aead '${aead.algorithm}' ${aead.key} ${8 * aead.icvLength}`;
  return words(
    `auth-trunc '${integrity.algorithm}' ${integrity.key} ${8 * integrity.icvLength}`,
    `enc '${encryption.algorithm}' ${encryption.key}`,
  );
}

function formatXfrmPolicy(policy: XfrmPolicy): string {
  const { direction, policyType, selector, priority, action, mark, templates } = policy;
  return words(
    `ip xfrm policy add ${formatSelector(selector)} dir ${direction === "forward" ? "fwd" : direction}`,
    mark && `mark ${hex(mark.value)} mask ${hex(mark.mask)}`,
    `ptype ${policyType}`,
    action === "block" ? "action block" : undefined,
    `priority ${priority}`,
    ...templates.map(formatTemplate),
  );
}

function formatTemplate({ protocol, mode, source, destination, reqid, optional }: XfrmTemplate): string {
  const head = `tmpl src ${source} dst ${destination} proto ${TRANSFORM_WORDS[protocol]} reqid ${reqid} mode ${MODE_WORDS[mode]}`;
  return words(head, optional ? "level use" : undefined);
}

function formatSelector(selector: XfrmSelector): string {
  const { source, destination, protocol, mobilityHeaderType, icmpv6Errors, icmpv6Type } = selector;
  return words(
    `src ${formatPrefix(source)} dst ${formatPrefix(destination)}`,
    option("proto", protocol === 0 ? undefined : protocol),
    option("type", mobilityHeaderType ?? icmpv6Type),
    icmpv6Errors === true ? "# types below 128, which ip has no word for" : undefined,
  );
}

function formatNftElement({ set, key, value }: NftElement): string {
  const pair = words(key.join(" . "), option(":", value));
  return `nft add element inet ${OWNERSHIP.nftTable} ${set} { ${pair} }`;
}

function formatNftTable(table: NftTable): string {
  const where = `${table.family} ${table.name}`;
  return [
    `nft add table ${where}`,
    ...table.counters.map((counter) => `nft add counter ${where} ${counter}`),
    ...table.sets.map((set) => `nft add ${formatNftSet(where, set)}`),
    ...table.chains.map(({ name, base }) =>
      base === undefined
        ? `nft add chain ${where} ${name}`
        : `nft add chain ${where} ${name} { type ${base.type} hook ${base.hook} priority ${base.priority}; policy ${base.policy}; }`,
    ),
    ...table.chains.flatMap(({ name, rules }) => rules.map(({ text }) => `nft add rule ${where} ${name} ${text}`)),
  ].join("\n");
}

function formatNftSet(where: string, set: NftSet): string {
  const key = set.key.join(" . ");
  const elements = set.elements?.map((element) =>
    words(`0x${element.key}`, option(":", element.value && `0x${element.value}`)),
  );
  const parts = [
    set.value === undefined ? `type ${key};` : `type ${key} : ${set.value};`,
    set.constant === true ? "flags constant;" : undefined,
    set.dynamicTimeoutMs === undefined ? undefined : `flags dynamic,timeout; timeout ${set.dynamicTimeoutMs}ms;`,
    set.size === undefined ? undefined : `size ${set.size};`,
    elements === undefined || elements.length === 0 ? undefined : `elements = { ${elements.join(", ")} };`,
  ];
  return `${set.value === undefined ? "set" : "map"} ${where} ${set.name} { ${words(...parts)} }`;
}

/** With slashes, which sysctl understands: a device name may hold dots. */
function formatPolicyHash({ ipv4, ipv6 }: PolicyHash): string {
  return `ip xfrm policy set hthresh4 ${ipv4.localBits} ${ipv4.remoteBits} hthresh6 ${ipv6.localBits} ${ipv6.remoteBits}`;
}

function formatSysctl({ path, value }: Sysctl): string {
  return `sysctl -w ${path}=${/\s/.test(value) ? `"${value}"` : value}`;
}

function formatQdisc({ device, direction, block }: FilterHook): string {
  return `tc qdisc add dev ${device} ${direction}_block ${block} clsact`;
}

const MIRRED_WORDS = {
  "copy-in": "ingress mirror dev",
  "move-in": "ingress redirect dev",
  "move-out": "egress redirect dev",
} as const;

function formatFilter({ block, chain, priority, handle, family, match, tag, outcome }: Filter): string {
  const { destination, protocol, icmpv6Type } = match;
  const pedit = tag && `action pedit ex munge eth src set ${(tag.match(/../g) ?? []).join(":")}`;
  return words(
    `tc filter add block ${block} chain ${chain} prio ${priority} handle ${handle}`,
    `protocol ${family === 6 ? "ipv6" : "ip"} flower skip_hw`,
    option("ip_proto", protocol),
    option("type", icmpv6Type),
    option("dst_ip", destination && formatPrefix(destination)),
    pedit,
    outcome.verb === "goto"
      ? `goto chain ${outcome.chain}`
      : words(pedit && "pipe", `action mirred ${MIRRED_WORDS[outcome.verb]} ${outcome.device}`),
    outcome.verb === "copy-in" ? "continue" : undefined,
  );
}
