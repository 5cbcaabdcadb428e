/** What `dsmipctl events` shows. */
import { followLines } from "../../../controller/control/client.js";
import { type EventDocument, eventDocument } from "../../../schemas/control.js";

/** All recent ones of that name. */
export async function eventsOf(socketPath: string, name: string): Promise<readonly EventDocument[]> {
  const all: EventDocument[] = [];
  await followLines(socketPath, "/events/recent", (line) => void all.push(eventDocument.parse(JSON.parse(line))));
  return all.filter(({ event }) => event === name);
}
