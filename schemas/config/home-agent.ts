/** Configuration of a home agent, of Mobile IPv6, Mobile IPv4 or both, and of its subscribers. */
import { z } from "zod";
import { homeAgentSecurity, subscriberIdentity } from "../security.js";
import {
  advertising,
  common,
  forceUdp,
  interfaceAddress,
  interfaceName,
  ipv4Signalling,
  ipv4Text,
  ipv6Text,
  MOST_PREFIXES,
  type MobilityProtocol,
  naiText,
  networks,
  networkText,
  PROTOCOLS,
  prefixText,
  reverseTunnelling,
  routesCommonTraffic,
  tunnelProfile,
} from "./common.js";

/** Of a subscriber: what Mobile IPv4 alone asks of it. */
const subscriberOfMip4 = {
  nai: naiText
    .optional()
    .describe("Mobile IPv4: by which the node may ask for its home address with 0.0.0.0 (RFC 2794)."),
  linkLocal: z
    .boolean()
    .default(false)
    .describe(
      "Mobile IPv4: the node may register a link-local address, to speak DHCPv6 through its tunnel (RFC 5454 §3.7.1).",
    ),
  reverseTunnelling: reverseTunnelling
    .optional()
    .describe("Mobile IPv4, of this node alone. Default: homeAgent.mip4.reverseTunnelling."),
};

export const subscriber = z.strictObject({
  protocols: z
    .array(z.enum(PROTOCOLS))
    .min(1)
    .default(["mip6"])
    .describe(
      "By which the node may register: Mobile IPv6 (RFC 5555), Mobile IPv4 (RFC 5944, RFC 5454), or either, one at a time.",
    ),
  homeAddress: ipv6Text.optional().describe("IPv6 home address; needed but for nodes of Mobile IPv4 alone."),
  ipv4HomeAddress: ipv4Text
    .optional()
    .describe("IPv4 home address that belongs to this node (RFC 5555 §4.5); mip4 needs it, or nai and a pool."),
  profile: z.string().default("default").describe("Name of a tunnel profile."),
  forceUdp: forceUdp.optional().describe("Of this node alone. Default: homeAgent.forceUdp."),
  ipv4Signalling,
  prefixes: networks.describe(
    "Prefixes of both families of the networks behind a mobile router (RFC 3963); nobody else's, and outside the home prefixes. With any the node may set R. dynamic: lent out of homeAgent.prefixPool.",
  ),
  mobileRouter: z
    .enum(["either", "explicit", "implicit", "no"])
    .default("either")
    .describe(
      "How the node may register its prefixes: by naming them in each update (explicit), by R alone (implicit), or not at all: then it is served as a host, as are nodes without prefixes.",
    ),
  ...subscriberOfMip4,
  ...subscriberIdentity,
});

const homeAgentMip4 = z
  .strictObject({
    maxLifetimeSeconds: z
      .int()
      .min(1)
      .max(65534)
      .default(1800)
      .describe("Longest registration lifetime granted (RFC 5944 §3.8.2.2)."),
    replayToleranceSeconds: z
      .int()
      .min(1)
      .max(3600)
      .default(7)
      .describe("How far the clock of a node may be from ours, in either direction (RFC 5944 §5.7.1)."),
    reverseTunnelling: reverseTunnelling
      .default("optional")
      .describe(
        "The T flag: required refuses requests without it (138), refused those with it (137) (RFC 3024 §4.3.1).",
      ),
    natTraversal: z
      .boolean()
      .default(true)
      .describe(
        "Tunnels in UDP for nodes behind a NAT that ask for them; false refuses them with code 129 (RFC 3519 §4.6).",
      ),
    udp: z
      .enum(["grant", "refuse", "always"])
      .default("grant")
      .describe(
        "Answer to forced UDP tunnelling (F flag) of nodes behind no NAT: UDP, or code 129; always: UDP for each that can, without being asked (RFC 3519 §4.7).",
      ),
    keepaliveSeconds: z
      .int()
      .min(0)
      .max(65535)
      .default(110)
      .describe("Silence after which a node in UDP says something, told to it (RFC 3519 §4.9); 0: as it likes."),
    gre: z.boolean().default(true).describe("Tunnels in GRE for nodes that ask for them; false refuses them (139)."),
    tunnellingMode: z
      .enum(["requested", "home-address"])
      .default("requested")
      .describe(
        "Where IPv6 of a node with a co-located care-of address is tunnelled to: as it asks, or always to its IPv4 home address (RFC 5454 §3.3.2).",
      ),
    strictReservedBits: z
      .boolean()
      .default(false)
      .describe(
        "Refuse requests whose reserved bit is set with code 134 (RFC 5944 §3.8.2.3), in the place of ignoring it.",
      ),
    foreignAgents: z
      .array(ipv4Text)
      .default([])
      .describe(
        "Addresses of foreign agents that prove themselves: requests from there need Foreign-Home authentication, with a foreign-home association in the key file (RFC 5944 §3.8.2.1).",
      ),
    advertisements: z
      .strictObject({
        address: interfaceAddress
          .optional()
          .describe(
            "IPv4 address of this machine on the home link, with the link's prefix length. Default: homeAgent.addresses with the home prefix that it lies in.",
          ),
        ...advertising,
        routesCommonTraffic,
      })
      .optional()
      .describe(
        "Agent advertisements on homeLink.interface, by which nodes know that they are at home (RFC 5944 §2.3). Absent: none.",
      ),
  })
  .describe("Mobile IPv4 beside Mobile IPv6, or alone. Absent: none.");

