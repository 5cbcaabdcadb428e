/** The outer header: what is told apart in errors, what is refused, how much work hostile octets cause. */
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { EncodeError } from "../../../../controller/base/errors.js";
import { ipv6 } from "../../../../controller/base/ip.js";
import { seq16 } from "../../../../controller/base/seq16.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
  verifyChecksum,
  withChecksum,
} from "../../../../controller/wire/mip6/messages/mobility-header.js";
import type { MobilityMessage } from "../../../../controller/wire/mip6/messages/mobility-message.js";
import {
  bindingAcknowledgementFlags,
  bindingUpdateFlags,
} from "../../../../controller/wire/mip6/messages/registration.js";

const BU = "3b010500000000 01c000009601020000".replace(" ", "");
const HOME = ipv6("2001:db8:1::10");
const AGENT = ipv6("2001:db8:1::1");

function failure(hex: string): unknown {
  const result = decodeMobilityMessage(fromHex(hex));
  return result.ok ? result.value.type : { reason: result.error.reason, offset: result.error.offset };
}

t.test("what RFC 6275 §9.2 answers with a Parameter Problem has its own reason and the pointer as offset", (t) => {
  t.strictSame(failure(`3a${BU.slice(2)}`), { reason: "payload-proto", offset: 0 });
  t.strictSame(failure(`3b00${BU.slice(4)}`), { reason: "header-length", offset: 1 });
  t.strictSame(failure(`3b02${BU.slice(4)}`), { reason: "truncated", offset: 16 }, "silence");
  t.equal(failure(`3a01aa${BU.slice(6)}`), "unknown", "the MH type is looked at before the payload protocol");
  t.equal(failure(`3b01aa${BU.slice(6)}`), "unknown");
  t.end();
});

t.test("every message type refuses a Header Len below its minimum, whatever follows", (t) => {
  const minimum: Readonly<Record<number, number>> = { 0: 0, 1: 1, 2: 1, 3: 2, 4: 2, 5: 1, 6: 1, 7: 2, 12: 0, 16: 1 };
  for (const [type, least] of Object.entries(minimum)) {
    for (let units = 0; units < 4; units++) {
      const bytes = new Uint8Array(64);
      bytes.set([59, units, Number(type), 0, 0, 0, Number(type) === 16 ? 1 : 0]);
      const result = decodeMobilityMessage(bytes);
      t.equal(result.ok, units >= least, `MH type ${type}, Header Len ${units}`);
      if (!result.ok) t.equal(result.error.reason, "header-length");
    }
  }
  t.end();
});

t.test("a message that does not fit its header is refused", (t) => {
  const options = Array.from(
    { length: 9 },
    () => ({ kind: "unknown", optionType: 200, data: new Uint8Array(253) }) as const,
  );
  const update = { type: "binding-update", sequence: seq16(0), flags: bindingUpdateFlags(), lifetimeUnits: 0 } as const;
  t.throws(() => encodeMobilityMessage({ ...update, options }), /header-length/);
  t.equal(encodeMobilityMessage({ ...update, options: options.slice(0, 7) }).length, 1800);
  t.throws(() => encodeMobilityMessage({ ...update, options: [], lifetimeUnits: 65536 }), EncodeError);
  t.throws(() => encodeMobilityMessage({ type: "unknown", mhType: 5, body: new Uint8Array(2) }), EncodeError);
  t.throws(() => encodeMobilityMessage({ type: "unknown", mhType: 99, body: new Uint8Array(3) }), EncodeError);
  t.throws(() => encodeMobilityMessage({ type: "unknown", mhType: 99, body: new Uint8Array(0) }), EncodeError);
  const strange = { type: "binding-prayer", options: [] } as unknown as MobilityMessage;
  t.throws(() => encodeMobilityMessage(strange), EncodeError);
  t.throws(
    () =>
      encodeMobilityMessage({
        type: "home-agent-switch",
        addresses: Array.from({ length: 256 }, () => AGENT),
        options: [],
      }),
    EncodeError,
  );
  t.end();
});

t.test("the checksum covers the header and the upper-layer addresses, and nothing behind the header", (t) => {
  const bytes = withChecksum(fromHex(BU), HOME, AGENT);
  t.ok(verifyChecksum(bytes, HOME, AGENT));
  t.ok(verifyChecksum(bytes, AGENT, HOME), "a sum does not see the direction");
  t.notOk(verifyChecksum(bytes, HOME, HOME));
  t.notOk(verifyChecksum(bytes.subarray(0, 15), HOME, AGENT));
  t.notOk(verifyChecksum(new Uint8Array(0), HOME, AGENT));
  t.ok(verifyChecksum(Uint8Array.from([...bytes, 1, 2, 3]), HOME, AGENT));
  t.equal(toHex(withChecksum(bytes, HOME, AGENT)), toHex(bytes), "a checksum that is there is made anew");
  t.end();
});

t.test("flags are clear unless given", (t) => {
  t.notOk(Object.values(bindingUpdateFlags()).some(Boolean));
  t.equal(Object.keys(bindingUpdateFlags()).length, 12);
  t.strictSame(
    Object.entries(bindingAcknowledgementFlags({ mobileRouter: true })).filter(([, set]) => set),
    [["mobileRouter", true]],
  );
  t.end();
});

t.test("hostile octets cost no more than the 2048 that a header can have", (t) => {
  const bytes = new Uint8Array(65536);
  bytes.set([59, 255, 5]);
  const padding = decodeMobilityMessage(bytes);
  t.ok(padding.ok && padding.value.type === "binding-update" && padding.value.options.length === 0);
  for (let at = 12; at < bytes.length; at += 2) bytes.set([200, 0], at);
  const options = decodeMobilityMessage(bytes);
  t.equal(options.ok && options.value.type === "binding-update" && options.value.options.length, (2048 - 12) / 2);
  t.end();
});
