/** A home agent of Mobile IPv4 with two nodes, and what its machine says to requests; the authenticators are what a test says they are. */
import { type Ipv4Address, ipv4, ipv6, type Prefix, parsePrefix } from "../../controller/base/ip.js";
import { type Instant, instant } from "../../controller/base/time.js";
import type {
  HomeAgentEffect,
  HomeAgentInput,
  ReplyEffect,
  RequestInput,
} from "../../controller/protocol/mip4/home-agent/inputs.js";
import { HomeAgentState, ownershipOf, step } from "../../controller/protocol/mip4/home-agent/machine.js";
import type { HomeAgentSite, HomeSubscriber } from "../../controller/protocol/mip4/home-agent/site.js";
import type { Arrival, AuthenticationVerdict } from "../../controller/protocol/mip4/inputs.js";
import type { OwnershipSite } from "../../controller/protocol/ownership/ownership.js";
import type { RegistrationExtension } from "../../controller/wire/mip4/extensions/registration.js";
import { isAuthentication } from "../../controller/wire/mip4/messages/authenticated-octets.js";
import type { RegistrationRequest } from "../../controller/wire/mip4/messages/control-message.js";
import {
  type Identification,
  type RequestFlags,
  requestFlags,
} from "../../controller/wire/mip4/messages/registration.js";

export const prefix = (text: string): Prefix => {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`no prefix: ${text}`);
  return parsed;
};

export const HA = ipv4("203.0.113.1");
export const HOA = ipv4("192.0.2.10");
export const OTHER_HOA = ipv4("192.0.2.11");
export const COA = ipv4("198.51.100.7");
export const NAT = ipv4("198.51.100.200");
export const NODE = ipv6("2001:db8:1::10");
export const OTHER = ipv6("2001:db8:1::11");
export const ROAMER = ipv6("2001:db8:1::12");
export const OWN = prefix("2001:db8:5::/48");
export const SPI = 256;
const timestamps = { kind: "timestamps", toleranceSeconds: 7 } as const;

export const NODE_SUBSCRIBER: HomeSubscriber = {
  node: NODE,
  ipv4HomeAddress: HOA,
  associations: [{ spi: SPI, replayProtection: timestamps }],
  profile: "default",
  prefixes: [OWN, prefix("2001:db8:6::/48")],
  prefixRegistration: "explicit",
};

export const SITE: HomeAgentSite = {
  address: HA,
  homePrefixes: [prefix("192.0.2.0/24")],
  maxLifetimeSeconds: 1800,
  reverseTunnelling: "optional",
  encapsulations: { gre: true, greInUdp: false },
  udpTunnelling: { allowed: true, forced: true, keepaliveSeconds: 45 },
  careOfMode: true,
  previousCareOfGraceSeconds: 5,
  subscribers: [
    NODE_SUBSCRIBER,
    {
      node: OTHER,
      ipv4HomeAddress: OTHER_HOA,
      associations: [{ spi: SPI, replayProtection: { kind: "nonces" } }],
      profile: "default",
      prefixes: [prefix("2001:db8:7::/48")],
      prefixRegistration: "implicit",
      linkLocal: true,
    },
    {
      node: ROAMER,
      identifier: "roamer@example.org",
      associations: [{ spi: SPI, replayProtection: timestamps }],
      profile: "default",
      borrowsPrefixes: true,
      linkLocal: true,
    },
  ],
  ipv4LeaseSeconds: 300,
};

export const POOL: Partial<OwnershipSite> = {
  pool: [prefix("192.0.2.128/30")],
  networkPool: { prefixes: [prefix("2001:db8:f000::/40")], lengths: { ipv4: [], ipv6: [56] }, mostPerNode: 2 },
};

export interface Asked {
  readonly homeAddress?: Ipv4Address;
  readonly homeAgent?: Ipv4Address;
  readonly careOfAddress?: Ipv4Address;
  readonly lifetimeSeconds?: number;
  readonly flags?: Partial<RequestFlags>;
  readonly identification?: Identification;
  readonly extensions?: readonly RegistrationExtension[];
  /** After the node's authentication. */
  readonly behind?: readonly RegistrationExtension[];
  readonly spi?: number;
  readonly verdicts?: readonly AuthenticationVerdict[];
  readonly arrival?: Partial<Arrival>;
  readonly nonce?: number;
}

const CO_LOCATED = { decapsulatesItself: true, reverseTunnelling: true } as const;

