/** What test messages prove (RFC 6275 §11.6.2; draft-oulai-mext-dsmip-ro-00 §7.1.1, §7.2.1): which of them is believed, and the mode that comes of it. */
import { isIpv4 } from "../../../../base/ip.js";
import type { MessageOfType } from "../../../../wire/mip6/messages/mobility-header.js";
import { findOption } from "../../../../wire/mip6/options/mobility.js";
import type { DropReason } from "../../inputs.js";
import { notify } from "./entries.js";
import type { CorrespondentsInput } from "./inputs.js";
import type { Entry, Proof, Turn } from "./model.js";
import { agreedMode, askedMode, ipv4Of, modeIn, needsMode } from "./modes.js";
import { fail } from "./procedure.js";
import { UNSUPPORTED_PAUSE } from "./timers.js";

type MessageInput = Extract<CorrespondentsInput, { readonly kind: "message" }>;
type TestMessage = MessageOfType<"home-test"> | MessageOfType<"care-of-test">;

export function drop(entry: Entry, turn: Turn, reason: DropReason, detail: string): Entry {
  turn.effects.push({ kind: "drop", reason, detail: `${detail} from ${entry.correspondent}` });
  return entry;
}

export const sameOctets = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((one, i) => one === b[i]);

export function tested(entry: Entry, message: TestMessage, input: MessageInput, turn: Turn): Entry | undefined {
  const { now } = turn;
  const { destination } = input.arrival;
  const isHome = message.type === "home-test";
  const key = isHome ? "homeTest" : "careOfTest";
  const isThere = isHome ? provesHome(entry, message, input, turn) : provesCareOf(entry, message, input, turn);
  if (!isThere) return drop(entry, turn, "wrong-path", `${message.type} at ${destination}`);
  const probe = entry[key];
  if (!probe.cookies.some((cookie) => sameOctets(cookie, message.cookie)))
    return drop(entry, turn, "cookie-mismatch", message.type);
  const milliseconds = probe.sentAt === undefined ? 0 : Math.round(now - probe.sentAt);
  const careOf = isHome || entry.careOf === undefined ? {} : { careOf: entry.careOf };
  notify(entry, turn, "correspondent.tested", { test: isHome ? "home" : "care-of", ...careOf, milliseconds });
  const proof = { token: message.keygenToken, nonceIndex: message.nonceIndex, at: now };
  const next = (found: Proof): Entry => ({ ...entry, [key]: { ...probe, cookies: [], attempts: 0, proof: found } });
  return isHome ? next(proof) : negotiated(next(proof), proof, message, turn);
}

/**
 * None has a routing header: that would be a way past what is tested. That of the IPv4 home address came to it out of the home agent's tunnel,
 * and out of its own header the kernel has given it to nobody but the home address (RO-7.1.1.1-07).
 */
function provesHome(
  entry: Entry,
  message: TestMessage,
  { arrival, throughHomeAgent }: MessageInput,
  turn: Turn,
): boolean {
  const { site, whereabouts } = turn;
  const { path, destination } = arrival;
  const isDirect = path.type === "native" && path.routingHeaderHomeAddress === undefined;
  const about = findOption(message.options, "ipv4-home-address")?.address;
  return (
    destination === site.homeAddress &&
    about === entry.ipv4?.homeAddress &&
    (throughHomeAgent || (isDirect && whereabouts.kind === "home"))
  );
}

/** Over IPv4: in UDP from the correspondent to the care-of address that it names (RO-7.2.1.2-05). */
function provesCareOf(
  entry: Entry,
  message: TestMessage,
  { arrival, throughHomeAgent }: MessageInput,
  turn: Turn,
): boolean {
  const { careOf } = entry;
  const { path, destination } = arrival;
  if (careOf === undefined) return false;
  if (!isIpv4(careOf)) {
    const isDirect = path.type === "native" && path.routingHeaderHomeAddress === undefined;
    return isDirect && destination === careOf && !throughHomeAgent;
  }
  return (
    path.type === "udp" &&
    path.outerDestination === careOf &&
    path.outerSource === ipv4Of(turn.site, entry.correspondent) &&
    destination === turn.site.homeAddress &&
    findOption(message.options, "ipv4-care-of-address")?.address === careOf
  );
}

/** The mode that the correspondent names is taken, or there is no path: never another one (RO-6.3-05, C-49). */
function negotiated(entry: Entry, proof: Proof, { options }: TestMessage, turn: Turn): Entry | undefined {
  const { site } = turn;
  const { careOf, correspondent } = entry;
  if (careOf === undefined || ipv4Of(site, correspondent) === undefined) return entry;
  const answer = modeIn(options);
  const known: Entry = { ...entry, knowsIpv4: answer !== undefined };
  if (!needsMode(entry)) return known;
  if (answer === undefined) return withoutIpv4(known, turn);
  const mode = agreedMode(answer, askedMode(site, careOf), careOf);
  if (mode === undefined) return fail(known, `mode ${answer}`, turn);
  return { ...known, careOfTest: { ...known.careOfTest, proof: { ...proof, mode } } };
}

/** The correspondent knows RFC 6275 alone: IPv4 stays at the home agent (RO-7.1.2-10). */
export function withoutIpv4(entry: Entry, turn: Turn): Entry | undefined {
  const pause = { first: UNSUPPORTED_PAUSE, most: UNSUPPORTED_PAUSE };
  return fail({ ...entry, knowsIpv4: false }, "no IPv4 route optimisation at the correspondent", turn, pause);
}
