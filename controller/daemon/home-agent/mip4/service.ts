/** The home agent of Mobile IPv4 at work: its machine, its plan, port 434 and the home link tied together. All decisions are the machine's. */
import type { HomeAgentConfig } from "../../../../schemas/config/home-agent.js";
import type { CommandDocument, CommandRequest } from "../../../../schemas/control.js";
import type { MobilityError } from "../../../base/errors.js";
import { type IpAddress, type Ipv4Address, type Ipv6Address, isIpv4 } from "../../../base/ip.js";
import { exhaustive } from "../../../base/result.js";
import { seconds } from "../../../base/time.js";
import type { SetTimer } from "../../../netlink/transport.js";
import { planMip4Binding, planMip4FormerWays } from "../../../plan/home-agent/mip4/binding.js";
import { planMip4Site } from "../../../plan/home-agent/mip4/site.js";
import { homeAgentOwner } from "../../../plan/home-agent/owner.js";
import { planHomeAgentSite } from "../../../plan/home-agent/plan.js";
import { isOfIpv6 } from "../../../plan/objects/family.js";
import { type KernelObject, objectKey } from "../../../plan/objects/objects.js";
import type { ObjectOwner } from "../../../plan/owner.js";
import { NO_SLOTS, RequestIds } from "../../../plan/security/request-ids.js";
import type { HomeAgentPlanSite } from "../../../plan/site.js";
import { viewOf } from "../../../protocol/mip4/home-agent/binding-table.js";
import type { HomeAgentEffect, HomeAgentInput, ReplyEffect } from "../../../protocol/mip4/home-agent/inputs.js";
import {
  bindingViews,
  dataPaths,
  HomeAgentState,
  lookup,
  nextDeadline,
  step,
} from "../../../protocol/mip4/home-agent/machine.js";
import type { DataPath, NodeName, NotifyEffect } from "../../../protocol/mip4/inputs.js";
import type { Ownership } from "../../../protocol/ownership/ownership.js";
import type { GroupResult } from "../../../reconcile/reconciler.js";
import type { OpenHomeLink } from "../../home-link/sockets.js";
import { setTimer } from "../../kernel.js";
import { MachineLoop, monotonicNow } from "../../machine-loop.js";
import type { RegistrationSocket } from "../../mip4/registration-socket.js";
import { type Service, type ServiceGround, type ServiceViews, SITE_GROUP } from "../../service.js";
import { ConnectedNetworks } from "../connected-networks.js";
import { FormerWays } from "../former-ways.js";
import type { BindingGroups, OneBinding } from "../one-binding.js";
import { RefusedPaths } from "../refused-paths.js";
import type { Advertising } from "./advertising.js";
import type { HomeAgentAssociations } from "./associations.js";
import { Mip4Commands } from "./commands.js";
import { bindingDocument, shownName } from "./documents.js";
import { Registrations } from "./registrations.js";
import { type Mip4Part, mip4HomeAgentSite } from "./site.js";
import { withheldReply } from "./withheld.js";

export interface Mip4HomeAgentParts {
  readonly config: HomeAgentConfig;
  readonly part: Mip4Part;
  readonly associations: HomeAgentAssociations;
  readonly planSite: HomeAgentPlanSite;
  /** No service of Mobile IPv6 is beside this one: what both share in the kernel is this one's to make. */
  readonly alone: boolean;
  /** Whether the kernel runs IPv6. Absent: it does. */
  readonly ipv6?: boolean | undefined;
  readonly ground: ServiceGround;
  readonly home: OpenHomeLink;
  readonly port: RegistrationSocket;
  /** Absent: the home link is told nothing. */
  readonly advertising?: Advertising | undefined;
  /** Shared with the other services of this home agent. */
  readonly ownership: Ownership;
  readonly bindings: OneBinding;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  /** Absent: this machine's. */
  readonly setTimer?: SetTimer | undefined;
}

/** To the loop a reply is what waits for the disk. */
type SendEffect = Omit<ReplyEffect, "kind"> & { readonly kind: "send" };
type Effect = Exclude<HomeAgentEffect, ReplyEffect> | SendEffect;

const asSend = (effect: HomeAgentEffect): Effect => (effect.kind === "reply" ? { ...effect, kind: "send" } : effect);

export class Mip4HomeAgentService implements Service {
  static readonly serviceName = "home-agent-mip4";
  /** Of its records in the journal. */
  static readonly recordPrefix = "mip4 ";
  readonly name = Mip4HomeAgentService.serviceName;
  /** Those of Mobile IPv6, where that is served beside. */
  readonly addresses: readonly IpAddress[];
  readonly views: ServiceViews;
  readonly #config: HomeAgentConfig;
  readonly #part: Mip4Part;
  readonly #planSite: HomeAgentPlanSite;
  readonly #alone: boolean;
  readonly #ipv6: boolean;
  readonly #ground: ServiceGround;
  readonly #home: OpenHomeLink;
  readonly #advertising: Advertising | undefined;
  readonly #state: HomeAgentState;
  readonly #loop: MachineLoop<HomeAgentInput, Effect>;
  readonly #bindings: BindingGroups;
  readonly #registrations: Registrations;
  readonly #commands: Mip4Commands;
  readonly #networks = new ConnectedNetworks();
  readonly #ids = new RequestIds([], NO_SLOTS);
  /** The data paths that the kernel was asked for. */
  readonly #paths = new Map<NodeName, DataPath>();
  readonly #refused: RefusedPaths<DataPath>;
  readonly #former: FormerWays;
  #siteKeys: ReadonlySet<string> = new Set();
  #closed = false;

