/** Link-layer addresses of six octets (Ethernet) as people write them: lower-case hexadecimal with colons. */
import { fromHex, toHex } from "./bytes.js";

const OCTETS = 6;

/** Undefined for an address of another length. */
export function formatLinkAddress(octets: Uint8Array): string | undefined {
  return octets.length === OCTETS ? Array.from(octets, (octet) => toHex(Uint8Array.of(octet))).join(":") : undefined;
}

/** Of an address that `formatLinkAddress` has written, or that has been checked to have its form. */
export const linkAddressOctets = (address: string): Uint8Array => fromHex(address.replaceAll(":", ""));

declare const etherBrand: unique symbol;
/** A link-layer address of six octets in the form of `formatLinkAddress`: what a field of a firewall's set holds. */
export type EtherAddress = string & { readonly [etherBrand]: true };

/** Of an address that has been written by `formatLinkAddress`, or has been checked to have its form. */
export const etherAddress = (address: string): EtherAddress => address as EtherAddress;
