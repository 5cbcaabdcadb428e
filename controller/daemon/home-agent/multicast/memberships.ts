/** Multicast to nodes that are away, at work: their reports go into the machine, and its groups into the kernel and onto the home link. */
import type { Mip6HomeAgentConfig } from "../../../../schemas/config/home-agent.js";
import type { MulticastGroupDocument } from "../../../../schemas/control.js";
import { type IpAddress, type Ipv4Address, type Ipv6Address, isIpv4, isIpv6, isLinkLocal } from "../../../base/ip.js";
import { exhaustive } from "../../../base/result.js";
import { MOST_NUMBERS, planGroup, planReports, QUERY_MARK } from "../../../plan/home-agent/multicast.js";
import type { KernelObject } from "../../../plan/objects/objects.js";
import { DEVICE, type HomeAgentPlanSite, INTERNAL_ADDRESS, profileOf } from "../../../plan/site.js";
import {
  type MulticastEffect,
  type MulticastInput,
  MulticastState,
  memberships,
  nextDeadline,
  step,
} from "../../../protocol/mip6/home-agent/multicast/machine.js";
import { type DataPath, formatEndpoint } from "../../../protocol/mip6/inputs.js";
import { decodeIgmp, decodeMld } from "../../../wire/ip/membership.js";
import { igmpQuery, mldQuery } from "../../../wire/ip/membership-query.js";
import { MachineLoop, monotonicNow } from "../../machine-loop.js";
import type { ServiceGround } from "../../service.js";
import { Numbers } from "./numbers.js";
import type { MulticastPorts, Report } from "./sockets.js";

type MulticastConfig = NonNullable<Mip6HomeAgentConfig["homeAgent"]["multicast"]>;

export class HomeAgentMulticast {
  readonly #ground: ServiceGround;
  readonly #ports: MulticastPorts;
  readonly #config: MulticastConfig;
  readonly #planSite: HomeAgentPlanSite;
  readonly #state: MulticastState;
  readonly #loop: MachineLoop<MulticastInput, MulticastEffect>;
  /** A subscriber's label is where it stands in the configuration, from 1 on. */
  readonly #subscribers: readonly Ipv6Address[];
  readonly #labels: ReadonlyMap<Ipv6Address, number>;
  readonly #paths = new Map<Ipv6Address, DataPath>();
  readonly #byIpv4 = new Map<Ipv4Address, Ipv6Address>();
  /** Bound nodes whose tunnels take no copies, with their IPv4 home addresses. */
  readonly #unserved = new Map<Ipv6Address, Ipv4Address | undefined>();
  /** Nodes by the endpoints that they send from. */
  readonly #endpoints = new Map<string, Set<Ipv6Address>>();
  readonly #groupNumbers = new Numbers<IpAddress>(MOST_NUMBERS);
  readonly #nodeNumbers = new Numbers<Ipv6Address>(MOST_NUMBERS);
  readonly #changed = new Set<IpAddress>();
  /** Where the groups of the home link were joined last. */
  #homeIndex: number | undefined;
  #revision = 0;

