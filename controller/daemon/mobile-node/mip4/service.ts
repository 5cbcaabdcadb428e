/**
 * The mobile node of Mobile IPv4 at work: its machine, its plan, what is believed of the network and the agents that are heard, tied
 * together. All decisions are the machine's (protocol/mip4/mobile-node/node.ts).
 */
import { randomInt } from "node:crypto";
import type { Mip4NodeConfig } from "../../../../schemas/config/mip4-node.js";
import type { CommandDocument, CommandRequest } from "../../../../schemas/control.js";
import { MobilityError } from "../../../base/errors.js";
import { IPV4_ANY, type IpAddress, type Ipv4Address, type Ipv6Address, ipv4 } from "../../../base/ip.js";
import { exhaustive } from "../../../base/result.js";
import { type Seconds, seconds } from "../../../base/time.js";
import type { SetTimer } from "../../../netlink/transport.js";
import type { Opening } from "../../../plan/mobile-node/mip4/openings.js";
import { type KernelObject, objectKey } from "../../../plan/objects/objects.js";
import type { ObjectOwner } from "../../../plan/owner.js";
import type { NodePath } from "../../../protocol/mip4/mobile-node/inputs.js";
import { MobileNode, type NodeEffect, type NodeInput } from "../../../protocol/mip4/mobile-node/node.js";
import { readinessOf } from "../../../protocol/mip4/mobile-node/readiness.js";
import { nodeNameOf } from "../../../protocol/mip4/node-name.js";
import { delegatedPrefixes } from "../../../protocol/movement/delegation.js";
import type { NetworkView } from "../../../protocol/movement/network-view.js";
import type { GroupResult } from "../../../reconcile/reconciler.js";
import { ethernetGroup } from "../../../wire/ip/ipv4.js";
import type { HomeLink } from "../../home-link/link.js";
import { setTimer } from "../../kernel.js";
import { MachineLoop, monotonicNow } from "../../machine-loop.js";
import type { AgentDiscoverySocket, HeardDiscovery } from "../../mip4/agent-discovery.js";
import type { RegistrationDatagram, RegistrationSocket } from "../../mip4/registration-socket.js";
import { timeOfDay } from "../../mip4/time-of-day.js";
import { type PlannedGroup, type Service, type ServiceGround, type ServiceViews, SITE_GROUP } from "../../service.js";
import { StatusLine } from "../../supervisor.js";
import { LocalNetworksKeeper, NETWORKS_GROUP } from "../local-networks.js";
import { ReadinessReport } from "../readiness-report.js";
import type { MovementSource, NetworkSource } from "../sources.js";
import type { AgentDatagram, AgentLink } from "./agent-link.js";
import { bindingDocument } from "./documents.js";
import type { Echo } from "./echo.js";
import { Keepalive } from "./keepalive.js";
import { NodeMessages } from "./messages.js";
import { homeAgentOf, mobileNodeSite, type NodeKeyRing, nodeTitle, whereaboutsSite } from "./site.js";

/** What the kernel is to hold: plan/mobile-node/mip4, or one that is played. */
export interface NodePlan {
  /** What it always holds, and of that what is only known since an acceptance. */
  site(path: NodePath, network: NetworkView): readonly KernelObject[];
  path(path: NodePath, network: NetworkView): readonly KernelObject[];
  /** What shows a stateful firewall the way. */
  openings(path: NodePath): readonly Opening[];
}

export interface Mip4NodeParts {
  readonly config: Mip4NodeConfig;
  readonly ring: NodeKeyRing;
  readonly ground: ServiceGround;
  readonly plan: NodePlan;
  /** As it is configured. */
  readonly network: NetworkSource;
  /** What is believed of it. */
  readonly movement: MovementSource;
  readonly discovery: AgentDiscoverySocket;
  readonly socket: RegistrationSocket;
  readonly openAgentLink: (
    onDatagram: (datagram: AgentDatagram) => void,
    onMalformed: (detail: string) => void,
  ) => AgentLink;
  /** Of whatever link is home. */
  readonly home: Pick<HomeLink, "announce">;
  readonly open: (opening: Opening) => void;
  readonly openEcho: (onReply: (reply: { source: Ipv4Address; sequence: number }) => void) => Echo;
  /** Packets that have gone into the tunnels so far. */
  readonly packets: () => number;
  /** Closes what was opened for it. */
  readonly close: () => void;
  /** Absent: this machine's. */
  readonly setTimer?: SetTimer | undefined;
}

