/** The home agent at work: its machine, its plan and its home link tied together. All decisions are the machine's. */
import type { Mip6HomeAgentConfig } from "../../../schemas/config/home-agent.js";
import type { BindingDocument, CommandDocument, CommandRequest } from "../../../schemas/control.js";
import type { MobilityError } from "../../base/errors.js";
import { type IpAddress, type Ipv6Address, isIpv6 } from "../../base/ip.js";
import { exhaustive } from "../../base/result.js";
import { homeAgentOwner } from "../../plan/home-agent/owner.js";
import { planBinding, planHomeAgentSite } from "../../plan/home-agent/plan.js";
import { type KernelObject, objectKey } from "../../plan/objects/objects.js";
import type { ObjectOwner } from "../../plan/owner.js";
import { RequestIds, TUNNEL_PURPOSES } from "../../plan/security/request-ids.js";
import { planSubscriberSecurity } from "../../plan/security/subscriber.js";
import { parkedAssociations } from "../../plan/security/tunnel-associations.js";
import { DEVICE, DIRECT_MARK, type HomeAgentPlanSite, TUN_DEVICE } from "../../plan/site.js";
import { withheld } from "../../protocol/mip6/home-agent/acknowledgement.js";
import { viewOf } from "../../protocol/mip6/home-agent/binding-cache.js";
import type { HomeAgentEffect, HomeAgentInput } from "../../protocol/mip6/home-agent/inputs.js";
import {
  bindingViews,
  dataPaths,
  HomeAgentState,
  lookup,
  nextDeadline,
  step,
} from "../../protocol/mip6/home-agent/machine.js";
import type { HomeAgentSite } from "../../protocol/mip6/home-agent/site.js";
import type { DataPath } from "../../protocol/mip6/inputs.js";
import type { Ownership } from "../../protocol/ownership/ownership.js";
import type { GroupResult } from "../../reconcile/reconciler.js";
import type { OpenHomeLink } from "../home-link/sockets.js";
import { setTimer } from "../kernel.js";
import { MachineLoop, monotonicNow } from "../machine-loop.js";
import type { RoleKeys } from "../role-keys.js";
import { staticSecurity } from "../security/static-keys.js";
import { type PlannedGroup, type Service, type ServiceGround, type ServiceViews, SITE_GROUP } from "../service.js";
import { homeAgentPlanSite, homeAgentSite } from "../sites.js";
import { StatusLine } from "../supervisor.js";
import { HomeAgentCommands } from "./commands.js";
import { ConnectedNetworks } from "./connected-networks.js";
import { HomeAgentKeys, securityGroup } from "./keys.js";
import { HomeAgentMulticast } from "./multicast/memberships.js";
import type { MulticastPorts } from "./multicast/sockets.js";
import type { BindingGroups, OneBinding } from "./one-binding.js";
import { ParkedNodes } from "./parked-nodes.js";
import { HomeAgentPrefixes } from "./prefixes.js";
import { RefusedPaths } from "./refused-paths.js";

export interface HomeAgentParts {
  readonly config: Mip6HomeAgentConfig;
  readonly keys: RoleKeys;
  readonly ground: ServiceGround;
  readonly home: OpenHomeLink;
  /** Absent: no multicast is sent to nodes. */
  readonly multicast?: MulticastPorts | undefined;
  /** Shared with the other services of this home agent. */
  readonly ownership: Ownership;
  readonly bindings: OneBinding;
}

export class HomeAgentService implements Service {
  static readonly serviceName = "home-agent";
  readonly name = HomeAgentService.serviceName;
  readonly addresses: readonly IpAddress[];
  readonly views: ServiceViews;
  readonly #config: Mip6HomeAgentConfig;
  readonly #keys: RoleKeys["keys"];
  readonly #ground: ServiceGround;
  readonly #home: OpenHomeLink;
  readonly #site: HomeAgentSite;
  readonly #planSite: HomeAgentPlanSite;
  readonly #state: HomeAgentState;
  readonly #loop: MachineLoop<HomeAgentInput, HomeAgentEffect>;
  readonly #parked: ParkedNodes;
  readonly #refused: RefusedPaths<DataPath>;
  #closed = false;
  readonly #prefixes: HomeAgentPrefixes;
  readonly #multicast: HomeAgentMulticast | undefined;
  readonly #status = new StatusLine(setTimer);
  readonly #commands: HomeAgentCommands;
  readonly #networks = new ConnectedNetworks();
  readonly #ids: RequestIds;
  readonly #bindings: BindingGroups;
  /** The data paths that the kernel was asked for, to be planned again when a node's keys change. */
  readonly #paths = new Map<Ipv6Address, DataPath>();
  #siteObjects: readonly KernelObject[] = [];
  #siteKeys: ReadonlySet<string> = new Set();
  #ikeKeys: HomeAgentKeys | undefined;

