/** Security associations as people see them: the plan, the kernel's counters and the IKE daemon's word, joined. Never a key. */

import type { SecurityDocument } from "../../../schemas/control.js";
import { formatPrefix, type IpAddress, type Ipv6Address } from "../../base/ip.js";
import { largest } from "../../base/lists.js";
import { connectionName } from "../../ike/connections.js";
import type { IkeDaemonPort } from "../../ike/daemon-port.js";
import type { StateCounters } from "../../kernel/xfrm/security-watch.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { EspState, XfrmPolicy, XfrmSelector, XfrmState } from "../../plan/objects/security.js";
import { isParkingPlace } from "../../plan/security/esp-ways.js";
import { NEGOTIATED } from "../../plan/security/marks.js";
import { type Purpose, type RequestIds, SHARED_REQIDS } from "../../plan/security/request-ids.js";
import { isSending } from "../../plan/security/succession.js";
import { ESP, ICMPV6, MOBILITY_HEADER } from "../../plan/security/transport-associations.js";
import { isSection, type ViciSection } from "../../vici/message.js";
import { hexAt, numberAt, sectionAt, sectionsOf, textAt } from "../../vici/section.js";

type Node = SecurityDocument["nodes"][number];
type Association = Node["associations"][number];
type Policy = Node["policies"][number];
type Ike = NonNullable<Node["ike"]>;
type EspXfrmState = XfrmState & { readonly transform: EspState };

/** By connection; undefined: the IKE daemon does not answer. */
export type IkeSas = ReadonlyMap<string, ViciSection> | undefined;

export interface SecuritySources {
  readonly method: SecurityDocument["method"];
  readonly ids: RequestIds;
  readonly counters: readonly StateCounters[];
  /** All of ours about the node. */
  readonly objects: (homeAddress: Ipv6Address) => readonly KernelObject[];
  readonly ike: IkeSas;
  /** Our own addresses: what static associations from there are for. */
  readonly own: ReadonlySet<IpAddress>;
  /** Seconds since 1970, as the kernel counts. */
  readonly now: number;
}

/** What the IKE daemon says of its SAs: of several of one connection the one that is in use. */
export async function listIkeSas(daemon: IkeDaemonPort): Promise<IkeSas> {
  let events: readonly ViciSection[];
  try {
    events = await daemon.stream("list-sas", {}, "list-sa");
  } catch {
    return undefined; // ignored: the log says that it is not there, and the kernel's part is worth showing without it
  }
  const sas = new Map<string, ViciSection>();
  for (const [name, sa] of events.flatMap((event) => Object.entries(event).filter(isSaEntry))) {
    const known = sas.get(name);
    if (known === undefined || isEstablished(sa) || !isEstablished(known)) sas.set(name, sa);
  }
  return sas;
}

const isSaEntry = (entry: [string, ViciSection[string]]): entry is [string, ViciSection] => isSection(entry[1]);
const isEstablished = (sa: ViciSection): boolean => textAt(sa, "state") === "ESTABLISHED";

export function securityDocument(nodes: readonly Ipv6Address[], sources: SecuritySources): SecurityDocument {
  const { method, ike } = sources;
  const counters = new Map<string, StateCounters[]>();
  for (const one of sources.counters) {
    const key = counterKey(one);
    const list = counters.get(key);
    if (list === undefined) counters.set(key, [one]);
    else list.push(one);
  }
  return {
    method,
    ikeDaemon: method === "static-keys" ? null : ike === undefined ? "down" : "up",
    nodes: nodes.map((homeAddress) => nodeOf(homeAddress, sources, counters)),
  };
}

function nodeOf(
  homeAddress: Ipv6Address,
  sources: SecuritySources,
  counters: ReadonlyMap<string, readonly StateCounters[]>,
): Node {
  const objects = sources.objects(homeAddress);
  const sa = sources.ike?.get(connectionName(homeAddress));
  const copies = new Map<string, EspXfrmState[]>();
  for (const state of objects.filter(isAssociation)) {
    const key = `${state.reqid} ${state.transform.spi} ${sends(state, sources.own)}`;
    copies.set(key, [...(copies.get(key) ?? []), state]);
  }
  return {
    homeAddress,
    ike: sa === undefined ? null : ikeOf(sa),
    policies: objects.flatMap((object) =>
      object.kind === "xfrm-policy" && object.policyType === "main" ? (policyOf(object, sources.ids) ?? []) : [],
    ),
    associations: [...copies.values()].flatMap((states) => associationOf(states, sources, counters, sa) ?? []),
  };
}

const isAssociation = (object: KernelObject): object is EspXfrmState =>
  object.kind === "xfrm-state" &&
  object.transform.type === "esp" &&
  object.reqid >= OWNERSHIP.reqidBase + SHARED_REQIDS;

const sends = ({ source, transform }: EspXfrmState, own: ReadonlySet<IpAddress>): boolean =>
  transform.mark === undefined ? own.has(source) : isSending(transform);

