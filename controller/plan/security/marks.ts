/**
 * Marks by which security associations with one SPI stand side by side. The IKE daemon installs what it negotiates as *originals* under
 * a mark that no packet has; ours are made from them, with the ends, the encapsulation and the marks that the data path needs (KERNEL.md).
 */
import type { XfrmMark } from "../objects/security.js";

/** Request ids of what the IKE daemon installs: OWNERSHIP's own, moved up by 2^24. Never ours to touch. */
export const NEGOTIATED = { reqidBase: 0x45000000, reqidSize: 1 << 24 } as const;

const NOT_ORIGINAL = 0x40000000;
/** Set on packets that came in as ESP in UDP (firewall), so that they meet the state for that encapsulation. */
export const UDP_MARK_BIT = 0x20000000;

/**
 * Set on what comes in and has policies of its own by message type (firewall): Home Test Init, Home Test, mobile prefix discovery. The
 * kernel reads no such type from a packet behind a Home Address option, and from 6.8 on none of a Mobility Header at all.
 */
export const TYPED_MESSAGE_MARK_BIT = 0x08000000;

/** Selects them in policies. */
export const TYPED_MESSAGE_MARK: XfrmMark = { value: TYPED_MESSAGE_MARK_BIT, mask: TYPED_MESSAGE_MARK_BIT };
/** Set on mobility messages of a type that RFC 6275 does not know (firewall): they are answered, whoever sends them. */
export const UNKNOWN_MESSAGE_MARK_BIT = 0x04000000;
export const UNKNOWN_MESSAGE_MARK: XfrmMark = { value: UNKNOWN_MESSAGE_MARK_BIT, mask: UNKNOWN_MESSAGE_MARK_BIT };

/** Set on what comes in with a type 2 routing header (firewall of a mobile node whose payload is protected), which may be in clear. */
export const ROUTING_HEADER_MARK_BIT = 0x02000000;
export const ROUTING_HEADER_MARK: XfrmMark = { value: ROUTING_HEADER_MARK_BIT, mask: ROUTING_HEADER_MARK_BIT };

/** What the IKE daemon installs; no packet has this bit. */
export const ORIGINAL_MARK: XfrmMark = { value: NOT_ORIGINAL, mask: NOT_ORIGINAL };
/** States that send; what every packet has. */
export const SENDING_MARK: XfrmMark = { value: 0, mask: NOT_ORIGINAL };
/** States that receive ESP as it is, and ESP in UDP. */
export const RECEIVING_PLAIN_MARK: XfrmMark = { value: 0, mask: NOT_ORIGINAL | UDP_MARK_BIT };
export const RECEIVING_UDP_MARK: XfrmMark = { value: UDP_MARK_BIT, mask: NOT_ORIGINAL | UDP_MARK_BIT };
/** Takes the firewall's bit away again (set-mark of states that receive ESP in UDP). */
export const CLEAR_UDP_MARK: XfrmMark = { value: 0, mask: UDP_MARK_BIT };
