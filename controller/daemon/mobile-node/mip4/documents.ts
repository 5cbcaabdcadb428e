/** A registration of Mobile IPv4 in the shape of a binding: the endpoint is the node's own end of the tunnel, or its foreign agent's. */
import type { BindingDocument } from "../../../../schemas/control.js";
import { formatPrefix } from "../../../base/ip.js";
import { elapsed, type Instant } from "../../../base/time.js";
import type { NodePath, PathEnd } from "../../../protocol/mip4/mobile-node/inputs.js";
import type { MobileNodeState } from "../../../protocol/mip4/mobile-node/model.js";
import { MIP4_PORT } from "../../../wire/mip4/registry.js";

export interface Shown {
  readonly state: string;
  readonly revision: number;
  readonly now: Instant;
}

type Endpoint = NonNullable<BindingDocument["endpoint"]>;

export function bindingDocument(machine: MobileNodeState, { state, revision, now }: Shown): BindingDocument {
  const { path, registered, homeAddress } = machine;
  const endOf = (end: PathEnd): Endpoint => {
    const address = end.kind === "co-located" ? end.address : end.agent;
    const inUdp = path.mode === "away" && path.keepaliveSeconds !== undefined && end.kind === "co-located";
    return inUdp ? { format: "udp", address, port: MIP4_PORT } : { format: "ipv4", address };
  };
  const home = homeAddress ?? "0.0.0.0";
  return {
    protocol: "mip4",
    homeAddress: home,
    ipv4HomeAddress: home,
    mobileRouter: false,
    prefixes: prefixesOf(path),
    state,
    endpoint: path.mode === "away" && registered !== undefined ? endOf(path.egress) : null,
    acceptedFrom: path.mode === "away" ? path.ingress.map(endOf) : [],
    sequence: null,
    lifetimeSeconds: registered?.grantedSeconds ?? null,
    remainingSeconds: registered?.expiresAt === undefined ? null : Math.max(0, elapsed(now, registered.expiresAt)),
    profile: "default",
    revision,
    mip4: path.mode === "away" && registered !== undefined ? mip4Document(path) : null,
  };
}

function mip4Document({
  egress,
  prefixes,
  reverseTunnelling,
  linkLocalAddress,
}: Extract<NodePath, { mode: "away" }>): NonNullable<BindingDocument["mip4"]> {
  return {
    careOfAddress: egress.kind === "co-located" ? egress.address : egress.agent,
    coLocated: egress.kind === "co-located",
    reverseTunnelling,
    tunnelling: Object.fromEntries(prefixes.map(({ prefix, mode }) => [formatPrefix(prefix), mode] as const)),
    linkLocalAddress: linkLocalAddress ?? null,
  };
}

const prefixesOf = (path: NodePath): string[] =>
  path.mode === "away" ? path.prefixes.map(({ prefix }) => formatPrefix(prefix)) : [];
