/** The registry and the vectors cover each other: every number has a vector, every flag and every optional field is set alone in one. */
import t from "tap";
import * as dhcpv6 from "../../../controller/wire/dhcpv6/registry.js";
import * as ip from "../../../controller/wire/ip/registry.js";
import * as mip4 from "../../../controller/wire/mip4/registry.js";
import * as mip6 from "../../../controller/wire/mip6/registry.js";
import { nameOf, type Registry } from "../../../controller/wire/registry.js";
import { loadVectors, vectorBytes, type WireVector } from "../../lib/wire-vectors.js";

const MH = [...loadVectors("mobility-header"), ...loadVectors("mobility-header-profiles")];
const ICMP = loadVectors("icmpv6");
const MIP4 = loadVectors("mip4-control");
const AGENTS = loadVectors("mip4-discovery");

/** Offset of the options by MH type (requirements A.2); the Home Agent Switch counts its addresses. */
const OPTIONS_AT: Readonly<Record<number, number>> = { 0: 8, 1: 16, 2: 16, 3: 24, 4: 24, 5: 12, 6: 12, 7: 24, 16: 12 };

interface Json {
  readonly flags?: unknown;
  readonly type?: unknown;
  readonly kind?: unknown;
  readonly [key: string]: unknown;
}
const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null;

/** All objects inside a value, the value itself first. */
function* objects(value: unknown): Iterable<Json> {
  if (Array.isArray(value)) for (const item of value) yield* objects(item);
  else if (isObject(value)) {
    yield value;
    for (const member of Object.values(value)) yield* objects(member);
  }
}

/** Values of `member` in objects whose `tag` is one of `names`. */
function valuesOf(vectors: readonly WireVector[], tag: string, names: readonly string[], member: string): Set<unknown> {
  const found = new Set<unknown>();
  for (const { value } of vectors) {
    for (const object of objects(value)) {
      if (names.includes(String(object[tag]))) found.add(object[member]);
    }
  }
  return found;
}

function octetAt(vectors: readonly WireVector[], at: number): Set<unknown> {
  return new Set(vectors.filter(({ error }) => error === undefined).map((vector) => vectorBytes(vector)[at]));
}

/** Type-length-value types from `start` on; `unit` scales the length, `header` is added to it. */
function tlvTypes(
  bytes: Uint8Array,
  start: number,
  pad1: number | undefined,
  size: (length: number) => number,
): number[] {
  const types: number[] = [];
  for (let at = start; at < bytes.length; ) {
    const type = bytes[at] ?? 0;
    types.push(type);
    at += type === pad1 ? 1 : size(bytes[at + 1] ?? 0);
  }
  return types;
}

function optionTypes(): Set<unknown> {
  const found = new Set<unknown>();
  for (const vector of loadVectors("mobility-header")) {
    const bytes = vectorBytes(vector);
    const start = OPTIONS_AT[bytes[2] ?? 0];
    if (start !== undefined && vector.canonical === true) {
      for (const type of tlvTypes(bytes, start, 0, (length) => length + 2)) found.add(type);
    }
  }
  return found;
}

/** The single flags that stand alone in some vector: the mask of the word where exactly one registered bit is set. */
function wordsAt(type: number, at: number, width: 1 | 2, also?: { at: number; value: number }): Set<unknown> {
  const found = new Set<unknown>();
  for (const vector of loadVectors("mobility-header")) {
    const bytes = vectorBytes(vector);
    const wanted = also === undefined || bytes[also.at] === also.value;
    if (bytes[2] === type && wanted)
      found.add(width === 1 ? bytes[at] : ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0));
  }
  return found;
}

const ipProtocols = new Set<unknown>([0, 1, 4, 17, 41, 43, 44, 50, 51, 58, 59, 60, 135]);
const ndTypes = (): Set<unknown> => {
  const found = new Set<unknown>();
  for (const vector of ICMP.filter(({ error }) => error === undefined)) {
    const bytes = vectorBytes(vector);
    const start = { 133: 8, 134: 16, 135: 24, 136: 24, 147: 8 }[bytes[0] ?? 0];
    if (start !== undefined)
      for (const type of tlvTypes(bytes, start, undefined, (units) => 8 * units)) found.add(type);
  }
  return found;
};
const destinationTypes = (): Set<unknown> =>
  new Set(
    loadVectors("destination-options")
      .filter(({ error }) => error === undefined)
      .flatMap((vector) => tlvTypes(vectorBytes(vector), 2, 0, (length) => length + 2)),
  );

