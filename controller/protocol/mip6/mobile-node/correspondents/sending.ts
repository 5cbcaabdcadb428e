/** Messages to correspondents (RFC 6275 §11.6.1, §11.7.2): the two test inits and the binding update, and how often they may leave. */
import { type IpAddress, type Ipv6Address, isIpv4 } from "../../../../base/ip.js";
import { nextSeq } from "../../../../base/seq16.js";
import { after, earliest, type Instant, type Seconds, seconds } from "../../../../base/time.js";
import { bindingUpdateFlags, LIFETIME_UNIT_SECONDS } from "../../../../wire/mip6/messages/registration.js";
import { AUTHENTICATOR_OCTETS } from "../../../../wire/mip6/options/base.js";
import type { MobilityOption } from "../../../../wire/mip6/options/mobility.js";
import { DSMIP6_PORT } from "../../../../wire/mip6/registry.js";
import type { Departure } from "../../inputs.js";
import type { Ipv4Mode } from "../../return-routability/modes.js";
import { TIMERS } from "../../timers.js";
import { backOff } from "../timers.js";
import type { KeygenTokens } from "./inputs.js";
import type { Entry, MessageKind, Proof, Turn } from "./model.js";
import { askedMode, ipv4Of, modeOption, needsMode } from "./modes.js";
import { pairOf } from "./path.js";
import { BINDING_LIFETIME, COOKIES, MESSAGES_PER_SECOND, OUTSTANDING } from "./timers.js";

/** When a message of this kind may leave: at once, unless the last few have just done so. */
function allowedAt(entry: Entry, kind: MessageKind, turn: Turn): Instant {
  const { now } = turn;
  const times = pairOf(entry, turn).recent[kind];
  const [oldest] = times;
  if (oldest === undefined || times.length < MESSAGES_PER_SECOND) return now;
  const free = after(oldest, seconds(1));
  return Math.max(free, now) as Instant;
}

/** One of this kind leaves; `counted`: with the headers of payload. */
function note(entry: Entry, kind: MessageKind, turn: Turn, counted = false): void {
  const pair = pairOf(entry, turn);
  const recent = { ...pair.recent, [kind]: [...pair.recent[kind], turn.now].slice(-MESSAGES_PER_SECOND) };
  turn.pairs.set(entry.correspondent, { ...pair, recent, messages: pair.messages + (counted ? 1 : 0) });
}

/** From the `attempts`-th message to the next one. */
const waitAfter = (attempts: number): Seconds =>
  backOff(TIMERS.initialBindingAcknowledgement.default, attempts - 1, TIMERS.maxBindingAcknowledgement.default);

/** Of both ends in IPv4: where updates go, in which mode, and tests in UDP, which tells of a NAT. Undefined: it knows no such end. */
function overIpv4(entry: Entry, careOf: IpAddress, mode: Ipv4Mode, turn: Turn): Departure | undefined {
  const end = ipv4Of(turn.site, entry.correspondent);
  if (!isIpv4(careOf) || end === undefined) return undefined;
  const port = mode === "ipv4-udp" ? { remotePort: DSMIP6_PORT } : {};
  return { type: "over-ipv4", localAddress: careOf, remoteAddress: end, ...port };
}

const ipv4HomeAddressOption = ({ ipv4 }: Entry): readonly MobilityOption[] =>
  ipv4 === undefined
    ? []
    : [{ kind: "ipv4-home-address", prefixLength: 32, mobileNetworkPrefix: false, address: ipv4.homeAddress }];

const ipv4CareOfOption = (careOf: IpAddress): readonly MobilityOption[] =>
  isIpv4(careOf) ? [{ kind: "ipv4-care-of-address", address: careOf }] : [];

/**
 * A Home Test Init goes from the home address by the way that its payload has without a binding: through the home agent, or over the home
 * link. That for the IPv4 home address names it (RO-7.1.1.1-01).
 */
export function sendHomeTest(entry: Entry, turn: Turn): Entry {
  const options = ipv4HomeAddressOption(entry);
  const departure = { type: "native-direct" } as const;
  return sendTest(entry, { kind: "home-test", source: turn.site.homeAddress, options, departure }, turn);
}

/**
 * A Care-of Test Init goes from the care-of address; that from an IPv4 one in UDP, around the home address (RO-7.2.1.2-02). To whoever may
 * know IPv4 route optimisation it names a mode (RO-6.3-01).
 */
export function sendCareOfTest(entry: Entry, careOf: IpAddress, turn: Turn): Entry {
  const { site } = turn;
  const isKnown = ipv4Of(site, entry.correspondent) !== undefined;
  const mode = isKnown ? [modeOption(askedMode(site, careOf))] : [];
  if (!isIpv4(careOf)) {
    const options = [...ipv4HomeAddressOption(entry), ...mode];
    const departure = { type: "native-direct" } as const;
    return sendTest(entry, { kind: "care-of-test", source: careOf, options, departure }, turn);
  }
  const departure = overIpv4(entry, careOf, "ipv4-udp", turn);
  if (departure === undefined) return entry;
  const options = [...ipv4CareOfOption(careOf), ...mode];
  return sendTest(entry, { kind: "care-of-test", source: site.homeAddress, options, departure }, turn);
}

