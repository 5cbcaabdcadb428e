/**
 * What a mobile node has told its home agent and what came back (RFC 6275 §11.1, RFC 5555 §4.4.2): the updates that wait for an
 * answer, and the registration that holds. The registration's facts are stored once; `listEntries` gives the entry per home address.
 */
import { hostPrefix, type IpAddress, type Ipv4Address, type Prefix } from "../../../base/ip.js";
import { mappedAddress } from "../../../base/mapped.js";
import type { Seq16 } from "../../../base/seq16.js";
import { after, earliest, type Instant, type Seconds, seconds } from "../../../base/time.js";
import { type CareOf, type MobileNodeSite, sendsMapped } from "../../movement/attachment.js";
import type { Endpoint } from "../inputs.js";
import { REFRESH_FRACTION } from "./timers.js";

/** An update that waits for its acknowledgement. */
export interface SentUpdate {
  readonly sequence: Seq16;
  readonly sentAt: Instant;
  /** Asked for; 0 de-registers. */
  readonly lifetime: Seconds;
  /** F was set. */
  readonly forceUdp: boolean;
  /** IPv4 Home Address options were in it, about all that there is of IPv4. */
  readonly ipv4Requested: boolean;
}

/** Updates remembered for late answers. At the longest back-off this is more than eight minutes. */
export const OUTSTANDING_MAX = 16;

export function remember(outstanding: readonly SentUpdate[], update: SentUpdate): readonly SentUpdate[] {
  return [...outstanding, update].slice(-OUTSTANDING_MAX);
}

export interface Registration {
  readonly careOf: CareOf;
  /** How payload travels: always "ipv6" from an IPv6 care-of address; from an IPv4 one as the home agent said (RFC 5555 §4.4.2). */
  readonly format: Endpoint["format"];
  readonly sequence: Seq16;
  readonly acceptedAt: Instant;
  /** Granted. */
  readonly lifetime: Seconds;
  readonly expiresAt: Instant;
  /** When the next update is due: the earliest of lifetime, advice and NAT keepalive (C-21). */
  readonly refreshAt: Instant;
  /** Present if there is a NAT on the way: the interval at which its mapping is kept. */
  readonly keepalive: Seconds | undefined;
  /** Present if the home agent accepted it. */
  readonly ipv4HomeAddress: Ipv4Address | undefined;
  /** Of the networks behind us, both families, that the home agent forwards to. */
  readonly prefixes: readonly Prefix[];
}

/**
 * The end of an accepted binding as the mobile node counts it, from the moment the update left: what remains of the lifetime asked
 * for, less what the home agent took off (RFC 6275 §11.7.3).
 */
export function registrationEnd(
  sent: Pick<SentUpdate, "sentAt" | "lifetime">,
  granted: Seconds,
  now: Instant,
): Instant {
  const remaining = sent.lifetime - (now - sent.sentAt) / 1000;
  return after(now, seconds(Math.max(remaining - (sent.lifetime - granted), 0)));
}

/** When to send the next update for a registration; never later than its end. */
export function refreshTime(
  sent: SentUpdate,
  terms: { granted: Seconds; advice: Seconds | undefined; keepalive: Seconds | undefined; now: Instant; end: Instant },
): Instant {
  const { granted, advice, keepalive, now, end } = terms;
  return (
    earliest(
      end,
      after(sent.sentAt, seconds(granted * REFRESH_FRACTION)),
      advice === undefined ? undefined : after(now, advice),
      // The mapping lives from the packet that made it, which is the update.
      keepalive === undefined ? undefined : after(sent.sentAt, keepalive),
    ) ?? end
  );
}

/** One entry of the binding update list. */
export interface BindingUpdateListEntry {
  /** Of a home address, or of a network behind us. */
  readonly homeAddress: IpAddress;
  readonly length: number;
  readonly careOf: CareOf;
  readonly sequence: Seq16;
  readonly lifetime: Seconds;
  readonly expiresAt: Instant;
  /** Packets to the home agent are in UDP. */
  readonly udpEncapsulation: boolean;
}

/** The entries of a registration: one for each home address and prefix that was accepted. */
export function listEntries(
  site: MobileNodeSite,
  registration: Registration | undefined,
): readonly BindingUpdateListEntry[] {
  if (registration === undefined) return [];
  const { careOf, sequence, lifetime, expiresAt, format, ipv4HomeAddress, prefixes } = registration;
  const facts = { careOf, sequence, lifetime, expiresAt, udpEncapsulation: format === "udp" };
  // In IPv4-mapped form in the 2004 profile (draft-soliman-v4v6-mipv6-00 §3.3); on the wire it never is.
  const four = ipv4HomeAddress !== undefined && sendsMapped(site) ? mappedAddress(ipv4HomeAddress) : ipv4HomeAddress;
  const homes: readonly IpAddress[] = four === undefined ? [site.homeAddress] : [site.homeAddress, four];
  return [...homes.map(hostPrefix), ...prefixes].map(({ address, length }) => ({
    homeAddress: address,
    length,
    ...facts,
  }));
}
