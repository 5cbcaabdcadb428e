/**
 * Movement detection at work: the kernel's news and what the links say go into the machine, its questions go out as frames, and what it
 * believes of the network is what the mobile node sees. All decisions are the machine's (protocol/movement/detection).
 */
import { IPV4_ANY, type IpAddress, type Ipv6Address, isIpv4, isIpv6, isLinkLocal } from "../../base/ip.js";
import { exhaustive } from "../../base/result.js";
import type { NeighbourNews } from "../../kernel/route/neighbour-watch.js";
import { believed, initialDetection, nextAsking, step } from "../../protocol/movement/detection/machine.js";
import type {
  DetectionEffect,
  DetectionInput,
  DetectionState,
  HomeAgentAddresses,
  LinkBelief,
  RouterAdvertisement,
} from "../../protocol/movement/detection/model.js";
import { EMPTY_NETWORK, type NetworkView } from "../../protocol/movement/network-view.js";
import { decodeIcmpv6, encodeIcmpv6, type Icmpv6OfType, withIcmpv6Checksum } from "../../wire/icmpv6.js";
import { ARP_OPERATION, BROADCAST_MAC, decodeArp, ETHERTYPE, encodeArp, MAC_OCTETS } from "../../wire/ip/arp.js";
import { encodeIpv6Packet } from "../../wire/ip/ipv6.js";
import {
  type AddressedNd,
  ethernetGroup,
  ND_HOP_LIMIT,
  neighbourQuestion,
  routerSolicitation,
} from "../../wire/ip/neighbour-discovery.js";
import { Protocol } from "../../wire/ip/registry.js";
import { MachineLoop, monotonicNow } from "../machine-loop.js";

export interface MovementPorts {
  /** Index and Ethernet address of the link; undefined if it is not there or has no such address. */
  identify(device: string): { readonly index: number; readonly mac: Uint8Array } | undefined;
  /** Sends an Ethernet payload. */
  sendFrame(index: number, etherType: number, destination: Uint8Array, payload: Uint8Array): void;
  /** The only links whose ARP is wanted from now on. */
  hearArp(indices: ReadonlySet<number>): void;
  /** As the kernel holds it. */
  linkLayerAddress(index: number, address: IpAddress): Uint8Array | undefined;
  /** Octets from a link that mean nothing. */
  drop(detail: string): void;
  report(effect: DetectionEffect & { kind: "report" }): void;
}

export class Movement {
  readonly #ports: MovementPorts;
  readonly #loop: MachineLoop<DetectionInput, DetectionEffect>;
  readonly #listeners: ((view: NetworkView) => void)[] = [];
  #state: DetectionState;
  #view: NetworkView = EMPTY_NETWORK;
  #viewText = "";