const discovery = z
  .strictObject({
    addressDiscovery: z
      .boolean()
      .default(true)
      .describe(
        "Answer home agent address discovery requests to the anycast address of each IPv6 home prefix (RFC 6275 §10.5).",
      ),
    preference: z
      .int()
      .min(0)
      .max(65535)
      .default(0)
      .describe("Among the home agents of the home link; higher is better (RFC 6275 §7.4)."),
    lifetimeSeconds: z
      .int()
      .min(1)
      .max(65535)
      .default(1800)
      .describe("How long others count with this home agent after an advertisement of it (dsmipd radvd)."),
    mobileRouters: z
      .boolean()
      .optional()
      .describe(
        "Tell that mobile routers are served here (R, RFC 3963 §7). Absent: when a subscriber may register prefixes.",
      ),
  })
  .prefault({})
  .describe("How mobile nodes find this home agent and the others of the home link.");

const lentLengths = (family: string, longest: number, usual: readonly number[]) =>
  z
    .array(z.int().min(1).max(longest))
    .min(1)
    .default([...usual])
    .describe(
      `Lengths of the ${family} prefixes that are lent, in bits. Who wants another one gets the next shorter one here, or the shortest. Each costs a look-up for each packet of a mobile network.`,
    );

const prefixPool = z.strictObject({
  prefixes: z
    .array(networkText)
    .min(1)
    .describe("Of both families, out of which shorter or longer ones are lent as nodes want them."),
  ipv4Lengths: lentLengths("IPv4", 30, [24, 25, 26, 27, 28, 29, 30]),
  ipv6Lengths: lentLengths("IPv6", 64, [56, 60, 64]),
  mostPerNode: z
    .int()
    .min(1)
    .max(MOST_PREFIXES)
    .default(4)
    .describe("Prefixes of both families that one node may have."),
  leaseSeconds: z
    .int()
    .min(4)
    .max(262140)
    .default(3600)
    .describe("A binding with a lent prefix lasts at most this long at a time."),
});

const multicast = z
  .strictObject({
    queryIntervalSeconds: z
      .int()
      .min(2)
      .max(3600)
      .default(125)
      .describe("Between queries to each node for its groups (RFC 3810 §9.2)."),
    robustness: z
      .int()
      .min(1)
      .max(7)
      .default(2)
      .describe("So many queries in a row may be lost before a membership ends (RFC 3810 §9.1)."),
    mostMembersPerGroup: z.int().min(1).max(1024).default(64).describe("Each packet of the group is copied so often."),
    mostGroupsPerNode: z.int().min(1).max(256).default(16),
    mostGroups: z.int().min(1).max(4096).default(256).describe("Of all nodes together."),
    localScopes: z
      .boolean()
      .default(false)
      .describe(
        "Groups of scopes between link-local and global (ff05::, ff08::, 239.255.0.0/16, 239.192.0.0/14) are sent to nodes that are away, too (RFC 6275 §10.4.2).",
      ),
  })
  .describe("Multicast of the home link for nodes that are away and have joined its groups through their tunnels.");

