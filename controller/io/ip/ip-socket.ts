/**
 * What all sockets for IP packets share: which metadata is asked of the kernel, and how it becomes fields. The typed sockets
 * (UDP, Mobility Header, ICMPv6) are thin layers over this one.
 */
import { EncodeError } from "../../base/errors.js";
import type { Family, IpAddress, Ipv4Address, Ipv6Address } from "../../base/ip.js";
import { familyOf, IPV4_ANY, IPV6_ANY, isIpv4, isIpv6 } from "../../base/ip.js";
import * as c from "../constants.js";
import type { SyscallError } from "../native.js";
import type { ChannelOptions, Message, OutgoingMessage, SendReport } from "../socket.js";
import { Socket, setBuffer } from "../socket.js";
import type { Inet6Address, InetAddress } from "./address.js";
import type { Ancillary, SendOptions } from "./ancillary.js";
import { decodeAncillary, encodeIpv4Options, encodeIpv6Options } from "./ancillary.js";

/** A received packet: the octets after the IP header and its extension headers, and what is known about it. */
export interface IpPacket<A extends IpAddress = IpAddress> extends Ancillary<A> {
  readonly data: Uint8Array;
  readonly source: A;
  /** 0 for raw sockets. */
  readonly sourcePort: number;
}

export interface OutgoingPacket<A extends IpAddress = IpAddress> extends SendOptions<A> {
  readonly data: Uint8Array;
  readonly destination: A;
  /** 0 or absent for raw sockets. */
  readonly destinationPort?: number;
  /** 20 bits, IPv6 only. */
  readonly flowLabel?: number;
}

export interface PacketListener<A extends IpAddress = IpAddress> {
  /** 1 to 64 packets in order of arrival. */
  onPackets(packets: readonly IpPacket<A>[]): void;
  onError(error: SyscallError): void;
}

export interface IpSocketOptions extends ChannelOptions {
  readonly family: Family;
  readonly type: number;
  readonly protocol: number;
  /** Octets the kernel keeps for us (it doubles the number for its own overhead). Absent: the system's default. */
  readonly receiveBufferBytes?: number;
  /** SO_MARK of everything that is sent without a mark of its own. */
  readonly mark?: number;
  /** Receives from and sends over this device only. */
  readonly device?: string;
}

/** Each asks for one kind of control message. */
const IPV6_METADATA = [
  c.IPV6_RECVPKTINFO,
  c.IPV6_RECVHOPLIMIT,
  c.IPV6_RECVTCLASS,
  c.IPV6_FLOWINFO,
  c.IPV6_RECVDSTOPTS,
  c.IPV6_RECVRTHDR,
];
const IPV4_METADATA = [c.IP_PKTINFO, c.IP_RECVTTL, c.IP_RECVTOS];

/** `A` is the kind of address its family has. */
export class IpSocket<A extends IpAddress = IpAddress> {
  readonly socket: Socket;
  readonly family: Family;
  #truncated = 0;

