/** fast-check arbitraries for everything the wire codecs write. A kind without an arbitrary does not compile. */
import fc from "fast-check";
import {
  type IpAddress,
  type Ipv4Address,
  type Ipv6Address,
  ipv4FromBytes,
  ipv6FromBytes,
  isRoutableUnicast,
} from "../../controller/base/ip.js";
import { seq16 } from "../../controller/base/seq16.js";
import type { Icmpv6Message } from "../../controller/wire/icmpv6.js";
import type { Ipv4Packet } from "../../controller/wire/ip/ipv4.js";
import type { Ipv6Packet } from "../../controller/wire/ip/ipv6.js";
import type { NdOption } from "../../controller/wire/ip/nd-options.js";
import { Icmpv6Type, NdOptionType } from "../../controller/wire/ip/registry.js";
import { MESSAGE_CODECS, type MobilityMessage } from "../../controller/wire/mip6/messages/mobility-message.js";
import type { DestinationOption, DestinationOptions } from "../../controller/wire/mip6/options/destination.js";
import { type MobilityOption, OPTION_CODECS, type OptionKind } from "../../controller/wire/mip6/options/mobility.js";
import { BindingAcknowledgementFlag, BindingUpdateFlag, RevocationFlag } from "../../controller/wire/mip6/registry.js";

type Arb<T> = fc.Arbitrary<T>;

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const upTo = (max: number): Arb<number> => fc.integer({ min: 0, max });
const octets = (length: number): Arb<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const someOctets = (maxLength: number): Arb<Uint8Array> => fc.uint8Array({ maxLength });
const sequence = u16.map(seq16);

export const ipv4Arbitrary: Arb<Ipv4Address> = octets(4).map(ipv4FromBytes);
/** With many zero groups, so that every form of text occurs. */
export const ipv6Arbitrary: Arb<Ipv6Address> = fc
  .tuple(octets(16), fc.uint8Array({ minLength: 8, maxLength: 8, max: 1 }))
  .map(([bytes, keep]) => ipv6FromBytes(bytes.map((value, i) => (keep[i >> 1] === 1 ? value : 0))));
const ipArbitrary: Arb<IpAddress> = fc.oneof(ipv4Arbitrary, ipv6Arbitrary);

function flags<T extends object>(masks: T): Arb<{ readonly [K in keyof T]: boolean }> {
  const shape = Object.fromEntries(Object.keys(masks).map((key) => [key, fc.boolean()]));
  return fc.record(shape) as Arb<{ readonly [K in keyof T]: boolean }>;
}

type OptionArbitraries = {
  readonly [K in OptionKind]: Arb<Omit<Extract<MobilityOption, { readonly kind: K }>, "kind">>;
};

const KNOWN_OPTION_TYPES: ReadonlySet<number> = new Set([0, 1, ...OPTION_CODECS.map(({ type }) => type)]);
const OPTIONS: OptionArbitraries = {
  "binding-refresh-advice": fc.record({ intervalUnits: u16 }),
  "alternate-care-of-address": fc.record({ address: ipv6Arbitrary }),
  "nonce-indices": fc.record({ homeNonceIndex: u16, careOfNonceIndex: u16 }),
  "binding-authorization-data": fc.record({ authenticator: octets(12) }),
  "mobile-network-prefix": fc.record({ prefixLength: u8, prefix: ipv6Arbitrary }),
  "binding-identifier": fc.record({
    bindingId: u16,
    status: u8,
    simultaneousHomeAndForeign: fc.boolean(),
    careOfAddress: fc.option(ipArbitrary, { nil: undefined }),
  }),
  "ipv4-home-address": fc.record({ prefixLength: upTo(63), mobileNetworkPrefix: fc.boolean(), address: ipv4Arbitrary }),
  "ipv4-address-acknowledgement": fc.record({ status: u8, prefixLength: upTo(63), address: ipv4Arbitrary }),
  "nat-detection": fc.record({ forceUdp: fc.boolean(), refreshSeconds: u32 }),
  "ipv4-care-of-address": fc.record({ address: ipv4Arbitrary }),
  "mobile-node-identifier": fc.record({ subtype: u8, identifier: someOctets(40) }),
  authentication: fc.record({ subtype: u8, spi: u32, authenticator: someOctets(20) }),
  "message-identification": fc.record({ seconds: u32, fraction: u32 }),
  "dns-update": fc.record({ status: u8, remove: fc.boolean(), identity: someOctets(40) }),
  experimental: fc.record({ data: someOctets(40) }),
  "ipv4-ro-mode": fc.record({ mode: fc.constantFrom(0, 1, 2, 3, 4) }),
  "ipv4-home-address-2004": fc.record({ address: ipv4Arbitrary }),
  "ipv4-address-acknowledgement-2004": fc.record({ status: u8, address: ipv4Arbitrary }),
  unknown: fc.record({ optionType: u8.filter((type) => !KNOWN_OPTION_TYPES.has(type)), data: someOctets(40) }),
};

