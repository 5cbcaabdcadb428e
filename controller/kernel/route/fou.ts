/**
 * UDP ports of the kernel's FOU/GUE receiver ⇄ generic netlink family "fou". What is particular:
 * - Ports carry no owner. Ours are those named to the codec (the configuration's) and those it made; others are never listed as ours.
 * - The kernel tells ports apart by their local address too and FOU_CMD_DEL must name it, but a port for any address excludes all others
 *   with its number: so identity is family and port, and a change of the address is a removal and a creation.
 * - With GUE the attribute FOU_ATTR_IPPROTO must be absent: newer kernels answer ERANGE to a zero.
 * - An existing one shows as EADDRINUSE (its own socket holds the port) or EALREADY, a missing one as EINVAL.
 * Source: linux/fou.h.
 */
import { IPV4_ANY, IPV6_ANY, ipToBytes } from "../../base/ip.js";
import { AttributeWriter, readAttributes } from "../../netlink/attribute.js";
import { EADDRINUSE, EALREADY, EINVAL } from "../../netlink/errno.js";
import { GENERIC_HEADER_LENGTH, genericHeader } from "../../netlink/generic.js";
import {
  FOU_ATTR_AF,
  FOU_ATTR_LOCAL_V4,
  FOU_ATTR_LOCAL_V6,
  FOU_ATTR_PORT,
  FOU_ATTR_TYPE,
  FOU_CMD_ADD,
  FOU_CMD_DEL,
  FOU_CMD_GET,
  FOU_ENCAP_GUE,
} from "../../netlink/rtnetlink.js";
import type { FouPort } from "../../plan/objects/forwarding.js";
import type { NetlinkRequest, ObjectCodec } from "../codec.js";
import { familyNumber, familyOfNumber } from "./headers.js";

const VERSION = 1;
const LOCAL = { 4: FOU_ATTR_LOCAL_V4, 6: FOU_ATTR_LOCAL_V6 } as const;

/** `ports`: those that count as this daemon's from the start. */
export function fouCodec(ports: Iterable<number>): ObjectCodec<FouPort> {
  const ours = new Set(ports);
  return {
    kind: "fou-port",
    family: "generic",
    takenErrors: [EADDRINUSE, EALREADY],
    absentErrors: [EINVAL],
    create(port) {
      ours.add(port.port);
      return [request(FOU_CMD_ADD, port, true)];
    },
    update: () => undefined,
    remove: (port) => [request(FOU_CMD_DEL, port, false)],
    dump: () => [fou(genericHeader(FOU_CMD_GET, VERSION))],
    decode(message, _names, ownOnly) {
      if (message.body[0] !== FOU_CMD_GET) return undefined;
      const attributes = readAttributes(message.body.subarray(GENERIC_HEADER_LENGTH), GENERIC_HEADER_LENGTH);
      const port = attributes.get(FOU_ATTR_PORT)?.u16be();
      const family = familyOfNumber(attributes.get(FOU_ATTR_AF)?.u8() ?? 0);
      if (port === undefined || family === undefined || attributes.get(FOU_ATTR_TYPE)?.u8() !== FOU_ENCAP_GUE)
        return undefined;
      if (ownOnly && !ours.has(port)) return undefined;
      const local = attributes.get(LOCAL[family])?.address();
      const any = local === undefined || local === IPV4_ANY || local === IPV6_ANY;
      return { kind: "fou-port", family, port, encapsulation: "gue", ...(!any && { local }) };
    },
  };
}

function request(command: number, { family, port, local }: FouPort, withType: boolean): NetlinkRequest {
  const writer = new AttributeWriter(56)
    .raw(genericHeader(command, VERSION))
    .u16be(FOU_ATTR_PORT, port)
    .u8(FOU_ATTR_AF, familyNumber(family));
  if (local !== undefined) writer.bytes(LOCAL[family], ipToBytes(local));
  return fou((withType ? writer.u8(FOU_ATTR_TYPE, FOU_ENCAP_GUE) : writer).finish());
}

function fou(body: Uint8Array): NetlinkRequest {
  return { family: "generic", generic: "fou", type: 0, flags: 0, body };
}
