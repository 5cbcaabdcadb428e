/**
 * Home and care-of tests (RFC 6275 §9.4): answered from the message alone, so that nobody can fill a memory with them, and no more of them in a
 * second than a machine can bear.
 */
import { isRoutableUnicast } from "../../../base/ip.js";
import { careOfKeygenToken, homeKeygenToken } from "../return-routability/tokens.js";
import type { TestInitInput } from "./inputs.js";
import { permits } from "./site.js";
import { drop, type Turn } from "./turn.js";

export function answerTest(turn: Turn, { arrival, message }: TestInitInput): void {
  const { state, now, entropy } = turn;
  const { site, kcn, nonces } = state;
  const { source, destination, path } = arrival;
  const isHome = message.type === "home-test-init";
  const what = `${message.type} from ${source}`;
  if (!site.addresses.includes(destination)) return drop(turn, "wrong-destination", `${what} to ${destination}`);
  if (path.type !== "native" || path.homeAddressOptionCareOf !== undefined)
    return drop(turn, "unexpected-type", `${what} with a Home Address option`);
  if (!isRoutableUnicast(source) || site.addresses.includes(source)) return drop(turn, "wrong-source", what);
  if (isHome && !permits(site, source)) return drop(turn, "not-permitted", what);
  if (!state.takeAnswer(now)) return drop(turn, "rate-limited", what);
  const { index: nonceIndex, octets } = nonces.current(now, entropy);
  const { cookie } = message;
  const keygenToken = isHome
    ? homeKeygenToken(kcn, octets, { homeAddress: source })
    : careOfKeygenToken(kcn, octets, { careOf: source });
  const type = isHome ? "home-test" : "care-of-test";
  turn.effects.push({
    kind: "send",
    message: { type, nonceIndex, cookie, keygenToken, options: [] },
    source: destination,
    destination: source,
    departure: { type: "native-direct" },
  });
}
