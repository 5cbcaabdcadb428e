/**
 * The configuration file (YAML). Every key a person may write stands here with its meaning, unit and default; JSON Schema is
 * generated from it (schemas/config.schema.json). Cross-checks that need more than one key stand in controller/config/config.ts.
 */
import { z } from "zod";
import {
  IPV4_ANY,
  IPV6_ANY,
  isIpv4,
  isIpv6,
  parseIp,
  parseIpv4,
  parseIpv6,
  parsePrefix,
} from "../controller/base/ip.js";
import { homeAgentSecurity, ikeIdentity, mobileNodeSecurity, subscriberIdentity } from "./security.js";
import { absolutePath, matching, parsed } from "./texts.js";

export const ipv4Text = parsed(parseIpv4, "an IPv4 address like 192.0.2.1 is wanted");
export const ipv6Text = parsed(parseIpv6, "an IPv6 address like 2001:db8::1 is wanted");
export const ipText = parsed(parseIp, "an IPv4 or IPv6 address is wanted");
export const prefixText = parsed(parsePrefix, "a prefix without host bits like 2001:db8::/64 is wanted");
const ipv6Prefix = prefixText.refine(({ address }) => isIpv6(address), {
  error: "an IPv6 prefix like 2001:db8:1::/64 is wanted",
});

/** NAI (RFC 2794, RFC 7542 §2.2): at most what its extension has room for. */
export const naiText = matching(
  /^(?![\d.:]+$)[^\s@]*(@[^\s@]+)?$/,
  "a network access identifier like alice@example.com is wanted",
)
  .min(1)
  .max(255);
/** By what a node of Mobile IPv4 is known. */
export const nodeOfMip4 = z.union([ipv4Text, naiText]);

/** Of the networks behind a mobile router. */
const networkText = prefixText.refine(({ length }) => length > 0, {
  error: "a prefix of at least one bit like 2001:db8:100::/56 is wanted",
});
/** In the place of a list: from the home agent's pool. */
const DYNAMIC = "dynamic";
const dynamic = z.literal(DYNAMIC);

/** Of one node: an update that names them all has room in a Mobility Header. */
const MOST_PREFIXES = 64;
const MOST_LENT = 8;

export const interfaceName = matching(
  /^[^/\s:]{1,15}$/,
  "an interface name (1 to 15 characters, no slash, colon or blank) is wanted",
);

/** How payload is treated in the tunnel; chosen per subscriber by name. */
export const tunnelProfile = z
  .strictObject({
    dscp: z
      .union([z.literal("copy"), z.int().min(0).max(63)])
      .default("copy")
      .describe(
        "Outer DSCP: 'copy' takes the inner one, a number is fixed (RFC 2983 uniform or pipe model). ECN is always full functionality (RFC 6040).",
      ),
    ttl: z.int().min(1).max(255).default(64).describe("Outer TTL or hop limit."),
    mtu: z
      .int()
      .min(1280)
      .max(65000)
      .optional()
      .describe(
        "Largest inner packet in octets. Default: what the shared devices have (mtu of homeAgent or foreignAgent).",
      ),
    protection: z
      .enum(["none", "esp"])
      .default("none")
      .describe("Payload between node and home agent: as it is, or in ESP tunnel mode (RFC 5555 §5.2.2). Needs ikev2."),
    decapsulateDscp: z
      .boolean()
      .default(false)
      .describe("What comes out of the tunnel gets the outer DSCP (RFC 2983 §4.2). Needs protection esp."),
  })
  .describe("Tunnel profile");

const log = z
  .strictObject({
    level: z.enum(["fatal", "error", "warn", "info", "debug", "trace"]).default("info"),
  })
  .prefault({});

const common = {
  controlSocket: absolutePath
    .default("/run/dsmipd/control.sock")
    .describe("Unix socket of the control interface; mode 0660."),
  stateDirectory: absolutePath
    .default("/var/lib/dsmipd")
    .describe("Journal of accepted bindings, so that a restart forgets nothing."),
  keyFile: z
    .string()
    .optional()
    .describe(
      "Static ESP keys and the keys of Mobile IPv4 (YAML, see schemas/keys.ts); mode 0600. Relative paths start at the configuration file. Needed for Mobile IPv4, and unless security.method is ikev2.",
    ),
  log,
};

const forceUdp = z.enum(["grant", "refuse", "always"]);
const ipv4Signalling = z
  .enum(["rfc5555", "soliman2004"])
  .default("rfc5555")
  .describe(
    "How binding updates travel in IPv4 networks: in UDP, through any NAT (RFC 5555), or in protocol 41 with an IPv4-mapped care-of address and the short options of draft-soliman-v4v6-mipv6-00, from public addresses alone. The home agent must say the same of its subscriber.",
  );

export const PROTOCOLS = ["mip6", "mip4"] as const;
export type MobilityProtocol = (typeof PROTOCOLS)[number];

