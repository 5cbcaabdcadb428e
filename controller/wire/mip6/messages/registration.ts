/**
 * Binding Update and Binding Acknowledgement (RFC 6275 §6.1.7, §6.1.8), with the flags of all later documents.
 *
 *   6 |           sequence            |      6 |    status     |     flags     |
 *   8 |A|H|L|K|M|R|P|F|T|B|S|D| rsv:4 |      8 |           sequence            |
 *  10 |           lifetime            |     10 |           lifetime            |
 */
import { type BitsValue, bits, sequence, u8, u16 } from "../../codec.js";
import { BindingAcknowledgementFlag, BindingUpdateFlag, MessageType } from "../registry.js";
import { message } from "./codec.js";

/** Seconds of one lifetime unit (RFC 6275 §6.1.7). */
export const LIFETIME_UNIT_SECONDS = 4;

export type BindingUpdateFlags = BitsValue<typeof BindingUpdateFlag>;
export type BindingAcknowledgementFlags = BitsValue<typeof BindingAcknowledgementFlag>;

const cleared = <T extends object>(masks: T): Record<keyof T, boolean> =>
  Object.fromEntries(Object.keys(masks).map((key) => [key, false])) as Record<keyof T, boolean>;

/** The given flags, all others clear. */
export function bindingUpdateFlags(set: Partial<BindingUpdateFlags> = {}): BindingUpdateFlags {
  return { ...cleared(BindingUpdateFlag), ...set };
}

/** The given flags, all others clear. */
export function bindingAcknowledgementFlags(
  set: Partial<BindingAcknowledgementFlags> = {},
): BindingAcknowledgementFlags {
  return { ...cleared(BindingAcknowledgementFlag), ...set };
}

export const REGISTRATION_MESSAGES = [
  message(
    "binding-update",
    { mhType: MessageType.bindingUpdate, minimumHeaderLength: 1 },
    {
      sequence,
      flags: bits(2, BindingUpdateFlag),
      /** Units of 4 seconds; 0 deletes the binding. */
      lifetimeUnits: u16,
    },
  ),
  message(
    "binding-acknowledgement",
    { mhType: MessageType.bindingAcknowledgement, minimumHeaderLength: 1 },
    {
      /** BindingStatus; below 128 the binding was accepted. */
      status: u8,
      flags: bits(1, BindingAcknowledgementFlag),
      sequence,
      /** Granted lifetime in units of 4 seconds. */
      lifetimeUnits: u16,
    },
  ),
] as const;
