/**
 * How IPv4 goes directly (draft-oulai-mext-dsmip-ro-00 §6.2, §6.3): what the node asks for, and what it makes of the answer. Mode 2 is not
 * offered and not taken.
 */
import { type IpAddress, type Ipv4Address, type Ipv6Address, isIpv4 } from "../../../../base/ip.js";
import { findOption, type MobilityOption } from "../../../../wire/mip6/options/mobility.js";
import { type Ipv4Mode, modeNumber, modeOfNumber } from "../../return-routability/modes.js";
import type { CorrespondentsSite, Entry, Turn } from "./model.js";

export const modeOption = (mode: Ipv4Mode): MobilityOption => ({ kind: "ipv4-ro-mode", mode: modeNumber(mode) });

/** Undefined: there is no such option, or one with a mode that nobody knows. */
export function modeIn(options: readonly MobilityOption[]): Ipv4Mode | "all" | undefined {
  const option = findOption(options, "ipv4-ro-mode");
  return option && (modeOfNumber(option.mode) ?? "all");
}

/** The correspondent's IPv4 address, where there is such a route optimisation with it. */
export const ipv4Of = ({ ipv4 }: CorrespondentsSite, correspondent: Ipv6Address): Ipv4Address | undefined =>
  ipv4?.correspondents.find((one) => one.ipv6 === correspondent)?.ipv4;

/** The one that belongs to this IPv4 address. */
export const ipv6Of = ({ ipv4 }: CorrespondentsSite, correspondent: Ipv4Address): Ipv6Address | undefined =>
  ipv4?.correspondents.find((one) => one.ipv4 === correspondent)?.ipv6;

/** What tests of this care-of address ask for. */
export const askedMode = ({ ipv4 }: CorrespondentsSite, careOf: IpAddress): Ipv4Mode =>
  isIpv4(careOf) ? (ipv4?.mode ?? "ipv4-encapsulation") : "ipv6-encapsulation";

/** What the node then does: 0 leaves it its choice, and another mode than it has asked for it takes if it can. Undefined: it cannot. */
export function agreedMode(answer: Ipv4Mode | "all", asked: Ipv4Mode, careOf: IpAddress): Ipv4Mode | undefined {
  if (answer === "all") return asked;
  const possible: readonly Ipv4Mode[] = isIpv4(careOf) ? ["ipv4-encapsulation", "ipv4-udp"] : ["ipv6-encapsulation"];
  return possible.includes(answer) ? answer : undefined;
}

/** Whether nothing can be done without a mode. */
export const needsMode = ({ ipv4, careOf }: Pick<Entry, "ipv4" | "careOf">): boolean =>
  ipv4 !== undefined || (careOf !== undefined && isIpv4(careOf));

/** Whether an entry can have a direct path from this care-of address. */
export function isPossible(
  entry: Pick<Entry, "correspondent" | "ipv4" | "knowsIpv4">,
  careOf: IpAddress,
  turn: Turn,
): boolean {
  const { site, whereabouts } = turn;
  if (entry.ipv4 === undefined && !isIpv4(careOf)) return true;
  if (ipv4Of(site, entry.correspondent) === undefined || entry.knowsIpv4 === false) return false;
  if (entry.ipv4 === undefined) return true;
  return whereabouts.kind !== "away" || whereabouts.ipv4HomeAddress === entry.ipv4.homeAddress;
}
