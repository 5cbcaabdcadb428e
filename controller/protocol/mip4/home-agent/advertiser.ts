/**
 * A home agent tells its home link that it is there (RFC 5944 §2.3), so that its nodes know that they are at home: when, how often, and what.
 * It knows nothing of bindings, and no binding knows of it. It begins with number 0 whenever it starts (§2.3.2): nobody on the home link is
 * registered through it. And it takes no leave: a node at home needs no home agent, and would be without its home link until the next start.
 */
import type { Ipv4Address } from "../../../base/ip.js";
import type { Instant } from "../../../base/time.js";
import {
  type AdvertisedLink,
  AdvertisementClock,
  agentAdvertisement,
  nextSequence,
  type Solicitor,
  type ToLink,
} from "../advertisements.js";

export interface AdvertisedHome {
  readonly link: AdvertisedLink;
  /** At which nodes register: with their home link on another address they know it by this one. */
  readonly homeAgent: Ipv4Address;
  readonly registrationLifetimeSeconds: number;
  readonly gre: boolean;
  readonly routesCommonTraffic: boolean;
}

export type AdvertiserInput =
  /** Advertise from now on. */
  | { readonly kind: "begin" }
  /** The instant of `nextDeadline` has come. */
  | { readonly kind: "timer" }
  | ({ readonly kind: "solicitation" } & Solicitor);

export type AdvertiserEffect =
  | { readonly kind: "send"; readonly message: ToLink }
  | { readonly kind: "drop"; readonly reason: "rate-limited"; readonly detail: string };

export class HomeLinkAdvertiser {
  readonly #home: AdvertisedHome;
  readonly #clock: AdvertisementClock;
  #sequence = 0;

  constructor(home: AdvertisedHome) {
    this.#home = home;
    this.#clock = new AdvertisementClock(home.link);
  }

  get nextDeadline(): Instant | undefined {
    return this.#clock.due;
  }

  /** `random`: 0 to 1. */
  step(input: AdvertiserInput, now: Instant, random: number): readonly AdvertiserEffect[] {
    const clock = this.#clock;
    switch (input.kind) {
      case "begin":
        clock.begin(now);
        return [];
      case "timer":
        return clock.isDue(now) ? [this.#toAll(now, random)] : [];
      case "solicitation": {
        const answer = clock.solicited(input, now);
        if (answer === "later") return [];
        if (answer === "all") return [this.#toAll(now, random)];
        return answer === "none"
          ? [{ kind: "drop", reason: "rate-limited", detail: `solicitation of ${input.linkAddress}` }]
          : [this.#say(answer)];
      }
    }
  }

  #toAll(now: Instant, random: number): AdvertiserEffect {
    this.#clock.sentToAll(now, random);
    return this.#say();
  }

  #say(receiver?: ToLink["receiver"]): AdvertiserEffect {
    const { link, homeAgent, registrationLifetimeSeconds, gre, routesCommonTraffic } = this.#home;
    const advertisement = agentAdvertisement(link, {
      ...{ sequence: this.#sequence, registrationLifetimeSeconds, routesCommonTraffic },
      careOfAddresses: [],
      flags: { homeAgent: true, gre },
      otherAddress: homeAgent === link.address ? undefined : homeAgent,
    });
    this.#sequence = nextSequence(this.#sequence);
    const { device, address: source } = link;
    return { kind: "send", message: { to: "link", device, source, advertisement, receiver } };
  }
}
