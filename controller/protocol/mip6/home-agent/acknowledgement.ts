/**
 * The home agent's answers to binding updates. An answer goes to where the message it answers came from,
 * whatever that message says about care-of addresses (RFC 6275 §9.5.4, RFC 5555 §5.1).
 */
import { isIpv4 } from "../../../base/ip.js";
import type { Seq16 } from "../../../base/seq16.js";
import type { BindingUpdate } from "../../../wire/mip6/messages/mobility-message.js";
import { bindingAcknowledgementFlags, LIFETIME_UNIT_SECONDS } from "../../../wire/mip6/messages/registration.js";
import { findOption, type MobilityOption, type OptionOfKind } from "../../../wire/mip6/options/mobility.js";
import { BindingStatus, Ipv4AckStatus } from "../../../wire/mip6/registry.js";
import type { Arrival, Departure, SendEffect } from "../inputs.js";
import { type NatPolicy, natDetectionOption, type ObservedSource } from "../nat-detection.js";
import { LIMITS } from "../timers.js";
import type { Ipv4AcknowledgementOption, Ipv4HomeAddressOption } from "./ipv4-home-address.js";

/** BindingStatus from here on says no. */
const FIRST_REFUSAL = 128;

/** What a node is told about what it has asked for: of IPv4, and the IPv6 prefixes that are lent to it. */
export type AnswerOption = Ipv4AcknowledgementOption | OptionOfKind<"mobile-network-prefix">;

/** What an answer to one binding update needs to know of it. */
export interface Reply {
  readonly arrival: Arrival;
  readonly sequence: Seq16;
  /** Over UDP. */
  readonly source: ObservedSource | undefined;
  readonly ipv4Options: readonly Ipv4HomeAddressOption[];
  /** They were in the form of the 2004 profile, and so are the answers (contradiction C-53). */
  readonly shortOptions: boolean;
  /** K: the node's IKE SA moves along with its binding. */
  readonly keyManagementMobility: boolean;
  /** R: it says that it is a mobile router. */
  readonly mobileRouter: boolean;
  /** It has named IPv6 prefixes (RFC 3963 §5.2). */
  readonly namesPrefixes: boolean;
}

export function replyTo(arrival: Arrival, message: BindingUpdate): Reply {
  return {
    arrival,
    sequence: message.sequence,
    source: observedSource(arrival, message.options),
    ipv4Options: message.options.flatMap(ipv4Question).slice(0, LIMITS.ipv4Options.default),
    shortOptions: findOption(message.options, "ipv4-home-address-2004") !== undefined,
    keyManagementMobility: message.flags.keyManagementMobility,
    mobileRouter: message.flags.mobileRouter,
    namesPrefixes: findOption(message.options, "mobile-network-prefix") !== undefined,
  };
}

/** The short form has neither prefix nor P: it is about one address. */
function ipv4Question(option: MobilityOption): readonly Ipv4HomeAddressOption[] {
  if (option.kind === "ipv4-home-address") return [option];
  if (option.kind !== "ipv4-home-address-2004") return [];
  return [{ kind: "ipv4-home-address", prefixLength: 32, mobileNetworkPrefix: false, address: option.address }];
}

function ipv4Answer(option: Ipv4AcknowledgementOption, { shortOptions }: Reply): MobilityOption {
  const { status, address } = option;
  return shortOptions ? { kind: "ipv4-address-acknowledgement-2004", status, address } : option;
}

function observedSource(arrival: Arrival, options: readonly MobilityOption[]): ObservedSource | undefined {
  if (arrival.path.type !== "udp") return undefined;
  const { outerSource, outerPort } = arrival.path;
  const option = isIpv4(outerSource) ? "ipv4-care-of-address" : "alternate-care-of-address";
  return { address: outerSource, port: outerPort, claimed: findOption(options, option)?.address };
}

export interface Answer {
  /** BindingStatus. */
  readonly status: number;
  /** That of the update, except with status 135. */
  readonly sequence: Seq16;
  /** Granted, in units of 4 seconds; 0 in refusals and de-registrations. */
  readonly lifetimeUnits: number;
  readonly acknowledgements: readonly AnswerOption[];
  /** Whether UDP is used because the F flag asked for it. */
  readonly forcedUdp: boolean;
  /** The node is served as a mobile router. */
  readonly mobileRouter: boolean;
}

export interface AnswerPolicy extends NatPolicy {
  readonly refreshAdviceSeconds?: number | undefined;
  readonly keyManagementMobility?: boolean | undefined;
}

/**
 * The acknowledgement. K is set if the node has set it and our IKE daemon can follow; static keys can't (RFC 6275 §10.3.1). With a
 * Home Address option in the update a type 2 routing header goes out, without one none (C-11); over UDP a NAT Detection option goes
 * along whatever the status is (C-06, C-12).
 */
export function acknowledgement(reply: Reply, answer: Answer, policy: AnswerPolicy): SendEffect {
  const options: MobilityOption[] = answer.acknowledgements.map((one) =>
    one.kind === "ipv4-address-acknowledgement" ? ipv4Answer(one, reply) : one,
  );
  if (reply.source !== undefined) options.push(natDetectionOption(reply.source, answer.forcedUdp, policy));
  const adviceUnits = Math.floor((policy.refreshAdviceSeconds ?? 0) / LIFETIME_UNIT_SECONDS);
  if (adviceUnits > 0 && adviceUnits < answer.lifetimeUnits) {
    options.push({ kind: "binding-refresh-advice", intervalUnits: adviceUnits });
  }
  return {
    kind: "send",
    message: {
      type: "binding-acknowledgement",
      status: answer.status,
      flags: bindingAcknowledgementFlags({
        keyManagementMobility:
          reply.keyManagementMobility && policy.keyManagementMobility === true && answer.status < FIRST_REFUSAL,
        mobileRouter: answer.mobileRouter && answer.status < FIRST_REFUSAL,
      }),
      sequence: answer.sequence,
      lifetimeUnits: answer.lifetimeUnits,
      options,
    },
    source: reply.arrival.destination,
    destination: reply.arrival.source,
    departure: departureOf(reply.arrival),
  };
}

/** The answer that leaves in the place of a success which is not on the disk: status 130, and nothing granted. Others leave as they are. */
export function withheld(effect: SendEffect): SendEffect {
  const { message } = effect;
  if (message.type !== "binding-acknowledgement" || message.status >= FIRST_REFUSAL) return effect;
  const options = message.options.flatMap((option): readonly MobilityOption[] => {
    if (option.kind === "ipv4-address-acknowledgement" || option.kind === "ipv4-address-acknowledgement-2004")
      return [{ ...option, status: Ipv4AckStatus.unspecified }];
    return option.kind === "binding-refresh-advice" || option.kind === "mobile-network-prefix" ? [] : [option];
  });
  return {
    ...effect,
    message: {
      ...message,
      status: BindingStatus.insufficientResources,
      flags: bindingAcknowledgementFlags({}),
      lifetimeUnits: 0,
      options,
    },
  };
}

function departureOf({ path }: Arrival): Departure {
  if (path.type === "udp") {
    const { outerSource: remoteAddress, outerPort: remotePort, outerDestination: localAddress } = path;
    return { type: "udp", localAddress, remoteAddress, remotePort };
  }
  return path.homeAddressOptionCareOf === undefined
    ? { type: "native-direct", device: path.device }
    : { type: "native-routed", careOf: path.homeAddressOptionCareOf };
}