/** Where mobility agents hear solicitations (RFC 5944 §2.2). */
const MOBILITY_AGENTS = ipv4("224.0.0.11");
const RANDOM_RANGE = 2 ** 32;
const PATH_RETRY_FIRST = seconds(1);
const PATH_RETRY_MAX = seconds(60);

export class Mip4NodeService implements Service {
  static readonly serviceName = "mip4-node";
  readonly name = Mip4NodeService.serviceName;
  readonly views: ServiceViews;
  readonly #parts: Mip4NodeParts;
  readonly #ground: ServiceGround;
  readonly #node: MobileNode;
  readonly #title: string;
  readonly #group: string;
  readonly #messages: NodeMessages;
  readonly #agents: AgentLink;
  readonly #echo: Echo;
  readonly #keepalive: Keepalive;
  readonly #networks: LocalNetworksKeeper;
  readonly #status = new StatusLine(setTimer);
  readonly #readiness: ReadinessReport;
  readonly #setTimer: SetTimer;
  readonly #cancels = new Set<() => void>();
  readonly #loop: MachineLoop<NodeInput, NodeEffect>;
  #siteObjects: readonly KernelObject[];
  #siteKeys: ReadonlySet<string>;
  #siteRevision = 1;
  /** The site and the path as they were last asked for. */
  #siteText = "";
  #pathText = "";
  #path: NodePath = { mode: "detached" };
  #pathObjects: readonly KernelObject[] = [];
  /** The platform has asked for what nothing works without. */
  #prepared = false;
  #revision = 0;
  #failures = 0;
  /** The way that the kernel has last had. */
  #realisedWay = "";
  /** Nobody else serves a home address that is lent. */
  #letGo: (() => void) | undefined;
  #held: Ipv4Address | undefined;
  /** A path was planned in this turn: what is sent waits until the kernel has it, for packets may come there as soon as it is known. */
  #planned = false;
  /** An acceptance of this turn has nobody shown yet where its way leads. */
  #opening = false;
  #stopped: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(parts: Mip4NodeParts) {
    const { config, ring, ground, plan, network } = parts;
    this.#parts = parts;
    this.#ground = ground;
    this.#setTimer = parts.setTimer ?? setTimer;
    this.#title = nodeTitle(config);
    this.#group = `binding ${this.#title}`;
    this.#held = config.mobileNode.homeAddress;
    this.#node = new MobileNode(mobileNodeSite(config, ring), whereaboutsSite(config));
    this.#agents = parts.openAgentLink(
      (datagram) => this.#messages.receive(datagram, true),
      (detail) => this.#ground.drop("malformed", detail),
    );
    this.#messages = new NodeMessages(ring, {
      names: ground.names,
      socket: parts.socket,
      agents: this.#agents,
      onReply: (reply) => this.#loop.push(reply),
      count: (direction, type) => ground.count(direction, type),
      drop: (reason, detail) => ground.drop(reason, detail),
      onUnsent: (reason) => ground.log.debug({ event: "message.unsent", reason }),
    });
    this.#echo = parts.openEcho(({ source, sequence }) => this.#keepalive.answered(source, sequence));
    this.#keepalive = new Keepalive({
      packets: parts.packets,
      ask: (source, destination, sequence) => this.#echo.ask(source, destination, sequence),
      setTimer: this.#setTimer,
      now: monotonicNow,
      onSilence: () => this.#loop.push({ kind: "refresh" }),
    });
    this.#siteObjects = plan.site(this.#path, network.view);
    this.#siteText = JSON.stringify(this.#siteObjects);
    this.#siteKeys = new Set(this.#siteObjects.map(objectKey));
    const { homeSubnet, interfaces, localNetworks, exclude } = config.mobileNode;
    this.#networks = new LocalNetworksKeeper({
      site: {
        homePrefixes: homeSubnet === undefined ? [] : [homeSubnet],
        homeFamily: 4,
        homeAgent: { ipv4: homeAgentOf(config) },
        ipv4HomeAddress: config.mobileNode.homeAddress,
        ...{ interfaces, localNetworks, exclude },
      },
      planSite: { ipv4HomeAddress: config.mobileNode.homeAddress },
      view: network.view,
      reconciler: ground.groups,
      later: (wait, run) => this.#later(wait, run),
    });
    this.#readiness = new ReadinessReport(this.#title, {
      note: (detail) => this.#note("readiness.changed", detail),
      tellSupervisor: (text) => this.#status.tell(text),
    });
    this.#loop = new MachineLoop<NodeInput, NodeEffect>(
      { step: (input) => this.#step(input), nextDeadline: () => this.#node.nextDeadline },
      { kind: "timer" },
      {
        perform: (effect) => this.#perform(effect),
        flush: () => this.#flush(),
        turnEnded: () => this.#turnEnded(),
      },
    );
    this.views = this.#viewsOf();
  }

  get addresses(): readonly IpAddress[] {
    const { homeAddress } = this.#node.registration;
    return homeAddress === undefined ? [] : [homeAddress];
  }

  prepare(): ReadonlyMap<string, readonly KernelObject[]> {
    for (const [key, { record, ageSeconds }] of this.#ground.records.entries()) {
      if (key !== this.#title) continue;
      for (const effect of this.#step({ kind: "restore", record, ageSeconds })) this.#perform(effect);
    }
    this.#replan();
    this.#prepared = true;
    return new Map([[SITE_GROUP, this.#siteObjects]]);
  }

  listen(): void {
    const { discovery, socket, network, movement } = this.#parts;
    discovery.listen({
      onMessage: (heard) => this.#hear(heard),
      onMalformed: (detail) => this.#ground.drop("malformed", detail),
    });
    socket.listen((datagram: RegistrationDatagram) => this.#messages.receive(datagram, false));
    network.onView((view) => {
      this.#networks.see(view);
      this.#seeDelegated(view);
      this.#replan();
      this.#ground.groups.commit();
    });
    movement.onView((view) => this.#loop.push({ kind: "network", view }));
  }

  begin(): void {
    this.#networks.see(this.#parts.network.view);
    this.#seeDelegated(this.#parts.network.view);
    this.#loop.push({ kind: "network", view: this.#parts.movement.view });
  }

  onGroupResult({ group, revision, failure }: GroupResult): void {
    const { log } = this.#ground;
    if (failure !== undefined) log.error({ event: "object.failed", reason: failure.message });
    if (group === NETWORKS_GROUP) return this.#networks.answered(revision, failure !== undefined);
    if (group === SITE_GROUP && failure !== undefined && revision === this.#siteRevision)
      return this.#later(PATH_RETRY_FIRST, () => {
        this.#planSite();
        this.#ground.groups.commit();
      });
    if (group !== this.#group || revision !== this.#revision) return;
    this.#failures = failure === undefined ? 0 : this.#failures + 1;
    if (failure === undefined) this.#realisedWay = wayOf(this.#path);
    this.#look();
    if (failure === undefined) return;
    const wait = seconds(Math.min(PATH_RETRY_MAX, PATH_RETRY_FIRST * 2 ** Math.min(this.#failures - 1, 16)));
    this.#later(wait, () => {
      if (revision !== this.#revision) return;
      this.#planPath();
      this.#ground.groups.commit();
    });
  }

  onLoss(_object: KernelObject): void {
    // Nothing of this service is lost for good: what is taken out is made again.
  }

  objectsOf(node: Ipv6Address): readonly KernelObject[] {
    return this.#groupsOf(node).flatMap(({ objects }) => objects);
  }

  ownerOf(object: KernelObject): ObjectOwner | undefined {
    return this.#siteKeys.has(objectKey(object)) ? { kind: "site" } : { kind: "binding", homeAddress: this.#name };
  }

  command({ command, ...request }: CommandRequest): Promise<CommandDocument> | undefined {
    if (command !== "refresh") return undefined;
    const node = "node" in request ? request.node : undefined;
    if (node !== undefined && node !== this.#node.registration.homeAddress)
      return Promise.reject(new MobilityError("MIP_COMMAND", `${node} is not this node`));
    this.#loop.push({ kind: "refresh" });
    return Promise.resolve({ command, nodes: 1, outcome: "begun", status: null });
  }

  abandon(): void {
    this.#rest();
  }

  /** De-registers, and ends without an answer if none comes. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#stopped = resolve;
      this.#loop.push({ kind: "stop" });
    });
    await this.#ground.flush();
    this.#rest();
  }

  get #name(): Ipv6Address {
    return nodeNameOf(this.#node.registration.homeAddress ?? IPV4_ANY);
  }

  #step(input: NodeInput): readonly NodeEffect[] {
    return this.#node.step(input, { now: monotonicNow(), timeOfDay: timeOfDay(), random: randomInt(RANDOM_RANGE) });
  }

  /** DHCPv6 clients are many; what they leave in the kernel tells. */
  #seeDelegated(view: NetworkView): void {
    const { prefixDelegation, prefixes, interfaces } = this.#parts.config.mobileNode;
    if (!prefixDelegation) return;
    this.#loop.push({ kind: "delegated", prefixes: delegatedPrefixes(view, { prefixes, interfaces }) });
  }

  #hear({ interfaceIndex, source, message, linkLayerAddress }: HeardDiscovery): void {
    if (message.type !== "router-advertisement") return;
    const device = this.#ground.names.interfaceName(interfaceIndex);
    if (device === undefined) return;
    const text = [...linkLayerAddress].map((octet) => octet.toString(16).padStart(2, "0")).join(":");
    this.#ground.count("received", message.type);
    this.#loop.push({ kind: "advertisement", device, source, message, linkLayerAddress: text });
  }

  #perform(effect: NodeEffect): void {
    switch (effect.kind) {
      case "send":
        return this.#messages.send(effect.request, this.#node.registration.attachment);
      case "solicit":
        return this.#solicit(effect.device);
      case "notify":
        this.#opening ||= effect.event === "registration.completed";
        return this.#note(effect.event, effect.detail);
      case "drop":
        return this.#ground.drop(effect.reason, effect.detail);
      case "journal":
        return this.#ground.records.append(this.#title, effect.record);
      case "data-path":
        this.#path = effect.path;
        this.#networks.follow(usedDevices(effect.path));
        return this.#replan();
      case "announce":
        return this.#parts.home.announce(effect.device, [effect.address], false);
      case "answered":
        return this.#tellMovement(effect);
      case "unanswered":
        return this.#tellMovement(effect);
      case "stopped":
        return this.#stopped?.();
      default:
        return exhaustive(effect);
    }
  }

  /** Movement detection judges the routers of links by whether anything comes back through them. */
  #tellMovement({ kind, attachment }: Extract<NodeEffect, { readonly kind: "answered" | "unanswered" }>): void {
    if (attachment.kind !== "co-located") return;
    const { device, address } = attachment;
    this.#parts.movement.give(kind === "answered" ? { kind, device, address } : { kind, device, family: 4 });
  }

  #solicit(device: string): void {
    const { discovery, movement } = this.#parts;
    const link = this.#ground.names.identity(device);
    if (link === undefined) return;
    const own = movement.view.addresses.find(
      (one) => one.device === device && !one.ours && /^[\d.]+$/.test(one.address),
    );
    discovery.send({
      interfaceIndex: link.index,
      source: own === undefined ? IPV4_ANY : (own.address as Ipv4Address),
      destination: MOBILITY_AGENTS,
      linkLayerDestination: ethernetGroup(MOBILITY_AGENTS),
      message: { type: "router-solicitation" },
    });
    this.#ground.count("sent", "router-solicitation");
  }

  #note(event: string, detail: Readonly<Record<string, string | number | boolean>>): void {
    const { homeAddress } = this.#node.registration;
    this.#ground.note({ event, ...(homeAddress !== undefined && { homeAddress }), detail });
  }

  async #flush(): Promise<boolean> {
    const stored = this.#ground.flush();
    const planned = this.#planned;
    this.#planned = false;
    if (planned) await this.#ground.groups.settled();
    return (await stored) ?? true;
  }

  #turnEnded(): void {
    this.#ground.groups.commit();
    this.#holdHomeAddress();
    this.#look();
    const path = this.#path;
    this.#keepalive.follow(
      path.mode === "away" && path.keepaliveSeconds !== undefined
        ? { homeAddress: path.homeAddress, homeAgent: path.homeAgent, keepalive: seconds(path.keepaliveSeconds) }
        : undefined,
    );
    if (!this.#opening) return;
    this.#opening = false;
    void this.#ground.groups.settled().then(() => this.#openWay());
  }

  #openWay(): void {
    for (const opening of this.#parts.plan.openings(this.#path)) this.#parts.open(opening);
  }

  #look(): void {
    this.#readiness.look(this.#readinessNow());
  }

  #readinessNow(): ReturnType<typeof readinessOf> {
    return readinessOf(this.#node.registration, this.#realisedWay === wayOf(this.#path));
  }

  /** One that is lent was not known when the platform was opened. */
  #holdHomeAddress(): void {
    const { homeAddress } = this.#node.registration;
    if (homeAddress === this.#held) return;
    this.#letGo?.();
    this.#letGo = undefined;
    this.#held = homeAddress;
    this.#networks.adopt({ ipv4HomeAddress: homeAddress });
    this.#ground.groups.commit();
    if (homeAddress === undefined) return;
    try {
      this.#letGo = this.#ground.hold(homeAddress);
    } catch (error) {
      this.#ground.log.error({ event: "address.busy", reason: String(error) });
    }
  }

  /** The path, or the routers of the links that it goes over, have changed, or may have. */
  #replan(): void {
    const { plan, network } = this.#parts;
    const site = plan.site(this.#path, network.view);
    const text = JSON.stringify(site);
    if (text !== this.#siteText) {
      this.#siteText = text;
      this.#siteObjects = site;
      this.#siteKeys = new Set(site.map(objectKey));
      if (this.#prepared) this.#planSite();
    }
    const objects = plan.path(this.#path, network.view);
    const pathText = JSON.stringify([this.#path, objects]);
    if (pathText === this.#pathText) return;
    this.#pathText = pathText;
    this.#pathObjects = objects;
    this.#planPath();
  }

  #planSite(): void {
    this.#siteRevision += 1;
    this.#planned = true;
    this.#ground.groups.setGroup(SITE_GROUP, this.#siteObjects, this.#siteRevision);
  }

  #planPath(): void {
    this.#revision += 1;
    this.#planned = true;
    this.#ground.groups.setGroup(this.#group, this.#pathObjects, this.#revision);
  }

  #groupsOf(node: Ipv6Address): readonly PlannedGroup[] {
    if (node !== this.#name) return [];
    const { groups } = this.#ground;
    const all = new Map([
      [this.#group, this.#pathObjects],
      [NETWORKS_GROUP, this.#networks.objects],
    ]);
    return [...all].map(([group, objects]) => ({ objects, state: groups.stateOf(group) }));
  }

  #later(wait: Seconds, run: () => void): void {
    const cancel = this.#setTimer(wait * 1000, () => {
      this.#cancels.delete(cancel);
      run();
    });
    this.#cancels.add(cancel);
  }

  #rest(): void {
    this.#loop.close();
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
    this.#keepalive.close();
    this.#status.close();
    this.#agents.close();
    this.#echo.close();
    this.#letGo?.();
    this.#parts.close();
  }

  #viewsOf(): ServiceViews {
    const isOurs = (address: IpAddress): boolean => address === this.#node.registration.homeAddress;
    const document = () =>
      bindingDocument(this.#node.registration, {
        state: this.#readinessNow().state,
        revision: this.#revision,
        now: monotonicNow(),
      });
    return {
      nodes: () => [this.#name],
      nodeAt: (address) => (isOurs(address) || address === this.#name ? this.#name : undefined),
      bindings: () => [document()],
      readiness: () => this.#readinessNow().state,
      binding: (address) => (isOurs(address) ? document() : undefined),
      plan: (node) => this.#groupsOf(node),
      // What protects registrations is no security association of the kernel's.
      security: () => Promise.resolve({ method: "static-keys", ikeDaemon: null, nodes: [] }),
    };
  }
}

/** Where payload goes: former ends come and go beside it. */
const wayOf = (path: NodePath): string => JSON.stringify({ ...path, ingress: [] });

function usedDevices(path: NodePath): Parameters<LocalNetworksKeeper["follow"]>[0] {
  const { ingress = [] } = path;
  if (path.mode === "home") return { ingress, homeDevice: path.device };
  return path.mode === "away" ? { ingress, egress: path.egress } : { ingress };
}
