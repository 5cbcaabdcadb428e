/**
 * The kernel's reports of packets with a Home Address option that no binding covers (XFRM_MSG_REPORT): what the binding errors of RFC
 * 6275 §9.3.1 are about.
 */
import { type Ipv6Address, isIpv6 } from "../../base/ip.js";
import { readAttributes } from "../../netlink/attribute.js";
import type { NetlinkMessage } from "../../netlink/message.js";
import { XFRMNLGRP_REPORT } from "../notification-constants.js";
import { BurstWatch, type BurstWatchOptions } from "./burst-watch.js";
import { IPPROTO_DSTOPTS, XFRM_MSG_REPORT, XFRMA_COADDR } from "./constants.js";
import { StructView, XFRM_STRUCTS } from "./layout.js";

const { xfrm_user_report: REPORT, xfrm_selector: SELECTOR } = XFRM_STRUCTS;
/** More than binding errors may leave until reports are heard again. */
const BURST = 32;

/** One packet. */
export interface RefusedOption {
  /** As on the wire: the care-of address. */
  readonly source: Ipv6Address;
  /** One of ours. */
  readonly destination: Ipv6Address;
  /** From the option. */
  readonly homeAddress: Ipv6Address;
  /** Behind the extension headers. */
  readonly protocol: number;
}

/** Throws the addon's system error. */
export const watchReports = (options: BurstWatchOptions<RefusedOption>): BurstWatch<RefusedOption> =>
  new BurstWatch({ group: XFRMNLGRP_REPORT, burst: BURST, decode: decodeReport }, options);

/** undefined for reports of another kind. Throws DecodeError. */
export function decodeReport({ type, body }: NetlinkMessage): RefusedOption | undefined {
  if (type !== XFRM_MSG_REPORT) return undefined;
  const view = StructView.over(body, "xfrm_user_report");
  const source = readAttributes(body.subarray(REPORT.size), REPORT.size).get(XFRMA_COADDR)?.address();
  if (view.u8(REPORT.proto) !== IPPROTO_DSTOPTS || source === undefined || !isIpv6(source)) return undefined;
  // The kernel has exchanged the addresses: the home address stands in the place of the source.
  return {
    source,
    destination: view.ipv6(REPORT.sel + SELECTOR.daddr),
    homeAddress: view.ipv6(REPORT.sel + SELECTOR.saddr),
    protocol: view.u8(REPORT.sel + SELECTOR.proto),
  };
}
