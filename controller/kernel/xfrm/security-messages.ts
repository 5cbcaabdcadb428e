/** What the kernel says about security associations, of ours and of those that the IKE daemon has negotiated, as values. */
import type { IpAddress } from "../../base/ip.js";
import { readAttributes } from "../../netlink/attribute.js";
import type { NetlinkMessage } from "../../netlink/message.js";
import type { AeadKey, EspState } from "../../plan/objects/security.js";
import { NEGOTIATED } from "../../plan/security/marks.js";
import type { KernelNames } from "../codec.js";
import { XFRM_MSG_FLUSHSA } from "../notification-constants.js";
import {
  AF_INET,
  AF_INET6,
  IPPROTO_ESP,
  XFRM_MSG_ACQUIRE,
  XFRM_MSG_DELSA,
  XFRM_MSG_EXPIRE,
  XFRM_MSG_MAPPING,
  XFRM_MSG_NEWSA,
  XFRM_MSG_UPDSA,
  XFRMA_LASTUSED,
  XFRMA_TMPL,
} from "./constants.js";
import { StructView, XFRM_STRUCTS } from "./layout.js";
import { isOwnReqid, stateBody, xfrmStateCodec } from "./state.js";

const {
  xfrm_usersa_info: INFO,
  xfrm_usersa_id: ID,
  xfrm_user_expire: EXPIRE,
  xfrm_user_mapping: MAPPING,
  xfrm_user_acquire: ACQUIRE,
  xfrm_user_tmpl: TMPL,
  xfrm_lifetime_cur: LIFETIME,
  xfrm_stats: STATS,
  xfrm_id,
} = XFRM_STRUCTS;
const NO_NAMES: KernelNames = { interfaceIndex: () => 0, interfaceName: () => undefined };

/** One direction of what the IKE daemon has negotiated, with its own ends. */
export interface NegotiatedState {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly reqid: number;
  readonly spi: number;
  readonly mode: "transport" | "tunnel";
  readonly aead: AeadKey;
  /** In UDP. */
  readonly encapsulation?: EspState["encapsulation"];
}

/** By what the kernel knows it. */
export type StateIdentity = Pick<NegotiatedState, "destination" | "spi">;

export type SecurityNews =
  | { readonly kind: "there"; readonly state: NegotiatedState }
  | { readonly kind: "gone"; readonly identity: StateIdentity }
  /** Everything may be gone. */
  | { readonly kind: "flushed" }
  | { readonly kind: "acquire"; readonly reqid: number }
  | { readonly kind: "mapping"; readonly reqid: number; readonly address: IpAddress; readonly port: number };

/** How much one association has carried. */
export interface StateCounters {
  readonly reqid: number;
  readonly spi: number;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly packets: number;
  readonly octets: number;
  /** Seconds since 1970. */
  readonly addedAt: number;
  /** Absent before the first packet, and on kernels before 6.2, which do not say. */
  readonly lastUsedAt?: number;
  /** Packets whose sequence number had been there already or was too old. */
  readonly replayed: number;
  readonly integrityFailures: number;
}

/** undefined for what concerns neither the negotiated associations nor the needs of ours. Throws DecodeError. */
export function decodeNews(message: NetlinkMessage): SecurityNews | undefined {
  switch (message.type) {
    case XFRM_MSG_NEWSA:
    case XFRM_MSG_UPDSA: {
      const state = negotiatedState(message);
      return state && { kind: "there", state };
    }
    case XFRM_MSG_DELSA: {
      const identity = negotiatedState(message);
      return identity && { kind: "gone", identity };
    }
    case XFRM_MSG_EXPIRE:
      return decodeExpiry(message.body);
    case XFRM_MSG_FLUSHSA:
      return { kind: "flushed" };
    case XFRM_MSG_ACQUIRE:
      return decodeAcquire(message.body);
    case XFRM_MSG_MAPPING:
      return decodeMapping(message.body);
    default:
      return undefined;
  }
}

/** undefined if the message is none of a negotiated ESP association with an AEAD. Throws DecodeError. */
export function negotiatedState(message: NetlinkMessage): NegotiatedState | undefined {
  const reqid = stateBody(message)?.info.u32(INFO.reqid);
  if (reqid === undefined || !isNegotiated(reqid)) return undefined; // of ours not even a copy of the key is made
  const state = xfrmStateCodec.decode(message, NO_NAMES, false);
  if (state === undefined || state.transform.type !== "esp") return undefined;
  const { source, destination, transform } = state;
  const { spi, mode, aead, encapsulation } = transform;
  if (aead === undefined) return undefined;
  return { source, destination, reqid, spi, mode, aead, ...(encapsulation !== undefined && { encapsulation }) };
}

