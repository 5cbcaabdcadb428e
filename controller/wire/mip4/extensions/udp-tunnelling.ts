/** NAT traversal (RFC 3519 §3.1, §3.2): the mobile node's request, which may be skipped, and the home agent's reply, which may not. */
import { bits, type Field, inline, reserved, struct, u8, u16 } from "../../codec.js";
import { RegistrationExtensionType } from "../registry.js";
import { type ExtensionCodec, subtyped } from "./codec.js";

export interface UdpTunnelRequestValue {
  /** F: tunnel in UDP whether there is a NAT or not. */
  readonly forced: boolean;
  /** R: a co-located node registers through a foreign agent because that demands it. */
  readonly throughForeignAgent: boolean;
  /** A protocol number (`TunnelPayload`); 0: as the M and G flags of the registration request say. */
  readonly encapsulation: number;
}

const requestFields: Field<UdpTunnelRequestValue> = struct({
  reserved1: reserved(1),
  flags: inline(bits(1, { forced: 0x80, throughForeignAgent: 0x40 })),
  encapsulation: u8,
  reserved3: reserved(2),
});

/** Reserved 3 within the data: other than zero makes the extension one that is not understood (RFC 3519 §3.1.3, C-29). */
const RESERVED_3 = [4, 5] as const;

const udpTunnelRequest: ExtensionCodec<"udp-tunnel-request", UdpTunnelRequestValue> = {
  kind: "udp-tunnel-request",
  type: RegistrationExtensionType.udpTunnelRequest,
  format: "short",
  subtype: 0,
  fields: requestFields,
  notUnderstood: (data) => RESERVED_3.some((at) => (data[at] ?? 0) !== 0),
};

export const UDP_TUNNELLING_EXTENSIONS = [
  udpTunnelRequest,
  subtyped(
    "udp-tunnel-reply",
    { type: RegistrationExtensionType.udpTunnelReply, subtype: 0, format: "short" },
    {
      /** Of `UdpTunnelCode`; below 64 it is done. */
      code: u8,
      /** F: because the request demanded it. */
      flags: inline(bits(2, { forced: 0x8000 })),
      /** 0: the mobile node's own default. */
      keepaliveSeconds: u16,
    },
  ),
] as const;
