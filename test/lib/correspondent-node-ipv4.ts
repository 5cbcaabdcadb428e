/** The correspondent node of correspondent-node.ts with the route optimisation draft, and a node that speaks to it over either family. */
import { type Ipv4Address, type Ipv6Address, ipv4 } from "../../controller/base/ip.js";
import { seq16 } from "../../controller/base/seq16.js";
import { seconds } from "../../controller/base/time.js";
import type {
  CorrespondentNodeEffect,
  CorrespondentNodeInput,
} from "../../controller/protocol/mip6/correspondent-node/inputs.js";
import type { CorrespondentNodeSite } from "../../controller/protocol/mip6/correspondent-node/site.js";
import { careOfAddressOf } from "../../controller/protocol/mip6/correspondent-node/update.js";
import { type Arrival, NO_PORT, type SendEffect } from "../../controller/protocol/mip6/inputs.js";
import { type Ipv4Mode, modeNumber } from "../../controller/protocol/mip6/return-routability/modes.js";
import {
  bindingAuthenticator,
  bindingManagementKey,
} from "../../controller/protocol/mip6/return-routability/tokens.js";
import { bindingAuthorizationInput } from "../../controller/wire/mip6/messages/authenticated-octets.js";
import { decodeMobilityMessage, encodeMobilityMessage } from "../../controller/wire/mip6/messages/mobility-header.js";
import type { MessageOfType } from "../../controller/wire/mip6/messages/mobility-message.js";
import { bindingUpdateFlags } from "../../controller/wire/mip6/messages/registration.js";
import type { MobilityOption } from "../../controller/wire/mip6/options/mobility.js";
import { RO_PROFILE } from "../../controller/wire/mip6/profile.js";
import { arrivalFrom, COA, CorrespondentWorld, HOA, SELF, sends, type Token } from "./correspondent-node.js";

export const SELF4 = ipv4("203.0.113.2");
export const HOA4 = ipv4("198.51.100.10");
export const COA4 = ipv4("203.0.113.70");
/** A private one, and the NAT in front of it. */
export const PRIVATE = ipv4("10.0.0.5");
export const NAT = { address: ipv4("203.0.113.77"), port: 31000 } as const;

const CONTEXT = { profile: RO_PROFILE } as const;

export const IPV4_SITE: NonNullable<CorrespondentNodeSite["ipv4"]> = {
  addresses: new Map([[SELF, SELF4]]),
  modes: new Set(["ipv6-encapsulation", "ipv4-encapsulation", "ipv4-udp"]),
  combinedUpdates: true,
};

/** Where a node is: at an IPv6 care-of address, or at an IPv4 one in one of two encapsulations. */
export type Place =
  | { readonly over: "ipv6"; readonly careOf: Ipv6Address }
  | {
      readonly over: "udp" | "protocol-41";
      readonly careOf: Ipv4Address;
      /** Absent: no NAT. */
      readonly observed?: { readonly address: Ipv4Address; readonly port: number };
    };

export const AT_V6: Place = { over: "ipv6", careOf: COA };
export const AT_V4: Place = { over: "udp", careOf: COA4 };
export const BEHIND_NAT: Place = { over: "udp", careOf: PRIVATE, observed: NAT };

/** `home`: the source of the inner header, or what the Home Address option names. */
export function arrivalAt(place: Place, home: Ipv6Address = HOA, isTest = false): Arrival {
  if (place.over === "ipv6") return isTest ? arrivalFrom(place.careOf) : arrivalFrom(home, place.careOf);
  const { careOf, observed = { address: careOf, port: 4191 } } = place;
  const outerPort = place.over === "udp" ? observed.port : NO_PORT;
  return {
    path: { type: "udp", outerSource: observed.address, outerPort, outerDestination: SELF4 },
    ...{ source: home, destination: SELF, protection: "none" },
  };
}

