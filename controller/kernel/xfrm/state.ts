/**
 * Security associations ⇄ XFRM messages: ESP with an AEAD, and the two transformations of Mobile IPv6 (home address option, type 2
 * routing header).
 *
 * What the kernel changes in place (XFRM_MSG_UPDSA, measured on 6.1 and 6.12): for the states of Mobile IPv6 the care-of address and the
 * selector; for ESP only lifetimes and an existing UDP encapsulation, so an ESP state that differs in anything else must be removed and
 * made again.
 *
 * An entry that stands for a question (demand-watch.ts) has the key of the state that answers it, and gives way to XFRM_MSG_UPDSA, whatever
 * its request id; XFRM_MSG_NEWSA it refuses. It is none of ours, so nobody misses or removes it.
 *
 * Ours are those whose reqid lies in the range of OWNERSHIP. A kernel in lockdown dumps keys as zeros: such states never compare equal.
 */
import { EncodeError } from "../../base/errors.js";
import { IPV6_ANY, type IpAddress, ipToBytes, isIpv4 } from "../../base/ip.js";
import { type AttributeMap, AttributeWriter, readAttributes } from "../../netlink/attribute.js";
import { NLM_F_DUMP } from "../../netlink/constants.js";
import { objectsEqual } from "../../plan/objects/equal.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { EspState, MobilityState, XfrmState } from "../../plan/objects/security.js";
import { mayTakeOn } from "../../plan/security/succession.js";
import type { KernelNames, NetlinkMessage, NetlinkRequest, ObjectCodec } from "../codec.js";
import {
  AF_INET,
  AF_INET6,
  IPPROTO_DSTOPTS,
  IPPROTO_ESP,
  IPPROTO_ROUTING,
  XFRM_MODE_ROUTEOPTIMIZATION,
  XFRM_MSG_DELSA,
  XFRM_MSG_GETSA,
  XFRM_MSG_NEWSA,
  XFRM_MSG_UPDSA,
  XFRM_STATE_WILDRECV,
  XFRMA_COADDR,
  XFRMA_MARK,
  XFRMA_SA,
  XFRMA_SRCADDR,
} from "./constants.js";
import { decodeEsp, putEsp } from "./esp.js";
import {
  encodeMark,
  getSelector,
  isAnySelector,
  putSelector,
  putUnlimitedLifetime,
  StructView,
  XFRM_STRUCTS,
} from "./layout.js";
import { furthest, putReplay, type ReplayHistory, readReplay } from "./replay.js";

const { xfrm_usersa_info: INFO, xfrm_usersa_id: ID, xfrm_id } = XFRM_STRUCTS;
const REQID_RANGE = 1 << 24;
const NO_NAMES: KernelNames = { interfaceIndex: () => 0, interfaceName: () => undefined };

const PROTOCOL = {
  esp: IPPROTO_ESP,
  "home-address-option": IPPROTO_DSTOPTS,
  "type2-routing-header": IPPROTO_ROUTING,
} as const;

export const xfrmStateCodec: ObjectCodec<XfrmState> = {
  kind: "xfrm-state",
  family: "xfrm",

  create: (state) => [stateRequest(XFRM_MSG_NEWSA, state)],

  succeed: (state, replies) => [stateRequest(XFRM_MSG_NEWSA, state, furthest(replies.flatMap(historyFor(state))))],

  update: (state, previous) => (isUpdatable(state, previous) ? [stateRequest(XFRM_MSG_UPDSA, state)] : undefined),

  remove: (state) => [identityRequest(XFRM_MSG_DELSA, state)],
  replacedInOneGo: true,
  find: (state) => [identityRequest(XFRM_MSG_GETSA, state)],

  // The kernel reads filter attributes right after the netlink header here: no struct in between.
  dump: () => [{ family: "xfrm", type: XFRM_MSG_GETSA, flags: NLM_F_DUMP, body: new Uint8Array(0) }],

  decode(message, _names, ownOnly) {
    const found = stateBody(message);
    if (found === undefined) return undefined;
    const { info, attributes } = found;
    const reqid = info.u32(INFO.reqid);
    if (ownOnly && !isOwnReqid(reqid)) return undefined;
    const family = info.u16(INFO.family);
    if (family !== AF_INET6 && family !== AF_INET) return undefined;
    const transform = decodeTransform(info, attributes);
    const selector = getSelector(info.part(INFO.sel, XFRM_STRUCTS.xfrm_selector.size));
    if (transform === undefined) return undefined;
    const unanswered = isQuestion(transform);
    // It has the ports of the packet that asked.
    if (unanswered ? ownOnly : selector === undefined) return undefined;
    return {
      kind: "xfrm-state",
      source: info.address(INFO.saddr, family),
      destination: info.address(INFO.id + xfrm_id.daddr, family),
      reqid,
      ...(unanswered || selector === undefined || isAnySelector(selector) ? {} : { selector }),
      transform,
    };
  },

  unfinished(message) {
    const state = xfrmStateCodec.decode(message, NO_NAMES, false);
    return state !== undefined && isQuestion(state.transform) && isOwnReqid(state.reqid);
  },
};

/** What the kernel keeps in a state's place while it asks for one; no state of ours without the wildcard flag has this care-of address. */
const isQuestion = (transform: XfrmState["transform"]): boolean =>
  transform.type !== "esp" && !transform.wildcard && transform.careOfAddress === IPV6_ANY;

/** Of a state that hands its history on to `state`; none of any other, which has the numbers of other keys. */
const historyFor =
  (state: XfrmState) =>
  (message: NetlinkMessage): ReplayHistory[] => {
    const other = xfrmStateCodec.decode(message, NO_NAMES, true);
    const found = stateBody(message);
    if (other === undefined || found === undefined || !mayTakeOn(state, other)) return [];
    return [readReplay(found.info, found.attributes)];
  };

