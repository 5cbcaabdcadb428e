/**
 * A mobile node that finds its home agent itself: a service around that of the node, which it opens with the best home agent it knows and
 * opens anew with the next one when that falls silent. The groups of the reconciler have the same names in each life, so what the kernel
 * holds changes from one to the next, and payload never finds a way outside the tunnel in between.
 */
import { type MobileNodeConfig, ownAddress } from "../../../../schemas/config/mobile-node.js";
import type { CommandDocument, CommandRequest } from "../../../../schemas/control.js";
import { MobilityError } from "../../../base/errors.js";
import { type IpAddress, type Ipv6Address, parseIpv4, parseIpv6 } from "../../../base/ip.js";
import type { KernelObject } from "../../../plan/objects/objects.js";
import type { ObjectOwner } from "../../../plan/owner.js";
import { DIRECT_MARK, TUN_DEVICE, TUN_MARK } from "../../../plan/site.js";
import type { ProtocolEvent } from "../../../protocol/mip6/inputs.js";
import {
  type HomeAgentCandidate,
  MAX_CANDIDATES,
  withKnown,
} from "../../../protocol/mip6/mobile-node/discovery/candidates.js";
import { nextCandidate } from "../../../protocol/mip6/mobile-node/discovery/choice.js";
import type { GroupResult } from "../../../reconcile/reconciler.js";
import type { NotedEvent } from "../../../store/events.js";
import { monotonicNow } from "../../machine-loop.js";
import type { Service, ServiceGround, ServiceViews } from "../../service.js";
import type { SignallingListener, SignallingSite } from "../../signalling/signalling.js";
import type { NameSearch } from "./by-name.js";
import type { HomeAgentOffers } from "./offers.js";

/** The service of a mobile node whose home agent is known. */
export interface Node extends Service {
  /** De-registers where the home agent may hold a binding, for a few seconds at most, and ends; the kernel keeps what it has. */
  close(): Promise<void>;
  /** Ends it without a word to its home agent; the kernel keeps what it has. */
  leave(): Promise<void>;
  /** De-registers, and stays. */
  withdraw(): void;
}

/** What the node's service tells. */
export interface NodeListener {
  /** Called for each update without an answer in time. */
  onUnanswered(): void;
  /** The home agent wants the node to take another one: one of these, or any. */
  onSwitch(homeAgents: readonly Ipv6Address[]): void;
}

export interface FinderParts {
  readonly config: MobileNodeConfig;
  readonly ground: ServiceGround;
  /** Throws MobilityError; then nothing stays open. */
  openNode(config: MobileNodeConfig, ground: ServiceGround, listener: NodeListener): Promise<Node>;
  /** Never rejects. `careOf`: where the node is, as far as it is known. */
  search(careOf: IpAddress | undefined): Promise<NameSearch>;
  /** Whether somebody answers there, in a few seconds; undefined: that cannot be asked from where the node is. Never rejects. */
  answers(candidate: HomeAgentCandidate, careOf: IpAddress | undefined): Promise<boolean | undefined>;
  readonly offers: Pick<HomeAgentOffers, "take">;
  setTimer(delayMs: number, done: () => void): () => void;
}

/** The journal's key of the home agent that was chosen last. */
const RECORD = "home-agent";
const FIRST_RETRY_MS = 2000;
const LONGEST_RETRY_MS = 64_000;
const LONGEST_RETURN_SECONDS = 86_400;

export class FinderService implements Service {
  readonly name: string;
  readonly views: ServiceViews;
  readonly #parts: FinderParts;
  readonly #homeAddress: Ipv6Address;
  readonly #ownAddresses: readonly IpAddress[];
  #node: Node | undefined;
  #present: HomeAgentCandidate | undefined;
  #candidates: readonly HomeAgentCandidate[] = [];
  /** When each was last given up. */
  readonly #failedAt = new Map<Ipv6Address, ReturnType<typeof monotonicNow>>();
  #site: SignallingSite | undefined;
  #listener: SignallingListener | undefined;
  #revision = 0;
  #retryMs = FIRST_RETRY_MS;
  #returnSeconds: number;
  #changing = false;
  #closed = false;
  #cancelSearch = (): void => undefined;
  #cancelReturn = (): void => undefined;
  #cancelSilence: (() => void) | undefined;

  /** Takes up the home agent of an earlier life, so that what the kernel has of it is kept. */
  static async open(name: string, parts: FinderParts): Promise<FinderService> {
    const finder = new FinderService(name, parts);
    const kept = [...parts.ground.records.entries()].find(([key]) => key === RECORD)?.[1].record;
    const candidate = kept === undefined ? undefined : candidateOf(kept);
    if (candidate !== undefined) await finder.#openNode(candidate);
    return finder;
  }