function optionOf(kind: OptionKind): Arb<MobilityOption> {
  const arbitraries: Readonly<Record<string, Arb<object>>> = OPTIONS;
  return (arbitraries[kind] ?? fc.constant({})).map((value) => ({ kind, ...value }) as MobilityOption);
}

const LAST: readonly OptionKind[] = ["binding-authorization-data", "authentication"];
const OLD: readonly OptionKind[] = ["ipv4-home-address-2004", "ipv4-address-acknowledgement-2004"];

/** Options in a permitted order: authenticating ones last. */
function optionsOf(kinds: readonly OptionKind[]): Arb<readonly MobilityOption[]> {
  const body = fc.array(fc.oneof(...kinds.filter((kind) => !LAST.includes(kind)).map(optionOf)), { maxLength: 6 });
  const end = fc.oneof(
    fc.constant([]),
    fc.tuple(optionOf("binding-authorization-data")),
    fc.array(optionOf("authentication"), { minLength: 1, maxLength: 2 }),
  );
  return fc.tuple(body, end).map(([first, last]) => [...first, ...last]);
}

const ALL_KINDS = Object.keys(OPTIONS) as OptionKind[];
const PROFILE_KINDS: readonly OptionKind[] = ["ipv4-ro-mode", ...OLD];
export const standardOptions = optionsOf(ALL_KINDS.filter((kind) => !PROFILE_KINDS.includes(kind)));
/** With the RO mode option, which takes the place of the experimental one. */
export const roOptions = optionsOf(ALL_KINDS.filter((kind) => !OLD.includes(kind) && kind !== "experimental"));
/** With the 2004 options, which take the place of the acknowledgement of RFC 5555. */
export const soliman2004Options = optionsOf(
  ALL_KINDS.filter((kind) => kind !== "ipv4-ro-mode" && kind !== "ipv4-address-acknowledgement"),
);

type Known = Exclude<MobilityMessage["type"], "unknown">;
type MessageArbitraries = {
  readonly [T in Known]: Arb<Omit<Extract<MobilityMessage, { readonly type: T }>, "type" | "options">>;
};
const cookie = { cookie: octets(8) };
const test = { nonceIndex: u16, ...cookie, keygenToken: octets(8) };
const revocation = { sequence, flags: flags(RevocationFlag) };
const MESSAGES: MessageArbitraries = {
  "binding-update": fc.record({ sequence, flags: flags(BindingUpdateFlag), lifetimeUnits: u16 }),
  "binding-acknowledgement": fc.record({
    status: u8,
    flags: flags(BindingAcknowledgementFlag),
    sequence,
    lifetimeUnits: u16,
  }),
  "binding-refresh-request": fc.record({}),
  "home-test-init": fc.record(cookie),
  "care-of-test-init": fc.record(cookie),
  "home-test": fc.record(test),
  "care-of-test": fc.record(test),
  "binding-error": fc.record({ status: u8, homeAddress: ipv6Arbitrary }),
  "home-agent-switch": fc.record({ addresses: fc.array(ipv6Arbitrary, { maxLength: 5 }) }),
  "binding-revocation-indication": fc.record({ trigger: u8, ...revocation }),
  "binding-revocation-acknowledgement": fc.record({ status: u8, ...revocation }),
};

const KNOWN_MH_TYPES: ReadonlySet<number> = new Set(MESSAGE_CODECS.map(({ mhType }) => mhType));
const unknownMessage: Arb<MobilityMessage> = fc
  .tuple(
    u8.filter((type) => !KNOWN_MH_TYPES.has(type)),
    upTo(10).chain((units) => octets(8 * units + 2)),
  )
  .map(([mhType, body]) => ({ type: "unknown", mhType, body }));

export function messages(options: Arb<readonly MobilityOption[]> = standardOptions): Arb<MobilityMessage> {
  const known = Object.entries(MESSAGES).map(([type, fixed]: [string, Arb<object>]) =>
    fc.tuple(fixed, options).map(([value, list]) => ({ type, ...value, options: list }) as MobilityMessage),
  );
  return fc.oneof(...known, unknownMessage);
}

const routable = ipv6Arbitrary.filter(isRoutableUnicast);
const destinationOption: Arb<DestinationOption> = fc.record({
  kind: fc.constant("unknown" as const),
  optionType: u8.filter((type) => ![0, 1, 0xc9].includes(type)),
  data: someOctets(30),
});
export const destinationOptions: Arb<DestinationOptions> = fc
  .tuple(
    u8,
    fc.array(destinationOption, { maxLength: 3 }),
    fc.option(routable),
    fc.array(destinationOption, { maxLength: 3 }),
  )
  .map(([nextHeader, before, address, behind]) => {
    const home: DestinationOption[] = address === null ? [] : [{ kind: "home-address", address }];
    return { nextHeader, options: [...before, ...home, ...behind] };
  });

