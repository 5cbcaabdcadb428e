/** What a node is told in the place of a success that is not on the disk. */
import type { RegistrationReply } from "../../../wire/mip4/messages/control-message.js";
import { ReplyCode } from "../../../wire/mip4/registry.js";

const FIRST_REFUSAL = 64;

/** Undefined: it promises nothing, and may leave as it is. */
export function withheldReply(reply: RegistrationReply): RegistrationReply | undefined {
  // The end of a binding is no promise that a crash could break: the node is at home, or asks again.
  if (reply.code >= FIRST_REFUSAL || reply.lifetimeSeconds === 0) return undefined;
  const extensions = reply.extensions.filter(({ kind }) => kind !== "ipv6-prefix-reply" && kind !== "udp-tunnel-reply");
  return { ...reply, code: ReplyCode.insufficientResources, lifetimeSeconds: 0, extensions };
}
