/** Link-layer addresses of six octets (Ethernet) as people write them: lower-case hexadecimal with colons. */
import { fromHex, toHex } from "./bytes.js";

const OCTETS = 6;

/** Undefined for an address of another length. */
export function formatLinkAddress(octets: Uint8Array): string | undefined {
  return octets.length === OCTETS ? Array.from(octets, (octet) => toHex(Uint8Array.of(octet))).join(":") : undefined;
}

/** Of an address that `formatLinkAddress` has written, or that has been checked to have its form. */
export const linkAddressOctets = (address: string): Uint8Array => fromHex(address.replaceAll(":", ""));

/** The same octets as one number of 48 bits, the first one highest. */
export const linkAddressNumber = (address: string): number => Number.parseInt(address.replaceAll(":", ""), 16);
