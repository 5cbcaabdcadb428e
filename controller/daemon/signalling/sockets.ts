/** The real sockets behind signalling.ts: Mobility Header, signalling UDP port and TUN device, with their receive paths tied to it. */
import { MobilityError } from "../../base/errors.js";
import { type IpAddress, type Ipv4Address, type Ipv6Address, isIpv4, isIpv6 } from "../../base/ip.js";
import { IPPROTO_RAW, SOCK_RAW } from "../../io/constants.js";
import { openEncapsulatedSocket } from "../../io/ip/encapsulated-socket.js";
import { openIcmpv6Socket } from "../../io/ip/icmpv6-socket.js";
import { type IpPacket, IpSocket } from "../../io/ip/ip-socket.js";
import { openMobilityHeaderSocket } from "../../io/ip/mobility-header-socket.js";
import { TunDevice } from "../../io/ip/tun-device.js";
import { openUdpSocket } from "../../io/ip/udp-socket.js";
import { isSyscallError, type SyscallError } from "../../io/native.js";
import type { SendReport } from "../../io/socket.js";
import type { KernelNames } from "../../kernel/codec.js";
import { decodeIpv4Packet, encodeIpv4Packet, ipv4Header } from "../../wire/ip/ipv4.js";
import { Icmpv6Type, Protocol } from "../../wire/ip/registry.js";
import { tunDeviceRefusal, udpPortInUse } from "../preflight.js";
import type {
  EncapsulatedPacket,
  MobilityHeaderOut,
  SignallingPorts,
  SignallingProtocol,
  SignallingReceiver,
  UdpPacket,
} from "./signalling.js";

/** Of mobile prefix discovery. */
const PREFIX_TYPES = [Icmpv6Type.mobilePrefixSolicitation, Icmpv6Type.mobilePrefixAdvertisement];
const HOP_LIMIT = 64;

export interface SignallingSocketOptions {
  readonly tunDevice: string;
  /** Messages into the TUN device leave from a socket that is bound to it; else their mark must lead there. */
  readonly bindsToTun: boolean;
  /** The device of messages to IPv4-mapped care-of addresses; it need not be there yet. */
  readonly mappedDevice?: string;
  /** The UDP port to which the firewall steers signalling; the kernel's GUE port itself cannot be bound. */
  readonly udpPort: number;
  /** Absent: IPv4 is not served. 0.0.0.0 where care-of addresses come and go. */
  readonly udpAddress?: Ipv4Address;
  /** Absent: UDP over IPv6 is not served. :: where care-of addresses come and go. */
  readonly udpIpv6Address?: Ipv6Address;
  /** Messages in protocol 41 are received, too: at whatever IPv4 address. */
  readonly hearsEncapsulated?: boolean;
  readonly names: KernelNames;
  /** A socket whose descriptor had died has got another one. `device`: it is that of the TUN, which is down and bare. */
  onReopened(what: string, reason: string, device: boolean): void;
  /** Errors that end nothing (ICMP errors, full buffers), for the log. */
  onError(what: string, error: Error): void;
}

/** Room for some thousand updates that arrive together, after an outage for example; the system's default holds less than 300. */
const receiveBufferBytes = 4 * 2 ** 20;

export class SignallingSockets implements SignallingPorts {
  readonly #options: SignallingSocketOptions;
  readonly #mobilityHeader: IpSocket<Ipv6Address>;
  readonly #icmpv6: IpSocket<Ipv6Address>;
  readonly #udp: IpSocket<Ipv4Address> | undefined;
  readonly #udpIpv6: IpSocket<Ipv6Address> | undefined;
  readonly #tun: TunDevice;
  /** Sends only. What comes out of the TUN device is the other socket's; here the kernel drops it when the smallest buffer is full. */
  readonly #boundToTun: { readonly [P in SignallingProtocol]: IpSocket<Ipv6Address> } | undefined;
  /** Send only. Opened with the first message, for the device is one of the plan's. */
  readonly #boundToMapped: { [P in SignallingProtocol]?: IpSocket<Ipv6Address> | undefined } = {};
  readonly #heardEncapsulated: IpSocket<Ipv4Address> | undefined;
  /** Sends only. Opened with the first packet: few have a peer that takes them. */
  #encapsulated: IpSocket<Ipv4Address> | undefined;

