/** The procedures of a mobile node with its correspondents, told from its events: what happened, and how long after the beginning. Pure. */
import type { EventDocument } from "../../schemas/control.js";

const BEGINNING = "correspondent.started";
const EVENT = /^correspondent\.(started|tested|bound|left|lost|failed)$/;

/** Those of one correspondent, or of all, in their order. */
export const proceduresOf = (events: readonly EventDocument[], correspondent?: string): readonly EventDocument[] =>
  events.filter(
    ({ event, detail }) =>
      EVENT.test(event) && (correspondent === undefined || detail["correspondent"] === correspondent),
  );

/** A paragraph for each pair of addresses, with a line for each event. */
export function procedureText(events: readonly EventDocument[]): string {
  const pairs = new Map<string, EventDocument[]>();
  for (const event of events) {
    const pair = `${event.homeAddress} with ${String(event.detail["correspondent"])}`;
    const own = pairs.get(pair);
    if (own === undefined) pairs.set(pair, [event]);
    else own.push(event);
  }
  if (pairs.size === 0) return "nothing has happened lately";
  return [...pairs].map(([pair, own]) => [pair, ...linesOf(own)].join("\n")).join("\n\n");
}

/** The first line of each procedure has the time of day, the others the time since then. */
function linesOf(events: readonly EventDocument[]): readonly string[] {
  let beganAt: number | undefined;
  return events.map((event) => {
    const at = Date.parse(event.time);
    const begins = event.event === BEGINNING || beganAt === undefined;
    if (begins) beganAt = at;
    const when = begins ? event.time : `+${at - (beganAt ?? at)} ms`;
    return `  ${when.padStart(24)}  ${sentence(event)}`;
  });
}

function sentence({ event, detail }: EventDocument): string {
  const text = (key: string): string => String(detail[key] ?? "-");
  const from = detail["careOf"] === undefined ? "" : ` from ${text("careOf")}`;
  switch (event) {
    case BEGINNING:
      return `begins${from}`;
    case "correspondent.tested":
      return `${text("test")} test${from}: answered in ${text("milliseconds")} ms`;
    case "correspondent.bound":
      return `bound at ${text("careOf")} for ${text("lifetimeSeconds")} s`;
    case "correspondent.left":
      return `given up: ${text("reason")}`;
    case "correspondent.lost":
      return `lost: ${text("reason")}`;
    default:
      return `failed: ${text("reason")}`;
  }
}
