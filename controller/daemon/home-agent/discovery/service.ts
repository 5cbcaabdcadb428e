/**
 * Home agent address discovery at work, beside the home agent itself: what the home link's routers and what nodes say goes into the
 * machine (protocol/mip6/home-agent/discovery), and its answers go out.
 */
import type { Mip6HomeAgentConfig } from "../../../../schemas/config/home-agent.js";
import { type IpAddress, type Ipv6Address, isLinkLocal } from "../../../base/ip.js";
import { exhaustive } from "../../../base/result.js";
import { anycastRoutes } from "../../../plan/home-agent/discovery.js";
import { type KernelObject, objectKey } from "../../../plan/objects/objects.js";
import type { ObjectOwner } from "../../../plan/owner.js";
import {
  type DiscoveryEffect,
  type DiscoveryInput,
  DiscoveryState,
  nextDeadline,
  step,
} from "../../../protocol/mip6/home-agent/discovery/machine.js";
import type { GroupResult } from "../../../reconcile/reconciler.js";
import { decodeIcmpv6, encodeIcmpv6 } from "../../../wire/icmpv6.js";
import { ND_HOP_LIMIT } from "../../../wire/ip/neighbour-discovery.js";
import { MachineLoop } from "../../machine-loop.js";
import { type Service, type ServiceGround, type ServiceViews, SITE_GROUP } from "../../service.js";
import { discoverySite } from "../../sites.js";

export interface DiscoveryPacket {
  readonly bytes: Uint8Array;
  readonly source: Ipv6Address;
  readonly destination: Ipv6Address;
  readonly hopLimit: number;
  readonly interfaceIndex: number;
}

export interface DiscoveryPorts {
  listen(receive: (packet: DiscoveryPacket) => void): void;
  /** Sends an ICMPv6 message; its checksum is filled in. Throws what the kernel says. */
  send(message: Uint8Array, source: Ipv6Address, destination: Ipv6Address): void;
  /** Draws the anycast addresses to this machine on the link of that index; undefined: on none. Throws what the kernel says. */
  defend(addresses: ReadonlySet<Ipv6Address>, interfaceIndex: number | undefined): void;
  /** Addresses on this machine's links just now. */
  ownAddresses(): ReadonlySet<string>;
  close(): void;
}

export class DiscoveryService implements Service {
  static readonly serviceName = "home-agent-discovery";
  readonly name = DiscoveryService.serviceName;
  readonly addresses: readonly IpAddress[] = [];
  readonly views: ServiceViews = NO_VIEWS;
  readonly #ground: ServiceGround;
  readonly #ports: DiscoveryPorts;
  readonly #state: DiscoveryState;
  readonly #homeDevice: string | undefined;
  readonly #routes: readonly KernelObject[];
  readonly #keys: ReadonlySet<string>;
  readonly #loop: MachineLoop<DiscoveryInput, DiscoveryEffect>;
  #defends = false;
  #homeIndex: number | undefined;

  constructor(config: Mip6HomeAgentConfig, ground: ServiceGround, ports: DiscoveryPorts, random: () => number) {
    const { homeLink } = config.homeAgent;
    this.#ground = ground;
    this.#ports = ports;
    this.#state = new DiscoveryState(discoverySite(config), random);
    this.#homeDevice = homeLink.interface;
    this.#routes = anycastRoutes(homeLink.prefixes);
    this.#keys = new Set(this.#routes.map(objectKey));
    this.#loop = new MachineLoop<DiscoveryInput, DiscoveryEffect>(
      { step: (input, now) => step(this.#state, input, now), nextDeadline: () => nextDeadline(this.#state) },
      { kind: "timer" },
      { perform: (effect) => this.#perform(effect), flush: () => undefined, turnEnded: () => undefined },
    );
  }

  prepare(): ReadonlyMap<string, readonly KernelObject[]> {
    return new Map([[SITE_GROUP, this.#routes]]);
  }

  listen(): void {
    this.#ports.listen((packet) => this.#receive(packet));
  }

  begin(): void {}

  onGroupResult({ group, failure }: GroupResult): void {
    if (failure !== undefined) this.#ground.log.error({ event: "object.failed", group, reason: failure.message });
  }

  onLoss(): void {}

  objectsOf(): readonly KernelObject[] {
    return [];
  }

  ownerOf(object: KernelObject): ObjectOwner | undefined {
    return this.#keys.has(objectKey(object)) ? { kind: "site" } : undefined;
  }

  abandon(): void {
    this.#loop.close();
    this.#ports.close();
  }

  async close(): Promise<void> {
    this.abandon();
  }

  #receive({ bytes, source, destination, hopLimit, interfaceIndex }: DiscoveryPacket): void {
    const decoded = decodeIcmpv6(bytes);
    if (!decoded.ok) return this.#ground.drop("malformed", `ICMPv6 from ${source}: ${decoded.error.message}`);
    const message = decoded.value;
    if (message.type === "home-agent-address-discovery-request") {
      this.#ground.count("received", message.type);
      this.#loop.push({ kind: "request", source, destination, request: message });
    } else if (message.type === "router-advertisement") {
      const device = this.#ground.names.interfaceName(interfaceIndex);
      const isOfHomeLink = this.#homeDevice !== undefined && device === this.#homeDevice && hopLimit === ND_HOP_LIMIT;
      // What we say ourselves there, by radvd for example, comes back to us.
      if (!isOfHomeLink || !isLinkLocal(source) || this.#ports.ownAddresses().has(source)) return;
      this.#homeIndex = interfaceIndex;
      if (this.#defends) this.#defend();
      this.#loop.push({ kind: "advertisement", source, advertisement: message });
    }
  }

  #perform(effect: DiscoveryEffect): void {
    switch (effect.kind) {
      case "send":
        return this.#send(effect);
      case "drop":
        return this.#ground.drop(effect.reason, effect.detail);
      case "defend":
        this.#defends = effect.wanted;
        return this.#defend();
      case "report":
        return this.#ground.log.info({ event: effect.event, linkLocal: effect.linkLocal });
      default:
        return exhaustive(effect);
    }
  }

  #send({ destination, reply }: DiscoveryEffect & { kind: "send" }): void {
    try {
      this.#ports.send(encodeIcmpv6(reply), this.#state.site.address, destination);
      this.#ground.count("sent", reply.type);
    } catch (cause) {
      this.#ground.count("sent", "failed");
      this.#ground.log.debug({ event: "message.unsent", reason: String(cause) });
    }
  }

  #defend(): void {
    try {
      this.#ports.defend(this.#state.site.anycastAddresses, this.#defends ? this.#homeIndex : undefined);
    } catch (cause) {
      this.#ground.log.debug({ event: "anycast.refused", reason: String(cause) });
    }
  }
}

/** It has no nodes: they are the home agent's. */
const NO_VIEWS: ServiceViews = {
  bindings: () => [],
  binding: () => undefined,
  plan: () => [],
  nodes: () => [],
  nodeAt: () => undefined,
  security: async () => ({ method: "static-keys", ikeDaemon: null, nodes: [] }),
  readiness: () => null,
};
