/** A foreign agent on one link, and what its machine says; requests and replies are octets, and their authenticators are right. */
import { fromHex, toHex } from "../../controller/base/bytes.js";
import { IPV4_ANY, type Ipv4Address, ipv4 } from "../../controller/base/ip.js";
import { Secret } from "../../controller/base/secret.js";
import { type Instant, instant } from "../../controller/base/time.js";
import { type AuthenticationKey, authenticateWith, verdictOn } from "../../controller/daemon/mip4/authenticators.js";
import type {
  ForeignAgentEffect,
  ForeignAgentInput,
  ToVisitor,
} from "../../controller/protocol/mip4/foreign-agent/inputs.js";
import { ForeignAgentState, nextDeadline, step } from "../../controller/protocol/mip4/foreign-agent/machine.js";
import type { ForeignAgentSite } from "../../controller/protocol/mip4/foreign-agent/site.js";
import type { RegistrationExtension } from "../../controller/wire/mip4/extensions/registration.js";
import {
  appendAuthenticated,
  authenticationsOf,
  encodeAuthenticated,
} from "../../controller/wire/mip4/messages/authenticated-octets.js";
import {
  locateControlMessage,
  type RegistrationMessage,
  type RegistrationReply,
  type RegistrationRequest,
} from "../../controller/wire/mip4/messages/control-message.js";
import { type RequestFlags, requestFlags } from "../../controller/wire/mip4/messages/registration.js";

export const COA = ipv4("203.0.113.10");
export const LINK = ipv4("192.0.2.1");
export const HA = ipv4("203.0.113.1");
export const HA2 = ipv4("203.0.113.2");
export const HOA = ipv4("198.51.100.101");
export const MAC = "02:00:00:00:00:01";
export const ALL_AGENTS = ipv4("224.0.0.11");

const keyOf = (last: string): AuthenticationKey => ({
  algorithm: "hmac-md5",
  key: new Secret(fromHex(`000102030405060708090a0b0c0d0e${last}`)),
});
const KEYS = {
  "mobile-home-authentication": keyOf("01"),
  "mobile-foreign-authentication": keyOf("02"),
  "foreign-home-authentication": keyOf("03"),
  "mobile-aaa-authentication": keyOf("04"),
} as const;
/** Every party has the right keys. */
export const right = (extension: { readonly kind: keyof typeof KEYS }): AuthenticationKey => KEYS[extension.kind];

export const FA_SITE: ForeignAgentSite = {
  careOfAddress: COA,
  links: [
    {
      device: "visit",
      address: LINK,
      prefixLength: 24,
      advertisementIntervalSeconds: 10,
      advertisementLifetimeSeconds: 30,
      registrationRequired: false,
      advertisesPrefixLength: true,
    },
  ],
  registrationLifetimeSeconds: 600,
  reverseTunnelling: "optional",
  gre: false,
  routesCommonTraffic: false,
  challenge: false,
  strictReservedBits: true,
  mostVisitors: 3,
  mobileNodes: [],
  homeAgents: [],
};

const NOT_MADE = new Uint8Array(0);
export const MOBILE_HOME: RegistrationExtension = {
  kind: "mobile-home-authentication",
  spi: 256,
  authenticator: NOT_MADE,
};

export interface Request {
  readonly flags?: Partial<RequestFlags>;
  readonly homeAddress?: Ipv4Address;
  readonly homeAgent?: Ipv4Address;
  readonly careOfAddress?: Ipv4Address;
  readonly lifetimeSeconds?: number;
  readonly low?: number;
  readonly extensions?: readonly RegistrationExtension[];
  readonly linkAddress?: string;
  readonly source?: Ipv4Address;
  readonly destination?: Ipv4Address;
  readonly timeToLive?: number;
}

let serial = 0;

export class ForeignAgentBench {
  readonly state: ForeignAgentState;
  now: Instant = instant(0);
  /** The kernel's answer to data paths; null: none. */
  kernel: { readonly failure?: string } | null = {};
  readonly effects: ForeignAgentEffect[] = [];

  constructor(site: Partial<ForeignAgentSite> = {}) {
    this.state = new ForeignAgentState({ ...FA_SITE, ...site });
  }

  /** One input, and the kernel's answers to it. */
  step(input: ForeignAgentInput): readonly ForeignAgentEffect[] {
    const entropy = Uint8Array.from({ length: 20 }, (_, i) => (i * 7 + serial++) & 0xff);
    const effects = step(this.state, input, { now: this.now, entropy });
    const all = [...effects];
    for (const effect of effects) {
      if (this.kernel === null || (effect.kind !== "data-path" && effect.kind !== "data-path-removed")) continue;
      const visitor = effect.kind === "data-path" ? effect.path.visitor : effect.visitor;
      for (const one of this.step({ kind: "programmed", visitor, revision: effect.revision, ...this.kernel }))
        all.push(one);
    }
    this.effects.push(...effects);
    return all;
  }

