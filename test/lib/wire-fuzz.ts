/**
 * The invariant of the wire fuzz target: any octets give a value or a DecodeError, never anything else; a value encodes again, and
 * what was encoded decodes to the same value and encodes to the same octets.
 *
 * Inputs that show a feature not seen before (a kind of structure, two of them side by side, a flag, reason and field of an error) are
 * kept and mutated further, which leads the search inwards without instrumentation.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fromHex, toHex } from "../../controller/base/bytes.js";
import { DecodeError, EncodeError } from "../../controller/base/errors.js";
import { RO_PROFILE, SOLIMAN_2004_PROFILE } from "../../controller/wire/mip6/profile.js";
import { takeAsCorrespondent } from "./correspondent-node.js";
import { takeWithDraft } from "./correspondent-node-ipv4.js";
import { takeAsMobileNode } from "./mobile-node-correspondents.js";
import { repositoryPath } from "./repository.js";
import { plain, type Surroundings, WIRE_FORMATS, type WireFormat } from "./wire-vectors.js";

export interface FuzzTarget {
  readonly name: string;
  readonly format: WireFormat;
  readonly around: Surroundings;
}

/** As octets of the Mobility Header, which a correspondent's machine has taken first: that throws if an entry comes of them. */
const CORRESPONDENT: WireFormat = {
  ...mobilityHeader(),
  decode(octets, around) {
    takeAsCorrespondent(octets);
    takeWithDraft(octets);
    return mobilityHeader().decode(octets, around);
  },
};

/** The same at a mobile node in the middle of its procedures: that throws if a binding comes of them. */
const MOBILE_NODE: WireFormat = {
  ...mobilityHeader(),
  decode(octets, around) {
    takeAsMobileNode(octets);
    return mobilityHeader().decode(octets, around);
  },
};

function mobilityHeader(): WireFormat {
  const format = WIRE_FORMATS["mobility-header"];
  if (format === undefined) throw new Error("no such format");
  return format;
}

const MACHINES: Readonly<Record<string, WireFormat>> = {
  "correspondent-node": CORRESPONDENT,
  "mobile-node": MOBILE_NODE,
};

function target(name: string, context: Surroundings["context"] = {}): FuzzTarget {
  const format = MACHINES[name] ?? WIRE_FORMATS[name.split("@")[0] ?? ""];
  if (format === undefined) throw new Error(`no such format: ${name}`);
  return { name, format, around: { context } };
}

export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  target("mobility-header"),
  target("mobility-header@ro", { profile: RO_PROFILE }),
  target("mobility-header@soliman2004", { profile: SOLIMAN_2004_PROFILE }),
  target("destination-options"),
  target("destination-options@ro", { profile: RO_PROFILE }),
  target("routing-header"),
  target("icmpv6"),
  target("ipv6"),
  target("ipv4"),
  target("udp"),
  target("arp"),
  target("mld"),
  target("igmp"),
  target("dhcpv6-home-information"),
  target("mip4-control"),
  target("mip4-discovery"),
  target("correspondent-node"),
  target("mobile-node", { profile: RO_PROFILE }),
];

/** What an input shows: the features of its value, or its error. Throws if the invariant does not hold. */
export function features({ format, around }: FuzzTarget, input: Uint8Array): readonly string[] {
  const before = input.slice();
  const decoded = format.decode(input, around);
  if (toHex(before) !== toHex(input)) throw new Error("decoding changed its input");
  if (!decoded.ok) {
    const { error } = decoded;
    if (!(error instanceof DecodeError)) throw new Error("not a DecodeError", { cause: error });
    if (error.offset < 0 || error.offset > input.length) throw new Error(`offset ${error.offset} of ${input.length}`);
    return [`${error.reason} ${error.field}`];
  }
  const encoded = encodeAgain(format, decoded.value, around);
  if (encoded === undefined) return ["too long with its padding"];
  const again = format.decode(encoded, around);
  if (!again.ok) throw new Error("what was encoded does not decode", { cause: again.error });
  const [first, second] = [plain(decoded.value), plain(again.value)].map((value) => JSON.stringify(value));
  if (first !== second) throw new Error(`${first} came back as ${second}`);
  if (toHex(format.encode(again.value, around)) !== toHex(encoded)) throw new Error("encoding is not stable");
  return [...featuresOf(decoded.value, "")];
}

/** Undefined where alignment made a full header longer than a header can be. */
function encodeAgain(format: WireFormat, value: unknown, around: Surroundings): Uint8Array | undefined {
  try {
    return format.encode(value, around);
  } catch (error) {
    if (error instanceof EncodeError && /^(header|ext)-length$/.test(error.field)) return undefined;
    throw error;
  }
}

