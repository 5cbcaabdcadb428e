/**
 * The fixed parts of the Mobility Header messages other than update and acknowledgement (registration.ts). Each table starts at
 * octet 6, after the checksum. RFC 6275 §6.1.2 to §6.1.9, RFC 5142, RFC 5846 §5.
 */
import type { Ipv6Address } from "../../../base/ip.js";
import { bits, type Field, ipv6Address, octets, reserved, sequence, u8, u16 } from "../../codec.js";
import { MessageType, RevocationFlag, RevocationType } from "../registry.js";
import { message } from "./codec.js";

export const COOKIE_OCTETS = 8;
export const KEYGEN_TOKEN_OCTETS = 8;

/** The number of addresses, a reserved octet, the addresses. */
const countedAddresses: Field<readonly Ipv6Address[]> = {
  decode(reader, name): readonly Ipv6Address[] {
    const count = reader.u8(name);
    reader.bytes(1, name);
    return Array.from({ length: count }, () => ipv6Address.decode(reader, name));
  },
  encode(writer, name, value): void {
    writer.u8(name, value.length).zeros(1);
    for (const address of value) ipv6Address.encode(writer, name, address);
  },
};

const revocation = { sequence, flags: bits(2, RevocationFlag) };

export const BASE_MESSAGES = [
  message(
    "binding-refresh-request",
    { mhType: MessageType.bindingRefreshRequest, minimumHeaderLength: 0 },
    { reserved: reserved(2) },
  ),
  message(
    "home-test-init",
    { mhType: MessageType.homeTestInit, minimumHeaderLength: 1 },
    { reserved: reserved(2), cookie: octets(COOKIE_OCTETS) },
  ),
  message(
    "care-of-test-init",
    { mhType: MessageType.careOfTestInit, minimumHeaderLength: 1 },
    { reserved: reserved(2), cookie: octets(COOKIE_OCTETS) },
  ),
  message(
    "home-test",
    { mhType: MessageType.homeTest, minimumHeaderLength: 2 },
    { nonceIndex: u16, cookie: octets(COOKIE_OCTETS), keygenToken: octets(KEYGEN_TOKEN_OCTETS) },
  ),
  message(
    "care-of-test",
    { mhType: MessageType.careOfTest, minimumHeaderLength: 2 },
    { nonceIndex: u16, cookie: octets(COOKIE_OCTETS), keygenToken: octets(KEYGEN_TOKEN_OCTETS) },
  ),
  message(
    "binding-error",
    { mhType: MessageType.bindingError, minimumHeaderLength: 2 },
    {
      /** BindingErrorStatus. */
      status: u8,
      reserved: reserved(1),
      /** The address of the Home Address destination option that caused it, or ::. */
      homeAddress: ipv6Address,
    },
  ),
  message(
    "home-agent-switch",
    { mhType: MessageType.homeAgentSwitch, minimumHeaderLength: 0 },
    {
      /** Home agents to choose from, best first; empty: the mobile node finds one itself. */
      addresses: countedAddresses,
    },
  ),
  message(
    "binding-revocation-indication",
    { mhType: MessageType.bindingRevocation, subtype: RevocationType.indication, minimumHeaderLength: 1 },
    {
      /** RevocationTrigger. */
      trigger: u8,
      ...revocation,
    },
  ),
  message(
    "binding-revocation-acknowledgement",
    { mhType: MessageType.bindingRevocation, subtype: RevocationType.acknowledgement, minimumHeaderLength: 1 },
    {
      /** RevocationStatus. */
      status: u8,
      ...revocation,
    },
  ),
] as const;
