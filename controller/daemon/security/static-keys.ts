/** What there is to show of nodes with static keys: the plan and the kernel's counters. */
import type { SecurityDocument } from "../../../schemas/control.js";
import type { IpAddress, Ipv6Address } from "../../base/ip.js";
import { readStateCounters } from "../../kernel/xfrm/security-watch.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import { NO_SLOTS, RequestIds } from "../../plan/security/request-ids.js";
import { openTransport, setTimer } from "../kernel.js";
import { securityDocument } from "./view.js";

/** `own`: our own addresses. Rejects with KernelError. */
export async function staticSecurity(
  nodes: readonly Ipv6Address[],
  objects: (homeAddress: Ipv6Address) => readonly KernelObject[],
  own: readonly IpAddress[],
): Promise<SecurityDocument> {
  const counters = await readStateCounters({ openTransport, setTimer });
  const ids = new RequestIds(nodes, NO_SLOTS);
  const now = Date.now() / 1000;
  return securityDocument(nodes, {
    method: "static-keys",
    ids,
    counters,
    objects,
    ike: undefined,
    own: new Set(own),
    now,
  });
}
