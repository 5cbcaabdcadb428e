/** The mobile node at work: its machine, its plan and the network watcher tied together. All decisions are the machine's. */
import { type MobileNodeConfig, optimisesRoutes, ownAddress } from "../../../schemas/config/mobile-node.js";
import type { BindingDocument, CommandDocument, CommandRequest } from "../../../schemas/control.js";
import { InvariantError } from "../../base/errors.js";
import { formatPrefix, type IpAddress, type Ipv6Address } from "../../base/ip.js";
import { exhaustive } from "../../base/result.js";
import { elapsed, type Seconds } from "../../base/time.js";
import type { NodeKeys } from "../../config/keys.js";
import type { SetTimer } from "../../netlink/transport.js";
import { mobileNodeOwner } from "../../plan/mobile-node/owner.js";
import { planMobileNode, planMobileNodeSite } from "../../plan/mobile-node/plan.js";
import { type KernelObject, objectKey } from "../../plan/objects/objects.js";
import type { ObjectOwner } from "../../plan/owner.js";
import { DIRECT_MARK, type MobileNodePlanSite, TUN_DEVICE, TUN_MARK } from "../../plan/site.js";
import { whereaboutsOf } from "../../protocol/mip6/mobile-node/correspondents/whereabouts.js";
import {
  initialMobileNode,
  type MobileNodeDataPath,
  type MobileNodeEffect,
  type MobileNodeInput,
  type MobileNodeState,
  nextDeadline,
  step,
} from "../../protocol/mip6/mobile-node/machine.js";
import { readinessOf } from "../../protocol/mip6/mobile-node/readiness.js";
import { PATH_RETRY_FIRST } from "../../protocol/mip6/mobile-node/timers.js";
import type { GroupResult } from "../../reconcile/reconciler.js";
import type { OpenHomeLink } from "../home-link/sockets.js";
import { setTimer } from "../kernel.js";
import { MachineLoop, monotonicNow } from "../machine-loop.js";
import type { RoleKeys } from "../role-keys.js";
import { OwnCorrespondent } from "../route-optimisation/own-correspondent.js";
import { staticSecurity } from "../security/static-keys.js";
import { type PlannedGroup, type Service, type ServiceGround, type ServiceViews, SITE_GROUP } from "../service.js";
import { mobileNodePlanSite, mobileNodeSite } from "../sites.js";
import { StatusLine } from "../supervisor.js";
import { Activity } from "./activity.js";
import { nodeCommand, refused } from "./commands.js";
import { NodeCorrespondents } from "./correspondents/correspondents.js";
import { type CorrespondentPorts, correspondentPorts } from "./correspondents/ports.js";
import { egressDevices } from "./egress-devices.js";
import { FilteredAnswers } from "./filtered-answers.js";
import { MobileNodeKeys, NODE_SECURITY_GROUP } from "./keys.js";
import { LocalNetworksKeeper, NETWORKS_GROUP } from "./local-networks.js";
import type { OpenMovement } from "./movement-sockets.js";
import { sendNothing } from "./opening.js";
import { NodePrefixes } from "./prefixes.js";
import { ReadinessReport } from "./readiness-report.js";
import type { MovementSource, NetworkSource } from "./sources.js";

export interface MobileNodeParts {
  readonly config: MobileNodeConfig;
  readonly keys: RoleKeys;
  readonly ground: ServiceGround;
  /** Of several home addresses: which one, and the name of its service (homes.ts). Absent: the first, or only one. */
  readonly place?: { readonly rank: number; readonly name: string } | undefined;
  readonly home: OpenHomeLink;
  /** As it is configured. */
  readonly network: NetworkSource;
  /** What is believed of it. */
  readonly movement: Pick<OpenMovement, "close"> & { readonly movement: MovementSource };
  /** Absent: this machine's. */
  readonly setTimer?: SetTimer | undefined;
  /** With route optimisation. Absent: this machine's. */
  readonly correspondentPorts?: CorrespondentPorts | undefined;
  /** Called for each update that was not answered in time. */
  readonly onUnanswered?: (() => void) | undefined;
  /** Called when the home agent wants the node to take another one. Absent: there is no other. */
  readonly onSwitch?: ((homeAgents: readonly Ipv6Address[]) => void) | undefined;
}

