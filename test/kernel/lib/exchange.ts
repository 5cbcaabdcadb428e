/** One packet through the tunnel: sent by one end, seen on the home agent's wire, received by the other end. */
import type { SendOptions } from "../../../controller/io/ip/ancillary.js";
import type { IpPacket } from "../../../controller/io/ip/ip-socket.js";
import type { Frame } from "./capture.js";
import { type IpLayer, ipLayersOf, payloadText } from "./frames.js";
import type { Mobile, PayloadFamily, Scene } from "./scene.js";
import type { Station } from "./station.js";

/** Down: from the correspondent to the mobile node. */
export type Direction = "down" | "up";
export const DIRECTIONS: readonly Direction[] = ["down", "up"];

export interface Crossing {
  /** Of the encapsulated packet at the home agent's wide area device. */
  readonly frame: Frame;
  readonly outer: IpLayer;
  readonly inner: IpLayer;
  readonly received: IpPacket;
}

let serial = 0;

/** A text no other packet has. */
export function freshText(label: string): string {
  return `${label} ${++serial}`;
}

export function isEncapsulated(frame: Frame): boolean {
  return ipLayersOf(frame).length === 2;
}

export function send(
  scene: Scene,
  mobile: Pick<Mobile, "stations">,
  way: { readonly family: PayloadFamily; readonly direction: Direction },
  text: string,
  options: SendOptions = {},
): void {
  const [here, there] = endsOf(scene, mobile, way.family, way.direction);
  here.send(there, text, options);
}

/** Sends one packet and waits for it on the wire and at the other end. */
export async function cross(
  scene: Scene,
  mobile: Pick<Mobile, "stations">,
  way: { readonly family: PayloadFamily; readonly direction: Direction },
  options: SendOptions = {},
): Promise<Crossing> {
  const text = freshText(`${way.direction} IPv${way.family}`);
  send(scene, mobile, way, text, options);
  const [, there] = endsOf(scene, mobile, way.family, way.direction);
  const received = await there.waitFor(text);
  const carries = (frame: Frame): boolean => payloadText(frame) === text && isEncapsulated(frame);
  const [frame] = (await scene.wire.waitFor(carries, { what: `"${text}" in a tunnel` })) as [Frame];
  const [outer, inner] = ipLayersOf(frame) as [IpLayer, IpLayer];
  return { frame, outer, inner, received };
}

/** Sender and receiver. */
function endsOf(
  scene: Scene,
  mobile: Pick<Mobile, "stations">,
  family: PayloadFamily,
  direction: Direction,
): readonly [Station, Station] {
  const ends = [scene.correspondents[family], mobile.stations[family]] as const;
  return direction === "down" ? ends : ([ends[1], ends[0]] as const);
}
