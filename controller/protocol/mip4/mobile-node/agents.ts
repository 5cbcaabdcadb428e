/**
 * The mobility agents that a node hears (RFC 5944 §2.4): what each says of itself, until when, and whether it has begun anew. Nobody signs
 * advertisements, so that they cost a bounded amount of memory and take nothing away from the agent in use. Which place the node takes of
 * several is decided elsewhere; `placeAt` says what a place at an agent would be.
 */
import { type Ipv4Address, isRoutableUnicast } from "../../../base/ip.js";
import { after, earliest, type Instant, type Seconds, seconds } from "../../../base/time.js";
import type { MobilityAgentAdvertisement, RouterAdvertisement } from "../../../wire/mip4/messages/agent-discovery.js";
import { LIMITS, TIMERS } from "../timers.js";
import type { Attachment, ForeignAgent } from "./inputs.js";

export interface HeardAgent {
  /** Source of its advertisements; together with the device its name. */
  readonly address: Ipv4Address;
  readonly device: string;
  /** "02:00:5e:10:00:01"; absent: nobody said. */
  readonly linkLayerAddress?: string | undefined;
  readonly sequence: number;
  readonly expiresAt: Instant;
  readonly flags: MobilityAgentAdvertisement["flags"];
  readonly registrationLifetimeSeconds: number;
  readonly careOfAddresses: readonly Ipv4Address[];
  /** What it says are addresses of its own; none has to be of this link. */
  readonly routers: readonly Ipv4Address[];
  readonly challenge?: Uint8Array | undefined;
}

/**
 * ignored: no agent, or more agents than are remembered. restarted: it has lost its visitors, and who is registered with it has to do that
 * again. gone: it says so (lifetime 0).
 */
export type Hearing = "ignored" | "new" | "known" | "restarted" | "gone";

/** Sequence numbers below this are those of an agent that has just started (RFC 5944 §2.3.2). */
const FIRST_AFTER_ROLLOVER = 256;

const keyOf = (device: string, address: Ipv4Address): string => `${device} ${address}`;

export class AgentList {
  readonly #agents = new Map<string, HeardAgent>();

  get size(): number {
    return this.#agents.size;
  }

  /** When the first of them falls silent. */
  get nextDeadline(): Instant | undefined {
    let next: Instant | undefined;
    for (const { expiresAt } of this.#agents.values()) next = earliest(next, expiresAt);
    return next;
  }

  get(device: string, address: Ipv4Address): HeardAgent | undefined {
    return this.#agents.get(keyOf(device, address));
  }

  /** In the order in which they were heard first. */
  agents(): readonly HeardAgent[] {
    return [...this.#agents.values()];
  }

  hear(
    device: string,
    source: Ipv4Address,
    message: RouterAdvertisement,
    now: Instant,
    linkLayerAddress?: string,
  ): Hearing {
    const agent = agentIn(message);
    if (agent === undefined || !isRoutableUnicast(source)) return "ignored";
    const key = keyOf(device, source);
    const before = this.#agents.get(key);
    if (message.lifetimeSeconds === 0) return this.#agents.delete(key) ? "gone" : "ignored";
    if (before === undefined && this.#agents.size >= LIMITS.heardAgents) return "ignored";
    const { sequence, flags, registrationLifetimeSeconds, careOfAddresses } = agent;
    const challenge = message.extensions.find((one) => one.kind === "challenge")?.challenge;
    const expiresAt = after(now, seconds(message.lifetimeSeconds));
    this.#agents.set(key, {
      ...{ address: source, device, sequence, expiresAt, flags, registrationLifetimeSeconds },
      careOfAddresses: careOfAddresses.slice(0, LIMITS.careOfAddressesOfAgent),
      routers: message.routers.slice(0, LIMITS.routersOfAgent).map(({ address: router }) => router),
      ...{ challenge, linkLayerAddress },
    });
    if (before === undefined) return "new";
    return sequence < before.sequence && sequence < FIRST_AFTER_ROLLOVER ? "restarted" : "known";
  }

  /** Takes out those that have been silent for longer than their lifetime. */
  expire(now: Instant): readonly HeardAgent[] {
    const lost = this.agents().filter(({ expiresAt }) => expiresAt <= now);
    for (const { device, address } of lost) this.#agents.delete(keyOf(device, address));
    return lost;
  }

  /** The link is down, or another one. */
  forget(device: string): void {
    for (const [key, agent] of this.#agents) if (agent.device === device) this.#agents.delete(key);
  }
}

/** The extension that makes an advertisement that of an agent, if what it says can be (RFC 5944 §2.1.1). */
function agentIn({ extensions }: RouterAdvertisement): MobilityAgentAdvertisement | undefined {
  const agent = extensions.find((one) => one.kind === "mobility-agent-advertisement");
  if (agent === undefined) return undefined;
  const { homeAgent, foreignAgent, busy, registrationRequired } = agent.flags;
  if (!homeAgent && !foreignAgent) return undefined;
  if (!foreignAgent) return busy || registrationRequired ? undefined : agent;
  return agent.careOfAddresses.some(isRoutableUnicast) ? agent : undefined;
}

const asForeignAgent = (agent: HeardAgent): ForeignAgent => ({
  address: agent.address,
  linkLayerAddress: agent.linkLayerAddress,
  registrationLifetimeSeconds: agent.registrationLifetimeSeconds,
  gre: agent.flags.gre,
  reverseTunnelling: agent.flags.reverseTunnelling,
  challenge: agent.challenge,
});

/**
 * What being at this agent's link is for a node: at home, if it is the node's home agent (RFC 5944 §2.4.3), which may have the address that
 * the node registers at on another link, and then has it among its router addresses; at its foreign agent; undefined if it is none, or takes
 * nobody new. `own`: a care-of address of the node's own on that link, which it keeps, through the agent where
 * that demands it.
 */
export function placeAt(
  agent: HeardAgent,
  homeAgent: Ipv4Address,
  { own, registered }: { readonly own?: Ipv4Address | undefined; readonly registered: boolean },
): Attachment | undefined {
  const { device, flags } = agent;
  const isOurs = agent.address === homeAgent || agent.routers.includes(homeAgent);
  if (flags.homeAgent && isOurs) return { kind: "home", device };
  if (own !== undefined && !flags.registrationRequired) return { kind: "co-located", device, address: own };
  const isOpen = flags.foreignAgent && agent.registrationLifetimeSeconds > 0 && (registered || !flags.busy);
  if (!isOpen) return undefined;
  if (own !== undefined) return { kind: "co-located", device, address: own, through: asForeignAgent(agent) };
  const careOfAddress = agent.careOfAddresses.find(isRoutableUnicast);
  return careOfAddress === undefined
    ? undefined
    : { kind: "foreign-agent", device, careOfAddress, agent: asForeignAgent(agent) };
}

/** How many solicitations leave one a second, before the intervals double. */
const QUICK_SOLICITATIONS = 3;

/** After the solicitation number `sent` (1 the first) to the next; nominal, to be varied a little by who sends (RFC 5944 §2.4). */
export function solicitationInterval(sent: number): Seconds {
  const doublings = Math.max(0, sent - QUICK_SOLICITATIONS + 1);
  return seconds(Math.min(TIMERS.maxSolicitation, TIMERS.initialSolicitation * 2 ** Math.min(doublings, 16)));
}
