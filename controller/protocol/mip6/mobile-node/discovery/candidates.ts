/** Which home agents there are for a node that knows a name, and in which order they are tried (RFC 5555 §2.1, RFC 5026 §5.1, RFC 2782). */
import { type Ipv4Address, type Ipv6Address, isRoutableUnicast } from "../../../../base/ip.js";

/** A home agent under one name. Without an IPv6 address nobody can register with it. */
export interface HomeAgentCandidate {
  readonly ipv6: Ipv6Address;
  /** Absent: not to be reached from IPv4 networks. */
  readonly ipv4?: Ipv4Address | undefined;
  /** For people: the name, or the address where it has none. */
  readonly name: string;
}

export interface ServiceRecord {
  readonly priority: number;
  readonly weight: number;
  /** "": there is no such service. */
  readonly target: string;
}

/** As many as a node will ever try. */
export const MAX_CANDIDATES = 16;

/** Lowest priority first; among equals by lot, each with a chance that goes with its weight (RFC 2782). `random`: 0 up to, but not, 1. */
export function orderServices(records: readonly ServiceRecord[], random: () => number): readonly string[] {
  const usable = records.filter(({ target }) => target !== "");
  const ordered: string[] = [];
  const priorities = [...new Set(usable.map(({ priority }) => priority))].sort((a, b) => a - b);
  for (const wanted of priorities) {
    // Those without weight stand first, so that they have a small chance.
    const left = usable.filter(({ priority }) => priority === wanted).sort((a, b) => a.weight - b.weight);
    while (left.length > 0) {
      const total = left.reduce((sum, { weight }) => sum + weight, 0);
      let rest = Math.floor(random() * (total + 1));
      const at = left.findIndex(({ weight }) => {
        rest -= weight;
        return rest <= 0;
      });
      const [drawn] = left.splice(Math.max(at, 0), 1);
      if (drawn !== undefined && !ordered.includes(drawn.target)) ordered.push(drawn.target);
    }
  }
  return ordered.slice(0, MAX_CANDIDATES);
}

/** What the name servers say of one name; undefined: none of them has answered, which says nothing of what there is. */
export interface NameAddresses {
  readonly name: string;
  readonly ipv6: readonly Ipv6Address[] | undefined;
  readonly ipv4: readonly Ipv4Address[] | undefined;
}

/** The home agents of these names in their order; what is no global unicast address is passed over, and an address stands once. */
export function candidatesOf(names: readonly NameAddresses[]): readonly HomeAgentCandidate[] {
  const found: HomeAgentCandidate[] = [];
  for (const { name, ipv6, ipv4 } of names) {
    // Which IPv4 address belongs to which IPv6 address nobody says: the first ones to each other.
    const fours = (ipv4 ?? []).filter(isRoutableUnicast);
    (ipv6 ?? []).filter(isRoutableUnicast).forEach((address, i) => {
      if (found.some((one) => one.ipv6 === address)) return;
      found.push({ ipv6: address, ipv4: fours[i] ?? fours[0], name });
    });
  }
  return found.slice(0, MAX_CANDIDATES);
}

/** For people, where a dual-stack home agent is half published (RFC 5555 §2.1), or a question had no answer. */
export function publicationFault({ name, ipv6, ipv4 }: NameAddresses): string | undefined {
  if (ipv6 === undefined || ipv4 === undefined) {
    const types = [...(ipv6 === undefined ? ["AAAA"] : []), ...(ipv4 === undefined ? ["A"] : [])].join(" and ");
    return `no name server has answered for ${name} (${types})`;
  }
  if (ipv6.length === 0 && ipv4.length === 0) return `${name} has neither AAAA nor A records`;
  if (ipv6.length === 0) return `${name} has no AAAA record, and binding updates are sent to an IPv6 address`;
  if (ipv4.length === 0) return `${name} has no A record: its nodes cannot register from IPv4 networks`;
  return undefined;
}

/**
 * What was found, with what is known already of a home agent about which a question had no answer: a lost answer takes no address away.
 */
export function withKnown(
  found: readonly HomeAgentCandidate[],
  known: readonly HomeAgentCandidate[],
): readonly HomeAgentCandidate[] {
  return found.map((one) =>
    one.ipv4 === undefined ? { ...one, ipv4: known.find(({ ipv6 }) => ipv6 === one.ipv6)?.ipv4 } : one,
  );
}
