/** What several roles have in their configuration: addresses and prefixes as people write them, tunnel profiles, files and sockets. */
import { z } from "zod";
import { isIpv6, parseIp, parseIpv4, parseIpv6, parsePrefix } from "../../controller/base/ip.js";
import { absolutePath, matching, parsed } from "../texts.js";

export const ipv4Text = parsed(parseIpv4, "an IPv4 address like 192.0.2.1 is wanted");
export const ipv6Text = parsed(parseIpv6, "an IPv6 address like 2001:db8::1 is wanted");
export const ipText = parsed(parseIp, "an IPv4 or IPv6 address is wanted");
export const prefixText = parsed(parsePrefix, "a prefix without host bits like 2001:db8::/64 is wanted");
export const ipv6Prefix = prefixText.refine(({ address }) => isIpv6(address), {
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
export const networkText = prefixText.refine(({ length }) => length > 0, {
  error: "a prefix of at least one bit like 2001:db8:100::/56 is wanted",
});
/** In the place of a list: from the home agent's pool. */
export const DYNAMIC = "dynamic";
export const dynamic = z.literal(DYNAMIC);

/** Of one node: an update that names them all has room in a Mobility Header. */
export const MOST_PREFIXES = 64;
export const MOST_LENT = 8;

export const interfaceName = matching(
  /^[^/\s:]{1,15}$/,
  "an interface name (1 to 15 characters, no slash, colon or blank) is wanted",
);

/** Address and prefix length of an interface, as `ip address` has them. */
export const interfaceAddress = parsed((text) => {
  const [, left = "", right = ""] = /^([\d.]+)\/(\d{1,2})$/.exec(text) ?? [];
  const address = parseIpv4(left);
  const length = Number(right);
  return address !== undefined && right !== "" && length > 0 && length <= 32 ? { address, length } : undefined;
}, "an address with its prefix length like 192.0.2.1/24 is wanted");

/** How an agent of Mobile IPv4 advertises itself on one link. */
export const advertising = {
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
  advertisePrefixLength: z
    .boolean()
    .default(false)
    .describe("Prefix-Lengths extension; all agents of a link have it, or none (RFC 5944 §2.3)."),
};
export const routesCommonTraffic = z
  .boolean()
  .default(false)
  .describe("Advertise this machine as a router for others than visitors, too (RFC 5944 §2.1, code 0).");

/** How IPv4 payload may go directly (draft-oulai-mext-dsmip-ro-00 §6.2); their numbers on the wire are 1 to 4. */
export const DIRECT_MODES = ["ipv6-encapsulation", "mapped", "ipv4-encapsulation", "ipv4-udp"] as const;
/** Mobility options that mean something else to us (wire/mip6/registry.ts). */
const OTHER_OPTIONS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 17, 29, 30, 31, 32, 35];
/** Option type of the mode, which has no number of its own. */
export const modeOptionType = z
  .int()
  .min(0)
  .max(255)
  .refine((type) => !OTHER_OPTIONS.includes(type), {
    error: "a number from 0 to 255 that no other mobility option has is wanted, 18 for example",
  })
  .default(18)
  .describe("Mobility option type of the mode, the same at both ends; 18 is the Experimental option (RFC 5096).");

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

/** Of Mobile IPv4: the least MTU at which IPv6 in IPv4 in the tunnel still has its 1280 octets (RFC 8200 §5). */
export const LEAST_MTU_OF_PREFIXES = 1300;

/** How much is written to the log. */
export const log = z
  .strictObject({
    level: z.enum(["fatal", "error", "warn", "info", "debug", "trace"]).default("info"),
  })
  .prefault({});

/** Files and sockets, of each role that has keys. */
export const common = {
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

/** What a home agent answers to the F flag (RFC 5555 §3.1.3). */
export const forceUdp = z.enum(["grant", "refuse", "always"]);
export const ipv4Signalling = z
  .enum(["rfc5555", "soliman2004"])
  .default("rfc5555")
  .describe(
    "How binding updates travel in IPv4 networks: in UDP, through any NAT (RFC 5555), or in protocol 41 with an IPv4-mapped care-of address and the short options of draft-soliman-v4v6-mipv6-00, from public addresses alone. The home agent must say the same of its subscriber.",
  );

/** By which a node may register. */
export const PROTOCOLS = ["mip6", "mip4"] as const;
export type MobilityProtocol = (typeof PROTOCOLS)[number];

/** What an agent of Mobile IPv4 says of the T flag (RFC 3024 §4). */
export const reverseTunnelling = z.enum(["optional", "required", "refused"]);

export type TunnelProfile = z.output<typeof tunnelProfile>;

/** As a subscriber or a mobile router has them. */
export const networks = z.union([z.array(networkText).max(MOST_PREFIXES), dynamic]).default([]);
type Networks = z.output<typeof networks>;
/** Those that are known for ever: none of lent ones. */
export const ownPrefixes = (networks: Networks): Exclude<Networks, typeof DYNAMIC> =>
  networks === DYNAMIC ? [] : networks;
export const areLent = (networks: Networks): boolean => networks === DYNAMIC;
