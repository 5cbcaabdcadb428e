/**
 * Security associations ⇄ XFRM messages: ESP with an AEAD, and the two transformations of Mobile IPv6 (home address option, type 2
 * routing header).
 *
 * What the kernel changes in place (XFRM_MSG_UPDSA, measured on 6.1): for the states of Mobile IPv6 the care-of address and the
 * selector; for ESP only lifetimes and an existing UDP encapsulation, so an ESP state that differs in anything else must be removed and
 * made again.
 *
 * Ours are those whose reqid lies in the range of OWNERSHIP. A kernel in lockdown dumps keys as zeros: such states never compare equal.
 */
import { EncodeError } from "../base/errors.js";
import { IPV6_ANY, type IpAddress, ipToBytes, isIpv4 } from "../base/ip.js";
import { Secret } from "../base/secret.js";
import { type Attribute, type AttributeMap, AttributeWriter, readAttributes } from "../netlink/attribute.js";
import { NLM_F_DUMP } from "../netlink/constants.js";
import { objectsEqual } from "../plan/equal.js";
import { type EspState, type MobilityState, OWNERSHIP, type XfrmMark, type XfrmState } from "../plan/objects.js";
import { isSending } from "../plan/succession.js";
import type { NetlinkMessage, NetlinkRequest, ObjectCodec } from "./codec.js";
import {
  AF_INET,
  AF_INET6,
  IPPROTO_DSTOPTS,
  IPPROTO_ESP,
  IPPROTO_ROUTING,
  UDP_ENCAP_ESPINUDP,
  XFRM_MODE_ROUTEOPTIMIZATION,
  XFRM_MODE_TRANSPORT,
  XFRM_MODE_TUNNEL,
  XFRM_MSG_DELSA,
  XFRM_MSG_GETSA,
  XFRM_MSG_NEWSA,
  XFRM_MSG_UPDSA,
  XFRM_SA_XFLAG_DONT_ENCAP_DSCP,
  XFRM_STATE_AF_UNSPEC,
  XFRM_STATE_DECAP_DSCP,
  XFRM_STATE_WILDRECV,
  XFRMA_ALG_AEAD,
  XFRMA_COADDR,
  XFRMA_ENCAP,
  XFRMA_MARK,
  XFRMA_MTIMER_THRESH,
  XFRMA_REPLAY_ESN_MAX,
  XFRMA_REPLAY_ESN_VAL,
  XFRMA_REPLAY_VAL,
  XFRMA_SA,
  XFRMA_SA_EXTRA_FLAGS,
  XFRMA_SET_MARK,
  XFRMA_SET_MARK_MASK,
  XFRMA_SRCADDR,
} from "./xfrm-constants.js";
import {
  getSelector,
  isAnySelector,
  putSelector,
  putUnlimitedLifetime,
  StructView,
  XFRM_STRUCTS,
} from "./xfrm-layout.js";

const {
  xfrm_usersa_info: INFO,
  xfrm_usersa_id: ID,
  xfrm_algo_aead: AEAD,
  xfrm_replay_state_esn: ESN,
  xfrm_replay_state: REPLAY,
  xfrm_encap_tmpl: ENCAP,
  xfrm_mark: MARK,
  xfrm_id,
} = XFRM_STRUCTS;
/** Window that fits the plain replay state's 32-bit bitmap; larger ones need XFRMA_REPLAY_ESN_VAL. */
const PLAIN_REPLAY_WINDOW = 32;
/** SPIs 1 to 255 are reserved and 0 means "none" (RFC 4303 §2.1); the kernel would take 0 and never let it be deleted. */
const FIRST_SPI = 256;
const REQID_RANGE = 1 << 24;
/** Another source of ESP in UDP is announced at once if its port is new, else at most so often: no event a packet. */
const MAPPING_INTERVAL_SECONDS = 60;

const PROTOCOL = {
  esp: IPPROTO_ESP,
  "home-address-option": IPPROTO_DSTOPTS,
  "type2-routing-header": IPPROTO_ROUTING,
} as const;

