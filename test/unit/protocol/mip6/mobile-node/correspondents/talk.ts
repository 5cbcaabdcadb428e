/**
 * The node's machine and the correspondent's over a network of nothing but octets: home agent, NAT, loss and disorder. What is said bears the
 * authenticators that both ends really make.
 */
import { type IpAddress, type Ipv4Address, type Ipv6Address, ipv4 } from "../../../../../../controller/base/ip.js";
import {
  coveredOctets,
  isAuthorizedBy,
  withAuthenticator,
} from "../../../../../../controller/daemon/signalling/binding-authorization.js";
import type { AuthorizedSendEffect } from "../../../../../../controller/protocol/mip6/correspondent-node/inputs.js";
import type { CorrespondentNodeSite } from "../../../../../../controller/protocol/mip6/correspondent-node/site.js";
import { careOfAddressOf } from "../../../../../../controller/protocol/mip6/correspondent-node/update.js";
import { type Arrival, NO_PORT } from "../../../../../../controller/protocol/mip6/inputs.js";
import type {
  CorrespondentSendEffect,
  Whereabouts,
} from "../../../../../../controller/protocol/mip6/mobile-node/correspondents/inputs.js";
import type { CorrespondentsSite } from "../../../../../../controller/protocol/mip6/mobile-node/correspondents/machine.js";
import { bindingManagementKey } from "../../../../../../controller/protocol/mip6/return-routability/tokens.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
} from "../../../../../../controller/wire/mip6/messages/mobility-header.js";
import type { MobilityMessage } from "../../../../../../controller/wire/mip6/messages/mobility-message.js";
import { RO_PROFILE } from "../../../../../../controller/wire/mip6/profile.js";
import { CorrespondentWorld, SELF, sends } from "../../../../../lib/correspondent-node.js";
import { HOA, HOA4, IPV4, Node } from "./node.js";

export const SELF4 = ipv4("203.0.113.30");
const NAT = ipv4("203.0.113.77");
const OWN_PORT = 4191;
const CODEC = { profile: RO_PROFILE };

/** Both ends with IPv4 route optimisation. */
export const WITH_IPV4 = {
  node: { ipv4: { ...IPV4.ipv4, correspondents: [{ ipv6: SELF, ipv4: SELF4 }] } },
  correspondent: {
    ipv4: {
      addresses: new Map([[SELF, SELF4]]),
      modes: new Set(["ipv6-encapsulation", "ipv4-encapsulation", "ipv4-udp"] as const),
      combinedUpdates: true,
    },
  },
} as const;

interface Way {
  readonly path: Arrival["path"];
  readonly throughHomeAgent: boolean;
}

export class Talk {
  readonly node: Node;
  readonly world: CorrespondentWorld;
  /** Statuses of acknowledgements, in order. */
  readonly statuses: number[] = [];
  /** Whether this message gets through. */
  passes: () => boolean = () => true;
  /** Which of the packets under way comes next. */
  next: (count: number) => number = () => 0;
  /** The port that a NAT has given; absent: there is none. */
  natPort: number | undefined;
  readonly #underWay: (() => void)[] = [];
  /** Where the node's link has it. */
  #attached: IpAddress | undefined;

  constructor(
    ends: {
      readonly node?: Partial<CorrespondentsSite>;
      readonly correspondent?: Partial<CorrespondentNodeSite>;
    } = {},
  ) {
    this.node = new Node(ends.node);
    this.world = new CorrespondentWorld(ends.correspondent);
  }

  at(whereabouts: Whereabouts): this {
    this.#attached = whereabouts.kind === "home" ? undefined : whereabouts.careOf;
    this.node.at(whereabouts);
    return this;
  }

  /** Until neither says anything. */
  run(): this {
    for (let turns = 0; turns < 200; turns++) {
      for (const one of this.node.took()) this.#post(() => this.#toCorrespondent(one));
      if (this.#underWay.length === 0) return this;
      const [deliver] = this.#underWay.splice(this.next(this.#underWay.length), 1);
      deliver?.();
    }
    throw new Error("they talk without end");
  }

  pass(duration: number): this {
    this.world.pass(duration);
    for (const effect of sends(this.world.give({ kind: "timer" }))) this.#post(() => this.#toNode(effect));
    this.node.wait(duration);
    return this;
  }

  /** Time in which messages travel fast. */
  live(duration: number): this {
    for (let i = 0; i < 2 * duration; i++) this.pass(0.5).run();
    return this;
  }

  #post(deliver: () => void): void {
    if (this.passes()) this.#underWay.push(deliver);
  }

