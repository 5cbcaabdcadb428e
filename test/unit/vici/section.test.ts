/** The readers, over what charon sent. */
import t from "tap";
import { toHex } from "../../../controller/base/bytes.js";
import type { ViciSection } from "../../../controller/vici/message.js";
import {
  hexAt,
  isYes,
  nodeAt,
  numberAt,
  octetsAt,
  sectionAt,
  sectionsOf,
  textAt,
  textsAt,
} from "../../../controller/vici/section.js";
import { loadViciVectors } from "../../lib/vici-vectors.js";

function recorded(name: string): ViciSection {
  const packet = loadViciVectors("events").find((vector) => vector.name === name)?.packet;
  if (packet === undefined || !("message" in packet)) throw new Error(`no event ${name}`);
  return packet.message;
}

t.test("a child SA that came up", (t) => {
  const event = recorded("child-updown");
  t.equal(isYes(event, "up"), true);
  t.equal(isYes(recorded("child-updown down"), "up"), false, "charon leaves it out");
  t.strictSame(
    sectionsOf(event).map(([name]) => name),
    ["home"],
  );
  const [[name, child] = []] = sectionsOf(sectionAt(event, "home", "child-sas") ?? {});
  t.equal(name, "payload-1");
  t.equal(textAt(child ?? {}, "name"), "payload");
  t.equal(numberAt(child ?? {}, "reqid"), 7);
  t.equal(hexAt(child ?? {}, "mark-in"), 0x10);
  t.equal(hexAt(child ?? {}, "spi-in"), Number.parseInt(textAt(child ?? {}, "spi-in") ?? "", 16));
  t.strictSame(textsAt(child ?? {}, "local-ts"), ["10.0.1.0/24"]);
  t.end();
});

t.test("octets, whichever kind they were decoded to", (t) => {
  t.equal(octetsAt(recorded("list-cert"), "data")?.[0], 0x30, "DER");
  t.equal(toHex(octetsAt({ a: "ü" }, "a") ?? new Uint8Array(0)), "c3bc");
  t.equal(octetsAt({ a: [] }, "a"), undefined);
  t.end();
});

t.test("what is missing or of another kind is undefined", (t) => {
  const section: ViciSection = { text: "x", list: ["1", Uint8Array.of(0xff), "2"], section: { "": "y" }, n: "007" };
  t.equal(textAt(section, "list"), undefined);
  t.equal(textAt(section, "text", "more"), undefined);
  t.equal(textAt(section, "section", ""), "y");
  t.equal(textAt(section, "section", "no"), undefined);
  t.equal(nodeAt(section, "constructor"), undefined);
  t.equal(nodeAt(section), section);
  t.equal(sectionAt(section, "list"), undefined);
  t.strictSame(textsAt(section, "list"), ["1", "2"]);
  t.equal(textsAt(section, "text"), undefined);
  t.equal(numberAt(section, "n"), 7);
  for (const text of ["", "-1", "1.5", "1e3", " 1", "0x10", "99999999999999999999"])
    t.equal(numberAt({ text }, "text"), undefined, text);
  t.equal(hexAt({ a: "0x00ff" }, "a"), 255);
  for (const text of ["", "0x", "g", "123456789"]) t.equal(hexAt({ text }, "text"), undefined, text);
  t.end();
});
