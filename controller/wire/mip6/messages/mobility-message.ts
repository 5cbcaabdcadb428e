/**
 * The messages of the Mobility Header as values: a union on `type`, derived from the tables that also encode and decode them
 * (registration.ts, types.ts, and the option tables). mobility-header.ts turns them into octets and back.
 */

import type { MobilityOption } from "../options/mobility.js";
import type { FixedPartOf } from "./codec.js";
import { REGISTRATION_MESSAGES } from "./registration.js";
import { BASE_MESSAGES } from "./types.js";

export const MESSAGE_CODECS = [...REGISTRATION_MESSAGES, ...BASE_MESSAGES] as const;

/** A message of an MH type that this codec does not know: answered with a Binding Error, status 2 (RFC 6275 §9.2). */
export interface UnknownMessage {
  readonly type: "unknown";
  readonly mhType: number;
  /** The octets after the checksum. */
  readonly body: Uint8Array;
}
type WithOptions<T> = T extends unknown
  ? { readonly [K in keyof T | "options"]: K extends keyof T ? T[K] : readonly MobilityOption[] }
  : never;
export type KnownMessage = WithOptions<FixedPartOf<(typeof MESSAGE_CODECS)[number]>>;
export type MobilityMessage = KnownMessage | UnknownMessage;
export type MessageOfType<T extends MobilityMessage["type"]> = Extract<MobilityMessage, { readonly type: T }>;
export type BindingUpdate = MessageOfType<"binding-update">;
export type BindingAcknowledgement = MessageOfType<"binding-acknowledgement">;
export type BindingError = MessageOfType<"binding-error">;
export type BindingRefreshRequest = MessageOfType<"binding-refresh-request">;
