/** Where the node is, as far as its correspondents are concerned: what its home agent has accepted, and the kernel has (C-40). */
import { careOfPresent, sameAttachment } from "../../../movement/attachment.js";
import type { MobileNodeState } from "../model.js";
import type { Whereabouts } from "./inputs.js";

/** `before`: what was said last, which small changes of the data path do not alter. */
export function whereaboutsOf(
  {
    phase,
    registration,
    target,
    path,
    view,
  }: Pick<MobileNodeState, "phase" | "registration" | "target" | "path" | "view">,
  before: Whereabouts,
): Whereabouts {
  if (phase === "home") return { kind: "home" };
  if (registration === undefined || view === undefined) return { kind: "between" };
  const { careOf } = registration;
  const isSettled =
    (phase === "registered" || phase === "refreshing") && sameAttachment(target, { kind: "away", careOf });
  // Coming home takes payload off the tunnel before the home agent knows.
  const works = target?.kind !== "home" && careOfPresent(view, careOf);
  const { address } = careOf;
  const isSaid = before.kind === "away" && before.careOf === address;
  const isCarried = path?.status === "realised" && path.path.egress?.address === address;
  if (isSettled && (isSaid || isCarried))
    return {
      ...{ kind: "away", careOf: address },
      ...(registration.ipv4HomeAddress !== undefined && { ipv4HomeAddress: registration.ipv4HomeAddress }),
    };
  return works ? { kind: "between", careOf: address } : { kind: "between" };
}

export function sameWhereabouts(a: Whereabouts, b: Whereabouts): boolean {
  const careOf = (one: Whereabouts) => ("careOf" in one ? one.careOf : undefined);
  const ipv4HomeAddress = (one: Whereabouts) => (one.kind === "away" ? one.ipv4HomeAddress : undefined);
  return a.kind === b.kind && careOf(a) === careOf(b) && ipv4HomeAddress(a) === ipv4HomeAddress(b);
}
