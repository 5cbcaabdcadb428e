/** Configuration of a foreign agent. */
import { z } from "zod";
import {
  advertising,
  common,
  interfaceAddress,
  interfaceName,
  ipv4Text,
  reverseTunnelling,
  routesCommonTraffic,
  tunnelProfile,
} from "./common.js";

const visitedLink = z.strictObject({
  interface: interfaceName.describe("Link on which visitors are served."),
  address: interfaceAddress.describe("IPv4 address of this machine there, with the link's prefix length."),
  ...advertising,
  registrationRequired: z
    .boolean()
    .default(false)
    .describe("R: nodes with an address of their own here have to register through us, too (RFC 5944 §2.1.1)."),
});

export const foreignAgentConfig = z.strictObject({
  role: z.literal("foreign-agent"),
  ...common,
  foreignAgent: z.strictObject({
    careOfAddress: ipv4Text.describe("IPv4 address of this machine at which tunnels of home agents end."),
    links: z.array(visitedLink).min(1).describe("Links on which visitors are served."),
    registrationLifetimeSeconds: z
      .int()
      .min(1)
      .max(65535)
      .default(1800)
      .describe("Longest registration that is accepted and advertised; 65535: no limit (RFC 5944 §2.1.1)."),
    reverseTunnelling: reverseTunnelling
      .default("optional")
      .describe(
        "Reverse tunnels to home agents (RFC 3024): required refuses requests without T (75), refused those with (74).",
      ),
    gre: z
      .boolean()
      .default(true)
      .describe(
        "Tunnels in GRE for nodes that ask for them (G), advertised; false refuses them (72). The kernel has one device for that in a network namespace.",
      ),
    challenge: z
      .boolean()
      .default(false)
      .describe(
        "Advertise a challenge (RFC 4721). Requests have to answer it, and to prove who does by Mobile-AAA authentication or by Mobile-Foreign authentication under a key of keyFile; nodes with a key there may leave the challenge out.",
      ),
    routesCommonTraffic,
    mostVisitors: z
      .int()
      .min(1)
      .max(65535)
      .default(10000)
      .describe("More are turned away with code 66, and advertisements say that the agent is busy."),
    mtu: z.int().min(1280).max(65000).default(1400).describe("MTU of the tunnel devices in octets."),
  }),
  tunnelProfile: tunnelProfile.prefault({}).describe("Of reverse tunnels."),
});

export type ForeignAgentConfig = z.output<typeof foreignAgentConfig>;
