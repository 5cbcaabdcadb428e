/**
 * Routing policy rules ⇄ RTM_NEWRULE. Our mark is FRA_PROTOCOL. The kernel compares rules by everything but their flags, so a stranger's
 * rule with the same selectors may stand beside ours, and deleting ours leaves it alone; nothing of a rule changes in place.
 * Source: linux/fib_rules.h; seen on 6.1 and 6.18.
 */
import { EncodeError } from "../../base/errors.js";
import { type Family, familyOf, IPV4_ANY, IPV6_ANY, type Prefix } from "../../base/ip.js";
import { type Attribute, type AttributeMap, AttributeWriter, readAttributes } from "../../netlink/attribute.js";
import { NLM_F_CREATE, NLM_F_EXCL } from "../../netlink/constants.js";
import {
  FIB_RULE_FIND_SADDR,
  FIB_RULE_INVERT,
  FR_ACT_TO_TBL,
  FR_ACT_UNREACHABLE,
  FRA_DPORT_RANGE,
  FRA_DST,
  FRA_FWMARK,
  FRA_FWMASK,
  FRA_IIFNAME,
  FRA_IP_PROTO,
  FRA_L3MDEV,
  FRA_OIFNAME,
  FRA_PRIORITY,
  FRA_PROTOCOL,
  FRA_SPORT_RANGE,
  FRA_SRC,
  FRA_TABLE,
  FRA_TUN_ID,
  FRA_UID_RANGE,
  RT_TABLE_UNSPEC,
  RTM_DELRULE,
  RTM_GETRULE,
  RTM_NEWRULE,
} from "../../netlink/rtnetlink.js";
import type { Rule } from "../../plan/objects/forwarding.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { NetlinkMessage, NetlinkRequest, ObjectCodec } from "../codec.js";
import { decodeRuleHeader, encodeRuleHeader, familyNumber, familyOfNumber, RULE_HEADER_LENGTH } from "./headers.js";

const ALL_BITS = 0xffffffff;
/** Selectors that our rules never have: a rule with one of them is another rule. */
const FOREIGN_SELECTORS = [FRA_IIFNAME, FRA_OIFNAME, FRA_TUN_ID, FRA_UID_RANGE, FRA_SPORT_RANGE];
const IPPROTO_UDP = 17;

export const ruleCodec: ObjectCodec<Rule> = {
  kind: "rule",
  family: "route",
  create: (rule) => [request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule)],
  update: () => undefined,
  remove: (rule) => [request(RTM_DELRULE, 0, rule)],
  dump: () =>
    ([4, 6] as const).map((family) => ({
      family: "route",
      type: RTM_GETRULE,
      flags: 0,
      body: encodeRuleHeader({ family: familyNumber(family) }),
    })),
  decode(message, _names, ownOnly) {
    return message.type === RTM_NEWRULE || message.type === RTM_DELRULE ? decodeRule(message, ownOnly) : undefined;
  },
};

function request(type: number, flags: number, rule: Rule): NetlinkRequest {
  for (const field of ["from", "to"] as const) {
    const prefix = rule[field];
    if (prefix !== undefined && familyOf(prefix.address) !== rule.family)
      throw new EncodeError(field, "not of the rule's family");
  }
  if (rule.findSource === true && rule.family === 4)
    throw new EncodeError("findSource", "IPv4 rules cannot look for the source");
  const writer = new AttributeWriter(96).raw(
    encodeRuleHeader({
      family: familyNumber(rule.family),
      sourceLength: rule.from?.length ?? 0,
      destinationLength: rule.to?.length ?? 0,
      table: rule.table < 256 ? rule.table : RT_TABLE_UNSPEC,
      action: rule.unreachable === true ? FR_ACT_UNREACHABLE : FR_ACT_TO_TBL,
      flags: rule.findSource === true ? FIB_RULE_FIND_SADDR : 0,
    }),
  );
  writer.u32(FRA_PRIORITY, rule.priority).u32(FRA_TABLE, rule.table).u8(FRA_PROTOCOL, OWNERSHIP.protocol);
  if (rule.from !== undefined && rule.from.length > 0) writer.address(FRA_SRC, rule.from.address);
  if (rule.to !== undefined && rule.to.length > 0) writer.address(FRA_DST, rule.to.address);
  // struct fib_rule_port_range: first and last port, in the machine's own byte order.
  if (rule.udpDestinationPort !== undefined)
    writer.u8(FRA_IP_PROTO, IPPROTO_UDP).u32(FRA_DPORT_RANGE, rule.udpDestinationPort * 0x10001);
  else if (rule.ipProtocol !== undefined) writer.u8(FRA_IP_PROTO, rule.ipProtocol);
  if (rule.mark !== undefined) writer.u32(FRA_FWMARK, rule.mark).u32(FRA_FWMASK, rule.markMask ?? ALL_BITS);
  // The mark is compared under the mask: with none of it set.
  else if (rule.unlessMark !== undefined) writer.u32(FRA_FWMASK, rule.unlessMark);
  return { family: "route", type, flags, body: writer.finish() };
}

