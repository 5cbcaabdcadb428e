/** ICMP echo requests of the node's keepalive, and the replies to them (RFC 3519 §4.9). */
import type { Ipv4Address } from "../../../base/ip.js";
import { openIcmpSocket } from "../../../io/ip/icmp-socket.js";
import { decodeIcmpEcho, encodeIcmpEcho, ICMP_ECHO_REPLY } from "../../../wire/ip/icmp-echo.js";
import { decodeIpv4Packet } from "../../../wire/ip/ipv4.js";

export interface Echo {
  ask(source: Ipv4Address, destination: Ipv4Address, sequence: number): void;
  close(): void;
}

const NOTHING = new Uint8Array(0);

/** `identifier`: 16 bits; replies to others are passed over. Throws SyscallError: EPERM without CAP_NET_RAW. */
export function openEcho(
  identifier: number,
  onReply: (reply: { readonly source: Ipv4Address; readonly sequence: number }) => void,
): Echo {
  const socket = openIcmpSocket([ICMP_ECHO_REPLY]);
  socket.listen({
    onPackets: (packets) => {
      for (const { data, source } of packets) {
        const packet = decodeIpv4Packet(data);
        const echo = packet.ok ? decodeIcmpEcho(packet.value.payload) : undefined;
        if (echo?.ok === true && echo.value.isReply && echo.value.identifier === identifier)
          onReply({ source, sequence: echo.value.sequence });
      }
    },
    onError: () => undefined, // ignored: without an answer it is asked again
  });
  return {
    ask: (source, destination, sequence) => {
      const data = encodeIcmpEcho({ isReply: false, identifier, sequence, data: NOTHING });
      socket.send([{ data, source, destination }]);
    },
    close: () => socket.close(),
  };
}
