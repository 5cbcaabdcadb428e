/**
 * Interface names and indices of the running kernel, as its link messages tell them. The cache may be behind by the notifications that
 * are still in the socket; whoever is told ENODEV asks again (`refresh` of netlink-kernel.ts).
 */
import { readAttributes } from "../netlink/attribute.js";
import { ENODEV } from "../netlink/errno.js";
import { KernelError } from "../netlink/errors.js";
import type { NetlinkMessage } from "../netlink/message.js";
import { IFF_UP, IFLA_IFALIAS, IFLA_IFNAME, RTM_DELLINK, RTM_NEWLINK } from "../netlink/rtnetlink.js";
import type { KernelNames } from "./codec.js";
import { decodeLinkHeader, LINK_HEADER_LENGTH } from "./headers.js";

interface Interface {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  readonly alias: string | undefined;
}

export class InterfaceNames implements KernelNames {
  readonly #byIndex = new Map<number, Interface>();
  readonly #byName = new Map<string, Interface>();
  /** Indices that some object of ours stood on. */
  readonly #used = new Set<number>();
  #missed = false;

  interfaceIndex(name: string): number {
    const found = this.#byName.get(name);
    if (found === undefined) throw new KernelError(ENODEV, { text: `there is no network device ${name}` });
    this.#used.add(found.index);
    return found.index;
  }

  interfaceName(index: number): string | undefined {
    const found = this.#byIndex.get(index);
    if (found === undefined) this.#missed = true;
    return found?.name;
  }

  /** Notes that an object of ours stands on this device. */
  use(name: string): void {
    const found = this.#byName.get(name);
    if (found !== undefined) this.#used.add(found.index);
  }

  /** Undefined also for a device that is not there. */
  alias(name: string): string | undefined {
    return this.#byName.get(name)?.alias;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Whether an index was asked for that nobody knew, since the last call. */
  takeMissed(): boolean {
    const missed = this.#missed;
    this.#missed = false;
    return missed;
  }

  /** All links there are, in the place of what was known. */
  replace(messages: readonly NetlinkMessage[]): void {
    this.#byIndex.clear();
    this.#byName.clear();
    for (const message of messages) this.learn(message);
  }

  /**
   * Takes a link message in. Returns the name of a device that objects of ours stood on if it went away or down: the kernel removes
   * IPv4 routes then without telling anybody.
   */
  learn(message: NetlinkMessage): string | undefined {
    if (message.type !== RTM_NEWLINK && message.type !== RTM_DELLINK) return undefined;
    const { family, index, flags } = decodeLinkHeader(message.body);
    if (family !== 0) return undefined; // a bridge about its port
    const known = this.#byIndex.get(index);
    if (message.type === RTM_DELLINK) {
      this.#forget(known);
      return known !== undefined && this.#used.delete(index) ? known.name : undefined;
    }
    const attributes = readAttributes(message.body.subarray(LINK_HEADER_LENGTH), LINK_HEADER_LENGTH);
    const name = attributes.get(IFLA_IFNAME)?.string();
    if (name === undefined) return undefined;
    const present = { index, name, up: (flags & IFF_UP) !== 0, alias: attributes.get(IFLA_IFALIAS)?.string() };
    this.#forget(known);
    this.#byIndex.set(index, present);
    this.#byName.set(name, present);
    return known?.up === true && !present.up && this.#used.has(index) ? name : undefined;
  }

  #forget(known: Interface | undefined): void {
    if (known === undefined) return;
    this.#byIndex.delete(known.index);
    // The name may be another device's by now.
    if (this.#byName.get(known.name)?.index === known.index) this.#byName.delete(known.name);
  }
}