/** One home agent over time. Its clock of the day starts in 2026 and goes with the machine's. */
export class HomeAgentBench {
  readonly state: HomeAgentState;
  now: Instant = instant(0);
  /** Seconds since 1900 at instant 0. */
  readonly #epoch = 0xed000000;

  constructor(site: Partial<HomeAgentSite> = {}, pool: Partial<OwnershipSite> = POOL) {
    const whole = { ...SITE, ...site };
    this.state = new HomeAgentState(whole, ownershipOf(whole, pool));
  }

  /** The home agent's time of day, `ahead` seconds later. */
  timestamp(ahead = 0): Identification {
    const ticks = this.now / 1000 + ahead;
    const whole = Math.floor(ticks);
    return { high: (this.#epoch + whole) >>> 0, low: Math.floor((ticks - whole) * 2 ** 32) >>> 0 };
  }

  wait(seconds: number): void {
    this.now = instant(this.now + 1000 * seconds);
  }

  step(input: HomeAgentInput): readonly HomeAgentEffect[] {
    return step(this.state, input, this.now);
  }

  /** A request, a hundredth of a second after whatever was before. */
  input(asked: Asked = {}): RequestInput {
    this.wait(0.01);
    const { homeAddress = HOA, spi = SPI, extensions = [], behind = [] } = asked;
    const authentication = { kind: "mobile-home-authentication", spi, authenticator: new Uint8Array(16) } as const;
    const request: RegistrationRequest = {
      type: "registration-request",
      flags: requestFlags(asked.flags ?? CO_LOCATED),
      lifetimeSeconds: asked.lifetimeSeconds ?? 600,
      homeAddress,
      homeAgent: asked.homeAgent ?? HA,
      careOfAddress: asked.careOfAddress ?? COA,
      identification: asked.identification ?? this.timestamp(),
      extensions: [...extensions, authentication, ...behind],
    };
    const authentications = request.extensions.filter(isAuthentication).length;
    return {
      kind: "request",
      arrival: { source: COA, sourcePort: 40000, destination: HA, device: "eth0", ...asked.arrival },
      request,
      verdicts: asked.verdicts ?? new Array<AuthenticationVerdict>(authentications).fill("valid"),
      timeOfDay: this.timestamp(),
      nonce: asked.nonce ?? 0x1234,
    };
  }

  ask(asked: Asked = {}): readonly HomeAgentEffect[] {
    return this.step(this.input(asked));
  }

  /** Has the kernel do whatever it is asked in these effects. */
  settle(effects: readonly HomeAgentEffect[], failure?: string): readonly HomeAgentEffect[] {
    return effects.flatMap((effect): readonly HomeAgentEffect[] => {
      const what = effect.kind === "data-path" ? effect.path : effect.kind === "data-path-removed" ? effect : undefined;
      if (what === undefined) return [effect];
      const { node, revision } = what;
      const kernel = { kind: "programmed", node, revision, ...(failure === undefined ? {} : { failure }) } as const;
      return [effect, ...this.step(kernel)];
    });
  }

  /** Asks, and lets the kernel do it. */
  register(asked: Asked = {}): readonly HomeAgentEffect[] {
    return this.settle(this.ask(asked));
  }
}

export function replyIn(effects: readonly HomeAgentEffect[]): ReplyEffect {
  const replies = effects.filter((effect) => effect.kind === "reply");
  const [reply] = replies;
  if (reply === undefined || replies.length > 1)
    throw new Error(`${replies.length} replies: ${JSON.stringify(effects)}`);
  return reply;
}

export const codeIn = (effects: readonly HomeAgentEffect[]): number => replyIn(effects).reply.code;

export function dropIn(effects: readonly HomeAgentEffect[]): string {
  const [first, second] = effects;
  if (first?.kind !== "drop" || second !== undefined) throw new Error(`not one drop: ${JSON.stringify(effects)}`);
  return first.reason;
}

export const kinds = (effects: readonly HomeAgentEffect[]): readonly string[] => effects.map(({ kind }) => kind);

export function ofKind<K extends HomeAgentEffect["kind"]>(
  effects: readonly HomeAgentEffect[],
  kind: K,
): readonly Extract<HomeAgentEffect, { readonly kind: K }>[] {
  return effects.filter((effect): effect is Extract<HomeAgentEffect, { readonly kind: K }> => effect.kind === kind);
}
