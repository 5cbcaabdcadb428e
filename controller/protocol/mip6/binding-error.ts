/**
 * Binding errors, as both roles send them (RFC 6275 §9.2, §9.3.1, §9.3.3): to the address on the wire, never through a routing header,
 * with the address of the Home Address option in it, and no more of them than the limits allow.
 */
import { IPV6_ANY, type Ipv6Address, ipToBytes } from "../../base/ip.js";
import { fromMapped } from "../../base/mapped.js";
import { elapsed, type Instant } from "../../base/time.js";
import { Protocol } from "../../wire/ip/registry.js";
import { BindingErrorStatus } from "../../wire/mip6/registry.js";
import type { Arrival, DropEffect, OptionRefusedInput, SendEffect } from "./inputs.js";
import { LIMITS } from "./timers.js";

/** For a message of unknown type (§9.2). Undefined if there is no address to answer to. */
export function unknownTypeError({ path, source, destination }: Arrival): SendEffect | undefined {
  const careOf = path.type === "native" ? path.homeAddressOptionCareOf : undefined;
  return bindingError({
    status: BindingErrorStatus.unknownMessageType,
    homeAddress: careOf === undefined ? IPV6_ANY : source,
    source: destination,
    destination: careOf ?? source,
    departure:
      path.type === "udp"
        ? {
            type: "udp",
            localAddress: path.outerDestination,
            remoteAddress: path.outerSource,
            remotePort: path.outerPort,
          }
        : { type: "native-direct", device: path.device },
  });
}

/** What may come with a Home Address option of anybody (§9.3.1): it is authenticated by other means, or is dropped for want of them. */
const EXEMPT: readonly number[] = [Protocol.esp, Protocol.ah, Protocol.mobility];

/** For a packet with a Home Address option that no binding covers (§9.3.1). Undefined where none is due. */
export function unknownBindingError(packet: OptionRefusedInput): SendEffect | undefined {
  if (EXEMPT.includes(packet.protocol)) return undefined;
  return bindingError({
    status: BindingErrorStatus.unknownBinding,
    homeAddress: packet.homeAddress,
    source: packet.destination,
    destination: packet.source,
    departure: { type: "native-direct" },
  });
}

/** For a binding that is over before its time, to where its node is: what that sends directly would find nobody any more (§9.3.3). */
export function endedBindingError(
  homeAddress: Ipv6Address,
  source: Ipv6Address,
  destination: Ipv6Address,
): SendEffect | undefined {
  const status = BindingErrorStatus.unknownBinding;
  return bindingError({ status, homeAddress, source, destination, departure: { type: "native-direct" } });
}

interface Fields extends Pick<SendEffect, "source" | "destination" | "departure"> {
  readonly status: number;
  readonly homeAddress: Ipv6Address;
}

function bindingError({ status, homeAddress, ...ends }: Fields): SendEffect | undefined {
  if (!isUnicast(ends.destination) || !isUnicast(ends.source)) return undefined;
  // The mapped form is for updates and their answers alone (draft-soliman-v4v6-mipv6-00 §3.4).
  if (fromMapped(ends.destination) !== undefined) return undefined;
  return { kind: "send", message: { type: "binding-error", status, homeAddress, options: [] }, ...ends };
}

const isUnicast = (address: Ipv6Address): boolean => address !== IPV6_ANY && ipToBytes(address)[0] !== 0xff;

interface Bucket {
  readonly tokens: number;
  readonly filledAt: Instant;
}

/** Token buckets: one for all, and one for each of the latest destinations. A value; `takeBindingError` gives the next one. */
export interface BindingErrorLimit {
  readonly all: Bucket | undefined;
  readonly destinations: readonly (Bucket & { readonly destination: Ipv6Address })[];
}
export const UNUSED_LIMIT: BindingErrorLimit = { all: undefined, destinations: [] };

/** The limit after one more binding error, or undefined if it may not go now. */
export function takeBindingError(
  limit: BindingErrorLimit,
  destination: Ipv6Address,
  now: Instant,
): BindingErrorLimit | undefined {
  const own = limit.destinations.find((one) => one.destination === destination);
  const all = take(limit.all, LIMITS.bindingErrorRate.default, now);
  const one = take(own, LIMITS.bindingErrorRateToOne.default, now);
  if (all === undefined || one === undefined) return undefined;
  const others = limit.destinations.filter((other) => other !== own);
  const destinations = [{ destination, ...one }, ...others].slice(0, LIMITS.bindingErrorDestinations.default);
  return { all, destinations };
}

/** As many at once as in a second. */
function take(bucket: Bucket | undefined, rate: number, now: Instant): Bucket | undefined {
  const gained = bucket === undefined ? rate : bucket.tokens + Math.max(0, elapsed(bucket.filledAt, now)) * rate;
  const tokens = Math.min(rate, gained);
  return tokens < 1 ? undefined : { tokens: tokens - 1, filledAt: now };
}

/** What becomes of a packet that a binding error may be due for: the error if the limit allows it, and the count of the drop. */
export function answerWithBindingError(
  error: SendEffect | undefined,
  drop: Pick<DropEffect, "reason" | "detail">,
  limit: BindingErrorLimit,
  now: Instant,
): { readonly limit: BindingErrorLimit; readonly effects: readonly (SendEffect | DropEffect)[] } {
  if (error === undefined) return { limit, effects: [{ kind: "drop", ...drop }] };
  const next = takeBindingError(limit, error.destination, now);
  if (next === undefined) return { limit, effects: [{ kind: "drop", reason: "rate-limited", detail: drop.detail }] };
  return { limit: next, effects: [error, { kind: "drop", ...drop }] };
}
