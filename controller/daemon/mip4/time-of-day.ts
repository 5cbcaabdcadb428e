/** The time of day as Mobile IPv4 has it (RFC 5944 §5.7.1): an NTP time, which people and NTP may set in either direction. */
import type { Identification } from "../../wire/mip4/messages/registration.js";

/** From 1900 to 1970, in seconds (RFC 5905 §6). */
const NTP_EPOCH_SECONDS = 2_208_988_800;
const FRACTIONS_PER_MILLISECOND = 2 ** 32 / 1000;

export function timeOfDay(unixMilliseconds = Date.now()): Identification {
  const whole = Math.floor(unixMilliseconds / 1000);
  const rest = unixMilliseconds - 1000 * whole;
  return { high: (whole + NTP_EPOCH_SECONDS) % 2 ** 32, low: Math.floor(rest * FRACTIONS_PER_MILLISECOND) };
}
