/**
 * The foreign agent as a service on the platform: its machine with the sockets of the visited links and of port 434, and its plan. Payload of
 * visitors never comes here.
 */
import { randomBytes } from "node:crypto";
import type { CommandDocument, CommandRequest, VisitorDocument } from "../../../schemas/control.js";
import { type IpAddress, type Ipv6Address, ipv6, isIpv4 } from "../../base/ip.js";
import { formatLinkAddress, linkAddressOctets } from "../../base/link-address.js";
import { planForeignAgentSite, planVisitor } from "../../plan/foreign-agent/plan.js";
import type { ForeignAgentPlanSite } from "../../plan/foreign-agent/site.js";
import { type KernelObject, objectKey } from "../../plan/objects/objects.js";
import type { ObjectOwner } from "../../plan/owner.js";
import type { ToLink } from "../../protocol/mip4/advertisements.js";
import type {
  ForeignAgentEffect,
  ForeignAgentInput,
  SendEffect,
  ToHomeAgent,
  ToVisitor,
} from "../../protocol/mip4/foreign-agent/inputs.js";
import {
  beginsAnew,
  ForeignAgentState,
  nextDeadline,
  step,
  visitorPaths,
  visitorViews,
} from "../../protocol/mip4/foreign-agent/machine.js";
import type { ForeignAgentSite } from "../../protocol/mip4/foreign-agent/site.js";
import type { GroupResult } from "../../reconcile/reconciler.js";
import type { RegistrationExtension } from "../../wire/mip4/extensions/registration.js";
import {
  type Authentication,
  type AuthenticationExtension,
  appendAuthenticated,
  authenticationsAt,
  encodeAuthenticated,
} from "../../wire/mip4/messages/authenticated-octets.js";
import { locateControlMessage } from "../../wire/mip4/messages/control-message.js";
import { MIP4_PORT } from "../../wire/mip4/registry.js";
import { MachineLoop, monotonicNow } from "../machine-loop.js";
import {
  type AgentDiscoverySocket,
  type HeardDiscovery,
  outgoingAdvertisement,
  solicitorOf,
} from "../mip4/agent-discovery.js";
import { type AuthenticationKey, authenticateWith, verdictOn } from "../mip4/authenticators.js";
import type { RegistrationDatagram, RegistrationSocket } from "../mip4/registration-socket.js";
import { type PlannedGroup, type Service, type ServiceGround, type ServiceViews, SITE_GROUP } from "../service.js";
import { ForeignAgentCommands } from "./commands.js";
import { type IcmpErrorSocket, readUnreachable, unreachableBy } from "./icmp-errors.js";
import type { ForeignAgentKeyRing } from "./sites.js";
import type { VisitedLinksSocket, VisitorDatagram } from "./visited-links.js";

export interface ForeignAgentSockets {
  readonly discovery: AgentDiscoverySocket;
  readonly links: VisitedLinksSocket;
  readonly registrations: RegistrationSocket;
  readonly errors: IcmpErrorSocket;
  close(): void;
}

export interface ForeignAgentParts {
  readonly site: ForeignAgentSite;
  readonly planSite: ForeignAgentPlanSite;
  readonly ring: ForeignAgentKeyRing;
  readonly ground: ServiceGround;
  readonly sockets: ForeignAgentSockets;
}

const VISITOR = "visitor ";
const ENTROPY_OCTETS = 20;
const TTL = 64;
const NOT_MADE = new Uint8Array(0);

/** A name in the form of an IPv6 address for who has a home address of IPv4 alone; nobody is shown it. */
const nameOf = (homeAddress: string): Ipv6Address => ipv6(`fd4d:4950:34::${homeAddress}`);

export class ForeignAgentService implements Service {
  static readonly serviceName = "foreign-agent";
  readonly name = ForeignAgentService.serviceName;
  readonly addresses: readonly IpAddress[];
  readonly views: ServiceViews;
  readonly #parts: ForeignAgentParts;
  readonly #ground: ServiceGround;
  readonly #state: ForeignAgentState;
  readonly #loop: MachineLoop<ForeignAgentInput, ForeignAgentEffect>;
  readonly #commands: ForeignAgentCommands;
  #siteObjects: readonly KernelObject[] = [];
  #siteKeys: ReadonlySet<string> = new Set();

