/**
 * Kinds of objects whose change the kernel announces to nobody, or not to the end: they have to be looked at. Of few all are, each time; of
 * many (proxy neighbours, one and more for each node at a carrier's home link) so many at a time that a look costs the same however many
 * there are. Where one of them is missing the others are looked at at once, slice by slice: what takes one away mostly takes all.
 */
import { type KernelObject, objectKey } from "../plan/objects/objects.js";

const QUIET: ReadonlySet<KernelObject["kind"]> = new Set(["fou-port", "policy-hash", "sysctl", "proxy-neighbour"]);
/** One sendmsg asks for so many (netlink/session.ts). */
const SLICE = 512;

export const isQuiet = ({ kind }: KernelObject): boolean => QUIET.has(kind);

/** All objects of quiet kinds that somebody wants, and whose turn it is. */
export class QuietObjects {
  readonly #objects = new Map<string, KernelObject>();
  #turn: Iterator<[string, KernelObject]> = this.#objects.entries();

  note(object: KernelObject): void {
    if (isQuiet(object)) this.#objects.set(objectKey(object), object);
  }

  forget(key: string): void {
    this.#objects.delete(key);
  }

  /** How many slices all of them are. */
  get slices(): number {
    return Math.ceil(this.#objects.size / SLICE);
  }

  /** The next ones in turn, each at most once. */
  next(): KernelObject[] {
    const slice = new Map<string, KernelObject>();
    for (let ends = 0; slice.size < Math.min(SLICE, this.#objects.size) && ends < 2; ) {
      const { done, value } = this.#turn.next();
      if (done === true) {
        ends++;
        this.#turn = this.#objects.entries();
      } else slice.set(value[0], value[1]);
    }
    return [...slice.values()];
  }
}
