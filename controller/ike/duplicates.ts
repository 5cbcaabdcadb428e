/**
 * At the home agent: ends IKE SAs of a node that it has given up. A node whose answer was lost or late begins again, and what it began
 * before may still come up here; it has no keys of that any more. Only nodes begin, so the SA begun last is the one it has.
 */
import { largest } from "../base/lists.js";
import { isSection, type ViciSection } from "../vici/message.js";
import { numberAt, sectionsOf, textAt } from "../vici/section.js";
import type { IkeDaemonPort } from "./daemon-port.js";

/** Names of the connections of which an event says that an IKE SA or a child is up. */
export function connectionsUp(event: ViciSection): readonly string[] {
  return textAt(event, "up") === "yes" ? sectionsOf(event).map(([name]) => name) : [];
}

/** Rejects with ViciError. */
export async function endOlderSas(daemon: IkeDaemonPort, name: string): Promise<void> {
  const events = await daemon.stream("list-sas", { ike: name }, "list-sa");
  const ids = events
    .flatMap((event) => Object.values(event).filter(isSection))
    .filter((sa) => textAt(sa, "state") === "ESTABLISHED")
    .flatMap((sa) => numberAt(sa, "uniqueid") ?? []);
  const latest = largest(ids);
  for (const id of ids) {
    if (id !== latest) await daemon.command("terminate", { "ike-id": String(id), force: "yes", timeout: "-1" });
  }
}