  /** Throws MobilityError. */
  static async open(parts: HomeAgentParts): Promise<HomeAgentService> {
    const service = new HomeAgentService(parts);
    const { config, keys, ground } = parts;
    if (config.security.method === "ikev2" && keys.credentials !== undefined)
      service.#ikeKeys = await HomeAgentKeys.open(
        config,
        config.security,
        keys.credentials,
        service.#planSite,
        ground,
        (homeAddress) => service.#replan(homeAddress),
      );
    return service;
  }

  private constructor({ config, keys, ground, home, multicast, ownership, bindings }: HomeAgentParts) {
    this.#config = config;
    this.#keys = keys.keys;
    this.#ground = ground;
    this.#home = home;
    this.#planSite = homeAgentPlanSite(config);
    this.#prefixes = new HomeAgentPrefixes(config, this.#planSite, ground, {
      pathOf: (homeAddress) => this.#paths.get(homeAddress),
      signallingOf: (homeAddress) => this.#state.cache.get(homeAddress)?.established?.registration.signalling,
    });
    this.#multicast = multicast && new HomeAgentMulticast(config, this.#planSite, ground, multicast);
    this.#site = {
      ...homeAgentSite(config),
      isNetworkEdge: (address) => this.#networks.isEdge(address),
      validFor: (homeAddress) => this.#prefixes.validFor(homeAddress),
      hasPrefixNews: (homeAddress) => this.#prefixes.hasNews(homeAddress),
    };
    this.#state = new HomeAgentState(this.#site, ownership);
    this.#ids = new RequestIds(this.#site.subscribers.keys(), this.#planSite.negotiated?.slots ?? new Map());
    this.addresses = Object.values(this.#site.addresses).filter((address) => address !== undefined);
    this.#bindings = bindings.join(ground.groups, {
      protocol: "mip6",
      onResult: (homeAddress, revision, failure) => this.#bindingResult(homeAddress, revision, failure),
      planAgain: (homeAddress) => this.#replan(homeAddress),
      onTaken: (homeAddress) => this.#loop.push({ kind: "remove", homeAddress, untold: "registered by Mobile IPv4" }),
    });
    this.#parked = new ParkedNodes(
      (homeAddress) => this.#parkedObjects(homeAddress),
      (homeAddress, objects) => ground.groups.setGroup(parkedGroup(homeAddress), objects, 1),
    );
    this.#refused = new RefusedPaths({
      schedule: (delayMs, run) => void setTimer(delayMs, () => this.#closed || run()),
      pathOf: (homeAddress) => this.#paths.get(homeAddress),
      ask: (path) => {
        this.#plan(path);
        ground.groups.commit();
      },
    });
    this.#loop = new MachineLoop<HomeAgentInput, HomeAgentEffect>(
      { step: (input, now) => step(this.#state, input, now), nextDeadline: () => nextDeadline(this.#state) },
      { kind: "timer" },
      {
        perform: (effect) => this.#perform(effect),
        flush: () => ground.flush(),
        withhold: (effect) => this.#withhold(effect),
        lose: (effect) => this.#lose(effect),
        turnEnded: () => this.#turnEnded(),
      },
    );
    this.#commands = new HomeAgentCommands(this.#state, {
      push: (input) => this.#loop.push(input),
      stateOf: (homeAddress) => this.#bindings.stateOf(homeAddress),
      flush: () => ground.flush(),
    });
    this.views = this.#viewsOf();
  }

  prepare(): ReadonlyMap<string, readonly KernelObject[]> {
    this.#siteObjects = planHomeAgentSite(this.#planSite);
    this.#siteKeys = new Set(this.#siteObjects.map(objectKey));
    const groups = new Map<string, readonly KernelObject[]>([[SITE_GROUP, this.#siteObjects]]);
    for (const homeAddress of this.#site.subscribers.keys()) {
      const objects = this.#securityObjects(homeAddress);
      if (objects !== undefined) groups.set(securityGroup(homeAddress), objects);
    }
    // What was bound before a restart is wanted together with the site, so that its objects are adopted and not made anew.
    const bindings = [...this.#ground.records.entries()].map(([, stored]) => stored);
    for (const effect of step(this.#state, { kind: "restore", bindings }, monotonicNow())) this.#perform(effect);
    // So are the numbers of associations of nodes that are at home.
    for (const homeAddress of this.#site.subscribers.keys())
      if (!this.#paths.has(homeAddress)) this.#parked.update(homeAddress);
    return groups;
  }

  listen(): void {
    this.#ground.records.onWritable((writable) => this.#loop.push({ kind: "storage", writable }));
    this.#ground.listen(
      {
        self: this.#site.addresses.ipv6,
        // The policies of every subscriber want ESP, whoever has given the keys.
        isProtected: (source) =>
          this.#site.subscribers.has(source) && (this.#ikeKeys !== undefined || this.#keys.has(source)),
        tunDevice: TUN_DEVICE,
        directMark: DIRECT_MARK,
        ...(this.#planSite.mappedSignalling === true && { mappedDevice: DEVICE.receiveIpv4 }),
        sendsShortOptions: (source) => this.#site.subscribers.get(source)?.ipv4Signalling === "soliman2004",
      },
      {
        onMessage: (message, arrival) => this.#loop.push({ kind: "message", arrival, message }),
        onPrefixMessage: (message, arrival) => {
          if (message.type === "mobile-prefix-solicitation") this.#prefixes.asked(message, arrival);
          else this.#ground.drop("unexpected-type", `${message.type} from ${arrival.source}`);
        },
        onDrop: (reason, detail) => this.#ground.drop(reason, detail),
        onOptionRefused: (packet) => this.#loop.push({ kind: "option-refused", ...packet }),
      },
    );
  }

  begin(): void {
    this.#home.onRouter?.((packet) => this.#prefixes.hear(packet));
    for (const homeAddress of this.#paths.keys()) this.#prefixes.bound(homeAddress);
    this.#multicast?.begin();
    this.#ikeKeys?.management.start();
    this.#loop.push({ kind: "timer" });
    this.#ground.log.info({ event: "bindings.restored", count: [...dataPaths(this.#state)].length });
  }

  onGroupResult(result: GroupResult): void {
    if (this.#bindings.answered(result)) return;
    const { group, failure } = result;
    if (failure !== undefined) this.#ground.log.error({ event: "object.failed", group, reason: failure.message });
  }

  #bindingResult(homeAddress: Ipv6Address, revision: number, failure: MobilityError | undefined): void {
    if (!this.#refused.answered(homeAddress, revision, failure === undefined)) return;
    if (failure !== undefined) {
      this.#ground.log.error({ event: "object.failed", hoa: homeAddress, reason: failure.message });
      this.#parked.update(homeAddress);
      this.#networks.refresh();
    } else if (this.#paths.get(homeAddress)?.revision === revision) {
      this.#parked.bound(homeAddress);
    }
    this.#commands.programmed(homeAddress, failure?.message);
    this.#loop.push({
      kind: "programmed",
      homeAddress,
      revision,
      ...(failure !== undefined && { failure: failure.message }),
    });
  }

  onLoss(object: KernelObject): void {
    this.#ikeKeys?.management.lost(object);
  }

  look(): void {
    this.#multicast?.look();
  }

  objectsOf(homeAddress: Ipv6Address): readonly KernelObject[] {
    return this.#groupsOf(homeAddress).flatMap(({ objects }) => objects);
  }

  ownerOf(object: KernelObject): ObjectOwner | undefined {
    if (this.#siteKeys.has(objectKey(object))) return { kind: "site" };
    return homeAgentOwner(object, {
      ids: this.#ids,
      homePrefixes: this.#site.homePrefixes,
      nodeAt: (address) => this.views.nodeAt(address),
    });
  }

  command(request: CommandRequest): Promise<CommandDocument> | undefined {
    const node =
      "node" in request && request.node !== undefined ? this.#state.ownership.nodeAt(request.node) : undefined;
    const isOthers = node !== undefined && (!this.#site.subscribers.has(node) || this.#bindings.isElsewhere(node));
    return isOthers ? undefined : this.#commands.run(request);
  }

  abandon(): void {
    this.#closed = true;
    this.#loop.close();
    this.#prefixes.close();
    this.#multicast?.close();
    this.#status.close();
    this.#ikeKeys?.management.close();
    this.#home.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#loop.close();
    this.#prefixes.close();
    this.#multicast?.close();
    this.#status.close();
    await this.#ikeKeys?.close();
    this.#home.close();
  }

  #turnEnded(): void {
    this.#ground.groups.commit();
    this.#commands.turnEnded();
    this.#status.tell(`${this.#config.subscribers.length} subscribers, ${this.#state.cache.size} bindings`);
  }

  /** A success that is not on the disk. */
  #withhold(effect: HomeAgentEffect): HomeAgentEffect | undefined {
    if (effect.kind !== "send") return effect;
    const instead = withheld(effect);
    if (instead === effect) return effect;
    if (effect.message.type === "binding-acknowledgement")
      this.#loop.push({ kind: "unstored", homeAddress: effect.destination, sequence: effect.message.sequence });
    this.#ground.drop("journal-unwritable", `success for ${effect.destination}`);
    return this.#site.journalFailure === "silent" ? undefined : instead;
  }

  #lose(effect: HomeAgentEffect): void {
    if (effect.kind === "send")
      this.#ground.drop("journal-unwritable", `${effect.message.type} for ${effect.destination}: the disk hangs`);
  }

  #perform(effect: HomeAgentEffect): void {
    const { records } = this.#ground;
    switch (effect.kind) {
      case "send":
        return this.#ground.send(effect);
      case "notify":
        this.#commands.see(effect.event);
        if (effect.event.homeAddress !== undefined && ACCEPTANCES.has(effect.event.event))
          this.#prefixes.bound(effect.event.homeAddress);
        return this.#ground.notify(effect);
      case "drop":
        return this.#ground.drop(effect.reason, effect.detail);
      case "journal":
        return records.append(effect.key, effect.record);
      case "announce": {
        const device = effect.device ?? this.#config.homeAgent.homeLink.interface;
        return device === undefined ? undefined : this.#home.link.announce(device, effect.addresses, effect.router);
      }
      case "dad":
        return this.#probe(effect.homeAddress, effect.address);
      case "data-path":
        // With the first reception of ESP in UDP the kernel tells anew where it comes from.
        if (!receivesInUdp(this.#paths.get(effect.path.homeAddress)))
          this.#ikeKeys?.forgetMappings(effect.path.homeAddress);
        this.#paths.set(effect.path.homeAddress, effect.path);
        this.#multicast?.bound(effect.path);
        return this.#plan(effect.path);
      case "key-management-moved":
        return this.#ikeKeys?.moved(effect);
      case "data-path-removed":
        this.#paths.delete(effect.homeAddress);
        this.#parked.unbound(effect.homeAddress);
        this.#prefixes.unbound(effect.homeAddress);
        this.#multicast?.unbound(effect.homeAddress);
        return this.#bindings.remove(effect.homeAddress, effect.revision);
      default:
        return exhaustive(effect);
    }
  }

  #probe(homeAddress: Ipv6Address, address: Ipv6Address): void {
    const device = this.#config.homeAgent.homeLink.interface;
    const done = (conflict: boolean): void =>
      this.#loop.push({ kind: "dad-completed", homeAddress, address, conflict });
    return device === undefined ? done(false) : this.#home.link.probe(device, address, done);
  }

  #plan(path: DataPath): void {
    this.#bindings.set(path.homeAddress, this.#bindingObjects(path), path.revision);
  }

  #replan(homeAddress: Ipv6Address): boolean {
    const path = this.#paths.get(homeAddress);
    if (path !== undefined) this.#plan(path);
    this.#parked.update(homeAddress);
    return path !== undefined;
  }

  #groupsOf(homeAddress: Ipv6Address): readonly PlannedGroup[] {
    const { groups } = this.#ground;
    const path = this.#paths.get(homeAddress);
    const planned = (group: string, objects: readonly KernelObject[]): PlannedGroup => ({
      objects,
      state: groups.stateOf(group),
    });
    return [
      {
        objects: path === undefined ? [] : this.#bindingObjects(path),
        state: this.#bindings.stateOf(homeAddress),
      },
      planned(securityGroup(homeAddress), this.#securityObjects(homeAddress) ?? []),
      planned(parkedGroup(homeAddress), this.#parked.objects(homeAddress)),
      planned(`multicast listener ${homeAddress}`, this.#multicast?.objectsOf(homeAddress) ?? []),
    ];
  }

  #bindingObjects(path: DataPath): readonly KernelObject[] {
    return planBinding(path, this.#planSite, this.#ikeKeys?.protection(path.homeAddress));
  }

  /** Undefined without keys. */
  #securityObjects(homeAddress: Ipv6Address): readonly KernelObject[] | undefined {
    if (this.#ikeKeys !== undefined)
      return this.#site.subscribers.has(homeAddress) ? this.#ikeKeys.planSubscriber(homeAddress) : undefined;
    const keys = this.#keys.get(homeAddress);
    return keys && planSubscriberSecurity(homeAddress, keys, this.#planSite);
  }

  #parkedObjects(homeAddress: Ipv6Address): readonly KernelObject[] {
    const associations = this.#ikeKeys?.protection(homeAddress).associations ?? {};
    return TUNNEL_PURPOSES.flatMap((purpose) =>
      parkedAssociations(homeAddress, purpose, associations[purpose], this.#planSite.negotiated?.slots),
    );
  }

  #viewsOf(): ServiceViews {
    const state = this.#state;
    const bindings = this.#bindings;
    const { subscribers, addresses } = this.#site;
    return {
      *bindings() {
        // What is only remembered of a node that another protocol serves is no second binding of it.
        for (const view of bindingViews(state, monotonicNow()))
          if (!bindings.isElsewhere(view.homeAddress)) yield bindingDocument(view);
      },
      readiness: () => null,
      homePrefixes: () => this.#prefixes.view(),
      multicast: () => this.#multicast?.view() ?? [],
      binding: (address) => {
        const entry = lookup(state, address) ?? (isIpv6(address) ? state.cache.get(address) : undefined);
        if (entry === undefined || bindings.isElsewhere(entry.homeAddress)) return undefined;
        return bindingDocument(viewOf(entry, monotonicNow()));
      },
      plan: (homeAddress) => this.#groupsOf(homeAddress),
      nodes: () => subscribers.keys(),
      nodeAt: (address) => {
        const node = state.ownership.nodeAt(address) ?? state.ownership.routerTo(address);
        return node !== undefined && subscribers.has(node) ? node : undefined;
      },
      security: (nodes) => {
        const objects = (node: Ipv6Address) => this.objectsOf(node);
        return this.#ikeKeys?.management.view(nodes, objects) ?? staticSecurity(nodes, objects, [addresses.ipv6]);
      },
    };
  }
}

/** Events of updates that were accepted. */
const ACCEPTANCES: ReadonlySet<string> = new Set([
  "binding.accepted",
  "binding.refreshed",
  "binding.moved",
  "nat.changed",
]);

const parkedGroup = (homeAddress: Ipv6Address): string => `parked ${homeAddress}`;

const receivesInUdp = (path: DataPath | undefined): boolean =>
  path?.ingress.some(({ format }) => format === "udp") === true;

function bindingDocument(view: ReturnType<typeof viewOf>): BindingDocument {
  return { ...view, protocol: "mip6", prefixes: [...view.prefixes], acceptedFrom: [...view.acceptedFrom], mip4: null };
}
