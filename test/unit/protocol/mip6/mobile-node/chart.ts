/**
 * Message sequence charts of one mobile node: a network in short words, a virtual clock, a home agent's answers made by hand. The kernel
 * answers at once unless `kernel` says otherwise. Whatever the machine sends is read back from its octets, so that a message that could
 * not be encoded never passes.
 */
import { isDeepStrictEqual } from "node:util";
import { InvariantError } from "../../../../../controller/base/errors.js";
import {
  familyOf,
  type IpAddress,
  ipv4,
  ipv6,
  maskAddress,
  type Prefix,
  parseIp,
  parsePrefix,
} from "../../../../../controller/base/ip.js";
import { seq16 } from "../../../../../controller/base/seq16.js";
import { type Instant, instant } from "../../../../../controller/base/time.js";
import type { Arrival, ProtocolEvent, SendEffect } from "../../../../../controller/protocol/mip6/inputs.js";
import {
  initialMobileNode,
  type MobileNodeDataPath,
  type MobileNodeEffect,
  type MobileNodeInput,
  type MobileNodeState,
  nextDeadline,
  step,
} from "../../../../../controller/protocol/mip6/mobile-node/machine.js";
import type { MobileNodeSite } from "../../../../../controller/protocol/movement/attachment.js";
import type {
  NetworkAddress,
  NetworkLink,
  NetworkRoute,
  NetworkView,
} from "../../../../../controller/protocol/movement/network-view.js";
import {
  type BindingAcknowledgement,
  type BindingUpdate,
  decodeMobilityMessage,
  encodeMobilityMessage,
  type MobilityMessage,
} from "../../../../../controller/wire/mip6/messages/mobility-header.js";
import {
  type BindingAcknowledgementFlags,
  bindingAcknowledgementFlags,
} from "../../../../../controller/wire/mip6/messages/registration.js";
import { NO_REFRESH_NEEDED } from "../../../../../controller/wire/mip6/options/dsmip.js";
import {
  findOption,
  type MobilityOption,
  type OptionOfKind,
} from "../../../../../controller/wire/mip6/options/mobility.js";
import { SOLIMAN_2004_PROFILE } from "../../../../../controller/wire/mip6/profile.js";

export const HOME_ADDRESS = ipv6("2001:db8:1::100");
export const IPV4_HOME_ADDRESS = ipv4("192.0.2.100");
export const HOME_AGENT = ipv6("2001:db8:1::1");
export const HOME_AGENT_IPV4 = ipv4("198.51.100.1");

export const prefix = (text: string): Prefix => {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new InvariantError(`no prefix: ${text}`);
  return parsed;
};

export const SITE: MobileNodeSite = {
  homeAddress: HOME_ADDRESS,
  ipv4HomeAddress: IPV4_HOME_ADDRESS,
  homePrefixes: [prefix("2001:db8:1::/64"), prefix("192.0.2.0/24")],
  homeAgent: { ipv6: HOME_AGENT, ipv4: HOME_AGENT_IPV4 },
  lifetimeSeconds: 600,
  forceUdp: false,
  natKeepaliveSeconds: 110,
  localNetworks: "own",
  exclude: [],
  previousCareOfGraceSeconds: 3,
};

/** "2001:db8:a::10/64", followed by any of: deprecated tentative temporary ours link noroute down, and metric=N. */
export type AddressWords = string;

/** Links by name with their addresses; each address brings an on-link route and a default route of its family. */
export function network(links: { readonly [device: string]: readonly AddressWords[] }): NetworkView {
  const view = { links: [] as NetworkLink[], addresses: [] as NetworkAddress[], routes: [] as NetworkRoute[] };
  Object.entries(links).forEach(([name, texts], i) => {
    const running = !texts.includes("down");
    view.links.push({ index: i + 2, name, up: true, running, ours: name.startsWith("mip") });
    for (const text of texts) if (text !== "down") addAddress(view, name, text);
  });
  return view;
}

function addAddress(view: { addresses: NetworkAddress[]; routes: NetworkRoute[] }, device: string, text: string): void {
  const [where = "", ...words] = text.split(" ");
  const [host = "", bits = ""] = where.split("/");
  const address = parseIp(host) as IpAddress;
  const prefixLength = Number(bits);
  const ours = words.includes("ours");
  view.addresses.push({
    device,
    address,
    prefixLength,
    scope: words.includes("link") ? "link" : "global",
    tentative: words.includes("tentative"),
    deprecated: words.includes("deprecated"),
    temporary: words.includes("temporary"),
    ours,
  });
  const metric = Number(words.find((word) => word.startsWith("metric="))?.slice(7) ?? 1024);
  const family = familyOf(address);
  const onLink = { address: maskAddress(address, prefixLength), length: prefixLength };
  const common = { family, device, metric, table: 254, ours };
  view.routes.push({ ...common, destination: onLink, protocol: 2 });
  if (words.includes("noroute") || ours) return;
  const gateway = parseIp(family === 6 ? "fe80::1" : "10.255.255.254") as IpAddress;
  view.routes.push({ ...common, destination: prefix(family === 6 ? "::/0" : "0.0.0.0/0"), via: gateway, protocol: 9 });
}

export type Update = SendEffect & { readonly message: BindingUpdate };

export interface Answer {
  /** Default: none. */
  readonly flags?: Partial<BindingAcknowledgementFlags>;
  readonly status?: number;
  readonly lifetimeUnits?: number;
  readonly sequence?: number;
  /** Absent: options 30 and 31 as a home agent without a NAT in sight gives them. */
  readonly options?: readonly MobilityOption[];
  readonly arrival?: Partial<Arrival>;
}

