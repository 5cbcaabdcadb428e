/** What tshark should read in a registration message or an agent advertisement, by its own field names. */
import { toHex } from "../../controller/base/bytes.js";
import type { RegistrationExtension } from "../../controller/wire/mip4/extensions/registration.js";
import type {
  MobilityAgentAdvertisement,
  RouterAdvertisement,
} from "../../controller/wire/mip4/messages/agent-discovery.js";
import type { ControlMessage } from "../../controller/wire/mip4/messages/control-message.js";

type Fields = Record<string, string[]>;
const bit = (value: boolean): string => (value ? "1" : "0");

/** tshark 4.0 reads these extensions; of the others it shows type and length. */
function extensionFields(extension: RegistrationExtension): Record<string, string> {
  switch (extension.kind) {
    case "mobile-home-authentication":
    case "mobile-foreign-authentication":
    case "foreign-home-authentication":
      return {
        "mip.auth.spi": `0x${extension.spi.toString(16).padStart(8, "0")}`,
        "mip.auth.auth": toHex(extension.authenticator),
      };
    case "mobile-aaa-authentication":
      return {
        "mip.ext.auth.subtype": "1",
        "mip.auth.spi": `0x${extension.spi.toString(16).padStart(8, "0")}`,
        "mip.auth.auth": toHex(extension.authenticator),
      };
    case "network-access-identifier":
      return { "mip.nai": Buffer.from(extension.identifier).toString("utf8") };
    case "udp-tunnel-request":
      return {
        "mip.ext.utrq.f": bit(extension.forced),
        "mip.ext.utrq.r": bit(extension.throughForeignAgent),
        "mip.ext.utrq.encaptype": `${extension.encapsulation}`,
        "mip.ext.utrq.reserved3": "0x0000",
      };
    case "udp-tunnel-reply":
      return {
        "mip.ext.utrp.code": `${extension.code}`,
        "mip.ext.utrp.f": bit(extension.forced),
        "mip.ext.utrp.keepalive": `${extension.keepaliveSeconds}`,
      };
    default:
      return {};
  }
}

function fixedFields(message: ControlMessage): Record<string, string> {
  switch (message.type) {
    case "registration-request": {
      const { flags } = message;
      return {
        "mip.type": "1",
        "mip.s": bit(flags.simultaneousBindings),
        "mip.b": bit(flags.broadcast),
        "mip.d": bit(flags.decapsulatesItself),
        "mip.m": bit(flags.minimalEncapsulation),
        "mip.g": bit(flags.gre),
        "mip.v": bit(flags.reservedFormerlyCompression),
        "mip.t": bit(flags.reverseTunnelling),
        "mip.x": bit(flags.reserved),
        "mip.life": `${message.lifetimeSeconds}`,
        "mip.homeaddr": message.homeAddress,
        "mip.haaddr": message.homeAgent,
        "mip.coa": message.careOfAddress,
      };
    }
    case "registration-reply":
      return {
        "mip.type": "3",
        "mip.code": `${message.code}`,
        "mip.life": `${message.lifetimeSeconds}`,
        "mip.homeaddr": message.homeAddress,
        "mip.haaddr": message.homeAgent,
      };
    case "tunnel-data":
      return { "mip.type": "4", "mip.nattt.nexthdr": `${message.nextHeader}` };
    case "unknown":
      return { "mip.type": `${message.messageType}` };
  }
}

/** Values by tshark field name for a message to or from port 434. */
export function mip4Fields(message: ControlMessage): Fields {
  const fields: Fields = {};
  for (const [field, value] of Object.entries(fixedFields(message))) fields[field] = [value];
  if (!("extensions" in message)) return fields;
  for (const extension of message.extensions) {
    for (const [field, value] of Object.entries(extensionFields(extension))) {
      fields[field] = [...(fields[field] ?? []), value];
    }
  }
  return fields;
}

function agentFields({
  sequence,
  registrationLifetimeSeconds,
  flags,
  careOfAddresses,
}: MobilityAgentAdvertisement): Fields {
  return {
    "icmp.mip.seq": [`${sequence}`],
    "icmp.mip.life": [`${registrationLifetimeSeconds}`],
    "icmp.mip.r": [bit(flags.registrationRequired)],
    "icmp.mip.b": [bit(flags.busy)],
    "icmp.mip.h": [bit(flags.homeAgent)],
    "icmp.mip.f": [bit(flags.foreignAgent)],
    "icmp.mip.m": [bit(flags.minimalEncapsulation)],
    "icmp.mip.g": [bit(flags.gre)],
    "icmp.mip.rt": [bit(flags.reverseTunnelling)],
    "icmp.mip.u": [bit(flags.udpTunnelling)],
    "icmp.mip.x": [bit(flags.registrationRevocation)],
    "icmp.mip.coa": [...careOfAddresses],
  };
}

/** Values by tshark field name for a router advertisement. */
export function agentAdvertisementFields(message: RouterAdvertisement): Fields {
  const fields: Fields = {
    "icmp.type": ["9"],
    "icmp.code": [`${message.code}`],
    "icmp.checksum.status": ["1"],
    "icmp.num_addrs": [`${message.routers.length}`],
    "icmp.lifetime": [`${message.lifetimeSeconds}`],
  };
  for (const extension of message.extensions) {
    if (extension.kind === "mobility-agent-advertisement") Object.assign(fields, agentFields(extension));
    if (extension.kind === "prefix-lengths") {
      fields["icmp.mip.prefixlength"] = extension.prefixLengths.map((length) => `${length}`);
    }
    if (extension.kind === "challenge") fields["icmp.mip.challenge"] = [toHex(extension.challenge)];
  }
  return fields;
}
