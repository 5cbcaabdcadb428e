/**
 * The home agent's machine with everything around it played: a clock that stands still, a kernel that grants, refuses or keeps silent,
 * a home link, a journal. Shared by the tests of the home agent and by the simulator.
 */
import { isDeepStrictEqual } from "node:util";
import {
  type IpAddress,
  type Ipv4Address,
  type Ipv6Address,
  ipv4,
  ipv6,
  isIpv4,
  type Prefix,
  parsePrefix,
} from "../../controller/base/ip.js";
import { seq16 } from "../../controller/base/seq16.js";
import { after, elapsed, type Instant, instant, seconds } from "../../controller/base/time.js";
import {
  type BindingEntry,
  type BindingView,
  viewOf,
} from "../../controller/protocol/mip6/home-agent/binding-cache.js";
import type {
  DataPathEffect,
  DataPathRemovedEffect,
  HomeAgentEffect,
  HomeAgentInput,
} from "../../controller/protocol/mip6/home-agent/inputs.js";
import { HomeAgentState, nextDeadline, step } from "../../controller/protocol/mip6/home-agent/machine.js";
import type { HomeAgentSite, HomeSubscriber } from "../../controller/protocol/mip6/home-agent/site.js";
import type { Arrival, DataPath, ProtocolEvent, SendEffect } from "../../controller/protocol/mip6/inputs.js";
import { decodeMobilityMessage, encodeMobilityMessage } from "../../controller/wire/mip6/messages/mobility-header.js";
import type {
  BindingAcknowledgement,
  BindingUpdate,
  MobilityMessage,
} from "../../controller/wire/mip6/messages/mobility-message.js";
import { type BindingUpdateFlags, bindingUpdateFlags } from "../../controller/wire/mip6/messages/registration.js";
import type { MobilityOption } from "../../controller/wire/mip6/options/mobility.js";
import { SOLIMAN_2004_PROFILE } from "../../controller/wire/mip6/profile.js";

export const HA = ipv6("2001:db8:1::1");
export const HA4 = ipv4("203.0.113.1");
export const HOA = ipv6("2001:db8:1::10");
export const HOA4 = ipv4("192.0.2.10");
/** A second subscriber. */
export const HOA_B = ipv6("2001:db8:1::11");
export const HOA4_B = ipv4("192.0.2.11");
/** A subscriber without an IPv4 home address of its own. */
export const HOA_C = ipv6("2001:db8:1::12");
export const COA = ipv6("2001:db8:2::20");
export const COA_2 = ipv6("2001:db8:3::20");
export const COA4 = ipv4("198.51.100.9");
export const PRIVATE4 = ipv4("10.0.0.5");
export const NAT4 = ipv4("198.51.100.7");
export const NAT_PORT = 40000;

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`not a prefix: ${text}`);
  return parsed;
}

export const subscribers = (list: readonly HomeSubscriber[]): ReadonlyMap<Ipv6Address, HomeSubscriber> =>
  new Map(list.map((one) => [one.homeAddress, one]));

export function site(changes: Partial<HomeAgentSite> = {}): HomeAgentSite {
  return {
    addresses: { ipv6: HA, ipv4: HA4 },
    homePrefixes: [prefix("2001:db8:1::/64"), prefix("192.0.2.0/24")],
    maxLifetimeSeconds: 3600,
    natRefreshSeconds: 110,
    forceUdp: "grant",
    duplicateAddressDetection: false,
    previousCareOfGraceSeconds: 3,
    subscribers: subscribers([
      { homeAddress: HOA, ipv4HomeAddress: HOA4, profile: "default" },
      { homeAddress: HOA_B, ipv4HomeAddress: HOA4_B, profile: "gold" },
      { homeAddress: HOA_C, profile: "default" },
    ]),
    ...changes,
  };
}

/** A binding update as a mobile node would fill it in: A and H set, 600 s. */
export interface UpdateFields {
  readonly sequence: number;
  readonly lifetimeUnits?: number;
  readonly flags?: Partial<BindingUpdateFlags>;
  readonly options?: readonly MobilityOption[];
}

export function bindingUpdate({
  sequence,
  lifetimeUnits = 150,
  flags = {},
  options = [],
}: UpdateFields): BindingUpdate {
  return {
    type: "binding-update",
    sequence: seq16(sequence),
    flags: bindingUpdateFlags({ acknowledge: true, homeRegistration: true, ...flags }),
    lifetimeUnits,
    options,
  };
}