  /** Opens all of them, or none. Throws MobilityError with a sentence that says what to do. */
  constructor(options: SignallingSocketOptions) {
    this.#options = options;
    const reopened = (what: string) => (why: SyscallError) => options.onReopened(what, why.message, false);
    const opened: { close(): void }[] = [];
    const open = <T extends { close(): void }>(
      make: () => T,
      explain: (code: string, syscall: string) => string,
    ): T => {
      try {
        const socket = make();
        opened.push(socket);
        return socket;
      } catch (cause) {
        for (const socket of opened) socket.close();
        if (!isSyscallError(cause)) throw cause;
        throw new MobilityError("MIP_SOCKET", explain(cause.code, cause.syscall), { cause });
      }
    };
    this.#mobilityHeader = open(
      () => openMobilityHeaderSocket({ receiveBufferBytes, onReopened: reopened("Mobility Header socket") }),
      (code) => rawRefusal(code, "the Mobility Header"),
    );
    this.#icmpv6 = open(
      () =>
        openIcmpv6Socket({ types: PREFIX_TYPES, hopLimit: HOP_LIMIT, onReopened: reopened("prefix discovery socket") }),
      (code) => rawRefusal(code, "ICMPv6"),
    );
    const { udpAddress, udpIpv6Address, udpPort, tunDevice, bindsToTun } = options;
    this.#udp =
      udpAddress === undefined
        ? undefined
        : open(
            () =>
              openUdpSocket({
                family: 4,
                address: udpAddress,
                port: udpPort,
                receiveBufferBytes,
                onReopened: reopened("signalling port"),
              }),
            (code) => udpRefusal(code, udpAddress, udpPort),
          );
    this.#udpIpv6 =
      udpIpv6Address === undefined
        ? undefined
        : open(
            () =>
              openUdpSocket({
                family: 6,
                address: udpIpv6Address,
                port: udpPort,
                receiveBufferBytes,
                onReopened: reopened("signalling port of IPv6"),
              }),
            (code) => udpRefusal(code, udpIpv6Address, udpPort),
          );
    this.#heardEncapsulated =
      options.hearsEncapsulated === true
        ? open(
            () => openEncapsulatedSocket({ receiveBufferBytes, onReopened: reopened("protocol 41 socket") }),
            (code) => rawRefusal(code, "protocol 41"),
          )
        : undefined;
    this.#tun = open(
      () => TunDevice.open({ name: tunDevice, onReopened: (why) => this.#onTunReopened(why) }),
      (code, syscall) => tunRefusal(code, syscall, tunDevice),
    );
    this.#boundToTun = bindsToTun
      ? {
          mobility: open(
            () => openMobilityHeaderSocket({ device: tunDevice, receiveBufferBytes: 1 }),
            (code) => rawRefusal(code, `the Mobility Header on ${tunDevice}`),
          ),
          icmpv6: open(
            () => openIcmpv6Socket({ device: tunDevice, types: [], hopLimit: HOP_LIMIT, receiveBufferBytes: 1 }),
            (code) => rawRefusal(code, `ICMPv6 on ${tunDevice}`),
          ),
        }
      : undefined;
  }

  /** Starts receiving. The TUN device must be up, or what is injected is lost. */
  listen(signalling: SignallingReceiver): void {
    const { onError } = this.#options;
    this.#mobilityHeader.listen({
      onPackets: (packets) => this.#receive("mobility", packets, signalling),
      onError: (error) => onError("Mobility Header socket", error),
    });
    this.#icmpv6.listen({
      onPackets: (packets) => this.#receive("icmpv6", packets, signalling),
      onError: (error) => onError("prefix discovery socket", error),
    });
    for (const udp of [this.#udp, this.#udpIpv6])
      udp?.listen({
        onPackets: (packets) => {
          for (const { data, source, sourcePort, destination } of packets) {
            if (destination !== undefined)
              signalling.receiveUdp({
                bytes: data,
                localAddress: destination,
                remoteAddress: source,
                remotePort: sourcePort,
              });
          }
        },
        onError: (error) => onError("signalling port", error),
      });
    this.#heardEncapsulated?.listen({
      onPackets: (packets) => {
        for (const { data } of packets) {
          const packet = decodeIpv4Packet(data);
          if (!packet.ok) continue; // the kernel has looked at the header
          const { source, destination } = packet.value.header;
          signalling.receiveEncapsulated({
            bytes: packet.value.payload,
            localAddress: destination,
            remoteAddress: source,
          });
        }
      },
      onError: (error) => onError("protocol 41 socket", error),
    });
    this.#tun.listen({
      onPackets: (packets) => {
        for (const packet of packets) signalling.receiveTun(packet);
      },
      onError: (error) => onError(`TUN device ${this.#tun.name}`, error),
    });
  }

  #receive(
    protocol: SignallingProtocol,
    packets: readonly IpPacket<Ipv6Address>[],
    signalling: SignallingReceiver,
  ): void {
    for (const { data, source, destination, interfaceIndex, flowLabel = 0, ...headers } of packets) {
      if (destination === undefined || interfaceIndex === undefined) continue;
      const device = this.#options.names.interfaceName(interfaceIndex) ?? `index ${interfaceIndex}`;
      const { destinationOptions, routingHeader } = headers;
      const header = routingHeader === undefined ? {} : { routingHeader };
      signalling.receiveMobilityHeader({
        protocol,
        bytes: data,
        source,
        destination,
        device,
        flowLabel,
        destinationOptions,
        ...header,
      });
    }
  }

  sendMobilityHeader(packet: MobilityHeaderOut): void {
    const { protocol = "mobility", bytes, source, destination, device, mark, flowLabel, routingHeader } = packet;
    const message = {
      data: bytes,
      source,
      destination,
      ...this.#linkOf(device),
      ...(mark !== undefined && { mark }),
      ...(flowLabel !== undefined && { flowLabel }),
      ...(routingHeader !== undefined && { routingHeader }),
    };
    if (packet.intoMapped === true) return this.#sendMapped(protocol, message);
    const bound = packet.intoTun === true ? this.#boundToTun?.[protocol] : undefined;
    const socket = bound ?? (protocol === "icmpv6" ? this.#icmpv6 : this.#mobilityHeader);
    throwIfDropped(socket.send([message]));
  }

  /** The device may have been made anew since the last message: a socket is bound to the one that it was opened for. */
  #sendMapped(protocol: SignallingProtocol, message: Parameters<IpSocket<Ipv6Address>["send"]>[0][number]): void {
    const device = this.#options.mappedDevice;
    const open = (): IpSocket<Ipv6Address> => {
      const options = { ...(device !== undefined && { device }), receiveBufferBytes: 1 };
      const socket =
        protocol === "icmpv6"
          ? openIcmpv6Socket({ ...options, types: [], hopLimit: HOP_LIMIT })
          : openMobilityHeaderSocket(options);
      this.#boundToMapped[protocol] = socket;
      return socket;
    };
    const present = this.#boundToMapped[protocol];
    const report = (present ?? open()).send([message]);
    if (report.error === undefined) return;
    this.#boundToMapped[protocol]?.close();
    this.#boundToMapped[protocol] = undefined;
    if (present === undefined) throw report.error;
    throwIfDropped(open().send([message]));
  }

  #linkOf(device: string | undefined): { readonly interfaceIndex?: number } {
    const interfaceIndex = device === undefined ? undefined : this.#options.names.interfaceIndex(device);
    return interfaceIndex === undefined ? {} : { interfaceIndex };
  }

  sendUdp({ bytes, localAddress, remoteAddress, remotePort, device }: UdpPacket): void {
    const packet = { data: bytes, destinationPort: remotePort, ...this.#linkOf(device) };
    const report =
      isIpv6(remoteAddress) && isIpv6(localAddress)
        ? this.#udpIpv6?.send([{ ...packet, source: localAddress, destination: remoteAddress }])
        : isIpv4(remoteAddress) && isIpv4(localAddress)
          ? this.#udp?.send([{ ...packet, source: localAddress, destination: remoteAddress }])
          : undefined;
    if (report !== undefined) throwIfDropped(report);
  }

  sendEncapsulated({ bytes, localAddress, remoteAddress, device, mark }: EncapsulatedPacket): void {
    this.#encapsulated ??= IpSocket.open({ family: 4, type: SOCK_RAW, protocol: IPPROTO_RAW });
    const header = ipv4Header({ source: localAddress, destination: remoteAddress, protocol: Protocol.ipv6 });
    const data = encodeIpv4Packet({ header, payload: bytes });
    // The route is chosen by the source that the kernel is told, not by the one in the header.
    const link = this.#linkOf(device);
    throwIfDropped(
      this.#encapsulated.send([{ data, source: localAddress, destination: remoteAddress, ...link, mark }]),
    );
  }

  injectIntoTun(packet: Uint8Array): void {
    throwIfDropped(this.#tun.write([packet]));
  }

  /** Somebody has taken the TUN device away under its name: it is made anew. */
  renewTun(why: SyscallError): void {
    this.#tun.reopen(why);
  }

  #onTunReopened(why: SyscallError): void {
    // It is bound to the device that is gone.
    this.#boundToTun?.mobility.reopen(why);
    this.#boundToTun?.icmpv6.reopen(why);
    this.#options.onReopened(`TUN device ${this.#tun.name}`, why.message, true);
  }

  close(): void {
    this.#mobilityHeader.close();
    this.#icmpv6.close();
    this.#udp?.close();
    this.#udpIpv6?.close();
    this.#boundToTun?.mobility.close();
    this.#boundToTun?.icmpv6.close();
    this.#boundToMapped.mobility?.close();
    this.#boundToMapped.icmpv6?.close();
    this.#encapsulated?.close();
    this.#heardEncapsulated?.close();
    this.#tun.close();
  }
}

