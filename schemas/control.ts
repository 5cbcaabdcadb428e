/** The documents of the control interface (HTTP on a unix socket, paths under /v1) and of `dsmipctl -o json`. */
import { z } from "zod";
import { DIRECT_MODES, interfaceName, ipText, ipv4Text, ipv6Text, PROTOCOLS } from "./config/common.js";

const counters = z.record(z.string(), z.int().min(0)).describe("Name to count since start.");

export const endpointDocument = z
  .discriminatedUnion("format", [
    z.strictObject({ format: z.literal("ipv6"), address: z.string() }),
    z.strictObject({ format: z.literal("ipv4"), address: z.string() }),
    z.strictObject({ format: z.literal("udp"), address: z.string(), port: z.int() }),
    z.strictObject({ format: z.literal("gre"), address: z.string() }),
  ])
  .describe(
    "Where a node is reached, and the tunnel format: of RFC 5555 §4.1; of Mobile IPv4, protocol 4 (ipv4), RFC 3519 (udp) or GRE.",
  );

const mip4Document = z
  .strictObject({
    careOfAddress: z.string().describe("As the node says: behind a NAT, or of the foreign agent."),
    coLocated: z.boolean().describe("The node decapsulates itself (D flag)."),
    reverseTunnelling: z.boolean(),
    tunnelling: z
      .record(z.string(), z.enum(["home-address", "care-of-address"]))
      .describe("By registered IPv6 prefix: where it is tunnelled to (RFC 5454 §3.3.2)."),
    linkLocalAddress: z.string().nullable(),
  })
  .describe("What Mobile IPv4 has more of.");

export const bindingDocument = z.strictObject({
  protocol: z.enum(PROTOCOLS).describe("By which the node has registered."),
  homeAddress: z.string().describe("IPv6; of a node of Mobile IPv4 that has none, its IPv4 home address."),
  ipv4HomeAddress: z.string().nullable(),
  mobileRouter: z.boolean().describe("Served as a mobile router (R flag, RFC 3963)."),
  prefixes: z
    .array(z.string())
    .describe("Of the networks behind a mobile router that are forwarded to, both families."),
  state: z.string(),
  endpoint: endpointDocument.nullable(),
  acceptedFrom: z
    .array(endpointDocument)
    .describe("Endpoints from which payload is accepted: the present one, former ones during their grace time."),
  sequence: z.int().nullable(),
  lifetimeSeconds: z.number().nullable().describe("Granted."),
  remainingSeconds: z.number().nullable(),
  profile: z.string(),
  revision: z.int().describe("Changes with the data path."),
  mip4: mip4Document.nullable().describe("null: registered by Mobile IPv6, or not registered."),
});

export const bindingsDocument = z.strictObject({ bindings: z.array(bindingDocument) });

export const readiness = z
  .enum(["detached", "registering", "registered", "refused", "returning", "home", "stopping"])
  .describe(
    "Where a mobile node stands with its home agent. registered: accepted from where the node is, and payload goes that way; home: at home.",
  );

export const homePrefixDocument = z.strictObject({
  prefix: z.string(),
  source: z
    .enum(["configuration", "advertisement"])
    .describe("Served or named by the configuration, or only told: by routers of the home link, or by the home agent."),
  preferredSeconds: z.number().nullable().describe("null: for ever, or nothing is known."),
  validSeconds: z.number().nullable(),
});

export const statusDocument = z.strictObject({
  version: z.string(),
  role: z.enum(["home-agent", "mobile-node", "foreign-agent", "correspondent-node"]),
  pid: z.int(),
  uptimeSeconds: z.number(),
  addresses: z
    .array(z.string())
    .describe(
      "The home agent's, the mobile node's home addresses, the foreign agent's, or those that mobile nodes optimise their routes to.",
    ),
  bindings: z.int(),
  visitors: z.int().describe("Mobile nodes that are registered through this foreign agent; 0 in other roles."),
  homePrefixes: z.array(homePrefixDocument).describe("IPv6 prefixes of the home link, and how long they last."),
  readiness: readiness.nullable().describe("null but at a mobile node."),
  pendingOperations: z.int().describe("Kernel operations not answered yet."),
  failedObjects: z.int(),
  counters: z.strictObject({
    received: counters.describe("Mobility messages by type."),
    sent: counters.describe("Mobility messages by type."),
    dropped: counters.describe("Signalling dropped, by reason."),
    kernel: counters.describe("Packets dropped or steered by the nftables table, by counter name."),
    xfrm: counters.describe(
      "Packets that the kernel's IPsec has refused in this network namespace, by its own names (/proc/net/xfrm_stat). Others' packets are among them.",
    ),
    netlink: counters.describe("Transactions and messages."),
    negotiation: counters.describe("Failed negotiations of keys: all, and those that events leave out."),
  }),
  payloadOctetsThroughProcess: z
    .int()
    .min(0)
    .describe(
      "Octets of packets that came to the process, by its signalling port or device, and were no signalling. The kernel should carry them all.",
    ),
});