/** Types of the extensions of canonical vectors and, of one type, the octet that follows its length. */
function mip4Extensions(
  vectors: readonly WireVector[],
  starts: (bytes: Uint8Array) => number | undefined,
  subtypesOf?: number,
): Set<unknown> {
  const found = new Set<unknown>();
  for (const vector of vectors.filter(({ error }) => error === undefined)) {
    const bytes = vectorBytes(vector);
    let at = starts(bytes) ?? bytes.length;
    while (at < bytes.length) {
      const type = bytes[at] ?? 0;
      if (subtypesOf === undefined || type === subtypesOf) found.add(subtypesOf === undefined ? type : bytes[at + 2]);
      const long = type === 36;
      at += type === 0 ? 1 : long ? 4 + (bytes[at + 3] ?? 0) : 2 + (bytes[at + 1] ?? 0);
    }
  }
  return found;
}
const afterFixedPart = (bytes: Uint8Array): number | undefined => ({ 1: 24, 3: 20 })[bytes[0] ?? 0];
const afterRouters = (bytes: Uint8Array): number | undefined =>
  bytes[0] === 9 ? 8 + 4 * (bytes[4] ?? 0) * (bytes[5] ?? 0) : undefined;

/** Those of canonical vectors, with those inside of others; told by their octets. */
function dhcpv6Options(): Set<unknown> {
  const found = new Set<unknown>();
  const see = (bytes: Uint8Array): void => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < bytes.length; at += 4 + view.getUint16(at + 2)) {
      const code = view.getUint16(at);
      found.add(code);
      if ([50, 69, 70].includes(code)) see(bytes.subarray(at + 4, at + 4 + view.getUint16(at + 2)));
    }
  };
  for (const vector of loadVectors("dhcpv6-home-information")) if (vector.canonical === true) see(vectorBytes(vector));
  return found;
}

/** For every registry the codes that occur in vectors. A registry without a line here fails the test. */
const COVERED: Readonly<Record<string, () => Set<unknown>>> = {
  // Not the numbers of a format of ours: compared with the list of requirements A.9 and RFC 8200.
  PROTOCOL_REGISTRY: () => ipProtocols,
  MESSAGE_REGISTRY: () => octetAt(MH, 2),
  OPTION_REGISTRY: optionTypes,
  BINDING_UPDATE_FLAG_REGISTRY: () => wordsAt(5, 8, 2),
  BINDING_ACKNOWLEDGEMENT_FLAG_REGISTRY: () => wordsAt(6, 7, 1),
  REVOCATION_FLAG_REGISTRY: () =>
    new Set(
      [...wordsAt(16, 10, 2, { at: 6, value: 1 })].filter((word) => wordsAt(16, 10, 2, { at: 6, value: 2 }).has(word)),
    ),
  BINDING_STATUS_REGISTRY: () => valuesOf(MH, "type", ["binding-acknowledgement"], "status"),
  BINDING_ERROR_REGISTRY: () => valuesOf(MH, "type", ["binding-error"], "status"),
  IPV4_STATUS_REGISTRY: () => valuesOf(MH, "kind", ["ipv4-address-acknowledgement"], "status"),
  REVOCATION_TRIGGER_REGISTRY: () => valuesOf(MH, "type", ["binding-revocation-indication"], "trigger"),
  REVOCATION_STATUS_REGISTRY: () => valuesOf(MH, "type", ["binding-revocation-acknowledgement"], "status"),
  REVOCATION_TYPE_REGISTRY: () => new Set(MH.map(vectorBytes).flatMap((bytes) => (bytes[2] === 16 ? [bytes[6]] : []))),
  RO_MODE_REGISTRY: () => valuesOf(MH, "kind", ["ipv4-ro-mode"], "mode"),
  DESTINATION_OPTION_REGISTRY: destinationTypes,
  ICMPV6_REGISTRY: () => octetAt(ICMP, 0),
  ND_OPTION_REGISTRY: ndTypes,
  CONTROL_MESSAGE_REGISTRY: () => octetAt(MIP4, 0),
  REGISTRATION_EXTENSION_REGISTRY: () => mip4Extensions(MIP4, afterFixedPart),
  DISCOVERY_EXTENSION_REGISTRY: () => mip4Extensions(AGENTS, afterRouters),
  DUAL_STACK_SUBTYPE_REGISTRY: () => mip4Extensions(MIP4, afterFixedPart, 152),
  PREFIX_CODE_REGISTRY: () => valuesOf(MIP4, "kind", ["ipv6-prefix-reply"], "code"),
  UDP_TUNNEL_CODE_REGISTRY: () => valuesOf(MIP4, "kind", ["udp-tunnel-reply"], "code"),
  TUNNEL_PAYLOAD_REGISTRY: () => valuesOf(MIP4, "type", ["tunnel-data"], "nextHeader"),
  REQUEST_FLAG_REGISTRY: () =>
    octetAt(
      MIP4.filter((vector) => vectorBytes(vector)[0] === 1),
      1,
    ),
  AGENT_FLAG_REGISTRY: () =>
    new Set(
      AGENTS.map(vectorBytes).flatMap((bytes) => (bytes[8] === 16 ? [((bytes[14] ?? 0) << 8) | (bytes[15] ?? 0)] : [])),
    ),
  REPLY_CODE_REGISTRY: () => valuesOf(MIP4, "type", ["registration-reply"], "code"),
  ICMP_REGISTRY: () => octetAt(AGENTS, 0),
  DHCPV6_OPTION_REGISTRY: dhcpv6Options,
};

