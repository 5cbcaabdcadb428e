/**
 * A mobile node that knows nothing but its credentials: a service around that of the node, which it opens when the home agent has told the
 * home addresses (RFC 5026 §5.3). They are kept over restarts, and asked for again when the home agent does not serve the node under them
 * any more: the node then begins anew under the others.
 */
import { type MobileNodeConfig, TO_BE_FOUND } from "../../../../schemas/config/mobile-node.js";
import type { CommandDocument, CommandRequest } from "../../../../schemas/control.js";
import { MobilityError } from "../../../base/errors.js";
import { type IpAddress, type Ipv6Address, parseIpv4, parseIpv6 } from "../../../base/ip.js";
import { withToldAddresses } from "../../../config/config.js";
import type { HomeAddresses } from "../../../ike/home-addresses.js";
import type { KernelObject } from "../../../plan/objects/objects.js";
import type { ObjectOwner } from "../../../plan/owner.js";
import type { GroupResult } from "../../../reconcile/reconciler.js";
import type { NotedEvent } from "../../../store/events.js";
import type { Service, ServiceGround, ServiceViews } from "../../service.js";
import type { HomeAgentOffers } from "../discovery/offers.js";

/** A question that is asked until it is answered. */
export interface Question {
  close(): void;
}

export interface BootstrapParts {
  readonly config: MobileNodeConfig;
  readonly ground: ServiceGround;
  /** The service of the node whose home addresses stand in the configuration. Throws MobilityError; then nothing stays open. */
  openNode(config: MobileNodeConfig, ground: ServiceGround): Promise<Service>;
  /**
   * Asks the home agent, from wherever the node is, until `take` is content with what it has told. `take` rejects with MobilityError, the
   * sentence for the operator.
   */
  ask(take: (told: HomeAddresses) => Promise<void>): Question;
  readonly offers: Pick<HomeAgentOffers, "take">;
  setTimer(delayMs: number, done: () => void): () => void;
}

/** The journal's key of what was told last. */
const RECORD = "home-address";
/** So long a node is refused or unheard before it asks whether its home address is still the one; never more often than that. */
const DOUBT_MS = 60_000;

/** After them the node is served no more under its home address, or may not be. */
const DOUBTFUL: ReadonlySet<string> = new Set(["registration.failed", "home-prefix.withdrawn"]);

export class BootstrapService implements Service {
  readonly name: string;
  readonly views: ServiceViews;
  readonly #parts: BootstrapParts;
  #node: Service | undefined;
  #told: HomeAddresses | undefined;
  /** Gives back what a node has of the platform: its address, and who hears for it. */
  #letGo = (): void => undefined;
  #question: Question | undefined;
  #cancelDoubt: (() => void) | undefined;
  #revision = 0;
  #closed = false;

  /** Takes up what was told in an earlier life. Throws MobilityError. */
  static async open(name: string, parts: BootstrapParts): Promise<BootstrapService> {
    const service = new BootstrapService(name, parts);
    const kept = [...parts.ground.records.entries()].find(([key]) => key === RECORD)?.[1].record;
    const told = kept === undefined ? undefined : toldBy(kept);
    const config = told && service.#configWith(told);
    if (told !== undefined && config !== undefined) await service.#openNode(told, config);
    return service;
  }

  private constructor(name: string, parts: BootstrapParts) {
    this.name = name;
    this.#parts = parts;
    this.views = this.#viewsOf();
  }

  get addresses(): readonly IpAddress[] {
    return this.#node?.addresses ?? [];
  }

  prepare(): ReadonlyMap<string, readonly KernelObject[]> {
    return this.#node?.prepare() ?? new Map();
  }

  listen(): void {
    this.#node?.listen();
  }

