/** What is told of requests to home agents that do not arrive (RFC 5944 §3.7.3): by ICMP errors, whose quotation tells whose it is, or by our own routes. */
import type { Ipv4Address } from "../../base/ip.js";
import { ipv4FromBytes } from "../../base/ip.js";
import { ICMP_FILTER, SOCK_RAW, SOL_RAW } from "../../io/constants.js";
import { IpSocket } from "../../io/ip/ip-socket.js";
import type { SyscallError } from "../../io/native.js";
import type { UnreachableInput } from "../../protocol/mip4/foreign-agent/inputs.js";
import { decodeIpv4Packet } from "../../wire/ip/ipv4.js";
import { Protocol } from "../../wire/ip/registry.js";
import { ControlMessageType, MIP4_PORT } from "../../wire/mip4/registry.js";

const DESTINATION_UNREACHABLE = 3;
const ICMP_HEADER = 8;
const IPV4_HEADER = 20;
const UDP_HEADER = 8;
/** Of the low half in a registration request. */
const IDENTIFICATION_LOW = 20;
const CODES: readonly UnreachableInput["what"][] = ["network", "host", "other", "port"];
/** Code 6 and 7: unknown; 11 and 12: for this type of service. */
const OTHER_CODES: Readonly<Record<number, UnreachableInput["what"]>> = {
  6: "network",
  7: "host",
  11: "network",
  12: "host",
};

/** What an ICMP message, with its IPv4 header in front, says about a request from `careOfAddress`; undefined: it is about something else. */
export function readUnreachable(octets: Uint8Array, careOfAddress: Ipv4Address): UnreachableInput | undefined {
  const packet = decodeIpv4Packet(octets);
  if (!packet.ok || packet.value.header.protocol !== Protocol.icmp) return undefined;
  const { payload } = packet.value;
  if (payload[0] !== DESTINATION_UNREACHABLE) return undefined;
  const quoted = payload.subarray(ICMP_HEADER);
  const headerLength = 4 * ((quoted[0] ?? 0) & 0x0f);
  if (quoted.length < IPV4_HEADER + UDP_HEADER || headerLength < IPV4_HEADER || quoted[9] !== Protocol.udp)
    return undefined;
  const udp = quoted.subarray(headerLength);
  if (udp.length < UDP_HEADER || (((udp[2] ?? 0) << 8) | (udp[3] ?? 0)) !== MIP4_PORT) return undefined;
  if (ipv4FromBytes(quoted.subarray(12, 16)) !== careOfAddress) return undefined;
  const code = payload[1] ?? 0;
  const request = udp.subarray(UDP_HEADER);
  const isQuoted = request.length >= IDENTIFICATION_LOW + 4 && request[0] === ControlMessageType.registrationRequest;
  const view = new DataView(request.buffer, request.byteOffset, request.length);
  return {
    kind: "unreachable",
    homeAgent: ipv4FromBytes(quoted.subarray(16, 20)),
    what: CODES[code] ?? OTHER_CODES[code] ?? "other",
    ...(isQuoted && { identification: view.getUint32(IDENTIFICATION_LOW) }),
  };
}

/** By these the kernel says at once that no route leads there. */
const NO_ROUTE: Readonly<Record<string, UnreachableInput["what"]>> = {
  ENETUNREACH: "network",
  EHOSTUNREACH: "host",
  EACCES: "other",
  EPERM: "other",
  EINVAL: "other",
};

/** What became of a request that could not be sent; undefined: it may be sent the next time. */
export function unreachableBy(
  { code }: Pick<SyscallError, "code">,
  homeAgent: Ipv4Address,
  request: Uint8Array,
): UnreachableInput | undefined {
  const what = NO_ROUTE[code];
  if (what === undefined) return undefined;
  const view = new DataView(request.buffer, request.byteOffset, request.length);
  return { kind: "unreachable", homeAgent, what, identification: view.getUint32(IDENTIFICATION_LOW) };
}

export interface IcmpErrorSocket {
  listen(listener: (octets: Uint8Array) => void): void;
  close(): void;
}

/** Throws SyscallError: EPERM without CAP_NET_RAW. */
export function openIcmpErrors(): IcmpErrorSocket {
  const socket = IpSocket.open({ family: 4, type: SOCK_RAW, protocol: Protocol.icmp });
  // A set bit leaves a type out.
  socket.socket.setOption(SOL_RAW, ICMP_FILTER, ~(1 << DESTINATION_UNREACHABLE));
  return {
    listen: (listener) =>
      socket.listen({
        onPackets: (packets) => {
          for (const { data } of packets) listener(data);
        },
        onError: () => undefined, // ignored: the request's time ends by itself
      }),
    close: () => socket.close(),
  };
}