  private constructor(name: string, parts: FinderParts) {
    const { homeAddress, ipv4HomeAddress, homeAgent } = parts.config.mobileNode;
    this.name = name;
    this.#parts = parts;
    this.#homeAddress = homeAddress;
    const ipv4Home = ownAddress(ipv4HomeAddress);
    this.#ownAddresses = [homeAddress, ...(ipv4Home === undefined ? [] : [ipv4Home])];
    this.#returnSeconds = homeAgent.returnAfterSeconds;
    this.views = this.#viewsOf();
  }

  /** With those on loan. */
  get addresses(): readonly IpAddress[] {
    return this.#node?.addresses ?? this.#ownAddresses;
  }

  prepare(): ReadonlyMap<string, readonly KernelObject[]> {
    return this.#node?.prepare() ?? new Map();
  }

  listen(): void {
    const { ground } = this.#parts;
    ground.listen(
      {
        self: this.#homeAddress,
        isProtected: (source) => this.#site?.isProtected(source) === true,
        tunDevice: TUN_DEVICE,
        tunMark: TUN_MARK,
        directMark: DIRECT_MARK,
        sendsShortOptions: (source) => this.#site?.sendsShortOptions?.(source) === true,
      },
      {
        onMessage: (message, arrival, octets) => this.#listener?.onMessage(message, arrival, octets),
        onPrefixMessage: (message, arrival) => this.#listener?.onPrefixMessage?.(message, arrival),
        awaits: (message, arrival) => this.#listener?.awaits?.(message, arrival) === true,
        onDrop: (reason, detail) => ground.drop(reason, detail),
        onOptionRefused: (packet) => this.#listener?.onOptionRefused?.(packet),
      },
    );
    this.#node?.listen();
  }

  begin(): void {
    this.#node?.begin();
    void this.#look();
  }

  onGroupResult(result: GroupResult): void {
    const { group, failure } = result;
    if (failure !== undefined) this.#parts.ground.log.error({ event: "object.failed", group, reason: failure.message });
    this.#node?.onGroupResult(result);
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

  /** Without a home agent a refresh is a search, at once: its next one may be a minute away. */
  command(request: CommandRequest): Promise<CommandDocument> | undefined {
    if (request.command === "offer") return this.#take(request);
    if (this.#node !== undefined) return this.#node.command?.(request);
    if (request.command === "report-loss")
      return Promise.reject(new MobilityError("MIP_COMMAND", "no home agent is known yet: one is being looked for"));
    if (request.command !== "refresh") return undefined;
    this.#lookNow();
    return Promise.resolve({ command: "refresh", nodes: 1, outcome: "begun", status: null });
  }

  /** Who has a home agent stays with it: the offer is looked at when another one is wanted. */
  async #take(offer: Parameters<HomeAgentOffers["take"]>[0]): Promise<CommandDocument> {
    const taken = await this.#parts.offers.take(offer);
    if (this.#node === undefined && !this.#changing && !this.#closed) this.#lookNow();
    return taken;
  }

  #lookNow(): void {
    this.#retryMs = FIRST_RETRY_MS;
    void this.#look();
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
    this.#cancelSearch();
    this.#cancelReturn();
    this.#cancelSilence?.();
  }

  /** Asks who there is, and again until somebody is; a home agent that is still among them stays. */
  async #look(): Promise<void> {
    this.#cancelSearch();
    const { log } = this.#parts.ground;
    const found = await this.#parts.search(this.#careOf());
    if (this.#closed) return;
    for (const reason of found.faults) log.warn({ event: "home-agent.search", reason });
    const incomplete = found.incomplete === true;
    if (incomplete || found.candidates.length === 0) {
      this.#cancelSearch = this.#parts.setTimer(this.#retryMs, () => void this.#look());
      this.#retryMs = Math.min(LONGEST_RETRY_MS, 2 * this.#retryMs);
    } else this.#retryMs = FIRST_RETRY_MS;
    if (found.candidates.length === 0) return;
    this.#know(found);
    const present = this.#present;
    const same = this.#candidates.find(({ ipv6 }) => ipv6 === present?.ipv6);
    // Who was not found this time may be behind the answer that is missing.
    const stays = same === undefined ? present !== undefined && incomplete : same.ipv4 === present?.ipv4;
    if (!stays) await this.#change(same ?? this.#candidates[0]);
    this.#returnLater();
  }

  #know({ candidates: found, incomplete, offered }: NameSearch): void {
    const present = this.#present === undefined ? [] : [this.#present];
    const known = this.#candidates.length === 0 ? present : this.#candidates;
    const first = incomplete === true ? known : offered === true ? present : [];
    const news = (one: HomeAgentCandidate): HomeAgentCandidate =>
      (offered === true ? undefined : found.find(({ ipv6 }) => ipv6 === one.ipv6)) ?? one;
    const others = found.filter(({ ipv6 }) => !first.some((one) => one.ipv6 === ipv6));
    // Without all answers what is known stands as it stood: another way may have found others, which are not better for that.
    const all = [...first.map(news), ...others].slice(0, MAX_CANDIDATES);
    this.#candidates = incomplete === true ? withKnown(all, [...present, ...known]) : all;
    for (const address of this.#failedAt.keys())
      if (!this.#candidates.some(({ ipv6 }) => ipv6 === address)) this.#failedAt.delete(address);
  }

  /** Whether it has accepted where the node is now. */
  get #isAccepted(): boolean {
    return this.#node?.views.binding(this.#homeAddress)?.state === "registered";
  }

  /** The home agent has not answered an update, has refused one, or keys could not be agreed on. What it accepts in part is no refusal. */
  #silent(): void {
    if (this.#cancelSilence !== undefined || this.#closed || this.#changing || this.#isAccepted) return;
    this.#cancelSilence = this.#parts.setTimer(
      this.#parts.config.mobileNode.homeAgent.switchAfterSeconds * 1000,
      () => {
        this.#cancelSilence = undefined;
        void this.#giveUp();
      },
    );
  }