export const accepted4: OptionOfKind<"ipv4-address-acknowledgement"> = {
  kind: "ipv4-address-acknowledgement",
  status: 0,
  prefixLength: 32,
  address: IPV4_HOME_ADDRESS,
};
export const nat = (refreshSeconds: number, forceUdp = false): MobilityOption => ({
  kind: "nat-detection",
  forceUdp,
  refreshSeconds,
});

export class Chart {
  state: MobileNodeState;
  now: Instant = instant(1_000_000);
  kernel: "ready" | "silent" | "refusing" = "ready";
  path: MobileNodeDataPath | undefined;
  /** Everything asked for so far. */
  readonly effects: MobileNodeEffect[] = [];
  #read = 0;

  constructor(site: Partial<MobileNodeSite> = {}) {
    this.state = initialMobileNode({ ...SITE, ...site });
  }

  give(input: MobileNodeInput): this {
    const { state, effects } = step(this.state, input, this.now);
    this.state = state;
    for (const effect of effects) {
      this.effects.push(effect);
      if (effect.kind === "send") assertEncodable(effect);
      if (effect.kind === "data-path") this.path = effect.path;
    }
    if (effects.some((effect) => effect.kind === "data-path") && this.kernel !== "silent") this.programmed();
    return this;
  }

  /** The kernel's answer for the last data path. */
  programmed(): this {
    const failure = this.kernel === "refusing" ? { failure: "no such device" } : {};
    return this.give({ kind: "programmed", homeAddress: HOME_ADDRESS, revision: this.path?.revision ?? 0, ...failure });
  }

  sees(links: { readonly [device: string]: readonly AddressWords[] }): this {
    return this.give({ kind: "network", view: network(links) });
  }

  /** Lets time pass, with a timer input at each deadline. A machine that always wants another one fails. */
  wait(seconds: number): this {
    const end = this.now + seconds * 1000;
    for (let steps = 0; steps < 10_000; steps++) {
      const deadline = nextDeadline(this.state);
      if (deadline === undefined || deadline > end) {
        this.now = instant(end);
        return this;
      }
      this.now = instant(Math.max(this.now, deadline));
      this.give({ kind: "timer" });
    }
    throw new InvariantError("the machine does not come to rest");
  }

  answer(update: Update, answer: Answer = {}): this {
    const message: BindingAcknowledgement = {
      type: "binding-acknowledgement",
      status: answer.status ?? 0,
      flags: bindingAcknowledgementFlags(answer.flags),
      sequence: seq16(answer.sequence ?? update.message.sequence),
      lifetimeUnits: answer.lifetimeUnits ?? update.message.lifetimeUnits,
      options: answer.options ?? plainAnswer(update),
    };
    return this.hears(message, { ...arrivalOf(update), ...answer.arrival });
  }

  hears(message: MobilityMessage, arrival: Arrival = arrivalOf(undefined)): this {
    return this.give({ kind: "message", arrival, message });
  }

  /** The effects of a kind since the last call of `news` or of this. */
  news<K extends MobileNodeEffect["kind"]>(kind: K): readonly Extract<MobileNodeEffect, { readonly kind: K }>[] {
    const fresh = this.effects.slice(this.#read);
    this.#read = this.effects.length;
    return fresh.filter((effect): effect is Extract<MobileNodeEffect, { readonly kind: K }> => effect.kind === kind);
  }

  /** The updates sent since the last look. */
  updates(): readonly Update[] {
    return this.news("send") as readonly Update[];
  }

  /** The only update sent since the last look. */
  update(): Update {
    const updates = this.updates();
    const [only] = updates;
    if (only === undefined || updates.length !== 1)
      throw new InvariantError(`${updates.length} updates, one is wanted`);
    return only;
  }

  events(name: ProtocolEvent["event"]): readonly ProtocolEvent["detail"][] {
    return this.effects.flatMap((one) => (one.kind === "notify" && one.event.event === name ? [one.event.detail] : []));
  }

  drops(): readonly string[] {
    return this.effects.flatMap((effect) => (effect.kind === "drop" ? [effect.reason] : []));
  }
}

/** The names of the options of a message. */
export const optionKinds = (update: Update): readonly string[] => update.message.options.map((option) => option.kind);

function plainAnswer(update: Update): readonly MobilityOption[] {
  const options: MobilityOption[] = [];
  if (findOption(update.message.options, "ipv4-home-address") !== undefined) options.push(accepted4);
  if (update.departure.type === "udp") options.push(nat(NO_REFRESH_NEEDED, update.message.flags.forceUdp));
  return options;
}

export function arrivalOf(update: Update | undefined): Arrival {
  const way = { source: HOME_AGENT, destination: HOME_ADDRESS, protection: "esp" } as const;
  if (update?.departure.type === "udp") {
    const outerDestination = update.departure.localAddress;
    return { path: { type: "udp", outerSource: HOME_AGENT_IPV4, outerPort: 4191, outerDestination }, ...way };
  }
  const routed = update?.departure.type === "native-home-address-option";
  const routingHeader = routed ? { routingHeaderHomeAddress: HOME_ADDRESS } : {};
  return { path: { type: "native", device: "eth0", ...routingHeader }, ...way };
}

/** Of options 29 and 30: the 2004 draft's are told from RFC 5555's by their Length (C-53). */
const EITHER_FORM = { profile: SOLIMAN_2004_PROFILE };

function assertEncodable(effect: SendEffect): void {
  const back = decodeMobilityMessage(encodeMobilityMessage(effect.message, EITHER_FORM), EITHER_FORM);
  if (!back.ok) throw back.error;
  if (!isDeepStrictEqual(back.value, effect.message)) {
    throw new InvariantError(`sent ${JSON.stringify(effect.message)}, read ${JSON.stringify(back.value)}`);
  }
}
