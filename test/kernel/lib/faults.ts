/** Faults for one node of a scene: its configuration and its secrets, changed before it starts. */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse, stringify } from "yaml";
import type { EventDocument } from "../../../schemas/control.js";
import type { Daemon } from "./daemons.js";
import { eventsOf } from "./events.js";
import type { Mobile } from "./scene.js";
import { waitFor } from "./wait.js";

type Section = object;

/** Further or other keys of the sections that are named, from the next start on. */
export function reconfigure(daemon: Daemon, changes: Readonly<Record<string, Section>>): void {
  const config = parse(readFileSync(daemon.configPath, "utf8"));
  for (const [name, change] of Object.entries(changes)) Object.assign(config[name], change);
  writeFileSync(daemon.configPath, stringify(config));
}

/** Another identity or secret in the node's own credential file, from the next start on. */
export function forge(mobile: Mobile, change: { readonly identity?: string; readonly secret?: string }): void {
  const path = join(dirname(mobile.daemon.configPath), `secrets-${mobile.number}.yaml`);
  const file = parse(readFileSync(path, "utf8"));
  for (const entry of file.credentials) {
    if (change.identity !== undefined) entry.identity = change.identity;
    if (change.secret !== undefined) Object.assign(entry, { psk: change.secret, eapPassword: change.secret });
  }
  writeFileSync(path, stringify(file));
}

/** What `dsmipctl events` would show of that name. */
export const events = (daemon: Daemon, name: string): Promise<readonly EventDocument[]> =>
  eventsOf(daemon.socketPath, name);

/** Waits for one whose reason matches; else the error shows all of that name. */
export async function waitForEvent(daemon: Daemon, name: string, reason: RegExp): Promise<EventDocument> {
  let last: readonly EventDocument[] = [];
  const look = async (): Promise<EventDocument | undefined> => {
    last = await events(daemon, name);
    return last.find(({ detail }) => reason.test(String(detail["reason"])));
  };
  return waitFor(look, { what: `${name} with ${reason}`, timeout: 15_000 }).catch((error: Error) => {
    throw new Error(`${error.message}; there are ${JSON.stringify(last)}`);
  });
}
