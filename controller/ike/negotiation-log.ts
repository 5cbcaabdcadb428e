/**
 * Why a negotiation failed, out of charon's log lines (VICI events `log` and `control-log`): no other part of VICI 5.9 says it. Pure.
 * Every line names its IKE SA by number; what a line tells of it (who, from where, a cause) is kept until the line that says that the
 * negotiation is over. Lines of other wording are passed over: strongSwan's are not a protocol, and a missed reason harms nobody.
 */
import type { IpAddress } from "../base/ip.js";
import type { ViciSection } from "../vici/message.js";
import { numberAt, textAt } from "../vici/section.js";
import { explain } from "./negotiation-remedies.js";

export interface LogLine {
  /** charon's unique number of the IKE SA. */
  readonly sa: number;
  /** Name of the connection, once charon has chosen one. */
  readonly connection: string | undefined;
  readonly text: string;
}

export interface NegotiationFailure {
  /** Absent: charon had chosen none yet. */
  readonly connection: string | undefined;
  /** What the peer calls itself; proved only if `proved`. */
  readonly identity: string | undefined;
  /** From where it speaks; absent: we began. */
  readonly address: string | undefined;
  readonly proved: boolean;
  /** An IKE SA that was good, and whose peer does not answer any more. */
  readonly lost: boolean;
  /** charon's words, with the cause that went before. */
  readonly reason: string;
  /** What a person can do about it. */
  readonly remedy: string;
}

/** For operators: with whom, why, and the remedy. What a peer only says of itself is told as that. */
export function failureSentence(failure: NegotiationFailure, homeAddress: IpAddress | undefined): string {
  const { identity, address, proved, lost, reason, remedy } = failure;
  const name = identity ?? homeAddress;
  const who = `${name ?? "an unknown peer"}${homeAddress === undefined || name === homeAddress ? "" : ` (${homeAddress})`}`;
  const peer =
    address === undefined
      ? who
      : proved || name === undefined
        ? `${who} from ${address}`
        : `${address}, which claims to be ${who},`;
  return `IKE with ${peer} ${lost ? "is over" : "failed"}: ${reason}; ${remedy}`;
}

/** Unfinished negotiations that are remembered, at least; the oldest makes room. Anybody who can send packets begins one. */
const UNFINISHED = 4096;
/** Causes of one negotiation that are remembered, and characters of a line: a peer may name proposals without end. */
const CAUSES = 3;
const LONGEST = 500;
/** Keys and values of a VICI message: KEY_VALUE, a length of one octet, the key, a length of two octets, the value. */
const GROUP_AT = 9;
/** Packets, messages, jobs, the kernel: most of the lines, none of the reasons. */
const NOISE = new Set(["NET", "ENC", "JOB", "KNL", "MGR"]);

/** A `log` event that tells nothing here, seen before its message is decoded: a dead peer detection is four such lines. */
export function isNoise(event: string, message: Uint8Array): boolean {
  const [a = 0, b = 0, c = 0] = message.subarray(GROUP_AT, GROUP_AT + 3);
  return event === "log" && NOISE.has(String.fromCharCode(a, b, c));
}

/** The line of an event; undefined if it belongs to no IKE SA. */
export function readLogLine(event: ViciSection): LogLine | undefined {
  const sa = numberAt(event, "ikesa-uniqueid");
  const text = textAt(event, "msg");
  if (sa === undefined || text === undefined) return undefined;
  const name = textAt(event, "ikesa-name");
  return { sa, connection: name?.startsWith("dsmipd-") ? name : undefined, text };
}

interface Course {
  identity?: string;
  address?: string;
  behindNat?: true;
  /** Lines that explain a later one, each once. */
  causes: string[];
}

/** An IKE SA that is good. */
interface Established {
  readonly sa: number;
  readonly course: Course;
}

const FROM = /^(\S+) is initiating an IKE_SA$/;
/** Both identities are the peer's words, of ten thousand characters if it likes: only what looks like an address counts as one. */
const LOOKING_FOR = /^looking for peer configs matching .*?\.\.\.([\da-f:.]{2,45})\[(.+)\]$/;
const BEHIND_NAT = /^(local|remote) host is behind NAT/;
/** A renewed one is told of by the line of the one before. */
const ESTABLISHED = /^IKE_SA (dsmipd-\S+)\[(\d+)\] (?:established|rekeyed) between \S+\[.*\]\.\.\.(\S+)\[(.+)\]$/;
/** Behind a NAT the first child never fits (connections.ts), and another one takes its place. */
const EXPECTED_BEHIND_NAT =
  /^(no acceptable traffic selectors found|received TS_UNACCEPTABLE notify, no CHILD_SA built)$/;