export const option29 = (
  address: Ipv4Address | string,
  prefixLength = 32,
  mobileNetworkPrefix = false,
): MobilityOption => ({
  kind: "ipv4-home-address",
  prefixLength,
  mobileNetworkPrefix,
  address: ipv4(address),
});
/** "2001:db8:7::/56"; host bits and any length may stand there. */
export const option6 = (text: string): MobilityOption => {
  const [address = "", length = ""] = text.split("/");
  return { kind: "mobile-network-prefix", prefix: ipv6(address), prefixLength: Number(length) };
};
export const option32 = (address: Ipv4Address): MobilityOption => ({ kind: "ipv4-care-of-address", address });
export const alternateCareOf = (address: Ipv6Address): MobilityOption => ({
  kind: "alternate-care-of-address",
  address,
});

/** Away on IPv6: Home Address option, care-of address on the wire. */
export function native(careOf: Ipv6Address, homeAddress = HOA, changes: Partial<Arrival> = {}): Arrival {
  const path = { type: "native", device: "up0", homeAddressOptionCareOf: careOf } as const;
  return { path, source: homeAddress, destination: HA, protection: "esp", ...changes };
}

/** On the home link: no Home Address option. */
export function atHome(homeAddress = HOA): Arrival {
  return { path: { type: "native", device: "home0" }, source: homeAddress, destination: HA, protection: "esp" };
}

/** Through UDP, as seen behind the last NAT. */
export function udp(
  outerSource: IpAddress,
  outerPort = 4191,
  homeAddress = HOA,
  changes: Partial<Arrival> = {},
): Arrival {
  const path = { type: "udp", outerSource, outerPort, outerDestination: isIpv4(outerSource) ? HA4 : HA } as const;
  return { path, source: homeAddress, destination: HA, protection: "esp", ...changes };
}

export type KernelEffect = DataPathEffect | DataPathRemovedEffect;
/** undefined: granted at once; "silent": no answer until `answerKernel`; any other text: refused with it. */
export type KernelMood = (effect: KernelEffect) => string | undefined;

export const GRANTS: KernelMood = () => undefined;
export const SILENT: KernelMood = () => "silent";

const revisionOf = (effect: KernelEffect): number =>
  effect.kind === "data-path" ? effect.path.revision : effect.revision;
const homeAddressOf = (effect: KernelEffect): Ipv6Address =>
  effect.kind === "data-path" ? effect.path.homeAddress : effect.homeAddress;

export class HomeAgentHarness {
  readonly state: HomeAgentState;
  now: Instant = instant(1_000_000);
  kernelMood: KernelMood = GRANTS;
  /** What the home link says about a probed address; "silent": nothing until `answerDad`. */
  dadMood: (address: Ipv6Address) => "free" | "taken" | "silent" = () => "free";
  /** What the played kernel has. */
  readonly kernel = new Map<Ipv6Address, DataPath>();
  /** Effects that the played kernel has not answered. */
  readonly asked: KernelEffect[] = [];
  readonly journal = new Map<
    string,
    { readonly record: Readonly<Record<string, unknown>>; readonly writtenAt: Instant }
  >();
  /** All effects since the last `take`. */
  #effects: HomeAgentEffect[] = [];

  constructor(changes: Partial<HomeAgentSite> = {}) {
    this.state = new HomeAgentState(site(changes));
  }

  /** Steps the machine, then lets the world answer until it has nothing more to say. */
  step(input: HomeAgentInput): readonly HomeAgentEffect[] {
    const effects = step(this.state, input, this.now);
    this.#effects.push(...effects);
    for (const effect of effects) this.#perform(effect);
    return effects;
  }

  deliver(arrival: Arrival, message: MobilityMessage): readonly HomeAgentEffect[] {
    return this.step({ kind: "message", arrival, message });
  }

  /** A binding update of the first subscriber, or of whom `arrival` says, and the answer to it if there is one at once. */
  update(arrival: Arrival, fields: UpdateFields): BindingAcknowledgement | undefined {
    this.take();
    this.deliver(arrival, bindingUpdate(fields));
    return this.acknowledgements().at(-1);
  }

  /** Lets time pass, with a timer input at each deadline on the way. */
  advance(bySeconds: number): void {
    const end = after(this.now, seconds(bySeconds));
    for (;;) {
      const deadline = nextDeadline(this.state);
      if (deadline === undefined || deadline > end) break;
      if (deadline > this.now) this.now = deadline;
      this.step({ kind: "timer" });
    }
    this.now = end;
  }

