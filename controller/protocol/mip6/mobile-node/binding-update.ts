/** The binding update that a mobile node sends from an attachment, and the way it takes (RFC 6275 §11.7.1, RFC 5555 §4.4.2). */
import { EncodeError } from "../../../base/errors.js";
import type { Seq16 } from "../../../base/seq16.js";
import type { Seconds } from "../../../base/time.js";
import { bindingUpdateFlags, LIFETIME_UNIT_SECONDS } from "../../../wire/mip6/messages/registration.js";
import type { MobilityOption } from "../../../wire/mip6/options/mobility.js";
import { DSMIP6_PORT } from "../../../wire/mip6/registry.js";
import type { Attachment, MobileNodeSite } from "../../movement/attachment.js";
import type { Departure, SendEffect } from "../inputs.js";

export interface UpdateFacts {
  readonly sequence: Seq16;
  /** 0 de-registers. */
  readonly lifetime: Seconds;
  /** Ask for UDP encapsulation; only with an IPv4 care-of address (RFC 5555 §3.1.3). */
  readonly forceUdp: boolean;
  /** Ask for a binding of the IPv4 home address. */
  readonly ipv4: boolean;
}

/** Whole lifetime units, at least one for a lifetime that is not 0. */
export function lifetimeUnits(lifetime: Seconds): number {
  return lifetime === 0 ? 0 : Math.max(1, Math.min(0xffff, Math.floor(lifetime / LIFETIME_UNIT_SECONDS)));
}

export function bindingUpdate(site: MobileNodeSite, from: Attachment, facts: UpdateFacts): SendEffect {
  return {
    kind: "send",
    message: {
      type: "binding-update",
      sequence: facts.sequence,
      flags: bindingUpdateFlags({
        acknowledge: true,
        homeRegistration: true,
        keyManagementMobility: site.negotiatesKeys === true,
        forceUdp: facts.forceUdp,
      }),
      lifetimeUnits: lifetimeUnits(facts.lifetime),
      options: [...careOfOptions(site, from), ...ipv4HomeAddressOption(site, facts)],
    },
    source: site.homeAddress,
    destination: site.homeAgent.ipv6,
    departure: departure(site, from),
  };
}

/**
 * The care-of address inside what ESP protects. From an IPv4 care-of address there is neither a Home Address option nor an Alternate
 * Care-of Address option: the inner source is the home address (C-10).
 */
function careOfOptions(site: MobileNodeSite, from: Attachment): readonly MobilityOption[] {
  if (from.kind === "home") return [{ kind: "alternate-care-of-address", address: site.homeAddress }];
  const { careOf } = from;
  return careOf.family === 6
    ? [{ kind: "alternate-care-of-address", address: careOf.address }]
    : [{ kind: "ipv4-care-of-address", address: careOf.address }];
}

/** In every update that wants a binding (C-07); leaving it out removes the IPv4 binding (RFC 5555 §4.4.2.1). */
function ipv4HomeAddressOption(site: MobileNodeSite, facts: UpdateFacts): readonly MobilityOption[] {
  if (!facts.ipv4 || site.ipv4HomeAddress === undefined || facts.lifetime === 0) return [];
  return [{ kind: "ipv4-home-address", prefixLength: 32, mobileNetworkPrefix: false, address: site.ipv4HomeAddress }];
}

function departure(site: MobileNodeSite, from: Attachment): Departure {
  if (from.kind === "home") return { type: "native-direct", device: from.device };
  if (from.careOf.family === 6) return { type: "native-home-address-option", careOf: from.careOf.address };
  const remoteAddress = site.homeAgent.ipv4;
  if (remoteAddress === undefined) throw new EncodeError("homeAgent.ipv4", "an IPv4 care-of address needs it");
  return { type: "udp", localAddress: from.careOf.address, remoteAddress, remotePort: DSMIP6_PORT };
}
