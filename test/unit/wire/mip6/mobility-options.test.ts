/** Padding, alignment, order and unknown options; the requirement rows of RFC 5555 §3 that a codec can show. */
import t, { type Test } from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { EncodeError } from "../../../../controller/base/errors.js";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { seq16 } from "../../../../controller/base/seq16.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
} from "../../../../controller/wire/mip6/messages/mobility-header.js";
import type { BindingUpdate } from "../../../../controller/wire/mip6/messages/mobility-message.js";
import { bindingUpdateFlags } from "../../../../controller/wire/mip6/messages/registration.js";
import {
  decodeOptionSpans,
  findOption,
  findOptions,
  type MobilityOption,
} from "../../../../controller/wire/mip6/options/mobility.js";
import { type CodecContext, RO_PROFILE, SOLIMAN_2004_PROFILE } from "../../../../controller/wire/mip6/profile.js";

const HEAD = "3b010500 0000 0001 c000 0096".replaceAll(" ", "");

function update(
  options: readonly MobilityOption[],
  flags: BindingUpdate["flags"] = bindingUpdateFlags(),
): BindingUpdate {
  return { type: "binding-update", sequence: seq16(1), flags, lifetimeUnits: 150, options };
}

function area(options: readonly MobilityOption[], context?: CodecContext): string {
  return toHex(encodeMobilityMessage(update(options), context)).slice(24);
}

function read(options: string, context?: CodecContext): readonly MobilityOption[] | string {
  const bytes = fromHex(HEAD + options);
  if (bytes.length % 8 !== 0) throw new Error(`${bytes.length} octets are not a Mobility Header`);
  bytes[1] = bytes.length / 8 - 1;
  const result = decodeMobilityMessage(bytes, context);
  if (!result.ok) return result.error.message;
  return result.value.type === "unknown" ? "unknown" : result.value.options;
}

const home: MobilityOption = {
  kind: "ipv4-home-address",
  prefixLength: 32,
  mobileNetworkPrefix: false,
  address: ipv4("192.0.2.10"),
};
const acknowledged: MobilityOption = {
  kind: "ipv4-address-acknowledgement",
  status: 0,
  prefixLength: 32,
  address: ipv4("192.0.2.10"),
};
const nat: MobilityOption = { kind: "nat-detection", forceUdp: true, refreshSeconds: 110 };
const careOf: MobilityOption = { kind: "ipv4-care-of-address", address: ipv4("10.0.0.5") };
const alternate: MobilityOption = { kind: "alternate-care-of-address", address: ipv6("2001:db8:2::20") };
const authenticator: MobilityOption = { kind: "binding-authorization-data", authenticator: new Uint8Array(12) };
const authentication: MobilityOption = {
  kind: "authentication",
  subtype: 1,
  spi: 256,
  authenticator: new Uint8Array(12),
};
const unknown = (length: number): MobilityOption => ({
  kind: "unknown",
  optionType: 200,
  data: new Uint8Array(length),
});

/** Behind unknown options of every length, so that the option starts at every offset modulo 8 before it is aligned. */
function everyOffset(t: Test, option: MobilityOption, [x, y]: readonly [number, number], context?: CodecContext): void {
  for (let length = 0; length < 8; length++) {
    const bytes = encodeMobilityMessage(update([unknown(length), option]), context);
    const span = decodeOptionSpans(bytes, 12, context)[1];
    t.equal(span?.option.kind, option.kind);
    t.equal((span?.offset ?? -1) % x, y, `${option.kind} behind ${length + 2} octets starts at ${span?.offset}`);
  }
}

t.test("R5555-3.1.1-01: IPv4 home address option, Length 6, alignment 4n, layout", (t) => {
  t.equal(area([home]), "1d068000c000020a01020000");
  t.equal(area([{ ...home, prefixLength: 24, mobileNetworkPrefix: true }]), "1d066200c000020a01020000");
  t.strictSame(read("1d068000c000020a01020000"), [home]);
  everyOffset(t, home, [4, 0]);
  t.end();
});

t.test("R5555-3.1.1-08 R5555-3.1.1-09: nine reserved bits of option 29, zero on send, ignored on receipt", (t) => {
  for (const prefixLength of [0, 32, 63]) {
    for (const mobileNetworkPrefix of [false, true]) {
      const word = Number.parseInt(area([{ ...home, prefixLength, mobileNetworkPrefix }]).slice(4, 8), 16);
      t.equal(word & 0x01ff, 0);
    }
  }
  t.strictSame(read("1d0681ffc000020a01020000"), [home], "all reserved bits set");
  t.end();
});

t.test("R5555-3.1.2-01 R5555-3.1.2-02: IPv4 care-of address option, reserved 16 bits", (t) => {
  t.equal(area([careOf]), "200600000a00000501020000");
  t.strictSame(read("2006ffff0a00000501020000"), [careOf]);
  everyOffset(t, careOf, [4, 0]);
  t.end();
});