  /** Seconds until the next deadline. */
  get deadline(): number | undefined {
    const at = nextDeadline(this.state);
    return at === undefined ? undefined : elapsed(this.now, at);
  }

  /** The kernel answers what it was asked, the oldest first. */
  answerKernel(failure?: string, effect = this.asked[0]): void {
    if (effect === undefined) throw new Error("the kernel was asked nothing");
    this.asked.splice(this.asked.indexOf(effect), 1);
    if (failure === undefined) this.#apply(effect);
    this.step({
      kind: "programmed",
      homeAddress: homeAddressOf(effect),
      revision: revisionOf(effect),
      ...(failure === undefined ? {} : { failure }),
    });
  }

  answerDad(address: Ipv6Address, conflict: boolean, homeAddress = HOA): void {
    this.step({ kind: "dad-completed", homeAddress, address, conflict });
  }

  /** The effects since the last call. */
  take(): readonly HomeAgentEffect[] {
    const taken = this.#effects;
    this.#effects = [];
    return taken;
  }

  effects<K extends HomeAgentEffect["kind"]>(kind: K): readonly Extract<HomeAgentEffect, { readonly kind: K }>[] {
    return this.#effects.filter((one): one is Extract<HomeAgentEffect, { readonly kind: K }> => one.kind === kind);
  }

  sends(): readonly SendEffect[] {
    return this.effects("send");
  }

  acknowledgements(): readonly BindingAcknowledgement[] {
    return this.sends()
      .map(({ message }) => message)
      .filter((message): message is BindingAcknowledgement => message.type === "binding-acknowledgement");
  }

  events(): readonly ProtocolEvent["event"][] {
    return this.effects("notify").map(({ event }) => event.event);
  }

  drops(): readonly string[] {
    return this.effects("drop").map(({ reason }) => reason);
  }

  entry(homeAddress = HOA): BindingEntry | undefined {
    return this.state.cache.get(homeAddress);
  }

  view(homeAddress = HOA): BindingView | undefined {
    const entry = this.entry(homeAddress);
    return entry === undefined ? undefined : viewOf(entry, this.now);
  }

  /** A new machine that gets this one's journal `downSeconds` later; its clock has another zero point. */
  restart(downSeconds: number, changes: Partial<HomeAgentSite> = {}): HomeAgentHarness {
    const successor = new HomeAgentHarness(changes);
    successor.now = instant(5);
    const bindings = [...this.journal.values()].map(({ record, writtenAt }) => ({
      record: JSON.parse(JSON.stringify(record)) as Readonly<Record<string, unknown>>,
      ageSeconds: elapsed(writtenAt, this.now) + downSeconds,
    }));
    for (const [key, value] of this.journal) successor.journal.set(key, value);
    successor.step({ kind: "restore", bindings });
    return successor;
  }

  #perform(effect: HomeAgentEffect): void {
    if (effect.kind === "send") assertEncodable(effect);
    if (effect.kind === "data-path" || effect.kind === "data-path-removed") this.#ask(effect);
    if (effect.kind === "dad") {
      const answer = this.dadMood(effect.address);
      if (answer !== "silent") this.answerDad(effect.address, answer === "taken", effect.homeAddress);
    }
    if (effect.kind === "journal") {
      if (effect.record === null) this.journal.delete(effect.key);
      else this.journal.set(effect.key, { record: effect.record, writtenAt: this.now });
    }
  }

  #ask(effect: KernelEffect): void {
    this.asked.push(effect);
    const answer = this.kernelMood(effect);
    if (answer !== "silent") this.answerKernel(answer, effect);
  }

  #apply(effect: KernelEffect): void {
    if (effect.kind === "data-path") this.kernel.set(effect.path.homeAddress, effect.path);
    else this.kernel.delete(effect.homeAddress);
  }
}

/** Read as whoever asks in that form reads them: option 30 has the same Length in both (C-53). */
const contextOf = ({ options }: { readonly options: readonly MobilityOption[] }) =>
  options.some(({ kind }) => kind === "ipv4-address-acknowledgement-2004") ? { profile: SOLIMAN_2004_PROFILE } : {};

function assertEncodable({ message }: SendEffect): void {
  const context = "options" in message ? contextOf(message) : {};
  const decoded = decodeMobilityMessage(encodeMobilityMessage(message, context), context);
  if (!decoded.ok) throw decoded.error;
  if (!isDeepStrictEqual(decoded.value, message)) {
    throw new Error(`sent ${JSON.stringify(message)}, which reads as ${JSON.stringify(decoded.value)}`);
  }
}
