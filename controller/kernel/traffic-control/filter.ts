/**
 * Flower filters with the actions pedit and mirred ⇄ RTM_NEWTFILTER. A filter is ours if its block is (OWNERSHIP.filterBlocks). What is
 * particular:
 * - The tag is pedit on the Ethernet source, which lies across two of its 32-bit words.
 * - A mirror that goes on ends with TC_ACT_UNSPEC ("continue"); `goto` is the end of pedit, so there is no action for it alone.
 * - mirred names its device by index: with the device it loses it, and the filter stays without.
 * - Not offloaded to hardware (SKIP_HW), which would not know our devices.
 * Sources: linux/pkt_cls.h, tc_act/tc_pedit.h, tc_act/tc_mirred.h; seen on 6.1.
 */
import { fromHex, toHex } from "../../base/bytes.js";
import { EncodeError } from "../../base/errors.js";
import { familyOf, type IpAddress } from "../../base/ip.js";
import { type Attribute, type AttributeMap, AttributeWriter, LITTLE, readAttributes } from "../../netlink/attribute.js";
import { NLM_F_CREATE, NLM_F_EXCL } from "../../netlink/constants.js";
import { EINVAL } from "../../netlink/errno.js";
import {
  ETH_P_IP,
  ETH_P_IPV6,
  RTM_DELTFILTER,
  RTM_GETTFILTER,
  RTM_NEWTFILTER,
  TC_ACT_GOTO_CHAIN,
  TC_ACT_PIPE,
  TC_ACT_STOLEN,
  TC_ACT_UNSPEC,
  TCA_ACT_KIND,
  TCA_ACT_OPTIONS,
  TCA_CHAIN,
  TCA_CLS_FLAGS_SKIP_HW,
  TCA_EGRESS_REDIR,
  TCA_FLOWER_ACT,
  TCA_FLOWER_FLAGS,
  TCA_FLOWER_KEY_ETH_TYPE,
  TCA_FLOWER_KEY_ICMPV6_TYPE,
  TCA_FLOWER_KEY_ICMPV6_TYPE_MASK,
  TCA_FLOWER_KEY_IP_PROTO,
  TCA_FLOWER_KEY_IPV4_DST,
  TCA_FLOWER_KEY_IPV4_DST_MASK,
  TCA_FLOWER_KEY_IPV6_DST,
  TCA_FLOWER_KEY_IPV6_DST_MASK,
  TCA_INGRESS_MIRROR,
  TCA_INGRESS_REDIR,
  TCA_KIND,
  TCA_MIRRED_PARMS,
  TCA_OPTIONS,
  TCA_PEDIT_KEY_EX,
  TCA_PEDIT_KEY_EX_CMD,
  TCA_PEDIT_KEY_EX_CMD_SET,
  TCA_PEDIT_KEY_EX_HDR_TYPE_ETH,
  TCA_PEDIT_KEY_EX_HTYPE,
  TCA_PEDIT_KEYS_EX,
  TCA_PEDIT_PARMS_EX,
  TCM_IFINDEX_MAGIC_BLOCK,
} from "../../netlink/traffic-control.js";
import type { Filter, FilterMatch } from "../../plan/objects/copying.js";
import type { Hex } from "../../plan/objects/firewall.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { KernelNames, NetlinkRequest, ObjectCodec } from "../codec.js";
import { decodeTrafficHeader, encodeTrafficHeader, TRAFFIC_HEADER_LENGTH } from "./headers.js";

export const filterCodec: ObjectCodec<Filter> = {
  kind: "filter",
  family: "route",
  absentErrors: [EINVAL],
  create: (filter, names) => [request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, filter, names)],
  // One with this handle is replaced.
  update: (filter, previous, names) =>
    filter.family === previous.family ? [request(RTM_NEWTFILTER, NLM_F_CREATE, filter, names)] : undefined,
  remove: (filter) => [{ family: "route", type: RTM_DELTFILTER, flags: 0, body: head(filter).finish() }],
  dump: () =>
    OWNERSHIP.filterBlocks.map((block) => ({
      family: "route",
      type: RTM_GETTFILTER,
      flags: 0,
      body: encodeTrafficHeader({ index: TCM_IFINDEX_MAGIC_BLOCK, parent: block }),
    })),
  decode({ type, body }, names) {
    if (type !== RTM_NEWTFILTER && type !== RTM_DELTFILTER) return undefined;
    const { index, parent: block, handle, priority, protocol } = decodeTrafficHeader(body);
    const isOurs = index === TCM_IFINDEX_MAGIC_BLOCK && OWNERSHIP.filterBlocks.includes(block);
    const family = protocol === ETH_P_IPV6 ? 6 : protocol === ETH_P_IP ? 4 : undefined;
    // Classifiers show themselves, too, with handle 0.
    if (!isOurs || family === undefined || handle === 0) return undefined;
    const attributes = readAttributes(body.subarray(TRAFFIC_HEADER_LENGTH), TRAFFIC_HEADER_LENGTH);
    const options = attributes.get(TCA_KIND)?.string() === "flower" ? attributes.get(TCA_OPTIONS)?.nested() : undefined;
    if (options === undefined) return undefined;
    const chain = attributes.get(TCA_CHAIN)?.u32() ?? 0;
    const place = { kind: "filter", block, chain, priority, handle, family } as const;
    return { ...place, match: decodeMatch(options), ...decodeActions(options.get(TCA_FLOWER_ACT), names) };
  },
};

