/** ESP in transport mode between a home address and its home agent, and the policies that ask for it: what all messages so protected share. */
import { hostPrefix, IPV6_ANY, type IpAddress, type Ipv6Address } from "../../base/ip.js";
import { OWNERSHIP } from "../objects/objects.js";
import type { XfrmMark, XfrmPolicy, XfrmSelector, XfrmState, XfrmTemplate } from "../objects/security.js";
import type { Association, ChildAssociations } from "../site.js";
import { RECEIVING_PLAIN_MARK, SENDING_MARK } from "./marks.js";

export const MOBILITY_HEADER = 135;
export const ICMPV6 = 58;
export const ESP = 50;
export const ANYBODY = { address: IPV6_ANY, length: 0 } as const;

/** Packets per association that may come out of order. */
const TRANSPORT_REPLAY_WINDOW = 64;

export function between(source: IpAddress, destination: IpAddress, protocol = MOBILITY_HEADER): XfrmSelector {
  return { source: hostPrefix(source), destination: hostPrefix(destination), protocol };
}

/** Asks for ESP in transport mode. */
export const transportTemplate = (reqid: number): XfrmTemplate => ({
  protocol: "esp",
  mode: "transport",
  source: IPV6_ANY,
  destination: IPV6_ANY,
  reqid,
  optional: false,
});

/** A policy of ours. */
export function policy(
  direction: XfrmPolicy["direction"],
  selector: XfrmSelector,
  priority: number,
  rest: Partial<XfrmPolicy>,
): XfrmPolicy {
  return {
    kind: "xfrm-policy",
    direction,
    policyType: "main",
    selector,
    priority: OWNERSHIP.policyPriorityBase + priority,
    action: "allow",
    templates: [],
    ...rest,
  };
}

/** One end of an association between two addresses that never change. */
export interface TransportEnd {
  readonly self: Ipv6Address;
  readonly peer: Ipv6Address;
  readonly reqid: number;
  /** Of the messages. */
  readonly protocol: number;
}

/** States made of what was negotiated, as this end uses them; the marks keep them apart from the IKE daemon's originals. */
export function transportStates(
  { self, peer, reqid, protocol }: TransportEnd,
  child: ChildAssociations | undefined,
): readonly XfrmState[] {
  if (child === undefined) return [];
  const inward = { source: peer, destination: self, reqid, protocol };
  const outward = { source: self, destination: peer, reqid, protocol };
  return [
    ...child.receive.map((one) => transportState(inward, one, { mark: RECEIVING_PLAIN_MARK })),
    ...(child.send === undefined ? [] : [transportState(outward, child.send, { mark: SENDING_MARK })]),
  ];
}

/** One direction of an association between two addresses that never change. */
export interface TransportDirection {
  readonly source: Ipv6Address;
  readonly destination: Ipv6Address;
  readonly reqid: number;
  /** Of the messages. */
  readonly protocol: number;
}

/** Absent `mark`: packets with any mark meet it, and it takes on from no other (succession.ts). */
export function transportState(
  { source, destination, reqid, protocol }: TransportDirection,
  association: Association,
  { mark, replayWindow = TRANSPORT_REPLAY_WINDOW }: { readonly mark?: XfrmMark; readonly replayWindow?: number } = {},
): XfrmState {
  return {
    kind: "xfrm-state",
    source,
    destination,
    reqid,
    selector: between(source, destination, protocol),
    transform: {
      type: "esp",
      mode: "transport",
      ...association,
      replayWindow,
      ...(mark !== undefined && { mark }),
    },
  };
}
