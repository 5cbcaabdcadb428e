/** What an operator, or a program that waits for the network, wants to know of a node: whether it can be reached at its home address. */
import type { Attachment } from "./inputs.js";
import type { MobileNodeState } from "./model.js";

/** See schemas/control.ts. */
type Readiness = "detached" | "registering" | "registered" | "refused" | "returning" | "home" | "stopping";

/** `hasWay`: the kernel has the data path. `text`: the same in words, for a person. */
export function readinessOf(
  { attachment, registered, stopping, mayBeBound, path, refusal }: MobileNodeState,
  hasWay: boolean,
): { readonly state: Readiness; readonly text: string } {
  if (stopping) return { state: "stopping", text: "taking its registration back, to end" };
  if (attachment === undefined)
    return { state: "detached", text: "not registered: there is no network that leads to the home agent" };
  if (attachment.kind === "home")
    return mayBeBound || path.mode !== "home" || !hasWay
      ? { state: "returning", text: "returning home" }
      : { state: "home", text: "at home" };
  const from = formatPlace(attachment);
  if (registered !== undefined && samePlace(registered.attachment, attachment) && path.mode === "away" && hasWay) {
    const how = path.keepaliveSeconds !== undefined ? "in UDP" : path.encapsulation === "gre" ? "in GRE" : "in IPv4";
    return { state: "registered", text: `registered from ${from}, payload as packets ${how}` };
  }
  if (refusal !== undefined) return { state: "refused", text: `refused from ${from}: ${refusal}; asked again later` };
  return { state: "registering", text: `registering from ${from}` };
}

export function formatPlace(place: Exclude<Attachment, { readonly kind: "home" }>): string {
  return place.kind === "co-located"
    ? `${place.address} on ${place.device}${place.through === undefined ? "" : ` through ${place.through.address}`}`
    : `${place.careOfAddress} of the foreign agent ${place.agent.address} on ${place.device}`;
}

/** However the agent calls itself by now. */
function samePlace(a: Exclude<Attachment, { readonly kind: "home" }>, b: typeof a): boolean {
  return formatPlace(a) === formatPlace(b);
}