/** Which filter it is. */
function head({ block, chain, priority, handle, family }: Filter): AttributeWriter {
  const protocol = family === 6 ? ETH_P_IPV6 : ETH_P_IP;
  return new AttributeWriter(512)
    .raw(encodeTrafficHeader({ index: TCM_IFINDEX_MAGIC_BLOCK, parent: block, handle, priority, protocol }))
    .string(TCA_KIND, "flower")
    .u32(TCA_CHAIN, chain);
}

function request(type: number, flags: number, filter: Filter, names: KernelNames): NetlinkRequest {
  const body = head(filter)
    .nested(TCA_OPTIONS, (options) => {
      options.u32(TCA_FLOWER_FLAGS, TCA_CLS_FLAGS_SKIP_HW);
      options.u16be(TCA_FLOWER_KEY_ETH_TYPE, filter.family === 6 ? ETH_P_IPV6 : ETH_P_IP);
      putMatch(options, filter);
      options.nested(TCA_FLOWER_ACT, (list) => putActions(list, filter, names));
    })
    .finish();
  return { family: "route", type, flags, body };
}

const DESTINATION = {
  4: [TCA_FLOWER_KEY_IPV4_DST, TCA_FLOWER_KEY_IPV4_DST_MASK],
  6: [TCA_FLOWER_KEY_IPV6_DST, TCA_FLOWER_KEY_IPV6_DST_MASK],
} as const;

function putMatch(options: AttributeWriter, { family, match }: Filter): void {
  const { destination, protocol, icmpv6Type } = match;
  if (destination !== undefined) {
    if (familyOf(destination.address) !== family) throw new EncodeError("destination", "not of the filter's family");
    const [value, mask] = DESTINATION[family];
    options.address(value, destination.address).bytes(mask, maskOctets(family, destination.length));
  }
  if (protocol !== undefined) options.u8(TCA_FLOWER_KEY_IP_PROTO, protocol);
  if (icmpv6Type !== undefined)
    options.u8(TCA_FLOWER_KEY_ICMPV6_TYPE, icmpv6Type).u8(TCA_FLOWER_KEY_ICMPV6_TYPE_MASK, 0xff);
}

function maskOctets(family: 4 | 6, bits: number): Uint8Array {
  return Uint8Array.from({ length: family === 4 ? 4 : 16 }, (_, i) => 0xff00 >> Math.min(8, Math.max(0, bits - 8 * i)));
}

function decodeMatch(options: AttributeMap): FilterMatch {
  const destination = destinationOf(options, 6) ?? destinationOf(options, 4);
  const protocol = options.get(TCA_FLOWER_KEY_IP_PROTO)?.u8();
  const icmpv6Type = options.get(TCA_FLOWER_KEY_ICMPV6_TYPE)?.u8();
  return {
    ...(destination !== undefined && { destination }),
    ...(protocol !== undefined && { protocol }),
    ...(icmpv6Type !== undefined && { icmpv6Type }),
  };
}

function destinationOf(options: AttributeMap, family: 4 | 6): FilterMatch["destination"] {
  const [value, mask] = DESTINATION[family];
  const address: IpAddress | undefined = options.get(value)?.address();
  if (address === undefined) return undefined;
  const bits = options.get(mask)?.payload ?? maskOctets(family, 128);
  return { address, length: bits.reduce((sum, octet) => sum + octet.toString(2).replaceAll("0", "").length, 0) };
}

const VERDICT = { "copy-in": TC_ACT_UNSPEC, "move-in": TC_ACT_STOLEN, "move-out": TC_ACT_STOLEN } as const;
const EFFECT = { "copy-in": TCA_INGRESS_MIRROR, "move-in": TCA_INGRESS_REDIR, "move-out": TCA_EGRESS_REDIR } as const;

function putActions(list: AttributeWriter, { tag, outcome }: Filter, names: KernelNames): void {
  if (outcome.verb === "goto") {
    if (tag === undefined) throw new EncodeError("tag", "what goes to another chain needs one");
    putAction(list, 1, "pedit", (options) => putTag(options, tag, TC_ACT_GOTO_CHAIN | outcome.chain));
    return;
  }
  if (tag !== undefined) putAction(list, 1, "pedit", (options) => putTag(options, tag, TC_ACT_PIPE));
  const index = names.interfaceIndex(outcome.device);
  putAction(list, tag === undefined ? 1 : 2, "mirred", (options) => {
    const view = new DataView(new ArrayBuffer(MIRRED_OCTETS));
    view.setInt32(ACTION_AT, VERDICT[outcome.verb], LITTLE);
    view.setInt32(MIRRED_EFFECT_AT, EFFECT[outcome.verb], LITTLE);
    view.setUint32(MIRRED_INDEX_AT, index, LITTLE);
    options.bytes(TCA_MIRRED_PARMS, new Uint8Array(view.buffer));
  });
}

