/** What the kernel needs for a correspondent: one path for the entries of both home addresses. */
import { type IpAddress, type Ipv6Address, isIpv4 } from "../../../../base/ip.js";
import type { Ipv4Mode } from "../../return-routability/modes.js";
import type { DirectPath } from "./inputs.js";
import { type CorrespondentsState, type Entry, keyOf, NEW_PAIR, type Pair, type Turn } from "./model.js";
import { askedMode, ipv4Of } from "./modes.js";

export const pairOf = (
  { correspondent }: Pick<Entry, "correspondent">,
  { pairs }: Pick<CorrespondentsState, "pairs">,
): Pair => pairs.get(correspondent) ?? NEW_PAIR;

/** The entries of a correspondent: of the home address, of the IPv4 home address. */
export function entriesOf(correspondent: Ipv6Address, turn: Pick<Turn, "entries" | "site">): readonly Entry[] {
  const ipv4 = ipv4Of(turn.site, correspondent);
  const found = [turn.entries.get(correspondent), ipv4 && turn.entries.get(ipv4)];
  return found.filter((one) => one !== undefined);
}

/** Asks for the path that the correspondent needs with this entry as it is now, if it is another one. */
export function settlePath(entry: Entry, turn: Turn): Entry {
  const key = keyOf(entry);
  const others = entriesOf(entry.correspondent, turn).filter((one) => keyOf(one) !== key);
  // In one order, whichever asks: that of the IPv6 home address first.
  settle(entry.correspondent, entry.ipv4 === undefined ? [entry, ...others] : [...others, entry], turn);
  return entry;
}

/** After an entry of it has ended. Returns whether nothing is left of a path that there was. */
export function forgetPair(correspondent: Ipv6Address, turn: Turn): boolean {
  const left = entriesOf(correspondent, turn);
  const had = turn.pairs.get(correspondent)?.path !== undefined;
  settle(correspondent, left, turn);
  if (left.length === 0) turn.pairs.delete(correspondent);
  return had && turn.pairs.get(correspondent)?.path === undefined;
}

function settle(correspondent: Ipv6Address, entries: readonly Entry[], turn: Turn): void {
  const { homeAddress } = turn.site;
  const pair = turn.pairs.get(correspondent) ?? NEW_PAIR;
  const { path } = pair;
  const content = wantedPath(correspondent, entries, turn);
  if (content === undefined) {
    if (path === undefined) return;
    turn.effects.push({ kind: "no-direct-path", homeAddress, correspondent });
    turn.pairs.set(correspondent, { ...pair, path: undefined });
    return;
  }
  if (path !== undefined && sameContent(path.path, content)) return;
  const next: DirectPath = { homeAddress, correspondent, ...content, revision: (path?.path.revision ?? 0) + 1 };
  turn.effects.push({ kind: "direct-path", path: next });
  turn.pairs.set(correspondent, { ...pair, path: { path: next, status: "pending" } });
}

type Content = Omit<DirectPath, "homeAddress" | "correspondent" | "revision">;
type Stage = Content["stage"];

/**
 * Make before break: the way in at an address is there before the first update about it leaves, the way out changes when the correspondent
 * has accepted it, and what has been a way in stays one for the grace time.
 */
function wantedPath(correspondent: Ipv6Address, entries: readonly Entry[], turn: Turn): Content | undefined {
  const { whereabouts, now } = turn;
  const present = whereabouts.kind === "away" || whereabouts.kind === "between" ? whereabouts.careOf : undefined;
  const former = entries.flatMap((entry) => entry.former.flatMap((one) => (one.until > now ? [one] : [])));
  const latest = former.map(({ careOf }) => careOf).reverse();
  const bound = entries.flatMap(({ binding }) => (binding === undefined ? [] : [binding.careOf]));
  const live = entries.filter(({ phase }) => phase !== "leaving" && phase !== "left");
  const direct = live.filter(({ binding }) => binding !== undefined && binding.careOf === present);
  const about = (stage: Stage, careOf: IpAddress, whose: readonly Entry[], others: readonly IpAddress[]): Content => {
    const all = [...new Set(others)].filter((one) => one !== careOf);
    const four = all.filter(isIpv4);
    return {
      ...{ stage, careOf, ...carried(correspondent, careOf, whose, turn) },
      former: all.filter((one): one is Ipv6Address => !isIpv4(one)),
      ...(four.length > 0 && { formerIpv4: four }),
    };
  };
  const updating = live.filter(
    ({ careOf, phase, binding, sent, former: own }) =>
      careOf === present &&
      (phase === "updating" || binding !== undefined || sent.length > 0 || own.some(({ until }) => until > now)),
  );
  if (present !== undefined && direct.length > 0) {
    // What another entry is still bound at comes in there.
    const whose = live.filter((one) => direct.includes(one) || updating.includes(one));
    const late = whose.find((one) => !direct.includes(one));
    const content = about("bound", present, whose, [...bound, ...latest]);
    return late === undefined ? content : { ...content, inOnly: late.ipv4 === undefined ? "ipv6" : "ipv4" };
  }
  if (present !== undefined && updating.length > 0) return about("updating", present, updating, [...bound, ...latest]);
  const [first, ...rest] = [...bound, ...latest];
  return first === undefined ? undefined : about("receiving", first, entries, rest);
}

/** What of the two families takes the path, and what stands around it. */
function carried(
  correspondent: Ipv6Address,
  careOf: IpAddress,
  entries: readonly Entry[],
  { site }: Turn,
): Pick<Content, "ipv6" | "ipv4" | "outer"> {
  const modeOf = ({ binding, careOfTest }: Entry): Ipv4Mode =>
    (binding?.careOf === careOf ? binding.mode : careOfTest.proof?.mode) ?? askedMode(site, careOf);
  const four = entries.find(({ ipv4 }) => ipv4 !== undefined);
  const six = entries.find(({ ipv4 }) => ipv4 === undefined);
  const end = ipv4Of(site, correspondent);
  return {
    ipv6: six !== undefined,
    ...(four?.ipv4 !== undefined && { ipv4: { ...four.ipv4, mode: modeOf(four) } }),
    ...(isIpv4(careOf) &&
      end !== undefined && {
        // Behind a NAT nothing else gets through, whichever of the two tests has shown it.
        outer: { correspondent: end, udp: entries.some((one) => modeOf(one) === "ipv4-udp") },
      }),
  };
}

function sameContent(a: Content, b: Content): boolean {
  const text = ({ stage, careOf, ipv6, ipv4, outer, inOnly, former, formerIpv4 = [] }: Content): string => {
    const around = [outer?.correspondent, outer?.udp, inOnly];
    return [stage, careOf, ipv6, ipv4?.homeAddress, ipv4?.mode, ...around, ...former, ...formerIpv4].join();
  };
  return text(a) === text(b);
}
