/**
 * Home agents by the anycast address of the home prefix (RFC 6275 §11.4.1), which takes an IPv6 network: where there is none, nothing is
 * sent (RFC 5555 §2.1).
 */
import { homeAgentsAnycast } from "../../../base/anycast.js";
import { type Ipv4Address, type Ipv6Address, isRoutableUnicast, type Prefix } from "../../../base/ip.js";
import { backOff } from "../../../protocol/mip6/mobile-node/timers.js";
import { LIMITS, TIMERS } from "../../../protocol/mip6/timers.js";
import { decodeIcmpv6, encodeIcmpv6 } from "../../../wire/icmpv6.js";
import type { NameSearch } from "./by-name.js";

export interface AnycastPorts {
  /** Hears discovery replies until it is closed. Throws what the kernel says. */
  open(onReply: (bytes: Uint8Array) => void): {
    send(bytes: Uint8Array, source: Ipv6Address, destination: Ipv6Address): void;
    close(): void;
  };
  /** An IPv6 address of the visited network. */
  source(): Ipv6Address | undefined;
  /** 16 bits. */
  identifier(): number;
  setTimer(delayMs: number, done: () => void): () => void;
}

export interface AnycastQuestion {
  readonly homePrefixes: readonly Prefix[];
  /** Of the home agent, where it is known; no answer tells it. */
  readonly ipv4?: Ipv4Address | undefined;
  /** Home agents that serve mobile routers are wanted (RFC 3963 §7.1). */
  readonly mobileRouter: boolean;
}

/** Never rejects. */
export async function homeAgentsByAnycast(
  { homePrefixes, ipv4, mobileRouter }: AnycastQuestion,
  ports: AnycastPorts,
): Promise<NameSearch> {
  const faults: string[] = [];
  for (const anycast of homePrefixes.map(homeAgentsAnycast)) {
    if (anycast === undefined) continue;
    if (ports.source() === undefined) return { candidates: [], faults: ["there is no IPv6 network to ask from"] };
    const addresses = await ask(anycast, mobileRouter, ports);
    const usable = addresses.filter(isRoutableUnicast);
    if (usable.length > 0) return { candidates: usable.map((ipv6) => ({ ipv6, ipv4, name: ipv6 })), faults: [] };
    faults.push(`nobody has answered at ${anycast}`);
  }
  return { candidates: [], faults };
}

/** INITIAL_DHAAD_TIMEOUT, doubled, DHAAD_RETRIES times. */
function ask(anycast: Ipv6Address, mobileRouter: boolean, ports: AnycastPorts): Promise<readonly Ipv6Address[]> {
  return new Promise((resolve) => {
    const identifiers = new Set<number>();
    let cancel = (): void => undefined;
    let socket: ReturnType<AnycastPorts["open"]> | undefined;
    const done = (addresses: readonly Ipv6Address[]): void => {
      cancel();
      socket?.close();
      resolve(addresses);
    };
    const attempt = (retries: number): void => {
      const source = ports.source();
      if (retries > LIMITS.discoveryRetries.default || source === undefined) return done([]);
      const identifier = ports.identifier();
      identifiers.add(identifier);
      try {
        const flags = { mobileRouter };
        socket?.send(
          encodeIcmpv6({ type: "home-agent-address-discovery-request", identifier, flags }),
          source,
          anycast,
        );
      } catch {
        // ignored: no way there just now, perhaps at the next attempt
      }
      const wait = backOff(TIMERS.initialDiscovery.default, retries, TIMERS.maxDiscovery.default);
      cancel = ports.setTimer(wait * 1000, () => attempt(retries + 1));
    };
    try {
      socket = ports.open((bytes) => {
        const message = decodeIcmpv6(bytes);
        if (!message.ok || message.value.type !== "home-agent-address-discovery-reply") return;
        // Of an answer to none of our questions nothing is believed.
        if (identifiers.has(message.value.identifier)) done(message.value.addresses);
      });
    } catch {
      return done([]);
    }
    attempt(0);
  });
}
