/**
 * Proxy neighbours ⇄ RTM_NEWNEIGH with NTF_PROXY. What is particular:
 * - Our mark is NDA_PROTOCOL.
 * - The kernel overwrites an entry without a word, even with NLM_F_EXCL, so it has to be asked before (`createOverwrites`).
 * - It lists proxies only if NTF_PROXY, and nothing else, stands in the flags, and it never notifies anybody about them.
 * - Its table has 16 buckets: a lookup walks a sixteenth of all entries.
 * Permanent neighbours, whose link-layer address is known and never asked for, ⇄ the same with NUD_PERMANENT. That one is going the kernel
 * says by a change to NUD_FAILED, then by RTM_DELNEIGH, which no longer has the link-layer address; a link that goes down takes its own along.
 * Source: linux/neighbour.h, net/core/neighbour.c; seen on 6.1.
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
  NTF_ROUTER,
  NUD_PERMANENT,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "../../netlink/rtnetlink.js";
import type { PermanentNeighbour, ProxyNeighbour } from "../../plan/objects/forwarding.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { KernelNames, NetlinkRequest, ObjectCodec } from "../codec.js";
import {
  decodeNeighbourHeader,
  encodeNeighbourHeader,
  familyNumber,
  NEIGHBOUR_HEADER_LENGTH,
  type NeighbourHeader,
} from "./headers.js";

export const proxyNeighbourCodec: ObjectCodec<ProxyNeighbour> = {
  kind: "proxy-neighbour",
  family: "route",
  createOverwrites: true,

  create: (proxy, names) => [newProxy(proxy, names, NLM_F_CREATE | NLM_F_EXCL)],

  update: (proxy, _previous, names) => [newProxy(proxy, names, NLM_F_CREATE | NLM_F_REPLACE)],

  remove: (proxy, names) => [
    { family: "route", type: RTM_DELNEIGH, flags: 0, body: identity(proxy, names, CREATED).finish() },
  ],

  dump: () => [
    {
      family: "route",
      type: RTM_GETNEIGH,
      flags: 0,
      body: encodeNeighbourHeader({ family: AF_UNSPEC, flags: NTF_PROXY }),
    },
  ],

  find: (proxy, names) => [
    { family: "route", type: RTM_GETNEIGH, flags: 0, body: identity(proxy, names, { flags: NTF_PROXY }).finish() },
  ],

  decode(message, names, ownOnly) {
    if (message.type !== RTM_NEWNEIGH && message.type !== RTM_DELNEIGH) return undefined;
    const header = decodeNeighbourHeader(message.body);
    if ((header.flags & NTF_PROXY) === 0) return undefined;
    const attributes = readAttributes(message.body.subarray(NEIGHBOUR_HEADER_LENGTH), NEIGHBOUR_HEADER_LENGTH);
    if (ownOnly && attributes.get(NDA_PROTOCOL)?.u8() !== OWNERSHIP.protocol) return undefined;
    const address = attributes.get(NDA_DST);
    const device = names.interfaceName(header.index);
    if (address === undefined || device === undefined) return undefined;
    return {
      kind: "proxy-neighbour",
      device,
      address: address.address(),
      router: (header.flags & NTF_ROUTER) !== 0,
    };
  },
};

/** As iproute2 says it; the kernel does not look at the state of a proxy. */
const CREATED = { flags: NTF_PROXY, state: NUD_PERMANENT };

function newProxy(proxy: ProxyNeighbour, names: KernelNames, flags: number): NetlinkRequest {
  const router = proxy.router ? NTF_ROUTER : 0;
  const body = identity(proxy, names, { ...CREATED, flags: NTF_PROXY | router })
    .u8(NDA_PROTOCOL, OWNERSHIP.protocol)
    .finish();
  return { family: "route", type: RTM_NEWNEIGH, flags, body };
}

function identity(proxy: ProxyNeighbour, names: KernelNames, header: Partial<NeighbourHeader>): AttributeWriter {
  const family = familyNumber(familyOf(proxy.address));
  return new AttributeWriter(64)
    .raw(encodeNeighbourHeader({ family, index: names.interfaceIndex(proxy.device), ...header }))
    .address(NDA_DST, proxy.address);
}

export const permanentNeighbourCodec: ObjectCodec<PermanentNeighbour> = {
  kind: "permanent-neighbour",
  family: "route",
  create: (one, names) => [newPermanent(NLM_F_CREATE | NLM_F_EXCL, one, names)],
  update: (one, _previous, names) => [newPermanent(NLM_F_CREATE | NLM_F_REPLACE, one, names)],
  remove: (one, names) => [
    { family: "route", type: RTM_DELNEIGH, flags: 0, body: permanentIdentity(one, names).finish() },
  ],
  dump: () => [{ family: "route", type: RTM_GETNEIGH, flags: 0, body: encodeNeighbourHeader({ family: AF_UNSPEC }) }],
  find: (one, names) => [
    { family: "route", type: RTM_GETNEIGH, flags: 0, body: permanentIdentity(one, names, 0).finish() },
  ],
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

function newPermanent(flags: number, one: PermanentNeighbour, names: KernelNames): NetlinkRequest {
  const body = permanentIdentity(one, names)
    .bytes(NDA_LLADDR, linkAddressOctets(one.linkAddress))
    .u8(NDA_PROTOCOL, OWNERSHIP.protocol)
    .finish();
  return { family: "route", type: RTM_NEWNEIGH, flags, body };
}

function permanentIdentity(
  { address, device }: PermanentNeighbour,
  names: KernelNames,
  state = NUD_PERMANENT,
): AttributeWriter {
  const header = { family: familyNumber(familyOf(address)), index: names.interfaceIndex(device), state };
  return new AttributeWriter(64).raw(encodeNeighbourHeader(header)).address(NDA_DST, address);
}