const unitsLess2 = (max: number): Arb<Uint8Array> => upTo(max - 1).chain((units) => octets(8 * units + 6));
type NdArbitraries = { readonly [K in NdOption["kind"]]: Arb<Omit<Extract<NdOption, { readonly kind: K }>, "kind">> };
const KNOWN_ND: ReadonlySet<number> = new Set(Object.values(NdOptionType));
const ND_OPTIONS: NdArbitraries = {
  "source-link-layer-address": fc.record({ address: unitsLess2(3) }),
  "target-link-layer-address": fc.record({ address: unitsLess2(3) }),
  "prefix-information": fc.record({
    prefixLength: u8,
    flags: flags({ onLink: 0, autonomous: 0, routerAddress: 0 }),
    validLifetimeSeconds: u32,
    preferredLifetimeSeconds: u32,
    prefix: ipv6Arbitrary,
  }),
  mtu: fc.record({ mtu: u32 }),
  "advertisement-interval": fc.record({ milliseconds: u32 }),
  "home-agent-information": fc.record({
    flags: flags({ mobileRouter: 0 }),
    preference: u16,
    lifetimeSeconds: u16,
  }),
  unknown: fc.record({ optionType: u8.filter((type) => !KNOWN_ND.has(type)), data: unitsLess2(4) }),
};
const ndOption = fc.oneof(
  ...Object.entries(ND_OPTIONS).map(([kind, value]: [string, Arb<object>]) =>
    value.map((members) => ({ kind, ...members }) as NdOption),
  ),
);
const ndOptions: Arb<readonly NdOption[]> = fc.array(ndOption, { maxLength: 5 });

type IcmpArbitraries = {
  readonly [T in Icmpv6Message["type"]]: Arb<Omit<Extract<Icmpv6Message, { readonly type: T }>, "type">>;
};
const discovery = { identifier: u16, flags: flags({ mobileRouter: 0 }) };
const KNOWN_ICMP: ReadonlySet<number> = new Set(Object.values(Icmpv6Type));
const ICMP: IcmpArbitraries = {
  "destination-unreachable": fc.record({ code: u8, packet: someOctets(80) }),
  "packet-too-big": fc.record({ code: u8, mtu: u32, packet: someOctets(80) }),
  "time-exceeded": fc.record({ code: u8, packet: someOctets(80) }),
  "parameter-problem": fc.record({ code: u8, pointer: u32, packet: someOctets(80) }),
  "router-solicitation": fc.record({ options: ndOptions }),
  "router-advertisement": fc.record({
    currentHopLimit: u8,
    flags: flags({ managedAddresses: 0, otherConfiguration: 0, homeAgent: 0 }),
    routerLifetimeSeconds: u16,
    reachableTimeMs: u32,
    retransmissionTimerMs: u32,
    options: ndOptions,
  }),
  "neighbour-solicitation": fc.record({ target: ipv6Arbitrary, options: ndOptions }),
  "neighbour-advertisement": fc.record({
    flags: flags({ router: 0, solicited: 0, override: 0 }),
    target: ipv6Arbitrary,
    options: ndOptions,
  }),
  "home-agent-address-discovery-request": fc.record(discovery),
  "home-agent-address-discovery-reply": fc.record({
    ...discovery,
    addresses: fc.array(ipv6Arbitrary, { maxLength: 6 }),
  }),
  "mobile-prefix-solicitation": fc.record({ identifier: u16 }),
  "mobile-prefix-advertisement": fc.record({
    identifier: u16,
    flags: flags({ managedAddresses: 0, otherConfiguration: 0 }),
    options: ndOptions,
  }),
  unknown: fc.record({ icmpType: u8.filter((type) => !KNOWN_ICMP.has(type)), code: u8, body: someOctets(80) }),
};
export const icmpv6Messages: Arb<Icmpv6Message> = fc.oneof(
  ...Object.entries(ICMP).map(([type, value]: [string, Arb<object>]) =>
    value.map((members) => ({ type, ...members }) as Icmpv6Message),
  ),
);

export const ipv6Packets: Arb<Ipv6Packet> = fc.record({
  header: fc.record({
    trafficClass: u8,
    flowLabel: upTo(0xfffff),
    nextHeader: u8,
    hopLimit: u8,
    source: ipv6Arbitrary,
    destination: ipv6Arbitrary,
  }),
  payload: someOctets(100),
});

export const ipv4Packets: Arb<Ipv4Packet> = fc.record({
  header: fc.record({
    trafficClass: u8,
    identification: u16,
    dontFragment: fc.boolean(),
    moreFragments: fc.boolean(),
    fragmentOffset: upTo(0x1fff),
    timeToLive: u8,
    protocol: u8,
    source: ipv4Arbitrary,
    destination: ipv4Arbitrary,
    options: upTo(10).chain((words) => octets(4 * words)),
  }),
  payload: someOctets(100),
});
