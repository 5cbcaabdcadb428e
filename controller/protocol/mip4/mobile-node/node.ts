/**
 * A mobile node of Mobile IPv4 as a whole: where it is (whereabouts.ts) and its registrations there (machine.ts), each told what the other
 * one has learnt. Must not know sockets, kernel objects, clocks or keys.
 */
import type { Ipv4Address } from "../../../base/ip.js";
import { earliest, type Instant } from "../../../base/time.js";
import type { RouterAdvertisement } from "../../../wire/mip4/messages/agent-discovery.js";
import type { NetworkView } from "../../movement/network-view.js";
import type { Attachment, MobileNodeEffect, MobileNodeInput, Moment, RequestEffect } from "./inputs.js";
import { MobileNodeState, nextDeadline, step } from "./machine.js";
import type { MobileNodeSite } from "./site.js";
import { Whereabouts, type WhereaboutsSite } from "./whereabouts.js";

export type NodeInput =
  | Exclude<MobileNodeInput, { readonly kind: "attach" }>
  /** The network as it is believed: always the whole of it. */
  | { readonly kind: "network"; readonly view: NetworkView }
  /** An ICMP router advertisement; only those of mobility agents say anything. */
  | {
      readonly kind: "advertisement";
      readonly device: string;
      readonly source: Ipv4Address;
      readonly linkLayerAddress: string;
      readonly message: RouterAdvertisement;
    };

export type NodeEffect =
  | Exclude<MobileNodeEffect, { readonly kind: "request" }>
  /** After the journal is on the disk. */
  | { readonly kind: "send"; readonly request: RequestEffect }
  /** An agent solicitation on this link. */
  | { readonly kind: "solicit"; readonly device: string }
  /** So many requests in a row were not answered from this place, or were, with a refusal that nothing can be done about. */
  | { readonly kind: "unanswered"; readonly attachment: Attachment }
  /** From this place the home agent was heard. */
  | { readonly kind: "answered"; readonly attachment: Attachment };

/** After so many requests in a row without success another place is worth more. */
const VAIN = 3;
const RANDOM_RANGE = 2 ** 32;

export class MobileNode {
  readonly where: Whereabouts;
  readonly registration: MobileNodeState;
  /** Of the exchange for which it was last said that nobody answers. */
  #told = 0;
  /** Before that it is nowhere for all that is known, and a tunnel of before a restart would be given up. */
  #hasSeenNetwork = false;

  constructor(site: MobileNodeSite, whereabouts: WhereaboutsSite) {
    this.registration = new MobileNodeState(site);
    this.where = new Whereabouts(whereabouts);
  }

  get nextDeadline(): Instant | undefined {
    const { stopped, stopping } = this.registration;
    if (stopped) return undefined;
    // Whoever ends goes nowhere else: what is due there would stay so.
    return stopping
      ? nextDeadline(this.registration)
      : earliest(nextDeadline(this.registration), this.where.nextDeadline);
  }

  /** The effects of one input, in the order in which they are to be performed. */
  step(input: NodeInput, moment: Moment): readonly NodeEffect[] {
    const effects: NodeEffect[] = [];
    const { registration, where } = this;
    const take = (one: MobileNodeInput): void => {
      for (const effect of step(registration, one, moment))
        effects.push(effect.kind === "request" ? { kind: "send", request: effect } : effect);
    };
    let isRestarted = false;
    switch (input.kind) {
      case "network":
        this.#hasSeenNetwork = true;
        where.see(input.view, moment.now);
        break;
      case "advertisement": {
        const { device, source, message, linkLayerAddress } = input;
        isRestarted = where.hear(device, source, message, moment.now, linkLayerAddress) === "restarted";
        isRestarted &&= isAt(where.present, device, source);
        break;
      }
      case "reply": {
        const before = registration.exchange;
        take(input);
        if (before !== undefined && registration.exchange === undefined) this.#heard(moment.now, effects);
        break;
      }
      default:
        take(input);
    }
    this.#judge(moment.now, effects);
    if (!registration.stopping && this.#hasSeenNetwork) {
      where.know(registration.homeAddress, registration.homeAgent);
      take({ kind: "attach", attachment: where.place(moment.now) });
      // It has lost its visitors.
      if (isRestarted) take({ kind: "refresh" });
      for (const device of where.solicitations(moment.now, moment.random / RANDOM_RANGE))
        effects.push({ kind: "solicit", device });
    }
    return effects;
  }

  #heard(now: Instant, effects: NodeEffect[]): void {
    const { registration, where } = this;
    if (registration.attempts > 0 || where.present === undefined) return;
    where.answered(now);
    effects.push({ kind: "answered", attachment: where.present });
  }

  /** Whether the place is worth less than another by now. */
  #judge(now: Instant, effects: NodeEffect[]): void {
    const { attempts } = this.registration;
    const { present } = this.where;
    if (attempts <= VAIN) this.#told = 0;
    if (attempts <= VAIN || (attempts - 1) % VAIN !== 0 || attempts === this.#told || present === undefined) return;
    this.#told = attempts;
    this.where.unanswered(attempts - 1, now);
    effects.push({ kind: "unanswered", attachment: present });
  }
}

function isAt(place: Attachment | undefined, device: string, agent: Ipv4Address): boolean {
  if (place === undefined || place.kind === "home" || place.device !== device) return false;
  const through = place.kind === "foreign-agent" ? place.agent : place.through;
  return through?.address === agent;
}