/** Of one state in a dump; undefined if it is neither ours nor negotiated. Throws DecodeError. */
export function decodeCounters({ type, body }: NetlinkMessage): StateCounters | undefined {
  if (type !== XFRM_MSG_NEWSA) return undefined;
  const view = StructView.over(body, "xfrm_usersa_info");
  const reqid = view.u32(INFO.reqid);
  const family = familyAt(view, INFO.family);
  if ((!isOwnReqid(reqid) && !isNegotiated(reqid)) || family === undefined) return undefined;
  const current = view.part(INFO.curlft, LIFETIME.size);
  const stats = view.part(INFO.stats, STATS.size);
  const lastUsed = readAttributes(body.subarray(INFO.size), INFO.size).get(XFRMA_LASTUSED)?.u64();
  return {
    reqid,
    spi: view.u32be(INFO.id + xfrm_id.spi),
    source: view.address(INFO.saddr, family),
    destination: view.address(INFO.id + xfrm_id.daddr, family),
    packets: Number(current.u64(LIFETIME.packets)),
    octets: Number(current.u64(LIFETIME.bytes)),
    addedAt: Number(current.u64(LIFETIME.add_time)),
    ...(lastUsed !== undefined && { lastUsedAt: Number(lastUsed) }),
    // The kernel tells those that were seen before from those that are too old for the window to know.
    replayed: stats.u32(STATS.replay) + stats.u32(STATS.replay_window),
    integrityFailures: stats.u32(STATS.integrity_failed),
  };
}

const isNegotiated = (reqid: number): boolean =>
  reqid >= NEGOTIATED.reqidBase && reqid < NEGOTIATED.reqidBase + NEGOTIATED.reqidSize;

function familyAt(view: StructView, offset: number): number | undefined {
  const family = view.u16(offset);
  return family === AF_INET || family === AF_INET6 ? family : undefined;
}

/** A hard end takes the state away without another word; a soft one only asks for the next keys. */
function decodeExpiry(body: Uint8Array): SecurityNews | undefined {
  const view = StructView.over(body, "xfrm_user_expire");
  const family = familyAt(view, EXPIRE.state + INFO.family);
  if (view.u8(EXPIRE.hard) === 0 || family === undefined || !isNegotiated(view.u32(EXPIRE.state + INFO.reqid)))
    return undefined;
  const id = EXPIRE.state + INFO.id;
  const identity = { destination: view.address(id + xfrm_id.daddr, family), spi: view.u32be(id + xfrm_id.spi) };
  return { kind: "gone", identity };
}

/** The kernel names the transformation that is missing by its protocol alone; the request id stands in the policy's template for it. */
function decodeAcquire(body: Uint8Array): SecurityNews | undefined {
  const protocol = StructView.over(body, "xfrm_user_acquire").u8(ACQUIRE.id + xfrm_id.proto);
  if (protocol !== IPPROTO_ESP) return undefined; // no keys: demand-watch.ts
  const templates = readAttributes(body.subarray(ACQUIRE.size), ACQUIRE.size).get(XFRMA_TMPL)?.payload;
  for (let at = 0; at < (templates?.length ?? 0); at += TMPL.size) {
    const template = StructView.over(templates ?? body, "xfrm_user_tmpl", at);
    const reqid = template.u32(TMPL.reqid);
    if (template.u8(TMPL.id + xfrm_id.proto) === protocol && isOwnReqid(reqid)) return { kind: "acquire", reqid };
  }
  return undefined;
}

function decodeMapping(body: Uint8Array): SecurityNews | undefined {
  const view = StructView.over(body, "xfrm_user_mapping");
  const reqid = view.u32(MAPPING.reqid);
  const family = familyAt(view, MAPPING.id + ID.family);
  if (!isOwnReqid(reqid) || family === undefined) return undefined;
  const address = view.address(MAPPING.new_saddr, family);
  return { kind: "mapping", reqid, address, port: view.u16be(MAPPING.new_sport) };
}
