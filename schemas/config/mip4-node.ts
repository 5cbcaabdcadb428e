/** Configuration of a mobile node of Mobile IPv4. */
import { z } from "zod";
import { IPV4_ANY, isIpv4, isIpv6 } from "../../controller/base/ip.js";
import {
  common,
  dynamic,
  interfaceName,
  ipv4Text,
  ipv6Text,
  MOST_PREFIXES,
  naiText,
  networkText,
  prefixText,
  tunnelProfile,
} from "./common.js";
import { lifetimeOfPayload, protocol } from "./mobile-node.js";

const dynamicIpv4 = z
  .union([ipv4Text, dynamic.transform(() => IPV4_ANY)])
  .transform((address) => (address === IPV4_ANY ? undefined : address));

export const mip4NodeConfig = z.strictObject({
  role: z.literal("mobile-node"),
  protocol: z.literal("mip4").describe(protocol),
  ...common,
  mobileNode: z.strictObject({
    homeAddress: dynamicIpv4.describe("IPv4 home address. dynamic: lent by the home agent to the nai."),
    nai: naiText
      .optional()
      .describe("Network access identifier that requests bear (RFC 2794); needed with a dynamic home address."),
    homeAgent: dynamicIpv4.describe(
      "IPv4 address of the home agent. dynamic (or 0.0.0.0): asked for at the broadcast address of homeSubnet (RFC 5944 §3.6.1.2).",
    ),
    homeSubnet: prefixText
      .refine(({ address, length }) => isIpv4(address) && length > 0, {
        error: "an IPv4 prefix like 198.51.100.0/24 is wanted",
      })
      .optional()
      .describe(
        "A link with an address or network of it is the home link, unless the home agent does not answer there. Absent: the home agent's advertisements alone tell.",
      ),
    spi: z
      .int()
      .min(256)
      .max(0xffffffff)
      .optional()
      .describe(
        "Of the mobile-home entry in keyFile that requests are signed with. Absent: the first one of this node.",
      ),
    prefixes: z
      .array(
        networkText.refine(({ address }) => isIpv6(address), {
          error: "an IPv6 prefix like 2001:db8:100::/56 is wanted",
        }),
      )
      .max(MOST_PREFIXES)
      .default([])
      .describe("IPv6 prefixes that are registered beside the home address (RFC 5454 §2.1)."),
    ipv6HomeAddress: ipv6Text
      .optional()
      .describe("An address of the node itself, within its prefixes, for its own IPv6 sockets."),
    ipv6Tunnelling: z
      .enum(["care-of-address", "home-address"])
      .default("care-of-address")
      .describe(
        "Where IPv6 may be tunnelled to: the care-of address, where that is the node's own, or always the IPv4 home address, within whatever tunnel that has (RFC 5454 §2.3).",
      ),
    prefixDelegation: z
      .boolean()
      .default(false)
      .describe(
        "Register a link-local address too, so that a DHCPv6 client on dsmip-th can ask for prefixes through the tunnel, and what it was delegated, as the kernel shows it (RFC 5454 §3.7.1).",
      ),
    encapsulation: z
      .enum(["ip-in-ip", "gre"])
      .default("ip-in-ip")
      .describe("Of payload; where gre is refused, ip-in-ip is taken, which everybody has (RFC 5944 §4.1)."),
    reverseTunnelling: z
      .enum(["always", "preferred", "never"])
      .default("preferred")
      .describe(
        "Whether IPv4 goes back through the tunnel (RFC 3024); preferred: without one where the home agent or the foreign agent has none.",
      ),
    foreignAgents: z
      .enum(["where-needed", "preferred", "never"])
      .default("where-needed")
      .describe(
        "When the care-of address is a foreign agent's: where the node has none of its own, wherever an agent is heard, or never.",
      ),
    natTraversal: z
      .boolean()
      .default(true)
      .describe("Ask for payload in UDP for the case that there is a NAT (RFC 3519)."),
    forceUdp: z.boolean().default(false).describe("Ask for UDP even without a NAT (F flag, RFC 3519 §3.1)."),
    natKeepaliveSeconds: z
      .int()
      .min(10)
      .max(65535)
      .default(110)
      .describe(
        "Silence after which something is said through a NAT, where the home agent names no time (RFC 3519 §3.2).",
      ),
    lifetimeSeconds: z.int().min(4).max(65535).default(600).describe("Asked for; 65535: without an end."),
    interfaces: z
      .array(interfaceName)
      .min(1)
      .optional()
      .describe(
        "Links that may carry a care-of address or lead to a foreign agent, best first. Absent: every link that is not ours, by route metric.",
      ),
    localNetworks: z
      .enum(["own", "own-and-visited", "none"])
      .default("own")
      .describe("Connected networks that stay out of the tunnel, as with mip6."),
    exclude: z.array(prefixText).default([]).describe("Further prefixes that stay out of the tunnel, as with mip6."),
    previousCareOfGraceSeconds: z.number().min(0).max(60).default(3).describe(lifetimeOfPayload),
  }),
  tunnelProfile: tunnelProfile.prefault({}),
});

export type Mip4NodeConfig = z.output<typeof mip4NodeConfig>;
