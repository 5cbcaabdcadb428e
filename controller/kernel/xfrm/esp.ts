/** The ESP part of a security association ⇄ its XFRM attributes: key, UDP encapsulation, marks, DSCP. Sequence numbers: replay.ts. */
import { EncodeError } from "../../base/errors.js";
import { Secret } from "../../base/secret.js";
import type { Attribute, AttributeMap, AttributeWriter } from "../../netlink/attribute.js";
import type { AeadKey, CipherKey, EspKeys, EspState } from "../../plan/objects/security.js";
import { isSending } from "../../plan/security/succession.js";
import {
  UDP_ENCAP_ESPINUDP,
  XFRM_MODE_TRANSPORT,
  XFRM_MODE_TUNNEL,
  XFRM_SA_XFLAG_DONT_ENCAP_DSCP,
  XFRM_STATE_AF_UNSPEC,
  XFRM_STATE_DECAP_DSCP,
  XFRMA_ALG_AEAD,
  XFRMA_ALG_AUTH_TRUNC,
  XFRMA_ALG_CRYPT,
  XFRMA_ENCAP,
  XFRMA_MARK,
  XFRMA_MTIMER_THRESH,
  XFRMA_SA_EXTRA_FLAGS,
  XFRMA_SET_MARK,
  XFRMA_SET_MARK_MASK,
} from "./constants.js";
import { decodeMark, encodeMark, StructView, XFRM_STRUCTS } from "./layout.js";
import { readReplay } from "./replay.js";

const {
  xfrm_usersa_info: INFO,
  xfrm_algo_aead: AEAD,
  xfrm_algo_auth: AUTH,
  xfrm_encap_tmpl: ENCAP,
  xfrm_id,
} = XFRM_STRUCTS;
/** SPIs 1 to 255 are reserved and 0 means "none" (RFC 4303 §2.1); the kernel would take 0 and never let it be deleted. */
const FIRST_SPI = 256;
/** Another source of ESP in UDP is announced at once if its port is new, else at most so often: no event a packet. */
const MAPPING_INTERVAL_SECONDS = 60;
const ALL_BITS = 0xffffffff;

/** All but the replay state. `anySelector`: the state has no selector. */
export function putEsp(info: StructView, attributes: AttributeWriter, esp: EspState, anySelector: boolean): void {
  if (esp.spi < FIRST_SPI) throw new EncodeError("spi", `${esp.spi} is reserved`);
  info.putU32be(INFO.id + xfrm_id.spi, esp.spi);
  info.putU8(INFO.mode, esp.mode === "tunnel" ? XFRM_MODE_TUNNEL : XFRM_MODE_TRANSPORT);
  // Without it a tunnel whose selector is open carries only the family of its outer addresses.
  const anyFamily = esp.mode === "tunnel" && anySelector ? XFRM_STATE_AF_UNSPEC : 0;
  info.putU8(INFO.flags, anyFamily | (esp.decapsulateDscp === true ? XFRM_STATE_DECAP_DSCP : 0));
  putKeys(attributes, esp);
  if (esp.encapsulation !== undefined) putEncapsulation(attributes, esp.encapsulation);
  if (esp.encapsulation !== undefined && esp.mark !== undefined && !isSending(esp))
    attributes.u32(XFRMA_MTIMER_THRESH, MAPPING_INTERVAL_SECONDS);
  if (esp.mark !== undefined) attributes.bytes(XFRMA_MARK, encodeMark(esp.mark));
  if (esp.setMark !== undefined)
    attributes.u32(XFRMA_SET_MARK, esp.setMark.value).u32(XFRMA_SET_MARK_MASK, esp.setMark.mask);
  if (esp.hideDscp === true) attributes.u32(XFRMA_SA_EXTRA_FLAGS, XFRM_SA_XFLAG_DONT_ENCAP_DSCP);
}

function putEncapsulation(attributes: AttributeWriter, ports: NonNullable<EspState["encapsulation"]>): void {
  const value = new StructView(new Uint8Array(ENCAP.size));
  value.putU16(ENCAP.encap_type, UDP_ENCAP_ESPINUDP);
  value.putU16be(ENCAP.encap_sport, ports.sourcePort);
  value.putU16be(ENCAP.encap_dport, ports.destinationPort);
  attributes.bytes(XFRMA_ENCAP, value.bytes);
}

function putKeys(attributes: AttributeWriter, { aead, encryption, integrity }: EspKeys): void {
  if (aead !== undefined) return putKey(attributes, XFRMA_ALG_AEAD, "xfrm_algo_aead", aead);
  // Without the truncated form the kernel cuts HMAC-SHA-256 at 96 bits, as a draft of before RFC 4868 had it.
  putKey(attributes, XFRMA_ALG_AUTH_TRUNC, "xfrm_algo_auth", integrity);
  putKey(attributes, XFRMA_ALG_CRYPT, "xfrm_algo", encryption);
}

