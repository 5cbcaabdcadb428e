/**
 * Where payload goes, of what the machine knows. Make before break: the place that is asked for takes packets before the request leaves,
 * the way out changes when the home agent has accepted, and the former place takes packets for a while after. Home is the other way
 * round: the home agent lets go of the tunnel as soon as it has read the request, so payload has left it before.
 */
import { after, seconds } from "../../../base/time.js";
import { type Attachment, endOf, type NodePath, type PathEnd } from "./inputs.js";
import { type MobileNodeState, purposeOf, setPath, type Turn } from "./model.js";

/** De-registrations without an answer, after which payload goes back into the tunnel: the home link does not reach far. */
const UNANSWERED_AT_HOME = 1;

type Away = Exclude<Attachment, { readonly kind: "home" }>;

/** Asks for the way that is right now, if it is another one. */
export function followWay(turn: Turn): void {
  setPath(turn, wayOf(turn.state));
}

function wayOf(state: MobileNodeState): NodePath {
  const { attachment } = state;
  if (attachment === undefined) return { mode: "detached" };
  return attachment.kind === "home" ? wayAtHome(state, attachment.device) : wayAt(state, attachment);
}

function wayAtHome(state: MobileNodeState, device: string): NodePath {
  const { tunnel, homeAddress } = state;
  const isDirect = tunnel === undefined || purposeOf(state) === undefined || state.attempts <= UNANSWERED_AT_HOME;
  const ingress = endsOf(state, tunnel?.egress);
  if (isDirect && homeAddress !== undefined)
    return { mode: "home", device, homeAddress, ...foundAgent(state), ...some(ingress) };
  return tunnel === undefined
    ? { mode: "detached", ...foundAgent(state), ...some(ingress), homeDevice: device }
    : { ...tunnel, ingress, homeDevice: device };
}

/** While nothing else was granted, payload uses the way that it has: the tunnel, or the home link that the node is leaving. */
function wayAt(state: MobileNodeState, attachment: Away): NodePath {
  const { tunnel, leaving, homeAddress } = state;
  const ingress = endsOf(state, tunnel?.egress, endOf(attachment));
  if (tunnel !== undefined) return { ...tunnel, ingress };
  return leaving !== undefined && homeAddress !== undefined
    ? { mode: "home", device: leaving, homeAddress, ...foundAgent(state), ...some(ingress) }
    : { mode: "detached", ...foundAgent(state), ...some(ingress) };
}

/** The present end first, each once. */
function endsOf({ former }: MobileNodeState, ...present: readonly (PathEnd | undefined)[]): readonly PathEnd[] {
  const all = [...present, former?.end].filter((end) => end !== undefined);
  return all.filter((end, i) => all.findIndex((other) => sameEnd(other, end)) === i);
}

const some = (ingress: readonly PathEnd[]): { readonly ingress?: readonly PathEnd[] } =>
  ingress.length === 0 ? {} : { ingress };

const foundAgent = ({ homeAgent, site }: MobileNodeState): Pick<NodePath, "homeAgent"> =>
  homeAgent === site.homeAgent ? {} : { homeAgent };

export const sameEnd = (a: PathEnd, b: PathEnd): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Packets that were sent before the home agent knew of the move are on their way to the old place. */
export function keepFormer({ state, moment }: Turn, present?: PathEnd): void {
  const { tunnel, site } = state;
  if (tunnel === undefined || (present !== undefined && sameEnd(tunnel.egress, present))) return;
  state.former = { end: tunnel.egress, until: after(moment.now, seconds(site.previousCareOfGraceSeconds)) };
}