const CAUSE = [
  /^received proposals: /,
  /^configured proposals: /,
  /^no acceptable proposal found$/,
  /^(no acceptable traffic selectors found|traffic selectors .* unacceptable)$/,
  /^received \S+ notify, no CHILD_SA built$/,
  /^unable to (install|allocate) /,
  /^(subject|issuer) certificate invalid \(valid from .*\)$/,
  /^certificate was revoked/,
  /^no issuer certificate found for /,
  /^signature validation failed, looking for another key$/,
  /^no EAP key found for hosts /,
  /^EAP-MS-CHAPv2 verification failed/,
  /^EAP-MS-CHAPv2 failed with error /,
  /^constraint /,
  /^selected peer config .* unacceptable: /,
  /^peer requested EAP, config unacceptable$/,
];
/** A wrong password. The peer may try three times in one negotiation, but charon's own goes away, and then there is no further line. */
const REFUSED_PASSWORD = /^EAP-MS-CHAPv2 verification failed, retry \(\d+\)$/;
const END = [
  REFUSED_PASSWORD,
  /^no (matching peer|alternative) config found$/,
  /^tried \d+ shared keys? for .* MAC mismatched$/,
  /^no (shared key found|trusted \S+ public key found|private key found) for /,
  /^EAP method \S+ failed for peer /,
  /^(loading |initiating )?EAP_\S+ method failed$/,
  /^received EAP_FAILURE, EAP authentication failed$/,
  /^verification of AUTH payload .*failed/,
  /^received proposals unacceptable$/,
  /^received \S+ notify error$/,
  /^received IDr .* but require /,
  /^establishing IKE_SA failed, peer not responding$/,
  /^failed to establish CHILD_SA, keeping IKE_SA$/,
];
/** Of an IKE SA that was good: its peer has gone. */
const LOST = /^giving up after \d+ retransmits$/;
const NO_PROPOSAL = /^no acceptable proposal found$/;

/**
 * What is remembered follows the number of subscribers: unfinished negotiations up to a bound, and the latest good IKE SA of each
 * connection. Only who has proved an identity gets an entry there, so strangers cannot push any out.
 */
export class NegotiationLog {
  readonly #capacity: number;
  readonly #unfinished = new Map<number, Course>();
  readonly #established = new Map<string, Established>();

  /** `subscribers`: of so many the negotiations may be under way at once. */
  constructor(subscribers = 0) {
    this.#capacity = UNFINISHED + subscribers;
  }

  /** What the line ends, if it ends anything. */
  take({ sa, connection, text }: LogLine): NegotiationFailure | undefined {
    const good = this.#established.get(connection ?? "");
    const proved = good?.sa === sa;
    const course = proved ? good.course : (this.#unfinished.get(sa) ?? { causes: [] });
    if (this.#establish(sa, text, course)) return undefined;
    const lost = proved && LOST.test(text);
    if (!lost && !END.some((form) => form.test(text)) && (proved || !NO_PROPOSAL.test(text))) {
      if (learn(course, text) && !proved) this.#remember(sa, course);
      return undefined;
    }
    const { identity, address, behindNat, causes } = course;
    course.causes = [];
    if (lost) this.#established.delete(connection ?? "");
    // A child that failed leaves its IKE SA, and the next one may fail too; so may the next password.
    else if (!proved && !REFUSED_PASSWORD.test(text)) this.#unfinished.delete(sa);
    if (behindNat && EXPECTED_BEHIND_NAT.test(causes.at(-1) ?? "")) return undefined;
    return { connection, identity, address, proved, lost, ...explain(shortened(text), causes) };
  }

  #establish(sa: number, text: string, { behindNat }: Course): boolean {
    const [, connection, id, address, identity] = ESTABLISHED.exec(text) ?? [];
    if (connection === undefined || address === undefined || identity === undefined) return false;
    this.#unfinished.delete(sa);
    const course: Course = { identity, address, causes: [], ...(behindNat && { behindNat }) };
    this.#established.set(connection, { sa: Number(id), course });
    return true;
  }

  #remember(sa: number, course: Course): void {
    if (this.#unfinished.size >= this.#capacity && !this.#unfinished.has(sa)) {
      for (const oldest of this.#unfinished.keys()) {
        this.#unfinished.delete(oldest);
        break;
      }
    }
    this.#unfinished.set(sa, course);
  }
}

/** Whether the line says anything that is needed later. */
function learn(course: Course, text: string): boolean {
  const [, address, identity] = LOOKING_FOR.exec(text) ?? FROM.exec(text) ?? [];
  if (address !== undefined) course.address ??= address; // the first line has no words of the peer in it
  if (identity !== undefined) course.identity = identity;
  if (BEHIND_NAT.test(text)) course.behindNat = true;
  else if (CAUSE.some((form) => form.test(text))) addCause(course, text);
  else return address !== undefined;
  return true;
}

/** The same line comes once for each connection that charon has tried. */
function addCause(course: Course, text: string): void {
  const cause = shortened(text);
  if (!course.causes.includes(cause)) course.causes = [...course.causes, cause].slice(-CAUSES);
}

const shortened = (text: string): string => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
