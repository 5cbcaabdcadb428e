/** Agent advertisements (RFC 5944 §2.1, §2.3): what they say, how they are numbered, and when they are due. */
import { seq16 } from "../../../base/seq16.js";
import { after, earliest, elapsed, type Instant, seconds } from "../../../base/time.js";
import {
  type DiscoveryExtension,
  NEVER_DEFAULT_ROUTER,
  type RouterAdvertisement,
} from "../../../wire/mip4/messages/agent-discovery.js";
import { NO_COMMON_TRAFFIC } from "../../../wire/mip4/registry.js";
import type { ForeignAgentSite, VisitedLink } from "./site.js";
import { LIMITS, TIMERS } from "./timers.js";

const LAST_SEQUENCE = 0xffff;
/** Numbers below are those of an agent that has just started, and come once in its life (RFC 5944 §2.3.2). */
const FIRST_AFTER_ROLLOVER = 256;
/** So many at first follow each other faster (RFC 1256 §5.1), at most so many seconds apart. */
const INITIAL_ADVERTISEMENTS = 3;
const INITIAL_INTERVAL_SECONDS = 16;

export const nextSequence = (sequence: number): number =>
  sequence >= LAST_SEQUENCE ? FIRST_AFTER_ROLLOVER : sequence + 1;

export interface AdvertisementFacts {
  readonly sequence: number;
  readonly busy: boolean;
  /** We take leave: nothing of it holds any more. */
  readonly leaving?: boolean | undefined;
  readonly challenge?: Uint8Array | undefined;
}

export function advertisementOf(
  site: ForeignAgentSite,
  link: VisitedLink,
  { sequence, busy, leaving = false, challenge }: AdvertisementFacts,
): RouterAdvertisement {
  const prefixLengths: DiscoveryExtension = { kind: "prefix-lengths", prefixLengths: [link.prefixLength] };
  const extensions: DiscoveryExtension[] = [
    {
      kind: "mobility-agent-advertisement",
      sequence: seq16(sequence),
      registrationLifetimeSeconds: site.registrationLifetimeSeconds,
      flags: {
        registrationRequired: link.registrationRequired,
        busy,
        homeAgent: false,
        foreignAgent: true,
        minimalEncapsulation: false,
        gre: site.gre,
        reverseTunnelling: site.reverseTunnelling !== "refused",
        udpTunnelling: false,
        registrationRevocation: false,
        regionalRegistration: false,
      },
      careOfAddresses: [site.careOfAddress],
    },
  ];
  if (link.advertisesPrefixLength) extensions.push(prefixLengths);
  if (challenge !== undefined) extensions.push({ kind: "challenge", challenge });
  return {
    type: "router-advertisement",
    code: site.routesCommonTraffic ? 0 : NO_COMMON_TRAFFIC,
    lifetimeSeconds: leaving ? 0 : link.advertisementLifetimeSeconds,
    routers: [{ address: link.address, preference: site.routesCommonTraffic ? 0 : NEVER_DEFAULT_ROUTER }],
    extensions,
  };
}

/** When one link is advertised on. */
export class AdvertisementClock {
  readonly link: VisitedLink;
  /** Undefined: only when asked. */
  due: Instant | undefined;
  #sent = 0;
  #lastToAll: Instant | undefined;
  #window: Instant | undefined;
  #solicited = 0;

  constructor(link: VisitedLink) {
    this.link = link;
  }

  begin(now: Instant): void {
    this.due = this.link.advertisementIntervalSeconds > 0 ? now : undefined;
  }

  stop(): void {
    this.due = undefined;
  }

  /** An advertisement to all leaves now; `random`: 0 to 1, by which the next is varied (RFC 1256 §5.1). */
  sentToAll(now: Instant, random: number): void {
    this.#lastToAll = now;
    this.#sent++;
    const { advertisementIntervalSeconds: nominal } = this.link;
    if (nominal === 0) {
      this.due = undefined;
      return;
    }
    const interval = this.#sent < INITIAL_ADVERTISEMENTS ? Math.min(nominal, INITIAL_INTERVAL_SECONDS) : nominal;
    // Between three quarters and five quarters, and never more often than once a second.
    const varied = Math.max(TIMERS.advertisementSpacing, interval * (0.75 + random / 2));
    this.due = after(now, seconds(varied));
  }

  /** All ask at once where a link comes up: one answer to all a second at most, and the others hear that one. */
  allowsToAll(now: Instant): boolean {
    return this.#lastToAll === undefined || elapsed(this.#lastToAll, now) >= TIMERS.advertisementSpacing;
  }

  /** To all as soon as that is allowed. */
  soon(now: Instant): void {
    const at = this.#lastToAll === undefined ? now : after(this.#lastToAll, TIMERS.advertisementSpacing);
    this.due = earliest(this.due, at > now ? at : now);
  }

  /** Whether one more who asks by its own address is answered. */
  allowsSolicited(now: Instant): boolean {
    if (this.#window === undefined || elapsed(this.#window, now) >= TIMERS.solicitedWindow) {
      this.#window = now;
      this.#solicited = 0;
    }
    return this.#solicited++ < LIMITS.solicitedPerSecond;
  }
}
