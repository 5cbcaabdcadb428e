/**
 * What the home agent wants of a node: to do without its binding, or the IPv4 part of it (RFC 5846 §10.2), and to take another home agent
 * (RFC 5142). Both are as good as an operator's word: after a revocation the node asks again only after minutes, or elsewhere.
 */
import { isIpv6, isRoutableUnicast } from "../../../base/ip.js";
import { after } from "../../../base/time.js";
import type { MessageOfType } from "../../../wire/mip6/messages/mobility-message.js";
import { findOptions } from "../../../wire/mip6/options/mobility.js";
import { RevocationStatus, RevocationTrigger } from "../../../wire/mip6/registry.js";
import { type Attachment, sameCareOf } from "../../movement/attachment.js";
import type { SendEffect } from "../inputs.js";
import { LIMITS } from "../timers.js";
import { departure } from "./binding-update.js";
import type { Registration } from "./binding-update-list.js";
import { journal, notify, possiblyBound, type Turn, withdraw } from "./exchange.js";
import type { MobileNodeState } from "./model.js";
import { PROHIBITED_RETRY } from "./timers.js";

type Indication = MessageOfType<"binding-revocation-indication">;

/** From this trigger on a revocation is about many nodes of a proxy (RFC 5846 §5.1). */
const FIRST_GLOBAL_TRIGGER = RevocationTrigger.globalPerPeer;

/** Does as the home agent says, if that can be said to a mobile node, and answers. */
export function revoked(state: MobileNodeState, message: Indication, turn: Turn): MobileNodeState {
  const { registration, revocation } = state;
  // Before what it says is done: the way of the answer is that of the binding.
  const from: Attachment | undefined =
    registration === undefined ? state.target : { kind: "away", careOf: registration.careOf };
  const { sequence, flags } = message;
  const again = registration === undefined && revocation === sequence;
  const status = again ? RevocationStatus.success : judge(message, registration);
  if (from === undefined) {
    turn.effects.push({ kind: "drop", reason: "unexpected-type", detail: `${message.type} without a way back` });
    return state;
  }
  const obeyed = status === RevocationStatus.success && registration !== undefined;
  const next = obeyed ? obey({ ...state, revocation: sequence }, registration, message, turn) : state;
  turn.effects.push({
    kind: "send",
    message: { type: "binding-revocation-acknowledgement", status, sequence, flags, options: [] },
    source: state.site.homeAddress,
    destination: state.site.homeAgent.ipv6,
    departure: departure(state.site, from),
  } satisfies SendEffect);
  return next;
}

function judge({ flags, trigger, options }: Indication, registration: Registration | undefined): number {
  if (flags.proxyBinding) return RevocationStatus.proxyNotSupported;
  if (flags.global) return RevocationStatus.globalNotAuthorized;
  if (trigger >= FIRST_GLOBAL_TRIGGER) return RevocationStatus.triggerNotSupported;
  if (registration === undefined) return RevocationStatus.bindingDoesNotExist;
  if (!flags.ipv4HomeAddressOnly) return RevocationStatus.success;
  const named = findOptions(options, "ipv4-home-address");
  if (named.length === 0) return RevocationStatus.ipv4HomeAddressRequired;
  const ours = named.some(
    ({ address }) => address === registration.ipv4HomeAddress || isPrefixOf(registration, address),
  );
  return ours ? RevocationStatus.success : RevocationStatus.bindingDoesNotExist;
}

const isPrefixOf = ({ prefixes }: Registration, address: Registration["prefixes"][number]["address"]): boolean =>
  prefixes.some((prefix) => prefix.address === address);

function obey(state: MobileNodeState, registration: Registration, message: Indication, turn: Turn): MobileNodeState {
  const { trigger, flags } = message;
  const part = flags.ipv4HomeAddressOnly ? { part: "IPv4" } : {};
  notify(state, turn, "registration.lost", { reason: "revoked by the home agent", trigger, ...part });
  const next = flags.ipv4HomeAddressOnly ? withoutIpv4(state, registration) : unregistered(state, registration, turn);
  journal(next, turn);
  return next;
}

/** Updates to come do not ask for it any more, until the operator of the node wants it. */
function withoutIpv4(state: MobileNodeState, registration: Registration): MobileNodeState {
  const prefixes = registration.prefixes.filter(({ address }) => isIpv6(address));
  return {
    ...state,
    registration: { ...registration, ipv4HomeAddress: undefined, prefixes },
    ipv4Bound: false,
    ipv4Unsupported: true,
    ipv4AskAt: undefined,
  };
}

/** On the way home, and at the end, the updates with lifetime 0 go on: their answer says that nothing is bound. */
function unregistered(state: MobileNodeState, registration: Registration, turn: Turn): MobileNodeState {
  const { phase } = state;
  const next: MobileNodeState = {
    ...state,
    registration: undefined,
    boundUntil: undefined,
    ipv4Bound: false,
    receptions: state.receptions.filter((one) => !sameCareOf(one.careOf, registration.careOf)),
  };
  if (phase === "returning" || phase === "deregistering" || phase === "stopping" || phase === "detached") return next;
  return { ...next, phase: "refused", exchange: undefined, retryAt: after(turn.now, PROHIBITED_RETRY) };
}

/** Who is bound is told where to go on; what that is, and the update with lifetime 0 that the home agent waits for, is not decided here. */
export function switched(
  state: MobileNodeState,
  { addresses }: MessageOfType<"home-agent-switch">,
  turn: Turn,
): MobileNodeState {
  const homeAgents = addresses.filter(isRoutableUnicast).slice(0, LIMITS.namedHomeAgents.default);
  notify(state, turn, "home-agent.switched", { homeAgents: homeAgents.join(" ") || "any other" });
  if (state.phase !== "stopping") turn.effects.push({ kind: "switch", homeAgents });
  return state;
}

/** Takes the binding back from where it is. Repeated when the home agent says so again. */
export function withdrawn(state: MobileNodeState, turn: Turn): MobileNodeState {
  const { phase, target, registration } = state;
  const away = phase === "registered" || phase === "refreshing" || phase === "registering" || phase === "refused";
  if (!away || target?.kind !== "away" || !possiblyBound(state, turn.now)) return state;
  const careOf = registration?.careOf ?? target.careOf;
  const told = withdraw(state, careOf, turn);
  return {
    ...told,
    phase: "refused",
    registration: undefined,
    exchange: undefined,
    retryAt: after(turn.now, PROHIBITED_RETRY),
  };
}
