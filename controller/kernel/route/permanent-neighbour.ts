/**
 * Permanent neighbours ⇄ RTM_NEWNEIGH with NUD_PERMANENT: an address whose link-layer address is known and never asked for. Our mark is
 * NDA_PROTOCOL. The kernel says that one is going by a change to NUD_FAILED, then by RTM_DELNEIGH, which no longer has the link-layer
 * address; a link that goes down takes its entries along. Source: linux/neighbour.h, net/core/neighbour.c; seen on 6.1.
 */
import { familyOf } from "../../base/ip.js";
import { formatLinkAddress, linkAddressOctets } from "../../base/link-address.js";
import { AttributeWriter, readAttributes } from "../../netlink/attribute.js";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../../netlink/constants.js";
import {
  AF_UNSPEC,
  NDA_DST,
  NDA_LLADDR,
  NDA_PROTOCOL,
  NTF_PROXY,
  NUD_PERMANENT,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "../../netlink/rtnetlink.js";
import type { PermanentNeighbour } from "../../plan/objects/forwarding.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { KernelNames, NetlinkRequest, ObjectCodec } from "../codec.js";
import { decodeNeighbourHeader, encodeNeighbourHeader, familyNumber, NEIGHBOUR_HEADER_LENGTH } from "./headers.js";

export const permanentNeighbourCodec: ObjectCodec<PermanentNeighbour> = {
  kind: "permanent-neighbour",
  family: "route",
  create: (one, names) => [request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, one, names)],
  update: (one, _previous, names) => [request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, one, names)],
  remove: (one, names) => [{ family: "route", type: RTM_DELNEIGH, flags: 0, body: identity(one, names).finish() }],
  dump: () => [{ family: "route", type: RTM_GETNEIGH, flags: 0, body: encodeNeighbourHeader({ family: AF_UNSPEC }) }],
  find: (one, names) => [{ family: "route", type: RTM_GETNEIGH, flags: 0, body: identity(one, names, 0).finish() }],
  decode(message, names, ownOnly) {
    if (message.type !== RTM_NEWNEIGH && message.type !== RTM_DELNEIGH) return undefined;
    const header = decodeNeighbourHeader(message.body);
    const isGone = message.type === RTM_DELNEIGH;
    if ((header.flags & NTF_PROXY) !== 0 || (!isGone && (header.state & NUD_PERMANENT) === 0)) return undefined;
    const attributes = readAttributes(message.body.subarray(NEIGHBOUR_HEADER_LENGTH), NEIGHBOUR_HEADER_LENGTH);
    if (ownOnly && attributes.get(NDA_PROTOCOL)?.u8() !== OWNERSHIP.protocol) return undefined;
    const address = attributes.get(NDA_DST);
    const device = names.interfaceName(header.index);
    if (address === undefined || device === undefined) return undefined;
    const linkAddress = formatLinkAddress(attributes.get(NDA_LLADDR)?.payload ?? new Uint8Array(0));
    if (linkAddress === undefined && !isGone) return undefined;
    return { kind: "permanent-neighbour", device, address: address.address(), linkAddress: linkAddress ?? "" };
  },
};

function request(type: number, flags: number, one: PermanentNeighbour, names: KernelNames): NetlinkRequest {
  const body = identity(one, names)
    .bytes(NDA_LLADDR, linkAddressOctets(one.linkAddress))
    .u8(NDA_PROTOCOL, OWNERSHIP.protocol)
    .finish();
  return { family: "route", type, flags, body };
}

function identity({ address, device }: PermanentNeighbour, names: KernelNames, state = NUD_PERMANENT): AttributeWriter {
  const header = { family: familyNumber(familyOf(address)), index: names.interfaceIndex(device), state };
  return new AttributeWriter(64).raw(encodeNeighbourHeader(header)).address(NDA_DST, address);
}
