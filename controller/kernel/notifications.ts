/**
 * The kernel's announcements as changes of our objects. What it does not announce, or not in full, becomes "resync": IPv4 routes that
 * go with their device or with their source address, flushed XFRM databases, and a table of ours whose shape somebody else changed.
 */

import { DecodeError } from "../base/errors.js";
import { append } from "../base/lists.js";
import { readAttributes } from "../netlink/attribute.js";
import { NLM_F_REPLACE } from "../netlink/constants.js";
import type { NetlinkFamily, ReceivedMessage } from "../netlink/message.js";
import { splitMessages } from "../netlink/message.js";
import { AF_INET, RTM_DELADDR, RTM_DELNETCONF, RTM_NEWNETCONF, RTM_NEWROUTE } from "../netlink/rtnetlink.js";
import { type KernelObject, OWNERSHIP } from "../plan/objects/objects.js";
import type { KernelChange } from "../reconcile/kernel-port.js";
import type { AnyCodec } from "./codec.js";
import type { DeviceLoss, InterfaceNames } from "./names.js";
import { NFPROTO_INET, NFTA_TABLE_NAME } from "./nftables/constants.js";
import { FLUSHES, isNftElementMessage, REMOVALS } from "./registry.js";
import { decodeAddressHeader } from "./route/headers.js";

/** sizeof(struct nfgenmsg). */
const NFGENMSG_LENGTH = 4;

export interface NotificationContext {
  readonly family: NetlinkFamily;
  readonly codecs: readonly AnyCodec[];
  readonly names: InterfaceNames;
  /** Whether the loss of a device calls for a new dump: not if it was our own doing. */
  readonly matters: (loss: DeviceLoss) => boolean;
  /** nlmsg_pid of our own requests in this family; undefined if not known. */
  readonly ownPort: number | undefined;
}

/** The changes in one datagram, in order, "resync" once at most. A datagram that is no netlink is a "resync": something was lost. */
export function decodeNotifications(context: NotificationContext, datagram: Uint8Array): (KernelChange | "resync")[] {
  try {
    const messages = splitMessages(datagram);
    const changes = messages.flatMap((message) => decodeOne(context, message));
    if (context.family === "xfrm") for (const { body } of messages) body.fill(0); // keys; the objects have copies of their own
    return changes.filter((change, i) => change !== "resync" || changes.indexOf("resync") === i);
  } catch (error) {
    if (error instanceof DecodeError) return ["resync"];
    throw error;
  }
}

/** Whether a switch of IP forwarding, of reverse path filtering or of proxies was turned, somewhere. Which, its file says. */
export function tellsOfSwitches(family: NetlinkFamily, datagram: Uint8Array): boolean {
  if (family !== "route") return false;
  try {
    return splitMessages(datagram).some(({ type }) => type === RTM_NEWNETCONF || type === RTM_DELNETCONF);
  } catch {
    return true; // ignored: looking costs little
  }
}

function decodeOne(context: NotificationContext, message: ReceivedMessage): (KernelChange | "resync")[] {
  const { family, codecs, names } = context;
  const disowned = family === "route" ? names.disowned(message) : undefined;
  const lost = family === "route" ? names.learn(message) : undefined;
  const verb = REMOVALS[family].includes(message.type) ? "removed" : "changed";
  const changes: (KernelChange | "resync")[] = [];
  // What we caused ourselves has told its outcome already.
  const ours = context.ownPort !== undefined && message.port === context.ownPort;
  if (family === "netfilter" && !isNftElementMessage(message.type)) {
    if (!ours && isAboutOurTable(message)) changes.push("resync");
  } else {
    for (const codec of codecs)
      for (const object of decodeWith(codec, message, names))
        changes.push({ verb, object, ...(ours && { own: true }) });
  }
  if (changes.length === 0) append(changes, displaced(context, message));
  if (disowned !== undefined) append(changes, lostUnder(disowned, context, message));
  for (const change of changes) if (change !== "resync") noteDevice(names, change.object);
  if (!ours && family === "route" && takesRoutesAlong(context, message)) changes.push("resync");
  if (FLUSHES[family].includes(message.type)) changes.push("resync");
  if (lost !== undefined && context.matters(lost)) changes.push("resync");
  return changes;
}

/** In every message of nftables the first attribute type is the table's name (NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE …). */
function isAboutOurTable({ body }: ReceivedMessage): boolean {
  if (body[0] !== NFPROTO_INET || body.length < NFGENMSG_LENGTH) return false;
  return readAttributes(body.subarray(NFGENMSG_LENGTH)).get(NFTA_TABLE_NAME)?.string() === OWNERSHIP.nftTable;
}

function decodeWith(codec: AnyCodec, message: ReceivedMessage, names: InterfaceNames): readonly KernelObject[] {
  if (codec.assemble !== undefined) return codec.assemble([message], names, true);
  const object = codec.decode(message, names, true);
  return object === undefined ? [] : [object];
}

/** A stranger's route that replaced another one: if that was ours, it is gone, and nothing else says so. */
function displaced({ family, codecs, names }: NotificationContext, message: ReceivedMessage): KernelChange[] {
  if (family !== "route" || message.type !== RTM_NEWROUTE || (message.flags & NLM_F_REPLACE) === 0) return [];
  return codecs.flatMap((codec) => {
    const object = codec.decode(message, names, false);
    return object === undefined ? [] : [{ verb: "removed" as const, object }];
  });
}

/** A device of ours that was renamed is gone as far as we are concerned. */
function lostUnder(name: string, { codecs, names }: NotificationContext, message: ReceivedMessage): KernelChange[] {
  return codecs.flatMap((codec) => {
    const object = codec.kind === "link" ? codec.decode(message, names, false) : undefined;
    return object?.kind === "link" ? [{ verb: "removed" as const, object: { ...object, name } }] : [];
  });
}

/** With an IPv4 address go, unannounced, the routes that have it as their preferred source, and with the last one all of its device. */
function takesRoutesAlong({ names }: NotificationContext, message: ReceivedMessage): boolean {
  if (message.type !== RTM_DELADDR) return false;
  const { family, index } = decodeAddressHeader(message.body);
  return family === AF_INET && names.isUsed(index);
}

function noteDevice(names: InterfaceNames, object: KernelObject): void {
  if (object.kind === "link") names.use(object.name);
  else if ("device" in object) names.use(object.device);
}
