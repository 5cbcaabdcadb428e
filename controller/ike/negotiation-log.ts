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

/** For operators: with whom, why, and the remedy. */
export function failureSentence(failure: NegotiationFailure, homeAddress: IpAddress | undefined): string {
  const { identity, address, lost, reason, remedy } = failure;
  const whom = identity ?? homeAddress ?? "an unknown peer";
  const home = homeAddress === undefined || whom === homeAddress ? "" : ` (${homeAddress})`;
  const from = address === undefined ? "" : ` from ${address}`;
  return `IKE with ${whom}${home}${from} ${lost ? "is over" : "failed"}: ${reason}; ${remedy}`;
}

/** Unfinished negotiations that are remembered; the oldest makes room. */
const CAPACITY = 4096;
/** Keys and values of a VICI message: KEY_VALUE, a length of one octet, the key, a length of two octets, the value. */
const GROUP_AT = 9;
/** Packets, messages, jobs, the kernel: most of the lines, none of the reasons. */
const NOISE = new Set(["NET", "ENC", "JOB", "KNL", "MGR"]);

/** A `log` event that tells nothing here, seen before its message is decoded: a dead peer detection is four such lines. */
export function isNoise(event: string, message: Uint8Array): boolean {
  return event === "log" && NOISE.has(String.fromCharCode(...message.subarray(GROUP_AT, GROUP_AT + 3)));
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
  proved?: true;
  /** Lines that explain a later one. */
  causes: string[];
}

const FROM = /^(\S+) is initiating an IKE_SA$/;
const LOOKING_FOR = /^looking for peer configs matching .*\.\.\.(\S+)\[(.+)\]$/;
const BEHIND_NAT = /^(local|remote) host is behind NAT/;
const ESTABLISHED = /^IKE_SA .* established between /;
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
const END = [
  /^no (matching peer|alternative) config found$/,
  /^tried \d+ shared keys? for .* MAC mismatched$/,
  /^no (shared key found|trusted \S+ public key found|private key found) for /,
  /^EAP method \S+ failed for peer /,
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

export class NegotiationLog {
  readonly #courses = new Map<number, Course>();

  /** What the line ends, if it ends anything. */
  take({ sa, connection, text }: LogLine): NegotiationFailure | undefined {
    const known = this.#courses.get(sa);
    const course = known ?? this.#remember(sa);
    learn(course, text);
    const lost = course.proved === true && LOST.test(text);
    if (!lost && !END.some((form) => form.test(text)) && (course.proved === true || !NO_PROPOSAL.test(text))) {
      if (CAUSE.some((form) => form.test(text))) course.causes.push(text);
      return undefined;
    }
    const { causes } = course;
    const { identity, address, proved = false } = course;
    // A child that failed leaves its IKE SA, and the next one may fail too.
    if (proved && !lost) course.causes = [];
    else this.#courses.delete(sa);
    if (course.behindNat && EXPECTED_BEHIND_NAT.test(causes.at(-1) ?? "")) return undefined;
    return { connection, identity, address, proved, lost, ...explain(text, causes) };
  }

  #remember(sa: number): Course {
    if (this.#courses.size >= CAPACITY) {
      for (const oldest of this.#courses.keys()) {
        this.#courses.delete(oldest);
        break;
      }
    }
    const course: Course = { causes: [] };
    this.#courses.set(sa, course);
    return course;
  }
}

function learn(course: Course, text: string): void {
  const [, address, identity] = LOOKING_FOR.exec(text) ?? FROM.exec(text) ?? [];
  if (address !== undefined) course.address = address;
  if (identity !== undefined) course.identity = identity;
  if (BEHIND_NAT.test(text)) course.behindNat = true;
  if (!ESTABLISHED.test(text)) return;
  course.proved = true;
  course.causes = [];
}