interface TestFacts {
  readonly kind: "home-test" | "care-of-test";
  readonly source: Ipv6Address;
  readonly options: readonly MobilityOption[];
  readonly departure: Departure;
}

function sendTest(entry: Entry, { kind, source, options, departure }: TestFacts, turn: Turn): Entry {
  const { now } = turn;
  const key = kind === "home-test" ? "homeTest" : "careOfTest";
  const probe = entry[key];
  const sendAt = allowedAt(entry, kind, turn);
  if (sendAt > now) return { ...entry, [key]: { ...probe, sendAt } };
  const cookie = turn.cookie();
  turn.effects.push({
    kind: "send",
    message: { type: kind === "home-test" ? "home-test-init" : "care-of-test-init", cookie, options },
    source,
    destination: entry.correspondent,
    departure,
  });
  note(entry, kind, turn);
  const attempts = probe.attempts + 1;
  const cookies = [...probe.cookies, cookie].slice(-COOKIES);
  const next = { ...probe, cookies, attempts, sentAt: now, sendAt: after(now, waitAfter(attempts)) };
  return { ...entry, [key]: next };
}

/**
 * Registers `careOf`. Over IPv6 the kernel adds the Home Address option; over IPv4 the update travels in the agreed mode
 * (RO-7.1.2-05, RO-7.2.2-01).
 */
export function sendRegistration(
  entry: Entry,
  careOf: IpAddress,
  { home, careOf: there }: { readonly home: Proof; readonly careOf: Proof },
  turn: Turn,
): Entry {
  const mode = needsMode(entry) ? (there.mode ?? askedMode(turn.site, careOf)) : undefined;
  const departure: Departure | undefined = isIpv4(careOf)
    ? overIpv4(entry, careOf, mode ?? "ipv4-udp", turn)
    : { type: "native-home-address-option", careOf };
  if (departure === undefined) return entry;
  return sendUpdate(
    entry,
    {
      lifetime: BINDING_LIFETIME,
      tokens: { home: home.token, careOf: there.token },
      provenAt: earliest(home.at, there.at) ?? home.at,
      indices: { homeNonceIndex: home.nonceIndex, careOfNonceIndex: there.nonceIndex },
      careOf,
      departure,
      options: [
        ...ipv4HomeAddressOption(entry),
        ...ipv4CareOfOption(careOf),
        ...(mode === undefined ? [] : [modeOption(mode)]),
      ],
      mode,
    },
    turn,
  );
}

/**
 * Takes the binding back with the home token alone (RFC 6275 §5.2.5, §11.7.2): from the home address itself, or, while the other home
 * address has a path, as its updates go.
 */
export function sendFarewell(entry: Entry, home: Proof, turn: Turn): Entry {
  const path = pairOf(entry, turn).path?.path;
  const isBorne = path !== undefined && path.stage !== "receiving" && !isIpv4(path.careOf);
  const careOf = isBorne ? path.careOf : turn.site.homeAddress;
  return sendUpdate(
    entry,
    {
      lifetime: seconds(0),
      tokens: { home: home.token },
      provenAt: home.at,
      indices: { homeNonceIndex: home.nonceIndex, careOfNonceIndex: 0 },
      careOf,
      departure:
        careOf === turn.site.homeAddress ? { type: "native-direct" } : { type: "native-home-address-option", careOf },
      options: ipv4HomeAddressOption(entry),
      mode: undefined,
    },
    turn,
  );
}

interface Facts {
  readonly lifetime: Seconds;
  readonly tokens: KeygenTokens;
  readonly provenAt: Instant;
  readonly indices: { readonly homeNonceIndex: number; readonly careOfNonceIndex: number };
  /** Of the Mobility Data: what is registered, or the home address (RFC 6275 §6.2.7). */
  readonly careOf: IpAddress;
  readonly departure: Departure;
  /** Besides what every update has. */
  readonly options: readonly MobilityOption[];
  readonly mode: Ipv4Mode | undefined;
}

function sendUpdate(entry: Entry, facts: Facts, turn: Turn): Entry {
  const { now } = turn;
  const sendAt = allowedAt(entry, "update", turn);
  if (sendAt > now) return { ...entry, sendAt };
  const { lifetime, tokens, provenAt, indices, careOf, departure, options, mode } = facts;
  const sequence = nextSeq(entry.lastSequence);
  const attempts = entry.attempts + 1;
  turn.effects.push({
    kind: "send",
    message: {
      type: "binding-update",
      sequence,
      flags: bindingUpdateFlags({ acknowledge: true }),
      lifetimeUnits: lifetime / LIFETIME_UNIT_SECONDS,
      options: [
        ...options,
        { kind: "nonce-indices", ...indices },
        { kind: "binding-authorization-data", authenticator: new Uint8Array(AUTHENTICATOR_OCTETS) },
      ],
    },
    source: turn.site.homeAddress,
    destination: entry.correspondent,
    departure,
    authorization: { tokens, careOf },
  });
  note(entry, "update", turn, departure.type === "native-home-address-option");
  return {
    ...entry,
    lastSequence: sequence,
    attempts,
    sendAt: after(now, waitAfter(attempts)),
    sent: [...entry.sent, { sequence, sentAt: now, lifetime, tokens, provenAt, careOf, mode }].slice(-OUTSTANDING),
  };
}
