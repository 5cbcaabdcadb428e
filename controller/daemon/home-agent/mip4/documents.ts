/** How people see bindings of Mobile IPv4: the documents of the control interface. Pure. */
import type { BindingDocument } from "../../../../schemas/control.js";
import { formatPrefix, type Ipv4Address, type Ipv6Address } from "../../../base/ip.js";
import type { BindingView } from "../../../protocol/mip4/home-agent/binding-table.js";
import type { TunnelEnd } from "../../../protocol/mip4/inputs.js";
import { isMadeUp } from "./node-names.js";

type EndpointDocument = NonNullable<BindingDocument["endpoint"]>;

/** The node's IPv6 home address; without one what is known instead of the name that is made up for it. */
export function shownName(node: Ipv6Address, instead: readonly (string | null | undefined)[]): string {
  return isMadeUp(node) ? (instead.find((one) => typeof one === "string") ?? node) : node;
}

export function endpointDocument(end: TunnelEnd): EndpointDocument {
  const { address, transport, encapsulation } = end;
  if (transport === "udp") return { format: "udp", address, port: end.port };
  return { format: encapsulation === "gre" ? "gre" : "ipv4", address };
}

/** `own`: the home address that the node has for ever. */
export function bindingDocument(
  view: BindingView,
  own: Ipv4Address | undefined,
  nai: string | undefined,
): BindingDocument {
  const { node, homeAddress, careOfAddress, coLocated, reverseTunnelling, prefixes, linkLocalAddress } = view;
  const { state, end, acceptedFrom, lifetimeSeconds, remainingSeconds, profile, revision } = view;
  const tunnelling = Object.fromEntries(prefixes.map(({ prefix, mode }) => [formatPrefix(prefix), mode] as const));
  return {
    protocol: "mip4",
    homeAddress: shownName(node, [homeAddress, own, nai]),
    ipv4HomeAddress: homeAddress,
    mobileRouter: false,
    prefixes: prefixes.map(({ prefix }) => formatPrefix(prefix)),
    state,
    endpoint: end && endpointDocument(end),
    acceptedFrom: acceptedFrom.map(endpointDocument),
    sequence: null,
    lifetimeSeconds,
    remainingSeconds,
    profile,
    revision,
    mip4: careOfAddress === null ? null : { careOfAddress, coLocated, reverseTunnelling, tunnelling, linkLocalAddress },
  };
}
