/** Configuration of a mobile node or mobile router of Mobile IPv6. */
import { z } from "zod";
import { IPV6_ANY } from "../../controller/base/ip.js";
import { ikeIdentity, mobileNodeSecurity } from "../security.js";
import { matching } from "../texts.js";
import {
  common,
  DYNAMIC,
  dynamic,
  interfaceName,
  ipText,
  ipv4Signalling,
  ipv4Text,
  ipv6Prefix,
  ipv6Text,
  MOST_LENT,
  modeOptionType,
  networks,
  prefixText,
  tunnelProfile,
} from "./common.js";
import { bindingsOfOthers } from "./correspondent-node.js";

/** In the place of an address: the home agent is looked for. */
export const TO_BE_FOUND = IPV6_ANY;
/** In the place of a home address: the home agent tells it to who proves its identity. */
export const TO_BE_TOLD = IPV6_ANY;
const AUTO = "auto";

const hostName = matching(
  /^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?)+$/,
  "a name like ha1.example.com is wanted",
)
  .max(253)
  .transform((name) => name.toLowerCase().replace(/\.$/, ""));

const homeAgentOfNode = z
  .strictObject({
    ipv6: ipv6Text
      .default(TO_BE_FOUND)
      .describe("Its address, where it is known. Absent: name, domain, anycast or dhcpv6 say how to find it."),
    ipv4: ipv4Text.optional().describe("For IPv4 networks. With a name or domain the A records have it."),
    name: hostName.optional().describe("Its name; AAAA and A records have its addresses (RFC 5555 §2.1)."),
    domain: hostName
      .optional()
      .describe("Domain of the service _mip6._ipv6, whose SRV records name home agents in order (RFC 5026 §5.1)."),
    anycast: z
      .boolean()
      .default(false)
      .describe(
        "Ask at the anycast address of the home prefixes (RFC 6275 §11.4.1), where there is IPv6 and names have found none.",
      ),
    dhcpv6: z
      .boolean()
      .default(false)
      .describe(
        "Take a home agent that a visited IPv6 network offers by DHCPv6 (RFC 6610; dsmipctl home-agent offered) when the other ways have found none.",
      ),
    nameServers: z
      .array(ipText)
      .min(1)
      .optional()
      .describe(
        "Absent: those of /etc/resolv.conf. They are asked through the visited network, never through the tunnel.",
      ),
    switchAfterSeconds: z
      .int()
      .min(1)
      .max(3600)
      .default(30)
      .describe("Of several that were found the next one is taken when one has been silent for so long."),
    returnAfterSeconds: z
      .int()
      .min(1)
      .max(86400)
      .default(600)
      .describe("When the best one is tried again after that; each time in vain it becomes twice as long."),
  })
  .describe("The home agent, or how to find it.");

export const protocol = "Mobile IPv6 (RFC 5555) or Mobile IPv4 (RFC 5944, RFC 5454). Absent: mip6.";
export const lifetimeOfPayload = "How long payload through the former care-of address is accepted after a move.";

/** Besides the first one. */
const MOST_FURTHER_HOMES = 7;
const furtherHome = z.strictObject({
  homeAddress: ipv6Text.describe("IPv6 home address, of another subscriber of the same home agent."),
  ipv4HomeAddress: ipv4Text.optional().describe("IPv4 home address of that subscriber."),
  identity: ikeIdentity
    .optional()
    .describe("That subscriber's IKE identity; needed with ikev2, with a credential of its own."),
});

const ipv4RouteOptimisation = z
  .strictObject({
    optionType: modeOptionType,
    correspondents: z
      .array(z.strictObject({ ipv6: ipv6Text, ipv4: ipv4Text }))
      .min(1)
      .max(256)
      .describe("Addresses of each correspondent that knows it: which IPv4 address belongs to which IPv6 address."),
    modes: z
      .strictObject({
        ipv6CareOf: z.enum(["ipv6-encapsulation"]).default("ipv6-encapsulation"),
        ipv4CareOf: z.enum(["ipv4-encapsulation", "ipv4-udp"]).default("ipv4-encapsulation"),
      })
      .prefault({})
      .describe(
        "What is asked for where the care-of address is of that family; behind a NAT it is ipv4-udp. Of what else a correspondent answers the node takes what it can, or lets it be.",
      ),
  })
  .describe(
    "Route optimisation for IPv4 payload, and from IPv4 networks (draft-oulai-mext-dsmip-ro-00). Absent: both go by way of the home agent (RFC 5555 §2.4, §5.1).",
  );