  constructor({
    config,
    part,
    associations,
    planSite,
    alone,
    ipv6 = true,
    ground,
    home,
    port,
    advertising,
    ownership,
    bindings,
    wallClock,
    setTimer: later = setTimer,
  }: Mip4HomeAgentParts) {
    this.#config = config;
    this.addresses = alone ? [part.address] : [];
    this.#part = part;
    this.#planSite = planSite;
    this.#alone = alone;
    this.#ipv6 = ipv6;
    this.#ground = ground;
    this.#home = home;
    this.#advertising = advertising;
    const site = {
      ...mip4HomeAgentSite(config, part, associations),
      isNetworkEdge: (address: Ipv4Address) => this.#networks.isEdge(address),
    };
    const state = new HomeAgentState(site, ownership);
    this.#state = state;
    this.#loop = new MachineLoop<HomeAgentInput, Effect>(
      { step: (input, now) => step(state, input, now).map(asSend), nextDeadline: () => nextDeadline(state) },
      { kind: "timer" },
      {
        perform: (effect) => this.#perform(effect),
        flush: () => ground.flush(),
        withhold: (effect) => this.#withhold(effect),
        lose: (effect) => this.#lose(effect),
        turnEnded: () => ground.groups.commit(),
      },
    );
    this.#bindings = bindings.join(ground.groups, {
      protocol: "mip4",
      onResult: (node, revision, failure) => this.#bindingResult(node, revision, failure),
      planAgain: (node) => this.#planAgain(node),
      onTaken: (node) => this.#loop.push({ kind: "remove", node, reason: "registered by Mobile IPv6", servedOn: true }),
    });
    this.#refused = new RefusedPaths({
      schedule: (delayMs, run) => void later(delayMs, () => this.#closed || run()),
      pathOf: (node) => this.#paths.get(node),
      ask: ({ node }) => {
        this.#planAgain(node);
        ground.groups.commit();
      },
    });
    this.#former = new FormerWays({
      groups: ground.groups,
      setTimer: later,
      grace: seconds(config.homeAgent.previousCareOfGraceSeconds),
    });
    this.#registrations = new Registrations({
      ...{ port, ground, associations, state, wallClock },
      homeDevice: config.homeAgent.homeLink.interface,
    });
    this.#commands = new Mip4Commands({
      isBound: (node) => state.table.get(node)?.established !== undefined,
      remove: (node, reason) => this.#loop.push({ kind: "remove", node, reason }),
      stateOf: (node) => this.#bindings.stateOf(node),
      flush: () => ground.flush(),
    });
    this.views = this.#viewsOf();
  }

  prepare(): ReadonlyMap<string, readonly KernelObject[]> {
    const shared = this.#alone ? planHomeAgentSite(this.#planSite) : [];
    const all = [...shared, ...planMip4Site(this.#planSite)];
    // Where the kernel has no IPv6 nobody is served with it (role.ts).
    const objects = this.#ipv6 ? all : all.filter((object) => !isOfIpv6(object));
    this.#siteKeys = new Set(objects.map(objectKey));
    const nodes = [...this.#ground.records.entries()].map(([, stored]) => stored);
    for (const effect of step(this.#state, { kind: "restore", nodes }, monotonicNow())) this.#perform(asSend(effect));
    return new Map([[SITE_GROUP, objects]]);
  }

  listen(): void {
    this.#ground.records.onWritable((writable) => this.#loop.push({ kind: "storage", writable }));
    this.#registrations.listen((input) => this.#loop.push(input));
    this.#advertising?.listen();
  }

  begin(): void {
    this.#loop.push({ kind: "timer" });
    this.#advertising?.begin();
    this.#ground.log.info({ event: "bindings.restored", protocol: "mip4", count: [...dataPaths(this.#state)].length });
  }

  onGroupResult(result: GroupResult): void {
    if (this.#bindings.answered(result)) return;
    const { group, failure } = result;
    if (failure !== undefined) this.#ground.log.error({ event: "object.failed", group, reason: failure.message });
  }

  onLoss(): void {}

  objectsOf(node: Ipv6Address): readonly KernelObject[] {
    const path = this.#paths.get(node);
    return [...(path === undefined ? [] : planMip4Binding(path, this.#planSite)), ...this.#former.objectsOf(node)];
  }

  ownerOf(object: KernelObject): ObjectOwner | undefined {
    if (this.#siteKeys.has(objectKey(object))) return { kind: "site" };
    return homeAgentOwner(object, {
      ids: this.#ids,
      homePrefixes: this.#planSite.homePrefixes,
      nodeAt: (address) => this.views.nodeAt(address),
    });
  }

  command(request: CommandRequest): Promise<CommandDocument> | undefined {
    const node = "node" in request && request.node !== undefined ? this.views.nodeAt(request.node) : undefined;
    return node === undefined ? undefined : this.#commands.run(request, node);
  }

  abandon(): void {
    this.#closed = true;
    this.#former.close();
    this.#loop.close();
    this.#registrations.close();
    this.#advertising?.close();
    this.#home.close();
  }

  async close(): Promise<void> {
    this.abandon();
  }

  #bindingResult(node: NodeName, revision: number, failure: MobilityError | undefined): void {
    if (!this.#refused.answered(node, revision, failure === undefined)) return;
    if (failure !== undefined) {
      this.#ground.log.error({ event: "object.failed", hoa: this.#shown(node), reason: failure.message });
      this.#networks.refresh();
    }
    this.#commands.programmed(node, failure?.message);
    this.#loop.push({ kind: "programmed", node, revision, ...(failure !== undefined && { failure: failure.message }) });
  }

  /** A success that is not on the disk. */
  #withhold(effect: Effect): Effect | undefined {
    if (effect.kind !== "send") return effect;
    const reply = withheldReply(effect.reply);
    if (reply === undefined) return effect;
    const {
      node,
      reply: { identification },
    } = effect;
    this.#loop.push({ kind: "unstored", node, identification });
    this.#ground.drop("journal-unwritable", `success for ${effect.destination}`);
    return this.#state.site.journalFailure === "silent" ? undefined : { ...effect, reply };
  }

  #lose(effect: Effect): void {
    if (effect.kind === "send")
      this.#ground.drop("journal-unwritable", `reply to ${effect.destination}: the disk hangs`);
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case "send":
        return this.#registrations.send(effect);
      case "notify":
        return this.#notify(effect);
      case "drop":
        return this.#ground.drop(effect.reason, effect.detail);
      case "journal":
        return this.#ground.records.append(effect.key, effect.record);
      case "announce":
        return this.#announce(effect.address, effect.holder);
      case "data-path":
        this.#paths.set(effect.path.node, effect.path);
        this.#planAgain(effect.path.node);
        return;
      case "data-path-removed":
        this.#paths.delete(effect.node);
        if (effect.former !== undefined)
          this.#former.keep(effect.node, planMip4FormerWays(effect.former, this.#planSite));
        return this.#bindings.remove(effect.node, effect.revision);
      default:
        return exhaustive(effect);
    }
  }

  #planAgain(node: NodeName): boolean {
    const path = this.#paths.get(node);
    if (path !== undefined) this.#bindings.set(node, planMip4Binding(path, this.#planSite), path.revision);
    return path !== undefined;
  }

  #notify({ event: { event, node, homeAddress, detail } }: NotifyEffect): void {
    this.#commands.see(event, node);
    this.#ground.note({
      event,
      homeAddress: this.#shown(node, homeAddress),
      detail: { protocol: "mip4", ...(homeAddress !== undefined && { ipv4HomeAddress: homeAddress }), ...detail },
    });
  }

  #announce(address: Ipv4Address, holder: "home-agent" | "mobile-node"): void {
    const device = this.#config.homeAgent.homeLink.interface;
    if (device === undefined) return;
    if (holder === "home-agent") this.#home.link.announce(device, [address], false);
    else this.#home.link.announceNeighbour(device, address);
  }

  #shown(node: NodeName, homeAddress?: Ipv4Address): string {
    const subscriber = this.#state.subscriber(node);
    return shownName(node, [homeAddress, subscriber?.ipv4HomeAddress, subscriber?.identifier]);
  }

  #viewsOf(): ServiceViews {
    const state = this.#state;
    const isOurs = (node: Ipv6Address | undefined): node is Ipv6Address =>
      node !== undefined && state.subscriber(node) !== undefined;
    const document = (view: ReturnType<typeof viewOf>) => {
      const { ipv4HomeAddress, identifier } = state.subscriber(view.node) ?? {};
      return bindingDocument(view, ipv4HomeAddress, identifier);
    };
    const nodeAt = (address: IpAddress): Ipv6Address | undefined => {
      const node = state.ownership.nodeAt(address) ?? state.ownership.routerTo(address);
      return isOurs(node) ? node : undefined;
    };
    const part = this.#part;
    return {
      *bindings() {
        for (const view of bindingViews(state, monotonicNow())) yield document(view);
      },
      readiness: () => null,
      binding: (address) => {
        const node = state.ownership.nodeAt(address);
        const entry =
          (isIpv4(address) ? lookup(state, address) : undefined) ?? (isOurs(node) ? state.table.get(node) : undefined);
        return entry === undefined ? undefined : document(viewOf(entry, monotonicNow()));
      },
      plan: (node) =>
        this.#paths.has(node) ? [{ objects: this.objectsOf(node), state: this.#bindings.stateOf(node) }] : [],
      nodes: () => (part.subscribers.length === 0 ? [] : state.site.subscribers.map(({ node }) => node)),
      nodeAt,
      // Mobile IPv4 has no associations in the kernel.
      security: async () => ({ method: "static-keys", ikeDaemon: null, nodes: [] }),
    };
  }
}
