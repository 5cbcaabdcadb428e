/**
 * Tells when the kernel refuses packets under a subscriber's own keys: forged or damaged ones, or the other end has other keys; replayed
 * ones, or the other end has started anew. The kernel announces none of it. It counts for all of a network namespace together, which is
 * looked at, and for each association, which are asked for when that number has grown: the nodes in slices, each at most once a minute
 * where they are more than one slice, so that whoever sends forged packets makes little work.
 */
import type { Ipv6Address } from "../../base/ip.js";
import type { StateCounters } from "../../kernel/xfrm/security-messages.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import type { EspState, XfrmState } from "../../plan/objects/security.js";
import { purposeOf } from "../../plan/security/request-ids.js";
import type { ProtocolEvent } from "../../protocol/mip6/inputs.js";

export type EspXfrmState = XfrmState & { readonly transform: EspState };

export interface RefusedPacketsOptions {
  /** What the kernel has refused so far, of all associations together, by its own names (xfrm_stat). */
  readonly totals: () => Readonly<Record<string, number>>;
  readonly nodes: () => Iterable<Ipv6Address>;
  readonly objectsOf: (homeAddress: Ipv6Address) => readonly KernelObject[];
  /** Of these associations, as far as they are there. Rejects with KernelError. */
  readonly read: (states: readonly EspXfrmState[]) => Promise<readonly StateCounters[]>;
  readonly tell: (event: ProtocolEvent) => void;
  /** Milliseconds that only grow. */
  readonly now: () => number;
}

/** What counts for an association too: a failed integrity check, a number seen before or too old. */
const COUNTED = ["XfrmInStateProtoError", "XfrmInStateSeqError"] as const;
/** A node has two associations at least, and up to six for each purpose. */
const NODES_AT_A_TIME = 64;
/** Between two events about one subscriber, and between the beginnings of two rounds of several slices. */
const PAUSE_MS = 60_000;

interface Refused {
  readonly integrityFailures: number;
  readonly replayed: number;
}

interface Told {
  readonly at: number;
  /** Refused since then. */
  untold: Refused;
  readonly purposes: Set<string>;
}

const NOTHING: Refused = { integrityFailures: 0, replayed: 0 };

export class RefusedPackets {
  readonly #options: RefusedPacketsOptions;
  #total: number;
  #grown = false;
  /** Nodes that are still to be looked at in this round. */
  #rest: readonly Ipv6Address[] = [];
  #nextRoundAt = 0;
  /** Of associations that have refused something, by node: their counts at the last look. */
  readonly #known = new Map<Ipv6Address, ReadonlyMap<string, Refused>>();
  readonly #told = new Map<Ipv6Address, Told>();

  constructor(options: RefusedPacketsOptions) {
    this.#options = options;
    this.#total = this.#sum();
  }

  /** All slices of a round, one after the other. Rejects with KernelError. */
  async lookAtAll(): Promise<"enough"> {
    while (await this.look());
    return "enough";
  }

  /** Looks, and resolves to whether there is more to look at: then it is best called again at once. Rejects with KernelError. */
  async look(): Promise<boolean> {
    const now = this.#options.now();
    this.#tellLate(now);
    const total = this.#sum();
    if (total !== this.#total) this.#grown = true;
    this.#total = total;
    if (this.#rest.length === 0 && this.#grown && now >= this.#nextRoundAt) this.#begin(now);
    const slice = this.#rest.slice(0, NODES_AT_A_TIME);
    this.#rest = this.#rest.slice(NODES_AT_A_TIME);
    if (slice.length > 0) await this.#lookAt(slice, now);
    return this.#rest.length > 0;
  }

  #sum(): number {
    const totals = this.#options.totals();
    return COUNTED.reduce((sum, name) => sum + (totals[name] ?? 0), 0);
  }

  #begin(now: number): void {
    this.#grown = false;
    this.#rest = [...this.#options.nodes()];
    this.#nextRoundAt = this.#rest.length <= NODES_AT_A_TIME ? now : now + PAUSE_MS;
  }

