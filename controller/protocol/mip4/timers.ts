/** Every timer and limit of Mobile IPv4: default, unit, and where it comes from. What an operator may change overrides the default. */
import { seconds } from "../../base/time.js";

export const TIMERS = {
  /** How far a timestamp may be from our own time of day, in either direction (RFC 5944 §5.7.1). */
  timestampTolerance: seconds(7),
  /** Silence after which a node behind a NAT says something through its tunnel (RFC 3519 §4.9). */
  keepalive: seconds(110),
  /** Mobile node: between two requests, whatever they are about, and the first wait for an answer (RFC 5944 §3.6.3). */
  requestSpacing: seconds(1),
  /** Mobile node: the longest wait for an answer, where its lifetime does not make it shorter (dsmipd). */
  maxRequest: seconds(32),
  /** Mobile node: between its first agent solicitations, and at most (RFC 5944 §2.4: at least a minute). */
  initialSolicitation: seconds(1),
  maxSolicitation: seconds(64),
  /** Agents: between two advertisements to all on one link (RFC 5944 §2.3). */
  advertisementSpacing: seconds(1),
  /** Agents: to whoever solicits and has an address, on one link, so many answers at most (`LIMITS.solicitedPerSecond`) in such a time. */
  solicitedWindow: seconds(1),
  /** Home agent: wait for the kernel before a request is refused with code 130; longer than a node's first two waits (dsmipd). */
  dataPath: seconds(3),
  /** Home agent: by then the disk has taken a registration or refused it, and what it replaced need not be known any more (dsmipd). */
  unstoredAnswer: seconds(300),
} as const;

export const LIMITS = {
  /** Prefix requests of one registration that are looked at (dsmipd). */
  prefixRequests: 64,
  /** Former ends of one node's tunnel from which payload is still taken (dsmipd). */
  formerEnds: 8,
  /** Registrations of one node that gave way to later ones, of which the disk has not spoken yet (dsmipd). */
  replacedRegistrations: 8,
  /** Mobile node: agents of all links that are remembered, and care-of and router addresses of each (dsmipd). */
  heardAgents: 32,
  careOfAddressesOfAgent: 8,
  routersOfAgent: 8,
  /** Agents: answers to those who solicit by an address of their own (dsmipd). */
  solicitedPerSecond: 10,
  /** Bindings that one timer input ends, so that a mass expiry does not hold up the event loop (dsmipd). */
  deadlinesPerStep: 1000,
} as const;
