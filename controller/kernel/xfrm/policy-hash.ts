/**
 * How the kernel keeps its XFRM policies ⇄ XFRM_MSG_NEWSPDINFO. There is one such thing in a network namespace and it is always there, so
 * making it is setting it, and removing it is setting what the kernel begins with. It carries no owner: ours is what stands as OWNERSHIP
 * has it. A change makes the kernel build its tables anew; no packet waits for that.
 *
 *      | flags (0), 32 bits | XFRMA_SPD_IPV4_HTHRESH: local, remote | XFRMA_SPD_IPV6_HTHRESH: local, remote |
 *
 * Source: linux/xfrm.h, struct xfrmu_spdhthresh (one octet each).
 */
import { AttributeWriter, readAttributes } from "../../netlink/attribute.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { PolicyHash } from "../../plan/objects/security.js";
import type { NetlinkRequest, ObjectCodec } from "../codec.js";
import {
  XFRM_MSG_GETSPDINFO,
  XFRM_MSG_NEWSPDINFO,
  XFRMA_SPD_IPV4_HTHRESH,
  XFRMA_SPD_IPV6_HTHRESH,
} from "./constants.js";

type Thresholds = Pick<PolicyHash, "ipv4" | "ipv6">;
type OfFamily = Thresholds["ipv4"];

const FLAGS_LENGTH = 4;
/** net/xfrm/xfrm_policy.c: only policies between two hosts are hashed. */
const KERNEL_DEFAULT: Thresholds = {
  ipv4: { localBits: 32, remoteBits: 32 },
  ipv6: { localBits: 128, remoteBits: 128 },
};

export const policyHashCodec: ObjectCodec<PolicyHash> = {
  kind: "policy-hash",
  family: "xfrm",
  single: true,
  create: (hash) => [setRequest(hash)],
  update: (hash) => [setRequest(hash)],
  remove: () => [setRequest(KERNEL_DEFAULT)],
  find: () => [getRequest()],
  dump: () => [getRequest()],
  decode({ type, body }, _names, ownOnly) {
    if (type !== XFRM_MSG_NEWSPDINFO) return undefined;
    const attributes = readAttributes(body.subarray(FLAGS_LENGTH), FLAGS_LENGTH);
    const ipv4 = thresholds(attributes.get(XFRMA_SPD_IPV4_HTHRESH)?.payload);
    const ipv6 = thresholds(attributes.get(XFRMA_SPD_IPV6_HTHRESH)?.payload);
    if (ipv4 === undefined || ipv6 === undefined) return undefined;
    const { policyHash } = OWNERSHIP;
    if (ownOnly && !(same(ipv4, policyHash.ipv4) && same(ipv6, policyHash.ipv6))) return undefined;
    return { kind: "policy-hash", ipv4, ipv6 };
  },
};

function setRequest({ ipv4, ipv6 }: Thresholds): NetlinkRequest {
  const body = new AttributeWriter(24)
    .raw(new Uint8Array(FLAGS_LENGTH))
    .bytes(XFRMA_SPD_IPV4_HTHRESH, Uint8Array.of(ipv4.localBits, ipv4.remoteBits))
    .bytes(XFRMA_SPD_IPV6_HTHRESH, Uint8Array.of(ipv6.localBits, ipv6.remoteBits))
    .finish();
  return { family: "xfrm", type: XFRM_MSG_NEWSPDINFO, flags: 0, body };
}

function getRequest(): NetlinkRequest {
  return { family: "xfrm", type: XFRM_MSG_GETSPDINFO, flags: 0, body: new Uint8Array(FLAGS_LENGTH) };
}

function thresholds(octets: Uint8Array | undefined): OfFamily | undefined {
  const [localBits, remoteBits] = octets ?? [];
  return localBits === undefined || remoteBits === undefined ? undefined : { localBits, remoteBits };
}

const same = (a: OfFamily, b: OfFamily): boolean => a.localBits === b.localBits && a.remoteBits === b.remoteBits;