  constructor(config: Mip6HomeAgentConfig, planSite: HomeAgentPlanSite, ground: ServiceGround, ports: MulticastPorts) {
    const { multicast } = config.homeAgent;
    if (multicast === undefined) throw new TypeError("multicast is not configured");
    this.#config = multicast;
    this.#planSite = planSite;
    this.#ground = ground;
    this.#ports = ports;
    this.#subscribers = config.subscribers.map(({ homeAddress }) => homeAddress);
    this.#labels = new Map(this.#subscribers.map((homeAddress, i) => [homeAddress, i + 1]));
    this.#state = new MulticastState(multicast);
    this.#loop = new MachineLoop<MulticastInput, MulticastEffect>(
      { step: (input, now) => step(this.#state, input, now), nextDeadline: () => nextDeadline(this.#state) },
      { kind: "timer" },
      { perform: (effect) => this.#perform(effect), flush: () => undefined, turnEnded: () => this.#turnEnded() },
    );
  }

  begin(): void {
    this.#homeIndex = this.#indexOfHomeLink();
    this.#ports.listen((report) => this.#hear(report));
  }

  /** With the home link go the groups that were joined on it; another one in its place does not know them. */
  look(): void {
    const index = this.#indexOfHomeLink();
    if (index === this.#homeIndex) return;
    this.#homeIndex = index;
    if (index !== undefined) for (const group of this.#state.groups.keys()) this.#onHomeLink(group, true);
  }

  bound(path: DataPath): void {
    const { homeAddress, ipv4HomeAddress } = path;
    const before = this.#paths.get(homeAddress);
    this.#forget(before);
    if (!this.#serves(path)) {
      this.unbound(homeAddress);
      this.#unserved.set(homeAddress, ipv4HomeAddress);
      if (ipv4HomeAddress !== undefined) this.#byIpv4.set(ipv4HomeAddress, homeAddress);
      return;
    }
    this.#forgetUnserved(homeAddress);
    this.#paths.set(homeAddress, path);
    if (ipv4HomeAddress !== undefined) this.#byIpv4.set(ipv4HomeAddress, homeAddress);
    for (const endpoint of path.ingress) {
      const key = formatEndpoint(endpoint);
      const nodes = this.#endpoints.get(key) ?? new Set();
      this.#endpoints.set(key, nodes.add(homeAddress));
    }
    this.#planNeighbours(before);
    this.#planNeighbours(path);
    if (before !== undefined && before.ipv4HomeAddress !== ipv4HomeAddress)
      for (const group of this.#state.listeners.get(homeAddress)?.groups.keys() ?? []) this.#changed.add(group);
    const moved = before === undefined || formatEndpoint(before.egress) !== formatEndpoint(path.egress);
    if (moved || before.ipv4HomeAddress !== ipv4HomeAddress)
      this.#loop.push({ kind: "bound", homeAddress, ipv4HomeAddress });
  }

  unbound(homeAddress: Ipv6Address): void {
    const before = this.#paths.get(homeAddress);
    this.#forget(before);
    this.#paths.delete(homeAddress);
    this.#forgetUnserved(homeAddress);
    this.#planNeighbours(before);
    this.#loop.push({ kind: "unbound", homeAddress });
  }

  /** What the kernel is wanted to have for this node. */
  objectsOf(homeAddress: Ipv6Address): readonly KernelObject[] {
    const groups = [...(this.#state.listeners.get(homeAddress)?.groups.keys() ?? [])];
    return [...this.#reportObjects(homeAddress), ...groups.flatMap((group) => this.#groupObjects(group))];
  }

  view(): readonly MulticastGroupDocument[] {
    const now = monotonicNow();
    return [...memberships(this.#state)].map(({ group, members }) => ({
      group,
      members: members.map(({ homeAddress, until }) => ({
        homeAddress,
        remainingSeconds: Math.max(0, Math.round((until - now) / 1000)),
      })),
    }));
  }

  close(): void {
    this.#loop.close();
    this.#ports.close();
  }

  /** Payload in ESP, and UDP in IPv6, have no copies. */
  #serves({ profile, egress }: DataPath): boolean {
    const inUdpOverIpv6 = egress.format === "udp" && isIpv6(egress.address);
    return profileOf(this.#planSite, profile).protection !== "esp" && !inUdpOverIpv6;
  }

  #forgetUnserved(homeAddress: Ipv6Address): void {
    const ipv4 = this.#unserved.get(homeAddress);
    if (ipv4 !== undefined) this.#byIpv4.delete(ipv4);
    this.#unserved.delete(homeAddress);
  }

  #forget(path: DataPath | undefined): void {
    if (path === undefined) return;
    if (path.ipv4HomeAddress !== undefined) this.#byIpv4.delete(path.ipv4HomeAddress);
    for (const endpoint of path.ingress) {
      const key = formatEndpoint(endpoint);
      const nodes = this.#endpoints.get(key);
      nodes?.delete(path.homeAddress);
      if (nodes?.size === 0) this.#endpoints.delete(key);
    }
  }

  /** Of all that share an endpoint with it, the node itself too: nobody can tell whose a report without a home address is then. */
  #planNeighbours(path: DataPath | undefined): void {
    if (path === undefined) return;
    const nodes = new Set([path.homeAddress]);
    for (const endpoint of path.ingress)
      for (const node of this.#endpoints.get(formatEndpoint(endpoint)) ?? []) nodes.add(node);
    // Committed with the turn of the home agent's machine.
    for (const node of nodes) this.#setGroup(`listener ${node}`, this.#reportObjects(node));
  }

  #reportObjects(homeAddress: Ipv6Address): readonly KernelObject[] {
    const path = this.#paths.get(homeAddress);
    const label = this.#labels.get(homeAddress);
    if (path === undefined || label === undefined) return [];
    const own = path.ingress.filter((endpoint) => this.#endpoints.get(formatEndpoint(endpoint))?.size === 1);
    return planReports({ ingress: own }, label);
  }

  #groupObjects(group: IpAddress): readonly KernelObject[] {
    const members = [...(this.#state.groups.get(group) ?? [])].flatMap((node) => {
      const homeAddress = isIpv4(group) ? this.#paths.get(node)?.ipv4HomeAddress : node;
      return homeAddress === undefined ? [] : [{ number: this.#nodeNumbers.of(node), homeAddress }];
    });
    return members.length === 0 ? [] : planGroup(group, this.#groupNumbers.of(group), members);
  }

  #setGroup(group: string, objects: readonly KernelObject[]): void {
    this.#ground.groups.setGroup(`multicast ${group}`, objects, ++this.#revision);
  }

  #hear({ bytes, source, flowLabel, interfaceIndex }: Report): void {
    // Reports of the home link's nodes are nothing to us.
    const device = this.#ground.names.interfaceName(interfaceIndex);
    if (device === undefined || !device.startsWith(DEVICE.receivePrefix)) return;
    const homeAddress = this.#reporter(source, flowLabel);
    if (homeAddress === undefined) return this.#ground.drop("wrong-source", `membership report from ${source}`);
    if (this.#unserved.has(homeAddress))
      return this.#ground.drop(
        "multicast-unserved",
        `membership report of ${homeAddress}: nothing is copied into its tunnel`,
      );
    const decoded = isIpv4(source) ? decodeIgmp(bytes) : decodeMld(bytes);
    if (!decoded.ok)
      return this.#ground.drop("malformed", `membership report of ${homeAddress}: ${decoded.error.message}`);
    this.#ground.count("received", isIpv4(source) ? "igmp-report" : "mld-report");
    this.#loop.push({ kind: "report", homeAddress, message: decoded.value });
  }

  #reporter(source: IpAddress, flowLabel: number): Ipv6Address | undefined {
    if (isIpv4(source)) return this.#byIpv4.get(source);
    if (isLinkLocal(source)) return this.#subscribers[flowLabel - 1];
    return this.#paths.has(source) || this.#unserved.has(source) ? source : undefined;
  }

  #perform(effect: MulticastEffect): void {
    switch (effect.kind) {
      case "joined":
        this.#changed.add(effect.group);
        return;
      case "left":
        this.#changed.add(effect.group);
        if ((this.#state.listeners.get(effect.homeAddress)?.groups.size ?? 0) === 0)
          this.#nodeNumbers.release(effect.homeAddress);
        return;
      case "query":
        return this.#ask(effect.homeAddress, effect.responseSeconds);
      case "drop":
        return this.#ground.drop(effect.reason, effect.detail);
      case "notify":
        return this.#ground.notify(effect);
      default:
        return exhaustive(effect);
    }
  }

  #turnEnded(): void {
    if (this.#changed.size === 0) return;
    for (const group of this.#changed) {
      this.#setGroup(group, this.#groupObjects(group));
      const joined = this.#state.groups.has(group);
      this.#onHomeLink(group, joined);
      if (!joined) this.#groupNumbers.release(group);
    }
    this.#changed.clear();
    this.#ground.groups.commit();
  }

  #indexOfHomeLink(): number | undefined {
    const { homeDevice } = this.#planSite;
    try {
      return homeDevice === undefined ? undefined : this.#ground.names.interfaceIndex(homeDevice);
    } catch {
      return undefined; // it is not there just now
    }
  }

  #onHomeLink(group: IpAddress, joined: boolean): void {
    const { homeDevice } = this.#planSite;
    try {
      if (!joined) this.#ports.leave(group);
      else if (homeDevice !== undefined) this.#ports.join(group, this.#ground.names.interfaceIndex(homeDevice));
    } catch (cause) {
      this.#ground.log.warn({ event: "multicast.unjoined", group, reason: String(cause) });
    }
  }

  #ask(homeAddress: Ipv6Address, responseSeconds: number): void {
    const path = this.#paths.get(homeAddress);
    if (path === undefined) return;
    const { queryIntervalSeconds: intervalSeconds, robustness } = this.#config;
    const times = { responseSeconds, intervalSeconds, robustness };
    const { ipv4HomeAddress } = path;
    const querier = this.#planSite.addresses.ipv4 ?? INTERNAL_ADDRESS.receiveIpv6;
    try {
      this.#ports.send(mldQuery(homeAddress, times), homeAddress, QUERY_MARK);
      if (ipv4HomeAddress !== undefined)
        this.#ports.send(igmpQuery(querier, ipv4HomeAddress, times), ipv4HomeAddress, QUERY_MARK);
      this.#ground.count("sent", "membership-query");
    } catch (cause) {
      this.#ground.count("sent", "failed");
      this.#ground.log.debug({ event: "message.unsent", reason: String(cause) });
    }
  }
}
