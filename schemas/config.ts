/**
 * The configuration file (YAML). Every key a person may write stands here with its meaning, unit and default; JSON Schema is
 * generated from it (schemas/config.schema.json). Cross-checks that need more than one key stand in controller/config/config.ts.
 */
import { z } from "zod";
import { correspondentNodeConfig } from "./config/correspondent-node.js";
import { foreignAgentConfig } from "./config/foreign-agent.js";
import { homeAgentConfig } from "./config/home-agent.js";
import { mip4NodeConfig } from "./config/mip4-node.js";
import { mobileNodeConfig } from "./config/mobile-node.js";

export const configFile = z.discriminatedUnion("role", [
  homeAgentConfig,
  foreignAgentConfig,
  correspondentNodeConfig,
  z.discriminatedUnion("protocol", [mobileNodeConfig, mip4NodeConfig]),
]);

export type Config = z.output<typeof configFile>;
