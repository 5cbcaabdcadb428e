/**
 * VICI messages: trees of named sections, lists and values (strongSwan, src/libcharon/plugins/vici/README.md, "Message format").
 * Values are octets on the wire. A decoded one is a string where the octets are valid UTF-8 and a Uint8Array where they are not; both
 * encode to the very octets they came from, and since the kind depends on the octets, readers (section.ts) take either.
 */
import { ByteReader } from "../base/bytes.js";
import { type DecodeError, EncodeError } from "../base/errors.js";
import { Secret } from "../base/secret.js";

/** A leaf. Text goes out as UTF-8; a Secret goes out as its octets. Decoded values are never a Secret. */
export type ViciValue = string | Uint8Array | Secret;

export type ViciNode = ViciValue | readonly ViciValue[] | ViciSection;

/**
 * Names to nodes. Decoded ones have no prototype, so that no name finds what charon did not send. The order is kept, except that
 * JavaScript puts names that are whole numbers first; charon gives no meaning to the order of those.
 */
export interface ViciSection {
  readonly [name: string]: ViciNode;
}

const Element = { sectionStart: 1, sectionEnd: 2, keyValue: 3, listStart: 4, listItem: 5, listEnd: 6 } as const;

/** Sections within sections, without the root. charon itself needs five; the bound keeps hostile octets from deep trees. */
export const MAX_DEPTH = 32;
const MAX_NAME = 0xff;
const MAX_VALUE = 0xffff;

const encoder = new TextEncoder();
// A byte order mark is a part of the value: a decoder that drops it would not give back the octets.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Where the elements go: counted first, then written, so that a message with a secret exists in one buffer only. */
interface Sink {
  octet(value: number): void;
  octets(value: Uint8Array): void;
}

/** The message's octets. Throws EncodeError, which names the place and never the value. The caller wipes the buffer if it has to. */
export function encodeMessage(section: ViciSection): Uint8Array {
  const bytes = new Uint8Array(messageLength(section));
  writeMessage(section, bytes, 0);
  return bytes;
}

/** Octets of the encoded message. Throws EncodeError. */
export function messageLength(section: ViciSection): number {
  let length = 0;
  writeSection(section, [], {
    octet: () => (length += 1),
    octets: (value) => (length += value.length),
  });
  return length;
}

/** Writes the message from `at` on; there must be room for its messageLength. */
export function writeMessage(section: ViciSection, into: Uint8Array, at: number): void {
  let end = at;
  writeSection(section, [], {
    octet: (value) => {
      into[end++] = value;
    },
    octets: (value) => {
      into.set(value, end);
      end += value.length;
    },
  });
}

/**
 * The octets of a name of a command, event, section, list or key. charon drops packets whose names are anything but printable ASCII
 * without an answer (vici_stringify), so such a name is an EncodeError here.
 */
export function nameOctets(name: string, field: string): Uint8Array {
  if (name.length > MAX_NAME || /[^ -~]/.test(name))
    throw new EncodeError(field, `a name is at most ${MAX_NAME} printable ASCII characters`);
  return encoder.encode(name);
}

function writeSection(section: ViciSection, path: readonly string[], sink: Sink): void {
  for (const [name, node] of Object.entries(section)) {
    const place = [...path, name];
    if (isList(node)) {
      writeName(Element.listStart, name, place, sink);
      for (const item of node) {
        sink.octet(Element.listItem);
        writeValue(item, place, sink);
      }
      sink.octet(Element.listEnd);
    } else if (isSection(node)) {
      if (place.length > MAX_DEPTH) throw new EncodeError(place.join("."), `more than ${MAX_DEPTH} sections deep`);
      writeName(Element.sectionStart, name, place, sink);
      writeSection(node, place, sink);
      sink.octet(Element.sectionEnd);
    } else {
      writeName(Element.keyValue, name, place, sink);
      writeValue(node, place, sink);
    }
  }
}

function writeName(element: number, name: string, place: readonly string[], sink: Sink): void {
  const octets = nameOctets(name, place.join("."));
  sink.octet(element);
  sink.octet(octets.length);
  sink.octets(octets);
}

