/** UDP datagrams as packet sockets have them: whole IPv4 packets that no kernel has judged. */
import { DecodeError } from "../../base/errors.js";
import { err, ok, type Result } from "../../base/result.js";
import type { PacketFilter } from "../../io/ip/packet-filter.js";
import type { Frame } from "../../io/ip/packet-socket.js";
import { decodeIpv4Packet, type Ipv4Header } from "../../wire/ip/ipv4.js";
import { Protocol } from "../../wire/ip/registry.js";
import { decodeUdp, type UdpDatagram } from "../../wire/ip/udp.js";
import { ControlMessageType, MIP4_PORT } from "../../wire/mip4/registry.js";

/** Behind an IPv4 header: the UDP header's destination port, and what follows that header. */
const DESTINATION_PORT = 2;
const MESSAGE_TYPE = 8;

/** What is sent to the registration port on a link, but for payload in tunnels through it (RFC 3519 §3.3): that is none of ours to read. */
export const REGISTRATION_FRAMES: PacketFilter = {
  protocol: Protocol.udp,
  offset: DESTINATION_PORT,
  size: 2,
  values: [MIP4_PORT],
  unless: { offset: MESSAGE_TYPE, value: ControlMessageType.tunnelData },
};

export interface UdpFrame {
  readonly header: Ipv4Header;
  readonly datagram: UdpDatagram;
}

/**
 * A wrong checksum makes a registration message void (RFC 5944 §3.7.2.1, §3.8.2.1). What comes from this machine itself, from another
 * network namespace for instance, may have none yet: hardware would make it.
 */
export function decodeUdpFrame({
  data,
  truncated,
  checksumPending,
}: Pick<Frame, "data" | "truncated" | "checksumPending">): Result<UdpFrame, DecodeError> {
  if (truncated) return err(new DecodeError("more than 64 KiB", { offset: 2, field: "total-length" }));
  const packet = decodeIpv4Packet(data);
  if (!packet.ok) return packet;
  const { header, payload } = packet.value;
  if (header.moreFragments || header.fragmentOffset !== 0)
    return err(new DecodeError("a fragment", { offset: 6, field: "fragment" }));
  const datagram = decodeUdp(payload, checksumPending ? undefined : header);
  return datagram.ok ? ok({ header, datagram: datagram.value }) : datagram;
}
