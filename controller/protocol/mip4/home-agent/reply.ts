/** Registration replies (RFC 5944 §3.8.3): what each field and each extension of an answer is. */
import type { Ipv4Address } from "../../../base/ip.js";
import { findExtension, type RegistrationExtension } from "../../../wire/mip4/extensions/registration.js";
import type { Identification } from "../../../wire/mip4/messages/registration.js";
import type { NodeName } from "../inputs.js";
import type { ReplyEffect, RequestInput } from "./inputs.js";
import type { HomeAgentSite } from "./site.js";

/** To whom an answer goes and what it is signed with; the same whatever it says. */
export interface Answer {
  readonly input: Pick<RequestInput, "arrival" | "request">;
  readonly node: NodeName;
  /** Of the association with the node under which it is signed. */
  readonly spi: number;
  /** Of the association with the foreign agent that sent the request, if there is one. */
  readonly foreignAgentSpi: number | undefined;
  readonly identification: Identification;
  /** Prefix replies and UDP tunnel reply, for the case that the request is accepted. */
  readonly extensions: readonly RegistrationExtension[];
}

export interface Outcome {
  readonly code: number;
  /** Granted; 0 with a refusal and at the end of a binding. */
  readonly lifetimeSeconds: number;
  /** Absent: as in the request. */
  readonly homeAddress?: Ipv4Address | undefined;
  readonly extensions?: readonly RegistrationExtension[] | undefined;
}

/** Authenticators are made when it is sent. */
const NOT_MADE = new Uint8Array(0);

/** The order of extensions is that of RFC 5944 §3.8.3.3: the node's, its authentication, the foreign agent's. */
export function replyTo(site: HomeAgentSite, answer: Answer, outcome: Outcome): ReplyEffect {
  const { arrival, request } = answer.input;
  const identifier = findExtension(request.extensions, "network-access-identifier");
  const extensions: RegistrationExtension[] = [
    ...(identifier === undefined ? [] : [identifier]),
    ...(outcome.extensions ?? []),
    { kind: "mobile-home-authentication", spi: answer.spi, authenticator: NOT_MADE },
  ];
  if (answer.foreignAgentSpi !== undefined) {
    extensions.push({
      kind: "foreign-home-authentication",
      spi: answer.foreignAgentSpi,
      authenticator: NOT_MADE,
    });
  }
  const own = site.localAddress ?? site.address;
  const { homeAddress } = request;
  return {
    kind: "reply",
    reply: {
      type: "registration-reply",
      code: outcome.code,
      lifetimeSeconds: outcome.lifetimeSeconds,
      homeAddress: outcome.homeAddress ?? homeAddress,
      homeAgent: site.address,
      identification: answer.identification,
      extensions,
    },
    node: answer.node,
    source: isOurs(site, arrival.destination) ? arrival.destination : own,
    destination: arrival.source,
    destinationPort: arrival.sourcePort,
    departure: isFromHome(answer.input) ? "home-link" : "routed",
  };
}

export function isOurs({ address, localAddress }: HomeAgentSite, destination: Ipv4Address): boolean {
  return destination === (localAddress ?? address) || destination === address;
}

/** The node is at home and says so: whatever the answer, no binding of its must catch it (RFC 5944 §3.8.3.1). */
function isFromHome({ arrival, request }: Answer["input"]): boolean {
  const { lifetimeSeconds, careOfAddress, homeAddress } = request;
  return lifetimeSeconds === 0 && careOfAddress === homeAddress && arrival.source === homeAddress;
}
