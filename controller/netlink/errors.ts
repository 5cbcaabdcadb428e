/**
 * What the kernel answers when it does not want to: errno, its own words and place (extended acknowledgement), and the object it
 * was about. Callers ask the questions below; nobody looks into texts.
 */
import { MobilityError } from "../base/errors.js";
import { Attribute, LITTLE, readAttributes } from "./attribute.js";
import {
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLMSG_DONE,
  NLMSGERR_ATTR_MISS_NEST,
  NLMSGERR_ATTR_MISS_TYPE,
  NLMSGERR_ATTR_MSG,
  NLMSGERR_ATTR_OFFS,
} from "./constants.js";
import {
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  EBUSY,
  EEXIST,
  EINTR,
  ENOBUFS,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENXIO,
  EOPNOTSUPP,
  ESRCH,
  ETIMEDOUT,
  errnoName,
} from "./errno.js";
import type { NetlinkMessage } from "./message.js";
import { HEADER_LENGTH } from "./message.js";

/** The kernel's words and where in the request it stumbled. */
export interface ExtendedAcknowledgement {
  /** NLMSGERR_ATTR_MSG. */
  readonly text?: string;
  /** NLMSGERR_ATTR_OFFS: octets from the start of the request's header to the offending attribute. */
  readonly offset?: number;
  /** NLMSGERR_ATTR_MISS_TYPE: the type of the attribute that should have been there. */
  readonly missingType?: number;
  /** NLMSGERR_ATTR_MISS_NEST: where it should have been; absent: at the top. */
  readonly missingNest?: number;
}

export interface KernelErrorDetails extends ExtendedAcknowledgement {
  /** What the request was about, as the command that would make it. */
  readonly subject?: string;
  /** Whether the request was carried out is not known: the answer was lost (ENOBUFS) or did not come. */
  readonly outcomeUnknown?: boolean;
}

const UNKNOWN_THERE: ReadonlySet<number> = new Set([ENOENT, EOPNOTSUPP, EAFNOSUPPORT]);
const NOT_FOUND = new Set([ENOENT, ESRCH, ENXIO, ENODEV, EADDRNOTAVAIL]);
const RETRYABLE = new Set([EINTR, EAGAIN, ENOMEM, EBUSY, ENOBUFS, ETIMEDOUT]);

export class KernelError extends MobilityError {
  /** Positive. */
  readonly errno: number;
  readonly details: KernelErrorDetails;

  constructor(errno: number, details: KernelErrorDetails = {}, options?: { cause?: unknown }) {
    super("MIP_KERNEL", describe(errno, details), options);
    this.errno = errno;
    this.details = details;
  }

  /** The C name of the number. */
  get errnoName(): string {
    return errnoName(this.errno);
  }

  /** Something with the same identity is there already. */
  get isExists(): boolean {
    return this.errno === EEXIST;
  }

  /** The object, or something that it stands on (a device, a table), is not there. */
  get isNotFound(): boolean {
    return NOT_FOUND.has(this.errno);
  }

  /** The kernel has no such family or kind of thing at all: a module is missing, or it was started with ipv6.disable=1. */
  get isUnknownThere(): boolean {
    return UNKNOWN_THERE.has(this.errno);
  }

  /** The same request may succeed later without anything else being changed. */
  get isRetryable(): boolean {
    return RETRYABLE.has(this.errno);
  }

  /** The same error, said about `subject`. */
  about(subject: string): KernelError {
    return new KernelError(this.errno, { ...this.details, subject }, { cause: this.cause });
  }

  /** The same error with a sentence of ours in the place of the kernel's words. */
  because(text: string): KernelError {
    return new KernelError(this.errno, { ...this.details, text }, { cause: this });
  }
}

function describe(errno: number, details: KernelErrorDetails): string {
  const { subject, text, offset, missingType, missingNest } = details;
  const parts = [text === undefined ? `the kernel answers ${errnoName(errno)}` : `${text} (${errnoName(errno)})`];
  if (offset !== undefined) parts.push(`at octet ${offset} of the request`);
  if (missingType !== undefined)
    parts.push(
      `attribute ${missingType} is missing${missingNest === undefined ? "" : ` in the nest at octet ${missingNest}`}`,
    );
  return `${subject === undefined ? "" : `${subject}: `}${parts.join(", ")}`;
}

/**
 * The error of an NLMSG_ERROR, or of an NLMSG_DONE that carries one; undefined for an acknowledgement.
 * A message too short for its type is a DecodeError.
 */
export function decodeError(message: NetlinkMessage): KernelError | undefined {
  const { body } = message;
  if (message.type === NLMSG_DONE && body.length < 4) return undefined;
  const errno = -new Attribute(message.type, body.subarray(0, 4), 0).s32();
  if (errno === 0) return undefined;
  return new KernelError(errno, decodeExtended(message));
}

function decodeExtended(message: NetlinkMessage): ExtendedAcknowledgement {
  if ((message.flags & NLM_F_ACK_TLVS) === 0) return {};
  const attributes = readAttributes(message.body.subarray(attributesStart(message)));
  const text = attributes.get(NLMSGERR_ATTR_MSG)?.string();
  const offset = attributes.get(NLMSGERR_ATTR_OFFS)?.u32();
  const missingType = attributes.get(NLMSGERR_ATTR_MISS_TYPE)?.u32();
  const missingNest = attributes.get(NLMSGERR_ATTR_MISS_NEST)?.u32();
  return {
    ...(text === undefined ? {} : { text }),
    ...(offset === undefined ? {} : { offset }),
    ...(missingType === undefined ? {} : { missingType }),
    ...(missingNest === undefined ? {} : { missingNest }),
  };
}

/** Behind the errno stand, in an NLMSG_ERROR, the request's header and, unless capped, the request's body. */
function attributesStart(message: NetlinkMessage): number {
  if (message.type === NLMSG_DONE) return 4;
  if ((message.flags & NLM_F_CAPPED) !== 0) return 4 + HEADER_LENGTH;
  const { body } = message;
  const requestLength =
    body.length < 8 ? HEADER_LENGTH : new DataView(body.buffer, body.byteOffset).getUint32(4, LITTLE);
  return 4 + ((requestLength + 3) & ~3);
}
