/**
 * In which mode payload goes (draft-oulai-mext-dsmip-ro-00 §6.3), decided from a message and how it came alone: the correspondent keeps nothing
 * between test and update, so both decide alike.
 */
import { type Ipv4Address, isIpv4, isRoutableUnicast } from "../../../base/ip.js";
import { findOption, type MobilityOption, type OptionOfKind } from "../../../wire/mip6/options/mobility.js";
import { DSMIP6_PORT } from "../../../wire/mip6/registry.js";
import { type Arrival, type Departure, NO_PORT } from "../inputs.js";
import { type Ipv4Mode, modeNumber, modeOfNumber } from "../return-routability/modes.js";
import { NATKATIMEOUT_SECONDS } from "./timers.js";

/** Of a message that came in IPv4. */
export interface Ipv4Source {
  /** As the node knows it. */
  readonly careOf: Ipv4Address;
  /** After any NAT. Protocol 41 has no port: the test that the update refers to has to come from 4191 then (C-49). */
  readonly observed: { readonly address: Ipv4Address; readonly port: number };
  /** The address of ours that it was sent to. */
  readonly destination: Ipv4Address;
  readonly encapsulation: "udp" | "ipv4";
}

/** Undefined: it came over IPv6. Who names no care-of address is taken to be where it was seen; if it is not, its token is another one. */
export function ipv4SourceOf({ path }: Arrival, options: readonly MobilityOption[]): Ipv4Source | undefined {
  if (path.type === "native" || !isIpv4(path.outerSource) || !isIpv4(path.outerDestination)) return undefined;
  const { outerSource: address, outerDestination: destination } = path;
  const careOf = findOption(options, "ipv4-care-of-address")?.address ?? address;
  return path.outerPort === NO_PORT
    ? { careOf, observed: { address, port: DSMIP6_PORT }, destination, encapsulation: "ipv4" }
    : { careOf, observed: { address, port: path.outerPort }, destination, encapsulation: "udp" };
}

/** Whether both are unicast addresses, so that a packet can be sent to where it was seen. */
export const isUsable = ({ careOf, observed }: Ipv4Source): boolean =>
  isRoutableUnicast(careOf) && isRoutableUnicast(observed.address);

/**
 * Whether a NAT is on the way. A source port other than 4191 counts as one: a token was made with it, which no update in protocol 41 could
 * show again.
 */
export const isBehindNat = ({ careOf, observed }: Ipv4Source): boolean =>
  careOf !== observed.address || observed.port !== DSMIP6_PORT;

/**
 * The mode that is answered; undefined: there is none. What was asked for, if that is possible; behind a NAT UDP, whatever was; else what
 * the correspondent prefers (C-49). `source`: of a care-of address over IPv4.
 */
export function negotiatedMode(
  wanted: Ipv4Mode | undefined,
  source: Ipv4Source | undefined,
  modes: ReadonlySet<Ipv4Mode>,
): Ipv4Mode | undefined {
  const possible: readonly Ipv4Mode[] =
    source === undefined
      ? ["ipv6-encapsulation"]
      : isBehindNat(source)
        ? ["ipv4-udp"]
        : ["ipv4-encapsulation", "ipv4-udp"];
  const here = possible.filter((one) => modes.has(one));
  return here.find((one) => one === wanted) ?? here[0];
}

/** The mode of a message: undefined without the option, "all" for 0. */
export function statedMode(options: readonly MobilityOption[]): Ipv4Mode | "all" | undefined {
  const option = findOption(options, "ipv4-ro-mode");
  return option && (modeOfNumber(option.mode) ?? "all");
}

export const modeOption = (mode: Ipv4Mode): OptionOfKind<"ipv4-ro-mode"> => ({
  kind: "ipv4-ro-mode",
  mode: modeNumber(mode),
});

/** Where there is a NAT, the option that asks for keepalives (C-47). */
export const natOptions = (source: Ipv4Source | undefined): readonly OptionOfKind<"nat-detection">[] =>
  source !== undefined && isBehindNat(source)
    ? [{ kind: "nat-detection", forceUdp: false, refreshSeconds: NATKATIMEOUT_SECONDS }]
    : [];

/** Back to where a message was seen, in what it came in (C-48). */
export function backTo({ observed, destination, encapsulation }: Ipv4Source, hopLimit?: number): Departure {
  return {
    ...{ type: "over-ipv4", localAddress: destination, remoteAddress: observed.address },
    ...(encapsulation === "udp" && { remotePort: observed.port }),
    ...(hopLimit !== undefined && { hopLimit }),
  };
}