export class MobileNodeService implements Service {
  static readonly serviceName = "mobile-node";
  readonly name: string;
  addresses: readonly IpAddress[];
  readonly views: ServiceViews;
  readonly #config: MobileNodeConfig;
  readonly #homeAddress: Ipv6Address;
  readonly #keys: NodeKeys | undefined;
  readonly #ground: ServiceGround;
  readonly #home: OpenHomeLink;
  readonly #network: NetworkSource;
  readonly #movement: MovementSource;
  readonly #closeMovement: () => void;
  readonly #onUnanswered: (() => void) | undefined;
  readonly #onSwitch: MobileNodeParts["onSwitch"];
  readonly #networks: LocalNetworksKeeper;
  readonly #status = new StatusLine(setTimer);
  readonly #readiness: ReadinessReport;
  readonly #filtered: FilteredAnswers;
  readonly #prefixes: NodePrefixes;
  /** Of a node that need not be reached. */
  readonly #activity: Activity | undefined;
  /** With route optimisation. */
  readonly #correspondents: NodeCorrespondents | undefined;
  /** Where others may bind at the home address, too. */
  readonly #ownCorrespondent: OwnCorrespondent | undefined;
  /** As it is configured, without what is lent. */
  readonly #ownSite: MobileNodePlanSite;
  #planSite: MobileNodePlanSite;
  #siteObjects: readonly KernelObject[];
  #siteKeys: ReadonlySet<string>;
  #siteRevision = 1;
  readonly #setTimer: SetTimer;
  /** Of what waits. */
  readonly #cancels = new Set<() => void>();
  /** The platform has asked for the groups without which nothing works. */
  #prepared = false;
  readonly #loop: MachineLoop<MobileNodeInput, MobileNodeEffect>;
  readonly #group: string;
  #state: MobileNodeState;
  #path: MobileNodeDataPath | undefined;
  #ikeKeys: MobileNodeKeys | undefined;
  #stopped: (() => void) | undefined;
  #closing: Promise<void> | undefined;
  #abandoned = false;
  /** An acceptance of this turn has nobody shown yet where its way leads. */
  #opening = false;

  /** Throws MobilityError. */
  static async open(parts: MobileNodeParts): Promise<MobileNodeService> {
    const service = new MobileNodeService(parts);
    const { config, keys, ground } = parts;
    if (config.security.method === "ikev2" && keys.credentials !== undefined)
      service.#ikeKeys = await MobileNodeKeys.open(
        config,
        config.security,
        keys.credentials,
        service.#planSite,
        ground,
        {
          replan: () => {
            if (service.#path !== undefined) service.#plan(service.#path);
          },
          onFailure: (failure) => service.#loop.push({ kind: "security", ready: false, failure }),
        },
      );
    return service;
  }

