/**
 * The errors of dsmipd, split by who is at fault. `code` is stable and for machines, `message` is one sentence for people.
 * Nothing here may hold a key: messages reach logs and the control socket.
 */
export class MobilityError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/**
 * What a receiver does about octets that it could not decode: `payload-proto` and `header-length` are answered with an ICMPv6
 * Parameter Problem code 0 whose pointer is the error's offset (RFC 6275 §9.2); the others are dropped and counted.
 */
export type DecodeReason = "truncated" | "malformed" | "checksum" | "payload-proto" | "header-length";

/** Bytes that are not what the format says. Never fatal: the packet is dropped and counted. */
export class DecodeError extends MobilityError {
  /** Octets from the start of the buffer that was being decoded. */
  readonly offset: number;
  readonly field: string;
  readonly reason: DecodeReason;

  constructor(message: string, where: { offset: number; field: string; reason?: DecodeReason }) {
    super("MIP_DECODE", `${message} (${where.field} at octet ${where.offset})`);
    this.offset = where.offset;
    this.field = where.field;
    this.reason = where.reason ?? "malformed";
  }
}

/** A value that does not fit its wire field: a bug of ours, thrown at the encoder. */
export class EncodeError extends MobilityError {
  readonly field: string;

  constructor(field: string, message: string) {
    super("MIP_ENCODE", `${field}: ${message}`);
    this.field = field;
  }
}

/** The operator's configuration is wrong; the message names the file, the key, what was found and what is wanted. */
export class ConfigError extends MobilityError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("MIP_CONFIG", message, options);
  }
}

/** Something this machine lacks (capability, kernel module, tool); the message names the command that brings it. */
export class MissingError extends MobilityError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("MIP_MISSING", message, options);
  }
}

/** A state of ours that cannot be: always a bug. */
export class InvariantError extends MobilityError {
  constructor(message: string) {
    super("MIP_INVARIANT", message);
  }
}
