/**
 * How long direct paths have carried nothing. Two dumps, of Home Address options and of type 2 routing headers, however many paths there
 * are; a path is in use when a packet was counted since the last look, in either direction, that was no mobility message: a binding that is
 * renewed is not in use for that. The kernel's own time of last use is a wall clock's, and 6.1 writes it on what leaves alone.
 */
import type { Ipv6Address } from "../../base/ip.js";
import { isIpv4 } from "../../base/ip.js";
import { AttributeWriter } from "../../netlink/attribute.js";
import { NLM_F_DUMP } from "../../netlink/constants.js";
import type { NetlinkMessage } from "../../netlink/message.js";
import type { NetlinkSession } from "../../netlink/session.js";
import { HEADER_REQID } from "../../plan/security/mobility-headers.js";
import type { KernelNames } from "../codec.js";
import { IPPROTO_DSTOPTS, IPPROTO_ROUTING, XFRM_MSG_GETSA, XFRMA_PROTO } from "./constants.js";
import { XFRM_STRUCTS } from "./layout.js";
import { stateBody, xfrmStateCodec } from "./state.js";

const { xfrm_usersa_info: INFO, xfrm_lifetime_cur: LIFETIME } = XFRM_STRUCTS;
const NO_NAMES: KernelNames = { interfaceIndex: () => 0, interfaceName: () => undefined };

export interface DirectPair {
  /** Ours. */
  readonly own: Ipv6Address;
  readonly other: Ipv6Address;
}

export interface DirectUse extends DirectPair {
  /** Since the last look that found it in use, or since the first look. */
  readonly idleSeconds: number;
}

interface Look {
  readonly packets: number;
  /** The most packets beyond messages so far. An answer may be counted elsewhere, or by the next look. */
  readonly payload: number;
  readonly atSeconds: number;
}

export class DirectUseMeter {
  readonly #session: Pick<NetlinkSession, "dump">;
  #looks = new Map<string, Look>();

  constructor(session: Pick<NetlinkSession, "dump">) {
    this.#session = session;
  }

  /**
   * Of all pairs that have a state of ours for what they send. `nowSeconds` by a clock that is never set; `messagesOf`: mobility messages with
   * these headers so far. Rejects with KernelError.
   */
  async look(nowSeconds: number, messagesOf: (pair: DirectPair) => number = () => 0): Promise<readonly DirectUse[]> {
    const messages: NetlinkMessage[] = [];
    for (const protocol of [IPPROTO_DSTOPTS, IPPROTO_ROUTING])
      for (const message of await this.#session.dump(dumpOf(protocol))) messages.push(message);
    const { outward, packets } = countsIn(messages);
    const looks = new Map<string, Look>();
    const uses: DirectUse[] = [];
    for (const [key, pair] of outward) {
      const now = packets.get(key) ?? 0;
      const payload = now - messagesOf(pair);
      const before = this.#looks.get(key);
      // Fewer than before: the states were made anew, and nothing is known of what they would have counted.
      const known = before !== undefined && now >= before.packets ? before : undefined;
      const atSeconds = known !== undefined && payload <= known.payload ? known.atSeconds : nowSeconds;
      looks.set(key, { packets: now, payload: Math.max(payload, known?.payload ?? payload), atSeconds });
      uses.push({ ...pair, idleSeconds: Math.max(0, nowSeconds - atSeconds) });
    }
    this.#looks = looks;
    return uses;
  }
}

/** The kernel reads filter attributes right after the netlink header here. */
const dumpOf = (protocol: number) =>
  ({
    family: "xfrm",
    type: XFRM_MSG_GETSA,
    flags: NLM_F_DUMP,
    body: new AttributeWriter(16).u8(XFRMA_PROTO, protocol).finish(),
  }) as const;

/** Packets of each pair, both directions and both headers together, and the pairs for which something is written. */
function countsIn(messages: readonly NetlinkMessage[]) {
  const outward = new Map<string, DirectPair>();
  const packets = new Map<string, number>();
  for (const message of messages) {
    const state = xfrmStateCodec.decode(message, NO_NAMES, true);
    const found = stateBody(message);
    if (state === undefined || found === undefined || isIpv4(state.source) || isIpv4(state.destination)) continue;
    const { source, destination, reqid } = state;
    const sends = reqid === HEADER_REQID.direct;
    if (!sends && reqid !== HEADER_REQID.bound) continue;
    const pair = sends ? { own: source, other: destination } : { own: destination, other: source };
    const key = `${pair.own} ${pair.other}`;
    if (sends) outward.set(key, pair);
    const counted = Number(found.info.part(INFO.curlft, LIFETIME.size).u64(LIFETIME.packets));
    packets.set(key, (packets.get(key) ?? 0) + counted);
  }
  return { outward, packets };
}
