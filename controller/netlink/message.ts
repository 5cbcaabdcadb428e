/**
 * The netlink message header (struct nlmsghdr, 16 octets, native byte order) and what travels behind it:
 *
 *      0                   1                   2                   3
 *     +---------------------------------------------------------------+
 *     |                     length with this header                   |
 *     +-------------------------------+-------------------------------+
 *     |             type              |             flags             |
 *     +-------------------------------+-------------------------------+
 *     |                        sequence number                        |
 *     +---------------------------------------------------------------+
 *     |                port (0 is the kernel) of the sender           |
 *     +---------------------------------------------------------------+
 *
 * One datagram holds any number of messages, each padded to 4 octets. Knows nothing of what the types mean.
 * Source: linux/netlink.h, RFC 3549 §2.3.
 */
import { DecodeError, EncodeError } from "../base/errors.js";
import { align4, LITTLE } from "./attribute.js";

export type NetlinkFamily = "route" | "xfrm" | "netfilter" | "generic";

/** One netlink message without header fields that the session fills in (length, sequence, port). */
export interface NetlinkRequest {
  readonly family: NetlinkFamily;
  /** nlmsg_type. For generic netlink the family's name stands in `generic` and is resolved to a number by the session. */
  readonly type: number;
  readonly generic?: string;
  /** NLM_F_* beyond REQUEST and ACK, which the session sets. */
  readonly flags: number;
  /** Family header and attributes. */
  readonly body: Uint8Array;
  /** The body holds a key: whoever sends it zeroes it, and every copy of it, afterwards. */
  readonly secret?: true;
}

/** One message of a dump or a notification: type as received, body after the netlink header. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly body: Uint8Array;
}

/** A received message with the header fields by which it finds its request. */
export interface ReceivedMessage extends NetlinkMessage {
  readonly sequence: number;
  readonly port: number;
}

/** NLMSG_HDRLEN. */
export const HEADER_LENGTH = 16;

/** Room for several messages in one buffer, so that one system call carries them all. */
export class MessagePacker {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = 4096) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  /** `port`: the sender's own; XFRM repeats it in what it announces, and only so are our own changes known again. */
  append(message: { type: number; flags: number; sequence: number; port?: number; body: Uint8Array }): void {
    const length = HEADER_LENGTH + message.body.length;
    if (message.type > 0xffff || message.flags > 0xffff)
      throw new EncodeError("nlmsghdr", `type ${message.type}, flags ${message.flags}`);
    const start = this.#grow(align4(length));
    this.#view.setUint32(start, length, LITTLE);
    this.#view.setUint16(start + 4, message.type, LITTLE);
    this.#view.setUint16(start + 6, message.flags, LITTLE);
    this.#view.setUint32(start + 8, message.sequence, LITTLE);
    this.#view.setUint32(start + 12, message.port ?? 0, LITTLE);
    this.#bytes.set(message.body, start + HEADER_LENGTH);
    this.#bytes.fill(0, start + length, start + align4(length));
  }

  /** The octets packed so far; valid until the next append or wipe. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Zeroes everything: some message held a key. */
  wipe(): void {
    this.#bytes.fill(0);
    this.#length = 0;
  }

  #grow(count: number): number {
    const start = this.#length;
    if (start + count > this.#bytes.length) {
      const bigger = new Uint8Array(Math.max(start + count, 2 * this.#bytes.length));
      bigger.set(this.#bytes.subarray(0, start));
      this.#bytes.fill(0); // it may have held a key
      this.#bytes = bigger;
      this.#view = new DataView(bigger.buffer);
    }
    this.#length = start + count;
    return start;
  }
}

/** One message on its own; for recorded vectors and tests. */
export function encodeMessage(message: {
  type: number;
  flags: number;
  sequence: number;
  body: Uint8Array;
}): Uint8Array {
  const packer = new MessagePacker(HEADER_LENGTH + align4(message.body.length));
  packer.append(message);
  return packer.bytes();
}

/**
 * All messages of one datagram, with bodies of their own memory (the datagram's buffer may be used again).
 * Throws DecodeError if a length does not fit: then nothing of the datagram is to be believed.
 */
export function splitMessages(datagram: Uint8Array): ReceivedMessage[] {
  const copy = new Uint8Array(datagram); // not slice(): of a Buffer that would be a view
  const view = new DataView(copy.buffer, copy.byteOffset, copy.byteLength);
  const messages: ReceivedMessage[] = [];
  for (let at = 0; at < copy.length; ) {
    if (at + HEADER_LENGTH > copy.length)
      throw new DecodeError(`${copy.length - at} octets left, 16 wanted`, { offset: at, field: "nlmsghdr" });
    const length = view.getUint32(at, LITTLE);
    if (length < HEADER_LENGTH || at + length > copy.length) {
      throw new DecodeError(`message length ${length}, ${copy.length - at} octets left`, {
        offset: at,
        field: "nlmsg_len",
      });
    }
    messages.push({
      type: view.getUint16(at + 4, LITTLE),
      flags: view.getUint16(at + 6, LITTLE),
      sequence: view.getUint32(at + 8, LITTLE),
      port: view.getUint32(at + 12, LITTLE),
      body: copy.subarray(at + HEADER_LENGTH, at + length),
    });
    at += align4(length);
  }
  return messages;
}