export const xfrmStateCodec: ObjectCodec<XfrmState> = {
  kind: "xfrm-state",
  family: "xfrm",

  create: (state) => [stateRequest(XFRM_MSG_NEWSA, state)],

  succeed: (state, replies) => [stateRequest(XFRM_MSG_NEWSA, state, furthest(replies.map(readReplay)))],

  update: (state, previous) => (isUpdatable(state, previous) ? [stateRequest(XFRM_MSG_UPDSA, state)] : undefined),

  remove: (state) => [identityRequest(XFRM_MSG_DELSA, state)],
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
    if (transform === undefined || selector === undefined) return undefined;
    return {
      kind: "xfrm-state",
      source: info.address(INFO.saddr, family),
      destination: info.address(INFO.id + xfrm_id.daddr, family),
      reqid,
      ...(isAnySelector(selector) ? {} : { selector }),
      transform,
    };
  },
};

function isOwnReqid(reqid: number): boolean {
  return reqid >= OWNERSHIP.reqidBase && reqid < OWNERSHIP.reqidBase + REQID_RANGE;
}

function isUpdatable(state: XfrmState, previous: XfrmState): boolean {
  const [now, before] = [state.transform, previous.transform];
  if (now.type === "esp" || before.type === "esp") {
    if (
      now.type !== "esp" ||
      before.type !== "esp" ||
      now.encapsulation === undefined ||
      before.encapsulation === undefined
    )
      return false;
    const ported = { ...previous, transform: { ...before, encapsulation: now.encapsulation } };
    return objectsEqual(state, ported as XfrmState);
  }
  return state.reqid === previous.reqid && now.wildcard === before.wildcard;
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
  if (state.transform.type === "esp") putMark(body, XFRMA_MARK, state.transform.mark);
  return { family: "xfrm", type, flags: 0, body: body.finish() };
}