t.test("R5555-3.1.3-01: F is the mask 0x0100 of the flags word", (t) => {
  const bytes = encodeMobilityMessage(update([], bindingUpdateFlags({ forceUdp: true })));
  t.equal(toHex(bytes.subarray(8, 10)), "0100");
  const decoded = decodeMobilityMessage(bytes);
  t.ok(decoded.ok && decoded.value.type === "binding-update" && decoded.value.flags.forceUdp);
  t.end();
});

t.test("R5555-3.2.1-01 R5555-3.2.1-06 R5555-3.2.1-07: IPv4 address acknowledgement option, two reserved bits", (t) => {
  t.equal(area([acknowledged]), "1e060080c000020a01020000");
  t.equal(area([{ ...acknowledged, status: 130, prefixLength: 63 }]), "1e0682fcc000020a01020000", "Res bits are zero");
  t.strictSame(read("1e060083c000020a01020000"), [acknowledged], "Res bits are ignored");
  everyOffset(t, acknowledged, [4, 0]);
  t.end();
});

t.test(
  "R5555-3.2.2-03 R5555-3.2.2-06 R5555-3.2.2-07: NAT detection option, F is the top bit, 15 reserved bits",
  (t) => {
    t.equal(area([nat]), "1f0680000000006e01020000");
    t.equal(area([{ ...nat, forceUdp: false, refreshSeconds: 0xffffffff }]), "1f060000ffffffff01020000");
    t.strictSame(read("1f06ffff0000006e01020000"), [nat]);
    t.strictSame(read("1f067fff0000006e01020000"), [{ ...nat, forceUdp: false }]);
    everyOffset(t, nat, [4, 0]);
    t.end();
  },
);

t.test("R5555-8-03: the IPv4 status belongs to option 30; option 29 is never read as an acknowledgement", (t) => {
  t.strictSame(read("1e068200c000020a01020000"), [{ ...acknowledged, status: 130, prefixLength: 0 }]);
  t.strictSame(read("1d068200c000020a01020000"), [{ ...home, mobileNetworkPrefix: true }]);
  t.end();
});

t.test("R5555-1-02: the options of RFC 5555 do not depend on the M flag", (t) => {
  const options = [home, careOf];
  for (const mapRegistration of [false, true]) {
    const decoded = decodeMobilityMessage(
      encodeMobilityMessage(update(options, bindingUpdateFlags({ mapRegistration }))),
    );
    t.strictSame(decoded.ok && decoded.value.type === "binding-update" && decoded.value.options, options);
  }
  t.end();
});

t.test("every option starts at its alignment", (t) => {
  everyOffset(t, { kind: "binding-refresh-advice", intervalUnits: 25 }, [2, 0]);
  everyOffset(t, alternate, [8, 6]);
  everyOffset(t, { kind: "nonce-indices", homeNonceIndex: 1, careOfNonceIndex: 2 }, [2, 0]);
  everyOffset(t, authenticator, [8, 2]);
  everyOffset(t, { kind: "mobile-network-prefix", prefixLength: 48, prefix: ipv6("2001:db8:5::") }, [8, 4]);
  everyOffset(t, authentication, [4, 1]);
  everyOffset(t, { kind: "message-identification", seconds: 1, fraction: 2 }, [8, 2]);
  const identifier = {
    kind: "binding-identifier",
    bindingId: 1,
    status: 0,
    simultaneousHomeAndForeign: false,
  } as const;
  everyOffset(t, { ...identifier, careOfAddress: undefined }, [2, 0]);
  everyOffset(t, { ...identifier, careOfAddress: ipv4("10.0.0.5") }, [8, 2]);
  everyOffset(t, { ...identifier, careOfAddress: ipv6("2001:db8:2::20") }, [8, 2]);
  t.end();
});

t.test("F6275-6.2-01: unknown options are kept, Pad1 has no Length, the content of PadN is ignored", (t) => {
  t.strictSame(read("c803aabbcc0105ffffffffff".slice(0, 24)), [
    { kind: "unknown", optionType: 200, data: fromHex("aabbcc") },
  ]);
  t.strictSame(read("00000000"), []);
  t.strictSame(read("0102dead"), []);
  t.strictSame(read("00c8000000000000 0000 0000".replaceAll(" ", "")), [
    { kind: "unknown", optionType: 200, data: new Uint8Array(0) },
  ]);
  for (let length = 0; length < 256; length++) {
    const sent = [unknown(length), home];
    const decoded = decodeMobilityMessage(encodeMobilityMessage(update(sent)));
    t.strictSame(decoded.ok && decoded.value.type === "binding-update" && decoded.value.options, sent);
  }
  t.end();
});