function writeValue(value: ViciValue, place: readonly string[], sink: Sink): void {
  const octets = valueOctets(value, place);
  if (octets.length > MAX_VALUE)
    throw new EncodeError(place.join("."), `${octets.length} octets, at most ${MAX_VALUE} fit`);
  sink.octet(octets.length >> 8);
  sink.octet(octets.length & 0xff);
  sink.octets(octets);
}

function valueOctets(value: ViciValue, place: readonly string[]): Uint8Array {
  if (value instanceof Secret) return value.reveal();
  if (typeof value !== "string") return value;
  if (/\p{Surrogate}/u.test(value)) throw new EncodeError(place.join("."), "half a surrogate pair is no text");
  return encoder.encode(value);
}

export function isList(node: ViciNode): node is readonly ViciValue[] {
  return Array.isArray(node);
}

export function isSection(node: ViciNode): node is ViciSection {
  return typeof node === "object" && !isList(node) && !(node instanceof Uint8Array) && !(node instanceof Secret);
}

/**
 * The tree that the octets describe; throws DecodeError on everything else: lengths past the end, what is not closed or was not opened,
 * more than MAX_DEPTH sections deep, and a name that a section has twice (the README forbids it, and two readers could take different
 * ones). The values have memory of their own.
 */
export function decodeMessage(bytes: Uint8Array): ViciSection {
  const reader = new ByteReader(bytes);
  const root = emptySection();
  const open = [root];
  for (let current = root; reader.remaining > 0; current = open.at(-1) ?? root) {
    const at = reader.offset;
    const element = reader.u8("element");
    switch (element) {
      case Element.sectionStart: {
        const child = emptySection();
        if (open.length > MAX_DEPTH) throw reader.error(`more than ${MAX_DEPTH} sections deep`, "section", at);
        put(reader, current, child, at);
        open.push(child);
        break;
      }
      case Element.sectionEnd:
        if (open.length === 1) throw reader.error("the end of a section that was not opened", "section", at);
        open.pop();
        break;
      case Element.keyValue:
        put(reader, current, readValue, at);
        break;
      case Element.listStart:
        put(reader, current, readItems, at);
        break;
      case Element.listItem:
      case Element.listEnd:
        throw reader.error("a part of a list that was not opened", "list", at);
      default:
        throw reader.error(`${element} is no element type`, "element", at);
    }
  }
  if (open.length > 1) throw reader.error(`${open.length - 1} sections are not closed`, "section");
  return root;
}

type OpenSection = { [name: string]: ViciNode };

function emptySection(): OpenSection {
  return Object.create(null) as OpenSection;
}

/** Reads a name and puts under it what is given or read next. */
function put(
  reader: ByteReader,
  section: OpenSection,
  content: OpenSection | ((reader: ByteReader) => ViciNode),
  at: number,
): void {
  const name = readName(reader, at);
  if (name in section) throw reader.error("a name that the section has already", "name", at);
  section[name] = typeof content === "function" ? content(reader) : content;
}

/** UTF-8 rather than ASCII: what others loaded into charon may be named in their language, and must not hide ours. */
function readName(reader: ByteReader, at: number): string {
  const name = text(reader.bytes(reader.u8("name"), "name"));
  if (name === undefined) throw nameError(reader, at);
  return name;
}

function nameError(reader: ByteReader, at: number): DecodeError {
  return reader.error("a name that is no UTF-8", "name", at);
}

function readValue(reader: ByteReader): ViciValue {
  const octets = reader.bytes(reader.u16("value"), "value");
  return text(octets) ?? octets.slice();
}

function readItems(reader: ByteReader): readonly ViciValue[] {
  const items: ViciValue[] = [];
  for (;;) {
    const at = reader.offset;
    const element = reader.u8("list");
    if (element === Element.listEnd) return items;
    if (element !== Element.listItem) throw reader.error(`element ${element} within a list`, "list", at);
    items.push(readValue(reader));
  }
}

/** The text that the octets are in UTF-8, if they are. */
function text(octets: Uint8Array): string | undefined {
  try {
    return decoder.decode(octets);
  } catch {
    return undefined;
  }
}
