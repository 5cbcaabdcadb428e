/**
 * Generic netlink: families have names, the running kernel gives them numbers. The numbers hold for the life of the kernel unless a
 * module is unloaded, so they are asked once per session. Source: linux/genetlink.h.
 */
import { MissingError } from "../base/errors.js";
import { AttributeWriter, readAttributes } from "./attribute.js";
import { CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_CMD_GETFAMILY, GENL_ID_CTRL } from "./constants.js";
import { EINVAL } from "./errno.js";
import { KernelError } from "./errors.js";
import type { NetlinkMessage, NetlinkRequest } from "./message.js";

/** sizeof(struct genlmsghdr): command, version, two reserved octets. */
export const GENERIC_HEADER_LENGTH = 4;

export function genericHeader(command: number, version: number): Uint8Array {
  return Uint8Array.of(command, version, 0, 0);
}

/** Sends requests and gives one outcome each: a session. */
type Execute = (
  requests: readonly NetlinkRequest[],
) => Promise<readonly { readonly error?: KernelError; readonly replies: readonly NetlinkMessage[] }[]>;

export class GenericFamilies {
  readonly #execute: Execute;
  readonly #numbers = new Map<string, number>();

  constructor(execute: Execute) {
    this.#execute = execute;
  }

  /** nlmsg_type of the request. Throws MissingError for a family that this kernel does not have, else KernelError. */
  async typeOf(request: NetlinkRequest): Promise<number> {
    if (request.generic === undefined) return request.type;
    const known = this.#numbers.get(request.generic);
    if (known !== undefined) return known;
    const number = await this.#ask(request.generic);
    this.#numbers.set(request.generic, number);
    return number;
  }

  async #ask(name: string): Promise<number> {
    const body = new AttributeWriter()
      .raw(genericHeader(CTRL_CMD_GETFAMILY, 1))
      .string(CTRL_ATTR_FAMILY_NAME, name)
      .finish();
    const [outcome] = await this.#execute([{ family: "generic", type: GENL_ID_CTRL, flags: 0, body }]);
    if (outcome?.error?.isNotFound) {
      throw new MissingError(`this kernel has no generic netlink family "${name}"; try: modprobe ${name}`, {
        cause: outcome.error,
      });
    }
    if (outcome?.error !== undefined) throw outcome.error;
    const reply = outcome?.replies[0];
    const number = reply && readAttributes(reply.body.subarray(GENERIC_HEADER_LENGTH)).get(CTRL_ATTR_FAMILY_ID)?.u16();
    if (number === undefined)
      throw new KernelError(EINVAL, { text: `the kernel names no number for generic netlink family "${name}"` });
    return number;
  }
}