/** The members of a value with the kind they are in, set flags, and kinds side by side; numbers and octets do not count. */
function* featuresOf(value: unknown, owner: string): Iterable<string> {
  if (Array.isArray(value)) {
    const kinds = value.map(kindOf);
    for (const [i, kind] of kinds.entries()) if (i > 0) yield `${kinds[i - 1]}, ${kind}`;
    for (const item of value) yield* featuresOf(item, owner);
  } else if (typeof value === "object" && value !== null && !(value instanceof Uint8Array)) {
    const kind = kindOf(value) || owner;
    for (const [key, member] of Object.entries(value)) {
      if (member !== false && member !== undefined) yield `${kind}.${key}`;
      yield* featuresOf(member, kind);
    }
  }
}

function kindOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return "";
  const { kind, type } = value as { readonly kind?: unknown; readonly type?: unknown };
  return String(kind ?? type ?? "");
}

/** Numbers in 0..1, the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const INTERESTING = [0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 18, 0x1d, 0x1e, 0x1f, 0x20, 0x23, 59, 0x7f, 0x80, 0xc9, 0xfe, 0xff];
const MAX_INPUT = 2100;

/** One mutated copy of an input, perhaps with a part of another one in it. */
export function mutate(input: Uint8Array, other: Uint8Array, random: () => number): Uint8Array {
  const pick = (count: number): number => Math.floor(random() * count);
  let octets = Array.from(input);
  for (let round = 1 + pick(4); round > 0; round--) {
    const at = pick(octets.length + 1);
    const kind = pick(7);
    if (kind === 0) octets[at] = (octets[at] ?? 0) ^ (1 << pick(8));
    else if (kind === 1) octets[at] = INTERESTING[pick(INTERESTING.length)] ?? 0;
    else if (kind === 2) octets[at] = pick(256);
    else if (kind === 3) octets.splice(at, 1 + pick(8));
    else if (kind === 4) octets.splice(at, 0, ...Array.from({ length: 1 + pick(8) }, () => pick(256)));
    else if (kind === 5) octets.splice(at, 0, ...octets.slice(pick(at + 1), at));
    else octets = [...octets.slice(0, at), ...other.subarray(pick(other.length + 1))];
  }
  // Half of them with the length octet of an extension header set right, or hardly any would get past it.
  if (octets.length >= 8 && pick(2) === 0) octets[1] = Math.min(255, (octets.length >> 3) - 1);
  return Uint8Array.from(octets.slice(0, MAX_INPUT), (octet) => octet & 0xff);
}

const corpusFolder = (): string => repositoryPath("test", "fuzz", "corpus", "wire");

/** The committed inputs of a target: one line of hexadecimal each, `#` starts a comment. */
export function corpusOf(name: string): readonly Uint8Array[] {
  const lines = readFileSync(`${corpusFolder()}/${name}.txt`, "utf8").split("\n");
  return lines.map((line) => line.replace(/#.*/, "").trim()).flatMap((line) => (line === "" ? [] : [fromHex(line)]));
}

export function corpusNames(): readonly string[] {
  return readdirSync(corpusFolder()).map((file) => file.replace(/\.txt$/, ""));
}

export function corpusFile(name: string): string {
  return `${corpusFolder()}/${name}.txt`;
}

export interface Finding {
  readonly target: string;
  readonly input: Uint8Array;
  readonly error: unknown;
}

/** A search over one target that can go on for as long as one likes. */
export class FuzzSearch {
  readonly target: FuzzTarget;
  readonly #random: () => number;
  readonly #pool: Uint8Array[] = [];
  readonly #seen = new Set<string>();
  runs = 0;

  constructor(fuzzTarget: FuzzTarget, seeds: readonly Uint8Array[], seed: number) {
    this.target = fuzzTarget;
    this.#random = randomNumbers(seed);
    this.#pool.push(new Uint8Array(0));
    for (const input of seeds) this.run(input);
  }

  /** Inputs that each showed a feature first, the seeds among them. */
  get pool(): readonly Uint8Array[] {
    return this.#pool;
  }

  step(): Finding | undefined {
    const pick = (): Uint8Array => this.#pool[Math.floor(this.#random() * this.#pool.length)] ?? new Uint8Array(0);
    return this.run(mutate(pick(), pick(), this.#random));
  }

  run(input: Uint8Array): Finding | undefined {
    this.runs++;
    try {
      const fresh = features(this.target, input).filter((feature) => !this.#seen.has(feature));
      for (const feature of fresh) this.#seen.add(feature);
      if (fresh.length > 0) this.#pool.push(input);
      return undefined;
    } catch (error) {
      return { target: this.target.name, input, error };
    }
  }
}