function putAction(list: AttributeWriter, order: number, kind: string, fill: (options: AttributeWriter) => void): void {
  list.nested(order, (action) => action.string(TCA_ACT_KIND, kind).nested(TCA_ACT_OPTIONS, fill));
}

/** struct tc_mirred begins with tc_gen, as all actions do: index, capabilities, verdict, two counts of references. */
const ACTION_AT = 8;
const MIRRED_EFFECT_AT = 20;
const MIRRED_INDEX_AT = 24;
const MIRRED_OCTETS = 28;
/** struct tc_pedit_sel: tc_gen, number of keys, flags; then keys of mask, value, offset and three fields that we leave 0. */
const KEY_COUNT_AT = 20;
const KEYS_AT = 24;
const KEY_OCTETS = 24;
/** Where the words that hold the Ethernet source stand in the Ethernet header, and which octets of the first are the destination's. */
const TAG_WORDS = [4, 8] as const;
const TAG_MASK = fromHex("ffff000000000000");
const TAG_OCTETS = 6;

function putTag(options: AttributeWriter, tag: Hex, verdict: number): void {
  const octets = fromHex(tag);
  if (octets.length !== TAG_OCTETS) throw new EncodeError("tag", `${octets.length} octets, an Ethernet source has 6`);
  const bytes = new Uint8Array(KEYS_AT + TAG_WORDS.length * KEY_OCTETS);
  const view = new DataView(bytes.buffer);
  view.setInt32(ACTION_AT, verdict, LITTLE);
  bytes[KEY_COUNT_AT] = TAG_WORDS.length;
  const words = Uint8Array.of(0, 0, ...octets);
  TAG_WORDS.forEach((offset, i) => {
    const at = KEYS_AT + i * KEY_OCTETS;
    bytes.set(TAG_MASK.subarray(4 * i, 4 * i + 4), at);
    bytes.set(words.subarray(4 * i, 4 * i + 4), at + 4);
    view.setUint32(at + 8, offset, LITTLE);
  });
  options.bytes(TCA_PEDIT_PARMS_EX, bytes).nested(TCA_PEDIT_KEYS_EX, (keys) => {
    for (const _ of TAG_WORDS)
      keys.nested(TCA_PEDIT_KEY_EX, (key) =>
        key
          .u16(TCA_PEDIT_KEY_EX_HTYPE, TCA_PEDIT_KEY_EX_HDR_TYPE_ETH)
          .u16(TCA_PEDIT_KEY_EX_CMD, TCA_PEDIT_KEY_EX_CMD_SET),
      );
  });
}

/** What stands in the place of actions that are none of ours, so that the filter differs from every wanted one. */
const UNKNOWN: Pick<Filter, "outcome"> = { outcome: { verb: "goto", chain: -1 } };

function decodeActions(list: Attribute | undefined, names: KernelNames): Pick<Filter, "tag" | "outcome"> {
  const actions = (list?.list() ?? []).map((action) => {
    const parts = action.nested();
    return { kind: parts.get(TCA_ACT_KIND)?.string(), options: parts.get(TCA_ACT_OPTIONS)?.nested() };
  });
  const pedit = actions[0]?.kind === "pedit" ? decodeTag(actions[0].options?.get(TCA_PEDIT_PARMS_EX)) : undefined;
  const last = actions.at(-1);
  const tag = pedit === undefined ? {} : { tag: pedit.tag };
  if (last?.kind === "mirred") return { ...tag, ...decodeMirred(last.options?.get(TCA_MIRRED_PARMS), names) };
  if (pedit === undefined || (pedit.verdict & TC_ACT_GOTO_CHAIN) === 0) return UNKNOWN;
  return { ...tag, outcome: { verb: "goto", chain: pedit.verdict & ~TC_ACT_GOTO_CHAIN } };
}

function decodeTag(parameters: Attribute | undefined): { readonly tag: Hex; readonly verdict: number } | undefined {
  const bytes = parameters?.payload;
  if (bytes === undefined || bytes.length < KEYS_AT + 2 * KEY_OCTETS) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (i: number): Uint8Array => bytes.subarray(KEYS_AT + i * KEY_OCTETS + 4, KEYS_AT + i * KEY_OCTETS + 8);
  return { tag: toHex(word(0).subarray(2)) + toHex(word(1)), verdict: view.getInt32(ACTION_AT, LITTLE) };
}

function decodeMirred(parameters: Attribute | undefined, names: KernelNames): Pick<Filter, "outcome"> {
  const bytes = parameters?.payload;
  if (bytes === undefined || bytes.length < MIRRED_OCTETS) return UNKNOWN;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const effect = view.getInt32(MIRRED_EFFECT_AT, LITTLE);
  const device = names.interfaceName(view.getUint32(MIRRED_INDEX_AT, LITTLE));
  const verb = (["copy-in", "move-in", "move-out"] as const).find((one) => EFFECT[one] === effect);
  return device === undefined || verb === undefined ? UNKNOWN : { outcome: { verb, device } };
}