const reverseTunnelling = z.enum(["optional", "required", "refused"]);

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
  prefixes: z
    .union([z.array(networkText).max(MOST_PREFIXES), dynamic])
    .default([])
    .describe(
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

/** The least MTU at which IPv6 in IPv4 in the tunnel still has its 1280 octets (RFC 8200 §5). */
export const LEAST_MTU_OF_PREFIXES = 1300;

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

const protocol = "Mobile IPv6 (RFC 5555) or Mobile IPv4 (RFC 5944, RFC 5454). Absent: mip6.";
const lifetimeOfPayload = "How long payload through the former care-of address is accepted after a move.";

/** Besides the first one. */
const MOST_FURTHER_HOMES = 7;
const furtherHome = z.strictObject({
  homeAddress: ipv6Text.describe("IPv6 home address, of another subscriber of the same home agent."),
  ipv4HomeAddress: ipv4Text.optional().describe("IPv4 home address of that subscriber."),
  identity: ikeIdentity
    .optional()
    .describe("That subscriber's IKE identity; needed with ikev2, with a credential of its own."),
});

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
    prefixes: z
      .union([z.array(networkText).max(MOST_PREFIXES), dynamic])
      .default([])
      .describe(
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

/** Address and prefix length of an interface, as `ip address` has them. */
const interfaceAddress = parsed((text) => {
  const [, left = "", right = ""] = /^([\d.]+)\/(\d{1,2})$/.exec(text) ?? [];
  const address = parseIpv4(left);
  const length = Number(right);
  return address !== undefined && right !== "" && length > 0 && length <= 32 ? { address, length } : undefined;
}, "an address with its prefix length like 192.0.2.1/24 is wanted");

const visitedLink = z.strictObject({
  interface: interfaceName.describe("Link on which visitors are served."),
  address: interfaceAddress.describe("IPv4 address of this machine there, with the link's prefix length."),
  advertisementIntervalSeconds: z
    .int()
    .min(0)
    .max(1800)
    .default(10)
    .describe("Between two agent advertisements to all, on average (RFC 5944 §2.3). 0: only when a node asks."),
  advertisementLifetimeSeconds: z
    .int()
    .min(1)
    .max(9000)
    .optional()
    .describe("How long an advertisement holds (RFC 1256 §3). Absent: three intervals."),
  registrationRequired: z
    .boolean()
    .default(false)
    .describe("R: nodes with an address of their own here have to register through us, too (RFC 5944 §2.1.1)."),
  advertisePrefixLength: z
    .boolean()
    .default(false)
    .describe("Prefix-Lengths extension; all agents of a link have it, or none (RFC 5944 §2.3)."),
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
    routesCommonTraffic: z
      .boolean()
      .default(false)
      .describe("Advertise this machine as a router for others than visitors, too (RFC 5944 §2.1, code 0)."),
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

const correspondentNode = z.strictObject({
  addresses: z
    .array(ipv6Text)
    .min(1)
    .describe("IPv6 addresses of this machine that mobile nodes may optimise their routes to."),
  allow: z
    .array(ipv6Prefix)
    .default([])
    .describe("Prefixes of home addresses that may do so; ::/0 for all. None: nobody may."),
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
});

export const correspondentNodeConfig = z.strictObject({
  role: z.literal("correspondent-node"),
  controlSocket: common.controlSocket,
  stateDirectory: common.stateDirectory,
  log,
  correspondentNode,
});

export const configFile = z.discriminatedUnion("role", [
  homeAgentConfig,
  foreignAgentConfig,
  correspondentNodeConfig,
  z.discriminatedUnion("protocol", [mobileNodeConfig, mip4NodeConfig]),
]);

export type TunnelProfile = z.output<typeof tunnelProfile>;
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
/** Whether payload of the node may leave the way of the home agent. */
export function optimisesRoutes({
  mobileNode,
  tunnelProfile,
}: Pick<MobileNodeConfig, "mobileNode" | "tunnelProfile">): boolean {
  const { protection, routeOptimisation = protection === "esp" ? "off" : "on" } = tunnelProfile;
  return mobileNode.routeOptimisation !== undefined && routeOptimisation !== "off";
}

export type MobileNodeConfig = z.output<typeof mobileNodeConfig>;
export type ForeignAgentConfig = z.output<typeof foreignAgentConfig>;
export type CorrespondentNodeConfig = z.output<typeof correspondentNodeConfig>;
export type Mip4NodeConfig = z.output<typeof mip4NodeConfig>;
export type Config = z.output<typeof configFile>;
export type Subscriber = z.output<typeof subscriber>;

export type PrefixPoolConfig = z.output<typeof prefixPool>;

/** Undefined for one that is lent. */
export const ownAddress = (
  address: MobileNodeConfig["mobileNode"]["ipv4HomeAddress"],
): z.output<typeof ipv4Text> | undefined =>
  address === undefined || address === DYNAMIC || address === "from-prefix" || address === AUTO ? undefined : address;

type Networks = Subscriber["prefixes"];
/** Those that are known for ever: none of lent ones. */
export const ownPrefixes = (networks: Networks): Exclude<Networks, typeof DYNAMIC> =>
  networks === DYNAMIC ? [] : networks;
export const areLent = (networks: Networks): boolean => networks === DYNAMIC;
