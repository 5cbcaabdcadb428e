/**
 * Agent advertisements (RFC 5944 §2.1, §2.3) of home agents and foreign agents alike: what they say, how they are numbered, when they are due,
 * and how solicitations are answered.
 */
import type { Ipv4Address } from "../../base/ip.js";
import { IPV4_ANY } from "../../base/ip.js";
import { seq16 } from "../../base/seq16.js";
import { after, earliest, elapsed, type Instant, seconds } from "../../base/time.js";
import {
  type DiscoveryExtension,
  type MobilityAgentAdvertisement,
  NEVER_DEFAULT_ROUTER,
  type RouterAdvertisement,
} from "../../wire/mip4/messages/agent-discovery.js";
import { NO_COMMON_TRAFFIC } from "../../wire/mip4/registry.js";
import { LIMITS, TIMERS } from "./timers.js";

/** A link that an agent advertises itself on. */
export interface AdvertisedLink {
  readonly device: string;
  /** Ours on that link: the source of advertisements. */
  readonly address: Ipv4Address;
  /** Bits. */
  readonly prefixLength: number;
  /** Between two advertisements to all, on average. 0: none but in answer to a solicitation. */
  readonly advertisementIntervalSeconds: number;
  /** How long an advertisement holds (RFC 1256 §3). */
  readonly advertisementLifetimeSeconds: number;
  /** A Prefix-Lengths extension tells the length of the link's prefix: all agents of a link do that, or none (RFC 5944 §2.3). */
  readonly advertisesPrefixLength: boolean;
}

/** On one link: to all of it, or to the one that asked. */
export interface ToLink {
  readonly to: "link";
  readonly device: string;
  readonly source: Ipv4Address;
  readonly advertisement: RouterAdvertisement;
  /** Absent: to all systems of the link. */
  readonly receiver?: { readonly linkAddress: string; readonly address: Ipv4Address } | undefined;
}

/** Lower-case hexadecimal with colons, and 0.0.0.0 where all are to hear the answer. */
export interface Solicitor {
  readonly linkAddress: string;
  readonly source: Ipv4Address;
}

const LAST_SEQUENCE = 0xffff;
/** Numbers below are those of an agent that has just started, and come once in its life (RFC 5944 §2.3.2). */
const FIRST_AFTER_ROLLOVER = 256;
/** So many at first follow each other faster (RFC 1256 §5.1), at most so many seconds apart. */
const INITIAL_ADVERTISEMENTS = 3;
const INITIAL_INTERVAL_SECONDS = 16;
const HOST_LENGTH = 32;

export const nextSequence = (sequence: number): number =>
  sequence >= LAST_SEQUENCE ? FIRST_AFTER_ROLLOVER : sequence + 1;

export interface AdvertisedAgent {
  readonly sequence: number;
  /** The longest registration that is taken; 0xffff: no limit. */
  readonly registrationLifetimeSeconds: number;
  /** Those that are not named are not set. */
  readonly flags: Partial<MobilityAgentAdvertisement["flags"]>;
  readonly careOfAddresses: readonly Ipv4Address[];
  /** An address of the agent's that is not of this link, and under which nodes know it. */
  readonly otherAddress?: Ipv4Address | undefined;
  /** It routes what others than visitors send, too (ICMP code 0, and its address as that of a router). */
  readonly routesCommonTraffic: boolean;
  /** It takes leave: nothing of it holds any more. */
  readonly leaving?: boolean | undefined;
  readonly challenge?: Uint8Array | undefined;
}

export function agentAdvertisement(link: AdvertisedLink, agent: AdvertisedAgent): RouterAdvertisement {
  const { routesCommonTraffic, otherAddress, challenge, leaving = false, sequence, flags } = agent;
  const { registrationLifetimeSeconds, careOfAddresses } = agent;
  const routers = [
    { address: link.address, preference: routesCommonTraffic ? 0 : NEVER_DEFAULT_ROUTER },
    ...(otherAddress === undefined ? [] : [{ address: otherAddress, preference: NEVER_DEFAULT_ROUTER }]),
  ];
  const prefixLengths = routers.map(({ address }) => (address === link.address ? link.prefixLength : HOST_LENGTH));
  const extensions: DiscoveryExtension[] = [
    {
      kind: "mobility-agent-advertisement",
      sequence: seq16(sequence),
      ...{ registrationLifetimeSeconds, careOfAddresses },
      flags: {
        registrationRequired: false,
        busy: false,
        homeAgent: false,
        foreignAgent: false,
        minimalEncapsulation: false,
        gre: false,
        reverseTunnelling: false,
        udpTunnelling: false,
        registrationRevocation: false,
        regionalRegistration: false,
        ...flags,
      },
    },
  ];
  if (link.advertisesPrefixLength) extensions.push({ kind: "prefix-lengths", prefixLengths });
  if (challenge !== undefined) extensions.push({ kind: "challenge", challenge });
  return {
    type: "router-advertisement",
    code: routesCommonTraffic ? 0 : NO_COMMON_TRAFFIC,
    lifetimeSeconds: leaving ? 0 : link.advertisementLifetimeSeconds,
    ...{ routers, extensions },
  };
}

/** To whom a solicitation is answered now: all, or who asked; later: all, soon; none: too many ask. */
export type SolicitationAnswer = "all" | "later" | "none" | NonNullable<ToLink["receiver"]>;

/** When one link is advertised on. */
export class AdvertisementClock<Link extends AdvertisedLink = AdvertisedLink> {
  readonly link: Link;
  /** Undefined: only when asked. */
  due: Instant | undefined;
  #sent = 0;
  #lastToAll: Instant | undefined;
  #window: Instant | undefined;
  #solicited = 0;

  constructor(link: Link) {
    this.link = link;
  }

  begin(now: Instant): void {
    this.due = this.link.advertisementIntervalSeconds > 0 ? now : undefined;
  }

  stop(): void {
    this.due = undefined;
  }

  isDue(now: Instant): boolean {
    return this.due !== undefined && this.due <= now;
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

  /**
   * RFC 5944 §2.3: whatever the source, and by its link-layer address. All ask at once where a link comes up: one answer to all a second at
   * most, and the others hear that one.
   */
  solicited({ linkAddress, source: address }: Solicitor, now: Instant): SolicitationAnswer {
    if (address !== IPV4_ANY) return this.#allowsSolicited(now) ? { linkAddress, address } : "none";
    if (this.#lastToAll === undefined || elapsed(this.#lastToAll, now) >= TIMERS.advertisementSpacing) return "all";
    const at = after(this.#lastToAll, TIMERS.advertisementSpacing);
    this.due = earliest(this.due, at);
    return "later";
  }

  /** Whether one more who asks by its own address is answered. */
  #allowsSolicited(now: Instant): boolean {
    if (this.#window === undefined || elapsed(this.#window, now) >= TIMERS.solicitedWindow) {
      this.#window = now;
      this.#solicited = 0;
    }
    return this.#solicited++ < LIMITS.solicitedPerSecond;
  }
}