  #accepted(): void {
    if (this.#present === undefined) return;
    this.#cancelSilence?.();
    this.#cancelSilence = undefined;
    const { ipv6 } = this.#present;
    this.#failedAt.delete(ipv6);
    if (ipv6 === this.#candidates[0]?.ipv6)
      this.#returnSeconds = this.#parts.config.mobileNode.homeAgent.returnAfterSeconds;
  }

  async #giveUp(): Promise<void> {
    const present = this.#present;
    const readiness = this.#node?.views.readiness();
    // Without a network, and at home, nobody can be blamed.
    if (present === undefined || readiness === "detached" || readiness === "home" || this.#isAccepted) return;
    this.#failedAt.set(present.ipv6, monotonicNow());
    this.#parts.ground.note(this.#event("home-agent.silent", present));
    const found = await this.#parts.search(this.#careOf());
    if (this.#closed) return;
    if (found.candidates.length > 0) this.#know(found);
    const next = nextCandidate(this.#candidates, present, (one) => this.#failedAt.get(one.ipv6));
    if (next === undefined) return;
    // It would not hear a farewell.
    await this.#change(next, "silent");
    this.#returnLater();
  }

  /**
   * The home agent sends us away (RFC 5142): to one that it names, or to the next one that was found. It has said so under ESP, so what it
   * names need not have been found; of such a one no IPv4 address is known.
   */
  async #switch(homeAgents: readonly Ipv6Address[]): Promise<void> {
    const present = this.#present;
    if (present === undefined || this.#changing || this.#closed) return;
    this.#failedAt.set(present.ipv6, monotonicNow());
    const known = (ipv6: Ipv6Address) => this.#candidates.find((one) => one.ipv6 === ipv6) ?? { ipv6, name: ipv6 };
    const named = homeAgents.filter((one) => one !== present.ipv6).map(known);
    const next = nextCandidate([...named, ...this.#candidates], present, (one) => this.#failedAt.get(one.ipv6));
    if (next === undefined) return this.#node?.withdraw();
    await this.#change(next);
    this.#returnLater();
  }

  /** Back to the best one after the configured time; each time in vain makes it twice as long. */
  #returnLater(): void {
    this.#cancelReturn();
    if (this.#closed || this.#present === undefined || this.#present.ipv6 === this.#candidates[0]?.ipv6) return;
    this.#cancelReturn = this.#parts.setTimer(this.#returnSeconds * 1000, () => {
      this.#returnSeconds = Math.min(2 * this.#returnSeconds, LONGEST_RETURN_SECONDS);
      void this.#return();
    });
  }

  /** Where echo requests are answered by the present one and not by the best, that is dead still, and nothing is left for it. */
  async #return(): Promise<void> {
    const { answers, ground } = this.#parts;
    const [best, present] = [this.#candidates[0], this.#present];
    if (best === undefined || present === undefined || best.ipv6 === present.ipv6) return;
    const careOf = this.#careOf();
    const [there, here] = await Promise.all([answers(best, careOf), answers(present, careOf)]);
    if (this.#closed || this.#present !== present || this.#candidates[0] !== best) return;
    if (there === false && here === true) {
      ground.log.info({ event: "home-agent.unanswering", name: best.name, ipv6: best.ipv6 });
      return this.#returnLater();
    }
    await this.#change(best);
  }

  /** `former`: whether the home agent of before can be expected to hear that the node leaves. */
  async #change(candidate: HomeAgentCandidate | undefined, former: "heard" | "silent" = "heard"): Promise<void> {
    if (candidate === undefined || this.#changing) return;
    this.#changing = true;
    this.#cancelSilence?.();
    this.#cancelSilence = undefined;
    const { groups, records, log } = this.#parts.ground;
    try {
      const before = this.#node;
      // It is told even while the node moves or refreshes: it would go on answering for the node on the home link, to the other one's
      // duplicate address detection too. Until then the node hears of the kernel.
      const staysBound = former === "silent" || this.#present?.ipv6 === candidate.ipv6;
      await (staysBound ? before?.leave() : before?.close());
      if (this.#closed) return;
      this.#node = undefined;
      // Its last answers are nobody's.
      await groups.settled();
      if (this.#closed) return;
      // What is kept of the registration is about the former home agent.
      if (this.#present !== undefined && this.#present.ipv6 !== candidate.ipv6) records.append(this.#homeAddress, null);
      const node = await this.#openNode(candidate);
      for (const [group, objects] of node.prepare()) groups.setGroup(group, objects, ++this.#revision);
      groups.commit();
      await groups.settled();
      if (this.#closed) return node.abandon();
      node.listen();
      node.begin();
      const { ipv6, ipv4, name } = candidate;
      records.append(RECORD, { ipv6, name, ...(ipv4 !== undefined && { ipv4 }) });
      void this.#parts.ground.flush();
      this.#parts.ground.note(this.#event("home-agent.chosen", candidate));
    } catch (error) {
      log.error({ event: "home-agent.refused", name: candidate.name, reason: (error as Error).message });
      if (!this.#closed) this.#cancelSearch = this.#parts.setTimer(this.#retryMs, () => void this.#look());
      this.#node?.abandon();
      this.#node = undefined;
      this.#present = undefined;
    } finally {
      this.#changing = false;
    }
  }

  async #openNode(candidate: HomeAgentCandidate): Promise<Node> {
    const { config, ground, openNode } = this.#parts;
    const { ipv6, ipv4 } = candidate;
    const homeAgent = { ...config.mobileNode.homeAgent, ipv6, ipv4 };
    const node = await openNode(
      { ...config, mobileNode: { ...config.mobileNode, homeAgent } },
      this.#groundOf(ground),
      { onUnanswered: () => this.#silent(), onSwitch: (homeAgents) => void this.#switch(homeAgents) },
    );
    this.#present = candidate;
    this.#node = node;
    return node;
  }

  /** The signalling sockets know us, whoever the home agent is. */
  #groundOf(ground: ServiceGround): ServiceGround {
    const see = ({ event }: NotedEvent): void => {
      if (event === "registration.completed") this.#accepted();
      if (event === "registration.failed") this.#silent();
    };
    return {
      ...ground,
      listen: (site, listener) => {
        this.#site = site;
        this.#listener = listener;
        return () => {
          if (this.#listener === listener) this.#listener = undefined;
        };
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

  #careOf(): IpAddress | undefined {
    return this.#node?.views.binding(this.#homeAddress)?.endpoint?.address as IpAddress | undefined;
  }

  #event(event: "home-agent.chosen" | "home-agent.silent", { name, ipv6, ipv4 }: HomeAgentCandidate): ProtocolEvent {
    return { event, homeAddress: this.#homeAddress, detail: { name, ipv6, ...(ipv4 !== undefined && { ipv4 }) } };
  }

  #viewsOf(): ServiceViews {
    const isOurs = (address: IpAddress): boolean => this.addresses.includes(address);
    return {
      nodes: () => [this.#homeAddress],
      nodeAt: (address) => (isOurs(address) ? this.#homeAddress : undefined),
      bindings: () => this.#node?.views.bindings() ?? [],
      readiness: () => this.#node?.views.readiness() ?? "detached",
      homePrefixes: () => this.#node?.views.homePrefixes?.() ?? [],
      correspondents: () => this.#node?.views.correspondents?.() ?? [],
      binding: (address) => this.#node?.views.binding(address),
      plan: (homeAddress) => this.#node?.views.plan(homeAddress) ?? [],
      security: async (nodes) =>
        this.#node?.views.security(nodes) ?? {
          method: this.#parts.config.security.method,
          ikeDaemon: null,
          nodes: [],
        },
    };
  }
}

/** Of the journal; undefined for what is no home agent. */
function candidateOf(record: unknown): HomeAgentCandidate | undefined {
  const { ipv6, ipv4, name } = record as Record<string, unknown>;
  const address = typeof ipv6 === "string" ? parseIpv6(ipv6) : undefined;
  if (address === undefined) return undefined;
  return {
    ipv6: address,
    ipv4: typeof ipv4 === "string" ? parseIpv4(ipv4) : undefined,
    name: typeof name === "string" ? name : address,
  };
}
