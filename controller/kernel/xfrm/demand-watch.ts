/**
 * Whom a home address sends to without a direct path: the kernel asks for the state that an optional template of the demand policy names
 * (XFRM_MSG_ACQUIRE; plan/route-optimisation/site.ts), while the packets go on. It asks once for each pair of addresses until
 * net.core.xfrm_acq_expires (30 s, 165 s beside charon), whatever becomes of the policy, unless it is made to forget that it has asked.
 * Whoever can make the machine send (a scanner) can cause many questions. One that is lost comes again from what still sends unconnected;
 * for connected sockets the policy must be renewed, so a loss is told.
 */
import { IPV6_ANY, type IpAddress, isIpv6 } from "../../base/ip.js";
import { readAttributes } from "../../netlink/attribute.js";
import type { NetlinkMessage } from "../../netlink/message.js";
import type { NetlinkSession } from "../../netlink/session.js";
import type { KernelNames } from "../codec.js";
import { XFRMNLGRP_ACQUIRE } from "../notification-constants.js";
import { BurstWatch, type BurstWatchOptions } from "./burst-watch.js";
import { AF_INET, AF_INET6, IPPROTO_DSTOPTS, XFRM_MSG_ACQUIRE, XFRMA_TMPL } from "./constants.js";
import { StructView, XFRM_STRUCTS } from "./layout.js";
import { isOwnReqid, xfrmStateCodec } from "./state.js";

const { xfrm_user_acquire: ACQUIRE, xfrm_user_tmpl: TMPL, xfrm_selector: SELECTOR, xfrm_id } = XFRM_STRUCTS;
/** As many as a node may have correspondents. */
const BURST = 256;

const NO_NAMES: KernelNames = { interfaceIndex: () => 0, interfaceName: () => undefined };

/**
 * Takes out what stands for the kernel's question about each of these, so that whoever still sends when the policy is next renewed makes it
 * ask again. Not for correspondents with a path: its state has the same key. Never rejects: most questions are gone by themselves.
 */
export async function forgetQuestions(
  session: Pick<NetlinkSession, "execute">,
  homeAddress: IpAddress,
  correspondents: readonly IpAddress[],
): Promise<void> {
  const transform = { type: "home-address-option", careOfAddress: IPV6_ANY, wildcard: false } as const;
  const ends = correspondents.map((destination) => ({ source: homeAddress, destination }));
  await session.execute(
    ends.flatMap((pair) => xfrmStateCodec.remove({ kind: "xfrm-state", ...pair, reqid: 0, transform }, NO_NAMES)),
  );
}

/** Both addresses are of one family. */
export interface Demand {
  readonly homeAddress: IpAddress;
  readonly correspondent: IpAddress;
  /** Of the demand policy's template: `demandReqid`. */
  readonly reqid: number;
}

/** The kernel keeps a question only where somebody listens. Throws the addon's system error. */
export const watchDemand = (options: BurstWatchOptions<Demand>): BurstWatch<Demand> =>
  new BurstWatch({ group: XFRMNLGRP_ACQUIRE, burst: BURST, decode: decodeDemand }, options);

/** undefined for questions of others and for keys. Throws DecodeError. */
export function decodeDemand({ type, body }: NetlinkMessage): Demand | undefined {
  if (type !== XFRM_MSG_ACQUIRE) return undefined;
  const view = StructView.over(body, "xfrm_user_acquire");
  if (view.u8(ACQUIRE.id + xfrm_id.proto) !== IPPROTO_DSTOPTS) return undefined;
  const family = view.u16(ACQUIRE.sel + SELECTOR.family);
  if (family !== AF_INET6 && family !== AF_INET) return undefined;
  const reqid = demandReqidIn(readAttributes(body.subarray(ACQUIRE.size), ACQUIRE.size).get(XFRMA_TMPL)?.payload);
  if (reqid === undefined) return undefined;
  const homeAddress = view.address(ACQUIRE.sel + SELECTOR.saddr, family);
  const correspondent = view.address(ACQUIRE.sel + SELECTOR.daddr, family);
  return isIpv6(homeAddress) === isIpv6(correspondent) ? { homeAddress, correspondent, reqid } : undefined;
}

/** Of the first template of ours for a Home Address option. */
function demandReqidIn(templates: Uint8Array = new Uint8Array(0)): number | undefined {
  for (let at = 0; at < templates.length; at += TMPL.size) {
    const template = StructView.over(templates, "xfrm_user_tmpl", at);
    const reqid = template.u32(TMPL.reqid);
    if (template.u8(TMPL.id + xfrm_id.proto) === IPPROTO_DSTOPTS && isOwnReqid(reqid)) return reqid;
  }
  return undefined;
}
