/**
 * Whether a home agent is there at all: an echo request from the visited network (RFC 4443 §4.1, RFC 792). A binding update would need keys
 * that stand for one home agent at a time; this needs none, and proves nothing but that somebody answers there.
 */
import { ByteWriter } from "../../../base/bytes.js";
import { type Family, familyOf, type IpAddress, isIpv4 } from "../../../base/ip.js";
import { decodeIcmpv6, encodeIcmpv6 } from "../../../wire/icmpv6.js";
import { decodeIcmpEcho, encodeIcmpEcho } from "../../../wire/ip/icmp-echo.js";

/** ICMPv6 (RFC 4443 §4). */
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;

const ATTEMPTS = 3;
const WAIT_MS = 1000;

export interface EchoPorts {
  /** Hears echo replies, from the ICMP header on, until it is closed. Throws what the kernel says. */
  open(
    family: Family,
    onReply: (bytes: Uint8Array, source: IpAddress) => void,
  ): { send(bytes: Uint8Array, source: IpAddress, destination: IpAddress): void; close(): void };
  /** 16 bits. */
  identifier(): number;
  setTimer(delayMs: number, done: () => void): () => void;
}

/** Within three seconds. Never rejects. */
export function answersEcho(destination: IpAddress, source: IpAddress, ports: EchoPorts): Promise<boolean> {
  return new Promise((resolve) => {
    const identifier = ports.identifier();
    let cancel = (): void => undefined;
    let socket: ReturnType<EchoPorts["open"]> | undefined;
    const done = (answers: boolean): void => {
      cancel();
      socket?.close();
      resolve(answers);
    };
    const attempt = (sequence: number): void => {
      if (sequence >= ATTEMPTS) return done(false);
      try {
        socket?.send(request(destination, identifier, sequence), source, destination);
      } catch {
        // ignored: no way there just now, perhaps at the next attempt
      }
      cancel = ports.setTimer(WAIT_MS, () => attempt(sequence + 1));
    };
    try {
      const family = familyOf(destination);
      socket = ports.open(family, (bytes, from) => {
        if (from === destination && identifierOf(bytes, family) === identifier) done(true);
      });
    } catch {
      return done(false);
    }
    attempt(0);
  });
}

function request(destination: IpAddress, identifier: number, sequence: number): Uint8Array {
  if (isIpv4(destination)) return encodeIcmpEcho({ isReply: false, identifier, sequence, data: new Uint8Array() });
  const writer = new ByteWriter(4).u16("identifier", identifier).u16("sequence", sequence);
  return encodeIcmpv6({ type: "unknown", icmpType: ICMPV6_ECHO_REQUEST, code: 0, body: writer.finish() });
}

function identifierOf(bytes: Uint8Array, family: Family): number | undefined {
  if (family === 4) {
    const echo = decodeIcmpEcho(bytes);
    return echo.ok && echo.value.isReply ? echo.value.identifier : undefined;
  }
  const message = decodeIcmpv6(bytes);
  if (!message.ok || message.value.type !== "unknown" || message.value.icmpType !== ICMPV6_ECHO_REPLY) return undefined;
  const [high, low] = message.value.body;
  return high === undefined || low === undefined ? undefined : high * 256 + low;
}