export const homeOption = (address: Ipv4Address): MobilityOption => ({
  kind: "ipv4-home-address",
  ...{ address, prefixLength: 32, mobileNetworkPrefix: false },
});
export const careOfOption = (address: Ipv4Address): MobilityOption => ({ kind: "ipv4-care-of-address", address });
export const modeOf = (mode: Ipv4Mode | 0): MobilityOption => ({
  kind: "ipv4-ro-mode",
  mode: mode === 0 ? 0 : modeNumber(mode),
});

export interface DraftUpdate {
  readonly place: Place;
  readonly homeAddress?: Ipv6Address;
  readonly ipv4HomeAddress?: Ipv4Address;
  readonly sequence: number;
  readonly seconds?: number;
  /** In the order of their authenticators: of the one home address, or of the IPv6 and the IPv4 one. */
  readonly homes: readonly Token[];
  readonly careOfToken?: Token;
  readonly mode?: Ipv4Mode | 0 | undefined;
  readonly acknowledge?: boolean;
  readonly tamper?: (octets: Uint8Array) => void;
}

/** Undefined: tampered with so that no service would give it to the machine. */
export function draftUpdate(update: DraftUpdate): Extract<CorrespondentNodeInput, { kind: "update" }> | undefined {
  const { place, homeAddress = HOA, ipv4HomeAddress, sequence, homes, careOfToken, mode, acknowledge = false } = update;
  const lifetime = update.seconds ?? 420;
  const isAtHome = place.over === "ipv6" && place.careOf === homeAddress;
  const message: MessageOfType<"binding-update"> = {
    type: "binding-update",
    sequence: seq16(sequence),
    flags: bindingUpdateFlags({ acknowledge }),
    lifetimeUnits: Math.floor(lifetime / 4),
    options: [
      ...(ipv4HomeAddress === undefined ? [] : [homeOption(ipv4HomeAddress)]),
      ...(place.over === "ipv6" ? [] : [careOfOption(place.careOf)]),
      ...(mode === undefined ? [] : [modeOf(mode)]),
      ...homes.map(
        ({ index }) =>
          ({ kind: "nonce-indices", homeNonceIndex: index, careOfNonceIndex: careOfToken?.index ?? 0 }) as const,
      ),
      ...homes.map(
        () => ({ kind: "binding-authorization-data", authenticator: new Uint8Array(12) }) satisfies MobilityOption,
      ),
    ],
  };
  const covered = bindingAuthorizationInput(encodeMobilityMessage(message, CONTEXT), place.careOf, SELF, CONTEXT);
  const octetsCovered = covered.ok ? covered.value : undefined;
  if (octetsCovered === undefined) return undefined;
  const isDeletion = lifetime === 0 || isAtHome;
  const keys = homes.map(({ token }) =>
    bindingManagementKey(token, ...(isDeletion || careOfToken === undefined ? [] : [careOfToken.token])),
  );
  const options = message.options.map((option) => {
    const key = option.kind === "binding-authorization-data" ? keys.shift() : undefined;
    return key === undefined ? option : { ...option, authenticator: bindingAuthenticator(key, octetsCovered) };
  });
  const octets = encodeMobilityMessage({ ...message, options } as typeof message, CONTEXT);
  update.tamper?.(octets);
  return readDraft(octets, isAtHome ? arrivalFrom(homeAddress) : arrivalAt(place, homeAddress));
}

/** As the service gives it to the machine. */
export function readDraft(
  octets: Uint8Array,
  arrival: Arrival,
): Extract<CorrespondentNodeInput, { kind: "update" }> | undefined {
  const read = decodeMobilityMessage(octets, CONTEXT);
  if (!read.ok || read.value.type !== "binding-update") return undefined;
  const { value: message } = read;
  const covered = bindingAuthorizationInput(octets, careOfAddressOf(message, arrival), arrival.destination, CONTEXT);
  const value = covered.ok ? covered.value : undefined;
  return { kind: "update", arrival, message, ...(value !== undefined && { covered: value }) };
}