  constructor(parts: ForeignAgentParts) {
    const { site, ground } = parts;
    this.#parts = parts;
    this.#ground = ground;
    this.#state = new ForeignAgentState(site);
    this.addresses = [site.careOfAddress, ...site.links.map(({ address }) => address)];
    this.#loop = new MachineLoop<ForeignAgentInput, ForeignAgentEffect>(
      { step: (input) => this.#step(input), nextDeadline: () => nextDeadline(this.#state) },
      { kind: "timer" },
      {
        perform: (effect) => this.#perform(effect),
        flush: () => ground.flush(),
        turnEnded: () => ground.groups.commit(),
      },
    );
    this.#commands = new ForeignAgentCommands({
      paths: () => visitorPaths(this.#state),
      remove: (visitor) => this.#loop.push({ kind: "remove", visitor, reason: "by an operator" }),
    });
    this.views = this.#viewsOf();
  }

  prepare(): ReadonlyMap<string, readonly KernelObject[]> {
    this.#siteObjects = planForeignAgentSite(this.#parts.planSite);
    this.#siteKeys = new Set(this.#siteObjects.map(objectKey));
    // Visitors of before a restart are wanted together with the site, so that their objects are adopted and not made anew.
    const records = [...this.#ground.records.entries()].map(([, stored]) => stored);
    for (const effect of this.#step({ kind: "restore", records })) this.#perform(effect);
    beginsAnew(this.#state);
    return new Map([[SITE_GROUP, this.#siteObjects]]);
  }

  listen(): void {
    const { links, registrations, discovery, errors } = this.#parts.sockets;
    const onMalformed = (detail: string): void => this.#ground.drop("malformed", detail);
    links.listen({
      onDatagram: (datagram) => this.#fromVisitor(datagram),
      onMalformed: ({ interfaceIndex, detail }) => {
        if (this.#visitedLink(interfaceIndex) !== undefined) onMalformed(detail);
      },
    });
    registrations.listen((datagram) => this.#fromHomeAgent(datagram));
    discovery.listen({ onMessage: (heard) => this.#solicited(heard), onMalformed });
    errors.listen((octets) => {
      const input = readUnreachable(octets, this.#state.site.careOfAddress);
      if (input !== undefined) this.#loop.push(input);
    });
  }

  begin(): void {
    this.#loop.push({ kind: "begin" });
    this.#ground.log.info({ event: "visitors.restored", count: this.#state.list.size });
  }

  onGroupResult(result: GroupResult): void {
    const { group, revision, failure } = result;
    if (failure !== undefined) this.#ground.log.error({ event: "object.failed", group, reason: failure.message });
    if (!group.startsWith(VISITOR)) return;
    const visitor = group.slice(VISITOR.length);
    this.#loop.push({
      kind: "programmed",
      visitor,
      revision,
      ...(failure !== undefined && { failure: failure.message }),
    });
    this.#commands.programmed(visitor, result);
  }

  command(request: CommandRequest): Promise<CommandDocument> | undefined {
    return this.#commands.run(request);
  }

  onLoss(): void {
    // Nothing of a visitor's has a history: what is gone is made again.
  }

  objectsOf(): readonly KernelObject[] {
    return [];
  }

  ownerOf(object: KernelObject): ObjectOwner | undefined {
    return this.#siteKeys.has(objectKey(object)) ? { kind: "site" } : undefined;
  }

  abandon(): void {
    this.#loop.close();
    this.#parts.sockets.close();
  }

  /** A farewell, so that nodes look for another agent at once. */
  async close(): Promise<void> {
    for (const effect of this.#step({ kind: "stop" })) this.#perform(effect);
    this.abandon();
  }

  #step(input: ForeignAgentInput): readonly ForeignAgentEffect[] {
    return step(this.#state, input, { now: monotonicNow(), entropy: randomBytes(ENTROPY_OCTETS) });
  }

  #fromVisitor({ data, interfaceIndex, linkLayerAddress, ttl, ...datagram }: VisitorDatagram): void {
    const device = this.#visitedLink(interfaceIndex);
    // What home agents send comes by the other socket, whatever link they are on.
    if (device === undefined || this.#isForHomeAgents(datagram)) return;
    const linkAddress = formatLinkAddress(linkLayerAddress);
    const received = this.#read(data, datagram.source, (extension, located) =>
      this.#parts.ring.mobileForeign(this.#nodeOf(located), extension.spi),
    );
    if (received === undefined || received.located.message.type === "registration-reply") return;
    if (linkAddress === undefined) {
      this.#ground.drop("wrong-source", `no link-layer address of six octets on ${device}`);
      return;
    }
    this.#ground.count("received", received.located.message.type);
    this.#loop.push({ kind: "request", ...received, device, linkAddress, timeToLive: ttl, ...datagram });
  }

  /** Its device; undefined: nobody is served there. */
  #visitedLink(interfaceIndex: number): string | undefined {
    const device = this.#ground.names.interfaceName(interfaceIndex);
    return this.#state.site.links.find((link) => link.device === device)?.device;
  }

  /** A visitor with an address of its own sends to its home agent itself. */
  #isForHomeAgents({ destination }: Pick<VisitorDatagram, "destination">): boolean {
    const isMany = Number.parseInt(destination, 10) >= 224;
    return (
      !isMany && !this.addresses.includes(destination) && !destination.endsWith(".255") && !destination.endsWith(".0")
    );
  }

  #fromHomeAgent({ data, source, interfaceIndex }: RegistrationDatagram): void {
    const received = this.#read(data, source, (extension) => this.#parts.ring.foreignHome(source, extension.spi));
    if (received === undefined) return;
    // Requests have been taken where they came in, by their link-layer address.
    if (received.located.message.type !== "registration-reply") {
      if (this.#visitedLink(interfaceIndex) === undefined)
        this.#ground.drop("unexpected-type", `${received.located.message.type} from ${source}`);
      return;
    }
    this.#ground.count("received", received.located.message.type);
    this.#loop.push({ kind: "reply", ...received, source });
  }

  #read(
    octets: Uint8Array,
    source: string,
    keyOf: (
      extension: AuthenticationExtension,
      located: ReturnType<typeof locateControlMessage>,
    ) => AuthenticationKey | undefined,
  ) {
    try {
      const located = locateControlMessage(octets);
      const verdicts = authenticationsAt(located.spans, octets).map((one: Authentication) =>
        verdictOn(one, (extension) => keyOf(extension, located)),
      );
      return { located, octets, verdicts };
    } catch (error) {
      this.#ground.drop("malformed", `from ${source}: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  }

  /** As associations name who sends a request: by its home address, else by its NAI. */
  #nodeOf({ message }: ReturnType<typeof locateControlMessage>): string | undefined {
    if (message.type !== "registration-request") return undefined;
    const { mobileNodes } = this.#parts.ring;
    const named = message.extensions.find((one) => one.kind === "network-access-identifier")?.identifier;
    const names = [message.homeAddress, named === undefined ? "" : Buffer.from(named).toString("hex")];
    return mobileNodes.find(({ node }) => names.includes(node))?.node;
  }

  #solicited(heard: HeardDiscovery): void {
    const device = this.#visitedLink(heard.interfaceIndex);
    const solicitor = solicitorOf(heard);
    if (solicitor === undefined || device === undefined) return;
    this.#ground.count("received", heard.message.type);
    this.#loop.push({ kind: "solicitation", device, ...solicitor });
  }

  #perform(effect: ForeignAgentEffect): void {
    const { groups, records } = this.#ground;
    switch (effect.kind) {
      case "send":
        this.#send(effect);
        return;
      case "data-path":
        groups.setGroup(`${VISITOR}${effect.path.visitor}`, planVisitor(effect.path), effect.revision);
        return;
      case "data-path-removed":
        this.#commands.asked(effect.visitor, effect.revision);
        groups.removeGroup(`${VISITOR}${effect.visitor}`, effect.revision);
        return;
      case "journal":
        records.append(effect.key, effect.record);
        return;
      case "notify":
        this.#ground.note({
          event: effect.event,
          ...(effect.homeAddress !== undefined && { homeAddress: effect.homeAddress }),
          detail: effect.detail,
        });
        return;
      case "drop":
        this.#ground.drop(effect.reason, effect.detail);
    }
  }

  #send({ message }: SendEffect): void {
    try {
      if (message.to === "home-agent") this.#sendToHomeAgent(message);
      else if (message.to === "visitor") this.#sendToVisitor(message);
      else this.#advertise(message);
    } catch (error) {
      // The link has gone in this moment; who is on it asks again.
      this.#ground.log.warn({
        event: "message.unsent",
        reason: error instanceof Error ? error.message : String(error),
      });
    }
  }

  #sendToHomeAgent({ relayed, homeAgent }: ToHomeAgent): void {
    const own = relayed.authentication === undefined ? [] : [{ ...relayed.authentication, authenticator: NOT_MADE }];
    const data = appendAuthenticated(
      relayed.octets,
      [...relayed.extensions, ...own],
      authenticateWith(({ spi }) => this.#parts.ring.foreignHome(homeAgent, spi)),
    );
    const { error } = this.#parts.sockets.registrations.send({
      data,
      source: this.#state.site.careOfAddress,
      destination: homeAgent,
      destinationPort: MIP4_PORT,
      ttl: TTL,
    });
    this.#ground.count("sent", "registration-request");
    const noWay = error === undefined ? undefined : unreachableBy(error, homeAgent, relayed.octets);
    if (noWay !== undefined) this.#loop.push(noWay);
  }

  #sendToVisitor(message: ToVisitor): void {
    const { device, linkAddress, source, destination, destinationPort, content, node } = message;
    const authenticate = authenticateWith(({ spi }) => this.#parts.ring.mobileForeign(node, spi));
    const own = (extensions: readonly RegistrationExtension[], spi: number | undefined): RegistrationExtension[] =>
      spi === undefined
        ? [...extensions]
        : [...extensions, { kind: "mobile-foreign-authentication", spi, authenticator: NOT_MADE }];
    const data =
      content.kind === "relayed"
        ? appendAuthenticated(
            content.relayed.octets,
            own(content.relayed.extensions, content.relayed.authentication?.spi),
            authenticate,
          )
        : encodeAuthenticated(content.reply, authenticate);
    this.#parts.sockets.links.send({
      data,
      interfaceIndex: this.#ground.names.interfaceIndex(device),
      linkLayerDestination: linkAddressOctets(linkAddress),
      ...{ source, destination, destinationPort },
    });
    this.#ground.count("sent", "registration-reply");
  }

  #advertise(message: ToLink): void {
    this.#parts.sockets.discovery.send(
      outgoingAdvertisement(message, this.#ground.names.interfaceIndex(message.device)),
    );
    this.#ground.count("sent", message.advertisement.type);
  }

  #viewsOf(): ServiceViews {
    const visitors = (): readonly VisitorDocument[] => [...visitorViews(this.#state, monotonicNow())];
    const isHere = (address: IpAddress): boolean =>
      isIpv4(address) && [...visitorPaths(this.#state)].some(({ homeAddress }) => homeAddress === address);
    return {
      bindings: () => [],
      binding: () => undefined,
      visitors,
      plan: (node) => this.#plan(node),
      nodes: () => [],
      nodeAt: (address) => (isHere(address) ? nameOf(address) : undefined),
      security: async () => ({ method: "static-keys", ikeDaemon: null, nodes: [] }),
      readiness: () => null,
    };
  }

  #plan(node: Ipv6Address): readonly PlannedGroup[] {
    const paths = [...visitorPaths(this.#state)].filter(({ homeAddress }) => nameOf(homeAddress) === node);
    return paths.map((path) => ({
      objects: planVisitor(path),
      state: this.#ground.groups.stateOf(`${VISITOR}${path.visitor}`),
    }));
  }
}