  async #lookAt(nodes: readonly Ipv6Address[], now: number): Promise<void> {
    const states = new Map(
      nodes.map((homeAddress) => [homeAddress, associationsOf(this.#options.objectsOf(homeAddress))]),
    );
    const counters = await this.#options.read([...states.values()].flat());
    const byKey = new Map<string, StateCounters[]>();
    for (const one of counters) byKey.set(keyOf(one), [...(byKey.get(keyOf(one)) ?? []), one]);
    for (const [homeAddress, own] of states) {
      const keys = new Set(own.map(({ reqid, destination, transform: { spi } }) => keyOf({ reqid, destination, spi })));
      this.#compare(
        homeAddress,
        [...keys].flatMap((key) => byKey.get(key) ?? []),
        now,
      );
    }
  }

  #compare(homeAddress: Ipv6Address, counters: readonly StateCounters[], now: number): void {
    const before = this.#known.get(homeAddress);
    const after = new Map<string, Refused>();
    const purposes = new Set<string>();
    for (const one of counters) {
      if (one.integrityFailures + one.replayed === 0) continue;
      after.set(keyOf(one), plus(after.get(keyOf(one)) ?? NOTHING, one));
      purposes.add(purposeOf(one.reqid));
    }
    if (after.size === 0) this.#known.delete(homeAddress);
    else this.#known.set(homeAddress, after);
    let grown = NOTHING;
    for (const [key, count] of after) grown = plus(grown, growth(before?.get(key), count));
    if (grown.integrityFailures + grown.replayed > 0) this.#report(homeAddress, grown, purposes, now);
  }

  #report(homeAddress: Ipv6Address, grown: Refused, purposes: ReadonlySet<string>, now: number): void {
    const told = this.#told.get(homeAddress);
    if (told === undefined) return this.#tell(homeAddress, grown, purposes, now);
    told.untold = plus(told.untold, grown);
    for (const purpose of purposes) told.purposes.add(purpose);
  }

  /** What has come up since an event of more than a minute ago. */
  #tellLate(now: number): void {
    for (const [homeAddress, { at, untold, purposes }] of this.#told) {
      if (now - at < PAUSE_MS) continue;
      this.#told.delete(homeAddress);
      if (untold.integrityFailures + untold.replayed > 0) this.#tell(homeAddress, untold, purposes, now);
    }
  }

  #tell(homeAddress: Ipv6Address, refused: Refused, purposes: ReadonlySet<string>, now: number): void {
    this.#told.set(homeAddress, { at: now, untold: NOTHING, purposes: new Set() });
    const detail = { purposes: [...purposes].sort().join(" "), ...refused, reason: reasonOf(refused) };
    this.#options.tell({ event: "packets.refused", homeAddress, detail });
  }
}

const keyOf = ({ reqid, spi, destination }: Pick<StateCounters, "reqid" | "spi" | "destination">): string =>
  `${reqid} ${spi} ${destination}`;

const plus = (a: Refused, b: Refused): Refused => ({
  integrityFailures: a.integrityFailures + b.integrityFailures,
  replayed: a.replayed + b.replayed,
});

/** An association that was made anew counts from zero. */
function growth(before: Refused | undefined, after: Refused): Refused {
  const since = (now: number, then = 0): number => (now < then ? now : now - then);
  return {
    integrityFailures: since(after.integrityFailures, before?.integrityFailures),
    replayed: since(after.replayed, before?.replayed),
  };
}

const associationsOf = (objects: readonly KernelObject[]): EspXfrmState[] =>
  objects.filter((object): object is EspXfrmState => object.kind === "xfrm-state" && object.transform.type === "esp");

/** One sentence for the operator. */
function reasonOf({ integrityFailures, replayed }: Refused): string {
  const forged = "the integrity check failed: they were forged or damaged, or the keys of both ends differ";
  const old = "their numbers were too old: they were replayed, or the other end has started anew";
  return [integrityFailures > 0 ? forged : "", replayed > 0 ? old : ""].filter((text) => text !== "").join("; ");
}
