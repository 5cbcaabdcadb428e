/**
 * Filters of packet sockets: classic BPF, run by the kernel on each packet of the link, so that only the few that are wanted come into the
 * process. For sockets without link-layer headers, whose packets begin with the IPv4 header.
 */
import * as c from "../constants.js";
import { LITTLE } from "./address.js";

/** struct sock_filter: where to go on, in instructions behind the next one, if a comparison is true and if it is not. */
interface Instruction {
  readonly code: number;
  readonly ifTrue?: number;
  readonly ifFalse?: number;
  readonly value: number;
}

export interface PacketFilter {
  /** Of IP. */
  readonly protocol: number;
  /** Of the field behind the IPv4 header, in octets. */
  readonly offset: number;
  readonly size: 1 | 2;
  /** That the field may have; one at least. */
  readonly values: readonly number[];
  /** An octet behind the IPv4 header, and the value with which the packet is not wanted all the same. Who is too short to have it isn't either. */
  readonly unless?: { readonly offset: number; readonly value: number };
}

const INSTRUCTION_OCTETS = 8;
const PROTOCOL_OFFSET = 9;
const FRAGMENT_OFFSET = 6;
const FRAGMENT_MASK = 0x1fff;
const WHOLE_PACKET = 0xffff;

/** The octets of a program for SO_ATTACH_FILTER: first fragments of the protocol whose field has one of the values. */
export function packetFilter({ protocol, offset, size, values, unless }: PacketFilter): Uint8Array {
  const field = values.map((value, i) => ({
    code: c.BPF_JMP | c.BPF_JEQ,
    value,
    ifTrue: values.length - i, // over the rest and what drops it
  }));
  return encode([
    { code: c.BPF_LD | c.BPF_B | c.BPF_ABS, value: PROTOCOL_OFFSET },
    { code: c.BPF_JMP | c.BPF_JEQ, value: protocol, ifFalse: values.length + 4 },
    { code: c.BPF_LD | c.BPF_H | c.BPF_ABS, value: FRAGMENT_OFFSET },
    { code: c.BPF_JMP | c.BPF_JSET, value: FRAGMENT_MASK, ifTrue: values.length + 2 },
    { code: c.BPF_LDX | c.BPF_B | c.BPF_MSH, value: 0 }, // the header's length
    { code: c.BPF_LD | (size === 1 ? c.BPF_B : c.BPF_H) | c.BPF_IND, value: offset },
    ...field,
    { code: c.BPF_RET, value: 0 },
    ...(unless === undefined
      ? []
      : [
          { code: c.BPF_LD | c.BPF_B | c.BPF_IND, value: unless.offset },
          { code: c.BPF_JMP | c.BPF_JEQ, value: unless.value, ifFalse: 1 },
          { code: c.BPF_RET, value: 0 },
        ]),
    { code: c.BPF_RET, value: WHOLE_PACKET },
  ]);
}

function encode(program: readonly Instruction[]): Uint8Array {
  const octets = new Uint8Array(program.length * INSTRUCTION_OCTETS);
  const view = new DataView(octets.buffer);
  program.forEach(({ code, ifTrue = 0, ifFalse = 0, value }, i) => {
    const at = i * INSTRUCTION_OCTETS;
    view.setUint16(at, code, LITTLE);
    view.setUint8(at + 2, ifTrue);
    view.setUint8(at + 3, ifFalse);
    view.setUint32(at + 4, value, LITTLE);
  });
  return octets;
}
