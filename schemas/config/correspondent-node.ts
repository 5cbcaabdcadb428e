/** Configuration of a correspondent node. */
import { z } from "zod";
import { common, ipv6Prefix, ipv6Text, log } from "./common.js";

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
});

export const correspondentNodeConfig = z.strictObject({
  role: z.literal("correspondent-node"),
  controlSocket: common.controlSocket,
  stateDirectory: common.stateDirectory,
  log,
  correspondentNode,
});

export type CorrespondentNodeConfig = z.output<typeof correspondentNodeConfig>;