  constructor(ports: MovementPorts, homeAgent: HomeAgentAddresses, view: NetworkView) {
    this.#ports = ports;
    this.#state = initialDetection(homeAgent);
    this.#loop = new MachineLoop<DetectionInput, DetectionEffect>(
      { step: (input) => this.#step(input), nextDeadline: () => nextAsking(this.#state) },
      { kind: "timer" },
      { perform: (effect) => this.#perform(effect), flush: () => undefined, turnEnded: () => this.#turnEnded() },
    );
    for (const effect of this.#step({ kind: "network", view })) this.#perform(effect);
    this.#turnEnded();
    // Questions of the first look have their deadlines.
    this.#loop.push({ kind: "timer" });
  }

  /** The network without what is not believed. */
  get view(): NetworkView {
    return this.#view;
  }

  /** Called with each new view that differs from the one before. */
  onView(listener: (view: NetworkView) => void): void {
    this.#listeners.push(listener);
  }

  give(input: DetectionInput): void {
    this.#loop.push(input);
  }

  neighbour({ kind, index, address, linkLayerAddress }: NeighbourNews): void {
    if (!this.#isRouter(index, address)) return;
    const text = linkLayerAddress && macText(linkLayerAddress);
    if (kind === "failed") this.give({ kind: "unreachable", index, address });
    else if (kind === "reachable" && text) this.give({ kind: "reachable", index, address, linkLayerAddress: text });
    else if (kind === "known" && text) this.give({ kind: "neighbour", index, address, linkLayerAddress: text });
  }

  /** A router or neighbour advertisement as it came; its hop limit says that it is from this link (RFC 4861 §6.1.2, §7.1.2). */
  receiveIcmpv6(bytes: Uint8Array, from: { source: Ipv6Address; hopLimit: number; index: number }): void {
    const { source, hopLimit, index } = from;
    if (hopLimit !== ND_HOP_LIMIT || !this.#state.links.has(index)) return;
    const decoded = decodeIcmpv6(bytes);
    if (!decoded.ok) return this.#ports.drop(`neighbour discovery from ${source}: ${decoded.error.message}`);
    const message = decoded.value;
    if (message.type === "router-advertisement") {
      if (!isLinkLocal(source)) return this.#ports.drop(`router advertisement from ${source}`);
      this.give({ kind: "advertisement", index, advertisement: advertisementOf(message, source) });
    } else if (message.type === "neighbour-advertisement" && this.#isRouter(index, message.target)) {
      const linkLayerAddress = linkLayerOption(message, "target-link-layer-address");
      this.give({
        kind: "reachable",
        index,
        address: message.target,
        ...(linkLayerAddress && { linkLayerAddress }),
      });
    }
  }

  receiveArp(bytes: Uint8Array, index: number): void {
    const decoded = decodeArp(bytes);
    if (!decoded.ok) return this.#ports.drop(`ARP: ${decoded.error.message}`);
    const { operation, senderAddress, senderMac } = decoded.value;
    if (operation !== ARP_OPERATION.reply || !this.#isRouter(index, senderAddress)) return;
    this.give({ kind: "reachable", index, address: senderAddress, linkLayerAddress: macText(senderMac) });
  }

  close(): void {
    this.#listeners.length = 0;
    this.#loop.close();
  }

  #isRouter(index: number, address: IpAddress): boolean {
    return this.#state.links.get(index)?.routers.some((router) => router.address === address) === true;
  }

  #step(input: DetectionInput): readonly DetectionEffect[] {
    const now = monotonicNow();
    const first = step(this.#state, input, now);
    this.#state = first.state;
    if (input.kind !== "network") return first.effects;
    const effects = [...first.effects];
    for (const { index, routers } of first.state.links.values()) {
      for (const { address, linkLayerAddress: known } of routers) {
        const held = known === undefined ? this.#ports.linkLayerAddress(index, address) : undefined;
        if (held === undefined) continue;
        const next = step(this.#state, { kind: "neighbour", index, address, linkLayerAddress: macText(held) }, now);
        this.#state = next.state;
        for (const effect of next.effects) effects.push(effect);
      }
    }
    return effects;
  }

  #turnEnded(): void {
    const view = believed(this.#state) ?? EMPTY_NETWORK;
    this.#hearArp();
    const text = JSON.stringify(view);
    if (text === this.#viewText) return;
    this.#view = view;
    this.#viewText = text;
    for (const listener of this.#listeners) listener(view);
  }

  #hearArp(): void {
    this.#ports.hearArp(new Set([...this.#state.links.values()].filter(asksByArp).map(({ index }) => index)));
  }

  #perform(effect: DetectionEffect): void {
    switch (effect.kind) {
      case "report":
        return this.#ports.report(effect);
      case "solicit":
        return this.#solicit(effect);
      case "ask":
        return this.#ask(effect);
      default:
        return exhaustive(effect);
    }
  }

  #solicit({ device, sender }: DetectionEffect & { kind: "solicit" }): void {
    const link = this.#ports.identify(device);
    if (link !== undefined) this.#sendNd(link.index, routerSolicitation(sender, link.mac));
  }

  #ask({ device, index, router, linkLayerAddress, sender }: DetectionEffect & { kind: "ask" }): void {
    const link = this.#ports.identify(device);
    // Where no frame of ours can go nobody can be asked, and nothing is held against anybody.
    if (link === undefined || link.index !== index) return this.give({ kind: "reachable", index, address: router });
    const known = linkLayerAddress === undefined ? undefined : macOctets(linkLayerAddress);
    if (isIpv6(router)) {
      if (isIpv6(sender))
        this.#sendNd(
          index,
          neighbourQuestion({ target: router, source: sender, mac: link.mac, unicast: known !== undefined }),
          known,
        );
      return;
    }
    if (!isIpv4(router) || !isIpv4(sender)) return;
    this.#hearArp();
    const packet = encodeArp({
      operation: ARP_OPERATION.request,
      senderMac: link.mac,
      // To everybody the address in question is not shown: it may be somebody else's here (RFC 5227 §2.1.1).
      senderAddress: known === undefined ? IPV4_ANY : sender,
      targetMac: new Uint8Array(MAC_OCTETS),
      targetAddress: router,
    });
    this.#ports.sendFrame(index, ETHERTYPE.arp, known ?? BROADCAST_MAC, packet);
  }

  #sendNd(index: number, { source, destination, message }: AddressedNd, known?: Uint8Array): void {
    const payload = withIcmpv6Checksum(encodeIcmpv6(message), source, destination);
    const header = {
      ...{ trafficClass: 0, flowLabel: 0, nextHeader: Protocol.icmpv6, hopLimit: ND_HOP_LIMIT },
      ...{ source, destination },
    };
    this.#ports.sendFrame(
      index,
      ETHERTYPE.ipv6,
      known ?? ethernetGroup(destination),
      encodeIpv6Packet({ header, payload }),
    );
  }
}

function asksByArp({ routers }: LinkBelief): boolean {
  return routers.some(({ address, trust }) => trust !== "sure" && isIpv4(address));
}

function advertisementOf(message: Icmpv6OfType<"router-advertisement">, router: Ipv6Address): RouterAdvertisement {
  const linkLayerAddress = linkLayerOption(message, "source-link-layer-address");
  const prefixes = message.options.flatMap((option) => {
    if (option.kind !== "prefix-information" || option.validLifetimeSeconds === 0) return [];
    const { flags, prefix: address, prefixLength: length } = option;
    return (flags.onLink || flags.autonomous) && length > 0 && length <= 128 ? [{ address, length }] : [];
  });
  const { routerLifetimeSeconds: lifetimeSeconds } = message;
  return { router, ...(linkLayerAddress && { linkLayerAddress }), lifetimeSeconds, prefixes };
}

function linkLayerOption(
  { options }: Pick<Icmpv6OfType<"router-advertisement">, "options">,
  kind: "source-link-layer-address" | "target-link-layer-address",
): string | undefined {
  for (const option of options) {
    if (option.kind === kind && option.address.length >= MAC_OCTETS)
      return macText(option.address.subarray(0, MAC_OCTETS));
  }
  return undefined;
}

const macText = (octets: Uint8Array): string =>
  [...octets].map((octet) => octet.toString(16).padStart(2, "0")).join(":");

const macOctets = (text: string): Uint8Array => Uint8Array.from(text.split(":"), (part) => Number.parseInt(part, 16));