function throwIfDropped(report: SendReport): void {
  if (report.error !== undefined) throw report.error;
}

function udpRefusal(code: string, address: IpAddress, port: number): string {
  if (code === "EADDRINUSE") return udpPortInUse(address, port);
  if (code === "EADDRNOTAVAIL")
    return `${address} is not an address of this machine; add it (ip address add ${address} dev …) or correct homeAgent.addresses.${isIpv4(address) ? "ipv4 (behind a NAT the machine's own address goes into ipv4Local)" : "ipv6"}`;
  return `UDP port ${port} of ${address} cannot be opened (${code})`;
}

/** Of a raw IPv6 socket; what is missing is said only where the kernel has said it. */
function rawRefusal(code: string, what: string): string {
  if (code === "EPERM") return `no raw socket for ${what} (EPERM); CAP_NET_RAW is needed`;
  if (code === "EAFNOSUPPORT")
    return `no raw socket for ${what}: this kernel was started without IPv6; take ipv6.disable=1 off its command line`;
  return `no raw socket for ${what} (${code})`;
}

function tunRefusal(code: string, syscall: string, name: string): string {
  if (code === "EBUSY")
    return `the device ${name} exists already; another dsmipd runs in this network namespace, stop it first`;
  if (syscall === "open") return tunDeviceRefusal(code);
  if (code === "EPERM") return `the TUN device ${name} cannot be made (EPERM); CAP_NET_ADMIN is needed`;
  return `the TUN device ${name} cannot be made (${code})`;
}
