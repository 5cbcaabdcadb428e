/**
 * Interface names and indices of the running kernel, as its link messages tell them. The cache may be behind by the notifications that
 * are still in the socket; whoever is told ENODEV asks again (`refresh` of netlink-kernel.ts).
 */
import { readAttributes } from "../netlink/attribute.js";
import { ENODEV } from "../netlink/errno.js";
import { KernelError } from "../netlink/errors.js";
import type { NetlinkMessage } from "../netlink/message.js";
import { IFF_UP, IFLA_ADDRESS, IFLA_IFALIAS, IFLA_IFNAME, RTM_DELLINK, RTM_NEWLINK } from "../netlink/rtnetlink.js";
import { OWNERSHIP } from "../plan/objects/objects.js";
import type { KernelNames } from "./codec.js";
import { decodeLinkHeader, LINK_HEADER_LENGTH } from "./route/headers.js";

interface Interface {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  readonly alias: string | undefined;
  readonly linkLayerAddress: Uint8Array | undefined;
  /** That it is up was announced; what only a dump said may be newer than the announcements that are still to come. */
  readonly announced: boolean;
}

interface Announced {
  readonly link: Omit<Interface, "announced">;
  readonly gone: boolean;
}

/** A device that objects of ours stood on went down, or away: the kernel removes IPv4 routes then without telling anybody. */
export interface DeviceLoss {
  readonly device: string;
  readonly gone: boolean;
  /** The announcement may be an old one that a dump has overtaken. */
  readonly doubtful: boolean;
}

export class InterfaceNames implements KernelNames {
  readonly #byIndex = new Map<number, Interface>();
  readonly #byName = new Map<string, Interface>();
  /** Indices that some object of ours stood on. */
  readonly #used = new Set<number>();
  #missed = false;
  /** While a dump runs: what was announced meanwhile. */
  #meanwhile: Announced[] | undefined;

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

  /** Whether objects of ours stand or stood on the device with this index. */
  isUsed(index: number): boolean {
    return this.#used.has(index);
  }

  /** Undefined also for a device that is not there. */
  alias(name: string): string | undefined {
    return this.#byName.get(name)?.alias;
  }

  /** Index and link-layer address; undefined for a device that is not there or has no such address. */
  identity(name: string): { readonly index: number; readonly linkLayerAddress: Uint8Array } | undefined {
    const found = this.#byName.get(name);
    return found?.linkLayerAddress && { index: found.index, linkLayerAddress: found.linkLayerAddress };
  }

  isUp(name: string): boolean {
    return this.#byName.get(name)?.up === true;
  }

  /** Whether an index was asked for that nobody knew, since the last call. */
  takeMissed(): boolean {
    const missed = this.#missed;
    this.#missed = false;
    return missed;
  }

  /**
   * Asks with `dump` for all links there are, in the place of what was known. What is announced until the answer is there may be newer
   * than it, and is taken in after it once more.
   */
  async relearn(dump: () => Promise<readonly NetlinkMessage[]>): Promise<void> {
    const meanwhile: Announced[] = [];
    this.#meanwhile = meanwhile;
    try {
      this.#replace(await dump());
      for (const announced of meanwhile) this.#take(announced);
    } finally {
      this.#meanwhile = undefined;
    }
  }

  /** The name that our device had so far, if this announcement says that it has another one now. */
  disowned(message: NetlinkMessage): string | undefined {
    const link = message.type === RTM_NEWLINK ? decodeLink(message) : undefined;
    const known = link && this.#byIndex.get(link.index);
    if (link === undefined || known === undefined || !isOurs(known) || link.name === known.name) return undefined;
    return known.name;
  }

  /** Takes an announcement in. */
  learn(message: NetlinkMessage): DeviceLoss | undefined {
    const link = decodeLink(message);
    if (link === undefined) return undefined;
    const announced = { link, gone: message.type === RTM_DELLINK };
    this.#meanwhile?.push(announced);
    return this.#take(announced);
  }

  #replace(messages: readonly NetlinkMessage[]): void {
    const before = new Map(this.#byIndex);
    this.#byIndex.clear();
    this.#byName.clear();
    for (const message of messages) {
      const link = decodeLink(message);
      if (link !== undefined) this.#put({ ...link, announced: link.up && before.get(link.index)?.announced === true });
    }
  }

  #take({ link, gone }: Announced): DeviceLoss | undefined {
    const { index } = link;
    const known = this.#byIndex.get(index);
    this.#forget(known);
    const used = this.#used.has(index);
    if (gone) {
      this.#used.delete(index);
      return known !== undefined && used ? { device: known.name, gone: true, doubtful: false } : undefined;
    }
    this.#put({ ...link, announced: link.up });
    if (known?.up !== true || link.up || !used) return undefined;
    return { device: known.name, gone: false, doubtful: !known.announced };
  }

  #put(link: Interface): void {
    this.#byIndex.set(link.index, link);
    this.#byName.set(link.name, link);
  }

  #forget(known: Interface | undefined): void {
    if (known === undefined) return;
    this.#byIndex.delete(known.index);
    // The name may be another device's by now.
    if (this.#byName.get(known.name)?.index === known.index) this.#byName.delete(known.name);
  }
}

const isOurs = ({ name, alias }: Pick<Interface, "name" | "alias">): boolean =>
  name.startsWith(OWNERSHIP.linkPrefix) && alias === OWNERSHIP.linkAlias;

function decodeLink(message: NetlinkMessage): Announced["link"] | undefined {
  if (message.type !== RTM_NEWLINK && message.type !== RTM_DELLINK) return undefined;
  const { family, index, flags } = decodeLinkHeader(message.body);
  const attributes = readAttributes(message.body.subarray(LINK_HEADER_LENGTH), LINK_HEADER_LENGTH);
  const name = attributes.get(IFLA_IFNAME)?.string();
  if (family !== 0 || name === undefined) return undefined; // a bridge about its port
  const linkLayerAddress = attributes.get(IFLA_ADDRESS)?.payload.slice();
  return { index, name, up: (flags & IFF_UP) !== 0, alias: attributes.get(IFLA_IFALIAS)?.string(), linkLayerAddress };
}
