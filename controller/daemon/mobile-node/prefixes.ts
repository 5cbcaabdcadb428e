/** Mobile prefix discovery at work: the machine, which asks by the way that the node's payload takes. */
import type { MobileNodeConfig } from "../../../schemas/config/mobile-node.js";
import type { HomePrefixDocument } from "../../../schemas/control.js";
import { formatPrefix, isIpv6 } from "../../base/ip.js";
import { exhaustive } from "../../base/result.js";
import { DSMIP_PORT } from "../../plan/site.js";
import type { Arrival, Departure, MobilePrefixAdvertisement } from "../../protocol/mip6/inputs.js";
import type { MobileNodeDataPath } from "../../protocol/mip6/mobile-node/inputs.js";
import {
  homeAddressValidFor,
  initialPrefixes,
  type NodePrefixesEffect,
  type NodePrefixesInput,
  type NodePrefixesState,
  nextDeadline,
  step,
} from "../../protocol/mip6/mobile-node/prefixes/machine.js";
import { secondsLeft } from "../../protocol/mip6/prefix-lifetime.js";
import { MachineLoop, monotonicNow } from "../machine-loop.js";
import type { ServiceGround } from "../service.js";

const RECORD = "home-prefixes";

export class NodePrefixes {
  readonly #config: MobileNodeConfig;
  readonly #ground: ServiceGround;
  readonly #loop: MachineLoop<NodePrefixesInput, NodePrefixesEffect>;
  readonly #pathOf: () => MobileNodeDataPath | undefined;
  #state: NodePrefixesState;
  #registered = false;

  /** `pathOf`: the present data path. */
  constructor(config: MobileNodeConfig, ground: ServiceGround, pathOf: () => MobileNodeDataPath | undefined) {
    const { homeAddress, homeAgent, prefixDiscovery } = config.mobileNode;
    this.#config = config;
    this.#ground = ground;
    this.#pathOf = pathOf;
    this.#state = initialPrefixes({ homeAddress, homeAgent: homeAgent.ipv6, when: prefixDiscovery });
    this.#loop = new MachineLoop<NodePrefixesInput, NodePrefixesEffect>(
      { step: (input, now) => this.#step(input, now), nextDeadline: () => nextDeadline(this.#state) },
      { kind: "timer" },
      { perform: (effect) => this.#perform(effect), flush: () => ground.flush(), turnEnded: () => undefined },
    );
  }

  restore(): void {
    for (const [key, { record, ageSeconds }] of this.#ground.records.entries())
      if (key === RECORD) this.#step({ kind: "restore", record, ageSeconds }, monotonicNow());
  }

  /** Whether the home agent has a binding of ours. */
  see(registered: boolean): void {
    if (registered === this.#registered) return;
    this.#registered = registered;
    this.#loop.push(registered ? { kind: "registered", necessary: false } : { kind: "unregistered" });
  }

  /** The home agent says that we should ask. */
  necessary(): void {
    this.#loop.push({ kind: "registered", necessary: true });
  }

  hear(message: MobilePrefixAdvertisement, arrival: Arrival): void {
    this.#loop.push({ kind: "advertisement", arrival, message });
  }

  /** See `homeAddressValidFor`. */
  validFor(): number | undefined {
    return homeAddressValidFor(this.#state, monotonicNow());
  }

  /** Those of the configuration too, of which nothing more is known. */
  view(): readonly HomePrefixDocument[] {
    const now = monotonicNow();
    const known = (this.#state.known ?? []).map(({ prefix, preferredUntil, validUntil }) => ({
      prefix: formatPrefix(prefix),
      source: "advertisement" as const,
      preferredSeconds: secondsLeft(preferredUntil, now),
      validSeconds: secondsLeft(validUntil, now),
    }));
    const configured = this.#config.mobileNode.homePrefixes
      .filter(({ address }) => isIpv6(address))
      .map(formatPrefix)
      .filter((text) => known.every(({ prefix }) => prefix !== text))
      .map((prefix) => ({ prefix, source: "configuration" as const, preferredSeconds: null, validSeconds: null }));
    return [...known, ...configured];
  }

  close(): void {
    this.#loop.close();
  }

  #step(input: NodePrefixesInput, now: ReturnType<typeof monotonicNow>): readonly NodePrefixesEffect[] {
    const next = step(this.#state, input, now, Math.random);
    this.#state = next.state;
    return next.effects;
  }

  #perform(effect: NodePrefixesEffect): void {
    switch (effect.kind) {
      case "send": {
        const departure = this.#departure();
        if (departure === undefined) return;
        const { homeAddress, homeAgent } = this.#state.site;
        const { message } = effect;
        return this.#ground.send({ kind: "send", message, source: homeAddress, destination: homeAgent, departure });
      }
      case "journal":
        return this.#ground.records.append(RECORD, effect.record);
      case "drop":
        return this.#ground.drop(effect.reason, effect.detail);
      case "notify":
        return this.#ground.notify(effect);
      default:
        return exhaustive(effect);
    }
  }

  /**
   * From an IPv4 network it goes into the tunnel, with the home address in both places (RFC 5555 §2.2); where payload is protected there is
   * no such tunnel, and it takes the way of updates.
   */
  #departure(): Departure | undefined {
    const egress = this.#pathOf()?.egress;
    if (egress === undefined) return undefined;
    const { mobileNode, tunnelProfile } = this.#config;
    if (egress.format === "ipv6") return { type: "native-home-address-option", careOf: egress.address };
    const { ipv4, ipv6 } = mobileNode.homeAgent;
    const remoteAddress = isIpv6(egress.address) ? ipv6 : ipv4;
    if (tunnelProfile.protection !== "esp" || remoteAddress === undefined)
      return { type: "native-home-address-option", careOf: mobileNode.homeAddress };
    return { type: "udp", localAddress: egress.address, remoteAddress, remotePort: DSMIP_PORT };
  }
}