export function isOwnReqid(reqid: number): boolean {
  return reqid >= OWNERSHIP.reqidBase && reqid < OWNERSHIP.reqidBase + REQID_RANGE;
}

function isUpdatable(state: XfrmState, previous: XfrmState): boolean {
  const [now, before] = [state.transform, previous.transform];
  if (now.type === "esp" && before.type === "esp") return differsInPortsAlone(state, now, previous, before);
  if (now.type === "esp" || before.type === "esp") return false;
  return isQuestion(before) || (state.reqid === previous.reqid && now.wildcard === before.wildcard);
}

function differsInPortsAlone(state: XfrmState, now: EspState, previous: XfrmState, before: EspState): boolean {
  const { encapsulation } = now;
  if (encapsulation === undefined || before.encapsulation === undefined) return false;
  return objectsEqual(state, { ...previous, transform: { ...before, encapsulation } });
}

const familyNumber = (address: IpAddress): number => (isIpv4(address) ? AF_INET : AF_INET6);

function stateRequest(type: number, state: XfrmState, history?: ReplayHistory): NetlinkRequest {
  const info = new StructView(new Uint8Array(INFO.size));
  if (familyNumber(state.source) !== familyNumber(state.destination))
    throw new EncodeError("xfrm-state", "two address families in one state");
  info.putAddress(INFO.saddr, state.source);
  info.putAddress(INFO.id + xfrm_id.daddr, state.destination);
  info.putU8(INFO.id + xfrm_id.proto, PROTOCOL[state.transform.type]);
  putUnlimitedLifetime(info.part(INFO.lft, XFRM_STRUCTS.xfrm_lifetime_cfg.size));
  info.putU32(INFO.reqid, state.reqid);
  info.putU16(INFO.family, familyNumber(state.destination));
  if (state.selector !== undefined) putSelector(info.part(INFO.sel, XFRM_STRUCTS.xfrm_selector.size), state.selector);
  const attributes = new AttributeWriter(1024);
  const secret = state.transform.type === "esp";
  if (state.transform.type === "esp") {
    putEsp(info, attributes, state.transform, state.selector === undefined);
    putReplay(info, attributes, state.transform, history);
  } else {
    putMobility(info, attributes, state.transform);
  }
  const request = { family: "xfrm", type, flags: 0, body: concat(info.bytes, attributes) } as const;
  return secret ? { ...request, secret } : request;
}

/** By what the kernel finds a state: destination, protocol, SPI and mark; without an SPI, both addresses. */
function identityRequest(type: number, state: XfrmState): NetlinkRequest {
  const id = new StructView(new Uint8Array(ID.size));
  id.putAddress(ID.daddr, state.destination);
  id.putU16(ID.family, familyNumber(state.destination));
  id.putU8(ID.proto, PROTOCOL[state.transform.type]);
  if (state.transform.type === "esp") id.putU32be(ID.spi, state.transform.spi);
  // xfrm_address_t has 16 octets for either family.
  const source = new Uint8Array(16);
  source.set(ipToBytes(state.source));
  const body = new AttributeWriter(64).raw(id.bytes).bytes(XFRMA_SRCADDR, source);
  if (state.transform.type === "esp" && state.transform.mark !== undefined)
    body.bytes(XFRMA_MARK, encodeMark(state.transform.mark));
  return { family: "xfrm", type, flags: 0, body: body.finish() };
}

/** The message body; the writer's copy of the key is wiped. */
function concat(info: Uint8Array, attributes: AttributeWriter): Uint8Array {
  const body = new Uint8Array(info.length + attributes.length);
  const tail = attributes.finish();
  body.set(info);
  body.set(tail, info.length);
  tail.fill(0);
  attributes.wipe();
  return body;
}

function putMobility(info: StructView, attributes: AttributeWriter, mobility: MobilityState): void {
  info.putU8(INFO.mode, XFRM_MODE_ROUTEOPTIMIZATION);
  if (mobility.wildcard) info.putU8(INFO.flags, XFRM_STATE_WILDRECV);
  attributes.address(XFRMA_COADDR, mobility.careOfAddress);
}

/** Dumps and notifications of new states begin with the info; of a removed state it stands in XFRMA_SA. */
export function stateBody({ type, body }: NetlinkMessage): { info: StructView; attributes: AttributeMap } | undefined {
  if (type === XFRM_MSG_NEWSA || type === XFRM_MSG_UPDSA) {
    return {
      info: StructView.over(body, "xfrm_usersa_info"),
      attributes: readAttributes(body.subarray(INFO.size), INFO.size),
    };
  }
  if (type !== XFRM_MSG_DELSA) return undefined;
  const attributes = readAttributes(body.subarray(ID.size), ID.size);
  const info = attributes.get(XFRMA_SA);
  return info === undefined ? undefined : { info: StructView.over(info.payload, "xfrm_usersa_info"), attributes };
}

function decodeTransform(info: StructView, attributes: AttributeMap): XfrmState["transform"] | undefined {
  const protocol = info.u8(INFO.id + xfrm_id.proto);
  if (protocol === IPPROTO_ESP) return decodeEsp(info, attributes);
  if (protocol !== IPPROTO_DSTOPTS && protocol !== IPPROTO_ROUTING) return undefined;
  const careOfAddress = attributes.get(XFRMA_COADDR)?.address() ?? IPV6_ANY;
  if (isIpv4(careOfAddress)) return undefined;
  return {
    type: protocol === IPPROTO_DSTOPTS ? "home-address-option" : "type2-routing-header",
    careOfAddress,
    wildcard: (info.u8(INFO.flags) & XFRM_STATE_WILDRECV) !== 0,
  };
}
