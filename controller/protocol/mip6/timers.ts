/**
 * Every protocol timer and rate that dsmipd uses: its name in the source, default, unit and where it comes from. Code reads its
 * numbers from here; what an operator may change is in schemas/config.ts and overrides the default.
 */
import { type Seconds, seconds } from "../../base/time.js";

export interface TimerEntry {
  /** As the source spells it; our own ones say what they are for. */
  readonly name: string;
  readonly default: Seconds;
  readonly unit: "seconds";
  /** `RFC nnnn §section`, or "dsmipd" with the reason in the comment beside it. */
  readonly source: string;
}

const timer = (name: string, value: number, source: string): TimerEntry => ({
  name,
  default: seconds(value),
  unit: "seconds",
  source,
});

export const TIMERS = {
  /** Mobile node: first wait for an acknowledgement, doubled up to the maximum. */
  initialBindingAcknowledgement: timer("INITIAL_BINDACK_TIMEOUT", 1, "RFC 6275 §12"),
  /** The same before the first registration, longer because the home agent does duplicate address detection. */
  initialBindingAcknowledgementFirst: timer("InitialBindackTimeoutFirstReg", 1.5, "RFC 6275 §13"),
  maxBindingAcknowledgement: timer("MAX_BINDACK_TIMEOUT", 32, "RFC 6275 §12"),
  /** Mobile node: first wait for a home agent address discovery reply, doubled for each repetition. */
  initialDiscovery: timer("INITIAL_DHAAD_TIMEOUT", 3, "RFC 6275 §12"),
  /** The last one of DHAAD_RETRIES doublings. */
  maxDiscovery: timer("maximum wait for a discovery reply", 48, "RFC 6275 §11.4.1"),
  /** Home agent: first wait for the acknowledgement of a revocation, doubled up to the maximum; other notices go on doubling. */
  initialNotice: timer("InitMINDelayBRIs", 1, "RFC 5846"),
  maxNotice: timer("MAX_BRACK_TIMEOUT", 2, "RFC 5846"),
  /** Mobile node: first wait for a mobile prefix advertisement, doubled up to MAX_BINDACK_TIMEOUT. */
  initialSolicitation: timer("INITIAL_SOLICIT_TIMER", 3, "RFC 6275 §12"),
  /** Home agent: between two mobile prefix advertisements to one node. */
  advertisementInterval: timer("least interval of mobile prefix advertisements", 1, "RFC 6275 §6.8"),
  /** Home agent: first wait for the solicitation that confirms an advertisement, doubled for each repetition. */
  prefixAdvertisement: timer("PREFIX_ADV_TIMEOUT", 3, "RFC 6275 §12"),
  minPrefixAdvertisement: timer("MinMobPfxAdvInterval", 60, "RFC 6275 §13"),
  maxPrefixAdvertisement: timer("MaxMobPfxAdvInterval", 86_400, "RFC 6275 §13"),
  /** What nobody vouches for shortens the validity of a prefix to this and no further. */
  unverifiedPrefix: timer("two hours", 7200, "RFC 4862 §5.5.3"),
  natKeepalive: timer("NATKATIMEOUT", 110, "RFC 5555 §6"),
  /** Home agent: how long a removed binding is remembered, so that a delayed update is seen to be old. */
  deletedBinding: timer("MAX_DELETE_BCE_TIMEOUT", 10, "RFC 6275 §12"),
  /**
   * Home agent: wait for the kernel before the update is refused with status 130. Longer than the first two waits of a mobile node
   * (1 s and 2 s, both repetitions are absorbed), shorter than its third, so that it never falls back to IPv4 without an answer.
   */
  dataPath: timer("data path timeout", 3, "dsmipd"),
  /** Home agent: by then the disk has taken a registration or refused it, and what it replaced need not be known any more. */
  unstoredAnswer: timer("journal answer timeout", 300, "dsmipd"),
  /** Home agent: wait for the end of duplicate address detection, which itself takes RetransTimer (1 s) for its one probe. */
  duplicateAddressDetection: timer("duplicate address detection timeout", 3, "dsmipd"),
} as const satisfies { readonly [key: string]: TimerEntry };

