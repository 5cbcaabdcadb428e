/** XFRM_MSG_MIGRATE as an announcement: by it the IKE daemon learns between which addresses its SA now lies (RFC 6275 §10.3.1, K flag). */
import { EncodeError } from "../../base/errors.js";
import { type IpAddress, isIpv4 } from "../../base/ip.js";
import { AttributeWriter } from "../../netlink/attribute.js";
import type { NetlinkRequest } from "../../netlink/message.js";
import type { XfrmSelector } from "../../plan/objects/security.js";
import {
  AF_INET,
  AF_INET6,
  IPPROTO_ESP,
  XFRM_MODE_TRANSPORT,
  XFRM_MSG_MIGRATE,
  XFRM_POLICY_OUT,
  XFRMA_KMADDRESS,
  XFRMA_MIGRATE,
} from "./constants.js";
import { putSelector, StructView, XFRM_STRUCTS } from "./layout.js";

const { xfrm_userpolicy_id: ID, xfrm_user_migrate: MIGRATE, xfrm_user_kmaddress: KMADDRESS } = XFRM_STRUCTS;

export interface MoveAnnouncement {
  /** Of an outbound policy of ours that has a transport mode template with the request id. */
  readonly selector: XfrmSelector;
  /** Of the IKE daemon's child. */
  readonly reqid: number;
  /** Ends of the IKE SA from now on, of one family. */
  readonly local: IpAddress;
  readonly remote: IpAddress;
}

/**
 * Moves no association: the old and new ends are the selector's source on both sides, where there is none. The kernel checks the policy
 * and passes the message on to its key managers with the address pair of XFRMA_KMADDRESS.
 */
export function migrateRequest({ selector, reqid, local, remote }: MoveAnnouncement): NetlinkRequest {
  if (isIpv4(local) !== isIpv4(remote)) throw new EncodeError("kmaddress", "two address families");
  const id = new StructView(new Uint8Array(ID.size));
  putSelector(id.part(ID.sel, XFRM_STRUCTS.xfrm_selector.size), selector);
  id.putU8(ID.dir, XFRM_POLICY_OUT);
  const nowhere = selector.source.address;
  const migrate = new StructView(new Uint8Array(MIGRATE.size));
  for (const field of [MIGRATE.old_daddr, MIGRATE.old_saddr, MIGRATE.new_daddr, MIGRATE.new_saddr])
    migrate.putAddress(field, nowhere);
  migrate.putU8(MIGRATE.proto, IPPROTO_ESP);
  migrate.putU8(MIGRATE.mode, XFRM_MODE_TRANSPORT);
  migrate.putU32(MIGRATE.reqid, reqid);
  const family = isIpv4(nowhere) ? AF_INET : AF_INET6;
  migrate.putU16(MIGRATE.old_family, family);
  migrate.putU16(MIGRATE.new_family, family);
  const kmaddress = new StructView(new Uint8Array(KMADDRESS.size));
  kmaddress.putAddress(KMADDRESS.local, local);
  kmaddress.putAddress(KMADDRESS.remote, remote);
  kmaddress.putU16(KMADDRESS.family, isIpv4(local) ? AF_INET : AF_INET6);
  const body = new AttributeWriter(256)
    .raw(id.bytes)
    .bytes(XFRMA_MIGRATE, migrate.bytes)
    .bytes(XFRMA_KMADDRESS, kmaddress.bytes);
  return { family: "xfrm", type: XFRM_MSG_MIGRATE, flags: 0, body: body.finish() };
}
