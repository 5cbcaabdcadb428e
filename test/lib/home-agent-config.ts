/** A home agent of Mobile IPv6 as its configuration says it. */
import { homeAgentConfig, type Mip6HomeAgentConfig, mip6Of } from "../../schemas/config/home-agent.js";

export function mip6ConfigOf(file: unknown): Mip6HomeAgentConfig {
  const config = mip6Of(homeAgentConfig.parse(file));
  if (config === undefined) throw new Error("no addresses.ipv6");
  return config;
}