export interface LimitEntry {
  readonly name: string;
  readonly default: number;
  readonly unit: "per second" | "messages" | "entries";
  readonly source: string;
}

const limit = (name: string, value: number, unit: LimitEntry["unit"], source: string): LimitEntry => ({
  name,
  default: value,
  unit,
  source,
});

export const LIMITS = {
  updateRate: limit("MAX_UPDATE_RATE", 3, "per second", "RFC 6275 §12"),
  /** Updates over IPv6 without an answer, after which the IPv4 care-of address is tried. */
  ipv6Attempts: limit("attempts over IPv6", 3, "messages", "RFC 5555 §4.4.1"),
  /** Binding errors are answers to packets that nobody vouches for (RFC 6275 §9.3.3 asks for a limit as RFC 4443 §2.4 (f) has it). */
  bindingErrorRate: limit("binding error rate", 10, "per second", "RFC 6275 §9.3.3"),
  bindingErrorRateToOne: limit("binding error rate to one address", 3, "per second", "RFC 6275 §9.3.3"),
  /** Latest destinations of binding errors that are remembered. */
  bindingErrorDestinations: limit("binding error destinations", 32, "entries", "dsmipd"),
  /** Former care-of endpoints of one node from which payload is still taken; 3 updates a second for 3 s are at most 9. */
  formerEndpoints: limit("former endpoints", 8, "entries", "dsmipd"),
  /** A revocation and its repetitions, before the binding is removed without an acknowledgement (BRIMaxRetriesNumber and the first one). */
  revocationAttempts: limit("revocations", 2, "messages", "RFC 5846"),
  /** Home agent switch messages and binding refresh requests to a node that does not do what they say. */
  noticeAttempts: limit("other notices", 3, "messages", "dsmipd"),
  /** Nodes that are told the same by one command: they all answer, and register somewhere. */
  noticeRate: limit("notice rate", 100, "per second", "dsmipd"),
  discoveryRetries: limit("DHAAD_RETRIES", 4, "messages", "RFC 6275 §12"),
  /** Home agents, and routers, of the home link that are remembered. */
  listedHomeAgents: limit("home agents list", 128, "entries", "dsmipd"),
  /** Home agents of a switch message that a node looks at. */
  namedHomeAgents: limit("named home agents", 16, "entries", "dsmipd"),
  prefixAdvertisementRetries: limit("PREFIX_ADV_RETRIES", 3, "messages", "RFC 6275 §12"),
  /** Solicitations without an answer, until there is a new reason to ask. */
  solicitations: limit("mobile prefix solicitations", 6, "messages", "dsmipd"),
  /** Home prefixes that are remembered, and told in one advertisement. */
  homePrefixes: limit("home prefixes", 16, "entries", "dsmipd"),
  addressesOfHomeAgent: limit("addresses of a home agent", 8, "entries", "dsmipd"),
  /** Registrations of one node that others have replaced and the disk may still refuse. */
  replacedRegistrations: limit("replaced registrations", 8, "entries", "dsmipd"),
  /** IPv4 Home Address options of one update that are looked at and answered; the answer must fit into a Mobility Header (2048 octets). */
  ipv4Options: limit("IPv4 home address options", 128, "entries", "dsmipd"),
  /** Mobile networks in mobile networks, one home agent for all, behind which a care-of address may lie. */
  nestedNetworks: limit("nested mobile networks", 8, "entries", "dsmipd"),
  /** Bindings that one timer input ends, so that a mass expiry does not hold up the event loop. */
  deadlinesPerStep: limit("deadlines per step", 1000, "entries", "dsmipd"),
} as const satisfies { readonly [key: string]: LimitEntry };
