/**
 * Home and care-of tests (RFC 6275 §9.4, draft-oulai-mext-dsmip-ro-00 §7.1.1, §7.2.1): answered from the message alone, so that nobody can
 * fill a memory with them, and no more of them in a second than a machine can bear.
 */
import { isRoutableUnicast } from "../../../base/ip.js";
import { findOption, type MobilityOption } from "../../../wire/mip6/options/mobility.js";
import type { Departure } from "../inputs.js";
import { careOfKeygenToken, homeKeygenToken } from "../return-routability/tokens.js";
import type { CorrespondentDropReason, TestInitInput } from "./inputs.js";
import { backTo, ipv4SourceOf, isUsable, modeOption, natOptions, negotiatedMode, statedMode } from "./mode.js";
import { isIpv4HomeAddress, isOwn, permits } from "./site.js";
import { drop, type Turn } from "./turn.js";

/** Of the inner header, so that a test that does not end where it was sent to gets no further (C-44). */
const HOP_LIMIT = 1;

/** What a test is about, and what goes with its answer. */
interface Subject {
  readonly tokenOf: (nonce: Uint8Array) => Uint8Array;
  readonly options: readonly MobilityOption[];
  readonly departure: Departure;
}

type Judged = Subject | CorrespondentDropReason;
type Test = Pick<TestInitInput, "arrival" | "message">;

export function answerTest(turn: Turn, input: TestInitInput): void {
  const { arrival, message } = input;
  const { state, now, entropy } = turn;
  const { source, destination } = arrival;
  const what = `${message.type} from ${source}`;
  if (!state.site.addresses.includes(destination)) return drop(turn, "wrong-destination", `${what} to ${destination}`);
  if (!isRoutableUnicast(source) || isOwn(state.site, source)) return drop(turn, "wrong-source", what);
  const subject = message.type === "home-test-init" ? homeTest(turn, input) : careOfTest(turn, input);
  if (typeof subject === "string") return drop(turn, subject, what);
  if (!state.takeAnswer(now)) return drop(turn, "rate-limited", what);
  const { index: nonceIndex, octets } = state.nonces.current(now, entropy);
  const { cookie } = message;
  const { options, departure } = subject;
  const type = message.type === "home-test-init" ? "home-test" : "care-of-test";
  turn.effects.push({
    kind: "send",
    message: { type, nonceIndex, cookie, keygenToken: subject.tokenOf(octets), options },
    source: destination,
    destination: source,
    departure,
  });
}

/** By way of the home agent: over IPv6, from the home address itself. */
function homeTest({ state: { site, kcn } }: Turn, { arrival, message }: Test): Judged {
  const { source: homeAddress, destination, path } = arrival;
  if (path.type !== "native" || path.homeAddressOptionCareOf !== undefined) return "unexpected-type";
  if (!permits(site, homeAddress)) return "not-permitted";
  const option = site.ipv4 && findOption(message.options, "ipv4-home-address");
  if (option === undefined)
    return {
      tokenOf: (nonce) => homeKeygenToken(kcn, nonce, { homeAddress }),
      options: [],
      departure: { type: "native-direct" },
    };
  const localAddress = site.ipv4?.addresses.get(destination);
  if (localAddress === undefined) return "not-permitted";
  const ipv4HomeAddress = option.address;
  if (!isIpv4HomeAddress(site, ipv4HomeAddress)) return "home-address-mismatch";
  return {
    tokenOf: (nonce) => homeKeygenToken(kcn, nonce, { homeAddress, ipv4HomeAddress }),
    options: [{ kind: "ipv4-home-address", address: ipv4HomeAddress, prefixLength: 32, mobileNetworkPrefix: false }],
    departure: { type: "over-ipv4", localAddress, remoteAddress: ipv4HomeAddress, hopLimit: HOP_LIMIT },
  };
}

/** Directly: from the IPv6 care-of address, or in UDP from the IPv4 one. */
function careOfTest(turn: Turn, { arrival, message }: Test): Judged {
  const { site, kcn } = turn.state;
  const { path, source: careOf } = arrival;
  if (path.type !== "native") return ipv4CareOfTest(turn, { arrival, message });
  if (path.homeAddressOptionCareOf !== undefined) return "unexpected-type";
  const stated = statedMode(message.options);
  const mode = stated && site.ipv4 && negotiatedMode(undefined, undefined, site.ipv4.modes);
  return {
    tokenOf: (nonce) => careOfKeygenToken(kcn, nonce, { careOf }),
    options: mode === undefined ? [] : [modeOption(mode)],
    departure: { type: "native-direct" },
  };
}

/** Its token stands for where the node was seen, too; the answer goes back there, whatever the node's own address is (C-48). */
function ipv4CareOfTest({ state: { site, kcn } }: Turn, { arrival, message }: Test): Judged {
  const { options } = message;
  const source = ipv4SourceOf(arrival, options);
  if (site.ipv4 === undefined || source?.encapsulation !== "udp") return "unexpected-type";
  const option = findOption(options, "ipv4-care-of-address");
  if (option === undefined) return "unexpected-type";
  if (site.ipv4.addresses.get(arrival.destination) !== source.destination) return "wrong-destination";
  if (!permits(site, arrival.source)) return "not-permitted";
  const { careOf, observed } = source;
  if (!isUsable(source)) return "care-of-not-unicast";
  if (isOwn(site, careOf) || isOwn(site, observed.address)) return "wrong-source";
  const stated = statedMode(options);
  const mode = negotiatedMode(stated === "all" ? undefined : stated, source, site.ipv4.modes);
  if (mode === undefined) return "not-permitted";
  return {
    tokenOf: (nonce) => careOfKeygenToken(kcn, nonce, { careOf, observed }),
    options: [{ kind: "ipv4-care-of-address", address: careOf }, modeOption(mode), ...natOptions(source)],
    departure: backTo(source, HOP_LIMIT),
  };
}
