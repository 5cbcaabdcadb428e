/** AF_PACKET: frames of one protocol, without ("dgram") or with ("raw") their link-layer header. For gratuitous ARP, agent discovery and captures. */

import * as c from "../constants.js";
import type { SyscallError } from "../native.js";
import type { ChannelOptions, SendReport } from "../socket.js";
import { Socket } from "../socket.js";
import { LITTLE, type PacketAddress } from "./address.js";
import type { ControlMessage } from "./ancillary.js";
import { type PacketFilter, packetFilter } from "./packet-filter.js";

export interface PacketSocketOptions extends ChannelOptions {
  readonly type: "raw" | "dgram";
  /** ETH_P_… to receive; absent: nothing, the socket only sends and costs nothing per packet. */
  readonly protocol?: number;
  /** Absent: all interfaces. */
  readonly interfaceIndex?: number;
  /** What comes in at all; absent: every frame of the protocol. */
  readonly filter?: PacketFilter;
}

export interface Frame {
  readonly data: Uint8Array;
  readonly interfaceIndex: number;
  readonly protocol: number;
  /** PACKET_HOST, PACKET_OUTGOING … */
  readonly packetType: number;
  /** Link-layer address of the sender. */
  readonly source: Uint8Array;
  /** The frame was longer than 64 KiB. */
  readonly truncated: boolean;
  /** Of its payload; the frame is from this machine and has yet to get it: hardware makes it where a frame leaves by a wire. */
  readonly checksumPending: boolean;
}

export interface OutgoingFrame {
  /** With its link-layer header on a "raw" socket. */
  readonly data: Uint8Array;
  readonly interfaceIndex: number;
  readonly protocol: number;
  /** Link-layer destination; the kernel makes the header from it on a "dgram" socket. */
  readonly destination: Uint8Array;
}

export interface FrameListener {
  onFrames(frames: readonly Frame[]): void;
  onError(error: SyscallError): void;
}

export class PacketSocket {
  readonly #socket: Socket;

  /** Throws SyscallError: EPERM without CAP_NET_RAW, ENODEV for an unknown interface. */
  static open(options: PacketSocketOptions): PacketSocket {
    const { type, protocol = 0, interfaceIndex = 0 } = options;
    // Opened for no protocol and bound to it afterwards: otherwise frames of all interfaces come in between.
    const socket = Socket.open({
      ...options,
      family: c.AF_PACKET,
      type: type === "raw" ? c.SOCK_RAW : c.SOCK_DGRAM,
      protocol: 0,
    });
    try {
      if (options.filter !== undefined)
        socket.setOption(c.SOL_SOCKET, c.SO_ATTACH_FILTER, packetFilter(options.filter));
      if (protocol !== 0) socket.setOption(c.SOL_PACKET, c.PACKET_AUXDATA, 1);
      if (protocol !== 0 || interfaceIndex !== 0) {
        socket.bind({ family: "packet", protocol, interfaceIndex, address: new Uint8Array(0) });
      }
      return new PacketSocket(socket);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  listen(listener: FrameListener): void {
    this.#socket.listen({
      onMessages: (messages) => {
        const frames: Frame[] = [];
        for (const { data, source, truncated, control } of messages) {
          if (source?.family === "packet")
            frames.push(frame(data, source, { truncated, checksumPending: isPending(control) }));
        }
        if (frames.length > 0) listener.onFrames(frames);
      },
      onError: (error) => listener.onError(error),
    });
  }

  send(frames: readonly OutgoingFrame[]): SendReport {
    return this.#socket.send(
      frames.map(({ data, interfaceIndex, protocol, destination }) => ({
        data,
        to: { family: "packet", protocol, interfaceIndex, address: destination },
      })),
    );
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function isPending(control: readonly ControlMessage[]): boolean {
  const found = control.find(({ level, type }) => level === c.SOL_PACKET && type === c.PACKET_AUXDATA);
  if (found === undefined || found.data.length < 4) return false;
  const { buffer, byteOffset, byteLength } = found.data;
  return (new DataView(buffer, byteOffset, byteLength).getUint32(0, LITTLE) & c.TP_STATUS_CSUMNOTREADY) !== 0;
}

function frame(data: Uint8Array, source: PacketAddress, facts: Pick<Frame, "truncated" | "checksumPending">): Frame {
  const { interfaceIndex, protocol, packetType = c.PACKET_HOST, address } = source;
  return { data, interfaceIndex, protocol, packetType, source: address, ...facts };
}