const routeOptimisation = z
  .strictObject({
    allow: z
      .array(ipv6Prefix)
      .default([{ address: IPV6_ANY, length: 0 }])
      .describe("IPv6 prefixes of correspondents. Absent: all."),
    deny: z.array(ipv6Prefix).default([]).describe("Those that are none all the same."),
    minimumAgeSeconds: z
      .number()
      .min(0)
      .max(3600)
      .default(2)
      .describe("How old a flow is when the correspondent is asked; 0: with its first packet."),
    maximum: z.int().min(1).max(256).default(64).describe("Correspondents at a time, of each home address."),
    idleSeconds: z
      .number()
      .min(1)
      .max(86400)
      .default(120)
      .describe("Without payload, after which the direct path is given up."),
    correspondent: z
      .union([
        z.literal("off"),
        z.strictObject({
          allow: z
            .array(ipv6Prefix)
            .optional()
            .describe("Prefixes of home addresses that may bind. Absent: those of routeOptimisation.allow."),
          ...bindingsOfOthers,
        }),
      ])
      .prefault({})
      .describe(
        "The node as the correspondent of other mobile nodes (RFC 6275 §9), at each home address: they may send directly to where they find it, and it to where they are. off: tests and updates of others are not answered.",
      ),
    ipv4: ipv4RouteOptimisation.optional(),
  })
  .describe(
    "Route optimisation with correspondents (RFC 6275 §11): payload over IPv6 goes directly where they agree. Absent: all of it goes by way of the home agent.",
  );

