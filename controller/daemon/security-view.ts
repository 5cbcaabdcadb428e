/** Security associations as people see them: the plan, the kernel's counters and the IKE daemon's word, joined. Never a key. */
import type { SecurityDocument } from "../../schemas/control.js";
import type { Ipv6Address } from "../base/ip.js";
import { connectionName } from "../ike/connections.js";
import type { IkeDaemonPort } from "../ike/daemon-port.js";
import type { StateCounters } from "../kernel/security-watch.js";
import type { KernelObject } from "../plan/objects.js";
import { OWNERSHIP } from "../plan/objects.js";
import { type RequestIds, SHARED_REQIDS } from "../plan/request-ids.js";
import type { XfrmState } from "../plan/security-objects.js";
import { isSending } from "../plan/succession.js";
import { isSection, type ViciSection } from "../vici/message.js";
import { numberAt, textAt } from "../vici/section.js";

type Association = SecurityDocument["nodes"][number]["associations"][number];
type Ike = NonNullable<SecurityDocument["nodes"][number]["ike"]>;

export interface SecuritySources {
  readonly ids: RequestIds;
  readonly counters: readonly StateCounters[];
  /** All of ours about the node. */
  readonly objects: (homeAddress: Ipv6Address) => readonly KernelObject[];
  readonly ike: ReadonlyMap<string, ViciSection>;
}

/** What the IKE daemon says of its SAs, by connection; nothing if it is not there. */
export async function listIkeSas(daemon: IkeDaemonPort): Promise<ReadonlyMap<string, ViciSection>> {
  try {
    const events = await daemon.stream("list-sas", {}, "list-sa");
    return new Map(events.flatMap((event) => Object.entries(event).filter(isSaEntry)));
  } catch {
    return new Map(); // ignored: the log says that it is not there, and the kernel's part is worth showing without it
  }
}

const isSaEntry = (entry: [string, ViciSection[string]]): entry is [string, ViciSection] => isSection(entry[1]);

export function securityDocument(nodes: readonly Ipv6Address[], sources: SecuritySources): SecurityDocument {
  const counters = new Map<string, StateCounters>();
  for (const one of sources.counters) {
    // Two copies of one association at one address differ in their encapsulation only: one of them carries everything.
    const key = `${one.reqid} ${one.spi} ${one.destination}`;
    const other = counters.get(key);
    if (other === undefined || other.packets < one.packets) counters.set(key, one);
  }
  return {
    method: "ikev2",
    nodes: nodes.map((homeAddress) => {
      const objects = sources.objects(homeAddress);
      const states = objects.filter((object): object is XfrmState => object.kind === "xfrm-state");
      return {
        homeAddress,
        ike: ikeOf(sources.ike.get(connectionName(homeAddress))),
        policies: objects.filter(({ kind }) => kind === "xfrm-policy").length,
        associations: states.flatMap((state) => associationOf(state, sources.ids, counters) ?? []),
      };
    }),
  };
}

function associationOf(
  { source, destination, reqid, transform }: XfrmState,
  ids: RequestIds,
  counters: ReadonlyMap<string, StateCounters>,
): Association | undefined {
  if (transform.type !== "esp" || reqid < OWNERSHIP.reqidBase + SHARED_REQIDS) return undefined;
  const found = counters.get(`${reqid} ${transform.spi} ${destination}`);
  return {
    purpose: ids.find(reqid)?.purpose ?? "unknown",
    direction: isSending(transform) ? "send" : "receive",
    spi: `0x${transform.spi.toString(16).padStart(8, "0")}`,
    source,
    destination,
    mode: transform.mode,
    udp: transform.encapsulation !== undefined,
    packets: found?.packets ?? 0,
    octets: found?.octets ?? 0,
    replayed: found?.replayed ?? 0,
    integrityFailures: found?.integrityFailures ?? 0,
  };
}

function ikeOf(sa: ViciSection | undefined): Ike | null {
  if (sa === undefined) return null;
  return {
    state: textAt(sa, "state") ?? "unknown",
    local: `${textAt(sa, "local-host")}:${textAt(sa, "local-port")}`,
    remote: `${textAt(sa, "remote-host")}:${textAt(sa, "remote-port")}`,
    remoteIdentity: textAt(sa, "remote-id") ?? "",
    establishedSeconds: numberAt(sa, "established") ?? 0,
    rekeyInSeconds: numberAt(sa, "rekey-time") ?? null,
  };
}