function decodeRule(message: NetlinkMessage, ownOnly: boolean): Rule | undefined {
  const header = decodeRuleHeader(message.body);
  const attributes = readAttributes(message.body.subarray(RULE_HEADER_LENGTH), RULE_HEADER_LENGTH);
  if (ownOnly && attributes.get(FRA_PROTOCOL)?.u8() !== OWNERSHIP.protocol) return undefined;
  const family = familyOfNumber(header.family);
  const known = header.action === FR_ACT_TO_TBL || header.action === FR_ACT_UNREACHABLE;
  if (family === undefined || !known || !ofOurShape(header.flags, attributes)) return undefined;
  const from = prefixOf(family, header.sourceLength, attributes.get(FRA_SRC));
  const to = prefixOf(family, header.destinationLength, attributes.get(FRA_DST));
  const port = attributes.get(FRA_DPORT_RANGE)?.u32();
  const protocol = attributes.get(FRA_IP_PROTO)?.u8() ?? 0;
  const mark = attributes.get(FRA_FWMARK)?.u32() ?? 0;
  const mask = attributes.get(FRA_FWMASK)?.u32() ?? 0;
  return {
    kind: "rule",
    family,
    priority: attributes.get(FRA_PRIORITY)?.u32() ?? 0,
    table: attributes.get(FRA_TABLE)?.u32() ?? header.table,
    ...(header.action === FR_ACT_UNREACHABLE && { unreachable: true }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(port === undefined ? {} : { udpDestinationPort: port & 0xffff }),
    ...(port !== undefined || protocol === 0 ? {} : { ipProtocol: protocol }),
    ...(mark === 0 ? {} : { mark }),
    ...(mark === 0 || mask === ALL_BITS ? {} : { markMask: mask }),
    ...(mark !== 0 || mask === 0 ? {} : { unlessMark: mask }),
    ...((header.flags & FIB_RULE_FIND_SADDR) === 0 ? {} : { findSource: true }),
  };
}

/** The kernel leaves out an address of zeros, but not its length. */
function prefixOf(family: Family, length: number, address: Attribute | undefined): Prefix | undefined {
  if (length === 0) return undefined;
  return { address: address === undefined ? (family === 4 ? IPV4_ANY : IPV6_ANY) : address.address(), length };
}

/** No port at all, whatever the protocol, or one single port of UDP. */
function isOnePortOfUdp(attributes: AttributeMap): boolean {
  const protocol = attributes.get(FRA_IP_PROTO)?.u8() ?? 0;
  const range = attributes.get(FRA_DPORT_RANGE)?.u32();
  if (range === undefined) return true;
  return protocol === IPPROTO_UDP && range >>> 16 === (range & 0xffff);
}

function ofOurShape(flags: number, attributes: AttributeMap): boolean {
  const vrf = attributes.get(FRA_L3MDEV)?.u8() ?? 0;
  const inverted = (flags & FIB_RULE_INVERT) !== 0;
  return (
    !inverted && vrf === 0 && isOnePortOfUdp(attributes) && !FOREIGN_SELECTORS.some((type) => attributes.has(type))
  );
}
