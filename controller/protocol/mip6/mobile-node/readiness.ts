/** What an operator, or a program that waits for the network, wants to know of a node: whether it can be reached at its home addresses. */
import { exhaustive } from "../../../base/result.js";
import { sameCareOf } from "../../movement/attachment.js";
import type { MobileNodeState } from "./model.js";

/**
 * detached     no network at all
 * registering  the home agent has not accepted yet where the node is, or the kernel does not have the way yet
 * registered   it has, and payload goes that way
 * refused      it has said no; it is asked again later
 * returning    on the home link, and the home agent still has a binding, or may have
 * home         at home
 * stopping     the last act
 */
export type Readiness = "detached" | "registering" | "registered" | "refused" | "returning" | "home" | "stopping";

/** `text`: the same in words, for a person. */
export function readinessOf(state: MobileNodeState): { readonly state: Readiness; readonly text: string } {
  const { phase, target, registration } = state;
  const from = target?.kind === "away" ? `${target.careOf.address} on ${target.careOf.device}` : "nowhere";
  const hasWay = state.path?.status === "realised";
  switch (phase) {
    case "detached":
      return { state: "detached", text: "not registered: there is no network that leads to the home agent" };
    case "registered":
    case "refreshing":
      if (
        hasWay &&
        registration !== undefined &&
        target?.kind === "away" &&
        sameCareOf(registration.careOf, target.careOf)
      )
        return { state: "registered", text: `registered from ${from}, payload as ${FORMAT[registration.format]}` };
      return { state: "registering", text: `registering from ${from}` };
    case "preparing":
    case "registering":
      return { state: "registering", text: `registering from ${from}` };
    case "refused":
      return { state: "refused", text: `refused by the home agent, which is asked again later from ${from}` };
    case "home":
      if (hasWay) return { state: "home", text: "at home" };
      return { state: "returning", text: "returning home" };
    case "returning":
    case "deregistering":
      return { state: "returning", text: "returning home" };
    case "stopping":
    case "stopped":
      return { state: "stopping", text: "taking its registration back, to end" };
    default:
      return exhaustive(phase);
  }
}

const FORMAT = { ipv6: "packets in IPv6", ipv4: "packets in IPv4", udp: "packets in UDP" } as const;