  /** Throws SyscallError. */
  static open(options: IpSocketOptions & { readonly family: 4 }): IpSocket<Ipv4Address>;
  static open(options: IpSocketOptions & { readonly family: 6 }): IpSocket<Ipv6Address>;
  static open(options: IpSocketOptions): IpSocket;
  static open(options: IpSocketOptions): IpSocket {
    const socket = Socket.open({ ...options, family: options.family === 6 ? c.AF_INET6 : c.AF_INET });
    try {
      const six = options.family === 6;
      for (const name of six ? IPV6_METADATA : IPV4_METADATA) socket.setOption(six ? c.SOL_IPV6 : c.SOL_IP, name, 1);
      if (six) socket.setOption(c.SOL_IPV6, c.IPV6_FLOWINFO_SEND, 1);
      // Otherwise it would also take the port in IPv4; raw sockets have no IPv4 side.
      if (six && options.type === c.SOCK_DGRAM) socket.setOption(c.SOL_IPV6, c.IPV6_V6ONLY, 1);
      if (options.receiveBufferBytes !== undefined) {
        setBuffer(socket, c.SO_RCVBUFFORCE, c.SO_RCVBUF, options.receiveBufferBytes);
      }
      if (options.mark !== undefined) socket.setOption(c.SOL_SOCKET, c.SO_MARK, options.mark);
      if (options.device !== undefined) {
        socket.setOption(c.SOL_SOCKET, c.SO_BINDTODEVICE, Buffer.from(`${options.device}\0`));
      }
      return new IpSocket(socket, options.family);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  private constructor(socket: Socket, family: Family) {
    this.socket = socket;
    this.family = family;
  }

  /** Packets dropped because they or their metadata did not fit the receive buffers. */
  get truncated(): number {
    return this.#truncated;
  }

  /** `freebind` allows an address this machine does not have (yet). */
  bind(address: IpAddress, port = 0, options: { readonly scopeId?: number; readonly freebind?: boolean } = {}): void {
    if (options.freebind === true) {
      if (this.family === 6) this.socket.setOption(c.SOL_IPV6, c.IPV6_FREEBIND, 1);
      else this.socket.setOption(c.SOL_IP, c.IP_FREEBIND, 1);
    }
    const target = this.#address(address, port);
    const { scopeId } = options;
    this.socket.bind(target.family === "inet6" && scopeId !== undefined ? { ...target, scopeId } : target);
  }

  localAddress(): { readonly address: A; readonly port: number } {
    const local = this.socket.localAddress();
    const any = this.family === 6 ? IPV6_ANY : IPV4_ANY;
    const inet = local?.family === "inet" || local?.family === "inet6" ? local : { address: any, port: 0 };
    return { address: inet.address as A, port: inet.port };
  }

  listen(listener: PacketListener<A>): void {
    this.socket.listen({
      onMessages: (messages) => {
        const packets = this.#packets(messages);
        if (packets.length > 0) listener.onPackets(packets);
      },
      onError: (error) => listener.onError(error),
    });
  }

  /** Throws EncodeError for a value that fits no field; the kernel's refusals are in the report. */
  send(packets: readonly OutgoingPacket<A>[]): SendReport {
    return this.socket.send(packets.map((packet) => this.#outgoing(packet)));
  }

  /** Opens it anew: what it was bound to is not what it was. */
  reopen(why: SyscallError): void {
    this.socket.reopen(why);
  }

  close(): void {
    this.socket.close();
  }

  #packets(messages: readonly Message[]): IpPacket<A>[] {
    const packets: IpPacket<A>[] = [];
    for (const { data, source, control, truncated, fromErrorQueue } of messages) {
      if (fromErrorQueue) continue; // nobody asked for them (IP_RECVERR)
      if (truncated) this.#truncated++;
      else if (source?.family === "inet" || source?.family === "inet6") {
        const packet: IpPacket = { data, source: source.address, sourcePort: source.port, ...decodeAncillary(control) };
        packets.push(packet as IpPacket<A>); // a socket of one family has only such addresses
      }
    }
    return packets;
  }

  #outgoing(packet: OutgoingPacket<A>): OutgoingMessage {
    const { data, destination, destinationPort = 0, flowLabel, interfaceIndex } = packet;
    const to = this.#address(destination, destinationPort);
    if (to.family === "inet") return { data, to, control: encodeIpv4Options(packet) };
    const scope = interfaceIndex !== undefined && needsScope(destination) ? { scopeId: interfaceIndex } : {};
    const label = flowLabel === undefined ? {} : { flowLabel };
    return { data, to: { ...to, ...scope, ...label }, control: encodeIpv6Options(packet) };
  }

  #address(address: IpAddress, port: number): InetAddress | Inet6Address {
    if (this.family === 4 && isIpv4(address)) return { family: "inet", address, port };
    if (this.family === 6 && isIpv6(address)) return { family: "inet6", address, port };
    throw new EncodeError("address", `${address} is IPv${familyOf(address)}, the socket is IPv${this.family}`);
  }
}

/** Link-local unicast and multicast addresses mean nothing without their link. */
function needsScope(address: IpAddress): boolean {
  return /^(fe[89ab]|ff)/.test(address);
}