export const planDocument = z.strictObject({
  homeAddress: z.string(),
  objects: z.array(
    z.strictObject({
      key: z.string(),
      kind: z.string(),
      command: z.string().describe("The ip, nft or sysctl command that would make it."),
      state: z.string(),
    }),
  ),
});

export const differenceDocument = z.strictObject({
  key: z.string(),
  kind: z.string(),
  difference: z.enum(["missing", "different", "unwanted"]),
  wanted: z.string().nullable(),
  found: z.string().nullable(),
});

export const auditDocument = z.strictObject({ checked: z.int(), differences: z.array(differenceDocument) });

export const eventDocument = z.strictObject({
  time: z.iso.datetime(),
  event: z.string().describe("noun.verb"),
  homeAddress: z.string().nullable(),
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});

const ikeDocument = z.strictObject({
  state: z.string().describe("charon's word; ESTABLISHED is the good one."),
  local: z.string().describe("Address and port."),
  remote: z.string(),
  remoteIdentity: z.string(),
  keysAgeSeconds: z.number().describe("Since it was made, or its keys were renewed."),
  rekeyInSeconds: z.number().nullable().describe("null: not planned."),
});

const associationDocument = z.strictObject({
  purpose: z.enum(["signalling", "return-routability", "prefix", "payload"]),
  direction: z.enum(["send", "receive"]),
  spi: z.string().describe("With 0x."),
  mode: z.enum(["transport", "tunnel"]),
  ends: z
    .array(
      z.strictObject({
        source: z.string(),
        destination: z.string(),
        udpPort: z.int().nullable().describe("The destination's, of ESP in UDP (RFC 3948); null: ESP as it is."),
      }),
    )
    .describe("Where it is in use: one for sending, for receiving each of our own. :: and 0.0.0.0 are any sender."),
  parked: z.boolean().describe("Kept for later; nothing is sent or received with it."),
  keysAgeSeconds: z.number().nullable().describe("null: the IKE daemon does not know it, or static keys."),
  rekeyInSeconds: z.number().nullable(),
  packets: z.int().describe("Since its ends changed the last time."),
  octets: z.int(),
  lastUsedSeconds: z.number().nullable().describe("null: never, or the kernel is older than 6.2 and does not say."),
  replayed: z.int().describe("Packets dropped because their number was seen before."),
  integrityFailures: z.int().describe("Packets dropped because they were forged or damaged."),
});

const policyDocument = z.strictObject({
  purpose: z.string().describe("What asks for it; - for what lets packets pass or blocks them."),
  direction: z.enum(["in", "out", "forward"]),
  source: z.string(),
  destination: z.string(),
  messages: z.string().describe("Upper-layer protocol, with the type of message where that counts."),
  mark: z.string().nullable().describe("Only packets with this mark, value/mask."),
  demand: z.enum(["esp", "esp or clear", "clear", "blocked"]),
  priority: z.int().describe("Smaller ones are looked at first."),
});

export const securityDocument = z
  .strictObject({
    method: z.enum(["static-keys", "ikev2"]),
    ikeDaemon: z.enum(["up", "down"]).nullable().describe("Whether it answers; null with static keys."),
    nodes: z.array(
      z.strictObject({
        homeAddress: z.string(),
        ike: ikeDocument.nullable().describe("null without one, and while the IKE daemon is down."),
        policies: z.array(policyDocument),
        associations: z.array(associationDocument),
      }),
    ),
  })
  .describe("IKE SAs, security associations and policies by node; never a key.");

const nodeAddress = ipText.describe("IPv6 or IPv4 home address.");

/** What an operator asks for (POST /v1/commands/NAME); the fields are the query's. */
export const commandRequest = z.discriminatedUnion("command", [
  z.strictObject({
    command: z.literal("remove"),
    node: nodeAddress,
    part: z.enum(["all", "ipv4"]).default("all").describe("The whole binding, or what is of IPv4 in it."),
  }),
  z.strictObject({
    command: z.literal("refresh"),
    node: nodeAddress.optional().describe("Absent: all that are bound; at a mobile node, itself."),
  }),
  z.strictObject({
    command: z.literal("switch"),
    node: nodeAddress.optional().describe("Absent: all that are bound."),
    to: z.array(ipv6Text).max(16).default([]).describe("Home agents, the best first; none: the node finds one itself."),
  }),
  z.strictObject({ command: z.literal("report-loss") }),
  z.strictObject({
    command: z.literal("remove-visitor"),
    homeAddress: ipv4Text.describe("Of the visitor."),
    homeAgent: ipv4Text.optional().describe("Needed where visitors of several home agents have this home address."),
  }),
  z.strictObject({
    command: z.literal("forget-correspondent"),
    correspondent: ipv6Text.optional().describe("Absent: all."),
  }),
  z.strictObject({
    command: z.literal("offer"),
    interface: interfaceName.describe("The link of the visited network."),
    dhcpv6: z
      .string()
      .max(4096)
      .regex(/^([0-9a-fA-F]{2})*$/, { error: "hexadecimal octets are wanted" })
      .default("")
      .describe(
        "Options 50, 69, 70, 72 and 73 of DHCPv6 (RFC 6610) with code and length, or what is in 50, 69 or 70. None: nothing is offered any more.",
      ),
  }),
]);

