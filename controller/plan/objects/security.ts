/** Kernel objects of XFRM: security associations, Mobile IPv6's own transformations, and the policies that ask for them. */
import type { IpAddress, Ipv6Address, Prefix } from "../../base/ip.js";
import type { Secret } from "../../base/secret.js";

export interface XfrmSelector {
  readonly source: Prefix;
  readonly destination: Prefix;
  /** Upper-layer protocol; 0 is any. */
  readonly protocol: number;
  /** Mobility Header type (stands in the source port field) when protocol is 135. */
  readonly mobilityHeaderType?: number;
  /** With protocol 58: ICMPv6 types below 128 alone, which are the errors (RFC 4443 §2.1). */
  readonly icmpv6Errors?: boolean;
  /** With protocol 58: this ICMPv6 type alone (stands in the source port field). */
  readonly icmpv6Type?: number;
}

export interface XfrmMark {
  readonly value: number;
  readonly mask: number;
}

export type EspState = EspKeys & {
  readonly type: "esp";
  readonly spi: number;
  readonly mode: "transport" | "tunnel";
  /** Packets; 0: any number is taken. */
  readonly replayWindow: number;
  /** ESP in UDP (RFC 3948); the ports in the direction of the packets. */
  readonly encapsulation?: { readonly sourcePort: number; readonly destinationPort: number };
  /** Only packets with this mark meet the state: part of its identity, so that several states may have one SPI. */
  readonly mark?: XfrmMark;
  /** The bits of the mark that packets have afterwards (XFRMA_SET_MARK). */
  readonly setMark?: XfrmMark;
  /** Tunnel mode, receiving: the outer DSCP becomes the inner one (XFRM_STATE_DECAP_DSCP). */
  readonly decapsulateDscp?: boolean;
  /** Tunnel mode, sending: the outer DSCP is 0 and not the inner one (XFRM_SA_XFLAG_DONT_ENCAP_DSCP). */
  readonly hideDscp?: boolean;
};

/** With negotiated keys there are no others. */
export type AeadState = Extract<EspState, { readonly aead: AeadKey }>;

/** Either of an algorithm that does both at once, or of a cipher and of a keyed hash beside it (static keys alone). */
export type EspKeys =
  | { readonly aead: AeadKey; readonly encryption?: undefined; readonly integrity?: undefined }
  | { readonly aead?: undefined; readonly encryption: CipherKey; readonly integrity: IntegrityKey };

/** Under the kernel's name of the algorithm. */
export interface CipherKey {
  readonly algorithm: string;
  readonly key: Secret;
}

/** Under the kernel's name of the algorithm; `icvLength` in octets. */
export interface IntegrityKey extends CipherKey {
  readonly icvLength: number;
}

/** An AEAD's key (with its salt) under the kernel's name of the algorithm; `icvLength` in octets. */
export interface AeadKey {
  readonly algorithm: string;
  readonly key: Secret;
  readonly icvLength: number;
}

/** Mobile IPv6's own transformations: home address destination option (60) and type 2 routing header (43). */
export interface MobilityState {
  readonly type: "home-address-option" | "type2-routing-header";
  /** :: on the receiving side with `wildcard`. */
  readonly careOfAddress: Ipv6Address;
  readonly wildcard: boolean;
}

/** Both ends are of one family. */
export interface XfrmState {
  readonly kind: "xfrm-state";
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly reqid: number;
  readonly selector?: XfrmSelector;
  readonly transform: EspState | MobilityState;
}

/** In tunnel mode both ends of the tunnel, of one family, which need not be the selector's; unspecified addresses match any. */
export interface XfrmTemplate {
  readonly protocol: "esp" | "home-address-option" | "type2-routing-header";
  readonly mode: "transport" | "tunnel" | "route-optimisation";
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly reqid: number;
  /** Level "use": the packet passes without it too. */
  readonly optional: boolean;
}

export interface XfrmPolicy {
  readonly kind: "xfrm-policy";
  readonly direction: "in" | "out" | "forward";
  readonly policyType: "main" | "sub";
  readonly selector: XfrmSelector;
  readonly priority: number;
  readonly action: "allow" | "block";
  readonly mark?: XfrmMark;
  readonly templates: readonly XfrmTemplate[];
}

/**
 * From which prefix lengths on XFRM policies stand in the kernel's hash table; the others stand in trees that every packet walks. One for
 * the network namespace. Local is our end: the source of what goes out, the destination of what comes in.
 */
export interface PolicyHash {
  readonly kind: "policy-hash";
  readonly ipv4: { readonly localBits: number; readonly remoteBits: number };
  readonly ipv6: { readonly localBits: number; readonly remoteBits: number };
}