  begin(): void {
    if (this.#node === undefined) this.#ask();
    else this.#node.begin();
  }

  onGroupResult(result: GroupResult): void {
    if (this.#node !== undefined) return this.#node.onGroupResult(result);
    const { group, failure } = result;
    if (failure !== undefined) this.#parts.ground.log.error({ event: "object.failed", group, reason: failure.message });
  }

  onLoss(object: KernelObject): void {
    this.#node?.onLoss(object);
  }

  objectsOf(homeAddress: Ipv6Address): readonly KernelObject[] {
    return this.#node?.objectsOf(homeAddress) ?? [];
  }

  ownerOf(object: KernelObject): ObjectOwner | undefined {
    return this.#node?.ownerOf(object);
  }

  command(request: CommandRequest): Promise<CommandDocument> | undefined {
    if (this.#node !== undefined) return this.#node.command?.(request);
    // The question goes on by itself, and looks at it then.
    if (request.command === "offer" && this.#parts.config.mobileNode.homeAgent.ipv6 === TO_BE_FOUND)
      return this.#parts.offers.take(request);
    return Promise.reject(
      new MobilityError("MIP_COMMAND", `${request.command}: the home agent has not told the home address yet`),
    );
  }

  abandon(): void {
    this.#stop();
    this.#node?.abandon();
  }

  async close(): Promise<void> {
    this.#stop();
    await this.#node?.close();
  }

  #stop(): void {
    this.#closed = true;
    this.#question?.close();
    this.#cancelDoubt?.();
  }

  #ask(): void {
    if (this.#question !== undefined || this.#closed) return;
    this.#question = this.#parts.ask(async (told) => {
      if (!this.#closed) await this.#take(told);
      this.#question = undefined;
    });
  }

  async #take(told: HomeAddresses): Promise<void> {
    const before = this.#told;
    if (before !== undefined && sameAddresses(before, told)) return;
    const config = withToldAddresses(this.#parts.config, told);
    const { ground } = this.#parts;
    if (before !== undefined) await this.#end(before);
    if (this.#closed) return;
    const node = await this.#openNode(told, config);
    if (this.#closed) {
      this.#letGo();
      return node.abandon();
    }
    for (const [group, objects] of node.prepare()) ground.groups.setGroup(group, objects, ++this.#revision);
    ground.groups.commit();
    await ground.groups.settled();
    if (this.#closed) return;
    node.listen();
    node.begin();
    const record = { ipv6: told.ipv6, ...(told.ipv4 !== undefined && { ipv4: told.ipv4 }) };
    ground.records.append(RECORD, record);
    void ground.flush();
    ground.note({ event: "home-address.told", homeAddress: told.ipv6, detail: record });
  }

  /** The node under its former address ends; the groups that the next one has too change from one to the other. */
  async #end({ ipv6 }: HomeAddresses): Promise<void> {
    const { ground } = this.#parts;
    await this.#node?.close();
    this.#node = undefined;
    this.#told = undefined;
    this.#letGo();
    ground.groups.removeGroup(`binding ${ipv6}`, ++this.#revision);
    ground.groups.commit();
    await ground.groups.settled();
    for (const key of [ipv6, RECORD]) ground.records.append(key, null);
  }

  async #openNode(told: HomeAddresses, config: MobileNodeConfig): Promise<Service> {
    const { ground, openNode } = this.#parts;
    const held = [ground.hold(told.ipv6)];
    const letGo = (): void => {
      for (const give of held.splice(0)) give();
    };
    try {
      const node = await openNode(config, this.#groundOf(ground, held));
      this.#node = node;
      this.#told = told;
      this.#letGo = letGo;
      return node;
    } catch (error) {
      letGo();
      throw error;
    }
  }

  /** Undefined, and told, where the configuration is another one now. */
  #configWith(told: HomeAddresses): MobileNodeConfig | undefined {
    try {
      return withToldAddresses(this.#parts.config, told);
    } catch (error) {
      this.#parts.ground.log.warn({ event: "home-address.forgotten", reason: (error as Error).message });
      return undefined;
    }
  }

  /** `held`: what ends with the node. Nothing is heard for a former one. */
  #groundOf(ground: ServiceGround, held: (() => void)[]): ServiceGround {
    const see = ({ event }: NotedEvent): void => {
      if (DOUBTFUL.has(event)) this.#doubt();
      if (event === "registration.completed") this.#trust();
    };
    return {
      ...ground,
      listen: (site, listener) => {
        const remove = ground.listen(site, listener);
        held.push(remove);
        return remove;
      },
      notify: (effect) => {
        see(effect.event);
        ground.notify(effect);
      },
      note: (event) => {
        see(event);
        ground.note(event);
      },
    };
  }

  #doubt(): void {
    if (this.#cancelDoubt !== undefined || this.#closed) return;
    this.#cancelDoubt = this.#parts.setTimer(DOUBT_MS, () => {
      this.#cancelDoubt = undefined;
      const readiness = this.#node?.views.readiness();
      // Without a network nobody can be asked, and who is at home needs nothing.
      if (readiness !== "detached" && readiness !== "home") this.#ask();
    });
  }

  #trust(): void {
    this.#cancelDoubt?.();
    this.#cancelDoubt = undefined;
    this.#question?.close();
    this.#question = undefined;
  }

  #viewsOf(): ServiceViews {
    const views = (): ServiceViews | undefined => this.#node?.views;
    return {
      nodes: () => views()?.nodes() ?? [],
      nodeAt: (address) => views()?.nodeAt(address),
      bindings: () => views()?.bindings() ?? [],
      binding: (address) => views()?.binding(address),
      readiness: () => views()?.readiness() ?? "detached",
      homePrefixes: () => views()?.homePrefixes?.() ?? [],
      correspondents: () => views()?.correspondents?.() ?? [],
      plan: (homeAddress) => views()?.plan(homeAddress) ?? [],
      security: async (nodes) =>
        views()?.security(nodes) ?? { method: this.#parts.config.security.method, ikeDaemon: null, nodes: [] },
    };
  }
}

const sameAddresses = (a: HomeAddresses, b: HomeAddresses): boolean => a.ipv6 === b.ipv6 && a.ipv4 === b.ipv4;

/** Of the journal; undefined for what is no home address. */
function toldBy(record: object): HomeAddresses | undefined {
  const { ipv6, ipv4 } = record as Record<string, unknown>;
  const address = typeof ipv6 === "string" ? parseIpv6(ipv6) : undefined;
  return address && { ipv6: address, ipv4: typeof ipv4 === "string" ? parseIpv4(ipv4) : undefined };
}
