/**
 * clsact qdiscs ⇄ RTM_NEWQDISC. A device has one at most, anybody's, and it says nothing of its maker: ours have a block of ours, so that
 * a clsact that somebody else has put there is refused (EEXIST) and left alone. With the qdisc go the filters of a block that nobody else
 * has, unannounced. Source: linux/pkt_sched.h; seen on 6.1.
 */
import { AttributeWriter, readAttributes } from "../../netlink/attribute.js";
import { NLM_F_CREATE, NLM_F_EXCL } from "../../netlink/constants.js";
import { EINVAL } from "../../netlink/errno.js";
import {
  RTM_DELQDISC,
  RTM_GETQDISC,
  RTM_NEWQDISC,
  TC_H_CLSACT,
  TC_H_MAJ_MASK,
  TCA_EGRESS_BLOCK,
  TCA_INGRESS_BLOCK,
  TCA_KIND,
} from "../../netlink/traffic-control.js";
import type { FilterHook } from "../../plan/objects/copying.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { KernelNames, NetlinkRequest, ObjectCodec } from "../codec.js";
import { decodeTrafficHeader, encodeTrafficHeader, TRAFFIC_HEADER_LENGTH } from "./headers.js";

const BLOCK = { ingress: TCA_INGRESS_BLOCK, egress: TCA_EGRESS_BLOCK } as const;
/** Of whoever has filters there without a block of ours. */
const NO_BLOCK = 0;

export const qdiscCodec: ObjectCodec<FilterHook> = {
  kind: "qdisc",
  family: "route",
  absentErrors: [EINVAL],
  create: (hook, names) => [request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, hook, names)],
  update: () => undefined,
  remove: (hook, names) => [request(RTM_DELQDISC, 0, hook, names)],
  dump: () => [{ family: "route", type: RTM_GETQDISC, flags: 0, body: encodeTrafficHeader({}) }],
  decode({ type, body }, names, ownOnly) {
    if (type !== RTM_NEWQDISC && type !== RTM_DELQDISC) return undefined;
    const { index, parent } = decodeTrafficHeader(body);
    if (parent !== TC_H_CLSACT) return undefined;
    const attributes = readAttributes(body.subarray(TRAFFIC_HEADER_LENGTH), TRAFFIC_HEADER_LENGTH);
    const device = names.interfaceName(index);
    if (device === undefined) return undefined;
    for (const direction of ["ingress", "egress"] as const) {
      const block = attributes.get(BLOCK[direction])?.u32();
      if (block !== undefined && OWNERSHIP.filterBlocks.includes(block))
        return { kind: "qdisc", device, direction, block };
    }
    return ownOnly ? undefined : { kind: "qdisc", device, direction: "ingress", block: NO_BLOCK };
  },
};

function request(
  type: number,
  flags: number,
  { device, direction, block }: FilterHook,
  names: KernelNames,
): NetlinkRequest {
  const header = { index: names.interfaceIndex(device), handle: TC_H_MAJ_MASK, parent: TC_H_CLSACT };
  const writer = new AttributeWriter(64).raw(encodeTrafficHeader(header)).string(TCA_KIND, "clsact");
  if (type === RTM_NEWQDISC) writer.u32(BLOCK[direction], block);
  return { family: "route", type, flags, body: writer.finish() };
}
