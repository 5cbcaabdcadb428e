/** What given associations have carried and refused: nobody else's are read, however many there are. */
import { append } from "../../base/lists.js";
import type { NetlinkMessage, NetlinkRequest } from "../../netlink/message.js";
import type { NetlinkSession } from "../../netlink/session.js";
import type { XfrmState } from "../../plan/objects/security.js";
import type { KernelNames } from "../codec.js";
import { decodeCounters, type StateCounters } from "./security-messages.js";
import { xfrmStateCodec } from "./state.js";

const NO_NAMES: KernelNames = { interfaceIndex: () => 0, interfaceName: () => undefined };

/** As far as they are there; one message for each. */
export async function stateCountersOf(
  session: Pick<NetlinkSession, "execute">,
  states: readonly XfrmState[],
): Promise<readonly StateCounters[]> {
  const requests: NetlinkRequest[] = [];
  for (const state of states) append(requests, xfrmStateCodec.find?.(state, NO_NAMES) ?? []);
  const replies: NetlinkMessage[] = [];
  for (const outcome of await session.execute(requests)) append(replies, outcome.replies);
  try {
    return replies.flatMap((reply) => decodeCounters(reply) ?? []);
  } finally {
    for (const { body } of replies) body.fill(0); // keys
  }
}
