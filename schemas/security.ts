/**
 * The `security` part of the configuration file: who keys the protection of binding updates and of payload. `static-keys` is for labs;
 * with `ikev2` strongSwan's charon negotiates (RFC 4877, RFC 5555 §5), driven over its VICI socket.
 */
import { z } from "zod";
import { absolutePath, matching } from "./texts.js";

const filePath = z.string().min(1);

/** An IKE identity as charon reads it: a name, an address, user@domain or a distinguished name. No lists, no wildcards. */
export const ikeIdentity = matching(
  /^[^\s"{}*%#](?:[^"{}*%#\n]*[^\s"{}*%#])?$/,
  'an IKE identity like node1@example.org or "CN=node1, O=Example" is wanted (no wildcards)',
);

export const authenticationMethod = z.enum(["psk", "certificate", "eap"]);

/** Combined-mode ciphers only: the kernel has one algorithm for each, and there is nothing weaker to fall back to. */
export const espCipher = z.enum(["aes128gcm16", "aes192gcm16", "aes256gcm16", "chacha20poly1305"]);

const staticKeys = z.strictObject({
  method: z.literal("static-keys").describe("Keys that never change, from keyFile. For labs."),
});

const common = {
  method: z.literal("ikev2"),
  viciSocket: absolutePath
    .default("/var/run/charon.vici")
    .describe("The socket of strongSwan's charon (Debian: charon-systemd)."),
  identity: ikeIdentity.describe("Our own IKE identity."),
  certificate: filePath.optional().describe("Our certificate (PEM). Relative paths start at the configuration file."),
  privateKey: filePath.optional().describe("Its private key (PEM); mode 0600."),
  authorities: z
    .array(filePath)
    .default([])
    .describe("Certificates (PEM) of the authorities that vouch for our peers."),
  credentialFile: filePath
    .optional()
    .describe("Pre-shared keys and EAP passwords (YAML, see schemas/credentials.ts); mode 0600."),
  ikeProposals: z
    .array(matching(/^[a-z0-9]+(?:-[a-z0-9_]+)+$/, "a proposal like aes128gcm16-prfsha256-x25519 is wanted"))
    .min(1)
    .default(["aes128gcm16-prfsha256-x25519", "aes256gcm16-prfsha384-ecp384"])
    .describe("For the IKE SA, in strongSwan's words, best first."),
  espCiphers: z.array(espCipher).min(1).default(["aes128gcm16", "aes256gcm16"]).describe("For ESP, best first."),
  negotiationLog: z
    .boolean()
    .default(true)
    .describe(
      "Listen to the IKE daemon's log for the reasons of failed negotiations. It writes us four lines for each dead peer detection and some twenty for each negotiation.",
    ),
  rekeySeconds: z.int().min(10).max(86400).default(3600).describe("Age at which the keys of ESP are renewed."),
  movement: z
    .enum(["migrate", "mobike", "renegotiate"])
    .default("migrate")
    .describe(
      "How the IKE SA follows a moving node: by what the binding update says (K flag, XFRM_MSG_MIGRATE), by MOBIKE (RFC 4555) with every peer that has it too, or not at all: then it is made anew after each move (K flag 0; for kernels without CONFIG_XFRM_MIGRATE). On a node, mobike needs settings of charon's own (README).",
    ),
  ikeRekeySeconds: z.int().min(60).max(604800).default(14400).describe("Age at which the keys of IKE are renewed."),
} as const;

export const homeAgentSecurity = z.discriminatedUnion("method", [
  staticKeys,
  z.strictObject({
    ...common,
    espInUdp: z
      .enum(["nat", "always"])
      .default("nat")
      .describe(
        "ESP of payload to IPv4 care-of addresses in UDP port 4500: behind a NAT only, or always (RFC 5555 §5.2.2).",
      ),
  }),
]);

export const mobileNodeSecurity = z.discriminatedUnion("method", [
  staticKeys,
  z.strictObject({
    ...common,
    homeAgentIdentity: ikeIdentity.describe("The home agent's IKE identity."),
    authentication: authenticationMethod
      .default("psk")
      .describe("How we prove who we are. With eap the home agent proves itself by certificate (RFC 4877 §7.3)."),
    deadPeerDetectionSeconds: z
      .int()
      .min(1)
      .max(3600)
      .default(30)
      .describe(
        "Silence after which the home agent's IKE daemon is asked whether it is still there; also the NAT keepalive of IKE.",
      ),
  }),
]);

/** What binds a subscriber to what it can prove. */
export const subscriberIdentity = {
  identity: ikeIdentity.optional().describe("IKE identity that may register this home address; needed with ikev2."),
  authentication: authenticationMethod.default("psk").describe("How the node proves its identity."),
} as const;

export type HomeAgentSecurity = z.output<typeof homeAgentSecurity>;
export type MobileNodeSecurity = z.output<typeof mobileNodeSecurity>;
export type HomeAgentIke = Extract<HomeAgentSecurity, { method: "ikev2" }>;
export type MobileNodeIke = Extract<MobileNodeSecurity, { method: "ikev2" }>;
export type EspCipher = z.output<typeof espCipher>;
export type AuthenticationMethod = z.output<typeof authenticationMethod>;
