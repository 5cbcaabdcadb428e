/** The registration requests of a mobile node: fields, extensions and their order, and how each is sent (RFC 5944 §3.6.1). */
import { IPV4_ANY, type Ipv4Address, type Ipv6Address, type Prefix } from "../../../base/ip.js";
import type { RegistrationExtension } from "../../../wire/mip4/extensions/registration.js";
import { type Identification, requestFlags } from "../../../wire/mip4/messages/registration.js";
import { LINK_LOCAL_PREFIX_LENGTH } from "../../../wire/mip4/registry.js";
import type { Encapsulation } from "../inputs.js";
import type { Attachment, ForeignAgent, RequestEffect } from "./inputs.js";
import { foreignSpi, type MobileNodeSite } from "./site.js";

const TTL = 64;
/** Towards a foreign agent, which sees by it that the node is on its link (RFC 3024 §3.2). */
const TTL_TO_AGENT = 255;
const NOT_MADE = new Uint8Array(0);

/** What is asked for now; it changes with what was learnt from refusals. */
export interface Wanted {
  readonly homeAddress: Ipv4Address | undefined;
  readonly homeAgent: Ipv4Address;
  readonly lifetimeSeconds: number;
  readonly encapsulation: Encapsulation;
  readonly reverseTunnelling: boolean;
  readonly prefixes: readonly Prefix[];
  readonly linkLocalAddress: Ipv6Address | undefined;
}

export function registration(
  site: MobileNodeSite,
  wanted: Wanted,
  attachment: Exclude<Attachment, { readonly kind: "home" }>,
  identification: Identification,
): RequestEffect {
  const coLocated = attachment.kind === "co-located";
  const agent = coLocated ? attachment.through : attachment.agent;
  const home = wanted.homeAddress ?? IPV4_ANY;
  const careOfAddress = coLocated ? attachment.address : attachment.careOfAddress;
  const mayHave = <T>(what: T, of: (agent: ForeignAgent) => boolean): T | false =>
    coLocated || (agent !== undefined && of(agent)) ? what : false;
  return {
    kind: "request",
    request: {
      type: "registration-request",
      flags: requestFlags({
        decapsulatesItself: coLocated,
        gre: mayHave(wanted.encapsulation === "gre", ({ gre }) => gre),
        reverseTunnelling: mayHave(wanted.reverseTunnelling, ({ reverseTunnelling }) => reverseTunnelling),
      }),
      lifetimeSeconds: Math.min(wanted.lifetimeSeconds, agent?.registrationLifetimeSeconds ?? Infinity),
      homeAddress: home,
      homeAgent: wanted.homeAgent,
      careOfAddress,
      identification,
      extensions: [
        ...identity(site),
        ...ipv6(site, wanted, coLocated),
        ...udp(site, coLocated, agent !== undefined),
        { kind: "mobile-home-authentication", spi: site.spi, authenticator: NOT_MADE },
        ...mobileForeign(site, agent),
      ],
    },
    source: coLocated ? careOfAddress : home,
    destination: agent?.address ?? wanted.homeAgent,
    ttl: agent === undefined ? TTL : TTL_TO_AGENT,
    device: attachment.device,
  };
}

/** Of all care-of addresses (RFC 5944 §3.6.1.2): from home, or from where the node is. */
export function deregistration(
  site: MobileNodeSite,
  homeAddress: Ipv4Address,
  homeAgent: Ipv4Address,
  attachment: Attachment,
  identification: Identification,
): RequestEffect {
  const agent = attachment.kind === "foreign-agent" ? attachment.agent : undefined;
  return {
    kind: "request",
    request: {
      type: "registration-request",
      flags: requestFlags({ decapsulatesItself: attachment.kind === "co-located" }),
      lifetimeSeconds: 0,
      homeAddress,
      homeAgent,
      careOfAddress: homeAddress,
      identification,
      extensions: [
        ...identity(site),
        { kind: "mobile-home-authentication", spi: site.spi, authenticator: NOT_MADE },
        ...mobileForeign(site, agent),
      ],
    },
    source: attachment.kind === "co-located" ? attachment.address : homeAddress,
    destination: agent?.address ?? homeAgent,
    ttl: agent === undefined ? TTL : TTL_TO_AGENT,
    device: attachment.device,
  };
}

const identity = ({ identifier }: MobileNodeSite): readonly RegistrationExtension[] =>
  identifier === undefined
    ? []
    : [{ kind: "network-access-identifier", identifier: new TextEncoder().encode(identifier) }];

/**
 * The last of all, over everything in front of it (RFC 5944 §3.6.1.3), and so over the agent's challenge. Without a key no challenge is
 * answered: what nothing covers an agent has to discard in silence, where it refuses a request without one (code 105, RFC 4721 §3.2).
 */
function mobileForeign(site: MobileNodeSite, agent: ForeignAgent | undefined): readonly RegistrationExtension[] {
  const spi = foreignSpi(site, agent?.address);
  if (spi === undefined) return [];
  const challenge = agent?.challenge;
  return [
    ...(challenge === undefined ? [] : [{ kind: "mobile-foreign-challenge", challenge } as const]),
    { kind: "mobile-foreign-authentication", spi, authenticator: NOT_MADE },
  ];
}

/** With a foreign agent's care-of address there is no tunnelling mode to be chosen (V4-4.5-12). */
function ipv6(
  { tunnelToCareOf }: MobileNodeSite,
  { prefixes, linkLocalAddress }: Wanted,
  coLocated: boolean,
): readonly RegistrationExtension[] {
  const requests = prefixes.map(
    ({ address, length }) =>
      ({ kind: "ipv6-prefix-request", prefixLength: length, prefix: address as Ipv6Address }) as const,
  );
  const linkLocal =
    linkLocalAddress === undefined
      ? []
      : [{ kind: "ipv6-prefix-request", prefixLength: LINK_LOCAL_PREFIX_LENGTH, prefix: linkLocalAddress } as const];
  const asks = requests.length + linkLocal.length > 0;
  const mode = asks && coLocated && tunnelToCareOf ? [{ kind: "ipv6-tunnelling-mode" } as const] : [];
  return [...requests, ...linkLocal, ...mode];
}

/** Only of a node that decapsulates itself; the encapsulation is that of the flags (V4-4.9-03). */
function udp(site: MobileNodeSite, coLocated: boolean, throughForeignAgent: boolean): readonly RegistrationExtension[] {
  const { ask, forced } = site.udpTunnelling;
  return coLocated && (ask || forced)
    ? [{ kind: "udp-tunnel-request", forced, throughForeignAgent, encapsulation: 0 }]
    : [];
}