  wait(seconds: number): readonly ForeignAgentEffect[] {
    const end = this.now + 1000 * seconds;
    const all: ForeignAgentEffect[] = [];
    for (;;) {
      const due = nextDeadline(this.state);
      if (due === undefined || due > end) break;
      this.now = instant(Math.max(this.now, due));
      for (const one of this.step({ kind: "timer" })) all.push(one);
    }
    this.now = instant(end);
    return all;
  }

  request(given: Request = {}, key: (extension: { readonly kind: keyof typeof KEYS }) => AuthenticationKey = right) {
    const message: RegistrationRequest = {
      type: "registration-request",
      flags: requestFlags({ reverseTunnelling: true, ...given.flags }),
      lifetimeSeconds: given.lifetimeSeconds ?? 300,
      homeAddress: given.homeAddress ?? HOA,
      homeAgent: given.homeAgent ?? HA,
      careOfAddress: given.careOfAddress ?? COA,
      identification: { high: 7, low: given.low ?? ++serial },
      extensions: given.extensions ?? [MOBILE_HOME],
    };
    return this.octets(encodeAuthenticated(message, authenticateWith(key)), given);
  }

  octets(octets: Uint8Array, given: Request = {}): readonly ForeignAgentEffect[] {
    return this.step({
      kind: "request",
      ...received(octets),
      device: "visit",
      linkAddress: given.linkAddress ?? MAC,
      source: given.source ?? given.homeAddress ?? HOA,
      sourcePort: 434,
      destination: given.destination ?? LINK,
      timeToLive: given.timeToLive ?? 255,
    });
  }

  /** What the home agent answers to what was relayed last. */
  reply(effects: readonly ForeignAgentEffect[], given: Partial<RegistrationReply> = {}, source?: Ipv4Address) {
    const { message: request } = locateControlMessage(relayed(effects));
    if (request.type !== "registration-request") throw new Error(request.type);
    const message: RegistrationReply = {
      type: "registration-reply",
      code: 0,
      lifetimeSeconds: request.lifetimeSeconds,
      homeAddress: request.homeAddress,
      homeAgent: request.homeAgent,
      identification: request.identification,
      extensions: [MOBILE_HOME],
      ...given,
    };
    const octets = encodeAuthenticated(message, authenticateWith(right));
    return this.step({ kind: "reply", ...received(octets), source: source ?? request.homeAgent });
  }

  /** Asks and is answered. */
  register(given: Request = {}): readonly ForeignAgentEffect[] {
    return this.reply(this.request(given));
  }
}

export function received(octets: Uint8Array) {
  const verdicts = authenticationsOf(octets).map((one) => verdictOn(one, right));
  return { located: locateControlMessage(octets), octets, verdicts };
}

/** The octets that went to a home agent. */
export function relayed(effects: readonly ForeignAgentEffect[]): Uint8Array {
  for (const effect of effects)
    if (effect.kind === "send" && effect.message.to === "home-agent") return made(effect.message.relayed);
  throw new Error(`nothing was relayed: ${JSON.stringify(effects)}`);
}

function made({ octets, extensions, authentication }: Extract<ToVisitor["content"], { kind: "relayed" }>["relayed"]) {
  const own = authentication === undefined ? [] : [{ ...authentication, authenticator: NOT_MADE }];
  return appendAuthenticated(octets, [...extensions, ...own], authenticateWith(right));
}

/** What went to the node. */
export function answered(
  effects: readonly ForeignAgentEffect[],
): { readonly to: ToVisitor; readonly reply: RegistrationReply; readonly octets: Uint8Array } | undefined {
  for (const effect of effects) {
    if (effect.kind !== "send" || effect.message.to !== "visitor") continue;
    const { content } = effect.message;
    const octets =
      content.kind === "relayed" ? made(content.relayed) : encodeAuthenticated(content.reply, authenticateWith(right));
    const { message } = locateControlMessage(octets);
    if (message.type !== "registration-reply") throw new Error(message.type);
    return { to: effect.message, reply: message, octets };
  }
  return undefined;
}

export const codeOf = (effects: readonly ForeignAgentEffect[]): number | undefined => answered(effects)?.reply.code;
export const dropsOf = (effects: readonly ForeignAgentEffect[]): readonly string[] =>
  effects.flatMap((effect) => (effect.kind === "drop" ? [effect.reason] : []));
export const hex = toHex;
export const NOWHERE = IPV4_ANY;
export type { RegistrationMessage };
