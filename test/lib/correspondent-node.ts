/** A correspondent node's machine without kernel, sockets and clock, and a mobile node that speaks to it in octets. */
import { type Ipv6Address, ipv6, parsePrefix } from "../../controller/base/ip.js";
import { Secret } from "../../controller/base/secret.js";
import { seq16 } from "../../controller/base/seq16.js";
import { after, type Instant, instant, seconds } from "../../controller/base/time.js";
import type {
  AuthorizedSendEffect,
  CorrespondentNodeEffect,
  CorrespondentNodeInput,
} from "../../controller/protocol/mip6/correspondent-node/inputs.js";
import { CorrespondentNodeState, step } from "../../controller/protocol/mip6/correspondent-node/machine.js";
import type { CorrespondentNodeSite } from "../../controller/protocol/mip6/correspondent-node/site.js";
import { careOfAddressOf } from "../../controller/protocol/mip6/correspondent-node/update.js";
import type { Arrival } from "../../controller/protocol/mip6/inputs.js";
import {
  bindingAuthenticator,
  bindingManagementKey,
} from "../../controller/protocol/mip6/return-routability/tokens.js";
import { bindingAuthorizationInput } from "../../controller/wire/mip6/messages/authenticated-octets.js";
import { decodeMobilityMessage, encodeMobilityMessage } from "../../controller/wire/mip6/messages/mobility-header.js";
import type { MessageOfType } from "../../controller/wire/mip6/messages/mobility-message.js";
import { bindingUpdateFlags } from "../../controller/wire/mip6/messages/registration.js";
import type { MobilityOption } from "../../controller/wire/mip6/options/mobility.js";

export const SELF = ipv6("2001:db8:3::30");
export const HOA = ipv6("2001:db8:1::10");
export const COA = ipv6("2001:db8:2::20");
export const OTHER_COA = ipv6("2001:db8:4::20");
const prefix = (text: string) => parsePrefix(text) as NonNullable<ReturnType<typeof parsePrefix>>;

export const SITE: CorrespondentNodeSite = {
  addresses: [SELF],
  allow: [prefix("2001:db8:1::/48")],
  deny: [prefix("2001:db8:1:dead::/64")],
  maximumBindings: 10,
  whenFull: "refuse",
  maximumLifetime: seconds(420),
  formerGrace: seconds(3),
};

export interface Token {
  readonly index: number;
  readonly token: Uint8Array;
}

export interface UpdateChoices {
  readonly homeAddress?: Ipv6Address;
  readonly careOf?: Ipv6Address;
  /** Absent: the care-of address. */
  readonly wireSource?: Ipv6Address;
  readonly sequence: number;
  readonly seconds?: number;
  readonly home: Token;
  readonly careOfToken?: Token;
  readonly acknowledge?: boolean;
  readonly options?: readonly MobilityOption[];
  /** Changes the octets before they are sent. */
  readonly tamper?: (octets: Uint8Array) => void;
}

export class CorrespondentWorld {
  now: Instant = instant(1_000_000);
  readonly state: CorrespondentNodeState;
  /** Whether the kernel answers at once, and what. */
  kernel: "takes" | "refuses" | "is silent" = "takes";
  readonly effects: CorrespondentNodeEffect[] = [];
  #random = 1;

  constructor(site: Partial<CorrespondentNodeSite> = {}) {
    const kcn = new Secret(new Uint8Array(20).fill(7));
    this.state = new CorrespondentNodeState({ ...SITE, ...site }, { kcn, firstIndex: 99 });
  }

  pass(duration: number): void {
    this.now = after(this.now, seconds(duration));
  }

  /** The effects of this input and of the kernel's answers. */
  give(input: CorrespondentNodeInput): readonly CorrespondentNodeEffect[] {
    const entropy = Uint8Array.from({ length: 16 }, () => this.#octet());
    const effects = [...step(this.state, input, { now: this.now, entropy })];
    for (const effect of effects) this.effects.push(effect);
    if (this.kernel === "is silent") return effects;
    for (const effect of [...effects]) {
      if (effect.kind !== "data-path" && effect.kind !== "data-path-removed") continue;
      const { homeAddress, self, revision } = effect.kind === "data-path" ? effect.path : effect;
      const failure = this.kernel === "refuses" ? { failure: "no" } : {};
      for (const more of this.give({ kind: "programmed", homeAddress, self, revision, ...failure })) effects.push(more);
    }
    return effects;
  }

  #octet(): number {
    this.#random = (this.#random * 75 + 74) % 65537;
    return this.#random & 0xff;
  }

  test(type: "home-test-init" | "care-of-test-init", source: Ipv6Address): Token {
    const [answer] = sends(
      this.give({
        kind: "test-init",
        message: { type, cookie: new Uint8Array(8).fill(5), options: [] },
        arrival: arrivalFrom(source),
      }),
    );
    const message = answer?.message;
    if (message?.type !== "home-test" && message?.type !== "care-of-test") throw new Error(`no answer to ${type}`);
    return { index: message.nonceIndex, token: message.keygenToken };
  }

  tokens(homeAddress = HOA, careOf = COA): { readonly home: Token; readonly careOfToken: Token } {
    return { home: this.test("home-test-init", homeAddress), careOfToken: this.test("care-of-test-init", careOf) };
  }

