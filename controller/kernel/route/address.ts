/**
 * Addresses ⇄ RTM_NEWADDR. What is particular:
 * - Our mark is IFA_PROTO (kernel 5.18 or newer). The kernel does not compare it when it deletes.
 * - A home address is set without duplicate address detection: the home agent has done it (RFC 6275 §10.3.1), and a node that comes
 *   home must not probe for an address that its home agent still defends (§11.5.4).
 * - IPv6 flags change in place (NLM_F_REPLACE); IPv4 addresses have none of ours but noPrefixRoute, which like the scope needs a new address.
 * Source: linux/if_addr.h.
 */
import { EncodeError } from "../../base/errors.js";
import { familyOf, isIpv4 } from "../../base/ip.js";
import { AttributeWriter, readAttributes } from "../../netlink/attribute.js";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../../netlink/constants.js";
import {
  IFA_ADDRESS,
  IFA_F_HOMEADDRESS,
  IFA_F_NODAD,
  IFA_F_NOPREFIXROUTE,
  IFA_FLAGS,
  IFA_LOCAL,
  IFA_PROTO,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_NEWADDR,
} from "../../netlink/rtnetlink.js";
import type { Address } from "../../plan/objects/forwarding.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { KernelNames, NetlinkRequest, ObjectCodec } from "../codec.js";
import { ADDRESS_HEADER_LENGTH, decodeAddressHeader, encodeAddressHeader, familyNumber } from "./headers.js";

/** linux/rtnetlink.h */
const RT_SCOPE_HOST = 254;

export const addressCodec: ObjectCodec<Address> = {
  kind: "address",
  family: "route",

  create: (address, names) => [newAddress(address, names, NLM_F_CREATE | NLM_F_EXCL)],

  update: (address, _previous, names) =>
    isIpv4(address.address) ? undefined : [newAddress(address, names, NLM_F_CREATE | NLM_F_REPLACE)],

  remove: (address, names) => [
    { family: "route", type: RTM_DELADDR, flags: 0, body: identity(address, names).finish() },
  ],

  dump: () => [{ family: "route", type: RTM_GETADDR, flags: 0, body: encodeAddressHeader({}) }],

  decode(message, names, ownOnly) {
    if (message.type !== RTM_NEWADDR && message.type !== RTM_DELADDR) return undefined;
    const header = decodeAddressHeader(message.body);
    const attributes = readAttributes(message.body.subarray(ADDRESS_HEADER_LENGTH), ADDRESS_HEADER_LENGTH);
    if (ownOnly && attributes.get(IFA_PROTO)?.u8() !== OWNERSHIP.protocol) return undefined;
    // On a point-to-point link IFA_ADDRESS is the other end's.
    const address = (attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS))?.address();
    const device = names.interfaceName(header.index);
    if (address === undefined || device === undefined) return undefined;
    const flags = attributes.get(IFA_FLAGS)?.u32() ?? header.flags;
    return {
      kind: "address",
      device,
      address,
      prefixLength: header.prefixLength,
      home: (flags & IFA_F_HOMEADDRESS) !== 0,
      noPrefixRoute: (flags & IFA_F_NOPREFIXROUTE) !== 0,
      // An IPv6 address has the scope that its prefix gives it.
      ...(isIpv4(address) && header.scope === RT_SCOPE_HOST ? { hostScope: true } : {}),
    };
  },
};

function newAddress(address: Address, names: KernelNames, flags: number): NetlinkRequest {
  if (address.home && isIpv4(address.address))
    throw new EncodeError("home", "only IPv6 addresses can be marked as home addresses");
  if (address.hostScope === true && !isIpv4(address.address))
    throw new EncodeError("hostScope", "an IPv6 address has the scope of its prefix");
  const home = address.home ? IFA_F_HOMEADDRESS | IFA_F_NODAD : 0;
  const body = identity(address, names)
    .u32(IFA_FLAGS, home | (address.noPrefixRoute ? IFA_F_NOPREFIXROUTE : 0))
    .u8(IFA_PROTO, OWNERSHIP.protocol)
    .finish();
  return { family: "route", type: RTM_NEWADDR, flags, body };
}

function identity(address: Address, names: KernelNames): AttributeWriter {
  return new AttributeWriter(80)
    .raw(
      encodeAddressHeader({
        family: familyNumber(familyOf(address.address)),
        prefixLength: address.prefixLength,
        scope: address.hostScope === true ? RT_SCOPE_HOST : 0,
        index: names.interfaceIndex(address.device),
      }),
    )
    .address(IFA_LOCAL, address.address)
    .address(IFA_ADDRESS, address.address);
}
