/** The extensions of ICMP router discovery (RFC 5944 §2.1.1, §2.1.2, RFC 4721 §2). */
import { bits, type Field, ipv4Address, listToEnd, sequence, u8, u16 } from "../../codec.js";
import { AgentFlag, DiscoveryExtensionType } from "../registry.js";
import { extension } from "./codec.js";
import { someOctets } from "./identity.js";

/** Bits, 0 to 32. */
const prefixLength: Field<number> = {
  decode(reader, name): number {
    const length = u8.decode(reader, name);
    if (length > 32) throw reader.error(`a prefix of ${length} bits`, name, reader.offset - 1);
    return length;
  },
  encode: (writer, name, value) => void u8.encode(writer, name, value),
};

export const DISCOVERY_EXTENSIONS = [
  extension("mobility-agent-advertisement", DiscoveryExtensionType.mobilityAgentAdvertisement, {
    /** Advertisements since the agent started, 0 to 255, then from 0xffff to 256 (RFC 5944 §2.3.2). */
    sequence,
    /** The longest registration that the agent accepts, in seconds; 0xffff: no limit. */
    registrationLifetimeSeconds: u16,
    flags: bits(2, AgentFlag),
    careOfAddresses: listToEnd(ipv4Address),
  }),
  extension("prefix-lengths", DiscoveryExtensionType.prefixLengths, {
    /** One for each router address of the message, in bits and in their order. */
    prefixLengths: listToEnd(prefixLength),
  }),
  extension("challenge", DiscoveryExtensionType.challenge, { challenge: someOctets }),
] as const;