export const mobileNodeConfig = z.strictObject({
  role: z.literal("mobile-node"),
  protocol: z.literal("mip6").optional().describe(protocol),
  ...common,
  security: mobileNodeSecurity.prefault({ method: "static-keys" }),
  mobileNode: z.strictObject({
    homeAddress: z
      .union([
        ipv6Text.refine((address) => address !== IPV6_ANY, { error: 'an IPv6 address or "auto" is wanted' }),
        z.literal(AUTO).transform(() => TO_BE_TOLD),
      ])
      .describe(
        "auto: the home agent tells it when the node has proved its identity, as IKEv2's configuration (RFC 5026 §5.3.1). It is kept, and asked for again when the home agent does not serve it any more. Needs ikev2.",
      ),
    ipv4HomeAddress: z
      .union([ipv4Text, dynamic, z.literal("from-prefix"), z.literal(AUTO)])
      .optional()
      .describe(
        "dynamic: lent by the home agent (RFC 5555 §2.5). from-prefix: the first host address of the first IPv4 prefix that it lends (RFC 5555 §3.1.1). Lent ones are on no home link. auto: told together with the IPv6 one, if the home agent has one for the node.",
      ),
    furtherHomeAddresses: z
      .array(furtherHome)
      .max(MOST_FURTHER_HOMES)
      .default([])
      .describe(
        "Further home addresses of this node at the same home agent. Each is a subscriber there and has a binding of its own (RFC 6275 §5.5): update, sequence number, security associations. Networks and multicast are the first one's.",
      ),
    homePrefixes: z
      .array(prefixText)
      .default([])
      .describe(
        "Seeing the IPv6 one on a link means being at home. With a home address that is told its /64, if it is in none of these.",
      ),
    homeAgent: homeAgentOfNode,
    prefixes: networks.describe(
      "Prefixes of both families of the networks behind us: with any we are a mobile router (RFC 3963) and forward between them and the home agent. dynamic: lent by the home agent, of the lengths in prefixLengths.",
    ),
    prefixLengths: z
      .strictObject({
        ipv4: z.array(z.int().min(1).max(30)).max(MOST_LENT).default([24]),
        ipv6: z.array(z.int().min(1).max(64)).max(MOST_LENT).default([]),
      })
      .prefault({})
      .describe(
        "With `prefixes: dynamic`: a prefix is asked for for each length, in bits; the home agent may lend one of another length.",
      ),
    mobileRouter: z
      .enum(["explicit", "implicit"])
      .default("explicit")
      .describe(
        "Whether updates name the prefixes, or R alone tells the home agent to forward to all that it has of us.",
      ),
    lifetimeSeconds: z.int().min(4).max(262140).default(600),
    multicast: z
      .boolean()
      .default(false)
      .describe(
        "Groups that applications join on dsmip-hoa, the device of the home addresses, come through the tunnel (RFC 6275 §11.3.4). Not with protection esp.",
      ),
    prefixDiscovery: z
      .enum(["demand", "registration", "off"])
      .default("demand")
      .describe(
        "When the home agent is asked for the home prefixes (RFC 6275 §11.4.2): when it says that they have changed, and before their lifetimes end (demand); after the first registration too, where nothing is known of them; or never.",
      ),

    ipv4Signalling,
    forceUdp: z
      .boolean()
      .default(false)
      .describe("Ask for UDP encapsulation even without a NAT (F flag); IPv4 access only."),
    udpOverIpv6: z
      .boolean()
      .default(false)
      .describe(
        "Try UDP in IPv6 as the last resort, when the home agent was not heard over IPv6 nor over IPv4 (RFC 5555 §4.4.1); the home agent must serve it. Not with protection esp.",
      ),
    natKeepaliveSeconds: z
      .int()
      .min(1)
      .max(86400)
      .default(110)
      .describe("NATKATIMEOUT when the home agent suggests nothing."),
    reachability: z
      .enum(["always", "on-demand"])
      .default("always")
      .describe(
        "Behind a NAT: always reachable, by updates that keep its mapping, or only while the node itself talks: then nothing is sent while it is idle, and an update as soon as it sends again after that (RFC 5555 §4.3). Not with protection esp.",
      ),
    ipv4RetrySeconds: z
      .int()
      .min(1)
      .max(604800)
      .optional()
      .describe(
        "When a home agent that has accepted an update without a word on the IPv4 home address is asked for it again (RFC 5555 §4.4.2). Absent: not in the life of the binding (RFC 5555 §2.3.1).",
      ),
    interfaces: z
      .array(interfaceName)
      .min(1)
      .optional()
      .describe(
        "Links that may carry a care-of address, best first. Absent: every link that is not ours, by route metric; TUN, WireGuard and tunnels that name no address of their own only where no other link is there.",
      ),
    localNetworks: z
      .enum(["own", "own-and-visited", "none"])
      .default("own")
      .describe(
        "Connected networks that stay out of the tunnel: those of links that are no uplink (containers, tethering, a VPN's network), the visited link's too, or none.",
      ),
    exclude: z
      .array(prefixText)
      .default([])
      .describe(
        "Further prefixes that stay out of the tunnel, as the main table's routes lead there; never for packets from a home address.",
      ),
    routeOptimisation: routeOptimisation.optional(),
    previousCareOfGraceSeconds: z.number().min(0).max(60).default(3).describe(lifetimeOfPayload),
  }),
  tunnelProfile: tunnelProfile
    .extend({
      routeOptimisation: z
        .enum(["off", "on", "clear"])
        .optional()
        .describe(
          "With mobileNode.routeOptimisation: whether direct paths are taken. clear: even though protection is esp, which they leave. Absent: on, and off with protection esp.",
        ),
    })
    .prefault({}),
});

/** Whether payload of the node may leave the way of the home agent. */
export function optimisesRoutes({
  mobileNode,
  tunnelProfile,
}: Pick<MobileNodeConfig, "mobileNode" | "tunnelProfile">): boolean {
  const { protection, routeOptimisation = protection === "esp" ? "off" : "on" } = tunnelProfile;
  return mobileNode.routeOptimisation !== undefined && routeOptimisation !== "off";
}

/** Of the node as the correspondent of others; undefined: it is none. */
export function asCorrespondent(
  config: Pick<MobileNodeConfig, "mobileNode" | "tunnelProfile">,
): (OwnCorrespondent & Pick<RouteOptimisation, "allow">) | undefined {
  const { routeOptimisation } = config.mobileNode;
  if (routeOptimisation === undefined || !optimisesRoutes(config)) return undefined;
  const { correspondent, allow } = routeOptimisation;
  return correspondent === "off" ? undefined : { ...correspondent, allow: correspondent.allow ?? allow };
}
type RouteOptimisation = z.output<typeof routeOptimisation>;
type OwnCorrespondent = Omit<Exclude<RouteOptimisation["correspondent"], "off">, "allow">;

export type MobileNodeConfig = z.output<typeof mobileNodeConfig>;

/** Undefined for one that is lent. */
export const ownAddress = (
  address: MobileNodeConfig["mobileNode"]["ipv4HomeAddress"],
): z.output<typeof ipv4Text> | undefined =>
  address === undefined || address === DYNAMIC || address === "from-prefix" || address === AUTO ? undefined : address;