export const homeAgentConfig = z.strictObject({
  role: z.literal("home-agent"),
  ...common,
  security: homeAgentSecurity.prefault({ method: "static-keys" }),
  homeAgent: z.strictObject({
    addresses: z.strictObject({
      ipv6: ipv6Text
        .optional()
        .describe("Home agent address; nodes send their binding updates here. Needed but for Mobile IPv4 alone."),
      ipv4: ipv4Text
        .optional()
        .describe("Home agent IPv4 address, for nodes with an IPv4 care-of address; Mobile IPv4 needs it."),
      ipv4Local: ipv4Text
        .optional()
        .describe(
          "Behind a static NAT (RFC 5555 §1.3): the IPv4 address on this machine that the NAT maps addresses.ipv4 to; that one is on no interface here.",
        ),
    }),
    homeLink: z.strictObject({
      interface: interfaceName
        .optional()
        .describe("Link of the home network. Absent: a virtual home link, nothing to defend or detect there."),
      prefixes: z.array(prefixText).min(1).describe("Home prefixes of both families."),
    }),
    mtu: z.int().min(1280).max(65000).default(1400).describe("MTU of the shared tunnel devices in octets."),
    maxLifetimeSeconds: z.int().min(4).max(262140).default(3600).describe("Longest binding lifetime granted."),
    natRefreshSeconds: z
      .int()
      .min(1)
      .max(86400)
      .default(110)
      .describe("Refresh time told to nodes behind a NAT (RFC 5555 §3.2.2)."),
    ipv4Pool: z
      .strictObject({
        prefixes: z
          .array(prefixText)
          .min(1)
          .describe("IPv4 prefixes out of which addresses are lent; within the home prefixes."),
        leaseSeconds: z
          .int()
          .min(4)
          .max(262140)
          .default(3600)
          .describe("A binding with a lent address lasts at most this long at a time."),
      })
      .optional()
      .describe(
        "IPv4 home addresses for nodes that ask for one with 0.0.0.0 (RFC 5555 §2.5). Absent: they get status 132.",
      ),
    prefixPool: prefixPool
      .optional()
      .describe("Prefixes for subscribers that have `prefixes: dynamic` (RFC 5555 §4.5). Outside the home prefixes."),
    refreshAdviceSeconds: z
      .int()
      .min(4)
      .max(262140)
      .optional()
      .describe("When nodes are asked to refresh, if that is before their lifetime ends (RFC 6275 §6.2.4)."),
    refreshRequests: z
      .boolean()
      .default(true)
      .describe(
        "Whether a node that has not refreshed its binding by nine tenths of the lifetime is asked to (RFC 6275 §6.1.2).",
      ),
    tellHomeAddresses: z
      .boolean()
      .optional()
      .describe(
        "With ikev2: tell a node that asks for them the home addresses of its subscriber (RFC 5026 §5.3.1; homeAddress: auto at the node). It doubles the IKE daemon's connections. Absent: with up to 1000 subscribers.",
      ),
    journalFailure: z
      .enum(["refuse", "silent"])
      .default("refuse")
      .describe(
        "Answer to binding updates while the state directory can't be written: status 130 (insufficient resources), or none. Never a success.",
      ),
    udpOverIpv6: z
      .boolean()
      .default(false)
      .describe(
        "Serve nodes over UDP in IPv6 as well, whom nothing else reaches from where they are (RFC 5555 §4.1, §4.4.1); UDP port 4191 of addresses.ipv6. Not with protection esp.",
      ),
    forceUdp: forceUdp
      .default("grant")
      .describe(
        "Answer to the F flag over IPv4: UDP, or status 144; always: UDP without being asked, for a home agent that only UDP 4191 gets through to.",
      ),
    discovery,
    mip4: homeAgentMip4.optional(),
    multicast: multicast
      .optional()
      .describe("Absent: none, and reports of nodes are ignored. Not for payload in ESP or in UDP over IPv6."),
    duplicateAddressDetection: z
      .boolean()
      .default(true)
      .describe("On the home link before a first registration (RFC 6275 §10.3.1)."),
    previousCareOfGraceSeconds: z
      .number()
      .min(0)
      .max(60)
      .default(3)
      .describe("How long payload from the former care-of address is accepted after a move."),
  }),
  tunnelProfiles: z.record(z.string(), tunnelProfile).default({}),
  subscribers: z.array(subscriber).default([]),
});

export const mayUse = (
  { protocols }: Pick<z.output<typeof subscriber>, "protocols">,
  protocol: MobilityProtocol,
): boolean => protocols.includes(protocol);

/** Undefined for one that serves Mobile IPv4 alone. */
export function mip6Of(config: HomeAgentConfig): Mip6HomeAgentConfig | undefined {
  const { homeAgent } = config;
  const { ipv6 } = homeAgent.addresses;
  if (ipv6 === undefined) return undefined;
  const subscribers = config.subscribers.filter(
    (one): one is Mip6Subscriber => mayUse(one, "mip6") && one.homeAddress !== undefined,
  );
  const mip4Subscribers = config.subscribers.filter((one) => mayUse(one, "mip4"));
  return {
    ...config,
    homeAgent: { ...homeAgent, addresses: { ...homeAgent.addresses, ipv6 } },
    subscribers,
    mip4Subscribers,
  };
}

export type HomeAgentConfig = z.output<typeof homeAgentConfig>;
/** Of a node that may register by Mobile IPv6. */
export type Mip6Subscriber = Subscriber & { readonly homeAddress: z.output<typeof ipv6Text> };
/** A home agent of Mobile IPv6, with the subscribers that may register by it. */
export type Mip6HomeAgentConfig = Omit<HomeAgentConfig, "homeAgent" | "subscribers"> & {
  readonly homeAgent: HomeAgentConfig["homeAgent"] & {
    readonly addresses: HomeAgentConfig["homeAgent"]["addresses"] & { readonly ipv6: z.output<typeof ipv6Text> };
  };
  readonly subscribers: readonly Mip6Subscriber[];
  /** Those that may register by Mobile IPv4: both share the kernel's firewall. */
  readonly mip4Subscribers: readonly Subscriber[];
};
export type HomeAgentMip4 = z.output<typeof homeAgentMip4>;
export type Subscriber = z.output<typeof subscriber>;
export type PrefixPoolConfig = z.output<typeof prefixPool>;
