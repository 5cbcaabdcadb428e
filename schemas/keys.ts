/**
 * The key file: static ESP keys (AES-GCM, RFC 4106) for the binding updates and acknowledgements of each mobile node, the same file
 * format on both sides. A lab's tool: keys do not change and replay protection restarts with the daemon's SAs.
 */
import { z } from "zod";
import { ipv6Text } from "./config.js";

/** 16, 24 or 32 octets of AES key and 4 octets of salt, in hexadecimal: 20, 28 or 36 octets in all. */
const aesGcmKey = z
  .string()
  .regex(/^(0x)?([0-9a-fA-F]{40}|[0-9a-fA-F]{56}|[0-9a-fA-F]{72})$/, {
    error: "an AES-GCM key with its salt is wanted: 40, 56 or 72 hexadecimal digits",
  })
  .transform((text) => text.replace(/^0x/, ""));

const securityAssociation = z.strictObject({
  spi: z.int().min(256).max(0xffffffff).describe("Security parameters index; 1 to 255 are reserved (RFC 4303 §2.1)."),
  key: aesGcmKey,
});

export const keyEntry = z.strictObject({
  homeAddress: ipv6Text,
  /** Mobile node to home agent. */
  update: securityAssociation.describe("Protects binding updates."),
  /** Home agent to mobile node. */
  acknowledgement: securityAssociation.describe("Protects binding acknowledgements."),
});

export const keyFile = z.strictObject({ keys: z.array(keyEntry).min(1) });

export type KeyEntry = z.output<typeof keyEntry>;
