/**
 * Where the sequence numbers of an ESP state stand, and how another state takes on from there. Windows of up to 32 packets live in struct
 * xfrm_replay_state, larger ones in struct xfrm_replay_state_esn.
 *
 * The ESN flag stays off: it would put the upper half of a 64-bit sequence number under the integrity check, and a peer with the same
 * keys but without it would fail on every packet. Without the flag the kernel keeps the large bitmap over ordinary 32-bit numbers.
 */
import { EncodeError } from "../../base/errors.js";
import type { AttributeMap, AttributeWriter } from "../../netlink/attribute.js";
import type { EspState } from "../../plan/objects/security.js";
import { isSending } from "../../plan/security/succession.js";
import { XFRMA_REPLAY_ESN_MAX, XFRMA_REPLAY_ESN_VAL, XFRMA_REPLAY_VAL } from "./constants.js";
import { StructView, XFRM_STRUCTS } from "./layout.js";

const { xfrm_usersa_info: INFO, xfrm_replay_state_esn: LARGE, xfrm_replay_state: SMALL } = XFRM_STRUCTS;
/** Window that fits the small struct's bitmap. */
const SMALL_WINDOW = 32;
const LAST_NUMBER = 0xffffffff;
/** A successor's lead over a predecessor with a small window or none. */
const SMALLEST_LEAP = 32;

export interface ReplayHistory {
  /** Packets. */
  readonly window: number;
  /** The last number that was sent, and the highest that was received; 0: none. */
  readonly sent: number;
  readonly received: number;
  /** Which numbers of the window were received, in the kernel's words. */
  readonly bitmap: Uint8Array;
}

/** What a state's message says of its numbers. The bitmap is a copy: the message is wiped. */
export function readReplay(info: StructView, attributes: AttributeMap): ReplayHistory {
  const large = attributes.get(XFRMA_REPLAY_ESN_VAL)?.payload;
  if (large !== undefined) {
    const view = StructView.over(large, "xfrm_replay_state_esn");
    return {
      window: view.u32(LARGE.replay_window),
      sent: view.u32(LARGE.oseq),
      received: view.u32(LARGE.seq),
      bitmap: Uint8Array.from(large.subarray(LARGE.bmp)),
    };
  }
  const window = info.u8(INFO.replay_window);
  const small = attributes.get(XFRMA_REPLAY_VAL)?.payload;
  if (small === undefined) return { window, sent: 0, received: 0, bitmap: new Uint8Array(4) };
  const view = StructView.over(small, "xfrm_replay_state");
  return {
    window,
    sent: view.u32(SMALL.oseq),
    received: view.u32(SMALL.seq),
    bitmap: Uint8Array.from(view.bytes.subarray(SMALL.bitmap)),
  };
}

/** The one that has sent or received the highest number. */
export function furthest(histories: readonly ReplayHistory[]): ReplayHistory | undefined {
  const reach = ({ sent, received }: ReplayHistory): number => Math.max(sent, received);
  return histories.reduce<ReplayHistory | undefined>(
    (best, one) => (best === undefined || reach(one) > reach(best) ? one : best),
    undefined,
  );
}

/**
 * The window, and where the numbers start. A sender leaps ahead of its predecessor, which goes on sending until the policies know the
 * new one: no number is used twice, and what the old one sent still fits the receiver's window.
 */
export function putReplay(
  info: StructView,
  attributes: AttributeWriter,
  esp: EspState,
  history: ReplayHistory | undefined,
): void {
  const window = esp.replayWindow;
  if (window > XFRMA_REPLAY_ESN_MAX)
    throw new EncodeError("replayWindow", `${window}, at most ${XFRMA_REPLAY_ESN_MAX}`);
  const numbers = isSending(esp) ? sendersStart(window, history) : receiversStart(window, history);
  if (window <= SMALL_WINDOW) putSmall(info, attributes, window, numbers);
  else putLarge(attributes, window, numbers);
}

type Start = Omit<ReplayHistory, "window">;

function sendersStart(window: number, history: ReplayHistory | undefined): Start {
  const leap = Math.max(SMALLEST_LEAP, Math.floor(window / 2));
  // A number used up stays used up: the kernel refuses to send more.
  const sent = history === undefined ? 0 : Math.min(history.sent + leap, LAST_NUMBER);
  return { sent, received: 0, bitmap: new Uint8Array(bitmapLength(window)) };
}

function receiversStart(window: number, history: ReplayHistory | undefined): Start {
  const length = bitmapLength(window);
  if (history === undefined || history.received === 0) return { sent: 0, received: 0, bitmap: new Uint8Array(length) };
  // In a window of another size the kernel's bits mean other numbers: everything up to the predecessor's last counts as seen.
  const same = history.window === window && history.bitmap.length === length;
  const bitmap = same ? history.bitmap : new Uint8Array(length).fill(0xff);
  return { sent: 0, received: history.received, bitmap };
}

const bitmapLength = (window: number): number => (window <= SMALL_WINDOW ? 4 : 4 * Math.ceil(window / 32));

function putSmall(info: StructView, attributes: AttributeWriter, window: number, start: Start): void {
  info.putU8(INFO.replay_window, window);
  if (start.sent === 0 && start.received === 0) return;
  const value = new StructView(new Uint8Array(SMALL.size));
  value.putU32(SMALL.oseq, start.sent);
  value.putU32(SMALL.seq, start.received);
  value.bytes.set(start.bitmap, SMALL.bitmap);
  attributes.bytes(XFRMA_REPLAY_VAL, value.bytes);
}

function putLarge(attributes: AttributeWriter, window: number, { sent, received, bitmap }: Start): void {
  // Where there is no history the bitmap itself may stay out: the kernel begins with an empty one.
  const value = new StructView(new Uint8Array(LARGE.size + (received === 0 ? 0 : bitmap.length)));
  value.putU32(LARGE.bmp_len, bitmap.length / 4);
  value.putU32(LARGE.oseq, sent);
  value.putU32(LARGE.seq, received);
  value.putU32(LARGE.replay_window, window);
  if (received !== 0) value.bytes.set(bitmap, LARGE.bmp);
  attributes.bytes(XFRMA_REPLAY_ESN_VAL, value.bytes);
}