  #toCorrespondent({ message, source, destination, departure, authorization }: CorrespondentSendEffect): void {
    if (destination !== SELF) throw new Error(destination);
    const key = authorization && bindingManagementKey(authorization.tokens.home, authorization.tokens.careOf);
    const careOf = authorization?.careOf ?? source;
    const ends = { careOf, correspondent: SELF };
    const octets = encodeMobilityMessage(
      key === undefined ? message : withAuthenticator(message, key, ends, CODEC),
      CODEC,
    );
    const path = this.#wayOut(source, departure);
    if (path === undefined) return;
    const arrival: Arrival = { path, source, destination, protection: "none" };
    const heard = read(octets);
    if (heard.type === "binding-update") {
      const at = { careOf: careOfAddressOf(heard, arrival), correspondent: SELF };
      const covered = coveredOctets(octets, at, CODEC);
      this.#answer(this.world.give({ kind: "update", arrival, message: heard, ...(covered && { covered }) }));
    } else if (heard.type === "home-test-init" || heard.type === "care-of-test-init")
      this.#answer(this.world.give({ kind: "test-init", arrival, message: heard }));
    else throw new Error(heard.type);
  }

  /** How it comes to the correspondent; undefined: it does not. */
  #wayOut(source: Ipv6Address, departure: CorrespondentSendEffect["departure"]): Arrival["path"] | undefined {
    const native = { type: "native", device: "eth0" } as const;
    switch (departure.type) {
      case "native-direct":
        return source === HOA || source === this.#attached ? native : undefined;
      case "native-home-address-option":
        if (departure.careOf !== this.#attached) return undefined;
        return { ...native, homeAddressOptionCareOf: departure.careOf };
      case "over-ipv4": {
        const { localAddress, remoteAddress, remotePort } = departure;
        if (localAddress !== this.#attached || remoteAddress !== SELF4) return undefined;
        // A NAT has nothing for protocol 41.
        if (remotePort === undefined && this.natPort !== undefined) return undefined;
        const outerPort = remotePort === undefined ? NO_PORT : (this.natPort ?? OWN_PORT);
        const outerSource = this.natPort === undefined ? localAddress : NAT;
        return { type: "udp", outerSource, outerPort, outerDestination: SELF4 };
      }
      default:
        throw new Error(departure.type);
    }
  }

  #answer(effects: Parameters<typeof sends>[0]): void {
    for (const effect of sends(effects)) this.#post(() => this.#toNode(effect));
  }

  #toNode({ message, destination, departure, authorization }: AuthorizedSendEffect): void {
    const made =
      authorization === undefined
        ? message
        : withAuthenticator(message, authorization.keys, { careOf: authorization.careOf, correspondent: SELF }, CODEC);
    const octets = encodeMobilityMessage(made, CODEC);
    const heard = read(octets);
    const way = this.#wayIn(destination, departure);
    if (way === undefined) return;
    if (heard.type === "binding-acknowledgement") this.statuses.push(heard.status);
    this.node.hears(heard, {
      ...{ source: SELF, destination, ...way },
      authorized: (tokens, careOf) =>
        isAuthorizedBy(
          octets,
          bindingManagementKey(tokens.home, tokens.careOf),
          { careOf, correspondent: SELF },
          CODEC,
        ),
    });
  }

  #wayIn(destination: Ipv6Address, departure: AuthorizedSendEffect["departure"]): Way | undefined {
    const native = { type: "native", device: "up0" } as const;
    switch (departure.type) {
      case "native-direct":
        if (destination === HOA) return { path: native, throughHomeAgent: true };
        return destination === this.#attached ? { path: native, throughHomeAgent: false } : undefined;
      case "native-routed":
        if (departure.careOf !== this.#attached) return undefined;
        return { path: { ...native, routingHeaderHomeAddress: HOA }, throughHomeAgent: false };
      case "over-ipv4": {
        const { remoteAddress, remotePort } = departure;
        if (remoteAddress === HOA4) return { path: native, throughHomeAgent: true };
        return this.#isHere(remoteAddress, remotePort);
      }
      default:
        throw new Error(departure.type);
    }
  }

  #isHere(address: Ipv4Address, port: number | undefined): Way | undefined {
    const own = this.#attached as Ipv4Address | undefined;
    const isHere = this.natPort === undefined ? address === own : address === NAT && port === this.natPort;
    if (!isHere || own === undefined) return undefined;
    const udp = { type: "udp", outerSource: SELF4, outerPort: OWN_PORT, outerDestination: own } as const;
    return { path: port === undefined ? { type: "native", device: "dsmip-d" } : udp, throughHomeAgent: false };
  }
}

function read(octets: Uint8Array): MobilityMessage {
  const decoded = decodeMobilityMessage(octets, CODEC);
  if (!decoded.ok) throw decoded.error;
  return decoded.value;
}