/** The name in 64 octets, the key's length in bits, for some the ICV's, and the key. */
function putKey(
  attributes: AttributeWriter,
  attribute: number,
  struct: "xfrm_algo" | "xfrm_algo_auth" | "xfrm_algo_aead",
  { algorithm, key, icvLength = 0 }: CipherKey & { readonly icvLength?: number },
): void {
  const layout = XFRM_STRUCTS[struct];
  const name = Buffer.from(algorithm, "latin1");
  // The name needs its closing zero octet inside the 64.
  if (name.length >= layout.alg_key_len)
    throw new EncodeError(struct, `algorithm name of ${name.length} octets, at most 63`);
  const value = new StructView(new Uint8Array(layout.size + key.length));
  value.bytes.set(name, layout.alg_name);
  value.putU32(layout.alg_key_len, key.length * 8);
  const icv = icvOffset(struct);
  if (icv !== undefined) value.putU32(icv, icvLength * 8);
  value.bytes.set(key.reveal(), layout.alg_key);
  attributes.bytes(attribute, value.bytes);
  value.bytes.fill(0);
}

function icvOffset(struct: "xfrm_algo" | "xfrm_algo_auth" | "xfrm_algo_aead"): number | undefined {
  if (struct === "xfrm_algo") return undefined;
  return struct === "xfrm_algo_aead" ? AEAD.alg_icv_len : AUTH.alg_trunc_len;
}

/** undefined for modes, algorithms and encapsulations that are never ours. The key is a copy: the message is wiped. */
export function decodeEsp(info: StructView, attributes: AttributeMap): EspState | undefined {
  const mode = info.u8(INFO.mode);
  const keys = decodeKeys(attributes);
  const encap = attributes.get(XFRMA_ENCAP);
  const encapsulation = encap && decodeEncapsulation(encap.payload);
  if (keys === undefined || (mode !== XFRM_MODE_TRANSPORT && mode !== XFRM_MODE_TUNNEL)) return undefined;
  if (encap !== undefined && encapsulation === undefined) return undefined;
  const mark = attributes.get(XFRMA_MARK);
  const setMark = attributes.get(XFRMA_SET_MARK)?.u32();
  const extra = attributes.get(XFRMA_SA_EXTRA_FLAGS)?.u32() ?? 0;
  return {
    type: "esp",
    spi: info.u32be(INFO.id + xfrm_id.spi),
    mode: mode === XFRM_MODE_TUNNEL ? "tunnel" : "transport",
    ...keys,
    replayWindow: readReplay(info, attributes).window,
    ...(encapsulation !== undefined && { encapsulation }),
    ...(mark !== undefined && { mark: decodeMark(mark.payload) }),
    ...(setMark !== undefined && {
      setMark: { value: setMark, mask: attributes.get(XFRMA_SET_MARK_MASK)?.u32() ?? ALL_BITS },
    }),
    ...((info.u8(INFO.flags) & XFRM_STATE_DECAP_DSCP) !== 0 && { decapsulateDscp: true }),
    ...((extra & XFRM_SA_XFLAG_DONT_ENCAP_DSCP) !== 0 && { hideDscp: true }),
  };
}

function decodeEncapsulation(payload: Uint8Array): EspState["encapsulation"] {
  const view = StructView.over(payload, "xfrm_encap_tmpl");
  if (view.u16(ENCAP.encap_type) !== UDP_ENCAP_ESPINUDP) return undefined;
  return { sourcePort: view.u16be(ENCAP.encap_sport), destinationPort: view.u16be(ENCAP.encap_dport) };
}

/** undefined for states without encryption or integrity, which are never ours. */
function decodeKeys(attributes: AttributeMap): EspKeys | undefined {
  const aead = attributes.get(XFRMA_ALG_AEAD);
  if (aead !== undefined) return { aead: decodeKey(aead, "xfrm_algo_aead") };
  // The kernel tells the hash in the older form too, without the ICV's length.
  const integrity = attributes.get(XFRMA_ALG_AUTH_TRUNC);
  const encryption = attributes.get(XFRMA_ALG_CRYPT);
  if (integrity === undefined || encryption === undefined) return undefined;
  const { algorithm, key } = decodeKey(encryption, "xfrm_algo");
  return { encryption: { algorithm, key }, integrity: decodeKey(integrity, "xfrm_algo_auth") };
}

function decodeKey({ payload }: Attribute, struct: "xfrm_algo" | "xfrm_algo_auth" | "xfrm_algo_aead"): AeadKey {
  const layout = XFRM_STRUCTS[struct];
  const view = StructView.over(payload, struct);
  const name = payload.subarray(layout.alg_name, layout.alg_key_len);
  const end = name.indexOf(0);
  const keyOctets = Math.ceil(view.u32(layout.alg_key_len) / 8);
  const icv = icvOffset(struct);
  return {
    algorithm: Buffer.from(end < 0 ? name : name.subarray(0, end)).toString("latin1"),
    key: new Secret(Uint8Array.from(payload.subarray(layout.alg_key, layout.alg_key + keyOctets))), // the message is wiped
    icvLength: icv === undefined ? 0 : view.u32(icv) / 8,
  };
}
