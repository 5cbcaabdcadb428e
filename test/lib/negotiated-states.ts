/** Associations as the IKE daemon puts them into the kernel, and what the kernel announces of them. */
import { type IpAddress, ipToBytes, ipv6 } from "../../controller/base/ip.js";
import { Secret } from "../../controller/base/secret.js";
import type { KernelNames, NetlinkMessage } from "../../controller/kernel/codec.js";
import * as c from "../../controller/kernel/xfrm/constants.js";
import { StructView, XFRM_STRUCTS } from "../../controller/kernel/xfrm/layout.js";
import { xfrmStateCodec } from "../../controller/kernel/xfrm/state.js";
import { AttributeWriter } from "../../controller/netlink/attribute.js";
import type { XfrmState } from "../../controller/plan/objects/security.js";
import { NEGOTIATED, ORIGINAL_MARK } from "../../controller/plan/security/marks.js";

const NAMES: KernelNames = { interfaceIndex: () => 0, interfaceName: () => undefined };
const { xfrm_usersa_info: INFO, xfrm_usersa_id: ID, xfrm_user_mapping: MAPPING } = XFRM_STRUCTS;
export const KEY = "0102030405060708090a0b0c0d0e0f1011121314";

export const original = (spi: number, changes: Partial<XfrmState> = {}): XfrmState => ({
  kind: "xfrm-state",
  source: ipv6("2001:db8:a::11"),
  destination: ipv6("2001:db8:1::1"),
  reqid: NEGOTIATED.reqidBase + 19,
  transform: {
    type: "esp",
    spi,
    mode: "tunnel",
    aead: {
      algorithm: "rfc4106(gcm(aes))",
      key: new Secret(Uint8Array.from(Buffer.from(KEY, "hex"))),
      icvLength: 16,
    },
    replayWindow: 32,
    mark: ORIGINAL_MARK,
  },
  ...changes,
});

export const there = (state: XfrmState): NetlinkMessage => ({
  type: c.XFRM_MSG_NEWSA,
  flags: 0,
  body: xfrmStateCodec.create(state, NAMES)[0]?.body ?? new Uint8Array(0),
});

export function gone(state: XfrmState): NetlinkMessage {
  const { body } = there(state);
  const id = xfrmStateCodec.remove(state, NAMES)[0]?.body.subarray(0, ID.size) ?? new Uint8Array(0);
  const attributes = body.subarray(INFO.size);
  const writer = new AttributeWriter().raw(id).bytes(c.XFRMA_SA, body.subarray(0, INFO.size)).raw(attributes);
  return { type: c.XFRM_MSG_DELSA, flags: 0, body: writer.finish() };
}

/** `family`: AF_INET or AF_INET6, of the association. */
export function mapping(reqid: number, address: IpAddress, port: number, family: number): NetlinkMessage {
  const view = new StructView(new Uint8Array(MAPPING.size));
  view.putU16(MAPPING.id + ID.family, family);
  view.putU32(MAPPING.reqid, reqid);
  view.bytes.set(ipToBytes(address), MAPPING.new_saddr);
  view.putU16be(MAPPING.new_sport, port);
  return { type: c.XFRM_MSG_MAPPING, flags: 0, body: view.bytes };
}
