/** Messages to correspondents (RFC 6275 §11.6.1, §11.7.2): the two test inits and the binding update, and how often they may leave. */
import type { Ipv6Address } from "../../../../base/ip.js";
import { nextSeq } from "../../../../base/seq16.js";
import { after, earliest, type Instant, type Seconds, seconds } from "../../../../base/time.js";
import { bindingUpdateFlags, LIFETIME_UNIT_SECONDS } from "../../../../wire/mip6/messages/registration.js";
import { AUTHENTICATOR_OCTETS } from "../../../../wire/mip6/options/base.js";
import type { Departure } from "../../inputs.js";
import { TIMERS } from "../../timers.js";
import { backOff } from "../timers.js";
import type { KeygenTokens } from "./inputs.js";
import type { Entry, MessageKind, Proof, Turn } from "./model.js";
import { BINDING_LIFETIME, COOKIES, MESSAGES_PER_SECOND, OUTSTANDING } from "./timers.js";

/** When a message of this kind may leave: at once, unless the last few have just done so. */
function allowedAt({ recent }: Entry, kind: MessageKind, now: Instant): Instant {
  const times = recent[kind];
  const [oldest] = times;
  if (oldest === undefined || times.length < MESSAGES_PER_SECOND) return now;
  const free = after(oldest, seconds(1));
  return free > now ? free : now;
}

const noted = (entry: Entry, kind: MessageKind, now: Instant): Entry["recent"] => ({
  ...entry.recent,
  [kind]: [...entry.recent[kind], now].slice(-MESSAGES_PER_SECOND),
});

/** From the `attempts`-th message to the next one. */
const waitAfter = (attempts: number): Seconds =>
  backOff(TIMERS.initialBindingAcknowledgement.default, attempts - 1, TIMERS.maxBindingAcknowledgement.default);

/**
 * A Home Test Init goes from the home address by the way that its payload has without a binding: through the home agent, or over the home
 * link. A Care-of Test Init goes from the care-of address.
 */
export function sendTest(entry: Entry, kind: "home-test" | "care-of-test", source: Ipv6Address, turn: Turn): Entry {
  const { now } = turn;
  const key = kind === "home-test" ? "homeTest" : "careOfTest";
  const probe = entry[key];
  const sendAt = allowedAt(entry, kind, now);
  if (sendAt > now) return { ...entry, [key]: { ...probe, sendAt } };
  const cookie = turn.cookie();
  turn.effects.push({
    kind: "send",
    message: { type: kind === "home-test" ? "home-test-init" : "care-of-test-init", cookie, options: [] },
    source,
    destination: entry.correspondent,
    departure: { type: "native-direct" },
  });
  const attempts = probe.attempts + 1;
  const cookies = [...probe.cookies, cookie].slice(-COOKIES);
  const next = { ...probe, cookies, attempts, sentAt: now, sendAt: after(now, waitAfter(attempts)) };
  return { ...entry, [key]: next, recent: noted(entry, kind, now) };
}

/** Registers `careOf`, where the kernel adds the Home Address option. */
export function sendRegistration(
  entry: Entry,
  careOf: Ipv6Address,
  { home, careOf: there }: { readonly home: Proof; readonly careOf: Proof },
  turn: Turn,
): Entry {
  return sendUpdate(
    entry,
    {
      lifetime: BINDING_LIFETIME,
      tokens: { home: home.token, careOf: there.token },
      provenAt: earliest(home.at, there.at) ?? home.at,
      indices: { homeNonceIndex: home.nonceIndex, careOfNonceIndex: there.nonceIndex },
      careOf,
      departure: { type: "native-home-address-option", careOf },
    },
    turn,
  );
}

/** From the home address itself, so that the home token alone makes the key (RFC 6275 §5.2.5, §11.7.2). */
export function sendFarewell(entry: Entry, home: Proof, turn: Turn): Entry {
  return sendUpdate(
    entry,
    {
      lifetime: seconds(0),
      tokens: { home: home.token },
      provenAt: home.at,
      indices: { homeNonceIndex: home.nonceIndex, careOfNonceIndex: 0 },
      careOf: turn.site.homeAddress,
      departure: { type: "native-direct" },
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
  readonly careOf: Ipv6Address;
  readonly departure: Departure;
}

function sendUpdate(entry: Entry, facts: Facts, turn: Turn): Entry {
  const { now } = turn;
  const sendAt = allowedAt(entry, "update", now);
  if (sendAt > now) return { ...entry, sendAt };
  const { lifetime, tokens, provenAt, indices, careOf, departure } = facts;
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
        { kind: "nonce-indices", ...indices },
        { kind: "binding-authorization-data", authenticator: new Uint8Array(AUTHENTICATOR_OCTETS) },
      ],
    },
    source: turn.site.homeAddress,
    destination: entry.correspondent,
    departure,
    authorization: { tokens, careOf },
  });
  return {
    ...entry,
    lastSequence: sequence,
    messages: entry.messages + (departure.type === "native-home-address-option" ? 1 : 0),
    attempts,
    sendAt: after(now, waitAfter(attempts)),
    sent: [...entry.sent, { sequence, sentAt: now, lifetime, tokens, provenAt, careOf }].slice(-OUTSTANDING),
    recent: noted(entry, "update", now),
  };
}
