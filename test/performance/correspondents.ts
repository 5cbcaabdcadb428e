/** The benchmark's correspondent: nodes with bindings there, each by its number from 0, and what they send. */
import { type Ipv6Address, ipv6 } from "../../controller/base/ip.js";
import { seq16 } from "../../controller/base/seq16.js";
import { withAuthenticator } from "../../controller/daemon/signalling/binding-authorization.js";
import { bindingManagementKey } from "../../controller/protocol/mip6/return-routability/tokens.js";
import { Protocol } from "../../controller/wire/ip/registry.js";
import { encodeUdp } from "../../controller/wire/ip/udp.js";
import { encodeMobilityMessage, withChecksum } from "../../controller/wire/mip6/messages/mobility-header.js";
import type { MobilityMessage } from "../../controller/wire/mip6/messages/mobility-message.js";
import { bindingUpdateFlags } from "../../controller/wire/mip6/messages/registration.js";
import { homeAddressHeader } from "../../controller/wire/mip6/options/destination.js";
import { ethernet, ip } from "./frames.js";
import { endpointOf, HOME_AGENT, mobileNode } from "./places.js";

/** The machine of the middle is a correspondent here. */
export const SELF: Ipv6Address = HOME_AGENT.ipv6;
export const PAYLOAD_PORT = 4000;
const LIFETIME_UNITS = 105;
const COOKIE_OCTETS = 8;
const AUTHENTICATOR_OCTETS = 12;

export const homeAddressOf = (number: number): Ipv6Address => mobileNode(number).homeAddress;
export const careOfOf = (number: number): Ipv6Address => ipv6(endpointOf(number, "ipv6").address);

/** What the correspondent has answered to a test. */
export interface Token {
  readonly index: number;
  readonly token: Uint8Array;
}

/** Payload of the node to its correspondent, behind the Home Address option. */
export function optionFrame(number: number, mac: string): Uint8Array {
  const homeAddress = homeAddressOf(number);
  const datagram = { sourcePort: PAYLOAD_PORT, destinationPort: PAYLOAD_PORT, payload: new Uint8Array(32) };
  const payload = encodeUdp(datagram, { source: homeAddress, destination: SELF });
  return ethernet(mac, 6, behindOption(number, Protocol.udp, payload));
}

/** Payload of the correspondent to the node, before it gets a routing header. */
export function plainFrame(number: number, mac: string): Uint8Array {
  const ends = { source: SELF, destination: homeAddressOf(number) };
  const datagram = { sourcePort: PAYLOAD_PORT, destinationPort: PAYLOAD_PORT, payload: new Uint8Array(32) };
  return ethernet(mac, 6, ip(ends.source, ends.destination, Protocol.udp, encodeUdp(datagram, ends)));
}

/** Home Test Init or Care-of Test Init; its cookie is the node's number. */
export function testInitFrame(type: "home-test-init" | "care-of-test-init", number: number, mac: string): Uint8Array {
  const source = type === "home-test-init" ? homeAddressOf(number) : careOfOf(number);
  const cookie = new Uint8Array(COOKIE_OCTETS);
  new DataView(cookie.buffer).setUint32(0, number);
  const octets = withChecksum(encodeMobilityMessage({ type, cookie, options: [] }), source, SELF);
  return ethernet(mac, 6, ip(source, SELF, Protocol.mobility, octets));
}

export function updateFrame(number: number, home: Token, careOf: Token, mac: string): Uint8Array {
  const message: MobilityMessage = {
    type: "binding-update",
    sequence: seq16(1),
    flags: bindingUpdateFlags({ acknowledge: true }),
    lifetimeUnits: LIFETIME_UNITS,
    options: [
      { kind: "nonce-indices", homeNonceIndex: home.index, careOfNonceIndex: careOf.index },
      { kind: "binding-authorization-data", authenticator: new Uint8Array(AUTHENTICATOR_OCTETS) },
    ],
  };
  const key = bindingManagementKey(home.token, careOf.token);
  const signed = withAuthenticator(message, key, { careOf: careOfOf(number), correspondent: SELF });
  const octets = withChecksum(encodeMobilityMessage(signed), homeAddressOf(number), SELF);
  return ethernet(mac, 6, behindOption(number, Protocol.mobility, octets));
}

function behindOption(number: number, protocol: number, payload: Uint8Array): Uint8Array {
  const header = homeAddressHeader(protocol, homeAddressOf(number));
  return ip(careOfOf(number), SELF, Protocol.destinationOptions, Uint8Array.of(...header, ...payload));
}