type TestAnswer = SendEffect<MessageOfType<"home-test" | "care-of-test">>;

export class DraftWorld extends CorrespondentWorld {
  constructor(ipv4Part: Partial<typeof IPV4_SITE> = {}, site: Partial<CorrespondentNodeSite> = {}) {
    super({ ...site, ipv4: { ...IPV4_SITE, ...ipv4Part } });
  }

  /** What a test is answered with; undefined: nothing. */
  ask(
    type: "home-test-init" | "care-of-test-init",
    arrival: Arrival,
    options: readonly MobilityOption[],
  ): TestAnswer | undefined {
    const cookie = new Uint8Array(8).fill(5);
    const [answer] = sends(this.give({ kind: "test-init", message: { type, cookie, options }, arrival }));
    return answer as TestAnswer | undefined;
  }

  homeToken(homeAddress = HOA, ipv4HomeAddress?: Ipv4Address): Token {
    const options = ipv4HomeAddress === undefined ? [] : [homeOption(ipv4HomeAddress)];
    return tokenOf(this.ask("home-test-init", arrivalFrom(homeAddress), options));
  }

  careOfToken(place: Place, home: Ipv6Address = HOA, mode: Ipv4Mode | 0 = 0): Token {
    const udp: Place = place.over === "ipv6" ? place : { ...place, over: "udp" };
    const options = [...(place.over === "ipv6" ? [] : [careOfOption(place.careOf)]), modeOf(mode)];
    return tokenOf(this.ask("care-of-test-init", arrivalAt(udp, home, true), options));
  }

  take(update: DraftUpdate): readonly CorrespondentNodeEffect[] {
    const input = draftUpdate(update);
    if (input === undefined) throw new Error("no binding update");
    return this.give(input);
  }

  /** The whole procedure of one home address; null: of the IPv6 one. */
  bindDraft(
    sequence: number,
    place: Place,
    mode: Ipv4Mode | undefined,
    ipv4HomeAddress: Ipv4Address | null = HOA4,
    homeAddress: Ipv6Address = HOA,
  ): readonly CorrespondentNodeEffect[] {
    return this.take({
      ...{ sequence, place, mode, homeAddress, homes: [this.homeToken(homeAddress, ipv4HomeAddress ?? undefined)] },
      ...(ipv4HomeAddress !== null && { ipv4HomeAddress }),
      careOfToken: this.careOfToken(place, homeAddress),
    });
  }
}

function tokenOf(answer: TestAnswer | undefined): Token {
  const message = answer?.message;
  if (message === undefined) throw new Error("no answer to a test");
  return { index: message.nonceIndex, token: message.keygenToken };
}

const FUZZED = new DraftWorld({}, { formerGrace: seconds(0) });
const FUZZED_PLACES: readonly Place[] = [AT_V6, AT_V4, BEHIND_NAT, { over: "protocol-41", careOf: COA4 }];

/** As `takeAsCorrespondent`, with the draft, out of every encapsulation. Throws if the machine keeps something. */
export function takeWithDraft(octets: Uint8Array): void {
  const read = decodeMobilityMessage(octets, CONTEXT);
  if (!read.ok) return;
  const { value: message } = read;
  FUZZED.pass(1);
  FUZZED.careOfToken(AT_V6);
  for (const place of FUZZED_PLACES) {
    const isTest = message.type === "home-test-init" || message.type === "care-of-test-init";
    const arrival = arrivalAt(place, HOA, isTest);
    if (isTest) FUZZED.give({ kind: "test-init", message, arrival });
    else if (message.type !== "binding-update") FUZZED.give({ kind: "message", message, arrival });
    else {
      const update = readDraft(octets, arrival);
      if (update !== undefined) FUZZED.give(update);
    }
  }
  FUZZED.effects.splice(0);
  if (FUZZED.state.cache.size > 0) throw new Error("an entry that nobody has proved");
}