const counterKey = ({ reqid, spi, destination }: Pick<StateCounters, "reqid" | "spi" | "destination">): string =>
  `${reqid} ${spi} ${destination}`;

/** One association, whose copies differ in their ends. */
function associationOf(
  states: readonly EspXfrmState[],
  { ids, own, now }: SecuritySources,
  counters: ReadonlyMap<string, readonly StateCounters[]>,
  sa: ViciSection | undefined,
): Association | undefined {
  const [first] = states;
  const purpose: Purpose | undefined = first && ids.find(first.reqid)?.purpose;
  if (first === undefined || purpose === undefined) return undefined;
  const { spi, mode } = first.transform;
  const direction = sends(first, own) ? "send" : "receive";
  const keys = new Set(states.map(({ reqid, destination }) => counterKey({ reqid, spi, destination })));
  const found = [...keys].flatMap((key) => counters.get(key) ?? []);
  const sum = (field: "packets" | "octets" | "replayed" | "integrityFailures"): number =>
    found.reduce((total, one) => total + one[field], 0);
  const used = found.flatMap(({ lastUsedAt }) => (lastUsedAt === undefined ? [] : [lastUsedAt]));
  const parked = states.every(({ destination }) => isParkingPlace(destination));
  const child = childOf(sa, spi, direction);
  return {
    purpose,
    direction,
    spi: `0x${spi.toString(16).padStart(8, "0")}`,
    mode,
    ends: parked ? [] : states.map(endOf),
    parked,
    keysAgeSeconds: (child && numberAt(child, "install-time")) ?? null,
    rekeyInSeconds: (child && numberAt(child, "rekey-time")) ?? null,
    packets: sum("packets"),
    octets: sum("octets"),
    lastUsedSeconds: used.length === 0 ? null : Math.max(0, now - largest(used)),
    replayed: sum("replayed"),
    integrityFailures: sum("integrityFailures"),
  };
}

const endOf = ({ source, destination, transform }: EspXfrmState): Association["ends"][number] => ({
  source,
  destination,
  udpPort: transform.encapsulation?.destinationPort ?? null,
});

/** By its SPI, which the receiver of each direction has chosen. */
function childOf(sa: ViciSection | undefined, spi: number, direction: Association["direction"]) {
  const children = sectionsOf((sa && sectionAt(sa, "child-sas")) ?? {});
  const name = direction === "receive" ? "spi-in" : "spi-out";
  return children.find(([, child]) => hexAt(child, name) === spi)?.[1];
}

/** undefined for the one that meets no packet and only names an IKE SA that moves. */
function policyOf(policy: XfrmPolicy, ids: RequestIds): Policy | undefined {
  const { direction, selector, mark, priority, action, templates } = policy;
  const esp = templates.filter(({ protocol }) => protocol === "esp");
  const reqids = esp.map(({ reqid }) => reqid);
  if (reqids.length > 0 && reqids.every((reqid) => reqid >= NEGOTIATED.reqidBase)) return undefined;
  const passes = esp.length === 0 ? "clear" : esp.some(({ optional }) => optional) ? "esp or clear" : "esp";
  const [reqid] = reqids;
  return {
    purpose: (reqid === undefined ? undefined : ids.find(reqid)?.purpose) ?? "-",
    direction,
    source: formatPrefix(selector.source),
    destination: formatPrefix(selector.destination),
    messages: messagesOf(selector),
    mark: mark === undefined ? null : `0x${mark.value.toString(16)}/0x${mark.mask.toString(16)}`,
    demand: action === "block" ? "blocked" : passes,
    priority,
  };
}

const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [0, "all"],
  [ESP, "ESP"],
  [ICMPV6, "ICMPv6"],
  [MOBILITY_HEADER, "Mobility Header"],
]);

function messagesOf({ protocol, mobilityHeaderType, icmpv6Type, icmpv6Errors }: XfrmSelector): string {
  const name = PROTOCOLS.get(protocol) ?? `protocol ${protocol}`;
  if (icmpv6Errors === true) return `${name} errors`;
  const type = mobilityHeaderType ?? icmpv6Type;
  return type === undefined ? name : `${name} type ${type}`;
}

function ikeOf(sa: ViciSection): Ike {
  const end = (host: string, port: string): string => {
    const address = textAt(sa, host) ?? "?";
    return `${address.includes(":") ? `[${address}]` : address}:${textAt(sa, port) ?? "?"}`;
  };
  return {
    state: textAt(sa, "state") ?? "unknown",
    local: end("local-host", "local-port"),
    remote: end("remote-host", "remote-port"),
    remoteIdentity: textAt(sa, "remote-eap-id") ?? textAt(sa, "remote-id") ?? "",
    keysAgeSeconds: numberAt(sa, "established") ?? 0,
    rekeyInSeconds: numberAt(sa, "rekey-time") ?? null,
  };
}