  private constructor(parts: MobileNodeParts) {
    const { config, keys, ground, home, network, movement, onUnanswered } = parts;
    const { rank, name } = parts.place ?? { rank: 0, name: MobileNodeService.serviceName };
    this.name = name;
    const { homeAddress } = config.mobileNode;
    const ipv4HomeAddress = ownAddress(config.mobileNode.ipv4HomeAddress);
    this.#config = config;
    this.#homeAddress = homeAddress;
    this.#keys = keys.keys.get(homeAddress);
    if (this.#keys === undefined && keys.credentials === undefined)
      throw new InvariantError(`no keys for ${homeAddress}`);
    this.#ground = ground;
    this.#home = home;
    this.#network = network;
    this.#movement = movement.movement;
    this.#closeMovement = () => movement.close();
    this.#onUnanswered = onUnanswered;
    this.#onSwitch = parts.onSwitch;
    this.#setTimer = parts.setTimer ?? setTimer;
    this.addresses = [homeAddress, ...(ipv4HomeAddress === undefined ? [] : [ipv4HomeAddress])];
    this.#group = `binding ${homeAddress}`;
    this.#prefixes = new NodePrefixes(config, ground, () => this.#path);
    if (config.mobileNode.reachability === "on-demand")
      this.#activity = new Activity(() => this.#loop.push({ kind: "refresh", forgets: false }));
    const site = { ...mobileNodeSite(config), validFor: () => this.#prefixes.validFor() };
    this.#ownSite = mobileNodePlanSite(config, egressDevices(config.mobileNode), rank);
    this.#planSite = this.#ownSite;
    const { routeOptimisation } = config.mobileNode;
    if (routeOptimisation !== undefined && optimisesRoutes(config)) {
      this.#correspondents = new NodeCorrespondents(
        {
          ...{ config, ground, ports: parts.correspondentPorts ?? correspondentPorts(ground.log) },
          planSite: () => this.#planSite,
          path: () => this.#path,
        },
        routeOptimisation,
      );
      this.#ownCorrespondent = OwnCorrespondent.of(config, ground, this.#correspondents.pairs);
    }
    this.#siteObjects = planMobileNodeSite(this.#planSite, this.#keys);
    this.#siteKeys = new Set(this.#siteObjects.map(objectKey));
    this.#networks = new LocalNetworksKeeper({
      site,
      planSite: this.#planSite,
      view: network.view,
      reconciler: ground.groups,
      later: (wait, run) => this.#later(wait, run),
    });
    this.#readiness = new ReadinessReport(homeAddress, {
      note: (detail) => ground.note({ event: "readiness.changed", homeAddress, detail }),
      // There is one line, and it is the first home address's.
      tellSupervisor: (text) => (rank === 0 ? this.#status.tell(text) : undefined),
    });
    this.#filtered = new FilteredAnswers({
      homeAgent: config.mobileNode.homeAgent.ipv4 ?? "",
      tunDevice: TUN_DEVICE,
      counts: async () => {
        const { firewall, read } = await ground.messageCounts();
        return { arrived: firewall["signalling-arrived"] ?? 0, steered: firewall["signalling"] ?? 0, read };
      },
      tell: (reason) => ground.note({ event: "acknowledgement.filtered", homeAddress, detail: { reason } }),
    });
    this.#state = initialMobileNode(site);
    this.#loop = new MachineLoop<MobileNodeInput, MobileNodeEffect>(
      { step: (input, now) => this.#step(input, now), nextDeadline: () => nextDeadline(this.#state) },
      { kind: "timer" },
      {
        perform: (effect) => this.#perform(effect),
        flush: () => ground.flush(),
        turnEnded: () => this.#turnEnded(),
      },
    );
    this.views = this.#viewsOf();
  }

  prepare(): ReadonlyMap<string, readonly KernelObject[]> {
    this.#prefixes.restore();
    for (const [key, { record, ageSeconds }] of this.#ground.records.entries()) {
      if (key !== this.#homeAddress) continue;
      for (const effect of this.#step({ kind: "restore", record, ageSeconds })) this.#perform(effect);
    }
    // The first view decides on the first data path; both are wanted together with the site, so that a restart adopts what is there.
    for (const effect of this.#step({ kind: "network", view: this.#movement.view })) this.#perform(effect);
    this.#prepared = true;
    const groups = new Map([[SITE_GROUP, this.#siteObjects]]);
    if (this.#ikeKeys !== undefined) groups.set(NODE_SECURITY_GROUP, this.#ikeKeys.plan());
    const asCorrespondent = this.#ownCorrespondent?.prepare();
    const direct = this.#correspondents?.prepare(whereaboutsOf(this.#state, this.#correspondents.said));
    return new Map([...groups, ...(asCorrespondent ?? []), ...(direct ?? [])]);
  }

  listen(): void {
    const { homeAgent, ipv4Signalling } = this.#config.mobileNode;
    const homeAgentSendsShort = ipv4Signalling === "soliman2004";
    this.#ownCorrespondent?.listen();
    const roModeType = this.#correspondents?.modeOptionType;
    this.#ground.listen(
      {
        self: this.#homeAddress,
        isProtected: (source) => source === homeAgent.ipv6,
        tunDevice: TUN_DEVICE,
        tunMark: TUN_MARK,
        directMark: DIRECT_MARK,
        sendsShortOptions: () => homeAgentSendsShort,
        speaksInClear: (source) => this.#correspondents?.speaksInClear(source) === true,
        ...(roModeType !== undefined && { roModeType }),
      },
      {
        onMessage: (message, arrival, octets) => {
          if (this.#ownCorrespondent?.hears(message, arrival, octets) === true) return;
          if (this.#correspondents?.hears(message, arrival, octets) === true) return;
          this.#loop.push({ kind: "message", arrival, message });
        },
        awaits: (message, arrival) => this.#correspondents?.awaits(message, arrival) === true,
        onPrefixMessage: (message, arrival) => {
          if (message.type === "mobile-prefix-advertisement") this.#prefixes.hear(message, arrival);
          else this.#ground.drop("unexpected-type", `${message.type} from ${arrival.source}`);
        },
        onDrop: (reason, detail) => this.#ground.drop(reason, detail),
        onOptionRefused: (packet) => {
          if (this.#ownCorrespondent?.optionRefused(packet) !== true)
            this.#loop.push({ kind: "option-refused", ...packet });
        },
      },
    );
    // What is configured on a link decides what is local, whatever network the link is in.
    this.#network.onView((view) => {
      this.#networks.see(view);
      this.#ground.groups.commit();
    });
    this.#movement.onView((view) => this.#loop.push({ kind: "network", view }));
  }

  begin(): void {
    this.#loop.push({ kind: "network", view: this.#movement.view });
    if (this.#ikeKeys?.complete === true) this.#loop.push({ kind: "security", ready: true });
    this.#ikeKeys?.management.start();
    this.#correspondents?.begin();
    this.#ownCorrespondent?.begin();
  }

  onGroupResult(result: GroupResult): void {
    const { group, revision, failure } = result;
    const { log } = this.#ground;
    if (this.#correspondents?.onGroupResult(result) === true) return;
    if (this.#ownCorrespondent?.onGroupResult(result) === true) return;
    if (group === NODE_SECURITY_GROUP && this.#ikeKeys !== undefined) {
      if (failure !== undefined) log.error({ event: "object.failed", reason: failure.message });
      this.#loop.push({ kind: "security", ready: failure === undefined && this.#ikeKeys.complete });
    }
    if (group === SITE_GROUP && failure !== undefined && this.#isSiteRefused) {
      log.error({ event: "object.failed", reason: failure.message });
      this.#later(PATH_RETRY_FIRST, () => {
        if (!this.#isSiteRefused) return;
        this.#planShared();
        this.#ground.groups.commit();
      });
    }
    if (group === NETWORKS_GROUP) {
      if (failure !== undefined) log.warn({ event: "object.failed", reason: failure.message });
      this.#networks.answered(revision, failure !== undefined);
    }
    if (group !== this.#group) return;
    const homeAddress = this.#homeAddress;
    if (failure !== undefined) log.error({ event: "object.failed", hoa: homeAddress, reason: failure.message });
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

  objectsOf(homeAddress: Ipv6Address): readonly KernelObject[] {
    return this.#groupsOf(homeAddress).flatMap(({ objects }) => objects);
  }

  ownerOf(object: KernelObject): ObjectOwner | undefined {
    if (this.#siteKeys.has(objectKey(object))) return { kind: "site" };
    return mobileNodeOwner(object, this.#homeAddress);
  }

  command(request: CommandRequest): Promise<CommandDocument> | undefined {
    if (request.command === "forget-correspondent")
      return this.#correspondents?.forget(request.correspondent) ?? refused("routes are not optimised here");
    return nodeCommand(request, this.#state, (input) => this.#loop.push(input));
  }

  /** Who waits for a farewell waits no more. */
  abandon(): void {
    this.#abandoned = true;
    this.#closing ??= Promise.resolve();
    this.#rest();
    this.#stopped?.();
    this.#ikeKeys?.management.close();
    this.#closeMovement();
    this.#network.close();
    this.#home.close();
  }

  /** Once, whoever asks: the platform may end while the node says goodbye to a home agent. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    if (this.#correspondents !== undefined) await this.#correspondents.stop();
    if (this.#ownCorrespondent !== undefined) await this.#ownCorrespondent.stop();
    if (this.#abandoned) return;
    await new Promise<void>((resolve) => {
      this.#stopped = resolve;
      this.#loop.push({ kind: "stop" });
    });
    if (!this.#abandoned) await this.#leave();
  }

  /** De-registers where there is no other home agent to go to. */
  withdraw(): void {
    this.#loop.push({ kind: "withdraw" });
  }

  /** Ends it without a word to its home agent, which is about to be another one; the kernel keeps what it has. */
  leave(): Promise<void> {
    this.#closing ??= this.#leave();
    return this.#closing;
  }

  async #leave(): Promise<void> {
    this.#rest();
    await this.#ikeKeys?.close();
    this.#closeMovement();
    this.#network.close();
    this.#home.close();
  }

  #step(input: MobileNodeInput, now = monotonicNow()): readonly MobileNodeEffect[] {
    const next = step(this.#state, input, now);
    const former = this.#state.site;
    this.#state = next.state;
    if (next.state.site !== former) this.#adopt(next.state.site);
    return next.effects;
  }

  /** The last one that was asked for, by whomever: the revision is the platform's, or who changes home agents counts, until we ask. */
  get #isSiteRefused(): boolean {
    return this.#ground.groups.stateOf(SITE_GROUP) === "failed";
  }

  /** Unless the node has ended by then: the groups are another one's. */
  #later(wait: Seconds, run: () => void): void {
    const cancel = this.#setTimer(wait * 1000, () => {
      this.#cancels.delete(cancel);
      run();
    });
    this.#cancels.add(cancel);
  }

  /** Nothing is begun any more. */
  #rest(): void {
    this.#loop.close();
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
    this.#prefixes.close();
    this.#activity?.close();
    this.#correspondents?.close();
    this.#ownCorrespondent?.close();
    this.#status.close();
  }

  #planShared(): void {
    this.#siteRevision += 1;
    this.#ground.groups.setGroup(SITE_GROUP, this.#siteObjects, this.#siteRevision);
  }

  /** Other addresses and networks are lent to the node now: what all of its paths share is made of them. */
  #adopt({ ipv4HomeAddress, prefixes = [] }: MobileNodeState["site"]): void {
    this.#planSite = { ...this.#ownSite, ipv4HomeAddress, prefixes };
    this.#siteObjects = planMobileNodeSite(this.#planSite, this.#keys);
    this.#siteKeys = new Set(this.#siteObjects.map(objectKey));
    this.addresses = [this.#homeAddress, ...(ipv4HomeAddress === undefined ? [] : [ipv4HomeAddress])];
    this.#networks.adopt(this.#planSite);
    if (!this.#prepared) return;
    this.#planShared();
    if (this.#path !== undefined) this.#plan(this.#path);
  }

  #perform(effect: MobileNodeEffect): void {
    switch (effect.kind) {
      case "send":
        if (effect.departure.type === "udp") void this.#filtered.updateSent();
        return this.#ground.send(effect);
      case "notify":
        this.#opening ||= effect.event.event === "registration.completed";
        return this.#ground.notify(effect);
      case "drop":
        return this.#ground.drop(effect.reason, effect.detail);
      case "journal":
        return this.#ground.records.append(effect.key, effect.record);
      case "announce":
        return effect.device === undefined
          ? undefined
          : this.#home.link.announce(effect.device, effect.addresses, effect.router);
      case "data-path":
        this.#path = effect.path;
        if (effect.path.mode === "home") this.#ikeKeys?.rest();
        this.#networks.follow(effect.path);
        this.#plan(effect.path);
        return this.#correspondents?.replan();
      case "secure":
        return this.#ikeKeys?.secure(effect.careOf);
      case "key-management":
        return this.#ikeKeys?.accepted(effect.careOf, effect.moved);
      case "prefix-discovery":
        return this.#prefixes.necessary();
      case "answered":
        return this.#movement.give(effect);
      case "unanswered":
        this.#onUnanswered?.();
        return this.#movement.give(effect);
      case "switch":
        return this.#onSwitch === undefined ? this.withdraw() : this.#onSwitch(effect.homeAgents);
      case "stopped":
        return this.#stopped?.();
      default:
        return exhaustive(effect);
    }
  }

  #turnEnded(): void {
    const { groups } = this.#ground;
    groups.commit();
    this.#readiness.look(readinessOf(this.#state));
    this.#prefixes.see(this.#state.registration !== undefined);
    this.#activity?.follow(this.#state.registration);
    this.#correspondents?.see(whereaboutsOf(this.#state, this.#correspondents.said));
    if (!this.#opening) return;
    this.#opening = false;
    void groups.settled().then(() => this.#openWay());
  }

  /** A stateful firewall lets protocols 4 and 41 in when it has seen them go out; UDP and ESP it has seen by the update. */
  #openWay(): void {
    const { registration, site } = this.#state;
    const { homeAgent, profile } = this.#planSite;
    if (registration === undefined || registration.format === "udp" || profile.protection === "esp") return;
    sendNothing(site.homeAddress, homeAgent.ipv6);
    if (registration.ipv4HomeAddress !== undefined && homeAgent.ipv4 !== undefined)
      sendNothing(registration.ipv4HomeAddress, homeAgent.ipv4);
  }

  #plan(path: MobileNodeDataPath): void {
    this.#ground.groups.setGroup(this.#group, this.#pathObjects(path), path.revision);
  }

  #pathObjects(path = this.#path): readonly KernelObject[] {
    if (path === undefined) return [];
    return [
      ...planMobileNode(path, this.#planSite, this.#ikeKeys?.associations),
      ...(this.#ikeKeys?.ikeWay(path) ?? []),
    ];
  }

  #groupsOf(homeAddress: Ipv6Address): readonly PlannedGroup[] {
    if (homeAddress !== this.#homeAddress) return [];
    const { groups } = this.#ground;
    const all = new Map([
      [this.#group, this.#pathObjects()],
      [NODE_SECURITY_GROUP, this.#ikeKeys?.plan() ?? []],
      [NETWORKS_GROUP, this.#networks.objects],
      ...(this.#ownCorrespondent?.groups() ?? []),
      ...(this.#correspondents?.groups() ?? []),
    ]);
    return [...all].map(([group, objects]) => ({ objects, state: groups.stateOf(group) }));
  }

  #viewsOf(): ServiceViews {
    const homeAddress = this.#homeAddress;
    const isOurs = (address: IpAddress): boolean => this.addresses.includes(address);
    return {
      nodes: () => [homeAddress],
      nodeAt: (address) => (isOurs(address) ? homeAddress : undefined),
      bindings: () => [bindingDocument(this.#state)],
      correspondents: () => [...(this.#correspondents?.view() ?? []), ...(this.#ownCorrespondent?.view() ?? [])],
      readiness: () => readinessOf(this.#state).state,
      homePrefixes: () => this.#prefixes.view(),
      binding: (address) => (isOurs(address) ? bindingDocument(this.#state) : undefined),
      plan: (node) => this.#groupsOf(node),
      security: (nodes) => {
        // What protects the node's updates stands in the site.
        const objects = (node: Ipv6Address) => [...this.objectsOf(node), ...this.#siteObjects];
        return this.#ikeKeys?.management.view(nodes, objects) ?? staticSecurity(nodes, objects, [homeAddress]);
      },
    };
  }
}

/** The mobile node's registration in the shape of a binding: the endpoint is its own end. */
function bindingDocument({ site, registration, path, phase }: MobileNodeState): BindingDocument {
  const endpoint =
    registration === undefined ? null : { format: registration.format, address: registration.careOf.address };
  return {
    protocol: "mip6",
    homeAddress: site.homeAddress,
    ipv4HomeAddress: registration?.ipv4HomeAddress ?? null,
    mobileRouter: registration !== undefined && (site.prefixes ?? []).length > 0,
    prefixes: (registration?.prefixes ?? []).map(formatPrefix),
    state: phase,
    endpoint: endpoint === null ? null : localEndpoint(endpoint),
    acceptedFrom: (path?.path.ingress ?? []).map(localEndpoint),
    sequence: registration?.sequence ?? null,
    lifetimeSeconds: registration?.lifetime ?? null,
    remainingSeconds: registration === undefined ? null : Math.max(0, elapsed(monotonicNow(), registration.expiresAt)),
    profile: "default",
    revision: path?.path.revision ?? 0,
    mip4: null,
  };
}

function localEndpoint({
  format,
  address,
}: {
  readonly format: "ipv6" | "ipv4" | "udp";
  readonly address: string;
}): NonNullable<BindingDocument["endpoint"]> {
  return format === "udp" ? { format, address, port: 4191 } : { format, address };
}
