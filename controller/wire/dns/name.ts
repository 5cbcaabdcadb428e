/** Domain names on the wire (RFC 1035 §3.1): compressed ones of DNS messages, and those that stand alone as DHCPv6 has them (RFC 8415 §10). */
import { ByteReader, type ByteWriter } from "../../base/bytes.js";
import { EncodeError } from "../../base/errors.js";

const MAX_NAME_OCTETS = 255;
const MAX_LABEL_OCTETS = 63;
const POINTER = 0xc0;
const LABEL = /^[A-Za-z0-9_-]{1,63}$/;

/**
 * A name from where the reader stands, in lower case and without the dot at the end; "" is the root. Pointers lead into `message`
 * (absent: there are none), and no name is longer than 255 octets, so none goes round. What a host name may not hold becomes a question
 * mark, so that such a name equals none that we asked for. Throws DecodeError.
 */
export function readName(reader: ByteReader, message?: Uint8Array): string {
  const labels: string[] = [];
  let octets = 0;
  let jumped: ByteReader | undefined;
  for (;;) {
    const at = jumped ?? reader;
    const length = at.u8("label");
    if (length === 0) return labels.join(".");
    if (length >= POINTER && message !== undefined) {
      const offset = ((length & ~POINTER) << 8) | at.u8("pointer");
      octets += 2; // a circle of pointers ends here too
      if (offset >= message.length) throw reader.error(`a pointer to octet ${offset}`, "name");
      jumped = new ByteReader(message.subarray(offset), offset);
    } else if (length > MAX_LABEL_OCTETS) {
      throw reader.error(`a label of kind ${length >> 6}`, "name");
    } else {
      octets += length + 1;
      labels.push(labelText(at.bytes(length, "label")));
    }
    if (octets > MAX_NAME_OCTETS) throw reader.error("more than 255 octets", "name");
  }
}

function labelText(octets: Uint8Array): string {
  return Array.from(octets, (octet) => {
    const letter = String.fromCharCode(octet).toLowerCase();
    return /[a-z0-9_-]/.test(letter) ? letter : "?";
  }).join("");
}

/** Uncompressed. Throws EncodeError for what is no host name. */
export function writeName(writer: ByteWriter, name: string): void {
  const start = writer.length;
  for (const label of name.split(".")) {
    if (!LABEL.test(label)) throw new EncodeError("name", `"${name}" is no host name`);
    writer.u8("label", label.length).bytes(Uint8Array.from(label, (letter) => letter.charCodeAt(0)));
  }
  writer.zeros(1);
  if (writer.length - start > MAX_NAME_OCTETS) throw new EncodeError("name", `"${name}" is too long`);
}
