/** Which entry of a correspondent a message is about: each of the two home addresses has its own tests, updates and answers. */
import { seq16 } from "../../../../base/seq16.js";
import type { MobilityMessage } from "../../../../wire/mip6/messages/mobility-header.js";
import { findOption } from "../../../../wire/mip6/options/mobility.js";
import { heard } from "./answers.js";
import type { CorrespondentsInput } from "./inputs.js";
import { type Entry, keyOf, type Turn } from "./model.js";
import { entriesOf, pairOf } from "./path.js";
import { sameOctets } from "./tests.js";

type MessageInput = Extract<CorrespondentsInput, { readonly kind: "message" }>;

export function hear(input: MessageInput, turn: Turn): void {
  const { message, arrival } = input;
  const { source, path } = arrival;
  const entries = entriesOf(source, turn);
  const [first] = entries;
  if (first === undefined) {
    const reason = message.type === "binding-acknowledgement" ? "no-outstanding-update" : "unexpected-type";
    turn.effects.push({ kind: "drop", reason, detail: `${message.type} from ${source}` });
    return;
  }
  if (path.type === "native" && path.routingHeaderHomeAddress !== undefined) {
    const pair = pairOf(first, turn);
    turn.pairs.set(source, { ...pair, messages: pair.messages + 1 });
  }
  for (const entry of addressees(entries, first, input)) {
    const next = heard(entry, input, turn);
    if (next !== undefined) turn.entries.set(keyOf(next), next);
  }
}

function addressees(
  entries: readonly Entry[],
  first: Entry,
  { message, isAuthorized }: MessageInput,
): readonly Entry[] {
  const only = (found: Entry | undefined): readonly Entry[] => [found ?? first];
  switch (message.type) {
    case "home-test":
      return only(named(entries, message));
    case "care-of-test":
      return only(
        entries.find(({ careOfTest }) => careOfTest.cookies.some((cookie) => sameOctets(cookie, message.cookie))),
      );
    case "binding-acknowledgement": {
      const sequence = seq16(message.sequence);
      const authorized = entries.filter(({ sent }) => {
        const one = sent.find((update) => update.sequence === sequence) ?? sent.at(-1);
        return one !== undefined && isAuthorized(one.tokens, one.careOf);
      });
      const asked = entries.filter(({ sent }) => sent.some((update) => update.sequence === sequence));
      return only(authorized.find((one) => asked.includes(one)) ?? authorized[0] ?? asked[0]);
    }
    case "binding-refresh-request":
      return only(named(entries, message));
    case "binding-error":
      // What it does not know, or has not, is the same for both.
      return entries;
    default:
      return only(undefined);
  }
}

/** Of the home address that the options name. */
function named(
  entries: readonly Entry[],
  message: Extract<MobilityMessage, { readonly type: "home-test" | "binding-refresh-request" }>,
): Entry | undefined {
  const option = findOption(message.options, "ipv4-home-address");
  return entries.find(({ ipv4 }) => ipv4?.homeAddress === option?.address);
}