t.test("R5555-8-02, V4-6-01: every entry of every registry has a vector, each flag alone", (t) => {
  const registries = [dhcpv6, ip, mip4, mip6]
    .flatMap((module) => Object.entries(module))
    .filter(([name]) => name.endsWith("_REGISTRY"));
  t.strictSame(registries.map(([name]) => name).sort(), Object.keys(COVERED).sort(), "every registry is looked at");
  for (const [name, entries] of registries) {
    const covered = COVERED[name]?.() ?? new Set();
    for (const entry of Object.values(entries as Registry)) {
      t.ok(covered.has(entry.code), `${name}: ${entry.code} ${entry.name}`);
      t.match(entry.source, /^(RFC \d+|draft-)/, `${name}: ${entry.name} has a source`);
    }
    const all = Object.values(entries as Registry).map(({ code }) => code);
    t.equal(new Set(all).size, all.length, `${name}: no code twice`);
  }
  const { ipv4HomeAddress, ipv4AddressAcknowledgement, natDetection, ipv4CareOfAddress } = mip6.OptionType;
  t.equal(mip4.RegistrationExtensionType.dualStack, 152, "not 149 (C-25)");
  const codes = Array.from({ length: 256 }, (_, code) => code);
  t.strictSame(codes.filter(mip4.prefixAccepted), [0, 1, 2, 3, 4, 5, 6, 7]);
  t.strictSame(codes.filter(mip4.udpTunnelAccepted), codes.slice(0, 64));
  t.strictSame(codes.filter(mip4.registrationAccepted), [0, 1]);
  t.strictSame([ipv4HomeAddress, ipv4AddressAcknowledgement, natDetection, ipv4CareOfAddress], [29, 30, 31, 32]);
  t.end();
});

/** Members that are true in an object, one level deep. */
const trueMembers = (object: Json): string[] => Object.keys(object).filter((key) => object[key] === true);

t.test("every boolean of every structure is set alone in a canonical vector", (t) => {
  const known = new Set<string>();
  const alone = new Set<string>();
  for (const { value, canonical } of [...MH, ...ICMP, ...MIP4, ...AGENTS]) {
    for (const object of objects(value)) {
      const flags = isObject(object.flags) ? object.flags : object;
      const owner = String(object.type ?? object.kind);
      for (const key of Object.keys(flags)) if (typeof flags[key] === "boolean") known.add(`${owner}.${key}`);
      const set = trueMembers(flags);
      if (canonical === true && set.length === 1) alone.add(`${owner}.${set[0]}`);
    }
  }
  t.ok(known.size > 40, `${known.size} booleans`);
  for (const name of known) t.ok(alone.has(name), name);
  t.end();
});

t.test("nameOf finds names and nothing else", (t) => {
  t.equal(nameOf(mip6.BINDING_STATUS_REGISTRY, 135), "sequence number out of window");
  t.equal(nameOf(mip6.BINDING_STATUS_REGISTRY, 3), undefined);
  t.end();
});