export const commandDocument = z
  .strictObject({
    command: z.enum(["remove", "refresh", "switch", "report-loss", "offer", "remove-visitor", "forget-correspondent"]),
    nodes: z.int().describe("How many are told, or do it."),
    outcome: z
      .enum(["begun", "acknowledged", "unanswered"])
      .describe(
        "begun: what comes of it is in the events. Of remove, which is over: whether the node has acknowledged that its binding ends.",
      ),
    status: z.int().nullable().describe("Of remove: the status of the acknowledgement (RFC 5846 §5.2)."),
  })
  .describe("What became of a command.");

export const visitorDocument = z
  .strictObject({
    homeAddress: z.string(),
    homeAgent: z.string(),
    careOfAddress: z.string(),
    device: z.string().describe("Link on which it is."),
    linkAddress: z.string().describe("Its link-layer address there."),
    coLocated: z.boolean().describe("It has a care-of address of its own, and decapsulates itself (D flag)."),
    reverseTunnelling: z.boolean(),
    encapsulation: z.string(),
    lifetimeSeconds: z.number().nullable().describe("Granted; null: without an end."),
    remainingSeconds: z.number().nullable(),
  })
  .describe("A mobile node that is registered through a foreign agent.");

export const visitorsDocument = z.strictObject({ visitors: z.array(visitorDocument) });

export const multicastGroupDocument = z.strictObject({
  group: z.string(),
  members: z.array(
    z.strictObject({
      homeAddress: z.string(),
      remainingSeconds: z.int().describe("Until it ends if the node does not report it again."),
    }),
  ),
});

export const multicastDocument = z
  .strictObject({ groups: z.array(multicastGroupDocument) })
  .describe("Multicast groups that nodes have joined through their tunnels.");

export const correspondentDocument = z
  .strictObject({
    end: z
      .enum(["mobile-node", "correspondent-node"])
      .describe("Whose end of the binding this is: of the node that moves, or of the one that it speaks to."),
    homeAddress: z.string(),
    correspondent: z.string(),
    ipv4: z
      .strictObject({ homeAddress: z.string(), correspondent: z.string() })
      .nullable()
      .describe("The IPv4 addresses of the two, where it is about payload between these. null: about IPv6."),
    mode: z
      .enum(DIRECT_MODES)
      .nullable()
      .describe(
        "How IPv4 payload, or payload over IPv4, goes (draft-oulai-mext-dsmip-ro-00 §6.2); null: RFC 6275 alone.",
      ),
    state: z.string().describe("Of a mobile node without a direct path: paused, with the reason."),
    direct: z.boolean().describe("Payload goes directly just now; else by way of the home agent."),
    careOfAddress: z.string().nullable(),
    observed: z
      .string()
      .nullable()
      .describe("Address and port at which the other end is seen, after any NAT, where payload goes in UDP."),
    acceptedFrom: z
      .array(z.string())
      .describe("Care-of addresses, present and former, at which the direct way in is open."),
    sequence: z.int().nullable(),
    lifetimeSeconds: z.number().nullable().describe("Granted."),
    remainingSeconds: z.number().nullable().describe("Of the binding, or of the pause."),
    idleSeconds: z.number().nullable().describe("Since payload was last seen on the direct path."),
    reason: z.string().nullable(),
  })
  .describe("A pair of addresses with route optimisation (RFC 6275 §9, §11).");

export const correspondentsDocument = z.strictObject({ correspondents: z.array(correspondentDocument) });

export const errorDocument = z.strictObject({ error: z.strictObject({ code: z.string(), message: z.string() }) });

export type Readiness = z.output<typeof readiness>;
export type BindingDocument = z.output<typeof bindingDocument>;
export type HomePrefixDocument = z.output<typeof homePrefixDocument>;
export type StatusDocument = z.output<typeof statusDocument>;
export type PlanDocument = z.output<typeof planDocument>;
export type AuditDocument = z.output<typeof auditDocument>;
export type SecurityDocument = z.output<typeof securityDocument>;
export type EventDocument = z.output<typeof eventDocument>;
export type VisitorDocument = z.output<typeof visitorDocument>;
export type VisitorsDocument = z.output<typeof visitorsDocument>;
export type MulticastGroupDocument = z.output<typeof multicastGroupDocument>;
export type MulticastDocument = z.output<typeof multicastDocument>;
export type CorrespondentDocument = z.output<typeof correspondentDocument>;
export type CorrespondentsDocument = z.output<typeof correspondentsDocument>;
export type CommandRequest = z.output<typeof commandRequest>;
export type CommandDocument = z.output<typeof commandDocument>;
