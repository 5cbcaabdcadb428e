/**
 * The two protocols, and the two ways of Mobile IPv6's updates in IPv4 networks (`ipv4Signalling`): where the tour can lead with each, and what of its updates must be seen
 * on the wire. Pure.
 */
import type { SignallingFrame } from "./capture.js";
import type { NetworkName } from "./network.js";
import type { DemoReport } from "./report.js";
import type { MobileNode } from "./topology.js";

export const PROFILES = ["rfc5555", "soliman2004"] as const;
export type Profile = (typeof PROFILES)[number];
export const isProfile = (text: string): text is Profile => (PROFILES as readonly string[]).includes(text);

export const PROTOCOLS = ["mip6", "mip4"] as const;
export type Protocol = (typeof PROTOCOLS)[number];
export const isProtocol = (text: string): text is Protocol => (PROTOCOLS as readonly string[]).includes(text);

export interface Tour {
  /** Where both nodes go, one network after the other; "mapping-lost": where they are, the NAT forgets them. */
  readonly steps: readonly (NetworkName | "mapping-lost")[];
  /** Afterwards from home, for the freeze. */
  readonly out: (node: MobileNode) => NetworkName;
  readonly outInWords: string;
}

/** draft-soliman-v4v6-mipv6-00 passes no NAT (§2.2). */
export const TOURS: Readonly<Record<Profile | "mip4", Tour>> = {
  rfc5555: {
    steps: ["ipv6", "ipv4", "nat", "mapping-lost", "ipv6"],
    out: ({ number }) => (number === 1 ? "ipv6" : "nat"),
    outInWords: "mn1 over IPv6, mn2 behind the NAT",
  },
  soliman2004: {
    steps: ["ipv6", "ipv4"],
    out: ({ number }) => (number === 1 ? "ipv6" : "ipv4"),
    outInWords: "mn1 over IPv6, mn2 over public IPv4",
  },
  mip4: {
    steps: ["ipv4", "nat", "agent"],
    out: ({ number }) => (number === 1 ? "agent" : "nat"),
    outInWords: "mn1 at the foreign agent, mn2 behind the NAT",
  },
};

export type SignallingCounts = NonNullable<DemoReport["signalling"]>;

/** Binding updates and acknowledgements that were captured, by what is around their IPv6 packet. */
export function countSignalling(frames: readonly SignallingFrame[]): SignallingCounts {
  const count = (format: SignallingFrame["format"]): number => frames.filter((frame) => frame.format === format).length;
  return { direct: count("direct"), ipv4: count("ipv4"), udp: count("udp") };
}

/** In words, for the end of the tour. */
export const signallingText = ({ direct, ipv4, udp }: SignallingCounts): string =>
  `${direct} in IPv6 alone, ${ipv4} in protocol 41 (IPv4), ${udp} in UDP`;

/** With Mobile IPv4: all that were seen. */
export const registrationsText = ({ udp }: SignallingCounts): string => `${udp} in UDP`;

export const registrationFailures = ({ udp }: SignallingCounts): readonly string[] =>
  udp === 0 ? ["mip4: no registration request and no reply was seen"] : [];

/** Over IPv4 all of them go in the profile's way, and none in the other's (RFC 5555 §4.1; draft-soliman-v4v6-mipv6-00 §2.2.2). */
export function signallingFailures({ ipv4, udp }: SignallingCounts, profile: Profile): readonly string[] {
  const [wanted, other] = profile === "soliman2004" ? [ipv4, udp] : [udp, ipv4];
  const failures: string[] = [];
  if (wanted === 0) failures.push(`${profile}: no binding update was seen that went over IPv4 as it should`);
  if (other > 0)
    failures.push(`${profile}: ${other} binding updates and acknowledgements went over IPv4 in the other way`);
  return failures;
}
