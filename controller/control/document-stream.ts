/** Documents as pieces of JSON text, so that a large one is never in memory whole as text, and leaves as fast as its reader takes it. */
import type { ServerResponse } from "node:http";

/** Small enough to be nothing in memory, large enough that a document of 10,000 bindings is fifty of them. */
const PIECE_CHARACTERS = 64 * 1024;

/**
 * The JSON text of the document in pieces, which joined are what JSON.stringify gives. At its top level an iterable that is no string is
 * an array whose elements are made one after the other, as they are asked for.
 */
export function* jsonPieces(document: Readonly<Record<string, unknown>>): Generator<string, void> {
  let text = "{";
  let first = true;
  for (const [name, value] of Object.entries(document)) {
    if (value === undefined) continue;
    text += `${first ? "" : ","}${JSON.stringify(name)}:`;
    first = false;
    if (!isIterable(value)) {
      text += JSON.stringify(value);
      continue;
    }
    text += "[";
    let separator = "";
    for (const element of value) {
      text += separator + JSON.stringify(element);
      separator = ",";
      if (text.length < PIECE_CHARACTERS) continue;
      yield text;
      text = "";
    }
    text += "]";
  }
  yield `${text}}`;
}

/** A line of JSON for each element, in pieces. */
export function* linePieces(elements: Iterable<unknown>): Generator<string, void> {
  let text = "";
  for (const element of elements) {
    text += `${JSON.stringify(element)}\n`;
    if (text.length < PIECE_CHARACTERS) continue;
    yield text;
    text = "";
  }
  yield text;
}

const isIterable = (value: unknown): value is Iterable<unknown> =>
  typeof value === "object" && value !== null && Symbol.iterator in value;

/**
 * Writes the pieces as the body and ends the response. Each is made when the reader has taken the one before; a reader that takes
 * nothing for `patienceMs` is cut off. Resolves when all is handed over, or the connection is gone.
 */
export async function writePieces(
  response: ServerResponse,
  pieces: Iterable<string>,
  patienceMs: number,
): Promise<void> {
  for (const piece of pieces) {
    if (response.destroyed) return;
    if (!response.write(piece)) await event(response, "drain", patienceMs);
  }
  response.end();
  await sent(response, patienceMs);
}

/** Resolves when the ended response is handed over, or its connection is gone; a reader that does not take it is cut off. */
export async function sent(response: ServerResponse, patienceMs: number): Promise<void> {
  if (!response.writableFinished && !response.destroyed) await event(response, "finish", patienceMs);
}

function event(response: ServerResponse, name: "drain" | "finish", patienceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => response.destroy(), patienceMs);
    const done = (): void => {
      clearTimeout(timer);
      response.off(name, done).off("close", done);
      resolve();
    };
    response.on(name, done).on("close", done);
  });
}
