/** Configuration of a correspondent node. */
import { z } from "zod";
import { common, ipv4Text, ipv6Prefix, ipv6Text, log, modeOptionType, tunnelProfile } from "./common.js";

/** Mode 2 (mapped) is none that the kernel can read. */
export const CORRESPONDENT_MODES = ["ipv6-encapsulation", "ipv4-encapsulation", "ipv4-udp"] as const;

const ipv4RouteOptimisation = z
  .strictObject({
    addresses: z
      .array(z.strictObject({ ipv6: ipv6Text, ipv4: ipv4Text }))
      .min(1)
      .describe("Which IPv4 address of this machine belongs to which of correspondentNode.addresses."),
    modes: z
      .array(z.enum(CORRESPONDENT_MODES))
      .min(1)
      .default([...CORRESPONDENT_MODES])
      .describe(
        "How IPv4 payload, and payload over IPv4, may go: in IPv6; from an IPv4 care-of address in IPv4; from one behind a NAT in UDP.",
      ),
    optionType: modeOptionType,
    combinedUpdates: z
      .boolean()
      .default(true)
      .describe("One update may be about a node's IPv6 and IPv4 home address together."),
  })
  .describe(
    "Route optimisation with IPv4 home and care-of addresses (draft-oulai-mext-dsmip-ro-00, never adopted). Absent: off.",
  );

/** Of bindings by return routability, whoever they are made at. */
export const bindingsOfOthers = {
  deny: z.array(ipv6Prefix).default([]).describe("Prefixes of home addresses that may not, whatever allow says."),
  maximumBindings: z.int().min(1).max(1_000_000).default(10_000).describe("Bindings at a time."),
  whenFull: z
    .enum(["refuse", "oldest"])
    .default("refuse")
    .describe("A further one is refused (status 130), or takes the place of the one that was refreshed longest ago."),
  maximumLifetimeSeconds: z
    .int()
    .min(4)
    .max(420)
    .default(420)
    .describe("Longest lifetime granted; 420 is MAX_RR_BINDING_LIFETIME (RFC 6275 §12)."),
};

const correspondentNode = z.strictObject({
  addresses: z
    .array(ipv6Text)
    .min(1)
    .describe("IPv6 addresses of this machine that mobile nodes may optimise their routes to."),
  allow: z
    .array(ipv6Prefix)
    .default([])
    .describe("Prefixes of home addresses that may do so; ::/0 for all. None: nobody may."),
  ...bindingsOfOthers,
  ipv4RouteOptimisation: ipv4RouteOptimisation.optional(),
});

export const correspondentNodeConfig = z.strictObject({
  role: z.literal("correspondent-node"),
  controlSocket: common.controlSocket,
  stateDirectory: common.stateDirectory,
  log,
  correspondentNode,
  tunnelProfile: tunnelProfile
    .pick({ dscp: true, ttl: true })
    .extend({ mtu: tunnelProfile.shape.mtu.describe("Largest inner packet in octets. Default: 1400.") })
    .prefault({})
    .describe("Outer headers of payload that goes with IPv4 at either side (correspondentNode.ipv4RouteOptimisation)."),
});

export type CorrespondentNodeConfig = z.output<typeof correspondentNodeConfig>;