  update(choices: UpdateChoices): readonly CorrespondentNodeEffect[] {
    return this.give(updateInput(choices));
  }

  /** A binding, made by the whole procedure. */
  bind(sequence: number, homeAddress = HOA, careOf = COA, lifetime = 420): readonly CorrespondentNodeEffect[] {
    return this.update({ ...this.tokens(homeAddress, careOf), homeAddress, careOf, sequence, seconds: lifetime });
  }
}

export const arrivalFrom = (source: Ipv6Address, careOf?: Ipv6Address, destination = SELF): Arrival => ({
  path: { type: "native", device: "eth0", ...(careOf !== undefined && { homeAddressOptionCareOf: careOf }) },
  source,
  destination,
  protection: "none",
});

export function updateInput(choices: UpdateChoices): Extract<CorrespondentNodeInput, { kind: "update" }> {
  const { homeAddress = HOA, careOf = COA, wireSource = careOf, home, careOfToken, acknowledge = true } = choices;
  const lifetime = choices.seconds ?? 420;
  const isDeletion = lifetime === 0 || careOf === homeAddress;
  const alternate: readonly MobilityOption[] =
    wireSource === careOf ? [] : [{ kind: "alternate-care-of-address", address: careOf }];
  const message: MessageOfType<"binding-update"> = {
    type: "binding-update",
    sequence: seq16(choices.sequence),
    flags: bindingUpdateFlags({ acknowledge }),
    lifetimeUnits: Math.floor(lifetime / 4),
    options: choices.options ?? [
      ...alternate,
      { kind: "nonce-indices", homeNonceIndex: home.index, careOfNonceIndex: careOfToken?.index ?? 0 },
      { kind: "binding-authorization-data", authenticator: new Uint8Array(12) },
    ],
  };
  const octets = encodeMobilityMessage(message);
  const key = bindingManagementKey(home.token, ...(isDeletion || careOfToken === undefined ? [] : [careOfToken.token]));
  const covered = bindingAuthorizationInput(octets, careOf, SELF);
  if (covered.ok && covered.value !== undefined)
    octets.set(bindingAuthenticator(key, covered.value), octets.length - 12);
  choices.tamper?.(octets);
  const hasOption = wireSource !== homeAddress;
  return readInput(octets, arrivalFrom(homeAddress, hasOption ? wireSource : undefined));
}

/** As the service gives it to the machine. */
export function readInput(octets: Uint8Array, arrival: Arrival): Extract<CorrespondentNodeInput, { kind: "update" }> {
  const read = decodeMobilityMessage(octets);
  if (!read.ok || read.value.type !== "binding-update") throw new Error("no binding update");
  const { value: message } = read;
  const covered = bindingAuthorizationInput(octets, careOfAddressOf(message, arrival), arrival.destination);
  return {
    kind: "update",
    arrival,
    message,
    ...(covered.ok && covered.value !== undefined && { covered: covered.value }),
  };
}

export const sends = (effects: readonly CorrespondentNodeEffect[]): readonly AuthorizedSendEffect[] =>
  effects.filter((effect) => effect.kind === "send");

/** The acknowledgements in them. */
export const acknowledgements = (effects: readonly CorrespondentNodeEffect[]) =>
  sends(effects).flatMap(({ message, ...effect }) =>
    message.type === "binding-acknowledgement" ? [{ ...message, effect }] : [],
  );

/** "status/sequence/seconds", with + for an authenticator. */
export const answers = (effects: readonly CorrespondentNodeEffect[]): readonly string[] =>
  acknowledgements(effects).map(
    ({ status, sequence, lifetimeUnits, effect }) =>
      `${status}/${sequence}/${4 * lifetimeUnits}${effect.authorization === undefined ? "" : "+"}`,
  );

export const drops = (effects: readonly CorrespondentNodeEffect[]): readonly string[] =>
  effects.flatMap((effect) => (effect.kind === "drop" ? [effect.reason] : []));

export const events = (effects: readonly CorrespondentNodeEffect[]): readonly string[] =>
  effects.flatMap((effect) => (effect.kind === "notify" ? [effect.event.event] : []));

const FUZZED = new CorrespondentWorld({ formerGrace: seconds(0) });

/** Has a machine take these octets in the place of a Mobility Header, from two sources. Throws if it keeps something of them. */
export function takeAsCorrespondent(octets: Uint8Array): void {
  const read = decodeMobilityMessage(octets);
  if (!read.ok) return;
  const { value: message } = read;
  // A second later, or the limits would soon be all that is looked at; the nonces whose indices the corpus has are there.
  FUZZED.pass(1);
  FUZZED.test("care-of-test-init", COA);
  for (const arrival of [arrivalFrom(HOA), arrivalFrom(HOA, COA)]) {
    if (message.type === "binding-update") FUZZED.give(readInput(octets, arrival));
    else if (message.type === "home-test-init" || message.type === "care-of-test-init")
      FUZZED.give({ kind: "test-init", message, arrival });
    else FUZZED.give({ kind: "message", message, arrival });
  }
  FUZZED.effects.splice(0);
  if (FUZZED.state.cache.size > 0) throw new Error("an entry that nobody has proved");
}
