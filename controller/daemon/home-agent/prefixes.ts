/** Mobile prefix discovery at work: what the home link's routers say and nodes ask goes into the machine, and its advertisements to the nodes. */
import type { Mip6HomeAgentConfig } from "../../../schemas/config/home-agent.js";
import type { HomePrefixDocument } from "../../../schemas/control.js";
import { formatPrefix, type Ipv6Address } from "../../base/ip.js";
import { exhaustive } from "../../base/result.js";
import { type HomeAgentPlanSite, profileOf } from "../../plan/site.js";
import { departureTo } from "../../protocol/mip6/home-agent/notices.js";
import {
  type AdvertiseEffect,
  nextDeadline,
  type PrefixesEffect,
  type PrefixesInput,
  PrefixesState,
  step,
} from "../../protocol/mip6/home-agent/prefixes/machine.js";
import type { Arrival, DataPath, Departure, Endpoint, MobilePrefixSolicitation } from "../../protocol/mip6/inputs.js";
import { secondsLeft } from "../../protocol/mip6/prefix-lifetime.js";
import { decodeIcmpv6 } from "../../wire/icmpv6.js";
import { ND_HOP_LIMIT } from "../../wire/ip/neighbour-discovery.js";
import type { RouterPacket } from "../home-link/sockets.js";
import { MachineLoop, monotonicNow } from "../machine-loop.js";
import type { ServiceGround } from "../service.js";

/** What is known of nodes that are bound; undefined of others. */
export interface BoundNodes {
  pathOf(homeAddress: Ipv6Address): DataPath | undefined;
  /** Where its messages came from last. */
  signallingOf(homeAddress: Ipv6Address): Endpoint | undefined;
}

export class HomeAgentPrefixes {
  readonly #ground: ServiceGround;
  readonly #planSite: HomeAgentPlanSite;
  readonly #state: PrefixesState;
  readonly #loop: MachineLoop<PrefixesInput, PrefixesEffect>;
  readonly #nodes: BoundNodes;

  constructor(config: Mip6HomeAgentConfig, planSite: HomeAgentPlanSite, ground: ServiceGround, nodes: BoundNodes) {
    const subscribers = new Set(config.subscribers.map(({ homeAddress }) => homeAddress));
    const { addresses, homePrefixes } = planSite;
    this.#ground = ground;
    this.#planSite = planSite;
    this.#nodes = nodes;
    const site = { address: addresses.ipv6, homePrefixes, isSubscriber: (one: Ipv6Address) => subscribers.has(one) };
    this.#state = new PrefixesState(site, Math.random);
    this.#loop = new MachineLoop<PrefixesInput, PrefixesEffect>(
      { step: (input, now) => step(this.#state, input, now), nextDeadline: () => nextDeadline(this.#state) },
      { kind: "timer" },
      { perform: (effect) => this.#perform(effect), flush: () => undefined, turnEnded: () => undefined },
    );
  }

  /** In seconds; undefined: nothing limits it. */
  validFor(homeAddress: Ipv6Address): number | undefined {
    return this.#state.prefixes.validFor(homeAddress, monotonicNow());
  }

  hasNews(homeAddress: Ipv6Address): boolean {
    return this.#state.hasNews(homeAddress);
  }

  bound(homeAddress: Ipv6Address): void {
    this.#loop.push({ kind: "bound", homeAddress });
  }

  unbound(homeAddress: Ipv6Address): void {
    this.#loop.push({ kind: "unbound", homeAddress });
  }

  asked(message: MobilePrefixSolicitation, arrival: Arrival): void {
    this.#loop.push({ kind: "solicitation", message, arrival });
  }

  /** From any link: of ours counts the home link alone. */
  hear({ bytes, source, hopLimit, device }: RouterPacket): void {
    if (this.#planSite.homeDevice === undefined || device !== this.#planSite.homeDevice) return;
    const decoded = hopLimit === ND_HOP_LIMIT ? decodeIcmpv6(bytes) : undefined;
    if (decoded?.ok !== true || decoded.value.type !== "router-advertisement")
      return this.#ground.drop("malformed", `router advertisement from ${source}`);
    this.#loop.push({ kind: "router", source, advertisement: decoded.value });
  }

  view(): readonly HomePrefixDocument[] {
    const now = monotonicNow();
    return this.#state.prefixes.at(now).map(({ prefix, configured, preferredUntil, validUntil }) => ({
      prefix: formatPrefix(prefix),
      source: configured ? "configuration" : "advertisement",
      preferredSeconds: secondsLeft(preferredUntil, now),
      validSeconds: secondsLeft(validUntil, now),
    }));
  }

  close(): void {
    this.#loop.close();
  }

  #perform(effect: PrefixesEffect): void {
    switch (effect.kind) {
      case "send":
        return this.#send(effect);
      case "drop":
        return this.#ground.drop(effect.reason, effect.detail);
      case "notify":
        return this.#ground.notify(effect);
      default:
        return exhaustive(effect);
    }
  }

  #send({ homeAddress, message, arrival }: AdvertiseEffect): void {
    const departure = arrival === undefined ? this.#toBinding(homeAddress) : wayBack(arrival);
    if (departure === undefined) return;
    const source = this.#planSite.addresses.ipv6;
    this.#ground.send({ kind: "send", message, source, destination: homeAddress, departure });
  }

  /**
   * Over IPv6 to the care-of address, over IPv4 into the tunnel, where the home address is the destination and in the type 2 routing header.
   * Where payload is protected there is no such tunnel, and it takes the way of acknowledgements.
   */
  #toBinding(homeAddress: Ipv6Address): Departure | undefined {
    const path = this.#nodes.pathOf(homeAddress);
    if (path === undefined) return undefined;
    const { egress } = path;
    if (egress.format === "ipv6") return { type: "native-routed", careOf: egress.address };
    if (profileOf(this.#planSite, path.profile).protection !== "esp")
      return { type: "native-routed", careOf: homeAddress };
    const signalling = this.#nodes.signallingOf(homeAddress);
    return signalling && departureTo(signalling, this.#planSite.addresses);
  }
}

/** To where the solicitation came from (RFC 6275 §10.6.3). Out of a tunnel, and from home, that is the home address. */
function wayBack({ path, source }: Arrival): Departure {
  if (path.type === "native") return { type: "native-routed", careOf: path.homeAddressOptionCareOf ?? source };
  const { outerSource: remoteAddress, outerPort: remotePort, outerDestination: localAddress } = path;
  return { type: "udp", localAddress, remoteAddress, remotePort };
}
