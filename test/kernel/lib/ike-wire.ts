/** IKE and ESP as they pass a wire: who speaks from which port, and under which association. */
import { type IpAddress, isIpv4 } from "../../../controller/base/ip.js";
import type { Frame } from "./capture.js";
import type { Direction } from "./exchange.js";
import type { UdpLayer } from "./frame.js";
import { describeFrame, ipLayersOf } from "./frames.js";
import type { Abroad } from "./keys.js";
import { HOME_AGENT, type Mobile, outerAddress } from "./scene.js";

export const IKE_PORT = 500;
/** IKE behind its marker, ESP without (RFC 3948 §2). */
export const NAT_PORT = 4500;
export const IKE_SA_INIT = 34;
export const IKE_AUTH = 35;
export const CREATE_CHILD_SA = 36;
export const INFORMATIONAL = 37;

const ESP = 50;
const GUE_PORT = 4191;
const MARKER = 4;
const HEADER = 28;
const EXCHANGE = 18;
const FLAGS = 19;
const RESPONSE = 0x20;

export interface IkeMessage {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Four octets of zero in front. */
  readonly marker: boolean;
  readonly exchange: number;
  readonly isResponse: boolean;
}

const isMarked = ({ payload }: UdpLayer): boolean =>
  payload.length >= MARKER && payload.subarray(0, MARKER).every((octet) => octet === 0);

function udpOf({ layers }: Frame): UdpLayer | undefined {
  const last = layers.at(-1);
  return last?.kind === "udp" ? last : undefined;
}

/** The header of a message of IKE (RFC 7296 §3.1), which is never encrypted. */
export function ikeOf(frame: Frame): IkeMessage | undefined {
  const udp = udpOf(frame);
  const [outer] = ipLayersOf(frame);
  if (udp === undefined || outer === undefined) return undefined;
  const { sourcePort, destinationPort, payload } = udp;
  const ports = [sourcePort, destinationPort];
  const marker = ports.includes(NAT_PORT) && isMarked(udp);
  const header = payload.subarray(marker ? MARKER : 0);
  if (!(marker || ports.includes(IKE_PORT)) || header.length < HEADER) return undefined;
  return {
    ...{ source: outer.source, destination: outer.destination, sourcePort, destinationPort, marker },
    exchange: header[EXCHANGE] ?? 0,
    isResponse: ((header[FLAGS] ?? 0) & RESPONSE) !== 0,
  };
}

/** The SPI of ESP, wherever it is: in an IP header, or in UDP port 4500 of it. */
export function spiOf(frame: Frame): number | undefined {
  const last = frame.layers.at(-1);
  if (last?.kind === "other" && last.protocol === ESP && last.bytes.length >= 4) return firstWord(last.bytes);
  const udp = udpOf(frame);
  if (udp === undefined || ![udp.sourcePort, udp.destinationPort].includes(NAT_PORT)) return undefined;
  return udp.payload.length > HEADER && !isMarked(udp) ? firstWord(udp.payload) : undefined;
}

const firstWord = (octets: Uint8Array): number =>
  new DataView(octets.buffer, octets.byteOffset, octets.byteLength).getUint32(0);

/** One octet that keeps a NAT's mapping (RFC 3948 §2.3). */
export function isKeepalive(frame: Frame): boolean {
  const udp = udpOf(frame);
  if (udp?.sourcePort !== NAT_PORT || udp.destinationPort !== NAT_PORT) return false;
  return udp.payload.length === 1 && udp.payload[0] === 0xff;
}

/** Both ends' own addresses, and the UDP ports if any, in the words of `describeFrame`. */
function outerForm(mobile: Mobile, access: Abroad, direction: Direction, udp?: number): string {
  const node = outerAddress(mobile, access);
  const family = isIpv4(node) ? 4 : 6;
  const agent = family === 4 ? HOME_AGENT.ipv4 : HOME_AGENT.ipv6;
  const ports = direction === "up" ? `\\d+>${udp}` : `${udp}>\\d+`;
  const ends = direction === "up" ? `${node}>${agent}` : `${agent}>${node}`;
  return `ipv${family} ${ends}${udp === undefined ? "" : ` / udp ${ports}`}`;
}

/** Updates and acknowledgements: RFC 5555 §5.2.1 over IPv4, RFC 6275 §6.1 over IPv6. */
export function signallingForm(mobile: Mobile, access: Abroad, direction: Direction): RegExp {
  if (access === "six") return RegExp(`^${outerForm(mobile, access, direction)} / extension / protocol ${ESP}$`);
  const ends = direction === "up" ? [mobile.home6, HOME_AGENT.ipv6] : [HOME_AGENT.ipv6, mobile.home6];
  return RegExp(`^${outerForm(mobile, access, direction, GUE_PORT)} / ipv6 ${ends.join(">")} / protocol ${ESP}$`);
}

/** Protected payload: RFC 5555 §5.2.2. */
export function payloadForm(mobile: Mobile, access: Abroad, direction: Direction): RegExp {
  return access === "nat"
    ? RegExp(`^${outerForm(mobile, access, direction, NAT_PORT)}$`)
    : RegExp(`^${outerForm(mobile, access, direction)} / protocol ${ESP}$`);
}

/** How each packet of an association looks. */
export function espForms(frames: readonly Frame[], spi: number): string[] {
  return frames.filter((frame) => spiOf(frame) === spi).map(describeFrame);
}