t.test("F6275-6.2-02: the authorization data is the last option and nothing follows it", (t) => {
  for (let length = 0; length < 8; length++) {
    const bytes = encodeMobilityMessage(update([unknown(length), authenticator]));
    t.equal(decodeOptionSpans(bytes, 12).at(-1)?.end, bytes.length);
  }
  t.throws(() => area([authenticator, home]), EncodeError);
  t.throws(() => area([authenticator, authenticator]), EncodeError);
  t.match(read(`050c${"00".repeat(12)}010400000000`), /padding after the authorization data/);
  t.match(read(`010400000000050c${"00".repeat(12)}c806000000000000`), /after the authorization data/);
  t.end();
});

t.test("nothing but another of its kind follows an authentication option", (t) => {
  t.throws(() => area([authentication, home]), EncodeError);
  t.doesNotThrow(() => area([home, authentication, { ...authentication, subtype: 2 }]));
  t.end();
});

t.test("a raw option cannot stand for a known one or for padding", (t) => {
  for (const optionType of [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 17, 18, 29, 30, 31, 32, 35]) {
    t.throws(() => area([{ kind: "unknown", optionType, data: new Uint8Array(6) }]), EncodeError, `${optionType}`);
  }
  t.throws(() => area([unknown(256)]), EncodeError, "a Length of 256");
  t.throws(() => area([{ ...home, prefixLength: 64 }]), EncodeError, "six bits");
  t.end();
});

t.test("RO-6.2-01 RO-6.2-02: the RO mode option needs its profile; undefined modes count as absent", (t) => {
  const context = { profile: RO_PROFILE };
  for (const mode of [0, 1, 2, 3, 4] as const) {
    t.equal(area([{ kind: "ipv4-ro-mode", mode }], context), `12010${mode}00`);
    t.strictSame(read(`12010${mode}00`, context), [{ kind: "ipv4-ro-mode", mode }]);
    t.strictSame(
      read(`12030${mode}000001050000000000`.slice(0, 24), context),
      [{ kind: "ipv4-ro-mode", mode }],
      "C-42",
    );
  }
  for (const mode of ["05", "ff"]) {
    const options = read(`1201${mode}00`, context);
    t.ok(typeof options !== "string" && findOption(options, "ipv4-ro-mode") === undefined);
    t.ok(typeof options !== "string" && options[0]?.kind === "unknown");
  }
  t.strictSame(read("12010300"), [{ kind: "experimental", data: fromHex("03") }], "without the profile");
  t.throws(() => area([{ kind: "ipv4-ro-mode", mode: 1 }]), EncodeError);
  const elsewhere = { profile: { roModeType: 222 } };
  t.equal(area([{ kind: "ipv4-ro-mode", mode: 1 }], elsewhere), "de010100");
  t.strictSame(read("de010100", elsewhere), [{ kind: "ipv4-ro-mode", mode: 1 }]);
  t.end();
});

t.test("S04-3.1.1-01 S04-3.2.1-01: the 2004 layouts need their profile", (t) => {
  const context = { profile: SOLIMAN_2004_PROFILE };
  const old: MobilityOption = { kind: "ipv4-home-address-2004", address: ipv4("192.0.2.10") };
  const reply: MobilityOption = {
    kind: "ipv4-address-acknowledgement-2004",
    status: 132,
    address: ipv4("192.0.2.10"),
  };
  t.equal(area([old], context), "01001d04c000020a01020000", "the address is on a 4-octet boundary");
  everyOffset(t, old, [4, 2], context);
  t.strictSame(read("01001d04c000020a01020000", context), [old]);
  t.strictSame(read("01001d01c000020a01020000", context), [old], "C-52");
  t.match(read("01001d04c000020a01020000"), /Length 4 does not fit/);
  t.equal(area([reply], context), "1e068400c000020a01020000");
  t.strictSame(read("1e068400c000020a01020000", context), [reply]);
  t.strictSame(read("1e018400c000020a01020000", context), [reply], "C-52");
  t.throws(() => area([old]), EncodeError);
  t.throws(() => area([reply]), EncodeError);
  t.end();
});

t.test("S04-3.1.1-02: the 2004 option holds any unicast address, public or private, and 0.0.0.0", (t) => {
  const context = { profile: SOLIMAN_2004_PROFILE };
  for (const [address, octets] of [
    ["192.0.2.10", "c000020a"],
    ["10.1.2.3", "0a010203"],
    ["192.168.0.1", "c0a80001"],
    ["0.0.0.0", "00000000"],
  ] as const) {
    const option: MobilityOption = { kind: "ipv4-home-address-2004", address: ipv4(address) };
    t.equal(area([option], context), `01001d04${octets}01020000`);
    t.strictSame(read(`01001d04${octets}01020000`, context), [option]);
  }
  t.end();
});

t.test("options are found by kind, in order", (t) => {
  const second = { ...home, address: ipv4("192.0.2.11") };
  t.strictSame(findOption([careOf, home, second], "ipv4-home-address"), home);
  t.strictSame(findOptions([home, careOf, second], "ipv4-home-address"), [home, second]);
  t.equal(findOption([careOf], "ipv4-home-address"), undefined);
  t.end();
});