function putMark(attributes: AttributeWriter, attribute: number, mark: XfrmMark | undefined): void {
  if (mark === undefined) return;
  const value = new StructView(new Uint8Array(MARK.size));
  value.putU32(MARK.v, mark.value);
  value.putU32(MARK.m, mark.mask);
  attributes.bytes(attribute, value.bytes);
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

function putEsp(info: StructView, attributes: AttributeWriter, esp: EspState, anySelector: boolean): void {
  if (esp.spi < FIRST_SPI) throw new EncodeError("spi", `${esp.spi} is reserved`);
  info.putU32be(INFO.id + xfrm_id.spi, esp.spi);
  info.putU8(INFO.mode, esp.mode === "tunnel" ? XFRM_MODE_TUNNEL : XFRM_MODE_TRANSPORT);
  // Without it a tunnel whose selector is open carries only the family of its outer addresses.
  if (esp.mode === "tunnel" && anySelector) info.putU8(INFO.flags, XFRM_STATE_AF_UNSPEC);
  if (esp.decapsulateDscp === true) info.putU8(INFO.flags, info.u8(INFO.flags) | XFRM_STATE_DECAP_DSCP);
  putAead(attributes, esp.aead);
  if (esp.encapsulation !== undefined) {
    const value = new StructView(new Uint8Array(ENCAP.size));
    value.putU16(ENCAP.encap_type, UDP_ENCAP_ESPINUDP);
    value.putU16be(ENCAP.encap_sport, esp.encapsulation.sourcePort);
    value.putU16be(ENCAP.encap_dport, esp.encapsulation.destinationPort);
    attributes.bytes(XFRMA_ENCAP, value.bytes);
    if (esp.mark !== undefined && !isSending(esp)) attributes.u32(XFRMA_MTIMER_THRESH, MAPPING_INTERVAL_SECONDS);
  }
  putMark(attributes, XFRMA_MARK, esp.mark);
  if (esp.setMark !== undefined) {
    attributes.u32(XFRMA_SET_MARK, esp.setMark.value);
    attributes.u32(XFRMA_SET_MARK_MASK, esp.setMark.mask);
  }
  if (esp.hideDscp === true) attributes.u32(XFRMA_SA_EXTRA_FLAGS, XFRM_SA_XFLAG_DONT_ENCAP_DSCP);
}

/** Where the sequence numbers of a state stand. */
interface ReplayHistory {
  readonly sent: number;
  readonly received: number;
  /** Of received numbers, in the kernel's words; absent for small windows. */
  readonly bitmap?: Uint8Array;
}

/** undefined if the message is no state. The bitmap is copied: the message is wiped. */
function readReplay(message: NetlinkMessage): ReplayHistory | undefined {
  const found = stateBody(message);
  if (found === undefined) return undefined;
  const large = found.attributes.get(XFRMA_REPLAY_ESN_VAL)?.payload;
  if (large !== undefined) {
    const view = StructView.over(large, "xfrm_replay_state_esn");
    return { sent: view.u32(ESN.oseq), received: view.u32(ESN.seq), bitmap: Uint8Array.from(large.subarray(ESN.bmp)) };
  }
  const small = found.attributes.get(XFRMA_REPLAY_VAL)?.payload;
  if (small === undefined) return { sent: 0, received: 0 };
  const view = StructView.over(small, "xfrm_replay_state");
  return { sent: view.u32(REPLAY.oseq), received: view.u32(REPLAY.seq) };
}

/** The one that has sent or received the highest number. */
function furthest(histories: readonly (ReplayHistory | undefined)[]): ReplayHistory | undefined {
  const reach = ({ sent, received }: ReplayHistory): number => Math.max(sent, received);
  return histories.reduce(
    (best, one) => (one !== undefined && (best === undefined || reach(one) > reach(best)) ? one : best),
    undefined,
  );
}

/**
 * The window, and where the numbers start. A sender leaps ahead of its predecessor, which goes on sending until the policies know the
 * new one: no number is used twice, and what the old one sent still fits the receiver's window.
 */
function putReplay(
  info: StructView,
  attributes: AttributeWriter,
  esp: EspState,
  history: ReplayHistory | undefined,
): void {
  const sending = isSending(esp);
  const sent = history === undefined || !sending ? 0 : history.sent + Math.floor(esp.replayWindow / 2);
  const received = history === undefined || sending ? 0 : history.received;
  if (esp.replayWindow > PLAIN_REPLAY_WINDOW) {
    putLargeWindow(attributes, esp.replayWindow, {
      sent,
      received,
      ...(!sending && history?.bitmap && { bitmap: history.bitmap }),
    });
    return;
  }
  info.putU8(INFO.replay_window, esp.replayWindow);
  if (sent === 0 && received === 0) return;
  const value = new StructView(new Uint8Array(REPLAY.size));
  value.putU32(REPLAY.oseq, sent);
  value.putU32(REPLAY.seq, received);
  // Without the predecessor's bitmap everything up to its last number counts as seen.
  value.putU32(REPLAY.bitmap, received === 0 ? 0 : 0xffffffff);
  attributes.bytes(XFRMA_REPLAY_VAL, value.bytes);
}

function putAead(attributes: AttributeWriter, aead: EspState["aead"]): void {
  const name = Buffer.from(aead.algorithm, "latin1");
  // The name needs its closing zero octet inside the 64.
  if (name.length >= AEAD.alg_key_len)
    throw new EncodeError("aead", `algorithm name of ${name.length} octets, at most 63`);
  const value = new StructView(new Uint8Array(AEAD.size + aead.key.length));
  value.bytes.set(name, AEAD.alg_name);
  value.putU32(AEAD.alg_key_len, aead.key.length * 8);
  value.putU32(AEAD.alg_icv_len, aead.icvLength * 8);
  value.bytes.set(aead.key.reveal(), AEAD.alg_key);
  attributes.bytes(XFRMA_ALG_AEAD, value.bytes);
  value.bytes.fill(0);
}

/**
 * A window of more than 32 packets. The ESN flag stays off: it would put the upper half of a 64-bit sequence number under the
 * integrity check, and a peer with the same static keys but without it would fail on every packet. Without the flag the kernel
 * keeps the large bitmap over ordinary 32-bit numbers.
 */
function putLargeWindow(attributes: AttributeWriter, window: number, { sent, received, bitmap }: ReplayHistory): void {
  if (window > XFRMA_REPLAY_ESN_MAX)
    throw new EncodeError("replayWindow", `${window}, at most ${XFRMA_REPLAY_ESN_MAX}`);
  const words = Math.ceil(window / 32);
  const carried = bitmap !== undefined && bitmap.length === 4 * words ? bitmap : undefined;
  // Where there is no history the bitmap itself may stay out: the kernel begins with an empty one.
  const value = new StructView(new Uint8Array(ESN.size + (received === 0 ? 0 : 4 * words)));
  value.putU32(ESN.bmp_len, words);
  value.putU32(ESN.oseq, sent);
  value.putU32(ESN.seq, received);
  // A window of another size: everything up to the predecessor's last number counts as seen.
  if (received !== 0) value.bytes.set(carried ?? new Uint8Array(4 * words).fill(0xff), ESN.bmp);
  value.putU32(ESN.replay_window, window);
  attributes.bytes(XFRMA_REPLAY_ESN_VAL, value.bytes);
}

function putMobility(info: StructView, attributes: AttributeWriter, mobility: MobilityState): void {
  info.putU8(INFO.mode, XFRM_MODE_ROUTEOPTIMIZATION);
  if (mobility.wildcard) info.putU8(INFO.flags, XFRM_STATE_WILDRECV);
  attributes.address(XFRMA_COADDR, mobility.careOfAddress);
}

/** Dumps and notifications of new states begin with the info; of a removed state it stands in XFRMA_SA. */
function stateBody({ type, body }: NetlinkMessage): { info: StructView; attributes: AttributeMap } | undefined {
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
  const careOf = attributes.get(XFRMA_COADDR);
  return {
    type: protocol === IPPROTO_DSTOPTS ? "home-address-option" : "type2-routing-header",
    careOfAddress: careOf === undefined ? IPV6_ANY : new StructView(careOf.payload).ipv6(0),
    wildcard: (info.u8(INFO.flags) & XFRM_STATE_WILDRECV) !== 0,
  };
}

function decodeEsp(info: StructView, attributes: AttributeMap): EspState | undefined {
  const mode = info.u8(INFO.mode);
  const aead = attributes.get(XFRMA_ALG_AEAD);
  if (aead === undefined || (mode !== XFRM_MODE_TRANSPORT && mode !== XFRM_MODE_TUNNEL)) return undefined;
  const large = attributes.get(XFRMA_REPLAY_ESN_VAL);
  const encapsulation = attributes.get(XFRMA_ENCAP);
  const mark = attributes.get(XFRMA_MARK);
  const setMark = attributes.get(XFRMA_SET_MARK)?.u32();
  const extra = attributes.get(XFRMA_SA_EXTRA_FLAGS)?.u32() ?? 0;
  return {
    type: "esp",
    spi: info.u32be(INFO.id + xfrm_id.spi),
    mode: mode === XFRM_MODE_TUNNEL ? "tunnel" : "transport",
    aead: decodeAead(aead),
    replayWindow:
      large === undefined
        ? info.u8(INFO.replay_window)
        : StructView.over(large.payload, "xfrm_replay_state_esn").u32(ESN.replay_window),
    ...(encapsulation !== undefined && { encapsulation: decodeEncapsulation(encapsulation.payload) }),
    ...(mark !== undefined && { mark: decodeMark(mark.payload) }),
    ...(setMark !== undefined && {
      setMark: { value: setMark, mask: attributes.get(XFRMA_SET_MARK_MASK)?.u32() ?? 0xffffffff },
    }),
    ...((info.u8(INFO.flags) & XFRM_STATE_DECAP_DSCP) !== 0 && { decapsulateDscp: true }),
    ...((extra & XFRM_SA_XFLAG_DONT_ENCAP_DSCP) !== 0 && { hideDscp: true }),
  };
}

function decodeEncapsulation(payload: Uint8Array): NonNullable<EspState["encapsulation"]> {
  const view = StructView.over(payload, "xfrm_encap_tmpl");
  return { sourcePort: view.u16be(ENCAP.encap_sport), destinationPort: view.u16be(ENCAP.encap_dport) };
}

function decodeMark(payload: Uint8Array): XfrmMark {
  const view = StructView.over(payload, "xfrm_mark");
  return { value: view.u32(MARK.v), mask: view.u32(MARK.m) };
}

function decodeAead({ payload }: Attribute): EspState["aead"] {
  const view = StructView.over(payload, "xfrm_algo_aead");
  const name = payload.subarray(AEAD.alg_name, AEAD.alg_key_len);
  const end = name.indexOf(0);
  const keyOctets = Math.ceil(view.u32(AEAD.alg_key_len) / 8);
  return {
    algorithm: Buffer.from(end < 0 ? name : name.subarray(0, end)).toString("latin1"),
    key: new Secret(Uint8Array.from(payload.subarray(AEAD.alg_key, AEAD.alg_key + keyOctets))), // the message is wiped
    icvLength: view.u32(AEAD.alg_icv_len) / 8,
  };
}
