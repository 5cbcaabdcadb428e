/**
 * UDP port 434, where registrations come and go (RFC 5944 §3.3). Payload in UDP on the same port (RFC 3519) is taken by the kernel before it
 * gets here.
 */
import { IPV4_ANY, type Ipv4Address } from "../../base/ip.js";
import { SO_BROADCAST, SOL_SOCKET } from "../../io/constants.js";
import { openUdpSocket, type UdpOptions } from "../../io/ip/udp-socket.js";
import type { SyscallError } from "../../io/native.js";
import type { SendReport } from "../../io/socket.js";
import { MIP4_PORT } from "../../wire/mip4/registry.js";

/** What came to port 434. */
export interface RegistrationDatagram {
  readonly data: Uint8Array;
  readonly source: Ipv4Address;
  readonly sourcePort: number;
  /** As in the packet: ours, a broadcast or a group. */
  readonly destination: Ipv4Address;
  readonly interfaceIndex: number;
  readonly ttl: number;
}

export interface OutgoingRegistration {
  readonly data: Uint8Array;
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  readonly destinationPort: number;
  /** Out of this link, whatever the routes say; absent: by the routes. */
  readonly interfaceIndex?: number | undefined;
  readonly ttl: number;
}

export interface RegistrationSocket {
  listen(listener: (datagram: RegistrationDatagram) => void): void;
  send(outgoing: OutgoingRegistration): SendReport;
  close(): void;
}

/**
 * `address`: the one that is listened at, 0.0.0.0 for all; only then are broadcasts heard. `more`: for an agent, to whom thousands may come at
 * once. Throws SyscallError: EADDRINUSE where somebody else has the port.
 */
export function openRegistrationSocket(
  onError: (error: SyscallError) => void,
  address: Ipv4Address = IPV4_ANY,
  more: Pick<UdpOptions, "receiveBufferBytes" | "onReopened"> = {},
): RegistrationSocket {
  const socket = openUdpSocket({ family: 4, address, port: MIP4_PORT, ...more });
  // Home agents are asked at the broadcast address of their subnet.
  socket.socket.setOption(SOL_SOCKET, SO_BROADCAST, 1);
  return {
    listen: (listener) =>
      socket.listen({
        onPackets: (packets) => {
          for (const { data, source, sourcePort, destination, interfaceIndex = 0, hopLimit = 0 } of packets)
            if (destination !== undefined)
              listener({ data, source, sourcePort, destination, interfaceIndex, ttl: hopLimit });
        },
        onError,
      }),
    send: ({ data, source, destination, destinationPort, interfaceIndex, ttl }) =>
      socket.send([
        {
          ...{ data, source, destination, destinationPort, hopLimit: ttl },
          ...(interfaceIndex !== undefined && { interfaceIndex }),
        },
      ]),
    close: () => socket.close(),
  };
}
