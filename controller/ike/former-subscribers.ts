/**
 * At the home agent: ends what an earlier life of ours has had negotiated under another configuration. charon goes on with an IKE SA whatever
 * becomes of us: a node that is no subscriber any more, whose home address belongs to another one, or whose request ids are another node's
 * now, would keep keys that mean what they did not mean when it proved who it is.
 */
import { isSection, type ViciSection } from "../vici/message.js";
import { numberAt, sectionAt, sectionsOf, textAt, textsAt } from "../vici/section.js";
import { bootstrapOwner } from "./bootstrapping.js";
import { homeAddressOf } from "./connections.js";
import type { IkeDaemonPort } from "./daemon-port.js";

/** Of a subscriber, by its connection. */
export interface Entitled {
  readonly identity: string;
  /** Under which the IKE daemon may have installed something for it. */
  readonly reqids: ReadonlySet<number>;
}

/** Returns the connections that had something. Rejects with ViciError. */
export async function endFormerSubscribers(
  daemon: IkeDaemonPort,
  entitled: ReadonlyMap<string, Entitled>,
): Promise<readonly string[]> {
  const ended = new Set<string>();
  const loaded = textsAt(await daemon.command("get-conns"), "conns") ?? [];
  for (const name of loaded.filter((one) => isOurs(one) && !entitled.has(one))) {
    await daemon.command("unload-conn", { name });
    ended.add(name);
  }
  const events = await daemon.stream("list-sas", {}, "list-sa");
  for (const [name, sa] of events.flatMap((event) => Object.entries(event))) {
    if (!isOurs(name) || !isSection(sa) || isEntitled(sa, entitled.get(name))) continue;
    const id = numberAt(sa, "uniqueid");
    if (id === undefined) continue;
    await daemon.command("terminate", { "ike-id": String(id), force: "yes", timeout: "-1" });
    ended.add(name);
  }
  return [...ended];
}

const isOurs = (connection: string): boolean => (bootstrapOwner(connection) ?? homeAddressOf(connection)) !== undefined;

/** One that has no peer yet proves itself by the connection as it is then. */
function isEntitled(sa: ViciSection, entitled: Entitled | undefined): boolean {
  if (entitled === undefined) return false;
  const identity = textAt(sa, "remote-id");
  if (textAt(sa, "state") === "ESTABLISHED" && (identity === undefined || !sameIdentity(identity, entitled.identity)))
    return false;
  const reqids = sectionsOf(sectionAt(sa, "child-sas") ?? {}).map(([, child]) => numberAt(child, "reqid"));
  return reqids.every((reqid) => reqid === undefined || entitled.reqids.has(reqid));
}

/** charon leaves out of what type an identity is, and writes distinguished names in its own way: blanks and case are nothing to go by. */
const sameIdentity = (a: string, b: string): boolean => plain(a) === plain(b);
const plain = (identity: string): string => identity.replace(/\s+/g, "").toLowerCase().replace(TYPE, "");
/** "@name", "@@user@domain", and what strongSwan's identification_create_from_string knows of "type:" with text behind it. */
const TYPE = /^(?:@@?|(?:ipv4|ipv6|rfc822|email|userfqdn|fqdn|dns|keyid):)/;
